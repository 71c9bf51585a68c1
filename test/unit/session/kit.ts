import { type Logger, type MetricDeclaration, systemClock } from '../../../src/controller/kernel/index.ts';
import {
  type ListenerSpec,
  type ListeningAddress,
  OpenFlowServer,
  type Session,
  type SessionAlarm,
  type SessionLimits,
} from '../../../src/controller/session/index.ts';

/** A server on free ports of loopback, and all it says. */
export class Harness {
  readonly events: string[] = [];
  readonly alarms: SessionAlarm[] = [];
  readonly packetIns: { readonly dpid: string; readonly frame: string; readonly totalLen: number }[] = [];
  readonly logged: { readonly level: string; readonly fields: Record<string, unknown>; readonly message: string }[] =
    [];
  readonly metrics = new Map<string, MetricDeclaration>();
  readonly server: OpenFlowServer;
  addresses: readonly ListeningAddress[] = [];
  #changed: () => void = () => {};

  constructor(
    limits: Partial<SessionLimits> = {},
    listeners: readonly ListenerSpec[] = [{ host: '127.0.0.1', port: 0 }],
  ) {
    const log = this.#logger();
    this.server = new OpenFlowServer({
      listeners,
      limits,
      log,
      clock: systemClock,
      metrics: {
        declare: (metric) => void this.metrics.set(metric.name, metric),
        histogram: () => ({ observe: () => {} }),
      },
      handlers: {
        up: (session) => this.#event(`up ${session.dpid}`),
        down: (session, reason) => this.#event(`down ${session.dpid} ${reason}`),
        packetIn: (session, view) => {
          const frame = view.bytes.toString('hex', view.dataAt, view.dataEnd);
          this.packetIns.push({ dpid: session.dpid, frame, totalLen: view.totalLen });
          this.#event('packet-in');
        },
        portStatus: (session, { port }) => this.#event(`port ${session.dpid} ${port.portNo}`),
        flowRemoved: (session) => this.#event(`flow-removed ${session.dpid}`),
        switchError: (session, error) => this.#event(`error ${session.dpid} ${error.message}`),
        alarm: (alarm) => {
          this.alarms.push(alarm);
          this.#event('alarm');
        },
      },
    });
  }

  async listen(): Promise<number> {
    this.addresses = await this.server.listen();
    return this.addresses[0]!.port;
  }

  /** Resolves when this has happened (as often as asked), now or later. */
  async until(event: string | RegExp, times = 1): Promise<void> {
    const is = (text: string): boolean => (typeof event === 'string' ? text === event : event.test(text));
    while (this.events.filter(is).length < times) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  /** Resolves when a counter of the server has reached a value. */
  async counted(counter: 'badMessages' | 'unknownReplies' | 'shortPacketIns', value: number): Promise<void> {
    while (this.server.counters[counter] < value) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Resolves when no connection is left. */
  async empty(): Promise<void> {
    while (this.server.connections > 0) await new Promise((resolve) => setImmediate(resolve));
  }

  session(dpid: bigint): Session {
    return this.server.sessions.get(dpid.toString(16).padStart(16, '0') as Session['dpid'])!;
  }

  /** Reasons with which connections ended, and how often. */
  get closed(): Record<string, number> {
    return Object.fromEntries([...this.server.counters.closed].filter(([, count]) => count > 0));
  }

  #event(text: string): void {
    this.events.push(text);
    this.#changed();
  }

  #logger(): Logger {
    const at =
      (level: string) =>
      (fields: object, message: string): void =>
        void this.logged.push({ level, fields: { ...fields }, message });
    const logger: Logger = {
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      child: () => logger,
    };
    return logger;
  }
}
