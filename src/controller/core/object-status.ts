import type { Clock } from '../kernel/index.ts';
import {
  type DesiredChange,
  idsOf,
  type JsonObject,
  type Port,
  restPath,
  type StatusProvider,
} from '../model/index.ts';
import type { RuleBook, RuleStatus } from '../rules/index.ts';
import type { ObjectVerdict } from './app.ts';

/** Why a port cannot carry traffic as things are, whatever the switches confirm. */
export interface PortProblem {
  /** The port has rules on switches all the same: what they come to decides. */
  readonly placed: boolean;
  /** Stable, PascalCase, e.g. `SwitchUnknown`. */
  readonly reason: string;
  readonly message: string;
}

/** A condition as REST shows it. */
export interface Condition {
  readonly type: 'Ready';
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
  /** ISO time since which the status is what it is, as far as this process knows. */
  readonly since: string;
}

/** What status is made from. */
export interface ObjectStatusParts {
  readonly book: RuleBook;
  readonly clock: Clock;
  /** Path of an object → the port, when it is one. */
  readonly port: (path: string) => Port | undefined;
  readonly portProblem: (port: Port) => PortProblem | undefined;
  /** What an app says of the object with this path. */
  readonly verdict: (path: string) => ObjectVerdict | undefined;
  /** Hears of objects whose `Ready` changed. */
  readonly onReady: (path: string, condition: Condition) => void;
}

interface Waiter {
  readonly path: string;
  readonly check: () => void;
}

/** `status` of northbound objects: what their rules came to on the switches concerned. */
export class ObjectStatus {
  readonly #parts: ObjectStatusParts;
  readonly #known = new Map<string, Condition>();
  readonly #touched = new Set<string>();
  readonly #waiters = new Set<Waiter>();
  #scheduled = false;

  constructor(parts: ObjectStatusParts) {
    this.#parts = parts;
  }

  /** Fits `ObjectService.setStatusProvider`. */
  readonly provider: StatusProvider = (subject): JsonObject => {
    const path = restPath(subject.kind, idsOf(subject.object));
    const status = this.#parts.book.objectStatus(path);
    const condition = this.condition(path);
    return {
      conditions: [{ ...condition }],
      observedRevision:
        condition.status === 'True'
          ? Math.max(subject.object.revision, status?.revision ?? 0)
          : (status?.revision ?? 0),
      ...this.#parts.verdict(path)?.fields,
      switches: (status?.switches ?? []).map(({ dpid, state, rules }) => ({ switch: dpid, state, rules })),
    };
  };

  /** The object's `Ready` condition now. */
  condition(path: string): Condition {
    const fresh = this.#judge(path);
    const before = this.#known.get(path);
    if (before && before.status === fresh.status && before.reason === fresh.reason && before.message === fresh.message)
      return before;
    const since = before?.status === fresh.status ? before.since : new Date(this.#parts.clock.now()).toISOString();
    const condition: Condition = { type: 'Ready', ...fresh, since };
    this.#known.set(path, condition);
    return condition;
  }

  /** Rules of the object changed their state; looked at once, after this turn. */
  touch(path: string): void {
    this.#touched.add(path);
    this.#schedule();
  }

  /** Something that any object may depend on changed (a switch, a port): those who wait look again. */
  touchWaiters(): void {
    for (const { path } of this.#waiters) this.touch(path);
  }

  /** Forgets what was deleted. */
  changed(changes: readonly DesiredChange[]): void {
    for (const { kind, before, after } of changes) {
      if (before && !after) this.#known.delete(restPath(kind, idsOf(before)));
    }
  }

  /**
   * Resolves true when every switch concerned has confirmed this revision of the object (a deleted object: when its rules are
   * gone), false when `timeoutMs` is over or the signal fires.
   */
  async waitReady(path: string, revision: number, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    const ended = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    try {
      await this.#parts.book.whenObjectConfirmed(path, revision, ended);
    } catch (error) {
      if (ended.aborted) return false;
      throw error;
    }
    if (this.condition(path).status === 'True') return true;
    return new Promise((resolve) => {
      const done = (ready: boolean): void => {
        this.#waiters.delete(waiter);
        ended.removeEventListener('abort', aborted);
        resolve(ready);
      };
      const aborted = (): void => done(false);
      const waiter: Waiter = { path, check: () => this.condition(path).status === 'True' && done(true) };
      this.#waiters.add(waiter);
      ended.addEventListener('abort', aborted, { once: true });
      if (ended.aborted) done(false);
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const paths = [...this.#touched];
      this.#touched.clear();
      for (const path of paths) {
        const before = this.#known.get(path);
        const now = this.condition(path);
        if (before !== undefined && before.status !== now.status) this.#parts.onReady(path, now);
      }
      if (paths.length > 0) for (const waiter of [...this.#waiters]) waiter.check();
    });
  }

  #judge(path: string): Omit<Condition, 'type' | 'since'> {
    const port = this.#parts.port(path);
    const problem = port && this.#parts.portProblem(port);
    // Nothing is asked of any switch for a port that is bound to nothing.
    if (problem?.reason === 'NotBound') return { status: 'True', reason: problem.reason, message: problem.message };
    if (problem && !problem.placed) return { status: 'False', reason: problem.reason, message: problem.message };
    const verdict = this.#parts.verdict(path);
    if (verdict && !(verdict.ok && verdict.rulesDecide))
      return { status: verdict.ok ? 'True' : 'False', reason: verdict.reason, message: verdict.message };
    const status = this.#parts.book.objectStatus(path);
    if (!status) return { status: 'True', reason: 'NothingToDo', message: 'no switch is concerned' };
    const rules = explained(status);
    if (status.state === 'confirmed' && problem) {
      return { status: 'True', reason: problem.reason, message: `${rules.message}; ${problem.message}` };
    }
    return { status: status.state === 'confirmed' ? 'True' : 'False', ...rules };
  }
}

function explained(status: RuleStatus): { reason: string; message: string } {
  const on = (state: RuleStatus['state']): string =>
    status.switches
      .filter((sw) => sw.state === state)
      .map(({ dpid }) => dpid)
      .join(', ');
  switch (status.state) {
    case 'confirmed':
      return { reason: 'Confirmed', message: `confirmed by ${status.switches.length} switch(es)` };
    case 'pending':
      return { reason: 'Pending', message: `on its way to ${on('pending')}` };
    case 'disconnected':
      return { reason: 'SwitchDisconnected', message: `not connected: ${on('disconnected')}` };
    case 'failed': {
      const [failure] = status.switches.flatMap(({ dpid, failures }) => failures.map((each) => ({ dpid, ...each })));
      if (!failure) return { reason: 'Internal', message: status.problems.join('; ') };
      return {
        reason: 'Refused',
        message: `switch ${failure.dpid} answered ${failure.type}/${failure.error} to ${failure.rule}; tried ${failure.attempts} time(s), will be tried again`,
      };
    }
  }
}
