import { refusal } from './problem.ts';

/** Query parameters as the router gives them: a list when a name came more than once. */
export type RawQuery = Readonly<Record<string, string | readonly string[] | undefined>>;

const bad = (name: string, message: string) =>
  refusal('NL_INVALID', `?${name}: ${message}`, [{ pointer: `?${name}`, message }]);

/** Refuses a name that the route does not know: a misspelt dryRun must not become a real change. */
export function checkNames(query: RawQuery, known: ReadonlySet<string>): void {
  for (const name in query) {
    if (!known.has(name)) {
      throw bad(
        name.slice(0, 64),
        known.size === 0 ? 'no parameters here' : `unknown; known are ${[...known].join(', ')}`,
      );
    }
  }
}

/** The one value of a parameter. */
export function text(query: RawQuery, name: string): string | undefined {
  const value = query[name];
  if (typeof value === 'object') throw bad(name, 'is there twice');
  return value;
}

/** `true` or `false`; absent is false. */
export function flag(query: RawQuery, name: string): boolean {
  const value = text(query, name);
  if (value === undefined || value === 'false') return false;
  if (value === 'true') return true;
  throw bad(name, 'expected true or false');
}

/** A decimal integer within bounds. */
export function integer(query: RawQuery, name: string, minimum: number, maximum: number, fallback: number): number {
  const value = text(query, name);
  if (value === undefined) return fallback;
  const number = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN;
  if (!(number >= minimum && number <= maximum)) throw bad(name, `expected an integer from ${minimum} to ${maximum}`);
  return number;
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 };

/** A duration such as `500ms`, `10s` or `1m`, up to `maximumMs`. */
export function duration(query: RawQuery, name: string, maximumMs: number, fallbackMs: number): number {
  const value = text(query, name);
  if (value === undefined) return fallbackMs;
  const match = /^(\d{1,7})(ms|s|m)$/.exec(value);
  const ms = match ? Number(match[1]) * (unitMs[match[2]!] ?? Number.NaN) : Number.NaN;
  if (!(ms <= maximumMs)) throw bad(name, `expected a duration such as 500ms or 10s, up to ${maximumMs / 1_000}s`);
  return ms;
}

/** A comma-separated list of names. */
export function names(query: RawQuery, name: string): readonly string[] | undefined {
  const value = text(query, name);
  if (value === undefined) return undefined;
  const list = value.split(',');
  if (list.length > 64 || list.some((item) => !/^[a-zA-Z0-9][-\w.]{0,62}\*?$/.test(item))) {
    throw bad(name, 'expected up to 64 names, separated by commas');
  }
  return list;
}

const revisionTag = /^"?(0|[1-9]\d{0,15})"?$/;

/** The revision of an `If-Match` header: a number, `*` (must exist), or undefined when there is none. */
export function ifMatch(header: string | undefined): number | '*' | undefined {
  if (header === undefined) return undefined;
  if (header.trim() === '*') return '*';
  const match = revisionTag.exec(header.trim());
  if (!match) {
    throw refusal('NL_INVALID', 'If-Match: expected one entity tag, e.g. "17"', [
      { pointer: 'If-Match', message: 'expected one entity tag, e.g. "17", or *' },
    ]);
  }
  return Number(match[1]);
}

/** True for `If-None-Match: *`; other values are for reading only. */
export function createOnly(header: string | undefined): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  throw refusal('NL_INVALID', 'If-None-Match: a write takes * only', [
    { pointer: 'If-None-Match', message: 'a write takes * only' },
  ]);
}

/** True when an `If-None-Match` of a read names this revision, so that 304 will do. */
export const notModified = (header: string | undefined, revision: number): boolean =>
  header?.split(',').some((tag) => tag.trim().replace(/^W\//, '') === `"${revision}"` || tag.trim() === '*') === true;
