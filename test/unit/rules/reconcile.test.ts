import { describe, expect, it } from 'vitest';
import { GroupId, meter, type Rule } from '../../../src/controller/rules/index.ts';
import { encodeMatch, type MessageOf, matchOf } from '../../../src/ofproto/index.ts';
import { MemorySwitch } from '../../kit/memory-switch.ts';
import { dpid, held, hop, makeBook, owner, toGroupRule, turns, unicast } from './kit.ts';

const one = dpid(1);
const on = (...rules: Rule[]) => new Map([[one, rules]]);
const rules = (): Rule[] => [
  unicast(1, 1),
  toGroupRule(2, GroupId.hop(2)),
  hop(2, 2),
  meter({ id: 3, unit: 'pktps', rate: 100 }),
];

/** A switch that a book has filled, its connection gone. */
async function filled(): Promise<MemorySwitch> {
  const { book } = makeBook();
  const sw = new MemorySwitch(one);
  await book.connect(sw);
  book.set(owner(1), on(...rules()));
  book.flush();
  await book.whenConfirmed(owner(1).key);
  sw.close();
  return sw.reconnected();
}

/** A book that has filled a switch which then went away, and the switch as it comes back. */
async function gone(options: Parameters<typeof makeBook>[0] = {}) {
  const made = makeBook(options);
  const first = new MemorySwitch(one);
  await made.book.connect(first);
  made.book.set(owner(1), on(...rules()));
  made.book.flush();
  await made.book.whenConfirmed(owner(1).key);
  const sw = first.reconnected();
  first.close();
  made.book.disconnect(one, first);
  return { ...made, sw };
}

const head = { version: 4, xid: 0 };

const foreignFlow = (cookie: bigint, tableId: number): MessageOf<'flowMod'> => ({
  type: 'flowMod',
  ...head,
  cookie,
  cookieMask: 0n,
  tableId,
  command: 0,
  idleTimeout: 0,
  hardTimeout: 0,
  priority: 77,
  bufferId: 0xffff_ffff,
  outPort: 0xffff_ffff,
  outGroup: 0xffff_ffff,
  flags: 0,
  match: [{ field: 'inPort', value: 42 }],
  instructions: [],
});

describe('a switch that connects', () => {
  it('and holds what is wanted is sent nothing, though it answers in another form', async () => {
    const sw = await filled();
    const { book } = makeBook();
    book.set(owner(1), on(...rules()));
    expect(await book.connect(sw)).toBe(0);
    expect(sw.changes).toEqual([]);
    expect(book.ownerStatus(owner(1).key)?.state).toBe('confirmed');
  });

  it('gets the difference only, additions before deletions', async () => {
    const sw = await filled();
    const { book } = makeBook();
    book.set(owner(1), on(unicast(1, 9), unicast(5, 5), hop(3, 3), meter({ id: 3, unit: 'pktps', rate: 100 })));
    expect(await book.connect(sw)).toBe(5);
    expect(sw.changes).toEqual([
      'group add 0x10000003',
      'flow add 5',
      'flow add 5',
      'flow delete 5',
      'group delete 0x10000002',
    ]);
    expect(await held(sw, book)).toEqual([
      'switch network=1,eth_dst=00:00:00:00:00:01 → output:9',
      'switch network=1,eth_dst=00:00:00:00:00:05 → output:5',
    ]);
  });

  it('and lost everything gets everything', async () => {
    const { book } = makeBook();
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    book.set(owner(1), on(...rules()));
    book.flush();
    await book.whenConfirmed(owner(1).key);
    const before = await held(sw, book);
    sw.close();
    book.disconnect(one, sw);
    expect(book.ownerStatus(owner(1).key)?.state).toBe('disconnected');
    const empty = new MemorySwitch(one);
    expect(await book.connect(empty)).toBe(4);
    expect(await held(empty, book)).toEqual(before);
    expect(book.ownerStatus(owner(1).key)?.state).toBe('confirmed');
  });

  it('again and holds as much as when it went away is not read rule by rule', async () => {
    const { book, sw } = await gone();
    expect(await book.connect(sw)).toBe(0);
    expect(sw.log.filter((line) => line.startsWith('read')).sort()).toEqual([
      'read aggregate',
      'read groupDesc',
      'read meterConfig',
    ]);
    expect(book.ownerStatus(owner(1).key)?.state).toBe('confirmed');
  });

  it('again gets what was asked for meanwhile, and only that', async () => {
    const { book, sw } = await gone();
    book.set(owner(1), on(...rules().slice(1), unicast(7, 7)));
    book.set(owner(2), on(unicast(8, 8)));
    book.flush();
    expect(await book.connect(sw)).toBe(3);
    expect(sw.log).not.toContain('read flow');
    expect(sw.changes).toEqual(['flow add 5', 'flow add 5', 'flow delete 5']);
    expect(book.ownerStatus(owner(1).key)?.state).toBe('confirmed');
  });

  it.each<[string, (sw: MemorySwitch) => void, number]>([
    ['a flow', (sw) => void sw.flows.delete([...sw.flows.keys()][0]!), 1],
    ['a group', (sw) => void sw.groups.clear(), 1],
    ['a meter', (sw) => void sw.meters.clear(), 1],
    ['everything', (sw) => void [sw.flows.clear(), sw.groups.clear(), sw.meters.clear()], 4],
  ])('again and lost %s meanwhile is read and put right', async (_what, lose, changes) => {
    const { book, sw } = await gone();
    lose(sw);
    expect(await book.connect(sw)).toBe(changes);
    expect(sw.log).toContain('read flow');
  });

  it('again is read when its last comparison is long ago, or the outcome of a change is not known', async () => {
    const late = await gone({ reconcileMs: 60_000 });
    late.clock.pass(60_000);
    await late.book.connect(late.sw);
    expect(late.sw.log).toContain('read flow');

    const { book } = makeBook();
    const first = new MemorySwitch(one);
    await book.connect(first);
    first.held = true;
    book.set(owner(1), on(...rules()));
    book.flush();
    const second = first.reconnected();
    first.close();
    book.disconnect(one, first);
    expect(await book.connect(second)).toBe(4);
    expect(second.log).toContain('read flow');
  });

  it('has the owner of a flow corrected when its cookie names another', async () => {
    const sw = await filled();
    const { book } = makeBook();
    book.set(owner(2), on(...rules()));
    await book.connect(sw);
    expect(sw.changes).toEqual(['flow add 5', 'flow add 5']);
  });

  it('keeps the flows, groups and meters of others', async () => {
    const sw = await filled();
    sw.install(foreignFlow(0x1234n, 0));
    sw.install({ type: 'groupMod', ...head, command: 0, groupType: 0, groupId: 7, buckets: [] });
    sw.install({
      type: 'meterMod',
      ...head,
      command: 0,
      flags: 1,
      meterId: 5000,
      bands: [{ type: 'drop', rate: 1, burstSize: 0 }],
    });
    const { book } = makeBook();
    expect(await book.connect(sw)).toBe(4);
    expect([...sw.groups.keys()]).toEqual([7]);
    expect([...sw.meters.keys()]).toEqual([5000]);
    expect([...sw.flows.values()].map(({ cookie }) => cookie)).toEqual([0x1234n]);
    expect((await book.flows(one))?.[0]).toMatchObject({
      origin: 'foreign',
      reason: undefined,
      cookie: '0x0000000000001234',
    });
    expect((await book.diff(one))?.foreign).toHaveLength(3);
    expect((await book.diff(one))?.missing).toEqual([]);
  });

  it('gets what was wanted while it was being read, in one batch', async () => {
    const sw = await filled();
    sw.held = true;
    const { book } = makeBook();
    book.set(owner(1), on(...rules()));
    const synced = book.connect(sw);
    book.set(owner(2), on(unicast(8, 8)));
    book.remove(owner(1).key);
    book.flush();
    expect(sw.changes).toEqual([]);
    sw.held = false;
    sw.release();
    expect(await synced).toBe(5);
    expect(await held(sw, book)).toEqual(['switch network=1,eth_dst=00:00:00:00:00:08 → output:8']);
  });

  it('and goes again in the middle of a change ends up right at the next connection', async () => {
    const { book } = makeBook();
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    sw.held = true;
    book.set(owner(1), on(...rules()));
    book.flush();
    sw.release();
    sw.close();
    book.disconnect(one, sw);
    await turns();
    expect(book.ownerStatus(owner(1).key)?.state).toBe('disconnected');
    const back = sw.reconnected();
    await book.connect(back);
    expect(back.flows.size).toBe(2);
    expect(book.ownerStatus(owner(1).key)?.state).toBe('confirmed');
  });

  it('and is gone before it was read leaves no promise open', async () => {
    const { book } = makeBook();
    const sw = new MemorySwitch(one);
    sw.held = true;
    const synced = book.connect(sw);
    sw.close();
    book.disconnect(one, sw);
    expect(await synced).toBeUndefined();
  });

  it('is not disturbed by the late end of its former connection', async () => {
    const { book } = makeBook();
    const old = new MemorySwitch(one);
    await book.connect(old);
    const fresh = old.reconnected();
    await book.connect(fresh);
    book.disconnect(one, old);
    book.set(owner(1), on(unicast(1, 1)));
    book.flush();
    await book.whenConfirmed(owner(1).key);
    expect(fresh.flows.size).toBe(1);
  });
});

describe('the slow comparison', () => {
  async function running() {
    const drifts: object[] = [];
    const made = makeBook({ listener: { drift: (event) => drifts.push(event) } });
    const sw = new MemorySwitch(one);
    await made.book.connect(sw);
    made.book.set(owner(1), on(...rules()));
    made.book.flush();
    await made.book.whenConfirmed(owner(1).key);
    sw.log.length = 0;
    return { ...made, sw, drifts };
  }

  it('finds nothing and sends nothing when nothing differs', async () => {
    const { book, sw, drifts, clock, metrics } = await running();
    clock.pass(60_000);
    await turns();
    expect(sw.changes).toEqual([]);
    expect(sw.log.filter((line) => line.startsWith('read'))).toHaveLength(3);
    expect(drifts).toEqual([]);
    expect(metrics.value('netloom_reconciles_total', 'clean')).toBe(1);
    clock.pass(60_000);
    await turns();
    expect(metrics.value('netloom_reconciles_total', 'clean')).toBe(2);
    expect(book.ownerStatus(owner(1).key)?.state).toBe('confirmed');
  });

  it('puts back what is missing, takes away what is too much, mends what differs, and tells', async () => {
    const { book, sw, drifts, metrics } = await running();
    const before = await held(sw, book);
    const [first, second] = [...sw.flows.values()];
    sw.flows.clear();
    sw.install({ ...first!, instructions: [] });
    sw.install({ ...second!, priority: 5, cookie: second!.cookie });
    expect(await book.reconcile(one)).toEqual({ missing: 1, unexpected: 1, different: 1 });
    await book.whenConfirmed(owner(1).key);
    await turns();
    expect(await held(sw, book)).toEqual(before);
    expect(drifts).toEqual([{ dpid: one, missing: 1, unexpected: 1, different: 1 }]);
    expect(metrics.value('netloom_drift_rules_total', 'different')).toBe(1);
    expect(await book.reconcile(one)).toEqual({ missing: 0, unexpected: 0, different: 0 });
  });

  it('does not take a change that is made meanwhile for drift', async () => {
    const { book, sw, drifts } = await running();
    sw.held = true;
    const comparing = book.reconcile(one);
    await turns(1);
    book.set(owner(1), on(unicast(1, 4), unicast(6, 6)));
    book.flush();
    sw.held = false;
    sw.release();
    expect(await comparing).toEqual({ missing: 0, unexpected: 0, different: 0 });
    await book.whenConfirmed(owner(1).key);
    expect(drifts).toEqual([]);
    expect(sw.flows.size).toBe(2);
    expect(await book.reconcile(one)).toEqual({ missing: 0, unexpected: 0, different: 0 });
  });

  it('puts back a flow that ran out and is still wanted, without calling it drift', async () => {
    const { book, sw, drifts } = await running();
    const flow = [...sw.flows.values()].find(({ match }) => match.some((f) => f.field === 'ethDst' && f.value === 1))!;
    for (const [key, value] of sw.flows) if (value === flow) sw.flows.delete(key);
    const { tableId, priority } = flow;
    book.flowRemoved(one, { tableId, priority, match: encodeMatch(matchOf(flow.match)), reason: 0 });
    await turns();
    expect(sw.flows.size).toBe(1);
    await book.reconcile(one);
    await turns();
    expect(sw.flows.size).toBe(2);
    expect(drifts).toEqual([]);
  });
});

describe('views of a switch', () => {
  it('join live counters with the reasons', async () => {
    const { book } = makeBook();
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    book.set(owner(1), on(...rules()), 4);
    book.flush();
    await book.whenConfirmed(owner(1).key);
    const reason = { owner: owner(1).key, object: '/v1/things/1', revision: 4 };
    expect((await book.flows(one))?.[0]).toEqual({
      table: 'switch',
      tableId: 5,
      priority: 300,
      priorityName: 'exact',
      match: 'network=1,eth_dst=00:00:00:00:00:01',
      actions: 'output:1',
      cookie: '0x4e4c000200000001',
      idleTimeout: 0,
      hardTimeout: 0,
      packets: 5n,
      bytes: 300n,
      durationSec: 1,
      origin: 'wanted',
      reason,
    });
    expect(await book.groups(one)).toMatchObject([
      { groupId: 0x10000002, type: 'indirect', buckets: '[output:2]', packets: 7n, reason },
    ]);
    expect(await book.meters(one)).toMatchObject([
      { meterId: 3, bands: 'drop above 100 pktps', packets: 9n, flows: 0, reason },
    ]);
    expect(await book.flows(dpid(9))).toBeUndefined();
  });

  it('tell what is wanted from what is there', async () => {
    const { book } = makeBook({ reconcileMs: 0 });
    const sw = new MemorySwitch(one);
    await book.connect(sw);
    book.set(owner(1), on(...rules()));
    book.flush();
    await book.whenConfirmed(owner(1).key);
    const [first, second] = [...sw.flows.values()];
    sw.flows.clear();
    sw.install({ ...first!, instructions: [] });
    sw.install({ ...second!, priority: 5 });
    const diff = await book.diff(one);
    expect(diff?.missing).toHaveLength(1);
    expect(diff?.unexpected).toEqual([expect.stringContaining('priority=5')]);
    expect(diff?.different).toEqual([
      { wanted: expect.stringContaining('→ '), present: expect.stringContaining('→ drop') },
    ]);
  });
});
