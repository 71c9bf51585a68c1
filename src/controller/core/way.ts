import type { Dpid, IpAddress } from '../kernel/index.ts';
import {
  FabricType,
  fabricAddress,
  GroupId,
  Priority,
  pipeline,
  type Rule,
  rule,
  type Step,
  set,
  toGroup,
} from '../rules/index.ts';
import type { NetworkState } from './app.ts';
import type { Membership } from './membership.ts';
import { isOverlay, tunnelSteps } from './overlay.ts';

/** Somebody in a network, on a switch of ours. */
export interface Endpoint {
  readonly network: number;
  readonly mac: number;
  readonly dpid: Dpid;
  /** Number of the endpoint on its switch. */
  readonly endpoint: number;
}

/** The address by which the fabric carries frames to an endpoint. */
export const addressOf = ({ dpid, endpoint }: Endpoint, membership: Membership): number =>
  fabricAddress(FabricType.endpoint, membership.indexOf(dpid), endpoint);

/** Steps by which a switch sends a frame that is its own, not one that came through a tunnel. */
export type Way = readonly Step[];

/**
 * How each other member switch sends frames to an endpoint: over the fabric, or through a tunnel. Switches share the lists where they
 * can: the cost of an endpoint is its ways, not its ways times the switches.
 */
export function waysTo(to: Endpoint, membership: Membership, state: NetworkState): ReadonlyMap<Dpid, Way> {
  const network = state.desired.networkByIndex(to.network);
  const others = membership.reachable(to.network, to.dpid).filter((dpid) => dpid !== to.dpid);
  if (network && isOverlay(network.transport)) {
    return tunnelWays(to.network, others, membership.vtepOf(to.dpid)?.addresses ?? [], membership, state);
  }
  const way = [set('ethDst', addressOf(to, membership)), toGroup(GroupId.hop(membership.indexOf(to.dpid)))];
  return new Map(others.map((dpid) => [dpid, way]));
}

/** How each of these switches sends frames to a tunnel endpoint. Those that have no way to it are left out. */
export function tunnelWays(
  index: number,
  from: Iterable<Dpid>,
  to: readonly IpAddress[],
  membership: Membership,
  state: NetworkState,
): ReadonlyMap<Dpid, Way> {
  const ways = new Map<Dpid, Way>();
  const network = state.desired.networkByIndex(index);
  if (!network) return ways;
  const shared = new Map<string, Way>();
  for (const dpid of from) {
    const steps = tunnelSteps(network, membership.vtepOf(dpid), to);
    if (!steps) continue;
    const key = stepsKey(steps);
    const known = shared.get(key) ?? steps;
    shared.set(key, known);
    ways.set(dpid, known);
  }
  return ways;
}

/** The rule by which each other member switch sends frames to an endpoint. Shared where the ways are. */
export const remoteRules = (to: Endpoint, membership: Membership, state: NetworkState): ReadonlyMap<Dpid, Rule> =>
  wayRules(to.network, to.mac, waysTo(to, membership, state), state);

/** The rule by which each of these switches sends frames for a MAC to a tunnel endpoint. Those that have no way to it are left out. */
export const tunnelRules = (
  index: number,
  mac: number,
  from: Iterable<Dpid>,
  to: readonly IpAddress[],
  membership: Membership,
  state: NetworkState,
): ReadonlyMap<Dpid, Rule> => wayRules(index, mac, tunnelWays(index, from, to, membership, state), state);

/**
 * The rules by which members beyond the gateway of a network reach an endpoint of it: at the gateway `steps`, on the others the way to
 * the gateway. `address` is the endpoint's fabric address at the gateway; without one the fabric has no way to it.
 */
export function rulesBeyond(
  network: number,
  mac: number,
  steps: readonly Step[],
  address: number | undefined,
  membership: Membership,
  state: NetworkState,
): ReadonlyMap<Dpid, readonly Rule[]> {
  const placement = new Map<Dpid, readonly Rule[]>();
  const gateway = membership.gatewayOf(network);
  const beyond = membership.beyond(network);
  if (gateway === undefined || !beyond || steps.length === 0) return placement;
  const { index } = beyond;
  // What another gateway brought has been carried over by it.
  const match = { network: index, relayed: 0, ethDst: mac };
  const here = [rule(pipeline.switch, { priority: Priority.exact, match, do: steps })];
  const others = membership.reachable(index, gateway).filter((dpid) => dpid !== gateway);
  if (isOverlay(beyond.transport)) {
    const addresses = membership.vtepOf(gateway)?.addresses ?? [];
    for (const [dpid, way] of tunnelRules(index, mac, others, addresses, membership, state)) placement.set(dpid, [way]);
  } else if (address !== undefined) {
    const way = [set('ethDst', address), toGroup(GroupId.hop(membership.indexOf(gateway)))];
    const away = rule(pipeline.switch, { priority: Priority.exact, match: { network: index, ethDst: mac }, do: way });
    for (const dpid of others) placement.set(dpid, [away]);
    const arrives = { priority: Priority.exact, match: { ethDst: address }, do: [set('ethDst', mac), ...steps] };
    if (others.length > 0) here.push(rule(pipeline.deliver, arrives));
  }
  return placement.set(gateway, here);
}

function wayRules(
  network: number,
  mac: number,
  ways: ReadonlyMap<Dpid, Way>,
  state: NetworkState,
): ReadonlyMap<Dpid, Rule> {
  const rules = new Map<Dpid, Rule>();
  const shared = new Map<Way, Rule>();
  // What came through a tunnel does not go through another one.
  const own = isOverlay(state.desired.networkByIndex(network)?.transport) ? { arrived: 0 } : {};
  for (const [dpid, way] of ways) {
    const known =
      shared.get(way) ??
      rule(pipeline.switch, { priority: Priority.exact, match: { network, ...own, ethDst: mac }, do: way });
    shared.set(way, known);
    rules.set(dpid, known);
  }
  return rules;
}

/** Differs where two switches need different steps towards the same endpoint: in the tunnel port and in the address family. */
const stepsKey = (steps: readonly Step[]): string =>
  steps.map((step) => (step.step === 'output' ? step.port : step.step === 'set' ? step.field : '')).join();
