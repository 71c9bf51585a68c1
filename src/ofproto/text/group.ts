import { Group, GroupType, Port } from '../constants.ts';
import type { Bucket } from '../of13/parts.ts';
import { formatActions } from './actions.ts';
import { canonicalActions } from './canonical.ts';
import { parsePort, portText, type TextNames } from './names.ts';
import { parseActions } from './parse-actions.ts';
import { numberOf, oneBlank, splitTop, textError } from './scan.ts';

const WHAT = 'group text';

/** A group as text shows it. */
export interface GroupText {
  readonly groupId: number;
  /** OFPGT_* */
  readonly groupType: number;
  readonly buckets: readonly Bucket[];
}

const typeWords = [
  ['all', GroupType.all],
  ['select', GroupType.select],
  ['indirect', GroupType.indirect],
  ['ff', GroupType.fastFailover],
  ['fast_failover', GroupType.fastFailover],
] as const;

/** Weight of a bucket whose text says none. */
const defaultWeight = (groupType: number): number => (groupType === GroupType.select ? 1 : 0);

/** One line as `ovs-ofctl dump-groups` prints it, without the leading blank. */
export function formatGroup(group: GroupText, names: TextNames = {}): string {
  const type = typeWords.find(([, value]) => value === group.groupType)?.[0] ?? group.groupType;
  const parts = [`group_id=${group.groupId}`, `type=${type}`];
  for (const { weight, watchPort, watchGroup, actions } of group.buckets) {
    const bucket: string[] = [];
    if (weight !== defaultWeight(group.groupType)) bucket.push(`weight:${weight}`);
    if (watchPort !== Port.any) bucket.push(`watch_port:${portText(watchPort)}`);
    if (watchGroup !== Group.any) bucket.push(`watch_group:${watchGroup}`);
    bucket.push(`actions=${formatActions(actions, names)}`);
    parts.push(`bucket=${bucket.join(',')}`);
  }
  return parts.join(',');
}

/** Reads one group as `formatGroup`, `ovs-ofctl dump-groups` or `ovs-ofctl add-group` has it. Throws WireError. */
export function parseGroup(text: string, names: TextNames = {}): GroupText {
  const [head = '', ...bucketTexts] = oneBlank(text).split(/,? ?\bbuckets?=/);
  let groupId: number | undefined;
  let groupType: number | undefined;
  for (const token of splitTop(head, WHAT)) {
    const value = token.slice(token.indexOf('=') + 1);
    if (token.startsWith('group_id=')) groupId = groupNumber(value);
    else if (token.startsWith('type=')) groupType = typeOf(value);
    else throw textError(WHAT, token, 'is no part of a group');
  }
  if (groupId === undefined || groupType === undefined) throw textError(WHAT, text, 'needs group_id and type');
  const type = groupType;
  return { groupId, groupType, buckets: bucketTexts.map((bucket) => parseBucket(bucket, type, names)) };
}

function groupNumber(text: string): number {
  const word = text.toLowerCase();
  return word === 'all' ? Group.all : word === 'any' ? Group.any : numberOf(text, 0xffff_ffff, WHAT);
}

function typeOf(text: string): number {
  return typeWords.find(([word]) => word === text)?.[1] ?? numberOf(text, 255, WHAT);
}

function parseBucket(text: string, groupType: number, names: TextNames): Bucket {
  const at = /(^|,)\s*actions?=/.exec(text);
  if (!at) throw textError(WHAT, text, 'has no actions=');
  let bucket: Bucket = {
    weight: defaultWeight(groupType),
    watchPort: Port.any,
    watchGroup: Group.any,
    actions: parseActions(text.slice(at.index + at[0].length), names),
  };
  for (const token of splitTop(text.slice(0, at.index), WHAT)) {
    const value = token.slice(token.search(/[:=]/) + 1);
    if (/^weight[:=]/.test(token)) bucket = { ...bucket, weight: numberOf(value, 0xffff, WHAT) };
    else if (/^watch_port[:=]/.test(token)) bucket = { ...bucket, watchPort: parsePort(value, WHAT) };
    else if (/^watch_group[:=]/.test(token)) bucket = { ...bucket, watchGroup: groupNumber(value) };
    // Buckets have numbers from OpenFlow 1.5 on; here their order says all.
    else if (!/^bucket_id[:=]\d+$/.test(token)) throw textError(WHAT, token, 'is no part of a bucket');
  }
  return bucket;
}

/** The form that `parseGroup(formatGroup(x))` gives. */
export function canonicalGroup(group: GroupText): GroupText {
  return {
    groupId: group.groupId,
    groupType: group.groupType,
    buckets: group.buckets.map(({ weight, watchPort, watchGroup, actions }) => ({
      weight,
      watchPort,
      watchGroup,
      actions: canonicalActions(actions),
    })),
  };
}
