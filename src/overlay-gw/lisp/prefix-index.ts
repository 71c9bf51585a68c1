import { type EidPrefix, widthOf } from './eid.ts';
import { PrefixTrie } from './trie.ts';

/** Things by name under EID prefixes, found by any prefix that overlaps theirs. */
export class PrefixIndex<T> {
  readonly #tries = new Map<string, PrefixTrie<Map<string, T>>>();
  #size = 0;

  /** Things kept. */
  get size(): number {
    return this.#size;
  }

  set(prefix: EidPrefix, name: string, value: T): void {
    const key = `${prefix.instanceId}/${prefix.family}`;
    const trie = this.#tries.get(key) ?? new PrefixTrie<Map<string, T>>(widthOf[prefix.family]);
    this.#tries.set(key, trie);
    const named = trie.get(prefix.bits, prefix.length) ?? new Map<string, T>();
    if (named.size === 0) trie.set(prefix.bits, prefix.length, named);
    if (!named.has(name)) this.#size++;
    named.set(name, value);
  }

  get(prefix: EidPrefix, name: string): T | undefined {
    return this.#tries.get(`${prefix.instanceId}/${prefix.family}`)?.get(prefix.bits, prefix.length)?.get(name);
  }

  delete(prefix: EidPrefix, name: string): boolean {
    const key = `${prefix.instanceId}/${prefix.family}`;
    const trie = this.#tries.get(key);
    const named = trie?.get(prefix.bits, prefix.length);
    if (!trie || !named?.delete(name)) return false;
    this.#size--;
    if (named.size === 0) trie.delete(prefix.bits, prefix.length);
    if (trie.size === 0) this.#tries.delete(key);
    return true;
  }

  /** All things under prefixes that contain this one, are it, or lie within it. */
  overlapping({ instanceId, family, bits, length }: EidPrefix): T[] {
    const trie = this.#tries.get(`${instanceId}/${family}`);
    if (!trie) return [];
    const found: T[] = [];
    for (const match of trie.matches(bits)) if (match.length < length) found.push(...match.value.values());
    for (const { value } of trie.within(bits, length)) found.push(...value.values());
    return found;
  }
}
