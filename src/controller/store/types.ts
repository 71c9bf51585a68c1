import type { StoreError } from '../kernel/index.ts';

/** One stored value and its history. Revisions are safe integers, one line for the whole store. */
export interface KeyValue {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  /** 1 after creation, +1 each change. */
  readonly version: number;
}

/** A condition of a transaction. `modRevision` 0 means "does not exist". */
export interface Compare {
  readonly key: string;
  readonly modRevision: number;
}

export type StoreOp =
  | { readonly op: 'put'; readonly key: string; readonly value: string; readonly lease?: string }
  | { readonly op: 'delete'; readonly key: string };

export interface TxnResult {
  readonly succeeded: boolean;
  /** Revision after the transaction; unchanged when it failed or changed nothing. */
  readonly revision: number;
  /** The comparisons that failed, with what is there. */
  readonly conflicts: readonly { readonly key: string; readonly expected: number; readonly actual: number }[];
}

/** One change as a watcher sees it; events of one transaction share a revision and arrive in one call. */
export interface StoreEvent {
  readonly key: string;
  readonly revision: number;
  readonly before: KeyValue | undefined;
  /** Undefined when deleted. */
  readonly after: KeyValue | undefined;
}

export interface RangeResult {
  readonly items: readonly KeyValue[];
  readonly revision: number;
  /** More keys follow the last one given. */
  readonly more: boolean;
}

export interface Watch {
  close(): void;
}

export interface TxnOptions {
  /**
   * May be lost when the machine loses power within some seconds (never half of it, and never when only the process dies).
   * For what can be found again. A durable transaction after it makes it durable too.
   */
  readonly relaxed?: boolean;
}

/** Why a store refused; in `details.reason` of StoreError. */
export type StoreReason =
  | 'full'
  | 'locked'
  | 'corrupt'
  | 'readonly'
  | 'io'
  | 'closed'
  | 'compacted'
  | 'schema'
  | 'lease'
  | 'exhausted'
  | 'busy'
  | 'invalid';

/** Shaped like etcd. All methods reject with StoreError when the store cannot do it. */
export interface Store {
  /** Newest committed revision. */
  readonly revision: number;
  /** Operations that one transaction may have; etcd's default is 128. */
  readonly maxOps: number;
  /** Why the last write failed, when none has succeeded since; for readiness. Reads may still work. */
  readonly problem: StoreError | undefined;
  get(key: string): Promise<KeyValue | undefined>;
  /** Keys with the prefix, in byte order, after `after` when given. */
  range(query: { readonly prefix: string; readonly after?: string; readonly limit?: number }): Promise<RangeResult>;
  /** All or nothing; durable when it resolves. Values equal to what is there are no change. A key may occur in one op only. */
  txn(compare: readonly Compare[], success: readonly StoreOp[], options?: TxnOptions): Promise<TxnResult>;
  /**
   * Events of keys with the prefix from `fromRevision` on (default: after the newest), in order, none twice, after they are
   * durable. Rejects with StoreError `compacted` when that history is gone.
   */
  watch(
    prefix: string,
    fromRevision: number | undefined,
    onEvents: (events: readonly StoreEvent[]) => void,
  ): Promise<Watch>;
  /** History up to this revision is forgotten (current values stay). */
  compact(revision: number): Promise<void>;
  /** Keys put under a lease vanish when it is not kept alive for ttlMs. */
  grantLease(ttlMs: number): Promise<string>;
  keepAlive(lease: string): Promise<void>;
  revokeLease(lease: string): Promise<void>;
  close(): Promise<void>;
}
