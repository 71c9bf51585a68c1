import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maskBits, PrefixTrie, type Width } from '../../src/overlay-gw/lisp/trie.ts';

/** The trie against a list that is searched from end to end. */

interface Prefix {
  readonly bits: readonly number[];
  readonly length: number;
}

/** Few different bits, so that prefixes meet. */
const bits = (width: Width): fc.Arbitrary<readonly number[]> =>
  fc
    .tuple(
      fc.constantFrom(0, 0x0a01_0000, 0x0a01_8000, 0x8000_0000, 0xffff_ffff),
      fc.nat({ max: 0xffff }),
      fc.constantFrom(0, 1, 0x8000_0000),
    )
    .map(([high, low, last]) => {
      const words: number[] = new Array(Math.ceil(width / 32)).fill(0);
      words[0] = (high ^ low) >>> 0;
      if (words.length > 1) words[words.length - 1] = width === 48 ? (last & 0xffff_0000) >>> 0 : last;
      return words;
    });
const prefix = (width: Width): fc.Arbitrary<Prefix> =>
  fc
    .record({
      bits: bits(width),
      length: fc.oneof(fc.constantFrom(0, 1, width - 1, width), fc.integer({ min: 0, max: width })),
    })
    .map(({ bits, length }) => ({
      bits: maskBits(bits, length),
      length,
    }));
const same = (a: readonly number[], b: readonly number[]): boolean => a.every((word, i) => word === b[i]);
const contains = (outer: Prefix, inner: Prefix): boolean =>
  outer.length <= inner.length && same(maskBits(inner.bits, outer.length), outer.bits);
const keyOf = ({ bits, length }: Prefix): string => `${[...bits].join('.')}/${length}`;

describe.each([32, 48, 128] as const)('a trie of %i bits', (width) => {
  it('finds, forgets, and tells gaps as a list would', () => {
    const step = fc.record({ add: fc.boolean(), prefix: prefix(width) });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 40 }),
        fc.array(bits(width), { minLength: 1, maxLength: 8 }),
        prefix(width),
        (steps, addresses, block) => {
          const trie = new PrefixTrie<number>(width);
          const list = new Map<string, { readonly prefix: Prefix; readonly value: number }>();
          steps.forEach(({ add, prefix }, value) => {
            const key = keyOf(prefix);
            if (add) {
              trie.set(prefix.bits, prefix.length, value);
              list.set(key, { prefix, value });
            } else {
              expect(trie.delete(prefix.bits, prefix.length)).toBe(list.delete(key));
            }
          });
          expect(trie.size).toBe(list.size);
          for (const { prefix, value } of list.values()) expect(trie.get(prefix.bits, prefix.length)).toBe(value);
          for (const bits of addresses) {
            const address = { bits, length: width };
            const expected = [...list.values()]
              .filter(({ prefix }) => contains(prefix, address))
              .sort((a, b) => b.prefix.length - a.prefix.length)
              .map(({ value }) => value);
            expect([...trie.matches(bits)].map(({ value }) => value)).toEqual(expected);
            const gap = trie.gap(bits);
            expect(gap === undefined).toBe(expected.length > 0);
            if (gap === undefined) continue;
            const overlaps = (length: number): boolean => {
              const around = { bits: maskBits(bits, length), length };
              return [...list.values()].some(({ prefix }) => contains(prefix, around) || contains(around, prefix));
            };
            // Overlaps nothing, and no larger block would do.
            expect(overlaps(gap)).toBe(false);
            if (gap > 0) expect(overlaps(gap - 1)).toBe(true);
          }
          const inside = [...list.values()]
            .filter(({ prefix }) => contains(block, prefix))
            .map(({ prefix }) => keyOf(prefix));
          expect([...trie.within(block.bits, block.length)].map(keyOf as never).sort()).toEqual(inside.sort());
        },
      ),
      { numRuns: 300 },
    );
  });

  it('goes on behind any place, stored or not, as if it had begun at the front', () => {
    const ordered = (a: Prefix, b: Prefix): number =>
      a.bits.reduce((order, word, i) => order || word - b.bits[i]!, 0) || a.length - b.length;
    fc.assert(
      fc.property(
        fc.array(prefix(width), { maxLength: 40 }),
        fc.array(prefix(width), { minLength: 1, maxLength: 8 }),
        prefix(width),
        (all, places, block) => {
          const trie = new PrefixTrie<number>(width);
          all.forEach(({ bits, length }, value) => {
            trie.set(bits, length, value);
          });
          const everything = [...trie.within(block.bits, block.length)];
          expect([...everything].sort(ordered)).toEqual(everything);
          for (const place of [...places, ...all]) {
            expect([...trie.within(block.bits, block.length, place)]).toEqual(
              everything.filter((each) => ordered(each, place) > 0),
            );
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
