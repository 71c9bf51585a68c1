import { type Address, ipText, readAddress, writeAddress } from './address.ts';
import { Reader, Writer } from './cursor.ts';
import { LispError } from './errors.ts';
import { type EidRecord, type MappingRecord, readEid, readMapping, writeEid, writeMapping } from './records.ts';

/** UDP port of the control plane (RFC 9301 §4). */
export const CONTROL_PORT = 4342;

export const LispType = {
  mapRequest: 1,
  mapReply: 2,
  mapRegister: 3,
  mapNotify: 4,
  mapNotifyAck: 5,
  info: 7,
  encapsulated: 8,
} as const;

/** Authentication of a registration or notification; `data` is all zero while it is computed over. */
export interface Authentication {
  /** RFC 9301: key id in the upper byte, algorithm in the lower; one number before. */
  readonly keyId: number;
  readonly data: Buffer;
}

/** Who registers (RFC 9301 §5.6, I bit): 128-bit xTR-ID and 64-bit Site-ID, hex. */
export interface XtrIdentity {
  readonly xtrId: string;
  readonly siteId: string;
}

interface WithNonce {
  /** 16 hex digits; opaque. */
  readonly nonce: string;
  /** Bits of the first word that have no name here; kept as they came. */
  readonly reserved: number;
}

export interface MapRequest extends WithNonce {
  readonly type: 'mapRequest';
  readonly authoritative: boolean;
  readonly mapDataPresent: boolean;
  readonly probe: boolean;
  /** S: solicits a Map-Request: the mapping of the source changed. */
  readonly smr: boolean;
  /** p: from a proxy ITR. */
  readonly pitr: boolean;
  /** s: an SMR caused it. */
  readonly smrInvoked: boolean;
  /** I: an xTR-ID follows (RFC 9437). */
  readonly identity?: XtrIdentity;
  /** `{afi: 'none'}` when it is not caused by a packet. */
  readonly source: Address;
  /** Where the answer may go; one to 32. */
  readonly itrRlocs: readonly Address[];
  readonly records: readonly EidRecord[];
  /** M: the mapping of the source EID. */
  readonly reply?: MappingRecord;
  /** What follows all that, as it came; it means nothing to us. */
  readonly trailer?: Buffer;
}

export interface MapReply extends WithNonce {
  readonly type: 'mapReply';
  readonly probe: boolean;
  readonly echoNonce: boolean;
  readonly security: boolean;
  readonly records: readonly MappingRecord[];
  /** With S: the LISP-SEC part, as it came. */
  readonly trailer?: Buffer;
}

export interface MapRegister extends WithNonce {
  readonly type: 'mapRegister';
  /** P: the Map-Server answers for us. */
  readonly proxyReply: boolean;
  readonly security: boolean;
  /** R: through a re-encapsulating router. */
  readonly rtr: boolean;
  /** T: the time to live of the records is how long they stay registered. */
  readonly useTtl: boolean;
  /** a: merge with registrations of others. */
  readonly merge: boolean;
  /** M: a Map-Notify is wanted. */
  readonly wantNotify: boolean;
  readonly auth: Authentication;
  readonly records: readonly MappingRecord[];
  readonly identity?: XtrIdentity;
  /** What follows the records and the identity (RTR authentication of NAT traversal), as it came. */
  readonly trailer?: Buffer;
}

export interface MapNotify extends WithNonce {
  readonly type: 'mapNotify' | 'mapNotifyAck';
  readonly rtr: boolean;
  readonly auth: Authentication;
  readonly records: readonly MappingRecord[];
  readonly identity?: XtrIdentity;
  readonly trailer?: Buffer;
}

/** Info-Request, and Info-Reply with what a NAT made of the asker (draft-ermagan-lisp-nat-traversal). */
export interface Info extends WithNonce {
  readonly type: 'infoRequest' | 'infoReply';
  readonly auth: Authentication;
  /** Minutes. */
  readonly ttl: number;
  readonly reserved2: number;
  readonly maskLength: number;
  readonly eid: Address;
  /** In a reply: the NAT traversal LCAF. In a request: none. */
  readonly nat: Address;
}

/** An Encapsulated Control Message (RFC 9301 §5.8): another message with the IP and UDP headers it would have had. */
export interface Encapsulated {
  readonly type: 'encapsulated';
  readonly security: boolean;
  /** D: sent through a delegation tree. */
  readonly ddt: boolean;
  readonly reserved: number;
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** LISP-SEC (with S), IP and UDP headers as they came. */
  readonly headers: Buffer;
  readonly message: LispMessage;
}

/** A type that is not known here, kept as it came. */
export interface UnknownMessage {
  readonly type: 'unknown';
  readonly lispType: number;
  readonly bytes: Buffer;
}

export type LispMessage = MapRequest | MapReply | MapRegister | MapNotify | Info | Encapsulated | UnknownMessage;

/** Encapsulated messages within encapsulated messages. */
const MAX_NESTED = 2;

// Bits of the first 32, below the type.
const REQUEST = { a: 1 << 27, m: 1 << 26, p: 1 << 25, s: 1 << 24, pitr: 1 << 23, smrInvoked: 1 << 22, i: 1 << 21 };
const REPLY = { p: 1 << 27, e: 1 << 26, s: 1 << 25 };
const REGISTER = { p: 1 << 27, s: 1 << 26, i: 1 << 25, r: 1 << 24, t: 1 << 10, a: 1 << 9, m: 1 << 8 };
const NOTIFY = { i: 1 << 27, r: 1 << 26 };
const INFO_REPLY = 1 << 27;
const ECM = { s: 1 << 27, d: 1 << 26 };
const BODY = 0x0fff_ffff;

const all = (bits: Readonly<Record<string, number>>): number => Object.values(bits).reduce((sum, bit) => sum | bit, 0);
const bit = (on: boolean | undefined, mask: number): number => (on ? mask : 0);

/** Decodes one message, which is the whole payload of a datagram. Throws LispError. */
export const decodeLisp = (bytes: Buffer): LispMessage => decode(new Reader(bytes), 0);

function decode(reader: Reader, depth: number): LispMessage {
  const start = reader.at;
  const word = reader.u32('header', 'type');
  const type = word >>> 28;
  let message: LispMessage;
  switch (type) {
    case LispType.mapRequest:
      message = mapRequest(reader, word);
      break;
    case LispType.mapReply:
      message = mapReply(reader, word);
      break;
    case LispType.mapRegister:
      message = mapRegister(reader, word);
      break;
    case LispType.mapNotify:
    case LispType.mapNotifyAck:
      message = mapNotify(reader, word);
      break;
    case LispType.info:
      message = info(reader, word);
      break;
    case LispType.encapsulated:
      message = encapsulated(reader, word, depth);
      break;
    default:
      reader.at = start;
      message = { type: 'unknown', lispType: type, bytes: reader.copy('message', 'bytes', reader.left) };
  }
  if (reader.left > 0) throw new LispError('message', 'length', reader.at, `${reader.left} bytes too many`);
  return message;
}

const nonceOf = (reader: Reader): string => reader.hex('header', 'nonce', 8);
const times = <T>(count: number, read: () => T): T[] => Array.from({ length: count }, read);

function mapRequest(reader: Reader, word: number): MapRequest {
  const nonce = nonceOf(reader);
  const source = readAddress(reader, 'source');
  const itrRlocs = times(((word >> 8) & 0x1f) + 1, () => readAddress(reader, 'itrRloc'));
  const records = times(word & 0xff, () => readEid(reader));
  const mapDataPresent = (word & REQUEST.m) !== 0;
  const reply = mapDataPresent && reader.left > 0 ? readMapping(reader) : undefined;
  // Before RFC 9437 the bit was reserved: without the bytes it means nothing.
  const identity = (word & REQUEST.i) !== 0 && reader.left === 24 ? readIdentity(reader) : undefined;
  const trailer = reader.left > 0 ? reader.copy('message', 'trailer', reader.left) : undefined;
  const named = all(REQUEST) & ~(identity ? 0 : REQUEST.i);
  return {
    type: 'mapRequest',
    authoritative: (word & REQUEST.a) !== 0,
    mapDataPresent,
    probe: (word & REQUEST.p) !== 0,
    smr: (word & REQUEST.s) !== 0,
    pitr: (word & REQUEST.pitr) !== 0,
    smrInvoked: (word & REQUEST.smrInvoked) !== 0,
    nonce,
    reserved: word & BODY & ~named & ~0x1fff,
    source,
    itrRlocs,
    records,
    ...(reply ? { reply } : {}),
    ...(identity ? { identity } : {}),
    ...(trailer ? { trailer } : {}),
  };
}

function mapReply(reader: Reader, word: number): MapReply {
  const nonce = nonceOf(reader);
  const records = times(word & 0xff, () => readMapping(reader));
  const security = (word & REPLY.s) !== 0;
  const trailer = security && reader.left > 0 ? reader.copy('message', 'security', reader.left) : undefined;
  return {
    type: 'mapReply',
    probe: (word & REPLY.p) !== 0,
    echoNonce: (word & REPLY.e) !== 0,
    security,
    nonce,
    reserved: word & BODY & ~all(REPLY) & ~0xff,
    records,
    ...(trailer ? { trailer } : {}),
  };
}

function readAuth(reader: Reader): Authentication {
  const keyId = reader.u16('auth', 'keyId');
  const length = reader.u16('auth', 'length');
  return { keyId, data: reader.copy('auth', 'data', length) };
}

const readIdentity = (reader: Reader): XtrIdentity => ({
  xtrId: reader.hex('identity', 'xtrId', 16),
  siteId: reader.hex('identity', 'siteId', 8),
});

/** Records, and what may follow them. */
function readRecords(reader: Reader, count: number, hasIdentity: boolean) {
  const records = times(count, () => readMapping(reader));
  const identity = hasIdentity ? readIdentity(reader) : undefined;
  const trailer = reader.left > 0 ? reader.copy('message', 'trailer', reader.left) : undefined;
  return { records, ...(identity ? { identity } : {}), ...(trailer ? { trailer } : {}) };
}

function mapRegister(reader: Reader, word: number): MapRegister {
  const nonce = nonceOf(reader);
  const auth = readAuth(reader);
  return {
    type: 'mapRegister',
    proxyReply: (word & REGISTER.p) !== 0,
    security: (word & REGISTER.s) !== 0,
    rtr: (word & REGISTER.r) !== 0,
    useTtl: (word & REGISTER.t) !== 0,
    merge: (word & REGISTER.a) !== 0,
    wantNotify: (word & REGISTER.m) !== 0,
    nonce,
    reserved: word & BODY & ~all(REGISTER) & ~0xff,
    auth,
    ...readRecords(reader, word & 0xff, (word & REGISTER.i) !== 0),
  };
}

function mapNotify(reader: Reader, word: number): MapNotify {
  const nonce = nonceOf(reader);
  const auth = readAuth(reader);
  return {
    type: word >>> 28 === LispType.mapNotify ? 'mapNotify' : 'mapNotifyAck',
    rtr: (word & NOTIFY.r) !== 0,
    nonce,
    reserved: word & BODY & ~all(NOTIFY) & ~0xff,
    auth,
    ...readRecords(reader, word & 0xff, (word & NOTIFY.i) !== 0),
  };
}

function info(reader: Reader, word: number): Info {
  const nonce = nonceOf(reader);
  const auth = readAuth(reader);
  const ttl = reader.u32('info', 'ttl');
  const reserved2 = reader.u8('info', 'reserved');
  const maskLength = reader.u8('info', 'maskLength');
  return {
    type: (word & INFO_REPLY) !== 0 ? 'infoReply' : 'infoRequest',
    nonce,
    reserved: word & BODY & ~INFO_REPLY,
    auth,
    ttl,
    reserved2,
    maskLength,
    eid: readAddress(reader, 'eid'),
    nat: readAddress(reader, 'nat'),
  };
}

function encapsulated(reader: Reader, word: number, depth: number): Encapsulated {
  if (depth >= MAX_NESTED) {
    throw new LispError('ecm', 'message', reader.at, `encapsulated more than ${MAX_NESTED} times`);
  }
  const security = (word & ECM.s) !== 0;
  const start = reader.at;
  if (security) skipSecurity(reader);
  const facts = readHeaders(reader);
  return {
    type: 'encapsulated',
    security,
    ddt: (word & ECM.d) !== 0,
    reserved: word & BODY & ~all(ECM),
    ...facts,
    headers: Buffer.from(reader.bytes.subarray(start, reader.at)),
    message: decode(reader.sub('ecm', 'message', reader.left), depth + 1),
  };
}

/** The authentication data of LISP-SEC (RFC 9303 §6.1): its length is that of its fixed part, key and digest. */
function skipSecurity(reader: Reader): void {
  reader.u32('ecm', 'security');
  reader.u16('ecm', 'otkLength');
  const length = reader.u16('ecm', 'security.length');
  reader.take('ecm', 'security', length);
}

function readHeaders(reader: Reader) {
  const version = (reader.bytes[reader.at] ?? 0) >> 4;
  if (version === 4) {
    const length = 4 * (reader.u8('ip', 'headerLength') & 0xf);
    if (length < 20) throw new LispError('ip', 'headerLength', reader.at - 1, `${length} bytes are too few`);
    const rest = reader.take('ip', 'header', length - 1);
    return { source: ipText(rest.subarray(11, 15)), destination: ipText(rest.subarray(15, 19)), ...readUdp(reader) };
  }
  if (version !== 6) throw new LispError('ip', 'version', reader.at, `${version} is neither 4 nor 6`);
  const header = reader.take('ip', 'header', 40);
  return { source: ipText(header.subarray(8, 24)), destination: ipText(header.subarray(24, 40)), ...readUdp(reader) };
}

function readUdp(reader: Reader) {
  const sourcePort = reader.u16('udp', 'sourcePort');
  const destinationPort = reader.u16('udp', 'destinationPort');
  reader.take('udp', 'lengthAndChecksum', 4);
  return { sourcePort, destinationPort };
}

/** Encodes a message. Throws LispError for values that do not fit. */
export function encodeLisp(message: LispMessage): Buffer {
  const writer = new Writer();
  write(writer, message);
  return writer.bytes();
}

const head = (type: number, bits: number): number => ((type << 28) | bits) >>> 0;

function write(writer: Writer, message: LispMessage): void {
  switch (message.type) {
    case 'mapRequest':
      writeRequest(writer, message);
      return;
    case 'mapReply': {
      const { probe, echoNonce, security, reserved, records, nonce, trailer } = message;
      const bits = bit(probe, REPLY.p) | bit(echoNonce, REPLY.e) | bit(security, REPLY.s) | reserved;
      writer.u32(head(LispType.mapReply, bits | records.length)).hex(nonce);
      for (const record of records) writeMapping(writer, record);
      if (trailer) writer.raw(trailer);
      return;
    }
    case 'mapRegister': {
      const { proxyReply, security, rtr, useTtl, merge, wantNotify, identity, reserved } = message;
      const bits =
        bit(proxyReply, REGISTER.p) |
        bit(security, REGISTER.s) |
        bit(identity !== undefined, REGISTER.i) |
        bit(rtr, REGISTER.r) |
        bit(useTtl, REGISTER.t) |
        bit(merge, REGISTER.a) |
        bit(wantNotify, REGISTER.m);
      writeSigned(writer, head(LispType.mapRegister, bits | reserved), message);
      return;
    }
    case 'mapNotify':
    case 'mapNotifyAck': {
      const bits = bit(message.identity !== undefined, NOTIFY.i) | bit(message.rtr, NOTIFY.r) | message.reserved;
      writeSigned(writer, head(LispType[message.type], bits), message);
      return;
    }
    case 'infoRequest':
    case 'infoReply': {
      const { nonce, auth, reserved, ttl, reserved2, maskLength, eid, nat } = message;
      writer.u32(head(LispType.info, bit(message.type === 'infoReply', INFO_REPLY) | reserved)).hex(nonce);
      writer.u16(auth.keyId).u16(auth.data.length).raw(auth.data).u32(ttl).u8(reserved2).u8(maskLength);
      writeAddress(writer, eid);
      writeAddress(writer, nat);
      return;
    }
    case 'encapsulated': {
      const { security, ddt, reserved, headers } = message;
      writer.u32(head(LispType.encapsulated, bit(security, ECM.s) | bit(ddt, ECM.d) | reserved)).raw(headers);
      write(writer, message.message);
      return;
    }
    case 'unknown':
      writer.raw(message.bytes);
  }
}

function writeRequest(writer: Writer, request: MapRequest): void {
  const { itrRlocs, records, source, reply, identity } = request;
  if (itrRlocs.length < 1 || itrRlocs.length > 32) {
    throw new LispError('mapRequest', 'itrRlocs', 0, `${itrRlocs.length} locators, one to 32 wanted,`);
  }
  const bits =
    bit(request.authoritative, REQUEST.a) |
    bit(request.mapDataPresent, REQUEST.m) |
    bit(request.probe, REQUEST.p) |
    bit(request.smr, REQUEST.s) |
    bit(request.pitr, REQUEST.pitr) |
    bit(request.smrInvoked, REQUEST.smrInvoked) |
    bit(identity !== undefined, REQUEST.i) |
    request.reserved |
    ((itrRlocs.length - 1) << 8) |
    records.length;
  writer.u32(head(LispType.mapRequest, bits)).hex(request.nonce);
  writeAddress(writer, source);
  for (const rloc of itrRlocs) writeAddress(writer, rloc);
  for (const record of records) writeEid(writer, record);
  if (reply) writeMapping(writer, reply);
  if (identity) writer.hex(identity.xtrId).hex(identity.siteId);
  if (request.trailer) writer.raw(request.trailer);
}

function writeSigned(writer: Writer, word: number, message: MapRegister | MapNotify): void {
  const { nonce, auth, records, identity, trailer } = message;
  writer
    .u32((word | records.length) >>> 0)
    .hex(nonce)
    .u16(auth.keyId)
    .u16(auth.data.length)
    .raw(auth.data);
  for (const record of records) writeMapping(writer, record);
  if (identity) writer.hex(identity.xtrId).hex(identity.siteId);
  if (trailer) writer.raw(trailer);
}
