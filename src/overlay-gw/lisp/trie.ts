/** A prefix: its bits from the top of the first word on, the rest zero. */
export type Bits = readonly number[];

/** Width of the keys of a trie: IPv4, MAC, IPv6. */
export type Width = 32 | 48 | 128;

const NONE = -1;
const START = 8;

/** The bit at a position, 0 or 1. */
const bitAt = (bits: Bits, at: number): number => (bits[at >>> 5]! >>> (31 - (at & 31))) & 1;

/** The first `length` bits. A plain array: a typed one costs a hundred bytes more, a million times. */
export function maskBits(bits: Bits, length: number): number[] {
  return bits.map((word, i) => {
    const kept = length - 32 * i;
    if (kept >= 32) return word;
    return kept <= 0 ? 0 : (word & (0xffff_ffff << (32 - kept))) >>> 0;
  });
}

/** A stored prefix with its value. */
export interface Match<V> {
  readonly bits: Bits;
  readonly length: number;
  readonly value: V;
}

/**
 * Prefixes and what belongs to them: a path-compressed binary trie in flat arrays, 21 bytes a node for IPv4 and 33 for IPv6, at most
 * two nodes a prefix; every operation takes as many steps as there are branches above the prefix.
 */
export class PrefixTrie<V> {
  readonly width: Width;
  readonly #words: number;
  #bits: Uint32Array;
  #length = new Uint8Array(START);
  #children = new Int32Array(2 * START).fill(NONE);
  #values: (V | undefined)[] = [undefined];
  /** Nodes that are no longer in use, linked by their first child. */
  #free = NONE;
  #used = 1;
  #size = 0;

  constructor(width: Width) {
    this.width = width;
    this.#words = Math.ceil(width / 32);
    this.#bits = new Uint32Array(START * this.#words);
  }

  /** Prefixes stored. */
  get size(): number {
    return this.#size;
  }

  /** Stores a value, or replaces that of the same prefix. Bits beyond the length are ignored. */
  set(given: Bits, length: number, value: V): void {
    const bits = maskBits(given, length);
    let at = 0;
    for (;;) {
      if (this.#length[at] === length) {
        if (this.#values[at] === undefined) this.#size++;
        this.#values[at] = value;
        return;
      }
      const side = bitAt(bits, this.#length[at]!);
      const child = this.#children[2 * at + side]!;
      if (child === NONE) {
        const leaf = this.#make(bits, length, value);
        this.#children[2 * at + side] = leaf;
        return;
      }
      const common = this.#common(child, bits, Math.min(length, this.#length[child]!));
      if (common === this.#length[child]) {
        at = child;
        continue;
      }
      // The child goes below a new node that both share.
      const above =
        common === length ? this.#make(bits, length, value) : this.#make(maskBits(bits, common), common, undefined);
      this.#children[2 * above + bitAt(this.#bitsOf(child), common)] = child;
      this.#children[2 * at + side] = above;
      if (common !== length) {
        const leaf = this.#make(bits, length, value);
        this.#children[2 * above + bitAt(bits, common)] = leaf;
      }
      return;
    }
  }

  /** The value of exactly this prefix. */
  get(bits: Bits, length: number): V | undefined {
    const path = this.#path(maskBits(bits, length), length);
    const last = path.at(-1)!;
    return this.#length[last] === length ? this.#values[last] : undefined;
  }

  /** Removes exactly this prefix. False when it is not there. */
  delete(bits: Bits, length: number): boolean {
    const path = this.#path(maskBits(bits, length), length);
    const last = path.at(-1)!;
    if (this.#length[last] !== length || this.#values[last] === undefined) return false;
    this.#values[last] = undefined;
    this.#size--;
    // A node without a value that holds nothing apart goes, and then perhaps the one above it.
    for (let i = path.length - 1; i > 0 && this.#splice(path[i]!, path[i - 1]!); i--);
    return true;
  }

  /** Stored prefixes that contain the address, the longest first. */
  *matches(address: Bits): Generator<Match<V>> {
    const path = this.#path(address, this.width);
    for (let i = path.length - 1; i >= 0; i--) {
      const at = path[i]!;
      const value = this.#values[at];
      if (value !== undefined) yield { bits: this.#bitsOf(at), length: this.#length[at]!, value };
    }
  }

  /**
   * Length of the largest block around the address that overlaps nothing stored; undefined when something stored contains it, which
   * then is the answer.
   */
  gap(address: Bits): number | undefined {
    const path = this.#path(address, this.width);
    for (const at of path) if (this.#values[at] !== undefined) return undefined;
    const last = path.at(-1)!;
    const child =
      this.#length[last] === this.width ? NONE : this.#children[2 * last + bitAt(address, this.#length[last]!)]!;
    if (child !== NONE) return this.#common(child, address, this.#length[child]!) + 1;
    return this.#size === 0 ? 0 : this.#length[last]! + 1;
  }

  /**
   * Stored prefixes within a prefix, itself among them, in order of their bits, shorter ones first; with `after` only those behind it,
   * found without a walk through those before.
   */
  *within(bits: Bits, length: number, after?: { readonly bits: Bits; readonly length: number }): Generator<Match<V>> {
    const masked = maskBits(bits, length);
    const path = this.#path(masked, length);
    let top = path.at(-1)!;
    if (this.#length[top]! < length) {
      const child = this.#children[2 * top + bitAt(masked, this.#length[top]!)]!;
      if (child === NONE || this.#common(child, masked, length) < length) return;
      top = child;
    }
    const stack = [top];
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      const value = this.#values[at];
      const place = after ? this.#place(at, after.bits, after.length) : 1;
      if (place < 0) continue;
      if (place > 0 && value !== undefined) yield { bits: this.#bitsOf(at), length: this.#length[at]!, value };
      for (const side of [1, 0]) {
        const child = this.#children[2 * at + side]!;
        if (child !== NONE) stack.push(child);
      }
    }
  }

  /** Where a node stands to a prefix: 0 when it contains it or is it, negative when all below it is before it, else positive. */
  #place(at: number, bits: Bits, length: number): number {
    const own = this.#length[at]!;
    const common = this.#common(at, bits, Math.min(own, length));
    if (common === Math.min(own, length)) return own <= length ? 0 : 1;
    return bitAt(bits, common) === 1 ? -1 : 1;
  }

  /** Nodes from the root on whose prefixes contain these bits, none longer than `length`. */
  #path(bits: Bits, length: number): number[] {
    const path = [0];
    for (let at = 0; this.#length[at]! < length; ) {
      const child = this.#children[2 * at + bitAt(bits, this.#length[at]!)]!;
      if (child === NONE) break;
      const needed = this.#length[child]!;
      if (needed > length || this.#common(child, bits, needed) < needed) break;
      path.push(child);
      at = child;
    }
    return path;
  }

  #bitsOf(at: number): number[] {
    return [...this.#bits.subarray(at * this.#words, (at + 1) * this.#words)];
  }

  /** How many leading bits a node has in common with these, `most` at most. */
  #common(at: number, bits: Bits, most: number): number {
    for (let word = 0; word < this.#words; word++) {
      const differ = this.#bits[at * this.#words + word]! ^ bits[word]!;
      if (differ !== 0) return Math.min(most, 32 * word + Math.clz32(differ));
    }
    return most;
  }

  #make(bits: Bits, length: number, value: V | undefined): number {
    let at = this.#free;
    if (at === NONE) {
      if (this.#used === this.#length.length) this.#grow();
      at = this.#used++;
    } else this.#free = this.#children[2 * at]!;
    this.#bits.set(bits, at * this.#words);
    this.#length[at] = length;
    this.#children[2 * at] = NONE;
    this.#children[2 * at + 1] = NONE;
    this.#values[at] = value;
    if (value !== undefined) this.#size++;
    return at;
  }

  #grow(): void {
    const grown = <T extends Uint32Array | Uint8Array | Int32Array>(made: T, old: T): T => {
      made.set(old as never);
      return made;
    };
    const room = 2 * this.#length.length;
    this.#bits = grown(new Uint32Array(room * this.#words), this.#bits);
    this.#children = grown(new Int32Array(2 * room).fill(NONE), this.#children);
    this.#length = grown(new Uint8Array(room), this.#length);
  }

  /** Takes a node out when it has no value and fewer than two children. */
  #splice(at: number, parent: number): boolean {
    const [left, right] = [this.#children[2 * at]!, this.#children[2 * at + 1]!];
    if (this.#values[at] !== undefined || (left !== NONE && right !== NONE)) return false;
    const side = this.#children[2 * parent] === at ? 0 : 1;
    this.#children[2 * parent + side] = left === NONE ? right : left;
    this.#children[2 * at] = this.#free;
    this.#free = at;
    return true;
  }
}
