import type { Dpid } from '../kernel/index.ts';
import { addTo, type MutableEffect } from './effect.ts';

/** Member switches of one network within one component of the fabric. */
interface Segment {
  readonly dpids: Set<Dpid>;
  /** By switch index; undefined after a change. */
  sorted: readonly Dpid[] | undefined;
}

interface NetworkRecord {
  /** Member ports by switch. */
  readonly edges: Map<Dpid, Set<number>>;
  /** By representative of the component. */
  readonly segments: Map<Dpid, Segment>;
}

const NOBODY: readonly Dpid[] = [];
const NO_PORTS: ReadonlySet<number> = new Set();

/** Where a member port is. */
interface Site {
  readonly dpid: Dpid;
  readonly component: Dpid;
}

/** Member ports of networks by switch, and member switches by component of the fabric. */
export class Segments {
  readonly #networks = new Map<number, NetworkRecord>();

  /** Member ports on a switch. */
  ports(network: number, dpid: Dpid): ReadonlySet<number> {
    return this.#networks.get(network)?.edges.get(dpid) ?? NO_PORTS;
  }

  /** Member switches, in no order. */
  switches(network: number): Iterable<Dpid> {
    return this.#networks.get(network)?.edges.keys() ?? NOBODY;
  }

  /** Member switches in a component, by switch index. */
  of(network: number, component: Dpid, indexOf: (dpid: Dpid) => number): readonly Dpid[] {
    const segment = this.#networks.get(network)?.segments.get(component);
    if (!segment) return NOBODY;
    segment.sorted ??= [...segment.dpids].sort((a, b) => indexOf(a) - indexOf(b));
    return segment.sorted;
  }

  join(network: number, { dpid, component }: Site, no: number, effect: MutableEffect): void {
    let entry = this.#networks.get(network);
    if (!entry) {
      entry = { edges: new Map(), segments: new Map() };
      this.#networks.set(network, entry);
    }
    const ports = entry.edges.get(dpid);
    if (ports) {
      ports.add(no);
      return;
    }
    entry.edges.set(dpid, new Set([no]));
    this.#enter(entry, network, component, dpid, effect);
  }

  leave(network: number, { dpid, component }: Site, no: number, effect: MutableEffect): void {
    const entry = this.#networks.get(network);
    const ports = entry?.edges.get(dpid);
    if (!entry || !ports?.delete(no) || ports.size > 0) return;
    entry.edges.delete(dpid);
    this.#exit(entry, network, component, dpid, effect);
    if (entry.edges.size === 0) this.#networks.delete(network);
  }

  /** A member switch came into another component. */
  move(network: number, dpid: Dpid, from: Dpid, to: Dpid, effect: MutableEffect): void {
    const entry = this.#networks.get(network);
    if (!entry) return;
    this.#exit(entry, network, from, dpid, effect);
    this.#enter(entry, network, to, dpid, effect);
    addTo(effect.locals, network, dpid);
  }

  #enter(entry: NetworkRecord, network: number, component: Dpid, dpid: Dpid, effect: MutableEffect): void {
    const segment = entry.segments.get(component);
    if (segment) {
      segment.dpids.add(dpid);
      segment.sorted = undefined;
    } else entry.segments.set(component, { dpids: new Set([dpid]), sorted: undefined });
    addTo(effect.edges, network, component);
  }

  #exit(entry: NetworkRecord, network: number, component: Dpid, dpid: Dpid, effect: MutableEffect): void {
    const segment = entry.segments.get(component);
    if (!segment?.dpids.delete(dpid)) return;
    segment.sorted = undefined;
    if (segment.dpids.size === 0) entry.segments.delete(component);
    addTo(effect.edges, network, component);
  }
}
