import { LispError } from './errors.ts';

/** Reads a message from front to back within bounds; errors name what was being read. */
export class Reader {
  readonly bytes: Buffer;
  readonly end: number;
  at: number;

  constructor(bytes: Buffer, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  take(structure: string, field: string, count: number): Buffer {
    if (this.left < count) {
      throw new LispError(structure, field, this.at, `${count} bytes wanted, ${this.left} are left,`);
    }
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  u8(structure: string, field: string): number {
    return this.take(structure, field, 1)[0]!;
  }
  u16(structure: string, field: string): number {
    return this.take(structure, field, 2).readUInt16BE();
  }
  u32(structure: string, field: string): number {
    return this.take(structure, field, 4).readUInt32BE();
  }
  hex(structure: string, field: string, count: number): string {
    return this.take(structure, field, count).toString('hex');
  }
  /** A copy, which outlives the datagram. */
  copy(structure: string, field: string, count: number): Buffer {
    return Buffer.from(this.take(structure, field, count));
  }
  /** A reader of the next bytes, which are passed over here. */
  sub(structure: string, field: string, count: number): Reader {
    this.take(structure, field, count);
    return new Reader(this.bytes, this.at - count, this.at);
  }
}

/** Room that a writer starts with; most messages fit. */
const ROOM = 256;

/** Appends to a message. Throws LispError for a value that its field cannot hold. */
export class Writer {
  #bytes = Buffer.allocUnsafe(ROOM);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Makes room for so many bytes more; answers where they begin. */
  #take(count: number): number {
    const at = this.#length;
    this.#length = at + count;
    if (this.#length > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#length, 2 * this.#bytes.length));
      this.#bytes.copy(grown, 0, 0, at);
      this.#bytes = grown;
    }
    return at;
  }

  raw(bytes: Uint8Array): this {
    const at = this.#take(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  hex(text: string): this {
    const size = text.length >>> 1;
    const at = this.#take(size);
    if (this.#bytes.write(text, at, size, 'hex') !== size) {
      throw new LispError('message', 'hex', at, `"${text}" is no hex text`);
    }
    return this;
  }

  #check(value: number, most: number): void {
    if (!Number.isInteger(value) || value < 0 || value > most) {
      const bytes = most === 0xff ? 1 : most === 0xffff ? 2 : 4;
      throw new LispError('message', 'number', this.#length, `${value} does not fit ${bytes} bytes`);
    }
  }

  u8(value: number): this {
    this.#check(value, 0xff);
    const at = this.#take(1);
    this.#bytes[at] = value;
    return this;
  }
  u16(value: number): this {
    this.#check(value, 0xffff);
    const at = this.#take(2);
    this.#bytes.writeUInt16BE(value, at);
    return this;
  }
  u32(value: number): this {
    this.#check(value, 0xffff_ffff);
    const at = this.#take(4);
    this.#bytes.writeUInt32BE(value, at);
    return this;
  }

  /** A copy of what was written, of its size. */
  bytes(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#length));
  }
}
