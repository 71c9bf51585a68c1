import type { Dpid, IpAddress, Mac } from '../kernel/index.ts';

/**
 * What a port is to the fabric. `pending`: no link found yet and the discovery hold time is not over, so it may still be a
 * link. `edge`: hosts live there. `link`: another of our switches is there. `tunnel`: an overlay's tunnels begin and end there.
 * `local`: the switch's own (OFPP_LOCAL).
 */
export type PortRole = 'pending' | 'edge' | 'link' | 'tunnel' | 'local';

/** Encapsulations between tunnel endpoints. */
export type TunnelType = 'vxlan' | 'nvgre';

/** What the switch's database says of a port, by the port's name. */
export interface PortLabel {
  /** `external_ids:iface-id`: whose NIC it is. */
  readonly interfaceId?: string;
  /** `external_ids:attached-mac`: the MAC of the guest behind it. */
  readonly attachedMac?: Mac;
  /** A tunnel port of ours. */
  readonly tunnel?: TunnelType;
  /** Why the switch could not make the port, or not as it was asked to, in its own words. */
  readonly error?: string;
}

/** A port that a switch's database says is wrong. */
export interface FailedPort {
  readonly name: string;
  readonly error: string;
}

/** A port as the switch describes it. Key is the number, never the name. */
export interface ObservedPort {
  readonly no: number;
  readonly name: string;
  readonly mac: Mac;
  /** Not administratively down and with carrier. */
  readonly up: boolean;
  /** Current speed, kbit/s; 0 when unknown. */
  readonly currentSpeed: number;
  readonly role: PortRole;
  readonly interfaceId?: string;
  readonly attachedMac?: Mac;
  readonly tunnel?: TunnelType;
}

/** A switch as it describes itself. Stays, with `connected: false`, while its index is stored. */
export interface ObservedSwitch {
  readonly dpid: Dpid;
  /** Positional number in the fabric, 1…16383, allocated once and stored. */
  readonly index: number;
  readonly connected: boolean;
  /** Peer address of the connection, empty when disconnected. */
  readonly remote: string;
  readonly since: number;
  readonly manufacturer: string;
  readonly hardware: string;
  readonly software: string;
  readonly nicira: boolean;
  readonly ports: ReadonlyMap<number, ObservedPort>;
}

/** A point where a cable ends. */
export interface Attachment {
  readonly dpid: Dpid;
  readonly port: number;
}

/**
 * One direction of a cable, proven by a signed probe (or presumed from the last run until the probe time-out). It stays
 * while a switch at one of its ends is not connected: the data plane outlives us, and nothing can refute it then. Paths use
 * a cable only when both of its directions are here.
 */
export interface Link {
  readonly from: Attachment;
  readonly to: Attachment;
  readonly since: number;
  readonly presumed: boolean;
}

/** Somebody seen on an edge port. `network` is the network's index; identity is (network, mac). */
export interface Host {
  readonly network: number;
  readonly mac: Mac;
  readonly at: Attachment;
  /** Endpoint id on its switch, for positional addresses; learned hosts use 2^23…2^24−1, unique per switch. */
  readonly endpoint: number;
  readonly addresses: readonly IpAddress[];
  /** Unicast traffic from or to it was seen: it gets rules. Who was only heard by broadcast needs none yet. */
  readonly active: boolean;
  readonly firstSeen: number;
  readonly lastSeen: number;
}

/** How the way from a switch to a tunnel endpoint is. */
export interface TunnelHealth {
  readonly state: 'up' | 'down' | 'unknown';
  /** When it became so, ms since 1970. */
  readonly since: number;
  /** Why. */
  readonly reason: string;
}

/** The way from a switch to a hypervisor through tunnels of one type. */
export interface ObservedTunnel {
  readonly dpid: Dpid;
  readonly to: string;
  readonly type: TunnelType;
  readonly health: TunnelHealth;
}

/** What has a gateway: a network that extends another one, by its index, or a port on a VLAN with hypervisors that stand by, by its endpoint id. */
export type GatewayOf = `network/${number}` | `endpoint/${number}`;

/** Who carries frames between the two sides of a segment. */
export interface Gateway {
  readonly dpid: Dpid;
  /** Who did before, while it may not know yet that it does no more: the new one carries nothing over that comes from there. */
  readonly former: Dpid | undefined;
}

/** Why something that is wanted of a hardware VTEP cannot be. Stable API. */
export type DeviceReason =
  | 'SwitchMissing'
  | 'PortMissing'
  | 'PortTaken'
  | 'VlanTaken'
  | 'VniTaken'
  | 'InUse'
  | 'Invalid'
  | 'WantedTwice'
  | 'NoReplicationMode';

export interface DeviceProblem {
  readonly reason: DeviceReason;
  readonly message: string;
  /** `tenant/network` that it is about; undefined: the whole device. */
  readonly network: string | undefined;
  /** `port/vlan` that it is about; undefined: all of the network. */
  readonly at: string | undefined;
}

/** A hardware VTEP as its database tells. Networks are named `tenant/network`. */
export interface ObservedDevice {
  /** Why there is no session with its database; undefined while there is one. The rest is then its last word. */
  readonly away: string | undefined;
  /** Networks by `port/vlan` that they are bound to. */
  readonly bindings: ReadonlyMap<string, string>;
  readonly problems: readonly DeviceProblem[];
  /** MACs that it has learned on its own ports, by network. */
  readonly macs: ReadonlyMap<string, ReadonlySet<Mac>>;
}

export type ObservedChange =
  | {
      readonly kind: 'device';
      /** Id of the hypervisor object. */
      readonly device: string;
      readonly before: ObservedDevice | undefined;
      readonly after: ObservedDevice | undefined;
    }
  | {
      readonly kind: 'tunnel';
      readonly dpid: Dpid;
      /** Id of the hypervisor at the other end. */
      readonly to: string;
      readonly type: TunnelType;
      readonly before: TunnelHealth | undefined;
      readonly after: TunnelHealth | undefined;
    }
  | {
      readonly kind: 'gateway';
      readonly of: GatewayOf;
      readonly before: Gateway | undefined;
      readonly after: Gateway | undefined;
    }
  | {
      readonly kind: 'switch';
      readonly dpid: Dpid;
      readonly before: ObservedSwitch | undefined;
      readonly after: ObservedSwitch | undefined;
    }
  | {
      readonly kind: 'observed-port';
      readonly dpid: Dpid;
      readonly no: number;
      readonly before: ObservedPort | undefined;
      readonly after: ObservedPort | undefined;
    }
  | { readonly kind: 'link'; readonly before: Link | undefined; readonly after: Link | undefined }
  | { readonly kind: 'paths' /** Switches whose next hops or component changed. */; readonly dpids: ReadonlySet<Dpid> }
  | { readonly kind: 'host'; readonly before: Host | undefined; readonly after: Host | undefined };

/** Ways from one switch towards another. */
export interface NextHops {
  /** Ports on shortest paths, ascending. */
  readonly equal: readonly number[];
  /** A loop-free alternate port (its neighbour is nearer to the target than through us), or undefined. */
  readonly backup: number | undefined;
}

/** Reading side of observed state. */
export interface ObservedReader {
  readonly revision: number;
  readonly switches: ReadonlyMap<Dpid, ObservedSwitch>;
  switchByIndex(index: number): ObservedSwitch | undefined;
  /**
   * The port by number or name (a name that two ports share names neither). Never the switch's own port (OFPP_LOCAL): it is
   * no place for tenants.
   */
  resolvePort(dpid: Dpid, ref: string | number): ObservedPort | undefined;
  /** The port whose interface has this id; undefined as well when more than one has. */
  portOfInterface(dpid: Dpid, interfaceId: string): ObservedPort | undefined;
  /** What is wrong with the port of this name, or for this interface, as the switch's database says; undefined: nothing that we know. */
  failedPort(dpid: Dpid, by: { readonly name: string } | { readonly interfaceId: string }): FailedPort | undefined;
  /** True once the switch's database has told of its ports in this run: what is not there then is not there. */
  isLabelled(dpid: Dpid): boolean;
  /** In order of (dpid, port) that they leave from. */
  links(): Iterable<Link>;
  linkFrom(at: Attachment): Link | undefined;
  /** Switches that can be reached over links from this one, itself among them. Live: read it, don't keep it. */
  component(dpid: Dpid): ReadonlySet<Dpid>;
  /** Undefined when there is no way, or when from = to. */
  nextHops(from: Dpid, to: Dpid): NextHops | undefined;
  /** How the way from a switch to a hypervisor is; undefined while nobody has looked. */
  tunnel(dpid: Dpid, to: string, type: TunnelType): TunnelHealth | undefined;
  tunnels(): Iterable<ObservedTunnel>;
  gateway(of: GatewayOf): Gateway | undefined;
  /** A hardware VTEP by the id of its hypervisor object; undefined while its database was not heard of in this run. */
  device(id: string): ObservedDevice | undefined;
  host(network: number, mac: Mac): Host | undefined;
  hostsOf(network: number): Iterable<Host>;
  hostsAt(at: Attachment): Iterable<Host>;
  hostCountAt(at: Attachment): number;
  hosts(): Iterable<Host>;
  readonly hostCount: number;
  /** LLDP frames that came in at this port and were refused. */
  badLldp(at: Attachment): number;
}

/**
 * Writing side, for the apps that find things out. A call first changes everything it has to, then tells each change with a
 * revision of its own: `switch` first, then `observed-port` of each port that differs, `link` and `host`, `paths` last. What
 * a listener changes meanwhile is told after that.
 */
export interface ObservedWriter extends ObservedReader {
  /**
   * A signed probe sent out of `from` arrived at `to`. Confirms the link or makes it (in place of another one from the same
   * port); both ports become `link`, and hosts learned there are forgotten. Nothing when one of the ports is not up.
   */
  linkSeen(from: Attachment, to: Attachment): void;
  /** Takes a link (one direction) away; its ports become `pending` again when no other direction remains. */
  linkLost(from: Attachment): void;
  /** A `pending` port whose hold time is over without a probe having arrived becomes `edge`. */
  portSettled(at: Attachment): void;
  /**
   * Adds or moves a host, or refreshes `lastSeen`; allocates its endpoint id on a new switch. `active` (default true) makes
   * the host active; one that is active stays so.
   */
  learnHost(network: number, mac: Mac, at: Attachment, active?: boolean): Host;
  /**
   * Binds an address to a host. Returns the other host of this network that holds it already, which keeps it, unless it has
   * not used it for the address hold time. Addresses that no single host can have (0.0.0.0, ::, multicast, broadcast,
   * loopback) bind nothing.
   */
  learnAddress(network: number, mac: Mac, address: IpAddress): Host | undefined;
  forgetHost(network: number, mac: Mac): void;
  /**
   * What a switch's database says of its ports, by port name; all of it each time. Ports keep their labels until the next call, also
   * over a restart: without a session to the database, what it said last is what we know.
   */
  labelPorts(dpid: Dpid, labels: ReadonlyMap<string, PortLabel>): void;
  /** Notes how the way from a switch to a hypervisor is; undefined: nobody looks any more. */
  tunnelIs(dpid: Dpid, to: string, type: TunnelType, health: Omit<TunnelHealth, 'since'> | undefined): void;
  /** Says who is the gateway; undefined: nobody. Remembered over restarts. */
  gatewayIs(of: GatewayOf, gateway: Gateway | undefined): void;
  /** What a hardware VTEP's database says now, when that differs; undefined: it is none of ours any more. */
  deviceIs(id: string, device: ObservedDevice | undefined): void;
  /** Counts an LLDP frame that was refused at this port. No change is told. */
  countBadLldp(at: Attachment): void;
}
