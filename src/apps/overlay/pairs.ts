import {
  type Dpid,
  type Effect,
  isOverlay,
  type Membership,
  type NetworkState,
  OVERLAY,
  peerAddress,
  type StateChange,
  type TunnelType,
} from '../../controller/index.ts';

/** Two switches that send one another frames of some network, one direction. */
export interface Pair {
  readonly from: Dpid;
  readonly to: Dpid;
  readonly type: TunnelType;
  /** They cannot: no address of one is of a family of the other's. */
  readonly apart: boolean;
}

const keyOf = ({ from, to, type, apart }: Pair): string => `${type}/${from}/${to}/${apart}`;

/** Which switches share overlay networks, kept up to date network by network. */
export class Pairs {
  readonly #state: NetworkState;
  readonly #membership: Membership;
  /** Pairs with the number of networks that they share. */
  readonly #shared = new Map<string, { readonly pair: Pair; count: number }>();
  /** The pairs that each network was counted in. */
  readonly #ofNetwork = new Map<number, readonly Pair[]>();

  constructor(state: NetworkState, membership: Membership) {
    this.#state = state;
    this.#membership = membership;
    for (const { index } of state.desired.networks.values()) this.#look(index);
  }

  get size(): number {
    return this.#shared.size;
  }

  has(pair: Pair): boolean {
    return this.#shared.has(keyOf(pair));
  }

  *all(): Iterable<Pair> {
    for (const { pair } of this.#shared.values()) yield pair;
  }

  /** Takes a change in; answers the pairs that came and those that went. */
  changed(change: StateChange, effect: Effect): { readonly came: readonly Pair[]; readonly went: readonly Pair[] } {
    const networks = new Set(effect.edges.keys());
    if (change.kind === 'network') {
      for (const network of [change.before, change.after]) if (network) networks.add(network.index);
    }
    const came: Pair[] = [];
    const went: Pair[] = [];
    for (const network of networks) this.#look(network, came, went);
    return { came, went };
  }

  #look(index: number, came: Pair[] = [], went: Pair[] = []): void {
    const before = this.#ofNetwork.get(index) ?? [];
    const after = this.#pairsOf(index);
    if (after.length > 0) this.#ofNetwork.set(index, after);
    else this.#ofNetwork.delete(index);
    // Added first, so that a pair that stays is never gone in between.
    for (const pair of after) {
      const key = keyOf(pair);
      const known = this.#shared.get(key);
      if (known) known.count++;
      else {
        this.#shared.set(key, { pair, count: 1 });
        came.push(pair);
      }
    }
    for (const pair of before) {
      const key = keyOf(pair);
      const known = this.#shared.get(key)!;
      if (--known.count > 0) continue;
      this.#shared.delete(key);
      went.push(pair);
    }
  }

  #pairsOf(index: number): readonly Pair[] {
    const type = this.#state.desired.networkByIndex(index)?.transport;
    if (!isOverlay(type)) return [];
    const membership = this.#membership;
    const members = membership.segment(index, OVERLAY);
    return members.flatMap((from) => {
      const reached = membership.reachable(index, from);
      const pairs = reached.filter((to) => to !== from).map((to): Pair => ({ from, to, type, apart: false }));
      if (reached.length === members.length) return pairs;
      const others = new Set(reached);
      const apart = members.filter((to) => to !== from && !others.has(to) && this.#isApart(from, to, type));
      return [...pairs, ...apart.map((to): Pair => ({ from, to, type, apart: true }))];
    });
  }

  #isApart(from: Dpid, to: Dpid, type: TunnelType): boolean {
    const [here, there] = [this.#membership.vtepOf(from), this.#membership.vtepOf(to)];
    if (!here?.ports.has(type) || !there?.ports.has(type)) return false;
    return peerAddress(here.addresses, there.addresses) === undefined;
  }
}
