/** How much is taken: `perSecond` in the long run, `burst` at once. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

/** Token buckets by name. The names are bounded: the one that came first is forgotten, which gives it a full bucket again. */
export class Pace {
  readonly #rate: Rate;
  readonly #most: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(rate: Rate, most = 10_000) {
    this.#rate = rate;
    this.#most = most;
  }

  /** Names that are remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Takes one token at `now`, monotonic ms. False when there is none. */
  take(name: string, now: number): boolean {
    const { perSecond, burst } = this.#rate;
    let bucket = this.#buckets.get(name);
    if (!bucket) {
      if (this.#buckets.size >= this.#most) this.#buckets.delete(this.#buckets.keys().next().value!);
      bucket = { tokens: burst, at: now };
      this.#buckets.set(name, bucket);
    }
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) * perSecond) / 1_000);
    bucket.at = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }
}
