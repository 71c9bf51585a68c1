import {
  type Action,
  encodeInstructions,
  encodeMatch,
  type FieldName,
  fieldList,
  fields,
  type Instruction,
  isFieldName,
  type KnownEntry,
  listOf,
  type Masked,
  type Match,
  OxmClass,
  unmet,
  type Value,
} from '../../ofproto/index.ts';
import { InvariantError } from '../kernel/index.ts';
import { flowKey } from './keys.ts';
import { type StateSlot, stateSlot, type Table } from './pipeline.ts';
import type { BitRange, Step } from './steps.ts';
import type { FlowRule } from './types.ts';

/** What a rule matches one field or piece of state with. A bigint is taken for small fields too, a number for large. */
export type MatchValue = Value | { readonly value: number | bigint; readonly mask: number | bigint };

/** A rule as compilers state it. */
export interface RuleSpec<M extends string> {
  /** By name: `Priority.exact`. */
  readonly priority: number;
  /** Fields and state by name; those the table lists. */
  readonly match: { readonly [F in M]?: MatchValue };
  /** What happens to the packet, in this order. Empty: it is dropped. */
  readonly do: readonly Step[];
  /** Seconds without a packet after which the flow goes; 0 (default) never. */
  readonly idleTimeout?: number;
  /** Seconds after which the flow goes; 0 (default) never. */
  readonly hardTimeout?: number;
  /** OFPFF_*, e.g. `FlowModFlag.sendFlowRemoved`. */
  readonly flags?: number;
}

/**
 * Compiles a rule for a table into canonical bytes. Throws InvariantError for anything the table's declaration does not
 * allow, for a missing prerequisite, and for a value that does not fit.
 */
export function rule<M extends string>(table: Table<M>, spec: RuleSpec<M>): FlowRule {
  try {
    const match = matchOfSpec(table, spec.match);
    // Into the shared pool: a buffer of its own would cost more than the bytes in it.
    const matchBytes = Buffer.from(encodeMatch(match));
    const instructions = shared(encodeInstructions(instructionsOf(table, spec.do, listOf(match) as KnownEntry[])));
    return {
      kind: 'flow',
      tableId: table.id,
      priority: spec.priority,
      match: matchBytes,
      instructions,
      idleTimeout: spec.idleTimeout ?? 0,
      hardTimeout: spec.hardTimeout ?? 0,
      flags: spec.flags ?? 0,
      key: flowKey(table.id, spec.priority, matchBytes),
    };
  } catch (error) {
    if (error instanceof InvariantError) throw error;
    throw new InvariantError(
      `rule in table ${table.name}: ${error instanceof Error ? error.message : String(error)}`,
      { table: table.name },
      { cause: error },
    );
  }
}

const sharedBytes = new Map<string, Buffer>();
const maxShared = 4096;

/** One buffer for equal instruction lists: most rules say one of a few things. */
function shared(bytes: Buffer): Buffer {
  const key = bytes.toString('latin1');
  const known = sharedBytes.get(key);
  if (known) return known;
  if (sharedBytes.size >= maxShared) sharedBytes.clear();
  sharedBytes.set(key, bytes);
  return bytes;
}

function refuse(table: Table, problem: string): InvariantError {
  return new InvariantError(`rule in table ${table.name}: ${problem}`, { table: table.name });
}

function matchOfSpec(table: Table, given: { readonly [name: string]: MatchValue | undefined }): Match {
  const match: { [F in FieldName]?: Value | Masked } = {};
  for (const name in given) {
    const value = given[name];
    if (value === undefined) continue;
    if (!table.match.includes(name)) throw refuse(table, `it does not declare that it matches ${name}`);
    const slot = stateSlot(name);
    if (slot) {
      if (match[slot.field as FieldName] !== undefined) {
        match[slot.field as FieldName] = merged(
          match[slot.field as FieldName] as Masked,
          slotMatch(table, slot, value),
        );
      } else match[slot.field as FieldName] = slotMatch(table, slot, value);
    } else if (isFieldName(name)) {
      match[name] = isMasked(value)
        ? { value: fitted(name, value.value), mask: fitted(name, value.mask) }
        : fitted(name, value);
    } else throw refuse(table, `there is no field or state ${name}`);
  }
  return match;
}

const isMasked = (value: MatchValue): value is Exclude<MatchValue, Value> =>
  typeof value === 'object' && !(value instanceof Uint8Array);

/** The form that the codec wants: number up to 48 bits, bigint above. */
function fitted(field: FieldName, value: Value): Value {
  const { bits } = fields[field];
  if (typeof value === 'number' && bits > 48) return BigInt(value);
  if (typeof value === 'bigint' && bits <= 48) return Number(value);
  return value;
}

function merged(a: Masked, b: Masked): Masked {
  const both = (x: Value, y: Value): Value => {
    const sum = BigInt(x as number | bigint) | BigInt(y as number | bigint);
    return typeof x === 'bigint' ? sum : Number(sum);
  };
  return { value: both(a.value, b.value), mask: both(a.mask, b.mask) };
}

function slotMatch(table: Table, slot: StateSlot, given: MatchValue): Masked {
  const { value, mask } = isMasked(given) ? given : { value: given as number | bigint, mask: slotFull(slot) };
  const shift = BigInt(slot.offset);
  if (BigInt(value) > slotFull(slot) || BigInt(mask) > slotFull(slot)) {
    throw refuse(table, `${value} does not fit state ${slot.name}`);
  }
  const field = slot.field as FieldName;
  return { value: fitted(field, BigInt(value) << shift), mask: fitted(field, BigInt(mask) << shift) };
}

const slotFull = (slot: StateSlot): bigint => (1n << BigInt(slot.bits)) - 1n;

/** What a list of steps amounts to; shared by rules and buckets. */
interface Compiled {
  readonly actions: Action[];
  meter: number | undefined;
  metadata: bigint;
  metadataMask: bigint;
  next: Table | undefined;
}

function instructionsOf(table: Table, steps: readonly Step[], match: readonly KnownEntry[]): Instruction[] {
  const compiled: Compiled = { actions: [], meter: undefined, metadata: 0n, metadataMask: 0n, next: undefined };
  for (const step of steps) {
    if (compiled.next) throw refuse(table, `nothing can follow next(${compiled.next.name})`);
    compileStep(table, step, match, compiled);
  }
  const list: Instruction[] = [];
  // In the order in which a switch carries them out, and in which Open vSwitch reads them back.
  if (compiled.meter !== undefined) list.push({ type: 'meter', meterId: compiled.meter });
  if (compiled.actions.length > 0) list.push({ type: 'applyActions', actions: compiled.actions });
  if (compiled.metadataMask !== 0n) {
    list.push({ type: 'writeMetadata', metadata: compiled.metadata, mask: compiled.metadataMask });
  }
  if (compiled.next) list.push({ type: 'gotoTable', tableId: compiled.next.id });
  return list;
}

function compileStep(table: Table, step: Step, match: readonly KnownEntry[], out: Compiled): void {
  switch (step.step) {
    case 'next':
      if (!table.next.includes(step.table.name)) throw refuse(table, `it does not declare next ${step.table.name}`);
      out.next = step.table;
      break;
    case 'meter':
      if (out.meter !== undefined) throw refuse(table, 'one meter at most');
      out.meter = step.id;
      break;
    case 'write':
      mayWrite(table, step.slot);
      if (BigInt(step.value) > slotFull(step.slot)) {
        throw refuse(table, `${step.value} does not fit state ${step.slot.name}`);
      }
      if (step.slot.field === 'metadata') {
        out.metadata |= BigInt(step.value) << BigInt(step.slot.offset);
        out.metadataMask |= slotFull(step.slot) << BigInt(step.slot.offset);
      } else out.actions.push(writeSlot(step.slot, step.value));
      break;
    default:
      checkSources(table, step, match, out);
      out.actions.push(actionOf(step));
  }
}

/** What actions write and read must be declared, and exist in the packets that the rule takes. */
function checkSources(table: Table, step: Step, match: readonly KnownEntry[], out: Compiled): void {
  const named = (target: FieldName | StateSlot | BitRange): FieldName | StateSlot =>
    typeof target === 'object' && 'from' in target ? target.field : target;
  const exists = (target: FieldName | StateSlot): void => {
    if (typeof target === 'object') return;
    const missing = unmet(fields[target].needs, match);
    if (missing !== undefined) throw refuse(table, `${target} needs a match of ${missing}`);
  };
  if (step.step === 'set') {
    mayWrite(table, step.field);
    exists(step.field);
  } else if (step.step === 'load' || step.step === 'hash') {
    mayWrite(table, named(step.to));
    exists(named(step.to));
  } else if (step.step === 'move') {
    mayWrite(table, named(step.to));
    exists(named(step.to));
    exists(named(step.from));
    const from = named(step.from);
    // Metadata is written after all actions, whatever the order here: a move would read the old value.
    if (out.metadataMask !== 0n && typeof from === 'object' && from.field === 'metadata') {
      throw refuse(table, `${from.name} is read before it is written`);
    }
  } else if (step.step === 'decTtl') {
    const missing = unmet('ip', match);
    if (missing !== undefined) throw refuse(table, `decTtl needs a match of ${missing}`);
  } else if (step.step === 'popVlan') {
    const missing = unmet('vlan', match);
    if (missing !== undefined) throw refuse(table, `popVlan needs a match of ${missing}`);
  }
}

function mayWrite(table: Table, target: FieldName | StateSlot): void {
  const name = typeof target === 'object' ? target.name : target;
  if (!table.writes.includes(name)) throw refuse(table, `it does not declare that it writes ${name}`);
  if (typeof target === 'string' && !fields[target].writable) throw refuse(table, `${target} cannot be written`);
}

function writeSlot(slot: StateSlot, value: number | bigint): Action {
  const field = slot.field as FieldName;
  // The form in which Open vSwitch reads back a whole register is set-field, part of one is reg-load.
  if (slot.bits === slot.fieldBits) return { type: 'setField', field, value: fitted(field, value) };
  return { type: 'nxRegLoad', dst: { field, ofs: slot.offset, nBits: slot.bits }, value: BigInt(value) };
}

function rangeOf(target: FieldName | StateSlot | BitRange): { field: FieldName; ofs: number; nBits: number } {
  if (typeof target === 'string') return { field: target, ofs: 0, nBits: fields[target].bits };
  if (!('from' in target)) return { field: target.field as FieldName, ofs: target.offset, nBits: target.bits };
  const whole = rangeOf(target.field);
  if (target.from < 0 || target.count < 1 || target.from + target.count > whole.nBits) {
    throw new InvariantError(`${whole.field} has no bits ${target.from}…${target.from + target.count - 1}`);
  }
  return { field: whole.field, ofs: whole.ofs + target.from, nBits: target.count };
}

/** Fields by the header that Open vSwitch reads them back with in Nicira's actions: its own where it has one. */
const niciraForm = new Map<FieldName, FieldName>(
  fieldList.flatMap(({ name, aliasOf, bits, oxmClass }) =>
    aliasOf !== undefined && bits === fields[aliasOf].bits && oxmClass <= OxmClass.nxm1 ? [[aliasOf, name]] : [],
  ),
);

function niciraRange(target: FieldName | StateSlot | BitRange): { field: FieldName; ofs: number; nBits: number } {
  const range = rangeOf(target);
  return { ...range, field: niciraForm.get(range.field) ?? range.field };
}

/** NX_HASH_FIELDS_SYMMETRIC_L3L4_UDP, NX_MP_ALG_MODULO_N. */
const FLOW_HASH = { fields: 3, basis: 0, algorithm: 0, arg: 0 } as const;

/** The action of a step that is one action. */
export function actionOf(step: Step): Action {
  switch (step.step) {
    case 'set':
      return { type: 'setField', field: step.field, value: fitted(step.field, step.value) };
    case 'load': {
      const dst = niciraRange(step.to);
      if (BigInt(step.value) >> BigInt(dst.nBits) !== 0n) {
        throw new InvariantError(`${step.value} does not fit ${dst.nBits} bits of ${dst.field}`);
      }
      return { type: 'nxRegLoad', dst, value: BigInt(step.value) };
    }
    case 'hash': {
      const dst = niciraRange(step.to);
      if (dst.nBits > 15) throw new InvariantError(`a hash has 15 bits at most, not ${dst.nBits}`);
      return { type: 'nxMultipath', ...FLOW_HASH, maxLink: 2 ** dst.nBits - 1, dst };
    }
    case 'move': {
      const src = niciraRange(step.from);
      const dst = niciraRange(step.to);
      if (src.nBits !== dst.nBits) {
        throw new InvariantError(`${src.nBits} bits of ${src.field} do not fit ${dst.nBits} bits of ${dst.field}`);
      }
      return {
        type: 'nxRegMove',
        nBits: src.nBits,
        src: { field: src.field, ofs: src.ofs },
        dst: { field: dst.field, ofs: dst.ofs },
      };
    }
    case 'output':
      return { type: 'output', port: step.port, maxLen: step.maxLen };
    case 'group':
      return { type: 'group', groupId: step.id };
    case 'decTtl':
      return { type: 'decNwTtl' };
    case 'popVlan':
      return { type: 'popVlan' };
    default:
      throw new InvariantError(`${step.step} is not an action`);
  }
}
