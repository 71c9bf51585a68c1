import type { OvsdbClient } from './client.ts';
import { needsOf, type ShapedRow } from './shapes.ts';

/**
 * The columns of an Open vSwitch database (ovs-vswitchd.conf.db(5)) that we read or write. Statistics and connection times are not
 * among them: they change every few seconds and would wake us for nothing.
 */
export const vswitchShapes = {
  Open_vSwitch: {
    bridges: 'uuid*',
    manager_options: 'uuid*',
    external_ids: 'map',
    next_cfg: 'integer',
    cur_cfg: 'integer',
    ovs_version: 'string?',
  },
  Bridge: { name: 'string', ports: 'uuid*', controller: 'uuid*', datapath_id: 'string?', external_ids: 'map' },
  Port: { name: 'string', interfaces: 'uuid*', tag: 'integer?', external_ids: 'map' },
  Interface: {
    name: 'string',
    type: 'string',
    options: 'map',
    ofport: 'integer?',
    error: 'string?',
    mac_in_use: 'string?',
    link_state: 'string?',
    bfd: 'map',
    bfd_status: 'map',
    external_ids: 'map',
  },
  Controller: { target: 'string', is_connected: 'boolean', max_backoff: 'integer?', external_ids: 'map' },
  Manager: { target: 'string', is_connected: 'boolean', max_backoff: 'integer?', external_ids: 'map' },
} as const;

/** What a client of an Open vSwitch database monitors. */
export const vswitchNeeds = needsOf(vswitchShapes);

export type VswitchTable = keyof typeof vswitchShapes;
/** A row of one of these tables. */
export type VswitchRow<T extends VswitchTable> = ShapedRow<(typeof vswitchShapes)[T]>;

/** Rows by table and UUID. */
export interface VswitchTables {
  rows<T extends VswitchTable>(table: T): ReadonlyMap<string, VswitchRow<T>>;
}

/** The typed tables of a client that was made with `needs: vswitchNeeds` and `shapes: vswitchShapes`. */
export const vswitchTables = (client: OvsdbClient): VswitchTables => ({
  // The client refuses a database whose columns have other shapes, so rows are what their types say.
  rows: <T extends VswitchTable>(table: T) => client.table(table) as unknown as ReadonlyMap<string, VswitchRow<T>>,
});

/** Key of external_ids by which rows of ours are known; its value is the owner. */
export const OWNER_KEY = 'netloom-owner';
/** Keys of ours in external_ids of rows that belong to others. */
export const KEY_PREFIX = 'netloom-';

/** A tunnel or patch port that shall be there. Its row is ours as a whole, but for foreign keys in external_ids. */
export interface WantedPort {
  /** Of the port and its interface; at most 15 bytes. */
  readonly name: string;
  readonly bridge: string;
  /** `vxlan`, `gre`, `patch`, …: Interface.type. */
  readonly type: string;
  /** Port.tag: the VLAN whose untagged end the port is. */
  readonly tag?: number;
  /** Interface.options. */
  readonly options: ReadonlyMap<string, string>;
  /** Interface.bfd; empty or absent: none. */
  readonly bfd?: ReadonlyMap<string, string>;
  /** Further external_ids of the interface. */
  readonly externalIds?: ReadonlyMap<string, string>;
}

export interface TunnelEnds {
  readonly name: string;
  readonly bridge: string;
  readonly type: 'vxlan' | 'gre';
  /** Our underlay address; absent: by the route. */
  readonly localIp?: string;
  /** UDP port, VXLAN only; absent: 4789. */
  readonly dstPort?: number;
}

/** A tunnel port whose peer and key are given by flows: one serves all peers. It cannot carry BFD, which needs a peer. */
export function flowTunnel(ends: TunnelEnds): WantedPort {
  return tunnelTo(ends, 'flow', new Map());
}

/** A tunnel port to one peer, watched by BFD (RFC 5880) at these intervals, ms. Its key is still given by flows. */
export function watchedTunnel(ends: TunnelEnds, remoteIp: string, intervalMs = 1_000): WantedPort {
  const interval = String(intervalMs);
  return tunnelTo(
    ends,
    remoteIp,
    new Map([
      ['enable', 'true'],
      ['min_rx', interval],
      ['min_tx', interval],
    ]),
  );
}

function tunnelTo(ends: TunnelEnds, remoteIp: string, bfd: ReadonlyMap<string, string>): WantedPort {
  const { name, bridge, type, localIp, dstPort } = ends;
  const options = new Map([
    ['key', 'flow'],
    ['remote_ip', remoteIp],
  ]);
  if (localIp !== undefined) options.set('local_ip', localIp);
  if (dstPort !== undefined) options.set('dst_port', String(dstPort));
  return { name, bridge, type, options, bfd };
}

/** What the switch says of a tunnel port of ours. */
export interface TunnelState {
  readonly name: string;
  readonly bridge: string | undefined;
  /** OpenFlow port number; undefined while there is none, and when the port could not be made (-1 in the database). */
  readonly ofport: number | undefined;
  /** Why the port could not be made. */
  readonly error: string | undefined;
  /** `up`, `down`, `init`, `admin_down`, when BFD is on and has been heard of. */
  readonly bfd: string | undefined;
}

/** Why the switch could not make an interface, or not as it was asked to; undefined when it could, or has not tried yet. */
export const interfaceError = ({ error, ofport }: VswitchRow<'Interface'>): string | undefined =>
  error ?? (ofport === -1 ? 'the switch could not make the port and does not say why' : undefined);

/** States of the tunnel ports of an owner, by name. */
export function tunnelStates(tables: VswitchTables, owner: string): ReadonlyMap<string, TunnelState> {
  const bridgeOf = new Map<string, string>();
  for (const bridge of tables.rows('Bridge').values()) for (const port of bridge.ports) bridgeOf.set(port, bridge.name);
  const states = new Map<string, TunnelState>();
  for (const [uuid, port] of tables.rows('Port')) {
    if (port.external_ids.get(OWNER_KEY) !== owner) continue;
    const row = tables.rows('Interface').get(port.interfaces[0] ?? '');
    states.set(port.name, {
      name: port.name,
      bridge: bridgeOf.get(uuid),
      ofport: row?.ofport === -1 ? undefined : row?.ofport,
      error: row && interfaceError(row),
      bfd: row?.bfd_status.get('state'),
    });
  }
  return states;
}
