/** Sizes of output buffers: handshakes and echoes fit the small one; the large one is what we write at most in one go. */
const SMALL = 2 * 1024;
const LARGE = 64 * 1024;

/** Output buffers not in use. Idle connections hold none, so a thousand of them cost nothing here. */
export class BufferPool {
  readonly #small: Buffer[] = [];
  readonly #large: Buffer[] = [];
  readonly #keep: number;

  /** Keeps at most `keep` buffers of each size; more are left to the garbage collector. */
  constructor(keep = 64) {
    this.#keep = keep;
  }

  /** A buffer of at least `size` bytes (at most 64 KiB). */
  take(size: number): Buffer {
    if (size <= SMALL) return this.#small.pop() ?? Buffer.allocUnsafeSlow(SMALL);
    return this.#large.pop() ?? Buffer.allocUnsafeSlow(LARGE);
  }

  give(buffer: Buffer): void {
    const list = buffer.length === SMALL ? this.#small : this.#large;
    if (list.length < this.#keep) list.push(buffer);
  }
}

/** What an `Output` needs of a socket. */
export interface Sink {
  /** Bytes handed over and not yet taken by the kernel. */
  readonly writableLength: number;
  write(bytes: Buffer, done: () => void): unknown;
}

/**
 * The output of one connection: messages are appended, and leave with one write per turn of the event loop (or per 64 KiB).
 * While the kernel takes no more, what comes is gathered here in full buffers, so that a peer that reads slowly costs the
 * bytes it is owed and little else.
 */
export class Output {
  readonly #sink: Sink;
  readonly #pool: BufferPool;
  #current: Buffer | undefined;
  #fill = 0;
  /** Filled buffers that wait for the sink, and how much of each counts. */
  readonly #full: Buffer[] = [];
  readonly #fullSizes: number[] = [];
  #fullBytes = 0;
  /** Buffer that the sink holds on to; must not be touched. */
  #inFlight: Buffer | undefined;
  #inFlightBytes = 0;
  #closed = false;
  readonly #drain: () => void;
  /** Bytes that were given to the sink, for metrics. */
  bytes = 0;

  /** `drain` is called when the sink has taken all that was held back. */
  constructor(sink: Sink, pool: BufferPool, drain: () => void) {
    this.#sink = sink;
    this.#pool = pool;
    this.#drain = drain;
  }

  /** Bytes appended and not yet taken by the kernel. */
  get pending(): number {
    return this.#inFlightBytes + this.#fullBytes + this.#fill;
  }

  /** Something waits for `flush`. */
  get dirty(): boolean {
    return this.#fill > 0;
  }

  /**
   * Room for `size` ≤ 64 KiB bytes: fill them in the buffer returned, from `position` on, before calling anything else here,
   * then `advance`.
   */
  reserve(size: number): Buffer {
    const current = this.#current;
    if (current !== undefined && current.length - this.#fill >= size) return current;
    return this.#grow(size);
  }

  /** Where the room that `reserve` gave begins. */
  get position(): number {
    return this.#fill;
  }

  advance(size: number): void {
    this.#fill += size;
  }

  /** Appends a copy; may be any number of messages. */
  append(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      const left = bytes.length - at;
      let into = this.#current;
      if (into === undefined || into.length - this.#fill < left) into = this.#room(left);
      const size = Math.min(left, into.length - this.#fill);
      into.set(size === bytes.length ? bytes : bytes.subarray(at, at + size), this.#fill);
      this.#fill += size;
      at += size;
    }
  }

  /** Hands what is here to the sink, unless that still has some. */
  flush(): void {
    while (this.#inFlight === undefined && !this.#closed) {
      const full = this.#full.shift();
      if (full !== undefined) {
        const size = this.#fullSizes.shift()!;
        this.#fullBytes -= size;
        this.#send(full, size);
        continue;
      }
      const current = this.#current;
      if (current === undefined) return;
      const size = this.#fill;
      this.#current = undefined;
      this.#fill = 0;
      if (size === 0) this.#pool.give(current);
      else this.#send(current, size);
    }
  }

  /** Gives the buffers back; nothing is sent any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#current) this.#pool.give(this.#current);
    for (const buffer of this.#full) this.#pool.give(buffer);
    this.#full.length = 0;
    this.#fullSizes.length = 0;
    this.#fullBytes = 0;
    this.#current = undefined;
    this.#fill = 0;
    // A buffer in flight may still be read by the kernel: it is left to the garbage collector.
    this.#inFlight = undefined;
    this.#inFlightBytes = 0;
  }

  #send(buffer: Buffer, size: number): void {
    this.bytes += size;
    this.#inFlight = buffer;
    this.#inFlightBytes = size;
    this.#sink.write(size === buffer.length ? buffer : buffer.subarray(0, size), this.#written);
    // Taken whole by the kernel during the call (the usual case on TCP): the buffer is ours again at once.
    if (this.#sink.writableLength === 0) this.#taken();
  }

  readonly #written = (): void => {
    if (this.#inFlight === undefined || this.#closed || this.#sink.writableLength > 0) return;
    this.#taken();
    this.flush();
    if (this.#inFlight === undefined) this.#drain();
  };

  #taken(): void {
    const buffer = this.#inFlight;
    this.#inFlight = undefined;
    this.#inFlightBytes = 0;
    if (buffer) this.#pool.give(buffer);
  }

  /** A current buffer with room for `size` more bytes in one piece. */
  #grow(size: number): Buffer {
    const current = this.#room(size);
    if (current.length - this.#fill >= size) return current;
    this.#spill();
    this.#current = this.#pool.take(size);
    return this.#current;
  }

  /** A current buffer with some room; a small one is exchanged for a large one when `size` more do not fit. */
  #room(size: number): Buffer {
    const current = this.#current;
    if (current !== undefined) {
      if (current.length === SMALL && this.#fill + size > SMALL) {
        const large = this.#pool.take(LARGE);
        current.copy(large, 0, 0, this.#fill);
        this.#pool.give(current);
        this.#current = large;
        return large;
      }
      if (this.#fill < current.length) return current;
      this.#spill();
    }
    this.#current = this.#pool.take(size);
    return this.#current;
  }

  /** The current buffer has no room: send it, or put it in the queue behind what the sink still has. */
  #spill(): void {
    const buffer = this.#current!;
    const size = this.#fill;
    this.#current = undefined;
    this.#fill = 0;
    if (this.#inFlight === undefined && this.#full.length === 0 && !this.#closed) {
      this.#send(buffer, size);
      return;
    }
    this.#full.push(buffer);
    this.#fullSizes.push(size);
    this.#fullBytes += size;
  }
}
