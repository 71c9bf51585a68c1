import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Dpid, dpidOf } from '../../src/controller/kernel/index.ts';
import { AWAY_COST } from '../../src/controller/observed/distances.ts';
import { Topology } from '../../src/controller/observed/topology.ts';

const SWITCHES = 9;
const dpids = Array.from({ length: SWITCHES }, (_, i) => dpidOf(BigInt(i + 1)));

interface Cable {
  readonly a: number;
  readonly b: number;
  /** Tells parallel cables apart. */
  readonly twin: number;
}

/** A port number that names the cable, so that each port has one. */
const portOf = (from: number, { a, b, twin }: Cable): number => (from === a ? b : a) * 2 + twin + 1;
const ends = (cable: Cable) =>
  [
    { dpid: dpids[cable.a]!, port: portOf(cable.a, cable) },
    { dpid: dpids[cable.b]!, port: portOf(cable.b, cable) },
  ] as const;

type Edit =
  | { readonly what: 'toggle'; readonly cable: Cable }
  | { readonly what: 'away'; readonly nodes: readonly number[]; readonly away: boolean }
  | { readonly what: 'ask'; readonly from: number; readonly to: number };

const node = fc.integer({ min: 0, max: SWITCHES - 1 });
const cableArb = fc
  .tuple(node, node, fc.integer({ min: 0, max: 1 }))
  .filter(([a, b]) => a !== b)
  .map(([a, b, twin]): Cable => ({ a: Math.min(a, b), b: Math.max(a, b), twin }));
const editArb: fc.Arbitrary<Edit> = fc.oneof(
  { weight: 8, arbitrary: cableArb.map((cable): Edit => ({ what: 'toggle', cable })) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.uniqueArray(node, { maxLength: 3 }), fc.boolean())
      .map(([nodes, away]): Edit => ({ what: 'away', nodes, away })),
  },
  { weight: 3, arbitrary: fc.tuple(node, node).map(([from, to]): Edit => ({ what: 'ask', from, to })) },
);

/** The model: what is cabled and who is away. */
class World {
  readonly cables = new Map<string, Cable>();
  readonly away = new Set<Dpid>();
  readonly topology = new Topology();

  constructor() {
    for (const dpid of dpids) this.topology.addSwitch(dpid);
    this.topology.takeAffected();
  }

  apply(edit: Edit): void {
    if (edit.what === 'ask') {
      this.topology.nextHops(dpids[edit.from]!, dpids[edit.to]!);
    } else if (edit.what === 'away') {
      const who = edit.nodes.map((n) => dpids[n]!);
      for (const dpid of who) edit.away ? this.away.add(dpid) : this.away.delete(dpid);
      this.topology.setAway(who, edit.away);
    } else {
      const key = `${edit.cable.a}-${edit.cable.b}-${edit.cable.twin}`;
      if (this.cables.delete(key)) this.topology.removeCable(...ends(edit.cable));
      else {
        this.cables.set(key, edit.cable);
        this.topology.addCable(...ends(edit.cable));
      }
    }
  }

  fresh(): Topology {
    const topology = new Topology();
    for (const dpid of dpids) topology.addSwitch(dpid);
    topology.bulk(() => {
      for (const cable of this.cables.values()) topology.addCable(...ends(cable));
      topology.setAway(this.away, true);
    });
    return topology;
  }

  peer(from: Dpid, port: number): Dpid {
    for (const cable of this.cables.values()) {
      const [a, b] = ends(cable);
      if (a.dpid === from && a.port === port) return b.dpid;
      if (b.dpid === from && b.port === port) return a.dpid;
    }
    throw new Error(`no cable at ${from}:${port}`);
  }
}

const view = (topology: Topology, from: Dpid) => ({
  component: [...topology.component(from)].sort(),
  hops: dpids.map((to) => topology.nextHops(from, to)),
});

/** All-pairs costs by Floyd and Warshall, independent of the code under test. */
function costs(world: World): number[][] {
  const far = Number.POSITIVE_INFINITY;
  const cost = dpids.map((_, i) => dpids.map((_, j) => (i === j ? 0 : far)));
  for (const { a, b } of world.cables.values()) {
    const w = world.away.has(dpids[a]!) || world.away.has(dpids[b]!) ? 1 + AWAY_COST : 1;
    cost[a]![b] = w;
    cost[b]![a] = w;
  }
  for (let k = 0; k < SWITCHES; k++)
    for (let i = 0; i < SWITCHES; i++)
      for (let j = 0; j < SWITCHES; j++) cost[i]![j] = Math.min(cost[i]![j]!, cost[i]![k]! + cost[k]![j]!);
  return cost;
}

const edits = fc.array(editArb, { minLength: 1, maxLength: 60 });

describe('paths after any sequence of edits', () => {
  it('equal paths computed from nothing, and every switch whose paths changed has been named', () => {
    fc.assert(
      fc.property(edits, (list) => {
        const world = new World();
        const seen = new Map(dpids.map((dpid) => [dpid, view(world.topology, dpid)]));
        for (const edit of list) {
          world.apply(edit);
          const named = world.topology.takeAffected();
          const fresh = world.fresh();
          for (const dpid of dpids) {
            // Only what was named is read again, as compilers do.
            if (named.has(dpid)) seen.set(dpid, view(world.topology, dpid));
            expect(seen.get(dpid)).toEqual(view(fresh, dpid));
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('are right also when distances were never asked for before', () => {
    fc.assert(
      fc.property(edits, (list) => {
        const world = new World();
        for (const edit of list) world.apply(edit);
        const fresh = world.fresh();
        for (const dpid of dpids) expect(view(world.topology, dpid)).toEqual(view(fresh, dpid));
      }),
      { numRuns: 200 },
    );
  });

  it('are all the shortest ways: each next hop is nearer, none is missing', () => {
    fc.assert(
      fc.property(edits, (list) => {
        const world = new World();
        for (const edit of list) world.apply(edit);
        const cost = costs(world);
        for (const [s, from] of dpids.entries()) {
          for (const [e, to] of dpids.entries()) {
            const way = world.topology.nextHops(from, to);
            expect(world.topology.distance(from, to) ?? Number.POSITIVE_INFINITY).toBe(cost[s]![e]);
            expect(world.topology.component(from).has(to)).toBe(cost[s]![e]! < Number.POSITIVE_INFINITY);
            expect(way !== undefined).toBe(s !== e && cost[s]![e]! < Number.POSITIVE_INFINITY);
            if (!way) continue;
            const best: number[] = [];
            for (const cable of world.cables.values()) {
              if (cable.a !== s && cable.b !== s) continue;
              const n = cable.a === s ? cable.b : cable.a;
              if (cost[s]![n]! + cost[n]![e]! === cost[s]![e] && cost[s]![n] === singleCost(world, s, n)) {
                best.push(portOf(s, cable));
              }
            }
            expect(way.equal).toEqual(best.sort((a, b) => a - b));
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  it('lead from the backup to the target without coming back, whichever equal path is taken', () => {
    let backups = 0;
    fc.assert(
      fc.property(edits, (list) => {
        const world = new World();
        for (const edit of list) world.apply(edit);
        for (const from of dpids) {
          for (const to of dpids) {
            const way = world.topology.nextHops(from, to);
            if (way?.backup === undefined) continue;
            backups++;
            expect(way.equal).toHaveLength(1);
            expect(way.equal).not.toContain(way.backup);
            const reached = new Set<Dpid>();
            const walk = (at: Dpid): void => {
              expect(at).not.toBe(from);
              if (at === to || reached.has(at)) return;
              reached.add(at);
              for (const port of world.topology.nextHops(at, to)!.equal) walk(world.peer(at, port));
            };
            walk(world.peer(from, way.backup));
          }
        }
      }),
      { numRuns: 200 },
    );
    expect(backups).toBeGreaterThan(0);
  });
});

function singleCost(world: World, a: number, b: number): number {
  return world.away.has(dpids[a]!) || world.away.has(dpids[b]!) ? 1 + AWAY_COST : 1;
}
