import type { Socket } from 'node:net';
import { Framer, WireError } from '../../ofproto/index.ts';
import type { SessionCounters } from './counters.ts';
import type { Flusher } from './flusher.ts';
import { type BufferPool, Output } from './output.ts';
import type { CloseReason, SessionLimits } from './types.ts';

/** A peer as logs and alarms name it. */
export const remoteOf = (peer: Partial<Pick<Socket, 'remoteAddress' | 'remotePort'>> = {}): string =>
  `${peer.remoteAddress ?? 'unknown'}:${peer.remotePort ?? 0}`;

/** Who gets what a transport receives. */
export interface TransportOwner {
  /** One whole message, `bytes[at…end)`, valid during the call only. */
  message(bytes: Buffer, at: number, end: number): void;
  /** The stream cannot be followed any more; the owner closes. */
  framingLost(error: WireError): void;
  /** The socket is gone. Called once. */
  closed(reason: CloseReason, detail: string): void;
}

/** What all transports of a server share. */
export interface TransportParts {
  readonly limits: SessionLimits;
  readonly counters: SessionCounters;
  readonly pool: BufferPool;
  readonly flusher: Flusher;
}

/**
 * One socket: bytes in as messages, messages out by the turn, within limits. Stops reading while the peer does not read
 * (`pressure`), and after its share of a turn (`turn`).
 */
export class Transport {
  readonly remote: string;
  readonly #socket: Socket;
  readonly #parts: TransportParts;
  readonly #owner: TransportOwner;
  readonly #framer = new Framer();
  readonly output: Output;
  #state: 'open' | 'ending' | 'closed' = 'open';
  #endReason: CloseReason = 'peer-closed';
  #endDetail = '';
  #scheduled = false;
  #pressure = false;
  #turnPaused = false;
  #turn = -1;
  #turnBytes = 0;
  #turnMessages = 0;
  #chunkMessages = 0;
  #countedBytes = 0;
  #drainWaiters: { resolve: () => void; reject: (error: Error) => void }[] = [];
  #active = true;
  #seenBytes = 0;

  constructor(socket: Socket, parts: TransportParts, owner: TransportOwner) {
    this.#socket = socket;
    this.#parts = parts;
    this.#owner = owner;
    this.remote = remoteOf(socket);
    this.output = new Output(socket, parts.pool, () => this.#drained());
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#received(chunk));
    socket.on('end', () => this.#setEnd('peer-closed', 'the switch closed the connection'));
    socket.on('error', (error) => this.#setEnd('socket-error', error.message));
    socket.on('close', () => this.#gone());
  }

  /** Output not yet taken by the kernel, bytes. */
  get pending(): number {
    return this.output.pending;
  }

  get open(): boolean {
    return this.#state === 'open';
  }

  /** Input is not being read because the peer does not read its output. */
  get underPressure(): boolean {
    return this.#pressure;
  }

  /** True when the peer has sent or, while it owed us reading, taken bytes since the last call. */
  takeActivity(): boolean {
    const moved = this.#pressure && this.output.bytes !== this.#seenBytes;
    this.#seenBytes = this.output.bytes;
    const active = this.#active || moved;
    this.#active = false;
    return active;
  }

  /** Bytes of an incomplete message. */
  get held(): number {
    return this.#framer.pending;
  }

  /**
   * Room for one message of `size` ≤ 64 KiB bytes: write it at `output.position` of the buffer returned, then call `sent`.
   */
  reserve(size: number): Buffer {
    return this.output.reserve(size);
  }

  /** The message written into reserved room leaves at the end of this turn. */
  sent(size: number, type: number): void {
    this.output.advance(size);
    const sent = this.#parts.counters.sent;
    sent[type] = sent[type]! + 1;
    this.#touched();
  }

  /** Appends a copy of whole messages; they leave at the end of this turn. */
  write(bytes: Uint8Array): void {
    if (this.#state !== 'open') return;
    this.#parts.counters.countSent(bytes);
    this.output.append(bytes);
    this.#touched();
    if (this.output.pending > this.#parts.limits.outputCap) this.#checkPressure();
  }

  /** Resolves when unsent output is below the high-water mark; rejects with `closedError` of the owner when that never comes. */
  drained(): Promise<void> {
    if (this.output.pending <= this.#parts.limits.highWater) return Promise.resolve();
    return new Promise((resolve, reject) => this.#drainWaiters.push({ resolve, reject }));
  }

  /** Hands the turn's output to the socket and applies the limits. */
  flush(): void {
    this.#scheduled = false;
    if (this.#state !== 'open') return;
    this.output.flush();
    this.#countBytes();
    this.#checkPressure();
  }

  /** The share of the last turn is used up no longer; called by the flusher. */
  nextTurn(): void {
    this.#turnPaused = false;
    this.#resume();
  }

  /** Sends what is there, then ends; input is discarded. The owner calls `destroy` when the peer lingers. */
  end(reason: CloseReason, detail: string): void {
    if (this.#state !== 'open') return;
    this.#setEnd(reason, detail);
    this.output.flush();
    this.#countBytes();
    this.output.close();
    this.#state = 'ending';
    // Unread input would turn our close into a reset, and what we just wrote would be lost with it.
    this.#socket.removeAllListeners('data');
    this.#socket.resume();
    this.#socket.end();
  }

  /** Closes at once; what is unsent is lost. */
  destroy(reason: CloseReason, detail: string): void {
    if (this.#state === 'closed') return;
    this.#setEnd(reason, detail);
    this.#countBytes();
    this.output.close();
    this.#state = 'ending';
    this.#socket.destroy();
  }

  /** Ends waits for output; called by the owner with the error that callers shall see, made when there are some. */
  fail(error: () => Error): void {
    const waiters = this.#drainWaiters;
    this.#drainWaiters = [];
    for (const waiter of waiters) waiter.reject(error());
  }

  #setEnd(reason: CloseReason, detail: string): void {
    // The first reason is the cause; what follows is its echo.
    if (this.#endDetail !== '') return;
    this.#endReason = reason;
    this.#endDetail = detail;
  }

  #gone(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#countBytes();
    this.output.close();
    this.#owner.closed(this.#endReason, this.#endDetail || 'connection closed');
  }

  #touched(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#parts.flusher.schedule(this);
  }

  #received(chunk: Buffer): void {
    this.#active = true;
    this.#parts.counters.receivedBytes += chunk.length;
    try {
      this.#framer.push(chunk, this.#onMessage);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#owner.framingLost(error);
      return;
    }
    this.#countTurn(chunk.length);
  }

  #countTurn(size: number): void {
    const { counters, limits, flusher } = this.#parts;
    if (this.#turn !== flusher.turn) {
      this.#turn = flusher.turn;
      this.#turnBytes = 0;
      this.#turnMessages = this.#chunkMessages;
    } else {
      this.#turnMessages += this.#chunkMessages;
    }
    this.#chunkMessages = 0;
    this.#turnBytes += size;
    flusher.arm();
    if (this.#turnPaused || (this.#turnBytes < limits.turnBytes && this.#turnMessages < limits.turnMessages)) return;
    if (this.#state !== 'open') return;
    counters.turnPauses++;
    this.#turnPaused = true;
    this.#socket.pause();
    flusher.resumeLater(this);
  }

  readonly #onMessage = (bytes: Buffer, at: number, end: number): boolean => {
    this.#chunkMessages++;
    this.#owner.message(bytes, at, end);
    return this.#state === 'open';
  };

  #countBytes(): void {
    this.#parts.counters.sentBytes += this.output.bytes - this.#countedBytes;
    this.#countedBytes = this.output.bytes;
  }

  #resume(): void {
    if (this.#state === 'open' && !this.#pressure && !this.#turnPaused) this.#socket.resume();
  }

  #checkPressure(): void {
    const { limits, counters } = this.#parts;
    const pending = this.output.pending;
    if (pending > limits.outputCap) {
      this.destroy('slow-reader', `${pending} bytes unsent, at most ${limits.outputCap}`);
      return;
    }
    if (pending <= limits.highWater || this.#pressure) return;
    this.#pressure = true;
    counters.pressurePauses++;
    this.#socket.pause();
  }

  #drained(): void {
    this.#active = true;
    this.#countBytes();
    const waiters = this.#drainWaiters;
    if (waiters.length > 0) {
      this.#drainWaiters = [];
      for (const waiter of waiters) waiter.resolve();
    }
    if (!this.#pressure) return;
    this.#pressure = false;
    this.#resume();
  }
}
