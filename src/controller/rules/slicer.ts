import type { Clock } from '../kernel/index.ts';

/** Does long work in slices, so that echo requests and packet-ins are answered in between. */
export class Slicer {
  readonly #clock: Clock;
  readonly #yieldTo: (fn: () => void) => void;
  readonly #sliceMs: number;

  constructor(clock: Clock, yieldTo: (fn: () => void) => void, sliceMs = 1) {
    this.#clock = clock;
    this.#yieldTo = yieldTo;
    this.#sliceMs = sliceMs;
  }

  /** Calls `visit` for each item; lets others run whenever a slice is used up. */
  async each<T>(items: Iterable<T>, visit: (item: T) => void): Promise<void> {
    let deadline = this.#clock.monotonic() + this.#sliceMs;
    let count = 0;
    for (const item of items) {
      visit(item);
      // Looking at the clock costs as much as visiting a cheap item.
      if ((++count & 15) !== 0 || this.#clock.monotonic() < deadline) continue;
      await new Promise<void>((resolve) => this.#yieldTo(resolve));
      deadline = this.#clock.monotonic() + this.#sliceMs;
    }
  }
}
