import { networkOf } from './plan.ts';
import type { HwvtepTables, PhysicalPortRow } from './tables.ts';

export interface PhysicalPort {
  readonly name: string;
  /** Faults that the device tells, such as `invalid_vlan_map`. */
  readonly faults: readonly string[];
  /** Networks of ours that are bound to it, by VLAN (0: untagged), ascending. */
  readonly bindings: readonly { readonly vlan: number; readonly network: string }[];
}

export interface PhysicalSwitch {
  readonly name: string;
  readonly description: string;
  readonly managementIps: readonly string[];
  readonly tunnelIps: readonly string[];
  /** Faults that the device tells, such as `mac_table_exhaustion`. */
  readonly faults: readonly string[];
  readonly ports: readonly PhysicalPort[];
}

/** A MAC that the device has learned on a port of its own, in a network of ours. `unknown-dst`: where it wants floods. */
export interface LocalMac {
  readonly mac: string;
  readonly network: string;
  /** Addresses of the device's tunnel end: one for a unicast MAC. */
  readonly locators: readonly string[];
}

/** What the device says. */
export interface HwvtepView {
  readonly switches: readonly PhysicalSwitch[];
  readonly localMacs: readonly LocalMac[];
}

const byName = (a: { readonly name: string }, b: { readonly name: string }): number => (a.name < b.name ? -1 : 1);

/** Reads what the device says of itself and of this owner's networks, in a fixed order. */
export function viewHwvtep(tables: HwvtepTables, owner: string): HwvtepView {
  const ports = tables.ports();
  const bindings = (row: PhysicalPortRow): PhysicalPort['bindings'] =>
    [...row.vlan_bindings]
      .flatMap(([vlan, uuid]) => {
        const bound = tables.rows('Logical_Switch').get(uuid);
        const network = bound && networkOf(owner, bound.name);
        return network === undefined ? [] : [{ vlan, network }];
      })
      .sort((a, b) => a.vlan - b.vlan);
  const switches = [...tables.rows('Physical_Switch').values()].map((row) => ({
    name: row.name,
    description: row.description ?? '',
    managementIps: row.management_ips,
    tunnelIps: row.tunnel_ips,
    faults: row.switch_fault_status ?? [],
    ports: row.ports
      .flatMap((uuid) => ports.get(uuid) ?? [])
      .map((port) => ({ name: port.name, faults: port.port_fault_status ?? [], bindings: bindings(port) }))
      .sort(byName),
  }));
  return { switches: switches.sort(byName), localMacs: localMacs(tables, owner) };
}

function localMacs(tables: HwvtepTables, owner: string): LocalMac[] {
  const addressOf = (uuid: string): string[] => {
    const locator = tables.rows('Physical_Locator').get(uuid);
    return locator ? [locator.dst_ip] : [];
  };
  const found: LocalMac[] = [];
  const note = (mac: string, logicalSwitch: string, locators: readonly string[]): void => {
    const row = tables.rows('Logical_Switch').get(logicalSwitch);
    const network = row && networkOf(owner, row.name);
    if (network !== undefined) found.push({ mac: mac.toLowerCase(), network, locators: [...locators].sort() });
  };
  for (const row of tables.rows('Ucast_Macs_Local').values()) note(row.MAC, row.logical_switch, addressOf(row.locator));
  for (const row of tables.rows('Mcast_Macs_Local').values()) {
    const set = tables.rows('Physical_Locator_Set').get(row.locator_set);
    note(row.MAC, row.logical_switch, (set?.locators ?? []).flatMap(addressOf));
  }
  const key = ({ network, mac }: LocalMac): string => `${network} ${mac}`;
  return found.sort((a, b) => (key(a) < key(b) ? -1 : 1));
}
