import type { Clock, Logger } from '../../controller/index.ts';
import {
  type DialerOptions,
  type KeeperStatus,
  OvsdbClient,
  OvsdbDialer,
  type OvsdbHandlers,
  Reconciler,
  type RetryPauses,
  type RpcLimits,
  telling,
} from '../ovsdb/index.ts';
import { type HwvtepProblem, planHwvtep, type WantedHwvtep } from './plan.ts';
import { type HwvtepTables, hwvtepNeeds, hwvtepOptional, hwvtepShapes, hwvtepTables } from './tables.ts';
import { type HwvtepView, viewHwvtep } from './view.ts';

/** How a device's database stands to what is wanted of it; refused bindings are among the problems. */
export type HwvtepStatus = KeeperStatus<HwvtepProblem>;

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
  readonly retryMs?: RetryPauses;
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
  readonly #reconciler: Reconciler<WantedHwvtep, HwvtepProblem>;
  #view: HwvtepView = { switches: [], localMacs: [] };

  /** `session` is told of the session as well, before the watcher. */
  constructor(options: HwvtepKeeperOptions, session?: OvsdbHandlers) {
    this.#options = options;
    const { clock, log, limits, retryMs, watcher } = options;
    this.#reconciler = new Reconciler(() => this.client, {
      clock,
      log,
      what: 'hardware VTEP',
      retryMs,
      plan: (wanted) => planHwvtep(this.#tables, wanted),
      told: (status) => watcher.status?.(status),
    });
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
          this.#heard(() => this.#reconciler.ready());
        },
        changed: (changes) => {
          session?.changed(changes);
          this.#heard(() => this.#reconciler.compare());
        },
        down: (error) => {
          session?.down(error);
          this.#reconciler.down(error.message);
        },
      },
    });
    this.#tables = hwvtepTables(this.client);
  }

  get status(): HwvtepStatus {
    return this.#reconciler.status;
  }

  get view(): HwvtepView {
    return this.#view;
  }

  /** Wants this from now on; undefined: nothing is touched. What was wanted before and is not any more is removed. */
  want(wanted: HwvtepWishes | undefined): void {
    this.#reconciler.want(wanted && { ...wanted, owner: this.#options.owner });
  }

  /** Resolves when what is wanted is in the database, cannot be, or `ms` are over. */
  settled(ms: number): Promise<void> {
    return this.#reconciler.settled(ms);
  }

  /** Ends the session. What is in the database stays. */
  close(): void {
    this.#reconciler.close();
    this.client.close();
  }

  /** Compares even when the watcher fails. */
  #heard(compare: () => void): void {
    const view = viewHwvtep(this.#tables, this.#options.owner);
    const isNew = JSON.stringify(view) !== JSON.stringify(this.#view);
    this.#view = view;
    try {
      if (isNew) this.#options.watcher.view?.(view);
    } finally {
      compare();
    }
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
