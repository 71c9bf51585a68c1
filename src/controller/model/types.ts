import type { Dpid, IpAddress, IpPrefix, Mac, SegmentId } from '../kernel/index.ts';

/** Fields that we write on every stored object. */
export interface Meta {
  readonly id: string;
  readonly revision: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** Limits of a tenant; an absent one is unlimited. */
export interface Quota {
  readonly networks?: number;
  readonly ports?: number;
  /** Flows over all switches that the tenant's objects may hold. */
  readonly flows?: number;
  /** Packets per second of the tenant that each switch may send to the controller. */
  readonly packetInRate?: number;
  /** kbit/s that the tenant's ports may send, per switch. */
  readonly bandwidthKbps?: number;
}

export interface Tenant extends Meta {
  readonly description: string;
  readonly quota: Quota;
  /** Number of the tenant, allocated once and stored; names its meters. */
  readonly index: number;
}

export type Transport = 'fabric' | 'vxlan' | 'nvgre';

export interface Network extends Meta {
  readonly tenant: string;
  /** Index of the logical network, 1…2^24−2, allocated once and stored; what switches know it by. */
  readonly index: number;
  readonly transport: Transport;
  readonly segmentId: SegmentId;
  /** LISP instance id in which its ports are found; undefined: they are not. */
  readonly instanceId: number | undefined;
  readonly subnets: readonly IpPrefix[];
  readonly mtu: number;
  readonly unknownUnicast: 'drop' | 'flood';
  /** What stands in the FlowID of NVGRE: nothing, or a hash of each flow. `zero` for other transports. */
  readonly flowId: 'zero' | 'hash';
  /** Id of the network of the same tenant that this one continues on another transport. */
  readonly extends: string | undefined;
  /** Hypervisors that may be the gateway between the two, most wanted first; empty when it extends nothing. */
  readonly gateways: readonly string[];
}

export type Binding =
  | { readonly switch: Dpid /** Port name or number. */; readonly port: string | number }
  | { readonly hypervisor: string; readonly interfaceId: string }
  | {
      readonly hypervisor: string;
      /** Name of a physical port of a hardware VTEP, or of a port or bridge of a hypervisor that is not its integration bridge. */
      readonly port: string;
      /** VLAN on that port; 0: untagged. */
      readonly vlan: number;
      /** Other hypervisors whose port of this name leads to the same VLAN, most wanted first: one of all of them is used. */
      readonly standby: readonly string[];
    };

/**
 * Where a move stands. `preparing`: the new place is being programmed. `ready`: switches have confirmed it; the guest may be resumed
 * there. `switched`: it counts as being there; the old place forwards what still arrives. `done`: the old place knows nothing of it any
 * more. `aborted`: it is where it was.
 */
export type MigrationPhase = 'preparing' | 'ready' | 'switched' | 'done' | 'aborted';

/**
 * By what a guest shows at its new place that it runs there: a reverse ARP request as virtual machine monitors send, a gratuitous ARP, a
 * neighbour advertisement, or any packet that port security lets pass.
 */
export const ACTIVATION_SIGNS = ['rarp', 'garp', 'na', 'packet'] as const;
export type ActivationSign = (typeof ACTIVATION_SIGNS)[number];

/** What switched a move over: a sign of the guest, the REST call, the time-out, or that the guest's interface left the old place. */
export type ActivatedBy = ActivationSign | 'complete' | 'timeout' | 'departure';

/** A port that moves, or moved last. Times are ISO texts. */
export interface Migration {
  readonly from: Binding;
  readonly to: Binding;
  readonly phase: MigrationPhase;
  /** Asked for by REST; false: found out from what switch databases say. */
  readonly announced: boolean;
  /** Whether frames for the port go to both places before it switches over, or to the old one only. */
  readonly deliver: 'both' | 'active';
  readonly activateOn: readonly ActivationSign[];
  /** Time in `ready` after which it switches over whatever is seen, ms; undefined: never. */
  readonly activateAfterMs: number | undefined;
  readonly startedAt: string;
  readonly readyAt: string | undefined;
  readonly switchedAt: string | undefined;
  readonly endedAt: string | undefined;
  readonly activatedBy: ActivatedBy | undefined;
  /** When it became ready, every sender's switch had confirmed that it sends to both places: nothing needs forwarding any more. */
  readonly seamless: boolean;
  /**
   * Time during which frames went where the guest was not, as far as can be told: from the first sign that it had moved until the
   * switches of all senders had confirmed the new place; 0 when frames went to both places all the time. Known once it is done.
   */
  readonly outageMs: number | undefined;
  /** Why it was aborted. */
  readonly reason: string | undefined;
}

export interface Port extends Meta {
  readonly tenant: string;
  /** Id of the endpoint, 1…2^23−1, allocated once and stored. */
  readonly endpoint: number;
  /** Id of the network, within the same tenant. */
  readonly network: string;
  readonly mac: Mac | 'learned';
  readonly addresses: readonly IpAddress[];
  readonly portSecurity: boolean;
  /** Where it is; while it moves, the place that counts: the old one until the move switches over. */
  readonly binding: Binding | undefined;
  /** The move that is under way, or the last one. */
  readonly migration?: Migration | undefined;
}

/**
 * A tunnel endpoint. With a datapath id it is a machine whose integration bridge we program; without one it is somebody else's that
 * speaks the encapsulation (a kernel VXLAN device, say): ports bound to it are reached through its address. With a physical switch it
 * is a hardware VTEP, which we tell by its database what it needs to know.
 */
export interface Hypervisor extends Meta {
  readonly datapathId: Dpid | undefined;
  /** At most one of each family. */
  readonly tunnelAddresses: readonly IpAddress[];
  /** Where its database listens (`tcp:HOST:PORT`, `ssl:HOST:PORT`, `unix:PATH`); undefined when it dials in, or there is none. */
  readonly ovsdb: string | undefined;
  /** Name of a hardware VTEP's physical switch in its `hardware_vtep` database. */
  readonly physicalSwitch: string | undefined;
  readonly site: string | undefined;
}

/** Where an EID is reached: an address of a router in the underlay. */
export interface Rloc {
  readonly address: IpAddress;
  /** Lower is better; 255: not to be used. */
  readonly priority: number;
  /** Share of the traffic among locators of one priority. */
  readonly weight: number;
}

/** A set of hypervisors behind one underlay, and the routers that others reach it through. */
export interface Site extends Meta {
  readonly rlocs: readonly Rloc[];
}

/** A block of EIDs whose LISP routers may register with us. */
export interface LispSite extends Meta {
  /** Virtual network that the prefixes are in; 0: none is named. */
  readonly instanceId: number;
  /** IPv4, IPv6 or MAC prefixes, canonical text. */
  readonly eidPrefixes: readonly string[];
  /** Secrets that sign registrations, any of them. Never shown. */
  readonly keys: readonly string[];
  readonly acceptMoreSpecifics: boolean;
  /** We answer for its routers whether they ask for that or not. */
  readonly proxyReply: boolean;
  /** Registrations of several routers are merged whether they ask for that or not. */
  readonly merge: boolean;
  /** Registrations must bear nonces that grow. */
  readonly replayDefence: boolean;
  /** Registrations a second of all its routers together; undefined: any number. */
  readonly registerRate: number | undefined;
}

/** What a router does with packets for an EID without locators (RFC 9301 §5.4). */
export type LispAction = 'noAction' | 'nativelyForward' | 'sendMapRequest' | 'drop';

/** A mapping that stands until it is taken back. */
export interface LispMapping extends Meta {
  readonly instanceId: number;
  /** IPv4, IPv6 or MAC prefix, canonical text. */
  readonly eid: string;
  readonly rlocs: readonly Rloc[];
  readonly action: LispAction;
  /** How long routers may keep what we answer. */
  readonly ttlMinutes: number;
}

/** Any northbound object. */
export type AnyObject = Tenant | Network | Port | Hypervisor | Site | LispSite | LispMapping;

export type DesiredChange =
  | { readonly kind: 'hypervisor'; readonly before: Hypervisor | undefined; readonly after: Hypervisor | undefined }
  | { readonly kind: 'site'; readonly before: Site | undefined; readonly after: Site | undefined }
  | { readonly kind: 'lispSite'; readonly before: LispSite | undefined; readonly after: LispSite | undefined }
  | { readonly kind: 'lispMapping'; readonly before: LispMapping | undefined; readonly after: LispMapping | undefined }
  | { readonly kind: 'tenant'; readonly before: Tenant | undefined; readonly after: Tenant | undefined }
  | { readonly kind: 'network'; readonly before: Network | undefined; readonly after: Network | undefined }
  | { readonly kind: 'port'; readonly before: Port | undefined; readonly after: Port | undefined };

/** Reading side of desired state: typed objects with the indices that compilers need. Keys are `tenant/id`. */
export interface DesiredReader {
  readonly revision: number;
  readonly tenants: ReadonlyMap<string, Tenant>;
  readonly networks: ReadonlyMap<string, Network>;
  readonly ports: ReadonlyMap<string, Port>;
  /** By id. */
  readonly hypervisors: ReadonlyMap<string, Hypervisor>;
  /** By id. */
  readonly sites: ReadonlyMap<string, Site>;
  /** By id. */
  readonly lispSites: ReadonlyMap<string, LispSite>;
  /** By id. */
  readonly lispMappings: ReadonlyMap<string, LispMapping>;
  networkByIndex(index: number): Network | undefined;
  /** The network with which this one makes up one segment: the one that it extends, or that extends it. */
  otherSide(network: Network): Network | undefined;
  networksOf(tenant: string): Iterable<Network>;
  portsOf(tenant: string): Iterable<Port>;
  /** Ports of a network, in order of endpoint id. */
  portsOfNetwork(tenant: string, network: string): Iterable<Port>;
  /** Ports bound to a switch by (switch, port), in order of endpoint id; those that move there or from there among them. */
  portsBoundTo(dpid: Dpid): Iterable<Port>;
  /** Ports bound to a hypervisor, in order of endpoint id; those that move there or from there among them. */
  portsOfHypervisor(hypervisor: string): Iterable<Port>;
  /** Hypervisors that ports of this network are bound to, or move to or from. */
  hypervisorsOf(tenant: string, network: string): ReadonlySet<string>;
  hypervisorByDpid(dpid: Dpid): Hypervisor | undefined;
}
