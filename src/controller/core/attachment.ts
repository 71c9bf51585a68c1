import type { Dpid } from '../kernel/index.ts';
import { type Binding, bindingsOf, type DesiredReader, type Hypervisor, type Port } from '../model/index.ts';
import type { ObservedPort, ObservedReader } from '../observed/index.ts';

/** The switch that a port is bound to, and what names the physical port there. */
export type BoundTo =
  | { readonly dpid: Dpid; readonly port: string | number }
  | { readonly dpid: Dpid; readonly interfaceId: string };

/** Where a port is bound to, by switch or by hypervisor; undefined when it is bound to nothing that has a switch of ours. */
export const boundTo = (port: Port | undefined, desired: DesiredReader): BoundTo | undefined =>
  resolveBinding(port?.binding, desired);

/** The same for all places of a port: two while it moves, that which counts first. */
export const allBoundTo = (port: Port, desired: DesiredReader): readonly BoundTo[] =>
  bindingsOf(port).flatMap((binding) => resolveBinding(binding, desired) ?? []);

/** The switch of ours that a binding names, and what names the physical port there. */
export function resolveBinding(binding: Binding | undefined, desired: DesiredReader): BoundTo | undefined {
  if (!binding) return undefined;
  if ('switch' in binding) return { dpid: binding.switch, port: binding.port };
  if (!('interfaceId' in binding)) return undefined;
  const dpid = desired.hypervisors.get(binding.hypervisor)?.datapathId;
  return dpid === undefined ? undefined : { dpid, interfaceId: binding.interfaceId };
}

/** True when a binding to a hypervisor says what one of this kind needs: a hardware VTEP has ports and VLANs, others interfaces. */
export const isFit = (binding: Binding, { physicalSwitch }: Hypervisor): boolean =>
  (physicalSwitch === undefined) === 'interfaceId' in binding;

/** The tunnel endpoint that a port is bound to when that is not ours to program by OpenFlow. */
export const foreignHost = (port: Port, desired: DesiredReader): Hypervisor | undefined =>
  foreignEnd(port.binding, desired);

/** The same for all places of a port. */
export const isForeign = (port: Port, desired: DesiredReader): boolean =>
  bindingsOf(port).some((binding) => foreignEnd(binding, desired) !== undefined);

/** The tunnel endpoint that a binding names when that is not ours to program by OpenFlow. */
export function foreignEnd(binding: Binding | undefined, desired: DesiredReader): Hypervisor | undefined {
  if (!binding || !('hypervisor' in binding)) return undefined;
  const hypervisor = desired.hypervisors.get(binding.hypervisor);
  return hypervisor && hypervisor.datapathId === undefined && isFit(binding, hypervisor) ? hypervisor : undefined;
}

/** The physical port that is meant, when there is exactly one. */
export const physicalOf = (bound: BoundTo, observed: ObservedReader): ObservedPort | undefined =>
  'port' in bound
    ? observed.resolvePort(bound.dpid, bound.port)
    : observed.portOfInterface(bound.dpid, bound.interfaceId);

/** Names of physical ports in claims: numbers, names, and ids of interfaces. No port name holds a slash. */
export type Ref = string | number;
export const refOf = (bound: BoundTo): Ref => ('port' in bound ? bound.port : `iface-id/${bound.interfaceId}`);

/** All that a physical port may be named by, where it alone bears the name. */
export function refsOf(dpid: Dpid, physical: ObservedPort, observed: ObservedReader): readonly Ref[] {
  const refs: Ref[] = [physical.no];
  if (observed.resolvePort(dpid, physical.name)?.no === physical.no) refs.push(physical.name);
  const { interfaceId } = physical;
  if (interfaceId !== undefined && observed.portOfInterface(dpid, interfaceId)?.no === physical.no) {
    refs.push(refOf({ dpid, interfaceId }));
  }
  return refs;
}
