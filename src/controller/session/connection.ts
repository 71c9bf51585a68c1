import type { Socket } from 'node:net';
import { copyOf, get16, get32, MessageType, PacketInReader, version13, WireError } from '../../ofproto/index.ts';
import { ClosedError, type Dpid, dpidOf, type Logger, type SwitchError } from '../kernel/index.ts';
import type { Claimant, DpidClaims } from './claims.ts';
import { unknownType } from './counters.ts';
import { Handshake, type HandshakeHost } from './handshake.ts';
import type { LogLimit } from './log-limit.ts';
import * as messages from './messages.ts';
import { RequestTable, switchError } from './requests.ts';
import type { ServiceTime } from './service-time.ts';
import { PACKET_OUT_XID, Session } from './session.ts';
import { Transport, type TransportOwner, type TransportParts } from './transport.ts';
import type { CloseReason, ListenerSpec } from './types.ts';

/** What happens on switches. Called synchronously; one that throws is counted and logged. */
export interface SessionHandlers {
  /** Handshake done: features, ports and description are known. */
  up(session: Session): void;
  /** The session ended; nothing more of it follows. */
  down(session: Session, reason: CloseReason): void;
  /** The view and its bytes live only during the call. */
  packetIn(session: Session, view: PacketInReader): void;
  /** `session.ports` has the change already. */
  portStatus(session: Session, status: messages.PortStatus): void;
  flowRemoved(session: Session, message: messages.FlowRemovedMessage): void;
  /** An error for an xid that nobody waits for. */
  switchError(session: Session, error: SwitchError): void;
}

/** What all connections of a server share. */
export interface ConnectionParts extends TransportParts {
  readonly handlers: SessionHandlers;
  readonly claims: DpidClaims<Connection>;
  readonly time: ServiceTime;
  readonly log: Logger;
  /** For what peers can cause as often as they like. */
  readonly limitedLog: LogLimit;
  /** Why what came over this socket may not be that switch, or undefined. */
  refusal(dpid: Dpid, socket: Socket, listener: ListenerSpec): string | undefined;
  onUp(connection: Connection, session: Session): void;
  onDown(connection: Connection, session: Session): void;
  onGone(connection: Connection): void;
}

type Phase = 'handshake' | 'up' | 'auxiliary' | 'closed';

const NOTHING = Buffer.alloc(0);

// One view for all packet-ins of the process: it lives only during the handler, and handlers do not nest.
const packetInView = new PacketInReader();

/** One connection: dispatch of messages, liveness, end. Until the switch is known, its `Handshake` leads. */
export class Connection implements TransportOwner, Claimant, HandshakeHost {
  readonly remote: string;
  readonly transport: Transport;
  readonly #parts: ConnectionParts;
  readonly #socket: Socket;
  readonly #listener: ListenerSpec;
  readonly #handshake: Handshake;
  #phase: Phase = 'handshake';
  #dpid: Dpid | undefined;
  readonly #requests: RequestTable;
  #session: Session | undefined;
  #probeXid = 0;
  #probeAnswered: (() => void) | undefined;
  readonly #deadline: number;
  #activeAt: number;
  #askedAt = -1;
  #lingerUntil = -1;
  #closedAs: ClosedError | undefined;

  constructor(socket: Socket, listener: ListenerSpec, parts: ConnectionParts) {
    this.#socket = socket;
    this.#listener = listener;
    this.#parts = parts;
    this.#activeAt = parts.time.now;
    this.#deadline = parts.time.now + parts.limits.handshakeMs;
    this.transport = new Transport(socket, parts, this);
    this.remote = this.transport.remote;
    this.#requests = new RequestTable(this, parts.counters, parts.limits);
    this.#handshake = new Handshake(this, this.#requests, parts);
    this.#handshake.start();
  }

  /** Zeroes until the features reply told. */
  get dpid(): Dpid {
    return this.#dpid ?? dpidOf(0n);
  }

  /** Service time, for request deadlines. */
  now(): number {
    return this.#parts.time.now;
  }

  write(bytes: Uint8Array): void {
    this.transport.write(bytes);
  }

  /** Looks at deadlines; called each tick of the service time. */
  tick(now: number): void {
    if (this.#phase === 'closed') {
      if (this.#lingerUntil >= 0 && now >= this.#lingerUntil) this.transport.destroy('peer-closed', 'lingered');
      return;
    }
    if (this.#phase === 'handshake') {
      if (now >= this.#deadline) this.#end('handshake-timeout', `not up after ${this.#parts.limits.handshakeMs} ms`);
      return;
    }
    this.#requests.expire(now);
    if (this.#phase === 'auxiliary' && this.#parts.claims.holder(this.dpid) === undefined) {
      this.#end('main-closed', 'the main connection is gone');
      return;
    }
    this.#checkLife(now);
  }

  /** Ends the connection after what was written has left, or at once when the peer does not read. */
  close(reason: CloseReason, detail: string): void {
    this.#end(reason, detail);
  }

  // --- claims of datapath ids

  probe(answered: () => void): void {
    this.#probeXid = this.#requests.nextXid();
    this.#probeAnswered = answered;
    this.write(messages.encode({ type: 'echoRequest', data: NOTHING }, this.#probeXid));
  }

  granted(): void {
    this.#handshake.describe();
  }

  refused(): void {
    this.#end('duplicate-dpid', `datapath id ${this.dpid} belongs to a connection that answers`);
  }

  evicted(): void {
    this.#end('replaced', 'silent while another connection claims its datapath id', true);
  }

  // --- what the handshake finds

  identified(dpid: Dpid, auxiliaryId: number): void {
    const { claims, log, refusal, time } = this.#parts;
    const refused = refusal(dpid, this.#socket, this.#listener);
    if (refused !== undefined) {
      this.#end('pin', refused);
      return;
    }
    this.#dpid = dpid;
    if (auxiliaryId === 0) {
      claims.claim(dpid, this);
    } else if (claims.holder(dpid) === undefined) {
      this.#end('auxiliary-without-main', `auxiliary connection ${auxiliaryId} of ${dpid} without its main one`);
    } else {
      this.#phase = 'auxiliary';
      this.#activeAt = time.now;
      log.info({ dpid, remote: this.remote, auxiliaryId }, 'auxiliary connection of a switch');
    }
  }

  described(): void {
    if (this.#phase !== 'handshake') return;
    this.#phase = 'up';
    const { limits, counters, log, time } = this.#parts;
    const { features, description, ports } = this.#handshake;
    this.#activeAt = time.now;
    const session = new Session({
      dpid: this.dpid,
      features: features!,
      description,
      ports,
      transport: this.transport,
      requests: this.#requests,
      limits,
      counters,
      closedError: () => this.#closedError('connection closed'),
      close: (detail) => this.#end('requested', detail),
    });
    this.#session = session;
    log.info(
      { dpid: this.dpid, remote: this.remote, ports: ports.size, software: description.software },
      'switch connected',
    );
    this.#parts.onUp(this, session);
    this.#guard('up', () => this.#parts.handlers.up(session));
  }

  failed(reason: CloseReason, detail: string, told: Buffer): void {
    this.write(told);
    this.#end(reason, detail);
  }

  // --- what the transport hands on

  message(bytes: Buffer, at: number, end: number): void {
    const type = bytes[at + 1]!;
    const { received } = this.#parts.counters;
    const index = type < unknownType ? type : unknownType;
    received[index] = received[index]! + 1;
    try {
      if (this.#phase === 'handshake' && this.#handshake.message(type, bytes, at, end)) return;
      if (bytes[at] !== version13) this.#wrongVersion(bytes, at);
      else if (!this.unasked(type, bytes, at, end)) this.#answer(type, bytes, at, end);
    } catch (error) {
      if (error instanceof WireError) this.#bad(error, bytes, at, end);
      else this.#handlerFailed(error, type);
    }
  }

  framingLost(error: WireError): void {
    this.#parts.counters.badMessages++;
    this.write(messages.errorMessage(0, messages.refusals.badLength, NOTHING));
    this.#end('framing', error.message);
  }

  closed(reason: CloseReason, detail: string): void {
    this.#finish(reason, detail);
    this.#lingerUntil = -1;
    this.#parts.onGone(this);
  }

  // --- messages

  /** Takes what a switch says without being asked, over this connection or an auxiliary one. False: it is something else. */
  unasked(type: number, bytes: Buffer, at: number, end: number): boolean {
    if (type !== MessageType.packetIn && type !== MessageType.portStatus && type !== MessageType.flowRemoved)
      return false;
    const session = this.#session;
    const { handlers, counters, claims } = this.#parts;
    if (session === undefined) {
      // Before the main connection is up nobody could make use of it.
      if (this.#phase === 'auxiliary') claims.holder(this.dpid)?.unasked(type, bytes, at, end);
    } else if (type === MessageType.packetIn) {
      const view = packetInView.on(bytes, at, end);
      if (view.dataEnd - view.dataAt < view.totalLen) counters.shortPacketIns++;
      handlers.packetIn(session, view);
    } else if (type === MessageType.portStatus) {
      const status = messages.readPortStatus(bytes, at, end);
      this.#handshake.applyPort(status);
      handlers.portStatus(session, status);
    } else {
      handlers.flowRemoved(session, messages.readFlowRemoved(bytes, at, end));
    }
    return true;
  }

  #answer(type: number, bytes: Buffer, at: number, end: number): void {
    switch (type) {
      case MessageType.echoRequest:
        this.#echoReply(bytes, at, end);
        return;
      case MessageType.echoReply:
        this.#echoReplied(get32(bytes, at + 4), bytes, at, end);
        return;
      case MessageType.hello:
        // Once is enough; a late one changes nothing.
        return;
      case MessageType.error:
        this.error(bytes, at, end);
        return;
      case MessageType.experimenter:
      case MessageType.featuresReply:
      case MessageType.getConfigReply:
      case MessageType.multipartReply:
      case MessageType.barrierReply:
      case MessageType.queueGetConfigReply:
      case MessageType.roleReply:
      case MessageType.getAsyncReply:
        if (!this.#requests.reply(bytes, at, end)) this.#unknownReply(type, bytes, at, end);
        return;
      default:
        throw new WireError('ofp_header', 'type', at + 1, `${type} is nothing a switch sends`, {
          code: 'NL_WIRE_TYPE',
          reply: messages.refusals.badType,
        });
    }
  }

  #echoReply(bytes: Buffer, at: number, end: number): void {
    // The reply is the request with another type: header with the same xid, and the same payload.
    bytes[at + 1] = MessageType.echoReply;
    this.write(bytes.subarray(at, end));
  }

  #echoReplied(xid: number, bytes: Buffer, at: number, end: number): void {
    if (this.#probeAnswered && xid === this.#probeXid) {
      const answered = this.#probeAnswered;
      this.#probeAnswered = undefined;
      answered();
      return;
    }
    // Replies to our own liveness probes have done their work by arriving.
    this.#requests.reply(bytes, at, end);
  }

  error(bytes: Buffer, at: number, end: number): void {
    if (end - at < 12) throw new WireError('ofp_error_msg', 'length', at + 2, `${end - at} bytes, 12 needed`);
    const xid = get32(bytes, at + 4);
    const type = get16(bytes, at + 8);
    const code = get16(bytes, at + 10);
    const data = copyOf(bytes, at + 12, end);
    const { counters, limitedLog, handlers } = this.#parts;
    if (type === messages.refusals.helloFailed.type && this.#phase !== 'up') {
      const text = data
        .toString('latin1')
        .replace(/[^\x20-\x7e]/g, '')
        .slice(0, 120);
      this.#end('refused-by-switch', `the switch refused our hello: ${text}`);
      return;
    }
    if (this.#requests.error(xid, type, code, data)) {
      counters.errorsExpected++;
      return;
    }
    counters.errorsUnexpected++;
    const error = switchError(this.dpid, xid, type, code, data);
    const cause = xid === PACKET_OUT_XID ? 'packet-out' : 'unknown xid';
    limitedLog.warn({ ...error.details, remote: this.remote, cause }, 'error from switch');
    if (this.#session && xid !== PACKET_OUT_XID) handlers.switchError(this.#session, error);
  }

  /** Nobody asked, or nobody waits any more. Decoded all the same, so that nonsense is told from lateness. */
  #unknownReply(type: number, bytes: Buffer, at: number, end: number): void {
    messages.check(bytes, at, end);
    this.#parts.counters.unknownReplies++;
    this.#parts.limitedLog.warn(
      { dpid: this.dpid, remote: this.remote, type, xid: get32(bytes, at + 4) },
      'reply without a request',
    );
  }

  // --- refusals

  #wrongVersion(bytes: Buffer, at: number): void {
    if (bytes[at + 1] === MessageType.hello) return;
    throw new WireError('ofp_header', 'version', at, `${bytes[at]}, ${version13} was agreed`, {
      code: 'NL_WIRE_VERSION',
      reply: messages.refusals.badVersion,
    });
  }

  /** A message that cannot be understood, on a stream that still can: it costs itself only. */
  #bad(error: WireError, bytes: Buffer, at: number, end: number): void {
    const { counters, limitedLog } = this.#parts;
    counters.badMessages++;
    const type = bytes[at + 1]!;
    limitedLog.warn(
      { dpid: this.dpid, remote: this.remote, type, ...error.details, reason: error.message },
      'message refused',
    );
    if (this.#phase === 'handshake' && (!this.#handshake.greeted || type === MessageType.featuresReply)) {
      this.#end('bad-handshake', error.message);
      return;
    }
    if (error.reply === undefined || type === MessageType.error) return;
    this.write(messages.refusal(error.reply, bytes, at, end));
  }

  #handlerFailed(error: unknown, type: number): void {
    this.#parts.counters.handlerFailures++;
    this.#parts.log.error(
      { dpid: this.dpid, remote: this.remote, type, err: error },
      'handler of a switch message failed',
    );
  }

  #guard(what: string, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#parts.counters.handlerFailures++;
      this.#parts.log.error(
        { dpid: this.dpid, remote: this.remote, what, err: error },
        'handler of a switch event failed',
      );
    }
  }

  // --- life and end

  #checkLife(now: number): void {
    const { limits } = this.#parts;
    if (this.transport.takeActivity()) {
      this.#activeAt = now;
      this.#askedAt = -1;
      return;
    }
    if (this.#askedAt < 0) {
      if (now - this.#activeAt < limits.echoIntervalMs) return;
      this.#askedAt = now;
      this.write(messages.encode({ type: 'echoRequest', data: NOTHING }, this.#requests.nextXid()));
    } else if (now - this.#askedAt >= limits.echoTimeoutMs) {
      if (this.transport.underPressure) this.#end('slow-reader', 'takes nothing of what it is owed', true);
      else this.#end('echo-timeout', `silent for ${Math.round(now - this.#activeAt)} ms`, true);
    }
  }

  #end(reason: CloseReason, detail: string, now = false): void {
    if (this.#phase === 'closed') return;
    this.#finish(reason, detail);
    if (now) {
      this.transport.destroy(reason, detail);
      return;
    }
    this.#lingerUntil = this.#parts.time.now + this.#parts.limits.lingerMs;
    this.transport.end(reason, detail);
  }

  #closedError(detail: string): ClosedError {
    this.#closedAs ??= new ClosedError(`switch ${this.dpid} (${this.remote}): ${detail}`, {
      dpid: this.dpid,
      remote: this.remote,
    });
    return this.#closedAs;
  }

  /** The one place where a connection becomes closed for everybody else. */
  #finish(reason: CloseReason, detail: string): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    const { counters, log, limitedLog, claims, handlers } = this.#parts;
    counters.close(reason);
    const fields = { dpid: this.#dpid, remote: this.remote, reason, detail };
    if (this.#session) log.info(fields, 'switch disconnected');
    // Open vSwitch tries a controller by saying hello and leaving: no news.
    else if (reason === 'peer-closed' && this.#dpid === undefined)
      log.debug(fields, 'OpenFlow connection left at once');
    else limitedLog.warn(fields, 'OpenFlow connection ended before the switch was up');
    const error = (): ClosedError => this.#closedError(`${reason}: ${detail}`);
    this.#requests.close(error);
    this.transport.fail(error);
    this.#probeAnswered = undefined;
    const session = this.#session;
    this.#session = undefined;
    if (session) {
      this.#parts.onDown(this, session);
      this.#guard('down', () => handlers.down(session, reason));
    }
    if (this.#dpid !== undefined) claims.release(this.#dpid, this);
  }
}
