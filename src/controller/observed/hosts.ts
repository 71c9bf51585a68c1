import { type Dpid, InvariantError, type IpAddress, type Mac } from '../kernel/index.ts';
import type { KnownHost } from './hints.ts';
import type { Attachment, Host } from './types.ts';

/** Endpoint ids of learned hosts, per switch; ids below belong to declared ports. 17 bits, so that with the switch index they fit a cookie. */
export const LEARNED_ENDPOINTS = { first: 0x80_0000, last: 0x81_ffff } as const;

/** More addresses than any sane host has; the oldest goes first. Bounds what one noisy host can make us keep. */
const MAX_ADDRESSES = 32;

/** Everything but `lastSeen` stays for the life of the object; a change of those makes a new one. */
interface HostRecord extends Host {
  lastSeen: number;
}

interface Claim {
  readonly mac: number;
  seen: number;
}

/** How a call changed a host; `before` undefined: new, `after` undefined: gone. */
export interface HostChange {
  readonly before: Host | undefined;
  readonly after: Host | undefined;
}

/** A span of endpoint ids; `LEARNED_ENDPOINTS` outside tests. */
export interface EndpointRange {
  readonly first: number;
  readonly last: number;
}

/**
 * Ids in use on one switch, given out in a circle: an id comes back only after all the others have been used, so that rules
 * and frames that still name the old holder are long gone.
 */
class EndpointIds {
  readonly #range: EndpointRange;
  readonly #used = new Set<number>();
  #next: number;

  constructor(range: EndpointRange) {
    this.#range = range;
    this.#next = range.first;
  }

  take(): number | undefined {
    const { first, last } = this.#range;
    if (this.#used.size > last - first) return undefined;
    while (this.#used.has(this.#next)) this.#advance();
    const id = this.#next;
    this.#used.add(id);
    this.#advance();
    return id;
  }

  /** Takes a given id. False when it is out of range or in use. */
  claim(id: number): boolean {
    const { first, last } = this.#range;
    if (!Number.isInteger(id) || id < first || id > last || this.#used.has(id)) return false;
    this.#used.add(id);
    if (id >= this.#next) {
      this.#next = id;
      this.#advance();
    }
    return true;
  }

  give(id: number): void {
    this.#used.delete(id);
  }

  #advance(): void {
    this.#next = this.#next === this.#range.last ? this.#range.first : this.#next + 1;
  }
}

/** Hosts by (network, mac) and by attachment, with their addresses. Identity is never a MAC or an address alone. */
export class HostTable {
  readonly #range: EndpointRange;
  readonly #byNetwork = new Map<number, Map<number, HostRecord>>();
  readonly #byPort = new Map<Dpid, Map<number, Set<HostRecord>>>();
  /** Per network: who holds an address. IPv4 keys are numbers, IPv6 keys bigints: they cannot be equal. */
  readonly #claims = new Map<number, Map<number | bigint, Claim>>();
  readonly #endpoints = new Map<Dpid, EndpointIds>();
  #size = 0;

  constructor(range: EndpointRange = LEARNED_ENDPOINTS) {
    this.#range = range;
  }

  get size(): number {
    return this.#size;
  }

  get(network: number, mac: number): Host | undefined {
    return this.#byNetwork.get(network)?.get(mac);
  }

  of(network: number): Iterable<Host> {
    return this.#byNetwork.get(network)?.values() ?? [];
  }

  at(at: Attachment): Iterable<Host> {
    return this.#byPort.get(at.dpid)?.get(at.port) ?? [];
  }

  countAt(at: Attachment): number {
    return this.#byPort.get(at.dpid)?.get(at.port)?.size ?? 0;
  }

  *all(): Iterable<Host> {
    for (const hosts of this.#byNetwork.values()) yield* hosts.values();
  }

  /** Adds, moves, or refreshes a host; a change when it did more than refresh. */
  learn(
    network: number,
    mac: Mac,
    at: Attachment,
    active: boolean,
    now: number,
  ): { readonly host: Host; readonly change?: HostChange } {
    const known = this.#byNetwork.get(network)?.get(mac);
    if (known) {
      known.lastSeen = now;
      const isHere = known.at.port === at.port && known.at.dpid === at.dpid;
      if (isHere && (known.active || !active)) return { host: known };
    }
    const sameSwitch = known?.at.dpid === at.dpid;
    const endpoint = known && sameSwitch ? known.endpoint : this.#ids(at.dpid).take();
    if (endpoint === undefined) {
      throw new InvariantError(`${at.dpid}: no endpoint id is free`, { dpid: at.dpid });
    }
    if (known && !sameSwitch) this.#giveEndpoint(known);
    const host: HostRecord = {
      network,
      mac,
      at: { dpid: at.dpid, port: at.port },
      endpoint,
      addresses: known?.addresses ?? [],
      active: active || known?.active === true,
      firstSeen: known?.firstSeen ?? now,
      lastSeen: now,
    };
    this.#replace(known, host);
    return { host, change: { before: known, after: host } };
  }

  /** Takes a host of an earlier run. False when its place in a table is taken. */
  load(hint: KnownHost, now: number): boolean {
    if (this.get(hint.network, hint.mac) || !this.#ids(hint.at.dpid).claim(hint.endpoint)) return false;
    const { network, mac, at, endpoint, firstSeen } = hint;
    const addresses = hint.addresses.filter(
      (address) => bindable(address) && this.#claim(network, mac, address, now, 0) === undefined,
    );
    this.#replace(undefined, { network, mac, at, endpoint, addresses, active: true, firstSeen, lastSeen: now });
    return true;
  }

  /**
   * Binds an address. `holder` is the other host that keeps it; `changes` are the hosts whose addresses differ now: this one,
   * and one that lost the address because it had not used it for `holdMs`.
   */
  bind(
    network: number,
    mac: Mac,
    address: IpAddress,
    now: number,
    holdMs: number,
  ): { readonly holder?: Host; readonly changes: readonly HostChange[] } {
    const host = this.#byNetwork.get(network)?.get(mac);
    if (!host || !bindable(address)) return { changes: [] };
    const previous = this.#claims.get(network)?.get(keyOf(address))?.mac;
    const holder = this.#claim(network, mac, address, now, holdMs);
    if (holder) return { holder, changes: [] };
    if (previous === mac) return { changes: [] };
    const changes: HostChange[] = [];
    const loser = previous === undefined ? undefined : this.#byNetwork.get(network)?.get(previous);
    if (loser) {
      const key = keyOf(address);
      changes.push(
        this.#readdress(
          loser,
          loser.addresses.filter((other) => keyOf(other) !== key),
        ),
      );
    }
    const kept = host.addresses.slice(-(MAX_ADDRESSES - 1));
    for (const dropped of host.addresses.slice(0, host.addresses.length - kept.length)) {
      this.#claims.get(network)?.delete(keyOf(dropped));
    }
    changes.push(this.#readdress(host, [...kept, address]));
    return { changes };
  }

  forget(network: number, mac: number): HostChange | undefined {
    const host = this.#byNetwork.get(network)?.get(mac);
    if (!host) return undefined;
    this.#replace(host, undefined);
    this.#giveEndpoint(host);
    const claims = this.#claims.get(network);
    if (claims) {
      for (const address of host.addresses) claims.delete(keyOf(address));
      if (claims.size === 0) this.#claims.delete(network);
    }
    return { before: host, after: undefined };
  }

  /** Takes the address for this host, or answers who keeps it. */
  #claim(network: number, mac: number, address: IpAddress, now: number, holdMs: number): Host | undefined {
    let claims = this.#claims.get(network);
    if (!claims) {
      claims = new Map();
      this.#claims.set(network, claims);
    }
    const key = keyOf(address);
    const claim = claims.get(key);
    if (claim?.mac === mac) {
      claim.seen = now;
      return undefined;
    }
    const holder = claim && this.#byNetwork.get(network)?.get(claim.mac);
    if (claim && holder && now - claim.seen <= holdMs) return holder;
    claims.set(key, { mac, seen: now });
    return undefined;
  }

  #readdress(host: HostRecord, addresses: readonly IpAddress[]): HostChange {
    const after: HostRecord = { ...host, addresses };
    this.#replace(host, after);
    return { before: host, after };
  }

  #ids(dpid: Dpid): EndpointIds {
    let ids = this.#endpoints.get(dpid);
    if (!ids) {
      ids = new EndpointIds(this.#range);
      this.#endpoints.set(dpid, ids);
    }
    return ids;
  }

  #giveEndpoint(host: Host): void {
    this.#endpoints.get(host.at.dpid)?.give(host.endpoint);
  }

  /** Forgets which endpoint ids of a switch were used last; its hosts must be gone. */
  forgetSwitch(dpid: Dpid): void {
    this.#endpoints.delete(dpid);
  }

  #replace(before: HostRecord | undefined, after: HostRecord | undefined): void {
    if (before) {
      const ports = this.#byPort.get(before.at.dpid);
      const there = ports?.get(before.at.port);
      there?.delete(before);
      if (there?.size === 0) ports?.delete(before.at.port);
      if (ports?.size === 0) this.#byPort.delete(before.at.dpid);
    }
    if (after) {
      getOrAdd(this.#byNetwork, after.network, () => new Map<number, HostRecord>()).set(after.mac, after);
      const ports = getOrAdd(this.#byPort, after.at.dpid, () => new Map<number, Set<HostRecord>>());
      getOrAdd(ports, after.at.port, () => new Set<HostRecord>()).add(after);
      if (!before) this.#size++;
    } else if (before) {
      const hosts = this.#byNetwork.get(before.network);
      hosts?.delete(before.mac);
      if (hosts?.size === 0) this.#byNetwork.delete(before.network);
      this.#size--;
    }
  }
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

const keyOf = (address: IpAddress): number | bigint => (address.family === 4 ? Number(address.value) : address.value);

/** False for what no single host can have as its own: unspecified, loopback, multicast, reserved and broadcast addresses. */
function bindable({ family, value }: IpAddress): boolean {
  if (family === 6) return value > 1n && value >> 120n !== 0xffn;
  const first = Number(value >> 24n);
  return first !== 0 && first !== 127 && first < 224;
}
