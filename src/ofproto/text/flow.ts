import { FlowModFlag } from '../constants.ts';
import type { Instruction } from '../instructions.ts';
import { canonicalList, listOf, type Match } from '../match.ts';
import type { OxmEntry } from '../oxm.ts';
import { formatInstructions } from './actions.ts';
import { canonicalInstructions } from './canonical.ts';
import { isList, matchParts, parseMatchParts } from './match.ts';
import { parseTable, type TextNames, tableText } from './names.ts';
import { parseInstructions } from './parse-actions.ts';
import { bigOf, numberOf, splitTop, textError } from './scan.ts';

const WHAT = 'flow text';
/** Priority of a flow whose text says none (OFP_DEFAULT_PRIORITY). */
export const DEFAULT_PRIORITY = 32_768;

/** A flow as text shows it. What is absent is not shown. */
export interface FlowText {
  readonly cookie?: bigint;
  /** Time since it was added. */
  readonly durationSec?: number;
  readonly durationNsec?: number;
  readonly tableId?: number;
  readonly packetCount?: bigint;
  readonly byteCount?: bigint;
  /** Seconds; 0 is never. */
  readonly idleTimeout?: number;
  readonly hardTimeout?: number;
  readonly importance?: number;
  /** OFPFF_* */
  readonly flags?: number;
  /** Default 32768, as in Open vSwitch. */
  readonly priority?: number;
  readonly match: Match | readonly OxmEntry[];
  readonly instructions: readonly Instruction[];
}

/** A flow read from text: its match as a list in canonical order. */
export type ParsedFlow = Omit<FlowText, 'match'> & { readonly match: readonly OxmEntry[] };

const flagWords = [
  ['send_flow_rem', FlowModFlag.sendFlowRemoved],
  ['check_overlap', FlowModFlag.checkOverlap],
  ['reset_counts', FlowModFlag.resetCounts],
  ['no_packet_counts', FlowModFlag.noPacketCounts],
  ['no_byte_counts', FlowModFlag.noByteCounts],
] as const;

function durationText(seconds: number, nanoseconds: number): string {
  const fraction =
    nanoseconds === 0
      ? ''
      : `.${String(nanoseconds)
          .padStart(9, '0')
          .replace(/(?<=\d{3})0+$/, '')}`;
  return `${seconds}${fraction}s`;
}

/** One line as `ovs-ofctl dump-flows` prints it, without the leading blank. `names` shows tables by name. */
export function formatFlow(flow: FlowText, names: TextNames = {}): string {
  const head: string[] = [];
  const { durationSec, durationNsec = 0, idleTimeout = 0, hardTimeout = 0, flags = 0 } = flow;
  if (flow.cookie !== undefined) head.push(`cookie=0x${flow.cookie.toString(16)}`);
  if (durationSec !== undefined) head.push(`duration=${durationText(durationSec, durationNsec)}`);
  if (flow.tableId !== undefined) head.push(`table=${tableText(flow.tableId, names)}`);
  if (flow.packetCount !== undefined) head.push(`n_packets=${flow.packetCount}`);
  if (flow.byteCount !== undefined) head.push(`n_bytes=${flow.byteCount}`);
  if (idleTimeout !== 0) head.push(`idle_timeout=${idleTimeout}`);
  if (hardTimeout !== 0) head.push(`hard_timeout=${hardTimeout}`);
  if (flow.importance !== undefined && flow.importance !== 0) head.push(`importance=${flow.importance}`);
  const words: string[] = flagWords.filter(([, bit]) => (flags & bit) !== 0).map(([word]) => word);
  const rest = flags & ~flagWords.reduce((sum, [, bit]) => sum | bit, 0);
  if (rest !== 0) words.push(`flags=0x${rest.toString(16)}`);
  const { priority = DEFAULT_PRIORITY } = flow;
  const match = [...(priority === DEFAULT_PRIORITY ? [] : [`priority=${priority}`]), ...matchParts(flow.match)];
  const tail = [
    ...words,
    ...(match.length === 0 ? [] : [match.join(',')]),
    `actions=${formatInstructions(flow.instructions, names)}`,
  ];
  return [...head, tail.join(' ')].join(', ');
}

/**
 * Reads one flow as `formatFlow`, `ovs-ofctl dump-flows` or `ovs-ofctl add-flow` has it. Throws WireError (NL_WIRE_VALUE).
 * Ages, which only Nicira's statistics have, are read and dropped.
 */
export function parseFlow(text: string, names: TextNames = {}): ParsedFlow {
  const at = /(^|[\s,])actions?=/.exec(text);
  if (!at) throw textError(WHAT, text, 'has no actions=');
  const instructions = parseInstructions(text.slice(at.index + at[0].length), names);
  const match: string[] = [];
  let flow: Omit<ParsedFlow, 'match' | 'instructions'> = {};
  const seen = new Set<string>();
  for (const token of splitTop(text.slice(0, at.index), WHAT)) {
    const part = headPart(token, flow, names);
    if (part === undefined) match.push(token);
    else {
      // Flags say one bit each; any other key may be there once.
      const key = token.split('=', 1)[0]!;
      if (seen.has(key)) throw textError(WHAT, token, 'is there twice');
      seen.add(key);
      flow = { ...flow, ...part };
    }
  }
  return { ...flow, match: parseMatchParts(match), instructions };
}

function headPart(
  token: string,
  flow: Omit<ParsedFlow, 'match' | 'instructions'>,
  names: TextNames,
): Partial<ParsedFlow> | undefined {
  const flag = flagWords.find(([word]) => word === token);
  if (flag) return { flags: (flow.flags ?? 0) | flag[1] };
  const [key] = token.split('=', 1);
  const value = token.slice(token.indexOf('=') + 1);
  switch (key) {
    case 'cookie':
      return { cookie: bigOf(value, 64, WHAT) };
    case 'duration':
      return duration(value);
    case 'table':
      return { tableId: parseTable(value, names, WHAT) };
    case 'n_packets':
      return { packetCount: bigOf(value, 64, WHAT) };
    case 'n_bytes':
      return { byteCount: bigOf(value, 64, WHAT) };
    case 'idle_timeout':
      return { idleTimeout: numberOf(value, 0xffff, WHAT) };
    case 'hard_timeout':
      return { hardTimeout: numberOf(value, 0xffff, WHAT) };
    case 'importance':
      return { importance: numberOf(value, 0xffff, WHAT) };
    case 'priority':
      return { priority: numberOf(value, 0xffff, WHAT) };
    case 'flags':
      return { flags: (flow.flags ?? 0) | numberOf(value, 0xffff, WHAT) };
    case 'idle_age':
    case 'hard_age':
      return {};
    default:
      return undefined;
  }
}

function duration(text: string): Partial<ParsedFlow> {
  const parts = /^(\d{1,10})(?:\.(\d{1,9}))?s$/.exec(text);
  if (!parts) throw textError(WHAT, text, 'is no duration');
  return {
    durationSec: numberOf(parts[1]!, 0xffff_ffff, WHAT),
    durationNsec: Number((parts[2] ?? '').padEnd(9, '0')),
  };
}

/** The form that `parseFlow(formatFlow(x))` gives: instructions canonical, zero timeouts and flags and a default priority left out. */
export function canonicalFlow(flow: FlowText): ParsedFlow {
  const { idleTimeout = 0, hardTimeout = 0, importance = 0, flags = 0, priority = DEFAULT_PRIORITY } = flow;
  const { durationSec, durationNsec = 0, cookie, tableId, packetCount, byteCount } = flow;
  return {
    ...(cookie === undefined ? {} : { cookie }),
    ...(durationSec === undefined ? {} : { durationSec, durationNsec }),
    ...(tableId === undefined ? {} : { tableId }),
    ...(packetCount === undefined ? {} : { packetCount }),
    ...(byteCount === undefined ? {} : { byteCount }),
    ...(idleTimeout === 0 ? {} : { idleTimeout }),
    ...(hardTimeout === 0 ? {} : { hardTimeout }),
    ...(importance === 0 ? {} : { importance }),
    ...(flags === 0 ? {} : { flags }),
    ...(priority === DEFAULT_PRIORITY ? {} : { priority }),
    match: canonicalList(isList(flow.match) ? flow.match : listOf(flow.match), false),
    instructions: canonicalInstructions(flow.instructions),
  };
}
