import { OvsdbError } from './errors.ts';
import type { Needs, Schema } from './schema.ts';
import { type AtomType, type ColumnType, isMap, isOptional, isScalar } from './values.ts';

/** What a column has to be: one value, at most one (`?`), a set (`*`), or a map of texts (`map`). */
export type Shape = `${AtomType}${'' | '?' | '*'}` | 'map';
/** Shapes of columns, by table. */
export type Shapes = Readonly<Record<string, Readonly<Record<string, Shape>>>>;

interface AtomOf {
  readonly integer: number;
  readonly real: number;
  readonly boolean: boolean;
  readonly string: string;
  readonly uuid: string;
}

/** The value that a column of this shape holds. */
export type Shaped<S extends Shape> = S extends 'map'
  ? ReadonlyMap<string, string>
  : S extends `${infer A extends AtomType}?`
    ? AtomOf[A] | undefined
    : S extends `${infer A extends AtomType}*`
      ? readonly AtomOf[A][]
      : S extends AtomType
        ? AtomOf[S]
        : never;

/** A row by the shapes of its columns. */
export type ShapedRow<C extends Readonly<Record<string, Shape>>> = { readonly [K in keyof C]: Shaped<C[K]> };

/** The columns that shapes speak of, for monitoring. */
export const needsOf = (shapes: Shapes): Needs =>
  Object.fromEntries(Object.entries(shapes).map(([table, columns]) => [table, Object.keys(columns)]));

/** The shape of a column's type, or a description of a type that has none of ours. */
function shapeOf(type: ColumnType): string {
  if (isMap(type)) return type.key === 'string' && type.value === 'string' ? 'map' : `map of ${type.key}`;
  return isScalar(type) ? type.key : isOptional(type) ? `${type.key}?` : `${type.key}*`;
}

/** Throws OvsdbError (`schema`) that names every column of another shape than wanted. Columns that are missing are not judged. */
export function checkShapes(schema: Schema, shapes: Shapes, database: string): void {
  const wrong = Object.entries(shapes).flatMap(([table, columns]) =>
    Object.entries(columns).flatMap(([column, wanted]) => {
      const type = schema.get(table)?.get(column);
      return type === undefined || shapeOf(type) === wanted
        ? []
        : [`column ${table}.${column} is ${shapeOf(type)}, not ${wanted}`];
    }),
  );
  if (wrong.length > 0)
    throw new OvsdbError('schema', `database ${database}: ${wrong.join(', ')}`, { details: { wrong } });
}
