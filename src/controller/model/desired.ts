import type { Dpid } from '../kernel/index.ts';
import type { ObjectKind } from './service-types.ts';
import { byText, SortedList } from './sorted.ts';
import type { DesiredChange, DesiredReader, Network, Port, Tenant } from './types.ts';

/** Key of a network or port in the maps. */
export const keyOf = (tenant: string, id: string): string => `${tenant}/${id}`;

const NO_SWITCHES: ReadonlySet<Dpid> = new Set();

/** Ports of one network, and how many of them each switch has. */
class Members {
  readonly ports = new SortedList<Port>((a, b) => a.endpoint - b.endpoint);
  readonly #perSwitch = new Map<Dpid, number>();
  readonly switches = new Set<Dpid>();

  add(port: Port): void {
    this.ports.add(port);
    const dpid = switchOf(port);
    if (dpid === undefined) return;
    this.#perSwitch.set(dpid, (this.#perSwitch.get(dpid) ?? 0) + 1);
    this.switches.add(dpid);
  }

  remove(port: Port): void {
    this.ports.remove(port);
    const dpid = switchOf(port);
    if (dpid === undefined) return;
    const left = this.#perSwitch.get(dpid)! - 1;
    if (left > 0) this.#perSwitch.set(dpid, left);
    else {
      this.#perSwitch.delete(dpid);
      this.switches.delete(dpid);
    }
  }
}

const switchOf = (port: Port): Dpid | undefined =>
  port.binding && 'switch' in port.binding ? port.binding.switch : undefined;

/**
 * Desired state in memory, with its indices kept as changes come. `revert` takes back what `apply` did, so that a plan can be
 * made of changes that are not (yet) stored: apply, plan, revert, all in one synchronous stretch.
 */
export class Desired implements DesiredReader {
  revision = 0;
  readonly tenants = new Map<string, Tenant>();
  readonly networks = new Map<string, Network>();
  readonly ports = new Map<string, Port>();
  readonly #byIndex = new Map<number, Network>();
  readonly #members = new Map<string, Members>();
  readonly #bound = new Map<Dpid, SortedList<Port>>();
  readonly #networkCount = new Map<string, number>();
  readonly #portCount = new Map<string, number>();
  readonly #keys: Readonly<Record<ObjectKind, SortedList<string>>> = {
    tenant: new SortedList(byText),
    network: new SortedList(byText),
    port: new SortedList(byText),
  };

  networkByIndex(index: number): Network | undefined {
    return this.#byIndex.get(index);
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
    return this.#bound.get(dpid) ?? [];
  }

  switchesOf(tenant: string, network: string): ReadonlySet<Dpid> {
    return this.#members.get(keyOf(tenant, network))?.switches ?? NO_SWITCHES;
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
      }
    }
  }

  #attach(port: Port): void {
    const key = keyOf(port.tenant, port.network);
    const members = this.#members.get(key) ?? new Members();
    this.#members.set(key, members);
    members.add(port);
    const dpid = switchOf(port);
    if (dpid === undefined) return;
    const bound = this.#bound.get(dpid) ?? new SortedList<Port>((a, b) => a.endpoint - b.endpoint);
    this.#bound.set(dpid, bound);
    bound.add(port);
  }

  #detach(port: Port): void {
    const key = keyOf(port.tenant, port.network);
    const members = this.#members.get(key);
    members?.remove(port);
    if (members?.ports.size === 0) this.#members.delete(key);
    const dpid = switchOf(port);
    const bound = dpid === undefined ? undefined : this.#bound.get(dpid);
    bound?.remove(port);
    if (dpid !== undefined && bound?.size === 0) this.#bound.delete(dpid);
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
