import { Buffer } from 'node:buffer';
import { set16, set32, set48, set128 } from '../bytes.ts';
import { WireError } from '../errors.ts';
import { internetChecksum, pseudoHeaderSum } from './checksum.ts';
import { encodeDhcp } from './dhcp.ts';
import { ARP_HEADER, EtherType } from './ethernet.ts';
import { IpProto } from './layout.ts';
import { encodeLldp } from './lldp.ts';
import type {
  Icmpv4Layer,
  Icmpv6Layer,
  Ipv4Layer,
  Ipv6Layer,
  Layer,
  NdLayer,
  NdOption,
  Packet,
  TcpLayer,
  UdpLayer,
} from './packet.ts';

/** What a layer needs to know about its neighbours. */
interface Around {
  /** The layer inside this one. */
  readonly next: Layer | undefined;
  /** The IP header outside this one, for the pseudo header. */
  readonly ip: Ipv4Layer | Ipv6Layer | undefined;
}

/**
 * Bytes of a packet. Lengths, checksums and types of what follows are worked out wherever the layer does not give them; what it
 * gives is written as it is. No padding to the Ethernet minimum (give a `trailer`). Throws WireError (NL_WIRE_VALUE) when a
 * value does not fit its field.
 */
export function encodePacket(packet: Packet): Buffer {
  const { layers } = packet;
  let body = packet.payload ?? Buffer.alloc(0);
  for (let i = layers.length - 1; i >= 0; i--) {
    const ip = layers.slice(0, i).findLast((layer) => layer.kind === 'ipv4' || layer.kind === 'ipv6');
    body = encodeLayer(layers[i]!, body, { next: layers[i + 1], ip });
  }
  return packet.trailer === undefined ? body : Buffer.concat([body, packet.trailer]);
}

function encodeLayer(layer: Layer, body: Buffer, around: Around): Buffer {
  switch (layer.kind) {
    case 'ethernet': {
      const head = Buffer.alloc(14);
      put(layer.kind, 'dst', layer.dst, 48, (value) => set48(head, 0, value));
      put(layer.kind, 'src', layer.src, 48, (value) => set48(head, 6, value));
      put(layer.kind, 'type', layer.type ?? etherTypeOf(around.next), 16, (value) => set16(head, 12, value));
      return Buffer.concat([head, body]);
    }
    case 'vlan': {
      const head = Buffer.alloc(4);
      const { vid, pcp = 0, dei = false } = layer;
      within(layer.kind, 'vid', vid, 12);
      within(layer.kind, 'pcp', pcp, 3);
      set16(head, 0, (pcp << 13) | (dei ? 0x1000 : 0) | vid);
      put(layer.kind, 'type', layer.type ?? etherTypeOf(around.next), 16, (value) => set16(head, 2, value));
      return Buffer.concat([head, body]);
    }
    case 'mpls': {
      const head = Buffer.alloc(4);
      within(layer.kind, 'label', layer.label, 20);
      within(layer.kind, 'tc', layer.tc, 3);
      within(layer.kind, 'ttl', layer.ttl, 8);
      set32(head, 0, (layer.label << 12) | (layer.tc << 9) | (layer.bottom ? 0x100 : 0) | layer.ttl);
      return Buffer.concat([head, body]);
    }
    case 'arp': {
      const head = Buffer.alloc(ARP_HEADER);
      set32(head, 0, 0x0001_0800);
      set16(head, 4, 0x0604);
      put(layer.kind, 'op', layer.op, 16, (value) => set16(head, 6, value));
      put(layer.kind, 'sha', layer.sha, 48, (value) => set48(head, 8, value));
      put(layer.kind, 'spa', layer.spa, 32, (value) => set32(head, 14, value));
      put(layer.kind, 'tha', layer.tha, 48, (value) => set48(head, 18, value));
      put(layer.kind, 'tpa', layer.tpa, 32, (value) => set32(head, 24, value));
      return Buffer.concat([head, body]);
    }
    case 'lldp':
      return Buffer.concat([encodeLldp(layer), body]);
    case 'dhcp':
      return Buffer.concat([encodeDhcp(layer), body]);
    case 'ipv4':
      return encodeIpv4(layer, body, around.next);
    case 'ipv6':
      return encodeIpv6(layer, body, around.next);
    case 'extension': {
      const step = layer.proto === IpProto.authentication ? 4 : 8;
      const size = layer.data.length + 2;
      const least = step === 4 ? 8 : 0;
      if (size < 8 || size % step !== 0 || size > 256 * 8)
        throw refuse(layer.kind, 'data', `${layer.data.length} bytes`);
      const units = step === 4 ? (size - least) / 4 : size / 8 - 1;
      if (units > 255) throw refuse(layer.kind, 'data', `${layer.data.length} bytes`);
      return Buffer.concat([Buffer.from([layer.nextHeader ?? protoOf(around.next), units]), layer.data, body]);
    }
    case 'fragment': {
      const head = Buffer.alloc(8);
      put(layer.kind, 'nextHeader', layer.nextHeader ?? protoOf(around.next), 8, (value) => {
        head[0] = value;
      });
      within(layer.kind, 'offset', layer.offset, 13);
      set16(head, 2, (layer.offset << 3) | (layer.more ? 1 : 0));
      put(layer.kind, 'id', layer.id, 32, (value) => set32(head, 4, value));
      return Buffer.concat([head, body]);
    }
    case 'icmpv4':
    case 'icmpv6':
      return encodeIcmp(layer, body, around.ip);
    case 'nd':
      return encodeNd(layer, body);
    case 'udp':
      return encodeUdp(layer, body, around.ip);
    case 'tcp':
      return encodeTcp(layer, body, around.ip);
  }
}

const ETHER_TYPES: Partial<Record<Layer['kind'], number>> = {
  vlan: EtherType.vlan,
  mpls: EtherType.mpls,
  ipv4: EtherType.ipv4,
  ipv6: EtherType.ipv6,
  lldp: EtherType.lldp,
};

const PROTOS: Partial<Record<Layer['kind'], number>> = {
  fragment: IpProto.fragment,
  icmpv4: IpProto.icmp,
  icmpv6: IpProto.icmpv6,
  udp: IpProto.udp,
  tcp: IpProto.tcp,
};

/** EtherType of what follows; for no or an unknown layer 0xffff, reserved, which nobody takes for anything. */
function etherTypeOf(next: Layer | undefined): number {
  if (next?.kind === 'arp') return next.op === 3 || next.op === 4 ? EtherType.rarp : EtherType.arp;
  return (next && ETHER_TYPES[next.kind]) ?? 0xffff;
}

/** Protocol of what follows; "no next header" for none. */
function protoOf(next: Layer | undefined): number {
  if (next?.kind === 'extension') return next.proto;
  return (next && PROTOS[next.kind]) ?? IpProto.noNext;
}

function encodeIpv4(layer: Ipv4Layer, body: Buffer, next: Layer | undefined): Buffer {
  const { kind } = layer;
  const options = padded(kind, layer.options);
  const head = Buffer.alloc(20 + options.length);
  const { dscp = 0, ecn = 0, flags = 0, fragmentOffset = 0 } = layer;
  within(kind, 'dscp', dscp, 6);
  within(kind, 'ecn', ecn, 2);
  within(kind, 'flags', flags, 3);
  within(kind, 'fragmentOffset', fragmentOffset, 13);
  head[0] = 0x40 | (head.length / 4);
  head[1] = (dscp << 2) | ecn;
  put(kind, 'totalLength', layer.totalLength ?? head.length + body.length, 16, (value) => set16(head, 2, value));
  put(kind, 'id', layer.id ?? 0, 16, (value) => set16(head, 4, value));
  set16(head, 6, (flags << 13) | fragmentOffset);
  put(kind, 'ttl', layer.ttl ?? 64, 8, (value) => {
    head[8] = value;
  });
  put(kind, 'proto', layer.proto ?? protoOf(next), 8, (value) => {
    head[9] = value;
  });
  put(kind, 'src', layer.src, 32, (value) => set32(head, 12, value));
  put(kind, 'dst', layer.dst, 32, (value) => set32(head, 16, value));
  head.set(options, 20);
  const checksum = layer.checksum ?? internetChecksum(head, 0, head.length);
  put(kind, 'checksum', checksum, 16, (value) => set16(head, 10, value));
  return Buffer.concat([head, body]);
}

function encodeIpv6(layer: Ipv6Layer, body: Buffer, next: Layer | undefined): Buffer {
  const { kind, dscp = 0, ecn = 0, flowLabel = 0 } = layer;
  const head = Buffer.alloc(40);
  within(kind, 'dscp', dscp, 6);
  within(kind, 'ecn', ecn, 2);
  within(kind, 'flowLabel', flowLabel, 20);
  set32(head, 0, (6 << 28) | (dscp << 22) | (ecn << 20) | flowLabel);
  put(kind, 'payloadLength', layer.payloadLength ?? body.length, 16, (value) => set16(head, 4, value));
  put(kind, 'nextHeader', layer.nextHeader ?? protoOf(next), 8, (value) => {
    head[6] = value;
  });
  put(kind, 'hopLimit', layer.hopLimit ?? 64, 8, (value) => {
    head[7] = value;
  });
  put128(kind, 'src', layer.src, head, 8);
  put128(kind, 'dst', layer.dst, head, 24);
  return Buffer.concat([head, body]);
}

/** Checksum of a message whose own field is zero. */
function checksumOf(message: Buffer, proto: number, ip: Around['ip']): number {
  if (proto === IpProto.icmp) return internetChecksum(message, 0, message.length);
  // Without an IP header outside there is no pseudo header to count.
  if (ip === undefined) return internetChecksum(message, 0, message.length);
  const addressBytes = ip.kind === 'ipv4' ? 8 : 32;
  const addresses = Buffer.alloc(addressBytes);
  if (ip.kind === 'ipv4') {
    set32(addresses, 0, ip.src);
    set32(addresses, 4, ip.dst);
  } else {
    set128(addresses, 0, ip.src);
    set128(addresses, 16, ip.dst);
  }
  const pseudo = pseudoHeaderSum(addresses, 0, addressBytes, proto, message.length);
  return internetChecksum(message, 0, message.length, pseudo);
}

function encodeIcmp(layer: Icmpv4Layer | Icmpv6Layer, body: Buffer, ip: Around['ip']): Buffer {
  const { kind } = layer;
  const head = Buffer.alloc(8);
  within(kind, 'type', layer.type, 8);
  within(kind, 'code', layer.code, 8);
  head[0] = layer.type;
  head[1] = layer.code;
  put(kind, 'rest', layer.rest, 32, (value) => set32(head, 4, value));
  const message = Buffer.concat([head, body]);
  const proto = kind === 'icmpv4' ? IpProto.icmp : IpProto.icmpv6;
  put(kind, 'checksum', layer.checksum ?? checksumOf(message, proto, ip), 16, (value) => set16(message, 2, value));
  return message;
}

function encodeNd(layer: NdLayer, body: Buffer): Buffer {
  const { kind } = layer;
  const parts: Buffer[] = [];
  if (layer.reachableMs !== undefined || layer.retransmitMs !== undefined) {
    const timers = Buffer.alloc(8);
    put(kind, 'reachableMs', layer.reachableMs ?? 0, 32, (value) => set32(timers, 0, value));
    put(kind, 'retransmitMs', layer.retransmitMs ?? 0, 32, (value) => set32(timers, 4, value));
    parts.push(timers);
  }
  for (const field of ['target', 'destination'] as const) {
    const address = layer[field];
    if (address === undefined) continue;
    const bytes = Buffer.alloc(16);
    put128(kind, field, address, bytes, 0);
    parts.push(bytes);
  }
  for (const { type, data } of layer.options) {
    within(kind, 'option.type', type, 8);
    const size = data.length + 2;
    if (size % 8 !== 0 || size > 255 * 8) throw refuse(kind, 'option.data', `${data.length} bytes`);
    parts.push(Buffer.from([type, size / 8]), data);
  }
  return Buffer.concat([...parts, body]);
}

function encodeUdp(layer: UdpLayer, body: Buffer, ip: Around['ip']): Buffer {
  const { kind } = layer;
  const head = Buffer.alloc(8);
  put(kind, 'src', layer.src, 16, (value) => set16(head, 0, value));
  put(kind, 'dst', layer.dst, 16, (value) => set16(head, 2, value));
  put(kind, 'length', layer.length ?? 8 + body.length, 16, (value) => set16(head, 4, value));
  const message = Buffer.concat([head, body]);
  // Zero on the wire means "no checksum", so a sum of zero goes as its other form (RFC 768).
  const checksum = layer.checksum ?? (checksumOf(message, IpProto.udp, ip) || 0xffff);
  put(kind, 'checksum', checksum, 16, (value) => set16(message, 6, value));
  return message;
}

function encodeTcp(layer: TcpLayer, body: Buffer, ip: Around['ip']): Buffer {
  const { kind } = layer;
  const options = padded(kind, layer.options);
  const head = Buffer.alloc(20);
  put(kind, 'src', layer.src, 16, (value) => set16(head, 0, value));
  put(kind, 'dst', layer.dst, 16, (value) => set16(head, 2, value));
  put(kind, 'seq', layer.seq, 32, (value) => set32(head, 4, value));
  put(kind, 'ack', layer.ack, 32, (value) => set32(head, 8, value));
  within(kind, 'flags', layer.flags, 12);
  set16(head, 12, ((20 + options.length) / 4) * 0x1000 + layer.flags);
  put(kind, 'window', layer.window, 16, (value) => set16(head, 14, value));
  put(kind, 'urgent', layer.urgent ?? 0, 16, (value) => set16(head, 18, value));
  const message = Buffer.concat([head, options, body]);
  put(kind, 'checksum', layer.checksum ?? checksumOf(message, IpProto.tcp, ip), 16, (value) =>
    set16(message, 16, value),
  );
  return message;
}

/** A source or target link-layer address option of neighbour discovery. */
export function linkLayerOption(type: number, mac: number): NdOption {
  const data = Buffer.alloc(6);
  set48(data, 0, mac);
  return { type, data };
}

function padded(kind: string, options: Buffer | undefined): Buffer {
  if (options === undefined) return Buffer.alloc(0);
  if (options.length > 40) throw refuse(kind, 'options', `${options.length} bytes`);
  return Buffer.concat([options, Buffer.alloc((4 - (options.length % 4)) % 4)]);
}

function within(kind: string, field: string, value: number, bits: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** bits) throw refuse(kind, field, value);
}

function put(kind: string, field: string, value: number, bits: number, set: (value: number) => void): void {
  within(kind, field, value, bits);
  set(value);
}

function put128(kind: string, field: string, value: bigint, bytes: Buffer, at: number): void {
  if (value < 0n || value >> 128n !== 0n) throw refuse(kind, field, String(value));
  set128(bytes, at, value);
}

function refuse(kind: string, field: string, value: number | string): WireError {
  return new WireError(kind, field, -1, `does not fit: ${value}`, { code: 'NL_WIRE_VALUE' });
}
