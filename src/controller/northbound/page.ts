import { refusal } from './problem.ts';

/** One page of a list. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor?: string;
  readonly revision: number;
}

const encode = (key: string): string => Buffer.from(key, 'utf8').toString('base64url');

function decode(cursor: string): string {
  const key = Buffer.from(cursor, 'base64url').toString('utf8');
  if (encode(key) !== cursor) {
    throw refusal('NL_INVALID', '?cursor: not one of ours', [{ pointer: '?cursor', message: 'not one of ours' }]);
  }
  return key;
}

/**
 * A page in order of key, of things that come in any order. Keys must be unique. Cost is one pass, so a list of a hundred
 * thousand is not sorted for each page of a hundred.
 */
export function pageOf<T, V>(
  all: Iterable<T>,
  keyOf: (item: T) => string,
  view: (item: T) => V,
  revision: number,
  limit: number,
  cursor?: string,
): Page<V> {
  const after = cursor === undefined ? undefined : decode(cursor);
  const keep = limit + 1;
  let best: { key: string; item: T }[] = [];
  let highest: string | undefined;
  const trim = (): void => {
    best.sort((a, b) => (a.key < b.key ? -1 : 1));
    if (best.length >= keep) {
      best.length = keep;
      highest = best.at(-1)?.key;
    }
  };
  for (const item of all) {
    const key = keyOf(item);
    if ((after !== undefined && key <= after) || (highest !== undefined && key >= highest)) continue;
    best.push({ key, item });
    if (best.length >= 4 * keep) trim();
  }
  trim();
  const more = best.length > limit;
  best = best.slice(0, limit);
  const last = best.at(-1);
  return {
    items: best.map(({ item }) => view(item)),
    ...(more && last ? { nextCursor: encode(last.key) } : {}),
    revision,
  };
}
