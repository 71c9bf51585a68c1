import {
  type DeviceReason,
  devicePortOf,
  type Hypervisor,
  type NetworkState,
  type Port,
} from '../../controller/index.ts';

/** What a hardware VTEP has to say of a port that is bound to it. */
export interface DeviceCondition {
  readonly reason: DeviceReason | 'DatabaseUnknown' | 'DatabaseAway' | 'DevicePending';
  readonly message: string;
}

/**
 * Why a port behind a hardware VTEP does not work, as far as the device's database says; undefined when it is bound there. The device
 * does not say whether it has done what is in its database.
 */
export function deviceCondition(
  port: Port,
  { id }: Hypervisor,
  { observed }: NetworkState,
): DeviceCondition | undefined {
  const device = observed.device(id);
  const name = `hardware VTEP ${id}`;
  if (!device) return { reason: 'DatabaseUnknown', message: `the database of ${name} was not heard of yet` };
  if (device.away !== undefined)
    return { reason: 'DatabaseAway', message: `no session with the database of ${name}: ${device.away}` };
  const network = `${port.tenant}/${port.network}`;
  const at = devicePortOf(port)!;
  const bound = device.bindings.get(at);
  if (bound === network) return undefined;
  const problem = device.problems.find(
    (each) =>
      (each.network === undefined && each.reason === 'SwitchMissing') ||
      (each.network === network && (each.at === undefined || each.at === at)),
  );
  if (problem) return { reason: problem.reason, message: `${name}: ${problem.message}` };
  return { reason: 'DevicePending', message: `on its way to the database of ${name}` };
}
