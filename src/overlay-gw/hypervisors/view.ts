import { createHash } from 'node:crypto';
import {
  type Dpid,
  formatIp,
  type IpAddress,
  type PortLabel,
  parseDpid,
  parseIp,
  parseMac,
  type TunnelType,
  vlanInterface,
} from '../../controller/index.ts';
import {
  flowTunnel,
  interfaceError,
  OWNER_KEY,
  type RowChange,
  type VswitchRow,
  type VswitchTables,
  type WantedPort,
} from '../ovsdb/index.ts';

/** Mark of our rows in switches' databases. All instances that share a store manage the same rows. */
export const OWNER = 'netloom';

/** Names of tunnel ports, one a type and hypervisor, and their `Interface.type`. */
export const TUNNELS: Readonly<Record<TunnelType, { readonly name: string; readonly type: 'vxlan' | 'gre' }>> = {
  vxlan: { name: 'netloom-vxlan', type: 'vxlan' },
  nvgre: { name: 'netloom-nvgre', type: 'gre' },
};

/** The bridge with this datapath id; undefined when there is none, or its daemon has not said its id yet. */
export function bridgeOf(tables: VswitchTables, dpid: Dpid): string | undefined {
  for (const { name, datapath_id } of tables.rows('Bridge').values()) {
    if (datapath_id !== undefined && parseDpid(datapath_id) === dpid) return name;
  }
  return undefined;
}

/** Datapath ids of all bridges, by name. */
export function datapaths(tables: VswitchTables): ReadonlyMap<string, Dpid> {
  const found = new Map<string, Dpid>();
  for (const { name, datapath_id } of tables.rows('Bridge').values()) {
    const dpid = datapath_id === undefined ? undefined : parseDpid(datapath_id);
    if (dpid) found.set(name, dpid);
  }
  return found;
}

/** Labels of rows as they were last made: rows are never changed, only replaced, and most stay when one port comes. */
const known = new WeakMap<VswitchRow<'Interface'>, { readonly port: object; readonly label: PortLabel | undefined }>();

/** What the database says of one interface of a port; undefined when that is nothing of interest. */
function labelOf(port: VswitchRow<'Port'>, nic: VswitchRow<'Interface'>): PortLabel | undefined {
  const before = known.get(nic);
  if (before && before.port === port) return before.label;
  const ours = port.external_ids.get(OWNER_KEY) === OWNER;
  const tunnel = ours ? tunnelTypes.find((type) => TUNNELS[type].name === nic.name) : undefined;
  const id = tunnel === undefined ? nic.external_ids.get('iface-id') : undefined;
  const attachedMac = parseMac(nic.external_ids.get('attached-mac') ?? '');
  const error = interfaceError(nic);
  const label: PortLabel = {
    ...(tunnel === undefined ? {} : { tunnel }),
    ...(id === undefined || id === '' ? {} : { interfaceId: id }),
    ...(tunnel !== undefined || attachedMac === undefined ? {} : { attachedMac }),
    ...(error === undefined ? {} : { error }),
  };
  const told = Object.keys(label).length > 0 ? label : undefined;
  known.set(nic, { port, label: told });
  return told;
}

/** What the database says of a bridge's ports, by name. */
export function labelsOf(tables: VswitchTables, bridge: string): ReadonlyMap<string, PortLabel> {
  const labels = new Map<string, PortLabel>();
  const interfaces = tables.rows('Interface');
  const ports = tables.rows('Port');
  const row = [...tables.rows('Bridge').values()].find(({ name }) => name === bridge);
  for (const uuid of row?.ports ?? []) {
    const port = ports.get(uuid);
    if (!port) continue;
    for (const each of port.interfaces) {
      const nic = interfaces.get(each);
      const label = nic && labelOf(port, nic);
      if (label) labels.set(nic.name, label);
    }
  }
  return labels;
}

/** True when what `labelsOf` says of some bridge may be something else after this change. */
export function concernsLabels({ table, before, after }: RowChange): boolean {
  const differs = (...columns: readonly string[]): boolean =>
    before === undefined || after === undefined || columns.some((column) => before[column] !== after[column]);
  if (table === 'Bridge') return differs('name', 'ports');
  if (table === 'Port') return differs('interfaces', 'external_ids');
  if (table !== 'Interface') return false;
  // Most changes of interfaces are of their number, address or carrier, which the switch itself tells us.
  if (differs('name', 'external_ids', 'error')) return true;
  return (before!['ofport'] === -1) !== (after!['ofport'] === -1);
}

export const tunnelTypes = Object.keys(TUNNELS) as readonly TunnelType[];

/**
 * The tunnel ports of a hypervisor: one a type, their peer and key given by flows. They send from our address where there is one only;
 * with one of each family the route decides.
 */
export function wantedTunnels(bridge: string, addresses: readonly IpAddress[]): readonly WantedPort[] {
  if (addresses.length === 0) return [];
  const [only, second] = addresses;
  const localIp = only && !second ? { localIp: formatIp(only) } : {};
  return tunnelTypes.map((type) =>
    flowTunnel({ name: TUNNELS[type].name, bridge, type: TUNNELS[type].type, ...localIp }),
  );
}

/** A VLAN on a port of a hypervisor. */
export interface VlanEnd {
  /** Name of a port or bridge outside of the integration bridge. */
  readonly port: string;
  /** 0: untagged. */
  readonly vlan: number;
}

/**
 * Patch ports by which the integration bridge reaches VLANs on ports of other bridges: for each a pair, whose far end is the untagged end of
 * the VLAN there. The bridge there does the rest, as it does for everything else on its ports. None for a port that is in no other bridge.
 */
export function wantedPatches(
  tables: VswitchTables,
  integration: string,
  ends: readonly VlanEnd[],
): readonly WantedPort[] {
  const ports = tables.rows('Port');
  const bridgeOf = new Map<string, string>();
  for (const { name, ports: members } of tables.rows('Bridge').values()) {
    for (const member of members) bridgeOf.set(ports.get(member)?.name ?? '', name);
  }
  return ends.flatMap(({ port, vlan }): WantedPort[] => {
    const id = vlanInterface(port, vlan);
    const mark = createHash('sha256').update(id).digest('hex').slice(0, 9);
    const [near, far] = [`nlv-${mark}`, `nlw-${mark}`];
    const bridge = bridgeOf.get(port);
    if (bridge === undefined || bridge === integration) return [];
    return [
      {
        name: near,
        bridge: integration,
        type: 'patch',
        options: new Map([['peer', far]]),
        externalIds: new Map([['iface-id', id]]),
      },
      { name: far, bridge, type: 'patch', options: new Map([['peer', near]]), tag: vlan },
    ];
  });
}

/** Keys of external_ids in which start scripts and other controllers say where tunnels end, the first that is there counts. */
const ADDRESS_KEYS = ['netloom-tunnel-ip', 'tunnel-ip', 'ovn-encap-ip'];

/** Where tunnels to this switch end, as its database says: `external_ids:netloom-tunnel-ip` and others; commas between addresses. */
export function declaredAddresses(tables: VswitchTables): readonly IpAddress[] {
  const [root] = tables.rows('Open_vSwitch').values();
  const text = ADDRESS_KEYS.map((key) => root?.external_ids.get(key)).find((value) => value !== undefined) ?? '';
  const addresses: IpAddress[] = [];
  for (const part of text.split(',')) {
    const address = parseIp(part.trim());
    if (address && !addresses.some(({ family }) => family === address.family)) addresses.push(address);
  }
  return addresses;
}
