import type { ActivationSign, MigrationPhase } from '../../controller/index.ts';

/** A move that is under way, as far as it is not stored. Times are monotonic ms. */
export class Track {
  readonly key: string;
  readonly startedAt: string;
  readonly endpoint: number;
  phase: MigrationPhase;
  /** The guest has been noticed at the new place by this. */
  sign: ActivationSign | undefined;
  signAt: number | undefined;
  /** The guest's interface has been missing at the old place since. */
  leftAt: number | undefined;
  /** The new place has been ready since. */
  readyAt: number | undefined;
  /** The switches of its senders have confirmed that they send to the new place. */
  confirmedAt: number | undefined;
  /** One of its places is not there, and nobody has said yet whether that is so. */
  unknown = false;
  /** Something of it is on its way to the store. */
  writing = false;
  #waiting: { readonly what: string; readonly stop: () => void } | undefined;

  constructor(key: string, startedAt: string, endpoint: number, phase: MigrationPhase) {
    this.key = key;
    this.startedAt = startedAt;
    this.endpoint = endpoint;
    this.phase = phase;
  }

  /** Waits for one thing at a time: begins, unless it waits for that already. `begin` answers what ends the wait. */
  wait(what: string, begin: () => () => void): void {
    if (this.#waiting?.what === what) return;
    this.stop();
    const stop = begin();
    this.#waiting = { what, stop };
  }

  /** Waits for nothing any more. */
  stop(): void {
    this.#waiting?.stop();
    this.#waiting = undefined;
  }
}
