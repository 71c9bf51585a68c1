import {
  type Action,
  canonicalList,
  encodeMatchList,
  FlowModCommand,
  Group,
  GroupModCommand,
  type Instruction,
  type MessageOf,
  Meter,
  MeterModCommand,
  type OxmEntry,
  Port,
  TableId,
} from '../ofproto/index.ts';

export type FlowMod = MessageOf<'flowMod'>;
export type GroupMod = MessageOf<'groupMod'>;
export type MeterMod = MessageOf<'meterMod'>;
/** A change of what a switch holds. */
export type Mod = FlowMod | GroupMod | MeterMod;

/** An error with which a switch answers: OFPET_* and its code. */
export interface Refusal {
  readonly type: number;
  readonly code: number;
}

/** A flow that is gone, and why (OFPRR_*); told to the controller when the flow asked for it. */
export interface RemovedFlow {
  readonly flow: FlowMod;
  readonly reason: number;
}

const error = {
  groupExists: { type: 6, code: 0 },
  unknownGroup: { type: 6, code: 8 },
  meterExists: { type: 12, code: 1 },
  unknownMeter: { type: 12, code: 3 },
  badOutGroup: { type: 2, code: 9 },
  tableFull: { type: 5, code: 1 },
  badTable: { type: 5, code: 2 },
  badCommand: { type: 5, code: 6 },
  badGroupCommand: { type: 6, code: 11 },
  badMeterCommand: { type: 12, code: 5 },
} as const satisfies Record<string, Refusal>;

/** The parts of a flow that a filter looks at; a flow-mod and a statistics request have them. */
export interface FlowFilter {
  readonly tableId: number;
  readonly cookie: bigint;
  readonly cookieMask: bigint;
  readonly outPort: number;
  readonly outGroup: number;
  readonly match: readonly OxmEntry[];
}

const keyOf = (flow: Pick<FlowMod, 'tableId' | 'priority' | 'match'>): string =>
  `${flow.tableId}.${flow.priority}.${encodeMatchList(canonicalList(flow.match, false)).toString('latin1')}`;

const actionsOf = (instructions: readonly Instruction[]): readonly Action[] =>
  instructions.flatMap((each) => (each.type === 'applyActions' || each.type === 'writeActions' ? each.actions : []));

/** True when a flow hands packets to a group. */
export const usesGroup = ({ instructions }: FlowMod, id: number): boolean =>
  actionsOf(instructions).some((action) => action.type === 'group' && action.groupId === id);

/** True when a flow measures by a meter. */
export const usesMeter = ({ instructions }: FlowMod, id: number): boolean =>
  instructions.some((each) => each.type === 'meter' && each.meterId === id);

/** True when every field of `general` is in `special` with the same value: OpenFlow 1.3.5 §6.4, non-strict matching. */
function covers(general: readonly OxmEntry[], special: readonly OxmEntry[]): boolean {
  if (general.length === 0) return true;
  const given = new Set(special.map((entry) => encodeMatchList([entry]).toString('latin1')));
  return general.every((entry) => given.has(encodeMatchList([entry]).toString('latin1')));
}

/**
 * What one switch holds: flows, groups, meters. Takes changes as OpenFlow 1.3.5 §6.4–6.7 has them and refuses as Open vSwitch does.
 * Does not count packets and lets nothing run out by itself.
 */
export class SwitchTables {
  readonly flows = new Map<string, FlowMod>();
  readonly groups = new Map<number, GroupMod>();
  readonly meters = new Map<number, MeterMod>();
  /** Flows that fit; more are refused with OFPFMFC_TABLE_FULL. */
  capacity = Number.POSITIVE_INFINITY;
  /** Hears of flows that were deleted. */
  onRemoved: (removed: RemovedFlow) => void = () => {};
  /** Raised by every change. */
  version = 0;
  /** How to take back what a bundle did so far. */
  #undo: (() => void)[] | undefined;

  /** Carries out a change, or answers why not; then nothing is changed. */
  apply(mod: Mod): Refusal | undefined {
    this.version++;
    if (mod.type === 'flowMod') return this.#flow(mod);
    return mod.type === 'groupMod' ? this.#group(mod) : this.#meter(mod);
  }

  /** All or none. Answers the first that is refused. */
  commit(
    mods: readonly Mod[],
    apply = (mod: Mod): Refusal | undefined => this.apply(mod),
  ): { readonly mod: Mod; readonly refusal: Refusal } | undefined {
    const undo: (() => void)[] = [];
    const removed: RemovedFlow[] = [];
    const tell = this.onRemoved;
    this.onRemoved = (each) => removed.push(each);
    this.#undo = undo;
    try {
      for (const mod of mods) {
        const refusal = apply(mod);
        if (!refusal) continue;
        for (const step of undo.reverse()) step();
        return { mod, refusal };
      }
    } finally {
      this.onRemoved = tell;
      this.#undo = undefined;
    }
    for (const each of removed) tell(each);
    return undefined;
  }

  /** Flows that a filter asks for. */
  *select(filter: FlowFilter): Generator<readonly [key: string, flow: FlowMod]> {
    for (const entry of this.flows) if (fits(entry[1], filter)) yield entry;
  }

  /** Flows for which this holds. */
  users(uses: (flow: FlowMod) => boolean): number {
    let count = 0;
    for (const flow of this.flows.values()) if (uses(flow)) count++;
    return count;
  }

  #flow(mod: FlowMod): Refusal | undefined {
    if (mod.tableId === TableId.all && mod.command < FlowModCommand.delete) return error.badTable;
    switch (mod.command) {
      case FlowModCommand.add:
        return this.#add(mod);
      case FlowModCommand.modify:
      case FlowModCommand.modifyStrict: {
        const refusal = this.#checkRefs(mod);
        if (refusal) return refusal;
        for (const [key, flow] of this.#named(mod, mod.command === FlowModCommand.modifyStrict)) {
          this.#set(this.flows, key, { ...flow, instructions: mod.instructions });
        }
        return undefined;
      }
      case FlowModCommand.delete:
      case FlowModCommand.deleteStrict:
        for (const [key] of [...this.#named(mod, mod.command === FlowModCommand.deleteStrict)]) this.#drop(key, 2);
        return undefined;
      default:
        return error.badCommand;
    }
  }

  #add(mod: FlowMod): Refusal | undefined {
    const refusal = this.#checkRefs(mod);
    if (refusal) return refusal;
    const key = keyOf(mod);
    if (this.flows.size >= this.capacity && !this.flows.has(key)) return error.tableFull;
    this.#set(this.flows, key, mod);
    return undefined;
  }

  /** Flows that a modification or deletion names. A strict one names one at most, which is found without a search. */
  *#named(mod: FlowMod, strict: boolean): Generator<readonly [key: string, flow: FlowMod]> {
    if (!strict) {
      yield* this.select(mod);
      return;
    }
    const key = keyOf(mod);
    const flow = this.flows.get(key);
    if (flow && fits(flow, { ...mod, match: [] })) yield [key, flow];
  }

  #checkRefs({ instructions }: FlowMod): Refusal | undefined {
    for (const each of instructions) {
      if (each.type === 'meter' && !this.meters.has(each.meterId)) return error.unknownMeter;
    }
    return this.#checkGroups(actionsOf(instructions));
  }

  #checkGroups(actions: readonly Action[]): Refusal | undefined {
    const missing = actions.some((action) => action.type === 'group' && !this.groups.has(action.groupId));
    return missing ? error.badOutGroup : undefined;
  }

  #group(mod: GroupMod): Refusal | undefined {
    const exists = this.groups.has(mod.groupId);
    switch (mod.command) {
      case GroupModCommand.add:
      case GroupModCommand.modify: {
        if (mod.command === GroupModCommand.add ? exists : !exists) {
          return exists ? error.groupExists : error.unknownGroup;
        }
        const refusal = this.#checkGroups(mod.buckets.flatMap(({ actions }) => actions));
        if (refusal) return refusal;
        this.#set(this.groups, mod.groupId, mod);
        return undefined;
      }
      case GroupModCommand.delete:
        for (const id of mod.groupId === Group.all ? [...this.groups.keys()] : [mod.groupId]) this.#dropGroup(id);
        return undefined;
      default:
        return error.badGroupCommand;
    }
  }

  /** Flows that use a group go with it. */
  #dropGroup(id: number): void {
    if (!this.#delete(this.groups, id)) return;
    for (const [key, flow] of [...this.flows]) if (usesGroup(flow, id)) this.#drop(key, 3);
  }

  #meter(mod: MeterMod): Refusal | undefined {
    const exists = this.meters.has(mod.meterId);
    switch (mod.command) {
      case MeterModCommand.add:
        if (exists) return error.meterExists;
        this.#set(this.meters, mod.meterId, mod);
        return undefined;
      case MeterModCommand.modify:
        if (!exists) return error.unknownMeter;
        this.#set(this.meters, mod.meterId, mod);
        return undefined;
      case MeterModCommand.delete:
        for (const id of mod.meterId === Meter.all ? [...this.meters.keys()] : [mod.meterId]) this.#dropMeter(id);
        return undefined;
      default:
        return error.badMeterCommand;
    }
  }

  #dropMeter(id: number): void {
    if (!this.#delete(this.meters, id)) return;
    for (const [key, flow] of [...this.flows]) if (usesMeter(flow, id)) this.#drop(key, 2);
  }

  #set<K, V>(map: Map<K, V>, key: K, value: V): void {
    const before = map.get(key);
    this.#undo?.push(() => (before === undefined ? map.delete(key) : map.set(key, before)));
    map.set(key, value);
  }

  #delete<K, V>(map: Map<K, V>, key: K): boolean {
    const before = map.get(key);
    if (before === undefined) return false;
    this.#undo?.push(() => map.set(key, before));
    return map.delete(key);
  }

  #drop(key: string, reason: number): void {
    const flow = this.flows.get(key);
    if (!flow) return;
    this.#delete(this.flows, key);
    this.onRemoved({ flow, reason });
  }
}

function fits(flow: FlowMod, filter: FlowFilter): boolean {
  if (filter.tableId !== TableId.all && filter.tableId !== flow.tableId) return false;
  if ((flow.cookie & filter.cookieMask) !== (filter.cookie & filter.cookieMask)) return false;
  const actions = filter.outPort === Port.any && filter.outGroup === Group.any ? [] : actionsOf(flow.instructions);
  if (filter.outPort !== Port.any && !actions.some((each) => each.type === 'output' && each.port === filter.outPort)) {
    return false;
  }
  if (
    filter.outGroup !== Group.any &&
    !actions.some((each) => each.type === 'group' && each.groupId === filter.outGroup)
  ) {
    return false;
  }
  return covers(filter.match, flow.match);
}
