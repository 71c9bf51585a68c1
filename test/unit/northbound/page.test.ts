import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pageOf } from '../../../src/controller/northbound/index.ts';

describe('pages', () => {
  it('hold each thing once, in order, whatever the order they come in', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string({ minLength: 1 }), { maxLength: 200 }),
        fc.integer({ min: 1, max: 20 }),
        (keys, limit) => {
          const seen: string[] = [];
          let cursor: string | undefined;
          for (let n = 0; n <= keys.length; n++) {
            const page = pageOf(
              keys,
              (key) => key,
              (key) => key,
              1,
              limit,
              cursor,
            );
            expect(page.items.length).toBeLessThanOrEqual(limit);
            seen.push(...page.items);
            cursor = page.nextCursor;
            if (cursor === undefined) break;
          }
          // Keys of ours are well-formed text; a cursor carries them as UTF-8.
          expect(seen).toEqual([...keys].sort());
        },
      ),
    );
  });

  it('have no next cursor at the end, and refuse cursors that are not ours', () => {
    const page = (cursor?: string) =>
      pageOf(
        ['a', 'b'],
        (key) => key,
        (key) => key,
        1,
        2,
        cursor,
      );
    expect(page()).toEqual({ items: ['a', 'b'], revision: 1 });
    expect(() => page('not/base64url!')).toThrow('cursor');
  });
});
