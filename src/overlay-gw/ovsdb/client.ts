import type { Duplex } from 'node:stream';
import type { Clock, Logger } from '../../controller/kernel/index.ts';
import { OvsdbError } from './errors.ts';
import { Replica, type RowChange } from './replica.ts';
import { defaultRpcLimits, RpcConnection, type RpcLimits } from './rpc.ts';
import { checkSchema, type Needs, readSchema, type Schema } from './schema.ts';
import { checkShapes, type Shapes } from './shapes.ts';
import { encodeOperation, type Operation, type Outcome, readOutcomes } from './transaction.ts';
import type { Row } from './values.ts';

export interface OvsdbHandlers {
  /** The copy of the database is complete, for the first time or again. `changes` is how it differs from what was known before. */
  ready(changes: readonly RowChange[]): void;
  /** Rows changed, in one transaction of the server. */
  changed(changes: readonly RowChange[]): void;
  /** The session ended, or did not come about; the copy stays as it was. */
  down(error: OvsdbError): void;
  /** A lock that was asked for is ours now, or no longer: another took it, or the session ended. */
  locked?(id: string, held: boolean): void;
}

export interface OvsdbClientOptions {
  /** `Open_vSwitch` or `hardware_vtep`. */
  readonly database: string;
  /** Columns to keep a copy of, by table. All of them have to exist. */
  readonly needs: Needs;
  /** Columns to keep a copy of where the server's schema has them; see `has`. */
  readonly optional?: Needs;
  /** What columns have to be, where a caller depends on it. */
  readonly shapes?: Shapes;
  readonly handlers: OvsdbHandlers;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits?: RpcLimits;
}

interface Lock {
  held: boolean;
  /** Counts what was said of it, to tell which word came later. */
  told: number;
}

/** Attempts of an `update` that others keep changing under. */
const ATTEMPTS = 8;
/** Time an update waits for the change that beat it to be told, ms. */
const CATCH_UP_MS = 2_000;
const NEVER = '00000000-0000-0000-0000-000000000000';
const MONITOR = 'netloom';

/**
 * A session with one database of a server, over whatever connection `use` is given, one after another. Keeps a copy of the columns
 * asked for; after a reconnection tells only what really changed, from the server's own history where it has one
 * (monitor_cond_since).
 */
export class OvsdbClient {
  readonly #options: OvsdbClientOptions;
  #rpc: RpcConnection | undefined;
  #schema: Schema | undefined;
  #replica: Replica | undefined;
  /** What is monitored: the needs, and what there is of the optional columns. */
  #monitored: Needs;
  /** What is told while the answer to the monitor request is being worked through; undefined when it is not. */
  #deferred: { readonly method: string; readonly params: readonly unknown[] }[] | undefined;
  #ready = false;
  #lastTransaction = NEVER;
  #waiting: (() => void)[] = [];
  #retryTransact = 0;
  readonly #locks = new Map<string, Lock>();

  constructor(options: OvsdbClientOptions) {
    this.#options = options;
    this.#monitored = options.needs;
  }

  /** The copy is complete and current. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Updates tried again because somebody else was faster. */
  get retries(): number {
    return this.#retryTransact;
  }

  /** Rows of a table by UUID, as last known. Throws RangeError for a table that was not asked for. */
  table(name: string): ReadonlyMap<string, Row> {
    const { needs, optional = {} } = this.#options;
    if (!(name in needs || name in optional)) throw new RangeError(`table ${name} is not monitored`);
    return (name in this.#monitored ? this.#replica?.table(name) : undefined) ?? new Map();
  }

  /** The server's schema has this column, as far as a session has told. */
  has(table: string, column: string): boolean {
    return this.#schema?.get(table)?.has(column) ?? false;
  }

  /** Talks over this connection from now on; one before it is closed. Failures are told by `down`. */
  use(stream: Duplex): void {
    this.close();
    const { clock, limits = defaultRpcLimits } = this.#options;
    const rpc: RpcConnection = new RpcConnection(
      stream,
      {
        notified: (method, params) => {
          if (this.#rpc !== rpc) return;
          if (this.#deferred) this.#deferred.push({ method, params });
          else this.#notified(method, params);
        },
        closed: (error) => {
          if (this.#rpc === rpc) this.#down(error);
        },
      },
      clock,
      limits,
    );
    this.#rpc = rpc;
    this.#begin(rpc).catch((error: unknown) => rpc.close(asOvsdbError(error)));
  }

  /** A connection could not be had: told by `down` like the end of a session. */
  failed(error: OvsdbError): void {
    if (this.#rpc) return;
    this.#down(error);
  }

  /** Ends the session, if there is one. */
  close(): void {
    this.#rpc?.close();
  }

  /** One transaction, all or nothing. Rejects with OvsdbError. */
  async transact(operations: readonly Operation[]): Promise<readonly Outcome[]> {
    const rpc = this.#rpc;
    const schema = this.#schema;
    if (!rpc || !schema) throw new OvsdbError('closed', 'no session with the database server');
    const encoded = operations.map((operation) => encodeOperation(schema, operation));
    return readOutcomes(await rpc.request('transact', [this.#options.database, ...encoded]));
  }

  /**
   * Changes what depends on what is there: `plan` looks at the copy and says what to do, guarding it by `wait` operations; undefined or
   * nothing: it is right already. When a guard fails, somebody else was faster: their change is awaited and `plan` asked again, a
   * bounded number of times. Resolves with the outcomes. Rejects with OvsdbError; `conflict` when others never stop.
   */
  async update(plan: () => readonly Operation[] | undefined): Promise<readonly Outcome[]> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const operations = plan();
      if (!operations || operations.length === 0) return [];
      const told = this.#nextChange();
      try {
        return await this.transact(operations);
      } catch (error) {
        // A `wait` that does not hold answers "timed out" (RFC 7047 §5.2.6).
        if (!(error instanceof OvsdbError) || error.details['error'] !== 'timed out') throw error;
        this.#retryTransact++;
        await told;
      }
    }
    throw new OvsdbError('conflict', `given up after ${ATTEMPTS} attempts: others keep changing the same rows`);
  }

  /**
   * Wants a lock of the server (RFC 7047 §4.1.8), now and after each reconnection, until `unlock`. Resolves with whether it is held;
   * if not yet, `locked` will tell. Use `{op: 'assert', lock}` to make a transaction depend on it. Without a session it is asked for
   * when one is there.
   */
  async lock(id: string): Promise<boolean> {
    if (!this.#locks.has(id)) this.#locks.set(id, { held: false, told: 0 });
    if (this.#rpc && this.#ready) await this.#askLock(this.#rpc, 'lock', id);
    return this.holds(id);
  }

  /** Takes a lock from whoever holds it (RFC 7047 §4.1.8, steal), and keeps wanting it. Rejects with OvsdbError without a session. */
  async steal(id: string): Promise<void> {
    if (!this.#rpc) throw new OvsdbError('closed', 'no session with the database server');
    if (!this.#locks.has(id)) this.#locks.set(id, { held: false, told: 0 });
    await this.#askLock(this.#rpc, 'steal', id);
  }

  /** Gives a lock back, or stops waiting for it. */
  async unlock(id: string): Promise<void> {
    if (!this.#locks.delete(id)) return;
    if (this.#rpc && this.#ready) await this.#rpc.request('unlock', [id]);
  }

  /** The lock is ours, as far as we were told. */
  holds(id: string): boolean {
    return this.#locks.get(id)?.held ?? false;
  }

  async #askLock(rpc: RpcConnection, method: 'lock' | 'steal', id: string): Promise<void> {
    const lock = this.#locks.get(id);
    if (!lock) return;
    const { told } = lock;
    const answer = await rpc.request(method, [id]);
    // A notification may be handled before the answer that it followed on the wire: the later word counts.
    if (this.#rpc !== rpc || lock.told !== told || this.#locks.get(id) !== lock) return;
    this.#lockIs(id, typeof answer === 'object' && answer !== null && (answer as { locked?: unknown }).locked === true);
  }

  #lockIs(id: string, held: boolean): void {
    const lock = this.#locks.get(id);
    if (!lock) return;
    lock.told++;
    if (lock.held === held) return;
    lock.held = held;
    this.#tell(() => this.#options.handlers.locked?.(id, held));
  }

  async #begin(rpc: RpcConnection): Promise<void> {
    const { database, needs, optional = {}, shapes } = this.#options;
    const schema = readSchema(await rpc.request('get_schema', [database]));
    checkSchema(schema, needs, database);
    if (shapes) checkShapes(schema, shapes, database);
    if (this.#rpc !== rpc) return;
    this.#schema = schema;
    const monitored = withOptional(schema, needs, optional);
    // A schema that gained or lost columns: what is known has not the same ones, so differences by transaction say nothing.
    if (JSON.stringify(monitored) !== JSON.stringify(this.#monitored)) this.#lastTransaction = NEVER;
    this.#monitored = monitored;
    await this.#monitor(rpc, schema);
    if (this.#rpc !== rpc) return;
    await Promise.all([...this.#locks.keys()].map((id) => this.#askLock(rpc, 'lock', id)));
  }

  /** The best way of monitoring that the server has; each newer one tells less after a reconnection. */
  async #monitor(rpc: RpcConnection, schema: Schema): Promise<void> {
    const { database } = this.#options;
    const needs = this.#monitored;
    const requests = Object.fromEntries(Object.entries(needs).map(([table, columns]) => [table, [{ columns }]]));
    const fresh = new Replica(schema, needs);
    // Updates may come in one piece with the answer, whose promise continues only afterwards.
    this.#deferred = [];
    const since = this.#replica ? this.#lastTransaction : NEVER;
    let answer: unknown;
    try {
      answer = await rpc.request('monitor_cond_since', [database, MONITOR, requests, since]);
      if (!Array.isArray(answer) || answer.length !== 3)
        throw new OvsdbError('malformed', 'monitor_cond_since: no such answer');
      const [found, last, updates] = answer as [unknown, unknown, unknown];
      if (this.#rpc !== rpc) return;
      this.#lastTransaction = typeof last === 'string' ? last : NEVER;
      if (found === true && this.#replica) {
        this.#becomeReady(this.#replica.apply(updates));
        return;
      }
      fresh.apply(updates);
    } catch (error) {
      if (!isUnknownMethod(error)) throw error;
      try {
        answer = await rpc.request('monitor_cond', [database, MONITOR, requests]);
      } catch (again) {
        if (!isUnknownMethod(again)) throw again;
        answer = await rpc.request('monitor', [
          database,
          MONITOR,
          Object.fromEntries(Object.entries(needs).map(([table, columns]) => [table, { columns }])),
        ]);
      }
      if (this.#rpc !== rpc) return;
      fresh.apply(answer);
    }
    const before = this.#replica ?? new Replica(schema, needs);
    this.#replica = fresh;
    this.#becomeReady(before.differences(fresh));
  }

  #becomeReady(changes: readonly RowChange[]): void {
    this.#ready = true;
    this.#tell(() => this.#options.handlers.ready(changes));
    this.#wake();
    const deferred = this.#deferred ?? [];
    this.#deferred = undefined;
    for (const { method, params } of deferred) this.#notified(method, params);
  }

  #notified(method: string, params: readonly unknown[]): void {
    const [, a, b] = params;
    if (method === 'update3') {
      if (typeof a === 'string') this.#lastTransaction = a;
      this.#updated(b);
    } else if (method === 'update2' || method === 'update') this.#updated(a);
    else if ((method === 'locked' || method === 'stolen') && typeof params[0] === 'string') {
      this.#lockIs(params[0], method === 'locked');
    } else if (method === 'monitor_canceled' || method === 'monitor_cancelled') {
      throw new OvsdbError('closed', 'the database server ended the monitor: its database was changed or removed');
    } else this.#options.log.debug({ method }, 'notification of a database server that is not known');
  }

  #updated(updates: unknown): void {
    if (!this.#replica) throw new OvsdbError('malformed', 'an update before the first state');
    const changes = this.#replica.apply(updates);
    if (changes.length === 0) return;
    this.#tell(() => this.#options.handlers.changed(changes));
    this.#wake();
  }

  #down(error: OvsdbError): void {
    this.#rpc = undefined;
    this.#ready = false;
    this.#deferred = undefined;
    // A copy that could not be followed any more is no base for differences by transaction.
    if (error.reason === 'malformed') this.#lastTransaction = NEVER;
    this.#wake();
    for (const id of this.#locks.keys()) this.#lockIs(id, false);
    this.#tell(() => this.#options.handlers.down(error));
  }

  /** Resolves when the copy has changed, the session ended, or after a while. */
  #nextChange(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(CATCH_UP_MS, done);
      this.#waiting.push(done);
      function done(): void {
        cancel();
        resolve();
      }
    });
  }

  /** A handler that fails is its owner's trouble: the session goes on. */
  #tell(run: () => void): void {
    try {
      run();
    } catch (err) {
      this.#options.log.error({ err }, 'handler of database changes failed');
    }
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

function withOptional(schema: Schema, needs: Needs, optional: Needs): Needs {
  const monitored: Record<string, readonly string[]> = { ...needs };
  for (const [table, columns] of Object.entries(optional)) {
    const there = columns.filter((column) => schema.get(table)?.has(column));
    if (there.length > 0) monitored[table] = [...(needs[table] ?? []), ...there];
  }
  return monitored;
}

const isUnknownMethod = (error: unknown): boolean =>
  error instanceof OvsdbError && error.reason === 'refused' && /unknown (method|database method)/i.test(error.message);

const asOvsdbError = (error: unknown): OvsdbError =>
  error instanceof OvsdbError ? error : new OvsdbError('malformed', String(error), { cause: error });
