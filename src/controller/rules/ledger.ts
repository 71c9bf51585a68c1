import type { Dpid } from '../kernel/index.ts';
import { sameRule } from './compare.ts';
import {
  type Batch,
  type Check,
  claimsOf,
  type Entry,
  isClean,
  isLost,
  type Op,
  type OwnerState,
  opFor,
  type Placed,
  sameList,
  stillMeant,
} from './entry.ts';
import type { SwitchDelta } from './plan.ts';
import type { Owner, Rule } from './types.ts';

/** What the ledger tells about owners. */
export interface LedgerHooks {
  /** A placement changed its state, or ended. */
  changed(owner: OwnerState): void;
  /** Two owners want different rules under one key: a bug of ours. */
  conflict(dpid: Dpid, winner: Placed, loser: Placed, rule: Rule): void;
}

/**
 * The books of one switch, without any input or output: who wants which rule, what is there, and what differs. Every
 * call costs in proportion to what changes.
 */
export class Ledger {
  readonly dpid: Dpid;
  readonly #hooks: LedgerHooks;
  readonly #entries = new Map<string, Entry>();
  readonly #dirty = new Set<Entry>();
  readonly #placements = new Set<Placed>();
  readonly #failed = new Set<Entry>();
  /** Entries whose claims differ. */
  readonly #contested = new Set<Entry>();
  #gathering = new Set<Placed>();
  #batch = 0;
  #runs = 0;
  #online = false;
  /** Keys whose deletion was confirmed while a read-back runs. */
  #deleted: Set<string> | undefined;
  /** What is present is what the switch held when it went away. */
  #remembers = false;

  constructor(dpid: Dpid, hooks: LedgerHooks) {
    this.dpid = dpid;
    this.#hooks = hooks;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Entries that the switch refused and that wait for another try. */
  get failed(): ReadonlySet<Entry> {
    return this.#failed;
  }

  get placements(): ReadonlySet<Placed> {
    return this.#placements;
  }

  entries(): IterableIterator<Entry> {
    return this.#entries.values();
  }

  entry(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  /** True when there is something to send or somebody to tell. */
  get waiting(): boolean {
    return this.#dirty.size > 0 || this.#gathering.size > 0;
  }

  /** Replaces what an owner wants here. */
  place(by: OwnerState, rules: readonly Rule[], revision: number): void {
    let placed = by.at.get(this.dpid);
    if (!placed) {
      if (rules.length === 0) return;
      placed = { by, dpid: this.dpid, rules: [], revision, state: 'pending' };
      by.at.set(this.dpid, placed);
      by.unconfirmed++;
      this.#placements.add(placed);
    } else if (sameList(placed.rules, rules)) {
      placed.revision = revision;
      return;
    }
    placed.revision = revision;
    const wanted = new Map<string, Rule>();
    for (const rule of rules) {
      const twin = wanted.get(rule.key);
      if (!twin) wanted.set(rule.key, rule);
      else if (!sameRule(twin, rule)) this.#hooks.conflict(this.dpid, placed, placed, rule);
    }
    const before = placed.rules;
    placed.rules = wanted.size === rules.length ? rules : [...wanted.values()];
    for (const rule of before) if (!wanted.has(rule.key)) this.#release(placed, rule.key);
    for (const [key, rule] of wanted) this.#claim(placed, key, rule);
    this.#touch(placed);
    if (!this.#online && rules.length === 0) this.#conclude(placed);
  }

  /** What differs now, to be sent together. Ends with `settle` or `goOffline`. */
  take(): Batch {
    const number = ++this.#batch;
    const ops: Op[] = [];
    for (const entry of this.#dirty) {
      if (isClean(entry)) continue;
      const op = opFor(entry);
      entry.inFlight = op;
      entry.batch = number;
      ops.push(op);
    }
    this.#dirty.clear();
    const gathered = this.#gathering;
    this.#gathering = new Set();
    return { number, ops, gathered };
  }

  /** The switch answered a batch: all of it is there but what is in `failures`. */
  settle(batch: Batch, failures: ReadonlyMap<Op, { readonly type: string; readonly error: string }>): void {
    const concerned = batch.gathered;
    for (const op of batch.ops) {
      const { entry } = op;
      entry.inFlight = undefined;
      const failure = failures.get(op);
      if (entry.failure || failure) for (const { placed } of claimsOf(entry)) concerned.add(placed);
      if (failure) {
        if (!stillMeant(entry, op)) {
          this.#mark(entry);
          continue;
        }
        entry.failure = { ...failure, attempts: (entry.failure?.attempts ?? 0) + 1 };
        this.#failed.add(entry);
        continue;
      }
      this.#forgive(entry);
      entry.present = op.command === 'delete' ? undefined : op.rule;
      entry.presentHi = op.hi;
      entry.presentLo = op.lo;
      if (op.command === 'delete') this.#deleted?.add(entry.key);
      this.#mark(entry);
    }
    for (const placed of concerned) if (!this.#gathering.has(placed)) this.#conclude(placed);
  }

  /** Failed entries are tried again by the next batch. */
  retry(): void {
    for (const entry of this.#failed) this.#dirty.add(entry);
  }

  /** From now on differences count; nothing is known to be present yet. */
  goOnline(): void {
    this.#online = true;
  }

  /**
   * The switch is gone; `batch` was on its way. What was there is remembered, for `remembered`, when `certain`; else nothing is
   * known any more.
   */
  goOffline(batch: Batch | undefined, certain: boolean): void {
    this.#remembers = certain && batch === undefined;
    this.#online = false;
    this.#dirty.clear();
    this.#failed.clear();
    this.#deleted = undefined;
    for (const entry of this.#entries.values()) {
      entry.failure = undefined;
      entry.inFlight = undefined;
      if (this.#remembers) continue;
      entry.present = undefined;
      if (!entry.wanted) this.#entries.delete(entry.key);
    }
    for (const placed of batch?.gathered ?? []) if (this.#placements.has(placed)) this.#gathering.add(placed);
    for (const placed of this.#placements) {
      if (placed.rules.length === 0) this.#conclude(placed);
      else if (placed.state === 'failed') this.#touch(placed);
    }
  }

  /**
   * What the switch held when it went away: how many flows, and its groups and meters. Undefined when that is not known.
   */
  remembered(): { readonly flows: number; readonly others: ReadonlyMap<string, Rule> } | undefined {
    if (!this.#remembers) return undefined;
    let flows = 0;
    const others = new Map<string, Rule>();
    for (const { key, present } of this.#entries.values()) {
      if (present?.kind === 'flow') flows++;
      else if (present) others.set(key, present);
    }
    return { flows, others };
  }

  /** What is remembered is not what is there. */
  forget(): void {
    if (!this.#remembers) return;
    this.#remembers = false;
    for (const entry of this.#entries.values()) {
      entry.present = undefined;
      if (!entry.wanted) this.#entries.delete(entry.key);
    }
  }

  /** First read-back after `goOnline`: this rule of ours is on the switch. */
  adopt(rule: Rule, hi: number, lo: number): void {
    const entry = this.#entries.get(rule.key) ?? this.#open(rule.key);
    entry.present = entry.wanted && sameRule(entry.wanted, rule) ? entry.wanted : rule;
    entry.presentHi = hi;
    entry.presentLo = lo;
  }

  /** What is present is known, from the first read-back or because it is what is remembered: what differs is dirty. */
  adopted(): void {
    this.#remembers = false;
    for (const entry of this.#entries.values()) {
      this.#mark(entry);
      if (this.#dirty.has(entry) && entry.by) this.#touch(entry.by);
    }
  }

  /** Starts a comparison with a switch that is in use; answers its number. */
  startCheck(): Check {
    this.#deleted = new Set();
    return { run: ++this.#runs, since: this.#batch };
  }

  /** During a check: this rule of ours is on the switch. Answers how that differs from what we knew. */
  check(rule: Rule, hi: number, lo: number, check: Check): 'unexpected' | 'different' | undefined {
    const entry = this.#entries.get(rule.key);
    if (!entry) {
      if (this.#deleted?.has(rule.key)) return undefined;
      const stray = this.#open(rule.key);
      stray.present = rule;
      stray.presentHi = hi;
      stray.presentLo = lo;
      stray.seen = check.run;
      this.#mark(stray);
      return 'unexpected';
    }
    entry.seen = check.run;
    if (entry.inFlight || entry.batch > check.since) return undefined;
    const known = entry.present;
    if (
      known &&
      sameRule(known, rule) &&
      (rule.kind !== 'flow' || (entry.presentHi === hi && entry.presentLo === lo))
    ) {
      return undefined;
    }
    entry.present = rule;
    entry.presentHi = hi;
    entry.presentLo = lo;
    this.#differs(entry);
    return known ? 'different' : undefined;
  }

  /** End of a check: what was not seen is gone. Answers how many rules that did not run out by themselves were missing. */
  finishCheck(check: Check): number {
    this.#deleted = undefined;
    let missing = 0;
    for (const entry of this.#entries.values()) {
      if (entry.seen === check.run || entry.inFlight || entry.batch > check.since) continue;
      const known = entry.present;
      if (known) {
        // A flow with a time-out may have run out without telling anybody.
        if (known.kind !== 'flow' || (known.idleTimeout === 0 && known.hardTimeout === 0)) missing++;
        entry.present = undefined;
      }
      if (!isClean(entry)) this.#differs(entry);
    }
    return missing;
  }

  /** A check ended early. */
  abandonCheck(): void {
    this.#deleted = undefined;
  }

  /** A flow ran out: it is absent, and not put back before the next check, which gives its app time to let go of it. */
  expired(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry || entry.inFlight) return;
    entry.present = undefined;
    if (!entry.wanted) this.#mark(entry);
  }

  /** A flow was deleted by somebody else. True when it is wanted, and will be put back. */
  deletedByOthers(key: string): boolean {
    const entry = this.#entries.get(key);
    if (!entry?.present || entry.inFlight || this.#dirty.has(entry)) return false;
    entry.present = undefined;
    this.#differs(entry);
    return entry.wanted !== undefined;
  }

  /** What these lists would change here; `before` is what the owner holds now. */
  plan(
    changes: readonly { readonly owner: Owner; readonly before: readonly Rule[]; readonly after: readonly Rule[] }[],
  ): Omit<SwitchDelta, 'switch'> {
    const delta = { add: 0, modify: 0, delete: 0 };
    const changing = new Set<string>();
    const offers = new Map<string, { readonly owner: Owner; readonly rule: Rule }>();
    const keys = new Set<string>();
    for (const { owner, before, after } of changes) {
      changing.add(owner.key);
      for (const rule of before) keys.add(rule.key);
      for (const rule of after) {
        keys.add(rule.key);
        const best = offers.get(rule.key);
        if (!best || owner.key < best.owner.key) offers.set(rule.key, { owner, rule });
      }
    }
    for (const key of keys) {
      const entry = this.#entries.get(key);
      let best = offers.get(key);
      for (const { placed, rule } of entry ? claimsOf(entry) : []) {
        const { owner } = placed.by;
        if (!changing.has(owner.key) && (!best || owner.key < best.owner.key)) best = { owner, rule };
      }
      if (!entry?.wanted) {
        if (best) delta.add++;
      } else if (!best) delta.delete++;
      else if (!sameRule(entry.wanted, best.rule)) delta.modify++;
      // The cookie of a flow names its owner; groups and meters have none.
      else if (best.rule.kind === 'flow' && entry.by?.by.owner.key !== best.owner.key) delta.modify++;
    }
    return delta;
  }

  #open(key: string): Entry {
    const entry: Entry = {
      key,
      wanted: undefined,
      by: undefined,
      claims: undefined,
      present: undefined,
      presentHi: 0,
      presentLo: 0,
      failure: undefined,
      inFlight: undefined,
      batch: 0,
      seen: 0,
    };
    this.#entries.set(key, entry);
    return entry;
  }

  #claim(placed: Placed, key: string, rule: Rule): void {
    const entry = this.#entries.get(key) ?? this.#open(key);
    if (entry.claims) {
      const mine = entry.claims.find((claim) => claim.placed === placed);
      if (mine) mine.rule = rule;
      else entry.claims.push({ placed, rule });
      this.#choose(entry);
    } else if (entry.by && entry.by !== placed && entry.wanted) {
      entry.claims = [
        { placed: entry.by, rule: entry.wanted },
        { placed, rule },
      ];
      this.#choose(entry);
    } else {
      this.#want(entry, rule, placed);
    }
  }

  #release(placed: Placed, key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    if (entry.claims) {
      entry.claims = entry.claims.filter((claim) => claim.placed !== placed);
      this.#choose(entry);
    } else if (entry.by === placed) {
      this.#want(entry, undefined, undefined);
    }
  }

  /** Which claim counts: that of the lowest owner key, so that the order of events does not matter. */
  #choose(entry: Entry): void {
    const claims = entry.claims!;
    const winner = claims.reduce((a, b) => (b.placed.by.owner.key < a.placed.by.owner.key ? b : a));
    const losers = claims.filter((claim) => !sameRule(claim.rule, winner.rule));
    const known = this.#contested.has(entry);
    if (losers.length > 0) {
      this.#contested.add(entry);
      if (!known) this.#hooks.conflict(this.dpid, winner.placed, losers[0]!.placed, losers[0]!.rule);
      for (const { placed } of losers) this.#touch(placed);
    } else if (known) {
      this.#contested.delete(entry);
      for (const { placed } of claims) this.#touch(placed);
    }
    if (claims.length === 1) entry.claims = undefined;
    this.#want(entry, winner.rule, winner.placed);
  }

  #want(entry: Entry, rule: Rule | undefined, by: Placed | undefined): void {
    const same = entry.wanted && rule && sameRule(entry.wanted, rule) && entry.by?.by === by?.by;
    entry.by = by;
    if (same) return;
    entry.wanted = rule;
    this.#forgive(entry);
    if (by) this.#touch(by);
    this.#mark(entry);
  }

  /** What was refused before may be tried afresh. */
  #forgive(entry: Entry): void {
    entry.failure = undefined;
    this.#failed.delete(entry);
  }

  #mark(entry: Entry): void {
    if (isClean(entry)) {
      this.#dirty.delete(entry);
      if (!entry.wanted && !entry.inFlight) this.#entries.delete(entry.key);
    } else if (this.#online && !entry.failure) {
      this.#dirty.add(entry);
    }
  }

  #differs(entry: Entry): void {
    this.#mark(entry);
    if (this.#dirty.has(entry) && entry.by) this.#touch(entry.by);
  }

  #touch(placed: Placed): void {
    this.#gathering.add(placed);
    this.#setState(placed, 'pending');
  }

  #conclude(placed: Placed): void {
    if (placed.rules.length === 0) {
      this.#gathering.delete(placed);
      if (this.#placements.delete(placed)) {
        placed.by.at.delete(this.dpid);
        if (placed.state !== 'confirmed') placed.by.unconfirmed--;
        this.#hooks.changed(placed.by);
      }
      return;
    }
    this.#setState(placed, this.#refused(placed) ? 'failed' : 'confirmed');
  }

  #refused(placed: Placed): boolean {
    if (this.#failed.size === 0 && this.#contested.size === 0) return false;
    return placed.rules.some((rule) => {
      const entry = this.#entries.get(rule.key);
      return entry !== undefined && (entry.failure !== undefined || isLost(entry, placed, rule));
    });
  }

  #setState(placed: Placed, state: Placed['state']): void {
    if (placed.state === state) return;
    if (placed.state === 'confirmed') placed.by.unconfirmed++;
    else if (state === 'confirmed') placed.by.unconfirmed--;
    placed.state = state;
    this.#hooks.changed(placed.by);
  }
}
