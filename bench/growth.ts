import { fabricCompiler } from '../src/apps/fabric/index.ts';
import { learningCompiler } from '../src/apps/learning/index.ts';
import { overlayCompiler } from '../src/apps/overlay/index.ts';
import { tenantsCompiler } from '../src/apps/tenants/index.ts';
import {
  CompileEngine,
  type Dpid,
  dpidOf,
  type Mac,
  type NetworkState,
  parseIp,
  RuleBook,
  type SegmentId,
  type StateChange,
  silentLogger,
  systemClock,
} from '../src/controller/index.ts';
import { Desired } from '../src/controller/model/desired.ts';
import { Observed } from '../src/controller/observed/index.ts';
import { createTelemetry } from '../src/controller/telemetry/index.ts';

/**
 * `npm run bench -- growth`: what it costs to compile overlays of up to 1,000 hypervisors with 100,000 ports, beyond what real switches
 * on one machine can show. Ten ports a network, each on another hypervisor. Prints time and memory, and how both grow.
 */

const PORTS_OF_NETWORK = 10;
const SIZES = [
  [10, 1_000],
  [30, 3_000],
  [100, 10_000],
  [300, 30_000],
  [1_000, 100_000],
] as const;

const meta = (id: string) => ({
  id,
  revision: 1,
  createdAt: '2026-01-01T00:00:00Z',
  updatedAt: '2026-01-01T00:00:00Z',
});
const dpid = (n: number): Dpid => dpidOf(BigInt(n));

/** All state of so many hypervisors and ports, but for rules. */
function world(hypervisors: number, ports: number): { readonly state: NetworkState; readonly desired: Desired } {
  const desired = new Desired();
  const observed = new Observed({
    clock: systemClock,
    onFailure: (_event, _listener, error) => {
      throw error;
    },
  });
  const perSwitch = Math.ceil(ports / hypervisors) + 3;
  for (let n = 1; n <= hypervisors; n++) {
    const address = parseIp(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`)!;
    const hypervisor = {
      ...meta(`hv${n}`),
      datapathId: dpid(n),
      tunnelAddresses: [address],
      ovsdb: undefined,
      physicalSwitch: undefined,
      site: undefined,
    };
    desired.apply([{ kind: 'hypervisor', before: undefined, after: hypervisor }]);
    const names = new Map<string, { interfaceId?: string; tunnel?: 'vxlan' | 'nvgre' }>([
      ['p1', { tunnel: 'vxlan' }],
      ['p2', { tunnel: 'nvgre' }],
    ]);
    for (let k = 0; k * hypervisors + n - 1 < ports; k++)
      names.set(`p${k + 3}`, { interfaceId: `nic${k * hypervisors + n - 1}` });
    observed.switchUp({
      dpid: dpid(n),
      index: n,
      remote: '',
      manufacturer: 'Nicira, Inc.',
      hardware: 'Open vSwitch',
      software: '3.1.0',
      nicira: true,
      ports: Array.from({ length: perSwitch }, (_, i) => ({
        no: i + 1,
        name: `p${i + 1}`,
        mac: (0x0a0000000000 + n * 0x10000 + i) as Mac,
        up: true,
        currentSpeed: 0,
      })),
    });
    observed.labelPorts(dpid(n), names);
  }
  desired.apply([{ kind: 'tenant', before: undefined, after: { ...meta('t'), description: '', quota: {}, index: 1 } }]);
  for (let p = 0; p < ports; p++) {
    const index = Math.floor(p / PORTS_OF_NETWORK) + 1;
    if (p % PORTS_OF_NETWORK === 0) {
      const network = {
        ...meta(`n${index}`),
        tenant: 't',
        index,
        transport: 'vxlan' as const,
        segmentId: index as SegmentId,
        instanceId: undefined,
      };
      const rest = {
        subnets: [],
        mtu: 1450,
        unknownUnicast: 'drop' as const,
        flowId: 'zero' as const,
        extends: undefined,
        gateways: [],
      };
      desired.apply([{ kind: 'network', before: undefined, after: { ...network, ...rest } }]);
    }
    desired.apply([{ kind: 'port', before: undefined, after: port(p, index, hypervisors) }]);
  }
  return { state: { desired, observed, defaultNetwork: false }, desired };
}

const port = (p: number, network: number, hypervisors: number) => ({
  ...meta(`p${p}`),
  tenant: 't',
  endpoint: p + 1,
  network: `n${network}`,
  mac: (0x020000000000 + p) as Mac,
  addresses: [parseIp(`10.0.0.${(p % PORTS_OF_NETWORK) + 1}`)!],
  portSecurity: true,
  binding: { hypervisor: `hv${(p % hypervisors) + 1}`, interfaceId: `nic${p}` },
});

const mib = (): number => process.memoryUsage.rss() / 2 ** 20;

async function measure(hypervisors: number, ports: number) {
  const { state, desired } = world(hypervisors, ports);
  const telemetry = createTelemetry({ log: silentLogger, processMetrics: false });
  const { sink } = telemetry;
  const book = new RuleBook({ clock: systemClock, log: silentLogger, metrics: sink });
  const engine = new CompileEngine<NetworkState, StateChange>({
    state: () => state,
    target: book,
    clock: systemClock,
    log: silentLogger,
    metrics: sink,
  });
  for (const compiler of [fabricCompiler, tenantsCompiler, learningCompiler(300), overlayCompiler])
    engine.register(compiler);
  const started = performance.now();
  engine.compileAll(1);
  await engine.settled();
  const seconds = (performance.now() - started) / 1_000;
  const rules = Number(/^netloom_rules (\d+)/m.exec(await telemetry.render())?.[1]);
  const changes: number[] = [];
  for (let k = 0; k < 50; k++) {
    const before = desired.ports.get(`t/p${k}`)!;
    const after = { ...before, addresses: [parseIp(`10.0.1.${k + 1}`)!] };
    const begun = performance.now();
    const change = { kind: 'port' as const, before, after };
    desired.apply([change]);
    engine.change([change], 2 + k);
    await engine.settled();
    changes.push(performance.now() - begun);
  }
  const median = changes.sort((a, b) => a - b)[25]!;
  return { hypervisors, ports, rules, seconds, rssMib: mib(), changeMs: median };
}

/** A bar for a value on a logarithmic scale from `least` to `most`. */
const bar = (value: number, least: number, most: number): string =>
  '#'.repeat(1 + Math.round((39 * Math.log(value / least)) / Math.log(most / least)));

const only = process.argv[2] === 'size' ? Number(process.argv[3]) : undefined;
if (only !== undefined) {
  const [hypervisors, ports] = SIZES[only]!;
  console.log(JSON.stringify(await measure(hypervisors, ports)));
} else {
  const { execFileSync } = await import('node:child_process');
  // Each size in a process of its own, so that memory is its own.
  const results = SIZES.map((_, at) => {
    const args = ['--import', 'tsx', '--max-old-space-size=12000', import.meta.filename, 'size', String(at)];
    const result = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as Awaited<
      ReturnType<typeof measure>
    >;
    const { hypervisors, ports, rules, seconds, rssMib, changeMs } = result;
    console.log(
      `${hypervisors} hypervisors, ${ports} ports: ${rules} rules, compiled in ${seconds.toFixed(2)} s, ${rssMib.toFixed(0)} MiB, one port changed in ${changeMs.toFixed(2)} ms`,
    );
    return result;
  });
  for (const [what, key] of [
    ['compile time, s', 'seconds'],
    ['memory, MiB', 'rssMib'],
    ['one port changed, ms', 'changeMs'],
  ] as const) {
    const values = results.map((result) => result[key]);
    console.log(`\n${what} (logarithmic)`);
    for (const result of results) {
      const value = result[key];
      const line = bar(value, Math.min(...values), Math.max(...values));
      console.log(`${String(result.ports).padStart(8)} ${line} ${value.toPrecision(3)}`);
    }
  }
}
