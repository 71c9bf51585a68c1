import { get16 } from '../bytes.ts';

/** Sum of the 16-bit words of [at, end), an odd last byte padded with zero, folded to 16 bits; not complemented (RFC 1071). */
export function sum16(bytes: Uint8Array, at: number, end: number, initial = 0): number {
  let sum = initial;
  let here = at;
  for (; here + 1 < end; here += 2) sum += get16(bytes, here);
  if (here < end) sum += bytes[here]! << 8;
  return fold(sum);
}

/** Internet checksum of [at, end) (RFC 1071). `initial` is what else counts, such as a pseudo header's sum. */
export function internetChecksum(bytes: Uint8Array, at: number, end: number, initial = 0): number {
  return ~sum16(bytes, at, end, initial) & 0xffff;
}

/**
 * Sum of the pseudo header that TCP, UDP and ICMPv6 include. `addressesAt` is where source and destination address lie one
 * after the other, `addressBytes` their size together: 8 for IPv4 (RFC 9293 §3.1), 32 for IPv6 (RFC 8200 §8.1).
 */
export function pseudoHeaderSum(
  bytes: Uint8Array,
  addressesAt: number,
  addressBytes: 8 | 32,
  protocol: number,
  length: number,
): number {
  return sum16(bytes, addressesAt, addressesAt + addressBytes, protocol + (length >>> 16) + (length & 0xffff));
}

/** The checksum after one covered 16-bit word changed (RFC 1624, equation 3). */
export function adjustChecksum(checksum: number, before: number, after: number): number {
  return ~fold((~checksum & 0xffff) + (~before & 0xffff) + after) & 0xffff;
}

function fold(sum: number): number {
  let rest = sum;
  while (rest > 0xffff) rest = (rest % 0x1_0000) + Math.floor(rest / 0x1_0000);
  return rest;
}

const CRC32C = new Uint32Array(256).map((_, index) => {
  let crc = index;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1;
  return crc >>> 0;
});

/** CRC32c of [at, end), as SCTP uses it (RFC 9260 appendix A). Bytes in [skip, skip + 4) count as zero. */
export function crc32c(bytes: Uint8Array, at: number, end: number, skip = -1): number {
  let crc = 0xffff_ffff;
  for (let here = at; here < end; here++) {
    const byte = skip >= 0 && here >= skip && here < skip + 4 ? 0 : bytes[here]!;
    crc = CRC32C[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}
