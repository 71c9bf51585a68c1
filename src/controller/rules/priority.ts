/**
 * Priorities by name. Within a table, rules of the same priority must not overlap unless they do the same, so a compiler
 * chooses the name that says how specific its rule is.
 */
export const Priority = {
  /** Whatever nobody knows goes to the controller. Only the learn table has such a rule. */
  punt: 0,
  /** A table's way on for what it does not handle. */
  passThrough: 1,
  /** What a network does with a destination it does not know. */
  fallback: 100,
  /** Matches an address under a mask. */
  masked: 200,
  /** Matches one value of every field the table decides on. */
  exact: 300,
  /** Above exact: an exception to an exact rule, e.g. a narrower form of the same traffic. */
  exception: 400,
  /** What is allowed again although an exception refuses it: the narrowest form of the traffic. */
  permit: 450,
  /** Explicit refusals that nothing of the apps' own may overrule. */
  deny: 500,
  /** Control protocols (LLDP) that belong to us whatever port they arrive on. */
  control: 1000,
  /** The same on a port that is known to be a link, metered apart from what hosts may send. */
  linkControl: 1010,
} as const;
export type Priority = (typeof Priority)[keyof typeof Priority];

const names = new Map<number, string>(Object.entries(Priority).map(([name, value]) => [value, name]));

/** Name of a priority, or its number as text when it has none. */
export const priorityName = (priority: number): string => names.get(priority) ?? String(priority);
