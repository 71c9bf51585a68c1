import {
  allBoundTo,
  type Compiler,
  type Dpid,
  type Effect,
  isForeign,
  isMoving,
  type Membership,
  membershipOf,
  type NetworkState,
  type Owner,
  type Placement,
  type Port,
  type Rule,
  type StateChange,
} from '../../controller/index.ts';
import { movingRules } from './move-rules.ts';
import { metersOwner, parseOwner, portOwner, switchOwner } from './owners.ts';
import { portRules } from './port-rules.ts';
import { meterRules, switchRules } from './switch-rules.ts';

/** State in, rules of tenants' ports out. */
export const tenantsCompiler: Compiler<NetworkState, StateChange> = {
  name: 'tenants',

  *affected(change, state) {
    const membership = membershipOf(state);
    const effect = membership.effectOf(change);
    const before = change.kind === 'port' ? change.before : undefined;
    for (const key of effect.ports) {
      const port =
        state.desired.ports.get(key) ?? (before && `${before.tenant}/${before.id}` === key ? before : undefined);
      if (port) yield portOwner(port);
    }
    yield* attached(effect, membership, state);
    for (const dpid of effect.switches) {
      const index = change.kind === 'switch' ? change.before?.index : undefined;
      yield switchOwner(dpid, membership.indexOf(dpid) || (index ?? 0));
    }
    for (const [tenant, dpids] of effect.tenants) for (const dpid of dpids) yield metersOwner(tenant, dpid, state);
    if (change.kind === 'tenant') yield* quotaEdited(change, state);
    if (change.kind === 'network' && change.before?.unknownUnicast !== change.after?.unknownUnicast) {
      const network = (change.after ?? change.before)!;
      for (const dpid of membership.switchesOf(network.index)) yield metersOwner(network.tenant, dpid, state);
    }
  },

  *owners(state) {
    const membership = membershipOf(state);
    for (const port of state.desired.ports.values()) yield portOwner(port);
    for (const sw of state.observed.switches.values()) {
      yield switchOwner(sw.dpid, sw.index);
      const tenants = new Set<string>();
      for (const { port } of membership.membersOf(sw.dpid)) if (port) tenants.add(port.tenant);
      for (const tenant of tenants) yield metersOwner(tenant, sw.dpid, state);
    }
  },

  compile(owner, state) {
    const { kind, first, second } = parseOwner(owner);
    const membership = membershipOf(state);
    if (kind === 'switch') return one(first as Dpid, switchRules(first as Dpid, membership));
    if (kind === 'meters') return one(second as Dpid, meterRules(first, second as Dpid, membership, state));
    const port = state.desired.ports.get(`${first}/${second}`);
    if (!port) return new Map();
    return isMoving(port) ? movingRules(port, membership, state) : portRules(port, membership, state);
  },
};

const one = (dpid: Dpid, rules: readonly Rule[]): Placement => new Map(rules.length > 0 ? [[dpid, rules]] : []);

/** Declared ports whose rules are placed on other switches, where the set of those changed. */
function* attached(effect: Effect, membership: Membership, state: NetworkState): Iterable<Owner> {
  for (const [network, components] of effect.edges) {
    yield* foreign(network, state);
    for (const component of components) {
      for (const dpid of membership.segment(network, component)) {
        for (const no of membership.portsAt(network, dpid)) {
          const port: Port | undefined = membership.at(dpid, no)?.port;
          if (port && port.mac !== 'learned') yield portOwner(port);
        }
      }
    }
  }
}

/** Ports of a network behind tunnel endpoints of others: they have rules on all member switches. */
function* foreign(index: number, { desired }: NetworkState): Iterable<Owner> {
  const network = desired.networkByIndex(index);
  if (!network) return;
  for (const id of desired.hypervisorsOf(network.tenant, network.id)) {
    if (desired.hypervisors.get(id)?.datapathId !== undefined) continue;
    for (const port of desired.portsOfHypervisor(id)) {
      if (port.tenant === network.tenant && port.network === network.id && isForeign(port, desired)) {
        yield portOwner(port);
      }
    }
  }
}

function* quotaEdited(change: StateChange & { kind: 'tenant' }, state: NetworkState): Iterable<Owner> {
  const was = change.before?.quota;
  const is = change.after?.quota;
  const tenant = (change.after ?? change.before)!.id;
  const limitTurned = (was?.bandwidthKbps === undefined) !== (is?.bandwidthKbps === undefined);
  if (!limitTurned && was?.bandwidthKbps === is?.bandwidthKbps && was?.packetInRate === is?.packetInRate) return;
  const switches = new Set<Dpid>();
  for (const port of state.desired.portsOf(tenant)) {
    const places = allBoundTo(port, state);
    for (const { dpid } of places) switches.add(dpid);
    if (limitTurned && places.length > 0) yield portOwner(port);
  }
  for (const dpid of switches) yield metersOwner(tenant, dpid, state);
}
