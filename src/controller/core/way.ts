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

/**
 * The rule by which each other member switch sends frames to an endpoint: over the fabric, or through a tunnel. Switches share rule
 * objects where they can: the cost of an endpoint is its rules, not its rules times the switches.
 */
export function remoteRules(to: Endpoint, membership: Membership, state: NetworkState): ReadonlyMap<Dpid, Rule> {
  const network = state.desired.networkByIndex(to.network);
  const others = membership.reachable(to.network, to.dpid).filter((dpid) => dpid !== to.dpid);
  if (network && isOverlay(network.transport)) {
    return tunnelRules(to.network, to.mac, others, membership.vtepOf(to.dpid)?.addresses ?? [], membership, state);
  }
  const index = membership.indexOf(to.dpid);
  const match = { network: to.network, ethDst: to.mac };
  const steps = [set('ethDst', addressOf(to, membership)), toGroup(GroupId.hop(index))];
  const shared = others.length > 0 ? rule(pipeline.switch, { priority: Priority.exact, match, do: steps }) : undefined;
  return new Map(others.map((dpid) => [dpid, shared!]));
}

/** The rule by which each of these switches sends frames for a MAC to a tunnel endpoint. Those that have no way to it are left out. */
export function tunnelRules(
  index: number,
  mac: number,
  from: Iterable<Dpid>,
  to: readonly IpAddress[],
  membership: Membership,
  state: NetworkState,
): ReadonlyMap<Dpid, Rule> {
  const rules = new Map<Dpid, Rule>();
  const network = state.desired.networkByIndex(index);
  if (!network) return rules;
  const shared = new Map<string, Rule>();
  for (const dpid of from) {
    const steps = tunnelSteps(network, membership.vtepOf(dpid), to);
    if (!steps) continue;
    const key = stepsKey(steps);
    let known = shared.get(key);
    if (!known) {
      // What came through a tunnel does not go through another one.
      const match = { network: index, arrived: 0, ethDst: mac };
      known = rule(pipeline.switch, { priority: Priority.exact, match, do: steps });
      shared.set(key, known);
    }
    rules.set(dpid, known);
  }
  return rules;
}

/** Differs where two switches need different steps towards the same endpoint: in the tunnel port and in the address family. */
const stepsKey = (steps: readonly Step[]): string =>
  steps.map((step) => (step.step === 'output' ? step.port : step.step === 'set' ? step.field : '')).join();
