import type { Clock } from '../../controller/kernel/index.ts';
import type { Address } from './address.ts';
import { signLisp } from './auth.ts';
import { addressOf, type EidPrefix, eidPrefix, eidText } from './eid.ts';
import { type Mapping, type Mappings, mergedRecord } from './mappings.ts';
import type { XtrIdentity } from './message.ts';
import { PrefixIndex } from './prefix-index.ts';
import { MapAction, type MappingRecord } from './records.ts';
import { ackName, type Endpoint, type Repeater } from './repeater.ts';
import { NonceGuard } from './replay.ts';

/** What an xTR and we share: the key by which its last registration was authentic. */
export interface Association {
  readonly siteId: string;
  readonly key: string;
  readonly keyId: number;
}

/** A question that asks to be told of changes. */
export interface SubscribeRequest {
  readonly identity: XtrIdentity;
  readonly nonce: string;
  readonly prefix: EidPrefix;
  /** Where publications go; undefined takes the subscription back. */
  readonly to: Endpoint | undefined;
  /** Address of ours they come from. */
  readonly from: string | undefined;
}

interface Subscription {
  readonly identity: XtrIdentity;
  readonly prefix: EidPrefix;
  readonly association: Association;
  readonly to: Endpoint;
  readonly from: string | undefined;
  readonly expiresAt: number;
  nonce: bigint;
  /** Publications that are not acknowledged, by the prefix they are about. */
  readonly waiting: Map<string, string>;
}

/** A subscription as others may see it. */
export interface SubscriptionFacts {
  readonly xtrId: string;
  readonly prefix: EidPrefix;
  /** Site whose key signs what is published. */
  readonly siteId: string;
  readonly to: Endpoint;
  /** Monotonic ms when it ends unless it is renewed. */
  readonly expiresAt: number;
  /** Publications that are not acknowledged yet. */
  readonly unacknowledged: number;
}

/** What is counted of subscriptions. */
export interface PublisherCounters {
  subscribes: number;
  unsubscribes: number;
  /** Not taken: no security association, another's virtual network, too many, a nonce heard before. */
  subscribesRefused: number;
  publications: number;
  /** Subscriptions that ended because nobody acknowledged, or that ran out. */
  subscriptionsLost: number;
}

/** Subscriptions in all, and of one xTR. */
const MOST = 100_000;
const MOST_OF_ONE = 10_000;
/** A subscription that is not renewed ends. */
const LIFETIME_MS = 24 * 3_600_000;
/** Records of one notification, so that it fits a datagram of usual size; and more specific prefixes told at the start. */
const RECORDS = 20;
const SPECIFICS = 1_000;
const LAST_NONCE = (1n << 64n) - 1n;

/** Tells subscribers of changed mappings (RFC 9437). */
export class Publisher {
  readonly #clock: Clock;
  readonly #mappings: Mappings;
  readonly #repeater: Repeater;
  readonly #counters: PublisherCounters;
  readonly #subscriptions = new PrefixIndex<Subscription>();
  readonly #ofXtr = new Map<string, Set<Subscription>>();
  readonly #nonces = new NonceGuard();

  constructor(clock: Clock, mappings: Mappings, repeater: Repeater, counters: PublisherCounters) {
    this.#clock = clock;
    this.#mappings = mappings;
    this.#repeater = repeater;
    this.#counters = counters;
  }

  /** Subscriptions that are held. */
  get size(): number {
    return this.#subscriptions.size;
  }

  /** All subscriptions, in no order. */
  *all(): Generator<SubscriptionFacts> {
    for (const held of this.#ofXtr.values()) {
      for (const { identity, prefix, association, to, expiresAt, waiting } of held) {
        const { xtrId } = identity;
        yield { xtrId, prefix, siteId: association.siteId, to, expiresAt, unacknowledged: waiting.size };
      }
    }
  }

  /**
   * Takes a subscription, renews it or takes it back, and says so to the subscriber by a Map-Notify with the nonce of the question.
   * `none` is what is told when nothing is registered. False when the subscription is not taken.
   */
  subscribe(request: SubscribeRequest, association: Association, none: () => MappingRecord): boolean {
    const { identity, prefix, nonce, to, from } = request;
    const { xtrId } = identity;
    const held = this.#subscriptions.get(prefix, xtrId);
    const ofXtr = this.#ofXtr.get(xtrId);
    const full = !held && to && (this.size >= MOST || (ofXtr?.size ?? 0) >= MOST_OF_ONE);
    if (full || !(to ?? held) || !this.#nonces.fresh(`${xtrId} ${eidText(prefix)}`, nonce)) {
      this.#counters.subscribesRefused++;
      return false;
    }
    if (held) this.#end(held);
    const subscription: Subscription = {
      identity,
      prefix,
      association,
      to: to ?? held!.to,
      from,
      expiresAt: this.#clock.monotonic() + LIFETIME_MS,
      nonce: BigInt(`0x${nonce}`) - 1n,
      waiting: new Map(),
    };
    const found = this.#mappings.lookup(prefix);
    const records = [found ? mergedRecord(found) : none()];
    if (!to) {
      this.#counters.unsubscribes++;
      this.#tell(subscription, records);
      return true;
    }
    this.#counters.subscribes++;
    this.#subscriptions.set(prefix, xtrId, subscription);
    this.#ofXtr.set(xtrId, (ofXtr ?? new Set()).add(subscription));
    for (const mapping of this.#mappings.within(prefix)) {
      if (records.length > SPECIFICS) break;
      if (mapping.prefix.length > prefix.length) records.push(mergedRecord(mapping));
    }
    for (let at = 0; at < records.length; at += RECORDS) this.#tell(subscription, records.slice(at, at + RECORDS));
    return true;
  }

  /** The mapping of a prefix changed; `after` is undefined when it is gone. */
  changed(prefix: EidPrefix, after: Mapping | undefined): void {
    const now = this.#clock.monotonic();
    for (const subscription of this.#subscriptions.overlapping(prefix)) {
      if (subscription.expiresAt <= now) {
        this.#lose(subscription);
        continue;
      }
      const records = this.#newsFor(subscription, prefix, after);
      if (records.length === 0) continue;
      this.#counters.publications++;
      this.#tell(subscription, records);
    }
  }

  #newsFor(subscription: Subscription, prefix: EidPrefix, after: Mapping | undefined): MappingRecord[] {
    const own = after ? mergedRecord(after) : withdrawn(prefix);
    if (prefix.length >= subscription.prefix.length) return [own];
    const best = this.#mappings.lookup(subscription.prefix);
    // Something more specific answers the subscriber: the change does not concern it.
    if (best && best.prefix.length > prefix.length) return [];
    return after || !best ? [own] : [own, mergedRecord(best)];
  }

  #tell(subscription: Subscription, records: readonly MappingRecord[]): void {
    const { identity, association, to, from, waiting } = subscription;
    if (subscription.nonce >= LAST_NONCE) {
      this.#lose(subscription);
      return;
    }
    const nonce = (++subscription.nonce).toString(16).padStart(16, '0');
    this.#nonces.fresh(`${identity.xtrId} ${eidText(subscription.prefix)}`, nonce);
    const auth = { keyId: association.keyId, data: Buffer.alloc(0) };
    const notify = { type: 'mapNotify', rtr: false, nonce, reserved: 0, auth, records, identity } as const;
    const about = aboutOf(records[0]!.eid, records[0]!.maskLength);
    const earlier = waiting.get(about);
    // What is newer makes what was not acknowledged yet pointless.
    if (earlier !== undefined) this.#repeater.stop(earlier);
    const name = ackName(notify, to);
    waiting.set(about, name);
    this.#repeater.start(name, {
      bytes: signLisp(notify, association.keyId, association.key),
      to,
      from,
      key: association.key,
      ended: (answered) => {
        if (waiting.get(about) === name) waiting.delete(about);
        if (!answered) this.#lose(subscription);
      },
    });
  }

  #lose(subscription: Subscription): void {
    if (this.#end(subscription)) this.#counters.subscriptionsLost++;
  }

  #end(subscription: Subscription): boolean {
    for (const name of subscription.waiting.values()) this.#repeater.stop(name);
    subscription.waiting.clear();
    const { prefix, identity } = subscription;
    if (this.#subscriptions.get(prefix, identity.xtrId) !== subscription) return false;
    this.#subscriptions.delete(prefix, identity.xtrId);
    const ofXtr = this.#ofXtr.get(identity.xtrId);
    ofXtr?.delete(subscription);
    if (ofXtr?.size === 0) this.#ofXtr.delete(identity.xtrId);
    return true;
  }

  /** Ends the subscriptions of an xTR: what it shared with us is no more. */
  forget(xtrId: string): void {
    for (const subscription of [...(this.#ofXtr.get(xtrId) ?? [])]) this.#lose(subscription);
  }

  /** Takes away what has run out. Call it now and then. */
  sweep(): void {
    const now = this.#clock.monotonic();
    for (const held of this.#ofXtr.values()) {
      for (const subscription of held) if (subscription.expiresAt <= now) this.#lose(subscription);
    }
  }
}

const aboutOf = (eid: Address, length: number): string => {
  const prefix = eidPrefix(eid, length);
  return prefix ? eidText(prefix) : '';
};

/** That a prefix has no mapping any more. */
const withdrawn = (prefix: EidPrefix): MappingRecord => ({
  ttl: 0,
  maskLength: prefix.length,
  action: MapAction.nativelyForward,
  authoritative: true,
  reserved: 0,
  reserved2: 0,
  version: 0,
  eid: addressOf(prefix),
  locators: [],
});
