import type { Action } from '../actions.ts';
import type { LearnSpec } from '../learn-spec.ts';
import { fields } from '../oxm-fields.ts';
import {
  bitsText,
  fieldOfName,
  isBitsText,
  longName,
  namedField,
  parseBits,
  parseTable,
  type TextNames,
  tableText,
  wholeBits,
} from './names.ts';
import { arrowOf, bigOf, hexText, numberOf, pairsOf, textError } from './scan.ts';
import { parseValue, valueText } from './value.ts';

type Learn = Extract<Action, { type: 'nxLearn' | 'nxLearn2' }>;

const WHAT = 'learn text';
const SEND_FLOW_REM = 1;
const DELETE_LEARNED = 2;
const WRITE_RESULT = 4;
const DEFAULT_PRIORITY = 32_768;
const MAX_SPEC_BITS = 1023;

/** Inside of `learn(…)`; undefined when text cannot say it without loss. */
export function learnText(action: Learn, names: TextNames): string | undefined {
  const parts = [`table=${tableText(action.tableId, names)}`];
  const say = (key: string, value: number | bigint, unless: number | bigint): void => {
    if (value !== unless) parts.push(`${key}=${typeof value === 'bigint' ? `0x${value.toString(16)}` : value}`);
  };
  say('idle_timeout', action.idleTimeout, 0);
  say('hard_timeout', action.hardTimeout, 0);
  say('fin_idle_timeout', action.finIdleTimeout, 0);
  say('fin_hard_timeout', action.finHardTimeout, 0);
  say('priority', action.priority, DEFAULT_PRIORITY);
  if ((action.flags & SEND_FLOW_REM) !== 0) parts.push('send_flow_rem');
  if ((action.flags & DELETE_LEARNED) !== 0) parts.push('delete_learned');
  say('cookie', action.cookie, 0n);
  const writes = action.type === 'nxLearn2' && action.result !== undefined;
  if ((action.flags & ~(SEND_FLOW_REM | DELETE_LEARNED)) !== (writes ? WRITE_RESULT : 0)) return undefined;
  if (action.type === 'nxLearn2') {
    say('limit', action.limit, 0);
    if (action.result !== undefined) {
      const field = namedField(action.result);
      if (field === undefined || action.resultOfs >= fields[field].bits) return undefined;
      parts.push(`result_dst=${bitsText({ field, ofs: action.resultOfs, nBits: 1 })}`);
    }
  }
  for (const spec of action.specs) {
    const text = specText(spec);
    if (text === undefined) return undefined;
    parts.push(text);
  }
  return parts.join(',');
}

function rangeText(id: Exclude<LearnSpec['src'], { immediate: bigint }>, nBits: number): string | undefined {
  const field = namedField(id);
  return field === undefined || nBits < 1 || id.ofs + nBits > fields[field].bits
    ? undefined
    : bitsText({ field, ofs: id.ofs, nBits });
}

function specText({ nBits, src, dst }: LearnSpec): string | undefined {
  const target = dst.to === 'output' ? '' : rangeText(dst, nBits);
  if (target === undefined) return undefined;
  if ('immediate' in src) {
    if (dst.to === 'output' || src.immediate >> BigInt(nBits) !== 0n) return undefined;
    const value = hexText(src.immediate);
    if (dst.to === 'load') return `load:${value}->${target}`;
    const field = namedField(dst)!;
    const { bits, bytes } = fields[field];
    if (bytes === 0 || nBits !== wholeBits(field)) return `${target}=${value}`;
    return `${longName(field)}=${valueText(field, bits > 48 ? src.immediate : Number(src.immediate))}`;
  }
  const source = rangeText(src, nBits);
  if (source === undefined) return undefined;
  if (dst.to === 'output') return `output:${source}`;
  if (dst.to === 'load') return `load:${source}->${target}`;
  return source === target ? target : `${target}=${source}`;
}

/** Reads the inside of `learn(…)`. */
export function parseLearn(text: string, names: TextNames): Action {
  let learn: Omit<Extract<Action, { type: 'nxLearn' }>, 'type' | 'specs'> = {
    idleTimeout: 0,
    hardTimeout: 0,
    priority: DEFAULT_PRIORITY,
    cookie: 0n,
    flags: 0,
    tableId: 1,
    finIdleTimeout: 0,
    finHardTimeout: 0,
  };
  let limit = 0;
  let result: ReturnType<typeof parseBits> | undefined;
  const specs: LearnSpec[] = [];
  const numbers: Record<string, keyof typeof learn> = {
    idle_timeout: 'idleTimeout',
    hard_timeout: 'hardTimeout',
    fin_idle_timeout: 'finIdleTimeout',
    fin_hard_timeout: 'finHardTimeout',
    priority: 'priority',
  };
  for (const { key, value, token } of pairsOf(text, WHAT)) {
    if (key === 'send_flow_rem') learn = { ...learn, flags: learn.flags | SEND_FLOW_REM };
    else if (key === 'delete_learned') learn = { ...learn, flags: learn.flags | DELETE_LEARNED };
    else if (key === 'table') learn = { ...learn, tableId: parseTable(value ?? '', names, WHAT) };
    else if (key === 'cookie') learn = { ...learn, cookie: bigOf(value ?? '', 64, WHAT) };
    else if (key === 'limit') limit = numberOf(value ?? '', 0xffff_ffff, WHAT);
    else if (key === 'result_dst') result = parseBits(value ?? '', WHAT);
    else if (Object.hasOwn(numbers, key)) learn = { ...learn, [numbers[key]!]: numberOf(value ?? '', 0xffff, WHAT) };
    else specs.push(parseSpec(token));
  }
  if (limit === 0 && result === undefined) return { type: 'nxLearn', ...learn, specs };
  if (result === undefined) return { type: 'nxLearn2', ...learn, limit, resultOfs: 0, specs };
  if (result.nBits !== 1) throw textError(WHAT, text, 'has a result_dst that is not one bit');
  const flags = learn.flags | WRITE_RESULT;
  return { type: 'nxLearn2', ...learn, flags, limit, resultOfs: result.ofs, result: { field: result.field }, specs };
}

function parseSpec(token: string): LearnSpec {
  if (token.startsWith('output:')) {
    const { field, ofs, nBits } = specBits(token.slice(7));
    return { nBits, src: { field, ofs }, dst: { to: 'output' } };
  }
  if (token.startsWith('load:')) {
    const [from, to] = arrowOf(token.slice(5), WHAT);
    const { field, ofs, nBits } = specBits(to);
    return { nBits, src: sourceOf(from, nBits), dst: { to: 'load', field, ofs } };
  }
  const at = token.indexOf('=');
  const left = at < 0 ? token : token.slice(0, at);
  const right = at < 0 ? token : token.slice(at + 1);
  if (isBitsText(left)) {
    const { field, ofs, nBits } = specBits(left);
    return { nBits, src: sourceOf(right, nBits), dst: { to: 'match', field, ofs } };
  }
  const field = fieldOfName(left, WHAT);
  const bits = wholeBits(field);
  if (fields[field].bytes === 0) throw textError(WHAT, token, 'needs the bits of the field in brackets');
  if (at < 0 || isBitsText(right)) {
    const src = at < 0 ? { field, ofs: 0, nBits: bits } : specBits(right);
    if (src.nBits !== bits) throw textError(WHAT, token, 'has sides of different width');
    return { nBits: bits, src: { field: src.field, ofs: src.ofs }, dst: { to: 'match', field, ofs: 0 } };
  }
  const { value, mask } = parseValue(field, right, WHAT);
  if (mask !== undefined || value instanceof Uint8Array) throw textError(WHAT, token, 'takes no mask');
  if (BigInt(value) >> BigInt(bits) !== 0n) throw textError(WHAT, token, `does not fit ${bits} bits`);
  return { nBits: bits, src: { immediate: BigInt(value) }, dst: { to: 'match', field, ofs: 0 } };
}

function specBits(text: string): ReturnType<typeof parseBits> {
  const bits = parseBits(text, WHAT);
  if (bits.nBits > MAX_SPEC_BITS) throw textError(WHAT, text, `is wider than ${MAX_SPEC_BITS} bits`);
  return bits;
}

function sourceOf(text: string, nBits: number): LearnSpec['src'] {
  if (!isBitsText(text)) return { immediate: bigOf(text, nBits, WHAT) };
  const { field, ofs, nBits: width } = parseBits(text, WHAT);
  if (width !== nBits) throw textError(WHAT, text, `is ${width} bits wide, not ${nBits}`);
  return { field, ofs };
}
