import { randomBytes } from 'node:crypto';
import type { Clock, Logger } from '../../controller/kernel/index.ts';
import type { Address } from './address.ts';
import { isAuthentic, signLisp } from './auth.ts';
import { addressOf, type EidPrefix, eidPrefix } from './eid.ts';
import { encapsulate } from './encapsulate.ts';
import { LispError } from './errors.ts';
import { type Mapping, Mappings, mergedRecord, type RegistrationListener } from './mappings.ts';
import {
  CONTROL_PORT,
  decodeLisp,
  type Encapsulated,
  encodeLisp,
  type Info,
  type LispMessage,
  type MapNotify,
  type MapRegister,
  type MapReply,
  type MapRequest,
  type XtrIdentity,
} from './message.ts';
import { Pace, type Rate } from './pace.ts';
import { type Association, Publisher, type PublisherCounters, type SubscriptionFacts } from './publisher.ts';
import { MapAction, type MappingRecord } from './records.ts';
import { ackName, type Endpoint, Repeater, type RepeaterCounters, type SendDatagram } from './repeater.ts';
import { NonceGuard } from './replay.ts';
import { type LispSite, Sites } from './sites.ts';
import { readRegistration, type StoredRegistration, storedRegistrations } from './snapshot.ts';
import { Solicitor } from './solicitor.ts';

/** What is counted. */
export interface MappingCounters extends PublisherCounters, RepeaterCounters {
  registers: number;
  /** Refused without an answer: a signature of no key of the site. */
  badSignatures: number;
  /** Refused without an answer: EIDs of no site, or of several. */
  notOfSite: number;
  malformed: number;
  requests: number;
  replies: number;
  negativeReplies: number;
  forwarded: number;
  /** Questions that ask for nothing that can be looked up, or do not say whom to answer. */
  unanswered: number;
  notifies: number;
  infoRequests: number;
  /** Refused without an answer: Info-Requests of no site, or with a signature of none of its keys. */
  badInfos: number;
  /** Refused without an answer: registrations with a nonce that is not larger than the last. */
  replayed: number;
  /** Refused unread: datagrams of a source that sends too many. */
  sourceLimited: number;
  /** Refused without an answer: registrations of a site that sends too many. */
  siteLimited: number;
}

export interface MappingSystemOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Sends one datagram, from the address that was asked where there is one. */
  readonly send: SendDatagram;
  /** Datagrams that are taken of one source address. Default: all. */
  readonly sourceRate?: Rate;
  /** Solicit a Map-Request from whoever asked lately for a mapping that changes. Default: no. */
  readonly solicit?: boolean;
  /** UDP port that routers listen at. Default 4342. */
  readonly controlPort?: number;
  /** UDP port at which an address of ours is asked. Default 4342. */
  readonly portOf?: (address: string) => number;
  /** Re-encapsulating routers that routers behind a NAT may use. */
  readonly rtrs?: readonly Address[];
  /** Told of registrations that come, change and go. */
  readonly registrations?: RegistrationListener;
}

/** How long a registration lasts that says nothing else (RFC 9301 §8.2: it is repeated every minute, and three may be lost). */
const LIFETIME_MS = 180_000;
/** Minutes that a negative answer lasts: outside of all sites, and for a part of a site that nobody registered (RFC 9301 §8.2). */
const NEGATIVE_TTL = { noSite: 15, site: 1 } as const;
/** Routers whose security association is remembered. */
const ASSOCIATIONS = 100_000;
/** N of an EID record in a question: tell me of changes (RFC 9437 §4). */
const NOTIFICATION_REQUESTED = 0x80;
const SECONDS = 0x8000_0000;
/** Minutes that a router may rely on what an Info-Reply says. */
const INFO_TTL = 10;

/**
 * Map-Server and Map-Resolver (RFC 9301 §8): takes datagrams in, gives datagrams out, and keeps the mappings between. What is wrong costs
 * the datagram it is in; who signs with a wrong key hears nothing.
 */
export class MappingSystem {
  readonly mappings: Mappings;
  readonly counters: MappingCounters = {
    registers: 0,
    badSignatures: 0,
    notOfSite: 0,
    malformed: 0,
    requests: 0,
    replies: 0,
    negativeReplies: 0,
    forwarded: 0,
    unanswered: 0,
    notifies: 0,
    infoRequests: 0,
    badInfos: 0,
    badAcknowledgements: 0,
    notifyRetries: 0,
    replayed: 0,
    sourceLimited: 0,
    siteLimited: 0,
    notifyLost: 0,
    subscribes: 0,
    unsubscribes: 0,
    subscribesRefused: 0,
    publications: 0,
    subscriptionsLost: 0,
  };
  readonly #options: MappingSystemOptions;
  readonly #sites = new Sites();
  readonly #repeater: Repeater;
  readonly #nonces = new NonceGuard();
  readonly #publisher: Publisher;
  readonly #solicitor: Solicitor;
  /** By xTR-ID. */
  readonly #associations = new Map<string, Association>();
  readonly #sourcePace: Pace | undefined;
  readonly #stopSweep: () => void;

  constructor(options: MappingSystemOptions) {
    this.#options = options;
    this.mappings = new Mappings(
      options.clock,
      (prefix, after) => {
        this.#publisher.changed(prefix, after);
        if (options.solicit) this.#solicitor.changed(prefix, () => randomBytes(8).toString('hex'));
      },
      options.registrations,
    );
    this.#repeater = new Repeater(options.clock, options.send, this.counters);
    this.#publisher = new Publisher(options.clock, this.mappings, this.#repeater, this.counters);
    this.#solicitor = new Solicitor(options.clock, this.#repeater);
    this.#sourcePace = options.sourceRate && new Pace(options.sourceRate);
    this.#stopSweep = options.clock.every(1_000, () => {
      this.mappings.sweep();
      this.#publisher.sweep();
    });
  }

  /** Adds a site, or replaces the one of the same id; what was registered and is not its any more is withdrawn. */
  setSite(site: LispSite): void {
    const before = this.#sites.set(site);
    for (const [xtrId, { siteId, key }] of this.#associations) {
      if (siteId === site.id && !site.keys.includes(key)) this.#dissociate(xtrId);
    }
    if (before) this.#withdrawLost(before);
  }

  /** Removes a site, and what its routers registered. */
  removeSite(id: string): void {
    const before = this.#sites.delete(id);
    if (!before) return;
    for (const [xtrId, { siteId }] of this.#associations) if (siteId === id) this.#dissociate(xtrId);
    this.#withdrawLost(before);
  }

  /** Withdraws what was registered under a site as it was, and does not belong to it as it is. */
  #withdrawLost({ id, prefixes }: LispSite): void {
    for (const block of prefixes) {
      for (const { prefix, registrations } of [...this.mappings.all(block)]) {
        if (this.#sites.for(prefix)?.id === id) continue;
        for (const { siteId, by } of registrations) if (siteId === id) this.mappings.withdraw(prefix, by);
      }
    }
  }

  /** Says where a prefix is, whatever routers register for it, until `unpin`. `by` names whoever says so. */
  pin(prefix: EidPrefix, by: string, record: MappingRecord): void {
    const expiresAt = Number.POSITIVE_INFINITY;
    this.mappings.register(prefix, { by, record, proxyReply: true, expiresAt, pinned: true }, true);
  }

  /** Takes back what `pin` said. False when nothing was. */
  unpin(prefix: EidPrefix, by: string): boolean {
    return this.mappings.withdraw(prefix, by);
  }

  #dissociate(xtrId: string): void {
    this.#associations.delete(xtrId);
    this.#publisher.forget(xtrId);
  }

  /** Subscriptions that are held, requesters that are remembered for solicitation, and messages that wait for an answer. */
  get sizes(): {
    readonly subscriptions: number;
    readonly requesters: number;
    readonly unacknowledged: number;
    /** Solicitations sent, without repetitions. */
    readonly solicitations: number;
  } {
    return {
      subscriptions: this.#publisher.size,
      requesters: this.#solicitor.size,
      unacknowledged: this.#repeater.waiting,
      solicitations: this.#solicitor.sent,
    };
  }

  /** All subscriptions, in no order. */
  subscriptions(): Iterable<SubscriptionFacts> {
    return this.#publisher.all();
  }

  /** All registrations, for a store. What changes meanwhile may or may not be among them. */
  *snapshot(): Generator<StoredRegistration> {
    const epoch = this.#epoch;
    for (const mapping of this.mappings.all()) yield* storedRegistrations(mapping, epoch);
  }

  /**
   * Takes stored registrations in; answers how many had not run out and still belong to the site that they were made in. Throws LispError
   * for one that is damaged; those before it stay.
   */
  restore(stored: Iterable<StoredRegistration>): number {
    const epoch = this.#epoch;
    const now = this.#options.clock.monotonic();
    let count = 0;
    for (const each of stored) {
      const { prefix, registration } = readRegistration(each, epoch);
      const { siteId, expiresAt } = registration;
      if (expiresAt <= now || (siteId !== undefined && this.#sites.for(prefix)?.id !== siteId)) continue;
      this.mappings.register(prefix, registration, true);
      count++;
    }
    return count;
  }

  /** The last nonces of routers, for a store: without them what was heard before a restart may be heard again. */
  nonces(): [sender: string, nonce: string][] {
    return this.#nonces.snapshot();
  }

  /** Routers whose last nonce is another than the last time that this was asked, with an empty one when it was forgotten. */
  takeNonces(): [sender: string, nonce: string][] {
    return this.#nonces.changes();
  }

  /** Takes stored nonces in. */
  restoreNonces(stored: Iterable<readonly [sender: string, nonce: string]>): void {
    this.#nonces.restore(stored);
  }

  get #epoch(): number {
    return this.#options.clock.now() - this.#options.clock.monotonic();
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#stopSweep();
    this.#repeater.close();
  }

  /** One datagram; `to` is the address of ours that it was sent to. Never throws for what is in it. */
  receive(bytes: Buffer, from: Endpoint, to?: string): void {
    if (this.#sourcePace?.take(from.address, this.#options.clock.monotonic()) === false) {
      this.counters.sourceLimited++;
      return;
    }
    try {
      this.#handle(bytes, decodeLisp(bytes), from, to);
    } catch (error) {
      if (!(error instanceof LispError)) throw error;
      this.counters.malformed++;
      this.#options.log.debug({ from: from.address, reason: error.message }, 'LISP datagram refused');
    }
  }

  #handle(bytes: Buffer, message: LispMessage, from: Endpoint, to: string | undefined): void {
    switch (message.type) {
      case 'mapRegister':
        this.#register(bytes, message, from, to);
        return;
      case 'mapRequest':
        this.#request(message, from, to);
        return;
      case 'encapsulated':
        this.#encapsulated(message, to);
        return;
      case 'mapNotifyAck':
        this.#acknowledged(bytes, message, from);
        return;
      case 'infoRequest':
        this.#info(bytes, message, from, to);
        return;
      default:
        this.counters.malformed++;
    }
  }

  // --- Map-Server

  #register(bytes: Buffer, message: MapRegister, from: Endpoint, to: string | undefined): void {
    this.counters.registers++;
    const prefixes = message.records.map(({ eid, maskLength }) => eidPrefix(eid, maskLength));
    const site = this.#sites.forAll(prefixes);
    if (!site) {
      this.counters.notOfSite++;
      return;
    }
    const key = site.keys.find((each) => isAuthentic(bytes, message.auth, each));
    if (key === undefined) {
      this.counters.badSignatures++;
      return;
    }
    const by = message.identity?.xtrId ?? from.address;
    const now = this.#options.clock.monotonic();
    if (!this.#sites.take(site.id, now)) {
      this.counters.siteLimited++;
      return;
    }
    if (site.replayDefence && !this.#nonces.fresh(`${site.id} ${by}`, message.nonce)) {
      this.counters.replayed++;
      return;
    }
    const proxyReply = message.proxyReply || site.proxyReply === true;
    const merge = message.merge || site.merge === true;
    if (message.identity) this.#associate(message.identity.xtrId, { siteId: site.id, key, keyId: message.auth.keyId });
    message.records.forEach((record, i) => {
      const prefix = prefixes[i]!;
      if (record.ttl === 0) {
        this.mappings.withdraw(prefix, by);
        return;
      }
      const expiresAt = now + (message.useTtl ? ttlMs(record.ttl) : LIFETIME_MS);
      this.mappings.register(prefix, { by, record, proxyReply, expiresAt, siteId: site.id }, merge);
    });
    if (message.wantNotify) this.#notify(message, merge, key, from, to);
  }

  #associate(xtrId: string, association: Association): void {
    const held = this.#associations.get(xtrId);
    // An xTR-ID is its first site's: another tenant's key does not take it over, nor what it subscribed to.
    if (held && held.siteId !== association.siteId) return;
    if (!held && this.#associations.size >= ASSOCIATIONS) this.#dissociate(this.#associations.keys().next().value!);
    this.#associations.set(xtrId, association);
  }

  /** Tells whoever registered what is registered now, merged with that of others. */
  #notify(message: MapRegister, merge: boolean, key: string, from: Endpoint, to: string | undefined): void {
    const records = message.records.map((record): MappingRecord => {
      const mapping = this.mappings.lookup(eidPrefix(record.eid, record.maskLength)!);
      return mapping && merge ? { ...mergedRecord(mapping), eid: record.eid } : record;
    });
    const { nonce, identity, rtr } = message;
    const notify: MapNotify = {
      type: 'mapNotify',
      rtr,
      nonce,
      reserved: 0,
      auth: message.auth,
      records,
      ...(identity ? { identity } : {}),
    };
    const bytes = signLisp(notify, message.auth.keyId, key);
    this.counters.notifies++;
    this.#repeater.start(ackName(notify, from), { bytes, to: from, from: to, key });
  }

  /** Only whoever knows the key may say that it has heard. */
  #acknowledged(bytes: Buffer, message: MapNotify, from: Endpoint): void {
    this.#repeater.answered(ackName(message, from), bytes, message.auth);
  }

  /** Tells a router how it looks from here, which tells it that there is a NAT, and who can help. */
  #info(bytes: Buffer, message: Info, from: Endpoint, to: string | undefined): void {
    this.counters.infoRequests++;
    const prefix = eidPrefix(message.eid, message.maskLength);
    const key = (prefix && this.#sites.for(prefix))?.keys.find((each) => isAuthentic(bytes, message.auth, each));
    if (key === undefined) {
      this.counters.badInfos++;
      return;
    }
    const { keyId } = message.auth;
    const reply: Info = {
      ...message,
      type: 'infoReply',
      ttl: INFO_TTL,
      nat: {
        afi: 'lcaf',
        type: 'nat',
        reserved1: 0,
        flags: 0,
        reserved2: 0,
        msPort: (to === undefined ? undefined : this.#options.portOf?.(to)) ?? CONTROL_PORT,
        etrPort: from.port,
        globalEtr: ipAddress(from.address),
        mapServer: to === undefined ? { afi: 'none' } : ipAddress(to),
        privateEtr: { afi: 'none' },
        rtrs: this.#options.rtrs ?? [],
      },
    };
    this.#options.send(signLisp(reply, keyId, key), from, to);
  }

  // --- Map-Resolver

  #encapsulated(message: Encapsulated, to: string | undefined): void {
    const { message: inner, source, sourcePort } = message;
    if (inner.type !== 'mapRequest') {
      this.counters.malformed++;
      return;
    }
    // Answered as if it had come without its wrapping: to the port that the inner header names.
    this.#request(inner, { address: source, port: sourcePort }, to);
  }

  #request(message: MapRequest, from: Endpoint, to: string | undefined): void {
    this.counters.requests++;
    const [asked] = message.records;
    const eid = asked && eidPrefix(asked.eid, asked.maskLength);
    const answerTo = replyAddress(message.itrRlocs, from.address);
    if (asked && eid && message.identity && (asked.reserved & NOTIFICATION_REQUESTED) !== 0) {
      if (this.#subscribe(message, message.identity, eid, answerTo, to)) return;
    }
    if (!asked || !eid || answerTo === undefined) {
      this.counters.malformed++;
      this.counters.unanswered++;
      return;
    }
    const mapping = this.mappings.lookup(eid);
    if (mapping && !mapping.registrations.some(({ proxyReply }) => proxyReply)) {
      if (this.#forward(message, mapping, from)) return;
    }
    const record = mapping ? mergedRecord(mapping) : this.#negative(eid);
    const reply: MapReply = {
      type: 'mapReply',
      probe: message.probe,
      echoNonce: false,
      security: false,
      nonce: message.nonce,
      reserved: 0,
      records: [record],
    };
    if (mapping) this.counters.replies++;
    else this.counters.negativeReplies++;
    this.#options.send(encodeLisp(reply), { address: answerTo, port: from.port }, to);
    const told = this.#options.solicit && to !== undefined && eidPrefix(record.eid, record.maskLength);
    if (!told) return;
    const at = { address: answerTo, port: this.#controlPort };
    this.#solicitor.told(told, at, to, message.source, ttlMs(record.ttl));
  }

  get #controlPort(): number {
    return this.#options.controlPort ?? CONTROL_PORT;
  }

  /** False when the question is to be answered as any other. */
  #subscribe(
    { nonce, itrRlocs }: MapRequest,
    identity: XtrIdentity,
    prefix: EidPrefix,
    address: string | undefined,
    from: string | undefined,
  ): boolean {
    const association = this.#associations.get(identity.xtrId);
    const site = association && this.#sites.get(association.siteId);
    if (!association || !site?.prefixes.some(({ instanceId }) => instanceId === prefix.instanceId)) {
      this.counters.subscribesRefused++;
      return false;
    }
    // The only locator is none: the subscription is taken back.
    const ends = itrRlocs.length === 1 && itrRlocs[0]!.afi === 'none';
    if (address === undefined && !ends) return false;
    const to = address === undefined ? undefined : { address, port: this.#controlPort };
    return this.#publisher.subscribe({ identity, nonce, prefix, to, from }, association, () => this.#negative(prefix));
  }

  /** Hands the question to a router that registered the prefix. False when none of its locators can be reached. */
  #forward(message: MapRequest, mapping: Mapping, from: Endpoint): boolean {
    const locators = mergedRecord(mapping)
      .locators.filter(({ priority, reachable }) => priority < 255 && reachable)
      .sort((a, b) => a.priority - b.priority);
    const target = locators.map(({ rloc }) => rloc).find((rloc) => rloc.afi === 'ipv4' || rloc.afi === 'ipv6');
    if (!target || !('address' in target) || typeof target.address !== 'string') return false;
    this.counters.forwarded++;
    const inner = encodeLisp(message);
    const eid = message.records[0]!.eid;
    const bytes = encapsulate(inner, from, innerDestination(eid, target.address, from.address));
    this.#options.send(bytes, { address: target.address, port: this.#controlPort }, undefined);
    return true;
  }

  /** That nobody has registered the EID, for as large a prefix as that is true of. */
  #negative(eid: EidPrefix): MappingRecord {
    const sites = this.#sites.blocks(eid);
    const inSite = sites !== undefined && !sites.matches(eid.bits).next().done;
    const gap = this.mappings.gap(eid, inSite ? undefined : sites);
    return {
      ttl: inSite ? NEGATIVE_TTL.site : NEGATIVE_TTL.noSite,
      maskLength: gap.length,
      action: MapAction.nativelyForward,
      authoritative: true,
      reserved: 0,
      reserved2: 0,
      version: 0,
      eid: addressOf(gap),
      locators: [],
    };
  }
}

const ipAddress = (address: string): Address => ({ afi: address.includes(':') ? 'ipv6' : 'ipv4', address });

const ttlMs = (ttl: number): number => (ttl >= SECONDS ? (ttl - SECONDS) * 1_000 : ttl * 60_000);

/** The ITR's address of the family in which it reached us, else its first that is an IP address. */
function replyAddress(rlocs: readonly Address[], from: string): string | undefined {
  const addresses = rlocs.flatMap((rloc) => (rloc.afi === 'ipv4' || rloc.afi === 'ipv6' ? [rloc.address] : []));
  return addresses.find((address) => address.includes(':') === from.includes(':')) ?? addresses[0];
}

/** The inner header of a forwarded question goes to the EID, where that is of the same family as who asks. */
function innerDestination(eid: Address, rloc: string, from: string): string {
  const inner = eid.afi === 'lcaf' && eid.type === 'instanceId' ? eid.address : eid;
  const address = inner.afi === 'ipv4' || inner.afi === 'ipv6' ? inner.address : rloc;
  return address.includes(':') === from.includes(':') ? address : rloc;
}
