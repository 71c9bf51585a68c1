import { formatIp, formatMac, parseIp, parseMac } from '../../controller/kernel/index.ts';
import { type Address, dottedQuad } from './address.ts';
import { type Bits, maskBits, type Width } from './trie.ts';

/** Families of EIDs that can be looked up. */
export type EidFamily = 'ipv4' | 'ipv6' | 'mac';

/** An EID prefix within a virtual network: what mappings are kept by. */
export interface EidPrefix {
  /** 0 when the EID names none. */
  readonly instanceId: number;
  readonly family: EidFamily;
  readonly bits: Bits;
  readonly length: number;
}

export const widthOf: Readonly<Record<EidFamily, Width>> = { ipv4: 32, ipv6: 128, mac: 48 };

/** The prefix that an EID and a mask length name; undefined for forms that cannot be looked up, or a length beyond the family's. */
export function eidPrefix(eid: Address, length: number): EidPrefix | undefined {
  if (eid.afi === 'lcaf') {
    if (eid.type !== 'instanceId' || eid.address.afi === 'lcaf') return undefined;
    const inner = eidPrefix(eid.address, length);
    return inner && { ...inner, instanceId: eid.instanceId };
  }
  if (eid.afi === 'none' || eid.afi === 'name') return undefined;
  const family = eid.afi === 'ieee802' ? 'mac' : eid.afi;
  const width = widthOf[family];
  const quad = family === 'ipv4' ? dottedQuad(eid.address) : undefined;
  if (quad !== undefined) {
    return length > width ? undefined : { instanceId: 0, family, bits: maskBits([quad], length), length };
  }
  const value = family === 'mac' ? parseMac(eid.address) : parseIp(eid.address)?.value;
  if (value === undefined || length > width) return undefined;
  return { instanceId: 0, family, bits: maskBits(bitsOf(BigInt(value), width), length), length };
}

/** The address form of a prefix; with an instance id as LCAF, unless that is 0. */
export function addressOf({ instanceId, family, bits }: Pick<EidPrefix, 'instanceId' | 'family' | 'bits'>): Address {
  const address: Address = { afi: family, address: textOf(family, bits) };
  if (instanceId === 0) return address;
  return { afi: 'lcaf', type: 'instanceId', reserved1: 0, flags: 0, reserved2: 32, instanceId, address };
}

/** `[IID]ADDRESS/LENGTH`, one text for each prefix. */
export const eidText = (prefix: EidPrefix): string => {
  const plain = addressOf({ ...prefix, instanceId: 0 });
  const text = 'address' in plain && typeof plain.address === 'string' ? plain.address : '';
  return `[${prefix.instanceId}]${text}/${prefix.length}`;
};

function bitsOf(value: bigint, width: Width): number[] {
  const words: number[] = new Array(Math.ceil(width / 32)).fill(0);
  let rest = value << BigInt(32 * words.length - width);
  for (let i = words.length - 1; i >= 0; i--) {
    words[i] = Number(rest & 0xffff_ffffn);
    rest >>= 32n;
  }
  return words;
}

function textOf(family: EidFamily, bits: Bits): string {
  // Most are, and answers wait for it.
  if (family === 'ipv4') {
    const word = bits[0]!;
    return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
  }
  let value = 0n;
  for (const word of bits) value = (value << 32n) | BigInt(word);
  value >>= BigInt(32 * bits.length - widthOf[family]);
  return family === 'mac' ? formatMac(Number(value)) : formatIp({ family: 6, value });
}
