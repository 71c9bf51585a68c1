import { Buffer } from 'node:buffer';
import { set16, set32, set48, set64 } from './bytes.ts';
import { WireError } from './errors.ts';
import { type FieldId, fieldIdSize, type OxmEntry, oxmSize, writeFieldId, writeOxm } from './oxm.ts';
import type { Struct, Table, Writable } from './struct.ts';

/** A growing buffer for parts of varying length. Numbers out of range are refused (WireError, NL_WIRE_VALUE). */
export class Writer {
  bytes: Buffer;
  /** Bytes written so far; where the next goes. */
  at = 0;

  constructor(size = 256) {
    this.bytes = Buffer.allocUnsafeSlow(size);
  }

  /** Makes room for `count` bytes and returns where they start. */
  take(count: number): number {
    const start = this.at;
    this.at = start + count;
    if (this.at > this.bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(this.at, 2 * this.bytes.length));
      this.bytes.copy(grown, 0, 0, start);
      this.bytes = grown;
    }
    return start;
  }

  u8(value: number): this {
    const at = this.take(1);
    this.bytes[at] = unsigned(value, 0xff);
    return this;
  }

  u16(value: number): this {
    const at = this.take(2);
    set16(this.bytes, at, unsigned(value, 0xffff));
    return this;
  }

  u32(value: number): this {
    const at = this.take(4);
    set32(this.bytes, at, unsigned(value, 0xffff_ffff));
    return this;
  }

  u48(value: number): this {
    const at = this.take(6);
    set48(this.bytes, at, unsigned(value, 0xffff_ffff_ffff));
    return this;
  }

  u64(value: bigint): this {
    if (typeof value !== 'bigint' || value < 0n || value > 0xffff_ffff_ffff_ffffn) throw outOfRange(value);
    const at = this.take(8);
    set64(this.bytes, at, value);
    return this;
  }

  zero(count: number): this {
    const at = this.take(count);
    this.bytes.fill(0, at, at + count);
    return this;
  }

  raw(source: Uint8Array): this {
    const at = this.take(source.length);
    this.bytes.set(source, at);
    return this;
  }

  /** A structure of the tables. */
  put<T extends Table>(table: Struct<T>, fields: Writable<T>): this {
    const at = this.take(table.size);
    table.write(this.bytes, at, fields);
    return this;
  }

  oxm(entry: OxmEntry): this {
    const at = this.take(oxmSize(entry));
    writeOxm(this.bytes, at, entry);
    return this;
  }

  fieldId(id: FieldId): this {
    const at = this.take(fieldIdSize(id));
    writeFieldId(this.bytes, at, id);
    return this;
  }

  /** Zeroes up to the next multiple of eight, counted from `from`. */
  align(from: number): this {
    return this.zero(-(this.at - from) & 7);
  }

  /** Sets the 16-bit length at `lengthAt` of the element that began at `from` and ends here. */
  length16(from: number, lengthAt: number): this {
    const length = this.at - from;
    if (length > 0xffff)
      throw new WireError('length', 'length', -1, `${length} bytes do not fit into 16 bits`, { code: 'NL_WIRE_VALUE' });
    set16(this.bytes, lengthAt, length);
    return this;
  }

  /** A copy of what was written since `from`. */
  copy(from = 0): Buffer {
    const out = Buffer.allocUnsafe(this.at - from);
    this.bytes.copy(out, 0, from, this.at);
    return out;
  }
}

// One scratch writer, used like a stack: nested encoders start where the outer one stands.
const scratch = new Writer(4096);

/** Runs `write` on the shared scratch writer and returns a copy of what it wrote. */
export function written(write: (writer: Writer) => void): Buffer {
  const from = scratch.at;
  try {
    write(scratch);
    return scratch.copy(from);
  } finally {
    scratch.at = from;
  }
}

function unsigned(value: number, max: number): number {
  if (!Number.isInteger(value) || value < 0 || value > max) throw outOfRange(value);
  return value;
}

function outOfRange(value: unknown): WireError {
  return new WireError('value', 'number', -1, `does not fit: ${String(value)}`, { code: 'NL_WIRE_VALUE' });
}
