import { OvsdbError } from './errors.ts';
import type { Needs, Schema } from './schema.ts';
import { applyDifference, decodeValue, type Row, sameValue, type Value } from './values.ts';

/** One row that came, changed or went. */
export interface RowChange {
  readonly table: string;
  readonly uuid: string;
  /** Undefined: it was inserted. */
  readonly before: Row | undefined;
  /** Undefined: it was deleted. */
  readonly after: Row | undefined;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Our copy of the monitored columns. */
export class Replica {
  readonly #schema: Schema;
  readonly #needs: Needs;
  readonly #tables = new Map<string, Map<string, Row>>();

  constructor(schema: Schema, needs: Needs) {
    this.#schema = schema;
    this.#needs = needs;
    for (const table of Object.keys(needs)) this.#tables.set(table, new Map());
  }

  table(name: string): ReadonlyMap<string, Row> {
    const table = this.#tables.get(name);
    if (!table) throw new RangeError(`table ${name} is not monitored`);
    return table;
  }

  /**
   * Takes a `<table-updates>` of RFC 7047 (`old` and `new` rows) or a `<table-updates2>` of ovsdb-server(7) (`initial`, `insert`,
   * `modify`, `delete`). Answers what really changed. Throws OvsdbError when it makes no sense; then nothing of it is taken, so that
   * the copy still is what was told.
   */
  apply(updates: unknown): RowChange[] {
    if (!isObject(updates)) throw new OvsdbError('malformed', 'an update is no object');
    const changes: RowChange[] = [];
    for (const [table, rows] of Object.entries(updates)) {
      const here = this.#tables.get(table);
      if (!here || !isObject(rows))
        throw new OvsdbError('malformed', `an update of table ${table}, which was not asked for`);
      for (const [uuid, update] of Object.entries(rows)) {
        const before = here.get(uuid);
        const after = this.#updated(table, uuid, before, update);
        if (before === undefined && after === undefined) continue;
        if (before && after && this.#same(table, before, after)) continue;
        changes.push({ table, uuid, before, after });
      }
    }
    for (const { table, uuid, after } of changes) {
      if (after === undefined) this.#tables.get(table)!.delete(uuid);
      else this.#tables.get(table)!.set(uuid, after);
    }
    return changes;
  }

  /** How a newer copy of the same columns differs from this one. */
  differences(other: Replica): RowChange[] {
    const changes: RowChange[] = [];
    for (const [table, rows] of other.#tables) {
      const here = this.#tables.get(table) ?? new Map<string, Row>();
      for (const [uuid, before] of here) if (!rows.has(uuid)) changes.push({ table, uuid, before, after: undefined });
      for (const [uuid, after] of rows) {
        const before = here.get(uuid);
        if (!before || !this.#same(table, before, after)) changes.push({ table, uuid, before, after });
      }
    }
    return changes;
  }

  #updated(table: string, uuid: string, before: Row | undefined, update: unknown): Row | undefined {
    const where = `${table} ${uuid}`;
    if (!isObject(update)) throw new OvsdbError('malformed', `${where}: an update is no object`);
    if ('delete' in update) return undefined;
    if ('insert' in update || 'initial' in update)
      return this.#row(table, update['insert'] ?? update['initial'], undefined);
    if ('modify' in update) {
      if (!before) throw new OvsdbError('malformed', `${where}: changed, but never told`);
      return this.#modified(table, before, update['modify']);
    }
    return 'new' in update ? this.#row(table, update['new'], undefined) : undefined;
  }

  /** A whole row; columns that an update2 leaves out have their default: not set, empty, 0, false. */
  #row(table: string, wire: unknown, before: Row | undefined): Row {
    if (!isObject(wire)) throw new OvsdbError('malformed', `${table}: a row is no object`);
    const row: Record<string, Value> = { ...before };
    for (const column of this.#needs[table]!) {
      const type = this.#schema.get(table)!.get(column)!;
      const given = Object.hasOwn(wire, column) ? wire[column] : undefined;
      row[column] = given === undefined ? defaultOf(type) : decodeValue(type, given, `${table}.${column}`);
    }
    return row;
  }

  #modified(table: string, before: Row, wire: unknown): Row {
    if (!isObject(wire)) throw new OvsdbError('malformed', `${table}: a change is no object`);
    const row: Record<string, Value> = { ...before };
    for (const [column, difference] of Object.entries(wire)) {
      const type = this.#schema.get(table)!.get(column);
      if (!type || !Object.hasOwn(before, column)) continue;
      row[column] = applyDifference(type, before[column], decodeValue(loose(type), difference, `${table}.${column}`));
    }
    return row;
  }

  #same(table: string, a: Row, b: Row): boolean {
    return (this.#needs[table] ?? []).every((column) => sameValue(a[column], b[column]));
  }
}

/** A difference of a set may be empty or hold more than the set may. */
const loose = <T extends { readonly min: number; readonly max: number }>(type: T): T =>
  type.max > 1 ? { ...type, min: 0, max: Number.POSITIVE_INFINITY } : type;

function defaultOf(type: {
  readonly key: string;
  readonly value?: string;
  readonly min: number;
  readonly max: number;
}): Value {
  if (type.value !== undefined) return new Map();
  if (type.max > 1) return [];
  if (type.min === 0) return undefined;
  return { integer: 0, real: 0, boolean: false, string: '', uuid: '00000000-0000-0000-0000-000000000000' }[type.key];
}
