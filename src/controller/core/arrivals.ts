import type { Clock } from '../kernel/index.ts';

/** Time of a turn that is spent on beginning to take switches in, ms. */
const SLICE_MS = 1;
/** No switch waits longer than this for the crowd at the door, ms. */
const PATIENCE_MS = 1_000;

/** What `Arrivals` needs around it. */
export interface ArrivalsParts<T> {
  readonly clock: Clock;
  /** More are coming in right now. */
  readonly crowded: () => boolean;
  /** Begins to take one in. */
  readonly takeIn: (one: T) => void;
}

/**
 * The queue between a switch's handshake and all that follows from it (its number, its rules, its links). While a crowd is at the door
 * it waits, for a second at most; then it goes on in slices.
 */
export class Arrivals<T> {
  readonly #parts: ArrivalsParts<T>;
  #queue: { readonly one: T; readonly at: number }[] = [];
  #scheduled = false;

  constructor(parts: ArrivalsParts<T>) {
    this.#parts = parts;
  }

  /** Takes it in now or soon, in order. */
  add(one: T): void {
    this.#queue.push({ one, at: this.#parts.clock.monotonic() });
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#run());
  }

  #run(): void {
    this.#scheduled = false;
    const { clock, crowded, takeIn } = this.#parts;
    const begun = clock.monotonic();
    const patience = begun - PATIENCE_MS;
    let taken = 0;
    while (taken < this.#queue.length && clock.monotonic() - begun < SLICE_MS) {
      const { one, at } = this.#queue[taken]!;
      if (at > patience && crowded()) break;
      taken++;
      takeIn(one);
    }
    this.#queue.splice(0, taken);
    if (this.#queue.length > 0) this.#schedule();
  }
}
