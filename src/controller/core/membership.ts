import type { Dpid } from '../kernel/index.ts';
import type { Network, Port } from '../model/index.ts';
import type { ObservedPort, ObservedSwitch } from '../observed/index.ts';
import type { NetworkState, StateChange } from './app.ts';
import {
  addTo,
  DEFAULT_NETWORK,
  type Effect,
  isCurrent,
  isLearned,
  type Member,
  type MutableEffect,
  merge,
  NO_EFFECT,
  networkKey,
  newEffect,
  portKey,
  switchBinding,
} from './effect.ts';
import { Segments } from './segments.ts';

interface SwitchRecord {
  readonly dpid: Dpid;
  readonly index: number;
  nicira: boolean;
  /** Smallest datapath id of the component: equal for two switches when there is a way between them. */
  component: Dpid;
  /** Port objects bound here by what their binding names, lowest endpoint id first. */
  readonly claims: Map<string | number, Port[]>;
  readonly members: Map<number, Member>;
  /** Where port objects are, by their key. */
  readonly placed: Map<string, number>;
  /** Members that a port object claims. */
  claimed: number;
}

/**
 * Which physical port carries which network: desired ports resolved against what switches report. A physical port carries
 * one network; of several port objects that claim it, the one with the lowest endpoint id has it. Links and the switch's
 * own port carry none. Unclaimed edge ports carry the default network when it is on.
 *
 * Derived from state alone, but kept up to date change by change, so that a change costs what it touches. Every step looks
 * at the state anew instead of trusting the change, so a change that is seen twice, or taken back after a plan, does no harm.
 */
export class Membership {
  readonly #state: NetworkState;
  readonly #switches = new Map<Dpid, SwitchRecord>();
  readonly #segments = new Segments();
  /** Port objects with a MAC, by network index and MAC. */
  readonly #declared = new Map<number, Map<number, Port>>();
  /** Where a port object is in `#declared`, by its key. */
  readonly #declaredAt = new Map<string, { readonly network: number; readonly mac: number }>();
  readonly #effects = new WeakMap<StateChange, Effect>();
  /** Desired changes of this turn, which a planner may take back before the turn ends. */
  #revocable: StateChange[] = [];

  constructor(state: NetworkState) {
    this.#state = state;
    const effect = newEffect();
    for (const port of state.desired.ports.values()) this.#declare(portKey(port), port);
    for (const dpid of state.observed.switches.keys()) this.#switchChanged(dpid, effect);
    this.#regroup(state.observed.switches.keys(), effect);
  }

  /** Brings membership up to this change, which is in the state already, and says what it did. Same change, same answer. */
  effectOf(change: StateChange): Effect {
    if (change.kind === 'host') return NO_EFFECT;
    const known = this.#effects.get(change);
    if (known) return known;
    const effect = newEffect();
    // A plan is taken back as a whole: while its last change is in the state, so are the others. One look a change then,
    // however many changes a turn has; all of them are looked at when it ends.
    const last = this.#revocable.at(-1);
    if (last && !isCurrent(last, this.#state)) this.#settle(effect);
    this.#apply(change, effect);
    this.#effects.set(change, effect);
    if (change.kind === 'port' || change.kind === 'network') {
      // A planner applies changes, looks, and takes them back within one turn: look again when the turn is over.
      if (this.#revocable.push(change) === 1) {
        queueMicrotask(() => {
          this.#settle(newEffect());
          this.#revocable = [];
        });
      }
    }
    return effect;
  }

  /** What a physical port carries. */
  at(dpid: Dpid, no: number): Member | undefined {
    return this.#switches.get(dpid)?.members.get(no);
  }

  /** All member ports of a switch. */
  membersOf(dpid: Dpid): Iterable<Member> {
    return this.#switches.get(dpid)?.members.values() ?? [];
  }

  /** Number of member ports of a switch that port objects claim. */
  claimedOn(dpid: Dpid): number {
    return this.#switches.get(dpid)?.claimed ?? 0;
  }

  /** The physical port that this port object has, undefined when it has none. */
  placeOf(port: Port): Member | undefined {
    const binding = switchBinding(port);
    if (!binding) return undefined;
    const physical = this.#state.observed.resolvePort(binding.switch, binding.port);
    const member = physical && this.at(binding.switch, physical.no);
    return member?.port !== undefined && portKey(member.port) === portKey(port) ? member : undefined;
  }

  /** Member ports of a network on a switch, ascending. */
  portsAt(network: number, dpid: Dpid): readonly number[] {
    return [...this.#segments.ports(network, dpid)].sort((a, b) => a - b);
  }

  /** Number of member ports of a network on a switch. */
  portCount(network: number, dpid: Dpid): number {
    return this.#segments.ports(network, dpid).size;
  }

  /** Member switches of a network, in no order. */
  switchesOf(network: number): Iterable<Dpid> {
    return this.#segments.switches(network);
  }

  /** Member switches of a network in the component of this representative, by switch index. */
  segment(network: number, component: Dpid): readonly Dpid[] {
    return this.#segments.of(network, component, (dpid) => this.indexOf(dpid));
  }

  /** Member switches of a network that this switch can reach over the fabric, itself among them when it is a member. */
  reachable(network: number, from: Dpid): readonly Dpid[] {
    const record = this.#switches.get(from);
    if (!record) return [];
    if (network !== DEFAULT_NETWORK && this.#state.desired.networkByIndex(network)?.transport !== 'fabric') {
      return this.portCount(network, from) > 0 ? [from] : [];
    }
    return this.segment(network, record.component);
  }

  /** True when this member switch of the network can reach another one. */
  spans(network: number, from: Dpid): boolean {
    return this.reachable(network, from).length > 1;
  }

  /** Representative of the component of a switch; equal for two switches when there is a way between them. */
  componentOf(dpid: Dpid): Dpid | undefined {
    return this.#switches.get(dpid)?.component;
  }

  /** Positional number of a known switch, 0 when it is not known. */
  indexOf(dpid: Dpid): number {
    return this.#switches.get(dpid)?.index ?? 0;
  }

  /** True when the switch has Open vSwitch's extensions. */
  hasNicira(dpid: Dpid): boolean {
    return this.#switches.get(dpid)?.nicira ?? false;
  }

  /** The port object that has this MAC in this network, placed or not. */
  declaredAs(network: number, mac: number): Port | undefined {
    return this.#declared.get(network)?.get(mac);
  }

  /** Port objects of a network that have a MAC. */
  declaredIn(network: number): Iterable<Port> {
    return this.#declared.get(network)?.values() ?? [];
  }

  #apply(change: StateChange, effect: MutableEffect): void {
    switch (change.kind) {
      case 'port':
        this.#portEdited(change.before, change.after, effect);
        break;
      case 'network':
        this.#networkEdited(change.before, change.after, effect);
        break;
      case 'switch':
        this.#switchChanged(change.dpid, effect);
        this.#regroup([change.dpid], effect);
        break;
      case 'observed-port':
        this.#physicalChanged(change.dpid, change.before, change.after, effect);
        break;
      case 'paths':
        this.#regroup(change.dpids, effect);
        break;
      case 'tenant':
      case 'link':
      case 'host':
        break;
    }
  }

  /** Looks again at desired changes that are not in the state any more; `effect` gets what they and that did. */
  #settle(effect: MutableEffect): void {
    this.#revocable = this.#revocable.filter((change) => {
      if (isCurrent(change, this.#state)) return true;
      merge(effect, this.#effects.get(change));
      this.#effects.delete(change);
      this.#apply(change, effect);
      return false;
    });
  }

  #portEdited(before: Port | undefined, after: Port | undefined, effect: MutableEffect): void {
    const edited = (after ?? before)!;
    const now = this.#state.desired.ports.get(portKey(edited));
    effect.ports.add(portKey(edited));
    this.#declare(portKey(edited), now);
    for (const port of new Set([before, after, now])) {
      const binding = switchBinding(port);
      if (!binding) continue;
      const record = this.#switches.get(binding.switch);
      if (!record) continue;
      this.#claim(record, binding.port, edited);
      const physical = this.#state.observed.resolvePort(binding.switch, binding.port);
      if (physical) this.#resolve(record, physical.no, effect);
    }
  }

  #networkEdited(before: Network | undefined, after: Network | undefined, effect: MutableEffect): void {
    const { tenant, id } = (after ?? before)!;
    if (before?.index !== after?.index) {
      for (const port of this.#state.desired.portsOfNetwork(tenant, id)) this.#portEdited(port, port, effect);
    }
    if (!before || !after || before.transport === after.transport) return;
    // The transport decides what the fabric carries: all of the network is looked at again.
    for (const dpid of this.switchesOf(after.index)) {
      addTo(effect.locals, after.index, dpid);
      addTo(effect.edges, after.index, this.#switches.get(dpid)!.component);
    }
  }

  /** Keeps the index of MACs. */
  #declare(key: string, now: Port | undefined): void {
    const old = this.#declaredAt.get(key);
    if (old) {
      const macs = this.#declared.get(old.network);
      const held = macs?.get(old.mac);
      if (held && portKey(held) === key) macs!.delete(old.mac);
      if (macs?.size === 0) this.#declared.delete(old.network);
      this.#declaredAt.delete(key);
    }
    const network = now && this.#state.desired.networks.get(networkKey(now))?.index;
    if (now === undefined || network === undefined || now.mac === 'learned') return;
    const macs = this.#declared.get(network);
    if (macs) macs.set(now.mac, now);
    else this.#declared.set(network, new Map([[now.mac, now]]));
    this.#declaredAt.set(key, { network, mac: now.mac });
  }

  /** Brings one entry of a switch's claims in line with the desired port. */
  #claim(record: SwitchRecord, ref: string | number, port: Port): void {
    const key = portKey(port);
    const others = (record.claims.get(ref) ?? []).filter((other) => portKey(other) !== key);
    const now = this.#state.desired.ports.get(key);
    const binding = switchBinding(now);
    if (now && binding?.switch === record.dpid && binding.port === ref) {
      others.push(now);
      others.sort((a, b) => a.endpoint - b.endpoint);
    }
    if (others.length > 0) record.claims.set(ref, others);
    else record.claims.delete(ref);
  }

  #switchChanged(dpid: Dpid, effect: MutableEffect): void {
    const now = this.#state.observed.switches.get(dpid);
    let record = this.#switches.get(dpid);
    if (record && record.index !== now?.index) {
      this.#forget(record, effect);
      record = undefined;
    }
    if (!now) return;
    if (!record) {
      record = this.#admit(now);
      effect.switches.add(dpid);
    }
    const nicira = speaksNicira(now);
    if (record.nicira !== nicira) {
      record.nicira = nicira;
      effect.switches.add(dpid);
      for (const { network } of record.members.values()) {
        addTo(effect.locals, network, dpid);
        addTo(effect.edges, network, record.component);
      }
    }
    for (const no of new Set([...now.ports.keys(), ...record.members.keys()])) this.#resolve(record, no, effect);
  }

  #admit(now: ObservedSwitch): SwitchRecord {
    const record: SwitchRecord = {
      dpid: now.dpid,
      index: now.index,
      nicira: speaksNicira(now),
      component: now.dpid,
      claims: new Map(),
      members: new Map(),
      placed: new Map(),
      claimed: 0,
    };
    this.#switches.set(now.dpid, record);
    for (const port of this.#state.desired.portsBoundTo(now.dpid)) {
      const binding = switchBinding(port);
      if (binding) this.#claim(record, binding.port, port);
    }
    return record;
  }

  #forget(record: SwitchRecord, effect: MutableEffect): void {
    for (const member of [...record.members.values()]) this.#set(record, member.no, undefined, effect);
    this.#switches.delete(record.dpid);
    effect.switches.add(record.dpid);
  }

  #physicalChanged(
    dpid: Dpid,
    before: ObservedPort | undefined,
    after: ObservedPort | undefined,
    effect: MutableEffect,
  ): void {
    const record = this.#switches.get(dpid);
    if (!record) return;
    for (const physical of [before, after]) {
      if (!physical) continue;
      this.#resolve(record, physical.no, effect);
      // A name that two ports share resolves to neither: its other bearer changes with this one.
      const claimants = record.claims.get(physical.name);
      if (!claimants) continue;
      const bearer = this.#state.observed.resolvePort(dpid, physical.name);
      if (bearer && bearer.no !== physical.no) this.#resolve(record, bearer.no, effect);
      for (const claimant of claimants) {
        const no = record.placed.get(portKey(claimant));
        if (no !== undefined && no !== physical.no) this.#resolve(record, no, effect);
      }
    }
  }

  /** Decides anew what a physical port carries. */
  #resolve(record: SwitchRecord, no: number, effect: MutableEffect): void {
    const { observed, desired, defaultNetwork } = this.#state;
    const physical = observed.switches.get(record.dpid)?.ports.get(no);
    if (!physical || physical.role === 'link' || physical.role === 'local') {
      this.#set(record, no, undefined, effect);
      return;
    }
    const byName = observed.resolvePort(record.dpid, physical.name)?.no === no ? record.claims.get(physical.name) : [];
    let winner: Port | undefined;
    for (const claimant of [...(record.claims.get(no) ?? []), ...(byName ?? [])]) {
      if (winner && winner.endpoint <= claimant.endpoint) continue;
      if (desired.networks.has(networkKey(claimant))) winner = claimant;
    }
    const network = winner ? desired.networks.get(networkKey(winner))!.index : DEFAULT_NETWORK;
    const member =
      winner || (defaultNetwork && physical.role === 'edge')
        ? { dpid: record.dpid, no, network, port: winner }
        : undefined;
    this.#set(record, no, member, effect);
  }

  #set(record: SwitchRecord, no: number, member: Member | undefined, effect: MutableEffect): void {
    const old = record.members.get(no);
    if (old?.network === member?.network && old?.port === member?.port) return;
    for (const port of [old?.port, member?.port]) {
      if (!port) continue;
      effect.ports.add(portKey(port));
      addTo(effect.tenants, port.tenant, record.dpid);
    }
    if (old?.port && record.placed.get(portKey(old.port)) === no) record.placed.delete(portKey(old.port));
    if (member?.port) record.placed.set(portKey(member.port), no);
    const claimedBefore = record.claimed;
    record.claimed += (member?.port ? 1 : 0) - (old?.port ? 1 : 0);
    if ((claimedBefore === 0) !== (record.claimed === 0)) effect.switches.add(record.dpid);
    if (member) record.members.set(no, member);
    else record.members.delete(no);
    effect.places.push({ dpid: record.dpid, no, before: old, after: member });
    // A port that turns from declared to learned is punted differently: that counts as a change of the network's ports.
    if (old?.network === member?.network && isLearned(old) === isLearned(member)) return;
    for (const network of new Set([old?.network, member?.network])) {
      if (network !== undefined) addTo(effect.locals, network, record.dpid);
    }
    if (old?.network === member?.network) return;
    if (old) this.#segments.leave(old.network, record, no, effect);
    if (member) this.#segments.join(member.network, record, no, effect);
  }

  /** Finds the components of these switches anew and moves those whose representative changed. */
  #regroup(dpids: Iterable<Dpid>, effect: MutableEffect): void {
    const done = new Set<Dpid>();
    for (const start of dpids) {
      if (done.has(start) || !this.#switches.has(start)) continue;
      const component = this.#state.observed.component(start);
      let representative = start;
      for (const dpid of component) if (dpid < representative) representative = dpid;
      for (const dpid of new Set([start, ...component])) {
        done.add(dpid);
        const record = this.#switches.get(dpid);
        if (record && record.component !== representative) this.#move(record, representative, effect);
      }
    }
  }

  #move(record: SwitchRecord, to: Dpid, effect: MutableEffect): void {
    const from = record.component;
    record.component = to;
    for (const network of new Set([...record.members.values()].map((member) => member.network))) {
      this.#segments.move(network, record.dpid, from, to, effect);
    }
  }
}

/** A switch that was never described is taken for Open vSwitch until it says otherwise. */
const speaksNicira = (now: ObservedSwitch): boolean => now.nicira || (!now.connected && now.ports.size === 0);

const memberships = new WeakMap<NetworkState, Membership>();

/** The one membership of a state, shared by all apps; built from nothing when first asked for. */
export function membershipOf(state: NetworkState): Membership {
  let membership = memberships.get(state);
  if (!membership) {
    membership = new Membership(state);
    memberships.set(state, membership);
  }
  return membership;
}
