import { formatIp, InvariantError, type LispAction, type Rloc } from '../../controller/index.ts';
import {
  type Address,
  addressOf,
  type EidPrefix,
  eidPrefix,
  eidText,
  type Locator,
  MapAction,
  type MappingRecord,
} from '../lisp/index.ts';

/** The prefix that canonical text `ADDRESS/LENGTH` names; an address alone is a prefix of full length. Undefined when it is none. */
export function readPrefix(instanceId: number, text: string): EidPrefix | undefined {
  const [address = '', length] = text.split('/', 2);
  const mac = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(address);
  const afi = mac ? 'mac' : address.includes(':') ? 'ipv6' : 'ipv4';
  if (length !== undefined && !/^\d{1,3}$/.test(length)) return undefined;
  const bits = length === undefined ? { ipv4: 32, ipv6: 128, mac: 48 }[afi] : Number(length);
  const prefix = eidPrefix({ afi, address }, bits);
  return prefix && { ...prefix, instanceId };
}

/** The prefix of an object, whose text has been checked. */
export function prefixOf(instanceId: number, eid: string): EidPrefix {
  const prefix = readPrefix(instanceId, eid);
  if (!prefix) throw new InvariantError(`"${eid}" is no EID prefix`);
  return prefix;
}

/** `ADDRESS/LENGTH`. */
export const plainText = (prefix: EidPrefix): string => eidText(prefix).replace(/^\[\d+\]/, '');

const actions: Readonly<Record<LispAction, number>> = {
  noAction: MapAction.noAction,
  nativelyForward: MapAction.nativelyForward,
  sendMapRequest: MapAction.sendMapRequest,
  drop: MapAction.drop,
};

/** Name of an action; those that REST does not offer by their names in RFC 9301. */
export const actionName = (action: number): string =>
  Object.entries(MapAction).find(([, value]) => value === action)?.[0] ?? `reserved (${action})`;

/** A locator as we answer it. */
export const locatorOf = ({ address, priority, weight }: Rloc): Locator => ({
  priority,
  weight,
  multicastPriority: 255,
  multicastWeight: 0,
  reserved: 0,
  local: false,
  probed: false,
  reachable: true,
  rloc: { afi: address.family === 4 ? 'ipv4' : 'ipv6', address: formatIp(address) },
});

/** The record that says where a prefix is. */
export const recordOf = (
  prefix: EidPrefix,
  rlocs: readonly Rloc[],
  action: LispAction,
  ttlMinutes: number,
): MappingRecord => ({
  ttl: ttlMinutes,
  maskLength: prefix.length,
  action: actions[action],
  authoritative: true,
  reserved: 0,
  reserved2: 0,
  version: 0,
  eid: addressOf(prefix),
  locators: rlocs.map(locatorOf),
});

/** A locator's address for people: plain where it is plain. */
export function rlocText(rloc: Address): string {
  switch (rloc.afi) {
    case 'none':
      return 'none';
    case 'name':
      return rloc.name;
    case 'lcaf': {
      if (rloc.type === 'instanceId') return `[${rloc.instanceId}]${rlocText(rloc.address)}`;
      if (rloc.type === 'afiList') return rloc.addresses.map(rlocText).join(',');
      if (rloc.type === 'explicitPath') return rloc.hops.map(({ address }) => rlocText(address)).join(',');
      return rloc.type === 'unknown' ? `lcaf ${rloc.lcafType}` : `lcaf ${rloc.type}`;
    }
    default:
      return rloc.address;
  }
}
