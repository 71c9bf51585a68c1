import { type Action, decodeActions, writeActions } from '../actions.ts';
import { copyOf, get16, get32 } from '../bytes.ts';
import { WireError } from '../errors.ts';
import { decodeInstructions, type Instruction, writeInstructions } from '../instructions.ts';
import { decodeMatch, encodeMatchList, matchEnd } from '../match.ts';
import type { OxmEntry } from '../oxm.ts';
import type { Fields, Struct, Table } from '../struct.ts';
import { type ListRule, listOfElements } from '../tlv.ts';
import type { Writer } from '../writer.ts';
import { BandFixed, BucketFixed, PacketQueueFixed } from './structs.ts';

/** Plain object of a structure. */
export type FieldsOf<S extends { readonly table: Table }> = Readonly<Fields<S['table']>>;
/** The same without the lengths and counts that follow from the rest. */
export type Without<S extends { readonly table: Table }, K extends keyof Fields<S['table']>> = Omit<FieldsOf<S>, K>;

/** Bad length of a request. */
export const badRequestLength = { type: 1, code: 6 };

/** Reads a structure after checking that it fits. */
export function part<T extends Table>(layout: Struct<T>, bytes: Uint8Array, at: number, end: number): Fields<T> {
  layout.check(bytes, at, end, badRequestLength);
  return layout.read(bytes, at);
}

/** Refuses bytes after the end of a structure of fixed size. */
export function nothingAfter(structure: string, at: number, end: number): void {
  if (at !== end)
    throw new WireError(structure, 'length', at, `${end - at} bytes too many`, { reply: badRequestLength });
}

/** Reads a structure that fills the span exactly. */
export function exactly<T extends Table>(layout: Struct<T>, bytes: Uint8Array, at: number, end: number): Fields<T> {
  const fields = part(layout, bytes, at, end);
  nothingAfter(layout.name, at + layout.size, end);
  return fields;
}

/** Reads structures of one size that fill the span. */
export function arrayOf<T extends Table>(layout: Struct<T>, bytes: Uint8Array, at: number, end: number): Fields<T>[] {
  const items: Fields<T>[] = [];
  for (let here = at; here < end; here += layout.size) items.push(part(layout, bytes, here, end));
  return items;
}

/** A match and where it ends. */
export function readMatch(bytes: Uint8Array, at: number, end: number): { match: OxmEntry[]; next: number } {
  return { match: decodeMatch(bytes, at, end), next: matchEnd(bytes, at, end) };
}

/** Appends an ofp_match. */
export function writeMatch(writer: Writer, match: readonly OxmEntry[]): void {
  writer.raw(encodeMatchList(match));
}

/** One bucket of a group. */
export type Bucket = Without<typeof BucketFixed, 'length'> & { readonly actions: readonly Action[] };

const bucketRule: ListRule = {
  structure: 'ofp_bucket',
  lengthAt: 0,
  min: 16,
  multipleOf: 8,
  reply: { type: 6, code: 12 },
};

/** Buckets that fill the span. */
export function readBuckets(bytes: Uint8Array, at: number, end: number): Bucket[] {
  return listOfElements(bytes, at, end, bucketRule, (from, to) => {
    const { length: _, ...fixed } = BucketFixed.read(bytes, from);
    return { ...fixed, actions: decodeActions(bytes, from + BucketFixed.size, to) };
  });
}

/** Appends buckets. */
export function writeBuckets(writer: Writer, buckets: readonly Bucket[]): void {
  for (const bucket of buckets) {
    const from = writer.at;
    writer.put(BucketFixed, { ...bucket, length: 0 });
    writeActions(writer, bucket.actions);
    writer.length16(from, from);
  }
}

/** One band of a meter. `precLevel` for dscpRemark; unknown bands keep what follows the header. */
export type Band = { readonly rate: number; readonly burstSize: number } & (
  | { readonly type: 'drop' }
  | { readonly type: 'dscpRemark'; readonly precLevel: number }
  | { readonly type: 'experimenter'; readonly experimenter: number; readonly bytes: Uint8Array }
  | { readonly type: 'unknown'; readonly bandType: number; readonly bytes: Uint8Array }
);

const bandRule: ListRule = { structure: 'ofp_meter_band', min: 12, reply: { type: 12, code: 8 } };

/** Bands that fill the span. */
export function readBands(bytes: Uint8Array, at: number, end: number): Band[] {
  return listOfElements(bytes, at, end, bandRule, (from, to): Band => {
    const { type, rate, burstSize } = BandFixed.read(bytes, from);
    const size = to - from;
    if (type === 1 && size === 16) return { type: 'drop', rate, burstSize };
    if (type === 2 && size === 16) return { type: 'dscpRemark', rate, burstSize, precLevel: bytes[from + 12]! };
    if (type === 0xffff && size >= 16) {
      const experimenter = get32(bytes, from + 12);
      return { type: 'experimenter', rate, burstSize, experimenter, bytes: copyOf(bytes, from + 16, to) };
    }
    if (type === 1 || type === 2)
      throw new WireError('ofp_meter_band', 'length', from + 2, `${size}, 16 wanted`, { reply: { type: 12, code: 8 } });
    return { type: 'unknown', bandType: type, rate, burstSize, bytes: copyOf(bytes, from + 12, to) };
  });
}

/** Appends bands. */
export function writeBands(writer: Writer, bands: readonly Band[]): void {
  for (const band of bands) {
    const from = writer.at;
    const type =
      band.type === 'drop' ? 1 : band.type === 'dscpRemark' ? 2 : band.type === 'unknown' ? band.bandType : 0xffff;
    writer.put(BandFixed, { type, length: 0, rate: band.rate, burstSize: band.burstSize });
    if (band.type === 'drop') writer.zero(4);
    else if (band.type === 'dscpRemark') writer.u8(band.precLevel).zero(3);
    else if (band.type === 'experimenter') writer.u32(band.experimenter).raw(band.bytes);
    else writer.raw(band.bytes);
    writer.length16(from, from + 2);
  }
}

/** One property of a queue; rates in tenths of a per cent, above 1000 disabled. */
export type QueueProperty =
  | { readonly type: 'minRate'; readonly rate: number }
  | { readonly type: 'maxRate'; readonly rate: number }
  | { readonly type: 'experimenter'; readonly experimenter: number; readonly bytes: Uint8Array }
  | { readonly type: 'unknown'; readonly property: number; readonly bytes: Uint8Array };

/** One queue of a port. */
export type PacketQueue = Without<typeof PacketQueueFixed, 'length'> & {
  readonly properties: readonly QueueProperty[];
};

const queueRule: ListRule = { structure: 'ofp_packet_queue', lengthAt: 8, min: 16 };
const queuePropertyRule: ListRule = { structure: 'ofp_queue_prop_header', min: 8 };

/** Queues that fill the span. */
export function readQueues(bytes: Uint8Array, at: number, end: number): PacketQueue[] {
  return listOfElements(bytes, at, end, queueRule, (from, to) => {
    const { length: _, ...fixed } = part(PacketQueueFixed, bytes, from, to);
    const properties = listOfElements(
      bytes,
      from + PacketQueueFixed.size,
      to,
      queuePropertyRule,
      (start, stop): QueueProperty => {
        const property = get16(bytes, start);
        const size = stop - start;
        if (property === 1 && size === 16) return { type: 'minRate', rate: get16(bytes, start + 8) };
        if (property === 2 && size === 16) return { type: 'maxRate', rate: get16(bytes, start + 8) };
        if (property === 0xffff && size >= 16) {
          const experimenter = get32(bytes, start + 8);
          return { type: 'experimenter', experimenter, bytes: copyOf(bytes, start + 16, stop) };
        }
        return { type: 'unknown', property, bytes: copyOf(bytes, start + 4, stop) };
      },
    );
    return { ...fixed, properties };
  });
}

/** Appends queues. */
export function writeQueues(writer: Writer, queues: readonly PacketQueue[]): void {
  for (const queue of queues) {
    const from = writer.at;
    writer.put(PacketQueueFixed, { ...queue, length: 0 });
    for (const property of queue.properties) {
      const start = writer.at;
      if (property.type === 'minRate' || property.type === 'maxRate')
        writer
          .u16(property.type === 'minRate' ? 1 : 2)
          .zero(6)
          .u16(property.rate)
          .zero(6);
      else if (property.type === 'experimenter')
        writer.u16(0xffff).zero(6).u32(property.experimenter).zero(4).raw(property.bytes);
      else writer.u16(property.property).u16(0).raw(property.bytes);
      writer.length16(start, start + 2);
    }
    writer.length16(from, from + PacketQueueFixed.offsets.length);
  }
}

export { decodeActions, decodeInstructions, type Instruction, writeActions, writeInstructions };
