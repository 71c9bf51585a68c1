import {
  type Dpid,
  FabricType,
  fabricAddress,
  GroupId,
  type Member,
  type Membership,
  MeterId,
  meterBy,
  type NetworkState,
  next,
  output,
  type Placement,
  type Port,
  Priority,
  pipeline,
  type Rule,
  rule,
  set,
  state as slots,
  toGroup,
  write,
} from '../../controller/index.ts';
import { admitRules } from './admit.ts';
import { canMeter } from './owners.ts';
import { announcementRules, responderRules } from './respond.ts';

const NOWHERE: Placement = new Map();

type DeclaredPort = Port & { readonly mac: number };
const isDeclared = (port: Port): port is DeclaredPort => port.mac !== 'learned';

/** All rules of one port object: on its own switch, and on each member switch of its network that can reach it. */
export function portRules(port: Port, membership: Membership, state: NetworkState): Placement {
  const place = membership.placeOf(port);
  if (!place) return NOWHERE;
  const classify = classifyRule(port, place, state);
  if (!isDeclared(port)) return new Map([[place.dpid, [classify]]]);

  const { network, dpid } = place;
  const responders = responderRules(network, port.mac, port.addresses);
  const remote = remoteRule(port, place, membership);
  const answered = [remote, ...responders];
  const placement = new Map<Dpid, readonly Rule[]>();
  // Switches share rule objects: the cost of a port is its rules, not its rules times the switches.
  for (const other of membership.reachable(network, dpid)) {
    if (other !== dpid) placement.set(other, membership.hasNicira(other) ? answered : [remote]);
  }
  const spans = placement.size > 0;
  placement.set(dpid, [
    classify,
    ...admitRules(port, place.no),
    ...(membership.hasNicira(dpid) ? [...responders, ...announcementRules(network, port.addresses)] : []),
    rule(pipeline.switch, {
      priority: Priority.exact,
      match: { network, ethDst: port.mac },
      do: [output(place.no)],
    }),
    ...(spans ? [deliverRule(port, place, membership)] : []),
  ]);
  return Object.assign(placement, { lead: dpid });
}

function classifyRule(port: Port, place: Member, state: NetworkState): Rule {
  const tenant = state.desired.tenants.get(port.tenant);
  const limited = tenant?.quota.bandwidthKbps !== undefined && canMeter(tenant);
  return rule(pipeline.classify, {
    priority: Priority.exact,
    match: { inPort: place.no },
    do: [
      ...(limited ? [meterBy(MeterId.tenantBandwidth(tenant.index))] : []),
      write(slots.network, place.network),
      next(isDeclared(port) ? pipeline.admit : pipeline.learn),
    ],
  });
}

const addressOf = (port: DeclaredPort, place: Member, membership: Membership) =>
  fabricAddress(FabricType.endpoint, membership.indexOf(place.dpid), port.endpoint);

function remoteRule(port: DeclaredPort, place: Member, membership: Membership): Rule {
  return rule(pipeline.switch, {
    priority: Priority.exact,
    match: { network: place.network, ethDst: port.mac },
    do: [set('ethDst', addressOf(port, place, membership)), toGroup(GroupId.hop(membership.indexOf(place.dpid)))],
  });
}

function deliverRule(port: DeclaredPort, place: Member, membership: Membership): Rule {
  return rule(pipeline.deliver, {
    priority: Priority.exact,
    match: { ethDst: addressOf(port, place, membership) },
    do: [set('ethDst', port.mac), output(place.no)],
  });
}
