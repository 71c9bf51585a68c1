import { OvsdbError } from './errors.ts';
import { refusal } from './rpc.ts';
import type { Schema } from './schema.ts';
import { encodeValue, type Writable } from './values.ts';

export type WritableRow = Readonly<Record<string, Writable>>;
export type Mutator = '+=' | '-=' | '*=' | '/=' | '%=' | 'insert' | 'delete';

/** Which rows: by UUID, by the value of columns, or all of a table. */
export type Where = { readonly uuid: string } | { readonly columns: WritableRow } | 'all';

/** One operation of a transaction (RFC 7047 §5.2), with values as we hold them. */
export type Operation =
  | { readonly op: 'insert'; readonly table: string; readonly row: WritableRow; readonly name?: string }
  | { readonly op: 'update'; readonly table: string; readonly where: Where; readonly row: WritableRow }
  | {
      readonly op: 'mutate';
      readonly table: string;
      readonly where: Where;
      readonly mutations: readonly (readonly [column: string, mutator: Mutator, value: Writable])[];
    }
  | { readonly op: 'delete'; readonly table: string; readonly where: Where }
  /** Fails the transaction unless the rows have these values. */
  | { readonly op: 'wait'; readonly table: string; readonly where: Where; readonly row: WritableRow }
  /** Fails the transaction unless this session holds the lock. */
  | { readonly op: 'assert'; readonly lock: string }
  | { readonly op: 'comment'; readonly comment: string };

/** What came of one operation: the UUID of an inserted row, or how many rows it touched. */
export interface Outcome {
  readonly uuid?: string;
  readonly count?: number;
}

function typeOf(schema: Schema, table: string, column: string) {
  const type = schema.get(table)?.get(column);
  if (!type) throw new OvsdbError('schema', `no column ${table}.${column}`);
  return type;
}

const encodeRow = (schema: Schema, table: string, row: WritableRow): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(row).map(([column, value]) => [
      column,
      encodeValue(typeOf(schema, table, column), value, `${table}.${column}`),
    ]),
  );

function encodeWhere(schema: Schema, table: string, where: Where): unknown[] {
  if (where === 'all') return [];
  if ('uuid' in where) return [['_uuid', '==', ['uuid', where.uuid]]];
  return Object.entries(encodeRow(schema, table, where.columns)).map(([column, value]) => [column, '==', value]);
}

/** Encodes an operation. Throws OvsdbError for a column that is not there or a value that does not fit it. */
export function encodeOperation(schema: Schema, operation: Operation): object {
  if (operation.op === 'comment' || operation.op === 'assert') return operation;
  const { op, table } = operation;
  if (op === 'insert') {
    const { row, name } = operation;
    return { op, table, row: encodeRow(schema, table, row), ...(name === undefined ? {} : { 'uuid-name': name }) };
  }
  const where = encodeWhere(schema, table, operation.where);
  switch (op) {
    case 'update':
      return { op, table, where, row: encodeRow(schema, table, operation.row) };
    case 'mutate': {
      const mutations = operation.mutations.map(([column, mutator, value]) => {
        const type = typeOf(schema, table, column);
        // Keys alone are enough to delete from a map.
        const isKeys = type.value !== undefined && mutator === 'delete' && !(value instanceof Map);
        const { value: _value, ...keys } = type;
        const fitting = { ...(isKeys ? keys : type), min: 0, max: Number.POSITIVE_INFINITY };
        return [column, mutator, encodeValue(fitting, value, `${table}.${column}`)];
      });
      return { op, table, where, mutations };
    }
    case 'delete':
      return { op, table, where };
    case 'wait': {
      const rows = [encodeRow(schema, table, operation.row)];
      return { op, table, where, columns: Object.keys(operation.row), until: '==', rows, timeout: 0 };
    }
  }
}

/** Reads the answer to `transact`. Throws OvsdbError (`refused`) with the error of the first operation that failed. */
export function readOutcomes(answer: unknown): Outcome[] {
  if (!Array.isArray(answer)) throw new OvsdbError('malformed', 'the answer to a transaction is no list');
  return answer.map((each: unknown): Outcome => {
    if (typeof each !== 'object' || each === null) return {};
    const { error, uuid, count } = each as Record<string, unknown>;
    if (error !== undefined) throw refusal(each);
    if (Array.isArray(uuid) && typeof uuid[1] === 'string') return { uuid: uuid[1] };
    return typeof count === 'number' ? { count } : {};
  });
}
