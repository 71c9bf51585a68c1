import type { KeyValue, StoreEvent } from './types.ts';

/** A stored value and the lease that it hangs on. */
export interface Row extends KeyValue {
  readonly lease: string | undefined;
}

export interface BackendState {
  readonly revision: number;
  /** History up to here is gone. */
  readonly compacted: number;
  readonly leases: readonly { readonly id: string; readonly ttlMs: number }[];
}

/**
 * What an engine in this process has to do; `LocalStore` does everything else. All synchronous. Writes happen between
 * `begin` and `commit` only. Errors are StoreError already.
 */
export interface Backend {
  load(): BackendState;
  get(key: string): Row | undefined;
  /** Rows in byte order of the key, at most `limit`. */
  range(prefix: string, after: string | undefined, limit: number): Row[];
  rowsOfLease(lease: string): Row[];
  begin(relaxed: boolean): void;
  commit(): void;
  /** Takes everything since `begin` back. Must not throw. */
  rollback(): void;
  put(row: Row): void;
  remove(key: string): void;
  record(event: StoreEvent, seq: number): void;
  putLease(id: string, ttlMs: number): void;
  removeLease(id: string): void;
  setCompacted(revision: number): void;
  /** Events with `from` ≤ revision ≤ `to`, oldest first, at most `limit` of them after `skip`. */
  history(from: number, to: number, limit: number, skip: number): StoreEvent[];
  /** Number of events kept. */
  historySize(): number;
  /** Revision of the event that has `newer` events after it; 0 when there are fewer. */
  revisionBehind(newer: number): number;
  /** Forgets at most `limit` events up to this revision; returns how many. */
  forget(revision: number, limit: number): number;
  close(): void;
}

/** Order of keys: by their UTF-8 bytes, which is how every engine sorts. */
export function compareKeys(a: string, b: string): number {
  // UTF-16 order equals byte order unless surrogates are involved.
  if (!/[\ud800-\udfff]/.test(a) && !/[\ud800-\udfff]/.test(b)) return a < b ? -1 : a > b ? 1 : 0;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
