import type { Attachment, Dpid, Mac } from '../../controller/index.ts';
import type { Scheduled } from './wheel.ts';

/** Frames a second that one port may make us look at, and how many at once. */
const BUDGET = { perSecond: 10, burst: 20 } as const;

/** What discovery keeps of a port that can carry probes. Times are monotonic, in ms. */
export interface ProbedPort extends Scheduled {
  readonly owner: ProbedSwitch;
  /** Also its key: dpid and number. */
  readonly at: Attachment;
  mac: Mac;
  role: 'pending' | 'edge' | 'link';
  /** Pending because its switch was seen for the first time, so that neighbours may have taken it for hosts meanwhile. */
  fresh: boolean;
  /** Probes sent since it became pending. */
  sent: number;
  /** When it was first known that a probe would have been heard; −1 before. */
  heldFrom: number;
  /** Its proven cable went silent: it may still be there, so the port shall not become an edge by itself. */
  silent: boolean;
  /** Probes sent out of it in a row that did not arrive where its link leads. */
  missed: number;
  /** Where an edge's probe arrived, as long as the other direction is not proven. */
  claim: { readonly to: Attachment; readonly at: number } | undefined;
  /** When a probe was last sent as an answer; bounds answers. */
  answeredAt: number;
  /** Frames it may still make us look at, as of `budgetAt`. */
  budget: number;
  budgetAt: number;
  /** Refusals since the last event about them, and when that was. */
  refused: number;
  refusedAt: number;
}

/** What discovery keeps of a switch that has been connected. */
export interface ProbedSwitch {
  readonly dpid: Dpid;
  /** Monotonic. */
  readonly upAt: number;
  /** Known to show us sooner or later what we send into its tables, so it is worth waiting for. */
  readonly patient: boolean;
  connected: boolean;
  /** A probe that we sent into its own pipeline came back: its rules would show us probes of others, too. */
  listening: boolean;
  readonly ports: Map<number, ProbedPort>;
}

/** A port of which nothing is known yet. */
export const newPort = (owner: ProbedSwitch, port: number, mac: Mac): ProbedPort => ({
  slot: -1,
  owner,
  at: { dpid: owner.dpid, port },
  mac,
  role: 'edge',
  fresh: false,
  sent: 0,
  heldFrom: -1,
  silent: false,
  missed: 0,
  claim: undefined,
  answeredAt: Number.NEGATIVE_INFINITY,
  budget: BUDGET.burst,
  budgetAt: 0,
  refused: 0,
  refusedAt: Number.NEGATIVE_INFINITY,
});

/** Takes one frame off the port's budget; false when it is used up. */
export function withinBudget(port: ProbedPort, now: number): boolean {
  const gained = ((now - port.budgetAt) * BUDGET.perSecond) / 1_000;
  port.budget = Math.min(BUDGET.burst, port.budget + gained);
  port.budgetAt = now;
  if (port.budget < 1) return false;
  port.budget--;
  return true;
}

/** A fraction from 0 to 1 that differs between ports and stays the same: spreads what would else happen at once. */
export function phaseOf({ dpid, port }: Attachment): number {
  let hash = port >>> 0;
  for (let i = 0; i < dpid.length; i++) hash = (Math.imul(hash, 31) + dpid.charCodeAt(i)) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b_3c6d) >>> 0;
  return ((hash ^ (hash >>> 12)) >>> 0) / 0x1_0000_0000;
}
