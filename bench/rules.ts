import { performance } from 'node:perf_hooks';
import { type Dpid, type MetricSink, silentLogger, systemClock } from '../src/controller/kernel/index.ts';
import { output, Priority, pipeline, type Rule, RuleBook, rule } from '../src/controller/rules/index.ts';
import { MemorySwitch } from '../test/kit/memory-switch.ts';
import { PrivateOvs, whyNoPrivateOvs } from '../test/kit/private-ovs.ts';
import { TcpChannels } from '../test/kit/tcp-channel.ts';

/** Rules of the bundle. */
const COUNT = 10_000;
const ROUNDS = 7;
const one = '0000000000000001' as Dpid;
const owner = { app: 2, id: 1, key: 'bench/1' };
const noMetrics: MetricSink = { declare: () => {}, histogram: () => ({ observe: () => {} }) };

const rules = (port: number): Rule[] =>
  Array.from({ length: COUNT }, (_, i) =>
    rule(pipeline.switch, { priority: Priority.exact, match: { network: 1, ethDst: i + 1 }, do: [output(port)] }),
  );

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

const newBook = (): RuleBook =>
  new RuleBook({ clock: systemClock, log: silentLogger, metrics: noMetrics, reconcileMs: 0 });

/** A switch that takes everything and answers at once: what remains is our own work. */
class Sink extends MemorySwitch {
  override write(): void {}
  override request(): Promise<readonly Buffer[]> {
    return Promise.resolve([]);
  }
}

async function timed(fn: () => unknown): Promise<number> {
  const start = performance.now();
  await fn();
  return performance.now() - start;
}

async function own(): Promise<void> {
  const compile: number[] = [];
  const place: number[] = [];
  const send: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const book = newBook();
    await book.connect(new Sink(one));
    let made: Rule[] = [];
    compile.push(await timed(() => (made = rules(1))));
    place.push(await timed(() => book.set(owner, new Map([[one, made]]))));
    send.push(
      await timed(() => {
        book.flush();
        return book.whenConfirmed(owner.key);
      }),
    );
  }
  const line = (what: string, values: readonly number[]): void =>
    console.log(`${what}: ${((median(values) * 1e6) / COUNT).toFixed(0)} ns a rule`);
  line('compile by name', compile);
  line('place into the book', place);
  line('take, order, encode, settle', send);
}

async function ovs(): Promise<void> {
  const why = whyNoPrivateOvs();
  if (why) {
    console.log(`against Open vSwitch: skipped, ${why}`);
    return;
  }
  const sw = await PrivateOvs.start();
  const channels = await TcpChannels.listen();
  try {
    sw.addBridge('br0', one, 2);
    sw.setController('br0', channels.target);
    const channel = await channels.next();
    const book = newBook();
    await book.connect(channel);
    const made = rules(1);
    const text = made.map((_, i) => `table=5,priority=300,metadata=1/0xffffffff,dl_dst=${mac(i + 1)},actions=output:1`);
    const file = sw.file('flows.txt', `${text.join('\n')}\n`);
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      ours.push(
        await timed(() => {
          book.set(owner, new Map([[one, made]]));
          book.flush();
          return book.whenConfirmed(owner.key);
        }),
      );
      book.remove(owner.key);
      book.flush();
      await book.whenConfirmed(owner.key);
      theirs.push(await timed(() => sw.ofctl('--bundle', 'add-flows', 'br0', file)));
      sw.ofctl('del-flows', 'br0');
    }
    const [a, b] = [median(ours), median(theirs)];
    console.log(`${COUNT} rules as one bundle into Open vSwitch: ${a.toFixed(0)} ms, ovs-ofctl ${b.toFixed(0)} ms`);
    console.log(`ratio (ovs-ofctl / ours): ${(b / a).toFixed(2)}`);
    channel.close();
  } finally {
    await channels.close();
    await sw.stop();
  }
}

const mac = (value: number): string =>
  value
    .toString(16)
    .padStart(12, '0')
    .replace(/..(?!$)/g, '$&:');

await own();
await ovs();
