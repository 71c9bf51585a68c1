import { type Compiler, isOverlay, membershipOf, type NetworkState, type StateChange } from '../../controller/index.ts';
import { networkRules } from './network-rules.ts';
import { networkOf, networkOwner } from './owners.ts';

/** State in, rules of overlay networks out. */
export const overlayCompiler: Compiler<NetworkState, StateChange> = {
  name: 'overlay',

  *affected(change, state) {
    const membership = membershipOf(state);
    const effect = membership.effectOf(change);
    const networks = new Set([...effect.edges.keys(), ...effect.locals.keys()]);
    if (change.kind === 'network') {
      for (const network of [change.before, change.after]) if (network) networks.add(network.index);
    } else if (change.kind === 'tunnel') {
      for (const { network } of membership.membersOf(change.dpid)) networks.add(network);
    }
    for (const index of networks) {
      // One that is an overlay no longer loses its rules here.
      if (state.desired.networkByIndex(index)) yield networkOwner(index, state);
      else if (change.kind === 'network' && change.before?.index === index) yield networkOwner(index, state);
    }
  },

  *owners(state) {
    for (const network of state.desired.networks.values()) {
      if (isOverlay(network.transport)) yield networkOwner(network.index, state);
    }
  },

  compile: (owner, state) => networkRules(networkOf(owner), membershipOf(state), state),
};
