import { type IpAddress, next, type Port, Priority, pipeline, type Rule, rule } from '../../controller/index.ts';
import { ethType, Icmpv6, IpProto } from './numbers.ts';

const go = [next(pipeline.respond)];
const DHCP_CLIENT = 68;
const DHCP_SERVER = 67;

/** fe80::/64 and the modified EUI-64 of a MAC, RFC 4291 appendix A. */
export function linkLocalOf(mac: number): IpAddress {
  const value = BigInt(mac);
  const upper = (value >> 24n) ^ 0x020000n;
  return { family: 6, value: (0xfe80n << 112n) | (upper << 40n) | (0xfffen << 24n) | (value & 0xffffffn) };
}

/**
 * What a declared port may send. With port security and declared addresses: those addresses only, also inside ARP and
 * neighbour discovery, plus what it takes to get an address. With port security but no addresses: its own MAC. Without: all.
 * Families without a declared address, and frames that are neither IP nor ARP, are refused when there are addresses.
 */
export function admitRules(port: Port & { readonly mac: number }, no: number): readonly Rule[] {
  const { mac } = port;
  if (!port.portSecurity) {
    return [rule(pipeline.admit, { priority: Priority.permit, match: { inPort: no }, do: go })];
  }
  if (port.addresses.length === 0) {
    return [rule(pipeline.admit, { priority: Priority.permit, match: { inPort: no, ethSrc: mac }, do: go })];
  }
  const ipv4 = port.addresses.filter((address) => address.family === 4);
  const ipv6 = port.addresses.filter((address) => address.family === 6);
  return [...(ipv4.length > 0 ? admitIpv4(mac, no, ipv4) : []), ...(ipv6.length > 0 ? admitIpv6(mac, no, ipv6) : [])];
}

function admitIpv4(mac: number, no: number, addresses: readonly IpAddress[]): readonly Rule[] {
  const ip = { inPort: no, ethSrc: mac, ethType: ethType.ipv4 };
  const arp = { inPort: no, ethSrc: mac, ethType: ethType.arp, arpSha: mac };
  const dhcp = { ...ip, ipv4Src: 0, ipProto: IpProto.udp, udpSrc: DHCP_CLIENT, udpDst: DHCP_SERVER };
  const rules = [rule(pipeline.admit, { priority: Priority.exact, match: dhcp, do: go })];
  for (const { value } of addresses) {
    rules.push(
      rule(pipeline.admit, { priority: Priority.exact, match: { ...ip, ipv4Src: value }, do: go }),
      rule(pipeline.admit, { priority: Priority.exact, match: { ...arp, arpSpa: value }, do: go }),
      // RFC 5227: a probe for an address of one's own names no sender.
      rule(pipeline.admit, { priority: Priority.exact, match: { ...arp, arpSpa: 0, arpTpa: value }, do: go }),
    );
  }
  return rules;
}

/**
 * Neighbour discovery binds addresses to MACs, so it is refused for all (`tenants/switch`) and allowed here for what is the
 * port's own: solicitations by source, detection of duplicates and advertisements by target. An advertisement in answer to
 * a unicast solicitation may come without its MAC option.
 */
function admitIpv6(mac: number, no: number, declared: readonly IpAddress[]): readonly Rule[] {
  const ip = { inPort: no, ethSrc: mac, ethType: ethType.ipv6 };
  const solicit = { ...ip, ipProto: IpProto.icmpv6, icmpv6Type: Icmpv6.neighbourSolicitation };
  const advertise = { ...ip, ipProto: IpProto.icmpv6, icmpv6Type: Icmpv6.neighbourAdvertisement };
  const values = new Set([linkLocalOf(mac).value, ...declared.map((address) => address.value)]);
  const rules: Rule[] = [];
  for (const value of values) {
    const permits = [
      { ...solicit, ipv6Src: value, ipv6NdSll: mac },
      { ...solicit, ipv6Src: 0n, ipv6NdTarget: value },
      { ...advertise, ipv6NdTarget: value, ipv6NdTll: mac },
      { ...advertise, ipv6NdTarget: value, ipv6NdTll: 0 },
    ];
    rules.push(
      rule(pipeline.admit, { priority: Priority.exact, match: { ...ip, ipv6Src: value }, do: go }),
      ...permits.map((match) => rule(pipeline.admit, { priority: Priority.permit, match, do: go })),
    );
  }
  return rules;
}
