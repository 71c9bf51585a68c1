import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { joins, makeWorld, movingEdit, perform } from './worlds.ts';

describe('compiled rules', () => {
  it('are the same change by change as from nothing, after any sequence of edits', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.boolean(),
        joins,
        fc.array(movingEdit, { minLength: 1, maxLength: 60, size: 'max' }),
        async (defaultNetwork, inRow, join, edits) => {
          const w = makeWorld(defaultNetwork, inRow, join);
          for (const e of edits) await perform(w, e);
          w.compile();
          expect(w.allText()).toEqual(w.fromNothing());
        },
      ),
      { numRuns: Number(process.env['NETLOOM_PROPERTY_RUNS'] ?? 500) },
    );
  });
});
