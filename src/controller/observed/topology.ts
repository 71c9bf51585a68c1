import { type Dpid, InvariantError } from '../kernel/index.ts';
import { costOf, distancesTo, FAR, type Hop } from './distances.ts';
import type { Attachment, NextHops } from './types.ts';

const byPort = (a: Hop, b: Hop): number => a.port - b.port;

/**
 * Usable cables between switches, and the cheapest ways over them. Distances are computed per target when first asked for,
 * then kept, and repaired with each change, so that a change can name the switches whose next hops or component it may have
 * changed: `takeAffected`. Everything read from here equals what a fresh instance with the same cables would say.
 */
export class Topology {
  readonly #slots = new Map<Dpid, number>();
  /** By slot; undefined in free slots. */
  readonly #dpids: (Dpid | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #hops: Hop[][] = [];
  /** Disconnected for longer than the hold: its cables are used only where there is no other way. */
  readonly #away: boolean[] = [];
  readonly #components: Set<Dpid>[] = [];
  /** Distances of all nodes to the node of this slot, when somebody asked. */
  readonly #tables: (Uint32Array | undefined)[] = [];
  #capacity = 64;
  #affected = new Set<Dpid>();
  #bulk = false;

  /** Adds a switch without cables. */
  addSwitch(dpid: Dpid): void {
    if (this.#slots.has(dpid)) return;
    const slot = this.#free.pop() ?? this.#dpids.length;
    if (slot >= this.#capacity) this.#grow();
    this.#slots.set(dpid, slot);
    this.#dpids[slot] = dpid;
    this.#hops[slot] = [];
    this.#away[slot] = false;
    this.#components[slot] = new Set([dpid]);
    this.#tables[slot] = undefined;
  }

  /** Takes a switch away. Its cables must be gone. */
  removeSwitch(dpid: Dpid): void {
    const slot = this.#slots.get(dpid);
    if (slot === undefined) return;
    if (this.#hops[slot]!.length > 0) throw new InvariantError(`${dpid}: removed with cables`, { dpid });
    this.#slots.delete(dpid);
    this.#dpids[slot] = undefined;
    this.#tables[slot] = undefined;
    this.#free.push(slot);
  }

  /** Switches whose next hops or component may have changed since the last call. */
  takeAffected(): ReadonlySet<Dpid> {
    const taken = this.#affected;
    if (taken.size > 0) this.#affected = new Set();
    return taken;
  }

  /** Many changes at once, without repair in between: everything is computed anew, and every switch counts as affected. */
  bulk(change: () => void): void {
    this.#bulk = true;
    try {
      change();
    } finally {
      this.#bulk = false;
      this.#tables.fill(undefined);
      const seen = new Set<number>();
      for (const [dpid, slot] of this.#slots) {
        this.#affected.add(dpid);
        if (seen.has(slot)) continue;
        for (const member of this.#label(this.#reach(slot))) seen.add(member);
      }
    }
  }

  /** Adds a cable between two different switches. */
  addCable(a: Attachment, b: Attachment): void {
    const u = this.#slot(a.dpid);
    const v = this.#slot(b.dpid);
    if (u === v) throw new InvariantError(`${a.dpid}: cable to itself`, { dpid: a.dpid });
    const apart = this.#components[u] !== this.#components[v];
    if (!this.#bulk && apart) this.#bridge(u, v);
    this.#attach(u, { port: a.port, peer: v, peerPort: b.port });
    this.#attach(v, { port: b.port, peer: u, peerPort: a.port });
    if (this.#bulk || apart) return;
    this.#touch(u);
    this.#touch(v);
    const cost = costOf(this.#away, u, v);
    const nearer = (table: Uint32Array): boolean => table[u]! + cost < table[v]! || table[v]! + cost < table[u]!;
    this.#repair(this.#targets(u, nearer), this.#away);
  }

  /** Takes a cable away. */
  removeCable(a: Attachment, b: Attachment): void {
    const u = this.#slot(a.dpid);
    const v = this.#slot(b.dpid);
    this.#detach(u, a.port);
    this.#detach(v, b.port);
    if (this.#bulk) return;
    this.#touch(u);
    this.#touch(v);
    if (this.#hops[u]!.some((hop) => hop.peer === v)) return;
    const side = this.#reach(u);
    if (!side.includes(v)) this.#split(side, this.#reach(v));
    else {
      const cost = costOf(this.#away, u, v);
      const orphans = (table: Uint32Array): boolean =>
        (table[v] === table[u]! + cost && !this.#hasParent(v, table)) ||
        (table[u] === table[v]! + cost && !this.#hasParent(u, table));
      this.#repair(this.#targets(u, orphans), this.#away);
    }
  }

  /** Says which switches have been away for long or are back. */
  setAway(dpids: Iterable<Dpid>, away: boolean): void {
    const before = [...this.#away];
    const changed: number[] = [];
    for (const dpid of dpids) {
      const slot = this.#slots.get(dpid);
      if (slot === undefined || this.#away[slot] === away) continue;
      this.#away[slot] = away;
      if (this.#hops[slot]!.length > 0) changed.push(slot);
    }
    if (this.#bulk || changed.length === 0) return;
    const components = new Set(changed.map((slot) => this.#components[slot]!));
    const targets: number[] = [];
    for (const component of components) {
      for (const dpid of component) {
        const slot = this.#slot(dpid);
        if (this.#tables[slot]) targets.push(slot);
      }
    }
    for (const slot of changed) {
      this.#touch(slot);
      for (const { peer } of this.#hops[slot]!) this.#touch(peer);
    }
    this.#repair(targets, before);
  }

  component(dpid: Dpid): ReadonlySet<Dpid> {
    const slot = this.#slots.get(dpid);
    return slot === undefined ? new Set() : this.#components[slot]!;
  }

  nextHops(from: Dpid, to: Dpid): NextHops | undefined {
    const source = this.#slots.get(from);
    const target = this.#slots.get(to);
    if (source === undefined || target === undefined || source === target) return undefined;
    if (this.#components[source] !== this.#components[target]) return undefined;
    return this.#nextHops(source, this.#table(target), () => this.#table(source), this.#away);
  }

  /** Cost of a cheapest way: hops, and AWAY_COST more for each cable of a switch that is away. Undefined without a way. */
  distance(from: Dpid, to: Dpid): number | undefined {
    const source = this.#slots.get(from);
    const target = this.#slots.get(to);
    if (source === undefined || target === undefined) return undefined;
    const far = this.#table(target)[source]!;
    return far === FAR ? undefined : far;
  }

  #nextHops(source: number, toTarget: Uint32Array, toSource: () => Uint32Array, away: readonly boolean[]): NextHops {
    const here = toTarget[source]!;
    const hops = this.#hops[source]!;
    const equal: number[] = [];
    for (const { port, peer } of hops) if (toTarget[peer]! + costOf(away, source, peer) === here) equal.push(port);
    if (equal.length !== 1) return { equal, backup: undefined };
    return { equal, backup: this.#backup(source, equal[0]!, toTarget, toSource, away) };
  }

  /**
   * The cheapest loop-free alternate (RFC 5286 §3, inequality 1): a neighbour N of S whose own way to E does not come back
   * through S, dist(N, E) < dist(N, S) + dist(S, E). The lowest port among equals.
   */
  #backup(
    source: number,
    primary: number,
    toTarget: Uint32Array,
    toSource: () => Uint32Array,
    away: readonly boolean[],
  ): number | undefined {
    const hops = this.#hops[source]!;
    if (hops.length < 2) return undefined;
    const fromSource = toSource();
    let best: Hop | undefined;
    let bestCost = FAR;
    for (const hop of hops) {
      if (hop.port === primary || toTarget[hop.peer]! >= fromSource[hop.peer]! + toTarget[source]!) continue;
      const cost = toTarget[hop.peer]! + costOf(away, source, hop.peer);
      if (cost < bestCost) {
        best = hop;
        bestCost = cost;
      }
    }
    return best?.port;
  }

  #slot(dpid: Dpid): number {
    const slot = this.#slots.get(dpid);
    if (slot === undefined) throw new InvariantError(`${dpid}: not in the topology`, { dpid });
    return slot;
  }

  #touch(slot: number): void {
    this.#affected.add(this.#dpids[slot]!);
  }

  #table(target: number): Uint32Array {
    let table = this.#tables[target];
    if (!table) {
      table = distancesTo(target, this.#hops, this.#away, this.#capacity);
      this.#tables[target] = table;
    }
    return table;
  }

  #attach(slot: number, hop: Hop): void {
    const hops = this.#hops[slot]!;
    if (hops.some((other) => other.port === hop.port)) {
      throw new InvariantError(`${this.#dpids[slot]} port ${hop.port}: two cables`, { port: hop.port });
    }
    hops.push(hop);
    hops.sort(byPort);
  }

  #detach(slot: number, port: number): void {
    const hops = this.#hops[slot]!;
    const at = hops.findIndex((hop) => hop.port === port);
    if (at < 0) throw new InvariantError(`${this.#dpids[slot]} port ${port}: no cable`, { port });
    hops.splice(at, 1);
  }

  /** Slots in reach of this one, itself first. */
  #reach(from: number): number[] {
    const seen = new Uint8Array(this.#capacity);
    const found = [from];
    seen[from] = 1;
    for (let at = 0; at < found.length; at++) {
      for (const { peer } of this.#hops[found[at]!]!) {
        if (seen[peer] === 1) continue;
        seen[peer] = 1;
        found.push(peer);
      }
    }
    return found;
  }

  /** Makes these slots one component. */
  #label(members: readonly number[]): readonly number[] {
    const component = new Set(members.map((slot) => this.#dpids[slot]!));
    for (const slot of members) this.#components[slot] = component;
    return members;
  }

  /** Tables of targets in this component that the condition picks. */
  #targets(near: number, condition: (table: Uint32Array) => boolean): number[] {
    const picked: number[] = [];
    for (const dpid of this.#components[near]!) {
      const slot = this.#slot(dpid);
      const table = this.#tables[slot];
      if (table && condition(table)) picked.push(slot);
    }
    return picked;
  }

  #hasParent(node: number, table: Uint32Array): boolean {
    return this.#hops[node]!.some(({ peer }) => table[peer]! + costOf(this.#away, node, peer) === table[node]);
  }

  /** Two components become one by a first cable: distances across are sums, those within stay. Called before it is added. */
  #bridge(u: number, v: number): void {
    const [ours, theirs] = [this.#components[u]!, this.#components[v]!];
    const cost = costOf(this.#away, u, v);
    this.#sum(ours, theirs, u, v, cost);
    this.#sum(theirs, ours, v, u, cost);
    const [small, large] = ours.size < theirs.size ? [ours, theirs] : [theirs, ours];
    for (const dpid of small) {
      large.add(dpid);
      this.#components[this.#slot(dpid)] = large;
    }
    for (const dpid of large) this.#affected.add(dpid);
  }

  #sum(near: ReadonlySet<Dpid>, far: ReadonlySet<Dpid>, u: number, v: number, cost: number): void {
    let beyond: Uint32Array | undefined;
    const farSlots: number[] = [];
    for (const dpid of near) {
      const table = this.#tables[this.#slot(dpid)];
      if (!table) continue;
      if (!beyond) {
        beyond = this.#tables[v] ?? distancesTo(v, this.#hops, this.#away, this.#capacity);
        for (const other of far) farSlots.push(this.#slot(other));
      }
      for (const slot of farSlots) table[slot] = table[u]! + cost + beyond[slot]!;
    }
  }

  /** One component became two: there is no way across, and those within stay. */
  #split(left: readonly number[], right: readonly number[]): void {
    this.#label(left);
    this.#label(right);
    for (const [near, far] of [[left, right] as const, [right, left] as const]) {
      for (const target of near) {
        this.#touch(target);
        const table = this.#tables[target];
        if (table) for (const slot of far) table[slot] = FAR;
      }
    }
  }

  /**
   * Computes the tables of these targets anew, and finds whose next hops differ. `awayBefore` is what cables cost by in the
   * old tables. Nodes next to a cable that itself came, went or changed its cost are the caller's to touch.
   */
  #repair(targets: readonly number[], awayBefore: readonly boolean[]): void {
    const old = new Map<number, Uint32Array>();
    for (const target of targets) {
      old.set(target, this.#tables[target]!);
      this.#tables[target] = distancesTo(target, this.#hops, this.#away, this.#capacity);
    }
    for (const [target, before] of old) {
      const after = this.#tables[target]!;
      for (const dpid of this.#components[target]!) {
        const node = this.#slot(dpid);
        if (before[node] === after[node]) continue;
        this.#compare(node, target, before, after, old, awayBefore);
        for (const { peer } of this.#hops[node]!) {
          this.#compare(peer, target, before, after, old, awayBefore);
          // How far a neighbour is decides whether it may be a backup of this target's own paths.
          if (peer === target) this.#touch(target);
        }
      }
    }
  }

  #compare(
    node: number,
    target: number,
    before: Uint32Array,
    after: Uint32Array,
    old: ReadonlyMap<number, Uint32Array>,
    awayBefore: readonly boolean[],
  ): void {
    if (node === target || this.#affected.has(this.#dpids[node]!)) return;
    const was = this.#nextHops(node, before, () => old.get(node) ?? this.#table(node), awayBefore);
    const is = this.#nextHops(node, after, () => this.#table(node), this.#away);
    if (was.backup !== is.backup || was.equal.join() !== is.equal.join()) this.#touch(node);
  }

  #grow(): void {
    this.#capacity *= 2;
    for (const [slot, table] of this.#tables.entries()) {
      if (!table) continue;
      const larger = new Uint32Array(this.#capacity).fill(FAR);
      larger.set(table);
      this.#tables[slot] = larger;
    }
  }
}
