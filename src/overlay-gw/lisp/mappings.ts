import type { Clock } from '../../controller/kernel/index.ts';
import type { Address } from './address.ts';
import { addressOf, type EidFamily, type EidPrefix, eidText, widthOf } from './eid.ts';
import type { Locator, MappingRecord } from './records.ts';
import { maskBits, PrefixTrie } from './trie.ts';

/** A record without the prefix that it is about. */
export type RecordBody = Omit<MappingRecord, 'eid' | 'maskLength'>;

/** What one xTR registered for a prefix. Small, since there are a million: what it has in common with others of its router is kept once. */
export interface Registration {
  /** Who: an xTR-ID, or the address it registers from. */
  readonly by: string;
  readonly body: RecordBody;
  /** The prefix's address as it was written, where that is another way than ours. */
  readonly eid?: Address;
  /** The Map-Server answers for the xTR. */
  readonly proxyReply: boolean;
  /** Monotonic ms when it runs out, whole; Infinity for what stands until it is taken back. */
  readonly expiresAt: number;
  /** Site whose key signed it. */
  readonly siteId?: string | undefined;
  /** Not from a router: counts instead of what routers register for the same prefix, for as long as it is there. */
  readonly pinned?: true | undefined;
}

/** What somebody registers. */
export interface Registering extends Omit<Registration, 'body' | 'eid'> {
  readonly record: MappingRecord;
}

/** A registered prefix. */
export interface Mapping {
  readonly prefix: EidPrefix;
  /** One, or several that are merged: those that count. In order of who registered first. */
  readonly registrations: readonly Registration[];
}

/** What all, or most, registrations of a router have in common. */
type Common = Omit<Registration, 'expiresAt' | 'eid'>;

/** A registration as it is kept: what it has in common with others of its router is there once. */
class Kept implements Registration {
  readonly common: Common;
  readonly expiresAt: number;
  readonly eid?: Address;

  constructor(common: Common, expiresAt: number, eid: Address | undefined) {
    this.common = common;
    this.expiresAt = expiresAt;
    // Hardly ever there, and a field costs eight bytes a million times.
    if (eid) this.eid = eid;
  }

  get by(): string {
    return this.common.by;
  }
  get body(): RecordBody {
    return this.common.body;
  }
  get proxyReply(): boolean {
    return this.common.proxyReply;
  }
  get siteId(): string | undefined {
    return this.common.siteId;
  }
  get pinned(): true | undefined {
    return this.common.pinned;
  }
}

class Entry {
  readonly prefix: EidPrefix;
  /** One, or several. */
  #kept: Kept | readonly Kept[] | undefined;

  constructor(prefix: EidPrefix) {
    this.prefix = prefix;
  }

  get registrations(): readonly Kept[] {
    const kept = this.#kept;
    return kept === undefined ? [] : kept instanceof Kept ? [kept] : kept;
  }

  set registrations(all: readonly Kept[]) {
    this.#kept = all.length > 1 ? all : all[0];
  }
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
/** Routers whose last record is remembered, so that equal ones are kept once. */
const REMEMBERED = 10_000;

/** Mappings by virtual network, EID family and prefix. What has run out is never answered, whenever it is taken away. */
export class Mappings {
  readonly #clock: Clock;
  readonly #tries = new Map<string, PrefixTrie<Entry>>();
  /** Entries that may have something that runs out in a slot; once for each time that they were renewed. */
  readonly #slots = new Map<number, Entry[]>();
  /** What somebody registered last: most of what one router registers is the same but for the prefix, and then kept once. */
  readonly #commons = new Map<string, Common>();
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
  register(prefix: EidPrefix, registering: Registering, merge: boolean): void {
    const trie = this.#trie(prefix.instanceId, prefix.family, true)!;
    let entry = trie.get(prefix.bits, prefix.length);
    if (!entry) {
      entry = new Entry(prefix);
      trie.set(prefix.bits, prefix.length, entry);
      this.#size++;
    }
    const { by, record, pinned } = registering;
    const eid = sameAddress(record.eid, prefix) ? undefined : record.eid;
    const kept = new Kept(this.#common(registering), Math.ceil(registering.expiresAt), eid);
    const held = entry.registrations;
    const before = held.find((each) => each.by === by);
    const others = held.filter((each) => each !== before && (merge || pinned || each.pinned));
    const same = before !== undefined && sameRegistration(before, kept);
    const renewed = same && held.length === others.length + 1;
    entry.registrations = [...others, kept];
    // What objects say is the same whatever order they came in, after a restart too.
    if (pinned) entry.registrations = entry.registrations.toSorted(byPinned);
    this.#due(entry, kept.expiresAt);
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

  #common({ by, record, proxyReply, siteId, pinned }: Registering): Common {
    const last = this.#commons.get(by);
    if (last && last.proxyReply === proxyReply && last.siteId === siteId && last.pinned === pinned) {
      if (sameBody(last.body, record)) return last;
    }
    const { eid: _eid, maskLength: _length, ...body } = record;
    const common = { by, body, proxyReply, siteId, pinned };
    if (this.#commons.size >= REMEMBERED) this.#commons.clear();
    this.#commons.set(by, common);
    return common;
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

const sameRegistration = (a: Registration, b: Registration): boolean =>
  sameBody(a.body, b.body) && sameWritten(a.eid, b.eid);

const sameBody = (a: RecordBody, b: RecordBody): boolean =>
  a === b ||
  (a.ttl === b.ttl &&
    a.action === b.action &&
    a.authoritative === b.authoritative &&
    a.reserved === b.reserved &&
    a.reserved2 === b.reserved2 &&
    a.version === b.version &&
    a.locators.length === b.locators.length &&
    a.locators.every((each, i) => sameLocator(each, b.locators[i]!)));

const sameLocator = (a: Locator, b: Locator): boolean =>
  a.priority === b.priority &&
  a.weight === b.weight &&
  a.multicastPriority === b.multicastPriority &&
  a.multicastWeight === b.multicastWeight &&
  a.reserved === b.reserved &&
  a.local === b.local &&
  a.probed === b.probed &&
  a.reachable === b.reachable &&
  sameWritten(a.rloc, b.rloc);

function sameWritten(a: Address | undefined, b: Address | undefined): boolean {
  if (a === b) return true;
  if (a?.afi === 'ipv4' && b?.afi === 'ipv4') return a.address === b.address;
  return JSON.stringify(a) === JSON.stringify(b);
}

/** True when we would write the prefix's address the same way. */
const sameAddress = (eid: Address, prefix: EidPrefix): boolean => sameWritten(eid, addressOf(prefix));

const locatorKey = ({ rloc }: Locator): string => JSON.stringify(rloc);

/** The record of a registration. */
export const recordFor = (prefix: EidPrefix, { body, eid }: Registration): MappingRecord => ({
  ...body,
  maskLength: prefix.length,
  eid: eid ?? addressOf(prefix),
});

/** One record for a prefix: the newest, with the locators of all who registered, each once. */
export function mergedRecord({ prefix, registrations }: Mapping): MappingRecord {
  const newest = recordFor(prefix, registrations.at(-1)!);
  if (registrations.length === 1) return newest;
  const locators = new Map(registrations.flatMap(({ body }) => body.locators.map((each) => [locatorKey(each), each])));
  return { ...newest, locators: [...locators.values()].sort((a, b) => (locatorKey(a) < locatorKey(b) ? -1 : 1)) };
}

/** For logs and lists. */
export const mappingText = ({ prefix }: Mapping): string => eidText(prefix);
