import {
  AggregateStats,
  BandFixed,
  BucketFixed,
  canonicalMatch,
  copyOf,
  elementEnd,
  FlowModFlag,
  FlowRemovedReason,
  FlowStatsFixed,
  GroupDescFixed,
  GroupType,
  Header,
  MeterConfigFixed,
  MeterFlag,
  MultipartBody,
  matchEnd,
  readBuckets,
} from '../../ofproto/index.ts';
import { SwitchError } from '../kernel/index.ts';
import { sameRule } from './compare.ts';
import { isOurs } from './cookie.ts';
import { groupDescRequest, meterConfigRequest, ourFlowCountRequest, ourFlowsRequest } from './encode.ts';
import { isOurGroup, isOurMeter } from './ids.ts';
import { flowKey, groupKey, meterKey } from './keys.ts';
import type { Slicer } from './slicer.ts';
import type { FlowRule, GroupRule, MeterRule, Rule, SwitchChannel } from './types.ts';

/** A rule that a switch holds, and for flows its cookie in halves. */
export interface FoundRule {
  readonly rule: Rule;
  readonly hi: number;
  readonly lo: number;
}

/** What a switch holds. */
export interface Found {
  /** Ours: by cookie space for flows, by range of ids for groups and meters. */
  readonly rules: readonly FoundRule[];
  /** Ids of others' groups and meters. Others' flows are not even asked for. */
  readonly foreignGroups: readonly number[];
  readonly foreignMeters: readonly number[];
}

/** How the entries of these replies state their length. */
export const flowStatsElement = { structure: 'ofp_flow_stats', lengthAt: 0, min: FlowStatsFixed.size + 8 } as const;
/** As above. */
export const groupDescElement = { structure: 'ofp_group_desc', lengthAt: 0, min: GroupDescFixed.size } as const;
/** As above. */
export const meterConfigElement = { structure: 'ofp_meter_config', lengthAt: 0, min: MeterConfigFixed.size } as const;

/** Flags that a flow keeps; the others say only how it is added. */
const lastingFlags = FlowModFlag.sendFlowRemoved | FlowModFlag.noPacketCounts | FlowModFlag.noByteCounts;

/** An element of multipart replies: where it lies. */
export interface Element {
  readonly bytes: Buffer;
  readonly at: number;
  readonly end: number;
}

/** The elements in the pieces of a multipart reply, one by one. Throws WireError. */
export function* elements(
  pieces: readonly Buffer[],
  rule: { readonly structure: string; readonly lengthAt: number; readonly min: number },
): Generator<Element> {
  for (const bytes of pieces) {
    for (let at = Header.size + MultipartBody.size; at < bytes.length; ) {
      const end = elementEnd(bytes, at, bytes.length, rule);
      yield { bytes, at, end };
      at = end;
    }
  }
}

/** Reads what a switch holds, in canonical form. Rejects as `SwitchChannel.request` does, and with WireError. */
export async function readRules(channel: SwitchChannel, slicer: Slicer): Promise<Found> {
  const [meters, groups, flows] = await Promise.all([
    supported(channel.request(meterConfigRequest())),
    supported(channel.request(groupDescRequest())),
    channel.request(ourFlowsRequest()),
  ]);
  const rules: FoundRule[] = [];
  const foreignMeters: number[] = [];
  const foreignGroups: number[] = [];
  await slicer.each(elements(meters, meterConfigElement), (element) => {
    const rule = meterOf(element);
    if (isOurMeter(rule.meterId)) rules.push({ rule, hi: 0, lo: 0 });
    else foreignMeters.push(rule.meterId);
  });
  await slicer.each(elements(groups, groupDescElement), (element) => {
    const rule = groupOf(element);
    if (isOurGroup(rule.groupId)) rules.push({ rule, hi: 0, lo: 0 });
    else foreignGroups.push(rule.groupId);
  });
  await slicer.each(elements(flows, flowStatsElement), (element) => {
    const stats = FlowStatsFixed.view(element.bytes, element.at);
    // A switch that does not filter by cookie sends others' flows as well.
    if (isOurs(stats.cookieHi)) rules.push({ rule: flowOf(element), hi: stats.cookieHi, lo: stats.cookieLo });
  });
  return { rules, foreignGroups, foreignMeters };
}

/**
 * True when the switch holds so many flows of ours, and just these groups and meters of ours. False as well when it does not
 * tell. Rejects with TimeoutError, ClosedError and WireError.
 */
export async function holdsStill(
  channel: SwitchChannel,
  expected: { readonly flows: number; readonly others: ReadonlyMap<string, Rule> },
): Promise<boolean> {
  const [meters, groups, count] = await Promise.all([
    supported(channel.request(meterConfigRequest())),
    supported(channel.request(groupDescRequest())),
    supported(channel.request(ourFlowCountRequest())),
  ]);
  const at = Header.size + MultipartBody.size;
  const [reply] = count;
  if (!reply || reply.length < at + AggregateStats.size) return false;
  if (AggregateStats.view(reply, at).flowCount !== expected.flows) return false;
  let seen = 0;
  for (const element of elements(meters, meterConfigElement)) {
    const rule = meterOf(element);
    if (!isOurMeter(rule.meterId)) continue;
    seen++;
    const known = expected.others.get(rule.key);
    if (known === undefined || !sameRule(known, rule)) return false;
  }
  for (const element of elements(groups, groupDescElement)) {
    const { groupId, groupType } = GroupDescFixed.view(element.bytes, element.at);
    if (!isOurGroup(groupId)) continue;
    seen++;
    const known = expected.others.get(groupKey(groupId));
    if (known?.kind !== 'group' || known.type !== groupType || !known.buckets.equals(bucketsOf(element))) return false;
  }
  return seen === expected.others.size;
}

/** A switch without meters or groups refuses to list them: then it has none. */
async function supported(reply: Promise<readonly Buffer[]>): Promise<readonly Buffer[]> {
  try {
    return await reply;
  } catch (error) {
    if (error instanceof SwitchError) return [];
    throw error;
  }
}

/** The flow of an ofp_flow_stats, in canonical form. */
export function flowOf({ bytes, at, end }: Element): FlowRule {
  const stats = FlowStatsFixed.view(bytes, at);
  const matchAt = at + FlowStatsFixed.size;
  const instructionsAt = matchEnd(bytes, matchAt, end);
  const match = canonicalMatch(bytes, matchAt, end);
  return {
    kind: 'flow',
    tableId: stats.tableId,
    priority: stats.priority,
    match,
    instructions: copyOf(bytes, instructionsAt, end),
    idleTimeout: stats.idleTimeout,
    hardTimeout: stats.hardTimeout,
    flags: stats.flags & lastingFlags,
    key: flowKey(stats.tableId, stats.priority, match),
  };
}

/** The group of an ofp_group_desc, in canonical form. Throws WireError. */
export function groupOf(element: Element): GroupRule {
  const { groupId, groupType: type } = GroupDescFixed.view(element.bytes, element.at);
  const buckets = bucketsOf(element);
  return { kind: 'group', groupId, type, buckets, refs: groupRefs(buckets), key: groupKey(groupId) };
}

/** The buckets of an ofp_group_desc, in canonical form. */
function bucketsOf({ bytes, at, end }: Element): Buffer {
  const { groupType } = GroupDescFixed.view(bytes, at);
  const buckets = copyOf(bytes, at + GroupDescFixed.size, end);
  // Weights mean something in select groups only; a switch may still answer with some.
  if (groupType !== GroupType.select) {
    for (let here = 0; here + BucketFixed.size <= buckets.length; ) {
      const bucket = BucketFixed.view(buckets, here);
      bucket.weight = 0;
      if (bucket.length < BucketFixed.size) break;
      here += bucket.length;
    }
  }
  return buckets;
}

/** Ids of the groups that a bucket list hands packets to. Throws WireError. */
const groupRefs = (buckets: Buffer): number[] =>
  readBuckets(buckets, 0, buckets.length).flatMap(({ actions }) =>
    actions.flatMap((action) => (action.type === 'group' ? [action.groupId] : [])),
  );

/** The meter of an ofp_meter_config, in canonical form. */
export function meterOf({ bytes, at, end }: Element): MeterRule {
  const config = MeterConfigFixed.view(bytes, at);
  const bands = copyOf(bytes, at + MeterConfigFixed.size, end);
  // Without the flag the size of bursts is the switch's own choice, and says nothing about what was asked for.
  if ((config.flags & MeterFlag.burst) === 0) {
    for (let here = 0; here + BandFixed.size <= bands.length; ) {
      const band = BandFixed.view(bands, here);
      band.burstSize = 0;
      if (band.length < BandFixed.size) break;
      here += band.length;
    }
  }
  return {
    kind: 'meter',
    meterId: config.meterId,
    flags: config.flags & (MeterFlag.kbps | MeterFlag.pktps | MeterFlag.burst | MeterFlag.stats),
    bands,
    key: meterKey(config.meterId),
  };
}

/** Key of a flow that is gone, and whether it ran out by itself. Throws WireError. */
export function keyOfRemoved(removed: { tableId: number; priority: number; match: Buffer; reason: number }): {
  readonly key: string;
  readonly ranOut: boolean;
} {
  const { tableId, priority, match, reason } = removed;
  return {
    key: flowKey(tableId, priority, canonicalMatch(match, 0, match.length)),
    ranOut: reason === FlowRemovedReason.idleTimeout || reason === FlowRemovedReason.hardTimeout,
  };
}
