import { get16, get32, get48, get128 } from '../bytes.ts';
import { vlanPresent } from '../constants.ts';
import { ethDst, ethSrc } from './ethernet.ts';
import { type FrameLayout, IpProto, layoutOf, NdType, ndLayout } from './layout.ts';

/** Values that a frame itself gives, by match field and in that field's form: number up to 48 bits, bigint above. */
export interface FlowKey {
  readonly ethDst?: number;
  readonly ethSrc?: number;
  /** After the tags that are looked through; 0x05ff for 802.3 without an EtherType. */
  readonly ethType?: number;
  /** As OpenFlow matches it: 0 without a tag, else 0x1000 and the id of the outermost tag. */
  readonly vlanVid?: number;
  readonly vlanPcp?: number;
  readonly arpOp?: number;
  readonly arpSpa?: number;
  readonly arpTpa?: number;
  readonly arpSha?: number;
  readonly arpTha?: number;
  readonly mplsLabel?: number;
  readonly mplsTc?: number;
  readonly mplsBos?: number;
  readonly mplsTtl?: number;
  readonly ipv4Src?: number;
  readonly ipv4Dst?: number;
  readonly ipv6Src?: bigint;
  readonly ipv6Dst?: bigint;
  readonly ipv6Flabel?: number;
  readonly ipDscp?: number;
  readonly ipEcn?: number;
  readonly ipTtl?: number;
  /** 0 whole, 1 first fragment, 3 later fragment. */
  readonly ipFrag?: number;
  /** After the IPv6 extension headers. */
  readonly ipProto?: number;
  readonly tcpSrc?: number;
  readonly tcpDst?: number;
  readonly tcpFlags?: number;
  readonly udpSrc?: number;
  readonly udpDst?: number;
  readonly sctpSrc?: number;
  readonly sctpDst?: number;
  readonly icmpv4Type?: number;
  readonly icmpv4Code?: number;
  readonly icmpv6Type?: number;
  readonly icmpv6Code?: number;
  readonly ipv6NdTarget?: bigint;
  /** All zero when a solicitation has no such option, as in Open vSwitch. */
  readonly ipv6NdSll?: number;
  readonly ipv6NdTll?: number;
  /** 32 bits before the target: router, solicited, override flags on top. */
  readonly ndReserved?: number;
  /** Type of the last link-layer option (1 source, 2 target), 0 without. */
  readonly ndOptionsType?: number;
}

/** A match field whose value comes from the frame. */
export type FrameField = keyof FlowKey;

type Draft = { -readonly [F in keyof FlowKey]: FlowKey[F] };

/**
 * Match-field values of the frame in [at, end), as a switch extracts them. Never throws; a header that is not complete gives
 * nothing. `vlanLimit` is the number of tags looked through before the EtherType, 1 in Open vSwitch unless configured.
 */
export function flowKey(bytes: Uint8Array, at: number, end: number, vlanLimit = 1): FlowKey {
  const layout = layoutOf(bytes, at, end, vlanLimit);
  if (layout.l3 < 0) return {};
  const key: Draft = {
    ethDst: ethDst(bytes, at),
    ethSrc: ethSrc(bytes, at),
    ethType: layout.type,
    vlanVid: 0,
  };
  if (layout.vlan >= 0) {
    const tci = get16(bytes, layout.vlan);
    key.vlanVid = vlanPresent | (tci & 0xfff);
    key.vlanPcp = tci >>> 13;
  }
  if (layout.arp >= 0) arpKey(bytes, layout.arp, key);
  else if (layout.mpls >= 0) mplsKey(bytes, layout.mpls, key);
  else if (layout.ipv4 >= 0) ipv4Key(bytes, layout.ipv4, key);
  else if (layout.ipv6 >= 0) ipv6Key(bytes, layout.ipv6, key);
  if (layout.proto >= 0) {
    key.ipProto = layout.proto;
    key.ipFrag = layout.fragment;
    if (layout.l4 >= 0) l4Key(bytes, layout, key);
  }
  return key;
}

function arpKey(bytes: Uint8Array, at: number, key: Draft): void {
  key.arpOp = get16(bytes, at + 6);
  key.arpSha = get48(bytes, at + 8);
  key.arpSpa = get32(bytes, at + 14);
  key.arpTha = get48(bytes, at + 18);
  key.arpTpa = get32(bytes, at + 24);
}

function mplsKey(bytes: Uint8Array, at: number, key: Draft): void {
  const entry = get32(bytes, at);
  key.mplsLabel = entry >>> 12;
  key.mplsTc = (entry >>> 9) & 7;
  key.mplsBos = (entry >>> 8) & 1;
  key.mplsTtl = entry & 0xff;
}

function ipv4Key(bytes: Uint8Array, at: number, key: Draft): void {
  key.ipDscp = bytes[at + 1]! >>> 2;
  key.ipEcn = bytes[at + 1]! & 3;
  key.ipTtl = bytes[at + 8]!;
  key.ipv4Src = get32(bytes, at + 12);
  key.ipv4Dst = get32(bytes, at + 16);
}

function ipv6Key(bytes: Uint8Array, at: number, key: Draft): void {
  const head = get32(bytes, at);
  key.ipDscp = (head >>> 22) & 0x3f;
  key.ipEcn = (head >>> 20) & 3;
  key.ipv6Flabel = head & 0xf_ffff;
  key.ipTtl = bytes[at + 7]!;
  key.ipv6Src = get128(bytes, at + 8);
  key.ipv6Dst = get128(bytes, at + 24);
}

function l4Key(bytes: Uint8Array, { proto, l4, end, ipv4 }: FrameLayout, key: Draft): void {
  switch (proto) {
    case IpProto.tcp:
      key.tcpSrc = get16(bytes, l4);
      key.tcpDst = get16(bytes, l4 + 2);
      key.tcpFlags = get16(bytes, l4 + 12) & 0xfff;
      break;
    case IpProto.udp:
      key.udpSrc = get16(bytes, l4);
      key.udpDst = get16(bytes, l4 + 2);
      break;
    case IpProto.sctp:
      key.sctpSrc = get16(bytes, l4);
      key.sctpDst = get16(bytes, l4 + 2);
      break;
    case IpProto.icmp:
      if (ipv4 < 0) break;
      key.icmpv4Type = bytes[l4]!;
      key.icmpv4Code = bytes[l4 + 1]!;
      break;
    case IpProto.icmpv6:
      if (ipv4 >= 0) break;
      key.icmpv6Type = bytes[l4]!;
      key.icmpv6Code = bytes[l4 + 1]!;
      ndKey(bytes, l4, end, key);
      break;
    default:
  }
}

function ndKey(bytes: Uint8Array, l4: number, end: number, key: Draft): void {
  const nd = ndLayout(bytes, l4, end);
  if (nd === undefined) return;
  key.ipv6NdTarget = get128(bytes, nd.target);
  key.ndReserved = get32(bytes, l4 + 4);
  key.ndOptionsType = nd.lastType;
  const sll = nd.sll < 0 ? 0 : get48(bytes, nd.sll);
  const tll = nd.tll < 0 ? 0 : get48(bytes, nd.tll);
  // The source option belongs to solicitations and the target option to advertisements: each is a match field there only.
  if (bytes[l4] === NdType.neighborSolicit) key.ipv6NdSll = sll;
  else key.ipv6NdTll = tll;
}
