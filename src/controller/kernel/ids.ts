import ipaddr from 'ipaddr.js';

declare const brand: unique symbol;

/** Datapath id in its one canonical form: 16 lower-case hex digits. */
export type Dpid = string & { readonly [brand]: 'Dpid' };
/** 48-bit MAC address as an exact number. Text form: `aa:bb:cc:dd:ee:ff`, lower case. */
export type Mac = number & { readonly [brand]: 'Mac' };
/** 24-bit segment id (VNI or VSID), 1…2^24−1. */
export type SegmentId = number & { readonly [brand]: 'SegmentId' };

/** An address of either family: IPv4 as an unsigned 32-bit bigint, IPv6 as an unsigned 128-bit bigint. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly value: bigint;
}

/** An address block; `value` has no bits below the prefix. */
export interface IpPrefix extends IpAddress {
  readonly length: number;
}

/** Canonical datapath id of a 64-bit wire value. */
export const dpidOf = (value: bigint): Dpid => BigInt.asUintN(64, value).toString(16).padStart(16, '0') as Dpid;

/** Wire value of a canonical datapath id. */
export const dpidValue = (dpid: Dpid): bigint => BigInt(`0x${dpid}`);

/** The id when the text is exactly 16 hex digits (either case), else undefined. */
export const parseDpid = (text: string): Dpid | undefined =>
  /^[0-9a-fA-F]{16}$/.test(text) ? (text.toLowerCase() as Dpid) : undefined;

/** The address when the text is six colon- or dash-separated hex octets, else undefined. */
export const parseMac = (text: string): Mac | undefined =>
  /^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$/.test(text)
    ? (Number.parseInt(text.replace(/[:-]/g, ''), 16) as Mac)
    : undefined;

/** Canonical text of a MAC: lower case, colons. */
export const formatMac = (mac: number): string =>
  mac
    .toString(16)
    .padStart(12, '0')
    .replace(/..(?!$)/g, '$&:');

/** True for group addresses (the I/G bit of the first octet), broadcast among them. */
export const isGroupMac = (mac: number): boolean => Math.floor(mac / 0x10000000000) % 2 === 1;

const bytesValue = (bytes: readonly number[]): bigint => bytes.reduce((acc, byte) => (acc << 8n) | BigInt(byte), 0n);

const valueBytes = (value: bigint, size: number): number[] =>
  Array.from({ length: size }, (_, i) => Number((value >> BigInt(8 * (size - 1 - i))) & 0xffn));

/**
 * The address when the text is a full dotted-quad IPv4 or an IPv6 address without zone, else undefined.
 * IPv4-mapped IPv6 stays IPv6. Octal, hex and shortened IPv4 forms are refused: they mean different things to different readers.
 */
export function parseIp(text: string): IpAddress | undefined {
  if (/^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/.test(text)) {
    return ipaddr.IPv4.isValid(text)
      ? { family: 4, value: bytesValue(ipaddr.IPv4.parse(text).toByteArray()) }
      : undefined;
  }
  if (!text.includes(':') || text.includes('%') || text.length > 45 || !ipaddr.IPv6.isValid(text)) return undefined;
  return { family: 6, value: bytesValue(ipaddr.IPv6.parse(text).toByteArray()) };
}

/** Shortest canonical text (RFC 5952 for IPv6). */
export function formatIp(address: IpAddress): string {
  return address.family === 4
    ? valueBytes(address.value, 4).join('.')
    : new ipaddr.IPv6(valueBytes(address.value, 16)).toRFC5952String();
}

/** Netmask of a prefix length, e.g. (8, 32) → 0xff000000n; a length of 0 gives 0n. */
export const prefixMask = (length: number, width: 32 | 128): bigint =>
  ((1n << BigInt(length)) - 1n) << BigInt(width - length);

/** Why a text is no prefix, or the prefix. One rule everywhere: host bits below the mask are refused, not dropped. */
export function parsePrefix(text: string): IpPrefix | { readonly problem: string } {
  const match = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text);
  const address = match ? parseIp(match[1]!) : undefined;
  if (!match || !address) return { problem: `"${text}" is not ADDRESS/LENGTH` };
  const length = Number(match[2]);
  const width = address.family === 4 ? 32 : 128;
  if (length > width) return { problem: `"${text}": length ${length} is above ${width}` };
  const network = address.value & prefixMask(length, width);
  if (network !== address.value) {
    return {
      problem: `"${text}" has bits set below its mask; write ${formatIp({ family: address.family, value: network })}/${length}`,
    };
  }
  return { family: address.family, value: address.value, length };
}

/** Canonical text ADDRESS/LENGTH. */
export const formatPrefix = (prefix: IpPrefix): string => `${formatIp(prefix)}/${prefix.length}`;

/** True when the address lies in the block. */
export const prefixContains = (prefix: IpPrefix, address: IpAddress): boolean =>
  prefix.family === address.family &&
  (address.value & prefixMask(prefix.length, prefix.family === 4 ? 32 : 128)) === prefix.value;
