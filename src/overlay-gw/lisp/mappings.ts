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
  registrations: readonly Registration[];
}

/** Told of each prefix whose mapping changed; `after` is undefined when it is gone. */
export type MappingListener = (prefix: EidPrefix, after: Mapping | undefined) => void;

/** Width of the slots by which registrations run out, ms. */
const SLOT_MS = 1_000;
/** Routers whose locators are remembered, so that equal ones are kept once. */
const REMEMBERED = 10_000;

/** Mappings by virtual network, EID family and prefix. What has run out is never answered, whenever it is taken away. */
export class Mappings {
  readonly #clock: Clock;
  readonly #tries = new Map<string, PrefixTrie<Entry>>();
  /** Entries that may have something that runs out in a slot; once for each time that they were renewed. */
  readonly #slots = new Map<number, Entry[]>();
  /** Locators that somebody registered last: most of what one router registers has the same, which then are kept once. */
  readonly #locators = new Map<string, readonly Locator[]>();
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
      entry = { prefix, registrations: [] };
      trie.set(prefix.bits, prefix.length, entry);
      this.#size++;
    }
    const { by } = registration;
    const before = entry.registrations.find((each) => each.by === by);
    const others = merge ? entry.registrations.filter((each) => each !== before) : [];
    const renewed =
      before !== undefined &&
      entry.registrations.length === others.length + 1 &&
      sameRecord(before.record, registration.record);
    const locators = this.#shared(by, registration.record.locators);
    entry.registrations = [...others, { ...registration, record: { ...registration.record, locators } }];
    const slot = Math.ceil(registration.expiresAt / SLOT_MS);
    const due = this.#slots.get(slot);
    if (due) due.push(entry);
    else this.#slots.set(slot, [entry]);
    if (!renewed) this.#listener(prefix, this.#live(entry));
  }

  #shared(by: string, locators: readonly Locator[]): readonly Locator[] {
    const last = this.#locators.get(by);
    if (last && JSON.stringify(last) === JSON.stringify(locators)) return last;
    if (this.#locators.size >= REMEMBERED) this.#locators.clear();
    this.#locators.set(by, locators);
    return locators;
  }

  /** Takes back what one xTR registered. False when it did not. */
  withdraw(prefix: EidPrefix, by: string): boolean {
    const trie = this.#trie(prefix.instanceId, prefix.family);
    const entry = trie?.get(prefix.bits, prefix.length);
    if (!trie || !entry?.registrations.some((each) => each.by === by)) return false;
    entry.registrations = entry.registrations.filter((each) => each.by !== by);
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

  /** All registered prefixes. */
  *all(): Generator<Mapping> {
    for (const trie of this.#tries.values()) {
      for (const { value } of trie.within(new Array(Math.ceil(trie.width / 32)).fill(0), 0)) {
        const mapping = this.#live(value);
        if (mapping) yield mapping;
      }
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
      const live = entry.registrations.filter(({ expiresAt }) => expiresAt > now);
      if (live.length === entry.registrations.length) continue;
      entry.registrations = live;
      const { instanceId, family } = entry.prefix;
      this.#settle(this.#trie(instanceId, family)!, entry);
    }
    this.#slots.delete(slot);
  }

  /** Something of the entry is gone. */
  #settle(trie: PrefixTrie<Entry>, entry: Entry): void {
    const { prefix, registrations } = entry;
    if (registrations.length === 0 && trie.get(prefix.bits, prefix.length) === entry) {
      trie.delete(prefix.bits, prefix.length);
      this.#size--;
      if (trie.size === 0) this.#tries.delete(`${prefix.instanceId}/${prefix.family}`);
    }
    this.#listener(prefix, this.#live(entry));
  }

  #live({ prefix, registrations }: Entry): Mapping | undefined {
    const now = this.#clock.monotonic();
    const live = registrations.filter(({ expiresAt }) => expiresAt > now);
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
