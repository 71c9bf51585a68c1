import {
  type Dpid,
  type Effect,
  isOverlay,
  type Membership,
  type NetworkState,
  OVERLAY,
  type StateChange,
  type TunnelType,
} from '../../controller/index.ts';

/** Two switches that send one another frames of some network, one direction. */
export interface Pair {
  readonly from: Dpid;
  readonly to: Dpid;
  readonly type: TunnelType;
}

const keyOf = ({ from, to, type }: Pair): string => `${type}/${from}/${to}`;

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
    return this.#membership
      .segment(index, OVERLAY)
      .flatMap((from) =>
        this.#membership.reachable(index, from).flatMap((to): Pair[] => (to === from ? [] : [{ from, to, type }])),
      );
  }
}
