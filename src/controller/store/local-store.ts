import { randomBytes } from 'node:crypto';
import { type Clock, type Logger, type MetricSink, StoreError } from '../kernel/index.ts';
import type { Backend, Row } from './backend.ts';
import type {
  Compare,
  KeyValue,
  RangeResult,
  Store,
  StoreEvent,
  StoreOp,
  StoreReason,
  TxnOptions,
  TxnResult,
  Watch,
} from './types.ts';

export interface LocalStoreOptions {
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics?: MetricSink;
  /** Events that automatic compaction leaves; default 20,000. */
  readonly historyKept?: number;
  /** How often automatic compaction looks; default 60 s. */
  readonly compactEveryMs?: number;
}

/** One unit of the queue: runs inside the batch's database transaction. */
interface Job {
  readonly run: (batch: Batch) => () => void;
  readonly reject: (error: StoreError) => void;
  readonly weight: number;
  readonly relaxed: boolean;
}

/** What the jobs of one commit have done so far. */
interface Batch {
  revision: number;
  wrote: boolean;
  readonly groups: StoreEvent[][];
}

interface Watcher {
  readonly prefix: string;
  /** Events below this revision were delivered, or are not wanted. */
  next: number;
  open: boolean;
  readonly onEvents: (events: readonly StoreEvent[]) => void;
}

interface Lease {
  readonly ttlMs: number;
  deadline: number;
  cancel: () => void;
}

/** Operations in one commit; more wait for the next turn, so that a flood of writes does not hold the event loop. */
const BATCH_WEIGHT = 1_000;
const HISTORY_PAGE = 1_000;
const COMPACT_STEP = 2_000;
const MAX_KEY_BYTES = 1_024;

const refusal = (reason: StoreReason, message: string, options?: ErrorOptions): StoreError =>
  new StoreError(message, { reason }, options);

const strip = (row: Row): KeyValue => ({
  key: row.key,
  value: row.value,
  createRevision: row.createRevision,
  modRevision: row.modRevision,
  version: row.version,
});

const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * A store inside this process over a synchronous backend. Transactions that arrive in one turn of the event loop share one
 * durable commit; each is still all or nothing, sees those before it, and has its own revision.
 */
export class LocalStore implements Store {
  readonly maxOps = 4_096;
  readonly #backend: Backend;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #historyKept: number;
  readonly #leases = new Map<string, Lease>();
  readonly #observeCommit: (seconds: number) => void;
  readonly #stopCompaction: () => void;
  #watchers: Watcher[] = [];
  #queue: Job[] = [];
  #scheduled = false;
  #closed = false;
  #closing: Promise<void> | undefined;
  #compacting: Promise<void> = Promise.resolve();
  #revision: number;
  #compacted: number;
  #problem: StoreError | undefined;
  #commits = 0;
  #transactions = 0;
  #failures = 0;

  constructor(backend: Backend, options: LocalStoreOptions) {
    this.#backend = backend;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#historyKept = options.historyKept ?? 20_000;
    const state = backend.load();
    this.#revision = state.revision;
    this.#compacted = state.compacted;
    // A lease's holder gets a whole new term after a restart: it could not keep it alive while we were away.
    for (const lease of state.leases) this.#armLease(lease.id, lease.ttlMs);
    this.#observeCommit = this.#declareMetrics(options.metrics);
    this.#stopCompaction = this.#clock.every(options.compactEveryMs ?? 60_000, () => this.#compactByPolicy());
  }

  get revision(): number {
    return this.#revision;
  }

  get problem(): StoreError | undefined {
    return this.#problem;
  }

  async get(key: string): Promise<KeyValue | undefined> {
    this.#checkOpen();
    const row = this.#backend.get(key);
    return row && strip(row);
  }

  async range(query: {
    readonly prefix: string;
    readonly after?: string;
    readonly limit?: number;
  }): Promise<RangeResult> {
    this.#checkOpen();
    const limit = query.limit ?? Number.MAX_SAFE_INTEGER - 1;
    const rows = this.#backend.range(query.prefix, query.after, limit + 1);
    const more = rows.length > limit;
    return { items: (more ? rows.slice(0, limit) : rows).map(strip), revision: this.#revision, more };
  }

  txn(compare: readonly Compare[], success: readonly StoreOp[], options: TxnOptions = {}): Promise<TxnResult> {
    const seen = new Set<string>();
    for (const op of success) {
      const problem = checkOp(op) ?? (seen.has(op.key) ? 'the same key twice in one transaction' : undefined);
      if (problem) return Promise.reject(refusal('invalid', `store key "${op.key.slice(0, 80)}": ${problem}`));
      seen.add(op.key);
    }
    return this.#enqueue(success.length + 1, options.relaxed ?? false, (batch) => this.#apply(batch, compare, success));
  }

  async watch(
    prefix: string,
    fromRevision: number | undefined,
    onEvents: (events: readonly StoreEvent[]) => void,
  ): Promise<Watch> {
    this.#checkOpen();
    const from = fromRevision ?? this.#revision + 1;
    if (from <= this.#compacted) {
      throw new StoreError(`history before revision ${this.#compacted + 1} is compacted; asked from ${from}`, {
        reason: 'compacted' satisfies StoreReason,
        compacted: this.#compacted,
      });
    }
    const upTo = this.#revision;
    const watcher: Watcher = { prefix, next: Math.max(from, upTo + 1), open: true, onEvents };
    this.#replay(watcher, from, upTo);
    if (watcher.open) this.#watchers = [...this.#watchers, watcher];
    return {
      close: () => {
        watcher.open = false;
        this.#watchers = this.#watchers.filter((other) => other !== watcher);
      },
    };
  }

  compact(revision: number): Promise<void> {
    if (!Number.isSafeInteger(revision) || revision < 0 || revision > this.#revision) {
      return Promise.reject(
        refusal('invalid', `compact: revision ${revision} is not between 0 and ${this.#revision}, the newest`),
      );
    }
    // One after the other: the steps of two runs must not mix their bounds.
    const run = this.#compacting.then(() => this.#compactTo(revision));
    this.#compacting = run.catch(() => undefined);
    return run;
  }

  async grantLease(ttlMs: number): Promise<string> {
    if (!Number.isSafeInteger(ttlMs) || ttlMs <= 0) throw refusal('invalid', `lease of ${ttlMs} ms: must be above 0`);
    const id = randomBytes(8).toString('hex');
    await this.#enqueue(1, false, (batch) => {
      this.#backend.putLease(id, ttlMs);
      batch.wrote = true;
      return undefined;
    });
    this.#armLease(id, ttlMs);
    return id;
  }

  async keepAlive(lease: string): Promise<void> {
    this.#checkOpen();
    const known = this.#leases.get(lease);
    if (!known) throw refusal('lease', `lease ${lease} does not exist or has run out`);
    known.deadline = this.#clock.monotonic() + known.ttlMs;
  }

  async revokeLease(lease: string): Promise<void> {
    const known = this.#leases.get(lease);
    if (!known) throw refusal('lease', `lease ${lease} does not exist or has run out`);
    await this.#enqueue(1, false, (batch) => {
      this.#backend.removeLease(lease);
      batch.wrote = true;
      const ops = this.#backend.rowsOfLease(lease).map((row): StoreOp => ({ op: 'delete', key: row.key }));
      return this.#apply(batch, [], ops);
    });
    known.cancel();
    this.#leases.delete(lease);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#stopCompaction();
    for (const lease of this.#leases.values()) lease.cancel();
    while (this.#queue.length > 0) await immediate();
    await this.#compacting;
    this.#closed = true;
    this.#watchers = [];
    this.#backend.close();
  }

  #checkOpen(): void {
    if (this.#closed) throw refusal('closed', 'the store is closed');
  }

  #enqueue<T>(weight: number, relaxed: boolean, work: (batch: Batch) => T): Promise<T> {
    if (this.#closing) return Promise.reject(refusal('closed', 'the store is closed'));
    return new Promise<T>((resolve, reject) => {
      const run = (batch: Batch): (() => void) => {
        const value = work(batch);
        return () => resolve(value);
      };
      this.#queue.push({ run, reject, weight, relaxed });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      let weight = 0;
      let count = 0;
      while (count < this.#queue.length && (count === 0 || weight < BATCH_WEIGHT))
        weight += this.#queue[count++]!.weight;
      const jobs = this.#queue.slice(0, count);
      this.#commit(jobs);
      // Only now: close() waits for an empty queue.
      this.#queue = this.#queue.slice(count);
      if (this.#queue.length > 0) this.#schedule();
    });
  }

  /** Runs the jobs in one database transaction; when that fails, each in its own, so that one cannot fail the others. */
  #commit(jobs: readonly Job[]): void {
    const batch: Batch = { revision: this.#revision, wrote: false, groups: [] };
    const done: (() => void)[] = [];
    const started = this.#clock.monotonic();
    try {
      this.#backend.begin(jobs.every((job) => job.relaxed));
      for (const job of jobs) done.push(job.run(batch));
      if (batch.wrote) this.#backend.commit();
      else this.#backend.rollback();
    } catch (error) {
      this.#backend.rollback();
      if (jobs.length > 1) for (const job of jobs) this.#commit([job]);
      else this.#failed(jobs[0]!, error);
      return;
    }
    this.#transactions += jobs.length;
    if (batch.wrote) {
      this.#commits++;
      this.#observeCommit((this.#clock.monotonic() - started) / 1000);
      if (this.#problem) this.#log.info({}, 'store: writing works again');
      this.#problem = undefined;
    }
    this.#revision = batch.revision;
    for (const events of batch.groups) this.#dispatch(events);
    for (const settle of done) settle();
  }

  #failed(job: Job, error: unknown): void {
    const failure = error instanceof StoreError ? error : refusal('io', `store: ${String(error)}`, { cause: error });
    // Refusing a bad request is no trouble of the store's own.
    if (failure.details['reason'] !== 'lease' && failure.details['reason'] !== 'invalid') {
      this.#failures++;
      this.#problem = failure;
      this.#log.error({ reason: failure.details['reason'], err: failure }, failure.message);
    }
    job.reject(failure);
  }

  #apply(batch: Batch, compare: readonly Compare[], success: readonly StoreOp[]): TxnResult {
    const conflicts: { key: string; expected: number; actual: number }[] = [];
    for (const { key, modRevision } of compare) {
      const actual = this.#backend.get(key)?.modRevision ?? 0;
      if (actual !== modRevision) conflicts.push({ key, expected: modRevision, actual });
    }
    if (conflicts.length > 0) return { succeeded: false, revision: batch.revision, conflicts };
    for (const op of success) {
      if (op.op === 'put' && op.lease !== undefined && !this.#leases.has(op.lease)) {
        throw refusal('lease', `lease ${op.lease} does not exist or has run out`);
      }
    }
    const revision = batch.revision + 1;
    const events: StoreEvent[] = [];
    for (const op of success) {
      const event = this.#write(op, revision, batch);
      if (event) events.push(event);
    }
    if (events.length === 0) return { succeeded: true, revision: batch.revision, conflicts };
    events.forEach((event, seq) => {
      this.#backend.record(event, seq);
    });
    batch.wrote = true;
    batch.revision = revision;
    batch.groups.push(events);
    return { succeeded: true, revision, conflicts };
  }

  #write(op: StoreOp, revision: number, batch: Batch): StoreEvent | undefined {
    const before = this.#backend.get(op.key);
    if (op.op === 'delete') {
      if (!before) return undefined;
      this.#backend.remove(op.key);
      return { key: op.key, revision, before: strip(before), after: undefined };
    }
    if (before?.value === op.value) {
      if (before.lease !== op.lease) {
        this.#backend.put({ ...before, lease: op.lease });
        batch.wrote = true;
      }
      return undefined;
    }
    const after: Row = {
      key: op.key,
      value: op.value,
      createRevision: before?.createRevision ?? revision,
      modRevision: revision,
      version: (before?.version ?? 0) + 1,
      lease: op.lease,
    };
    this.#backend.put(after);
    return { key: op.key, revision, before: before && strip(before), after: strip(after) };
  }

  #dispatch(events: readonly StoreEvent[]): void {
    const revision = events[0]!.revision;
    for (const watcher of this.#watchers) {
      if (watcher.open && revision >= watcher.next) this.#deliver(watcher, events);
    }
  }

  #deliver(watcher: Watcher, events: readonly StoreEvent[]): void {
    const wanted = events.filter((event) => event.key.startsWith(watcher.prefix));
    if (wanted.length === 0) return;
    try {
      watcher.onEvents(wanted);
    } catch (error) {
      this.#log.error({ prefix: watcher.prefix, err: error }, 'store: a watcher threw; the others go on');
    }
  }

  /** Hands over history, one call per revision. Events of a revision may lie across two pages. */
  #replay(watcher: Watcher, from: number, to: number): void {
    let group: StoreEvent[] = [];
    for (let skip = 0; watcher.open && from <= to; skip += HISTORY_PAGE) {
      const page = this.#backend.history(from, to, HISTORY_PAGE, skip);
      for (const event of page) {
        if (group.length > 0 && group[0]!.revision !== event.revision) {
          this.#deliver(watcher, group);
          group = [];
        }
        group.push(event);
      }
      if (page.length < HISTORY_PAGE) break;
    }
    if (group.length > 0 && watcher.open) this.#deliver(watcher, group);
  }

  async #compactTo(revision: number): Promise<void> {
    if (revision <= this.#compacted) return;
    await this.#enqueue(1, true, (batch) => {
      this.#backend.setCompacted(revision);
      batch.wrote = true;
    });
    this.#compacted = revision;
    for (let gone = COMPACT_STEP; gone === COMPACT_STEP; ) {
      gone = await this.#enqueue(COMPACT_STEP, true, (batch) => {
        batch.wrote = true;
        return this.#backend.forget(revision, COMPACT_STEP);
      });
    }
  }

  #compactByPolicy(): void {
    try {
      // Some slack, so that there is something to do when it runs.
      if (this.#backend.historySize() <= this.#historyKept * 1.25) return;
      const revision = this.#backend.revisionBehind(this.#historyKept);
      this.compact(revision).catch((error: unknown) => this.#compactionFailed(error));
    } catch (error) {
      this.#compactionFailed(error);
    }
  }

  #compactionFailed(error: unknown): void {
    this.#log.warn({ err: error }, 'store: automatic compaction failed; it is tried again');
  }

  #armLease(id: string, ttlMs: number): void {
    const lease: Lease = { ttlMs, deadline: this.#clock.monotonic() + ttlMs, cancel: () => undefined };
    const arm = (ms: number): void => {
      lease.cancel = this.#clock.after(ms, () => {
        const left = lease.deadline - this.#clock.monotonic();
        if (left > 0) return arm(left);
        this.revokeLease(id).catch((error: unknown) => {
          if (this.#closing || !this.#leases.has(id)) return;
          this.#log.warn(
            { lease: id, err: error },
            'store: a lease ran out but its keys could not be deleted; trying again',
          );
          arm(1_000);
        });
      });
    };
    this.#leases.set(id, lease);
    arm(ttlMs);
  }

  #declareMetrics(metrics: MetricSink | undefined): (seconds: number) => void {
    if (!metrics) return () => undefined;
    const counter = (name: string, help: string, collect: () => number): void =>
      metrics.declare({ name, help, type: 'counter', collect });
    metrics.declare({
      name: 'netloom_store_revision',
      help: 'Newest committed revision of the store.',
      type: 'gauge',
      collect: () => this.#revision,
    });
    metrics.declare({
      name: 'netloom_store_writable',
      help: '1 unless the last write failed.',
      type: 'gauge',
      collect: () => (this.#problem ? 0 : 1),
    });
    counter('netloom_store_transactions_total', 'Transactions that were answered.', () => this.#transactions);
    counter(
      'netloom_store_commits_total',
      'Commits to disk; one holds all that came in one turn.',
      () => this.#commits,
    );
    counter('netloom_store_write_failures_total', 'Transactions that the storage failed.', () => this.#failures);
    const histogram = metrics.histogram({
      name: 'netloom_store_commit_seconds',
      help: 'Time that a commit took, with its wait for the disk.',
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2],
    });
    return (seconds) => histogram.observe(seconds);
  }
}

function checkOp(op: StoreOp): string | undefined {
  if (op.key === '') return 'empty';
  if (Buffer.byteLength(op.key) > MAX_KEY_BYTES) return `longer than ${MAX_KEY_BYTES} bytes`;
  if (/\p{Surrogate}/u.test(op.key)) return 'holds half a surrogate pair';
  if (op.op === 'put' && /\p{Surrogate}/u.test(op.value)) return 'its value holds half a surrogate pair';
  return undefined;
}
