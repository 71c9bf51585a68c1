import { type FieldProblem, RequestError } from '../kernel/index.ts';
import type { JsonObject, JsonValue } from './service-types.ts';

/** Deeper than anything that we read; a deeper body is refused before anything walks it. */
const MAX_DEPTH = 32;
/** Problems listed in one refusal; a body of 10 MB must not be answered with 10 MB. */
export const MAX_PROBLEMS = 100;

/** Our refusal of a body, with every problem (the first 100). */
export function invalid(errors: readonly FieldProblem[], message?: string): RequestError {
  const listed = errors.slice(0, MAX_PROBLEMS);
  const first = listed[0];
  const where = first && first.pointer !== '' ? `${first.pointer}: ` : '';
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  return new RequestError(400, 'NL_INVALID', message ?? `${where}${first?.message ?? 'refused'}${more}`, listed);
}

/** One step of a JSON pointer (RFC 6901). */
export const pointerStep = (key: string | number): string =>
  `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Parses a request body. Throws RequestError 400 for text that is no JSON, and for what JSON can say but we cannot keep:
 * numbers of 2^53 and above (they would be rounded), half surrogate pairs, nesting beyond 32.
 */
export function parseJson(text: string): JsonValue {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // V8's message may quote the text around the fault; the position is enough.
    const at = error instanceof Error ? /position (\d+)/.exec(error.message)?.[1] : undefined;
    throw invalid([{ pointer: '', message: `not JSON${at === undefined ? '' : `: wrong at character ${at}`}` }]);
  }
  const problems = jsonProblems(value);
  if (problems.length > 0) throw invalid(problems);
  return value as JsonValue;
}

/**
 * What a parsed JSON value holds that we refuse everywhere. A number of 2^53 or more was possibly rounded by the parser, and
 * rounding never brings one below 2^53, so looking at the value finds them all.
 */
export function jsonProblems(value: unknown, pointer = '', depth = 0, problems: FieldProblem[] = []): FieldProblem[] {
  if (problems.length >= MAX_PROBLEMS) return problems;
  if (typeof value === 'number') {
    if (!Number.isFinite(value) || Math.abs(value) > Number.MAX_SAFE_INTEGER) {
      problems.push({ pointer, message: 'number is not below 2^53; 64-bit values are written as strings' });
    }
  } else if (typeof value === 'string') {
    if (/\p{Surrogate}/u.test(value)) problems.push({ pointer, message: 'text holds half a surrogate pair' });
  } else if (typeof value === 'object' && value !== null) {
    if (depth >= MAX_DEPTH) problems.push({ pointer, message: `nested deeper than ${MAX_DEPTH}` });
    else if (Array.isArray(value)) {
      value.forEach((item, i) => {
        jsonProblems(item, `${pointer}${pointerStep(i)}`, depth + 1, problems);
      });
    } else {
      for (const [key, item] of Object.entries(value)) {
        jsonProblems(item, `${pointer}${pointerStep(key)}`, depth + 1, problems);
      }
    }
  }
  return problems;
}

/** JSON merge patch (RFC 7396): null takes a member away, objects merge, everything else replaces. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const merged = new Map(isObject(target) ? Object.entries(target) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, mergePatch(merged.get(key), value));
  }
  // fromEntries defines members, so that a member named __proto__ stays an ordinary (and refused) one.
  return Object.fromEntries(merged);
}

/** A copy of the object without members that are undefined. */
export function jsonObject(members: Readonly<Record<string, JsonValue | undefined>>): JsonObject {
  const entries = Object.entries(members).filter((entry): entry is [string, JsonValue] => entry[1] !== undefined);
  return Object.fromEntries(entries);
}
