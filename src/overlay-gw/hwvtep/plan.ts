import { isIPv4 } from 'node:net';
import type { NamedUuid, Operation } from '../ovsdb/index.ts';
import type { HwvtepRow, HwvtepTable, HwvtepTables } from './tables.ts';

/** A logical network on a device. */
export interface WantedNetwork {
  /** Letters, digits, `_`, `-`, `.`, `/`. */
  readonly network: string;
  /** 1…2^24-1. */
  readonly vni: number;
  /** Physical ports and VLANs of the device that belong to it; VLAN 0: untagged. */
  readonly bindings: readonly { readonly port: string; readonly vlan: number }[];
  /** MACs elsewhere, and the IPv4 address of the tunnel end that they are behind. */
  readonly remoteMacs: readonly { readonly mac: string; readonly vtep: string }[];
  /** Tunnel ends that get broadcast, multicast and unknown unicast. */
  readonly floodTo: readonly string[];
}

/** What an owner wants of one device. */
export interface WantedHwvtep {
  /** Logical switches named `<owner>.…`, and all that hangs on them, are ours. Letters, digits, `_`, `-`. */
  readonly owner: string;
  /** Physical_Switch.name. */
  readonly switch: string;
  readonly networks: readonly WantedNetwork[];
}

/** Something wanted that cannot be: it is left out, the rest goes on. */
export interface HwvtepProblem {
  readonly reason:
    | 'switch-missing'
    | 'port-missing'
    | 'vlan-taken'
    | 'wanted-twice'
    | 'vni-taken'
    | 'invalid'
    | 'in-use'
    | 'no-replication-mode';
  readonly network: string | undefined;
  /** What it is about: a switch, `port/vlan`, MAC, VNI, address. */
  readonly subject: string;
  readonly message: string;
  /** The binding, where it is about one. */
  readonly binding?: WantedNetwork['bindings'][number];
}

export interface HwvtepPlan {
  /** One transaction; empty when all is right. */
  readonly operations: readonly Operation[];
  readonly problems: readonly HwvtepProblem[];
}

const ENCAPSULATION = 'vxlan_over_ipv4';
const UNKNOWN = 'unknown-dst';
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;

const prefixOf = (owner: string): string => `${owner}.`;
/** Name of a network's logical switch. */
export const logicalSwitchName = (owner: string, network: string): string => `${prefixOf(owner)}${network}`;
/** The network of this owner that a logical switch is for; undefined: it is somebody else's. */
export const networkOf = (owner: string, name: string): string | undefined =>
  name.startsWith(prefixOf(owner)) ? name.slice(prefixOf(owner).length) : undefined;

/** Compares what is there with what is wanted. Pure: the same rows and wishes give the same plan. Throws RangeError for a bad owner. */
export function planHwvtep(tables: HwvtepTables, wanted: WantedHwvtep): HwvtepPlan {
  if (!/^[A-Za-z0-9_-]+$/.test(wanted.owner)) throw new RangeError(`"${wanted.owner}" cannot be an owner's name`);
  return new Plan(tables, wanted).make();
}

type Reference = string | NamedUuid;
type MacTable = Extract<HwvtepTable, `${'Ucast' | 'Mcast'}_Macs_${string}`>;

class Plan {
  readonly #tables: HwvtepTables;
  readonly #wanted: WantedHwvtep;
  readonly #guards: Operation[] = [];
  readonly #operations: Operation[] = [];
  readonly #problems: HwvtepProblem[] = [];
  /** Logical switches of ours that are there, by network. */
  readonly #ours = new Map<string, string>();
  /** Locators by address, there or made by this plan. */
  readonly #locators = new Map<string, Reference>();
  readonly #guarded = new Set<string>();
  /** Rows of tables of MACs by logical switch, made when first asked for. */
  readonly #macs = new Map<MacTable, Map<string, string[]>>();
  #names = 0;

  constructor(tables: HwvtepTables, wanted: WantedHwvtep) {
    this.#tables = tables;
    this.#wanted = wanted;
    for (const [uuid, { name }] of tables.rows('Logical_Switch')) {
      const network = networkOf(wanted.owner, name);
      if (network !== undefined) this.#ours.set(network, uuid);
    }
    for (const [uuid, row] of tables.rows('Physical_Locator'))
      if (row.encapsulation_type === ENCAPSULATION && row.tunnel_key === undefined)
        this.#locators.set(row.dst_ip, uuid);
  }

  make(): HwvtepPlan {
    const { switch: name } = this.#wanted;
    const there = [...this.#tables.rows('Physical_Switch').values()].find((row) => row.name === name);
    if (!there) {
      this.#problem('switch-missing', undefined, name, `the device has no physical switch ${name}`);
      return { operations: [], problems: this.#problems };
    }
    const networks = this.#valid();
    const switches = new Map(networks.map((each) => [each.network, this.#logicalSwitch(each)]));
    this.#bindings(there.ports, networks, switches);
    for (const each of networks) {
      this.#unicast(each, switches.get(each.network)!);
      this.#flood(each, switches.get(each.network)!);
    }
    for (const [network, uuid] of this.#ours) if (!switches.has(network)) this.#remove(network, uuid);
    if (networks.length > 0 && !this.#tables.hasReplicationMode())
      this.#problem(
        'no-replication-mode',
        undefined,
        name,
        'the device has no replication mode: if it expects a service node it floods to one of the tunnel ends only',
      );
    const operations = this.#operations.length === 0 ? [] : [...this.#guards, ...this.#operations];
    return { operations, problems: this.#problems };
  }

  #valid(): WantedNetwork[] {
    const foreign = new Map<number, string>();
    for (const { name, tunnel_key } of this.#tables.rows('Logical_Switch').values())
      if (tunnel_key !== undefined && networkOf(this.#wanted.owner, name) === undefined) foreign.set(tunnel_key, name);
    const names = new Set<string>();
    const vnis = new Set<number>();
    return this.#wanted.networks.filter(({ network, vni }) => {
      const refuse = (reason: HwvtepProblem['reason'], subject: string, message: string): boolean => {
        this.#problem(reason, network, subject, message);
        return false;
      };
      if (!/^[A-Za-z0-9_./-]+$/.test(network))
        return refuse('invalid', network, `"${network}" cannot be a network's name`);
      if (!Number.isInteger(vni) || vni < 1 || vni > 0xffffff)
        return refuse('invalid', String(vni), `VNI ${vni} is not within 1…16777215`);
      if (names.has(network))
        return refuse('wanted-twice', network, `network ${network} is wanted twice; the first counts`);
      if (vnis.has(vni)) return refuse('wanted-twice', String(vni), `VNI ${vni} is wanted twice; the first counts`);
      const taken = foreign.get(vni);
      if (taken !== undefined) return refuse('vni-taken', String(vni), `VNI ${vni} is that of logical switch ${taken}`);
      names.add(network);
      vnis.add(vni);
      return true;
    });
  }

  #logicalSwitch({ network, vni }: WantedNetwork): Reference {
    const mode = this.#tables.hasReplicationMode() ? { replication_mode: 'source_node' } : {};
    const uuid = this.#ours.get(network);
    if (uuid === undefined) {
      const row = { name: logicalSwitchName(this.#wanted.owner, network), tunnel_key: vni, ...mode };
      return this.#insert('Logical_Switch', row);
    }
    const row = this.#tables.rows('Logical_Switch').get(uuid)!;
    if (row.tunnel_key !== vni || ('replication_mode' in mode && row.replication_mode !== mode.replication_mode))
      this.#operations.push({
        op: 'update',
        table: 'Logical_Switch',
        where: { uuid },
        row: { tunnel_key: vni, ...mode },
      });
    return uuid;
  }

  #bindings(
    ports: readonly string[],
    networks: readonly WantedNetwork[],
    switches: ReadonlyMap<string, Reference>,
  ): void {
    const rows = this.#tables.ports();
    const names = new Map(ports.flatMap((uuid) => (rows.has(uuid) ? [[rows.get(uuid)!.name, uuid] as const] : [])));
    const wanted = new Map<string, Map<number, Reference>>();
    for (const { network, bindings } of networks) {
      for (const binding of bindings) {
        const { port, vlan } = binding;
        const refuse = (reason: HwvtepProblem['reason'], message: string): void => {
          this.#problems.push({ reason, network, subject: `${port}/${vlan}`, message, binding });
        };
        const uuid = names.get(port);
        const bound = uuid === undefined ? undefined : rows.get(uuid)!.vlan_bindings.get(vlan);
        const here = (uuid && wanted.get(uuid)) || new Map<number, Reference>();
        if (!Number.isInteger(vlan) || vlan < 0 || vlan > 4094) refuse('invalid', `VLAN ${vlan} is not within 0…4094`);
        else if (uuid === undefined) refuse('port-missing', `${this.#wanted.switch} has no port ${port}`);
        else if (here.has(vlan)) refuse('wanted-twice', `VLAN ${vlan} of ${port} is wanted twice; the first counts`);
        else if (bound !== undefined && !this.#isOurs(bound))
          refuse('vlan-taken', `VLAN ${vlan} of ${port} is bound to ${this.#nameOf(bound)}`);
        else wanted.set(uuid, here.set(vlan, switches.get(network)!));
      }
    }
    for (const [uuid, { vlan_bindings }] of rows) {
      const here = wanted.get(uuid) ?? new Map<number, Reference>();
      const gone = [...vlan_bindings].filter(([vlan, bound]) => this.#isOurs(bound) && here.get(vlan) !== bound);
      const fresh = [...here].filter(([vlan, bound]) => vlan_bindings.get(vlan) !== bound);
      // Pairs: of what somebody else writes at the same time nothing is lost or replaced.
      const mutations = [
        ...(gone.length > 0 ? [['vlan_bindings', 'delete', new Map(gone)] as const] : []),
        ...(fresh.length > 0 ? [['vlan_bindings', 'insert', new Map(fresh)] as const] : []),
      ];
      if (mutations.length > 0)
        this.#operations.push({ op: 'mutate', table: 'Physical_Port', where: { uuid }, mutations });
    }
  }

  #unicast({ network, remoteMacs }: WantedNetwork, logicalSwitch: Reference): void {
    const wanted = new Map<string, string>();
    for (const { mac: given, vtep } of remoteMacs) {
      const mac = given.toLowerCase();
      if (!MAC.test(mac) || Number.parseInt(mac.slice(0, 2), 16) & 1)
        this.#problem('invalid', network, given, `${given} is no MAC address of one station`);
      else if (!isIPv4(vtep)) this.#problem('invalid', network, vtep, `${vtep} is no IPv4 address`);
      else if (wanted.has(mac)) this.#problem('wanted-twice', network, mac, `${mac} is wanted twice; the first counts`);
      else wanted.set(mac, vtep);
    }
    for (const [uuid, row] of this.#on('Ucast_Macs_Remote', logicalSwitch)) {
      const mac = row.MAC.toLowerCase();
      const vtep = wanted.get(mac);
      if (vtep === undefined) this.#delete('Ucast_Macs_Remote', uuid);
      else if (this.#locators.get(vtep) !== row.locator)
        this.#operations.push({
          op: 'update',
          table: 'Ucast_Macs_Remote',
          where: { uuid },
          row: { locator: this.#locator(vtep) },
        });
      // A second row of the same MAC finds nothing wanted any more.
      wanted.delete(mac);
    }
    for (const [mac, vtep] of wanted)
      this.#insert('Ucast_Macs_Remote', { MAC: mac, logical_switch: logicalSwitch, locator: this.#locator(vtep) });
  }

  #flood({ network, floodTo }: WantedNetwork, logicalSwitch: Reference): void {
    const valid = [...new Set(floodTo)].filter((vtep) => {
      if (!isIPv4(vtep)) this.#problem('invalid', network, vtep, `${vtep} is no IPv4 address`);
      return isIPv4(vtep);
    });
    let there: string | undefined;
    for (const [uuid, { MAC: mac }] of this.#on('Mcast_Macs_Remote', logicalSwitch)) {
      if (mac === UNKNOWN && there === undefined && valid.length > 0) there = uuid;
      else this.#delete('Mcast_Macs_Remote', uuid);
    }
    if (valid.length === 0) return;
    if (there !== undefined) {
      const set = this.#tables.rows('Mcast_Macs_Remote').get(there)!.locator_set;
      const members = this.#tables.rows('Physical_Locator_Set').get(set)?.locators ?? [];
      const known = new Set<Reference>(members);
      if (members.length === valid.length && valid.every((vtep) => known.has(this.#locators.get(vtep) ?? ''))) return;
    }
    const locators = valid.map((vtep) => this.#locator(vtep));
    // A set cannot be changed, only replaced.
    const row = { locator_set: this.#insert('Physical_Locator_Set', { locators }) };
    if (there === undefined) this.#insert('Mcast_Macs_Remote', { MAC: UNKNOWN, logical_switch: logicalSwitch, ...row });
    else this.#operations.push({ op: 'update', table: 'Mcast_Macs_Remote', where: { uuid: there }, row });
  }

  /** A logical switch goes with all that refers to it, or the database refuses; what the device learned there goes as well. */
  #remove(network: string, uuid: string): void {
    for (const table of ['Ucast_Macs_Remote', 'Mcast_Macs_Remote'] as const)
      for (const [row] of this.#on(table, uuid)) this.#delete(table, row);
    if (this.#tables.routed().has(uuid)) {
      this.#problem('in-use', network, this.#nameOf(uuid), 'a logical router of somebody else uses the logical switch');
      return;
    }
    for (const table of ['Ucast_Macs_Local', 'Mcast_Macs_Local'] as const)
      if (this.#on(table, uuid).length > 0)
        this.#operations.push({ op: 'delete', table, where: { columns: { logical_switch: uuid } } });
    this.#delete('Logical_Switch', uuid);
  }

  /** Rows of a table that belong to a logical switch. */
  #on<T extends MacTable>(table: T, logicalSwitch: Reference): readonly (readonly [string, HwvtepRow<T>])[] {
    if (typeof logicalSwitch !== 'string') return [];
    let index = this.#macs.get(table);
    if (!index) {
      index = new Map();
      for (const [uuid, row] of this.#tables.rows(table)) {
        const rows = index.get(row.logical_switch);
        if (rows) rows.push(uuid);
        else index.set(row.logical_switch, [uuid]);
      }
      this.#macs.set(table, index);
    }
    const rows = this.#tables.rows(table);
    return (index.get(logicalSwitch) ?? []).map((uuid) => [uuid, rows.get(uuid)!] as const);
  }

  #isOurs(logicalSwitch: string): boolean {
    const row = this.#tables.rows('Logical_Switch').get(logicalSwitch);
    return row !== undefined && networkOf(this.#wanted.owner, row.name) !== undefined;
  }

  #nameOf(logicalSwitch: string): string {
    return this.#tables.rows('Logical_Switch').get(logicalSwitch)?.name ?? logicalSwitch;
  }

  #locator(address: string): Reference {
    const known = this.#locators.get(address);
    if (known === undefined) {
      const made = this.#insert('Physical_Locator', { encapsulation_type: ENCAPSULATION, dst_ip: address });
      this.#locators.set(address, made);
      return made;
    }
    // A locator goes when nothing refers to it any more: then we have to look again.
    if (typeof known === 'string' && !this.#guarded.has(known)) {
      this.#guarded.add(known);
      this.#guards.push({ op: 'wait', table: 'Physical_Locator', where: { uuid: known }, row: { dst_ip: address } });
    }
    return known;
  }

  #insert(table: string, row: Extract<Operation, { readonly op: 'insert' }>['row']): NamedUuid {
    const name = `row${this.#names++}`;
    this.#operations.push({ op: 'insert', table, row, name });
    return { namedUuid: name };
  }

  #delete(table: string, uuid: string): void {
    this.#operations.push({ op: 'delete', table, where: { uuid } });
  }

  #problem(reason: HwvtepProblem['reason'], network: string | undefined, subject: string, message: string): void {
    this.#problems.push({ reason, network, subject, message });
  }
}
