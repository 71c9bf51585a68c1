import { Buffer } from 'node:buffer';
import { get16, get32, get48, get128 } from '../bytes.ts';
import { internetChecksum, pseudoHeaderSum, sum16 } from './checksum.ts';
import { DhcpPort, decodeDhcp } from './dhcp.ts';
import { ARP_HEADER, EtherType, isArpForIpv4, isVlanTpid } from './ethernet.ts';
import { extensionSize, IpProto, NdType } from './layout.ts';
import { decodeLldp, encodeLldp } from './lldp.ts';
import type { Layer, NdLayer, NdOption, Packet } from './packet.ts';

/** What has been read so far, and where reading stands. */
interface Reading {
  readonly bytes: Uint8Array;
  readonly layers: Layer[];
  at: number;
  /** End of what the innermost length allows. */
  end: number;
  truncated: boolean;
  /** Addresses for the pseudo header: offset and size, once there is an IP header. */
  addresses: number;
  addressBytes: 8 | 32;
}

/** The next header's kind: an EtherType, an IP protocol, or nothing that we know. */
type Next = { readonly etherType: number } | { readonly proto: number } | undefined;

/** Tags and labels can be stacked without end; nobody needs more, and it bounds the work per frame. */
const MAX_LAYERS = 64;

/**
 * Reads the Ethernet frame in [at, end) into layers, as far as its headers are complete and known. Never throws; the rest is
 * `payload`. `truncated` says that a header was cut or a length promised more bytes than there are. Copies what it keeps.
 */
export function decodePacket(bytes: Uint8Array, at: number, end: number): Packet {
  const reading: Reading = {
    bytes,
    layers: [],
    at,
    end,
    truncated: false,
    addresses: -1,
    addressBytes: 8,
  };
  let next = ethernet(reading);
  while (next !== undefined && reading.layers.length < MAX_LAYERS)
    next = 'etherType' in next ? network(reading, next.etherType) : transport(reading, next.proto);
  const payload = Buffer.from(bytes.subarray(reading.at, reading.end));
  const trailer = Buffer.from(bytes.subarray(reading.end, end));
  return {
    layers: reading.layers,
    ...(payload.length > 0 ? { payload } : {}),
    ...(trailer.length > 0 ? { trailer } : {}),
    ...(reading.truncated ? { truncated: true as const } : {}),
  };
}

/** True when n more bytes are there; else marks the packet as cut. */
function has(reading: Reading, size: number): boolean {
  if (reading.at + size <= reading.end) return true;
  reading.truncated = true;
  return false;
}

function push(reading: Reading, layer: Layer, size: number): void {
  reading.layers.push(layer);
  reading.at += size;
}

function ethernet(reading: Reading): Next {
  const { bytes, at } = reading;
  if (!has(reading, 14)) return undefined;
  const type = get16(bytes, at + 12);
  push(reading, { kind: 'ethernet', dst: get48(bytes, at), src: get48(bytes, at + 6), type }, 14);
  return { etherType: type };
}

function network(reading: Reading, etherType: number): Next {
  if (isVlanTpid(etherType)) return vlan(reading);
  switch (etherType) {
    case EtherType.arp:
    case EtherType.rarp:
      return arp(reading);
    case EtherType.mpls:
    case EtherType.mplsMulticast:
      return mpls(reading);
    case EtherType.ipv4:
      return ipv4(reading);
    case EtherType.ipv6:
      return ipv6(reading);
    case EtherType.lldp:
      return lldp(reading);
    default:
      return undefined;
  }
}

function vlan(reading: Reading): Next {
  const { bytes, at } = reading;
  if (!has(reading, 4)) return undefined;
  const tci = get16(bytes, at);
  const type = get16(bytes, at + 2);
  push(reading, { kind: 'vlan', vid: tci & 0xfff, pcp: tci >>> 13, dei: (tci & 0x1000) !== 0, type }, 4);
  return { etherType: type };
}

function arp(reading: Reading): Next {
  const { bytes, at } = reading;
  if (!has(reading, ARP_HEADER) || !isArpForIpv4(bytes, at)) return undefined;
  const layer = {
    kind: 'arp' as const,
    op: get16(bytes, at + 6),
    sha: get48(bytes, at + 8),
    spa: get32(bytes, at + 14),
    tha: get48(bytes, at + 18),
    tpa: get32(bytes, at + 24),
  };
  push(reading, layer, ARP_HEADER);
  reading.end = reading.at;
  return undefined;
}

function mpls(reading: Reading): Next {
  const { bytes, at } = reading;
  if (!has(reading, 4)) return undefined;
  const entry = get32(bytes, at);
  const bottom = (entry & 0x100) !== 0;
  push(reading, { kind: 'mpls', label: entry >>> 12, tc: (entry >>> 9) & 7, bottom, ttl: entry & 0xff }, 4);
  return bottom ? undefined : { etherType: EtherType.mpls };
}

function lldp(reading: Reading): Next {
  const { bytes, at, end } = reading;
  const fields = decodeLldp(bytes, at, end);
  if (fields === undefined) return undefined;
  // Legal oddities (no end mark, a longer TTL) would not be written back as they are: leave those as payload.
  const again = encodeLldp(fields);
  if (!again.equals(bytes.subarray(at, at + again.length))) return undefined;
  push(reading, { kind: 'lldp', ...fields }, again.length);
  reading.end = reading.at;
  return undefined;
}

function ipv4(reading: Reading): Next {
  const { bytes, at } = reading;
  if (!has(reading, 20) || bytes[at]! >>> 4 !== 4) return undefined;
  const size = (bytes[at]! & 0x0f) * 4;
  const totalLength = get16(bytes, at + 2);
  if (size < 20 || !has(reading, size) || totalLength < size) return undefined;
  const claimed = at + totalLength;
  const offset = get16(bytes, at + 6);
  const checksum = get16(bytes, at + 10);
  const proto = bytes[at + 9]!;
  const layer = {
    kind: 'ipv4' as const,
    src: get32(bytes, at + 12),
    dst: get32(bytes, at + 16),
    proto,
    ttl: bytes[at + 8]!,
    dscp: bytes[at + 1]! >>> 2,
    ecn: bytes[at + 1]! & 3,
    id: get16(bytes, at + 4),
    flags: offset >>> 13,
    fragmentOffset: offset & 0x1fff,
    ...(size > 20 ? { options: Buffer.from(bytes.subarray(at + 20, at + size)) } : {}),
    ...(claimed > reading.end ? { totalLength } : {}),
    ...(checksum === headerChecksum(bytes, at, size) ? {} : { checksum }),
  };
  bound(reading, claimed);
  reading.addresses = at + 12;
  reading.addressBytes = 8;
  push(reading, layer, size);
  return layer.fragmentOffset === 0 ? { proto } : undefined;
}

/** Checksum of an IPv4 header as if its own field were zero. */
function headerChecksum(bytes: Uint8Array, at: number, size: number): number {
  return internetChecksum(bytes, at + 12, at + size, sum16(bytes, at, at + 10));
}

/** Takes over the end that a length field claims; what is behind it is the frame's padding. */
function bound(reading: Reading, claimed: number): void {
  if (claimed > reading.end) reading.truncated = true;
  else reading.end = claimed;
}

function ipv6(reading: Reading): Next {
  const { bytes, at } = reading;
  if (!has(reading, 40) || bytes[at]! >>> 4 !== 6) return undefined;
  const head = get32(bytes, at);
  const payloadLength = get16(bytes, at + 4);
  const claimed = at + 40 + payloadLength;
  const nextHeader = bytes[at + 6]!;
  const layer = {
    kind: 'ipv6' as const,
    src: get128(bytes, at + 8),
    dst: get128(bytes, at + 24),
    nextHeader,
    hopLimit: bytes[at + 7]!,
    dscp: (head >>> 22) & 0x3f,
    ecn: (head >>> 20) & 3,
    flowLabel: head & 0xf_ffff,
    ...(claimed > reading.end ? { payloadLength } : {}),
  };
  bound(reading, claimed);
  reading.addresses = at + 8;
  reading.addressBytes = 32;
  push(reading, layer, 40);
  return { proto: nextHeader };
}

function transport(reading: Reading, proto: number): Next {
  const isV6 = reading.addressBytes === 32;
  switch (proto) {
    case IpProto.tcp:
      return tcp(reading);
    case IpProto.udp:
      return udp(reading);
    case IpProto.icmp:
      return isV6 ? undefined : icmp(reading, 'icmpv4');
    case IpProto.icmpv6:
      return isV6 ? icmp(reading, 'icmpv6') : undefined;
    case IpProto.fragment:
      return isV6 ? fragment(reading) : undefined;
    default:
      return isV6 ? extension(reading, proto) : undefined;
  }
}

function extension(reading: Reading, proto: number): Next {
  const { bytes, at, end } = reading;
  const size = extensionSize(bytes, proto, at, end);
  if (size < 0) reading.truncated = true;
  if (size <= 0) return undefined;
  const nextHeader = bytes[at]!;
  push(reading, { kind: 'extension', proto, nextHeader, data: Buffer.from(bytes.subarray(at + 2, at + size)) }, size);
  return { proto: nextHeader };
}

function fragment(reading: Reading): Next {
  const { bytes, at } = reading;
  if (!has(reading, 8)) return undefined;
  const offset = get16(bytes, at + 2);
  // Reserved bits would not be written back.
  if (bytes[at + 1] !== 0 || (offset & 6) !== 0) return undefined;
  const nextHeader = bytes[at]!;
  const layer = { kind: 'fragment' as const, nextHeader, offset: offset >>> 3, more: (offset & 1) === 1 };
  push(reading, { ...layer, id: get32(bytes, at + 4) }, 8);
  return layer.offset === 0 ? { proto: nextHeader } : undefined;
}

/** Checksum of [at, end) with pseudo header as if the checksum field at `sumAt` were zero. */
function transportChecksum(reading: Reading, proto: number, sumAt: number, end: number): number {
  const { bytes, at, addresses, addressBytes } = reading;
  const pseudo = proto === IpProto.icmp ? 0 : pseudoHeaderSum(bytes, addresses, addressBytes, proto, end - at);
  return internetChecksum(bytes, sumAt + 2, end, sum16(bytes, at, sumAt, pseudo));
}

function tcp(reading: Reading): Next {
  const { bytes, at } = reading;
  if (!has(reading, 20)) return undefined;
  const size = (bytes[at + 12]! >>> 4) * 4;
  if (size < 20 || !has(reading, size)) return undefined;
  const checksum = get16(bytes, at + 16);
  const layer = {
    kind: 'tcp' as const,
    src: get16(bytes, at),
    dst: get16(bytes, at + 2),
    seq: get32(bytes, at + 4),
    ack: get32(bytes, at + 8),
    flags: get16(bytes, at + 12) & 0xfff,
    window: get16(bytes, at + 14),
    urgent: get16(bytes, at + 18),
    ...(size > 20 ? { options: Buffer.from(bytes.subarray(at + 20, at + size)) } : {}),
    ...(checksum === transportChecksum(reading, IpProto.tcp, at + 16, reading.end) ? {} : { checksum }),
  };
  push(reading, layer, size);
  return undefined;
}

function udp(reading: Reading): Next {
  const { bytes, at, end } = reading;
  if (!has(reading, 8)) return undefined;
  const length = get16(bytes, at + 4);
  const checksum = get16(bytes, at + 6);
  if (at + length > end) reading.truncated = true;
  const computed = transportChecksum(reading, IpProto.udp, at + 6, end) || 0xffff;
  const [src, dst] = [get16(bytes, at), get16(bytes, at + 2)];
  const layer = {
    kind: 'udp' as const,
    src,
    dst,
    ...(at + length === end ? {} : { length }),
    ...(checksum === computed ? {} : { checksum }),
  };
  push(reading, layer, 8);
  if (at + length === end && isDhcp(src, dst)) dhcp(reading);
  return undefined;
}

function isDhcp(src: number, dst: number): boolean {
  return (
    (src === DhcpPort.client && dst === DhcpPort.server) ||
    (src === DhcpPort.server && (dst === DhcpPort.client || dst === DhcpPort.server))
  );
}

function dhcp(reading: Reading): void {
  const found = decodeDhcp(reading.bytes, reading.at, reading.end);
  if (found !== undefined) push(reading, { kind: 'dhcp', ...found.fields }, found.end - reading.at);
}

function icmp(reading: Reading, kind: 'icmpv4' | 'icmpv6'): Next {
  const { bytes, at } = reading;
  if (!has(reading, 8)) return undefined;
  const proto = kind === 'icmpv4' ? IpProto.icmp : IpProto.icmpv6;
  const checksum = get16(bytes, at + 2);
  const type = bytes[at]!;
  const layer = {
    kind,
    type,
    code: bytes[at + 1]!,
    rest: get32(bytes, at + 4),
    ...(checksum === transportChecksum(reading, proto, at + 2, reading.end) ? {} : { checksum }),
  };
  push(reading, layer, 8);
  if (kind === 'icmpv6') nd(reading, type);
  return undefined;
}

/** Fixed bytes between the ICMPv6 header and the options. */
const ND_FIXED: ReadonlyMap<number, number> = new Map([
  [NdType.routerSolicit, 0],
  [NdType.routerAdvert, 8],
  [NdType.neighborSolicit, 16],
  [NdType.neighborAdvert, 16],
  [NdType.redirect, 32],
]);

function nd(reading: Reading, type: number): void {
  const { bytes, at, end } = reading;
  const fixed = ND_FIXED.get(type);
  if (fixed === undefined || !has(reading, fixed)) return;
  const options = ndOptions(bytes, at + fixed, end);
  if (options === undefined) {
    reading.truncated = true;
    return;
  }
  let layer: NdLayer = { kind: 'nd', options };
  if (fixed === 8) layer = { ...layer, reachableMs: get32(bytes, at), retransmitMs: get32(bytes, at + 4) };
  if (fixed >= 16) layer = { ...layer, target: get128(bytes, at) };
  if (fixed === 32) layer = { ...layer, destination: get128(bytes, at + 16) };
  push(reading, layer, end - at);
}

/** All options that fill [at, end); undefined when one is cut or of length zero. */
function ndOptions(bytes: Uint8Array, at: number, end: number): NdOption[] | undefined {
  const options: NdOption[] = [];
  for (let here = at; here < end; ) {
    const size = here + 2 > end ? 0 : bytes[here + 1]! * 8;
    if (size === 0 || here + size > end) return undefined;
    options.push({ type: bytes[here]!, data: Buffer.from(bytes.subarray(here + 2, here + size)) });
    here += size;
  }
  return options;
}
