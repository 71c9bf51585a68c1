import type { Clock } from '../../controller/index.ts';

/** A peer that dialled in and was sent away. */
export interface Refusal {
  readonly remote: string;
  readonly reason: string;
  /** When, ms since 1970. */
  readonly at: number;
}

/** Hosts of which the last refusal is kept. */
const REFUSALS_KEPT = 256;

/** The host of `HOST:PORT`. */
export const hostOf = (remote: string): string => remote.slice(0, remote.lastIndexOf(':'));

/** Who dialled in and was sent away: the last of each host. */
export class Refusals {
  readonly #clock: Clock;
  /** By host, oldest first. */
  readonly #last = new Map<string, Refusal>();
  /** All that there ever were. */
  count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(remote: string, reason: string): void {
    this.count++;
    const host = hostOf(remote);
    this.#last.delete(host);
    this.#last.set(host, { remote, reason, at: this.#clock.now() });
    const [oldest] = this.#last.keys();
    if (this.#last.size > REFUSALS_KEPT && oldest !== undefined) this.#last.delete(oldest);
  }

  /** Somebody at this host was taken in. */
  forgive(remote: string): void {
    this.#last.delete(hostOf(remote));
  }

  /** The latest first. */
  list(): readonly Refusal[] {
    return [...this.#last.values()].reverse();
  }

  /** Why somebody at one of these hosts was sent away, to be added to a message; empty when nobody was. */
  why(hosts: readonly string[]): string {
    const found = hosts.map((host) => this.#last.get(host)).find((refusal) => refusal !== undefined);
    return found ? `; ${found.remote} was refused at ${new Date(found.at).toISOString()}: ${found.reason}` : '';
  }
}
