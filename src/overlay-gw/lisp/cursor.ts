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

/** Appends to a message. Throws LispError for a value that its field cannot hold. */
export class Writer {
  readonly #parts: Buffer[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  raw(bytes: Uint8Array): this {
    this.#parts.push(Buffer.from(bytes));
    this.#length += bytes.length;
    return this;
  }

  hex(text: string): this {
    return this.raw(Buffer.from(text, 'hex'));
  }

  #number(value: number, bytes: number): this {
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * bytes)) {
      throw new LispError('message', 'number', this.#length, `${value} does not fit ${bytes} bytes`);
    }
    const buffer = Buffer.alloc(bytes);
    buffer.writeUIntBE(value, 0, bytes);
    return this.raw(buffer);
  }

  u8(value: number): this {
    return this.#number(value, 1);
  }
  u16(value: number): this {
    return this.#number(value, 2);
  }
  u32(value: number): this {
    return this.#number(value, 4);
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts, this.#length);
  }
}
