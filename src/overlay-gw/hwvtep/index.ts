/** Hardware VTEPs by their `hardware_vtep` database (vtep(5)): networks, bindings and remote MACs kept, learned MACs told. */
export { Devices } from './devices.ts';
export {
  dialHwvtep,
  HwvtepKeeper,
  type HwvtepKeeperOptions,
  type HwvtepStatus,
  type HwvtepWatcher,
  type HwvtepWishes,
} from './keeper.ts';
export type { DeviceCandidate, LearnedMac } from './listing.ts';
export {
  type HwvtepPlan,
  type HwvtepProblem,
  logicalSwitchName,
  networkOf,
  planHwvtep,
  type WantedHwvtep,
  type WantedNetwork,
} from './plan.ts';
export type { HwvtepTables } from './tables.ts';
export type { HwvtepView, LocalMac, PhysicalPort, PhysicalSwitch } from './view.ts';
