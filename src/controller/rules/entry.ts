import type { Dpid } from '../kernel/index.ts';
import { sameRule } from './compare.ts';
import { cookieHi } from './cookie.ts';
import type { Owner, Placement, Rule } from './types.ts';

/** An owner that holds rules, or whose rules could not be made. */
export interface OwnerState {
  readonly owner: Owner;
  readonly at: Map<Dpid, Placed>;
  /** How many of `at` are not confirmed. */
  unconfirmed: number;
  /** Revision it was compiled from last. */
  revision: number;
  /** What compiling it threw; undefined when it went well. */
  problem: string | undefined;
  /** Flows that it wants, over all switches. */
  flows: number;
  /** What waits until the lead of it has confirmed its part. */
  held: { readonly placement: Placement; readonly lead: Dpid } | undefined;
}

/** One owner's rules on one switch. */
export interface Placed {
  readonly by: OwnerState;
  readonly dpid: Dpid;
  rules: readonly Rule[];
  revision: number;
  state: 'confirmed' | 'pending' | 'failed';
}

/** Why a switch refused an entry. */
export interface EntryFailure {
  readonly type: string;
  readonly error: string;
  readonly attempts: number;
}

/** One rule of one switch: what is wanted, and what is there as far as we know. */
export interface Entry {
  readonly key: string;
  wanted: Rule | undefined;
  /** Whose rule is wanted; the lowest owner key when several owners want the same. */
  by: Placed | undefined;
  /** All that want it, when they are more than one. */
  claims: { readonly placed: Placed; rule: Rule }[] | undefined;
  present: Rule | undefined;
  presentHi: number;
  presentLo: number;
  failure: EntryFailure | undefined;
  inFlight: Op | undefined;
  /** Number of the last batch that carried it. */
  batch: number;
  /** Number of the last read-back that saw it. */
  seen: number;
}

/** One message of a batch. */
export interface Op {
  readonly entry: Entry;
  readonly command: 'add' | 'modify' | 'delete';
  /** What to write, or to take away. */
  readonly rule: Rule;
  readonly hi: number;
  readonly lo: number;
}

/** What goes to a switch together, and who waits for it. */
export interface Batch {
  readonly number: number;
  readonly ops: readonly Op[];
  readonly gathered: Set<Placed>;
}

/** A comparison with a switch that is in use. */
export interface Check {
  readonly run: number;
  /** Newest batch when it began: what later ones carry is not compared. */
  readonly since: number;
}

/** True when another owner's different rule took the place of this one. */
export const isLost = (entry: Entry, placed: Placed, rule: Rule): boolean =>
  entry.claims !== undefined && entry.by !== placed && entry.wanted !== undefined && !sameRule(entry.wanted, rule);

/** All that want an entry, with what they want. */
export function claimsOf(entry: Entry): readonly { readonly placed: Placed; readonly rule: Rule }[] {
  if (entry.claims) return entry.claims;
  return entry.by && entry.wanted ? [{ placed: entry.by, rule: entry.wanted }] : [];
}

/** True when what is there is what is wanted, and nothing has to be sent. */
export function isClean(entry: Entry): boolean {
  const { wanted, present } = entry;
  if (!wanted || !present) return wanted === present;
  if (!sameRule(wanted, present)) return false;
  const owner = entry.by!.by.owner;
  return wanted.kind !== 'flow' || (entry.presentHi === cookieHi(owner.app) && entry.presentLo === owner.id);
}

/** The message that brings an entry to what is wanted. */
export function opFor(entry: Entry): Op {
  const { wanted, present } = entry;
  if (!wanted) {
    return { entry, command: 'delete', rule: present!, hi: entry.presentHi, lo: entry.presentLo };
  }
  const owner = entry.by!.by.owner;
  // A flow is always added: that replaces what is there, and cannot miss when it is not.
  const command = wanted.kind !== 'flow' && present ? 'modify' : 'add';
  return { entry, command, rule: wanted, hi: cookieHi(owner.app), lo: owner.id };
}

/** True when what was sent is still what is wanted. */
export const stillMeant = (entry: Entry, op: Op): boolean =>
  op.command === 'delete' ? entry.wanted === undefined : entry.wanted === op.rule;

/** True when two lists hold the same rules in the same order. */
export const sameList = (a: readonly Rule[], b: readonly Rule[]): boolean =>
  a === b || (a.length === b.length && a.every((rule, i) => sameRule(rule, b[i]!)));
