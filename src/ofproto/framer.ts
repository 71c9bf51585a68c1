import { Buffer } from 'node:buffer';
import { get16 } from './bytes.ts';
import { WireError } from './errors.ts';

/** The largest message: its length is 16 bits. Also the most that a framer holds. */
export const maxMessage = 65_535;
const headerSize = 8;

/** Called for each whole message, which is `bytes[at…end)`. Return false to stop: what follows is then dropped. */
export type OnMessage = (bytes: Buffer, at: number, end: number) => unknown;

/**
 * Cuts a stream into OpenFlow messages. Messages that lie whole in a chunk are handed on in place; only one that is cut by
 * the chunk's end is copied, into a buffer that grows with what has really arrived (never with what a header announces)
 * and holds at most 65,535 bytes.
 */
export class Framer {
  #held: Buffer = Buffer.alloc(0);
  #count = 0;
  #closed = false;

  /** Bytes kept back because their message is not complete. */
  get pending(): number {
    return this.#count;
  }

  /** Feeds one chunk. Throws WireError (NL_WIRE_FRAMING) for a length below 8; the stream is then lost for good. */
  push(chunk: Buffer, onMessage: OnMessage): void {
    if (this.#closed) return;
    let at = 0;
    if (this.#count > 0) {
      at = this.#complete(chunk, onMessage);
      if (at < 0) return;
    }
    const end = chunk.length;
    while (end - at >= headerSize) {
      const length = get16(chunk, at + 2);
      if (length < headerSize) throw this.#lost(length, at + 2);
      if (end - at < length) break;
      if (onMessage(chunk, at, at + length) === false) {
        this.#closed = true;
        return;
      }
      at += length;
    }
    if (at < end) this.#hold(chunk, at, end);
  }

  /** Finishes the held message with the chunk's first bytes; returns how many were taken, or -1 to stop. */
  #complete(chunk: Buffer, onMessage: OnMessage): number {
    let at = 0;
    if (this.#count < headerSize) {
      at = Math.min(headerSize - this.#count, chunk.length);
      this.#hold(chunk, 0, at);
      if (this.#count < headerSize) return at;
    }
    const length = get16(this.#held, 2);
    if (length < headerSize) throw this.#lost(length, 2);
    const take = Math.min(length - this.#count, chunk.length - at);
    if (take > 0) this.#hold(chunk, at, at + take);
    at += take;
    if (this.#count < length) return at;
    const whole = this.#held;
    this.#held = Buffer.alloc(0);
    this.#count = 0;
    if (onMessage(whole, 0, length) !== false) return at;
    this.#closed = true;
    return -1;
  }

  #hold(chunk: Buffer, at: number, end: number): void {
    const need = this.#count + end - at;
    if (this.#held.length < need) {
      const grown = Buffer.allocUnsafeSlow(Math.min(maxMessage, Math.max(need, 2 * this.#held.length, 256)));
      this.#held.copy(grown, 0, 0, this.#count);
      this.#held = grown;
    }
    chunk.copy(this.#held, this.#count, at, end);
    this.#count = need;
  }

  #lost(length: number, at: number): WireError {
    this.#closed = true;
    return new WireError('ofp_header', 'length', at, `${length}, at least ${headerSize}`, { code: 'NL_WIRE_FRAMING' });
  }
}

/**
 * End of the message at `at` of bytes that are all there, such as a capture; undefined when they end inside it. Throws
 * WireError (NL_WIRE_FRAMING) for a length below 8, and for a rest whose version byte no OpenFlow ever had.
 */
export function messageEnd(bytes: Uint8Array, at: number, end: number): number | undefined {
  const length = end - at < headerSize ? headerSize : get16(bytes, at + 2);
  if (length < headerSize)
    throw new WireError('ofp_header', 'length', at + 2, `${length}, at least ${headerSize}`, {
      code: 'NL_WIRE_FRAMING',
    });
  if (at + length <= end) return at + length;
  // 0x80 and up were experiments before OpenFlow 1.0.
  const version = bytes[at];
  if (version !== undefined && (version === 0 || version >= 0x80))
    throw new WireError('ofp_header', 'version', at, `${version} is no version of OpenFlow, and the message is cut`, {
      code: 'NL_WIRE_FRAMING',
    });
  return undefined;
}
