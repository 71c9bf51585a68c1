import { get16 } from './bytes.ts';
import { type ErrorReply, WireError } from './errors.ts';

/** How the elements of a list state their length. */
export interface ListRule {
  /** Name of the element in messages of errors, by the specification. */
  readonly structure: string;
  /** Offset of the 16-bit length inside the element; 2 for all type-length pairs. */
  readonly lengthAt?: number;
  /** Shortest element allowed, in bytes. */
  readonly min: number;
  /** The length must be a multiple of this (8 where the specification says so). */
  readonly multipleOf?: 8;
  /** The length leaves out the padding, and the next element starts at the next multiple of 8 (hello, properties). */
  readonly padded?: true;
  /** Error to answer with. */
  readonly reply?: ErrorReply;
}

/**
 * End of the element at `at` (its own length, without padding), after checking it against the rule and the parent's end.
 * The one place where a length of the wire is believed: at least `min`, so a walk always advances; inside the parent.
 */
export function elementEnd(bytes: Uint8Array, at: number, end: number, rule: ListRule): number {
  const lengthAt = rule.lengthAt ?? 2;
  if (at + lengthAt + 2 > end) throw fault(rule, 'length', at, `cut: ${end - at} bytes left`);
  const length = get16(bytes, at + lengthAt);
  if (length < rule.min) throw fault(rule, 'length', at + lengthAt, `${length}, at least ${rule.min}`);
  if (rule.multipleOf !== undefined && length % rule.multipleOf !== 0)
    throw fault(rule, 'length', at + lengthAt, `${length}, not a multiple of ${rule.multipleOf}`);
  if (at + length > end) throw fault(rule, 'length', at + lengthAt, `${length}, only ${end - at} bytes left`);
  return at + length;
}

/** Where the element after [at, elementEnd) starts. Padding cut off at the end of the parent is forgiven. */
export function nextElement(at: number, elementEndsAt: number, end: number, rule: ListRule): number {
  if (rule.padded === undefined) return elementEndsAt;
  return Math.min(end, at + ((elementEndsAt - at + 7) & ~7));
}

/** Walks a list that fills [at, end): `visit` is called with the bounds of every element, in order. */
export function walk(
  bytes: Uint8Array,
  at: number,
  end: number,
  rule: ListRule,
  visit: (at: number, end: number) => void,
): void {
  let here = at;
  while (here < end) {
    const stop = elementEnd(bytes, here, end, rule);
    visit(here, stop);
    here = nextElement(here, stop, end, rule);
  }
}

/** As `walk`, gathering what `visit` returns. */
export function listOfElements<T>(
  bytes: Uint8Array,
  at: number,
  end: number,
  rule: ListRule,
  visit: (at: number, end: number) => T,
): T[] {
  const items: T[] = [];
  walk(bytes, at, end, rule, (from, to) => items.push(visit(from, to)));
  return items;
}

function fault(rule: ListRule, field: string, at: number, problem: string): WireError {
  return new WireError(rule.structure, field, at, problem, rule.reply === undefined ? {} : { reply: rule.reply });
}
