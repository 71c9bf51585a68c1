import type { RequestError } from '../kernel/index.ts';
import type { PortEdit } from './migration.ts';
import type {
  DesiredChange,
  DesiredReader,
  Hypervisor,
  LispMapping,
  LispSite,
  Network,
  Port,
  Site,
  Tenant,
} from './types.ts';

/** A value as JSON has it. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

export type ObjectKind = 'tenant' | 'network' | 'port' | 'hypervisor' | 'site' | 'lispSite' | 'lispMapping';

/**
 * Names one object: `id` is absent for a tenant, and the object's own id otherwise. `tenant` is empty for what no tenant owns (a
 * hypervisor).
 */
export interface ObjectIds {
  readonly tenant: string;
  readonly id?: string;
}

/** An object as REST shows it: the fields one writes, plus `id`, `revision`, `createdAt`, `updatedAt` and `status`. */
export type ObjectJson = JsonObject & {
  readonly id: string;
  readonly revision: number;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly status: JsonObject;
};

/** Conditions and mode of a write. */
export interface WriteOptions {
  /** The revision that the object must have, else 412 NL_PRECONDITION. */
  readonly ifMatch?: number;
  /** `If-None-Match: *`: the object must not exist, else 412 NL_PRECONDITION. */
  readonly ifNoneMatch?: boolean;
  /** Checks and plans, stores nothing. */
  readonly dryRun?: boolean;
}

export interface DeleteOptions extends WriteOptions {
  /** Deletes the users of the object too, in the same transaction. */
  readonly cascade?: boolean;
}

export interface WriteResult {
  readonly object: ObjectJson;
  /** The object did not exist before. */
  readonly created: boolean;
  /** False when the same was there already; then the revision is the old one. */
  readonly changed: boolean;
  /** Revision of the object. With dryRun of a change: the store's revision. */
  readonly revision: number;
  /** What the planner answered; only with dryRun, and only when a planner is set. */
  readonly plan?: unknown;
}

export interface DeleteResult {
  /** Revision of the deletion. */
  readonly revision: number;
  /** REST paths of all deleted objects, users first. */
  readonly deleted: readonly string[];
  readonly plan?: unknown;
}

export interface ListOptions {
  /** Items on a page, 1…1000; default 100. */
  readonly limit?: number;
  /** `nextCursor` of the page before. 400 when it is none of ours. */
  readonly cursor?: string;
}

/** One page, ordered by id (for ports and networks over all tenants: by tenant, then id). */
export interface ListResult {
  readonly items: readonly ObjectJson[];
  /** Absent on the last page. Objects that exist throughout are seen exactly once. */
  readonly nextCursor?: string;
  /** Revision that this page shows. */
  readonly revision: number;
}

export type BulkOperation =
  | {
      readonly method: 'PUT' | 'PATCH';
      readonly kind: ObjectKind;
      readonly ids: ObjectIds;
      readonly body: unknown;
      readonly ifMatch?: number;
      readonly ifNoneMatch?: boolean;
    }
  | {
      readonly method: 'DELETE';
      readonly kind: ObjectKind;
      readonly ids: ObjectIds;
      readonly ifMatch?: number;
      readonly cascade?: boolean;
    };

/** Result of one operation, at the operation's place. `error` only when not atomic. */
export type BulkItem =
  | ({ readonly ok: true; readonly method: 'PUT' | 'PATCH' } & WriteResult)
  | ({ readonly ok: true; readonly method: 'DELETE' } & DeleteResult)
  | { readonly ok: false; readonly error: RequestError };

export interface BulkResult {
  readonly items: readonly BulkItem[];
  /** Store revision after the bulk. */
  readonly revision: number;
  readonly plan?: unknown;
}

/** Called after a commit, in revision order, when `desired` already holds it. Changes of one revision come together. */
export type ChangeListener = (changes: readonly DesiredChange[], revision: number) => void;

/** May refuse a change by throwing RequestError. `desired` is the state before it (operations of the same bulk included). */
export type AdmissionHook = (change: DesiredChange, desired: DesiredReader) => void;

/** What a planner says of changes that are applied to `desired` during the (synchronous) call and taken back after it. */
export interface Plan {
  /** What `?dryRun=true` shows: `{changes: [{switch, add, modify, delete}], …}`. */
  readonly report: unknown;
  /** Flows over all switches that each named tenant's objects would hold; checked against `quota.flows`. */
  readonly flowsOfTenant?: ReadonlyMap<string, number>;
}
export type Planner = (changes: readonly DesiredChange[], desired: DesiredReader, purpose: 'dryRun' | 'quota') => Plan;

/** Fields of `status` beyond the allocated numbers, which the service itself writes (`index`, `endpoint`). */
export type StatusProvider = (
  object:
    | { readonly kind: 'tenant'; readonly object: Tenant }
    | { readonly kind: 'network'; readonly object: Network }
    | { readonly kind: 'port'; readonly object: Port }
    | { readonly kind: 'hypervisor'; readonly object: Hypervisor }
    | { readonly kind: 'site'; readonly object: Site }
    | { readonly kind: 'lispSite'; readonly object: LispSite }
    | { readonly kind: 'lispMapping'; readonly object: LispMapping },
) => JsonObject;

/**
 * The northbound objects: checked, canonical, stored, and watched into `desired`. Refusals reject with RequestError: 400
 * NL_INVALID (`errors` holds every problem), 404 NL_NOT_FOUND, 409 NL_IN_USE / NL_CONFLICT / NL_QUOTA, 412 NL_PRECONDITION.
 * A store that cannot write rejects with StoreError; reads go on. Reads are synchronous, from memory, and see what this
 * process has been told is committed.
 */
export interface ObjectService {
  /** State at the newest revision known here. The same object for the service's life. */
  readonly desired: DesiredReader;
  readonly revision: number;
  put(kind: ObjectKind, ids: ObjectIds, body: unknown, options?: WriteOptions): Promise<WriteResult>;
  /** JSON merge patch (RFC 7396) on the fields one writes. */
  patch(kind: ObjectKind, ids: ObjectIds, body: unknown, options?: WriteOptions): Promise<WriteResult>;
  delete(kind: ObjectKind, ids: ObjectIds, options?: DeleteOptions): Promise<DeleteResult>;
  /** A step of a port's move, stored as one change; refused by what the step throws, or 409 when its place is another port's. */
  move(ids: ObjectIds, edit: PortEdit): Promise<WriteResult>;
  /** Throws RequestError 404 when it does not exist. */
  get(kind: ObjectKind, ids: ObjectIds): ObjectJson;
  /** Objects of a tenant, or of all tenants when `tenant` is absent. Throws RequestError (400, or 404 for the tenant). */
  list(kind: ObjectKind, scope: { readonly tenant?: string }, options?: ListOptions): ListResult;
  /**
   * Later operations see earlier ones. Atomic: one transaction or none; the rejection's pointers start with
   * `/operations/N`. Not atomic: each operation has its own result.
   */
  bulk(
    operations: readonly BulkOperation[],
    options: { readonly atomic: boolean; readonly dryRun?: boolean },
  ): Promise<BulkResult>;
  /** The function returned removes the listener. One that throws is logged and costs nobody else the change. */
  onChange(name: string, listener: ChangeListener): () => void;
  admit(name: string, hook: AdmissionHook): () => void;
  setPlanner(planner: Planner | undefined): void;
  setStatusProvider(provider: StatusProvider | undefined): void;
  close(): Promise<void>;
}
