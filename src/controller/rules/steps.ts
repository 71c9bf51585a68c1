import type { FieldName, Value } from '../../ofproto/index.ts';
import type { StateSlot, Table } from './pipeline.ts';

/** Some bits of a field or of a piece of state. */
export interface BitRange {
  readonly field: FieldName | StateSlot;
  readonly from: number;
  readonly count: number;
}

/** One thing that a rule or a group bucket does. Made by the helpers below. */
export type Step =
  | { readonly step: 'write'; readonly slot: StateSlot; readonly value: number | bigint }
  | { readonly step: 'set'; readonly field: FieldName; readonly value: Value }
  | {
      readonly step: 'move';
      readonly from: FieldName | StateSlot | BitRange;
      readonly to: FieldName | StateSlot | BitRange;
    }
  | { readonly step: 'load'; readonly to: FieldName | StateSlot | BitRange; readonly value: number | bigint }
  | { readonly step: 'hash'; readonly to: FieldName | StateSlot | BitRange }
  | { readonly step: 'output'; readonly port: number; readonly maxLen: number }
  | { readonly step: 'group'; readonly id: number }
  | { readonly step: 'meter'; readonly id: number }
  | { readonly step: 'decTtl' }
  | { readonly step: 'popVlan' }
  | { readonly step: 'next'; readonly table: Table };

/** Longest part of a frame that reaches the controller when nothing else is said: all of it. */
const wholeFrame = 0xffff;
const controllerPort = 0xffff_fffd;
const inPortNumber = 0xffff_fff8;

/** Writes a piece of state for later tables. */
export const write = (slot: StateSlot, value: number | bigint): Step => ({ step: 'write', slot, value });

/** Sets a header field. A number for fields up to 48 bits, a bigint above; either is taken for both. */
export const set = (field: FieldName, value: Value): Step => ({ step: 'set', field, value });

/** Copies a field, a piece of state, or some bits of them (`bits`), onto as many bits of another. */
export const move = (from: FieldName | StateSlot | BitRange, to: FieldName | StateSlot | BitRange): Step => ({
  step: 'move',
  from,
  to,
});

/** Loads a constant of up to 64 bits into some bits of a field or a piece of state. */
export const load = (to: FieldName | StateSlot | BitRange, value: number | bigint): Step => ({
  step: 'load',
  to,
  value,
});

/**
 * Fills up to 15 bits of a field or a piece of state with a hash of the packet's IP addresses and TCP, UDP or SCTP ports, the same in both
 * directions; 0 for what is not IP. Open vSwitch only. Its datapath then tells each such flow apart: one entry a flow in its cache.
 */
export const hashTo = (to: FieldName | StateSlot | BitRange): Step => ({ step: 'hash', to });

/** `count` bits of a field or a piece of state, from bit `from` on (0 = least significant). */
export const bits = (field: FieldName | StateSlot, from: number, count: number): BitRange => ({ field, from, count });

/** Sends the packet out of a port. Not the port it came from: a switch drops that silently; use `inPort`. */
export const output = (port: number): Step => ({ step: 'output', port, maxLen: 0 });

/** Sends the packet back out of the port it came from. */
export const inPort: Step = { step: 'output', port: inPortNumber, maxLen: 0 };

/** Shows the first `maxLen` bytes of the packet to the controller; all of it by default. */
export const toController = (maxLen: number = wholeFrame): Step => ({ step: 'output', port: controllerPort, maxLen });

/** Hands the packet to a group. */
export const toGroup = (id: number): Step => ({ step: 'group', id });

/** Lets the meter drop what is above its rate, before anything else happens. */
export const meterBy = (id: number): Step => ({ step: 'meter', id });

/** Decrements the IP TTL or hop limit. */
export const decTtl: Step = { step: 'decTtl' };

/** Removes the outer VLAN tag. */
export const popVlan: Step = { step: 'popVlan' };

/** Goes on to a later table. Comes last. */
export const next = (table: Table): Step => ({ step: 'next', table });
