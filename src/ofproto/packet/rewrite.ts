import { Buffer } from 'node:buffer';
import { get16, set16, set32, set48, set128 } from '../bytes.ts';
import { vlanPresent } from '../constants.ts';
import { adjustChecksum, crc32c } from './checksum.ts';
import { hasVlan, popVlan, pushVlan } from './ethernet.ts';
import type { FlowKey, FrameField } from './flow-key.ts';
import { type FrameLayout, IpProto, layoutOf, NdType, ndLayout } from './layout.ts';

/** Type of a frame field's value. */
export type FrameValue<F extends FrameField> = Exclude<FlowKey[F], undefined>;

/**
 * Sets a match field in a frame the way a switch's set-field does, and repairs every checksum that covers it (IPv4, TCP, UDP,
 * ICMPv6, SCTP). In place: the same buffer comes back, except that `vlanVid` on an untagged frame inserts a tag and `vlanVid`
 * 0 removes the outermost one, which give a new buffer. A field that the frame does not have is left alone. Checksums are
 * adjusted, not computed anew, so one that was wrong stays wrong, and UDP without a checksum stays without. Only the bits
 * that the field has are taken from `value`.
 */
export function setFrameField<F extends FrameField>(frame: Buffer, field: F, value: FrameValue<F>): Buffer {
  if (field === 'vlanVid' || field === 'vlanPcp') return setVlan(frame, field, Number(value));
  const layout = layoutOf(frame, 0, frame.length);
  if (layout.l3 < 0) return frame;
  if (field === 'ethDst') set48(frame, 0, Number(value));
  else if (field === 'ethSrc') set48(frame, 6, Number(value));
  else if (field === 'ethType') set16(frame, layout.l3 - 2, Number(value));
  else {
    const place = placeOf(frame, layout, field);
    if (place !== undefined) patch(frame, layout, place, value);
  }
  return frame;
}

/** The frame with its IP TTL or hop limit one lower, in place; false when it is 0 or 1 already, or the frame has none. */
export function decrementTtl(frame: Buffer): boolean {
  const layout = layoutOf(frame, 0, frame.length);
  const at = ttlAt(layout);
  if (at < 0 || frame[at]! <= 1) return false;
  patch(frame, layout, { at, size: 1, covers: layout.ipv4 >= 0 ? ['ipv4'] : [] }, frame[at]! - 1);
  return true;
}

function setVlan(frame: Buffer, field: 'vlanVid' | 'vlanPcp', value: number): Buffer {
  if (frame.length < 14) return frame;
  const tagged = hasVlan(frame, 0, frame.length);
  if (field === 'vlanPcp') {
    if (tagged) set16(frame, 14, (get16(frame, 14) & 0x1fff) | ((value & 7) << 13));
    return frame;
  }
  if ((value & vlanPresent) === 0) return tagged ? popVlan(frame) : frame;
  const out = tagged ? frame : pushVlan(frame);
  set16(out, 14, (get16(out, 14) & 0xf000) | (value & 0xfff));
  return out;
}

/** Checksums by what they cover: the IPv4 header, the layer-4 message, its pseudo header. */
type Cover = 'ipv4' | 'l4' | 'pseudo';

interface Place {
  readonly at: number;
  /** Bytes; 16 takes a bigint. */
  readonly size: 1 | 2 | 4 | 6 | 16;
  /** Bits of the place that belong to the field, when not all of them, and how far to the left its value stands. */
  readonly mask?: number;
  readonly shift?: number;
  readonly covers: readonly Cover[];
}

const none: readonly Cover[] = [];

function placeOf(bytes: Uint8Array, layout: FrameLayout, field: FrameField): Place | undefined {
  const { arp, mpls, ipv4, ipv6, l4 } = layout;
  switch (field) {
    case 'arpOp':
      return at(arp, 6, 2, none);
    case 'arpSha':
      return at(arp, 8, 6, none);
    case 'arpSpa':
      return at(arp, 14, 4, none);
    case 'arpTha':
      return at(arp, 18, 6, none);
    case 'arpTpa':
      return at(arp, 24, 4, none);
    case 'mplsLabel':
      return bits(mpls, 0, 4, 0xffff_f000, 12, none);
    case 'mplsTc':
      return bits(mpls, 2, 1, 0x0e, 1, none);
    case 'mplsBos':
      return bits(mpls, 2, 1, 1, 0, none);
    case 'mplsTtl':
      return at(mpls, 3, 1, none);
    case 'ipv4Src':
      return at(ipv4, 12, 4, ['ipv4', 'pseudo']);
    case 'ipv4Dst':
      return at(ipv4, 16, 4, ['ipv4', 'pseudo']);
    case 'ipv6Src':
      return at(ipv6, 8, 16, ['pseudo']);
    case 'ipv6Dst':
      // With a routing header the checksum counts the last hop's address, which stands in that header.
      return at(ipv6, 24, 16, layout.routed ? none : ['pseudo']);
    case 'ipv6Flabel':
      return bits(ipv6, 0, 4, 0x000f_ffff, 0, none);
    case 'ipDscp':
      return ipv4 >= 0 ? bits(ipv4, 1, 1, 0xfc, 2, ['ipv4']) : bits(ipv6, 0, 2, 0x0fc0, 6, none);
    case 'ipEcn':
      return ipv4 >= 0 ? bits(ipv4, 1, 1, 0x03, 0, ['ipv4']) : bits(ipv6, 0, 2, 0x0030, 4, none);
    case 'ipTtl':
      return at(ttlAt(layout), 0, 1, ipv4 >= 0 ? ['ipv4'] : none);
    default:
      return l4 < 0 ? undefined : l4Place(bytes, layout, field);
  }
}

function l4Place(bytes: Uint8Array, layout: FrameLayout, field: FrameField): Place | undefined {
  const { proto, l4, ipv4 } = layout;
  const covers: readonly Cover[] = ['l4'];
  switch (field) {
    case 'tcpSrc':
    case 'tcpDst':
    case 'udpSrc':
    case 'udpDst':
    case 'sctpSrc':
    case 'sctpDst':
      return proto === IpProto[field.slice(0, -3) as 'tcp' | 'udp' | 'sctp']
        ? at(l4, field.endsWith('Src') ? 0 : 2, 2, covers)
        : undefined;
    case 'tcpFlags':
      return proto === IpProto.tcp ? bits(l4, 12, 2, 0x0fff, 0, covers) : undefined;
    case 'icmpv4Type':
    case 'icmpv4Code':
      return proto === IpProto.icmp && ipv4 >= 0 ? at(l4, field === 'icmpv4Type' ? 0 : 1, 1, covers) : undefined;
    case 'icmpv6Type':
    case 'icmpv6Code':
      return proto === IpProto.icmpv6 && ipv4 < 0 ? at(l4, field === 'icmpv6Type' ? 0 : 1, 1, covers) : undefined;
    default:
      return proto === IpProto.icmpv6 && ipv4 < 0 ? ndPlace(bytes, layout, field, covers) : undefined;
  }
}

function ndPlace(
  bytes: Uint8Array,
  { l4, end }: FrameLayout,
  field: FrameField,
  covers: readonly Cover[],
): Place | undefined {
  const nd = ndLayout(bytes, l4, end);
  if (nd === undefined) return undefined;
  switch (field) {
    case 'ipv6NdTarget':
      return at(nd.target, 0, 16, covers);
    case 'ipv6NdSll':
      return bytes[l4] === NdType.neighborSolicit ? at(nd.sll, 0, 6, covers) : undefined;
    case 'ipv6NdTll':
      return bytes[l4] === NdType.neighborAdvert ? at(nd.tll, 0, 6, covers) : undefined;
    case 'ndReserved':
      return at(l4, 4, 4, covers);
    case 'ndOptionsType':
      return at(nd.option, 0, 1, covers);
    default:
      return undefined;
  }
}

function ttlAt({ ipv4, ipv6 }: FrameLayout): number {
  return ipv4 >= 0 ? ipv4 + 8 : ipv6 >= 0 ? ipv6 + 7 : -1;
}

function at(base: number, offset: number, size: Place['size'], covers: readonly Cover[]): Place | undefined {
  return base < 0 ? undefined : { at: base + offset, size, covers };
}

function bits(
  base: number,
  offset: number,
  size: 1 | 2 | 4,
  mask: number,
  shift: number,
  covers: readonly Cover[],
): Place | undefined {
  return base < 0 ? undefined : { at: base + offset, size, mask, shift, covers };
}

/** Writes the value and adjusts the checksums by the 16-bit words that changed. */
function patch(frame: Buffer, layout: FrameLayout, place: Place, value: number | bigint): void {
  const ip = layout.ipv4 >= 0 ? layout.ipv4 : layout.ipv6;
  // Words count from the IP header: all headers above it start at an even distance.
  const from = place.at - ((place.at - ip) & 1);
  const to = Math.min(frame.length, from + ((place.at + place.size - from + 1) & ~1));
  const before = Buffer.from(frame.subarray(from, to));
  write(frame, place, value);
  if (place.covers.length === 0) return;
  for (const cover of place.covers) {
    if (cover === 'l4' && layout.proto === IpProto.sctp) {
      frame.writeUInt32LE(crc32c(frame, layout.l4, layout.end, layout.l4 + 8), layout.l4 + 8);
      continue;
    }
    const sumAt = checksumAt(frame, layout, cover);
    if (sumAt < 0) continue;
    let sum = get16(frame, sumAt);
    for (let i = 0; i < to - from; i += 2) sum = adjustChecksum(sum, word(before, i), word(frame, from + i, to));
    set16(frame, sumAt, sum === 0 && layout.proto === IpProto.udp && cover !== 'ipv4' ? 0xffff : sum);
  }
}

function word(bytes: Uint8Array, at: number, end: number = bytes.length): number {
  return (bytes[at]! << 8) | (at + 1 < end ? bytes[at + 1]! : 0);
}

function write(frame: Buffer, { at: where, size, mask, shift = 0 }: Place, value: number | bigint): void {
  if (size === 16) set128(frame, where, BigInt(value));
  else if (size === 6) set48(frame, where, Number(value));
  else {
    const full = mask ?? 2 ** (8 * size) - 1;
    const old = frame.readUIntBE(where, size);
    const fresh = ((Number(value) << shift) & full) | (old & ~full);
    if (size === 4) set32(frame, where, fresh);
    else if (size === 2) set16(frame, where, fresh);
    else frame[where] = fresh;
  }
}

/** Where the checksum is, -1 when there is none to repair. */
function checksumAt(bytes: Uint8Array, { ipv4, proto, l4 }: FrameLayout, cover: Cover): number {
  if (cover === 'ipv4') return ipv4 + 10;
  if (l4 < 0) return -1;
  switch (proto) {
    case IpProto.tcp:
      return l4 + 16;
    case IpProto.udp:
      return get16(bytes, l4 + 6) === 0 ? -1 : l4 + 6;
    case IpProto.icmpv6:
      return l4 + 2;
    case IpProto.icmp:
      return cover === 'pseudo' ? -1 : l4 + 2;
    default:
      return -1;
  }
}
