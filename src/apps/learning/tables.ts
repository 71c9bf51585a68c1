import {
  DEFAULT_NETWORK,
  type Dpid,
  type Host,
  isLearned,
  type Membership,
  type NetworkState,
} from '../../controller/index.ts';

/** Packets of the current second, against a limit. */
export interface Budget {
  limit: number;
  second: number;
  used: number;
}

/** One copy of a flooded frame: to these ports of this switch. */
export interface FloodCopy {
  readonly dpid: Dpid;
  readonly ports: readonly number[];
}

/** A member port, as the hot path sees it. Replaced when the port carries something else. */
export interface Place {
  readonly dpid: Dpid;
  readonly no: number;
  /** The port as a list, for packet-outs that need not make one. */
  readonly ports: readonly [number];
  readonly network: NetworkTable;
  readonly learned: boolean;
  readonly tenant: string | undefined;
  readonly budget: Budget;
  /** Shared by the ports of the tenant on this switch; undefined in the default network. */
  readonly tenantBudget: Budget | undefined;
  flood: readonly FloodCopy[] | undefined;
  floodVersion: number;
}

/** Where a MAC of a network is. */
export interface Target {
  readonly mac: number;
  place: Place;
  /** It has rules: unicast traffic from or to it was seen. */
  active: boolean;
  /** Newest IPv4 address it used in ARP, and the second from which on it is looked at again. */
  address: number;
  addressDue: number;
  /** Second from which on observed state is told again that it was seen. */
  seenDue: number;
  /** Moves since `movesSince` (second). */
  moves: number;
  movesSince: number;
}

/** The learned hosts of a network by MAC. */
export interface NetworkTable {
  readonly index: number;
  readonly targets: Map<number, Target>;
  /** Raised whenever its member ports change. */
  version: number;
}

interface SwitchTable {
  readonly places: Map<number, Place>;
  readonly tenants: Map<string, Budget>;
}

/**
 * Integer-keyed tables of the packet-in path: (switch, port) → place, (network, MAC) → target. Derived from state when first
 * asked for, dropped when state changes.
 */
export class Tables {
  readonly #state: NetworkState;
  readonly #membership: Membership;
  readonly #packetsPerPort: number;
  readonly #switches = new Map<Dpid, SwitchTable>();
  readonly #networks = new Map<number, NetworkTable>();

  constructor(state: NetworkState, membership: Membership, packetsPerPort: number) {
    this.#state = state;
    this.#membership = membership;
    this.#packetsPerPort = packetsPerPort;
    for (const host of state.observed.hosts()) this.hostIs(host);
  }

  /** The member port, undefined when the port carries nothing. */
  place(dpid: Dpid, no: number): Place | undefined {
    return this.#switches.get(dpid)?.places.get(no) ?? this.#makePlace(dpid, no);
  }

  network(index: number): NetworkTable {
    let table = this.#networks.get(index);
    if (!table) {
      table = { index, targets: new Map(), version: 0 };
      this.#networks.set(index, table);
    }
    return table;
  }

  /** A host is here (now). Undefined when its port carries nothing. */
  hostIs(host: Host): Target | undefined {
    const { targets } = this.network(host.network);
    const place = this.place(host.at.dpid, host.at.port);
    const known = targets.get(host.mac);
    if (place === undefined || place.network.index !== host.network) {
      targets.delete(host.mac);
      return undefined;
    }
    if (known) {
      known.place = place;
      known.active = host.active;
      return known;
    }
    const target: Target = {
      mac: host.mac,
      place,
      active: host.active,
      address: 0,
      addressDue: 0,
      seenDue: 0,
      moves: 0,
      movesSince: 0,
    };
    targets.set(host.mac, target);
    return target;
  }

  hostGone(host: Host): void {
    this.#networks.get(host.network)?.targets.delete(host.mac);
  }

  /** The port carries something else. */
  placeChanged(dpid: Dpid, no: number): void {
    this.#switches.get(dpid)?.places.delete(no);
  }

  /** Member ports of the network changed. */
  networkChanged(index: number): void {
    const table = this.#networks.get(index);
    if (table) table.version++;
  }

  networkGone(index: number): void {
    this.#networks.delete(index);
  }

  switchGone(dpid: Dpid): void {
    this.#switches.delete(dpid);
  }

  /** The tenant's quota changed. */
  tenantChanged(tenant: string): void {
    for (const { places, tenants } of this.#switches.values()) {
      if (!tenants.delete(tenant)) continue;
      for (const [no, place] of places) if (place.tenant === tenant) places.delete(no);
    }
  }

  /** True when unknown destinations of the network are sent to all its members. */
  floodsUnknown(index: number): boolean {
    return index === DEFAULT_NETWORK || this.#state.desired.networkByIndex(index)?.unknownUnicast === 'flood';
  }

  /** Where a flooded frame from here goes: each member switch that can be reached once, all its ports but the sender's. */
  floodFrom(place: Place): readonly FloodCopy[] {
    if (place.flood !== undefined && place.floodVersion === place.network.version) return place.flood;
    const { index } = place.network;
    const copies: FloodCopy[] = [];
    const add = (network: number, from: Dpid): void => {
      for (const dpid of this.#membership.reachable(network, from)) {
        const all = this.#membership.receiversAt(network, dpid);
        const ports = dpid === place.dpid ? all.filter((no) => no !== place.no) : all;
        if (ports.length > 0) copies.push({ dpid, ports });
      }
    };
    add(index, place.dpid);
    const gateway = this.#membership.gatewayOf(index);
    const beyond = this.#membership.beyond(index);
    if (gateway !== undefined && beyond && this.#membership.reachable(index, place.dpid).includes(gateway)) {
      add(beyond.index, gateway);
    }
    place.flood = copies;
    place.floodVersion = place.network.version;
    return copies;
  }

  #makePlace(dpid: Dpid, no: number): Place | undefined {
    const member = this.#membership.at(dpid, no);
    if (!member) return undefined;
    let table = this.#switches.get(dpid);
    if (!table) {
      table = { places: new Map(), tenants: new Map() };
      this.#switches.set(dpid, table);
    }
    const tenant = member.port?.tenant;
    const place: Place = {
      dpid,
      no,
      ports: [no],
      network: this.network(member.network),
      learned: isLearned(member),
      tenant,
      budget: { limit: this.#packetsPerPort, second: 0, used: 0 },
      tenantBudget: tenant === undefined ? undefined : this.#tenantBudget(table, tenant),
      flood: undefined,
      floodVersion: 0,
    };
    table.places.set(no, place);
    return place;
  }

  #tenantBudget(table: SwitchTable, tenant: string): Budget {
    let budget = table.tenants.get(tenant);
    if (!budget) {
      const limit = this.#state.desired.tenants.get(tenant)?.quota.packetInRate ?? Number.POSITIVE_INFINITY;
      budget = { limit, second: 0, used: 0 };
      table.tenants.set(tenant, budget);
    }
    return budget;
  }
}
