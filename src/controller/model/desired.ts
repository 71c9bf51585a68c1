import type { Dpid } from '../kernel/index.ts';
import { bindingsOf } from './migration.ts';
import type { ObjectKind } from './service-types.ts';
import { byText, SortedList } from './sorted.ts';
import type {
  DesiredChange,
  DesiredReader,
  Hypervisor,
  LispMapping,
  LispSite,
  Network,
  Port,
  Site,
  Tenant,
} from './types.ts';

/** Key of a network or port in the maps. */
export const keyOf = (tenant: string, id: string): string => `${tenant}/${id}`;

const NO_HYPERVISORS: ReadonlySet<string> = new Set();

const newPorts = (): SortedList<Port> => new SortedList<Port>((a, b) => a.endpoint - b.endpoint);

/** Ports of one network, and how many of them each hypervisor has. */
class Members {
  readonly ports = newPorts();
  readonly #perHypervisor = new Map<string, number>();
  readonly hypervisors = new Set<string>();

  add(port: Port): void {
    this.ports.add(port);
    for (const hypervisor of hypervisorsOf(port)) {
      this.#perHypervisor.set(hypervisor, (this.#perHypervisor.get(hypervisor) ?? 0) + 1);
      this.hypervisors.add(hypervisor);
    }
  }

  remove(port: Port): void {
    this.ports.remove(port);
    for (const hypervisor of hypervisorsOf(port)) {
      const left = this.#perHypervisor.get(hypervisor)! - 1;
      if (left > 0) this.#perHypervisor.set(hypervisor, left);
      else {
        this.#perHypervisor.delete(hypervisor);
        this.hypervisors.delete(hypervisor);
      }
    }
  }
}

const switchesOf = (port: Port): ReadonlySet<Dpid> =>
  new Set(bindingsOf(port).flatMap((binding) => ('switch' in binding ? [binding.switch] : [])));

const hypervisorsOf = (port: Port): ReadonlySet<string> =>
  new Set(
    bindingsOf(port).flatMap((binding) => {
      if (!('hypervisor' in binding)) return [];
      return 'vlan' in binding ? [binding.hypervisor, ...binding.standby] : [binding.hypervisor];
    }),
  );

/**
 * Desired state in memory, with its indices kept as changes come. `revert` takes back what `apply` did, so that a plan can be
 * made of changes that are not (yet) stored: apply, plan, revert, all in one synchronous stretch.
 */
export class Desired implements DesiredReader {
  revision = 0;
  readonly tenants = new Map<string, Tenant>();
  readonly networks = new Map<string, Network>();
  readonly ports = new Map<string, Port>();
  readonly hypervisors = new Map<string, Hypervisor>();
  readonly sites = new Map<string, Site>();
  readonly lispSites = new Map<string, LispSite>();
  readonly lispMappings = new Map<string, LispMapping>();
  readonly #byIndex = new Map<number, Network>();
  readonly #members = new Map<string, Members>();
  readonly #boundToSwitch = new Map<string, SortedList<Port>>();
  readonly #boundToHypervisor = new Map<string, SortedList<Port>>();
  readonly #byDpid = new Map<Dpid, Hypervisor>();
  /** By key of the network that they extend. */
  readonly #extensions = new Map<string, Network>();
  readonly #networkCount = new Map<string, number>();
  readonly #portCount = new Map<string, number>();
  readonly #keys: Readonly<Record<ObjectKind, SortedList<string>>> = {
    tenant: new SortedList(byText),
    network: new SortedList(byText),
    port: new SortedList(byText),
    hypervisor: new SortedList(byText),
    site: new SortedList(byText),
    lispSite: new SortedList(byText),
    lispMapping: new SortedList(byText),
  };

  networkByIndex(index: number): Network | undefined {
    return this.#byIndex.get(index);
  }

  otherSide({ tenant, id, extends: extended }: Network): Network | undefined {
    const key = keyOf(tenant, extended ?? id);
    return extended === undefined ? this.#extensions.get(key) : this.networks.get(key);
  }

  /** In order of id. */
  *networksOf(tenant: string): Generator<Network> {
    for (const key of this.keys('network', `${tenant}/`)) yield this.networks.get(key)!;
  }

  /** In order of id. */
  *portsOf(tenant: string): Generator<Port> {
    for (const key of this.keys('port', `${tenant}/`)) yield this.ports.get(key)!;
  }

  portsOfNetwork(tenant: string, network: string): Iterable<Port> {
    return this.#members.get(keyOf(tenant, network))?.ports ?? [];
  }

  portsBoundTo(dpid: Dpid): Iterable<Port> {
    return this.#boundToSwitch.get(dpid) ?? [];
  }

  portsOfHypervisor(hypervisor: string): Iterable<Port> {
    return this.#boundToHypervisor.get(hypervisor) ?? [];
  }

  hypervisorsOf(tenant: string, network: string): ReadonlySet<string> {
    return this.#members.get(keyOf(tenant, network))?.hypervisors ?? NO_HYPERVISORS;
  }

  hypervisorByDpid(dpid: Dpid): Hypervisor | undefined {
    return this.#byDpid.get(dpid);
  }

  countNetworks(tenant: string): number {
    return this.#networkCount.get(tenant) ?? 0;
  }

  countPorts(tenant: string): number {
    return this.#portCount.get(tenant) ?? 0;
  }

  countPortsOfNetwork(tenant: string, network: string): number {
    return this.#members.get(keyOf(tenant, network))?.ports.size ?? 0;
  }

  /** Keys with the prefix in order, from the first above `after`. */
  *keys(kind: ObjectKind, prefix: string, after?: string): Generator<string> {
    for (const key of this.#keys[kind].from(after ?? prefix)) {
      if (key === after) continue;
      if (!key.startsWith(prefix)) return;
      yield key;
    }
  }

  /** Applies changes in order. Each one's `before` must be what is here. */
  apply(changes: readonly DesiredChange[]): void {
    for (const change of changes) this.#replace(change, false);
  }

  /** Takes changes back that were applied last. */
  revert(changes: readonly DesiredChange[]): void {
    for (let i = changes.length - 1; i >= 0; i--) this.#replace(changes[i]!, true);
  }

  #replace(change: DesiredChange, back: boolean): void {
    switch (change.kind) {
      case 'tenant': {
        const [before, after] = back ? [change.after, change.before] : [change.before, change.after];
        swap(this.tenants, this.#keys.tenant, before?.id, after?.id, after);
        return;
      }
      case 'network': {
        const [before, after] = back ? [change.after, change.before] : [change.before, change.after];
        if (before) this.#byIndex.delete(before.index);
        if (after) this.#byIndex.set(after.index, after);
        if (before?.extends !== undefined) this.#extensions.delete(keyOf(before.tenant, before.extends));
        if (after?.extends !== undefined) this.#extensions.set(keyOf(after.tenant, after.extends), after);
        count(this.#networkCount, before?.tenant, after?.tenant);
        swap(this.networks, this.#keys.network, fullKey(before), fullKey(after), after);
        return;
      }
      case 'port': {
        const [before, after] = back ? [change.after, change.before] : [change.before, change.after];
        if (before) this.#detach(before);
        if (after) this.#attach(after);
        count(this.#portCount, before?.tenant, after?.tenant);
        swap(this.ports, this.#keys.port, fullKey(before), fullKey(after), after);
        return;
      }
      case 'hypervisor': {
        const [before, after] = back ? [change.after, change.before] : [change.before, change.after];
        if (before?.datapathId !== undefined) this.#byDpid.delete(before.datapathId);
        if (after?.datapathId !== undefined) this.#byDpid.set(after.datapathId, after);
        swap(this.hypervisors, this.#keys.hypervisor, before?.id, after?.id, after);
        return;
      }
      case 'site': {
        const [before, after] = back ? [change.after, change.before] : [change.before, change.after];
        swap(this.sites, this.#keys.site, before?.id, after?.id, after);
        return;
      }
      case 'lispSite': {
        const [before, after] = back ? [change.after, change.before] : [change.before, change.after];
        swap(this.lispSites, this.#keys.lispSite, before?.id, after?.id, after);
        return;
      }
      case 'lispMapping': {
        const [before, after] = back ? [change.after, change.before] : [change.before, change.after];
        swap(this.lispMappings, this.#keys.lispMapping, before?.id, after?.id, after);
      }
    }
  }

  #attach(port: Port): void {
    const key = keyOf(port.tenant, port.network);
    const members = this.#members.get(key) ?? new Members();
    this.#members.set(key, members);
    members.add(port);
    bind(this.#boundToSwitch, switchesOf(port), port);
    bind(this.#boundToHypervisor, hypervisorsOf(port), port);
  }

  #detach(port: Port): void {
    const key = keyOf(port.tenant, port.network);
    const members = this.#members.get(key);
    members?.remove(port);
    if (members?.ports.size === 0) this.#members.delete(key);
    unbind(this.#boundToSwitch, switchesOf(port), port);
    unbind(this.#boundToHypervisor, hypervisorsOf(port), port);
  }
}

function bind(bound: Map<string, SortedList<Port>>, keys: Iterable<string>, port: Port): void {
  for (const key of keys) {
    const ports = bound.get(key) ?? newPorts();
    bound.set(key, ports);
    ports.add(port);
  }
}

function unbind(bound: Map<string, SortedList<Port>>, keys: Iterable<string>, port: Port): void {
  for (const key of keys) {
    const ports = bound.get(key);
    ports?.remove(port);
    if (ports?.size === 0) bound.delete(key);
  }
}

const fullKey = (object: Network | Port | undefined): string | undefined => object && keyOf(object.tenant, object.id);

function swap<T>(
  map: Map<string, T>,
  keys: SortedList<string>,
  before: string | undefined,
  after: string | undefined,
  value: T | undefined,
): void {
  if (before !== undefined && before !== after) {
    map.delete(before);
    keys.remove(before);
  }
  if (after !== undefined && value !== undefined) {
    map.set(after, value);
    if (before !== after) keys.add(after);
  }
}

function count(counts: Map<string, number>, before: string | undefined, after: string | undefined): void {
  if (before === after) return;
  if (before !== undefined) {
    const left = (counts.get(before) ?? 0) - 1;
    if (left > 0) counts.set(before, left);
    else counts.delete(before);
  }
  if (after !== undefined) counts.set(after, (counts.get(after) ?? 0) + 1);
}
