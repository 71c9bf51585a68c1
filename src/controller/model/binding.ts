import { parseDpid } from '../kernel/index.ts';
import type { PortBody } from './schema.ts';
import type { Binding } from './types.ts';

/** A binding from its checked form. */
export function readBinding(body: NonNullable<PortBody['binding']>): Binding {
  if ('hypervisor' in body) {
    const { hypervisor } = body;
    return 'port' in body
      ? { hypervisor, port: body.port, vlan: body.vlan ?? 0, standby: body.standby ?? [] }
      : { hypervisor, interfaceId: body.interfaceId };
  }
  // The schema has checked the form. Digits alone are a number: who writes "3" means port 3.
  const dpid = parseDpid(body.switch)!;
  const { port } = body;
  return { switch: dpid, port: typeof port === 'string' && /^[1-9]\d{0,9}$/.test(port) ? Number(port) : port };
}

/** A name of the place that equal bindings share. */
export function bindingKey(binding: Binding): string {
  if ('switch' in binding) return `switch ${binding.switch} ${typeof binding.port} ${binding.port}`;
  return 'interfaceId' in binding
    ? `hypervisor ${binding.hypervisor} ${binding.interfaceId}`
    : `vlan ${[binding.hypervisor, ...binding.standby].join(' ')} ${binding.vlan} ${binding.port}`;
}

/** True for the same place, or none twice. */
export const sameBinding = (a: Binding | undefined, b: Binding | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && bindingKey(a) === bindingKey(b));

/** A place, for people. */
export function describeBinding(binding: Binding): string {
  if ('switch' in binding) return `port ${binding.port} of switch ${binding.switch}`;
  return 'interfaceId' in binding
    ? `interface ${binding.interfaceId} of hypervisor ${binding.hypervisor}`
    : `VLAN ${binding.vlan} on port ${binding.port} of hypervisor ${binding.hypervisor}`;
}
