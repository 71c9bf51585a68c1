import { OvsdbError } from './errors.ts';
import type { AtomType, ColumnType } from './values.ts';

/** Column types by table and column. */
export type Schema = ReadonlyMap<string, ReadonlyMap<string, ColumnType>>;
/** Columns that somebody needs, by table. */
export type Needs = Readonly<Record<string, readonly string[]>>;

const ATOM_TYPES: ReadonlySet<unknown> = new Set(['integer', 'real', 'boolean', 'string', 'uuid']);
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const broken = (where: string): OvsdbError => new OvsdbError('malformed', `schema: ${where} makes no sense`);

function baseType(wire: unknown, where: string): AtomType {
  const type = isObject(wire) ? wire['type'] : wire;
  if (!ATOM_TYPES.has(type)) throw broken(where);
  return type as AtomType;
}

function columnType(wire: unknown, where: string): ColumnType {
  if (typeof wire === 'string') return { key: baseType(wire, where), min: 1, max: 1 };
  if (!isObject(wire)) throw broken(where);
  const { key, value, min = 1, max = 1 } = wire;
  const most = max === 'unlimited' ? Number.POSITIVE_INFINITY : max;
  if ((min !== 0 && min !== 1) || typeof most !== 'number' || most < 1) throw broken(where);
  const type = { key: baseType(key, where), min, max: most };
  return value === undefined ? type : { ...type, value: baseType(value, where) };
}

/** Reads the answer to `get_schema` (RFC 7047 §4.1.2, §3.2), and adds what every row has: `_uuid`. */
export function readSchema(wire: unknown): Schema {
  const tables = isObject(wire) ? wire['tables'] : undefined;
  if (!isObject(tables)) throw broken('its list of tables');
  return new Map(
    Object.entries(tables).map(([table, definition]) => {
      const columns = isObject(definition) ? definition['columns'] : undefined;
      if (!isObject(columns)) throw broken(`table ${table}`);
      const types = Object.entries(columns).map(([column, each]): [string, ColumnType] => [
        column,
        columnType(isObject(each) ? each['type'] : undefined, `${table}.${column}`),
      ]);
      return [table, new Map<string, ColumnType>([...types, ['_uuid', { key: 'uuid', min: 1, max: 1 }]])];
    }),
  );
}

/** Throws OvsdbError (`schema`) that names every table and column that is needed and not there. */
export function checkSchema(schema: Schema, needs: Needs, database: string): void {
  const missing = Object.entries(needs).flatMap(([table, columns]) => {
    const known = schema.get(table);
    if (!known) return [`table ${table}`];
    return columns.filter((column) => !known.has(column)).map((column) => `column ${table}.${column}`);
  });
  if (missing.length === 0) return;
  throw new OvsdbError('schema', `database ${database} lacks ${missing.join(', ')}; a newer Open vSwitch is needed`, {
    details: { missing },
  });
}
