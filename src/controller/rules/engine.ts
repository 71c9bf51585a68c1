import type { Clock, Dpid, Logger, MetricSink } from '../kernel/index.ts';
import { InvariantError } from '../kernel/index.ts';
import type { PlacementChange, SwitchDelta } from './plan.ts';
import type { Compiler, Owner, Placement } from './types.ts';

/** Where compiled rules go; the rule book. */
export interface CompileTarget {
  /** A round of changes begins that belong together: nothing is sent before `flush`. */
  begin(): void;
  /** What the owner wants from now on, replacing what it wanted before. */
  set(owner: Owner, placement: Placement, revision: number): void;
  /** The owner wants nothing any more. */
  remove(ownerKey: string): void;
  /** The owner could not be compiled; what it holds stays as it is. */
  compileFailed(owner: Owner, revision: number, error: unknown): void;
  /** All changes up to this revision have been compiled. */
  compiledThrough(revision: number): void;
  /** The round is over: sends what differs. */
  flush(): void;
  /** What these placements would change, without doing it. */
  plan(changes: readonly PlacementChange[]): readonly SwitchDelta[];
  /** Owners that hold something. */
  ownerKeys(): Iterable<string>;
}

/** What the engine needs of the process around it. */
export interface EngineOptions<State> {
  /** The state now. Compilers see it at the moment they run. */
  readonly state: () => State;
  readonly target: CompileTarget;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: MetricSink;
  /** Runs `fn` after other events had their turn; `setImmediate` by default. */
  readonly yieldTo?: (fn: () => void) => void;
  /** Longest time to compile without letting others run, milliseconds. */
  readonly sliceMs?: number;
}

interface Registered<State, Change> {
  readonly compiler: Compiler<State, Change>;
  compiled: number;
  failed: number;
  seconds: number;
}

interface Dirty<State, Change> {
  readonly owner: Owner;
  readonly by: Registered<State, Change>;
}

/**
 * Turns changes of state into rules: asks each compiler which owners a change touches, compiles each of them once however
 * many changes touched it, and hands the result to the rule book. Works in rounds: what is dirty when a round starts is
 * compiled in slices and flushed together, so a change arrives on a switch as one; what becomes dirty meanwhile is the
 * next round.
 */
export class CompileEngine<State, Change> {
  readonly #options: EngineOptions<State>;
  readonly #yieldTo: (fn: () => void) => void;
  readonly #sliceMs: number;
  readonly #compilers = new Set<Registered<State, Change>>();
  #dirty = new Map<string, Dirty<State, Change>>();
  /** What this round has not compiled yet. */
  #compiling = new Map<string, Dirty<State, Change>>();
  #round: Iterator<Dirty<State, Change>> | undefined;
  #roundRevision = 0;
  #revision = 0;
  #scheduled = false;
  #settled: { promise: Promise<void>; resolve: () => void } | undefined;
  /** Those who wait for the end of a round, by the round's number. */
  #awaited: { readonly round: number; readonly resolve: () => void }[] = [];
  /** Number of the round that is compiled, or was last. */
  #rounds = 0;

  constructor(options: EngineOptions<State>) {
    this.#options = options;
    this.#yieldTo = options.yieldTo ?? ((fn) => void setImmediate(fn));
    this.#sliceMs = options.sliceMs ?? 1;
    this.#declareMetrics(options.metrics);
  }

  /** Adds a compiler; the function returned removes it. Its owners are compiled by the next change or `compileAll`. */
  register(compiler: Compiler<State, Change>): () => void {
    const registered: Registered<State, Change> = { compiler, compiled: 0, failed: 0, seconds: 0 };
    this.#compilers.add(registered);
    return () => {
      this.#compilers.delete(registered);
    };
  }

  /**
   * Notes the owners that these changes touch; `state` must hold the changes already. `revision` is that of the desired
   * state, and stays what it was when absent (observed changes).
   */
  change(changes: Iterable<Change>, revision?: number): void {
    if (revision !== undefined && revision > this.#revision) this.#revision = revision;
    const state = this.#options.state();
    for (const change of changes) {
      for (const by of this.#compilers) {
        try {
          for (const owner of by.compiler.affected(change, state)) this.#dirty.set(owner.key, { owner, by });
        } catch (error) {
          by.failed++;
          this.#options.log.error({ err: error, compiler: by.compiler.name }, 'a compiler failed to name its owners');
        }
      }
    }
    this.#schedule();
  }

  /** Compiles every owner from nothing, and drops owners that no compiler names any more. */
  compileAll(revision?: number): void {
    if (revision !== undefined && revision > this.#revision) this.#revision = revision;
    const state = this.#options.state();
    const present = new Set<string>();
    let complete = true;
    for (const by of this.#compilers) {
      try {
        for (const owner of by.compiler.owners(state)) {
          present.add(owner.key);
          this.#dirty.set(owner.key, { owner, by });
        }
      } catch (error) {
        complete = false;
        by.failed++;
        this.#options.log.error({ err: error, compiler: by.compiler.name }, 'a compiler failed to list its owners');
      }
    }
    // Without a full list an owner that is missing may still exist: its rules stay.
    if (complete) {
      for (const key of [...this.#options.target.ownerKeys()]) {
        if (!present.has(key)) this.#options.target.remove(key);
      }
    }
    this.#schedule();
  }

  /** Resolves when nothing is dirty, everything compiled being flushed. */
  settled(): Promise<void> {
    if (!this.#scheduled) return Promise.resolve();
    if (!this.#settled) {
      let resolve = (): void => {};
      const promise = new Promise<void>((done) => {
        resolve = done;
      });
      this.#settled = { promise, resolve };
    }
    return this.#settled.promise;
  }

  /** Resolves when all that is dirty now is compiled and flushed, whatever becomes dirty meanwhile. */
  caughtUp(): Promise<void> {
    if (!this.#scheduled) return Promise.resolve();
    return new Promise((resolve) => void this.#awaited.push({ round: this.#rounds + 1, resolve }));
  }

  /** Owners waiting to be compiled. */
  get dirty(): number {
    return this.#dirty.size;
  }

  /**
   * What these changes would do to the switches, given the state as it would be after them. Changes nothing.
   * Throws what a compiler throws.
   */
  plan(changes: Iterable<Change>, state: State): readonly SwitchDelta[] {
    return this.#options.target.plan(this.#placements(changes, state, []));
  }

  /**
   * What all owners would want whose rules change by these changes, or by what waits to be compiled. Changes nothing. Throws
   * what a compiler throws.
   */
  outlook(changes: Iterable<Change>, state: State): readonly PlacementChange[] {
    return this.#placements(changes, state, [...this.#compiling.values(), ...this.#dirty.values()]);
  }

  #placements(
    changes: Iterable<Change>,
    state: State,
    waiting: readonly Dirty<State, Change>[],
  ): readonly PlacementChange[] {
    const dirty = new Map(waiting.map((each) => [each.owner.key, each]));
    for (const change of changes) {
      for (const by of this.#compilers) {
        for (const owner of by.compiler.affected(change, state)) dirty.set(owner.key, { owner, by });
      }
    }
    return [...dirty.values()].map(({ owner, by }): PlacementChange => [owner, by.compiler.compile(owner, state)]);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#yieldTo(() => this.#slice());
  }

  #slice(): void {
    const { clock, target } = this.#options;
    const state = this.#options.state();
    const deadline = clock.monotonic() + this.#sliceMs;
    if (!this.#round) {
      this.#compiling = this.#dirty;
      this.#round = this.#compiling.values();
      this.#rounds++;
      this.#dirty = new Map();
      this.#roundRevision = this.#revision;
      target.begin();
    }
    for (;;) {
      const { value, done } = this.#round.next();
      if (done) break;
      this.#compiling.delete(value.owner.key);
      this.#compile(value, state);
      if (clock.monotonic() >= deadline) {
        this.#yieldTo(() => this.#slice());
        return;
      }
    }
    this.#round = undefined;
    target.compiledThrough(this.#roundRevision);
    target.flush();
    // Whoever asked during this round waits for the next one, unless there is none: then all was in this one.
    const last = this.#dirty.size === 0;
    const waiters = this.#awaited;
    this.#awaited = waiters.filter(({ round }) => !last && round > this.#rounds);
    for (const { round, resolve } of waiters) if (last || round <= this.#rounds) resolve();
    if (this.#dirty.size > 0) {
      this.#yieldTo(() => this.#slice());
      return;
    }
    this.#scheduled = false;
    const waiting = this.#settled;
    this.#settled = undefined;
    waiting?.resolve();
  }

  #compile({ owner, by }: Dirty<State, Change>, state: State): void {
    const { clock, target, log } = this.#options;
    const start = clock.monotonic();
    by.compiled++;
    try {
      const placement = by.compiler.compile(owner, state);
      if (hasRules(placement)) target.set(owner, placement, this.#roundRevision);
      else target.remove(owner.key);
    } catch (error) {
      // One owner's bug is that owner's trouble: its old rules stay, the others go on.
      by.failed++;
      const bug = error instanceof InvariantError ? 'broke an invariant' : 'threw';
      log.error({ err: error, compiler: by.compiler.name, owner: owner.key }, `compiling an owner ${bug}`);
      target.compileFailed(owner, this.#roundRevision, error);
    }
    by.seconds += (clock.monotonic() - start) / 1000;
  }

  #declareMetrics(metrics: MetricSink): void {
    const samples = (value: (by: Registered<State, Change>) => number) => () =>
      [...this.#compilers].map((by) => ({ labels: { compiler: by.compiler.name }, value: value(by) }));
    metrics.declare({
      name: 'netloom_compile_owners_total',
      help: 'Owners compiled into rules.',
      type: 'counter',
      labels: ['compiler'],
      collect: samples((by) => by.compiled),
    });
    metrics.declare({
      name: 'netloom_compile_seconds_total',
      help: 'Time spent compiling, seconds.',
      type: 'counter',
      labels: ['compiler'],
      collect: samples((by) => by.seconds),
    });
    metrics.declare({
      name: 'netloom_compile_failures_total',
      help: 'Owners or changes on which a compiler threw.',
      type: 'counter',
      labels: ['compiler'],
      collect: samples((by) => by.failed),
    });
    metrics.declare({
      name: 'netloom_compile_dirty_owners',
      help: 'Owners waiting to be compiled.',
      type: 'gauge',
      collect: () => this.#dirty.size,
    });
  }
}

const hasRules = (placement: ReadonlyMap<Dpid, readonly unknown[]>): boolean => {
  for (const rules of placement.values()) if (rules.length > 0) return true;
  return false;
};
