import type { Buffer } from 'node:buffer';
import type { DhcpFields } from './dhcp.ts';
import type { Lldp } from './lldp.ts';

/*
 * Fields that the encoder can work out (types of what follows, lengths, checksums) are optional everywhere. The decoder gives
 * types always, lengths and checksums only when they are not what the encoder would write; so writing back what was read
 * changes no byte, odd or wrong as it may be.
 */

/** Ethernet II header. `type` is an EtherType, a TPID, or an 802.3 length (then everything after it is payload). */
export interface EthernetLayer {
  readonly kind: 'ethernet';
  readonly dst: number;
  readonly src: number;
  readonly type?: number;
}

/** 802.1Q or 802.1ad tag; which one, the type before it says (0x8100 when left out). */
export interface VlanLayer {
  readonly kind: 'vlan';
  /** 0…4095 */
  readonly vid: number;
  /** 0…7, default 0 */
  readonly pcp?: number;
  /** Drop eligible; default false. */
  readonly dei?: boolean;
  readonly type?: number;
}

/** One MPLS label stack entry. */
export interface MplsLayer {
  readonly kind: 'mpls';
  readonly label: number;
  readonly tc: number;
  readonly bottom: boolean;
  readonly ttl: number;
}

/** ARP or RARP for IPv4 over Ethernet (RFC 826). */
export interface ArpLayer {
  readonly kind: 'arp';
  readonly op: number;
  readonly sha: number;
  readonly spa: number;
  readonly tha: number;
  readonly tpa: number;
}

/** IPv4 header (RFC 791). */
export interface Ipv4Layer {
  readonly kind: 'ipv4';
  readonly src: number;
  readonly dst: number;
  readonly proto?: number;
  /** Default 64. */
  readonly ttl?: number;
  readonly dscp?: number;
  readonly ecn?: number;
  readonly id?: number;
  /** Three bits: 2 = don't fragment, 1 = more fragments. */
  readonly flags?: number;
  /** In units of 8 bytes. */
  readonly fragmentOffset?: number;
  /** Up to 40 bytes; filled up to a multiple of 4 with zeros. */
  readonly options?: Buffer;
  readonly totalLength?: number;
  readonly checksum?: number;
}

/** IPv6 header (RFC 8200 §3). */
export interface Ipv6Layer {
  readonly kind: 'ipv6';
  readonly src: bigint;
  readonly dst: bigint;
  readonly nextHeader?: number;
  /** Default 64. */
  readonly hopLimit?: number;
  readonly dscp?: number;
  readonly ecn?: number;
  readonly flowLabel?: number;
  readonly payloadLength?: number;
}

/** IPv6 extension header: hop-by-hop, routing, destination, mobility, authentication (RFC 8200 §4, RFC 4302). */
export interface ExtensionLayer {
  readonly kind: 'extension';
  /** Its own protocol number, that of the header before it. */
  readonly proto: number;
  readonly nextHeader?: number;
  /** All after next header and length; 8n + 6 bytes (authentication: 4n + 6). */
  readonly data: Buffer;
}

/** IPv6 fragment header (RFC 8200 §4.5). */
export interface FragmentLayer {
  readonly kind: 'fragment';
  readonly nextHeader?: number;
  /** In units of 8 bytes. */
  readonly offset: number;
  readonly more: boolean;
  readonly id: number;
}

/** ICMP (RFC 792): the 8 bytes that all types share. */
export interface Icmpv4Layer {
  readonly kind: 'icmpv4';
  readonly type: number;
  readonly code: number;
  /** The 32 bits after the checksum; in echo messages identifier and sequence number. */
  readonly rest: number;
  readonly checksum?: number;
}

/** ICMPv6 (RFC 4443). For neighbour discovery an `nd` layer follows. */
export interface Icmpv6Layer {
  readonly kind: 'icmpv6';
  readonly type: number;
  readonly code: number;
  /** The 32 bits after the checksum: identifier and sequence, flags of an advertisement, or reserved. */
  readonly rest: number;
  readonly checksum?: number;
}

/** Option of neighbour discovery (RFC 4861 §4.6). */
export interface NdOption {
  readonly type: number;
  /** All after type and length: 8n − 2 bytes. */
  readonly data: Buffer;
}

/** What a neighbour discovery message holds after its first 8 bytes (RFC 4861 §4). */
export interface NdLayer {
  readonly kind: 'nd';
  /** Solicitation, advertisement, redirect. */
  readonly target?: bigint;
  /** Redirect. */
  readonly destination?: bigint;
  /** Router advertisement: reachable time and retransmission timer, milliseconds. */
  readonly reachableMs?: number;
  readonly retransmitMs?: number;
  readonly options: readonly NdOption[];
}

/** UDP (RFC 768). A checksum of 0 is given to send without one. */
export interface UdpLayer {
  readonly kind: 'udp';
  readonly src: number;
  readonly dst: number;
  readonly length?: number;
  readonly checksum?: number;
}

/** TCP (RFC 9293). */
export interface TcpLayer {
  readonly kind: 'tcp';
  readonly src: number;
  readonly dst: number;
  readonly seq: number;
  readonly ack: number;
  /** Twelve bits, reserved ones on top: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128. */
  readonly flags: number;
  readonly window: number;
  readonly urgent?: number;
  /** Up to 40 bytes, kept as they are; filled up to a multiple of 4 with zeros. */
  readonly options?: Buffer;
  readonly checksum?: number;
}

/** An LLDPDU. */
export interface LldpLayer extends Lldp {
  readonly kind: 'lldp';
}

/** A DHCPv4 message. */
export interface DhcpLayer extends DhcpFields {
  readonly kind: 'dhcp';
}

/** One header of a packet. */
export type Layer =
  | EthernetLayer
  | VlanLayer
  | MplsLayer
  | ArpLayer
  | Ipv4Layer
  | Ipv6Layer
  | ExtensionLayer
  | FragmentLayer
  | Icmpv4Layer
  | Icmpv6Layer
  | NdLayer
  | UdpLayer
  | TcpLayer
  | LldpLayer
  | DhcpLayer;

/** Layer of this kind. */
export type LayerOf<K extends Layer['kind']> = Extract<Layer, { kind: K }>;

/** A packet, outermost header first. */
export interface Packet {
  readonly layers: readonly Layer[];
  /** What follows the last layer, inside its parent's length. */
  readonly payload?: Buffer;
  /** What follows the network layer: padding of short frames. */
  readonly trailer?: Buffer;
  /** Set by the decoder when a header is cut, or a length says more than is there. */
  readonly truncated?: true;
}

/** The first layer of a kind, undefined when the packet has none. */
export function layerOf<K extends Layer['kind']>(packet: Packet, kind: K): LayerOf<K> | undefined {
  return packet.layers.find((layer): layer is LayerOf<K> => layer.kind === kind);
}
