import { describe, expect, it } from 'vitest';
import type { Dpid } from '../../../src/controller/kernel/index.ts';
import type { Rule } from '../../../src/controller/rules/index.ts';
import {
  cookieOf,
  GroupId,
  group,
  meter,
  meterBy,
  next,
  output,
  Priority,
  pipeline,
  rule,
  toGroup,
} from '../../../src/controller/rules/index.ts';
import { FlowRemovedReason } from '../../../src/ofproto/index.ts';
import { MemorySwitch } from '../../kit/memory-switch.ts';
import { dpid, held, hop, makeBook, owner, toGroupRule, turns, unicast } from './kit.ts';

const one = dpid(1);
const two = dpid(2);
const on = (...rules: Rule[]) => new Map([[one, rules]]);

describe('the rule book', () => {
  it('sends what an owner wants as one bundle, and says when the switch confirmed it', async () => {
    const { book } = makeBook();
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    sw.log.length = 0;
    book.set(owner(1), on(unicast(1, 1), unicast(2, 2)), 5);
    expect(book.ownerStatus(owner(1).key)?.state).toBe('pending');
    book.flush();
    await book.whenConfirmed(owner(1).key);
    expect(sw.log).toEqual(['bundle open', 'flow add 5', 'flow add 5', 'bundle commit']);
    expect(await held(sw, book)).toEqual([
      'switch network=1,eth_dst=00:00:00:00:00:01 → output:1',
      'switch network=1,eth_dst=00:00:00:00:00:02 → output:2',
    ]);
    expect(book.ownerStatus(owner(1).key)).toMatchObject({
      state: 'confirmed',
      switches: [{ dpid: one, state: 'confirmed', revision: 5, rules: 2, failures: [] }],
    });
  });

  it('sends only what differs when an owner says it again', async () => {
    const { book } = makeBook();
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    book.set(owner(1), on(unicast(1, 1), unicast(2, 2), unicast(3, 3)));
    book.flush();
    await book.whenConfirmed(owner(1).key);
    sw.log.length = 0;
    book.set(owner(1), on(unicast(1, 1), unicast(2, 9), unicast(4, 4)));
    book.flush();
    await book.whenConfirmed(owner(1).key);
    expect(sw.changes).toEqual(['flow add 5', 'flow add 5', 'flow delete 5']);
    sw.log.length = 0;
    book.set(owner(1), on(unicast(1, 1), unicast(2, 9), unicast(4, 4)));
    book.flush();
    await turns();
    expect(sw.log).toEqual([]);
  });

  it('sends a single change without a bundle around it', async () => {
    const { book } = makeBook();
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    sw.log.length = 0;
    book.set(owner(1), on(unicast(1, 1)));
    book.flush();
    await book.whenConfirmed(owner(1).key);
    expect(sw.log).toEqual(['flow add 5', 'barrier']);
  });

  describe('across switches', () => {
    const ledBy = (lead: Dpid, ...[atOne, atTwo]: [Rule[], Rule[]]) =>
      Object.assign(
        new Map([
          [one, atOne],
          [two, atTwo],
        ]),
        { lead },
      );
    const pair = async () => {
      const { book } = makeBook();
      const switches = [new MemorySwitch(one), new MemorySwitch(two)] as const;
      for (const sw of switches) {
        await book.connect(sw);
        sw.log.length = 0;
      }
      return { book, switches };
    };

    it('lets nobody send to a place before that place has confirmed its part', async () => {
      const { book, switches } = await pair();
      switches[1].held = true;
      book.set(owner(1), ledBy(two, [unicast(1, 1)], [unicast(1, 2)]));
      book.flush();
      await turns();
      expect(switches[0].log).toEqual([]);
      expect(book.ownerStatus(owner(1).key)?.state).toBe('pending');
      switches[1].held = false;
      switches[1].release();
      await book.whenConfirmed(owner(1).key);
      expect(switches[0].changes).toEqual(['flow add 5']);
    });

    it('waits for no place that is away, or goes away meanwhile', async () => {
      const { book, switches } = await pair();
      switches[1].held = true;
      book.set(owner(1), ledBy(two, [unicast(1, 1)], [unicast(1, 2)]));
      book.flush();
      await turns();
      book.disconnect(two, switches[1]);
      await turns();
      expect(switches[0].changes).toEqual(['flow add 5']);
      book.set(owner(2), ledBy(two, [unicast(2, 1)], [unicast(2, 2)]));
      book.flush();
      await turns();
      expect(switches[0].changes).toEqual(['flow add 5', 'flow add 5']);
    });

    it('keeps what others hold while the new place refuses its part', async () => {
      const { book, switches } = await pair();
      book.set(owner(1), ledBy(one, [unicast(1, 1)], [unicast(1, 2)]));
      book.flush();
      await book.whenConfirmed(owner(1).key);
      switches[1].refuse = () => ({ type: 5, code: 1 });
      book.set(owner(1), ledBy(two, [unicast(1, 7)], [unicast(1, 8)]));
      book.flush();
      await turns();
      expect(book.ownerStatus(owner(1).key)?.state).toBe('failed');
      expect(await held(switches[0], book)).toEqual(['switch network=1,eth_dst=00:00:00:00:00:01 → output:1']);
    });

    it('sends no half of a round of changes, whatever happens in between', async () => {
      const { book, switches } = await pair();
      const [busy] = switches;
      busy.held = true;
      book.set(owner(1), new Map([[one, [unicast(1, 1)]]]));
      book.set(owner(2), ledBy(two, [unicast(2, 1)], [unicast(2, 2)]));
      book.flush();
      book.begin();
      // Refers to a group that another owner states in the same round, after the switch has answered something else.
      book.set(owner(3), new Map([[one, [toGroupRule(7, GroupId.hop(2))]]]));
      busy.held = false;
      busy.release();
      await turns();
      expect(busy.changes).toEqual(['flow add 5']);
      book.set(owner(4), new Map([[one, [hop(2, 3)]]]));
      book.flush();
      await book.whenConfirmed(owner(3).key);
      await book.whenConfirmed(owner(2).key);
      expect(busy.changes.slice(1)).toEqual(['group add 0x10000002', 'flow add 5', 'flow add 5']);
    });

    it('forgets what waits when the owner wants something else, or nothing', async () => {
      const { book, switches } = await pair();
      switches[1].held = true;
      book.set(owner(1), ledBy(two, [unicast(1, 1)], [unicast(1, 2)]));
      book.flush();
      await turns();
      book.remove(owner(1).key);
      book.flush();
      switches[1].held = false;
      switches[1].release();
      await turns();
      expect(switches[0].log).toEqual([]);
      expect(await held(switches[1], book)).toEqual([]);
    });
  });

  it('makes before it breaks: meters, groups by reference, later tables first, then deletions the other way', async () => {
    const { book } = makeBook();
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    const member = group({ id: GroupId.local(7), type: 'all', buckets: [{ actions: [output(1)] }] });
    const broadcast = group({
      id: GroupId.broadcast(7),
      type: 'all',
      buckets: [{ actions: [toGroup(GroupId.local(7))] }, { actions: [toGroup(GroupId.hop(2))] }],
    });
    const entry = rule(pipeline.classify, {
      priority: Priority.exact,
      match: { inPort: 1 },
      do: [meterBy(3), next(pipeline.admit)],
    });
    const rules = [
      broadcast,
      entry,
      toGroupRule(1, GroupId.broadcast(7)),
      hop(2, 2),
      member,
      meter({ id: 3, unit: 'pktps', rate: 10 }),
    ];
    sw.log.length = 0;
    book.set(owner(1), on(...rules));
    book.flush();
    await book.whenConfirmed(owner(1).key);
    expect(sw.changes).toEqual([
      'meter add 3',
      'group add 0x50000007',
      'group add 0x10000002',
      'group add 0x20000007',
      'flow add 5',
      'flow add 0',
    ]);
    sw.log.length = 0;
    book.remove(owner(1).key);
    book.flush();
    await book.whenConfirmed(owner(1).key);
    expect(sw.changes).toEqual([
      'flow delete 0',
      'flow delete 5',
      'group delete 0x20000007',
      'group delete 0x10000002',
      'group delete 0x50000007',
      'meter delete 3',
    ]);
    expect(sw.groups.size + sw.meters.size + sw.flows.size).toBe(0);
  });

  it('modifies groups and meters that are there, and replaces flows by adding them', async () => {
    const { book } = makeBook();
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    book.set(owner(1), on(hop(2, 1), meter({ id: 3, unit: 'pktps', rate: 10 }), unicast(1, 1)));
    book.flush();
    await book.whenConfirmed(owner(1).key);
    sw.log.length = 0;
    book.set(owner(1), on(hop(2, 2), meter({ id: 3, unit: 'pktps', rate: 20 }), unicast(1, 2)));
    book.flush();
    await book.whenConfirmed(owner(1).key);
    expect(sw.changes).toEqual(['meter modify 3', 'group modify 0x10000002', 'flow add 5']);
  });

  it('gathers what changes while a batch is on its way, and sends it as the next one', async () => {
    const { book } = makeBook();
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    sw.log.length = 0;
    sw.held = true;
    book.set(owner(1), on(unicast(1, 1)));
    book.flush();
    book.set(owner(2), on(unicast(2, 2)));
    book.flush();
    book.set(owner(3), on(unicast(3, 3)));
    book.set(owner(2), on(unicast(2, 5)));
    book.flush();
    sw.release();
    await turns(2);
    expect(book.ownerStatus(owner(1).key)?.state).toBe('confirmed');
    expect(book.ownerStatus(owner(2).key)?.state).toBe('pending');
    sw.held = false;
    sw.release();
    await book.whenConfirmed(owner(2).key);
    await book.whenConfirmed(owner(3).key);
    expect(sw.log).toEqual(['flow add 5', 'barrier', 'bundle open', 'flow add 5', 'flow add 5', 'bundle commit']);
    expect(await held(sw, book)).toContain('switch network=1,eth_dst=00:00:00:00:00:02 → output:5');
  });

  it('falls back to ordered changes and a barrier where there are no bundles', async () => {
    const { book } = makeBook();
    const sw = new MemorySwitch(one, { hasBundles: false });
    await book.connect(sw);
    sw.log.length = 0;
    book.set(owner(1), on(unicast(1, 1), unicast(2, 2)));
    book.flush();
    await book.whenConfirmed(owner(1).key);
    expect(sw.bundles).toBe(false);
    expect(sw.log).toEqual(['bundle refused', 'flow add 5', 'flow add 5', 'barrier']);
  });

  it('slices a very large change into several bundles', async () => {
    const { book } = makeBook({ bundleRules: 100 });
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    sw.log.length = 0;
    book.set(owner(1), on(...Array.from({ length: 250 }, (_, i) => unicast(i + 1, 1))));
    book.flush();
    await book.whenConfirmed(owner(1).key);
    expect(sw.log.filter((line) => line === 'bundle commit')).toHaveLength(3);
    expect(sw.flows.size).toBe(250);
  });

  it('plans without doing', async () => {
    const { book } = makeBook();
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    book.set(owner(1), on(unicast(1, 1), unicast(2, 2)));
    book.flush();
    await book.whenConfirmed(owner(1).key);
    sw.log.length = 0;
    const plan = book.plan([
      [owner(1), on(unicast(1, 7), unicast(3, 3))],
      [owner(2), new Map([[two, [unicast(1, 1)]]])],
    ]);
    expect(plan).toEqual([
      { switch: one, add: 1, modify: 1, delete: 1 },
      { switch: two, add: 1, modify: 0, delete: 0 },
    ]);
    expect(book.plan([[owner(1), on(unicast(1, 1), unicast(2, 2))]])).toEqual([]);
    expect(book.ownerStatus(owner(2).key)).toBeUndefined();
    book.flush();
    await turns();
    expect(sw.log).toEqual([]);
  });
});

describe('two owners of one rule', () => {
  it('share it when they want the same: it goes with the last of them', async () => {
    const { book } = makeBook();
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    book.set(owner(2), on(hop(5, 1)));
    book.set(owner(1), on(hop(5, 1)));
    book.flush();
    await book.whenConfirmed(owner(1).key);
    expect(sw.changes).toEqual(['group add 0x10000005']);
    book.remove(owner(1).key);
    book.flush();
    await turns();
    expect(sw.groups.size).toBe(1);
    book.remove(owner(2).key);
    book.flush();
    await turns();
    expect(sw.groups.size).toBe(0);
  });

  it('that differ: the lowest owner key wins whatever the order, the other fails, and takes over afterwards', async () => {
    for (const order of [
      [1, 2],
      [2, 1],
    ]) {
      const { book, metrics } = makeBook();
      const sw = new MemorySwitch(one);
      await book.connect(sw);
      for (const id of order) book.set(owner(id), on(unicast(1, id)));
      book.flush();
      await turns();
      expect(await held(sw, book)).toEqual(['switch network=1,eth_dst=00:00:00:00:00:01 → output:1']);
      expect(book.ownerStatus(owner(1).key)?.state).toBe('confirmed');
      expect(book.ownerStatus(owner(2).key)).toMatchObject({
        state: 'failed',
        switches: [{ failures: [{ type: 'conflict' }] }],
      });
      expect(metrics.value('netloom_rule_conflicts_total')).toBe(1);
      book.remove(owner(1).key);
      book.flush();
      await book.whenConfirmed(owner(2).key);
      expect(await held(sw, book)).toEqual(['switch network=1,eth_dst=00:00:00:00:00:01 → output:2']);
    }
  });
});

describe('a refused rule', () => {
  const tableFull = { type: 5, code: 1 };

  it('fails its owner by the names of the error; the rest of the change goes through', async () => {
    const refused: string[] = [];
    const { book, metrics } = makeBook({
      listener: { refused: ({ owner: key, error }) => refused.push(`${key} ${error}`) },
    });
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    sw.refuse = (mod) =>
      mod.type === 'flowMod' && mod.match.some((f) => f.field === 'ethDst' && f.value === 2) ? tableFull : undefined;
    book.set(owner(1), on(unicast(1, 1)), 3);
    book.set(owner(2), on(unicast(2, 2)), 3);
    book.set(owner(3), on(unicast(3, 3)), 3);
    book.flush();
    await book.whenConfirmed(owner(3).key);
    expect(book.ownerStatus(owner(1).key)?.state).toBe('confirmed');
    expect(book.objectStatus('/v1/things/2')).toMatchObject({
      state: 'failed',
      switches: [
        { dpid: one, failures: [{ type: 'OFPET_FLOW_MOD_FAILED', error: 'OFPFMFC_TABLE_FULL', attempts: 1 }] },
      ],
    });
    expect(book.objectStatus('/v1/things/2')?.switches[0]?.failures[0]?.rule).toContain('eth_dst=00:00:00:00:00:02');
    expect(refused).toEqual([`${owner(2).key} OFPFMFC_TABLE_FULL`]);
    expect(metrics.value('netloom_rule_refusals_total', 'OFPFMFC_TABLE_FULL')).toBe(1);
    expect(sw.flows.size).toBe(2);
  });

  it('is tried again after a pause that doubles, not at full speed', async () => {
    const { book, clock } = makeBook({ reconcileMs: 0, retryMs: [1000, 3000] });
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    sw.refuse = () => tableFull;
    book.set(owner(1), on(unicast(1, 1)));
    book.flush();
    await turns();
    const attempts = () => book.ownerStatus(owner(1).key)?.switches[0]?.failures[0]?.attempts;
    expect(attempts()).toBe(1);
    for (const [pause, wanted] of [
      [999, 1],
      [1, 2],
      [1999, 2],
      [1, 3],
      [2999, 3],
      [1, 4],
    ] as const) {
      clock.pass(pause);
      await turns();
      expect(attempts()).toBe(wanted);
    }
    sw.refuse = () => undefined;
    clock.pass(3000);
    await book.whenConfirmed(owner(1).key);
    expect(book.ownerStatus(owner(1).key)?.state).toBe('confirmed');
    expect(clock.pending).toBe(0);
  });

  it('is not sent again because its owner repeats it, but at once when it changes', async () => {
    const { book } = makeBook({ reconcileMs: 0 });
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    sw.refuse = () => tableFull;
    book.set(owner(1), on(unicast(1, 1)));
    book.flush();
    await turns();
    sw.log.length = 0;
    book.set(owner(1), on(unicast(1, 1)));
    book.flush();
    await turns();
    expect(sw.log).toEqual([]);
    sw.refuse = () => undefined;
    book.set(owner(1), on(unicast(1, 2)));
    book.flush();
    await book.whenConfirmed(owner(1).key);
  });

  it('does not make a full table cost a bundle for each rule', async () => {
    const { book } = makeBook({ reconcileMs: 0 });
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    sw.log.length = 0;
    sw.refuse = (mod) => (mod.type === 'flowMod' && sw.flows.size >= 50 && mod.command === 0 ? tableFull : undefined);
    book.set(owner(1), on(...Array.from({ length: 200 }, (_, i) => unicast(i + 1, 1))));
    book.flush();
    await turns(20);
    expect(sw.flows.size).toBe(50);
    expect(sw.log.filter((line) => line === 'bundle commit')).toHaveLength(3);
    expect(book.ownerStatus(owner(1).key)?.switches[0]?.failures).toHaveLength(150);
  });

  it('stops mattering when its owner lets go of it', async () => {
    const { book, clock } = makeBook({ reconcileMs: 0 });
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    sw.refuse = () => tableFull;
    book.set(owner(1), on(unicast(1, 1)));
    book.flush();
    await turns();
    book.remove(owner(1).key);
    book.flush();
    await turns();
    expect(book.ownerStatus(owner(1).key)).toBeUndefined();
    sw.log.length = 0;
    clock.pass(100_000);
    await turns();
    expect(sw.log).toEqual([]);
  });
});

describe('owners and objects', () => {
  it('explain a flow by its cookie', async () => {
    const { book } = makeBook();
    book.set(owner(9), on(unicast(1, 1)), 12);
    expect(book.explain(cookieOf(owner(9)))).toEqual({ owner: owner(9).key, object: '/v1/things/9', revision: 12 });
    expect(book.explain(0x1234n)).toBeUndefined();
    book.remove(owner(9).key);
    expect(book.explain(cookieOf(owner(9)))).toBeUndefined();
  });

  it('add up to the status of an object, the worst switch counting', async () => {
    const { book } = makeBook();
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    const shared = '/v1/things/shared';
    book.set(owner(1, 'a', shared), on(unicast(1, 1)), 4);
    book.set(
      owner(2, 'b', shared),
      new Map([
        [one, [unicast(2, 2)]],
        [two, [unicast(2, 2)]],
      ]),
      4,
    );
    book.compiledThrough(6);
    book.flush();
    await turns();
    expect(book.objectStatus(shared)).toMatchObject({
      state: 'disconnected',
      revision: 4,
      switches: [
        { dpid: one, state: 'confirmed', rules: 2 },
        { dpid: two, state: 'disconnected', rules: 1 },
      ],
    });
    const done = book.whenObjectConfirmed(shared, 6);
    await book.connect(new MemorySwitch(two));
    await done;
    expect(book.objectStatus(shared)).toMatchObject({ state: 'confirmed', revision: 6 });
    expect(book.objectStatus('/v1/things/none')).toBeUndefined();
  });

  it('are waited for until their revision is compiled, and waiting can be given up', async () => {
    const { book } = makeBook();
    const abort = new AbortController();
    const waiting = book.whenObjectConfirmed('/v1/things/1', 3, abort.signal);
    abort.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    const other = book.whenObjectConfirmed('/v1/things/1', 3);
    book.compiledThrough(3);
    await other;
  });

  it('that could not be compiled are failed and keep their rules', async () => {
    const { book } = makeBook();
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    book.set(owner(1), on(unicast(1, 1)));
    book.flush();
    await book.whenConfirmed(owner(1).key);
    book.compileFailed(owner(1), 8, new Error('no such table'));
    expect(book.objectStatus('/v1/things/1')).toMatchObject({ state: 'failed', problems: ['no such table'] });
    expect(sw.flows.size).toBe(1);
    book.set(owner(1), on(unicast(1, 1)), 9);
    expect(book.objectStatus('/v1/things/1')?.state).toBe('confirmed');
  });

  it('may move from one switch to another while neither is there', () => {
    const { book } = makeBook();
    book.set(owner(1), on(unicast(1, 1)));
    book.set(
      owner(1),
      new Map([
        [one, []],
        [two, [unicast(1, 1)]],
      ]),
    );
    expect(book.ownerStatus(owner(1).key)?.switches).toMatchObject([{ dpid: two, state: 'disconnected' }]);
    expect(book.wanted(one)).toEqual([]);
    book.set(owner(1), on(unicast(1, 1)));
    expect(book.wanted(two)).toEqual([]);
  });

  it('may take over the id of an owner that is on its way out', async () => {
    const { book } = makeBook();
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    book.set(owner(1, 'old'), on(unicast(1, 1)));
    book.flush();
    await turns();
    expect(() => book.set(owner(1, 'new'), on(unicast(2, 2)))).toThrow(/share/);
    book.remove('old');
    book.set(owner(1, 'new'), on(unicast(2, 2)));
    book.flush();
    await book.whenConfirmed('new');
    expect(book.explain(cookieOf(owner(1)))?.owner).toBe('new');
  });

  it('tell listeners once per change of state', async () => {
    const told: string[] = [];
    const { book } = makeBook({
      listener: { ownerChanged: (key) => told.push(`${key} ${book.ownerStatus(key)?.state ?? 'gone'}`) },
    });
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    book.set(owner(1, 'a'), on(unicast(1, 1)));
    book.flush();
    await book.whenConfirmed('a');
    book.set(owner(1, 'a'), on(unicast(1, 2)));
    book.flush();
    await book.whenConfirmed('a');
    book.remove('a');
    book.flush();
    await turns();
    expect(told).toEqual(['a confirmed', 'a pending', 'a confirmed', 'a pending', 'a gone']);
  });
});

describe('a flow that went by itself', () => {
  const learned = unicast(1, 1);
  const removed = (reason: number) => ({
    tableId: learned.tableId,
    priority: learned.priority,
    match: learned.match,
    reason,
  });

  it('by time-out is left alone, and its deletion costs nothing when the app lets go of it', async () => {
    const { book } = makeBook();
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    book.set(owner(1), on(learned));
    book.flush();
    await book.whenConfirmed(owner(1).key);
    sw.flows.clear();
    sw.log.length = 0;
    book.flowRemoved(one, removed(FlowRemovedReason.idleTimeout));
    book.flush();
    await turns();
    book.remove(owner(1).key);
    book.flush();
    await turns();
    expect(sw.log).toEqual([]);
    expect(book.ownerStatus(owner(1).key)).toBeUndefined();
  });

  it('by somebody else is put back at once', async () => {
    const { book, metrics } = makeBook();
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    book.set(owner(1), on(learned));
    book.flush();
    await book.whenConfirmed(owner(1).key);
    sw.flows.clear();
    book.flowRemoved(one, removed(FlowRemovedReason.delete));
    await turns();
    expect(sw.flows.size).toBe(1);
    expect(metrics.value('netloom_drift_rules_total', 'missing')).toBe(1);
  });

  it('by our own deletion is no drift', async () => {
    const { book, metrics } = makeBook();
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    book.set(owner(1), on(learned));
    book.flush();
    await book.whenConfirmed(owner(1).key);
    sw.held = true;
    book.remove(owner(1).key);
    book.flush();
    book.flowRemoved(one, removed(FlowRemovedReason.delete));
    sw.held = false;
    sw.release();
    await turns();
    expect(sw.flows.size).toBe(0);
    expect(metrics.value('netloom_drift_rules_total', 'missing')).toBe(0);
  });
});
