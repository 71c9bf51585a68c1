import {
  type DesiredReader,
  formatIp,
  type Hypervisor,
  type Network,
  type Port,
  type Rloc,
  restPath,
  type StateChange,
} from '../../controller/index.ts';
import type { EidPrefix, MappingSystem } from '../lisp/index.ts';
import { plainText, prefixOf, recordOf } from './eids.ts';

/** How long routers may keep where a machine is. They are told when it moves; this is for those that cannot be. */
const TTL_MINUTES = 10;

const keyOf = ({ tenant, id }: Pick<Port, 'tenant' | 'id'>): string => `${tenant}/${id}`;
const pathOf = ({ tenant, id }: Port): string => restPath('port', { tenant, id });

/** Where others reach a hypervisor: through its site's routers, or where there are none through its own tunnel addresses. */
export function rlocsOf({ site, tunnelAddresses }: Hypervisor, { sites }: DesiredReader): readonly Rloc[] {
  const rlocs = site === undefined ? undefined : sites.get(site)?.rlocs;
  if (rlocs && rlocs.length > 0) return rlocs;
  return tunnelAddresses.map((address) => ({ address, priority: 1, weight: 100 }));
}

/**
 * Says in the mapping system where the ports of networks with an instance id are: each declared address of a port on a hypervisor is a
 * mapping of its network's instance. Follows ports, networks, hypervisors and sites; a port that moves is at its new place from the change
 * on that makes the place count.
 */
export class PortFeed {
  readonly #system: MappingSystem;
  readonly #desired: DesiredReader;
  /** What is said of a port: prefixes by text. Only ports of which something is said. */
  readonly #said = new Map<string, ReadonlyMap<string, EidPrefix>>();

  constructor(system: MappingSystem, desired: DesiredReader) {
    this.#system = system;
    this.#desired = desired;
  }

  /** Ports of which something is said. */
  get ports(): number {
    return this.#said.size;
  }

  /** Takes all there is. */
  load(): void {
    for (const network of this.#desired.networks.values()) if (network.instanceId !== undefined) this.#network(network);
  }

  changed(change: StateChange): void {
    switch (change.kind) {
      case 'port': {
        const { before, after } = change;
        const port = after ?? before;
        if (port) this.#refresh(port);
        return;
      }
      case 'network': {
        const { before, after } = change;
        if (after && after.instanceId !== before?.instanceId) this.#network(after);
        return;
      }
      case 'hypervisor': {
        const hypervisor = change.after ?? change.before;
        if (hypervisor) this.#hypervisor(hypervisor.id);
        return;
      }
      case 'site': {
        const site = (change.after ?? change.before)?.id;
        for (const hypervisor of this.#desired.hypervisors.values()) {
          if (hypervisor.site === site) this.#hypervisor(hypervisor.id);
        }
        return;
      }
      default:
    }
  }

  #network({ tenant, id }: Network): void {
    for (const port of this.#desired.portsOfNetwork(tenant, id)) this.#refresh(port);
  }

  #hypervisor(id: string): void {
    for (const port of this.#desired.portsOfHypervisor(id)) this.#refresh(port);
  }

  /** Says what is true of a port now, and takes back what was said of it and is true no more. */
  #refresh(named: Port): void {
    const key = keyOf(named);
    const port = this.#desired.ports.get(key);
    const path = pathOf(named);
    const now = port ? this.#say(port) : new Map<string, EidPrefix>();
    for (const [text, prefix] of this.#said.get(key) ?? []) if (!now.has(text)) this.#system.unpin(prefix, path);
    if (now.size > 0) this.#said.set(key, now);
    else this.#said.delete(key);
  }

  #say(port: Port): ReadonlyMap<string, EidPrefix> {
    const said = new Map<string, EidPrefix>();
    const instanceId = this.#desired.networks.get(`${port.tenant}/${port.network}`)?.instanceId;
    const { binding } = port;
    const hypervisor = binding && 'hypervisor' in binding && this.#desired.hypervisors.get(binding.hypervisor);
    if (instanceId === undefined || !hypervisor) return said;
    const rlocs = rlocsOf(hypervisor, this.#desired);
    if (rlocs.length === 0) return said;
    for (const address of port.addresses) {
      const prefix = prefixOf(instanceId, formatIp(address));
      this.#system.pin(prefix, pathOf(port), recordOf(prefix, rlocs, 'noAction', TTL_MINUTES));
      said.set(`${instanceId} ${plainText(prefix)}`, prefix);
    }
    return said;
  }
}
