import type { Dpid } from '../kernel/index.ts';

/** Why a switch does not hold a rule. */
export interface RuleFailure {
  /** The rule as text. */
  readonly rule: string;
  /** Names of the switch's error, e.g. `OFPET_FLOW_MOD_FAILED` / `OFPFMFC_TABLE_FULL`; `conflict` when another owner's rule won. */
  readonly type: string;
  readonly error: string;
  /** How often it was tried. */
  readonly attempts: number;
}

/**
 * How far rules are on a switch. `confirmed`: it holds them. `pending`: on their way. `failed`: it refused some of them;
 * they are tried again. `disconnected`: it is not there; the rules go out when it is back.
 */
export type PlacedState = 'confirmed' | 'pending' | 'failed' | 'disconnected';

/** Rules of one owner, or of all owners of an object, on one switch. */
export interface SwitchStatus {
  readonly dpid: Dpid;
  readonly state: PlacedState;
  /** Revision of the desired state that these rules were compiled from. */
  readonly revision: number;
  readonly rules: number;
  readonly failures: readonly RuleFailure[];
}

/**
 * Where an owner or an object stands. `state` is the worst of its switches: failed, then pending, then disconnected, then
 * confirmed. `revision` is that of the desired state which the switches hold; for what is confirmed it follows every
 * change that was compiled, also when the change did not concern these rules.
 */
export interface RuleStatus {
  readonly state: PlacedState;
  readonly revision: number;
  /** By datapath id, ascending. */
  readonly switches: readonly SwitchStatus[];
  /** Bugs of ours that kept rules from being made. */
  readonly problems: readonly string[];
}

const order: Readonly<Record<PlacedState, number>> = { confirmed: 0, disconnected: 1, pending: 2, failed: 3 };

/** The worse of two states. */
export const worse = (a: PlacedState, b: PlacedState): PlacedState => (order[a] >= order[b] ? a : b);
