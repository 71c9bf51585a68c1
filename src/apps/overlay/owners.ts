import { AppId, type Dpid, type NetworkState, type Owner } from '../../controller/index.ts';

const Kind = { switch: 0x1000_0000, network: 0x2000_0000 } as const;
const PREFIX = 'overlay/network/';
const SWITCH_PREFIX = 'overlay/switch/';

/** What an overlay network needs on its member switches beyond its ports: whom it hears, and replication. */
export function networkOwner(index: number, state: NetworkState): Owner {
  const network = state.desired.networkByIndex(index);
  const owner = { app: AppId.overlay, id: Kind.network + index, key: `${PREFIX}${index}` };
  return network ? { ...owner, object: `/v1/tenants/${network.tenant}/networks/${network.id}` } : owner;
}

/** Index of the network that an owner's key names. */
export const networkOf = (owner: Owner): number => Number(owner.key.slice(PREFIX.length));

/** What a hypervisor's switch needs whatever its networks are. */
export const switchOwner = (dpid: Dpid, index: number): Owner => ({
  app: AppId.overlay,
  id: Kind.switch + index,
  key: `${SWITCH_PREFIX}${dpid}`,
  object: `/v1/switches/${dpid}`,
});

/** The switch that an owner's key names; undefined when it names a network. */
export const switchOf = (owner: Owner): Dpid | undefined =>
  owner.key.startsWith(SWITCH_PREFIX) ? (owner.key.slice(SWITCH_PREFIX.length) as Dpid) : undefined;
