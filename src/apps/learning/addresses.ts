import type { IpAddress } from '../../controller/index.ts';
import { arpAt, arpOp, arpSha, arpSpa, EtherType, flowKey, get16, layer3At } from '../../ofproto/index.ts';

const ICMPV6 = 58;
const SOLICITATION = 135;
const ADVERTISEMENT = 136;
const ARP_REPLY = 2;

/**
 * IPv4 address that the sender of a frame claims in ARP, 0 when it claims none: no ARP, a probe (RFC 5227), or ARP in
 * somebody else's name. Allocates nothing.
 */
export function claimedIpv4(bytes: Buffer, at: number, end: number, source: number): number {
  const arp = arpAt(bytes, at, end);
  if (arp < 0 || arpOp(bytes, arp) > ARP_REPLY || arpSha(bytes, arp) !== source) return 0;
  return arpSpa(bytes, arp);
}

/** IPv6 address that the sender of a frame claims in neighbour discovery with its MAC, undefined when it claims none. */
export function claimedIpv6(bytes: Buffer, at: number, end: number, source: number): IpAddress | undefined {
  const l3 = layer3At(bytes, at, end);
  if (l3 < 0 || l3 + 40 > end || get16(bytes, l3 - 2) !== EtherType.ipv6 || bytes[l3 + 6] !== ICMPV6) return undefined;
  const key = flowKey(bytes, at, end);
  const value =
    key.icmpv6Type === SOLICITATION && key.ipv6NdSll === source
      ? key.ipv6Src
      : key.icmpv6Type === ADVERTISEMENT && key.ipv6NdTll === source
        ? key.ipv6NdTarget
        : undefined;
  return value === undefined || value === 0n ? undefined : { family: 6, value };
}
