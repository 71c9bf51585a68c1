import { copyOf, get16, get32 } from '../bytes.ts';
import { type FieldId, fieldIdSize, readFieldId } from '../oxm.ts';
import { type ListRule, listOfElements } from '../tlv.ts';
import type { Writer } from '../writer.ts';
import { part, type Without } from './parts.ts';
import { TableFeaturesFixed } from './structs.ts';

/** OFPTFPT_*: what a property lists. The `Miss` forms are about the table-miss entry. */
const kinds = {
  instructions: [0, 'ids'],
  instructionsMiss: [1, 'ids'],
  nextTables: [2, 'tables'],
  nextTablesMiss: [3, 'tables'],
  writeActions: [4, 'ids'],
  writeActionsMiss: [5, 'ids'],
  applyActions: [6, 'ids'],
  applyActionsMiss: [7, 'ids'],
  match: [8, 'fields'],
  wildcards: [10, 'fields'],
  writeSetField: [12, 'fields'],
  writeSetFieldMiss: [13, 'fields'],
  applySetField: [14, 'fields'],
  applySetFieldMiss: [15, 'fields'],
} as const;

type Kinds = typeof kinds;
type KindOf<W extends Kinds[keyof Kinds][1]> = { [K in keyof Kinds]: Kinds[K][1] extends W ? K : never }[keyof Kinds];

/** Type code of an instruction or action that a table can do. */
export interface CodeId {
  readonly code: number;
  readonly experimenter?: number;
  /** What else the id carries. */
  readonly bytes?: Uint8Array;
}

/** One property of a table. */
export type TableProperty =
  | { readonly type: KindOf<'ids'>; readonly ids: readonly CodeId[] }
  | { readonly type: KindOf<'tables'>; readonly tables: readonly number[] }
  | { readonly type: KindOf<'fields'>; readonly fields: readonly FieldId[] }
  | {
      readonly type: 'experimenter' | 'experimenterMiss';
      readonly experimenter: number;
      readonly expType: number;
      readonly bytes: Uint8Array;
    }
  | { readonly type: 'unknown'; readonly property: number; readonly bytes: Uint8Array };

/** One table with what it can do. */
export type TableFeatures = Without<typeof TableFeaturesFixed, 'length'> & {
  readonly properties: readonly TableProperty[];
};

const badLength = { type: 13, code: 3 };
const tableRule: ListRule = {
  structure: 'ofp_table_features',
  lengthAt: 0,
  min: TableFeaturesFixed.size,
  multipleOf: 8,
  reply: badLength,
};
const propertyRule: ListRule = { structure: 'ofp_table_feature_prop', min: 4, padded: true, reply: badLength };
const idRule: ListRule = { structure: 'ofp_table_feature_prop', min: 4, reply: badLength };

const byCode = new Map(Object.entries(kinds).map(([type, [code, what]]) => [code as number, { type, what }]));

/** Tables that fill the span. */
export function readTableFeatures(bytes: Uint8Array, at: number, end: number): TableFeatures[] {
  return listOfElements(bytes, at, end, tableRule, (from, to) => {
    const { length: _, ...fixed } = part(TableFeaturesFixed, bytes, from, to);
    const properties = listOfElements(bytes, from + TableFeaturesFixed.size, to, propertyRule, (start, stop) =>
      readProperty(bytes, start, stop),
    );
    return { ...fixed, properties };
  });
}

function readProperty(bytes: Uint8Array, at: number, end: number): TableProperty {
  const code = get16(bytes, at);
  const from = at + 4;
  const kind = byCode.get(code);
  if (kind === undefined) {
    if (code >= 0xfffe && end - at >= 12)
      return {
        type: code === 0xffff ? 'experimenterMiss' : 'experimenter',
        experimenter: get32(bytes, from),
        expType: get32(bytes, from + 4),
        bytes: copyOf(bytes, from + 8, end),
      };
    return { type: 'unknown', property: code, bytes: copyOf(bytes, from, end) };
  }
  if (kind.what === 'tables') return { type: kind.type as KindOf<'tables'>, tables: [...bytes.subarray(from, end)] };
  if (kind.what === 'ids') return { type: kind.type as KindOf<'ids'>, ids: readIds(bytes, from, end) };
  const fields: FieldId[] = [];
  for (let here = from; here < end; ) {
    const id = readFieldId(bytes, here, end);
    fields.push(id);
    here += fieldIdSize(id);
  }
  return { type: kind.type as KindOf<'fields'>, fields };
}

function readIds(bytes: Uint8Array, at: number, end: number): CodeId[] {
  return listOfElements(bytes, at, end, idRule, (from, to) => {
    const code = get16(bytes, from);
    const isExperimenter = code === 0xffff && to - from >= 8;
    const rest = from + (isExperimenter ? 8 : 4);
    return {
      code,
      ...(isExperimenter ? { experimenter: get32(bytes, from + 4) } : {}),
      ...(rest < to ? { bytes: copyOf(bytes, rest, to) } : {}),
    };
  });
}

/** Appends tables. */
export function writeTableFeatures(writer: Writer, tables: readonly TableFeatures[]): void {
  for (const table of tables) {
    const from = writer.at;
    writer.put(TableFeaturesFixed, { ...table, length: 0 });
    for (const property of table.properties) {
      const start = writer.at;
      writeProperty(writer, property);
      writer.length16(start, start + 2).align(start);
    }
    writer.length16(from, from);
  }
}

function writeProperty(writer: Writer, property: TableProperty): void {
  if (property.type === 'unknown') {
    writer.u16(property.property).u16(0).raw(property.bytes);
  } else if (property.type === 'experimenter' || property.type === 'experimenterMiss') {
    writer.u16(property.type === 'experimenter' ? 0xfffe : 0xffff).u16(0);
    writer.u32(property.experimenter).u32(property.expType).raw(property.bytes);
  } else {
    writer.u16(kinds[property.type][0]).u16(0);
    if ('tables' in property) for (const table of property.tables) writer.u8(table);
    else if ('fields' in property) for (const id of property.fields) writer.fieldId(id);
    else if ('ids' in property) for (const id of property.ids) writeId(writer, id);
  }
}

function writeId(writer: Writer, { code, experimenter, bytes }: CodeId): void {
  const from = writer.at;
  writer.u16(code).u16(0);
  if (experimenter !== undefined) writer.u32(experimenter);
  if (bytes !== undefined) writer.raw(bytes);
  writer.length16(from, from + 2);
}
