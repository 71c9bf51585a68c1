import { AppId, type NetworkState, type Owner } from '../../controller/index.ts';

const Kind = { network: 0x2000_0000 } as const;
const PREFIX = 'overlay/network/';

/** What an overlay network needs on its member switches beyond its ports: whom it hears, and replication. */
export function networkOwner(index: number, state: NetworkState): Owner {
  const network = state.desired.networkByIndex(index);
  const owner = { app: AppId.overlay, id: Kind.network + index, key: `${PREFIX}${index}` };
  return network ? { ...owner, object: `/v1/tenants/${network.tenant}/networks/${network.id}` } : owner;
}

/** Index of the network that an owner's key names. */
export const networkOf = (owner: Owner): number => Number(owner.key.slice(PREFIX.length));
