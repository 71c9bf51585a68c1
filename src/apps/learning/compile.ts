import {
  type Compiler,
  DEFAULT_NETWORK,
  type Dpid,
  type Effect,
  type Host,
  isLearned,
  isOtherSwitch,
  type Mac,
  type Membership,
  membershipOf,
  type NetworkState,
  type Owner,
  type Placement,
  type Port,
  type Rule,
  type StateChange,
} from '../../controller/index.ts';
import { hostOwner, networkOwner, parseOwner, switchOwner } from './owners.ts';
import { hostRules, networkRules, switchRules } from './rules.ts';

type StateCompiler = Compiler<NetworkState, StateChange>;

/** State in, rules of learned ports and hosts out. `ageingSeconds`: how long a silent host stays known. */
export const learningCompiler = (ageingSeconds: number): StateCompiler => ({
  name: 'learning',

  *affected(change, state) {
    const membership = membershipOf(state);
    const effect = membership.effectOf(change);
    if (state.defaultNetwork) yield* defaultSwitches(change, effect, membership);
    for (const network of new Set([...effect.edges.keys(), ...effect.locals.keys()])) {
      if (network !== DEFAULT_NETWORK) yield networkOwner(network, state);
    }
    if (change.kind === 'network') {
      for (const network of [change.before, change.after]) if (network) yield networkOwner(network.index, state);
    }
    if (change.kind === 'host') {
      for (const host of [change.before, change.after]) {
        if (host?.active) yield hostOwner(host, membership.indexOf(host.at.dpid));
      }
      yield* beyond((change.after ?? change.before)!, membership, state);
    }
    if (change.kind === 'port') yield* declared([change.before, change.after], membership, state);
    yield* attached(effect, membership, state);
  },

  *owners(state) {
    const membership = membershipOf(state);
    if (state.defaultNetwork) {
      for (const sw of state.observed.switches.values()) yield switchOwner(sw.dpid, sw.index);
    }
    for (const network of state.desired.networks.values()) yield networkOwner(network.index, state);
    for (const host of state.observed.hosts()) {
      if (host.active) yield hostOwner(host, membership.indexOf(host.at.dpid));
    }
  },

  compile(owner, state) {
    const membership = membershipOf(state);
    const parsed = parseOwner(owner);
    if (parsed.kind === 'switch') return one(parsed.dpid, switchRules(parsed.dpid, membership, state));
    if (parsed.kind === 'network') return networkRules(parsed.network, membership, state);
    const host = state.observed.host(parsed.network, parsed.mac);
    return host && host.at.dpid === parsed.dpid ? hostRules(host, membership, state, ageingSeconds) : new Map();
  },
});

const one = (dpid: Dpid, rules: readonly Rule[]): Placement => new Map(rules.length > 0 ? [[dpid, rules]] : []);

function* defaultSwitches(change: StateChange, effect: Effect, membership: Membership): Iterable<Owner> {
  const switches = new Set(effect.locals.get(DEFAULT_NETWORK));
  for (const component of effect.edges.get(DEFAULT_NETWORK) ?? []) {
    for (const dpid of membership.segment(DEFAULT_NETWORK, component)) switches.add(dpid);
  }
  if (isOtherSwitch(change)) {
    switches.delete(change.dpid);
    yield switchOwner(change.dpid, change.after?.index ?? change.before?.index ?? 0);
  }
  for (const dpid of switches) yield switchOwner(dpid, membership.indexOf(dpid));
}

/** The host of the same MAC beyond the gateway of a host's network: each of the two is known on its own side only, while there are two. */
function* beyond({ network, mac }: Host, membership: Membership, state: NetworkState): Iterable<Owner> {
  const other = membership.beyond(network);
  const twin = other && state.observed.host(other.index, mac);
  if (twin?.active) yield hostOwner(twin, membership.indexOf(twin.at.dpid));
}

/** Hosts whose MAC somebody declares now, or no longer does. */
function* declared(ports: readonly (Port | undefined)[], membership: Membership, state: NetworkState): Iterable<Owner> {
  for (const port of ports) {
    if (!port || port.mac === 'learned') continue;
    const network = state.desired.networks.get(`${port.tenant}/${port.network}`)?.index;
    if (network === undefined) continue;
    for (const side of [network, membership.beyond(network)?.index]) {
      const host = side === undefined ? undefined : state.observed.host(side, port.mac as Mac);
      if (host?.active) yield hostOwner(host, membership.indexOf(host.at.dpid));
    }
  }
}

/** Hosts on physical ports that carry something else now, and those that are placed on member switches that changed. */
function* attached(effect: Effect, membership: Membership, state: NetworkState): Iterable<Owner> {
  for (const { dpid, no } of effect.places) {
    for (const host of state.observed.hostsAt({ dpid, port: no })) {
      if (host.active) yield hostOwner(host, membership.indexOf(dpid));
    }
  }
  for (const [network, components] of effect.edges) {
    for (const component of components) {
      for (const dpid of membership.segment(network, component)) {
        for (const no of membership.portsAt(network, dpid)) {
          if (!isLearned(membership.at(dpid, no))) continue;
          for (const host of state.observed.hostsAt({ dpid, port: no })) {
            if (host.active) yield hostOwner(host, membership.indexOf(dpid));
          }
        }
      }
    }
  }
}
