/** Where a cable leads from one node of the graph. */
export interface Hop {
  readonly port: number;
  /** Slot of the node at the other end. */
  readonly peer: number;
  readonly peerPort: number;
}

/** No way. */
export const FAR = 0xffff_ffff;

/**
 * What a cable costs beyond its one hop when a switch at one of its ends has been away for long. Above any number of hops
 * (16383 switches), so that such a cable is used only where there is no other way, and fewer of them before fewer hops.
 */
export const AWAY_COST = 0x1_0000;

/** Cost of the cables between two nodes. */
export const costOf = (away: readonly boolean[], a: number, b: number): number =>
  away[a] === true || away[b] === true ? 1 + AWAY_COST : 1;

/**
 * Cost of the cheapest way from each node to `target`, FAR where there is none. Breadth first within each count of away
 * cables, so linear in nodes and cables, but for sorting the nodes where a new count begins.
 */
export function distancesTo(
  target: number,
  hops: readonly (readonly Hop[])[],
  away: readonly boolean[],
  capacity: number,
): Uint32Array {
  const dist = new Uint32Array(capacity).fill(FAR);
  dist[target] = 0;
  let seeds = [target];
  while (seeds.length > 0) {
    const later: number[] = [];
    const queue: number[] = [];
    // Seeds start at different hop counts: merged with the queue by cost, both ascending.
    seeds.sort((a, b) => dist[a]! - dist[b]! || a - b);
    let seedAt = 0;
    let queueAt = 0;
    const level = Math.floor(dist[seeds[0]!]! / AWAY_COST);
    while (seedAt < seeds.length || queueAt < queue.length) {
      const fromSeeds =
        queueAt >= queue.length || (seedAt < seeds.length && dist[seeds[seedAt]!]! <= dist[queue[queueAt]!]!);
      const node = fromSeeds ? seeds[seedAt++]! : queue[queueAt++]!;
      const here = dist[node]!;
      if (Math.floor(here / AWAY_COST) !== level) continue;
      for (const { peer } of hops[node]!) {
        const cost = costOf(away, node, peer);
        if (here + cost >= dist[peer]!) continue;
        dist[peer] = here + cost;
        if (cost === 1) queue.push(peer);
        else later.push(peer);
      }
    }
    // A node that was reached at this count meanwhile has its final cost; it need not start the next one.
    seeds = later.filter((node) => Math.floor(dist[node]! / AWAY_COST) === level + 1);
  }
  return dist;
}
