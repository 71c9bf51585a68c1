import {
  type Bucket,
  Group,
  GroupType,
  MeterFlag,
  Port,
  writeBands,
  writeBuckets,
  written,
} from '../../ofproto/index.ts';
import { InvariantError } from '../kernel/index.ts';
import { groupKey, meterKey } from './keys.ts';
import { actionOf } from './rule.ts';
import type { Step } from './steps.ts';
import type { GroupRule, MeterRule } from './types.ts';

/** One way on for a packet. */
export interface BucketSpec {
  /** Set, move, load, output, toGroup, decTtl, popVlan; no writes of metadata, no next. */
  readonly actions: readonly Step[];
  /** Port whose being up makes this bucket usable; for `select` and `fastFailover`. */
  readonly watchPort?: number;
  /** Share of a `select` group; 1 by default. */
  readonly weight?: number;
}

/** A group as compilers state it. */
export interface GroupSpec {
  /** From `GroupId`. */
  readonly id: number;
  /** `all`: a copy to each bucket. `select`: one by flow hash. `indirect`: the only one. `fastFailover`: the first that is up. */
  readonly type: keyof typeof GroupType;
  readonly buckets: readonly BucketSpec[];
}

/** Compiles a group. Throws InvariantError for what a switch would refuse. */
export function group(spec: GroupSpec): GroupRule {
  const { id, type } = spec;
  const refuse = (problem: string): InvariantError =>
    new InvariantError(`group 0x${id.toString(16)}: ${problem}`, { id });
  if (type === 'indirect' && spec.buckets.length !== 1)
    throw refuse(`indirect with ${spec.buckets.length} buckets, 1 wanted`);
  const refs: number[] = [];
  const buckets: Bucket[] = [];
  for (const { actions, watchPort, weight } of spec.buckets) {
    if (type === 'fastFailover' && watchPort === undefined) throw refuse('a fast-failover bucket needs a watch port');
    if (watchPort !== undefined && (type === 'all' || type === 'indirect')) throw refuse(`${type} watches no port`);
    if (weight !== undefined && (type !== 'select' || weight < 1)) throw refuse(`weight ${weight}`);
    for (const step of actions) if (step.step === 'group') refs.push(step.id);
    buckets.push({
      weight: type === 'select' ? (weight ?? 1) : 0,
      watchPort: watchPort ?? Port.any,
      watchGroup: Group.any,
      actions: actions.map(actionOf),
    });
  }
  if (refs.includes(id)) throw refuse('refers to itself');
  return {
    kind: 'group',
    groupId: id,
    type: GroupType[type],
    buckets: written((writer) => writeBuckets(writer, buckets)),
    refs,
    key: groupKey(id),
  };
}

/** A meter as compilers state it: what is above the rate is dropped. */
export interface MeterSpec {
  /** From `MeterId`. */
  readonly id: number;
  readonly unit: 'kbps' | 'pktps';
  /** Kilobits or packets a second. */
  readonly rate: number;
  /** Kilobits or packets that may come at once; the switch decides when absent. */
  readonly burst?: number;
}

/** Compiles a meter. Throws InvariantError for a rate below 1. */
export function meter(spec: MeterSpec): MeterRule {
  const { id, unit, rate, burst } = spec;
  if (!Number.isInteger(rate) || rate < 1 || rate > 0xffff_ffff) {
    throw new InvariantError(`meter ${id}: rate ${rate}; a whole number from 1 wanted`, { id });
  }
  const bands = written((writer) => writeBands(writer, [{ type: 'drop', rate, burstSize: burst ?? 0 }]));
  const flags = MeterFlag[unit] | MeterFlag.stats | (burst === undefined ? 0 : MeterFlag.burst);
  return { kind: 'meter', meterId: id, flags, bands, key: meterKey(id) };
}
