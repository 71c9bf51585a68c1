import type { Dpid, IpAddress, Mac } from '../kernel/index.ts';

/**
 * What a port is to the fabric. `pending`: no link found yet and the discovery hold time is not over, so it may still be a
 * link. `edge`: hosts live there. `link`: another of our switches is there. `local`: the switch's own (OFPP_LOCAL).
 */
export type PortRole = 'pending' | 'edge' | 'link' | 'local';

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

/** One direction of a cable, proven by a signed probe (or presumed from the last run until the probe time-out). */
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
  readonly firstSeen: number;
  readonly lastSeen: number;
}

export type ObservedChange =
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
  /** The port by number or name (name must be unique on the switch). */
  resolvePort(dpid: Dpid, ref: string | number): ObservedPort | undefined;
  links(): Iterable<Link>;
  linkFrom(at: Attachment): Link | undefined;
  /** Switches that can be reached over links from this one, itself among them. */
  component(dpid: Dpid): ReadonlySet<Dpid>;
  /** Undefined when there is no way, or when from = to. */
  nextHops(from: Dpid, to: Dpid): NextHops | undefined;
  host(network: number, mac: Mac): Host | undefined;
  hostsOf(network: number): Iterable<Host>;
  hostsAt(at: Attachment): Iterable<Host>;
  hosts(): Iterable<Host>;
}

/** Writing side, for the apps that find things out. Every call that changes something raises the revision and one change. */
export interface ObservedWriter extends ObservedReader {
  /** A signed probe sent out of `from` arrived at `to`. Refreshes the link, or makes it; both ports become `link`. */
  linkSeen(from: Attachment, to: Attachment): void;
  /** Takes a link (one direction) away; its ports become `pending` again when no other direction remains. */
  linkLost(from: Attachment): void;
  /** A `pending` port whose hold time is over without a probe having arrived becomes `edge`. */
  portSettled(at: Attachment): void;
  /** Adds or moves a host, or refreshes `lastSeen`; allocates its endpoint id on a new switch. */
  learnHost(network: number, mac: Mac, at: Attachment): Host;
  /** Binds an address to a host. Returns the other host of this network that holds it already, which keeps it. */
  learnAddress(network: number, mac: Mac, address: IpAddress): Host | undefined;
  forgetHost(network: number, mac: Mac): void;
}
