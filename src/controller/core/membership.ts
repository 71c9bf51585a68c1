import type { Dpid } from '../kernel/index.ts';
import {
  bindingsOf,
  type Hypervisor,
  isBeforeSwitch,
  isMoving,
  type Network,
  otherBinding,
  type Port,
} from '../model/index.ts';
import type { Host, ObservedPort, ObservedSwitch, TunnelType } from '../observed/index.ts';
import type { NetworkState, StateChange } from './app.ts';
import {
  allBoundTo,
  allUplinks,
  type BoundTo,
  boundTo,
  interfaceOf,
  isForeign,
  physicalOf,
  type Ref,
  refOf,
  refsOf,
  resolveBinding,
} from './attachment.ts';
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
} from './effect.ts';
import { commonFamily, isOverlay, OVERLAY, type Vtep } from './overlay.ts';
import { Segments } from './segments.ts';

/** Stands in for a port where a switch is a member as a gateway. No port has this number. */
const GATEWAY = 0;

interface SwitchRecord {
  readonly dpid: Dpid;
  readonly index: number;
  nicira: boolean;
  /** Smallest datapath id of the component: equal for two switches when there is a way between them. */
  component: Dpid;
  /** Port objects bound here by what their binding names, lowest endpoint id first. */
  readonly claims: Map<Ref, Port[]>;
  readonly members: Map<number, Member>;
  /** Where port objects are, by their key; one that moves within the switch is at two ports. */
  readonly placed: Map<string, Set<number>>;
  /** Members that a port object claims. */
  claimed: number;
  /** Its end of the tunnels, when it is a hypervisor's. */
  vtep: Vtep | undefined;
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
  /** Networks that are one segment with another one, and the switch that is their gateway to it: a member of both, with or without ports. */
  readonly #gateways = new Map<number, Dpid>();
  /** Networks that extend another one. */
  readonly #extensions = new Set<number>();
  /** Networks that tunnels carry, as they were last looked at. */
  readonly #overlays = new Set<number>();
  readonly #effects = new WeakMap<StateChange, Effect>();
  /** Desired changes of this turn, which a planner may take back before the turn ends. */
  #revocable: StateChange[] = [];

  constructor(state: NetworkState) {
    this.#state = state;
    const effect = newEffect();
    for (const port of state.desired.ports.values()) this.#declare(portKey(port), port);
    for (const { index, transport } of state.desired.networks.values())
      if (isOverlay(transport)) this.#overlays.add(index);
    for (const network of state.desired.networks.values()) {
      if (network.extends !== undefined) this.#extensions.add(network.index);
    }
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
    this.#acrossGateways(effect);
    this.#effects.set(change, effect);
    if (change.kind === 'port' || change.kind === 'network' || change.kind === 'hypervisor') {
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
    return this.#memberAt(port, boundTo(port, this.#state));
  }

  /** The other physical port of a port object that moves: the new one until it switches over, then the old one. */
  otherPlaceOf(port: Port): Member | undefined {
    const other = this.#memberAt(port, resolveBinding(otherBinding(port), port, this.#state));
    if (!other) return undefined;
    const place = this.placeOf(port);
    return place?.dpid === other.dpid && place.no === other.no ? undefined : other;
  }

  #memberAt(port: Port, bound: BoundTo | undefined): Member | undefined {
    const physical = bound && physicalOf(bound, this.#state.observed);
    const member = physical && this.at(bound.dpid, physical.no);
    return member?.port !== undefined && portKey(member.port) === portKey(port) ? member : undefined;
  }

  /** Member ports of a network on a switch, ascending. */
  portsAt(network: number, dpid: Dpid): readonly number[] {
    return [...this.#segments.ports(network, dpid)].filter((no) => no !== GATEWAY).sort((a, b) => a - b);
  }

  /** Those of them that frames for all members go to. */
  receiversAt(network: number, dpid: Dpid): readonly number[] {
    return this.portsAt(network, dpid).filter((no) => this.at(dpid, no)?.receives === true);
  }

  /** Number of member ports of a network on a switch. */
  portCount(network: number, dpid: Dpid): number {
    const ports = this.#segments.ports(network, dpid);
    return ports.has(GATEWAY) ? ports.size - 1 : ports.size;
  }

  /** The switch that is the gateway between this network and the one that makes up one segment with it; undefined when none is. */
  gatewayOf(network: number): Dpid | undefined {
    return this.#gateways.get(network);
  }

  /** The network beyond the gateway of this one; undefined when there is no gateway. */
  beyond(network: number): Network | undefined {
    if (!this.#gateways.has(network)) return undefined;
    const { desired } = this.#state;
    const side = desired.networkByIndex(network);
    return side && desired.otherSide(side);
  }

  /** Networks of which a switch is a member, with ports or as their gateway. */
  networksOn(dpid: Dpid): ReadonlySet<number> {
    const networks = new Set<number>();
    for (const { network } of this.membersOf(dpid)) networks.add(network);
    for (const [network, gateway] of this.#gateways) if (gateway === dpid) networks.add(network);
    return networks;
  }

  /** True when the switch is a member of the network, with ports or as its gateway. */
  isMember(network: number, dpid: Dpid): boolean {
    return this.#segments.ports(network, dpid).size > 0;
  }

  /** Member switches of a network, in no order. */
  switchesOf(network: number): Iterable<Dpid> {
    return this.#segments.switches(network);
  }

  /** Member switches of a network in the component of this representative, by switch index. */
  segment(network: number, component: Dpid): readonly Dpid[] {
    return this.#segments.of(network, component, (dpid) => this.indexOf(dpid));
  }

  /**
   * Member switches of a network that this switch can reach, itself among them when it is a member: over the fabric, or through
   * tunnels when the network is an overlay.
   */
  reachable(network: number, from: Dpid): readonly Dpid[] {
    const record = this.#switches.get(from);
    if (!record) return [];
    const transport = this.#state.desired.networkByIndex(network)?.transport;
    if (!isOverlay(transport)) return this.segment(network, record.component);
    const { vtep } = record;
    return this.segment(network, OVERLAY).filter((dpid) => {
      if (dpid === from) return true;
      const other = this.vtepOf(dpid);
      if (!vtep?.ports.has(transport) || !other?.ports.has(transport)) return false;
      return commonFamily(vtep.addresses, other.addresses) !== undefined;
    });
  }

  /** A switch's end of the tunnels; undefined when it is no hypervisor's. */
  vtepOf(dpid: Dpid): Vtep | undefined {
    return this.#switches.get(dpid)?.vtep;
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

  /** The port object that has this MAC in this network or beyond its gateway, placed or not. */
  declaredAs(network: number, mac: number): Port | undefined {
    const port = this.#declared.get(network)?.get(mac);
    const beyond = port ? undefined : this.beyond(network);
    return beyond ? this.#declared.get(beyond.index)?.get(mac) : port;
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
      case 'hypervisor':
        this.#hypervisorEdited(change.before, change.after, effect);
        for (const network of this.#extensions) this.#settleGateway(network, effect);
        break;
      case 'gateway':
        this.#gatewayChanged(change, effect);
        break;
      case 'tenant':
      case 'tunnel':
      case 'device':
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
      if (!port) continue;
      // Where it might be, too: it may have been there until now.
      for (const bound of [...allBoundTo(port, this.#state), ...allUplinks(port, this.#state.desired)]) {
        this.#rebind(bound, edited, effect);
      }
      if (isForeign(port, this.#state.desired)) this.#foreignMoved(port, effect);
    }
  }

  #rebind(bound: BoundTo, port: Port, effect: MutableEffect): void {
    const record = this.#switches.get(bound.dpid);
    if (!record) return;
    this.#claim(record, refOf(bound), port);
    const physical = physicalOf(bound, this.#state.observed);
    if (physical) this.#resolve(record, physical.no, effect);
  }

  /** A port behind somebody else's tunnel endpoint came, went, or changed: member switches replicate to that endpoint, or do no more. */
  #foreignMoved(port: Port, effect: MutableEffect): void {
    const network = this.#state.desired.networks.get(networkKey(port));
    if (network) addTo(effect.locals, network.index, OVERLAY);
  }

  #hypervisorEdited(before: Hypervisor | undefined, after: Hypervisor | undefined, effect: MutableEffect): void {
    const { id } = (after ?? before)!;
    const now = this.#state.desired.hypervisors.get(id);
    const dpids = new Set([before?.datapathId, after?.datapathId, now?.datapathId]);
    for (const port of this.#state.desired.portsOfHypervisor(id)) {
      effect.ports.add(portKey(port));
      if (dpids.has(undefined)) this.#foreignMoved(port, effect);
      for (const binding of bindingsOf(port)) {
        const interfaceId = 'switch' in binding ? undefined : interfaceOf(binding);
        if (interfaceId === undefined) continue;
        for (const dpid of dpids) if (dpid !== undefined) this.#rebind({ dpid, interfaceId }, port, effect);
      }
      for (const bound of allUplinks(port, this.#state.desired)) this.#rebind(bound, port, effect);
    }
    for (const dpid of dpids) {
      const record = dpid === undefined ? undefined : this.#switches.get(dpid);
      if (record) this.#tunnelsChanged(record, effect);
    }
  }

  /** Looks anew at a switch's end of the tunnels. */
  #tunnelsChanged(record: SwitchRecord, effect: MutableEffect): void {
    const { vtep } = record;
    record.vtep = this.#vtep(record.dpid);
    if (JSON.stringify(plain(vtep)) === JSON.stringify(plain(record.vtep))) return;
    for (const network of this.networksOn(record.dpid)) {
      if (!this.#overlays.has(network)) continue;
      addTo(effect.edges, network, OVERLAY);
      addTo(effect.locals, network, record.dpid);
    }
  }

  #vtep(dpid: Dpid): Vtep | undefined {
    const hypervisor = this.#state.desired.hypervisorByDpid(dpid);
    if (!hypervisor) return undefined;
    const ports = new Map<TunnelType, number>();
    for (const { no, tunnel } of this.#state.observed.switches.get(dpid)?.ports.values() ?? []) {
      if (tunnel !== undefined) ports.set(tunnel, Math.min(no, ports.get(tunnel) ?? no));
    }
    return { hypervisor: hypervisor.id, addresses: hypervisor.tunnelAddresses, ports };
  }

  #networkEdited(before: Network | undefined, after: Network | undefined, effect: MutableEffect): void {
    const { tenant, id } = (after ?? before)!;
    for (const index of new Set([before?.index, after?.index])) if (index !== undefined) this.#carriedBy(index, effect);
    if (before?.index !== after?.index) {
      for (const port of this.#state.desired.portsOfNetwork(tenant, id)) this.#portEdited(port, port, effect);
    }
    this.#sidesEdited(before, after, effect);
    if (!before || !after) return;
    const { transport, segmentId, flowId, unknownUnicast } = before;
    const other = this.#state.desired.otherSide(after);
    if (other && unknownUnicast !== after.unknownUnicast) this.#lookAgain(other, effect);
    if (transport === after.transport && segmentId === after.segmentId && flowId === after.flowId) return;
    // These decide how it is carried.
    this.#lookAgain(after, effect);
  }

  /** All of the network is looked at again. */
  #lookAgain({ index, tenant, id }: Network, effect: MutableEffect): void {
    for (const dpid of this.switchesOf(index)) {
      addTo(effect.locals, index, dpid);
      addTo(effect.edges, index, this.#component(this.#switches.get(dpid)!, index));
    }
    for (const port of this.#state.desired.portsOfNetwork(tenant, id)) effect.ports.add(portKey(port));
  }

  #sidesEdited(before: Network | undefined, after: Network | undefined, effect: MutableEffect): void {
    const { desired } = this.#state;
    for (const side of [before, after]) {
      if (side?.extends === undefined) continue;
      if (desired.networkByIndex(side.index)?.extends === undefined) this.#extensions.delete(side.index);
      else this.#extensions.add(side.index);
      this.#settleGateway(side.index, effect);
      const other = desired.networks.get(`${side.tenant}/${side.extends}`);
      if (other) this.#settleSide(other.index, effect);
    }
    // One that was extended may be gone.
    for (const side of [before, after])
      if (side && this.#gateways.has(side.index)) this.#settleSide(side.index, effect);
  }

  /** Brings up to date who is the gateway between a network that extends another one, and that. */
  #settleGateway(extension: number, effect: MutableEffect): void {
    const { desired } = this.#state;
    const side = desired.networkByIndex(extension);
    const other = side?.extends === undefined ? undefined : desired.otherSide(side);
    this.#settleSide(extension, effect);
    if (other) this.#settleSide(other.index, effect);
  }

  #gatewayChanged({ of, before, after }: StateChange & { kind: 'gateway' }, effect: MutableEffect): void {
    const [kind, number] = of.split('/');
    const index = Number(number);
    if (kind === 'endpoint') {
      this.#uplinkMoved(index, [before?.dpid, after?.dpid], effect);
      return;
    }
    this.#settleGateway(index, effect);
    // Who is not to be trusted yet is for the rules at the gateway to say.
    const gateway = before?.former === after?.former ? undefined : this.#gateways.get(index);
    if (gateway !== undefined) addTo(effect.locals, index, gateway);
  }

  /** A port on a VLAN is at another hypervisor of its list now. */
  #uplinkMoved(endpoint: number, dpids: readonly (Dpid | undefined)[], effect: MutableEffect): void {
    const { desired } = this.#state;
    for (const dpid of dpids) {
      const hypervisor = dpid === undefined ? undefined : desired.hypervisorByDpid(dpid);
      for (const port of hypervisor ? desired.portsOfHypervisor(hypervisor.id) : []) {
        if (port.endpoint === endpoint) this.#portEdited(port, port, effect);
      }
    }
  }

  #settleSide(index: number, effect: MutableEffect): void {
    const before = this.#gateways.get(index);
    const now = this.#gatewayFor(index);
    if (before === now) return;
    for (const [dpid, join] of [[before, false] as const, [now, true] as const]) {
      const record = dpid === undefined ? undefined : this.#switches.get(dpid);
      if (!record) continue;
      const site = { dpid: record.dpid, component: this.#component(record, index) };
      if (join) this.#segments.join(index, site, GATEWAY, effect);
      else this.#segments.leave(index, site, GATEWAY, effect);
      addTo(effect.locals, index, site.dpid);
      addTo(effect.edges, index, site.component);
    }
    if (now === undefined) this.#gateways.delete(index);
    else this.#gateways.set(index, now);
    const network = this.#state.desired.networkByIndex(index);
    if (!network) return;
    this.#lookAgain(network, effect);
    // What it has on the other side goes, or comes.
    const other = this.#state.desired.otherSide(network);
    if (other) this.#lookAgain(other, effect);
  }

  #gatewayFor(index: number): Dpid | undefined {
    const { desired, observed } = this.#state;
    const side = desired.networkByIndex(index);
    const other = side && desired.otherSide(side);
    if (!other) return undefined;
    const extension = side.extends === undefined ? other : side;
    const dpid = observed.gateway(`network/${extension.index}`)?.dpid;
    if (dpid === undefined || !this.#switches.has(dpid)) return undefined;
    const hypervisor = desired.hypervisorByDpid(dpid);
    return hypervisor && extension.gateways.includes(hypervisor.id) ? dpid : undefined;
  }

  /** Who is attached to one side of a gateway has rules on the other one, too. */
  #acrossGateways(effect: MutableEffect): void {
    if (this.#gateways.size === 0) return;
    const sides = new Set([...effect.edges.keys(), ...effect.locals.keys()]);
    for (const side of sides) {
      const gateway = this.#gateways.get(side);
      const record = gateway === undefined ? undefined : this.#switches.get(gateway);
      const other = record && this.beyond(side);
      if (!other) continue;
      if (effect.edges.has(side)) addTo(effect.edges, other.index, this.#component(record, other.index));
      addTo(effect.locals, other.index, record.dpid);
    }
  }

  /** Brings up to date whether tunnels or the fabric carry a network. */
  #carriedBy(index: number, effect: MutableEffect): void {
    const now = isOverlay(this.#state.desired.networkByIndex(index)?.transport);
    if (now === this.#overlays.has(index)) return;
    if (now) this.#overlays.add(index);
    else this.#overlays.delete(index);
    for (const dpid of [...this.switchesOf(index)]) {
      const { component } = this.#switches.get(dpid)!;
      const [from, to] = now ? [component, OVERLAY] : [OVERLAY, component];
      this.#segments.move(index, dpid, from, to, effect);
    }
  }

  /** The component within which a network joins this switch with others. */
  #component({ component }: SwitchRecord, network: number): Dpid {
    return this.#overlays.has(network) ? OVERLAY : component;
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
  #claim(record: SwitchRecord, ref: Ref, port: Port): void {
    const key = portKey(port);
    const others = (record.claims.get(ref) ?? []).filter((other) => portKey(other) !== key);
    const now = this.#state.desired.ports.get(key);
    const bounds = now ? allBoundTo(now, this.#state) : [];
    if (now && bounds.some((bound) => bound.dpid === record.dpid && refOf(bound) === ref)) {
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
      this.#settleGatewaysOn(dpid, effect);
    }
    const nicira = speaksNicira(now);
    this.#tunnelsChanged(record, effect);
    if (record.nicira !== nicira) {
      record.nicira = nicira;
      effect.switches.add(dpid);
      for (const network of this.networksOn(dpid)) {
        addTo(effect.locals, network, dpid);
        addTo(effect.edges, network, this.#component(record, network));
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
      vtep: this.#vtep(now.dpid),
    };
    this.#switches.set(now.dpid, record);
    const { desired } = this.#state;
    const hypervisor = desired.hypervisorByDpid(now.dpid);
    const bound = hypervisor ? desired.portsOfHypervisor(hypervisor.id) : [];
    for (const ports of [desired.portsBoundTo(now.dpid), bound]) {
      for (const port of ports) {
        for (const bound of allBoundTo(port, this.#state)) {
          if (bound.dpid === now.dpid) this.#claim(record, refOf(bound), port);
        }
      }
    }
    return record;
  }

  /** A switch that came or went may be a gateway. */
  #settleGatewaysOn(dpid: Dpid, effect: MutableEffect): void {
    for (const network of this.#extensions) {
      if (this.#state.observed.gateway(`network/${network}`)?.dpid === dpid) this.#settleGateway(network, effect);
    }
  }

  #forget(record: SwitchRecord, effect: MutableEffect): void {
    for (const member of [...record.members.values()]) this.#set(record, member.no, undefined, effect);
    for (const [network, gateway] of [...this.#gateways]) {
      if (gateway !== record.dpid) continue;
      const site = { dpid: gateway, component: this.#component(record, network) };
      this.#segments.leave(network, site, GATEWAY, effect);
      this.#gateways.delete(network);
      const side = this.#state.desired.networkByIndex(network);
      if (side) this.#lookAgain(side, effect);
    }
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
    if (before?.tunnel !== undefined || after?.tunnel !== undefined) this.#tunnelsChanged(record, effect);
    for (const physical of [before, after]) {
      if (!physical) continue;
      this.#resolve(record, physical.no, effect);
      // A name that two ports share resolves to neither: its other bearer changes with this one.
      const { name: port, interfaceId } = physical;
      for (const bound of [{ dpid, port }, ...(interfaceId === undefined ? [] : [{ dpid, interfaceId }])]) {
        const claimants = record.claims.get(refOf(bound));
        if (!claimants) continue;
        const bearer = physicalOf(bound, this.#state.observed);
        if (bearer && bearer.no !== physical.no) this.#resolve(record, bearer.no, effect);
        for (const claimant of claimants) {
          // Its two places may have become one, or two, with what each carries unchanged.
          if (isMoving(claimant)) effect.ports.add(portKey(claimant));
          for (const no of [...(record.placed.get(portKey(claimant)) ?? [])]) {
            if (no !== physical.no) this.#resolve(record, no, effect);
          }
        }
      }
    }
  }

  /** Decides anew what a physical port carries. */
  #resolve(record: SwitchRecord, no: number, effect: MutableEffect): void {
    const { observed, desired, defaultNetwork } = this.#state;
    const physical = observed.switches.get(record.dpid)?.ports.get(no);
    if (!physical || physical.role === 'link' || physical.role === 'local' || physical.role === 'tunnel') {
      this.#set(record, no, undefined, effect);
      return;
    }
    let winner: Port | undefined;
    const refs = refsOf(record.dpid, physical, observed);
    const claimants = refs.flatMap((ref) => record.claims.get(ref) ?? []);
    for (const claimant of claimants) {
      if (winner && winner.endpoint <= claimant.endpoint) continue;
      if (desired.networks.has(networkKey(claimant))) winner = claimant;
    }
    const network = winner ? desired.networks.get(networkKey(winner))!.index : DEFAULT_NETWORK;
    const member =
      winner || (defaultNetwork && physical.role === 'edge')
        ? { dpid: record.dpid, no, network, port: winner, receives: this.#receives(record, refs, winner) }
        : undefined;
    this.#set(record, no, member, effect);
  }

  /** Frames go to the place that counts; to the new one of a port that moves as well, when that is wanted. */
  #receives(record: SwitchRecord, refs: readonly Ref[], port: Port | undefined): boolean {
    if (!port?.migration) return true;
    const bound = boundTo(port, this.#state);
    if (bound?.dpid === record.dpid && refs.includes(refOf(bound))) return true;
    return isBeforeSwitch(port) && port.migration.deliver === 'both';
  }

  #set(record: SwitchRecord, no: number, member: Member | undefined, effect: MutableEffect): void {
    const old = record.members.get(no);
    if (old?.network === member?.network && old?.port === member?.port && old?.receives === member?.receives) return;
    for (const port of [old?.port, member?.port]) {
      if (!port) continue;
      effect.ports.add(portKey(port));
      addTo(effect.tenants, port.tenant, record.dpid);
    }
    if (old?.port) removeFrom(record.placed, portKey(old.port), no);
    if (member?.port) addTo(record.placed, portKey(member.port), no);
    const claimedBefore = record.claimed;
    record.claimed += (member?.port ? 1 : 0) - (old?.port ? 1 : 0);
    if ((claimedBefore === 0) !== (record.claimed === 0)) effect.switches.add(record.dpid);
    if (member) record.members.set(no, member);
    else record.members.delete(no);
    effect.places.push({ dpid: record.dpid, no, before: old, after: member });
    // A port that turns from declared to learned is punted differently: that counts as a change of the network's ports.
    const alike = isLearned(old) === isLearned(member) && old?.receives === member?.receives;
    if (old?.network === member?.network && alike) return;
    for (const network of new Set([old?.network, member?.network])) {
      if (network !== undefined) addTo(effect.locals, network, record.dpid);
    }
    if (old?.network === member?.network) return;
    const site = (network: number) => ({ dpid: record.dpid, component: this.#component(record, network) });
    if (old) this.#segments.leave(old.network, site(old.network), no, effect);
    if (member) this.#segments.join(member.network, site(member.network), no, effect);
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
    for (const network of this.networksOn(record.dpid)) {
      if (!this.#overlays.has(network)) this.#segments.move(network, record.dpid, from, to, effect);
    }
  }
}

function removeFrom(placed: Map<string, Set<number>>, key: string, no: number): void {
  const ports = placed.get(key);
  ports?.delete(no);
  if (ports?.size === 0) placed.delete(key);
}

/** A form that can be compared. */
const plain = (vtep: Vtep | undefined): unknown =>
  vtep && [vtep.hypervisor, vtep.addresses.map(({ family, value }) => [family, String(value)]), [...vtep.ports].sort()];

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

/** True while a host may have rules: its port is a learned one of its network, and nobody declared its MAC there. */
export function isWelcome(host: Host, membership: Membership): boolean {
  const member = membership.at(host.at.dpid, host.at.port);
  return (
    isLearned(member) && member?.network === host.network && membership.declaredAs(host.network, host.mac) === undefined
  );
}
