import { type Address, readAddress, writeAddress } from './address.ts';
import type { Reader, Writer } from './cursor.ts';

/** What an ITR does with packets for a record without locators (RFC 9301 §5.4); 4 and 5 are of RFC 9301, the rest reserved. */
export const MapAction = {
  noAction: 0,
  nativelyForward: 1,
  sendMapRequest: 2,
  drop: 3,
  dropPolicy: 4,
  dropAuth: 5,
} as const;

/** Where an EID prefix is reached (RFC 9301 §5.4). */
export interface Locator {
  /** Lower is better; 255: not for unicast. */
  readonly priority: number;
  readonly weight: number;
  readonly multicastPriority: number;
  readonly multicastWeight: number;
  /** Thirteen bits, kept as they came. */
  readonly reserved: number;
  /** L: the locator of whoever sends the record. */
  readonly local: boolean;
  /** p: the address that a probe was sent to. */
  readonly probed: boolean;
  /** R: reachable, as seen by whoever sends the record. */
  readonly reachable: boolean;
  readonly rloc: Address;
}

/** An EID prefix and where it is (RFC 9301 §5.4). */
export interface MappingRecord {
  /** Minutes; 0 withdraws in a Map-Register; with the highest bit set, seconds. */
  readonly ttl: number;
  readonly maskLength: number;
  /** MapAction; what to do when there is no locator. */
  readonly action: number;
  /** A: from the mapping system's authority. */
  readonly authoritative: boolean;
  /** Twelve bits, and four; kept as they came. */
  readonly reserved: number;
  readonly reserved2: number;
  /** Twelve bits; 0: none. */
  readonly version: number;
  readonly eid: Address;
  readonly locators: readonly Locator[];
}

/** What is asked for: an EID prefix (RFC 9301 §5.2). */
export interface EidRecord {
  /** Highest bit N: subscribe (RFC 9437). */
  readonly reserved: number;
  readonly maskLength: number;
  readonly eid: Address;
}

export function readMapping(reader: Reader): MappingRecord {
  const name = 'record';
  const ttl = reader.u32(name, 'ttl');
  const count = reader.u8(name, 'locatorCount');
  const maskLength = reader.u8(name, 'maskLength');
  const flags = reader.u16(name, 'flags');
  const version = reader.u16(name, 'version');
  const eid = readAddress(reader, 'eid');
  const locators = Array.from({ length: count }, () => readLocator(reader));
  return {
    ttl,
    maskLength,
    action: flags >> 13,
    authoritative: (flags & 0x1000) !== 0,
    reserved: flags & 0xfff,
    reserved2: version >> 12,
    version: version & 0xfff,
    eid,
    locators,
  };
}

function readLocator(reader: Reader): Locator {
  const name = 'locator';
  const priority = reader.u8(name, 'priority');
  const weight = reader.u8(name, 'weight');
  const multicastPriority = reader.u8(name, 'multicastPriority');
  const multicastWeight = reader.u8(name, 'multicastWeight');
  const flags = reader.u16(name, 'flags');
  return {
    priority,
    weight,
    multicastPriority,
    multicastWeight,
    reserved: flags >> 3,
    local: (flags & 4) !== 0,
    probed: (flags & 2) !== 0,
    reachable: (flags & 1) !== 0,
    rloc: readAddress(reader, 'rloc'),
  };
}

export function writeMapping(writer: Writer, record: MappingRecord): void {
  writer
    .u32(record.ttl)
    .u8(record.locators.length)
    .u8(record.maskLength)
    .u16((record.action << 13) | (record.authoritative ? 0x1000 : 0) | record.reserved)
    .u16((record.reserved2 << 12) | record.version);
  writeAddress(writer, record.eid);
  for (const locator of record.locators) {
    const flags = (locator.local ? 4 : 0) | (locator.probed ? 2 : 0) | (locator.reachable ? 1 : 0);
    writer
      .u8(locator.priority)
      .u8(locator.weight)
      .u8(locator.multicastPriority)
      .u8(locator.multicastWeight)
      .u16((locator.reserved << 3) | flags);
    writeAddress(writer, locator.rloc);
  }
}

export const readEid = (reader: Reader): EidRecord => ({
  reserved: reader.u8('eid-record', 'reserved'),
  maskLength: reader.u8('eid-record', 'maskLength'),
  eid: readAddress(reader, 'eid'),
});

export function writeEid(writer: Writer, { reserved, maskLength, eid }: EidRecord): void {
  writer.u8(reserved).u8(maskLength);
  writeAddress(writer, eid);
}
