import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Clock, Dpid, Logger, MetricSink } from '../kernel/index.ts';
import { DpidClaims } from './claims.ts';
import { Connection, type ConnectionParts, type SessionHandlers } from './connection.ts';
import { declareMetrics, SessionCounters } from './counters.ts';
import { Door } from './door.ts';
import { Flusher } from './flusher.ts';
import { type Listener, openListener, pinOf } from './listener.ts';
import { LogLimit } from './log-limit.ts';
import { BufferPool } from './output.ts';
import { ServiceTime } from './service-time.ts';
import type { Session } from './session.ts';
import { remoteOf } from './transport.ts';
import {
  defaultLimits,
  type ListenerSpec,
  type ListeningAddress,
  type SessionAlarm,
  type SessionLimits,
} from './types.ts';

/** What the server is made of. */
export interface OpenFlowServerOptions {
  readonly listeners: readonly ListenerSpec[];
  /** What is not given is as in `defaultLimits`. */
  readonly limits?: Partial<SessionLimits>;
  readonly handlers: SessionHandlers & { alarm(alarm: SessionAlarm): void };
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: MetricSink;
}

const ALARM_EVERY_MS = 10_000;

/** Accepts switches on any number of TCP and TLS listeners. One misbehaving connection costs the others nothing. */
export class OpenFlowServer {
  /** Switches that are up. */
  readonly sessions: ReadonlyMap<Dpid, Session>;
  readonly counters: SessionCounters = new SessionCounters();
  readonly #options: OpenFlowServerOptions;
  readonly #limits: SessionLimits;
  readonly #sessions = new Map<Dpid, Session>();
  readonly #connections = new Set<Connection>();
  readonly #pins = new Map<Dpid, string>();
  readonly #time: ServiceTime;
  readonly #claims: DpidClaims<Connection>;
  readonly #parts: ConnectionParts;
  readonly #limitedLog: LogLimit;
  readonly #door: Door;
  #listeners: Listener[] = [];
  #closing = false;
  #whenEmpty: (() => void) | undefined;

  constructor(options: OpenFlowServerOptions) {
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.sessions = this.#sessions;
    const { handlers, log, clock } = options;
    const limits = this.#limits;
    this.#time = new ServiceTime(clock, tickOf(limits));
    this.#limitedLog = new LogLimit(log, clock);
    this.#door = new Door(clock);
    for (const { tls } of options.listeners) {
      for (const [dpid, pin] of Object.entries(tls?.pins ?? {})) this.#pins.set(dpid as Dpid, pinOf(pin));
    }
    this.#claims = new DpidClaims({
      probeMs: limits.duplicateProbeMs,
      alarmEveryMs: ALARM_EVERY_MS,
      now: () => this.#time.now,
      alarm: (alarm) => {
        this.counters.duplicateAlarms++;
        log.warn({ ...alarm }, 'two switches claim one datapath id');
        handlers.alarm(alarm);
      },
    });
    this.#parts = {
      limits,
      counters: this.counters,
      pool: new BufferPool(),
      flusher: new Flusher(),
      handlers,
      claims: this.#claims,
      time: this.#time,
      log,
      limitedLog: this.#limitedLog,
      refusal: (dpid, socket, listener) => this.#refusal(dpid, socket, listener),
      onUp: (_connection, session) => this.#sessions.set(session.dpid, session),
      onDown: (_connection, session) => {
        if (this.#sessions.get(session.dpid) === session) this.#sessions.delete(session.dpid);
      },
      onGone: (connection) => this.#gone(connection),
    };
    declareMetrics(options.metrics, this.counters, {
      sessions: () => this.#sessions.size,
      connections: () => this.#connections.size,
      unsentBytes: () => [...this.#connections].reduce((sum, { transport }) => sum + transport.pending, 0),
    });
  }

  /** Connections, those in their handshake included. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Switches are streaming in at this moment: what can wait should, so that they are all accepted soon. */
  get crowded(): boolean {
    return this.#door.crowded;
  }

  /** Opens all listeners, or none: rejects with the first failure (port taken, unreadable certificate). */
  async listen(): Promise<readonly ListeningAddress[]> {
    const addresses: ListeningAddress[] = [];
    try {
      for (const spec of this.#options.listeners) {
        const listener = await openListener(spec, this.#limits, {
          accept: (socket) => this.#accept(socket, spec),
          tlsFailed: (remote, error) => this.#tlsFailed(remote, error),
          tooMany: (remote) => this.#tooMany(remote),
          failed: (address, error) => this.#acceptFailed(address, error),
        });
        this.#listeners.push(listener);
        addresses.push(listener.address);
      }
    } catch (error) {
      this.#stopListening();
      throw error;
    }
    this.#time.start((now) => {
      for (const connection of this.#connections) connection.tick(now);
      this.#claims.expire(now);
    });
    return addresses;
  }

  /**
   * Stops listening, lets each connection send what it has, and resolves when all are gone: at the latest after `lingerMs`.
   * Flows on switches stay.
   */
  async close(detail: string): Promise<void> {
    this.#closing = true;
    this.#stopListening();
    for (const connection of this.#connections) connection.close('shutdown', detail);
    if (this.#connections.size > 0) await new Promise<void>((resolve) => (this.#whenEmpty = resolve));
    this.#time.stop();
  }

  #stopListening(): void {
    for (const listener of this.#listeners) listener.close();
    this.#listeners = [];
  }

  #accept(socket: Socket, listener: ListenerSpec): void {
    if (this.#closing) {
      socket.destroy();
      return;
    }
    if (this.#connections.size >= this.#limits.connections) {
      this.#tooMany(remoteOf(socket));
      socket.destroy();
      return;
    }
    this.counters.opened++;
    this.#parts.flusher.arm();
    this.#door.accepted(this.#parts.flusher.turn);
    this.#connections.add(new Connection(socket, listener, this.#parts));
  }

  #tooMany(remote: string): void {
    this.counters.close('too-many-connections');
    this.#limitedLog.warn({ remote }, `more than ${this.#limits.connections} connections`);
  }

  #acceptFailed(address: ListeningAddress, error: Error): void {
    // Each attempt to connect may cause one.
    this.#limitedLog.warn({ ...address, reason: error.message }, 'cannot accept a switch');
  }

  #tlsFailed(remote: string, error: Error): void {
    this.counters.close('tls');
    this.#limitedLog.warn({ remote, reason: error.message }, 'TLS handshake with a switch failed');
  }

  #gone(connection: Connection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }

  #refusal(dpid: Dpid, socket: Socket, listener: ListenerSpec): string | undefined {
    const pin = this.#pins.get(dpid);
    if (pin === undefined) {
      return listener.tls?.pinnedOnly ? `datapath id ${dpid} is not pinned, and only such may connect here` : undefined;
    }
    if (!('getPeerCertificate' in socket)) return `datapath id ${dpid} is pinned to a certificate; this is plain TCP`;
    const { fingerprint256 } = (socket as TLSSocket).getPeerCertificate();
    if (fingerprint256 !== undefined && pinOf(fingerprint256) === pin) return undefined;
    return `datapath id ${dpid} is pinned to another certificate than ${fingerprint256 ?? 'none'}`;
  }
}

/** Deadlines are looked at this often: fine enough for the shortest of them, and no oftener than needed. */
function tickOf(limits: SessionLimits): number {
  const shortest = Math.min(
    limits.handshakeMs,
    limits.echoIntervalMs,
    limits.echoTimeoutMs,
    limits.requestTimeoutMs,
    limits.duplicateProbeMs,
    limits.lingerMs,
  );
  return Math.max(10, Math.min(250, Math.floor(shortest / 5)));
}
