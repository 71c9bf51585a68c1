import { execFileSync } from 'node:child_process';
import { Agent, request } from 'node:http';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../src/controller/kernel/index.ts';
import { type LoadResult, VirtualNetwork } from '../src/simulate/index.ts';
import { type Arrival, Generator, type Load, ownLoad } from './generator.ts';
import { netloom, root, rssMib, type Target, testController } from './targets.ts';

/**
 * `npm run bench [NAME…]`: the compiled controller in a process of its own, under load; beside it, in alternated rounds,
 * `ovs-testcontroller` where it is installed, or the least that a controller can do. The load is the generator in C where its
 * source is found (../shared/bench), else the project's own switches. Prints ratios; docs/benchmarks.md holds a run.
 */

const ROUNDS = 3;
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
const count = (value: number): string => Math.round(value).toLocaleString('en');
const times = (value: number): string => `${value.toPrecision(3)} ×`;

const rows: string[][] = [];
const row = (what: string, ours: string, peer: string, ratio: string): void => {
  rows.push([what, ours, peer, ratio]);
  console.log(`${what}: ${ours}${peer === '–' ? '' : `, ${peer}`}${ratio === '–' ? '' : `: ${ratio}`}`);
};

const built = Generator.build(root);
const generator = typeof built === 'string' ? undefined : built;

const loadOn = (target: Target, load: Load): Promise<LoadResult> =>
  generator?.load(target, load) ?? ownLoad(target, load);

/** The same load on both, in turns; `pick` says which figure counts. */
async function sideBySide(what: string, load: Load, pick: (result: LoadResult) => number, unit: string): Promise<void> {
  const figures: [number[], number[]] = [[], []];
  let lost = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (const [side, start] of [netloom, testController].entries()) {
      const target = await start();
      if (!target) continue;
      const result = await loadOn(target, load);
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
  if (!generator) {
    const target = await netloom();
    const bounded = await ownLoad(target, { switches: 16, window: 64 });
    const flooded = await ownLoad(target, { switches: 16, window: 16_384 });
    const memory = `${rssMib(target.pid).toFixed(0)} MiB afterwards`;
    row(
      'answers/s, 16 switches, window 16,384',
      `${count(flooded.perSecond)}/s, ${memory}`,
      `window 64: ${count(bounded.perSecond)}/s`,
      times(flooded.perSecond / bounded.perSecond),
    );
    await target.stop();
    return;
  }
  const figures: [number[], number[]] = [[], []];
  let peak = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (const [side, window] of [0, 64].entries()) {
      const target = await netloom();
      const result = await generator.load(target, { switches: 16, window });
      figures[side as 0 | 1].push(result.perSecond);
      if (window === 0) peak = Math.max(peak, result.peakMib);
      await target.stop();
    }
  }
  const [open, bounded] = figures.map(median) as [number, number];
  const what = `${count(open)}/s, ${peak.toFixed(0)} MiB at most`;
  row('answers/s, 16 switches, no window', what, `window 64: ${count(bounded)}/s`, times(open / bounded));
}

const SWITCHES = 2_000;

async function connecting(): Promise<void> {
  if (!generator) {
    const figures: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const target = await netloom();
      figures.push(await bringUp(target, SWITCHES));
      await target.stop();
    }
    row(`${count(SWITCHES)} new switches up`, `${(median(figures) / 1000).toFixed(2)} s`, '–', '–');
    return;
  }
  const arrivals: Record<'fresh' | 'known' | 'echo', Arrival[]> = { fresh: [], known: [], echo: [] };
  for (let round = 0; round < ROUNDS; round++) {
    const target = await netloom();
    arrivals.fresh.push(await generator.connect(target, SWITCHES));
    arrivals.known.push(await generator.connect(target, SWITCHES));
    await target.stop();
    const echo = await generator.echo();
    arrivals.echo.push(await generator.connect(echo, SWITCHES));
    await echo.stop();
  }
  const of = (list: readonly Arrival[], key: 'upSeconds' | 'usableSeconds'): number =>
    median(list.map((each) => each[key]));
  for (const [key, what] of [
    ['upSeconds', 'all up'],
    ['usableSeconds', 'the first packet of the last of them answered'],
  ] as const) {
    const least = of(arrivals.echo, key);
    for (const [list, seen] of [
      [arrivals.fresh, 'first time'],
      [arrivals.known, 'seen before'],
    ] as const) {
      const missing = SWITCHES - Math.min(...list.map(({ up }) => up));
      const name = `${count(SWITCHES)} switches connect, ${what}, ${seen}${missing > 0 ? ` (${missing} NOT UP)` : ''}`;
      row(name, `${of(list, key).toFixed(2)} s`, `echo ${least.toFixed(2)} s`, times(of(list, key) / least));
    }
  }
}

async function churn(): Promise<void> {
  if (!generator) {
    console.log(`churn: skipped, ${built}`);
    return;
  }
  const figures: [number[], number[]] = [[], []];
  let open = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (const [side, start] of [netloom, () => generator.echo()].entries()) {
      const target = await start();
      const { p99Ms, halfOpen, halfOpenClosed } = await generator.churn(target);
      figures[side as 0 | 1].push(p99Ms);
      if (side === 0) open += halfOpen - halfOpenClosed;
      await target.stop();
    }
  }
  const [ours, least] = figures.map(median) as [number, number];
  const what = `churn: p99 of steady switches${open > 0 ? ` (${open} HALF-OPEN LEFT)` : ''}`;
  row(what, `${ours.toPrecision(2)} ms`, `echo ${least.toPrecision(2)} ms`, times(ours / least));
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
  churn,
  memory,
  rest,
  rules: async () => {
    await import('./rules.ts');
  },
  overlay: async () => {
    const { overlayBench } = await import('./overlay.ts');
    await overlayBench();
  },
  moves: async () => {
    const { movesBench } = await import('./overlay.ts');
    await movesBench();
  },
  networks: async () => {
    const { networksBench } = await import('./networks.ts');
    await networksBench();
  },
  growth: async () => {
    await import('./growth.ts');
  },
  lisp: async () => {
    await import('./lisp.ts');
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
console.log(`load: ${generator ? 'generator in C' : `src/simulate, as ${built}`}`);
console.log(`${cpus().length} cores (${cpus()[0]!.model}), Node.js ${process.version}`);
for (const name of chosen.length > 0 ? chosen : Object.keys(benches)) await benches[name]!();
if (rows.length > 1) {
  const lines = [['what', 'Netloom', 'peer', 'ratio'], ['---', '---', '---', '---'], ...rows];
  console.log(`\n${lines.map((line) => `| ${line.join(' | ')} |`).join('\n')}`);
}
process.exit(0);
