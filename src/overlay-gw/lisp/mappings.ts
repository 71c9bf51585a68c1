import type { Clock } from '../../controller/kernel/index.ts';
import { type EidFamily, type EidPrefix, eidText, widthOf } from './eid.ts';
import type { Locator, MappingRecord } from './records.ts';
import { maskBits, PrefixTrie } from './trie.ts';

/** What one xTR registered for a prefix. */
export interface Registration {
  /** Who: an xTR-ID, or the address it registers from. */
  readonly by: string;
  readonly record: MappingRecord;
  /** The Map-Server answers for the xTR. */
  readonly proxyReply: boolean;
  /** Monotonic ms when it runs out. */
  readonly expiresAt: number;
}

/** A registered prefix. */
export interface Mapping {
  readonly prefix: EidPrefix;
  /** One, or several that are merged. In order of who registered first. */
  readonly registrations: readonly Registration[];
}

interface Entry {
  readonly prefix: EidPrefix;
  readonly registrations: Map<string, Registration>;
}

/** Told of each prefix whose mapping changed; `after` is undefined when it is gone. */
export type MappingListener = (prefix: EidPrefix, after: Mapping | undefined) => void;

/** Width of the slots by which registrations run out, ms. */
const SLOT_MS = 1_000;

/** Mappings by virtual network, EID family and prefix. What has run out is never answered, whenever it is taken away. */
export class Mappings {
  readonly #clock: Clock;
  readonly #tries = new Map<string, PrefixTrie<Entry>>();
  /** Entries that may have something that runs out in a slot. */
  readonly #slots = new Map<number, Set<Entry>>();
  readonly #listener: MappingListener;
  #swept: number;
  #size = 0;

  constructor(clock: Clock, listener: MappingListener = () => {}) {
    this.#clock = clock;
    this.#listener = listener;
    this.#swept = Math.floor(clock.monotonic() / SLOT_MS);
  }

  /** Prefixes registered. */
  get size(): number {
    return this.#size;
  }

  /** Registers, or renews. With `merge` others' registrations of the prefix stay; else they are replaced. */
  register(prefix: EidPrefix, registration: Registration, merge: boolean): void {
    const trie = this.#trie(prefix.instanceId, prefix.family, true)!;
    let entry = trie.get(prefix.bits, prefix.length);
    if (!entry) {
      entry = { prefix, registrations: new Map() };
      trie.set(prefix.bits, prefix.length, entry);
      this.#size++;
    }
    const before = entry.registrations.get(registration.by);
    const others = entry.registrations.size - (before ? 1 : 0);
    if (!merge && others > 0) entry.registrations.clear();
    entry.registrations.set(registration.by, registration);
    const slot = Math.ceil(registration.expiresAt / SLOT_MS);
    const due = this.#slots.get(slot) ?? new Set();
    this.#slots.set(slot, due.add(entry));
    const renewed = before !== undefined && (merge || others === 0) && sameRecord(before.record, registration.record);
    if (!renewed) this.#listener(prefix, this.#live(entry));
  }

  /** Takes back what one xTR registered. False when it did not. */
  withdraw(prefix: EidPrefix, by: string): boolean {
    const trie = this.#trie(prefix.instanceId, prefix.family);
    const entry = trie?.get(prefix.bits, prefix.length);
    if (!trie || !entry?.registrations.delete(by)) return false;
    this.#settle(trie, entry);
    return true;
  }

  /** The longest registered prefix that contains the EID. */
  lookup(eid: EidPrefix): Mapping | undefined {
    for (const { value, length } of this.#trie(eid.instanceId, eid.family)?.matches(eid.bits) ?? []) {
      // A question about a prefix is not answered with a part of it.
      if (length > eid.length) continue;
      const mapping = this.#live(value);
      if (mapping) return mapping;
    }
    return undefined;
  }

  /** The largest prefix around an EID that overlaps nothing registered, nor any of the blocks given. */
  gap(eid: EidPrefix, blocks?: PrefixTrie<unknown>): EidPrefix {
    this.sweep();
    const length = this.#trie(eid.instanceId, eid.family)?.gap(eid.bits) ?? 0;
    const longest = Math.max(length, blocks?.gap(eid.bits) ?? 0);
    return { ...eid, bits: maskBits(eid.bits, longest), length: longest };
  }

  /** Registered prefixes within a prefix. */
  *within(prefix: EidPrefix): Generator<Mapping> {
    for (const { value } of this.#trie(prefix.instanceId, prefix.family)?.within(prefix.bits, prefix.length) ?? []) {
      const mapping = this.#live(value);
      if (mapping) yield mapping;
    }
  }

  /** Takes away what has run out. Call it now and then. */
  sweep(): void {
    const now = Math.floor(this.#clock.monotonic() / SLOT_MS);
    for (; this.#swept < now; this.#swept++) this.#expire(this.#swept + 1);
  }

  #expire(slot: number): void {
    const now = this.#clock.monotonic();
    for (const entry of this.#slots.get(slot) ?? []) {
      let gone = false;
      for (const [by, { expiresAt }] of entry.registrations) {
        if (expiresAt <= now) gone = entry.registrations.delete(by) || gone;
      }
      const { instanceId, family } = entry.prefix;
      if (gone) this.#settle(this.#trie(instanceId, family)!, entry);
    }
    this.#slots.delete(slot);
  }

  /** Something of the entry is gone. */
  #settle(trie: PrefixTrie<Entry>, entry: Entry): void {
    const { prefix, registrations } = entry;
    if (registrations.size === 0 && trie.get(prefix.bits, prefix.length) === entry) {
      trie.delete(prefix.bits, prefix.length);
      this.#size--;
      if (trie.size === 0) this.#tries.delete(`${prefix.instanceId}/${prefix.family}`);
    }
    this.#listener(prefix, this.#live(entry));
  }

  #live({ prefix, registrations }: Entry): Mapping | undefined {
    const now = this.#clock.monotonic();
    const live = [...registrations.values()].filter(({ expiresAt }) => expiresAt > now);
    return live.length === 0 ? undefined : { prefix, registrations: live };
  }

  #trie(instanceId: number, family: EidFamily, make = false): PrefixTrie<Entry> | undefined {
    const key = `${instanceId}/${family}`;
    let trie = this.#tries.get(key);
    if (!trie && make) {
      trie = new PrefixTrie(widthOf[family]);
      this.#tries.set(key, trie);
    }
    return trie;
  }
}

const sameRecord = (a: MappingRecord, b: MappingRecord): boolean => JSON.stringify(a) === JSON.stringify(b);

const locatorKey = ({ rloc }: Locator): string => JSON.stringify(rloc);

/** One record for a prefix: the newest, with the locators of all who registered, each once. */
export function mergedRecord({ registrations }: Mapping): MappingRecord {
  const newest = registrations.at(-1)!.record;
  if (registrations.length === 1) return newest;
  const locators = new Map(
    registrations.flatMap(({ record }) => record.locators.map((each) => [locatorKey(each), each])),
  );
  return { ...newest, locators: [...locators.values()].sort((a, b) => (locatorKey(a) < locatorKey(b) ? -1 : 1)) };
}

/** For logs and lists. */
export const mappingText = ({ prefix }: Mapping): string => eidText(prefix);
