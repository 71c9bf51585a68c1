import { randomBytes } from 'node:crypto';
import {
  type Clock,
  InvariantError,
  type Logger,
  type MetricSink,
  NetloomError,
  RequestError,
  StoreError,
} from '../kernel/index.ts';
import type { Store, StoreEvent, TxnResult, Watch } from '../store/index.ts';
import { Desired } from './desired.ts';
import { Draft, keys, Mirror, objectOfKey, PREFIX } from './draft.ts';
import { MAX_PROBLEMS } from './json.ts';
import { restPath } from './kinds.ts';
import { listPage } from './list.ts';
import type { PortEdit } from './migration.ts';
import { allocated, fromStored, idsOf, shownFields, type Underlay } from './objects.ts';
import { find, notFound, type PlanContext, planStep, type SegmentRanges, type StepPlan } from './plan.ts';
import { checkFlowQuotas } from './quota.ts';
import type {
  AdmissionHook,
  BulkItem,
  BulkOperation,
  BulkResult,
  ChangeListener,
  DeleteOptions,
  DeleteResult,
  JsonObject,
  ListOptions,
  ListResult,
  ObjectIds,
  ObjectJson,
  ObjectKind,
  ObjectService,
  Planner,
  StatusProvider,
  WriteOptions,
  WriteResult,
} from './service-types.ts';
import { bulkRefusal, moveStep, patchStep, putStep, type Step, stepOf } from './steps.ts';
import type { AnyObject, DesiredChange } from './types.ts';

export interface ObjectServiceOptions {
  readonly store: Store;
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics?: MetricSink;
  /** What overlays travel over; default 1500 bytes, IPv4. */
  readonly underlay?: Underlay;
  /** From which networks that name no segment get theirs; all when not given. */
  readonly segments?: SegmentRanges;
}

/** What a request came to, once it is stored under this revision (or, when nothing changed or only planned, as of it). */
interface Outcome {
  readonly plans: readonly StepPlan[];
  readonly changes: readonly DesiredChange[];
  readonly revision: number;
  readonly plan: unknown;
}

/** Steps that stand or fall together, waiting to be planned. */
interface Request {
  readonly steps: readonly Step[];
  readonly dryRun: boolean;
  readonly inBulk: boolean;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

interface Planned {
  readonly request: Request;
  readonly plans: readonly StepPlan[];
  readonly changes: readonly DesiredChange[];
}

/** Longest stretch of planning before the event loop gets a turn; a single atomic bulk may take longer. */
const PLAN_MS = 8;
/** Store operations after which a batch is closed. */
const BATCH_OPS = 800;
/** Lost races against other instances before a request is refused. */
const ATTEMPTS = 10;
const EVENTS_WAIT_MS = 5_000;
const PAGE = 1_000;

const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Opens the service: reads all objects, then follows the store. Rejects with StoreError. */
export async function openObjectService(options: ObjectServiceOptions): Promise<ObjectService> {
  const service = new StoredObjects(options);
  await service.load();
  return service;
}

/**
 * Requests queue up here and are planned in order, each on top of those before it; what was planned in one go is stored in
 * one transaction, which holds as long as nothing that the plans read has changed. If it has (another instance), they are
 * planned again. Two requests that write one object never share a transaction: they need revisions of their own.
 */
class StoredObjects implements ObjectService {
  readonly desired = new Desired();
  readonly #store: Store;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #underlay: Underlay;
  readonly #segments: SegmentRanges;
  readonly #mirror = new Mirror();
  readonly #instance = randomBytes(6).toString('hex');
  #listeners: { readonly name: string; readonly listener: ChangeListener }[] = [];
  #hooks: { readonly name: string; readonly hook: AdmissionHook }[] = [];
  #waiters = new Set<() => void>();
  #planner: Planner | undefined;
  #status: StatusProvider | undefined;
  #queue: Request[] = [];
  #running: Promise<void> | undefined;
  #watch: Watch | undefined;
  #tokens = 0;
  #closed = false;
  #retries = 0;

  constructor(options: ObjectServiceOptions) {
    this.#store = options.store;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#underlay = options.underlay ?? { mtu: 1500, family: 4 };
    this.#segments = options.segments ?? {};
    if (options.metrics) this.#declareMetrics(options.metrics);
  }

  get revision(): number {
    return this.desired.revision;
  }

  async load(): Promise<void> {
    let revision: number | undefined;
    let after: string | undefined;
    const events: StoreEvent[] = [];
    for (let more = true; more; ) {
      const page = await this.#store.range({ prefix: PREFIX, limit: PAGE, ...(after === undefined ? {} : { after }) });
      revision ??= page.revision;
      for (const item of page.items) {
        events.push({ key: item.key, revision: item.modRevision, before: undefined, after: item });
      }
      after = page.items.at(-1)?.key;
      more = page.more;
    }
    this.#take(events, revision ?? 0);
    // What changed while the pages were read comes again; each event is set against what is here.
    this.#watch = await this.#store.watch(PREFIX, (revision ?? 0) + 1, (batch) => {
      this.#take(batch, batch[0]!.revision);
    });
  }

  async put(kind: ObjectKind, ids: ObjectIds, body: unknown, options: WriteOptions = {}): Promise<WriteResult> {
    return this.#write(putStep(kind, ids, body, options, this.#underlay), options);
  }

  async patch(kind: ObjectKind, ids: ObjectIds, body: unknown, options: WriteOptions = {}): Promise<WriteResult> {
    return this.#write(patchStep(kind, ids, body, options), options);
  }

  async delete(kind: ObjectKind, ids: ObjectIds, options: DeleteOptions = {}): Promise<DeleteResult> {
    const step: Step = { action: 'delete', kind, ids, ifMatch: options.ifMatch, cascade: options.cascade ?? false };
    const outcome = await this.#submit([step], options.dryRun ?? false, false);
    return { ...deleteResult(outcome.plans[0]!, outcome.revision), ...planOf(outcome) };
  }

  async move(ids: ObjectIds, edit: PortEdit): Promise<WriteResult> {
    return this.#write(moveStep(ids, edit), {});
  }

  get(kind: ObjectKind, ids: ObjectIds): ObjectJson {
    const object = find(this.desired, kind, ids);
    if (!object) throw notFound(kind, ids);
    return this.#render(kind, object, object.revision);
  }

  list(kind: ObjectKind, scope: { readonly tenant?: string }, options: ListOptions = {}): ListResult {
    return listPage(this.desired, kind, scope, options, (object) => this.#render(kind, object, object.revision));
  }

  async bulk(
    operations: readonly BulkOperation[],
    options: { readonly atomic: boolean; readonly dryRun?: boolean },
  ): Promise<BulkResult> {
    return options.atomic || options.dryRun
      ? this.#bulkAtomic(operations, options.dryRun ?? false)
      : this.#bulkEach(operations);
  }

  onChange(name: string, listener: ChangeListener): () => void {
    const entry = { name, listener };
    this.#listeners = [...this.#listeners, entry];
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== entry);
    };
  }

  admit(name: string, hook: AdmissionHook): () => void {
    const entry = { name, hook };
    this.#hooks = [...this.#hooks, entry];
    return () => {
      this.#hooks = this.#hooks.filter((other) => other !== entry);
    };
  }

  setPlanner(planner: Planner | undefined): void {
    this.#planner = planner;
  }

  setStatusProvider(provider: StatusProvider | undefined): void {
    this.#status = provider;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
    this.#watch?.close();
  }

  // ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #write(step: Step, options: WriteOptions): Promise<WriteResult> {
    const outcome = await this.#submit([step], options.dryRun ?? false, false);
    return { ...this.#writeResult(outcome.plans[0]!, outcome.revision), ...planOf(outcome) };
  }

  async #bulkAtomic(operations: readonly BulkOperation[], dryRun: boolean): Promise<BulkResult> {
    const steps: Step[] = [];
    const refusals: { readonly at: number; readonly error: RequestError }[] = [];
    operations.forEach((operation, at) => {
      try {
        steps.push(stepOf(operation, this.#underlay));
      } catch (error) {
        if (!(error instanceof RequestError)) throw error;
        if (refusals.length < MAX_PROBLEMS) refusals.push({ at, error });
      }
    });
    if (refusals.length > 0) throw bulkRefusal(refusals);
    if (steps.length === 0) return { items: [], revision: this.revision };
    const outcome = await this.#submit(steps, dryRun, true);
    const items = outcome.plans.map((plan, i) => this.#bulkItem(operations[i]!, plan, outcome.revision));
    return { items, revision: outcome.revision, ...planOf(outcome) };
  }

  async #bulkEach(operations: readonly BulkOperation[]): Promise<BulkResult> {
    const items = await Promise.all(
      operations.map(async (operation): Promise<BulkItem> => {
        try {
          const outcome = await this.#submit([stepOf(operation, this.#underlay)], false, false);
          return this.#bulkItem(operation, outcome.plans[0]!, outcome.revision);
        } catch (error) {
          if (error instanceof RequestError) return { ok: false, error };
          throw error;
        }
      }),
    );
    return { items, revision: this.revision };
  }

  #bulkItem(operation: BulkOperation, plan: StepPlan, revision: number): BulkItem {
    return operation.method === 'DELETE'
      ? { ok: true, method: 'DELETE', ...deleteResult(plan, revision) }
      : { ok: true, method: operation.method, ...this.#writeResult(plan, revision) };
  }

  #writeResult(plan: StepPlan, revision: number): WriteResult {
    const { kind, object } = plan.object!;
    // An object that this very transaction wrote has its revision.
    const own = object.revision === 0 ? revision : object.revision;
    return {
      object: this.#render(kind, object, own),
      created: plan.created,
      changed: plan.changes.length > 0,
      revision: own,
    };
  }

  #submit(steps: readonly Step[], dryRun: boolean, inBulk: boolean): Promise<Outcome> {
    if (this.#closed) return Promise.reject(new StoreError('the object service is closed', { reason: 'closed' }));
    return new Promise<Outcome>((resolve, reject) => {
      this.#queue.push({ steps, dryRun, inBulk, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  async #run(): Promise<void> {
    // Others of this turn join the first batch.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      try {
        await this.#nextBatch();
      } catch (error) {
        // Nothing in a batch may throw past its requests; if it does they must still be answered.
        this.#log.error({ err: error }, 'model: a batch of requests failed unexpectedly');
        for (const request of this.#queue.splice(0)) request.reject(error);
      }
    }
    this.#running = undefined;
  }

  async #nextBatch(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const { draft, planned, refused, count } = this.#planBatch();
      let result: TxnResult | undefined;
      if (draft.size > 0) {
        const { compare, success } = draft.transaction();
        try {
          result = await this.#store.txn(compare, success);
        } catch (error) {
          for (const request of this.#queue.splice(0, count)) request.reject(error);
          return;
        }
        if (!result.succeeded && attempt < ATTEMPTS) {
          this.#retries++;
          await this.#caughtUp(result, attempt);
          continue;
        }
      } else await immediate();
      this.#queue.splice(0, count);
      for (const { request, error } of refused) request.reject(error);
      if (result && !result.succeeded) {
        const error = new RequestError(409, 'NL_CONFLICT', `lost ${ATTEMPTS} races against other writers; try again`);
        for (const { request } of planned) request.reject(error);
        return;
      }
      const revision = result?.revision ?? this.revision;
      if (result) await this.#until(() => this.revision >= revision, `events of revision ${revision}`);
      for (const { request, plans, changes } of planned) request.resolve({ plans, changes, revision, plan: undefined });
      return;
    }
  }

  /** Plans requests from the front of the queue (which stay there); leaves `desired` as it was. */
  #planBatch(): {
    readonly draft: Draft;
    readonly planned: readonly Planned[];
    readonly refused: readonly { readonly request: Request; readonly error: unknown }[];
    readonly count: number;
  } {
    const started = this.#clock.monotonic();
    const context: PlanContext = {
      desired: this.desired,
      underlay: this.#underlay,
      segments: this.#segments,
      now: new Date(this.#clock.now()).toISOString(),
      token: `${this.#instance}.${++this.#tokens}`,
      hooks: this.#hooks.map(({ hook }) => hook),
    };
    const draft = new Draft(this.#mirror);
    const planned: Planned[] = [];
    const refused: { request: Request; error: unknown }[] = [];
    let count = 0;
    for (const request of this.#queue) {
      if (count > 0 && (draft.size >= BATCH_OPS || this.#clock.monotonic() - started > PLAN_MS)) break;
      if (request.steps.some(({ kind, ids }) => draft.writes(keys.object(kind, ids)))) break;
      const own = new Draft(this.#mirror, draft);
      const result = this.#planRequest(context, own, request, planned);
      if ('error' in result) refused.push({ request, error: result.error });
      else if (request.dryRun) this.#answerDryRun(request, result);
      else if (draft.clashes(own)) {
        this.desired.revert(result.changes);
        break;
      } else {
        own.merge();
        planned.push(result);
      }
      count++;
    }
    for (let i = planned.length - 1; i >= 0; i--) this.desired.revert(planned[i]!.changes);
    return { draft, planned, refused, count };
  }

  /** Plans the steps of a request and leaves their changes in `desired`; on refusal nothing of them remains. */
  #planRequest(
    context: PlanContext,
    draft: Draft,
    request: Request,
    earlier: readonly Planned[],
  ): Planned | { readonly error: unknown } {
    const plans: StepPlan[] = [];
    const changes: DesiredChange[] = [];
    try {
      for (const step of request.steps) {
        const plan = planStep(context, draft, step);
        plans.push(plan);
        for (const change of plan.changes) changes.push(change);
      }
      if (this.#planner) {
        checkFlowQuotas(changes, () => earlier.flatMap((each) => each.changes), this.desired, this.#planner);
      }
      return { request, plans, changes };
    } catch (error) {
      this.desired.revert(changes);
      const known = error instanceof NetloomError;
      if (!known) this.#log.error({ err: error }, 'model: planning a request failed unexpectedly');
      const told = known ? error : new InvariantError(`planning failed: ${String(error)}`, {}, { cause: error });
      return {
        error: request.inBulk && told instanceof RequestError ? bulkRefusal([{ at: plans.length, error: told }]) : told,
      };
    }
  }

  #answerDryRun(request: Request, planned: Planned): void {
    const { plans, changes } = planned;
    try {
      const plan = this.#planner?.(changes, this.desired, 'dryRun').report;
      request.resolve({ plans, changes, revision: this.revision, plan });
    } catch (error) {
      request.reject(error);
    } finally {
      this.desired.revert(changes);
    }
  }

  /** After a lost race: waits until what won it is known here, then a little, so that instances do not march in step. */
  async #caughtUp(result: TxnResult, attempt: number): Promise<void> {
    await this.#until(
      () =>
        result.conflicts.every(({ key, expected, actual }) => {
          const here = this.#mirror.revision(key);
          return here >= actual && here !== expected;
        }),
      'events of another writer',
    );
    if (attempt < 3) return;
    const ms = Math.random() * 2 ** attempt;
    await new Promise<void>((resolve) => this.#clock.after(ms, resolve));
  }

  #until(holds: () => boolean, what: string): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise<void>((resolve) => {
      const finish = (): void => {
        cancel();
        this.#waiters.delete(check);
        resolve();
      };
      const check = (): void => {
        if (holds()) finish();
      };
      // The write itself is done: answering late and from older state beats not answering.
      const cancel = this.#clock.after(EVENTS_WAIT_MS, () => {
        this.#log.warn({ what }, 'model: the store is slow to report; going on without');
        finish();
      });
      this.#waiters.add(check);
    });
  }

  // ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Takes events of one revision (or, at the start, everything) into the mirror and `desired`, and tells listeners. */
  #take(events: readonly StoreEvent[], revision: number): void {
    const changes: DesiredChange[] = [];
    for (const { key, revision: at, after } of events) {
      if (this.#mirror.revision(key) >= at) continue;
      if (after) this.#mirror.set(key, after.value, after.modRevision);
      else this.#mirror.delete(key);
      const named = objectOfKey(key);
      const change = named && this.#changeOf(named.kind, named.ids, after?.value, at);
      if (change) changes.push(change);
    }
    changes.sort((a, b) => rank(a) - rank(b));
    this.desired.apply(changes);
    this.desired.revision = Math.max(this.desired.revision, revision);
    if (changes.length > 0) this.#tell(changes, revision);
    for (const check of [...this.#waiters]) check();
  }

  #changeOf(kind: ObjectKind, ids: ObjectIds, value: string | undefined, revision: number): DesiredChange | undefined {
    const before = find(this.desired, kind, ids);
    let after: AnyObject | undefined;
    if (value !== undefined) {
      try {
        after = fromStored(kind, ids, value, revision);
      } catch (error) {
        this.#log.error({ object: restPath(kind, ids), err: error }, 'model: a stored object cannot be read; left out');
      }
    }
    return before || after ? ({ kind, before, after } as DesiredChange) : undefined;
  }

  #tell(changes: readonly DesiredChange[], revision: number): void {
    for (const { name, listener } of this.#listeners) {
      try {
        listener(changes, revision);
      } catch (error) {
        this.#log.error({ listener: name, revision, err: error }, 'model: a listener threw; the others go on');
      }
    }
  }

  #render(kind: ObjectKind, object: AnyObject, revision: number): ObjectJson {
    const provided = this.#status?.({ kind, object } as Parameters<StatusProvider>[0]);
    return {
      id: object.id,
      ...shownFields(kind, object),
      revision,
      createdAt: object.createdAt,
      updatedAt: object.updatedAt,
      status: { ...allocated(object), ...migrationOf(object), ...provided },
    };
  }

  #declareMetrics(metrics: MetricSink): void {
    metrics.declare({
      name: 'netloom_objects',
      help: 'Northbound objects by kind.',
      type: 'gauge',
      labels: ['kind'],
      collect: () => [
        { labels: { kind: 'tenant' }, value: this.desired.tenants.size },
        { labels: { kind: 'network' }, value: this.desired.networks.size },
        { labels: { kind: 'port' }, value: this.desired.ports.size },
        { labels: { kind: 'hypervisor' }, value: this.desired.hypervisors.size },
        { labels: { kind: 'site' }, value: this.desired.sites.size },
        { labels: { kind: 'lispSite' }, value: this.desired.lispSites.size },
        { labels: { kind: 'lispMapping' }, value: this.desired.lispMappings.size },
      ],
    });
    metrics.declare({
      name: 'netloom_object_requests_waiting',
      help: 'Writes that wait to be planned or stored.',
      type: 'gauge',
      collect: () => this.#queue.length,
    });
    metrics.declare({
      name: 'netloom_object_retries_total',
      help: 'Batches planned again because another writer was first.',
      type: 'counter',
      collect: () => this.#retries,
    });
  }
}

/** Order within a revision: what others rest on comes before them and goes after them. */
function rank({ kind, after }: DesiredChange): number {
  if (after) return { site: 1, lispSite: 1, lispMapping: 1, hypervisor: 1, tenant: 2, network: 3, port: 4 }[kind];
  return { port: 0, network: 5, tenant: 6, hypervisor: 7, site: 8, lispSite: 8, lispMapping: 8 }[kind];
}

/** A port's move in short, for its status. */
const migrationOf = (object: AnyObject): JsonObject =>
  'endpoint' in object && object.migration
    ? { migration: { phase: object.migration.phase, to: { ...object.migration.to } } }
    : {};

const planOf = ({ plan }: Outcome): { readonly plan?: unknown } => (plan === undefined ? {} : { plan });

const deleteResult = (plan: StepPlan, revision: number): DeleteResult => ({
  revision,
  deleted: plan.changes.map(({ kind, before }) => restPath(kind, idsOf(before!))),
});
