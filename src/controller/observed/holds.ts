import type { Clock, Dpid } from '../kernel/index.ts';

/** Holds that end within this of each other are taken together: many switches leaving at once cost one computation. */
const SLACK_MS = 250;

/** One timer for the hold times of all disconnected switches. */
export class Holds {
  readonly #clock: Clock;
  readonly #onOver: (dpids: readonly Dpid[]) => void;
  /** When each hold ends, monotonic. */
  readonly #ends = new Map<Dpid, number>();
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, onOver: (dpids: readonly Dpid[]) => void) {
    this.#clock = clock;
    this.#onOver = onOver;
  }

  /** Starts holds of the same length. */
  start(dpids: Iterable<Dpid>, ms: number): void {
    const end = this.#clock.monotonic() + ms;
    for (const dpid of dpids) this.#ends.set(dpid, end);
    this.#arm();
  }

  stop(dpid: Dpid): void {
    this.#ends.delete(dpid);
  }

  close(): void {
    this.#ends.clear();
    this.#arm();
  }

  #arm(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#ends.size === 0) return;
    let first = Number.POSITIVE_INFINITY;
    for (const end of this.#ends.values()) first = Math.min(first, end);
    this.#cancel = this.#clock.after(Math.max(0, first - this.#clock.monotonic()), () => this.#over());
  }

  #over(): void {
    const limit = this.#clock.monotonic() + SLACK_MS;
    const over: Dpid[] = [];
    for (const [dpid, end] of this.#ends) if (end <= limit) over.push(dpid);
    for (const dpid of over) this.#ends.delete(dpid);
    this.#arm();
    if (over.length > 0) this.#onOver(over);
  }
}
