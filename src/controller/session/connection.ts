import type { Socket } from 'node:net';
import {
  copyOf,
  get16,
  get32,
  MessageType,
  PacketInReader,
  PortReason,
  version13,
  WireError,
} from '../../ofproto/index.ts';
import { ClosedError, type Dpid, dpidOf, type Logger, type SwitchError } from '../kernel/index.ts';
import type { Claimant, DpidClaims } from './claims.ts';
import { unknownType } from './counters.ts';
import type { LogLimit } from './log-limit.ts';
import * as messages from './messages.ts';
import { RequestTable, switchError } from './requests.ts';
import type { ServiceTime } from './service-time.ts';
import { PACKET_OUT_XID, Session } from './session.ts';
import { Transport, type TransportOwner, type TransportParts } from './transport.ts';
import type { CloseReason, SwitchDescription, SwitchFeatures } from './types.ts';

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
  readonly claims: DpidClaims;
  readonly time: ServiceTime;
  readonly log: Logger;
  /** For what peers can cause as often as they like. */
  readonly limitedLog: LogLimit;
  /** Why this connection may not be that switch, or undefined. */
  refusal(dpid: Dpid, socket: Socket): string | undefined;
  /** The live session of a datapath id. */
  session(dpid: Dpid): Session | undefined;
  onUp(connection: Connection, session: Session): void;
  onDown(connection: Connection, session: Session): void;
  onGone(connection: Connection): void;
}

type Phase = 'hello' | 'features' | 'claim' | 'describe' | 'up' | 'auxiliary' | 'closed';

const NO_DESCRIPTION: SwitchDescription = {
  manufacturer: '',
  hardware: '',
  software: '',
  serialNumber: '',
  datapath: '',
};
/** Bytes of a message at fault that an error carries back. */
const ERROR_DATA = 64;
const NOTHING = Buffer.alloc(0);
const HELLO_FAILED = 0;
const BAD_REQUEST = 1;
const BAD_VERSION = 0;
const BAD_TYPE = 1;
const BAD_LENGTH = 6;

// One view for all packet-ins of the process: it lives only during the handler, and handlers do not nest.
const packetInView = new PacketInReader();

/** One connection: handshake, dispatch of messages, liveness, end. */
export class Connection implements TransportOwner, Claimant {
  readonly remote: string;
  readonly transport: Transport;
  readonly #parts: ConnectionParts;
  readonly #socket: Socket;
  #phase: Phase = 'hello';
  #dpid: Dpid | undefined;
  #features: SwitchFeatures | undefined;
  #description: SwitchDescription = NO_DESCRIPTION;
  readonly #ports = new Map<number, messages.PortDescription>();
  #described = 0;
  readonly #requests: RequestTable;
  #session: Session | undefined;
  #probeXid = 0;
  #probeAnswered: (() => void) | undefined;
  readonly #deadline: number;
  #activeAt: number;
  #askedAt = -1;
  #lingerUntil = -1;
  #closedAs: ClosedError | undefined;

  constructor(socket: Socket, parts: ConnectionParts) {
    this.#socket = socket;
    this.#parts = parts;
    this.#activeAt = parts.time.now;
    this.#deadline = parts.time.now + parts.limits.handshakeMs;
    this.transport = new Transport(socket, parts, this);
    this.remote = this.transport.remote;
    this.#requests = new RequestTable(this, parts.counters, parts.limits);
    this.write(messages.hello(this.#requests.nextXid()));
  }

  /** Zeroes until the features reply told. */
  get dpid(): Dpid {
    return this.#dpid ?? dpidOf(0n);
  }

  get session(): Session | undefined {
    return this.#session;
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
    if (this.#phase !== 'up' && this.#phase !== 'auxiliary') {
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
    this.#phase = 'describe';
    this.write(messages.setConfig(this.#requests.nextXid()));
    const { requestTimeoutMs } = this.#parts.limits;
    this.#requests.ask(
      messages.portDescRequest(),
      requestTimeoutMs,
      (pieces) => {
        for (const port of this.#attempt('port description', () => messages.readPorts(pieces)) ?? []) {
          this.#ports.set(port.portNo, port);
        }
        this.#describedOne();
      },
      (error) => this.#undescribed('port description', error),
    );
    this.#requests.ask(
      messages.descRequest(),
      requestTimeoutMs,
      (pieces) => {
        this.#description = this.#attempt('description', () => messages.readDescription(pieces)) ?? NO_DESCRIPTION;
        this.#describedOne();
      },
      (error) => this.#undescribed('description', error),
    );
  }

  refused(): void {
    this.#end('duplicate-dpid', `datapath id ${this.dpid} belongs to a connection that answers`);
  }

  evicted(): void {
    this.#end('replaced', 'silent while another connection claims its datapath id', true);
  }

  // --- what the transport hands on

  message(bytes: Buffer, at: number, end: number): void {
    const type = bytes[at + 1]!;
    const { received } = this.#parts.counters;
    const index = type < unknownType ? type : unknownType;
    received[index] = received[index]! + 1;
    try {
      if (this.#phase === 'up') this.#established(type, bytes, at, end);
      else this.#early(type, bytes, at, end);
    } catch (error) {
      if (error instanceof WireError) this.#bad(error, bytes, at, end);
      else this.#handlerFailed(error, type);
    }
  }

  framingLost(error: WireError): void {
    this.#parts.counters.badMessages++;
    this.#reply(BAD_REQUEST, BAD_LENGTH, 0, NOTHING);
    this.#end('framing', error.message);
  }

  closed(reason: CloseReason, detail: string): void {
    this.#finish(reason, detail);
    this.#lingerUntil = -1;
    this.#parts.onGone(this);
  }

  // --- messages

  #established(type: number, bytes: Buffer, at: number, end: number): void {
    if (bytes[at] !== version13) {
      this.#wrongVersion(bytes, at);
      return;
    }
    if (type === MessageType.packetIn) {
      this.#packetIn(this.#session!, bytes, at, end);
      return;
    }
    switch (type) {
      case MessageType.portStatus: {
        const status = messages.readPortStatus(bytes, at, end);
        this.#applyPort(status);
        this.#parts.handlers.portStatus(this.#session!, status);
        return;
      }
      case MessageType.flowRemoved:
        this.#parts.handlers.flowRemoved(this.#session!, messages.readFlowRemoved(bytes, at, end));
        return;
      default:
        this.#common(type, bytes, at, end);
    }
  }

  /** Messages of a connection that is not up, and of auxiliary ones. */
  #early(type: number, bytes: Buffer, at: number, end: number): void {
    if (this.#phase === 'hello') {
      this.#hello(type, bytes, at, end);
      return;
    }
    if (bytes[at] !== version13) {
      this.#wrongVersion(bytes, at);
      return;
    }
    switch (type) {
      case MessageType.featuresReply:
        if (this.#phase === 'features') this.#featuresReply(bytes, at, end);
        else this.#parts.counters.unknownReplies++;
        return;
      case MessageType.portStatus:
        // The port list may be here already while the description is not.
        this.#applyPort(messages.readPortStatus(bytes, at, end));
        return;
      case MessageType.packetIn: {
        const main = this.#phase === 'auxiliary' ? this.#parts.session(this.dpid) : undefined;
        if (main) this.#packetIn(main, bytes, at, end);
        return;
      }
      case MessageType.flowRemoved:
        return;
      default:
        this.#common(type, bytes, at, end);
    }
  }

  #common(type: number, bytes: Buffer, at: number, end: number): void {
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
        this.#error(bytes, at, end);
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
          reply: { type: BAD_REQUEST, code: BAD_TYPE },
        });
    }
  }

  #packetIn(session: Session, bytes: Buffer, at: number, end: number): void {
    const view = packetInView.on(bytes, at, end);
    if (view.dataEnd - view.dataAt < view.totalLen) this.#parts.counters.shortPacketIns++;
    this.#parts.handlers.packetIn(session, view);
  }

  #hello(type: number, bytes: Buffer, at: number, end: number): void {
    if (type === MessageType.error) {
      this.#error(bytes, at, end);
      return;
    }
    if (type !== MessageType.hello) {
      this.#reply(BAD_REQUEST, BAD_TYPE, get32(bytes, at + 4), bytes.subarray(at, Math.min(end, at + ERROR_DATA)));
      this.#end('hello-expected', `first message is of type ${type}`);
      return;
    }
    if (!messages.speaks13(bytes, at, end)) {
      const text = 'OpenFlow 1.3 (wire version 4) is all that is spoken here';
      this.#reply(HELLO_FAILED, 0, get32(bytes, at + 4), Buffer.from(text, 'latin1'));
      this.#end('version', `hello of version ${bytes[at]} does not offer 1.3`);
      return;
    }
    this.#phase = 'features';
    this.write(messages.encode({ type: 'featuresRequest' }, this.#requests.nextXid()));
  }

  #featuresReply(bytes: Buffer, at: number, end: number): void {
    const { datapathId, auxiliaryId, nBuffers, nTables, capabilities } = messages.readFeatures(bytes, at, end);
    const dpid = dpidOf(datapathId);
    const refusal = this.#parts.refusal(dpid, this.#socket);
    if (refusal !== undefined) {
      this.#end('pin', refusal);
      return;
    }
    this.#dpid = dpid;
    this.#features = { dpid, buffers: nBuffers, tables: nTables, capabilities };
    if (auxiliaryId === 0) {
      this.#phase = 'claim';
      this.#parts.claims.claim(dpid, this);
    } else if (this.#parts.claims.holder(dpid) === undefined) {
      this.#end('auxiliary-without-main', `auxiliary connection ${auxiliaryId} of ${dpid} without its main one`);
    } else {
      this.#phase = 'auxiliary';
      this.#activeAt = this.#parts.time.now;
      this.#parts.log.info({ dpid, remote: this.remote, auxiliaryId }, 'auxiliary connection of a switch');
    }
  }

  #describedOne(): void {
    this.#described++;
    if (this.#described < 2 || this.#phase !== 'describe') return;
    this.#phase = 'up';
    this.#activeAt = this.#parts.time.now;
    const { limits, counters, log } = this.#parts;
    const session = new Session({
      dpid: this.dpid,
      features: this.#features!,
      description: this.#description,
      ports: this.#ports,
      transport: this.transport,
      requests: this.#requests,
      limits,
      counters,
      closedError: () => this.#closedError('connection closed'),
      close: (detail) => this.#end('requested', detail),
    });
    this.#session = session;
    log.info(
      { dpid: this.dpid, remote: this.remote, ports: this.#ports.size, software: this.#description.software },
      'switch connected',
    );
    this.#parts.onUp(this, session);
    this.#guard('up', () => this.#parts.handlers.up(session));
  }

  /** A switch that does not tell is used all the same. */
  #undescribed(what: string, error: Error): void {
    if (this.#phase !== 'describe') return;
    this.#parts.limitedLog.warn({ dpid: this.dpid, remote: this.remote, reason: error.message }, `no ${what}`);
    this.#describedOne();
  }

  #attempt<T>(what: string, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#parts.counters.badMessages++;
      this.#parts.limitedLog.warn(
        { dpid: this.dpid, remote: this.remote, reason: error.message },
        `unreadable ${what}`,
      );
      return undefined;
    }
  }

  #applyPort({ reason, port }: messages.PortStatus): void {
    if (reason === PortReason.delete) this.#ports.delete(port.portNo);
    else this.#ports.set(port.portNo, port);
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

  #error(bytes: Buffer, at: number, end: number): void {
    if (end - at < 12) throw new WireError('ofp_error_msg', 'length', at + 2, `${end - at} bytes, 12 needed`);
    const xid = get32(bytes, at + 4);
    const type = get16(bytes, at + 8);
    const code = get16(bytes, at + 10);
    const data = copyOf(bytes, at + 12, end);
    const { counters, limitedLog, handlers } = this.#parts;
    if (type === HELLO_FAILED && this.#phase !== 'up') {
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
      reply: { type: BAD_REQUEST, code: BAD_VERSION },
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
    if (this.#phase === 'hello' || type === MessageType.featuresReply) {
      this.#end('bad-handshake', error.message);
      return;
    }
    if (error.reply === undefined || type === MessageType.error) return;
    const data = copyOf(bytes, at, Math.min(end, at + ERROR_DATA));
    this.#reply(error.reply.type, error.reply.code, get32(bytes, at + 4), data);
  }

  #reply(type: number, code: number, xid: number, data: Uint8Array): void {
    this.write(messages.errorMessage(xid, type, code, data));
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
    const error = this.#closedError(`${reason}: ${detail}`);
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
