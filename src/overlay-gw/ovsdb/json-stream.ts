import { OvsdbError } from './errors.ts';

/** Bounds of what one document may be. */
export interface JsonLimits {
  /** Bytes of one document. A large database comes as one: 64 MiB is some hundred thousand rows. */
  readonly bytes: number;
  /** Objects and arrays inside one another. OVSDB needs about ten. */
  readonly depth: number;
}

export const defaultJsonLimits: JsonLimits = { bytes: 64 * 1024 * 1024, depth: 64 };

/** A larger buffer is given back after the document that needed it. */
const KEPT = 256 * 1024;
/** Strict: a byte that is no UTF-8 must not become part of a name unseen. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

/**
 * Cuts a stream into JSON documents that follow one another without any delimiter (RFC 7047 §4). Looks at each byte once, whatever
 * the pieces it comes in; only brackets outside of strings matter, which UTF-8 cannot be mistaken for.
 */
export class JsonStream {
  readonly #limits: JsonLimits;
  /** Holds the document under way, up to `#size`. One buffer that grows: a list of pieces would let a peer that sends single bytes
   * take a hundred times what it sent. */
  #held = Buffer.alloc(0);
  #size = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #broken = false;
  #consumed = 0;

  constructor(limits: JsonLimits = defaultJsonLimits) {
    this.#limits = limits;
  }

  /** Bytes held of a document that is not complete. */
  get pending(): number {
    return this.#size;
  }

  /** Bytes that whole documents took, with the space between them. */
  get consumed(): number {
    return this.#consumed;
  }

  /** Takes the beginning of an incomplete document out, as if it had not been pushed. */
  take(): Buffer {
    const begun = Buffer.from(this.#held.subarray(0, this.#size));
    this.#size = 0;
    this.#depth = 0;
    this.#inString = false;
    this.#escaped = false;
    return begun;
  }

  /**
   * Feeds one chunk; `onDocument` gets each whole document, parsed. Throws OvsdbError when the stream is no JSON, or a document is too
   * large or too deep; the stream is then lost for good.
   */
  push(chunk: Buffer, onDocument: (document: unknown) => void): void {
    if (this.#broken) return;
    try {
      this.#scan(chunk, onDocument);
    } catch (error) {
      this.#broken = true;
      this.#held = Buffer.alloc(0);
      this.#size = 0;
      throw error;
    }
  }

  #scan(chunk: Buffer, onDocument: (document: unknown) => void): void {
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === BACKSLASH) this.#escaped = true;
        else if (byte === QUOTE) this.#inString = false;
        continue;
      }
      if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        if (++this.#depth > this.#limits.depth) {
          throw new OvsdbError('malformed', `JSON is nested more than ${this.#limits.depth} deep`);
        }
        if (this.#depth === 1) start = at;
      } else if (this.#depth === 0) {
        if (!isSpace(byte)) throw new OvsdbError('malformed', 'the peer does not speak JSON-RPC: neither { nor [');
        this.#consumed++;
      } else if (byte === QUOTE) this.#inString = true;
      else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && --this.#depth === 0) {
        const size = this.#size + at + 1 - start;
        const document = this.#finish(chunk.subarray(start, at + 1));
        this.#consumed += size;
        start = at + 1;
        onDocument(document);
      }
    }
    if (this.#depth > 0) this.#hold(chunk.subarray(start));
  }

  #hold(piece: Buffer): void {
    this.#checkSize(piece.length);
    const size = this.#size + piece.length;
    if (size > this.#held.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(size, Math.min(2 * size, this.#limits.bytes), 4_096));
      this.#held.copy(larger, 0, 0, this.#size);
      this.#held = larger;
    }
    piece.copy(this.#held, this.#size);
    this.#size = size;
  }

  #finish(last: Buffer): unknown {
    this.#checkSize(last.length);
    let whole = last;
    if (this.#size > 0) {
      this.#hold(last);
      whole = this.#held.subarray(0, this.#size);
      if (this.#held.length > KEPT) this.#held = Buffer.alloc(0);
    }
    this.#size = 0;
    try {
      return JSON.parse(utf8.decode(whole));
    } catch (cause) {
      throw new OvsdbError('malformed', `not JSON: ${(cause as Error).message}`.slice(0, 200), { cause });
    }
  }

  #checkSize(more: number): void {
    if (this.#size + more > this.#limits.bytes) {
      throw new OvsdbError('malformed', `a JSON document of more than ${this.#limits.bytes} bytes`);
    }
  }
}
