import { AppId, type Dpid, type NetworkState, type Owner } from '../../controller/index.ts';

const Kind = { switch: 0x1000_0000, network: 0x2000_0000, flood: 0x3000_0000 } as const;
const PREFIX = 'fabric/';

/** Transit rules and hop groups of one switch. */
export const switchOwner = (dpid: Dpid, index: number): Owner => ({
  app: AppId.fabric,
  id: Kind.switch + index,
  key: `${PREFIX}switch/${dpid}`,
  object: `/v1/switches/${dpid}`,
});

/** Broadcast and multicast of one tenant network on all its switches. */
export function networkOwner(index: number, state: NetworkState): Owner {
  const network = state.desired.networkByIndex(index);
  const owner = { app: AppId.fabric, id: Kind.network + index, key: `${PREFIX}network/${index}` };
  return network ? { ...owner, object: `/v1/tenants/${network.tenant}/networks/${network.id}` } : owner;
}

/**
 * Broadcast and multicast of the default network on one switch. Not one owner for all: that network may span thousands of
 * switches that have nothing to do with each other.
 */
export const floodOwner = (dpid: Dpid, index: number): Owner => ({
  app: AppId.fabric,
  id: Kind.flood + index,
  key: `${PREFIX}flood/${dpid}`,
  object: `/v1/switches/${dpid}`,
});

/** What an owner's key names. */
export function parseOwner(owner: Owner): { readonly kind: string; readonly name: string } {
  const [, kind = '', name = ''] = owner.key.split('/');
  return { kind, name };
}
