import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Dpid, silentLogger } from '../../src/controller/kernel/index.ts';
import {
  CompileEngine,
  type Compiler,
  describeRule,
  GroupId,
  meter,
  type Owner,
  type Placement,
  type Rule,
  type RuleBook,
} from '../../src/controller/rules/index.ts';
import { ManualClock } from '../kit/manual-clock.ts';
import { MemorySwitch } from '../kit/memory-switch.ts';
import { dpid, hop, Metrics, makeBook, owner, toGroupRule, turns, unicast } from '../unit/rules/kit.ts';

const dpids = [dpid(1), dpid(2)];

/** One rule of a small world, so that owners meet. */
const anyRule = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 2 })).map(([mac, port]) => unicast(mac, port)),
  fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 2 })).map(([index, port]) => hop(index, port)),
  fc.integer({ min: 1, max: 2 }).map((rate) => meter({ id: 3, unit: 'pktps', rate })),
);
const anyPlacement = fc
  .array(fc.tuple(fc.constantFrom(...dpids), fc.uniqueArray(anyRule, { maxLength: 4, selector: ({ key }) => key })), {
    maxLength: 2,
  })
  .map((list): Placement => new Map(list));

type Step =
  | { readonly kind: 'set'; readonly id: number; readonly placement: Placement }
  | { readonly kind: 'remove'; readonly id: number }
  | { readonly kind: 'flush' }
  | { readonly kind: 'turn' }
  | { readonly kind: 'break' | 'connect' | 'wipe' | 'check'; readonly at: number };

const anyId = fc.integer({ min: 1, max: 4 });
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('set' as const), id: anyId, placement: anyPlacement }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), id: anyId }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'flush' as const }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'turn' as const }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('break' as const, 'connect' as const, 'wipe' as const, 'check' as const),
      at: fc.integer({ min: 0, max: 1 }),
    }),
  },
);

/** What a switch holds, as the book sees it. */
async function present(book: RuleBook, at: Dpid): Promise<string[]> {
  const diff = await book.diff(at);
  expect(diff).toEqual({ missing: [], unexpected: [], different: [], foreign: [] });
  const [flows, groups, meters] = await Promise.all([book.flows(at), book.groups(at), book.meters(at)]);
  return [
    ...flows!.map((flow) => `${flow.cookie} ${flow.match} → ${flow.actions}`),
    ...groups!.map(({ groupId, buckets }) => `${groupId} ${buckets}`),
    ...meters!.map(({ meterId, bands }) => `${meterId} ${bands}`),
  ];
}

describe('the rule book, after any sequence of wishes, broken connections and wiped switches', () => {
  it('has every switch hold what a book filled from nothing would have it hold', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { maxLength: 25 }), async (steps) => {
        const { book } = makeBook({ reconcileMs: 0 });
        const wishes = new Map<number, Placement>();
        const switches = dpids.map((at) => new MemorySwitch(at));
        const connected = [false, false];
        const connect = (at: number): void => {
          if (connected[at]) return;
          connected[at] = true;
          switches[at] = switches[at]!.reconnected();
          void book.connect(switches[at]!);
        };
        for (const step of steps) {
          if (step.kind === 'set') {
            wishes.set(step.id, step.placement);
            book.set(owner(step.id), step.placement);
          } else if (step.kind === 'remove') {
            wishes.delete(step.id);
            book.remove(owner(step.id).key);
          } else if (step.kind === 'flush') book.flush();
          else if (step.kind === 'turn') await turns(1);
          else if (step.kind === 'connect') connect(step.at);
          else if (step.kind === 'check') void book.reconcile(dpids[step.at]!);
          else if (step.kind === 'break' && connected[step.at]) {
            connected[step.at] = false;
            switches[step.at]!.close();
            book.disconnect(dpids[step.at]!, switches[step.at]);
          } else if (step.kind === 'wipe' && !connected[step.at]) {
            switches[step.at] = new MemorySwitch(dpids[step.at]!);
          }
        }
        connect(0);
        connect(1);
        book.flush();
        await turns(40);

        const { book: fresh } = makeBook({ reconcileMs: 0 });
        for (const [id, placement] of [...wishes].reverse()) fresh.set(owner(id), placement);
        for (const at of dpids) {
          expect(book.wanted(at).map(describeRule)).toEqual(fresh.wanted(at).map(describeRule));
          const other = new MemorySwitch(at);
          await fresh.connect(other);
          expect(await present(book, at)).toEqual(await present(fresh, at));
        }
        for (const [id, placement] of wishes) {
          if ([...placement.values()].every((rules) => rules.length === 0)) continue;
          // Losing to another owner's different rule is the one thing that may have failed.
          expect(book.ownerStatus(owner(id).key)?.state).toBe(fresh.ownerStatus(owner(id).key)?.state);
        }
      }),
      { numRuns: 150, seed: 0x4e4c },
    );
  });

  it('plans exactly what it then does', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyPlacement, { minLength: 1, maxLength: 4 }),
        fc.array(anyPlacement, { minLength: 1, maxLength: 4 }),
        async (before, after) => {
          const { book } = makeBook({ reconcileMs: 0 });
          const switches = dpids.map((at) => new MemorySwitch(at));
          await Promise.all(switches.map((sw) => book.connect(sw)));
          for (const [i, placement] of before.entries()) book.set(owner(i + 1), placement);
          book.flush();
          await turns();
          for (const sw of switches) sw.log.length = 0;
          const changes = after.map((placement, i) => [owner(i + 1), placement] as const);
          const plan = book.plan(changes);
          for (const [it, placement] of changes) book.set(it, placement);
          book.flush();
          await turns();
          for (const sw of switches) {
            const {
              add,
              modify,
              delete: gone,
            } = plan.find((delta) => delta.switch === sw.dpid) ?? { add: 0, modify: 0, delete: 0 };
            expect(sw.changes.filter((line) => line.includes(' delete '))).toHaveLength(gone);
            expect(sw.changes).toHaveLength(add + modify + gone);
          }
        },
      ),
      { numRuns: 100, seed: 0x4e4c },
    );
  });
});

interface Link {
  readonly from: number;
  readonly to: number;
}
interface World {
  readonly ports: Map<number, { readonly at: number; readonly no: number }>;
  readonly links: Map<string, Link>;
}
type Change = { readonly port: number } | { readonly link: Link };

/** Ports are reachable everywhere over groups that follow links: small, but with owners on several switches. */
class Toy implements Compiler<World, Change> {
  readonly name = 'toy';
  *affected(change: Change): Iterable<Owner> {
    if ('port' in change) yield this.#port(change.port);
    else yield this.#hops(change.link.from);
  }
  *owners({ ports }: World): Iterable<Owner> {
    for (const id of ports.keys()) yield this.#port(id);
    for (const from of [1, 2]) yield this.#hops(from);
  }
  compile(it: Owner, { ports, links }: World): Placement {
    if (it.id >= 100) {
      const from = it.id - 100;
      const rules: Rule[] = [];
      for (const link of links.values()) if (link.from === from) rules.push(hop(link.to, 10 + link.to));
      return new Map([[dpid(from), rules.sort((a, b) => (a.key < b.key ? -1 : 1))]]);
    }
    const port = ports.get(it.id);
    if (!port) return new Map();
    return new Map(
      [1, 2].map((at) => [
        dpid(at),
        [at === port.at ? unicast(it.id, port.no) : toGroupRule(it.id, GroupId.hop(port.at))],
      ]),
    );
  }
  #port = (id: number): Owner => ({ app: 9, id, key: `toy/port/${id}` });
  #hops = (from: number): Owner => ({ app: 9, id: 100 + from, key: `toy/hops/${from}` });
}

describe('the compile engine, after any sequence of changes', () => {
  it('wants what compiling from nothing wants', async () => {
    const change = fc.oneof(
      fc.record({
        port: fc.integer({ min: 1, max: 5 }),
        at: fc.integer({ min: 0, max: 2 }),
        no: fc.integer({ min: 1, max: 3 }),
      }),
      fc.record({ from: fc.integer({ min: 1, max: 2 }), to: fc.integer({ min: 1, max: 3 }), up: fc.boolean() }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 10 }), async (rounds) => {
        const world: World = { ports: new Map(), links: new Map() };
        const make = () => {
          const { book } = makeBook();
          const engine = new CompileEngine<World, Change>({
            state: () => world,
            target: book,
            clock: new ManualClock(),
            log: silentLogger,
            metrics: new Metrics(),
          });
          engine.register(new Toy());
          return { book, engine };
        };
        const { book, engine } = make();
        engine.compileAll();
        for (const round of rounds) {
          const changes = round.map((step): Change => {
            if ('port' in step) {
              if (step.at === 0) world.ports.delete(step.port);
              else world.ports.set(step.port, { at: step.at, no: step.no });
              return { port: step.port };
            }
            const link = { from: step.from, to: step.to };
            if (step.up) world.links.set(`${step.from}-${step.to}`, link);
            else world.links.delete(`${step.from}-${step.to}`);
            return { link };
          });
          engine.change(changes);
          if (round.length % 2 === 0) await engine.settled();
        }
        await engine.settled();
        const { book: fresh, engine: second } = make();
        second.compileAll();
        await second.settled();
        for (const at of dpids) {
          expect(book.wanted(at).map(describeRule)).toEqual(fresh.wanted(at).map(describeRule));
        }
      }),
      { numRuns: 150, seed: 0x4e4c },
    );
  });
});
