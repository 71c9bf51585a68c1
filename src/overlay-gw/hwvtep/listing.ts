import {
  type DeviceProblem,
  devicePortKey,
  formatMac,
  isGroupMac,
  isKnownHere,
  learnsBehind,
  type Mac,
  type Membership,
  type NetworkState,
  type ObservedDevice,
  parseMac,
} from '../../controller/index.ts';
import type { DeviceSession } from './session.ts';
import { problemOf } from './verdict.ts';

/** A database that has dialled in and belongs to no hardware VTEP of ours. */
export interface DeviceCandidate {
  readonly remote: string;
  readonly physicalSwitches: readonly string[];
  readonly tunnelAddresses: readonly string[];
}

/** A MAC that a device has learned on its own ports. */
export interface LearnedMac {
  readonly hypervisor: string;
  readonly tenant: string;
  readonly network: string;
  readonly mac: string;
  /** `declared`: a port or a host of ours has it. `reached`: the network lets it in. `ignored`: it does not. */
  readonly use: 'declared' | 'reached' | 'ignored';
}

/** A session that belongs to nobody, as it is shown. */
export const candidateOf = ({ remote, keeper }: DeviceSession): DeviceCandidate => ({
  remote,
  physicalSwitches: keeper.view.switches.map(({ name }) => name),
  tunnelAddresses: [...new Set(keeper.view.switches.flatMap(({ tunnelIps }) => tunnelIps))].sort(),
});

/** What devices have learned in our networks, in order of device, network and MAC. */
export const learnedBy = (
  devices: Iterable<string>,
  membership: Membership,
  state: NetworkState,
): readonly LearnedMac[] =>
  [...devices].sort().flatMap((hypervisor) =>
    [...(state.observed.device(hypervisor)?.macs ?? [])].flatMap(([key, macs]) => {
      const network = state.desired.networks.get(key);
      if (!network) return [];
      const lets = learnsBehind(network, hypervisor, state.desired);
      return [...macs].map((mac): LearnedMac => {
        const known = isKnownHere(network.index, mac, membership, state);
        const use = known ? 'declared' : lets ? 'reached' : 'ignored';
        return { hypervisor, tenant: network.tenant, network: network.id, mac: formatMac(mac), use };
      });
    }),
  );

/** What a device says, for observed state; `taken`: what it was not asked for because ports contradict one another. */
export function observedOf(
  { keeper, connected }: DeviceSession,
  physicalSwitch: string,
  taken: readonly DeviceProblem[],
): ObservedDevice {
  const { view, status } = keeper;
  const bindings = new Map<string, string>();
  const here = view.switches.find(({ name }) => name === physicalSwitch);
  for (const port of here?.ports ?? [])
    for (const { vlan, network } of port.bindings) bindings.set(devicePortKey(port.name, vlan), network);
  const macs = new Map<string, Set<Mac>>();
  for (const { mac: text, network } of view.localMacs) {
    const mac = parseMac(text);
    // `unknown-dst`, and what no station can have.
    if (mac === undefined || mac === 0 || isGroupMac(mac)) continue;
    const known = macs.get(network);
    if (known) known.add(mac);
    else macs.set(network, new Set([mac]));
  }
  return {
    away: connected ? undefined : (status.reason ?? 'no session'),
    bindings,
    problems: [...status.problems.map(problemOf), ...taken],
    macs,
  };
}
