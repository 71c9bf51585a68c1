import { isDeepStrictEqual } from 'node:util';
import {
  type Dpid,
  devicePortOf,
  devicesOf,
  isOverlay,
  learnedMacs,
  type Mac,
  type Membership,
  type NetworkState,
  OVERLAY,
  type Placement,
  type Rule,
  type StateChange,
  speaks,
  tunnelRules,
} from '../../controller/index.ts';

/** The ways to MACs that hardware VTEPs have learned, on each member switch of the network. */
export function learnedRules(index: number, membership: Membership, state: NetworkState): Placement {
  const placement = new Map<Dpid, Rule[]>();
  const network = state.desired.networkByIndex(index);
  if (!network) return placement;
  const switches = membership.segment(index, OVERLAY);
  const done = new Set<Mac>();
  for (const device of devicesOf(network, state.desired)) {
    if (!speaks(device, network.transport)) continue;
    for (const mac of learnedMacs(network, device.id, membership, state)) {
      if (done.has(mac)) continue;
      done.add(mac);
      const ways = tunnelRules(index, mac, switches, device.tunnelAddresses, membership, state);
      for (const [dpid, way] of ways) {
        const rules = placement.get(dpid);
        if (rules) rules.push(way);
        else placement.set(dpid, [way]);
      }
    }
  }
  return placement;
}

/** Networks whose ways to MACs that hardware VTEPs learned this may change; `touched` are those whose members or ports changed. */
export function* learnedIn(
  change: StateChange,
  touched: ReadonlySet<number>,
  { desired, observed }: NetworkState,
): Iterable<number> {
  switch (change.kind) {
    case 'device':
      for (const key of new Set([...(change.before?.macs.keys() ?? []), ...(change.after?.macs.keys() ?? [])])) {
        const network = desired.networks.get(key);
        if (network && !isDeepStrictEqual(change.before?.macs.get(key), change.after?.macs.get(key)))
          yield network.index;
      }
      return;
    case 'host': {
      const { network: index, mac } = (change.after ?? change.before)!;
      const network = desired.networkByIndex(index);
      for (const side of network ? [network, desired.otherSide(network)] : []) {
        if (!side || !isOverlay(side.transport)) continue;
        const key = `${side.tenant}/${side.id}`;
        if (devicesOf(side, desired).some(({ id }) => observed.device(id)?.macs.get(key)?.has(mac))) yield side.index;
      }
      return;
    }
    case 'port':
      for (const port of [change.before, change.after]) {
        const network = port && desired.networks.get(`${port.tenant}/${port.network}`);
        for (const side of network ? [network, desired.otherSide(network)] : []) {
          if (side && (devicePortOf(port!) !== undefined || devicesOf(side, desired).length > 0)) yield side.index;
        }
      }
      break;
    default:
  }
  for (const index of touched) {
    const network = desired.networkByIndex(index);
    const asked = change.kind === 'network' || change.kind === 'hypervisor';
    if (asked || (network && devicesOf(network, desired).length > 0)) yield index;
  }
}
