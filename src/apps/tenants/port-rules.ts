import {
  addressOf,
  type Dpid,
  foreignHost,
  type Hypervisor,
  isOverlay,
  type Member,
  type Membership,
  MeterId,
  meterBy,
  type NetworkState,
  next,
  OVERLAY,
  output,
  type Placement,
  type Port,
  Priority,
  pipeline,
  type Rule,
  remoteRules,
  rule,
  rulesBeyond,
  type Step,
  set,
  state as slots,
  speaks,
  tunnelRules,
  tunnelWays,
  waysTo,
  write,
} from '../../controller/index.ts';
import { admitRules } from './admit.ts';
import { canMeter } from './owners.ts';
import { announcementRules, responderRules } from './respond.ts';

const NOWHERE: Placement = new Map();

/** A port whose MAC is given. */
export type DeclaredPort = Port & { readonly mac: number };
/** True when the port's MAC is given. */
export const isDeclared = (port: Port): port is DeclaredPort => port.mac !== 'learned';

/** All rules of one port object that does not move: on its own switch, and on each member switch of its network that can reach it. */
export function portRules(port: Port, membership: Membership, state: NetworkState): Placement {
  const host = foreignHost(port, state.desired);
  if (host) return foreignRules(port, host, membership, state);
  const place = membership.placeOf(port);
  if (!place) return NOWHERE;
  const classify = classifyRule(port, place, state);
  if (!isDeclared(port)) return new Map([[place.dpid, [classify]]]);

  const { network, dpid } = place;
  const responders = responderRules(network, port.mac, port.addresses);
  const to = { network, mac: port.mac, dpid, endpoint: port.endpoint };
  const placement = placed(remoteRules(to, membership, state), responders, membership);
  const spansFabric = placement.size > 0 && !isOverlay(state.desired.networkByIndex(network)?.transport);
  placement.set(dpid, [
    classify,
    ...admitRules(port, place.no),
    ...(membership.hasNicira(dpid) ? [...responders, ...announcementRules(network, port.addresses)] : []),
    rule(pipeline.switch, {
      priority: Priority.exact,
      match: { network, ethDst: port.mac },
      do: [output(place.no)],
    }),
    ...(spansFabric ? [deliverRule(port, place, addressOf(to, membership))] : []),
  ]);
  const gateway = membership.gatewayOf(network);
  if (gateway !== undefined) {
    const steps = gateway === dpid ? [output(place.no)] : waysTo(to, membership, state).get(gateway);
    addBeyond(placement, port, network, steps ?? [], membership, state);
  }
  // A sender that is told of a new receiver a moment before the receiver's switch loses no more than by not being told yet.
  return Object.assign(placement, { lead: dpid, leadsMoves: true });
}

/** Behind a tunnel endpoint of others: how each member switch gets there, and the answers to who has its addresses. */
function foreignRules(port: Port, host: Hypervisor, membership: Membership, state: NetworkState): Placement {
  const network = state.desired.networks.get(`${port.tenant}/${port.network}`);
  if (!network || !speaks(host, network.transport) || !isDeclared(port)) return NOWHERE;
  const { index } = network;
  const switches = membership.segment(index, OVERLAY);
  const remote = tunnelRules(index, port.mac, switches, host.tunnelAddresses, membership, state);
  const placement = placed(remote, responderRules(index, port.mac, port.addresses), membership);
  const gateway = membership.gatewayOf(index);
  if (gateway !== undefined) {
    const steps = tunnelWays(index, [gateway], host.tunnelAddresses, membership, state).get(gateway);
    addBeyond(placement, port, index, steps ?? [], membership, state);
  }
  return placement;
}

/** What members beyond the gateway of the network need: the way to the port, from the gateway on by `steps`, and who has its addresses. */
export function addBeyond(
  placement: Map<Dpid, readonly Rule[]>,
  port: DeclaredPort,
  network: number,
  steps: readonly Step[],
  membership: Membership,
  state: NetworkState,
): void {
  const beyond = membership.beyond(network);
  const dpid = membership.gatewayOf(network);
  if (!beyond || dpid === undefined) return;
  const address = addressOf({ network, mac: port.mac, dpid, endpoint: port.endpoint }, membership);
  const rules = rulesBeyond(network, port.mac, steps, address, membership, state);
  const responders = responderRules(beyond.index, port.mac, port.addresses);
  for (const [other, list] of rules) {
    const more = membership.hasNicira(other) ? [...list, ...responders] : list;
    placement.set(other, [...(placement.get(other) ?? []), ...more]);
  }
}

/** Switches share rule objects, and lists of them: the cost of a port is its rules, not its rules times the switches. */
function placed(
  remote: ReadonlyMap<Dpid, Rule>,
  responders: readonly Rule[],
  membership: Membership,
): Map<Dpid, readonly Rule[]> {
  const placement = new Map<Dpid, readonly Rule[]>();
  const lists = new Map<Rule, readonly Rule[]>();
  for (const [dpid, way] of remote) {
    if (!membership.hasNicira(dpid)) {
      placement.set(dpid, [way]);
      continue;
    }
    const list = lists.get(way) ?? [way, ...responders];
    lists.set(way, list);
    placement.set(dpid, list);
  }
  return placement;
}

/** Who sends from the physical port. */
export function classifyRule(port: Port, place: Member, state: NetworkState): Rule {
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

function deliverRule(port: DeclaredPort, place: Member, address: number): Rule {
  return rule(pipeline.deliver, {
    priority: Priority.exact,
    match: { ethDst: address },
    do: [set('ethDst', port.mac), output(place.no)],
  });
}
