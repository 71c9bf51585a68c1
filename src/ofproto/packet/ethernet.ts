import { Buffer } from 'node:buffer';
import { get16, get32, get48, set16 } from '../bytes.ts';

/** EtherTypes that we read (IANA registry "IEEE 802 numbers"). */
export const EtherType = {
  ipv4: 0x0800,
  arp: 0x0806,
  rarp: 0x8035,
  vlan: 0x8100,
  ipv6: 0x86dd,
  mpls: 0x8847,
  mplsMulticast: 0x8848,
  serviceVlan: 0x88a8,
  lldp: 0x88cc,
  /** What Open vSwitch matches as dl_type for an 802.3 frame with no EtherType in it (OFP_DL_TYPE_NOT_ETH_TYPE). */
  none: 0x05ff,
} as const;
export type EtherType = (typeof EtherType)[keyof typeof EtherType];

/** Bytes of an untagged Ethernet header. */
export const ETHERNET_HEADER = 14;

/** MAC address ff:ff:ff:ff:ff:ff. */
export const BROADCAST_MAC = 0xffff_ffff_ffff;

/** Values of the EtherType field below this are an 802.3 length. */
const FIRST_ETHER_TYPE = 0x0600;
const LLC_SNAP = 8;

/** Destination MAC of the frame at `at`. The frame must have at least 6 bytes there. */
export function ethDst(bytes: Uint8Array, at: number): number {
  return get48(bytes, at);
}

/** Source MAC of the frame at `at`. The frame must have at least 12 bytes there. */
export function ethSrc(bytes: Uint8Array, at: number): number {
  return get48(bytes, at + 6);
}

/** The 16 bits after the addresses as they are: an EtherType, a tag's TPID, or an 802.3 length. Needs 14 bytes. */
export function ethType(bytes: Uint8Array, at: number): number {
  return get16(bytes, at + 12);
}

/** True for the TPIDs that open a VLAN tag (802.1Q and 802.1ad). */
export function isVlanTpid(type: number): boolean {
  return type === EtherType.vlan || type === EtherType.serviceVlan;
}

/** True when the destination of the frame at `at` is a group address (broadcast included). Needs 1 byte. */
export function isGroupFrame(bytes: Uint8Array, at: number): boolean {
  return (bytes[at]! & 1) === 1;
}

/**
 * Offset of what follows the Ethernet header and all VLAN tags of the frame in [at, end), or -1 when the header or one of
 * the tags is not complete. No allocation. The EtherType that describes it is `layer3Type(bytes, layer3At)`.
 */
export function layer3At(bytes: Uint8Array, at: number, end: number): number {
  let here = at + ETHERNET_HEADER;
  if (here > end) return -1;
  let type = get16(bytes, here - 2);
  while (type === EtherType.vlan || type === EtherType.serviceVlan) {
    here += 4;
    if (here > end) return -1;
    type = get16(bytes, here - 2);
  }
  if (type >= FIRST_ETHER_TYPE) return here;
  // 802.3: LLC with a SNAP header of organisation zero carries an EtherType after all.
  return here + LLC_SNAP <= end && isSnap(bytes, here) ? here + LLC_SNAP : here;
}

/** EtherType of the payload whose offset `layer3At` gave; `EtherType.none` for an 802.3 frame without one. */
export function layer3Type(bytes: Uint8Array, layer3: number): number {
  const type = get16(bytes, layer3 - 2);
  return type >= FIRST_ETHER_TYPE ? type : EtherType.none;
}

function isSnap(bytes: Uint8Array, llc: number): boolean {
  return get32(bytes, llc) === 0xaaaa_0300 && get16(bytes, llc + 4) === 0 && get16(bytes, llc + 6) >= FIRST_ETHER_TYPE;
}

/**
 * True when the frame in [at, end) has its Ethernet header, all its tags and, for ARP, IPv4 and IPv6, the whole fixed
 * header (IPv4: with its options). A packet-in that fails this is "short": nothing may be learned from it.
 */
export function headersComplete(bytes: Uint8Array, at: number, end: number): boolean {
  const l3 = layer3At(bytes, at, end);
  if (l3 < 0) return false;
  switch (layer3Type(bytes, l3)) {
    case EtherType.arp:
    case EtherType.rarp:
      return l3 + ARP_HEADER <= end;
    case EtherType.ipv4:
      return l3 + 20 <= end && l3 + Math.max(20, (bytes[l3]! & 0x0f) * 4) <= end;
    case EtherType.ipv6:
      return l3 + 40 <= end;
    default:
      return true;
  }
}

/** Bytes of an ARP packet for IPv4 over Ethernet. */
export const ARP_HEADER = 28;

/**
 * Offset of the ARP packet of the frame in [at, end), or -1 when it carries none, it is not complete, or it is not for
 * IPv4 over Ethernet. RARP (same layout) is included only with `rarp`. No allocation.
 */
export function arpAt(bytes: Uint8Array, at: number, end: number, rarp = false): number {
  const l3 = layer3At(bytes, at, end);
  if (l3 < 0 || l3 + ARP_HEADER > end) return -1;
  const type = get16(bytes, l3 - 2);
  if (type !== EtherType.arp && !(rarp && type === EtherType.rarp)) return -1;
  return isArpForIpv4(bytes, l3) ? l3 : -1;
}

/** True when the 8 bytes at `arp` say IPv4 over Ethernet (RFC 826). */
export function isArpForIpv4(bytes: Uint8Array, arp: number): boolean {
  return get32(bytes, arp) === 0x0001_0800 && get16(bytes, arp + 4) === 0x0604;
}

/** ARP operations (RFC 826, RFC 903). */
export const ArpOp = { request: 1, reply: 2, reverseRequest: 3, reverseReply: 4 } as const;
export type ArpOp = (typeof ArpOp)[keyof typeof ArpOp];

/** ARP operation; `arp` is what `arpAt` gave. */
export function arpOp(bytes: Uint8Array, arp: number): number {
  return get16(bytes, arp + 6);
}

/** Sender's MAC address; `arp` is what `arpAt` gave. */
export function arpSha(bytes: Uint8Array, arp: number): number {
  return get48(bytes, arp + 8);
}

/** Sender's IPv4 address as an unsigned number; 0 in a probe (RFC 5227), which claims nothing. */
export function arpSpa(bytes: Uint8Array, arp: number): number {
  return get32(bytes, arp + 14);
}

/** Target's MAC address. */
export function arpTha(bytes: Uint8Array, arp: number): number {
  return get48(bytes, arp + 18);
}

/** Target's IPv4 address as an unsigned number. */
export function arpTpa(bytes: Uint8Array, arp: number): number {
  return get32(bytes, arp + 24);
}

/** A copy of the frame with a new outermost tag: priority and id of the tag that was outermost, else zero. */
export function pushVlan(frame: Uint8Array, tpid: number = EtherType.vlan): Buffer {
  const out = Buffer.alloc(frame.length + 4);
  out.set(frame.subarray(0, 12));
  out.set(frame.subarray(12), 16);
  set16(out, 12, tpid);
  set16(out, 14, hasVlan(frame, 0, frame.length) ? get16(frame, 14) : 0);
  return out;
}

/** A copy of the frame without its outermost tag; the same bytes when it has none that is complete. */
export function popVlan(frame: Uint8Array): Buffer {
  if (!hasVlan(frame, 0, frame.length)) return Buffer.from(frame);
  return Buffer.concat([frame.subarray(0, 12), frame.subarray(16)]);
}

/** True when the frame in [at, end) has a complete outermost VLAN tag (its TCI is at `at + 14`). */
export function hasVlan(bytes: Uint8Array, at: number, end: number): boolean {
  return at + 18 <= end && isVlanTpid(get16(bytes, at + 12));
}
