import { beforeEach, describe, expect, it } from 'vitest';
import { StoreError, silentLogger } from '../../../src/controller/kernel/index.ts';
import { openMemoryStore, type Store } from '../../../src/controller/store/index.ts';
import { addressOf, type MappingRecord, MappingSystem, signLisp } from '../../../src/overlay-gw/lisp/index.ts';
import { Keeper } from '../../../src/overlay-gw/mapping/keeper.ts';
import { eid } from '../../kit/lisp-router.ts';
import { ManualClock } from '../../kit/manual-clock.ts';

/** Registrations in the store, and out of it again. */

const LIFETIME = 180_000;
let clock: ManualClock;
let store: Store;
beforeEach(async () => {
  clock = new ManualClock();
  store = await openMemoryStore({ log: silentLogger, clock });
});

interface Run {
  readonly system: MappingSystem;
  readonly keeper: Keeper;
  readonly taken: number;
}

/** A process that starts. */
async function start(over: Pick<Store, 'txn' | 'range' | 'get'> = store, blocks = ['10.0.0.0/8']): Promise<Run> {
  const keeper = new Keeper({ store: over, clock, log: silentLogger });
  const system = new MappingSystem({ clock, log: silentLogger, send: () => {}, registrations: keeper });
  const prefixes = blocks.map(eid);
  system.setSite({ id: 'a', prefixes, acceptMoreSpecifics: true, keys: ['secret'], replayDefence: true });
  return { system, keeper, taken: await keeper.restore(system) };
}

/** A process that is gone without a word. */
function kill({ system, keeper }: Run): void {
  system.close();
  // Its timers are gone with it.
  void keeper.close().catch(() => undefined);
}

let nonces = 0;
function register({ system }: Run, prefix: string, more: Partial<MappingRecord> = {}, useTtl = false): Buffer {
  const { length } = eid(prefix);
  const record = {
    ttl: 1440,
    maskLength: length,
    action: 0,
    authoritative: true,
    reserved: 0,
    reserved2: 0,
    version: 0,
  };
  const bytes = signLisp(
    {
      type: 'mapRegister',
      proxyReply: true,
      security: false,
      rtr: false,
      useTtl,
      merge: false,
      wantNotify: false,
      nonce: (++nonces).toString(16).padStart(16, '0'),
      reserved: 0,
      auth: { keyId: 1, data: Buffer.alloc(0) },
      records: [{ ...record, eid: addressOf(eid(prefix)), locators: [], ...more }],
    },
    1,
    'secret',
  );
  system.receive(bytes, { address: '192.0.2.1', port: 4342 });
  return bytes;
}

/** Lets time pass, and what waits for the store be written. */
async function pass(ms: number): Promise<void> {
  clock.pass(ms);
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

const stored = async (prefix = '/lisp/registration/') => (await store.range({ prefix })).items;

describe('a registration', () => {
  it('is stored soon, not again when it is renewed, and taken out when it goes', async () => {
    const run = await start();
    register(run, '10.1.0.0/16');
    expect(run.keeper.waiting).toBe(1);
    await pass(100);
    const [first] = await stored();
    expect(run.keeper.waiting).toBe(0);
    for (let i = 0; i < 5; i++) {
      await pass(60_000);
      register(run, '10.1.0.0/16');
    }
    await pass(100);
    expect(await stored()).toEqual([first]);
    register(run, '10.1.0.0/16', { ttl: 0 });
    await pass(100);
    expect(await stored()).toEqual([]);
    register(run, '10.1.0.0/16');
    await pass(100);
    await pass(LIFETIME + 2_000);
    await pass(100);
    expect(await stored()).toEqual([]);
    kill(run);
  });

  it('lasts, after a restart, one lifetime from when the process was last known to live', async () => {
    const run = await start();
    register(run, '10.1.0.0/16');
    for (let i = 0; i < 10; i++) {
      await pass(60_000);
      register(run, '10.1.0.0/16');
      await pass(100);
    }
    const diedAt = clock.now();
    await pass(0);
    run.system.close();
    const again = await start();
    expect(again.taken).toBe(1);
    const [mapping] = [...again.system.mappings.all()];
    const left = mapping!.registrations[0]!.expiresAt - clock.monotonic();
    expect(left).toBeGreaterThan(LIFETIME - 11_000 - (clock.now() - diedAt));
    expect(left).toBeLessThanOrEqual(LIFETIME);
    kill(again);
    kill(run);
  });

  it('that has surely run out while nobody lived is taken out of the store', async () => {
    const run = await start();
    register(run, '10.1.0.0/16');
    register(run, '10.2.0.0/16', { ttl: 60 }, true);
    await pass(100);
    await run.keeper.close();
    run.system.close();
    clock.pass(LIFETIME + 60_000);
    const again = await start();
    expect(again.taken).toBe(1);
    expect([...again.system.mappings.all()].map(({ prefix }) => prefix)).toEqual([eid('10.2.0.0/16')]);
    await pass(100);
    expect(await stored()).toHaveLength(1);
    kill(again);
  });

  it('whose site is gone, or that cannot be read, is left out and taken out', async () => {
    const run = await start();
    register(run, '10.1.0.0/16');
    register(run, '10.2.0.0/16');
    await run.keeper.close();
    run.system.close();
    await store.txn([], [{ op: 'put', key: '/lisp/registration/x', value: '{"by":1}' }]);
    await store.txn([], [{ op: 'put', key: '/lisp/registration/y', value: 'no JSON' }]);
    const again = await start(store, ['10.2.0.0/16']);
    expect(again.taken).toBe(1);
    await pass(100);
    expect((await stored()).map(({ key }) => key)).toEqual(['/lisp/registration/[0]10.2.0.0/16 192.0.2.1']);
    kill(again);
  });
});

describe('a store that refuses', () => {
  it('is tried again, and gets the newest', async () => {
    let refuses = true;
    const flaky: Pick<Store, 'txn' | 'range' | 'get'> = {
      get: (key) => store.get(key),
      range: (query) => store.range(query),
      txn: (compare, ops, options) =>
        refuses ? Promise.reject(new StoreError('disk full', { reason: 'full' })) : store.txn(compare, ops, options),
    };
    const run = await start(flaky);
    register(run, '10.1.0.0/16');
    register(run, '10.2.0.0/16');
    await pass(100);
    register(run, '10.2.0.0/16', { ttl: 0 });
    await pass(1_000);
    expect([run.keeper.failures, run.keeper.waiting]).toEqual([2, 2]);
    refuses = false;
    await pass(1_000);
    expect([run.keeper.waiting, (await stored()).length]).toEqual([0, 1]);
    kill(run);
  });
});

describe('nonces', () => {
  it('of routers are stored each ten seconds: what was heard before a restart is refused after it', async () => {
    const run = await start();
    const old = register(run, '10.1.0.0/16');
    await pass(10_000);
    await pass(100);
    run.system.close();
    const again = await start();
    again.system.receive(old, { address: '192.0.2.1', port: 4342 });
    expect(again.system.counters.replayed).toBe(1);
    register(again, '10.1.0.0/16');
    expect(again.system.counters.replayed).toBe(1);
    kill(again);
    kill(run);
  });
});
