import type { Clock, Logger } from '../../controller/kernel/index.ts';
import { OvsdbClient, type OvsdbHandlers } from './client.ts';
import { type DialerOptions, OvsdbDialer, telling } from './connect.ts';
import { OvsdbError } from './errors.ts';
import type { RowChange } from './replica.ts';
import type { RpcLimits } from './rpc.ts';
import { tunnelStates, type VswitchTables, vswitchNeeds, vswitchShapes, vswitchTables } from './vswitch.ts';
import { planVswitch, type VswitchProblem, type WantedVswitch } from './vswitch-plan.ts';

/** How a switch's database stands to what is wanted of it. */
export interface VswitchStatus {
  /**
   * `right`: all that can be is as wanted, and the switch says that it has done it. `working`: a change is under way, or the switch has
   * not confirmed it. `failed`: the database refused; tried again later. `away`: no session.
   */
  readonly state: 'right' | 'working' | 'failed' | 'away';
  /** Why it is `failed` or `away`. */
  readonly reason: string | undefined;
  /** What is wanted and cannot be. */
  readonly problems: readonly VswitchProblem[];
}

export interface VswitchKeeperOptions {
  readonly handlers: OvsdbHandlers & {
    /** The status changed. */
    status?(status: VswitchStatus): void;
  };
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits?: RpcLimits;
  /** First and longest pause before a refused transaction, or a port that the switch could not make, is tried again, ms. */
  readonly retryMs?: readonly [first: number, longest: number];
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
  #wanted: WantedVswitch | undefined;
  #status: VswitchStatus = { state: 'away', reason: 'no session yet', problems: [] };
  #busy = false;
  #again = false;
  #failures = 0;
  #cancelRetry: (() => void) | undefined;
  #nudges = 0;
  #cancelNudge: (() => void) | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(options: VswitchKeeperOptions) {
    this.#options = options;
    const { handlers, clock, log, limits } = options;
    this.client = new OvsdbClient({
      database: 'Open_vSwitch',
      needs: vswitchNeeds,
      shapes: vswitchShapes,
      clock,
      log,
      ...(limits ? { limits } : {}),
      handlers: {
        ready: (changes) => this.#heard(changes, () => handlers.ready(changes)),
        changed: (changes) => this.#heard(changes, () => handlers.changed(changes)),
        locked: (id, held) => handlers.locked?.(id, held),
        down: (error) => {
          this.#clearRetry();
          this.#clearNudge();
          this.#tell({ state: 'away', reason: error.message, problems: this.#status.problems });
          handlers.down(error);
        },
      },
    });
    this.tables = vswitchTables(this.client);
  }

  get status(): VswitchStatus {
    return this.#status;
  }

  /** Wants this from now on; undefined: nothing is touched. What was wanted before and is not any more is removed. */
  want(wanted: WantedVswitch | undefined): void {
    this.#wanted = wanted;
    this.#clearRetry();
    this.#reconcile();
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
      const cancel = this.#options.clock.after(ms, done);
      this.#waiting.add(check);
      check();
    });
  }

  /** Ends the session. What is in the database stays. */
  close(): void {
    this.#wanted = undefined;
    this.#clearRetry();
    this.#clearNudge();
    this.client.close();
  }

  #heard(changes: readonly RowChange[], tell: () => void): void {
    // Planned even when the handler fails.
    try {
      tell();
    } finally {
      if (changes.length > 0 || this.#status.state === 'away') this.#reconcile();
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
        for (const check of [...this.#waiting]) check();
        if (this.#again) this.#reconcile();
      });
  }

  async #apply(wanted: WantedVswitch): Promise<void> {
    let problems: readonly VswitchProblem[] = [];
    let written = 0;
    await this.client.update(() => {
      const plan = planVswitch(this.tables, wanted);
      problems = plan.problems;
      written = plan.operations.length;
      if (written > 0) this.#tell({ state: 'working', reason: undefined, problems });
      return plan.operations;
    });
    this.#failures = 0;
    if (!this.client.ready) return;
    const confirmed = [...this.tables.rows('Open_vSwitch').values()].every((row) => row.cur_cfg >= row.next_cfg);
    // Later changes, cur_cfg among them, come here again.
    this.#tell({ state: confirmed ? 'right' : 'working', reason: undefined, problems });
    if (written > 0) this.#options.log.debug({ operations: written }, 'switch database changed');
    if (confirmed) this.#nudgeLater(wanted.owner);
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
    this.#cancelNudge = this.#options.clock.after(this.#pause(this.#nudges++), () => {
      this.#cancelNudge = undefined;
      if (!this.client.ready) return;
      this.client
        .transact([{ op: 'mutate', table: 'Open_vSwitch', where: 'all', mutations: [['next_cfg', '+=', 1]] }])
        .catch((error: unknown) => this.#failed(error));
    });
  }

  #pause(failures: number): number {
    const [first, longest] = this.#options.retryMs ?? [1_000, 30_000];
    return Math.min(longest, first * 2 ** Math.min(failures, 20));
  }

  #failed(error: unknown): void {
    if (!(error instanceof OvsdbError)) this.#options.log.error({ err: error }, 'comparing a switch database failed');
    if (!this.client.ready) return;
    const reason = error instanceof Error ? error.message : String(error);
    this.#cancelRetry?.();
    this.#cancelRetry = this.#options.clock.after(this.#pause(this.#failures++), () => {
      this.#cancelRetry = undefined;
      this.#reconcile();
    });
    this.#tell({ state: 'failed', reason, problems: this.#status.problems });
  }

  #clearNudge(): void {
    this.#cancelNudge?.();
    this.#cancelNudge = undefined;
  }

  #clearRetry(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
  }

  #tell(status: VswitchStatus): void {
    const before = this.#status;
    this.#status = status;
    if (JSON.stringify(before) !== JSON.stringify(status)) this.#options.handlers.status?.(status);
    for (const check of [...this.#waiting]) check();
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
