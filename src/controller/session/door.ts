import type { Clock } from '../kernel/index.ts';

/** Turns of the event loop in a row that each accepted a connection, from which on it is a crowd. */
const CROWD = 16;
/** A crowd has come to its end when nobody came for so long, ms. Longer than a pause for garbage while the code is not compiled yet. */
const GAP_MS = 100;

/**
 * Whether switches are still streaming in. Node accepts one connection per listener and turn of the event loop, so what else is done
 * in those turns decides how long two thousand switches wait at the door: work that can wait does.
 */
export class Door {
  readonly #clock: Clock;
  #turn = -1;
  #run = 0;
  #at = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A connection was accepted in this turn of the event loop. */
  accepted(turn: number): void {
    if (turn - this.#turn > 1) this.#run = 0;
    if (turn !== this.#turn) this.#run++;
    this.#turn = turn;
    this.#at = this.#clock.monotonic();
  }

  /** More are coming right now. */
  get crowded(): boolean {
    return this.#run >= CROWD && this.#clock.monotonic() - this.#at < GAP_MS;
  }
}
