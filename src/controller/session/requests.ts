import { copyOf, errorName, get16, get32, MessageType, set32 } from '../../ofproto/index.ts';
import { ClosedError, type Dpid, InvariantError, SwitchError, TimeoutError } from '../kernel/index.ts';
import type { SessionCounters } from './counters.ts';

/** Reply type of each request type. */
const replyOf: ReadonlyMap<number, number> = new Map([
  [MessageType.echoRequest, MessageType.echoReply],
  [MessageType.experimenter, MessageType.experimenter],
  [MessageType.featuresRequest, MessageType.featuresReply],
  [MessageType.getConfigRequest, MessageType.getConfigReply],
  [MessageType.multipartRequest, MessageType.multipartReply],
  [MessageType.barrierRequest, MessageType.barrierReply],
  [MessageType.queueGetConfigRequest, MessageType.queueGetConfigReply],
  [MessageType.roleRequest, MessageType.roleReply],
  [MessageType.getAsyncRequest, MessageType.getAsyncReply],
]);

/** A reply that trickles in may take this many deadlines in all, then it is given up. */
const TRICKLE = 10;
/** Room that a piece takes beyond its bytes, so that a flood of empty pieces is bounded too. */
const PIECE_OVERHEAD = 128;

interface Pending {
  readonly type: number;
  readonly replyType: number;
  /** Kind of multipart (OFPMP_*), -1 for other requests. */
  readonly multipart: number;
  readonly pieces: Buffer[];
  held: number;
  readonly deadlineMs: number;
  /** In service time. Silence until then ends the request; each piece moves it. */
  deadline: number;
  /** In service time. Ends it in any case. */
  readonly limit: number;
  readonly resolve: (pieces: readonly Buffer[]) => void;
  readonly reject: (error: Error) => void;
}

interface ErrorWatch {
  readonly first: number;
  readonly last: number;
  readonly onError: (xid: number, type: number, code: number, data: Buffer) => void;
}

/** What `RequestTable` needs of its session. */
export interface RequestHost {
  readonly dpid: Dpid;
  /** Milliseconds during which we were able to serve; see `ServiceTime`. */
  now(): number;
  write(message: Buffer): void;
}

/**
 * Open requests of one connection by xid, and who waits for errors of which xids. Every promise settles: by the reply, an
 * error of the switch, the deadline, or the end of the connection. What is held for replies is bounded.
 */
export class RequestTable {
  readonly #host: RequestHost;
  readonly #counters: SessionCounters;
  readonly #maxOpen: number;
  readonly #maxHeld: number;
  readonly #pending = new Map<number, Pending>();
  #watches: readonly ErrorWatch[] = [];
  #held = 0;
  #lastXid = 0;
  #closed: (() => ClosedError) | undefined;

  constructor(host: RequestHost, counters: SessionCounters, limits: { requests: number; replyBytes: number }) {
    this.#host = host;
    this.#counters = counters;
    this.#maxOpen = limits.requests;
    this.#maxHeld = limits.replyBytes;
  }

  /** Requests that wait. */
  get open(): number {
    return this.#pending.size;
  }

  /** Bytes of multipart pieces held. */
  get held(): number {
    return this.#held;
  }

  /** 1…0x7fffffff, then again. Above are the xids that nobody waits for. */
  nextXid(): number {
    this.#lastXid = this.#lastXid >= 0x7fff_ffff ? 1 : this.#lastXid + 1;
    return this.#lastXid;
  }

  /** Sends one request message after giving it an xid. Resolves to the raw messages of the reply. */
  request(message: Buffer, deadlineMs: number): Promise<readonly Buffer[]> {
    return new Promise((resolve, reject) => this.ask(message, deadlineMs, resolve, reject));
  }

  /** As `request`, with exactly one call of `resolve` or `reject`, during the very message that settles it. */
  ask(
    message: Buffer,
    deadlineMs: number,
    resolve: (pieces: readonly Buffer[]) => void,
    reject: (error: Error) => void,
  ): void {
    const type = message[1]!;
    const replyType = replyOf.get(type);
    if (replyType === undefined || get16(message, 2) !== message.length) {
      reject(new InvariantError('not one whole request message', { type, length: message.length }));
      return;
    }
    if (this.#closed) {
      reject(this.#closed());
      return;
    }
    if (this.#pending.size >= this.#maxOpen) {
      reject(new ClosedError(`${this.#maxOpen} requests are open already`, { dpid: this.#host.dpid }));
      return;
    }
    let xid = this.nextXid();
    while (this.#pending.has(xid)) xid = this.nextXid();
    set32(message, 4, xid);
    const now = this.#host.now();
    this.#pending.set(xid, {
      type,
      replyType,
      multipart: type === MessageType.multipartRequest ? get16(message, 8) : -1,
      pieces: [],
      held: 0,
      deadlineMs,
      deadline: now + deadlineMs,
      limit: now + TRICKLE * deadlineMs,
      resolve,
      reject,
    });
    this.#host.write(message);
  }

  /** Errors for xids in [first, last] go to `onError` until the function returned is called. */
  watchErrors(first: number, last: number, onError: ErrorWatch['onError']): () => void {
    const watch = { first, last, onError };
    this.#watches = [...this.#watches, watch];
    return () => {
      this.#watches = this.#watches.filter((other) => other !== watch);
    };
  }

  /** Takes a reply. False when no request waits for it. */
  reply(bytes: Buffer, at: number, end: number): boolean {
    const xid = get32(bytes, at + 4);
    const pending = this.#pending.get(xid);
    const type = bytes[at + 1]!;
    if (pending === undefined || pending.replyType !== type) return false;
    if (pending.multipart < 0) {
      this.#pending.delete(xid);
      pending.resolve([copyOf(bytes, at, end)]);
      return true;
    }
    if (end - at < 16 || get16(bytes, at + 8) !== pending.multipart) return false;
    const cost = end - at + PIECE_OVERHEAD;
    if (this.#held + cost > this.#maxHeld) {
      this.#settle(xid, pending);
      pending.reject(
        new ClosedError(`reply of more than ${this.#maxHeld} bytes given up`, { dpid: this.#host.dpid, xid }),
      );
      return true;
    }
    pending.pieces.push(copyOf(bytes, at, end));
    pending.held += cost;
    this.#held += cost;
    if ((bytes[at + 11]! & 1) === 1) {
      pending.deadline = this.#host.now() + pending.deadlineMs;
      return true;
    }
    this.#settle(xid, pending);
    pending.resolve(pending.pieces);
    return true;
  }

  /** Takes an OFPT_ERROR, which may carry less of the message at fault than that had. False when nobody waits for it. */
  error(xid: number, type: number, code: number, data: Buffer): boolean {
    const pending = this.#pending.get(xid);
    if (pending) {
      this.#settle(xid, pending);
      pending.reject(switchError(this.#host.dpid, xid, type, code, data));
      return true;
    }
    let taken = false;
    for (const { first, last, onError } of this.#watches) {
      // A range may run over the end of the numbers.
      if (first <= last ? xid < first || xid > last : xid < first && xid > last) continue;
      taken = true;
      onError(xid, type, code, data);
    }
    return taken;
  }

  /** Ends what is overdue at this service time. */
  expire(now: number): void {
    if (this.#pending.size === 0) return;
    for (const [xid, pending] of this.#pending) {
      if (now < pending.deadline && now < pending.limit) continue;
      this.#settle(xid, pending);
      this.#counters.requestTimeouts++;
      pending.reject(new TimeoutError(`request of type ${pending.type} to ${this.#host.dpid}`, pending.deadlineMs));
    }
  }

  /** Ends everything; later requests fail at once. The error is asked for only when somebody gets it. */
  close(error: () => ClosedError): void {
    this.#closed = error;
    this.#watches = [];
    const open = [...this.#pending.values()];
    this.#pending.clear();
    this.#held = 0;
    for (const pending of open) pending.reject(error());
  }

  #settle(xid: number, pending: Pending): void {
    this.#pending.delete(xid);
    this.#held -= pending.held;
  }
}

/** The error of a switch with its names. */
export function switchError(dpid: Dpid, xid: number, type: number, code: number, data: Buffer): SwitchError {
  const experimenter = type === 0xffff && data.length >= 4 ? get32(data, 0) : undefined;
  const name = errorName(type, code, experimenter);
  return new SwitchError(`switch ${dpid} answered ${name.type} ${name.code}`, {
    dpid,
    xid,
    type: name.type,
    error: name.code,
  });
}
