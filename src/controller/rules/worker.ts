import type { Clock, Dpid, Logger } from '../kernel/index.ts';
import { ClosedError } from '../kernel/index.ts';
import { applyOps, type Refusal } from './apply.ts';
import type { BookListener } from './book.ts';
import { BookCounters } from './book-metrics.ts';
import { describeRule } from './describe.ts';
import type { Batch, Op } from './entry.ts';
import type { Ledger } from './ledger.ts';
import { orderOps } from './order.ts';
import { holdsStill, keyOfRemoved, readRules } from './readback.ts';
import { Slicer } from './slicer.ts';
import type { SwitchChannel } from './types.ts';

/** What a worker needs around it. */
export interface WorkerOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly counters: BookCounters;
  readonly listener: BookListener;
  readonly yieldTo: (fn: () => void) => void;
  readonly bundleRules: number;
  readonly reconcileMs: number;
  readonly retryMs: readonly [first: number, longest: number];
  readonly random: () => number;
  /** While it is closed, changes are being put together: a worker that has something to send is called later. */
  readonly gate: { readonly closed: boolean; later(worker: SwitchWorker): void };
}

/** What a comparison found wrong. */
export interface Drift {
  readonly missing: number;
  readonly unexpected: number;
  readonly different: number;
}

/** Brings one switch to what its ledger wants: compares on connect, sends one batch at a time, tries again, checks. */
export class SwitchWorker {
  readonly ledger: Ledger;
  readonly slicer: Slicer;
  readonly #options: WorkerOptions;
  #channel: SwitchChannel | undefined;
  #ready = false;
  #batch: Batch | undefined;
  #sending: Promise<void> | undefined;
  #checking: Promise<Drift | undefined> | undefined;
  #cancelRetry: (() => void) | undefined;
  #cancelCheck: (() => void) | undefined;
  /** Rounds of trying again, or of reading, in a row. */
  #retries = 0;
  #onSynced: ((changes: number | undefined) => void) | undefined;
  #changes = 0;
  /** When the switch was last compared rule by rule, monotonic; undefined: never. */
  #comparedAt: number | undefined;
  /** Raised whenever what we know of the switch becomes void. */
  #epoch = 0;

  constructor(ledger: Ledger, options: WorkerOptions) {
    this.ledger = ledger;
    this.#options = options;
    this.slicer = new Slicer(options.clock, options.yieldTo);
  }

  get dpid(): Dpid {
    return this.ledger.dpid;
  }

  get channel(): SwitchChannel | undefined {
    return this.#channel;
  }

  /** True once the switch has been read since it connected. */
  get ready(): boolean {
    return this.#ready;
  }

  /** See `RuleBook.connect`. */
  connect(channel: SwitchChannel): Promise<number | undefined> {
    this.disconnect();
    this.#channel = channel;
    this.#changes = 0;
    const synced = new Promise<number | undefined>((resolve) => {
      this.#onSynced = resolve;
    });
    void this.#read(channel);
    return synced;
  }

  /** See `RuleBook.disconnect`. */
  disconnect(channel?: SwitchChannel): void {
    if (!this.#channel || (channel && channel !== this.#channel)) return;
    this.#channel = undefined;
    this.#retries = 0;
    this.#stop(this.#ready || this.ledger.remembered() !== undefined);
    this.#onSynced?.(undefined);
    this.#onSynced = undefined;
  }

  /** Sends what differs, unless a batch is on its way: then it follows that. */
  flush(): void {
    const channel = this.#channel;
    if (!channel || !this.#ready || this.#batch || !this.ledger.waiting) return;
    const { gate } = this.#options;
    if (gate.closed) {
      gate.later(this);
      return;
    }
    const batch = this.ledger.take();
    if (batch.ops.length === 0) {
      this.ledger.settle(batch, new Map());
      this.#afterBatch();
      return;
    }
    this.#batch = batch;
    this.#sending = this.#send(channel, batch);
  }

  /** See `RuleBook.flowRemoved`. */
  flowRemoved(removed: { tableId: number; priority: number; match: Buffer; reason: number }): void {
    if (!this.#ready) return;
    const { key, ranOut } = keyOfRemoved(removed);
    if (ranOut) this.ledger.expired(key);
    else if (this.ledger.deletedByOthers(key)) {
      this.#options.counters.drift.missing++;
      this.#options.listener.drift?.({ dpid: this.dpid, missing: 1, unexpected: 0, different: 0 });
      this.flush();
    }
  }

  /** See `RuleBook.reconcile`. */
  reconcile(): Promise<Drift | undefined> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  async #read(channel: SwitchChannel): Promise<void> {
    this.ledger.goOnline();
    try {
      if (await this.#isAsItWas(channel)) {
        if (this.#channel === channel) this.#taken();
        return;
      }
      if (this.#channel !== channel) return;
      this.ledger.forget();
      const found = await readRules(channel, this.slicer);
      if (this.#channel !== channel) return;
      await this.slicer.each(found.rules, ({ rule, hi, lo }) => {
        if (this.#channel === channel) this.ledger.adopt(rule, hi, lo);
      });
      if (this.#channel !== channel) return;
      if (found.foreignGroups.length + found.foreignMeters.length > 0) {
        const { foreignGroups, foreignMeters } = found;
        this.#options.log.info({ foreignGroups, foreignMeters }, 'groups and meters of others are left alone');
      }
    } catch (error) {
      if (this.#channel === channel) this.#resync(channel, error, 'reading the rules of a switch failed');
      return;
    }
    this.#comparedAt = this.#options.clock.monotonic();
    this.#taken();
  }

  /**
   * True when the switch seems to hold what it held when it went away: as many flows of ours, the same groups and meters. A
   * thousand connections that come back at once are taken in for the price of three short answers each; what such a look
   * cannot see, somebody's change of a flow in place, is found by the next comparison, as for a switch that stayed.
   */
  async #isAsItWas(channel: SwitchChannel): Promise<boolean> {
    const { clock, reconcileMs } = this.#options;
    const remembered = this.ledger.remembered();
    const since = this.#comparedAt === undefined ? Infinity : clock.monotonic() - this.#comparedAt;
    return remembered !== undefined && since < reconcileMs && holdsStill(channel, remembered);
  }

  /** What the switch holds is known. */
  #taken(): void {
    this.ledger.adopted();
    this.#ready = true;
    this.#retries = 0;
    this.#planCheck();
    if (this.ledger.waiting) this.flush();
    else this.#afterBatch();
  }

  async #send(channel: SwitchChannel, batch: Batch): Promise<void> {
    const { clock, counters, bundleRules } = this.#options;
    const start = clock.monotonic();
    let refusals: ReadonlyMap<Op, Refusal>;
    try {
      refusals = await applyOps(channel, orderOps(batch.ops), { counters, bundleRules });
    } catch (error) {
      if (this.#channel === channel) this.#resync(channel, error, 'the outcome of a change is not known');
      return;
    }
    if (this.#channel !== channel) return;
    counters.applySeconds.observe((clock.monotonic() - start) / 1000);
    this.#batch = undefined;
    this.#sending = undefined;
    this.#changes += batch.ops.length - refusals.size;
    for (const op of batch.ops) {
      if (!refusals.has(op)) BookCounters.bump(counters.changes, `${op.rule.kind}.${op.command}`);
    }
    this.#report(refusals);
    this.ledger.settle(batch, refusals);
    this.#planRetry();
    this.#afterBatch();
    this.flush();
  }

  #afterBatch(): void {
    if (!this.#onSynced || this.ledger.waiting) return;
    const done = this.#onSynced;
    this.#onSynced = undefined;
    this.#options.listener.synced?.({ dpid: this.dpid, changes: this.#changes });
    done(this.#changes);
  }

  #report(refusals: ReadonlyMap<Op, Refusal>): void {
    const { counters, listener, log } = this.#options;
    let shown = 0;
    for (const [op, { type, error }] of refusals) {
      BookCounters.bump(counters.refusals, error);
      const { owner } = op.entry.by?.by ?? {};
      const rule = describeRule(op.rule);
      listener.refused?.({ dpid: this.dpid, owner: owner?.key ?? '', object: owner?.object, rule, type, error });
      // A full table refuses thousands of rules for one reason.
      if (++shown <= 10) log.warn({ owner: owner?.key, object: owner?.object, rule, type, error }, 'rule refused');
    }
    if (shown > 10) log.warn({ refused: shown }, 'more rules refused');
  }

  #planRetry(): void {
    if (this.ledger.failed.size === 0) {
      this.#retries = 0;
      this.#cancelRetry?.();
      this.#cancelRetry = undefined;
      return;
    }
    this.#cancelRetry ??= this.#options.clock.after(this.#pause(), () => {
      this.#cancelRetry = undefined;
      this.ledger.retry();
      this.flush();
    });
  }

  #pause(): number {
    const [first, longest] = this.#options.retryMs;
    return Math.min(longest, first * 2 ** Math.min(this.#retries++, 30));
  }

  /** What the switch holds is not known any more: reads it again after a pause. */
  #resync(channel: SwitchChannel, error: unknown, what: string): void {
    this.#stop(false);
    const pause = this.#pause();
    // When the channel is closed the session says so in a moment, which ends this.
    if (!(error instanceof ClosedError)) this.#options.log.warn({ err: error, retryInMs: pause }, what);
    this.#cancelRetry = this.#options.clock.after(pause, () => {
      this.#cancelRetry = undefined;
      if (this.#channel === channel) void this.#read(channel);
    });
  }

  /** `certain`: what the ledger says is what the switch holds. */
  #stop(certain: boolean): void {
    this.#epoch++;
    this.#ready = false;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#cancelCheck?.();
    this.#cancelCheck = undefined;
    this.ledger.goOffline(this.#batch, certain);
    this.#batch = undefined;
    this.#sending = undefined;
  }

  #planCheck(): void {
    const { clock, reconcileMs, random } = this.#options;
    if (reconcileMs <= 0) return;
    this.#cancelCheck = clock.after(reconcileMs * (0.9 + 0.2 * random()), () => {
      this.#cancelCheck = undefined;
      void this.reconcile().then(() => {
        if (this.#ready && !this.#cancelCheck) this.#planCheck();
      });
    });
  }

  async #check(): Promise<Drift | undefined> {
    const { counters, log, listener } = this.#options;
    while (this.#sending) await this.#sending;
    const channel = this.#channel;
    if (!channel || !this.#ready) return undefined;
    const check = this.ledger.startCheck();
    const drift = { missing: 0, unexpected: 0, different: 0 };
    const epoch = this.#epoch;
    const current = (): boolean => this.#epoch === epoch;
    try {
      const found = await readRules(channel, this.slicer);
      await this.slicer.each(found.rules, ({ rule, hi, lo }) => {
        const kind = current() ? this.ledger.check(rule, hi, lo, check) : undefined;
        if (kind) drift[kind]++;
      });
      if (!current()) return undefined;
    } catch (error) {
      if (!current()) return undefined;
      this.ledger.abandonCheck();
      counters.reconciles.failed++;
      if (!(error instanceof ClosedError)) log.warn({ err: error }, 'comparing a switch failed');
      return undefined;
    }
    drift.missing = this.ledger.finishCheck(check);
    this.#comparedAt = this.#options.clock.monotonic();
    if (drift.missing + drift.unexpected + drift.different > 0) {
      counters.reconciles.drifted++;
      counters.drift.missing += drift.missing;
      counters.drift.unexpected += drift.unexpected;
      counters.drift.different += drift.different;
      log.warn(drift, 'the switch did not hold what it should');
      listener.drift?.({ dpid: this.dpid, ...drift });
    } else {
      counters.reconciles.clean++;
    }
    this.flush();
    return drift;
  }
}
