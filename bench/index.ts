import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { systemClock } from '../src/controller/kernel/index.ts';
import { type LoadResult, runLoad, VirtualNetwork } from '../src/simulate/index.ts';
import { freePort } from '../test/kit/netloom.ts';

/**
 * `npm run bench [NAME…]`: the compiled controller in a process of its own, under load from this one; beside it, in alternated
 * rounds, `ovs-testcontroller` where it is installed. Prints ratios; docs/benchmarks.md holds a run.
 */

const root = join(import.meta.dirname, '..');
const ROUNDS = 3;
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
const count = (value: number): string => Math.round(value).toLocaleString('en');
const times = (value: number): string => `${value.toPrecision(3)} ×`;

interface Target {
  readonly openflow: number;
  readonly http: number;
  readonly pid: number;
  stop(): Promise<void>;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}

/** A controller with all apps, metrics on, log level info, and an empty store. */
async function netloom(): Promise<Target> {
  const data = mkdtempSync(join(tmpdir(), 'netloom-bench-'));
  const [openflow, http] = [await freePort(), await freePort()];
  const addresses = ['--openflow', `127.0.0.1:${openflow}`, '--http', `127.0.0.1:${http}`];
  const child = spawn(
    process.execPath,
    [join(root, 'dist/main.js'), 'serve', '--data', data, ...addresses, '--default-network'],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  for await (const line of createInterface({ input: child.stdout })) if (line.includes('ready')) break;
  child.stdout.resume();
  return {
    openflow,
    http,
    pid: child.pid!,
    async stop() {
      await ended(child);
      rmSync(data, { recursive: true });
    },
  };
}

/** Debian's `openvswitch-testcontroller`; undefined when it is not installed. */
async function testController(): Promise<Target | undefined> {
  if (spawnSync('ovs-testcontroller', ['--version']).status !== 0) return undefined;
  const openflow = await freePort();
  const child = spawn('ovs-testcontroller', [`ptcp:${openflow}:127.0.0.1`], { stdio: 'ignore' });
  for (let listening = false; !listening; ) {
    const socket = connect(openflow, '127.0.0.1');
    listening = await new Promise((resolve) =>
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false)),
    );
    socket.destroy();
  }
  return { openflow, http: 0, pid: child.pid!, stop: () => ended(child) };
}

const rssMib = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;

const rows: string[][] = [];
const row = (what: string, ours: string, peer: string, ratio: string): void => {
  rows.push([what, ours, peer, ratio]);
  console.log(`${what}: ${ours}${peer === '–' ? '' : `, ${peer}`}${ratio === '–' ? '' : `: ${ratio}`}`);
};

type Load = Omit<Parameters<typeof runLoad>[0], 'target' | 'seconds' | 'rounds'>;

/** The same load on both, in turns; `pick` says which figure counts. */
async function sideBySide(what: string, load: Load, pick: (result: LoadResult) => number, unit: string): Promise<void> {
  const figures: [number[], number[]] = [[], []];
  let lost = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (const [side, start] of [netloom, testController].entries()) {
      const target = await start();
      if (!target) continue;
      const result = await runLoad(
        { ...load, target: { host: '127.0.0.1', port: target.openflow }, seconds: 2, rounds: 2 },
        systemClock,
      );
      figures[side as 0 | 1].push(pick(result));
      if (side === 0) lost += result.lost;
      await target.stop();
    }
  }
  const show = (values: readonly number[]): string =>
    unit === 'ms' ? `${median(values).toPrecision(2)} ms` : `${count(median(values))}${unit}`;
  const [ours, theirs] = figures;
  const peer = theirs.length > 0 ? `ovs-testcontroller ${show(theirs)}` : '–';
  const ratio = theirs.length > 0 ? times(median(ours) / median(theirs)) : '–';
  row(lost > 0 ? `${what} (${lost} LOST)` : what, show(ours), peer, ratio);
}

async function unbounded(): Promise<void> {
  const target = await netloom();
  const run = (window: number): Promise<LoadResult> =>
    runLoad(
      { target: { host: '127.0.0.1', port: target.openflow }, switches: 16, window, seconds: 2, rounds: 2 },
      systemClock,
    );
  const bounded = await run(64);
  const flooded = await run(16_384);
  const memory = `${rssMib(target.pid).toFixed(0)} MiB afterwards`;
  row(
    'answers/s, 16 switches, window 16,384',
    `${count(flooded.perSecond)}/s, ${memory}`,
    `window 64: ${count(bounded.perSecond)}/s`,
    times(flooded.perSecond / bounded.perSecond),
  );
  await target.stop();
}

async function connecting(): Promise<void> {
  const figures: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const target = await netloom();
    figures.push(await bringUp(target, 2_000));
    await target.stop();
  }
  row('2,000 new switches up', `${(median(figures) / 1000).toFixed(2)} s`, '–', '–');
}

async function memory(): Promise<void> {
  const target = await netloom();
  const before = rssMib(target.pid);
  let after = 0;
  await bringUp(target, 1_000, async () => {
    // Past the first comparisons and the collector's next round.
    await new Promise((resolve) => setTimeout(resolve, 20_000));
    after = rssMib(target.pid);
  });
  row('resident memory, 1,000 switches up', `${after.toFixed(0)} MiB`, `none: ${before.toFixed(0)} MiB`, '–');
  await target.stop();
}

/** Milliseconds until so many switches are up. */
async function bringUp(target: Target, switches: number, then = async (): Promise<void> => {}): Promise<number> {
  let up = 0;
  let allUp = (): void => {};
  const done = new Promise<void>((resolve) => {
    allUp = resolve;
  });
  const network = new VirtualNetwork({
    target: { host: '127.0.0.1', port: target.openflow },
    clock: systemClock,
    switches,
    ports: 4,
    onUp: () => {
      if (++up === switches) allUp();
    },
  });
  const begun = performance.now();
  network.start();
  await done;
  const ms = performance.now() - begun;
  await then();
  network.stop();
  return ms;
}

/** Durable writes over as many connections. */
async function rest(): Promise<void> {
  const connections = 16;
  const target = await netloom();
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const put = (path: string, body: object): Promise<void> =>
    new Promise((resolve, reject) => {
      const sent = request(
        {
          host: '127.0.0.1',
          port: target.http,
          method: 'PUT',
          path,
          agent,
          headers: { 'content-type': 'application/json' },
        },
        (response) => {
          response.resume();
          response.once('end', () =>
            response.statusCode === 201 ? resolve() : reject(new Error(`${response.statusCode}`)),
          );
        },
      );
      sent.once('error', reject);
      sent.end(JSON.stringify(body));
    });
  await put('/v1/tenants/t', {});
  await put('/v1/tenants/t/networks/n', {});
  let next = 0;
  const writer = async (until: number): Promise<void> => {
    while (performance.now() < until) {
      const n = next++;
      const mac = (0x0200_0000_0000 + n)
        .toString(16)
        .padStart(12, '0')
        .replace(/..(?!$)/g, '$&:');
      await put(`/v1/tenants/t/ports/p${n}`, { network: 'n', mac });
    }
  };
  const rates: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const [from, begun] = [next, performance.now()];
    await Promise.all(Array.from({ length: connections }, () => writer(begun + 2_000)));
    if (round > 0) rates.push(((next - from) * 1_000) / (performance.now() - begun));
  }
  agent.destroy();
  await target.stop();
  row(`REST PUTs/s, ${connections} connections, each durable`, `${count(median(rates))}/s`, '–', '–');
}

const benches: Readonly<Record<string, () => Promise<void>>> = {
  many: () => sideBySide('answers/s, 16 switches, window 64', { switches: 16, window: 64 }, (r) => r.perSecond, '/s'),
  one: () => sideBySide('answers/s, 1 switch, window 64', { switches: 1, window: 64 }, (r) => r.perSecond, '/s'),
  latency: () => sideBySide('latency p99, 1 switch', { switches: 1, window: 1 }, (r) => r.p99Ms, 'ms'),
  steady: () =>
    sideBySide(
      '10,000 packet-ins/s over 16 switches: p99',
      { switches: 16, window: 1, rate: 10_000 },
      (r) => r.p99Ms,
      'ms',
    ),
  unbounded,
  connecting,
  memory,
  rest,
  rules: async () => {
    await import('./rules.ts');
  },
};

const chosen = process.argv.slice(2);
const unknown = chosen.filter((name) => !(name in benches));
if (unknown.length > 0) {
  console.error(`unknown benchmark ${unknown.join(', ')}; there are ${Object.keys(benches).join(', ')}`);
  process.exit(2);
}
execFileSync(
  process.execPath,
  [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json')],
  {
    stdio: 'inherit',
  },
);
console.log(`${cpus().length} cores (${cpus()[0]!.model}), Node.js ${process.version}`);
for (const name of chosen.length > 0 ? chosen : Object.keys(benches)) await benches[name]!();
if (rows.length > 1) {
  const lines = [['what', 'Netloom', 'peer', 'ratio'], ['---', '---', '---', '---'], ...rows];
  console.log(`\n${lines.map((line) => `| ${line.join(' | ')} |`).join('\n')}`);
}
process.exit(0);
