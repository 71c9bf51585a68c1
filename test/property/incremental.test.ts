import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Edit, joins, makeWorld, movingEdit, perform } from './worlds.ts';

describe('compiled rules', () => {
  it('are so for a port on a VLAN, too, whose elected hypervisor is none any more', async () => {
    const w = makeWorld(false, false);
    const port = { tenant: 'u', network: 'm', host: 3 } as const;
    const plain = { plan: false, learned: true, secure: false, addressed: false } as const;
    const edits: readonly Edit[] = [
      { do: 'label', n: 3, tunnels: false, interfaces: [4] },
      { do: 'port', ...port, ...plain, at: undefined, on: undefined, uplink: [3, 2], behind: undefined },
      { do: 'hypervisor', n: 2, families: undefined },
      { do: 'elect', ...port, n: 2 },
    ];
    for (const e of edits) await perform(w, e);
    w.compile();
    expect(w.allText()).toEqual(w.fromNothing());
  });

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
