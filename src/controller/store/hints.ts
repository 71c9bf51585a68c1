import type { Dpid, IpAddress, Mac } from '../kernel/index.ts';

/** A point where a cable ends. */
export interface HintPoint {
  readonly dpid: Dpid;
  readonly port: number;
}

/** One direction of a cable that was proven in an earlier run. */
export interface LinkHint {
  readonly from: HintPoint;
  readonly to: HintPoint;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** A learned host. Identity is (network index, mac). */
export interface HostHint {
  readonly network: number;
  readonly mac: Mac;
  readonly at: HintPoint;
  readonly endpoint: number;
  readonly addresses: readonly IpAddress[];
  readonly firstSeen: number;
  readonly lastSeen: number;
}

/** A port as it was in the last run, so that names resolve and roles are known before the switch is back. */
export interface PortHint {
  readonly no: number;
  readonly name: string;
  readonly mac: Mac;
  readonly up: boolean;
  readonly currentSpeed: number;
  readonly role: 'pending' | 'edge' | 'link' | 'tunnel' | 'local';
  readonly interfaceId?: string;
  readonly tunnel?: 'vxlan' | 'nvgre';
}

/** What a switch said about itself in the last run. */
export interface SwitchFacts {
  readonly manufacturer: string;
  readonly hardware: string;
  readonly software: string;
  readonly nicira: boolean;
  readonly ports: readonly PortHint[];
}

/** A switch that has a stored index; `facts` when it was ever described. */
export interface SwitchHint {
  readonly dpid: Dpid;
  readonly index: number;
  readonly facts: SwitchFacts | undefined;
}

/** The switch that was a gateway, and of what. */
export interface GatewayHint {
  readonly of: `network/${number}` | `endpoint/${number}`;
  readonly dpid: Dpid;
  readonly former: Dpid | undefined;
}

/** Everything that was remembered, each list in a stable order. */
export interface StoredHints {
  readonly switches: readonly SwitchHint[];
  readonly links: readonly LinkHint[];
  readonly hosts: readonly HostHint[];
  readonly gateways: readonly GatewayHint[];
}

/**
 * What was observed in earlier runs. Hints let a restarted controller want the same rules before any switch connects; they
 * are never the truth. Writes are gathered and written within 100 ms (or at `flush`); a later write of the same thing
 * replaces an unwritten one. A write that fails is logged and tried again with the next batch.
 */
export interface HintStore {
  /** Reads all hints. Entries that no longer parse are logged and left out. Rejects with StoreError. */
  load(): Promise<StoredHints>;
  putLink(link: LinkHint): void;
  deleteLink(from: HintPoint): void;
  putHost(host: HostHint): void;
  deleteHost(network: number, mac: Mac): void;
  putGateway(gateway: GatewayHint): void;
  deleteGateway(of: GatewayHint['of']): void;
  putSwitch(dpid: Dpid, facts: SwitchFacts): void;
  /** The switch's index, 1…16383: the stored one, or a new one that is durable when this resolves. */
  switchIndex(dpid: Dpid): Promise<number>;
  /** Gives the index free (for reuse much later) and forgets facts, links and hosts of this switch. */
  forgetSwitch(dpid: Dpid): Promise<void>;
  /** Resolves when everything put or deleted so far is written. Rejects with StoreError. */
  flush(): Promise<void>;
  /** Flushes, and stops the timer. */
  close(): Promise<void>;
}
