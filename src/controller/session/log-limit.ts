import type { Clock, Logger } from '../kernel/index.ts';

/**
 * Keeps hostile peers from filling the log: `perSecond` warnings on average, `burst` at once; what was held back is told with
 * the next one that passes. Counters still see every event.
 */
export class LogLimit {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #at: number;
  #suppressed = 0;

  constructor(log: Logger, clock: Clock, perSecond = 10, burst = 50) {
    this.#log = log;
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#at = clock.monotonic();
  }

  warn(fields: object, message: string): void {
    const now = this.#clock.monotonic();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) * this.#perSecond) / 1000);
    this.#at = now;
    if (this.#tokens < 1) {
      this.#suppressed++;
      return;
    }
    this.#tokens--;
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    this.#log.warn(suppressed > 0 ? { ...fields, suppressed } : fields, message);
  }
}
