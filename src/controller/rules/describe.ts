import {
  type Action,
  decodeInstructions,
  decodeMatch,
  fields,
  GroupType,
  type Instruction,
  MeterFlag,
  type OxmEntry,
  portNames,
  readBands,
  readBuckets,
  type Value,
} from '../../ofproto/index.ts';
import { formatIp, formatMac } from '../kernel/index.ts';
import { stateSlots, tableName } from './pipeline.ts';
import { priorityName } from './priority.ts';
import type { FlowRule, GroupRule, MeterRule, Rule } from './types.ts';

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

function valueText(name: string, value: Value): string {
  if (value instanceof Uint8Array) return `0x${Buffer.from(value).toString('hex')}`;
  const format = Object.hasOwn(fields, name) ? fields[name as keyof typeof fields].format : 'decimal';
  switch (format) {
    case 'mac':
      return formatMac(Number(value));
    case 'ipv4':
      return formatIp({ family: 4, value: BigInt(value) });
    case 'ipv6':
      return formatIp({ family: 6, value: BigInt(value) });
    case 'port':
      return portText(Number(value));
    case 'decimal':
      return String(value);
    default:
      return hex(value);
  }
}

const portText = (port: number): string => portNames.get(port) ?? String(port);

/** eth_dst from ethDst: the specification's own spelling. */
const fieldText = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Fields that hold state are shown as the state they hold. */
function stateText(field: string, value: bigint, mask: bigint): string[] | undefined {
  const parts: string[] = [];
  let rest = mask;
  for (const slot of stateSlots()) {
    if (slot.field !== field) continue;
    const full = (1n << BigInt(slot.bits)) - 1n;
    const shift = BigInt(slot.offset);
    const part = (mask >> shift) & full;
    if (part === 0n) continue;
    const at = (value >> shift) & full;
    parts.push(part === full ? `${slot.name}=${at}` : `${slot.name}=${hex(at)}/${hex(part)}`);
    rest &= ~(full << shift);
  }
  return rest === 0n && parts.length > 0 ? parts : undefined;
}

function entryText(entry: OxmEntry): string {
  if (entry.field === 'unknown') return `oxm_${hex(entry.oxmClass)}_${entry.oxmField}=${valueText('', entry.bytes)}`;
  const { value, mask } = entry;
  if (typeof value !== 'object') {
    const { bits } = fields[entry.field];
    const full = (1n << BigInt(bits)) - 1n;
    const state = stateText(entry.field, BigInt(value), mask === undefined ? full : BigInt(mask as number | bigint));
    if (state) return state.join(',');
  }
  const text = `${fieldText(entry.field)}=${valueText(entry.field, value)}`;
  return mask === undefined ? text : `${text}/${valueText(entry.field, mask)}`;
}

/** A whole ofp_match as text, e.g. `network=7,eth_dst=02:00:00:00:00:01`; empty when it takes everything. */
export const matchText = (match: Buffer): string => decodeMatch(match, 0, match.length).map(entryText).join(',');

function rangeText(range: object): string {
  const { field, ofs, nBits } = range as { field: string; ofs?: number; nBits?: number };
  const spec = Object.hasOwn(fields, field) ? fields[field as keyof typeof fields] : undefined;
  // Nicira's own headers mean the same fields.
  const name = fieldText(spec?.aliasOf ?? field);
  if (nBits === undefined || (ofs === 0 && nBits === spec?.bits)) return name;
  return `${name}[${ofs ?? 0}..${(ofs ?? 0) + nBits - 1}]`;
}

function actionText(action: Action): string {
  switch (action.type) {
    case 'output':
      if (action.port === 0xffff_fffd) return `controller:${action.maxLen}`;
      return action.port === 0xffff_fff8 ? 'in_port' : `output:${portText(action.port)}`;
    case 'group':
      return `group:${hex(action.groupId)}`;
    case 'setField':
      return `set(${entryText(action)})`;
    case 'nxRegMove':
      return `move(${rangeText({ ...action.src, nBits: action.nBits })}→${rangeText({ ...action.dst, nBits: action.nBits })})`;
    case 'nxRegLoad':
      return `load(${hex(action.value)}→${rangeText(action.dst)})`;
    case 'nxMultipath':
      return `hash(→${rangeText(action.dst)})`;
    case 'decNwTtl':
      return 'dec_ttl';
    case 'popVlan':
      return 'pop_vlan';
    default:
      return action.type;
  }
}

/** An action list as text. */
export const actionsText = (actions: readonly Action[]): string =>
  actions.length === 0 ? 'drop' : actions.map(actionText).join(',');

function instructionText(instruction: Instruction): string {
  switch (instruction.type) {
    case 'meter':
      return `meter:${instruction.meterId}`;
    case 'applyActions':
      return actionsText(instruction.actions);
    case 'writeActions':
      return `write_actions(${actionsText(instruction.actions)})`;
    case 'writeMetadata':
      return (
        stateText('metadata', instruction.metadata, instruction.mask)
          ?.map((part) => `write(${part})`)
          .join(',') ?? `write_metadata:${hex(instruction.metadata)}/${hex(instruction.mask)}`
      );
    case 'gotoTable':
      return `next:${tableName(instruction.tableId)}`;
    default:
      return instruction.type;
  }
}

/** An instruction list as text, e.g. `write(network=7),next:admit`; `drop` when it is empty. */
export function instructionsText(instructions: Buffer): string {
  const list = decodeInstructions(instructions, 0, instructions.length);
  return list.length === 0 ? 'drop' : list.map(instructionText).join(',');
}

function describeFlow(rule: FlowRule): string {
  const parts = [`table=${tableName(rule.tableId)}`, `priority=${priorityName(rule.priority)}`];
  if (rule.idleTimeout > 0) parts.push(`idle=${rule.idleTimeout}`);
  if (rule.hardTimeout > 0) parts.push(`hard=${rule.hardTimeout}`);
  const match = matchText(rule.match);
  if (match !== '') parts.push(match);
  return `${parts.join(' ')} → ${instructionsText(rule.instructions)}`;
}

const groupTypeNames = new Map<number, string>(Object.entries(GroupType).map(([name, value]) => [value, name]));

/** Name of a group type. */
export const groupTypeName = (type: number): string => groupTypeNames.get(type) ?? String(type);

/** A bucket list as text, e.g. `[output:1] [watch:2 output:2]`. */
export const bucketsText = (buckets: Buffer): string =>
  readBuckets(buckets, 0, buckets.length)
    .map(({ weight, watchPort, actions }) => {
      const watch = watchPort === 0xffff_ffff ? '' : `watch:${portText(watchPort)} `;
      return `[${watch}${weight > 1 ? `weight:${weight} ` : ''}${actionsText(actions)}]`;
    })
    .join(' ');

/** A band list as text, e.g. `drop above 100 pktps, burst 20`. */
export const bandsText = (flags: number, bands: Buffer): string =>
  readBands(bands, 0, bands.length)
    .map(({ rate, burstSize }) => {
      const unit = (flags & MeterFlag.pktps) !== 0 ? 'pktps' : 'kbps';
      return `drop above ${rate} ${unit}${(flags & MeterFlag.burst) === 0 ? '' : `, burst ${burstSize}`}`;
    })
    .join('; ');

function describeGroup(rule: GroupRule): string {
  return `group=${hex(rule.groupId)} type=${groupTypeName(rule.type)} → ${bucketsText(rule.buckets)}`;
}

function describeMeter(rule: MeterRule): string {
  return `meter=${hex(rule.meterId)} → ${bandsText(rule.flags, rule.bands)}`;
}

/** A rule as readable text, e.g. `table=switch priority=exact network=7,eth_dst=02:… → output:3`. */
export function describeRule(rule: Rule): string {
  if (rule.kind === 'flow') return describeFlow(rule);
  return rule.kind === 'group' ? describeGroup(rule) : describeMeter(rule);
}
