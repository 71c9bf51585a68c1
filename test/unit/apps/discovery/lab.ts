import { Buffer } from 'node:buffer';
import { makeDiscoveryApp } from '../../../../src/apps/discovery/index.ts';
import type {
  AppContext,
  Attachment,
  Compiler,
  DesiredReader,
  Dpid,
  MetricDeclaration,
  NetworkState,
  PacketInView,
  Port,
  StateChange,
  SwitchPort,
} from '../../../../src/controller/index.ts';
import { silentLogger } from '../../../../src/controller/index.ts';
import { at, bench, description, dpid } from '../../observed/kit.ts';

const CONTROLLER = 0xffff_fffd;
const TABLE = 0xffff_fff9;
const key = ({ dpid, port }: Attachment): string => `${dpid}/${port}`;

/** A frame that left a port without a cable. */
export interface Caught {
  readonly at: Attachment;
  readonly frame: Buffer;
  readonly time: number;
}

/**
 * Discovery over switches that exist only here: packet-outs travel over cables and come in at the other end a millisecond
 * later, where the switch has its rules; what leaves elsewhere is caught.
 */
export class Lab {
  readonly #bench = bench();
  readonly clock = this.#bench.clock;
  readonly observed = this.#bench.observed;
  readonly events: { readonly type: string; readonly fields: Readonly<Record<string, unknown>> }[] = [];
  readonly caught: Caught[] = [];
  readonly cables = new Map<string, Attachment>();
  /** Cables that lose everything: from which port. */
  readonly deaf = new Set<string>();
  /** Switches that have their rules. */
  readonly ruled = new Set<Dpid>();
  readonly bound: Port[] = [];
  readonly metrics = new Map<string, MetricDeclaration>();
  packetOuts = 0;
  compiler: Compiler<NetworkState, StateChange> | undefined;
  readonly state: NetworkState;
  readonly #app = makeDiscoveryApp();
  #packetIn: ((from: SwitchPort, view: PacketInView) => void) | undefined;
  #onChange: ((change: StateChange) => void) | undefined;

  constructor(settings: Record<string, unknown> = {}) {
    const desired = {
      portsBoundTo: (dpid: Dpid) =>
        this.bound.filter(({ binding }) => binding && 'switch' in binding && binding.switch === dpid),
    } as unknown as DesiredReader;
    this.state = { desired, observed: this.observed, defaultNetwork: true };
    const context: AppContext = {
      id: 1,
      log: silentLogger,
      clock: this.clock,
      metrics: {
        declare: (metric) => this.metrics.set(metric.name, metric),
        histogram: () => ({ observe: () => {} }),
      },
      state: this.state,
      observed: this.observed,
      settings: { intervalMs: 3_000, holdMs: 500, key: Buffer.alloc(32, 7), ...settings },
      compiler: (compiler) => {
        this.compiler = compiler;
      },
      onPacketIn: (handler) => {
        this.#packetIn = handler;
      },
      onFlowRemoved: () => {},
      route: () => {},
      onChange: (handler) => {
        this.#onChange = handler;
      },
      readiness: () => {},
      beforeCompare: () => {},
      onStatus: () => {},
      statusChanged: () => {},
      switchPort: (dpid) => this.#switchPort(dpid),
      event: (type, fields) => this.events.push({ type, fields }),
    };
    this.observed.onChange('lab', (change) => this.#onChange?.(change));
    void this.#app.start(context);
  }

  /** Stops everything; gives the number of timers that are left. */
  stop(): number {
    void this.#app.stop?.();
    this.observed.close();
    this.clock.pass(10);
    return this.clock.pending;
  }

  /** Connects switch n; its rules are there unless said otherwise. */
  up(n: number, ports = 4, over: Parameters<typeof description>[2] & { readonly ruled?: boolean } = {}): void {
    const { ruled = true, ...rest } = over;
    if (ruled) this.ruled.add(dpid(n));
    this.observed.switchUp(description(n, ports, rest));
  }

  cable(a: Attachment, b: Attachment): void {
    this.cables.set(key(a), b);
    this.cables.set(key(b), a);
  }

  bind(n: number, port: string | number): void {
    const object = { tenant: 't', id: `p${this.bound.length}`, binding: { switch: dpid(n), port } } as unknown as Port;
    this.bound.push(object);
    this.#onChange?.({ kind: 'port', before: undefined, after: object });
  }

  role(n: number, port: number): string | undefined {
    return this.observed.switches.get(dpid(n))?.ports.get(port)?.role;
  }

  /** Links as text. */
  links(): string[] {
    const end = (a: Attachment): string => `${Number(BigInt(`0x${a.dpid}`))}:${a.port}`;
    return [...this.observed.links()].map(({ from, to }) => `${end(from)} → ${end(to)}`);
  }

  /** Last frame caught at a port. */
  last(n: number, port: number): Buffer {
    const found = this.caught.filter((caught) => key(caught.at) === key(at(n, port))).at(-1);
    if (!found) throw new Error(`nothing left s${n}:${port}`);
    return found.frame;
  }

  /** Lets time pass until a probe leaves a port, and gives it. */
  next(n: number, port: number): Buffer {
    const before = this.caught.length;
    for (let ms = 0; ms < 60_000; ms += 10) {
      this.clock.pass(10);
      const found = this.caught.slice(before).find((caught) => key(caught.at) === key(at(n, port)));
      if (found) return found.frame;
    }
    throw new Error(`nothing left s${n}:${port} for 60 s`);
  }

  /** A host sends this frame into a port. */
  inject(n: number, port: number, frame: Buffer): void {
    this.#arrive(at(n, port), frame);
  }

  rejected(n: number, reason: string): number {
    const samples = this.metrics.get('netloom_lldp_rejected_total')!.collect();
    if (typeof samples === 'number') throw new Error('no labels');
    for (const { labels, value } of samples) {
      if (labels?.['dpid'] === dpid(n) && labels['reason'] === reason) return value;
    }
    return 0;
  }

  count(metric: string): number {
    const value = this.metrics.get(metric)!.collect();
    if (typeof value !== 'number') throw new Error('has labels');
    return value;
  }

  #switchPort(dpid: Dpid): SwitchPort | undefined {
    if (this.observed.switches.get(dpid)?.connected !== true) return undefined;
    return {
      dpid,
      packetOutBy: () => false,
      packetOut: (_inPort, outPorts, bytes) => {
        // The buffer is the sender's to reuse.
        const frame = Buffer.from(bytes);
        for (const port of outPorts) this.#out({ dpid, port }, frame);
        return true;
      },
    };
  }

  #out(from: Attachment, frame: Buffer): void {
    this.packetOuts++;
    if (from.port === TABLE) {
      this.clock.after(1, () => this.#arrive({ dpid: from.dpid, port: CONTROLLER }, frame));
      return;
    }
    const to = this.cables.get(key(from));
    if (!to) this.caught.push({ at: from, frame, time: this.clock.now() });
    else if (!this.deaf.has(key(from))) this.clock.after(1, () => this.#arrive(to, frame));
  }

  #arrive(to: Attachment, frame: Buffer): void {
    const from = this.#switchPort(to.dpid);
    if (!from || !this.ruled.has(to.dpid)) return;
    this.#packetIn?.(from, {
      inPort: to.port,
      reason: 1,
      tableId: 0,
      cookieLo: 1,
      totalLen: frame.length,
      bytes: Buffer.concat([Buffer.alloc(10), frame, Buffer.alloc(3)]),
      dataAt: 10,
      dataEnd: 10 + frame.length,
    });
  }
}
