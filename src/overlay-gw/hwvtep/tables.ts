import { needsOf, type OvsdbClient, type Row, type ShapedRow } from '../ovsdb/index.ts';

/** The columns of a `hardware_vtep` database (vtep(5)) without which nothing can be done. */
export const hwvtepShapes = {
  Physical_Switch: { name: 'string', ports: 'uuid*', management_ips: 'string*', tunnel_ips: 'string*' },
  Logical_Switch: { name: 'string', tunnel_key: 'integer?' },
  Ucast_Macs_Local: { MAC: 'string', logical_switch: 'uuid', locator: 'uuid' },
  Ucast_Macs_Remote: { MAC: 'string', logical_switch: 'uuid', locator: 'uuid' },
  Mcast_Macs_Local: { MAC: 'string', logical_switch: 'uuid', locator_set: 'uuid' },
  Mcast_Macs_Remote: { MAC: 'string', logical_switch: 'uuid', locator_set: 'uuid' },
  Physical_Locator_Set: { locators: 'uuid*' },
  Physical_Locator: { encapsulation_type: 'string', dst_ip: 'string' },
} as const;

/** Physical_Port has a map of integers to rows, for which there is no shape. */
export const hwvtepNeeds = { ...needsOf(hwvtepShapes), Physical_Port: ['name', 'vlan_bindings'] };

/** Columns that older devices lack. */
export const hwvtepOptional = {
  Physical_Switch: ['description', 'switch_fault_status'],
  Physical_Port: ['port_fault_status'],
  Physical_Locator: ['tunnel_key'],
  Logical_Switch: ['replication_mode'],
  Logical_Router: ['switch_binding'],
};

interface Optional {
  readonly Physical_Switch: { readonly description?: string; readonly switch_fault_status?: readonly string[] };
  readonly Physical_Locator: { readonly tunnel_key?: number };
  readonly Logical_Switch: { readonly replication_mode?: string };
}

export interface PhysicalPortRow {
  readonly name: string;
  /** Logical switches by VLAN; 0: untagged. */
  readonly vlan_bindings: ReadonlyMap<number, string>;
  readonly port_fault_status?: readonly string[];
}

export type HwvtepTable = keyof typeof hwvtepShapes;
export type HwvtepRow<T extends HwvtepTable> = ShapedRow<(typeof hwvtepShapes)[T]> &
  (T extends keyof Optional ? Optional[T] : unknown);

/** Rows by table and UUID. */
export interface HwvtepTables {
  rows<T extends HwvtepTable>(table: T): ReadonlyMap<string, HwvtepRow<T>>;
  ports(): ReadonlyMap<string, PhysicalPortRow>;
  /** Logical switches that logical routers of others use. */
  routed(): ReadonlySet<string>;
  /** The schema has Logical_Switch.replication_mode. */
  hasReplicationMode(): boolean;
}

/** The typed tables of a client made with `hwvtepNeeds`, `hwvtepOptional` and `hwvtepShapes`. */
export const hwvtepTables = (client: OvsdbClient): HwvtepTables => ({
  // The client refuses a database whose columns have other shapes, so rows are what their types say.
  rows: <T extends HwvtepTable>(table: T) => client.table(table) as unknown as ReadonlyMap<string, HwvtepRow<T>>,
  ports: () => client.table('Physical_Port') as unknown as ReadonlyMap<string, PhysicalPortRow>,
  routed: () => new Set([...client.table('Logical_Router').values()].flatMap(switchesOf)),
  hasReplicationMode: () => client.has('Logical_Switch', 'replication_mode'),
});

const switchesOf = (row: Row): string[] => {
  const bound = row['switch_binding'];
  return bound instanceof Map ? [...bound.values()].map(String) : [];
};
