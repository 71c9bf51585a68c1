import {
  type Compiler,
  DEFAULT_NETWORK,
  type Dpid,
  type Effect,
  isOtherSwitch,
  isOverlay,
  type Membership,
  membershipOf,
  type NetworkState,
  type Owner,
  type Placement,
  type Rule,
  type StateChange,
} from '../../controller/index.ts';
import { floodRules } from './flood.ts';
import { floodOwner, networkOwner, parseOwner, switchOwner } from './owners.ts';
import { transitRules } from './transit.ts';

/** State in, fabric rules out. */
export const fabricCompiler: Compiler<NetworkState, StateChange> = {
  name: 'fabric',

  *affected(change, state) {
    const { observed } = state;
    const membership = membershipOf(state);
    const effect = membership.effectOf(change);
    if (isOtherSwitch(change)) {
      const index = change.after?.index ?? change.before?.index ?? 0;
      yield switchOwner(change.dpid, index);
      if (change.after === undefined) yield floodOwner(change.dpid, index);
    } else if (change.kind === 'observed-port') {
      const isLink = (role: string | undefined) => role === 'link';
      const sw = observed.switches.get(change.dpid);
      if (sw && isLink(change.before?.role) !== isLink(change.after?.role)) yield switchOwner(sw.dpid, sw.index);
    } else if (change.kind === 'paths') {
      for (const dpid of change.dpids) {
        const sw = observed.switches.get(dpid);
        if (sw) yield switchOwner(dpid, sw.index);
      }
    }
    yield* flooded(effect, membership, state);
    if (change.kind === 'tunnel') {
      // At a gateway into tunnels, copies for those beyond it leave out endpoints that are down.
      for (const network of membership.networksOn(change.dpid)) {
        if (membership.gatewayOf(network) === change.dpid) yield networkOwner(network, state);
      }
    }
  },

  *owners(state) {
    const membership = membershipOf(state);
    for (const sw of state.observed.switches.values()) yield switchOwner(sw.dpid, sw.index);
    for (const network of state.desired.networks.values()) yield networkOwner(network.index, state);
    for (const dpid of membership.switchesOf(DEFAULT_NETWORK)) yield floodOwner(dpid, membership.indexOf(dpid));
  },

  compile(owner, state) {
    const { kind, name } = parseOwner(owner);
    const membership = membershipOf(state);
    if (kind === 'switch') return one(name as Dpid, transitRules(name as Dpid, state));
    if (kind === 'flood') return one(name as Dpid, floodRules(DEFAULT_NETWORK, name as Dpid, membership, state));
    const network = Number(name);
    if (isOverlay(state.desired.networkByIndex(network)?.transport)) return new Map();
    const switches = [...membership.switchesOf(network)].sort((a, b) => membership.indexOf(a) - membership.indexOf(b));
    const placement = new Map<Dpid, readonly Rule[]>();
    for (const dpid of switches) {
      const rules = floodRules(network, dpid, membership, state);
      if (rules.length > 0) placement.set(dpid, rules);
    }
    return placement;
  },
};

const one = (dpid: Dpid, rules: readonly Rule[]): Placement => new Map(rules.length > 0 ? [[dpid, rules]] : []);

/** Owners of the networks whose members changed. */
function* flooded(effect: Effect, membership: Membership, state: NetworkState): Iterable<Owner> {
  for (const network of new Set([...effect.edges.keys(), ...effect.locals.keys()])) {
    if (network !== DEFAULT_NETWORK) yield networkOwner(network, state);
  }
  const switches = new Set(effect.locals.get(DEFAULT_NETWORK));
  for (const component of effect.edges.get(DEFAULT_NETWORK) ?? []) {
    for (const dpid of membership.segment(DEFAULT_NETWORK, component)) switches.add(dpid);
  }
  for (const dpid of switches) yield floodOwner(dpid, membership.indexOf(dpid));
}
