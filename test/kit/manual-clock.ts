import type { Clock } from '../../src/controller/kernel/index.ts';

interface Timer {
  at: number;
  readonly every: number | undefined;
  readonly fn: () => void;
}

/** A clock whose time passes only when a test says so. Timers fire in order of time, then of creation. */
export class ManualClock implements Clock {
  #now: number;
  readonly #start: number;
  readonly #timers = new Set<Timer>();

  constructor(startMs = 1_700_000_000_000) {
    this.#now = startMs;
    this.#start = startMs;
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now - this.#start;
  }

  after(ms: number, fn: () => void): () => void {
    return this.#add({ at: this.#now + ms, every: undefined, fn });
  }

  every(ms: number, fn: () => void): () => void {
    return this.#add({ at: this.#now + ms, every: ms, fn });
  }

  /** Lets time pass, firing what falls due. */
  pass(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      let next: Timer | undefined;
      for (const timer of this.#timers) if (timer.at <= end && (!next || timer.at < next.at)) next = timer;
      if (!next) break;
      this.#now = Math.max(this.#now, next.at);
      if (next.every === undefined) this.#timers.delete(next);
      else next.at += next.every;
      next.fn();
    }
    this.#now = end;
  }

  #add(timer: Timer): () => void {
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
}
