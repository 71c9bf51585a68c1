import { parseDpid } from '../kernel/index.ts';
import type { PortBody } from './schema.ts';
import type { Binding } from './types.ts';

/** A binding from its checked form. */
export function readBinding(body: NonNullable<PortBody['binding']>): Binding {
  if ('hypervisor' in body) return { hypervisor: body.hypervisor, interfaceId: body.interfaceId };
  // The schema has checked the form. Digits alone are a number: who writes "3" means port 3.
  const dpid = parseDpid(body.switch)!;
  const { port } = body;
  return { switch: dpid, port: typeof port === 'string' && /^[1-9]\d{0,9}$/.test(port) ? Number(port) : port };
}

/** A name of the place that equal bindings share. */
export const bindingKey = (binding: Binding): string =>
  'switch' in binding
    ? `switch ${binding.switch} ${typeof binding.port} ${binding.port}`
    : `hypervisor ${binding.hypervisor} ${binding.interfaceId}`;

/** True for the same place, or none twice. */
export const sameBinding = (a: Binding | undefined, b: Binding | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && bindingKey(a) === bindingKey(b));

/** A place, for people. */
export const describeBinding = (binding: Binding): string =>
  'switch' in binding
    ? `port ${binding.port} of switch ${binding.switch}`
    : `interface ${binding.interfaceId} of hypervisor ${binding.hypervisor}`;
