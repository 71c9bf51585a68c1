import type { Dpid } from '../kernel/index.ts';
import { type Binding, bindingsOf, type DesiredReader, type Hypervisor, type Port } from '../model/index.ts';
import type { ObservedPort, ObservedReader } from '../observed/index.ts';

/** The switch that a port is bound to, and what names the physical port there. */
export type BoundTo =
  | { readonly dpid: Dpid; readonly port: string | number }
  | { readonly dpid: Dpid; readonly interfaceId: string };

/** What bindings are resolved against. */
interface Whole {
  readonly desired: DesiredReader;
  readonly observed: ObservedReader;
}

/** Where a port is bound to, by switch or by hypervisor; undefined when it is bound to nothing that has a switch of ours. */
export const boundTo = (port: Port | undefined, state: Whole): BoundTo | undefined =>
  port && resolveBinding(port.binding, port, state);

/** The same for all places of a port: two while it moves, that which counts first. */
export const allBoundTo = (port: Port, state: Whole): readonly BoundTo[] =>
  bindingsOf(port).flatMap((binding) => resolveBinding(binding, port, state) ?? []);

/** Id of the interface that leads to a VLAN on a port of a hypervisor. */
export const vlanInterface = (port: string, vlan: number): string => `netloom-vlan/${vlan}/${port}`;

/** The VLAN that an interface of this id leads to; undefined when it does not lead to one. */
export function vlanOf(interfaceId: string): { readonly port: string; readonly vlan: number } | undefined {
  const [, vlan, port] = /^netloom-vlan\/(\d+)\/(.+)$/.exec(interfaceId) ?? [];
  return vlan === undefined || port === undefined ? undefined : { port, vlan: Number(vlan) };
}

/** The switch of ours that a binding of a port names, and what names the physical port there. */
export function resolveBinding(binding: Binding | undefined, port: Port, state: Whole): BoundTo | undefined {
  if (!binding) return undefined;
  if ('switch' in binding) return { dpid: binding.switch, port: binding.port };
  const { datapathId } = state.desired.hypervisors.get(binding.hypervisor) ?? {};
  const list = 'vlan' in binding && binding.standby.length > 0 ? [binding.hypervisor, ...binding.standby] : [];
  const elected = list.length === 0 ? undefined : state.observed.gateway(`endpoint/${port.endpoint}`)?.dpid;
  // One that is no hypervisor's any more was elected before that was known.
  const isOfList = list.some((id) => state.desired.hypervisors.get(id)?.datapathId === elected);
  const dpid = elected !== undefined && isOfList ? elected : datapathId;
  return dpid === undefined ? undefined : { dpid, interfaceId: interfaceOf(binding) };
}

/** Id of the interface that a binding to a hypervisor names. */
export const interfaceOf = (binding: Exclude<Binding, { readonly switch: Dpid }>): string =>
  'interfaceId' in binding ? binding.interfaceId : vlanInterface(binding.port, binding.vlan);

/** All switches at which a port on a VLAN may be, whichever is elected. */
export const allUplinks = (port: Port, desired: DesiredReader): readonly BoundTo[] =>
  bindingsOf(port).flatMap((binding) =>
    'vlan' in binding
      ? [binding.hypervisor, ...binding.standby].flatMap((id): BoundTo[] => {
          const dpid = desired.hypervisors.get(id)?.datapathId;
          return dpid === undefined ? [] : [{ dpid, interfaceId: interfaceOf(binding) }];
        })
      : [],
  );

/** True when a binding to a hypervisor says what one of this kind needs: all have VLANs on ports, but hardware VTEPs no interfaces, and foreign endpoints no ports. */
export const isFit = (binding: Binding, { physicalSwitch, datapathId }: Hypervisor): boolean =>
  'interfaceId' in binding ? physicalSwitch === undefined : physicalSwitch !== undefined || datapathId !== undefined;

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
