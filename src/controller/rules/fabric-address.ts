import { InvariantError, type Mac } from '../kernel/index.ts';

/**
 * Positional addresses of the fabric. While a frame crosses the fabric its destination MAC says where it goes, not whom it
 * is for: byte 0 is 0x06 (locally administered, unicast), then 2 bits of type, 14 bits of egress switch index, 24 bits of
 * id. Core switches match the switch index only; the egress switch knows from type and id what to restore.
 */
export const FabricType = { endpoint: 0, broadcast: 1, multicast4: 2, multicast6: 3 } as const;
export type FabricType = (typeof FabricType)[keyof typeof FabricType];

/** The parts of a fabric address. `id` is an endpoint id for type `endpoint`, else a network index. */
export interface FabricAddress {
  readonly type: FabricType;
  readonly switchIndex: number;
  readonly id: number;
}

const PREFIX = 0x06;
const MAX_SWITCH_INDEX = 0x3fff;
const MAX_ID = 0xffffff;

/** Mask under which a fabric address names its switch: prefix and switch index, type and id left out. */
export const FABRIC_SWITCH_MASK = 0xff3fff000000 as Mac;

/** The address as a MAC. Throws InvariantError when a part is out of range. */
export function fabricAddress(type: FabricType, switchIndex: number, id: number): Mac {
  if (!Number.isInteger(switchIndex) || switchIndex < 1 || switchIndex > MAX_SWITCH_INDEX) {
    throw new InvariantError(`fabric address: switch index ${switchIndex}; 1…${MAX_SWITCH_INDEX}`);
  }
  if (!Number.isInteger(id) || id < 0 || id > MAX_ID) {
    throw new InvariantError(`fabric address: id ${id}; 0…${MAX_ID}`);
  }
  return (PREFIX * 2 ** 40 + type * 2 ** 38 + switchIndex * 2 ** 24 + id) as Mac;
}

/** What to match, under `FABRIC_SWITCH_MASK`, for everything that goes to this switch. */
export const fabricSwitchPrefix = (switchIndex: number): Mac => fabricAddress(FabricType.endpoint, switchIndex, 0);

/** The parts of a MAC that is a fabric address, else undefined. */
export function parseFabricAddress(mac: number): FabricAddress | undefined {
  if (Math.floor(mac / 2 ** 40) !== PREFIX) return undefined;
  const high = Math.floor(mac / 2 ** 24) & 0xffff;
  return { type: (high >>> 14) as FabricType, switchIndex: high & MAX_SWITCH_INDEX, id: mac % 2 ** 24 };
}
