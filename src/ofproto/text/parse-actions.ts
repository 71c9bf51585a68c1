import { type Action, decodeActions } from '../actions.ts';
import { Port } from '../constants.ts';
import { WireError } from '../errors.ts';
import { decodeInstructions, type Instruction } from '../instructions.ts';
import type { ControllerProperty } from '../nicira-action-types.ts';
import { fields } from '../oxm-fields.ts';
import { bundleAlgorithms, hashFields, multipathAlgorithms, packetInReasons } from './actions.ts';
import { canonicalActions, canonicalInstructions, IN_PORT_16, NO_TABLE } from './canonical.ts';
import { parseConnTrack, parseNat } from './conntrack.ts';
import { parseLearn } from './learn.ts';
import {
  type Bits,
  fieldOfName,
  isBitsText,
  parseBits,
  parsePort,
  parsePort16,
  parseTable,
  type TextNames,
} from './names.ts';
import { arrowOf, bigOf, type Call, callOf, hexBytes, numberOf, pairsOf, splitTop, textError } from './scan.ts';
import { parseValue } from './value.ts';

const WHAT = 'actions text';
/** As deep as the decoder of bytes follows. */
const MAX_NESTING = 8;
const U32 = 0xffff_ffff;

interface Around {
  readonly names: TextNames;
  readonly depth: number;
}

/** Reads the argument of one action. `form` tells `name(argument)` from `name:argument`. */
type Read = (argument: string, around: Around, form: Call['form']) => Action;

const u8 = (text: string): number => numberOf(text, 0xff, WHAT);
const u16 = (text: string): number => numberOf(text, 0xffff, WHAT);
const u32 = (text: string): number => numberOf(text, U32, WHAT);

/** Bits that fit into the 16 bits of Nicira's offset and width. */
function range(text: string): Bits {
  const bits = parseBits(text, WHAT);
  if (bits.nBits > 64) throw textError(WHAT, text, 'is wider than 64 bits');
  return bits;
}

function wordIndex(list: readonly string[], text: string): number {
  const index = list.indexOf(text);
  if (index < 0) throw textError(WHAT, text, `is none of ${list.join(', ')}`);
  return index;
}

function nothing(text: string, action: Action): Action {
  if (text !== '') throw textError(WHAT, text, 'stands where nothing may');
  return action;
}

const reads: Readonly<Record<string, Read>> = {
  output: (text, _around, form) => {
    if (form === 'call') return outputTrunc(text);
    if (isBitsText(text)) return { type: 'nxOutputReg', src: range(text), maxLen: 0xffff };
    const port = parsePort(text, WHAT);
    return { type: 'output', port, maxLen: port === Port.controller ? 0xffff : 0 };
  },
  CONTROLLER: (text) => ({ type: 'output', port: Port.controller, maxLen: text === '' ? 0xffff : u16(text) }),
  controller: (text, around, form) => {
    if (form !== 'call') return { type: 'output', port: Port.controller, maxLen: text === '' ? 0xffff : u16(text) };
    return controller(text, around);
  },
  copy_ttl_out: (text) => nothing(text, { type: 'copyTtlOut' }),
  copy_ttl_in: (text) => nothing(text, { type: 'copyTtlIn' }),
  set_mpls_ttl: (text) => ({ type: 'setMplsTtl', ttl: u8(text) }),
  dec_mpls_ttl: (text) => nothing(text, { type: 'decMplsTtl' }),
  push_vlan: (text) => ({ type: 'pushVlan', ethertype: u16(text) }),
  pop_vlan: (text) => nothing(text, { type: 'popVlan' }),
  strip_vlan: (text) => nothing(text, { type: 'popVlan' }),
  push_mpls: (text) => ({ type: 'pushMpls', ethertype: u16(text) }),
  pop_mpls: (text) => ({ type: 'popMpls', ethertype: u16(text) }),
  set_queue: (text) => ({ type: 'setQueue', queueId: u32(text) }),
  group: (text) => ({ type: 'group', groupId: u32(text) }),
  mod_nw_ttl: (text) => ({ type: 'setNwTtl', ttl: u8(text) }),
  push_pbb: (text) => ({ type: 'pushPbb', ethertype: u16(text) }),
  pop_pbb: (text) => nothing(text, { type: 'popPbb' }),
  dec_ttl: (text) =>
    text === '' ? { type: 'decNwTtl' } : { type: 'nxDecTtlCntIds', ids: splitTop(text, WHAT).map(u16) },
  set_field: (text) => {
    const [value, name] = arrowOf(text, WHAT);
    const field = fieldOfName(name, WHAT);
    return { type: 'setField', field, ...parseValue(field, value, WHAT) };
  },
  move: (text) => {
    const [from, to] = arrowOf(text, WHAT).map((side) => parseBits(side, WHAT)) as [Bits, Bits];
    if (from.nBits !== to.nBits) throw textError(WHAT, text, 'has sides of different width');
    return {
      type: 'nxRegMove',
      nBits: from.nBits,
      src: { field: from.field, ofs: from.ofs },
      dst: { field: to.field, ofs: to.ofs },
    };
  },
  load: (text) => {
    const [value, to] = arrowOf(text, WHAT);
    const dst = range(to);
    return { type: 'nxRegLoad', dst, value: bigOf(value, dst.nBits, WHAT) };
  },
  note: (text) => ({ type: 'nxNote', note: hexBytes(text, WHAT) }),
  push: (text) => ({ type: 'nxStackPush', src: parseBits(text, WHAT) }),
  pop: (text) => ({ type: 'nxStackPop', dst: parseBits(text, WHAT) }),
  resubmit: (text, around, form) =>
    form === 'call' ? resubmit(text, around) : { type: 'nxResubmit', inPort: parsePort16(text, WHAT) },
  pop_queue: (text) => nothing(text, { type: 'nxPopQueue' }),
  exit: (text) => nothing(text, { type: 'nxExit' }),
  ct_clear: (text) => nothing(text, { type: 'nxCtClear' }),
  dec_nsh_ttl: (text) => nothing(text, { type: 'nxDecNshTtl' }),
  fin_timeout: (text) => {
    const got = keyed(text, { idle_timeout: u16, hard_timeout: u16 });
    return { type: 'nxFinTimeout', finIdleTimeout: got['idle_timeout'] ?? 0, finHardTimeout: got['hard_timeout'] ?? 0 };
  },
  sample: (text) => sample(text),
  conjunction: (text) => {
    const parts = /^(\w+),(\d{1,3})\/(\d{1,3})$/.exec(text);
    const [clause, clauses] = [Number(parts?.[2]) - 1, Number(parts?.[3])];
    if (!parts || !(clause >= 0) || clauses > 255 || clause > 255) throw textError(WHAT, text, 'is no ID,K/N');
    return { type: 'nxConjunction', clause, clauses, id: u32(parts[1]!) };
  },
  multipath: (text) => {
    const parts = splitTop(text, WHAT);
    const [hash, basis, algorithm, links, arg, to] = parts as [string, string, string, string, string, string];
    if (parts.length !== 6) throw textError(WHAT, text, 'is not fields,basis,algorithm,links,arg,NAME[]');
    return {
      type: 'nxMultipath',
      fields: wordIndex(hashFields, hash),
      basis: u16(basis),
      algorithm: wordIndex(multipathAlgorithms, algorithm),
      maxLink: numberOf(links, 0x1_0000, WHAT) - 1,
      arg: u32(arg),
      dst: range(to),
    };
  },
  bundle: (text) => bundle(text, false),
  bundle_load: (text) => bundle(text, true),
  delete_field: (text) => ({ type: 'nxDeleteField', target: { field: fieldOfName(text, WHAT) } }),
  clone: (text, around) => ({ type: 'nxClone', actions: nested(text, around) }),
  ct: (text, around) => parseConnTrack(text, around.names, (inside) => nested(inside, around)),
  nat: (text) => parseNat(text),
  learn: (text, around) => parseLearn(text, around.names),
  encap: (text) => {
    if (text !== 'ethernet') throw textError(WHAT, text, 'is no header that text can say');
    return { type: 'nxEncap', headerSize: 0, newPacketType: 0, props: [] };
  },
  decap: (text) => {
    if (text === '') return { type: 'nxDecap', newPacketType: 0xfffe };
    const got = /^packet_type\(ns=(\w+),(?:type|id)=(\w+)\)$/.exec(text);
    if (!got) throw textError(WHAT, text, 'is no packet_type(ns=N,type=N)');
    return { type: 'nxDecap', newPacketType: u16(got[1]!) * 0x1_0000 + u16(got[2]!) };
  },
  raw: (text) => one(decoded(text, decodeActions), text),
};

function nested(text: string, around: Around): Action[] {
  return parseList(text, { ...around, depth: around.depth + 1 });
}

/** The `key=value` pairs of a call, each read by its own reader; anything else is refused. */
function keyed(text: string, readers: Readonly<Record<string, (value: string) => number>>): Record<string, number> {
  const out: Record<string, number> = {};
  for (const { key, value, token } of pairsOf(text, WHAT)) {
    if (!Object.hasOwn(readers, key) || value === undefined) throw textError(WHAT, token, 'is not known here');
    out[key] = readers[key]!(value);
  }
  return out;
}

function outputTrunc(text: string): Action {
  const got = keyed(text, { port: (value) => parsePort16(value, WHAT), max_len: u32 });
  if (got['port'] === undefined || got['max_len'] === undefined) throw textError(WHAT, text, 'needs port and max_len');
  return { type: 'nxOutputTrunc', port: got['port'], maxLen: got['max_len'] };
}

function controller(text: string, _around: Around): Action {
  const props: ControllerProperty[] = [];
  for (const { key, value = '', token } of pairsOf(text, WHAT)) {
    switch (key) {
      case 'max_len':
        props.push({ prop: 'maxLen', maxLen: u16(value) });
        break;
      case 'id':
        props.push({ prop: 'controllerId', controllerId: u16(value) });
        break;
      case 'reason': {
        const reason = packetInReasons.indexOf(value);
        props.push({ prop: 'reason', reason: reason >= 0 ? reason : u8(value) });
        break;
      }
      case 'userdata':
        props.push({ prop: 'userdata', userdata: hexBytes(value, WHAT) });
        break;
      case 'pause':
        props.push({ prop: 'pause' });
        break;
      case 'meter_id':
        props.push({ prop: 'meterId', meterId: u32(value) });
        break;
      default:
        throw textError(WHAT, token, 'is no part of controller');
    }
  }
  return { type: 'nxController2', props };
}

function resubmit(text: string, { names }: Around): Action {
  const parts = text.split(',').map((part) => part.trim());
  const [port = '', table = '', more] = parts;
  if (parts.length > 3 || (more !== undefined && more !== 'ct'))
    throw textError(WHAT, text, 'is not [port],[table][,ct]');
  return {
    type: more === 'ct' ? 'nxResubmitTableCt' : 'nxResubmitTable',
    inPort: port === '' ? IN_PORT_16 : parsePort16(port, WHAT),
    table: table === '' ? NO_TABLE : parseTable(table, names, WHAT),
  };
}

function sample(text: string): Action {
  const directions = ['', 'ingress', 'egress'];
  const parts = splitTop(text, WHAT);
  const direction = parts.map((part) => directions.indexOf(part)).find((index) => index > 0);
  const got = keyed(parts.filter((part) => !directions.includes(part)).join(','), {
    probability: u16,
    collector_set_id: u32,
    obs_domain_id: u32,
    obs_point_id: u32,
    sampling_port: (value) => parsePort16(value, WHAT),
    direction: u8,
  });
  const base = {
    probability: got['probability'] ?? 0,
    collectorSetId: got['collector_set_id'] ?? 0,
    obsDomainId: got['obs_domain_id'] ?? 0,
    obsPointId: got['obs_point_id'] ?? 0,
  };
  if (got['sampling_port'] === undefined && direction === undefined) return { type: 'nxSample', ...base };
  const samplingPort = got['sampling_port'] ?? 0xffff;
  return { type: 'nxSample2', ...base, samplingPort, direction: direction ?? got['direction'] ?? 0 };
}

function bundle(text: string, loads: boolean): Action {
  const at = /,(?:members|slaves):/.exec(text);
  const head = at ? splitTop(text.slice(0, at.index), WHAT) : [];
  const [hash, basis, algorithm, type, to] = head as [string, string, string, string, string];
  if (!at || head.length !== (loads ? 5 : 4) || type !== 'ofport')
    throw textError(WHAT, text, `is not fields,basis,algorithm,ofport${loads ? ',NAME[]' : ''},members:…`);
  const common = {
    fields: wordIndex(hashFields, hash),
    basis: u16(basis),
    algorithm: wordIndex(bundleAlgorithms, algorithm),
    memberType: { field: 'nxmInPort' as const },
    members: splitTop(text.slice(at.index + at[0].length), WHAT).map((port) => parsePort16(port, WHAT)),
  };
  return loads ? { type: 'nxBundleLoad', ...common, dst: range(to) } : { type: 'nxBundle', ...common };
}

/** Runs a decoder of bytes over hex; what it refuses becomes an error of the text. */
function decoded<T>(text: string, decode: (bytes: Uint8Array, at: number, end: number) => T): T {
  const bytes = hexBytes(text, WHAT);
  try {
    return decode(bytes, 0, bytes.length);
  } catch (error) {
    if (error instanceof WireError) throw textError(WHAT, text, `says: ${error.message}`, { cause: error });
    throw error;
  }
}

function one<T>(list: readonly T[], text: string): T {
  if (list.length !== 1) throw textError(WHAT, text, 'is not one thing');
  return list[0]!;
}

function parseAction(token: string, around: Around): Action {
  // The one action whose target stands outside the parentheses.
  const larger = /^check_pkt_larger\((\w+)\)->(.+)$/.exec(token);
  if (larger) {
    const { field, ofs, nBits } = parseBits(larger[2]!, WHAT);
    if (nBits !== 1 && fields[field].bits !== 1) throw textError(WHAT, token, 'wants one bit');
    return { type: 'nxCheckPktLarger', packetLength: u16(larger[1]!), dst: { field, ofs } };
  }
  const { name, argument, form } = callOf(token);
  if (Object.hasOwn(reads, name)) return reads[name]!(argument ?? '', around, form);
  if (form === 'bare') {
    const port = parsePort(token, WHAT);
    return { type: 'output', port, maxLen: port === Port.controller ? 0xffff : 0 };
  }
  throw textError(WHAT, token, 'is no action');
}

function parseList(text: string, around: Around): Action[] {
  if (around.depth > MAX_NESTING) throw textError(WHAT, text, `is nested more than ${MAX_NESTING} deep`);
  const tokens = splitTop(text, WHAT);
  if (tokens.length === 1 && tokens[0] === 'drop') return [];
  return tokens.map((token) => parseAction(token, around));
}

/** Reads actions as `formatActions` or ovs-ofctl writes them. Throws WireError (NL_WIRE_VALUE). */
export function parseActions(text: string, names: TextNames = {}): Action[] {
  return canonicalActions(parseList(text, { names, depth: 0 }));
}

/** Reads instructions as `formatInstructions` or ovs-ofctl writes them: `drop` is an empty list. Throws WireError. */
export function parseInstructions(text: string, names: TextNames = {}): Instruction[] {
  const around = { names, depth: 0 };
  const list: Instruction[] = [];
  const actions: Action[] = [];
  const tokens = splitTop(text, WHAT);
  if (tokens.length === 1 && tokens[0] === 'drop') return [];
  for (const token of tokens) {
    const { name, argument = '', form } = callOf(token);
    if (name === 'meter') list.push({ type: 'meter', meterId: u32(argument) });
    else if (name === 'clear_actions' && form === 'bare') list.push({ type: 'clearActions' });
    else if (name === 'write_actions' && form === 'call')
      list.push({ type: 'writeActions', actions: parseList(argument, around) });
    else if (name === 'write_metadata') list.push(writeMetadata(argument));
    else if (name === 'goto_table') list.push({ type: 'gotoTable', tableId: parseTable(argument, names, WHAT) });
    else if (name === 'raw_instruction') list.push(one(decoded(argument, decodeInstructions), argument));
    else actions.push(parseAction(token, around));
  }
  if (actions.length > 0) list.push({ type: 'applyActions', actions });
  return canonicalInstructions(list);
}

function writeMetadata(text: string): Instruction {
  const [value = '', mask = '0xffffffffffffffff'] = text.split('/');
  return { type: 'writeMetadata', metadata: bigOf(value, 64, WHAT), mask: bigOf(mask, 64, WHAT) };
}
