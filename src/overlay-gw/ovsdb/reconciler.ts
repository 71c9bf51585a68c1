import type { Clock, Logger } from '../../controller/kernel/index.ts';
import type { OvsdbClient } from './client.ts';
import { OvsdbError } from './errors.ts';
import type { Operation } from './transaction.ts';

/** How a database stands to what is wanted of it. */
export interface KeeperStatus<Problem> {
  /**
   * `right`: all that can be is as wanted, and the other side, where it can, says that it has done it. `working`: a change is under way,
   * not confirmed yet, or nothing has been compared. `failed`: the database refused; tried again later. `away`: no session.
   */
  readonly state: 'right' | 'working' | 'failed' | 'away';
  /** Why it is `failed` or `away`. */
  readonly reason: string | undefined;
  /** When the state began, ms since the epoch. */
  readonly since: number;
  /** What is wanted and cannot be. */
  readonly problems: readonly Problem[];
}

/** What differs between a database and what is wanted of it. */
export interface Difference<Problem> {
  /** One transaction; empty when all is right. */
  readonly operations: readonly Operation[];
  readonly problems: readonly Problem[];
}

/** First and longest pause before something is tried again, ms. */
export type RetryPauses = readonly [first: number, longest: number];

export interface ReconcilerParts<Wanted, Problem> {
  readonly clock: Clock;
  readonly log: Logger;
  /** What kind of database it is, for the log. */
  readonly what: string;
  /** Pauses before a refused transaction is tried again; 1 s to 30 s when not given. */
  readonly retryMs?: RetryPauses | undefined;
  /** Compares the client's copy with what is wanted. */
  readonly plan: (wanted: Wanted) => Difference<Problem>;
  /** The other side says that it has done what is in the database; absent: it never says. */
  readonly confirmed?: () => boolean;
  /** All is in the database, and confirmed. */
  readonly done?: (wanted: Wanted) => void;
  /** The status changed. */
  readonly told: (status: KeeperStatus<Problem>) => void;
}

/** What it needs of a client. */
type Session = Pick<OvsdbClient, 'ready' | 'update'>;

const RETRY_MS: RetryPauses = [1_000, 30_000];

/** Pause before the attempt that follows so many failures, ms: doubled each time up to the longest. */
export const pauseAfter = (failures: number, [first, longest]: RetryPauses = RETRY_MS): number =>
  Math.min(longest, first * 2 ** Math.min(failures, 20));

/**
 * Keeps a database as wanted: compares when it is told to, writes what differs in one transaction, nothing when all is right, and tries
 * again after growing pauses when the database refuses. One comparison at a time; what is wanted or heard meanwhile is compared after it.
 */
export class Reconciler<Wanted, Problem> {
  readonly #client: () => Session;
  readonly #parts: ReconcilerParts<Wanted, Problem>;
  #wanted: Wanted | undefined;
  #status: KeeperStatus<Problem>;
  #busy = false;
  #again = false;
  #failures = 0;
  #cancelRetry: (() => void) | undefined;
  readonly #waiting = new Set<() => void>();

  /** `client` is asked for when it is needed: its handlers come here, so it is made later. */
  constructor(client: () => Session, parts: ReconcilerParts<Wanted, Problem>) {
    this.#client = client;
    this.#parts = parts;
    this.#status = { state: 'away', reason: 'no session yet', since: parts.clock.now(), problems: [] };
  }

  get status(): KeeperStatus<Problem> {
    return this.#status;
  }

  /** Wants this from now on; undefined: nothing is touched. What was wanted before and is not any more is removed. */
  want(wanted: Wanted | undefined): void {
    this.#wanted = wanted;
    this.#clearRetry();
    this.compare();
  }

  /** A session is ready, its copy complete. */
  ready(): void {
    this.#tell({ state: 'working', reason: undefined });
    this.compare();
  }

  /** The session ended. */
  down(reason: string): void {
    this.#clearRetry();
    this.#tell({ state: 'away', reason });
  }

  /** Wants nothing and tries nothing again. */
  close(): void {
    this.#wanted = undefined;
    this.#clearRetry();
  }

  /** Resolves when what is wanted is in the database, cannot be, or `ms` are over. */
  settled(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.#waiting.delete(check);
        resolve();
      };
      const check = (): void => {
        if (this.#status.state !== 'working' && !this.#busy) done();
      };
      const cancel = this.#parts.clock.after(ms, done);
      this.#waiting.add(check);
      check();
    });
  }

  /** Something changed in the database or in what is wanted. */
  compare(): void {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    if (this.#wanted === undefined || !this.#client().ready || this.#cancelRetry) return;
    this.#busy = true;
    this.#again = false;
    this.#apply(this.#wanted)
      .catch((error: unknown) => this.failed(error))
      .finally(() => {
        this.#busy = false;
        this.#wake();
        if (this.#again) this.compare();
      });
  }

  /** A transaction was refused: the next comparison waits for a pause. */
  failed(error: unknown): void {
    const { clock, log, what, retryMs } = this.#parts;
    if (!(error instanceof OvsdbError)) log.error({ err: error }, `comparing a ${what} database failed`);
    if (!this.#client().ready) return;
    this.#cancelRetry?.();
    this.#cancelRetry = clock.after(pauseAfter(this.#failures++, retryMs), () => {
      this.#cancelRetry = undefined;
      this.compare();
    });
    this.#tell({ state: 'failed', reason: error instanceof Error ? error.message : String(error) });
  }

  async #apply(wanted: Wanted): Promise<void> {
    const { plan, confirmed, done, log, what } = this.#parts;
    let problems: readonly Problem[] = [];
    let written = 0;
    await this.#client().update(() => {
      const difference = plan(wanted);
      problems = difference.problems;
      written = difference.operations.length;
      if (written > 0) this.#tell({ state: 'working', reason: undefined, problems });
      return difference.operations;
    });
    this.#failures = 0;
    if (!this.#client().ready) return;
    // What the other side confirms later is a change of the database, which comes here again.
    const right = confirmed?.() ?? true;
    this.#tell({ state: right ? 'right' : 'working', reason: undefined, problems });
    if (written > 0) log.debug({ operations: written }, `${what} database changed`);
    if (right) done?.(wanted);
  }

  #clearRetry(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
  }

  #tell(change: Pick<KeeperStatus<Problem>, 'state' | 'reason'> & Partial<KeeperStatus<Problem>>): void {
    const before = this.#status;
    const since = change.state === before.state ? before.since : this.#parts.clock.now();
    this.#status = { problems: before.problems, ...change, since };
    if (JSON.stringify(before) !== JSON.stringify(this.#status)) this.#parts.told(this.#status);
    this.#wake();
  }

  #wake(): void {
    for (const check of [...this.#waiting]) check();
  }
}
