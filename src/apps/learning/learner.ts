import {
  type AppContext,
  type Dpid,
  type FlowRemoved,
  formatIp,
  formatMac,
  type Host,
  type IpAddress,
  isLearned,
  isWelcome,
  type Mac,
  type Membership,
  membershipOf,
  type PacketInView,
  parseMac,
  pipeline,
  type StateChange,
  type SwitchPort,
} from '../../controller/index.ts';
import {
  decodeMatch,
  FlowRemovedReason,
  get48,
  headersComplete,
  matchOf,
  Port as PortNumber,
} from '../../ofproto/index.ts';
import { claimedIpv4, claimedIpv6 } from './addresses.ts';
import { LearningCounters, Outcome } from './counters.ts';
import { isHostId, MAX_HOSTS_PER_SWITCH } from './owners.ts';
import type { LearningSettings } from './settings.ts';
import { type Budget, type Place, Tables, type Target } from './tables.ts';

const ETHERNET_HEADER = 14;
const BROADCAST = parseMac('ff:ff:ff:ff:ff:ff')!;
/** Upper 25 bits of 01:00:5e:00:00:00 and upper 16 of 33:33:00:00:00:00: MACs of IP multicast. */
const MULTICAST4 = Math.floor(0x01005e000000 / 0x800000);
const MULTICAST6 = 0x3333;
/** A host that moves this often within the span stays where it is until the span is over: a loop, or one MAC twice. */
const MOVES = 8;
const MOVES_SECONDS = 10;
/** How often observed state hears again of a host, and of its address, that is seen all the time. */
const REFRESH_SECONDS = 10;
/** Hosts that are looked at for silence in one second. */
const SWEEP = 2_000;
/** Events a second; the rest is counted only. */
const EVENTS_PER_SECOND = 50;

/**
 * Learns who is behind learned ports from the packets that switches show, and delivers those packets meanwhile. What lasts
 * goes to observed state, from which the compiler makes rules; here are only tables for the hot path.
 */
export class Learner {
  readonly counters = new LearningCounters();
  readonly #context: AppContext;
  readonly #settings: LearningSettings;
  readonly #membership: Membership;
  readonly #tables: Tables;
  readonly #stopTicking: () => void;
  #sweeping: Iterator<Host> | undefined;
  /** Counted instead of read: a clock look-up per packet would cost as much as the look-ups that matter. */
  #second = 1;
  #events = 0;

  constructor(context: AppContext, settings: LearningSettings) {
    this.#context = context;
    this.#settings = settings;
    this.#membership = membershipOf(context.state);
    this.#tables = new Tables(context.state, this.#membership, settings.packetsPerPort);
    this.#stopTicking = context.clock.every(1_000, () => {
      this.#second++;
      this.#events = 0;
      this.#sweep();
    });
  }

  close(): void {
    this.#stopTicking();
  }

  /** The hot path: with sender and receiver known, look-ups, one packet-out, and no allocation. */
  packetIn(from: SwitchPort, view: PacketInView): void {
    const outcome = this.#handle(from, view);
    this.counters.packetIns[outcome]!++;
  }

  /** The rule of a host ran out in its switch: the host fell silent. */
  flowRemoved(from: SwitchPort, { tableId, reason, match, cookieLo }: FlowRemoved): void {
    if (tableId !== pipeline.learn.id || reason !== FlowRemovedReason.idleTimeout || !isHostId(cookieLo)) return;
    const fields = matchOf(decodeMatch(match, 0, match.length));
    if (typeof fields.inPort !== 'number' || typeof fields.ethSrc !== 'number') return;
    const mac = fields.ethSrc as Mac;
    const place = this.#tables.place(from.dpid, fields.inPort);
    const host = place && this.#context.observed.host(place.network.index, mac);
    // Where it has moved away from, silence is no news.
    if (!host || host.at.dpid !== place.dpid || host.at.port !== place.no) return;
    this.counters.aged++;
    this.#event('host.aged', place.tenant, place.dpid, place.no, mac);
    this.#context.observed.forgetHost(host.network, mac);
  }

  /** Keeps the tables in step with state, and observed hosts with what ports carry. */
  changed(change: StateChange): void {
    if (change.kind === 'host') {
      if (change.after) this.#tables.hostIs(change.after);
      else if (change.before) this.#tables.hostGone(change.before);
      return;
    }
    const effect = this.#membership.effectOf(change);
    for (const network of effect.locals.keys()) this.#tables.networkChanged(network);
    for (const network of effect.edges.keys()) this.#tables.networkChanged(network);
    for (const { dpid, no, before, after } of effect.places) {
      this.#tables.placeChanged(dpid, no);
      if (before && (before.network !== after?.network || isLearned(before) !== isLearned(after))) {
        this.#forgetUnwelcome(dpid, no);
      }
    }
    switch (change.kind) {
      case 'observed-port':
        // Whoever was there is elsewhere now, or silent; where is for the next frame to say.
        if (change.before?.up && !change.after?.up) this.#forgetAll(change.dpid, change.no);
        break;
      case 'network':
        if (change.before && !change.after) this.#tables.networkGone(change.before.index);
        else if (change.after?.unknownUnicast === 'drop') this.#activateAll(change.after.index);
        break;
      case 'tenant':
        if (change.before) this.#tables.tenantChanged(change.before.id);
        break;
      case 'switch':
        if (!change.after) this.#tables.switchGone(change.dpid);
        break;
      case 'port': {
        const { after } = change;
        if (!after || after.mac === 'learned') break;
        const network = this.#context.state.desired.networks.get(`${after.tenant}/${after.network}`);
        if (!network) break;
        this.#context.observed.forgetHost(network.index, after.mac);
        const beyond = this.#membership.beyond(network.index);
        if (beyond) this.#context.observed.forgetHost(beyond.index, after.mac);
        break;
      }
      default:
    }
  }

  #handle(from: SwitchPort, view: PacketInView): Outcome {
    const { bytes, dataAt: at, dataEnd: end, inPort } = view;
    const whole = end - at >= view.totalLen;
    if (end - at < ETHERNET_HEADER || (!whole && !headersComplete(bytes, at, end))) return Outcome.short;
    const place = this.#tables.place(from.dpid, inPort);
    if (place === undefined) return Outcome['not-a-member'];
    if (!this.#within(place.budget) || (place.tenantBudget && !this.#within(place.tenantBudget))) {
      return Outcome['over-budget'];
    }
    // What comes from the switch table is from a known sender, declared or learned, to a destination not known there.
    if (view.tableId !== pipeline.switch.id) {
      if (!place.learned) return Outcome['not-a-member'];
      const refused = this.#learn(place, view);
      if (refused !== undefined) return refused;
      if (isHostId(view.cookieLo)) return Outcome.copied;
    }
    // Without the rest of the frame here or in a buffer there is nothing to pass on.
    return whole ? this.#forward(place, from, view) : Outcome.truncated;
  }

  /** Hosts without rules fall silent unnoticed by any switch: forgets those that did, some each second. */
  #sweep(): void {
    const { observed, clock } = this.#context;
    const since = clock.now() - this.#settings.idleSeconds * 1_000;
    this.#sweeping ??= observed.hosts()[Symbol.iterator]();
    for (let count = 0; count < SWEEP; count++) {
      const { value: host, done } = this.#sweeping.next();
      if (done) {
        this.#sweeping = undefined;
        return;
      }
      if (host.active || host.lastSeen > since) continue;
      this.counters.aged++;
      const place = this.#tables.place(host.at.dpid, host.at.port);
      this.#event('host.aged', place?.tenant, host.at.dpid, host.at.port, host.mac);
      observed.forgetHost(host.network, host.mac);
    }
  }

  #within(budget: Budget): boolean {
    if (budget.second !== this.#second) {
      budget.second = this.#second;
      budget.used = 0;
    }
    return ++budget.used <= budget.limit;
  }

  /** Sees to it that the sender is known here; else says why it is not. */
  #learn(place: Place, { bytes, dataAt: at, dataEnd: end }: PacketInView): Outcome | undefined {
    const mac = get48(bytes, at + 6);
    let target = place.network.targets.get(mac);
    // Whoever announces itself by broadcast only gets no rules yet: thousands may, and few of them are talked to. Unless
    // frames to it would be dropped without its rules.
    const active = (bytes[at]! & 1) === 0 || !this.#tables.floodsUnknown(place.network.index);
    if (target === undefined || target.place !== place) {
      if ((bytes[at + 6]! & 1) === 1 || mac === 0) return Outcome['bad-source'];
      const refused = this.#settle(place, mac as Mac, target, active);
      if (refused !== undefined) return refused;
      target = place.network.targets.get(mac);
      if (target === undefined) return Outcome['not-a-member'];
    } else if (this.#second >= target.seenDue || (active && !target.active)) {
      this.#context.observed.learnHost(place.network.index, mac as Mac, { dpid: place.dpid, port: place.no }, active);
    }
    if (this.#second >= target.seenDue) target.seenDue = this.#second + REFRESH_SECONDS;

    const ipv4 = claimedIpv4(bytes, at, end, mac);
    if (ipv4 !== 0) {
      if (ipv4 === target.address && this.#second < target.addressDue) return undefined;
      target.address = ipv4;
      target.addressDue = this.#second + REFRESH_SECONDS;
      this.#bind(place, mac as Mac, { family: 4, value: BigInt(ipv4) });
      return undefined;
    }
    const ipv6 = claimedIpv6(bytes, at, end, mac);
    if (ipv6) this.#bind(place, mac as Mac, ipv6);
    return undefined;
  }

  /** A sender that was not known here: new, or moved. */
  #settle(place: Place, mac: Mac, known: Target | undefined, active: boolean): Outcome | undefined {
    const { observed } = this.#context;
    const { dpid, no: port, network } = place;
    const before = observed.host(network.index, mac);
    const isHere = before?.at.dpid === dpid && before.at.port === port;
    if (!isHere) {
      if (this.#membership.declaredAs(network.index, mac)) {
        this.counters.conflicts++;
        this.#event('host.conflict', place.tenant, dpid, port, mac, { reason: 'the MAC belongs to a declared port' });
        return Outcome['declared-source'];
      }
      if (observed.hostCountAt({ dpid, port }) >= this.#settings.maxHostsPerPort || this.#isFull(dpid)) {
        this.#event('host.refused', place.tenant, dpid, port, mac, { reason: 'the port or its switch is full' });
        return Outcome['port-full'];
      }
      if (known && this.#flaps(known)) {
        this.#event('host.flapping', place.tenant, dpid, port, mac, {
          staysOn: known.place.dpid,
          staysAt: known.place.no,
        });
        return Outcome.flapping;
      }
    }
    this.#tables.hostIs(observed.learnHost(network.index, mac, { dpid, port }, active));
    if (isHere) return undefined;
    if (before) this.counters.moved++;
    else this.counters.learned++;
    this.#event(before ? 'host.moved' : 'host.learned', place.tenant, dpid, port, mac);
    return undefined;
  }

  /** True when the switch has no ids left for more hosts. */
  #isFull(dpid: Dpid): boolean {
    const { observed } = this.#context;
    // Fewer hosts in all than ids for one switch: no need to count.
    if (observed.hostCount < MAX_HOSTS_PER_SWITCH) return false;
    let count = 0;
    for (const no of observed.switches.get(dpid)?.ports.keys() ?? []) count += observed.hostCountAt({ dpid, port: no });
    return count >= MAX_HOSTS_PER_SWITCH;
  }

  /** Notes a move; true when there have been too many. */
  #flaps(target: Target): boolean {
    if (this.#second - target.movesSince >= MOVES_SECONDS) {
      target.movesSince = this.#second;
      target.moves = 0;
    }
    return ++target.moves > MOVES;
  }

  /** A host says that it has an address. The one that has it already keeps it. */
  #bind({ network, dpid, no, tenant }: Place, mac: Mac, address: IpAddress): void {
    const { observed } = this.#context;
    const count = observed.host(network.index, mac)?.addresses.length;
    const holder = observed.learnAddress(network.index, mac, address);
    if (holder !== undefined && holder.mac !== mac) {
      this.counters.conflicts++;
      this.#event('host.conflict', tenant, dpid, no, mac, {
        reason: 'another host has the address',
        address: formatIp(address),
        holder: formatMac(holder.mac),
      });
    } else if (observed.host(network.index, mac)?.addresses.length !== count) {
      this.#event('host.address', tenant, dpid, no, mac, { address: formatIp(address) });
    }
  }

  #forward(place: Place, from: SwitchPort, { bytes, dataAt: at, dataEnd: end, inPort }: PacketInView): Outcome {
    const mac = get48(bytes, at);
    if ((bytes[at]! & 1) === 1) {
      const isCarried =
        mac === BROADCAST || Math.floor(mac / 0x800000) === MULTICAST4 || Math.floor(mac / 2 ** 32) === MULTICAST6;
      return isCarried ? this.#flood(place, from, bytes, at, end) : Outcome['not-carried'];
    }
    const target = place.network.targets.get(mac);
    if (target !== undefined && !target.active) this.#activate(target);
    const to = target?.place ?? this.#declaredPlace(place, mac);
    if (to === undefined) {
      if (!this.#tables.floodsUnknown(place.network.index)) return Outcome['unknown-destination'];
      return this.#flood(place, from, bytes, at, end);
    }
    if (to.dpid === place.dpid) {
      // It is where it came from: whoever is there has it already.
      if (to.no === inPort) return Outcome.delivered;
      return from.packetOut(inPort, to.ports, bytes, at, end) ? Outcome.delivered : Outcome['not-sent'];
    }
    // The controller is no way around a missing cable.
    if (this.#membership.componentOf(to.dpid) !== this.#membership.componentOf(place.dpid)) return Outcome.unreachable;
    const egress = this.#context.switchPort(to.dpid);
    const sent = egress?.packetOut(PortNumber.controller, to.ports, bytes, at, end) ?? false;
    return sent ? Outcome.delivered : Outcome['not-sent'];
  }

  /** Somebody talks to a host that was only heard so far. */
  #activate({ mac, place }: Target): void {
    const { dpid, no: port, network } = place;
    this.#context.observed.learnHost(network.index, mac as Mac, { dpid, port });
  }

  /** Frames to hosts without rules are dropped from now on. */
  #activateAll(network: number): void {
    const { observed } = this.#context;
    for (const host of [...observed.hostsOf(network)]) {
      if (!host.active) observed.learnHost(network, host.mac, host.at);
    }
  }

  #declaredPlace({ network }: Place, mac: number): Place | undefined {
    const port = this.#membership.declaredAs(network.index, mac);
    const member = port && this.#membership.placeOf(port);
    return member && this.#tables.place(member.dpid, member.no);
  }

  #flood(place: Place, from: SwitchPort, bytes: Buffer, at: number, end: number): Outcome {
    let sent = true;
    for (const { dpid, ports } of this.#tables.floodFrom(place)) {
      const done =
        dpid === place.dpid
          ? from.packetOut(place.no, ports, bytes, at, end)
          : this.#context.switchPort(dpid)?.packetOut(PortNumber.controller, ports, bytes, at, end);
      if (done !== true) sent = false;
    }
    return sent ? Outcome.flooded : Outcome['not-sent'];
  }

  #forgetUnwelcome(dpid: Dpid, port: number): void {
    const { observed } = this.#context;
    for (const host of [...observed.hostsAt({ dpid, port })]) {
      if (!isWelcome(host, this.#membership)) observed.forgetHost(host.network, host.mac);
    }
  }

  #forgetAll(dpid: Dpid, port: number): void {
    const { observed } = this.#context;
    for (const host of [...observed.hostsAt({ dpid, port })]) observed.forgetHost(host.network, host.mac);
  }

  #event(
    type: string,
    tenant: string | undefined,
    dpid: Dpid,
    port: number,
    mac: number,
    more: Readonly<Record<string, unknown>> = {},
  ): void {
    if (++this.#events > EVENTS_PER_SECOND) {
      this.counters.unsaid++;
      return;
    }
    this.#context.event(type, { mac: formatMac(mac), switch: dpid, port, ...more }, tenant);
  }
}
