import type { Rule } from './types.ts';

/** True when two rules are the same on a switch: same key and same bytes. */
export function sameRule(a: Rule, b: Rule): boolean {
  if (a === b) return true;
  if (a.key !== b.key) return false;
  if (a.kind === 'flow') {
    return (
      b.kind === 'flow' &&
      a.idleTimeout === b.idleTimeout &&
      a.hardTimeout === b.hardTimeout &&
      a.flags === b.flags &&
      a.instructions.equals(b.instructions)
    );
  }
  if (a.kind === 'group') return b.kind === 'group' && a.type === b.type && a.buckets.equals(b.buckets);
  return b.kind === 'meter' && a.flags === b.flags && a.bands.equals(b.bands);
}
