import type { Clock, Logger } from '../../controller/kernel/index.ts';
import {
  type DialerOptions,
  OvsdbClient,
  OvsdbDialer,
  OvsdbError,
  type OvsdbHandlers,
  type RpcLimits,
  telling,
} from '../ovsdb/index.ts';
import { type HwvtepProblem, planHwvtep, type WantedHwvtep } from './plan.ts';
import { type HwvtepTables, hwvtepNeeds, hwvtepOptional, hwvtepShapes, hwvtepTables } from './tables.ts';
import { type HwvtepView, viewHwvtep } from './view.ts';

/** How a device's database stands to what is wanted of it. */
export interface HwvtepStatus {
  /**
   * `right`: all that can be is as wanted. `working`: a change is under way, or nothing has been compared yet. `failed`: the database
   * refused; tried again later. `away`: no session.
   */
  readonly state: 'right' | 'working' | 'failed' | 'away';
  /** Why it is `failed` or `away`. */
  readonly reason: string | undefined;
  /** When the state began, ms since the epoch. */
  readonly since: number;
  /** What is wanted and cannot be, refused bindings among them. */
  readonly problems: readonly HwvtepProblem[];
}

export interface HwvtepWatcher {
  /** The status changed. */
  status?(status: HwvtepStatus): void;
  /** What the device says changed. While it is away the last word stays. */
  view?(view: HwvtepView): void;
}

export interface HwvtepKeeperOptions {
  /** Whose logical switches are kept and shown. */
  readonly owner: string;
  readonly watcher: HwvtepWatcher;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits?: RpcLimits;
  /** First and longest pause before a refused transaction is tried again, ms. */
  readonly retryMs?: readonly [first: number, longest: number];
}

/** What is wanted of a device, but for the owner, which the keeper knows. */
export type HwvtepWishes = Omit<WantedHwvtep, 'owner'>;

/**
 * Keeps a device's `hardware_vtep` database as wanted: whenever rows change, the session comes back, or other things are wanted, what
 * differs is written in one transaction; nothing when all is right. One keeper for one database.
 */
export class HwvtepKeeper {
  /** The session; give it connections by `use`, or by an OvsdbDialer. */
  readonly client: OvsdbClient;
  readonly #tables: HwvtepTables;
  readonly #options: HwvtepKeeperOptions;
  #wanted: WantedHwvtep | undefined;
  #status: HwvtepStatus;
  #view: HwvtepView = { switches: [], localMacs: [] };
  #busy = false;
  #again = false;
  #failures = 0;
  #cancelRetry: (() => void) | undefined;

  /** `session` is told of the session as well, before the watcher. */
  constructor(options: HwvtepKeeperOptions, session?: OvsdbHandlers) {
    this.#options = options;
    const { clock, log, limits } = options;
    this.#status = { state: 'away', reason: 'no session yet', since: clock.now(), problems: [] };
    this.client = new OvsdbClient({
      database: 'hardware_vtep',
      needs: hwvtepNeeds,
      optional: hwvtepOptional,
      shapes: hwvtepShapes,
      clock,
      log,
      ...(limits ? { limits } : {}),
      handlers: {
        ready: (changes) => {
          session?.ready(changes);
          this.#tell({ state: 'working', reason: undefined });
          this.#heard();
        },
        changed: (changes) => {
          session?.changed(changes);
          this.#heard();
        },
        down: (error) => {
          session?.down(error);
          this.#clearRetry();
          this.#tell({ state: 'away', reason: error.message });
        },
      },
    });
    this.#tables = hwvtepTables(this.client);
  }

  get status(): HwvtepStatus {
    return this.#status;
  }

  get view(): HwvtepView {
    return this.#view;
  }

  /** Wants this from now on; undefined: nothing is touched. What was wanted before and is not any more is removed. */
  want(wanted: HwvtepWishes | undefined): void {
    this.#wanted = wanted && { ...wanted, owner: this.#options.owner };
    this.#clearRetry();
    this.#reconcile();
  }

  /** Ends the session. What is in the database stays. */
  close(): void {
    this.#wanted = undefined;
    this.#clearRetry();
    this.client.close();
  }

  #heard(): void {
    const view = viewHwvtep(this.#tables, this.#options.owner);
    // Compared before planning, which goes on even when the watcher fails.
    const isNew = JSON.stringify(view) !== JSON.stringify(this.#view);
    this.#view = view;
    try {
      if (isNew) this.#options.watcher.view?.(view);
    } finally {
      this.#reconcile();
    }
  }

  #reconcile(): void {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    if (!this.#wanted || !this.client.ready || this.#cancelRetry) return;
    this.#busy = true;
    this.#again = false;
    this.#apply(this.#wanted)
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#busy = false;
        if (this.#again) this.#reconcile();
      });
  }

  async #apply(wanted: WantedHwvtep): Promise<void> {
    let problems: readonly HwvtepProblem[] = [];
    let written = 0;
    await this.client.update(() => {
      const plan = planHwvtep(this.#tables, wanted);
      problems = plan.problems;
      written = plan.operations.length;
      if (written > 0) this.#tell({ state: 'working', reason: undefined, problems });
      return plan.operations;
    });
    this.#failures = 0;
    if (!this.client.ready) return;
    this.#tell({ state: 'right', reason: undefined, problems });
    if (written > 0) this.#options.log.debug({ operations: written }, 'hardware VTEP database changed');
  }

  #failed(error: unknown): void {
    if (!(error instanceof OvsdbError))
      this.#options.log.error({ err: error }, 'comparing a hardware VTEP database failed');
    if (!this.client.ready) return;
    const [first, longest] = this.#options.retryMs ?? [1_000, 30_000];
    const pause = Math.min(longest, first * 2 ** Math.min(this.#failures++, 20));
    this.#cancelRetry?.();
    this.#cancelRetry = this.#options.clock.after(pause, () => {
      this.#cancelRetry = undefined;
      this.#reconcile();
    });
    this.#tell({ state: 'failed', reason: error instanceof Error ? error.message : String(error) });
  }

  #clearRetry(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
  }

  #tell(change: Pick<HwvtepStatus, 'state' | 'reason'> & Partial<HwvtepStatus>): void {
    const before = this.#status;
    const since = change.state === before.state ? before.since : this.#options.clock.now();
    this.#status = { problems: before.problems, ...change, since };
    if (JSON.stringify(before) !== JSON.stringify(this.#status)) this.#options.watcher.status?.(this.#status);
  }
}

/** A keeper that dials its device. */
export function dialHwvtep(options: HwvtepKeeperOptions & Omit<DialerOptions, 'client'>): {
  readonly keeper: HwvtepKeeper;
  readonly dialer: OvsdbDialer;
} {
  const quiet: OvsdbHandlers = { ready: () => {}, changed: () => {}, down: () => {} };
  const keeper = new HwvtepKeeper(
    options,
    telling(quiet, () => dialer),
  );
  const dialer: OvsdbDialer = new OvsdbDialer({ ...options, client: keeper.client });
  return { keeper, dialer };
}
