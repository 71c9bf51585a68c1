import { formatIp, formatMac, parseIp, parseMac } from '../../controller/kernel/index.ts';
import { type Reader, Writer } from './cursor.ts';
import { LispError } from './errors.ts';

/** Address families that LISP uses (IANA), and the one for LCAF (RFC 8060). Some write a MAC as one of IEEE 802. */
export const Afi = { none: 0, ipv4: 1, ipv6: 2, ieee802: 6, name: 17, lcaf: 16_387, mac: 16_389 } as const;
const LcafType = { afiList: 1, instanceId: 2, nat: 7, explicitPath: 10, sourceDestination: 12 } as const;

/** What every LCAF has besides its type and length; kept as it came. */
export interface LcafHeader {
  readonly reserved1: number;
  readonly flags: number;
  readonly reserved2: number;
}

/** One hop of an explicit locator path (RFC 8060 §4.9.1). */
export interface PathHop {
  /** Thirteen reserved bits, then L (lookup), P (RLOC probe), S (strict). */
  readonly flags: number;
  readonly address: Address;
}

/** An EID or RLOC in one of the forms that we know. IP addresses and MACs are canonical text. */
export type Address =
  | { readonly afi: 'none' }
  | { readonly afi: 'ipv4' | 'ipv6' | 'mac' | 'ieee802'; readonly address: string }
  /** A distinguished name, without its NUL. */
  | { readonly afi: 'name'; readonly name: string }
  /** An address within a virtual network (RFC 8060 §4.1); the mask length is `reserved2`. */
  | ({
      readonly afi: 'lcaf';
      readonly type: 'instanceId';
      readonly instanceId: number;
      readonly address: Address;
    } & LcafHeader)
  | ({ readonly afi: 'lcaf'; readonly type: 'afiList'; readonly addresses: readonly Address[] } & LcafHeader)
  /** What a NAT did (RFC 8060 §4.4). */
  | ({
      readonly afi: 'lcaf';
      readonly type: 'nat';
      readonly msPort: number;
      readonly etrPort: number;
      readonly globalEtr: Address;
      readonly mapServer: Address;
      readonly privateEtr: Address;
      readonly rtrs: readonly Address[];
    } & LcafHeader)
  | ({ readonly afi: 'lcaf'; readonly type: 'explicitPath'; readonly hops: readonly PathHop[] } & LcafHeader)
  | ({
      readonly afi: 'lcaf';
      readonly type: 'sourceDestination';
      readonly reserved: number;
      readonly sourceMask: number;
      readonly destinationMask: number;
      readonly source: Address;
      readonly destination: Address;
    } & LcafHeader)
  /** One of another type, kept as it came. */
  | ({
      readonly afi: 'lcaf';
      readonly type: 'unknown';
      readonly lcafType: number;
      readonly bytes: Buffer;
    } & LcafHeader);

/** LCAFs within LCAFs: a path of addresses of virtual networks is three deep. */
const MAX_DEPTH = 6;

/** Reads an address with its AFI. Throws LispError for a family whose length nobody knows. */
export function readAddress(reader: Reader, structure: string, depth = 0): Address {
  const at = reader.at;
  const afi = reader.u16(structure, 'afi');
  switch (afi) {
    case Afi.none:
      return { afi: 'none' };
    case Afi.ipv4:
      return { afi: 'ipv4', address: ipText(reader.take(structure, 'ipv4', 4)) };
    case Afi.ipv6:
      return { afi: 'ipv6', address: ipText(reader.take(structure, 'ipv6', 16)) };
    case Afi.mac:
    case Afi.ieee802:
      return {
        afi: afi === Afi.mac ? 'mac' : 'ieee802',
        address: formatMac(reader.take(structure, 'mac', 6).readUIntBE(0, 6)),
      };
    case Afi.name: {
      const end = reader.bytes.indexOf(0, reader.at);
      if (end < 0 || end >= reader.end) throw new LispError(structure, 'name', reader.at, 'a name without its end');
      const name = reader.take(structure, 'name', end - reader.at).toString('latin1');
      reader.u8(structure, 'name');
      return { afi: 'name', name };
    }
    case Afi.lcaf:
      if (depth >= MAX_DEPTH) throw new LispError(structure, 'afi', at, `addresses nested more than ${MAX_DEPTH} deep`);
      return readLcaf(reader, structure, depth + 1);
    default:
      throw new LispError(structure, 'afi', at, `${afi} is no address family that is known`);
  }
}

function readLcaf(reader: Reader, structure: string, depth: number): Address {
  const reserved1 = reader.u8(structure, 'lcaf.reserved1');
  const flags = reader.u8(structure, 'lcaf.flags');
  const lcafType = reader.u8(structure, 'lcaf.type');
  const reserved2 = reader.u8(structure, 'lcaf.reserved2');
  const length = reader.u16(structure, 'lcaf.length');
  const body = reader.sub(structure, 'lcaf.length', length);
  const common = { afi: 'lcaf', reserved1, flags, reserved2 } as const;
  const address = (): Address => readAddress(body, structure, depth);
  const list = <T>(item: () => T): T[] => {
    const items: T[] = [];
    while (body.left > 0) items.push(item());
    return items;
  };
  const whole = <T extends Address>(result: T): T => {
    if (body.left > 0) throw new LispError(structure, 'lcaf.length', body.at, `${body.left} bytes too many`);
    return result;
  };
  switch (lcafType) {
    case LcafType.instanceId: {
      const instanceId = body.u32(structure, 'instanceId');
      return whole({ ...common, type: 'instanceId', instanceId, address: address() });
    }
    case LcafType.afiList:
      return { ...common, type: 'afiList', addresses: list(address) };
    case LcafType.nat: {
      const msPort = body.u16(structure, 'nat.msPort');
      const etrPort = body.u16(structure, 'nat.etrPort');
      const [globalEtr, mapServer, privateEtr] = [address(), address(), address()];
      return { ...common, type: 'nat', msPort, etrPort, globalEtr, mapServer, privateEtr, rtrs: list(address) };
    }
    case LcafType.explicitPath:
      return {
        ...common,
        type: 'explicitPath',
        hops: list(() => ({ flags: body.u16(structure, 'hop.flags'), address: address() })),
      };
    case LcafType.sourceDestination: {
      const reserved = body.u16(structure, 'key.reserved');
      const sourceMask = body.u8(structure, 'key.sourceMask');
      const destinationMask = body.u8(structure, 'key.destinationMask');
      const [source, destination] = [address(), address()];
      return whole({
        ...common,
        type: 'sourceDestination',
        reserved,
        sourceMask,
        destinationMask,
        source,
        destination,
      });
    }
    default:
      return { ...common, type: 'unknown', lcafType, bytes: body.copy(structure, 'lcaf', length) };
  }
}

/** Appends an address with its AFI. */
export function writeAddress(writer: Writer, address: Address): void {
  switch (address.afi) {
    case 'none':
      writer.u16(Afi.none);
      return;
    case 'ipv4':
    case 'ipv6':
      writer.u16(Afi[address.afi]).raw(ipBytes(address.afi, address.address));
      return;
    case 'mac':
    case 'ieee802': {
      const mac = parseMac(address.address);
      if (mac === undefined) throw new LispError('address', 'mac', writer.length, `"${address.address}" is no MAC`);
      writer.u16(Afi[address.afi]).hex(mac.toString(16).padStart(12, '0'));
      return;
    }
    case 'name':
      writer.u16(Afi.name).raw(Buffer.from(`${address.name}\0`, 'latin1'));
      return;
    case 'lcaf':
      writeLcaf(writer, address);
  }
}

type Lcaf = Extract<Address, { readonly afi: 'lcaf' }>;

function writeLcaf(writer: Writer, lcaf: Lcaf): void {
  const body = new Writer();
  const lcafType = lcaf.type === 'unknown' ? lcaf.lcafType : LcafType[lcaf.type];
  switch (lcaf.type) {
    case 'instanceId':
      body.u32(lcaf.instanceId);
      writeAddress(body, lcaf.address);
      break;
    case 'afiList':
      for (const each of lcaf.addresses) writeAddress(body, each);
      break;
    case 'nat':
      body.u16(lcaf.msPort).u16(lcaf.etrPort);
      for (const each of [lcaf.globalEtr, lcaf.mapServer, lcaf.privateEtr, ...lcaf.rtrs]) writeAddress(body, each);
      break;
    case 'explicitPath':
      for (const { flags, address } of lcaf.hops) writeAddress(body.u16(flags), address);
      break;
    case 'sourceDestination':
      body.u16(lcaf.reserved).u8(lcaf.sourceMask).u8(lcaf.destinationMask);
      writeAddress(body, lcaf.source);
      writeAddress(body, lcaf.destination);
      break;
    case 'unknown':
      body.raw(lcaf.bytes);
  }
  writer
    .u16(Afi.lcaf)
    .u8(lcaf.reserved1)
    .u8(lcaf.flags)
    .u8(lcafType)
    .u8(lcaf.reserved2)
    .u16(body.length)
    .raw(body.bytes());
}

/** Canonical text of an IPv4 (4 bytes) or IPv6 (16 bytes) address. */
export const ipText = (bytes: Buffer): string =>
  bytes.length === 4 ? bytes.join('.') : formatIp({ family: 6, value: BigInt(`0x${bytes.toString('hex')}`) });

/** An IPv4 address in plain dotted form as a number: what every message has, so it is read here at once. Undefined for other forms. */
export function dottedQuad(text: string): number | undefined {
  let value = 0;
  let part = -1;
  let parts = 0;
  for (let i = 0; i <= text.length; i++) {
    const digit = i === text.length ? -2 : text.charCodeAt(i) - 48;
    if (digit >= 0 && digit <= 9) {
      // No leading zeros: some read them as octal.
      if (part === 0) return undefined;
      part = part < 0 ? digit : part * 10 + digit;
      if (part > 255) return undefined;
    } else if (digit === -2 && part >= 0) {
      value = value * 256 + part;
      part = -1;
      parts++;
    } else return undefined;
  }
  return parts === 4 ? value : undefined;
}

function ipBytes(afi: 'ipv4' | 'ipv6', text: string): Buffer {
  const quad = afi === 'ipv4' ? dottedQuad(text) : undefined;
  if (quad !== undefined) {
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeUInt32BE(quad);
    return bytes;
  }
  const parsed = parseIp(text);
  const [family, size] = afi === 'ipv4' ? [4, 4] : [6, 16];
  if (!parsed || parsed.family !== family) throw new LispError('address', afi, 0, `"${text}" is no ${afi} address`);
  return Buffer.from(parsed.value.toString(16).padStart(2 * size, '0'), 'hex');
}
