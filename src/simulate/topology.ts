/** Where cables go: pairs of switch numbers (from 0). */
export type Wiring = readonly (readonly [a: number, b: number])[];

/** Names of the topologies that a network of virtual switches can have. */
export const topologies = ['none', 'linear', 'ring', 'leaf-spine', 'tree'] as const;
export type Topology = (typeof topologies)[number];

/** Spines of a leaf-spine network with this many switches. */
const spinesOf = (switches: number): number => Math.max(1, Math.min(16, Math.round(Math.sqrt(switches) / 2)));

/** Cables of a topology: a line, a ring, leaves that each connect to every spine, or a tree whose switches have four children. */
export function wiring(topology: Topology, switches: number): Wiring {
  const numbers = Array.from({ length: switches }, (_, i) => i);
  switch (topology) {
    case 'none':
      return [];
    case 'linear':
      return numbers.slice(1).map((i) => [i - 1, i] as const);
    case 'ring':
      if (switches < 3) return wiring('linear', switches);
      return numbers.map((i) => [i, (i + 1) % switches] as const);
    case 'leaf-spine': {
      const spines = spinesOf(switches);
      return numbers.slice(spines).flatMap((leaf) => numbers.slice(0, spines).map((spine) => [spine, leaf] as const));
    }
    case 'tree':
      return numbers.slice(1).map((i) => [(i - 1) >> 2, i] as const);
  }
}
