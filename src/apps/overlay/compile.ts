import {
  type Compiler,
  type Dpid,
  devicesOf,
  isOverlay,
  type Membership,
  membershipOf,
  type NetworkState,
  type StateChange,
} from '../../controller/index.ts';
import { learnedIn, learnedRules } from './learned-rules.ts';
import { networkRules } from './network-rules.ts';
import { learnedOf, learnedOwner, networkOf, networkOwner, switchOf, switchOwner } from './owners.ts';
import { switchRules } from './switch-rules.ts';

/** State in, rules of overlay networks out. */
export const overlayCompiler: Compiler<NetworkState, StateChange> = {
  name: 'overlay',

  *affected(change, state) {
    const membership = membershipOf(state);
    const effect = membership.effectOf(change);
    const networks = new Set([...effect.edges.keys(), ...effect.locals.keys()]);
    if (change.kind === 'network') {
      for (const network of [change.before, change.after]) if (network) networks.add(network.index);
    } else if (change.kind === 'tunnel' && (change.before?.state === 'down') !== (change.after?.state === 'down')) {
      for (const network of sharedWith(change.dpid, change.to, membership, state)) {
        networks.add(network);
        const beyond = membership.gatewayOf(network) === change.dpid ? membership.beyond(network) : undefined;
        if (beyond) networks.add(beyond.index);
      }
    }
    for (const index of networks) {
      // One that is an overlay no longer loses its rules here.
      if (state.desired.networkByIndex(index) || change.kind === 'network') yield networkOwner(index, state);
    }
    for (const index of learnedIn(change, networks, state)) yield learnedOwner(index, state);
    for (const dpid of concerned(change)) yield switchOwner(dpid, membership.indexOf(dpid));
  },

  *owners(state) {
    for (const network of state.desired.networks.values()) {
      if (!isOverlay(network.transport)) continue;
      yield networkOwner(network.index, state);
      if (devicesOf(network, state.desired).length > 0) yield learnedOwner(network.index, state);
    }
    for (const { dpid, index } of state.observed.switches.values()) {
      if (state.desired.hypervisorByDpid(dpid)) yield switchOwner(dpid, index);
    }
  },

  compile(owner, state) {
    const membership = membershipOf(state);
    const dpid = switchOf(owner);
    const learned = learnedOf(owner);
    if (learned !== undefined) return learnedRules(learned, membership, state);
    if (dpid === undefined) return networkRules(networkOf(owner), membership, state);
    const rules = switchRules(dpid, membership);
    return new Map(rules.length > 0 ? [[dpid, rules]] : []);
  },
};

/** Switches whose end of the tunnels this may change. */
function concerned(change: StateChange): readonly Dpid[] {
  if (change.kind === 'switch') return change.before?.index === change.after?.index ? [] : [change.dpid];
  if (change.kind === 'observed-port') {
    const { before, after, dpid } = change;
    return before?.tunnel !== undefined || after?.tunnel !== undefined ? [dpid] : [];
  }
  if (change.kind !== 'hypervisor') return [];
  return [change.before?.datapathId, change.after?.datapathId].filter((dpid) => dpid !== undefined);
}

/** Overlay networks of which a switch and a hypervisor both hold members. */
function* sharedWith(
  dpid: Dpid,
  hypervisor: string,
  membership: Membership,
  { desired }: NetworkState,
): Iterable<number> {
  const other = desired.hypervisors.get(hypervisor)?.datapathId;
  if (other === undefined) return;
  for (const network of membership.networksOn(dpid)) {
    if (isOverlay(desired.networkByIndex(network)?.transport) && membership.isMember(network, other)) yield network;
  }
}
