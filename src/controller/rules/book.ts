import type { Clock, Dpid, Logger, MetricSink } from '../kernel/index.ts';
import { InvariantError } from '../kernel/index.ts';
import { BookCounters } from './book-metrics.ts';
import { parseCookie } from './cookie.ts';
import { describeRule } from './describe.ts';
import type { CompileTarget } from './engine.ts';
import { isLost, type OwnerState, type Placed } from './entry.ts';
import { Ledger, type LedgerHooks } from './ledger.ts';
import type { PlacementChange, SwitchDelta } from './plan.ts';
import { type PlacedState, type RuleFailure, type RuleStatus, type SwitchStatus, worse } from './status.ts';
import type { Owner, Placement, Rule, SwitchChannel } from './types.ts';
import { type Difference, type FlowView, type GroupView, type MeterView, SwitchViews } from './views.ts';
import { SwitchWorker } from './worker.ts';

/** What the book tells about as it happens. */
export interface BookListener {
  /** Rules of an owner became confirmed, pending or failed somewhere. */
  ownerChanged?(ownerKey: string, object: string | undefined): void;
  /** A switch refused a rule; it is tried again after a while. */
  refused?(event: {
    dpid: Dpid;
    owner: string;
    object: string | undefined;
    rule: string;
    type: string;
    error: string;
  }): void;
  /** A switch did not hold what it should; it was put right. */
  drift?(event: { dpid: Dpid; missing: number; unexpected: number; different: number }): void;
  /** A switch holds all that is wanted, for the first time since it connected. `changes` is what had to be sent. */
  synced?(event: { dpid: Dpid; changes: number }): void;
}

/** What the book needs around it. */
export interface BookOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: MetricSink;
  readonly listener?: BookListener;
  /** Runs `fn` after other events had their turn; `setImmediate` by default. */
  readonly yieldTo?: (fn: () => void) => void;
  /** Rules in one bundle at most; a larger change goes as several. */
  readonly bundleRules?: number;
  /** Time between comparisons with a connected switch, milliseconds; 0 for none. Default 60 s, spread by ±10 %. */
  readonly reconcileMs?: number;
  /** First and longest pause before refused rules are tried again, milliseconds. */
  readonly retryMs?: readonly [first: number, longest: number];
  /** What an object belongs to, a tenant; flows are counted by it. */
  readonly scopeOf?: (object: string) => string | undefined;
  /** A number in [0, 1), to spread comparisons; Math.random by default. */
  readonly random?: () => number;
}

/** Why a flow is there. */
export interface Explanation {
  readonly owner: string;
  readonly object: string | undefined;
  readonly revision: number;
}

interface Waiter {
  readonly done: () => boolean;
  readonly resolve: () => void;
}

/**
 * The one place that writes flows, groups and meters. Owners say what they want on which switch; the book keeps what
 * each switch holds, sends the difference, and knows how far it got.
 */
export class RuleBook implements CompileTarget {
  readonly #options: BookOptions;
  readonly #counters: BookCounters;
  readonly #owners = new Map<string, OwnerState>();
  readonly #ids = new Map<number, OwnerState>();
  readonly #objects = new Map<string, Set<OwnerState>>();
  /** Flows by scope. */
  readonly #scopes = new Map<string, number>();
  readonly #switches = new Map<Dpid, SwitchWorker>();
  readonly #unflushed = new Set<SwitchWorker>();
  readonly #gate = { closed: false, later: (worker: SwitchWorker) => void this.#unflushed.add(worker) };
  readonly #waiters = new Set<Waiter>();
  /** Those who wait for some switches only, and whether they will be looked at when this turn ends. */
  readonly #watchers = new Set<Waiter>();
  #looking = false;
  /** Owners that wait for a switch to lead. */
  readonly #held = new Map<Dpid, Set<OwnerState>>();
  readonly #hooks: LedgerHooks;
  #revision = 0;
  #flushing: Promise<void> | undefined;
  /** Owner whose placements are being replaced: it may be empty for a moment. */
  #setting: OwnerState | undefined;

  constructor(options: BookOptions) {
    this.#options = options;
    this.#hooks = {
      changed: (owner) => this.#changed(owner),
      conflict: (dpid, winner, loser, rule) => this.#conflict(dpid, winner, loser, rule),
    };
    this.#counters = new BookCounters(options.metrics, () => this.#switches.values());
    options.metrics.declare({
      name: 'netloom_rule_owners_unconfirmed',
      help: 'Owners of rules that some connected or disconnected switch has not confirmed yet.',
      type: 'gauge',
      collect: () => {
        let count = 0;
        for (const { unconfirmed } of this.#owners.values()) if (unconfirmed > 0) count++;
        return count;
      },
    });
  }

  /** Replaces what an owner wants, on all switches. `revision` is that of the state it was compiled from. */
  set(owner: Owner, placement: Placement, revision = 0): void {
    const state = this.#owner(owner);
    state.revision = revision;
    state.problem = undefined;
    this.#count(state, countFlows(placement));
    this.#setting = state;
    this.#letGo(state);
    if (!this.#hold(state, placement, revision)) this.#placeAll(state, placement, revision);
    this.#setting = undefined;
    this.#dropWhenEmpty(state);
  }

  /** The owner wants nothing any more. */
  remove(ownerKey: string): void {
    const state = this.#owners.get(ownerKey);
    if (!state) return;
    state.problem = undefined;
    this.#count(state, 0);
    this.#letGo(state);
    for (const dpid of [...state.at.keys()]) this.#place(this.#worker(dpid), state, [], state.revision);
    this.#dropWhenEmpty(state);
  }

  /** The owner could not be compiled: its status says so, its rules stay. */
  compileFailed(owner: Owner, revision: number, error: unknown): void {
    const state = this.#owner(owner);
    state.revision = revision;
    state.problem = error instanceof Error ? error.message : String(error);
    this.#changed(state);
  }

  /** All changes up to this revision of the desired state have been compiled. */
  compiledThrough(revision: number): void {
    if (revision <= this.#revision) return;
    this.#revision = revision;
    this.#wake();
  }

  /** Newest revision of the desired state that is compiled. */
  get revision(): number {
    return this.#revision;
  }

  /**
   * Changes follow that belong together, though other things may happen in between: a rule may refer to a group that another owner
   * states later. Nothing is sent before `flush`.
   */
  begin(): void {
    this.#gate.closed = true;
  }

  /** Sends what differs, one bundle for each switch that is connected and idle; the others follow by themselves. */
  flush(): void {
    this.#gate.closed = false;
    const workers = [...this.#unflushed];
    this.#unflushed.clear();
    for (const worker of workers) worker.flush();
  }

  /** What these placements would change, switch by switch, without doing it. Switches without a change are left out. */
  plan(changes: readonly PlacementChange[]): readonly SwitchDelta[] {
    const bySwitch = new Map<Dpid, { owner: Owner; before: readonly Rule[]; after: readonly Rule[] }[]>();
    for (const [owner, placement] of changes) {
      const at = this.#owners.get(owner.key)?.at;
      for (const dpid of new Set([...placement.keys(), ...(at?.keys() ?? [])])) {
        const list = bySwitch.get(dpid) ?? [];
        bySwitch.set(dpid, list);
        list.push({ owner, before: at?.get(dpid)?.rules ?? [], after: placement.get(dpid) ?? [] });
      }
    }
    const deltas: SwitchDelta[] = [];
    for (const dpid of [...bySwitch.keys()].sort()) {
      const ledger = this.#switches.get(dpid)?.ledger ?? new Ledger(dpid, this.#hooks);
      const delta = { switch: dpid, ...ledger.plan(bySwitch.get(dpid)!) };
      if (delta.add + delta.modify + delta.delete > 0) deltas.push(delta);
    }
    return deltas;
  }

  /**
   * A switch is there. Reads what it holds, sends the difference, and keeps it right from now on. Resolves with the number
   * of changes that were needed once the switch has confirmed them, or with undefined when it went away before that.
   */
  connect(channel: SwitchChannel): Promise<number | undefined> {
    return this.#worker(channel.dpid).connect(channel);
  }

  /** The switch is gone. Does nothing when another channel has taken its place since. */
  disconnect(dpid: Dpid, channel?: SwitchChannel): void {
    const worker = this.#switches.get(dpid);
    worker?.disconnect(channel);
    if (!worker?.channel) for (const state of this.#held.get(dpid) ?? []) this.#release(state);
    this.#sweep(dpid);
    this.#look();
  }

  /** A flow of ours ran out or was deleted (OFPT_FLOW_REMOVED); `match` is the whole ofp_match as the switch sent it. */
  flowRemoved(
    dpid: Dpid,
    removed: { readonly tableId: number; readonly priority: number; readonly match: Buffer; readonly reason: number },
  ): void {
    this.#switches.get(dpid)?.flowRemoved(removed);
  }

  /** Compares a connected switch now and puts it right. Resolves with what was wrong; undefined when it is not there. */
  reconcile(dpid: Dpid): Promise<{ missing: number; unexpected: number; different: number } | undefined> {
    return this.#switches.get(dpid)?.reconcile() ?? Promise.resolve(undefined);
  }

  /** Owners that hold or want something. */
  ownerKeys(): Iterable<string> {
    return this.#owners.keys();
  }

  /** Where one owner stands; undefined when it holds nothing. */
  ownerStatus(ownerKey: string): RuleStatus | undefined {
    const state = this.#owners.get(ownerKey);
    return state && this.#status([state]);
  }

  /** Where an object stands, over all owners that name it; undefined when none does: then nothing has to be done for it. */
  objectStatus(object: string): RuleStatus | undefined {
    const states = this.#objects.get(object);
    return states && this.#status(states);
  }

  /** Resolves when every switch concerned has confirmed what the owner wants. Rejects only when `signal` aborts. */
  whenConfirmed(ownerKey: string, signal?: AbortSignal): Promise<void> {
    return this.#when(() => {
      const state = this.#owners.get(ownerKey);
      return !state || isConfirmed(state);
    }, signal);
  }

  /** As `whenConfirmed`, for all owners of an object, once this revision of the desired state is compiled. */
  whenObjectConfirmed(object: string, revision: number, signal?: AbortSignal): Promise<void> {
    return this.#when(() => {
      if (this.#revision < revision) return false;
      for (const state of this.#objects.get(object) ?? []) if (!isConfirmed(state)) return false;
      return true;
    }, signal);
  }

  /**
   * Resolves when every connected switch has confirmed what the owners of these objects want there, `needed` being one of them: whatever
   * a switch that is away will say. Rejects only when `signal` aborts.
   */
  whenProgrammed(objects: readonly string[], needed: Dpid | undefined, signal: AbortSignal): Promise<void> {
    const states = (): readonly OwnerState[] => objects.flatMap((object) => [...(this.#objects.get(object) ?? [])]);
    const isProgrammed = (): boolean => {
      if (needed !== undefined && this.#switches.get(needed)?.ready !== true) return false;
      const all = states();
      if (needed !== undefined && !all.some(({ at }) => at.has(needed))) return false;
      return all.every(
        ({ at, held, problem }) =>
          held === undefined &&
          problem === undefined &&
          [...at.values()].every(
            ({ dpid, state }) => state === 'confirmed' || this.#switches.get(dpid)?.ready !== true,
          ),
      );
    };
    return this.#when(isProgrammed, signal, this.#watchers);
  }

  /** Flows that an owner wants, over all switches. */
  flowCount(ownerKey: string): number {
    return this.#owners.get(ownerKey)?.flows ?? 0;
  }

  /** Flows that the owners of all objects of a scope want, over all switches; see `BookOptions.scopeOf`. */
  flowsOfScope(scope: string): number {
    return this.#scopes.get(scope) ?? 0;
  }

  /** Rules wanted on a switch, sorted by key; for tests and tools. */
  wanted(dpid: Dpid): readonly Rule[] {
    const rules: Rule[] = [];
    for (const { wanted } of this.#switches.get(dpid)?.ledger.entries() ?? []) if (wanted) rules.push(wanted);
    return rules.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** Whose flow has this cookie; undefined when it is not ours or its owner is gone. */
  explain(cookie: bigint): Explanation | undefined {
    const parsed = parseCookie(cookie);
    const state = parsed && this.#ids.get(idKey(parsed));
    return state && { owner: state.owner.key, object: state.owner.object, revision: state.revision };
  }

  /** Owner of a cookie's halves; for dispatching. */
  ownerOf(app: number, id: number): Owner | undefined {
    return this.#ids.get(idKey({ app, id }))?.owner;
  }

  /** Flows on a switch now, with counters, and for ours why they are there. Undefined when it is not connected. */
  flows(dpid: Dpid): Promise<readonly FlowView[] | undefined> {
    return this.#views(dpid, (views) => views.flows());
  }

  /** Groups on a switch now. Undefined when it is not connected. */
  groups(dpid: Dpid): Promise<readonly GroupView[] | undefined> {
    return this.#views(dpid, (views) => views.groups());
  }

  /** Meters on a switch now. Undefined when it is not connected. */
  meters(dpid: Dpid): Promise<readonly MeterView[] | undefined> {
    return this.#views(dpid, (views) => views.meters());
  }

  /** What is wanted against what is there, as text. Undefined when the switch is not connected. Changes nothing. */
  diff(dpid: Dpid): Promise<Difference | undefined> {
    return this.#views(dpid, (views) => views.diff());
  }

  /** Stops timers; nothing is sent any more. What switches hold stays there. */
  close(): void {
    for (const worker of this.#switches.values()) worker.disconnect();
  }

  async #views<T>(dpid: Dpid, look: (views: SwitchViews) => Promise<T>): Promise<T | undefined> {
    const worker = this.#switches.get(dpid);
    const channel = worker?.channel;
    if (!worker || !channel) return undefined;
    return look(new SwitchViews(channel, worker.ledger, (cookie) => this.explain(cookie), worker.slicer));
  }

  #worker(dpid: Dpid): SwitchWorker {
    let worker = this.#switches.get(dpid);
    if (!worker) {
      const { clock, log, listener } = this.#options;
      worker = new SwitchWorker(new Ledger(dpid, this.#hooks), {
        clock,
        log: log.child({ dpid }),
        counters: this.#counters,
        yieldTo: this.#options.yieldTo ?? ((fn) => void setImmediate(fn)),
        bundleRules: this.#options.bundleRules ?? 10_000,
        reconcileMs: this.#options.reconcileMs ?? 60_000,
        retryMs: this.#options.retryMs ?? [1_000, 60_000],
        random: this.#options.random ?? Math.random,
        gate: this.#gate,
        listener: listener ?? {},
      });
      this.#switches.set(dpid, worker);
    }
    return worker;
  }

  #count(state: OwnerState, flows: number): void {
    const { object } = state.owner;
    const scope = object === undefined ? undefined : this.#options.scopeOf?.(object);
    if (scope !== undefined && flows !== state.flows) {
      const sum = (this.#scopes.get(scope) ?? 0) + flows - state.flows;
      if (sum > 0) this.#scopes.set(scope, sum);
      else this.#scopes.delete(scope);
    }
    state.flows = flows;
  }

  #placeAll(state: OwnerState, placement: Placement, revision: number): void {
    for (const [dpid, rules] of placement) this.#place(this.#worker(dpid), state, rules, revision);
    for (const dpid of [...state.at.keys()]) {
      if (!placement.has(dpid)) this.#place(this.#worker(dpid), state, [], revision);
    }
  }

  /** Gives the lead its part. True when the rest has to wait for it. */
  #hold(state: OwnerState, placement: Placement, revision: number): boolean {
    const { lead, leadsMoves = false } = placement;
    if (leadsMoves && state.at.size === 0) return false;
    const worker = lead === undefined ? undefined : this.#switches.get(lead);
    if (lead === undefined || !worker?.ready) return false;
    this.#place(worker, state, placement.get(lead) ?? [], revision);
    if ((state.at.get(lead)?.state ?? 'confirmed') === 'confirmed') return false;
    state.held = { placement, lead };
    const waiting = this.#held.get(lead) ?? new Set();
    this.#held.set(lead, waiting.add(state));
    return true;
  }

  /** Nothing of the owner waits any more. Answers what did. */
  #letGo(state: OwnerState): Placement | undefined {
    const { held } = state;
    if (!held) return undefined;
    state.held = undefined;
    const waiting = this.#held.get(held.lead)!;
    waiting.delete(state);
    if (waiting.size === 0) this.#held.delete(held.lead);
    return held.placement;
  }

  /** The lead is done, or gone: the others get their parts. */
  #release(state: OwnerState): void {
    const held = this.#letGo(state);
    if (!held) return;
    this.#look();
    this.#placeAll(state, held, state.revision);
    // All that the same answer of the lead lets go leaves together.
    this.#flushing ??= Promise.resolve().then(() => {
      this.#flushing = undefined;
      if (!this.#gate.closed) this.flush();
    });
  }

  #place(worker: SwitchWorker, state: OwnerState, rules: readonly Rule[], revision: number): void {
    worker.ledger.place(state, rules, revision);
    if (worker.ledger.waiting) this.#unflushed.add(worker);
  }

  #owner(owner: Owner): OwnerState {
    const known = this.#owners.get(owner.key);
    if (known) return known;
    const other = this.#ids.get(idKey(owner));
    // An owner whose rules are on their way out has no claim on its id any more.
    if (other && wantsSomething(other)) {
      throw new InvariantError(`owners ${other.owner.key} and ${owner.key} share app ${owner.app} and id ${owner.id}`);
    }
    const state: OwnerState = {
      owner,
      at: new Map(),
      unconfirmed: 0,
      revision: 0,
      problem: undefined,
      flows: 0,
      held: undefined,
    };
    this.#owners.set(owner.key, state);
    this.#ids.set(idKey(owner), state);
    if (owner.object !== undefined) {
      const states = this.#objects.get(owner.object) ?? new Set();
      this.#objects.set(owner.object, states.add(state));
    }
    return state;
  }

  #dropWhenEmpty(state: OwnerState): void {
    if (isEmpty(state)) this.#drop(state);
  }

  #drop(state: OwnerState): void {
    const { owner } = state;
    if (!this.#owners.delete(owner.key)) return;
    if (this.#ids.get(idKey(owner)) === state) this.#ids.delete(idKey(owner));
    if (owner.object !== undefined) {
      const states = this.#objects.get(owner.object);
      states?.delete(state);
      if (states?.size === 0) this.#objects.delete(owner.object);
    }
    this.#changed(state);
  }

  /** Forgets a switch that is gone and on which nothing is wanted. */
  #sweep(dpid: Dpid): void {
    const worker = this.#switches.get(dpid);
    if (worker && !worker.channel && worker.ledger.size === 0 && worker.ledger.placements.size === 0) {
      this.#switches.delete(dpid);
    }
  }

  #changed(state: OwnerState): void {
    if (isEmpty(state) && state !== this.#setting && this.#owners.get(state.owner.key) === state) {
      this.#drop(state);
      return;
    }
    if (state.held && state.at.get(state.held.lead)?.state === 'confirmed') this.#release(state);
    this.#options.listener?.ownerChanged?.(state.owner.key, state.owner.object);
    if (this.#waiters.size > 0 && isConfirmed(state)) this.#wake();
    this.#look();
  }

  #conflict(dpid: Dpid, winner: Placed, loser: Placed, rule: Rule): void {
    this.#counters.conflicts++;
    const error = new InvariantError(`${describeRule(rule)}: wanted differently by two owners`, {
      dpid,
      winner: winner.by.owner.key,
      loser: loser.by.owner.key,
    });
    this.#options.log.error({ err: error, ...error.details }, 'two owners want different rules in one place');
  }

  #wake(waiters = this.#waiters): void {
    for (const waiter of waiters) {
      if (!waiter.done()) continue;
      waiters.delete(waiter);
      waiter.resolve();
    }
  }

  /** Looks at the watchers once in this turn: a round of changes is told switch by switch. */
  #look(): void {
    if (this.#looking || this.#watchers.size === 0) return;
    this.#looking = true;
    queueMicrotask(() => {
      this.#looking = false;
      this.#wake(this.#watchers);
    });
  }

  #when(done: () => boolean, signal: AbortSignal | undefined, waiters = this.#waiters): Promise<void> {
    if (done()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { done, resolve };
      waiters.add(waiter);
      signal?.addEventListener(
        'abort',
        () => {
          waiters.delete(waiter);
          reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
        },
        { once: true },
      );
    });
  }

  #status(states: Iterable<OwnerState>): RuleStatus {
    const bySwitch = new Map<Dpid, { state: PlacedState; revision: number; rules: number; failures: RuleFailure[] }>();
    const problems: string[] = [];
    let state: PlacedState = 'confirmed';
    let oldest = Infinity;
    for (const owner of states) {
      oldest = Math.min(oldest, owner.revision);
      if (owner.problem !== undefined) {
        problems.push(owner.problem);
        state = 'failed';
      }
      for (const placed of owner.at.values()) {
        const worker = this.#worker(placed.dpid);
        const here: PlacedState = worker.ready ? placed.state : 'disconnected';
        const sum = bySwitch.get(placed.dpid) ?? { state: 'confirmed', revision: Infinity, rules: 0, failures: [] };
        bySwitch.set(placed.dpid, sum);
        sum.state = worse(sum.state, here);
        sum.revision = Math.min(sum.revision, placed.revision);
        sum.rules += placed.rules.length;
        if (here === 'failed') for (const failure of failuresOf(placed, worker.ledger)) sum.failures.push(failure);
        state = worse(state, here);
      }
    }
    const switches = [...bySwitch]
      .map(([dpid, sum]): SwitchStatus => ({ dpid, ...sum }))
      .sort((a, b) => (a.dpid < b.dpid ? -1 : 1));
    return { state, revision: state === 'confirmed' ? this.#revision : oldest, switches, problems };
  }
}

const idKey = ({ app, id }: { readonly app: number; readonly id: number }): number => app * 0x1_0000_0000 + id;

/** Flows of a placement, over all switches. */
export const countFlows = (placement: Placement): number => {
  let count = 0;
  for (const rules of placement.values()) for (const { kind } of rules) if (kind === 'flow') count++;
  return count;
};

const isConfirmed = (state: OwnerState): boolean => state.unconfirmed === 0 && state.problem === undefined;

const wantsSomething = (state: OwnerState): boolean => {
  for (const { rules } of state.at.values()) if (rules.length > 0) return true;
  return false;
};

const isEmpty = (state: OwnerState): boolean => state.at.size === 0 && state.problem === undefined;

function failuresOf(placed: Placed, ledger: Ledger): RuleFailure[] {
  const failures: RuleFailure[] = [];
  for (const rule of placed.rules) {
    const entry = ledger.entry(rule.key);
    if (entry?.failure) failures.push({ rule: describeRule(rule), ...entry.failure });
    else if (entry && isLost(entry, placed, rule)) {
      failures.push({
        rule: describeRule(rule),
        type: 'conflict',
        error: `held by ${entry.by!.by.owner.key}`,
        attempts: 0,
      });
    }
  }
  return failures;
}
