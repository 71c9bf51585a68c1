import { isUtf8 } from 'node:buffer';
import type { FieldProblem } from '../kernel/index.ts';
import { refusal } from './problem.ts';

/** Nesting that a body may have; our deepest body needs five. */
export const maxDepth = 32;

/** Keys that reach prototypes in careless code. None of our fields has such a name. */
const poison = new Set(['__proto__', 'constructor', 'prototype']);

const escapeToken = (token: string): string => token.replaceAll('~', '~0').replaceAll('/', '~1');

/** JSON pointer (RFC 6901) of a path of keys and indexes. */
export const pointerOf = (path: readonly (string | number)[]): string =>
  path.map((token) => `/${escapeToken(String(token))}`).join('');

interface Found {
  readonly code: 'NL_MALFORMED' | 'NL_UNSAFE_NUMBER' | 'NL_INVALID';
  readonly message: string;
  /** From the place outwards. */
  readonly path: (string | number)[];
}

/** Counts keys and finds what must not be there. Recursion is bounded by `maxDepth`. */
class Inspector {
  keys = 0;
  readonly #escapes: boolean;

  constructor(escapes: boolean) {
    this.#escapes = escapes;
  }

  inspect(value: unknown, depth: number): Found | undefined {
    if (typeof value === 'number') {
      if (Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))) return undefined;
      return { code: 'NL_UNSAFE_NUMBER', message: 'is beyond ±(2^53−1); write it as a string', path: [] };
    }
    if (typeof value === 'string') return this.#text(value);
    if (typeof value !== 'object' || value === null) return undefined;
    if (depth === maxDepth) return { code: 'NL_MALFORMED', message: `nests deeper than ${maxDepth}`, path: [] };
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) {
        const found = this.inspect(value[i], depth + 1);
        if (found) {
          found.path.push(i);
          return found;
        }
      }
      return undefined;
    }
    for (const key of Object.keys(value)) {
      this.keys++;
      const found = poison.has(key)
        ? ({ code: 'NL_INVALID', message: 'is not a name that a field can have', path: [] } as Found)
        : (this.#text(key) ?? this.inspect((value as Record<string, unknown>)[key], depth + 1));
      if (found) {
        found.path.push(key);
        return found;
      }
    }
    return undefined;
  }

  /** Half a surrogate pair can only come from an escape; it would not survive being stored. */
  #text(text: string): Found | undefined {
    return this.#escapes && /\p{Surrogate}/u.test(text)
      ? { code: 'NL_INVALID', message: 'has half a surrogate pair', path: [] }
      : undefined;
  }
}

/** A quote, then a colon: how every key ends. Strings may hold the same after a backslash, so this is an upper bound. */
function countKeyEnds(text: string): number {
  let count = 0;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) {
    let next = at + 1;
    let code = text.charCodeAt(next);
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) code = text.charCodeAt(++next);
    if (code === 0x3a) count++;
  }
  return count;
}

/** Path of the first key that an object has twice. `text` is valid JSON of bounded depth. */
function findDuplicate(text: string): (string | number)[] | undefined {
  const open: { keys: Set<string> | undefined; at: string | number }[] = [];
  let key: string | undefined;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    const top = open.at(-1);
    if (char === '"') {
      const from = i++;
      while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
      key = text.slice(from, i + 1);
    } else if (char === ':' && top?.keys && key !== undefined) {
      const name = JSON.parse(key) as string;
      top.at = name;
      if (top.keys.has(name)) return open.map(({ at }) => at);
      top.keys.add(name);
    } else if (char === '{') open.push({ keys: new Set(), at: '' });
    else if (char === '[') open.push({ keys: undefined, at: 0 });
    else if (char === '}' || char === ']') open.pop();
    else if (char === ',' && top && typeof top.at === 'number') top.at++;
  }
  return undefined;
}

/**
 * JSON as we accept it, stricter than JSON.parse: UTF-8, no key twice, no integer that a double cannot hold, no key that
 * reaches a prototype, bounded nesting. Throws RequestError with a pointer to the place. An empty body is undefined.
 */
export function parseBody(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  if (!isUtf8(bytes))
    throw refusal('NL_MALFORMED', 'the body is not UTF-8', [{ pointer: '', message: 'is not UTF-8' }]);
  const text = bytes.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const at = error instanceof SyntaxError ? /position (\d+)/.exec(error.message)?.[1] : undefined;
    const where = at === undefined ? '' : ` at character ${at}`;
    throw refusal('NL_MALFORMED', `the body is not JSON${where}`, [{ pointer: '', message: `is not JSON${where}` }]);
  }
  const inspector = new Inspector(text.includes('\\u'));
  const found = inspector.inspect(value, 0);
  if (found) {
    const problem: FieldProblem = { pointer: pointerOf(found.path.reverse()), message: found.message };
    throw refusal(found.code, `${problem.pointer || 'the body'}: ${found.message}`, [problem]);
  }
  // JSON.parse keeps the last of two equal keys silently. Only when the counts differ may there be any, so the exact
  // (slower) look is seldom needed.
  if (countKeyEnds(text) !== inspector.keys) {
    const path = findDuplicate(text);
    if (path) {
      const pointer = pointerOf(path);
      throw refusal('NL_MALFORMED', `${pointer}: is there twice`, [{ pointer, message: 'is there twice' }]);
    }
  }
  return value;
}

/** JSON text of a reply. 64-bit values become decimal strings, as everywhere in the API. */
export function stringify(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    // The plain form is tried first because a replacer makes every reply several times slower.
    if (!(error instanceof TypeError)) throw error;
    return JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? item.toString() : item));
  }
}
