import {
  type DeviceProblem,
  type DeviceReason,
  devicePortKey,
  formatIp,
  type Hypervisor,
  type JsonObject,
  type ObjectVerdict,
  type ObservedDevice,
} from '../../controller/index.ts';
import type { HwvtepProblem } from './plan.ts';
import type { DeviceSession } from './session.ts';

const REASONS: Readonly<Record<HwvtepProblem['reason'], DeviceReason>> = {
  'switch-missing': 'SwitchMissing',
  'port-missing': 'PortMissing',
  'vlan-taken': 'VlanTaken',
  'vni-taken': 'VniTaken',
  'wanted-twice': 'WantedTwice',
  'in-use': 'InUse',
  'no-replication-mode': 'NoReplicationMode',
  invalid: 'Invalid',
};

/** Problems listed in a status. */
const LISTED = 100;

/** A problem of the database, as observed state has it. */
export const problemOf = ({ reason, message, network, binding }: HwvtepProblem): DeviceProblem => ({
  reason: REASONS[reason],
  message,
  network,
  at: binding && devicePortKey(binding.port, binding.vlan),
});

/** What stands in the status of a hardware VTEP. `networks`: how many it shall have. */
export function deviceVerdict(
  hypervisor: Hypervisor,
  session: DeviceSession | undefined,
  observed: ObservedDevice | undefined,
  networks: number,
): ObjectVerdict {
  const fields = fieldsOf(hypervisor, session, observed, networks);
  const [reason, message] = problem(hypervisor, session, observed) ?? [];
  if (reason !== undefined && message !== undefined) return { ok: false, reason, message, fields };
  const how = session?.status.state === 'right' ? 'as it should be' : 'a change is on its way to it';
  return { ok: true, reason: 'Connected', message: `its database is connected, ${how}`, fields };
}

function problem(
  { physicalSwitch = '', tunnelAddresses }: Hypervisor,
  session: DeviceSession | undefined,
  observed: ObservedDevice | undefined,
): readonly [reason: string, message: string] | undefined {
  if (!session) return ['DatabaseUnknown', 'its database has not dialled in, and no address to dial is given'];
  const { status, keeper } = session;
  if (!session.connected) return ['DatabaseAway', status.reason ?? 'no session'];
  const here = keeper.view.switches.find(({ name }) => name === physicalSwitch);
  if (!here) {
    const there = keeper.view.switches.map(({ name }) => name).join(', ') || 'none';
    return ['SwitchMissing', `the device has no physical switch ${physicalSwitch}; there are: ${there}`];
  }
  if (status.state === 'failed') return ['DatabaseRefused', status.reason ?? 'refused'];
  const wanted = tunnelAddresses.map(formatIp);
  if (!here.tunnelIps.some((address) => wanted.includes(address))) {
    const said = here.tunnelIps.join(', ') || 'nowhere';
    return ['AddressDiffers', `its database says that tunnels end at ${said}, not ${wanted.join(', ')}`];
  }
  // A device that floods worse than it might still works.
  const first = observed?.problems.find(({ reason }) => reason !== 'NoReplicationMode');
  return first && [first.reason, first.message];
}

function fieldsOf(
  { physicalSwitch }: Hypervisor,
  session: DeviceSession | undefined,
  observed: ObservedDevice | undefined,
  networks: number,
): JsonObject {
  if (!session) return { database: { state: 'unknown' } };
  const { status, remote, keeper } = session;
  const here = keeper.view.switches.find(({ name }) => name === physicalSwitch);
  let learned = 0;
  for (const macs of observed?.macs.values() ?? []) learned += macs.size;
  return {
    database: {
      state: session.connected ? status.state : 'away',
      remote,
      since: new Date(status.since).toISOString(),
      ...(status.reason === undefined ? {} : { reason: status.reason }),
    },
    ...(here
      ? {
          device: {
            description: here.description,
            tunnelAddresses: [...here.tunnelIps],
            faults: [...here.faults],
            ports: here.ports.map(({ name, faults }) => ({ name, faults: [...faults] })),
          },
        }
      : {}),
    networks,
    learned,
    problems: (observed?.problems ?? []).slice(0, LISTED).map(({ reason, message }) => ({ reason, message })),
  };
}
