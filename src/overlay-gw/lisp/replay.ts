/** Senders whose last nonce is remembered. */
const MOST = 100_000;

/** The last nonce of each sender: one that is not larger was heard before, or is an older message that somebody kept. */
export class NonceGuard {
  readonly #last = new Map<string, bigint>();
  /** Senders of whom `changes` has something new; undefined until somebody asks. */
  #changed: Set<string> | undefined;

  /** True, and remembered, when the nonce (16 hex digits) is larger than the sender's last. The sender heard least recently is forgotten. */
  fresh(sender: string, nonce: string): boolean {
    const value = BigInt(`0x${nonce}`);
    const last = this.#last.get(sender);
    if (last !== undefined && value <= last) return false;
    this.#last.delete(sender);
    if (this.#last.size >= MOST) {
      const [oldest] = this.#last.keys();
      if (oldest !== undefined) this.#last.delete(oldest);
      if (oldest !== undefined) this.#changed?.add(oldest);
    }
    this.#last.set(sender, value);
    this.#changed?.add(sender);
    return true;
  }

  /** Senders with their last nonces, for `restore`. */
  snapshot(): [sender: string, nonce: string][] {
    return [...this.#last].map(([sender, nonce]) => [sender, hex(nonce)]);
  }

  /** Senders whose nonce is another than the last time that this was asked; an empty one was forgotten. All, the first time. */
  changes(): [sender: string, nonce: string][] {
    const changed = this.#changed ?? new Set(this.#last.keys());
    this.#changed = new Set();
    return [...changed].map((sender) => {
      const nonce = this.#last.get(sender);
      return [sender, nonce === undefined ? '' : hex(nonce)];
    });
  }

  restore(entries: Iterable<readonly [sender: string, nonce: string]>): void {
    for (const [sender, nonce] of entries) this.fresh(sender, nonce);
  }
}

const hex = (nonce: bigint): string => nonce.toString(16).padStart(16, '0');
