import { membershipOf, type NetworkState, type Port, switchBinding } from '../../controller/index.ts';

/** Why a port does not work, or not fully. `reason` is stable API. */
export interface PortCondition {
  /** False: the port has no rules anywhere. True: it has, but something else keeps it from working. */
  readonly placed: boolean;
  readonly reason:
    | 'NotBound'
    | 'NotSupported'
    | 'NetworkUnknown'
    | 'SwitchUnknown'
    | 'PortUnknown'
    | 'PortAmbiguous'
    | 'PortIsLink'
    | 'PortIsLocal'
    | 'PortTaken'
    | 'SwitchDisconnected'
    | 'PortDown';
  readonly message: string;
}

/** What keeps a port from working as far as state says, undefined when nothing does. Confirmation by switches comes on top. */
export function portCondition(port: Port, state: NetworkState): PortCondition | undefined {
  const unplaced = (reason: PortCondition['reason'], message: string) => ({ placed: false, reason, message });
  if (!port.binding) return unplaced('NotBound', 'the port is bound to nothing');
  const binding = switchBinding(port);
  if (!binding) return unplaced('NotSupported', 'bindings to hypervisors are not placed by this release');
  if (!state.desired.networks.has(`${port.tenant}/${port.network}`)) {
    return unplaced('NetworkUnknown', `network ${port.network} does not exist`);
  }
  const sw = state.observed.switches.get(binding.switch);
  if (!sw) return unplaced('SwitchUnknown', `switch ${binding.switch} was never seen`);
  const physical = state.observed.resolvePort(binding.switch, binding.port);
  if (!physical) {
    const named = [...sw.ports.values()].filter(({ name }) => name === binding.port).length;
    return named > 1
      ? unplaced('PortAmbiguous', `${named} ports of switch ${sw.dpid} are named ${binding.port}; bind by number`)
      : unplaced('PortUnknown', `switch ${sw.dpid} has no port ${binding.port}`);
  }
  const where = `port ${physical.no} (${physical.name}) of switch ${sw.dpid}`;
  if (physical.role === 'link') return unplaced('PortIsLink', `${where} leads to another switch`);
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
  if (!physical.up) return { placed: true, reason: 'PortDown', message: `${where} is down` };
  return undefined;
}
