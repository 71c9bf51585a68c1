import { PortConfig, PortState } from '../../ofproto/index.ts';
import type { Mac } from '../kernel/index.ts';

/** A port as a session describes it, in OpenFlow's words. */
export interface DescribedPort {
  readonly portNo: number;
  readonly hwAddr: number;
  readonly name: string;
  /** OFPPC_* */
  readonly config: number;
  /** OFPPS_* */
  readonly state: number;
  readonly currSpeed: number;
}

/** The same port as observed state takes it: up when it is neither shut down by an operator nor without carrier. */
export const portOf = ({ portNo, hwAddr, name, config, state, currSpeed }: DescribedPort) => ({
  no: portNo,
  name,
  mac: hwAddr as Mac,
  up: (config & PortConfig.portDown) === 0 && (state & PortState.linkDown) === 0,
  currentSpeed: currSpeed,
});
