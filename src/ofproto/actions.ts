import type { Buffer } from 'node:buffer';
import { niciraActions, standardActions } from './action-structs.ts';
import { copyOf, get16, get32, pad8 } from './bytes.ts';
import { Experimenter } from './constants.ts';
import { WireError } from './errors.ts';
import type { VariableNicira } from './nicira-action-types.ts';
import { decodeVariableNicira, variableSubtype, writeVariableNicira } from './nicira-actions.ts';
import { decodeOxm, type FieldId, fieldIdSize, type OxmEntry, oxmEnd, readFieldId } from './oxm.ts';
import type { Fields, Table } from './struct.ts';
import { elementEnd, type ListRule } from './tlv.ts';
import { type Writer, written } from './writer.ts';

// The tables with their field types forgotten, for looking things up by code or name.
interface AnyLayout {
  readonly name: string;
  readonly size: number;
  read(bytes: Uint8Array, at: number): object;
  write(bytes: Uint8Array, at: number, fields: object): number;
}
type Declared = Readonly<Record<string, readonly [code: number, layout: AnyLayout]>>;
type FixedOf<D extends Record<string, readonly [number, { readonly table: Table }]>> = {
  [K in keyof D & string]: { readonly type: K } & Readonly<Fields<D[K][1]['table']>>;
}[keyof D & string];

/** Standard actions of fixed size: output, group, setQueue, push, pop and TTLs. */
export type StandardAction = FixedOf<typeof standardActions>;
/** Nicira's actions of fixed size. */
export type FixedNicira = FixedOf<typeof niciraActions>;

/** Writes a header field. A mask (Open vSwitch only) changes the bits set in it. */
export type SetFieldAction = { readonly type: 'setField' } & OxmEntry;

/** ONF extension 320 (onf_action_copy_field): copies bits between fields. */
export interface CopyFieldAction {
  readonly type: 'onfCopyField';
  readonly nBits: number;
  readonly src: FieldId & { readonly ofs: number };
  readonly dst: FieldId & { readonly ofs: number };
}

/** An action we do not know, kept as bytes: all after the header and experimenter id. */
export interface UnknownAction {
  readonly type: 'unknown';
  /** OFPAT_* */
  readonly actionType: number;
  readonly experimenter?: number;
  readonly bytes: Uint8Array;
}

/** Any action. */
export type Action = StandardAction | SetFieldAction | FixedNicira | VariableNicira | CopyFieldAction | UnknownAction;

const setFieldType = 25;
const experimenterType = 0xffff;
const copyFieldSubtype = 3200;
const badLength = { type: 2, code: 1 };
const standard: Declared = standardActions;
const nicira: Declared = niciraActions;

const standardByCode = new Map(Object.entries(standard).map(([type, [code, layout]]) => [code, { type, layout }]));
const niciraByCode = new Map(Object.entries(nicira).map(([type, [code, layout]]) => [code, { type, layout }]));

const rule: ListRule = { structure: 'ofp_action_header', min: 8, multipleOf: 8, reply: badLength };

/** Lists inside actions inside actions; nobody needs more, and a bound keeps hostile bytes cheap. */
const maxDepth = 8;

/** Decodes the actions that fill [at, end). */
export function decodeActions(bytes: Uint8Array, at: number, end: number, depth = 0): Action[] {
  if (depth > maxDepth) throw new WireError('ofp_action_header', 'actions', at, `nested more than ${maxDepth} deep`);
  const list: Action[] = [];
  for (let here = at; here < end; ) {
    const stop = elementEnd(bytes, here, end, rule);
    list.push(decodeAction(bytes, here, stop, depth));
    here = stop;
  }
  return list;
}

function decodeAction(bytes: Uint8Array, at: number, end: number, depth: number): Action {
  const code = get16(bytes, at);
  if (code === experimenterType) return decodeExperimenter(bytes, at, end, depth);
  if (code === setFieldType) return decodeSetField(bytes, at, end);
  const known = standardByCode.get(code);
  if (known === undefined) return { type: 'unknown', actionType: code, bytes: copyOf(bytes, at + 4, end) };
  exactSize(known.layout, 4, at, end);
  return { type: known.type, ...known.layout.read(bytes, at + 4) } as unknown as StandardAction;
}

function exactSize(layout: AnyLayout, header: number, at: number, end: number): void {
  if (end - at === header + layout.size) return;
  throw new WireError(layout.name, 'length', at + 2, `${end - at}, ${header + layout.size} wanted`, {
    reply: badLength,
  });
}

function decodeSetField(bytes: Uint8Array, at: number, end: number): SetFieldAction {
  const stop = oxmEnd(bytes, at + 4, end);
  if (at + pad8(stop - at) !== end)
    throw new WireError('ofp_action_set_field', 'length', at + 2, `${end - at}, ${pad8(stop - at)} wanted`, {
      reply: { type: 2, code: 14 },
    });
  return { type: 'setField', ...decodeOxm(bytes, at + 4, stop) };
}

function decodeExperimenter(bytes: Uint8Array, at: number, end: number, depth: number): Action {
  const experimenter = get32(bytes, at + 4);
  const subtype = end - at >= 10 ? get16(bytes, at + 8) : -1;
  if (experimenter === Experimenter.nicira) {
    const known = niciraByCode.get(subtype);
    if (known !== undefined) {
      exactSize(known.layout, 10, at, end);
      return { type: known.type, ...known.layout.read(bytes, at + 10) } as unknown as FixedNicira;
    }
    const variable = decodeVariableNicira(subtype, bytes, at + 10, end, (from, to) =>
      decodeActions(bytes, from, to, depth + 1),
    );
    if (variable !== undefined) return variable;
  } else if (experimenter === Experimenter.onf && subtype === copyFieldSubtype) {
    return decodeCopyField(bytes, at, end);
  }
  return { type: 'unknown', actionType: experimenterType, experimenter, bytes: copyOf(bytes, at + 8, end) };
}

function decodeCopyField(bytes: Uint8Array, at: number, end: number): CopyFieldAction {
  if (end - at < 28)
    throw new WireError('onf_action_copy_field', 'length', at + 2, `${end - at}`, { reply: badLength });
  const src = readFieldId(bytes, at + 20, end);
  const dst = readFieldId(bytes, at + 20 + fieldIdSize(src), end);
  return {
    type: 'onfCopyField',
    nBits: get16(bytes, at + 12),
    src: { ...src, ofs: get16(bytes, at + 14) },
    dst: { ...dst, ofs: get16(bytes, at + 16) },
  };
}

/** Appends actions to a writer. */
export function writeActions(writer: Writer, list: readonly Action[]): void {
  for (const action of list) {
    const from = writer.at;
    writeAction(writer, action);
    writer.align(from).length16(from, from + 2);
  }
}

function writeAction(writer: Writer, action: Action): void {
  if (action.type === 'unknown') {
    writer.u16(action.actionType).u16(0);
    if (action.actionType === experimenterType) writer.u32(action.experimenter ?? 0);
    writer.raw(action.bytes);
  } else if (action.type === 'setField') {
    writer.u16(setFieldType).u16(0).oxm(action);
  } else if (action.type === 'onfCopyField') {
    writer.u16(experimenterType).u16(0).u32(Experimenter.onf).u16(copyFieldSubtype).zero(2);
    writer.u16(action.nBits).u16(action.src.ofs).u16(action.dst.ofs).zero(2).fieldId(action.src).fieldId(action.dst);
  } else if (Object.hasOwn(standard, action.type)) {
    const [code, layout] = standard[action.type]!;
    putFixed(writer.u16(code).u16(0), layout, action);
  } else if (Object.hasOwn(nicira, action.type)) {
    const [code, layout] = nicira[action.type]!;
    putFixed(writer.u16(experimenterType).u16(0).u32(Experimenter.nicira).u16(code), layout, action);
  } else {
    const variable = action as VariableNicira;
    writer.u16(experimenterType).u16(0).u32(Experimenter.nicira).u16(variableSubtype(variable));
    writeVariableNicira(writer, variable, (nested) => writeActions(writer, nested));
  }
}

function putFixed(writer: Writer, layout: AnyLayout, action: object): void {
  const at = writer.take(layout.size);
  layout.write(writer.bytes, at, action);
}

/** Encodes a list of actions. Throws WireError (NL_WIRE_VALUE) for values that do not fit. */
export function encodeActions(list: readonly Action[]): Buffer {
  return written((writer) => writeActions(writer, list));
}
