import { Buffer } from 'node:buffer';
import { copyOf, get16, get32, get48, get64, set16, set32, set48, set64 } from './bytes.ts';
import { type ErrorReply, WireError } from './errors.ts';

/** How a field lies on the wire. `bytes:n`, `text:n` and `pad:n` take n bytes; text ends at its first NUL. */
export type FieldKind = 'u8' | 'u16' | 'u32' | 'u48' | 'u64' | `bytes:${number}` | `text:${number}` | `pad:${number}`;

/** Key → [kind, what it means]. Order is the order on the wire. */
export type Table = Readonly<Record<string, readonly [kind: FieldKind, doc: string]>>;

/** n raw bytes. */
export function bytes<const N extends number>(n: N): `bytes:${N}` {
  return `bytes:${n}`;
}

/** UTF-8 text in n bytes, ended by NUL unless it fills them. */
export function text<const N extends number>(n: N): `text:${N}` {
  return `text:${n}`;
}

/** n bytes written as zero and ignored when read. */
export function pad<const N extends number>(n: N): `pad:${N}` {
  return `pad:${n}`;
}

type ValueOf<K extends FieldKind> = K extends 'u64'
  ? bigint
  : K extends `bytes:${number}`
    ? Buffer
    : K extends `text:${number}`
      ? string
      : number;

type KeysOf<T extends Table, K extends FieldKind> = {
  [P in keyof T]: T[P][0] extends K ? P : never;
}[keyof T] &
  string;

type DataKeys<T extends Table> = Exclude<keyof T & string, KeysOf<T, `pad:${number}`>>;

/**
 * The plain object of a structure. A text whose bytes are not exactly its NUL-padded UTF-8 form (rubbish after the NUL,
 * invalid UTF-8) also carries `<key>Bytes`, so that writing it back changes nothing.
 */
export type Fields<T extends Table> = { -readonly [P in DataKeys<T>]: ValueOf<T[P][0]> } & {
  -readonly [P in KeysOf<T, `text:${number}`> as `${P}Bytes`]?: Buffer;
};

/** What `write` needs: texts' raw bytes are optional, everything else is there. */
export type Writable<T extends Table> = Readonly<Fields<T>>;

/** A window on the bytes: reading a property reads the wire, assigning one writes it. u64 fields also as two u32. */
export type View<T extends Table> = { bytes: Buffer; at: number; on(bytes: Buffer, at: number): View<T> } & {
  -readonly [P in DataKeys<T>]: ValueOf<T[P][0]>;
} & { -readonly [P in KeysOf<T, 'u64'> as `${P}Hi` | `${P}Lo`]: number };

/** One fixed-size structure of the wire, made by `struct`. */
export interface Struct<T extends Table> {
  readonly name: string;
  readonly table: T;
  /** Bytes it takes. */
  readonly size: number;
  /** Byte offset of each field, pads included. */
  readonly offsets: { readonly [P in keyof T]: number };
  /** A window at `at`; nothing is read yet. Check the span first. */
  view(bytes: Buffer, at: number): View<T>;
  /** Throws WireError unless the structure fits into [at, end). */
  check(bytes: Uint8Array, at: number, end: number, reply?: ErrorReply): void;
  /** Reads everything into a plain object; byte fields are copied. Cold paths. */
  read(bytes: Uint8Array, at: number): Fields<T>;
  /** Writes all fields and zeroes the pads. Throws WireError for a number out of range. Returns the end. */
  write(bytes: Uint8Array, at: number, fields: Writable<T>): number;
}

interface Column {
  readonly key: string;
  readonly kind: string;
  readonly offset: number;
  readonly size: number;
  readonly doc: string;
}

const sizes: Readonly<Record<string, number>> = { u8: 1, u16: 2, u32: 4, u48: 6, u64: 8 };

function columnsOf(table: Table): Column[] {
  const columns: Column[] = [];
  let offset = 0;
  for (const [key, [kind, doc]] of Object.entries(table)) {
    const [base, count] = kind.split(':');
    const size = count === undefined ? sizes[kind]! : Number(count);
    columns.push({ key, kind: base!, offset, size, doc });
    offset += size;
  }
  return columns;
}

interface Span {
  bytes: Buffer;
  at: number;
}

type Accessor = PropertyDescriptor & ThisType<Span>;

const accessors: Readonly<Record<string, (offset: number, size: number) => Accessor>> = {
  u8: (offset) => ({
    get() {
      return this.bytes[this.at + offset]!;
    },
    set(value: number) {
      this.bytes[this.at + offset] = value;
    },
  }),
  u16: (offset) => ({
    get() {
      return get16(this.bytes, this.at + offset);
    },
    set(value: number) {
      set16(this.bytes, this.at + offset, value);
    },
  }),
  u32: (offset) => ({
    get() {
      return get32(this.bytes, this.at + offset);
    },
    set(value: number) {
      set32(this.bytes, this.at + offset, value);
    },
  }),
  u48: (offset) => ({
    get() {
      return get48(this.bytes, this.at + offset);
    },
    set(value: number) {
      set48(this.bytes, this.at + offset, value);
    },
  }),
  u64: (offset) => ({
    get() {
      return get64(this.bytes, this.at + offset);
    },
    set(value: bigint) {
      set64(this.bytes, this.at + offset, value);
    },
  }),
  bytes: (offset, size) => ({
    get() {
      return this.bytes.subarray(this.at + offset, this.at + offset + size);
    },
    set(value: Uint8Array) {
      this.bytes.set(value.subarray(0, size), this.at + offset);
    },
  }),
  text: (offset, size) => ({
    get() {
      return readText(this.bytes, this.at + offset, size);
    },
    set(value: string) {
      this.bytes.set(textBytes(value, size), this.at + offset);
    },
  }),
};

/** Text up to the first NUL; bytes that are not UTF-8 become U+FFFD. */
export function readText(bytes: Uint8Array, at: number, size: number): string {
  let end = at;
  while (end < at + size && bytes[end] !== 0) end++;
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, end - at).toString('utf8');
}

/** NUL-padded UTF-8, cut between characters when longer than `size`. */
export function textBytes(value: string, size: number): Buffer {
  const out = Buffer.alloc(size);
  out.write(value, 0, size, 'utf8');
  return out;
}

/** Declares a structure once: type, reader, writer, view and documentation come from the table. */
export function struct<const T extends Table>(name: string, table: T): Struct<T> {
  const columns = columnsOf(table);
  const size = columns.reduce((sum, column) => sum + column.size, 0);
  const offsets = Object.fromEntries(columns.map((column) => [column.key, column.offset]));

  class SpanView {
    bytes: Buffer;
    at: number;
    constructor(source: Buffer, at: number) {
      this.bytes = source;
      this.at = at;
    }
    /** Re-points the view: no allocation per message. */
    on(source: Buffer, at: number): this {
      this.bytes = source;
      this.at = at;
      return this;
    }
  }
  for (const { key, kind, offset, size: width } of columns) {
    if (kind === 'pad') continue;
    Object.defineProperty(SpanView.prototype, key, accessors[kind]!(offset, width));
    if (kind !== 'u64') continue;
    Object.defineProperty(SpanView.prototype, `${key}Hi`, accessors['u32']!(offset, 4));
    Object.defineProperty(SpanView.prototype, `${key}Lo`, accessors['u32']!(offset + 4, 4));
  }
  const ViewClass = SpanView as unknown as new (source: Buffer, at: number) => View<T>;

  return {
    name,
    table,
    size,
    offsets: offsets as { readonly [P in keyof T]: number },
    view: (source, at) => new ViewClass(source, at),
    check(_source, at, end, reply) {
      if (end - at >= size) return;
      const problem = `${end - at} bytes, ${size} needed`;
      throw new WireError(name, 'length', at, problem, reply === undefined ? {} : { reply });
    },
    read: (source, at) => readColumns(columns, source, at) as Fields<T>,
    write(target, at, fields) {
      writeColumns(name, columns, target, at, fields as Readonly<Record<string, unknown>>);
      return at + size;
    },
  };
}

function readColumns(columns: readonly Column[], source: Uint8Array, base: number): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const { key, kind, offset, size } of columns) {
    const at = base + offset;
    switch (kind) {
      case 'u8':
        fields[key] = source[at];
        break;
      case 'u16':
        fields[key] = get16(source, at);
        break;
      case 'u32':
        fields[key] = get32(source, at);
        break;
      case 'u48':
        fields[key] = get48(source, at);
        break;
      case 'u64':
        fields[key] = get64(source, at);
        break;
      case 'bytes':
        fields[key] = copyOf(source, at, at + size);
        break;
      case 'text': {
        const value = readText(source, at, size);
        fields[key] = value;
        const raw = Buffer.from(source.buffer, source.byteOffset + at, size);
        if (!textBytes(value, size).equals(raw)) fields[`${key}Bytes`] = copyOf(source, at, at + size);
        break;
      }
      default:
    }
  }
  return fields;
}

const limits: Readonly<Record<string, number>> = { u8: 0xff, u16: 0xffff, u32: 0xffff_ffff, u48: 0xffff_ffff_ffff };

function writeColumns(
  name: string,
  columns: readonly Column[],
  target: Uint8Array,
  base: number,
  fields: Readonly<Record<string, unknown>>,
): void {
  for (const { key, kind, offset, size } of columns) {
    const at = base + offset;
    if (kind === 'pad') {
      target.fill(0, at, at + size);
      continue;
    }
    const value = fields[key];
    if (kind === 'u64') {
      if (typeof value !== 'bigint' || value < 0n || value > 0xffff_ffff_ffff_ffffn) throw refuse(name, key, value);
      set64(target, at, value);
    } else if (kind === 'bytes') {
      if (!(value instanceof Uint8Array) || value.length !== size) throw refuse(name, key, value);
      target.set(value, at);
    } else if (kind === 'text') {
      if (typeof value !== 'string') throw refuse(name, key, value);
      target.set(rawText(value, fields[`${key}Bytes`], size), at);
    } else {
      if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > limits[kind]!)
        throw refuse(name, key, value);
      if (kind === 'u8') target[at] = value;
      else if (kind === 'u16') set16(target, at, value);
      else if (kind === 'u32') set32(target, at, value);
      else set48(target, at, value);
    }
  }
}

function rawText(value: string, raw: unknown, size: number): Uint8Array {
  // The raw bytes count only as long as nobody changed the text that was read from them.
  if (raw instanceof Uint8Array && raw.length === size && readText(raw, 0, size) === value) return raw;
  return textBytes(value, size);
}

function refuse(name: string, key: string, value: unknown): WireError {
  const shown = value instanceof Uint8Array ? `${value.length} bytes` : String(value);
  return new WireError(name, key, -1, `does not fit: ${shown}`, { code: 'NL_WIRE_VALUE' });
}
