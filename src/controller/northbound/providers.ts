import type { Dpid } from '../kernel/index.ts';
import type { Port } from '../model/index.ts';
import type { LinkState, PortRole, TunnelType } from '../observed/index.ts';
import type { Difference, FlowView, GroupView, MeterView } from '../rules/index.ts';
import type { Page } from './page.ts';

/** What of a list is asked for. */
export interface PageQuery {
  readonly limit: number;
  readonly cursor: string | undefined;
}

export interface SwitchView {
  readonly id: Dpid;
  /** Positional number in the fabric. */
  readonly index: number;
  readonly connected: boolean;
  /** Peer address; empty when disconnected. */
  readonly remote: string;
  readonly since: string;
  readonly manufacturer: string;
  readonly hardware: string;
  readonly software: string;
  readonly nicira: boolean;
  readonly ports: number;
}

export interface PortView {
  readonly no: number;
  readonly name: string;
  readonly mac: string;
  readonly up: boolean;
  /** kbit/s; 0 when unknown. */
  readonly currentSpeed: number;
  readonly role: PortRole;
  /** `external_ids:iface-id` of its interface. */
  readonly interfaceId?: string;
  readonly tunnel?: TunnelType;
  /** LLDP frames refused here: forged, replayed, or not from where they say. */
  readonly badLldp: number;
}

export interface EndView {
  readonly switch: Dpid;
  readonly port: number;
}

export interface LinkView {
  readonly from: EndView;
  readonly to: EndView;
  readonly since: string;
  readonly state: LinkState;
  /** Known from the last run and not proven yet. */
  readonly presumed: boolean;
}

export interface HostView {
  /** Path of the network, or `default` for the default network. */
  readonly network: string;
  readonly mac: string;
  readonly switch: Dpid;
  readonly port: number;
  readonly addresses: readonly string[];
  readonly firstSeen: string;
  readonly lastSeen: string;
}

/** The way from one hypervisor to another through tunnels of one type. */
export interface TunnelView {
  /** Id of the sending hypervisor; its datapath id when no hypervisor has that. */
  readonly from: string;
  readonly to: string;
  readonly type: TunnelType;
  readonly state: 'up' | 'down' | 'unknown';
  readonly since: string;
  readonly reason: string;
}

export interface TopologyView {
  readonly switches: readonly SwitchView[];
  readonly links: readonly LinkView[];
  readonly revision: number;
}

/** Observed state as REST shows it. */
export interface ObservedApi {
  readonly revision: number;
  switches(page: PageQuery): Page<SwitchView>;
  /** Undefined when no switch has this id. */
  switch(dpid: Dpid): SwitchView | undefined;
  ports(dpid: Dpid): readonly PortView[];
  links(page: PageQuery): Page<LinkView>;
  hosts(page: PageQuery): Page<HostView>;
  tunnels(page: PageQuery): Page<TunnelView>;
  topology(): TopologyView;
}

/**
 * What switches hold, asked of them when called; the rule book fits. Undefined when the switch is not connected. All reject
 * with ClosedError, TimeoutError or SwitchError when it does not answer.
 */
export interface RulesApi {
  flows(dpid: Dpid): Promise<readonly FlowView[] | undefined>;
  groups(dpid: Dpid): Promise<readonly GroupView[] | undefined>;
  meters(dpid: Dpid): Promise<readonly MeterView[] | undefined>;
  diff(dpid: Dpid): Promise<Difference | undefined>;
}

/** How far switches are with a stored change. */
export interface ReadyWait {
  /**
   * Resolves true when every switch concerned has confirmed this revision of the object (for a deleted one: that its rules
   * are gone), false after `timeoutMs` or when the signal fires. `path` is the REST path, `/v1/tenants/acme/ports/web-1`.
   */
  waitReady(path: string, revision: number, timeoutMs: number, signal: AbortSignal): Promise<boolean>;
}

/** What keeps moves of ports from being ready. */
export interface MoveProgress {
  /** What the new place of this port waits for, as a sentence; undefined: for switches to confirm. */
  waitsFor(port: Port): string | undefined;
}

/** One condition of `/readyz`. */
export interface ReadinessCheck {
  readonly name: string;
  readonly ok: boolean;
  /** Why not, or what is behind it. */
  readonly reason?: string;
}
