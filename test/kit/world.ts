import {
  type Binding,
  type Compiler,
  type DesiredChange,
  type Dpid,
  describeRule,
  dpidOf,
  type Hypervisor,
  InvariantError,
  type IpAddress,
  type Mac,
  type Network,
  type NetworkState,
  type Owner,
  type Placement,
  type Port,
  type PortEdit,
  type PortLabel,
  parseIp,
  type Rule,
  rebound,
  type StateChange,
  type Tenant,
} from '../../src/controller/index.ts';
import { Desired } from '../../src/controller/model/desired.ts';
import { Observed } from '../../src/controller/observed/index.ts';
import { Simulator } from '../../src/simulate/index.ts';
import { ManualClock } from './manual-clock.ts';

export type StateCompiler = Compiler<NetworkState, StateChange>;

/** When everything happens. */
export const NOW = '2026-01-01T00:00:00Z';

const meta = (id: string) => ({
  id,
  revision: 1,
  createdAt: NOW,
  updatedAt: NOW,
});

/** Datapath id of switch n. */
export const dpid = (n: number): Dpid => dpidOf(BigInt(n));
export const ip = (text: string): IpAddress => parseIp(text)!;

/** What a test says of a port; the rest has defaults. */
export interface PortSpec {
  readonly tenant: string;
  readonly id: string;
  readonly network: string;
  readonly mac: number | 'learned';
  readonly addresses?: readonly string[];
  readonly portSecurity?: boolean;
  /** Switch number and port number or name. */
  readonly at?: readonly [number, number | string];
  /** Hypervisor and interface id, or hardware VTEP, port and VLAN, instead of `at`. */
  readonly on?: readonly [string, string] | readonly [string, string, number];
  /** Hypervisors whose port `up` leads to the untagged VLAN: the first, and one that stands by. */
  readonly uplink?: readonly [string, string];
}

/**
 * A whole network in memory: desired and observed state as in the controller, compilers run by hand. After `compile` each
 * switch holds what owners want, as the rule book would see to; `fromNothing` compiles the same state anew.
 */
export class World {
  readonly clock = new ManualClock();
  readonly desired = new Desired();
  readonly observed: Observed;
  readonly state: NetworkState;
  readonly compilers: readonly StateCompiler[];
  /** Every change, in order, before compilers see it. */
  onChange: (change: StateChange) => void = () => {};
  readonly #placements = new Map<string, { readonly owner: Owner; readonly placement: Placement }>();
  readonly #dirty = new Map<string, { readonly owner: Owner; readonly compiler: StateCompiler }>();
  #nextEndpoint = 1;
  #nextIndex = 1;

  constructor(compilers: readonly StateCompiler[], options: { readonly defaultNetwork?: boolean } = {}) {
    this.compilers = compilers;
    this.observed = new Observed({
      clock: this.clock,
      onFailure: (_event, _listener, error) => {
        throw error;
      },
    });
    this.state = {
      desired: this.desired,
      observed: this.observed,
      defaultNetwork: options.defaultNetwork ?? false,
    };
    this.observed.onChange('world', (change) => this.#changed(change));
  }

  #changed(change: StateChange): void {
    this.onChange(change);
    for (const compiler of this.compilers) {
      for (const owner of compiler.affected(change, this.state)) this.#dirty.set(owner.key, { owner, compiler });
    }
  }

  /** Owners that the changes since the last `compile` touch. */
  get dirty(): readonly string[] {
    return [...this.#dirty.keys()].sort();
  }

  /** Compiles what is dirty. */
  compile(): this {
    for (const { owner, compiler } of this.#dirty.values()) {
      const placement = compiler.compile(owner, this.state);
      if (placement.size > 0) this.#placements.set(owner.key, { owner, placement });
      else this.#placements.delete(owner.key);
    }
    this.#dirty.clear();
    return this;
  }

  // --- observed ---

  /** A switch n with index n and ports 1…count, all settled as edge ports. */
  addSwitch(n: number, count: number, over: { readonly nicira?: boolean; readonly settled?: boolean } = {}): this {
    this.observed.switchUp({
      dpid: dpid(n),
      index: n,
      remote: '127.0.0.1:1',
      manufacturer: 'Nicira, Inc.',
      hardware: 'Open vSwitch',
      software: '3.1.0',
      nicira: over.nicira ?? true,
      ports: Array.from({ length: count }, (_, i) => ({
        no: i + 1,
        name: `s${n}-eth${i + 1}`,
        mac: (0x0a00_0000_0000 + n * 0x1_0000 + i + 1) as Mac,
        up: true,
        currentSpeed: 10_000_000,
      })),
    });
    if (over.settled ?? true) {
      for (let no = 1; no <= count; no++) this.observed.portSettled({ dpid: dpid(n), port: no });
    }
    return this;
  }

  link(a: number, aPort: number, b: number, bPort: number): this {
    const [from, to] = [
      { dpid: dpid(a), port: aPort },
      { dpid: dpid(b), port: bPort },
    ];
    this.observed.linkSeen(from, to);
    this.observed.linkSeen(to, from);
    return this;
  }

  unlink(a: number, aPort: number): this {
    const from = { dpid: dpid(a), port: aPort };
    const to = this.observed.linkFrom(from)?.to;
    this.observed.linkLost(from);
    if (to) this.observed.linkLost(to);
    return this;
  }

  // --- desired ---

  apply(change: DesiredChange): this {
    this.desired.apply([change]);
    this.#changed(change);
    return this;
  }

  tenant(id: string, quota: Tenant['quota'] = {}): this {
    const before = this.desired.tenants.get(id);
    const index = before?.index ?? this.#nextIndex++;
    return this.apply({ kind: 'tenant', before, after: { ...meta(id), description: '', quota, index } });
  }

  network(tenant: string, id: string, over: Partial<Network> = {}): this {
    if (!this.desired.tenants.has(tenant)) this.tenant(tenant);
    const before = this.desired.networks.get(`${tenant}/${id}`);
    const index = before?.index ?? this.#nextIndex++;
    const after: Network = {
      ...meta(id),
      tenant,
      index,
      transport: 'fabric',
      segmentId: index as Network['segmentId'],
      instanceId: undefined,
      subnets: [],
      mtu: 1500,
      unknownUnicast: 'drop',
      flowId: 'zero',
      extends: undefined,
      gateways: [],
      ...over,
    };
    return this.apply({ kind: 'network', before, after });
  }

  port(spec: PortSpec): this {
    const before = this.desired.ports.get(`${spec.tenant}/${spec.id}`);
    const binding = bindingOf(spec);
    const after: Port = {
      ...meta(spec.id),
      tenant: spec.tenant,
      endpoint: before?.endpoint ?? this.#nextEndpoint++,
      network: spec.network,
      mac: spec.mac as Mac | 'learned',
      addresses: (spec.addresses ?? []).map(ip),
      portSecurity: spec.portSecurity ?? spec.mac !== 'learned',
      binding,
      migration: rebound(before, binding, NOW),
    };
    return this.apply({ kind: 'port', before, after });
  }

  /** One step of a port's move. Throws what the step throws. */
  move(tenant: string, id: string, step: PortEdit): this {
    const before = this.desired.ports.get(`${tenant}/${id}`)!;
    const after = step(before, NOW);
    return after === before ? this : this.apply({ kind: 'port', before, after });
  }

  deletePort(tenant: string, id: string): this {
    return this.apply({ kind: 'port', before: this.desired.ports.get(`${tenant}/${id}`), after: undefined });
  }

  deleteNetwork(tenant: string, id: string): this {
    return this.apply({ kind: 'network', before: this.desired.networks.get(`${tenant}/${id}`), after: undefined });
  }

  /** A site with these locators, or none any more. */
  site(id: string, rlocs: readonly string[] | undefined): this {
    const after = rlocs && {
      ...meta(id),
      rlocs: rlocs.map((address) => ({ address: ip(address), priority: 1, weight: 100 })),
    };
    return this.apply({ kind: 'site', before: this.desired.sites.get(id), after });
  }

  /** A tunnel endpoint; with `n` switch n is behind it. */
  hypervisor(id: string, n: number | undefined, addresses: readonly string[], site?: string): this {
    const before = this.desired.hypervisors.get(id);
    const after: Hypervisor = {
      ...meta(id),
      datapathId: n === undefined ? undefined : dpid(n),
      tunnelAddresses: addresses.map(ip),
      ovsdb: undefined,
      physicalSwitch: undefined,
      site,
    };
    return this.apply({ kind: 'hypervisor', before, after });
  }

  /** A hardware VTEP. */
  device(id: string, address: string): this {
    const before = this.desired.hypervisors.get(id);
    const after: Hypervisor = {
      ...meta(id),
      datapathId: undefined,
      tunnelAddresses: [ip(address)],
      ovsdb: undefined,
      physicalSwitch: id,
      site: undefined,
    };
    return this.apply({ kind: 'hypervisor', before, after });
  }

  deleteHypervisor(id: string): this {
    return this.apply({ kind: 'hypervisor', before: this.desired.hypervisors.get(id), after: undefined });
  }

  /** What the database of switch n says of its ports: interface ids and tunnel ports, by port number. */
  labels(n: number, labels: Readonly<Record<number, PortLabel>>): this {
    const named = Object.entries(labels).map(([no, label]) => [`s${n}-eth${no}`, label] as const);
    this.observed.labelPorts(dpid(n), new Map(named));
    return this;
  }

  // --- results ---

  /** Rules of a switch, by key. Throws when two owners want different rules of the same key. */
  rules(n: number): ReadonlyMap<string, Rule> {
    return rulesOn(dpid(n), this.#placements.values());
  }

  /** What each owner wants, as of the last `compile`. */
  placements(): Iterable<{ readonly owner: Owner; readonly placement: Placement }> {
    return this.#placements.values();
  }

  /** Readable rules of a switch, sorted; `filter` keeps those that contain it. */
  text(n: number, filter = ''): string[] {
    return textOf(this.rules(n)).filter((line) => line.includes(filter));
  }

  /** Readable rules of every switch. */
  allText(): Record<string, string[]> {
    return Object.fromEntries(
      [...this.observed.switches.keys()].sort().map((id) => [id, textOf(rulesOn(id, this.#placements.values()))]),
    );
  }

  /** The same for this state compiled from nothing, with nothing remembered. */
  fromNothing(): Record<string, string[]> {
    const state = { ...this.state };
    const all: { owner: Owner; placement: Placement }[] = [];
    for (const compiler of this.compilers) {
      for (const owner of compiler.owners(state)) all.push({ owner, placement: compiler.compile(owner, state) });
    }
    return Object.fromEntries([...this.observed.switches.keys()].sort().map((id) => [id, textOf(rulesOn(id, all))]));
  }

  /** Simulated switches that hold these rules, cabled by the links known. */
  simulator(choose?: (buckets: number) => number): Simulator {
    const simulator = new Simulator(choose);
    for (const sw of this.observed.switches.values()) {
      const simulated = simulator.addSwitch(sw.dpid, sw.ports.keys());
      simulated.replace(rulesOn(sw.dpid, this.#placements.values()).values());
      for (const port of sw.ports.values()) simulated.ports.set(port.no, port.up);
    }
    for (const sw of this.observed.switches.values()) {
      const addresses = this.desired.hypervisorByDpid(sw.dpid)?.tunnelAddresses ?? [];
      const of = (family: 4 | 6) => addresses.find((address) => address.family === family)?.value;
      const [ipv4, ipv6] = [of(4), of(6)];
      const own = { ...(ipv4 === undefined ? {} : { ipv4 }), ...(ipv6 === undefined ? {} : { ipv6 }) };
      for (const { no, tunnel } of sw.ports.values()) {
        if (tunnel !== undefined) simulator.tunnel({ dpid: sw.dpid, port: no, type: tunnel, ...own });
      }
    }
    for (const { from, to } of this.observed.links()) {
      // A direction without the other is what is left of a cable that leads elsewhere now.
      const back = this.observed.linkFrom(to)?.to;
      if (back?.dpid === from.dpid && back.port === from.port) simulator.link(from, to);
    }
    return simulator;
  }
}

function bindingOf({ on, at, uplink }: PortSpec): Binding | undefined {
  if (uplink)
    return { hypervisor: uplink[0], port: 'up', vlan: 0, standby: uplink[0] === uplink[1] ? [] : [uplink[1]] };
  if (!on) return at && { switch: dpid(at[0]), port: at[1] };
  const [hypervisor, name, vlan] = on;
  return vlan === undefined ? { hypervisor, interfaceId: name } : { hypervisor, port: name, vlan, standby: [] };
}

function rulesOn(at: Dpid, placements: Iterable<{ owner: Owner; placement: Placement }>): Map<string, Rule> {
  const rules = new Map<string, Rule>();
  const owners = new Map<string, string>();
  for (const { owner, placement } of placements) {
    for (const rule of placement.get(at) ?? []) {
      const other = owners.get(rule.key);
      if (other !== undefined) throw new InvariantError(`${other} and ${owner.key} both want ${describeRule(rule)}`);
      owners.set(rule.key, owner.key);
      rules.set(rule.key, rule);
    }
  }
  return rules;
}

const textOf = (rules: ReadonlyMap<string, Rule>): string[] => [...rules.values()].map(describeRule).sort();
