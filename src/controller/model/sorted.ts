/** Values kept in order by a key; each key once. Insertion and removal cost a search and a memory move. */
export class SortedList<T> {
  readonly #items: T[] = [];
  readonly #compare: (a: T, b: T) => number;

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#items.length;
  }

  /** Adds the value, or replaces the one that compares equal. */
  add(value: T): void {
    const at = this.#position(value);
    const there = this.#items[at];
    this.#items.splice(at, there !== undefined && this.#compare(there, value) === 0 ? 1 : 0, value);
  }

  remove(value: T): void {
    const at = this.#position(value);
    const there = this.#items[at];
    if (there !== undefined && this.#compare(there, value) === 0) this.#items.splice(at, 1);
  }

  /** Values from the first that is not below this one. */
  *from(value: T): Generator<T> {
    for (let at = this.#position(value); at < this.#items.length; at++) yield this.#items[at]!;
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.#items[Symbol.iterator]();
  }

  #position(value: T): number {
    let low = 0;
    let high = this.#items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compare(this.#items[middle]!, value) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Order of ids and keys, which are ASCII. */
export const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
