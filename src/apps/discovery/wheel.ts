/** What a wheel keeps of an item; the item's owner only hands it in. */
export interface Scheduled {
  /** Slot that the item waits in, −1 when in none. Only the wheel writes it. */
  slot: number;
}

/**
 * Items that fall due, in slots of one tick each: adding, moving and taking off cost the same however many there are. Time is
 * counted in ticks by the caller.
 */
export class Wheel<T extends Scheduled> {
  readonly #slots: Set<T>[];
  /** Tick that was done last. */
  #now: number;
  /** Its slot is not empty yet. */
  #begun = false;

  /** `span`: the longest delay, in ticks. */
  constructor(span: number, now: number) {
    this.#slots = Array.from({ length: span + 2 }, () => new Set<T>());
    this.#now = now;
  }

  /** Lets the item fall due `delay` ticks from the last one done (at least one, at most the span), and at no other time. */
  schedule(item: T, delay: number): void {
    this.cancel(item);
    const ticks = Math.min(Math.max(1, Math.round(delay)), this.#slots.length - 1);
    item.slot = (this.#now + ticks) % this.#slots.length;
    this.#slots[item.slot]!.add(item);
  }

  cancel(item: T): void {
    if (item.slot < 0) return;
    this.#slots[item.slot]!.delete(item);
    item.slot = -1;
  }

  /**
   * Hands out what has fallen due by tick `now`, at most `limit` items. Items handed out are off the wheel. True when some are
   * left: they come first with the next call.
   */
  advance(now: number, limit: number, due: (item: T) => void): boolean {
    let left = limit;
    // After a pause longer than a round every slot has been due once.
    if (now - this.#now > this.#slots.length) this.#now = now - this.#slots.length;
    while (this.#begun || this.#now < now) {
      if (!this.#begun) this.#now++;
      this.#begun = true;
      const slot = this.#slots[this.#now % this.#slots.length]!;
      // What `due` schedules lands in later slots, and what it takes off is not visited any more.
      for (const item of slot) {
        if (left-- === 0) return true;
        this.cancel(item);
        due(item);
      }
      this.#begun = false;
    }
    return false;
  }
}
