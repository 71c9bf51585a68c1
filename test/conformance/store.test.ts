import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/controller/kernel/index.ts';
import { openMemoryStore, openSqliteStore, type Store, type StoreEvent } from '../../src/controller/store/index.ts';
import { ManualClock } from '../kit/manual-clock.ts';

/** What every engine of the store has to do. A new engine is added to this table. */
interface Engine {
  readonly name: string;
  /** What it is given survives `reopen`. */
  readonly persistent: boolean;
  open(folder: string, clock: ManualClock): Promise<Store>;
}

const engines: readonly Engine[] = [
  { name: 'memory', persistent: false, open: (_folder, clock) => openMemoryStore({ log: silentLogger, clock }) },
  {
    name: 'sqlite',
    persistent: true,
    open: (folder, clock) => openSqliteStore({ path: join(folder, 'store.db'), log: silentLogger, clock }),
  },
];

describe.each(engines)('the $name store', (engine) => {
  let folder: string;
  let clock: ManualClock;
  let store: Store;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'netloom-store-'));
    clock = new ManualClock();
    store = await engine.open(folder, clock);
  });
  afterEach(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });

  const put = (key: string, value: string, lease?: string) =>
    store.txn([], [{ op: 'put', key, value, ...(lease === undefined ? {} : { lease }) }]);
  const value = async (key: string): Promise<string | undefined> => (await store.get(key))?.value;
  /** Lets what is queued be committed and told. */
  const settle = () => store.txn([], []);

  it('keeps a value with its history: created at, changed at, how often', async () => {
    await put('/a', 'one');
    await put('/b', 'other');
    await put('/a', 'two');
    expect(await store.get('/a')).toEqual({
      key: '/a',
      value: 'two',
      createRevision: 1,
      modRevision: 3,
      version: 2,
    });
    await store.txn([], [{ op: 'delete', key: '/a' }]);
    expect(await store.get('/a')).toBeUndefined();
    await put('/a', 'three');
    expect(await store.get('/a')).toMatchObject({ createRevision: 5, version: 1 });
    expect(store.revision).toBe(5);
  });

  it('changes nothing, and counts no revision, when nothing differs', async () => {
    await put('/a', 'one');
    expect(await put('/a', 'one')).toEqual({ succeeded: true, revision: 1, conflicts: [] });
    expect(await store.txn([], [{ op: 'delete', key: '/none' }])).toMatchObject({ succeeded: true, revision: 1 });
  });

  it('gives ranges in byte order, by pages', async () => {
    const keys = ['/p/a', '/p/a/b', '/p/ä', '/p/z', '/p/~', '/p/\u{1f600}', '/q'];
    for (const key of keys) await put(key, key);
    const byBytes = keys
      .filter((key) => key.startsWith('/p/'))
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const all = await store.range({ prefix: '/p/' });
    expect(all.items.map(({ key }) => key)).toEqual(byBytes);
    expect(all).toMatchObject({ revision: 7, more: false });
    const seen: string[] = [];
    for (let after: string | undefined; ; ) {
      const page = await store.range({ prefix: '/p/', limit: 2, ...(after === undefined ? {} : { after }) });
      for (const { key } of page.items) seen.push(key);
      if (!page.more) break;
      after = page.items.at(-1)!.key;
    }
    expect(seen).toEqual(byBytes);
  });

  it('compares before it swaps: all or nothing, and says what is there', async () => {
    await put('/a', 'one');
    const failed = await store.txn(
      [
        { key: '/a', modRevision: 1 },
        { key: '/b', modRevision: 9 },
        { key: '/c', modRevision: 0 },
      ],
      [{ op: 'put', key: '/a', value: 'two' }],
    );
    expect(failed).toEqual({ succeeded: false, revision: 1, conflicts: [{ key: '/b', expected: 9, actual: 0 }] });
    expect(await value('/a')).toBe('one');
    expect(await store.txn([{ key: '/a', modRevision: 1 }], [{ op: 'delete', key: '/a' }])).toMatchObject({
      succeeded: true,
      revision: 2,
    });
  });

  it('of many that compare and swap at once, one wins each round and no update is lost', async () => {
    await put('/n', '0');
    const writer = async (): Promise<void> => {
      for (let done = 0; done < 10; ) {
        const before = (await store.get('/n'))!;
        const next = String(Number(before.value) + 1);
        const { succeeded } = await store.txn(
          [{ key: '/n', modRevision: before.modRevision }],
          [{ op: 'put', key: '/n', value: next }],
        );
        if (succeeded) done++;
      }
    };
    await Promise.all(Array.from({ length: 16 }, writer));
    expect(await value('/n')).toBe('160');
  });

  it.each([
    ['an empty key', [{ op: 'put', key: '', value: '' }]],
    [
      'the same key twice',
      [
        { op: 'put', key: '/a', value: '1' },
        { op: 'delete', key: '/a' },
      ],
    ],
  ] as const)('refuses %s and goes on', async (_, ops) => {
    await expect(store.txn([], ops)).rejects.toMatchObject({ name: 'StoreError', details: { reason: 'invalid' } });
    await put('/b', '1');
    expect(await value('/b')).toBe('1');
  });

  it('tells watchers what changed under their prefix, in order, a transaction in one call', async () => {
    const calls: (readonly StoreEvent[])[] = [];
    await put('/w/a', '1');
    const watch = await store.watch('/w/', undefined, (events) => calls.push(events));
    await put('/other', '1');
    await store.txn(
      [],
      [
        { op: 'put', key: '/w/a', value: '2' },
        { op: 'put', key: '/w/b', value: '1' },
        { op: 'put', key: '/x', value: '' },
      ],
    );
    await store.txn([], [{ op: 'delete', key: '/w/a' }]);
    expect(
      calls.map((events) =>
        events.map(({ key, revision, before, after }) => [key, revision, before?.value, after?.value]),
      ),
    ).toEqual([
      [
        ['/w/a', 3, '1', '2'],
        ['/w/b', 3, undefined, '1'],
      ],
      [['/w/a', 4, '2', undefined]],
    ]);
    watch.close();
    await put('/w/a', '9');
    expect(calls).toHaveLength(2);
  });

  it('tells a watcher from an old revision what it missed, then goes on, with nothing left out or told twice', async () => {
    for (let n = 1; n <= 50; n++) await put(`/w/${n % 7}`, String(n));
    const seen: number[] = [];
    await store.watch('/w/', 11, (events) => seen.push(...events.map(({ revision }) => revision)));
    for (let n = 51; n <= 60; n++) await put(`/w/${n % 7}`, String(n));
    expect(seen).toEqual(Array.from({ length: 50 }, (_, i) => i + 11));
  });

  it('forgets history when told, keeps values, and says so to a watcher that comes too late', async () => {
    for (let n = 1; n <= 10; n++) await put('/a', String(n));
    await store.compact(6);
    expect(await store.get('/a')).toMatchObject({ value: '10', createRevision: 1, version: 10 });
    await expect(store.watch('/', 6, () => {})).rejects.toMatchObject({
      details: { reason: 'compacted', compacted: 6 },
    });
    const seen: number[] = [];
    await store.watch('/', 7, (events) => seen.push(...events.map(({ revision }) => revision)));
    expect(seen).toEqual([7, 8, 9, 10]);
    await expect(store.compact(99)).rejects.toMatchObject({ details: { reason: 'invalid' } });
  });

  it('takes away what hangs on a lease that is not kept alive, and tells watchers', async () => {
    const lease = await store.grantLease(1_000);
    await put('/leader', 'me', lease);
    await put('/stays', 'yes');
    const gone: string[] = [];
    await store.watch('/', undefined, (events) =>
      gone.push(...events.filter(({ after }) => !after).map(({ key }) => key)),
    );
    clock.pass(800);
    await store.keepAlive(lease);
    clock.pass(800);
    await settle();
    expect(await value('/leader')).toBe('me');
    clock.pass(400);
    await settle();
    expect(gone).toEqual(['/leader']);
    expect(await value('/stays')).toBe('yes');
    await expect(store.keepAlive(lease)).rejects.toMatchObject({ details: { reason: 'lease' } });
    await expect(put('/x', 'y', lease)).rejects.toMatchObject({ details: { reason: 'lease' } });
  });

  it('gives a lease back at once', async () => {
    const lease = await store.grantLease(1_000);
    await put('/a', '1', lease);
    await store.revokeLease(lease);
    expect(await value('/a')).toBeUndefined();
  });

  it('finishes what was asked for before it closes, and refuses what comes after', async () => {
    const writes = Array.from({ length: 100 }, (_, n) => put(`/k${n}`, 'v'));
    const closed = store.close();
    expect((await Promise.all(writes)).every(({ succeeded }) => succeeded)).toBe(true);
    await closed;
    await expect(put('/late', 'v')).rejects.toMatchObject({ details: { reason: 'closed' } });
    await expect(store.get('/k1')).rejects.toMatchObject({ details: { reason: 'closed' } });
  });

  it('is what a map would be, after any sequence of transactions', async () => {
    const key = fc.constantFrom('/a', '/b', '/c', '/d');
    const op = fc.oneof(
      fc.record({ op: fc.constant('put' as const), key, value: fc.constantFrom('1', '2', '') }),
      fc.record({ op: fc.constant('delete' as const), key }),
    );
    const txn = fc.uniqueArray(op, { selector: ({ key }) => key, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(fc.array(txn, { maxLength: 12 }), async (txns) => {
        const model = new Map((await store.range({ prefix: '/' })).items.map(({ key, value }) => [key, value]));
        const told = new Map(model);
        const watch = await store.watch('/', undefined, (events) => {
          for (const { key, after } of events)
            if (after) told.set(key, after.value);
            else told.delete(key);
        });
        await Promise.all(
          txns.map((ops) => {
            for (const each of ops)
              if (each.op === 'put') model.set(each.key, each.value);
              else model.delete(each.key);
            return store.txn([], ops);
          }),
        );
        watch.close();
        const { items } = await store.range({ prefix: '/' });
        expect(new Map(items.map(({ key, value }) => [key, value]))).toEqual(model);
        expect(told).toEqual(model);
      }),
      { numRuns: 60 },
    );
  });

  if (!engine.persistent) return;
  it('has all of it when it is opened again: values, revisions, history, leases', async () => {
    const lease = await store.grantLease(1_000);
    await put('/a', '1');
    await put('/b', '1', lease);
    await put('/a', '2');
    await store.compact(1);
    const before = await store.range({ prefix: '/' });
    await store.close();
    store = await engine.open(folder, clock);
    expect(await store.range({ prefix: '/' })).toEqual(before);
    const seen: number[] = [];
    await store.watch('/', 2, (events) => seen.push(...events.map(({ revision }) => revision)));
    expect(seen).toEqual([2, 3]);
    await expect(store.watch('/', 1, () => {})).rejects.toMatchObject({ details: { reason: 'compacted' } });
    clock.pass(1_100);
    await settle();
    expect(await value('/b')).toBeUndefined();
  });
});
