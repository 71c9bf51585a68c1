import {
  DefaultRate,
  type Dpid,
  type Membership,
  MeterId,
  meter,
  type NetworkState,
  Priority,
  pipeline,
  type Rule,
  rule,
} from '../../controller/index.ts';
import { ethType, Icmpv6, IpProto } from './numbers.ts';
import { canMeter } from './owners.ts';
import { sharedResponderRules } from './respond.ts';

/** What all tenants share on a switch; nothing where no tenant has a port. */
export function switchRules(dpid: Dpid, membership: Membership): readonly Rule[] {
  if (membership.claimedOn(dpid) === 0) return [];
  return [
    // Guests are no routers, and answer for addresses only that are theirs (see `admit.ts`).
    ...Object.values(Icmpv6).map((icmpv6Type) =>
      rule(pipeline.admit, {
        priority: Priority.exception,
        match: { ethType: ethType.ipv6, ipProto: IpProto.icmpv6, icmpv6Type },
        do: [],
      }),
    ),
    ...(membership.hasNicira(dpid) ? sharedResponderRules() : []),
  ];
}

/** The meters of a tenant on a switch: what its ports may send, and what may be shown to the controller. */
export function meterRules(tenantId: string, dpid: Dpid, membership: Membership, state: NetworkState): readonly Rule[] {
  const tenant = state.desired.tenants.get(tenantId);
  if (!tenant || !canMeter(tenant)) return [];
  let present = false;
  let punts = false;
  for (const { port } of membership.membersOf(dpid)) {
    if (port?.tenant !== tenantId) continue;
    present = true;
    punts ||=
      port.mac === 'learned' || state.desired.networks.get(`${tenantId}/${port.network}`)?.unknownUnicast === 'flood';
    if (punts) break;
  }
  const { bandwidthKbps, packetInRate } = tenant.quota;
  const rules: Rule[] = [];
  if (present && bandwidthKbps !== undefined) {
    // One second's worth may come at once, or TCP never gets near the rate.
    const id = MeterId.tenantBandwidth(tenant.index);
    rules.push(meter({ id, unit: 'kbps', rate: bandwidthKbps, burst: bandwidthKbps }));
  }
  if (punts) {
    const rate = packetInRate ?? DefaultRate.tenantPunt;
    rules.push(meter({ id: MeterId.tenantPunt(tenant.index), unit: 'pktps', rate, burst: rate }));
  }
  return rules;
}
