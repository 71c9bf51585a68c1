import { get16 } from '../bytes.ts';
import { ARP_HEADER, EtherType, ethType, isArpForIpv4, isVlanTpid, layer3At, layer3Type } from './ethernet.ts';

/** IP protocol numbers that we read (IANA "protocol-numbers"); the IPv6 extension headers among them. */
export const IpProto = {
  hopByHop: 0,
  icmp: 1,
  igmp: 2,
  tcp: 6,
  udp: 17,
  routing: 43,
  fragment: 44,
  gre: 47,
  authentication: 51,
  icmpv6: 58,
  noNext: 59,
  destination: 60,
  sctp: 132,
  mobility: 135,
} as const;
export type IpProto = (typeof IpProto)[keyof typeof IpProto];

/** Fragment state as Open vSwitch matches it (nw_frag): 0 whole, 1 first fragment, 3 later fragment. */
export type FragmentState = 0 | 1 | 3;

/** Where the headers of one frame are. -1 stands for "not there, or not complete". */
export interface FrameLayout {
  /** TCI of the outermost tag. */
  readonly vlan: number;
  /** First byte after Ethernet header and tags. */
  readonly l3: number;
  /** EtherType after the tags; -1 when the Ethernet header or a tag is cut. */
  readonly type: number;
  /** ARP or RARP packet for IPv4 over Ethernet. */
  readonly arp: number;
  /** Top MPLS label stack entry. */
  readonly mpls: number;
  /** IPv4 header, options included in the check. */
  readonly ipv4: number;
  /** IPv6 header. */
  readonly ipv6: number;
  /** Protocol above IP, after IPv6 extension headers; -1 when those are cut. */
  readonly proto: number;
  readonly fragment: FragmentState;
  /** Whether an IPv6 routing header keeps the destination that checksums count somewhere else. */
  readonly routed: boolean;
  /** Complete TCP, UDP, SCTP, ICMP or ICMPv6 header. */
  readonly l4: number;
  /** First byte after the IP packet: Ethernet padding is left out; the frame's end for anything else. */
  readonly end: number;
}

/** Fixed header sizes of what we look into. ICMP counts the 4 bytes after the checksum, as Open vSwitch does. */
const L4_HEADER: ReadonlyMap<number, number> = new Map([
  [IpProto.icmp, 8],
  [IpProto.tcp, 20],
  [IpProto.udp, 8],
  [IpProto.icmpv6, 8],
  [IpProto.sctp, 12],
]);

/** Bytes of the fixed header of this protocol, undefined when we don't look into it. */
export function l4HeaderSize(proto: number): number | undefined {
  return L4_HEADER.get(proto);
}

const MAX_TAGS = 64;

/**
 * Finds the headers of the frame in [at, end). Never throws. `vlanLimit` is how many tags are looked through: an inner tag
 * beyond it makes its TPID the EtherType. Open vSwitch's default is 1 (other_config:vlan-limit).
 */
export function layoutOf(bytes: Uint8Array, at: number, end: number, vlanLimit: number = MAX_TAGS): FrameLayout {
  const nothing = { vlan: -1, l3: -1, type: -1, arp: -1, mpls: -1, ...noIp(end) };
  if (at + 14 > end) return nothing;
  const tagged = isVlanTpid(ethType(bytes, at));
  const l3 = tagged ? afterTags(bytes, at, end, vlanLimit) : layer3At(bytes, at, end);
  if (l3 < 0) return nothing;
  const inner = get16(bytes, l3 - 2);
  // A tag beyond the limit looks like any other payload.
  const type = isVlanTpid(inner) ? inner : layer3Type(bytes, l3);
  const base = { ...nothing, vlan: tagged ? at + 14 : -1, l3, type };
  switch (type) {
    case EtherType.arp:
    case EtherType.rarp:
      return l3 + ARP_HEADER <= end && isArpForIpv4(bytes, l3) ? { ...base, arp: l3 } : base;
    case EtherType.mpls:
    case EtherType.mplsMulticast:
      return l3 + 4 <= end ? { ...base, mpls: l3 } : base;
    case EtherType.ipv4:
      return { ...base, ...ipv4Layout(bytes, l3, end) };
    case EtherType.ipv6:
      return { ...base, ...ipv6Layout(bytes, l3, end) };
    default:
      return base;
  }
}

function afterTags(bytes: Uint8Array, at: number, end: number, limit: number): number {
  let tags = 0;
  let here = at + 14;
  while (tags < limit && isVlanTpid(get16(bytes, here - 2))) {
    here += 4;
    tags++;
    if (here > end) return -1;
  }
  if (isVlanTpid(get16(bytes, here - 2))) return here;
  // layer3At knows SNAP; with all tags behind us it can be asked from the innermost one.
  return layer3At(bytes, here - 14, end);
}

type IpLayout = Pick<FrameLayout, 'ipv4' | 'ipv6' | 'proto' | 'fragment' | 'routed' | 'l4' | 'end'>;

function noIp(end: number): IpLayout {
  return { ipv4: -1, ipv6: -1, proto: -1, fragment: 0, routed: false, l4: -1, end };
}

function ipv4Layout(bytes: Uint8Array, at: number, frameEnd: number): IpLayout {
  if (at + 20 > frameEnd || bytes[at]! >>> 4 !== 4) return noIp(frameEnd);
  const headerEnd = at + (bytes[at]! & 0x0f) * 4;
  const total = get16(bytes, at + 2);
  if (headerEnd < at + 20 || headerEnd > frameEnd || at + total < headerEnd) return noIp(frameEnd);
  const end = Math.min(frameEnd, at + total);
  const proto = bytes[at + 9]!;
  const offset = get16(bytes, at + 6);
  const fragment = (offset & 0x1fff) !== 0 ? 3 : (offset & 0x2000) !== 0 ? 1 : 0;
  return {
    ...noIp(end),
    ipv4: at,
    proto,
    fragment,
    l4: fragment === 3 ? -1 : l4At(bytes, proto, headerEnd, end),
  };
}

function ipv6Layout(bytes: Uint8Array, at: number, frameEnd: number): IpLayout {
  if (at + 40 > frameEnd || bytes[at]! >>> 4 !== 6) return noIp(frameEnd);
  const end = Math.min(frameEnd, at + 40 + get16(bytes, at + 4));
  let proto = bytes[at + 6]!;
  let here = at + 40;
  let fragment: FragmentState = 0;
  let routed = false;
  for (let size = extensionSize(bytes, proto, here, end); size !== 0; size = extensionSize(bytes, proto, here, end)) {
    if (size < 0) return { ...noIp(end), ipv6: at };
    if (proto === IpProto.routing && bytes[here + 3] !== 0) routed = true;
    if (proto === IpProto.fragment) {
      const offset = get16(bytes, here + 2);
      fragment = (offset & 0xfff8) !== 0 ? 3 : (offset & 1) !== 0 ? 1 : 0;
    }
    proto = bytes[here]!;
    here += size;
    // What follows the header of a later fragment is data, whatever it looks like.
    if (fragment === 3) return { ...noIp(end), ipv6: at, proto, fragment, routed };
  }
  return { ...noIp(end), ipv6: at, proto, fragment, routed, l4: l4At(bytes, proto, here, end) };
}

/**
 * Size of the IPv6 extension header of type `proto` at `at` (RFC 8200 §4): 0 when `proto` is no extension header, -1 when the
 * header is cut. Every extension header takes at least 8 bytes, so a walk over them ends.
 */
export function extensionSize(bytes: Uint8Array, proto: number, at: number, end: number): number {
  let size: number;
  switch (proto) {
    case IpProto.fragment:
      size = 8;
      break;
    case IpProto.hopByHop:
    case IpProto.routing:
    case IpProto.destination:
    case IpProto.mobility:
      if (at + 2 > end) return -1;
      size = (bytes[at + 1]! + 1) * 8;
      break;
    case IpProto.authentication:
      if (at + 2 > end) return -1;
      size = (bytes[at + 1]! + 2) * 4;
      break;
    default:
      return 0;
  }
  return at + size > end ? -1 : size;
}

function l4At(bytes: Uint8Array, proto: number, at: number, end: number): number {
  const size = L4_HEADER.get(proto);
  if (size === undefined || at + size > end) return -1;
  return proto === IpProto.tcp && bytes[at + 12]! >>> 4 < 5 ? -1 : at;
}

/** ICMPv6 types of neighbour discovery (RFC 4861 §4). */
export const NdType = {
  routerSolicit: 133,
  routerAdvert: 134,
  neighborSolicit: 135,
  neighborAdvert: 136,
  redirect: 137,
} as const;
export type NdType = (typeof NdType)[keyof typeof NdType];

/** Neighbour discovery options with a link-layer address (RFC 4861 §4.6.1). */
export const NdOptionType = { sourceLinkLayer: 1, targetLinkLayer: 2, prefix: 3, redirected: 4, mtu: 5 } as const;
export type NdOptionType = (typeof NdOptionType)[keyof typeof NdOptionType];

/** Where the parts of a neighbour solicitation or advertisement are; -1 where there is none. */
export interface NdLayout {
  /** Target address. */
  readonly target: number;
  /** Link-layer address inside the source option. */
  readonly sll: number;
  /** Link-layer address inside the target option. */
  readonly tll: number;
  /** First option that is one of these two. */
  readonly option: number;
  /** Type of the last option that is one of these two, 0 when there is none. */
  readonly lastType: number;
}

/**
 * Looks into the neighbour solicitation or advertisement at `l4` (a complete ICMPv6 header); undefined for any other type, a
 * code that is not zero, a cut target, an option that is cut or of length zero, or one of the two options doubled.
 */
export function ndLayout(bytes: Uint8Array, l4: number, end: number): NdLayout | undefined {
  const type = bytes[l4]!;
  if ((type !== NdType.neighborSolicit && type !== NdType.neighborAdvert) || bytes[l4 + 1] !== 0) return undefined;
  if (l4 + 24 > end) return undefined;
  let sll = -1;
  let tll = -1;
  let option = -1;
  let lastType = 0;
  for (let here = l4 + 24; here + 8 <= end; ) {
    const size = bytes[here + 1]! * 8;
    if (size === 0 || here + size > end) return undefined;
    const kind = bytes[here]!;
    if (size === 8 && kind === NdOptionType.sourceLinkLayer) {
      if (sll >= 0) return undefined;
      sll = here + 2;
    } else if (size === 8 && kind === NdOptionType.targetLinkLayer) {
      if (tll >= 0) return undefined;
      tll = here + 2;
    }
    if (here + 2 === sll || here + 2 === tll) {
      if (option < 0) option = here;
      lastType = kind;
    }
    here += size;
  }
  return { target: l4 + 8, sll, tll, option, lastType };
}
