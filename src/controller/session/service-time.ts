import type { Clock } from '../kernel/index.ts';

/**
 * Time during which we were able to serve. Deadlines of switches are measured in it: when our own process was stopped or
 * busy for seconds, answers may lie unread in the kernel, and nobody is dropped for that.
 */
export class ServiceTime {
  readonly #clock: Clock;
  readonly #tickMs: number;
  #last: number;
  #now = 0;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, tickMs: number) {
    this.#clock = clock;
    this.#tickMs = tickMs;
    this.#last = clock.monotonic();
  }

  /** Milliseconds; moves in ticks. */
  get now(): number {
    return this.#now;
  }

  /** Calls `onTick` after each tick until `stop`. */
  start(onTick: (now: number) => void): void {
    this.#last = this.#clock.monotonic();
    this.#cancel = this.#clock.every(this.#tickMs, () => {
      const at = this.#clock.monotonic();
      this.#now += Math.min(at - this.#last, 2 * this.#tickMs);
      this.#last = at;
      onTick(this.#now);
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
