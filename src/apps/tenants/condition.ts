import {
  type BoundTo,
  boundTo,
  foreignHost,
  isOverlay,
  membershipOf,
  type NetworkState,
  type ObservedReader,
  type ObservedSwitch,
  type Port,
  physicalOf,
  speaks,
  vlanOf,
} from '../../controller/index.ts';
import { type DeviceCondition, deviceCondition } from './device-condition.ts';

/** Why a port does not work, or not fully. `reason` is stable API. */
export interface PortCondition {
  /** False: it does not work, whatever switches hold for it. True: it has rules, but something else keeps it from working. */
  readonly placed: boolean;
  readonly reason:
    | 'NotBound'
    | 'HypervisorUnknown'
    | 'BindingUnfit'
    | 'NotVxlan'
    | DeviceCondition['reason']
    | 'InterfaceUnknown'
    | 'VlanUnknown'
    | 'InterfaceAmbiguous'
    | 'InterfaceFailed'
    | 'NotInOverlay'
    | 'NotLearned'
    | 'NetworkUnknown'
    | 'SwitchUnknown'
    | 'PortUnknown'
    | 'PortAmbiguous'
    | 'PortIsLink'
    | 'PortIsTunnel'
    | 'PortIsLocal'
    | 'SwitchDisconnected'
    | 'PortDown';
  readonly message: string;
}

/** What keeps a port from working as far as state says, undefined when nothing does. Confirmation by switches comes on top. */
export function portCondition(port: Port, state: NetworkState): PortCondition | undefined {
  const unplaced = (reason: PortCondition['reason'], message: string) => ({ placed: false, reason, message });
  if (!port.binding) return unplaced('NotBound', 'the port is bound to nothing');
  const network = state.desired.networks.get(`${port.tenant}/${port.network}`);
  if (!network) return unplaced('NetworkUnknown', `network ${port.network} does not exist`);
  const bound = boundTo(port, state);
  if (!bound) {
    const { hypervisor } = port.binding as { readonly hypervisor: string };
    const named = state.desired.hypervisors.get(hypervisor);
    if (!named) return unplaced('HypervisorUnknown', `hypervisor ${hypervisor} does not exist`);
    const host = foreignHost(port, state.desired);
    if (!host) {
      const form = named.physicalSwitch === undefined ? 'an interfaceId' : 'a port and a VLAN';
      return unplaced('BindingUnfit', `ports on hypervisor ${hypervisor} are bound by ${form}`);
    }
    if (host.physicalSwitch !== undefined) {
      if (!speaks(host, network.transport))
        return unplaced('NotVxlan', `hypervisor ${hypervisor} is a hardware VTEP: only vxlan networks reach it`);
      const problem = deviceCondition(port, host, state);
      return problem && unplaced(problem.reason, problem.message);
    }
    const where = `hypervisor ${hypervisor} is somebody else's tunnel endpoint`;
    if (!isOverlay(network.transport))
      return unplaced('NotInOverlay', `${where}: only vxlan and nvgre networks reach it`);
    return port.mac === 'learned' ? unplaced('NotLearned', `${where}: ports there declare their MAC`) : undefined;
  }
  const sw = state.observed.switches.get(bound.dpid);
  if (!sw) return unplaced('SwitchUnknown', `switch ${bound.dpid} was never seen`);
  const physical = physicalOf(bound, state.observed);
  if (!physical) return unresolved(bound, sw, state.observed);
  const where = `port ${physical.no} (${physical.name}) of switch ${sw.dpid}`;
  if (physical.role === 'link') return unplaced('PortIsLink', `${where} leads to another switch`);
  if (physical.role === 'tunnel') return unplaced('PortIsTunnel', `${where} is the end of tunnels`);
  if (physical.role === 'local') return unplaced('PortIsLocal', `${where} is the switch's own`);
  const membership = membershipOf(state);
  if (!membership.placeOf(port)) {
    const holder = membership.at(sw.dpid, physical.no)?.port;
    // Whose it is stays between us and the operator when it belongs to another tenant.
    const whose = holder?.tenant === port.tenant ? `port ${holder.id}` : 'a port of another tenant';
    return unplaced('PortTaken', `${where} is taken by ${whose}`);
  }
  if (!sw.connected)
    return { placed: true, reason: 'SwitchDisconnected', message: `switch ${sw.dpid} is not connected` };
  const failed = state.observed.failedPort(sw.dpid, physical);
  if (failed) return { placed: true, reason: 'InterfaceFailed', message: `${where}: ${failed.error}` };
  if (!physical.up) return { placed: true, reason: 'PortDown', message: `${where} is down` };
  return undefined;
}

/** Why a binding names no physical port of this switch. */
function unresolved(bound: BoundTo, sw: ObservedSwitch, observed: ObservedReader): PortCondition {
  const unplaced = (reason: PortCondition['reason'], message: string) => ({ placed: false, reason, message });
  const failed = observed.failedPort(sw.dpid, 'interfaceId' in bound ? bound : { name: String(bound.port) });
  if (failed)
    return unplaced('InterfaceFailed', `switch ${sw.dpid} could not make port ${failed.name}: ${failed.error}`);
  const ports = [...sw.ports.values()];
  if ('interfaceId' in bound) {
    const count = ports.filter(({ interfaceId }) => interfaceId === bound.interfaceId).length;
    const vlan = count === 0 ? vlanOf(bound.interfaceId) : undefined;
    if (vlan) {
      const where = `switch ${sw.dpid} has no way to VLAN ${vlan.vlan} of ${vlan.port}`;
      return unplaced(
        'VlanUnknown',
        `${where}: there is no bridge with such a port besides it, or its database is away`,
      );
    }
    return count > 1
      ? unplaced('InterfaceAmbiguous', `${count} ports of switch ${sw.dpid} have iface-id ${bound.interfaceId}`)
      : unplaced('InterfaceUnknown', `no port of switch ${sw.dpid} has iface-id ${bound.interfaceId}`);
  }
  const named = ports.filter(({ name }) => name === bound.port).length;
  return named > 1
    ? unplaced('PortAmbiguous', `${named} ports of switch ${sw.dpid} are named ${bound.port}; bind by number`)
    : unplaced('PortUnknown', `switch ${sw.dpid} has no port ${bound.port}`);
}
