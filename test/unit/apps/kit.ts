import { makeLearningApp } from '../../../src/apps/learning/index.ts';
import {
  AppId,
  type Compiler,
  type Dpid,
  type FlowRemoved,
  type MetricDeclaration,
  type NetworkState,
  type PacketInView,
  pipeline,
  type StateChange,
  type SwitchPort,
  silentLogger,
} from '../../../src/controller/index.ts';
import { dpid, World } from '../../kit/world.ts';

/** A packet-out that the app sent, its frame as hex. */
export interface Sent {
  readonly dpid: Dpid;
  readonly inPort: number;
  readonly ports: readonly number[];
  readonly frame: string;
}

/** A world with the learning app running in it: packet-ins go in, packet-outs, events and rules come out. */
export class LearningWorld extends World {
  readonly sent: Sent[] = [];
  readonly events: Record<string, unknown>[] = [];
  readonly metrics = new Map<string, MetricDeclaration>();
  readonly #app = makeLearningApp();
  readonly #sessions = new Map<Dpid, SwitchPort>();
  #packetIn: (from: SwitchPort, view: PacketInView) => void = () => {};
  #flowRemoved: (from: SwitchPort, message: FlowRemoved) => void = () => {};

  constructor(options: { readonly defaultNetwork?: boolean; readonly settings?: unknown } = {}) {
    const compilers: Compiler<NetworkState, StateChange>[] = [];
    super(compilers, options);
    void this.#app.start({
      id: AppId.learning,
      log: silentLogger,
      clock: this.clock,
      metrics: {
        declare: (metric) => this.metrics.set(metric.name, metric),
        histogram: () => ({ observe: () => {} }),
      },
      state: this.state,
      observed: this.observed,
      settings: options.settings,
      compiler: (compiler) => compilers.push(compiler),
      onPacketIn: (handler) => {
        this.#packetIn = handler;
      },
      onFlowRemoved: (handler) => {
        this.#flowRemoved = handler;
      },
      onChange: (handler) => {
        this.onChange = handler;
      },
      readiness: () => {},
      beforeCompare: () => {},
      onStatus: () => {},
      statusChanged: () => {},
      switchPort: (id) => this.session(id),
      route: () => {},
      event: (type, fields, tenant) => this.events.push({ type, ...fields, ...(tenant ? { tenant } : {}) }),
    });
  }

  stop(): void {
    void this.#app.stop?.();
  }

  session(id: Dpid): SwitchPort {
    let session = this.#sessions.get(id);
    if (!session) {
      session = {
        dpid: id,
        packetOutBy: () => false,
        packetOut: (inPort, ports, frame, at = 0, end = frame.length) => {
          this.sent.push({ dpid: id, inPort, ports, frame: Buffer.from(frame.subarray(at, end)).toString('hex') });
          return true;
        },
      };
      this.#sessions.set(id, session);
    }
    return session;
  }

  /** A packet-in of the learn table, from the middle of a larger buffer as off a socket. */
  packetIn(n: number, inPort: number, frame: string | Buffer, over: Partial<PacketInView> = {}): this {
    const data = typeof frame === 'string' ? Buffer.from(frame.replaceAll(' ', ''), 'hex') : frame;
    const bytes = Buffer.concat([Buffer.alloc(7, 0xee), data, Buffer.alloc(5, 0xee)]);
    this.#packetIn(this.session(dpid(n)), {
      inPort,
      reason: 0,
      tableId: pipeline.learn.id,
      cookieLo: 1,
      totalLen: data.length,
      bytes,
      dataAt: 7,
      dataEnd: 7 + data.length,
      ...over,
    });
    return this;
  }

  flowRemoved(n: number, message: FlowRemoved): this {
    this.#flowRemoved(this.session(dpid(n)), message);
    return this;
  }

  /** Packet-outs since the last call, as `switch:inPort→ports`. */
  takeSent(): string[] {
    return this.sent.splice(0).map(({ dpid: id, inPort, ports }) => {
      const from = inPort === 0xfffffffd ? 'controller' : inPort;
      return `${Number(`0x${id}`)}:${from}→${ports.join(',')}`;
    });
  }

  /** Outcomes that were counted, without zeros. */
  outcomes(): Record<string, number> {
    const samples = this.metrics.get('netloom_learning_packet_ins_total')!.collect();
    const list = typeof samples === 'number' ? [] : [...samples];
    return Object.fromEntries(
      list.filter(({ value }) => value > 0).map(({ labels, value }) => [labels!['outcome'], value]),
    );
  }
}

/** An Ethernet frame of 60 bytes between two short MAC numbers (02:00:00:00:00:xx). */
export const frame = (dst: number, src: number): Buffer => {
  const bytes = Buffer.alloc(60);
  bytes.writeUIntBE(dst < 0x10000 ? 0x020000000000 + dst : dst, 0, 6);
  bytes.writeUIntBE(src < 0x10000 ? 0x020000000000 + src : src, 6, 6);
  bytes.writeUInt16BE(0x88b5, 12);
  return bytes;
};
