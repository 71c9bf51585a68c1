import type { Clock } from '../controller/kernel/index.ts';
import { encodePacket } from '../ofproto/index.ts';
import type { Topology } from './topology.ts';
import { startTrouble, type Trouble } from './trouble.ts';
import { VirtualNetwork } from './virtual-network.ts';
import type { ControllerTarget, SimulationCounters, VirtualSwitch } from './virtual-switch.ts';

/** What `netloom simulate` is asked for. */
export interface SimulationOptions {
  readonly target: ControllerTarget;
  readonly switches: number;
  /** Ports for hosts of each switch. */
  readonly ports: number;
  readonly topology: Topology;
  readonly dpidBase: bigint;
  /** Hosts of each switch; each announces itself by ARP twice a second once all switches are up. At most as many as ports. */
  readonly hosts: number;
  /** Trouble to make while they stay. */
  readonly trouble: Trouble;
  /** How long the switches stay after all are up. */
  readonly seconds: number;
  /** Time in which all switches have to be up, at first and again once the trouble is over. */
  readonly upSeconds: number;
  /** Called about once a second. */
  readonly onProgress?: (up: number, switches: number) => void;
}

/** What came of it. Times are milliseconds. */
export interface SimulationSummary extends SimulationCounters {
  readonly switches: number;
  readonly up: number;
  /** From the first connection until the last switch was up; absent when not all were. */
  readonly upMs?: number;
  /** Connections cut on purpose; each is one of the disconnects. */
  readonly cuts: number;
  /** Ports and cables taken down and up again. */
  readonly flaps: number;
  /** Flows that the switches hold at the end. */
  readonly flows: number;
  readonly groups: number;
  readonly meters: number;
  /** Frames that met a flow the data plane does not carry out. */
  readonly failures: Readonly<Record<string, number>>;
}

/** Connects virtual switches to a controller, lets hosts talk, and says what happened. `signal` ends it early. */
export async function runSimulation(
  options: SimulationOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<SimulationSummary> {
  const { switches, seconds, upSeconds } = options;
  const begun = clock.monotonic();
  let upMs: number | undefined;
  const up = new Set<VirtualSwitch>();
  let isUp = (): void => {};
  const allUp = (): Promise<void> =>
    new Promise((resolve) => {
      isUp = resolve;
      if (up.size === switches) resolve();
    });
  // The clock's timers keep no process alive, and between two attempts to connect nothing else does.
  const alive = setInterval(() => {}, 60_000);
  const network = new VirtualNetwork({
    ...options,
    clock,
    onUp: (sw) => {
      if (up.add(sw).size < switches) return;
      upMs ??= clock.monotonic() - begun;
      isUp();
    },
    onDown: (sw) => up.delete(sw),
  });
  const progress = clock.every(1_000, () => options.onProgress?.(up.size, switches));
  network.start();
  await within(allUp(), upSeconds, clock, signal);
  let made = { cuts: 0, flaps: 0 };
  if (upMs !== undefined && !signal.aborted) {
    // Again and again, as hosts do: a port carries hosts only once the controller has seen that no switch is behind it.
    const talk = clock.every(500, () => announce(network, options.hosts));
    const trouble = startTrouble(network, options.trouble, clock);
    await within(new Promise(() => {}), seconds, clock, signal);
    talk();
    made = trouble.end();
    await within(allUp(), upSeconds, clock, signal);
  }
  progress();
  const tables = [...network.switches.values()].map(({ model }) => model.tables);
  const sum = (sizeOf: (each: (typeof tables)[number]) => number): number =>
    tables.reduce((total, each) => total + sizeOf(each), 0);
  const summary: SimulationSummary = {
    switches,
    up: up.size,
    ...(upMs === undefined ? {} : { upMs: Math.round(upMs) }),
    ...network.counters,
    ...made,
    flows: sum(({ flows }) => flows.size),
    groups: sum(({ groups }) => groups.size),
    meters: sum(({ meters }) => meters.size),
    failures: Object.fromEntries(network.failures),
  };
  network.stop();
  clearInterval(alive);
  return summary;
}

/** Resolves when the promise does, after so many seconds, or when the signal fires. */
function within(promise: Promise<void>, seconds: number, clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(seconds * 1_000, done);
    signal.addEventListener('abort', done, { once: true });
    void promise.then(done);
    if (signal.aborted) done();
    function done(): void {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    }
  });
}

/** Hosts on the first ports of each switch say who they are. */
function announce(network: VirtualNetwork, hosts: number): void {
  let host = 0;
  for (const [dpid] of network.switches) {
    for (let port = 1; port <= hosts; port++) {
      host++;
      const mac = 0x0a00_0000_0000 + host;
      network.inject({ dpid, port }, gratuitousArp(mac, 0x0a00_0000 + (host & 0xff_ffff)));
    }
  }
}

const gratuitousArp = (mac: number, ip: number): Buffer =>
  encodePacket({
    layers: [
      { kind: 'ethernet', dst: 0xffff_ffff_ffff, src: mac },
      { kind: 'arp', op: 1, sha: mac, spa: ip, tha: 0, tpa: ip },
    ],
  });
