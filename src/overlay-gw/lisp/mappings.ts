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
  /** Monotonic ms when it runs out; Infinity for what stands until it is taken back. */
  readonly expiresAt: number;
  /** Site whose key signed it. */
  readonly siteId?: string;
  /** Not from a router: counts instead of what routers register for the same prefix, for as long as it is there. */
  readonly pinned?: true;
}

/** A registered prefix. */
export interface Mapping {
  readonly prefix: EidPrefix;
  /** One, or several that are merged: those that count. In order of who registered first. */
  readonly registrations: readonly Registration[];
}

interface Entry {
  readonly prefix: EidPrefix;
  registrations: readonly Registration[];
}

/** Told of each prefix whose mapping changed; `after` is undefined when it is gone. */
export type MappingListener = (prefix: EidPrefix, after: Mapping | undefined) => void;

/** Told of each registration that came, changed or went. Renewals are not told. */
export interface RegistrationListener {
  put(prefix: EidPrefix, registration: Registration, before: Registration | undefined): void;
  /** `expired`: nobody took it back. */
  removed(prefix: EidPrefix, registration: Registration, expired: boolean): void;
}

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
  readonly #registrations: RegistrationListener | undefined;
  #swept: number;
  #size = 0;

  constructor(clock: Clock, listener: MappingListener = () => {}, registrations?: RegistrationListener) {
    this.#clock = clock;
    this.#registrations = registrations;
    this.#listener = listener;
    this.#swept = Math.floor(clock.monotonic() / SLOT_MS);
  }

  /** Prefixes registered. */
  get size(): number {
    return this.#size;
  }

  /** Registers, or renews. With `merge` others' registrations of the prefix stay; else those of routers are replaced. */
  register(prefix: EidPrefix, registration: Registration, merge: boolean): void {
    const trie = this.#trie(prefix.instanceId, prefix.family, true)!;
    let entry = trie.get(prefix.bits, prefix.length);
    if (!entry) {
      entry = { prefix, registrations: [] };
      trie.set(prefix.bits, prefix.length, entry);
      this.#size++;
    }
    const { by, pinned } = registration;
    const held = entry.registrations;
    const before = held.find((each) => each.by === by);
    const others = held.filter((each) => each !== before && (merge || pinned || each.pinned));
    const same = before !== undefined && sameRecord(before.record, registration.record);
    const renewed = same && held.length === others.length + 1;
    const locators = this.#shared(by, registration.record.locators);
    const kept = { ...registration, record: { ...registration.record, locators } };
    entry.registrations = [...others, kept];
    // What objects say is the same whatever order they came in, after a restart too.
    if (pinned) entry.registrations = entry.registrations.toSorted(byPinned);
    this.#due(entry, registration.expiresAt);
    if (this.#registrations) {
      for (const each of held) {
        if (each !== before && !others.includes(each)) this.#registrations.removed(prefix, each, false);
      }
      if (!same || before.siteId !== kept.siteId || before.proxyReply !== kept.proxyReply)
        this.#registrations.put(prefix, kept, before);
    }
    if (!renewed && (pinned || !others.some(isPinned))) this.#listener(prefix, this.#live(entry));
  }

  #due(entry: Entry, expiresAt: number): void {
    if (expiresAt === Number.POSITIVE_INFINITY) return;
    const slot = Math.ceil(expiresAt / SLOT_MS);
    const due = this.#slots.get(slot);
    if (due) due.push(entry);
    else this.#slots.set(slot, [entry]);
  }

  #shared(by: string, locators: readonly Locator[]): readonly Locator[] {
    const last = this.#locators.get(by);
    if (last && JSON.stringify(last) === JSON.stringify(locators)) return last;
    if (this.#locators.size >= REMEMBERED) this.#locators.clear();
    this.#locators.set(by, locators);
    return locators;
  }

  /** Takes back what somebody registered. False when there is nothing. */
  withdraw(prefix: EidPrefix, by: string): boolean {
    const trie = this.#trie(prefix.instanceId, prefix.family);
    const entry = trie?.get(prefix.bits, prefix.length);
    const gone = entry?.registrations.find((each) => each.by === by);
    if (!trie || !entry || !gone) return false;
    entry.registrations = entry.registrations.filter((each) => each !== gone);
    this.#registrations?.removed(prefix, gone, false);
    this.#settle(trie, entry, gone.pinned === true);
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

  /**
   * All registered prefixes with all their registrations, those that do not count too: by instance id, family, bits, the shorter first.
   * With `from` only those within it, with `after` only those behind it.
   */
  *all(from?: EidPrefix, after?: EidPrefix): Generator<Mapping> {
    const keys = [...this.#tries.keys()].map(readTrieKey).sort(byTrie);
    for (const { instanceId, family } of keys) {
      if (from && (from.instanceId !== instanceId || from.family !== family)) continue;
      const order = after ? byTrie({ instanceId, family }, after) : 1;
      if (order < 0) continue;
      const trie = this.#trie(instanceId, family)!;
      const within = from ?? { bits: new Array<number>(Math.ceil(trie.width / 32)).fill(0), length: 0 };
      for (const { value } of trie.within(within.bits, within.length, order === 0 ? after : undefined)) {
        const registrations = this.#unexpired(value);
        if (registrations.length > 0) yield { prefix: value.prefix, registrations };
      }
    }
  }

  /** Registered prefixes that contain a prefix and are longer than none of it, the shortest first; with all their registrations. */
  containing(prefix: EidPrefix): Mapping[] {
    const found: Mapping[] = [];
    for (const { value, length } of this.#trie(prefix.instanceId, prefix.family)?.matches(prefix.bits) ?? []) {
      const registrations = length < prefix.length ? this.#unexpired(value) : [];
      if (registrations.length > 0) found.unshift({ prefix: value.prefix, registrations });
    }
    return found;
  }

  /** Takes away what has run out. Call it now and then. */
  sweep(): void {
    const now = Math.floor(this.#clock.monotonic() / SLOT_MS);
    for (; this.#swept < now; this.#swept++) this.#expire(this.#swept + 1);
  }

  #expire(slot: number): void {
    const now = this.#clock.monotonic();
    for (const entry of this.#slots.get(slot) ?? []) {
      const gone = entry.registrations.filter(({ expiresAt }) => expiresAt <= now);
      if (gone.length === 0) continue;
      entry.registrations = entry.registrations.filter(({ expiresAt }) => expiresAt > now);
      for (const each of gone) this.#registrations?.removed(entry.prefix, each, true);
      const { instanceId, family } = entry.prefix;
      this.#settle(this.#trie(instanceId, family)!, entry, false);
    }
    this.#slots.delete(slot);
  }

  /** Something of the entry is gone. */
  #settle(trie: PrefixTrie<Entry>, entry: Entry, pinned: boolean): void {
    const { prefix, registrations } = entry;
    if (registrations.length === 0 && trie.get(prefix.bits, prefix.length) === entry) {
      trie.delete(prefix.bits, prefix.length);
      this.#size--;
      if (trie.size === 0) this.#tries.delete(`${prefix.instanceId}/${prefix.family}`);
    }
    if (pinned || !registrations.some(isPinned)) this.#listener(prefix, this.#live(entry));
  }

  #unexpired({ registrations }: Entry): readonly Registration[] {
    const now = this.#clock.monotonic();
    return registrations.every(({ expiresAt }) => expiresAt > now)
      ? registrations
      : registrations.filter(({ expiresAt }) => expiresAt > now);
  }

  #live(entry: Entry): Mapping | undefined {
    const registrations = counting(this.#unexpired(entry));
    return registrations.length === 0 ? undefined : { prefix: entry.prefix, registrations };
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

const isPinned = ({ pinned }: Registration): boolean => pinned === true;

const byPinned = (a: Registration, b: Registration): number =>
  isPinned(a) && isPinned(b) ? (a.by < b.by ? -1 : 1) : Number(isPinned(b)) - Number(isPinned(a));

/** The registrations of a prefix that count. */
export const counting = (registrations: readonly Registration[]): readonly Registration[] =>
  registrations.some(isPinned) ? registrations.filter(isPinned) : registrations;

interface TrieKey {
  readonly instanceId: number;
  readonly family: EidFamily;
}
const readTrieKey = (key: string): TrieKey => {
  const [instanceId, family] = key.split('/');
  return { instanceId: Number(instanceId), family: family as EidFamily };
};
const byTrie = (a: TrieKey, b: TrieKey): number =>
  a.instanceId - b.instanceId || (a.family < b.family ? -1 : a.family > b.family ? 1 : 0);

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
