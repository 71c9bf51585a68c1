import type { Mac } from '../kernel/index.ts';
import type { Binding, DesiredReader, Hypervisor, Network, Port } from '../model/index.ts';
import type { ObservedChange } from '../observed/index.ts';
import type { NetworkState } from './app.ts';
import { foreignEnd, foreignHost } from './attachment.ts';
import { isWelcome, type Membership } from './membership.ts';

/** A physical port of a hardware VTEP with a VLAN, as observed state names it. */
export const devicePortKey = (port: string, vlan: number): string => `${port}/${vlan}`;

/** What a port's binding to a hardware VTEP names there. */
export const devicePortOf = ({ binding }: Port): string | undefined =>
  binding && 'vlan' in binding ? devicePortKey(binding.port, binding.vlan) : undefined;

/**
 * True when a place behind a tunnel endpoint of others is there for a port. A hardware VTEP's is when its database says that the port's
 * network is bound there; of others nobody can tell.
 */
export function isForeignPlace(
  { tenant, network }: Port,
  binding: Binding,
  { desired, observed }: NetworkState,
): boolean {
  const host = foreignEnd(binding, desired);
  if (!host || !('vlan' in binding)) return host !== undefined;
  const bound = observed.device(host.id)?.bindings.get(devicePortKey(binding.port, binding.vlan));
  return bound === `${tenant}/${network}`;
}

/** Hardware VTEPs that ports of a network are bound to, by id. */
export const devicesOf = ({ tenant, id }: Network, desired: DesiredReader): readonly Hypervisor[] =>
  [...desired.hypervisorsOf(tenant, id)].sort().flatMap((each) => {
    const found = desired.hypervisors.get(each);
    return found?.physicalSwitch === undefined ? [] : [found];
  });

/**
 * True when a network lets the MACs in that a hardware VTEP learns: one of its ports there is `learned`. The device does not say on which
 * of its ports it learned a MAC.
 */
export function learnsBehind({ tenant, id }: Network, device: string, desired: DesiredReader): boolean {
  for (const port of desired.portsOfNetwork(tenant, id)) {
    if (port.mac === 'learned' && foreignHost(port, desired)?.id === device) return true;
  }
  return false;
}

/** Somebody declares the MAC, or a switch of ours has it: either counts more than what a hardware VTEP has learned. */
export function isKnownHere(index: number, mac: Mac, membership: Membership, { observed }: NetworkState): boolean {
  if (membership.declaredAs(index, mac) !== undefined) return true;
  // On either side of a gateway.
  return [index, membership.beyond(index)?.index].some((side) => {
    const host = side === undefined ? undefined : observed.host(side, mac);
    return host?.active === true && isWelcome(host, membership);
  });
}

/** MACs that count as being behind a hardware VTEP because it has learned them and the network lets them in, ascending. */
export function learnedMacs(
  network: Network,
  device: string,
  membership: Membership,
  state: NetworkState,
): readonly Mac[] {
  const macs = state.observed.device(device)?.macs.get(`${network.tenant}/${network.id}`);
  if (!macs || !learnsBehind(network, device, state.desired)) return [];
  return [...macs].filter((mac) => !isKnownHere(network.index, mac, membership, state)).sort((a, b) => a - b);
}

/** Ports whose condition depends on what changed about a hardware VTEP. */
export function* portsOfDevice(
  { device, before, after }: ObservedChange & { readonly kind: 'device' },
  desired: DesiredReader,
): Iterable<Port> {
  const all = before?.away !== after?.away || JSON.stringify(before?.problems) !== JSON.stringify(after?.problems);
  for (const port of desired.portsOfHypervisor(device)) {
    const at = devicePortOf(port);
    if (at !== undefined && (all || before?.bindings.get(at) !== after?.bindings.get(at))) yield port;
  }
}
