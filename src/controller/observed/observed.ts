import { isDeepStrictEqual } from 'node:util';
import {
  Bus,
  type Clock,
  type Dpid,
  InvariantError,
  type IpAddress,
  type ListenerFailure,
  type Mac,
} from '../kernel/index.ts';
import { type HintSink, type KnownBefore, type KnownHost, noHints } from './hints.ts';
import { Holds } from './holds.ts';
import { type EndpointRange, type HostChange, HostTable } from './hosts.ts';
import { LinkTable, sameAttachment } from './links.ts';
import {
  factsOf,
  firstRole,
  isRealPort,
  type PortDescription,
  remembered,
  type SwitchDescription,
  SwitchTable,
} from './switches.ts';
import { Topology } from './topology.ts';
import type {
  Attachment,
  FailedPort,
  Gateway,
  GatewayOf,
  Host,
  Link,
  NextHops,
  ObservedChange,
  ObservedDevice,
  ObservedPort,
  ObservedSwitch,
  ObservedTunnel,
  ObservedWriter,
  PortLabel,
  PortRole,
  TunnelHealth,
  TunnelType,
} from './types.ts';

/** Settings of observed state. Times in ms. */
export interface ObservedOptions {
  readonly clock: Clock;
  /** Where facts for the next run go; nowhere when absent. */
  readonly hints?: HintSink;
  /** Hears of listeners that throw. */
  readonly onFailure: ListenerFailure;
  /** How long a switch may be disconnected before paths avoid it where they can. Default 10,000. */
  readonly switchHoldMs?: number;
  /** The same for switches of the last run that have not come back after a start. Default 30,000. */
  readonly startHoldMs?: number;
  /** How long an address stays with a host that does not use it while another host claims it. Default 300,000. */
  readonly addressHoldMs?: number;
  /** Endpoint ids of learned hosts; only tests narrow them. */
  readonly endpoints?: EndpointRange;
}

const NO_LABEL: PortLabel = {};
/** Port changes of one switch within this are remembered together. */
const REMEMBER_MS = 50;

/**
 * What switches report: themselves, their ports, links between them, hosts behind them.
 *
 * A switch that disconnects keeps its ports, links and hosts: it goes on forwarding without us, and rules computed from them
 * stay right. Only when it has been away for the hold time do paths through it become the last resort: taken where there is
 * no other way, avoided everywhere else. A cable that is cut shows at once by the port status of whichever end is connected.
 */
export class Observed implements ObservedWriter {
  readonly #clock: Clock;
  readonly #hints: HintSink;
  readonly #bus: Bus<{ change: ObservedChange }>;
  readonly #switchHoldMs: number;
  readonly #startHoldMs: number;
  readonly #addressHoldMs: number;
  readonly #switches = new SwitchTable();
  readonly #links = new LinkTable();
  readonly #hosts: HostTable;
  readonly #topology = new Topology();
  readonly #badLldp = new Map<Dpid, Map<number, number>>();
  /** What databases told in this run, by port name. */
  readonly #labels = new Map<Dpid, ReadonlyMap<string, PortLabel>>();
  /** Those among them that have an error, by port name, and the names by interface id. */
  readonly #failed = new Map<Dpid, { readonly errors: Map<string, string>; readonly names: Map<string, string> }>();
  /** By switch, then `type/hypervisor`. */
  readonly #tunnels = new Map<Dpid, Map<string, ObservedTunnel>>();
  readonly #gateways = new Map<GatewayOf, Gateway>();
  readonly #devices = new Map<string, ObservedDevice>();
  readonly #holds: Holds;
  readonly #unremembered = new Set<Dpid>();
  #cancelRemember: (() => void) | undefined;
  readonly #untold: ObservedChange[] = [];
  #telling = false;
  #revision = 0;

  constructor(options: ObservedOptions) {
    this.#clock = options.clock;
    this.#hints = options.hints ?? noHints;
    this.#bus = new Bus(options.onFailure);
    this.#switchHoldMs = options.switchHoldMs ?? 10_000;
    this.#startHoldMs = options.startHoldMs ?? 30_000;
    this.#addressHoldMs = options.addressHoldMs ?? 300_000;
    this.#hosts = new HostTable(options.endpoints);
    this.#holds = new Holds(options.clock, (dpids) => {
      this.#topology.setAway(dpids, true);
      this.#commit();
    });
  }

  /** Tells every change, after it is made, until the function returned is called. The name stands in failure reports. */
  onChange(name: string, listener: (change: ObservedChange) => void): () => void {
    return this.#bus.on('change', name, listener);
  }

  /**
   * Takes what earlier runs left behind: switches as disconnected, links as presumed. Called once, before anything else;
   * tells no changes. Links and hosts whose switch or port is not among them are left out.
   */
  load(known: KnownBefore): void {
    const now = this.#clock.now();
    const ends = new Set<string>();
    for (const { from, to } of known.links) for (const end of [from, to]) ends.add(`${end.dpid}/${end.port}`);
    for (const hint of known.switches) {
      const { view, ports } = remembered(hint, now, (no) => ends.has(`${hint.dpid}/${no}`));
      this.#switches.put(view, ports);
      this.#topology.addSwitch(hint.dpid);
    }
    this.#topology.bulk(() => {
      for (const { from, to, since } of known.links) {
        if (this.#canLink(from) && this.#canLink(to)) this.#setLink(from, { from, to, since, presumed: true }, false);
        else this.#hints.deleteLink(from);
      }
    });
    for (const { dpid, ports } of this.#switches.views.values()) {
      for (const port of ports.keys()) this.#unlinked({ dpid, port });
    }
    for (const hint of known.hosts) {
      const role = this.#switches.port(hint.at.dpid, hint.at.port)?.role;
      const welcome = this.#switches.get(hint.at.dpid) !== undefined && role !== 'link';
      if (!welcome || !this.#hosts.load(hint, now)) this.#hints.deleteHost(hint.network, hint.mac);
    }
    for (const { of, dpid, former } of known.gateways) this.#gateways.set(of, { dpid, former });
    this.#topology.takeAffected();
    this.#untold.length = 0;
    this.#revision++;
    this.#holds.start(this.#switches.views.keys(), this.#startHoldMs);
  }

  /** Stops timers and hands what is not remembered yet to the hints. */
  close(): void {
    this.#holds.close();
    this.#remember();
  }

  /** Hands what is not remembered yet to the hints at once. */
  rememberNow(): void {
    this.#remember();
  }

  // --- switches and ports, as sessions report them ---

  /** A switch has completed its handshake. Ports that are as they were keep their role, links and hosts. */
  switchUp(description: SwitchDescription): void {
    const { dpid, index } = description;
    const before = this.#switches.get(dpid);
    const holder = this.#switches.byIndex(index);
    if ((before && before.index !== index) || (holder && holder.dpid !== dpid)) {
      throw new InvariantError(`${dpid}: index ${index} is not its own`, { dpid, index });
    }
    const ports = new Map<number, ObservedPort>();
    for (const port of description.ports) {
      if (isRealPort(port.no)) ports.set(port.no, this.#merged(dpid, before?.ports.get(port.no), port));
    }
    const { remote, manufacturer, hardware, software, nicira } = description;
    const since = this.#clock.now();
    const after = { dpid, index, connected: true, remote, since, manufacturer, hardware, software, nicira, ports };
    this.#switches.put(after, ports);
    this.#topology.addSwitch(dpid);
    this.#holds.stop(dpid);
    this.#topology.setAway([dpid], false);
    this.#tell({ kind: 'switch', dpid, before, after });
    for (const [no, port] of ports) {
      if (port !== before?.ports.get(no)) this.#portDiffers(dpid, no, before?.ports.get(no), port);
    }
    for (const [no, port] of before?.ports ?? []) if (!ports.has(no)) this.#portDiffers(dpid, no, port, undefined);
    this.#toRemember(dpid);
    this.#commit();
  }

  /** The session is gone. */
  switchDown(dpid: Dpid): void {
    const before = this.#switches.get(dpid);
    if (!before?.connected) return;
    const after: ObservedSwitch = { ...before, connected: false, remote: '', since: this.#clock.now() };
    this.#switches.update(after);
    this.#holds.start([dpid], this.#switchHoldMs);
    this.#tell({ kind: 'switch', dpid, before, after });
    this.#commit();
  }

  /** Port status: added or modified. */
  portChanged(dpid: Dpid, description: PortDescription): void {
    if (!this.#switches.get(dpid) || !isRealPort(description.no)) return;
    const before = this.#switches.port(dpid, description.no);
    const after = this.#merged(dpid, before, description);
    if (after === before) return;
    this.#switches.putPort(dpid, after);
    this.#portDiffers(dpid, after.no, before, after);
    this.#toRemember(dpid);
    this.#commit();
  }

  /** Port status: deleted. */
  portRemoved(dpid: Dpid, no: number): void {
    const before = this.#switches.port(dpid, no);
    if (!before) return;
    this.#switches.deletePort(dpid, no);
    this.#portDiffers(dpid, no, before, undefined);
    this.#toRemember(dpid);
    this.#commit();
  }

  /** Forgets a disconnected switch with its links and hosts. False, and nothing done, when it is connected or unknown. */
  forgetSwitch(dpid: Dpid): boolean {
    const before = this.#switches.get(dpid);
    if (!before || before.connected) return false;
    this.#switches.delete(dpid);
    this.#holds.stop(dpid);
    this.#unremembered.delete(dpid);
    this.#badLldp.delete(dpid);
    this.#labels.delete(dpid);
    this.#tell({ kind: 'switch', dpid, before, after: undefined });
    for (const port of before.ports.keys()) {
      this.#dropLinks({ dpid, port });
      this.#forgetHosts({ dpid, port });
    }
    for (const host of [...this.#hosts.all()]) {
      if (host.at.dpid === dpid) this.#hostDiffers(this.#hosts.forget(host.network, host.mac));
    }
    this.#hosts.forgetSwitch(dpid);
    this.#topology.removeSwitch(dpid);
    this.#commit();
    return true;
  }

  // --- reading ---

  get revision(): number {
    return this.#revision;
  }

  get switches(): ReadonlyMap<Dpid, ObservedSwitch> {
    return this.#switches.views;
  }

  switchByIndex(index: number): ObservedSwitch | undefined {
    return this.#switches.byIndex(index);
  }

  resolvePort(dpid: Dpid, ref: string | number): ObservedPort | undefined {
    return this.#switches.resolve(dpid, ref);
  }

  portOfInterface(dpid: Dpid, interfaceId: string): ObservedPort | undefined {
    return this.#switches.ofInterface(dpid, interfaceId);
  }

  isLabelled(dpid: Dpid): boolean {
    return this.#labels.has(dpid);
  }

  failedPort(dpid: Dpid, by: { readonly name: string } | { readonly interfaceId: string }): FailedPort | undefined {
    const failed = this.#failed.get(dpid);
    const name = 'name' in by ? by.name : failed?.names.get(by.interfaceId);
    const error = name === undefined ? undefined : failed?.errors.get(name);
    return name === undefined || error === undefined ? undefined : { name, error };
  }

  links(): Iterable<Link> {
    return this.#links.all();
  }

  linkFrom(at: Attachment): Link | undefined {
    return this.#links.from(at);
  }

  component(dpid: Dpid): ReadonlySet<Dpid> {
    return this.#topology.component(dpid);
  }

  nextHops(from: Dpid, to: Dpid): NextHops | undefined {
    return this.#topology.nextHops(from, to);
  }

  tunnel(dpid: Dpid, to: string, type: TunnelType): TunnelHealth | undefined {
    return this.#tunnels.get(dpid)?.get(`${type}/${to}`)?.health;
  }

  device(id: string): ObservedDevice | undefined {
    return this.#devices.get(id);
  }

  *tunnels(): Iterable<ObservedTunnel> {
    for (const ends of this.#tunnels.values()) yield* ends.values();
  }

  gateway(of: GatewayOf): Gateway | undefined {
    return this.#gateways.get(of);
  }

  host(network: number, mac: Mac): Host | undefined {
    return this.#hosts.get(network, mac);
  }

  hostsOf(network: number): Iterable<Host> {
    return this.#hosts.of(network);
  }

  hostsAt(at: Attachment): Iterable<Host> {
    return this.#hosts.at(at);
  }

  hostCountAt(at: Attachment): number {
    return this.#hosts.countAt(at);
  }

  hosts(): Iterable<Host> {
    return this.#hosts.all();
  }

  get hostCount(): number {
    return this.#hosts.size;
  }

  badLldp(at: Attachment): number {
    return this.#badLldp.get(at.dpid)?.get(at.port) ?? 0;
  }

  // --- writing, for apps ---

  linkSeen(from: Attachment, to: Attachment): void {
    if (!this.#canLink(from) || !this.#canLink(to) || sameAttachment(from, to)) return;
    const before = this.#links.from(from);
    const same = before !== undefined && sameAttachment(before.to, to);
    if (same && !before.presumed) return;
    const since = same ? before.since : this.#clock.now();
    this.#setRole(from, 'link');
    this.#setRole(to, 'link');
    const after: Link = { from: copy(from), to: copy(to), since, presumed: false };
    this.#setLink(from, after, true);
    if (before && !same) this.#unlinked(before.to);
    this.#forgetHosts(from);
    this.#forgetHosts(to);
    this.#commit();
  }

  linkLost(from: Attachment): void {
    const link = this.#links.from(from);
    if (!link) return;
    this.#setLink(from, undefined, true);
    this.#unlinked(link.from);
    this.#unlinked(link.to);
    this.#commit();
  }

  portSettled(at: Attachment): void {
    const port = this.#switches.port(at.dpid, at.port);
    if (port?.role !== 'pending' || !port.up) return;
    this.#setRole(at, 'edge');
    this.#commit();
  }

  learnHost(network: number, mac: Mac, at: Attachment, active = true): Host {
    const { host, change } = this.#hosts.learn(network, mac, at, active, this.#clock.now());
    if (change) {
      this.#hostDiffers(change);
      this.#commit();
    }
    return host;
  }

  learnAddress(network: number, mac: Mac, address: IpAddress): Host | undefined {
    const { holder, changes } = this.#hosts.bind(network, mac, address, this.#clock.now(), this.#addressHoldMs);
    for (const change of changes) this.#hostDiffers(change);
    if (changes.length > 0) this.#commit();
    return holder;
  }

  forgetHost(network: number, mac: Mac): void {
    this.#hostDiffers(this.#hosts.forget(network, mac));
    this.#commit();
  }

  labelPorts(dpid: Dpid, labels: ReadonlyMap<string, PortLabel>): void {
    this.#labels.set(dpid, labels);
    const failed = { errors: new Map<string, string>(), names: new Map<string, string>() };
    for (const [name, { error, interfaceId }] of labels) {
      if (error === undefined) continue;
      failed.errors.set(name, error);
      if (interfaceId !== undefined) failed.names.set(interfaceId, name);
    }
    if (failed.errors.size > 0) this.#failed.set(dpid, failed);
    else this.#failed.delete(dpid);
    for (const before of [...(this.#switches.get(dpid)?.ports.values() ?? [])]) {
      const after = this.#merged(dpid, before, before);
      if (after === before) continue;
      this.#switches.putPort(dpid, after);
      this.#portDiffers(dpid, after.no, before, after);
      this.#toRemember(dpid);
    }
    this.#commit();
  }

  deviceIs(id: string, device: ObservedDevice | undefined): void {
    const before = this.#devices.get(id);
    if (isDeepStrictEqual(before, device)) return;
    if (device) this.#devices.set(id, device);
    else this.#devices.delete(id);
    this.#tell({ kind: 'device', device: id, before, after: device });
    this.#commit();
  }

  tunnelIs(dpid: Dpid, to: string, type: TunnelType, health: Omit<TunnelHealth, 'since'> | undefined): void {
    const ends = this.#tunnels.get(dpid) ?? new Map<string, ObservedTunnel>();
    const key = `${type}/${to}`;
    const before = ends.get(key)?.health;
    if (before?.state === health?.state && before?.reason === health?.reason) return;
    const after = health && { ...health, since: before?.state === health.state ? before.since : this.#clock.now() };
    if (after) this.#tunnels.set(dpid, ends.set(key, { dpid, to, type, health: after }));
    else if (ends.delete(key) && ends.size === 0) this.#tunnels.delete(dpid);
    this.#tell({ kind: 'tunnel', dpid, to, type, before, after });
    this.#commit();
  }

  gatewayIs(of: GatewayOf, after: Gateway | undefined): void {
    const before = this.#gateways.get(of);
    if (before?.dpid === after?.dpid && before?.former === after?.former) return;
    if (after === undefined) {
      this.#gateways.delete(of);
      this.#hints.deleteGateway(of);
    } else {
      this.#gateways.set(of, after);
      this.#hints.putGateway({ of, ...after });
    }
    this.#tell({ kind: 'gateway', of, before, after });
    this.#commit();
  }

  countBadLldp(at: Attachment): void {
    const ports = this.#badLldp.get(at.dpid) ?? new Map<number, number>();
    this.#badLldp.set(at.dpid, ports.set(at.port, (ports.get(at.port) ?? 0) + 1));
  }

  // --- inside ---

  #merged(dpid: Dpid, before: ObservedPort | undefined, port: PortDescription): ObservedPort {
    const labels = this.#labels.get(dpid);
    if (labels) return merge(before, port, labels.get(port.name) ?? NO_LABEL);
    return merge(before, port, before?.name === port.name ? before : NO_LABEL);
  }

  /** A port that was replaced, went down, or vanished has lost what was proven of it. */
  #portDiffers(dpid: Dpid, no: number, before: ObservedPort | undefined, after: ObservedPort | undefined): void {
    const at = { dpid, port: no };
    this.#tell({ kind: 'observed-port', dpid, no, before, after });
    if (!before) return;
    const same = after?.name === before.name && after.mac === before.mac;
    if (!same || !after.up || after.role === 'tunnel') this.#dropLinks(at);
    if (!same || after.role === 'tunnel') this.#forgetHosts(at);
    if (!after) this.#badLldp.get(dpid)?.delete(no);
  }

  #canLink(at: Attachment): boolean {
    const port = this.#switches.port(at.dpid, at.port);
    return port?.up === true && port.role !== 'local' && port.role !== 'tunnel';
  }

  #setRole(at: Attachment, role: PortRole): void {
    const before = this.#switches.port(at.dpid, at.port);
    if (!before || before.role === role) return;
    const after: ObservedPort = { ...before, role };
    this.#switches.putPort(at.dpid, after);
    this.#tell({ kind: 'observed-port', dpid: at.dpid, no: at.port, before, after });
    this.#toRemember(at.dpid);
  }

  /** A port that no link touches any more may be anything. */
  #unlinked(at: Attachment): void {
    if (this.#switches.port(at.dpid, at.port)?.role === 'link' && !this.#links.touches(at))
      this.#setRole(at, 'pending');
  }

  /** Puts the link that leaves from a port, or takes it away, and keeps cables in step. */
  #setLink(from: Attachment, after: Link | undefined, remember: boolean): void {
    const before = this.#links.from(from);
    const same = before !== undefined && after !== undefined && sameAttachment(before.to, after.to);
    if (before && !same && this.#links.isCable(before)) this.#topology.removeCable(before.from, before.to);
    if (after) this.#links.put(after);
    else this.#links.delete(from);
    if (after && !same && this.#links.isCable(after)) this.#topology.addCable(after.from, after.to);
    this.#tell({ kind: 'link', before, after });
    if (!remember) return;
    if (after) this.#hints.putLink(after);
    else this.#hints.deleteLink(from);
  }

  #dropLinks(at: Attachment): void {
    const leaving = this.#links.from(at);
    for (const link of leaving ? [leaving, ...this.#links.into(at)] : this.#links.into(at)) {
      this.#setLink(link.from, undefined, true);
      this.#unlinked(link.from);
      this.#unlinked(link.to);
    }
  }

  #forgetHosts(at: Attachment): void {
    if (this.#hosts.countAt(at) === 0) return;
    for (const host of [...this.#hosts.at(at)]) this.#hostDiffers(this.#hosts.forget(host.network, host.mac));
  }

  #hostDiffers(change: HostChange | undefined): void {
    if (!change) return;
    this.#tell({ kind: 'host', before: change.before, after: change.after });
    // The next run has to want the same rules, and only active hosts have some.
    if (change.after?.active) this.#hints.putHost(change.after satisfies KnownHost);
    else if (change.before?.active) this.#hints.deleteHost(change.before.network, change.before.mac);
  }

  #toRemember(dpid: Dpid): void {
    this.#unremembered.add(dpid);
    this.#cancelRemember ??= this.#clock.after(REMEMBER_MS, () => this.#remember());
  }

  #remember(): void {
    this.#cancelRemember?.();
    this.#cancelRemember = undefined;
    for (const dpid of this.#unremembered) {
      const view = this.#switches.get(dpid);
      if (view) this.#hints.putSwitch(dpid, factsOf(view));
    }
    this.#unremembered.clear();
  }

  #tell(change: ObservedChange): void {
    this.#untold.push(change);
    this.#revision++;
  }

  /** Tells all changes made so far, in order. Changes made by listeners meanwhile are told by the outermost call. */
  #commit(): void {
    const dpids = this.#topology.takeAffected();
    if (dpids.size > 0) this.#tell({ kind: 'paths', dpids });
    if (this.#telling) return;
    this.#telling = true;
    for (let at = 0; at < this.#untold.length; at++) this.#bus.emit('change', this.#untold[at]!);
    this.#untold.length = 0;
    this.#telling = false;
  }
}

const copy = ({ dpid, port }: Attachment): Attachment => ({ dpid, port });

/**
 * The port after a report. It keeps its role while it is the same port (number, name, MAC) and has stayed up. Returns `before`
 * itself when nothing differs.
 */
function merge(before: ObservedPort | undefined, port: PortDescription, label: PortLabel): ObservedPort {
  const { no, name, mac, up, currentSpeed } = port;
  const { interfaceId, attachedMac, tunnel } = label;
  const stayed =
    before !== undefined && before.name === name && before.mac === mac && before.up && up && before.tunnel === tunnel;
  const role = stayed ? before.role : firstRole(no, label);
  const same =
    before !== undefined &&
    before.name === name &&
    before.mac === mac &&
    before.up === up &&
    before.currentSpeed === currentSpeed &&
    before.role === role &&
    before.interfaceId === interfaceId &&
    before.attachedMac === attachedMac &&
    before.tunnel === tunnel;
  if (same) return before;
  return {
    no,
    name,
    mac,
    up,
    currentSpeed,
    role,
    ...(interfaceId === undefined ? {} : { interfaceId }),
    ...(attachedMac === undefined ? {} : { attachedMac }),
    ...(tunnel === undefined ? {} : { tunnel }),
  };
}
