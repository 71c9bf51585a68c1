import pino from 'pino';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/controller/kernel/index.ts';
import { IdAllocator, openMemoryStore, type Store } from '../../../src/controller/store/index.ts';

const open = (): Promise<Store> => openMemoryStore({ log: pino({ level: 'silent' }), clock: systemClock });
const space = { name: 'test', first: 1, last: 100 };
const holders = (n: number): string[] => Array.from({ length: n }, (_, i) => `h${i}`);

describe('ids', () => {
  it('asked for all at once are given in order of the calls, once each, in few transactions', async () => {
    const store = await open();
    const before = store.revision;
    const ids = new IdAllocator(store, space);
    expect(await Promise.all(holders(100).map((h) => ids.allocate(h)))).toEqual(holders(100).map((_, i) => i + 1));
    expect(await Promise.all(['h7', 'h7', 'h3'].map((h) => ids.allocate(h)))).toEqual([8, 8, 4]);
    expect(store.revision - before).toBeLessThan(5);
  });

  it('are the same for another allocator on the same store, also when both give at once', async () => {
    const store = await open();
    const [a, b] = [new IdAllocator(store, space), new IdAllocator(store, space)];
    const given = await Promise.all(holders(40).map((h, i) => (i % 2 === 0 ? a : b).allocate(h)));
    expect(new Set(given).size).toBe(40);
    expect(await Promise.all(holders(40).map((h) => b.allocate(h)))).toEqual(given);
  });

  it('that run out cost only those who find none', async () => {
    const store = await open();
    const ids = new IdAllocator(store, { ...space, last: 10 });
    const results = await Promise.allSettled(holders(12).map((h) => ids.allocate(h)));
    expect(results.map(({ status }) => status)).toEqual([
      ...Array.from({ length: 10 }, () => 'fulfilled'),
      'rejected',
      'rejected',
    ]);
    await ids.release('h4');
    expect(await ids.allocate('h11')).toBe(5);
  });
});
