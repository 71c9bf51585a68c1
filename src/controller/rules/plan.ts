import type { Dpid } from '../kernel/index.ts';
import type { Owner, Placement } from './types.ts';

/** An owner and what it would want. */
export type PlacementChange = readonly [owner: Owner, placement: Placement];

/** Rules that a change adds to, modifies on, and deletes from a switch. */
export interface SwitchDelta {
  readonly switch: Dpid;
  readonly add: number;
  readonly modify: number;
  readonly delete: number;
}
