import {
  AppId,
  type Dpid,
  formatMac,
  type Host,
  LEARNED_ENDPOINTS,
  type Mac,
  type NetworkState,
  type Owner,
  parseMac,
} from '../../controller/index.ts';

/*
 * Owner ids. Host: top bit, switch index (14 bits), endpoint id within the learned range (17 bits). Else a kind in the top
 * four bits. So a flow-removed message and a packet-in tell by their cookie what they are about.
 */
const Kind = { switch: 0x1000_0000, network: 0x2000_0000, host: 0x8000_0000 } as const;

/** Ids that a switch's learned hosts have at most. */
export const MAX_HOSTS_PER_SWITCH = LEARNED_ENDPOINTS.last - LEARNED_ENDPOINTS.first + 1;

/** True for the cookies of hosts' own rules. */
export const isHostId = (id: number): boolean => id >= Kind.host;

/** What the default network needs on one switch. */
export const switchOwner = (dpid: Dpid, index: number): Owner => ({
  app: AppId.learning,
  id: Kind.switch + index,
  key: `learning/switch/${dpid}`,
  object: `/v1/switches/${dpid}`,
});

/** What a tenant's network shows to the controller. */
export function networkOwner(index: number, state: NetworkState): Owner {
  const owner = { app: AppId.learning, id: Kind.network + index, key: `learning/network/${index}` };
  const network = state.desired.networkByIndex(index);
  return network ? { ...owner, object: `/v1/tenants/${network.tenant}/networks/${network.id}` } : owner;
}

/** Owner id of a host on the switch of this index. */
export const hostId = (switchIndex: number, endpoint: number): number =>
  Kind.host + switchIndex * MAX_HOSTS_PER_SWITCH + (endpoint - LEARNED_ENDPOINTS.first);

/** The rules of a learned host. It is another owner on each switch, since its place is in the id. */
export const hostOwner = (host: Host, switchIndex: number): Owner => ({
  app: AppId.learning,
  id: hostId(switchIndex, host.endpoint),
  key: `learning/host/${host.network}/${formatMac(host.mac)}/${host.at.dpid}`,
  object: '/v1/hosts',
});

export type ParsedOwner =
  | { readonly kind: 'switch'; readonly dpid: Dpid }
  | { readonly kind: 'network'; readonly network: number }
  | { readonly kind: 'host'; readonly network: number; readonly mac: Mac; readonly dpid: Dpid };

/** What an owner's key names. */
export function parseOwner(owner: Owner): ParsedOwner {
  const [, kind, first = '', second = '', third = ''] = owner.key.split('/');
  if (kind === 'switch') return { kind, dpid: first as Dpid };
  if (kind === 'network') return { kind, network: Number(first) };
  return { kind: 'host', network: Number(first), mac: parseMac(second)!, dpid: third as Dpid };
}
