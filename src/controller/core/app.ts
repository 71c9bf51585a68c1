import type { Action } from '../../ofproto/index.ts';
import type { Clock, Dpid, Logger, MetricSink } from '../kernel/index.ts';
import type { DesiredChange, DesiredReader, Hypervisor, JsonObject, LispSite, Network } from '../model/index.ts';
import type { ReadinessCheck, RouteSpec } from '../northbound/index.ts';
import type { ObservedChange, ObservedReader, ObservedWriter } from '../observed/index.ts';
import type { Compiler } from '../rules/index.ts';

/** A packet-in as apps see it: a window on the socket's bytes, valid only during the call. */
export interface PacketInView {
  readonly inPort: number;
  /** OFPR_* */
  readonly reason: number;
  readonly tableId: number;
  /** Low half of the cookie: the owner id of the rule that sent it. */
  readonly cookieLo: number;
  /** Length of the frame on the wire; the bytes here may be fewer. */
  readonly totalLen: number;
  readonly bytes: Buffer;
  /** The frame is `bytes[dataAt…dataEnd)`. */
  readonly dataAt: number;
  readonly dataEnd: number;
}

/** A flow that ran out or was deleted. */
export interface FlowRemoved {
  readonly cookieLo: number;
  readonly tableId: number;
  readonly priority: number;
  /** OFPRR_* */
  readonly reason: number;
  /** Whole ofp_match as sent by the switch. */
  readonly match: Buffer;
}

/** All that compilers see. */
export interface NetworkState {
  readonly desired: DesiredReader;
  readonly observed: ObservedReader;
  /** `defaultNetwork` of the configuration. */
  readonly defaultNetwork: boolean;
}

export type StateChange = DesiredChange | ObservedChange;

/** Numbers of the apps in cookies; 1…255 are ours, third-party apps get 256 and up, stored. */
export const AppId = {
  discovery: 1,
  fabric: 2,
  tenants: 3,
  learning: 4,
  overlay: 5,
  hypervisors: 6,
  gateways: 7,
  mobility: 8,
  lisp: 9,
} as const;

/** A connected switch, as far as apps may act on it directly. Rules go through compilers only. */
export interface SwitchPort {
  readonly dpid: Dpid;
  /**
   * Sends a frame out. `inPort` is the port it came from or OFPP_CONTROLLER. Appended to the session's output buffer;
   * `frame` is copied. Returns false, and counts, when the switch is not connected or its buffer is over budget.
   */
  packetOut(inPort: number, outPorts: readonly number[], frame: Uint8Array, at?: number, end?: number): boolean;
  /** The same with actions of any kind, for frames of one's own. */
  packetOutBy(actions: readonly Action[], frame: Uint8Array): boolean;
}

/** What an app says of an object whose state is not told by rules alone. */
export interface ObjectVerdict {
  readonly ok: boolean;
  /** Stable, PascalCase. */
  readonly reason: string;
  readonly message: string;
  /** Further members of `status`. */
  readonly fields: JsonObject;
  /** When it is ok, `Ready` is what the object's rules come to. */
  readonly rulesDecide?: true;
}

/** Objects whose state apps know. */
export interface Judged {
  readonly hypervisor: Hypervisor;
  readonly lispSite: LispSite;
  readonly network: Network;
}

export interface AppContext {
  /** Number of this app in cookies; the `app` of its owners. */
  readonly id: number;
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: MetricSink;
  readonly state: NetworkState;
  /** Where discovery and learning write what they find. */
  readonly observed: ObservedWriter;
  /** The app's own settings from the configuration, already checked against nothing: the app validates them. */
  readonly settings: unknown;
  compiler(compiler: Compiler<NetworkState, StateChange>): void;
  /** Packet-ins whose cookie names this app. The view lives only during the call. */
  onPacketIn(handler: (from: SwitchPort, packetIn: PacketInView) => void): void;
  /** Flow-removed messages whose cookie names this app. */
  onFlowRemoved(handler: (from: SwitchPort, message: FlowRemoved) => void): void;
  /** After a state change is in `state` and before compilers see it. */
  onChange(handler: (change: StateChange) => void): void;
  switchPort(dpid: Dpid): SwitchPort | undefined;
  /**
   * Asked when a switch has connected, before it is compared with what it should hold: a promise makes the comparison wait (for two
   * seconds at most) for what the app is about to learn of it.
   */
  beforeCompare(wait: (dpid: Dpid) => Promise<void> | undefined): void;
  /** Says what stands in the status of objects of a kind. One app does. */
  onStatus<K extends keyof Judged>(kind: K, verdict: (object: Judged[K]) => ObjectVerdict | undefined): void;
  /** What `onStatus` says of this object may be something else now. */
  statusChanged(kind: keyof Judged, id: string, tenant?: string): void;
  /** Adds a line to `/readyz`. */
  readiness(check: () => ReadinessCheck): void;
  /**
   * Answers requests under `/v1/apps/NAME/…`, with the app's name, and those of an app with a number of its own under `/v1/NAME/…` too;
   * part of the OpenAPI document. Only during `start`. Throws InvariantError for a path elsewhere.
   */
  route(spec: RouteSpec): void;
  /** Emits an event to `/v1/events` and the log. `type` is dotted, e.g. `host.conflict`. */
  event(type: string, fields: Readonly<Record<string, unknown>>, tenant?: string): void;
}

/** One capability. Registered in its `start`; everything it registers is taken back by the core when it stops. */
export interface App {
  /** Kebab-case, unique. */
  readonly name: string;
  /** Number in cookies. Absent for third-party apps: the core allocates and stores one. */
  readonly id?: number;
  start(context: AppContext): void | Promise<void>;
  stop?(): void | Promise<void>;
}
