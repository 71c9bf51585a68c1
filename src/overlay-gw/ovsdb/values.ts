import { OvsdbError } from './errors.ts';

/** One value as we hold it. A UUID is its text. Integers are exact up to 2^53. */
export type Atom = string | number | boolean;
/** A row made in the same transaction, by the name its insertion gave it (RFC 7047 §3.1, named-uuid). */
export interface NamedUuid {
  readonly namedUuid: string;
}
/**
 * A column's value. By its type in the schema: one atom; at most one, undefined when not set; a list without an order, sorted here;
 * or a map.
 */
export type Value = Atom | undefined | readonly Atom[] | ReadonlyMap<Atom, Atom>;
/** A value to write: may name rows of the same transaction. */
export type Writable = Value | NamedUuid | readonly (Atom | NamedUuid)[] | ReadonlyMap<Atom, Atom | NamedUuid>;
export type Row = Readonly<Record<string, Value>>;

export type AtomType = 'integer' | 'real' | 'boolean' | 'string' | 'uuid';

/** A column's type, of RFC 7047 §3.2 (`<type>`), as far as values depend on it. */
export interface ColumnType {
  readonly key: AtomType;
  /** Present: a map. */
  readonly value?: AtomType;
  readonly min: number;
  /** Infinity for "unlimited". */
  readonly max: number;
}

export const isMap = (type: ColumnType): boolean => type.value !== undefined;
export const isScalar = (type: ColumnType): boolean => !isMap(type) && type.min === 1 && type.max === 1;
export const isOptional = (type: ColumnType): boolean => !isMap(type) && type.min === 0 && type.max === 1;

const malformed = (where: string, what: string): OvsdbError => new OvsdbError('malformed', `${where}: ${what}`);
const brief = (wire: unknown): string => (JSON.stringify(wire) ?? 'nothing').slice(0, 80);

/** Order of atoms within sets, so that equal sets are equal lists. */
export function compareAtoms(a: Atom, b: Atom): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
}

function decodeAtom(type: AtomType, wire: unknown, where: string): Atom {
  if (type === 'uuid') {
    if (Array.isArray(wire) && wire.length === 2 && wire[0] === 'uuid' && typeof wire[1] === 'string') return wire[1];
  } else if (
    type === 'integer' ? Number.isInteger(wire) : type === 'real' ? typeof wire === 'number' : typeof wire === type
  ) {
    return wire as Atom;
  }
  throw malformed(where, `${brief(wire)} is no ${type}`);
}

/** The members of a set as the wire has it: a lone atom stands for a set of one (RFC 7047 §5.1). */
function members(wire: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(wire) || wire[0] !== 'set') return [wire];
  if (wire.length !== 2 || !Array.isArray(wire[1])) throw malformed(where, `${brief(wire)} is no set`);
  return wire[1];
}

/** Decodes a column's value; `where` names it in errors. */
export function decodeValue(type: ColumnType, wire: unknown, where: string): Value {
  if (type.value !== undefined) {
    if (!Array.isArray(wire) || wire[0] !== 'map' || !Array.isArray(wire[1]))
      throw malformed(where, `${brief(wire)} is no map`);
    const pairs = wire[1].map((pair: unknown): [Atom, Atom] => {
      if (!Array.isArray(pair) || pair.length !== 2) throw malformed(where, `${brief(pair)} is no pair`);
      return [decodeAtom(type.key, pair[0], where), decodeAtom(type.value!, pair[1], where)];
    });
    return new Map(pairs.sort(([a], [b]) => compareAtoms(a, b)));
  }
  const list = members(wire, where).map((member) => decodeAtom(type.key, member, where));
  if (isScalar(type) || isOptional(type)) {
    if (list.length > 1 || (list.length === 0 && isScalar(type))) {
      throw malformed(where, `${list.length} values, ${isScalar(type) ? 'one' : 'at most one'} wanted`);
    }
    return list[0];
  }
  return list.sort(compareAtoms);
}

const isNamed = (value: unknown): value is NamedUuid =>
  typeof value === 'object' && value !== null && 'namedUuid' in value;

function encodeAtom(type: AtomType, value: Atom | NamedUuid, where: string): unknown {
  if (type === 'uuid') {
    if (isNamed(value)) return ['named-uuid', value.namedUuid];
    if (typeof value === 'string') return ['uuid', value];
  } else if (
    type === 'integer'
      ? Number.isSafeInteger(value)
      : type === 'real'
        ? typeof value === 'number'
        : typeof value === type
  ) {
    return value;
  }
  throw malformed(where, `${brief(value)} cannot be written as ${type}`);
}

/** Encodes a value to write. Throws OvsdbError when it does not fit the column's type. */
export function encodeValue(type: ColumnType, value: Writable, where: string): unknown {
  if (type.value !== undefined) {
    if (!(value instanceof Map)) throw malformed(where, 'a map is wanted');
    const pairs = [...value].map(([key, each]) => [
      encodeAtom(type.key, key as Atom, where),
      encodeAtom(type.value!, each as Atom | NamedUuid, where),
    ]);
    return ['map', pairs];
  }
  if (value instanceof Map) throw malformed(where, 'a map does not fit');
  const list = (value === undefined ? [] : Array.isArray(value) ? value : [value]) as readonly (Atom | NamedUuid)[];
  if (list.length < type.min || list.length > type.max) {
    throw malformed(where, `${list.length} values, ${type.min}…${type.max} wanted`);
  }
  const encoded = list.map((each) => encodeAtom(type.key, each, where));
  return encoded.length === 1 ? encoded[0] : ['set', encoded];
}

/** True when two values of one column are the same. */
export function sameValue(a: Value, b: Value): boolean {
  if (a instanceof Map && b instanceof Map) {
    if (a.size !== b.size) return false;
    for (const [key, value] of a) if (!b.has(key) || b.get(key) !== value) return false;
    return true;
  }
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((each, i) => each === b[i]);
  return a === b;
}

/**
 * A column after a "modify" of update2 (ovsdb-server(7), monitor_cond): columns that hold one value at most come new; sets come as
 * what was added or removed; maps as what was added, removed (same value) or changed (another value).
 */
export function applyDifference(type: ColumnType, before: Value, difference: Value): Value {
  if (type.value !== undefined) {
    const map = new Map(before as ReadonlyMap<Atom, Atom>);
    for (const [key, value] of difference as ReadonlyMap<Atom, Atom>) {
      if (map.get(key) === value) map.delete(key);
      else map.set(key, value);
    }
    return new Map([...map].sort(([a], [b]) => compareAtoms(a, b)));
  }
  if (isScalar(type) || isOptional(type)) return difference;
  const set = new Set(before as readonly Atom[]);
  for (const each of difference as readonly Atom[]) if (!set.delete(each)) set.add(each);
  return [...set].sort(compareAtoms);
}
