import { type Compare, type IdSpace, idAfter, pickId, type StoreOp } from '../store/index.ts';
import { globalKinds, isGlobalKind } from './kinds.ts';
import type { ObjectIds, ObjectKind } from './service-types.ts';

/** All keys of the model start with it. */
export const PREFIX = '/model/';

/** Where things lie in the store. Ids cannot hold a slash, so no two keys of different things are equal. */
export const keys = {
  object: (kind: ObjectKind, ids: ObjectIds): string =>
    `${PREFIX}object/${kind}/${isGlobalKind(kind) ? ids.id : kind === 'tenant' ? ids.tenant : `${ids.tenant}/${ids.id}`}`,
  /** Changes with every network and port of a tenant; who compares it sees none come or go. */
  guard: (tenant: string): string => `${PREFIX}guard/${tenant}`,
  id: (space: string, id: number): string => `${PREFIX}id/${space}/${id}`,
  nextId: (space: string): string => `${PREFIX}id/${space}/next`,
  /** Value: REST path of the holder. */
  unique: (what: string): string => `${PREFIX}unique/${what}`,
} as const;

/** The object that a key holds, or undefined for other keys. */
export function objectOfKey(key: string): { readonly kind: ObjectKind; readonly ids: ObjectIds } | undefined {
  const [, , area, kind, tenant, id] = key.split('/');
  if (area !== 'object' || tenant === undefined) return undefined;
  if (kind === 'tenant') return { kind, ids: { tenant } };
  const global = globalKinds.find((each) => each === kind);
  if (global) return { kind: global, ids: { tenant: '', id: tenant } };
  return (kind === 'network' || kind === 'port') && id !== undefined ? { kind, ids: { tenant, id } } : undefined;
}

/** What is known here of the stored keys, as of the newest events seen. */
export class Mirror {
  readonly #entries = new Map<string, { readonly value: string; readonly modRevision: number }>();
  readonly #ids = new Map<string, Set<number>>();

  value(key: string): string | undefined {
    return this.#entries.get(key)?.value;
  }

  /** 0 when the key does not exist. */
  revision(key: string): number {
    return this.#entries.get(key)?.modRevision ?? 0;
  }

  takenIds(space: string): ReadonlySet<number> {
    return this.#ids.get(space) ?? new Set();
  }

  set(key: string, value: string, modRevision: number): void {
    this.#entries.set(key, { value, modRevision });
    const id = idOfKey(key);
    if (!id) return;
    const taken = this.#ids.get(id.space) ?? new Set();
    this.#ids.set(id.space, taken.add(id.number));
  }

  delete(key: string): void {
    this.#entries.delete(key);
    const id = idOfKey(key);
    if (id) this.#ids.get(id.space)?.delete(id.number);
  }
}

function idOfKey(key: string): { readonly space: string; readonly number: number } | undefined {
  if (!key.startsWith(`${PREFIX}id/`)) return undefined;
  const [, , , space, id] = key.split('/');
  const number = Number(id);
  return space !== undefined && Number.isInteger(number) ? { space, number } : undefined;
}

/**
 * Writes not yet stored, over a mirror or another draft. Remembers what was read from the mirror: the transaction is valid
 * as long as all of that is still so, whoever else writes to the store.
 */
export class Draft {
  readonly #mirror: Mirror;
  readonly #parent: Draft | undefined;
  readonly #reads = new Map<string, number>();
  readonly #writes = new Map<string, string | undefined>();
  /** How many ids of a space are taken more (or fewer) than in the mirror. */
  readonly #taken = new Map<string, number>();

  constructor(mirror: Mirror, parent?: Draft) {
    this.#mirror = mirror;
    this.#parent = parent;
  }

  get size(): number {
    return this.#writes.size;
  }

  get(key: string): string | undefined {
    for (let draft: Draft | undefined = this; draft; draft = draft.#parent) {
      if (draft.#writes.has(key)) return draft.#writes.get(key);
    }
    this.#reads.set(key, this.#mirror.revision(key));
    return this.#mirror.value(key);
  }

  put(key: string, value: string): void {
    this.#writes.set(key, value);
  }

  delete(key: string): void {
    this.#writes.set(key, undefined);
  }

  /** True when this draft (not one below it) writes the key. */
  writes(key: string): boolean {
    return this.#writes.has(key);
  }

  /** True when one of the other draft's object keys is written here too. */
  clashes(other: Draft): boolean {
    for (const key of other.#writes.keys()) if (this.#writes.has(key) && objectOfKey(key)) return true;
    return false;
  }

  /** Takes the id that was asked for, or the next free one, for the holder. Undefined when it is somebody else's. */
  takeId(space: IdSpace, holder: string, wanted?: number): number | undefined {
    let id = wanted;
    if (id === undefined) {
      const mirrored = this.#mirror.takenIds(space.name);
      let used = mirrored.size;
      for (let draft: Draft | undefined = this; draft; draft = draft.#parent) used += draft.#taken.get(space.name) ?? 0;
      id = pickId(space, {
        next: Number(this.get(keys.nextId(space.name)) ?? space.first),
        used,
        has: (candidate) => this.#isTaken(space, candidate, mirrored),
      });
      this.put(keys.nextId(space.name), String(idAfter(space, id)));
    }
    const key = keys.id(space.name, id);
    if (this.get(key) !== undefined) return undefined;
    this.put(key, holder);
    this.#count(space.name, 1);
    return id;
  }

  freeId(space: IdSpace, id: number): void {
    this.delete(keys.id(space.name, id));
    this.#count(space.name, -1);
  }

  /** Adds what this draft read and wrote to the one below it. */
  merge(): void {
    const parent = this.#parent;
    if (!parent) return;
    for (const [key, revision] of this.#reads) parent.#reads.set(key, revision);
    for (const [key, value] of this.#writes) parent.#writes.set(key, value);
    for (const [space, count] of this.#taken) parent.#count(space, count);
  }

  /** The transaction that stores this draft. */
  transaction(): { readonly compare: readonly Compare[]; readonly success: readonly StoreOp[] } {
    return {
      compare: [...this.#reads].map(([key, modRevision]) => ({ key, modRevision })),
      success: [...this.#writes].map(
        ([key, value]): StoreOp => (value === undefined ? { op: 'delete', key } : { op: 'put', key, value }),
      ),
    };
  }

  #isTaken(space: IdSpace, id: number, mirrored: ReadonlySet<number>): boolean {
    const key = keys.id(space.name, id);
    for (let draft: Draft | undefined = this; draft; draft = draft.#parent) {
      if (draft.#writes.has(key)) return draft.#writes.get(key) !== undefined;
    }
    return mirrored.has(id);
  }

  #count(space: string, by: number): void {
    this.#taken.set(space, (this.#taken.get(space) ?? 0) + by);
  }
}
