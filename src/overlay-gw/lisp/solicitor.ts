import type { Clock } from '../../controller/kernel/index.ts';
import type { Address } from './address.ts';
import { addressOf, type EidPrefix, eidText } from './eid.ts';
import { encodeLisp } from './message.ts';
import { PrefixIndex } from './prefix-index.ts';
import type { Endpoint, Repeater } from './repeater.ts';
import { maskBits } from './trie.ts';

/** Who asked for a mapping, and so keeps it. */
interface Requester {
  readonly prefix: EidPrefix;
  readonly name: string;
  readonly to: Endpoint;
  readonly from: string;
  readonly source: Address;
  readonly until: number;
}

/** Requesters that are remembered, and for how long at most. */
const MOST = 50_000;
const REMEMBER_MS = 24 * 3_600_000;

/** Solicits Map-Requests (RFC 9301 §6.1) from those who asked for a mapping that has changed since. */
export class Solicitor {
  /** Solicitations sent, without repetitions. */
  sent = 0;
  readonly #clock: Clock;
  readonly #repeater: Repeater;
  readonly #requesters = new PrefixIndex<Requester>();
  /** In order of who asked, longest ago first. */
  readonly #order = new Map<string, Requester>();
  /** Solicitations that wait for a question, by who is solicited. */
  readonly #open = new Map<string, Map<string, EidPrefix>>();

  constructor(clock: Clock, repeater: Repeater) {
    this.#clock = clock;
    this.#repeater = repeater;
  }

  /** Requesters that are remembered. */
  get size(): number {
    return this.#order.size;
  }

  /** Somebody was told the mapping of a prefix, to be kept for `ttlMs`. Whatever it was solicited for is answered by that. */
  told(prefix: EidPrefix, to: Endpoint, from: string, source: Address, ttlMs: number): void {
    for (const [name, changed] of this.#open.get(to.address) ?? []) {
      if (!overlap(changed, prefix)) continue;
      this.#repeater.stop(name);
      this.#closed(to.address, name);
    }
    const name = `${to.address} ${eidText(prefix)}`;
    const until = this.#clock.monotonic() + Math.min(ttlMs, REMEMBER_MS);
    const requester = { prefix, name, to, from, source, until };
    this.#order.delete(name);
    if (this.#order.size >= MOST) this.#forget(this.#order.values().next().value!);
    this.#order.set(name, requester);
    this.#requesters.set(prefix, name, requester);
  }

  #forget({ prefix, name }: Requester): void {
    this.#order.delete(name);
    this.#requesters.delete(prefix, name);
  }

  /** The mapping of a prefix changed: whoever keeps one that overlaps is asked to ask again. */
  changed(prefix: EidPrefix, nonce: () => string): void {
    const now = this.#clock.monotonic();
    const eid = addressOf(prefix);
    for (const requester of this.#requesters.overlapping(prefix)) {
      this.#forget(requester);
      if (requester.until <= now) continue;
      const { to, from, source } = requester;
      const bytes = encodeLisp({
        type: 'mapRequest',
        authoritative: false,
        mapDataPresent: false,
        probe: false,
        smr: true,
        pitr: false,
        smrInvoked: false,
        nonce: nonce(),
        reserved: 0,
        source,
        itrRlocs: [{ afi: from.includes(':') ? 'ipv6' : 'ipv4', address: from }],
        records: [{ reserved: 0, maskLength: prefix.length, eid }],
      });
      const name = `smr ${to.address} ${eidText(prefix)}`;
      const open = this.#open.get(to.address) ?? new Map<string, EidPrefix>();
      this.#open.set(to.address, open.set(name, prefix));
      this.sent++;
      this.#repeater.start(name, { bytes, to, from, ended: () => this.#closed(to.address, name) });
    }
  }

  #closed(address: string, name: string): void {
    const open = this.#open.get(address);
    open?.delete(name);
    if (open?.size === 0) this.#open.delete(address);
  }
}

function overlap(a: EidPrefix, b: EidPrefix): boolean {
  const length = Math.min(a.length, b.length);
  const of = ({ instanceId, family, bits }: EidPrefix) => `${instanceId}/${family}/${maskBits(bits, length).join()}`;
  return of(a) === of(b);
}
