import type { Dpid } from '../kernel/index.ts';
import type { ObjectKind } from '../model/index.ts';
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
  readonly role: 'pending' | 'edge' | 'link' | 'local';
}

export interface EndView {
  readonly switch: Dpid;
  readonly port: number;
}

export interface LinkView {
  readonly from: EndView;
  readonly to: EndView;
  readonly since: string;
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
  topology(): TopologyView;
}

/** Who a rule belongs to. Absent owner: the flow is not ours and is left alone. */
export interface OwnerView {
  readonly app: string;
  /** Readable and unique, e.g. `tenants/port/acme/web-1`. */
  readonly key: string;
  /** REST path of the object that explains the rule. */
  readonly object?: string;
}

export interface FlowView {
  /** Table by name, or its number when the pipeline does not declare it. */
  readonly table: string;
  readonly tableId: number;
  readonly priority: number;
  /** Fields by name, losing nothing. */
  readonly match: Readonly<Record<string, unknown>>;
  /** Match and instructions as `ovs-ofctl dump-flows` writes them. */
  readonly matchText: string;
  readonly actionsText: string;
  /** `0x` and 16 hex digits. */
  readonly cookie: string;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly durationSeconds: number;
  /** 64-bit counters as decimal strings. */
  readonly packets: string;
  readonly bytes: string;
  readonly owner?: OwnerView;
  /** Why it is there, in words. */
  readonly reason: string;
}

export interface GroupView {
  readonly id: number;
  /** `all`, `select`, `indirect`, `fast_failover`. */
  readonly type: string;
  readonly bucketsText: readonly string[];
  readonly packets: string;
  readonly bytes: string;
  readonly owner?: OwnerView;
}

export interface MeterView {
  readonly id: number;
  readonly flags: readonly string[];
  readonly bandsText: readonly string[];
  readonly packets: string;
  readonly bytes: string;
  readonly owner?: OwnerView;
}

/** One rule on which wanted and present differ. */
export interface DifferenceView {
  readonly kind: 'flow' | 'group' | 'meter';
  readonly change: 'add' | 'modify' | 'delete';
  readonly wanted?: string;
  readonly present?: string;
  readonly owner?: OwnerView;
}

export interface DiffView {
  readonly switch: Dpid;
  readonly inSync: boolean;
  readonly differences: readonly DifferenceView[];
  /** Flows on the switch that are not ours. */
  readonly foreign: number;
}

/**
 * What switches hold, asked of them when called. All reject with ClosedError when the switch is not connected, and with
 * TimeoutError or SwitchError when it does not answer.
 */
export interface RulesApi {
  flows(dpid: Dpid): Promise<readonly FlowView[]>;
  groups(dpid: Dpid): Promise<readonly GroupView[]>;
  meters(dpid: Dpid): Promise<readonly MeterView[]>;
  diff(dpid: Dpid): Promise<DiffView>;
}

/** How far switches are with a stored change. */
export interface ReadyWait {
  /**
   * Resolves true when every switch concerned has confirmed this revision of the object (for a deleted one: that its rules
   * are gone), false after `timeoutMs` or when the signal fires. `path` is the REST path, `/v1/tenants/acme/ports/web-1`.
   */
  waitReady(path: string, revision: number, timeoutMs: number, signal: AbortSignal): Promise<boolean>;
}

/** One condition of `/readyz`. */
export interface ReadinessCheck {
  readonly name: string;
  readonly ok: boolean;
  /** Why not, or what is behind it. */
  readonly reason?: string;
}

/** REST path of an object. */
export function pathOf(kind: ObjectKind, ids: { readonly tenant: string; readonly id?: string }): string {
  return kind === 'tenant' ? `/v1/tenants/${ids.tenant}` : `/v1/tenants/${ids.tenant}/${kind}s/${ids.id ?? ''}`;
}
