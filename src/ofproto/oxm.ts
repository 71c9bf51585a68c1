import { Buffer } from 'node:buffer';
import { copyOf, get16, get32, get48, get64, get128, set16, set32, set48, set64, set128 } from './bytes.ts';
import { WireError } from './errors.ts';
import { type FieldName, type FieldSpec, fieldByNumber, fields, OxmClass } from './oxm-fields.ts';

/** Value of a field: number up to 48 bits, bigint above, bytes for tunnel options and fields we do not know. */
export type Value = number | bigint | Uint8Array;

/** One match field as it stands on the wire. A mask that is there stays, whatever it says. */
export interface KnownEntry {
  readonly field: FieldName;
  readonly value: Value;
  readonly mask?: Value;
}

/** A field that the table does not have: kept as bytes and written back unchanged. */
export interface UnknownEntry {
  readonly field: 'unknown';
  readonly oxmClass: number;
  readonly oxmField: number;
  readonly hasMask: boolean;
  /** For class 0xffff; then not part of `bytes`. */
  readonly experimenter?: number;
  /** Value, and mask after it when `hasMask`. */
  readonly bytes: Uint8Array;
}

/** One entry of a match, lossless. */
export type OxmEntry = KnownEntry | UnknownEntry;

/** A field named by its header alone, as table features and Nicira's actions do. */
export type FieldId =
  | {
      readonly field: FieldName;
      readonly hasMask?: true;
      /** Length byte of the header where it is not the field's own size (tunnel options, masks counted in). */
      readonly length?: number;
    }
  | {
      readonly field: 'unknown';
      readonly oxmClass: number;
      readonly oxmField: number;
      readonly hasMask: boolean;
      /** Length byte of the header, without an experimenter id. */
      readonly length: number;
      readonly experimenter?: number;
    };

const badMatchLength = { type: 4, code: 1 };
const headerSize = 4;

/** Reads a value of `size` bytes in the form that the table says. */
export function readValue(spec: FieldSpec, bytes: Uint8Array, at: number, size: number): Value {
  if (spec.bytes === 0) return copyOf(bytes, at, at + size);
  switch (size) {
    case 1:
      return bytes[at]!;
    case 2:
      return get16(bytes, at);
    case 3:
      return bytes[at]! * 0x1_0000 + get16(bytes, at + 1);
    case 4:
      return get32(bytes, at);
    case 6:
      return get48(bytes, at);
    case 8:
      return get64(bytes, at);
    default:
      return get128(bytes, at);
  }
}

/** Largest value by size in bytes. */
const limits = [0, 0xff, 0xffff, 0xff_ffff, 0xffff_ffff, 0xff_ffff_ffff, 0xffff_ffff_ffff] as const;

/** Writes a value; throws WireError (NL_WIRE_VALUE) when its form or size is not the field's. */
export function writeValue(spec: FieldSpec, bytes: Uint8Array, at: number, value: Value): number {
  const size = spec.bytes;
  if (size === 0) {
    if (!(value instanceof Uint8Array) || value.length > 124) throw wrongValue(spec, value);
    bytes.set(value, at);
    return at + value.length;
  }
  if (size > 6) {
    if (typeof value !== 'bigint' || value < 0n || value >> BigInt(8 * size) !== 0n) throw wrongValue(spec, value);
    if (size === 8) set64(bytes, at, value);
    else set128(bytes, at, value);
    return at + size;
  }
  if (typeof value !== 'number' || !(value >= 0 && value <= limits[size]!) || !Number.isInteger(value))
    throw wrongValue(spec, value);
  switch (size) {
    case 1:
      bytes[at] = value;
      break;
    case 2:
      set16(bytes, at, value);
      break;
    case 3:
      bytes[at] = value >>> 16;
      set16(bytes, at + 1, value);
      break;
    case 4:
      set32(bytes, at, value);
      break;
    default:
      set48(bytes, at, value);
  }
  return at + size;
}

function wrongValue(spec: FieldSpec, value: unknown): WireError {
  const shown = value instanceof Uint8Array ? `${value.length} bytes` : `${typeof value} ${String(value)}`;
  const wanted =
    spec.bytes === 0 ? 'up to 124 bytes' : `${spec.bits > 48 ? 'a bigint' : 'a number'} of ${spec.bits} bits`;
  return new WireError('oxm', spec.name, -1, `cannot hold ${shown}; ${wanted} wanted`, { code: 'NL_WIRE_VALUE' });
}

/** End of the OXM at `at`, after checking that it lies inside [at, end). */
export function oxmEnd(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < headerSize)
    throw new WireError('oxm', 'header', at, `cut: ${end - at} bytes left`, { reply: badMatchLength });
  const length = bytes[at + 3]!;
  const stop = at + headerSize + length;
  if (stop > end)
    throw new WireError('oxm', 'length', at + 3, `${length}, only ${end - at - headerSize} bytes left`, {
      reply: badMatchLength,
    });
  if (get16(bytes, at) === OxmClass.experimenter && length < 4)
    throw new WireError('oxm', 'length', at + 3, `${length}, an experimenter id takes 4`, { reply: badMatchLength });
  return stop;
}

/** Field of the OXM at `at` (checked by `oxmEnd`); undefined when the table does not have it. */
export function oxmSpec(bytes: Uint8Array, at: number): FieldSpec | undefined {
  const oxmClass = get16(bytes, at);
  const isExperimenter = oxmClass === OxmClass.experimenter;
  const length = bytes[at + 3]! - (isExperimenter ? 4 : 0);
  const size = (bytes[at + 2]! & 1) === 0 ? length : length >> 1;
  return fieldByNumber(oxmClass, bytes[at + 2]! >> 1, isExperimenter ? get32(bytes, at + 4) : 0, size);
}

/** Decodes the OXM that fills [at, end); `end` comes from `oxmEnd`. A known field of the wrong size is refused. */
export function decodeOxm(bytes: Uint8Array, at: number, end: number): OxmEntry {
  const spec = oxmSpec(bytes, at);
  const hasMask = (bytes[at + 2]! & 1) === 1;
  const oxmClass = get16(bytes, at);
  const from = at + headerSize + (oxmClass === OxmClass.experimenter ? 4 : 0);
  const length = end - from;
  if (spec === undefined) {
    const entry = { field: 'unknown', oxmClass, oxmField: bytes[at + 2]! >> 1, hasMask } as const;
    const rest = { bytes: copyOf(bytes, from, end) };
    return from - at === headerSize ? { ...entry, ...rest } : { ...entry, experimenter: get32(bytes, at + 4), ...rest };
  }
  const size = hasMask ? length / 2 : length;
  if (spec.bytes === 0 ? !Number.isInteger(size) : size !== spec.bytes)
    throw new WireError('oxm', spec.name, at + 3, `takes ${length} bytes, ${spec.bytes} wanted`, {
      reply: badMatchLength,
    });
  const value = readValue(spec, bytes, from, size);
  if (!hasMask) return { field: spec.name, value };
  return { field: spec.name, value, mask: readValue(spec, bytes, from + size, size) };
}

/** Decodes OXMs that fill [at, end), in order. */
export function decodeOxms(bytes: Uint8Array, at: number, end: number): OxmEntry[] {
  const list: OxmEntry[] = [];
  for (let here = at; here < end; ) {
    const stop = oxmEnd(bytes, here, end);
    list.push(decodeOxm(bytes, here, stop));
    here = stop;
  }
  return list;
}

/** Bytes that the entry takes. */
export function oxmSize(entry: OxmEntry): number {
  if (entry.field === 'unknown')
    return headerSize + (entry.oxmClass === OxmClass.experimenter ? 4 : 0) + entry.bytes.length;
  const spec = fields[entry.field];
  const size = spec.bytes === 0 ? (entry.value as Uint8Array).length : spec.bytes;
  return headerSize + (spec.experimenter === undefined ? 0 : 4) + (entry.mask === undefined ? size : 2 * size);
}

/** Writes one OXM as it is; returns its end. */
export function writeOxm(bytes: Uint8Array, at: number, entry: OxmEntry): number {
  const payload = oxmSize(entry) - headerSize;
  if (entry.field === 'unknown') {
    if (payload > 255)
      throw new WireError('oxm', 'length', -1, `${payload} bytes, at most 255`, { code: 'NL_WIRE_VALUE' });
    let here = writeHeader(bytes, at, entry.oxmClass, entry.oxmField, entry.hasMask, payload, entry.experimenter);
    bytes.set(entry.bytes, here);
    here += entry.bytes.length;
    return here;
  }
  const spec = fields[entry.field];
  const hasMask = entry.mask !== undefined;
  let here = writeHeader(bytes, at, spec.oxmClass, spec.field, hasMask, payload, spec.experimenter);
  const valueAt = here;
  here = writeValue(spec, bytes, here, entry.value);
  if (entry.mask === undefined) return here;
  const stop = writeValue(spec, bytes, here, entry.mask);
  if (stop - here !== here - valueAt)
    throw new WireError('oxm', spec.name, -1, 'has a mask of another length than its value', { code: 'NL_WIRE_VALUE' });
  return stop;
}

function writeHeader(
  bytes: Uint8Array,
  at: number,
  oxmClass: number,
  field: number,
  hasMask: boolean,
  payload: number,
  experimenter: number | undefined,
): number {
  set16(bytes, at, oxmClass);
  bytes[at + 2] = (field << 1) | (hasMask ? 1 : 0);
  bytes[at + 3] = payload;
  if (oxmClass !== OxmClass.experimenter) return at + headerSize;
  set32(bytes, at + headerSize, experimenter ?? 0);
  return at + headerSize + 4;
}

/** Encodes entries as they are, in the order given, without padding. */
export function encodeOxms(list: readonly OxmEntry[]): Buffer {
  let size = 0;
  for (const entry of list) size += oxmSize(entry);
  const bytes = Buffer.alloc(size);
  let at = 0;
  for (const entry of list) at = writeOxm(bytes, at, entry);
  return bytes;
}

/** Bytes that a field id takes: 4, or 8 with an experimenter id. */
export function fieldIdSize(id: FieldId): number {
  const oxmClass = id.field === 'unknown' ? id.oxmClass : fields[id.field].oxmClass;
  return oxmClass === OxmClass.experimenter ? 8 : 4;
}

/** Reads a field id; its size is `fieldIdSize` of the result. Throws WireError when it does not fit into [at, end). */
export function readFieldId(bytes: Uint8Array, at: number, end: number): FieldId {
  const oxmClass = end - at < headerSize ? 0 : get16(bytes, at);
  const size = oxmClass === OxmClass.experimenter ? 8 : headerSize;
  if (end - at < size)
    throw new WireError('oxm', 'header', at, `cut: ${end - at} bytes left`, { reply: badMatchLength });
  const hasMask = (bytes[at + 2]! & 1) === 1;
  const oxmField = bytes[at + 2]! >> 1;
  const length = bytes[at + 3]! - (size === 8 ? 4 : 0);
  const experimenter = size === 8 ? get32(bytes, at + 4) : 0;
  const spec = fieldByNumber(oxmClass, oxmField, experimenter, length);
  if (spec === undefined || length < 0) {
    const unknown = { field: 'unknown', oxmClass, oxmField, hasMask, length } as const;
    return size === 8 ? { ...unknown, experimenter } : unknown;
  }
  return {
    field: spec.name,
    ...(hasMask ? { hasMask: true as const } : {}),
    ...(length === spec.bytes ? {} : { length }),
  };
}

/** Writes a field id; returns its end. */
export function writeFieldId(bytes: Uint8Array, at: number, id: FieldId): number {
  if (id.field === 'unknown') {
    const extra = id.oxmClass === OxmClass.experimenter ? 4 : 0;
    return writeHeader(bytes, at, id.oxmClass, id.oxmField, id.hasMask, id.length + extra, id.experimenter);
  }
  const spec = fields[id.field];
  const payload = (id.length ?? spec.bytes) + (spec.experimenter === undefined ? 0 : 4);
  return writeHeader(bytes, at, spec.oxmClass, spec.field, id.hasMask === true, payload, spec.experimenter);
}
