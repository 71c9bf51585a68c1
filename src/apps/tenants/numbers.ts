export { EtherType as ethType } from '../../ofproto/index.ts';

/** ICMPv6 types of neighbour discovery, RFC 4861 §4. */
export const Icmpv6 = {
  routerAdvertisement: 134,
  neighbourSolicitation: 135,
  neighbourAdvertisement: 136,
  redirect: 137,
} as const;

/** IP protocol numbers. */
export const IpProto = { udp: 17, icmpv6: 58 } as const;

/** ARP operations, RFC 826. */
export const ArpOp = { request: 1, reply: 2 } as const;
