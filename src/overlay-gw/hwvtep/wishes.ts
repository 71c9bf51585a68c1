import {
  bindingsOf,
  type DesiredReader,
  type DeviceProblem,
  devicePortKey,
  devicesOf,
  foreignHost,
  formatIp,
  formatMac,
  type Hypervisor,
  type IpAddress,
  isWelcome,
  learnedMacs,
  type Mac,
  type Membership,
  type Network,
  type NetworkState,
  OVERLAY,
  speaks,
} from '../../controller/index.ts';
import type { WantedNetwork } from './plan.ts';

/** Which networks a device shall have, and where. */
export interface DeviceBindings {
  /** By `tenant/network`, that with the oldest port first. */
  readonly networks: ReadonlyMap<string, WantedNetwork['bindings']>;
  /** Ports and VLANs that more than one network asks for: the one with the oldest port has them. */
  readonly taken: readonly DeviceProblem[];
}

/** Sums up the ports that are bound to a device. Those of networks that it cannot carry are left out. */
export function deviceBindings(device: Hypervisor, desired: DesiredReader): DeviceBindings {
  const holders = new Map<string, string>();
  const networks = new Map<string, WantedNetwork['bindings'][number][]>();
  const taken = new Map<string, DeviceProblem>();
  for (const port of desired.portsOfHypervisor(device.id)) {
    const key = `${port.tenant}/${port.network}`;
    if (!speaks(device, desired.networks.get(key)?.transport)) continue;
    // One that moves here is bound before it arrives.
    for (const binding of bindingsOf(port)) {
      if (!('vlan' in binding) || binding.hypervisor !== device.id) continue;
      const { port: name, vlan } = binding;
      const at = devicePortKey(name, vlan);
      const holder = holders.get(at);
      if (holder === key) continue;
      if (holder !== undefined) {
        // Whose it is stays between us and the operator.
        const message = `VLAN ${vlan} of ${name} belongs to another network`;
        taken.set(`${key} ${at}`, { reason: 'PortTaken', message, network: key, at });
        continue;
      }
      holders.set(at, key);
      const bindings = networks.get(key);
      if (bindings) bindings.push({ port: name, vlan });
      else networks.set(key, [{ port: name, vlan }]);
    }
  }
  return { networks, taken: [...taken.values()] };
}

const ipv4Of = (addresses: readonly IpAddress[]): string | undefined => {
  const found = addresses.find(({ family }) => family === 4);
  return found && formatIp(found);
};

/** Where tunnels to a switch of ours end, for a peer that speaks VXLAN over IPv4. */
function vtepOf(dpid: Parameters<Membership['vtepOf']>[0], membership: Membership): string | undefined {
  const vtep = membership.vtepOf(dpid);
  return vtep?.ports.has('vxlan') ? ipv4Of(vtep.addresses) : undefined;
}

/**
 * What a device needs to know of one network: each MAC elsewhere with the tunnel end that it is behind, and all tunnel ends that hold
 * members, which get what is for many or for nobody known.
 */
export function wantedNetwork(
  network: Network,
  bindings: WantedNetwork['bindings'],
  device: Hypervisor,
  membership: Membership,
  state: NetworkState,
): WantedNetwork {
  const { desired, observed } = state;
  const { tenant, id, index } = network;
  const macs = new Map<Mac, string>();
  const add = (mac: Mac, vtep: string | undefined): void => {
    if (vtep !== undefined && !macs.has(mac)) macs.set(mac, vtep);
  };
  for (const port of membership.declaredIn(index)) {
    const host = foreignHost(port, desired);
    if (host?.id === device.id || port.mac === 'learned') continue;
    if (host) {
      if (speaks(host, network.transport)) add(port.mac, ipv4Of(host.tunnelAddresses));
      continue;
    }
    const place = membership.placeOf(port);
    if (place) add(port.mac, vtepOf(place.dpid, membership));
  }
  for (const host of observed.hostsOf(index)) {
    if (host.active && isWelcome(host, membership)) add(host.mac, vtepOf(host.at.dpid, membership));
  }
  for (const other of devicesOf(network, desired)) {
    if (other.id === device.id) continue;
    for (const mac of learnedMacs(network, other.id, membership, state)) add(mac, ipv4Of(other.tunnelAddresses));
  }
  const ends = new Set<string>();
  const gateway = membership.gatewayOf(index);
  const beyond = membership.beyond(index);
  if (gateway !== undefined && beyond) {
    const vtep = vtepOf(gateway, membership);
    if (vtep !== undefined) ends.add(vtep);
    for (const { mac } of membership.declaredIn(beyond.index)) if (mac !== 'learned') add(mac, vtep);
    for (const host of observed.hostsOf(beyond.index))
      if (host.active && isWelcome(host, membership)) add(host.mac, vtep);
  }
  for (const dpid of membership.segment(index, OVERLAY)) {
    const vtep = vtepOf(dpid, membership);
    if (vtep !== undefined) ends.add(vtep);
  }
  for (const other of desired.hypervisorsOf(tenant, id)) {
    const host = desired.hypervisors.get(other);
    if (!host || host.id === device.id || host.datapathId !== undefined || !speaks(host, network.transport)) continue;
    const vtep = ipv4Of(host.tunnelAddresses);
    if (vtep !== undefined) ends.add(vtep);
  }
  return {
    network: `${tenant}/${id}`,
    vni: network.segmentId,
    bindings,
    remoteMacs: [...macs].sort(([a], [b]) => a - b).map(([mac, vtep]) => ({ mac: formatMac(mac), vtep })),
    floodTo: [...ends].sort(),
  };
}
