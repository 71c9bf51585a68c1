/** Senders whose last nonce is remembered. */
const MOST = 100_000;

/** The last nonce of each sender: one that is not larger was heard before, or is an older message that somebody kept. */
export class NonceGuard {
  readonly #last = new Map<string, bigint>();

  /** True, and remembered, when the nonce (16 hex digits) is larger than the sender's last. The sender heard least recently is forgotten. */
  fresh(sender: string, nonce: string): boolean {
    const value = BigInt(`0x${nonce}`);
    const last = this.#last.get(sender);
    if (last !== undefined && value <= last) return false;
    this.#last.delete(sender);
    if (this.#last.size >= MOST) this.#last.delete(this.#last.keys().next().value!);
    this.#last.set(sender, value);
    return true;
  }

  /** Senders with their last nonces, for `restore`. */
  snapshot(): [sender: string, nonce: string][] {
    return [...this.#last].map(([sender, nonce]) => [sender, nonce.toString(16).padStart(16, '0')]);
  }

  restore(entries: Iterable<readonly [sender: string, nonce: string]>): void {
    for (const [sender, nonce] of entries) this.fresh(sender, nonce);
  }
}
