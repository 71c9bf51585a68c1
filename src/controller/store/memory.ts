import type { Backend, BackendState, Row } from './backend.ts';
import { compareKeys } from './backend.ts';
import { LocalStore, type LocalStoreOptions } from './local-store.ts';
import type { Store, StoreEvent } from './types.ts';

/** Keeps everything in maps; nothing survives the process. */
class MemoryBackend implements Backend {
  readonly #rows = new Map<string, Row>();
  /** Keys in byte order. */
  readonly #keys: string[] = [];
  readonly #leases = new Map<string, number>();
  #history: StoreEvent[] = [];
  #undo: (() => void)[] = [];

  load(): BackendState {
    return { revision: 0, compacted: 0, leases: [] };
  }

  get(key: string): Row | undefined {
    return this.#rows.get(key);
  }

  range(prefix: string, after: string | undefined, limit: number): Row[] {
    const start = after !== undefined && compareKeys(after, prefix) >= 0 ? after : prefix;
    const rows: Row[] = [];
    for (let at = this.#position(start); at < this.#keys.length && rows.length < limit; at++) {
      const key = this.#keys[at]!;
      if (key === after) continue;
      if (!key.startsWith(prefix)) break;
      rows.push(this.#rows.get(key)!);
    }
    return rows;
  }

  rowsOfLease(lease: string): Row[] {
    return [...this.#rows.values()].filter((row) => row.lease === lease);
  }

  begin(): void {
    this.#undo = [];
  }

  commit(): void {
    this.#undo = [];
  }

  rollback(): void {
    for (const undo of this.#undo.reverse()) undo();
    this.#undo = [];
  }

  put(row: Row): void {
    const before = this.#rows.get(row.key);
    this.#undo.push(() => (before ? this.#set(before) : this.#unset(row.key)));
    this.#set(row);
  }

  remove(key: string): void {
    const before = this.#rows.get(key);
    if (!before) return;
    this.#undo.push(() => this.#set(before));
    this.#unset(key);
  }

  record(event: StoreEvent): void {
    this.#undo.push(() => this.#history.pop());
    this.#history.push(event);
  }

  putLease(id: string, ttlMs: number): void {
    this.#undo.push(() => this.#leases.delete(id));
    this.#leases.set(id, ttlMs);
  }

  removeLease(id: string): void {
    const ttlMs = this.#leases.get(id);
    if (ttlMs === undefined) return;
    this.#undo.push(() => this.#leases.set(id, ttlMs));
    this.#leases.delete(id);
  }

  setCompacted(): void {
    // LocalStore remembers it for as long as this process lives.
  }

  history(from: number, to: number, limit: number, skip: number): StoreEvent[] {
    return this.#history.filter((event) => event.revision >= from && event.revision <= to).slice(skip, skip + limit);
  }

  historySize(): number {
    return this.#history.length;
  }

  revisionBehind(newer: number): number {
    return this.#history.at(-1 - newer)?.revision ?? 0;
  }

  forget(revision: number, limit: number): number {
    const found = this.#history.findIndex((event) => event.revision > revision);
    const count = Math.min(limit, found < 0 ? this.#history.length : found);
    this.#history = this.#history.slice(count);
    return count;
  }

  close(): void {
    this.#rows.clear();
  }

  #set(row: Row): void {
    if (!this.#rows.has(row.key)) this.#keys.splice(this.#position(row.key), 0, row.key);
    this.#rows.set(row.key, row);
  }

  #unset(key: string): void {
    if (this.#rows.delete(key)) this.#keys.splice(this.#position(key), 1);
  }

  /** Index of the first key that is not below this one. */
  #position(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareKeys(this.#keys[middle]!, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** A store that lives in memory only, for tests and tools. Same contract as every engine. */
export const openMemoryStore = async (options: LocalStoreOptions): Promise<Store> =>
  new LocalStore(new MemoryBackend(), options);
