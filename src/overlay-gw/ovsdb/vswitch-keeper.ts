import type { Clock, Logger } from '../../controller/kernel/index.ts';
import { OvsdbClient, type OvsdbHandlers } from './client.ts';
import { type DialerOptions, OvsdbDialer, telling } from './connect.ts';
import { type KeeperStatus, pauseAfter, Reconciler, type RetryPauses } from './reconciler.ts';
import type { RpcLimits } from './rpc.ts';
import { tunnelStates, type VswitchTables, vswitchNeeds, vswitchShapes, vswitchTables } from './vswitch.ts';
import { planVswitch, type VswitchProblem, type WantedVswitch } from './vswitch-plan.ts';

/** How a switch's database stands to what is wanted of it. `right`: the switch says that it has done it. */
export type VswitchStatus = KeeperStatus<VswitchProblem>;

export interface VswitchKeeperOptions {
  readonly handlers: OvsdbHandlers & {
    /** The status changed. */
    status?(status: VswitchStatus): void;
  };
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits?: RpcLimits;
  /** First and longest pause before a refused transaction, or a port that the switch could not make, is tried again, ms. */
  readonly retryMs?: RetryPauses;
}

/**
 * Keeps a switch's database as wanted: whenever rows change, the session comes back, or other things are wanted, what differs is
 * written in one transaction; nothing when all is right. A tunnel port deleted by hand comes back at once.
 */
export class VswitchKeeper {
  /** The session; give it connections by `use`, or by an OvsdbDialer. */
  readonly client: OvsdbClient;
  readonly tables: VswitchTables;
  readonly #options: VswitchKeeperOptions;
  readonly #reconciler: Reconciler<WantedVswitch, VswitchProblem>;
  #nudges = 0;
  #cancelNudge: (() => void) | undefined;

  constructor(options: VswitchKeeperOptions) {
    this.#options = options;
    const { handlers, clock, log, limits, retryMs } = options;
    this.#reconciler = new Reconciler(() => this.client, {
      clock,
      log,
      what: 'switch',
      retryMs,
      plan: (wanted) => planVswitch(this.tables, wanted),
      confirmed: () => [...this.tables.rows('Open_vSwitch').values()].every((row) => row.cur_cfg >= row.next_cfg),
      done: ({ owner }) => this.#nudgeLater(owner),
      told: (status) => handlers.status?.(status),
    });
    this.client = new OvsdbClient({
      database: 'Open_vSwitch',
      needs: vswitchNeeds,
      shapes: vswitchShapes,
      clock,
      log,
      ...(limits ? { limits } : {}),
      handlers: {
        // Compared even when the handler fails.
        ready: (changes) => {
          try {
            handlers.ready(changes);
          } finally {
            this.#reconciler.ready();
          }
        },
        changed: (changes) => {
          try {
            handlers.changed(changes);
          } finally {
            this.#reconciler.compare();
          }
        },
        locked: (id, held) => handlers.locked?.(id, held),
        down: (error) => {
          this.#clearNudge();
          this.#reconciler.down(error.message);
          handlers.down(error);
        },
      },
    });
    this.tables = vswitchTables(this.client);
  }

  get status(): VswitchStatus {
    return this.#reconciler.status;
  }

  /** Wants this from now on; undefined: nothing is touched. What was wanted before and is not any more is removed. */
  want(wanted: WantedVswitch | undefined): void {
    this.#reconciler.want(wanted);
  }

  /** Resolves when what is wanted is in the database, cannot be, or `ms` are over. */
  settled(ms: number): Promise<void> {
    return this.#reconciler.settled(ms);
  }

  /** Ends the session. What is in the database stays. */
  close(): void {
    this.#reconciler.close();
    this.#clearNudge();
    this.client.close();
  }

  /**
   * The switch does not try a port again whose cause of failure is gone, until something in its database changes (pinned in
   * test/ovs/ovsdb-vswitch.test.ts): counting next_cfg is such a change, and harmless.
   */
  #nudgeLater(owner: string): void {
    const failed = [...tunnelStates(this.tables, owner).values()].some(({ error }) => error !== undefined);
    if (!failed) {
      this.#nudges = 0;
      this.#clearNudge();
      return;
    }
    if (this.#cancelNudge) return;
    this.#cancelNudge = this.#options.clock.after(pauseAfter(this.#nudges++, this.#options.retryMs), () => {
      this.#cancelNudge = undefined;
      if (!this.client.ready) return;
      this.client
        .transact([{ op: 'mutate', table: 'Open_vSwitch', where: 'all', mutations: [['next_cfg', '+=', 1]] }])
        .catch((error: unknown) => this.#reconciler.failed(error));
    });
  }

  #clearNudge(): void {
    this.#cancelNudge?.();
    this.#cancelNudge = undefined;
  }
}

/** A keeper that dials its switch. */
export function dialVswitch(options: VswitchKeeperOptions & Omit<DialerOptions, 'client'>): {
  readonly keeper: VswitchKeeper;
  readonly dialer: OvsdbDialer;
} {
  const { handlers } = options;
  const keeper = new VswitchKeeper({
    ...options,
    handlers: { ...telling(handlers, () => dialer), status: (status) => handlers.status?.(status) },
  });
  const dialer: OvsdbDialer = new OvsdbDialer({ ...options, client: keeper.client });
  return { keeper, dialer };
}
