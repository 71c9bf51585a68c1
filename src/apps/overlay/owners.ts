import { AppId, type Dpid, type NetworkState, type Owner } from '../../controller/index.ts';

const Kind = { switch: 0x1000_0000, network: 0x2000_0000, learned: 0x3000_0000 } as const;
const PREFIX = 'overlay/network/';
const SWITCH_PREFIX = 'overlay/switch/';
const LEARNED_PREFIX = 'overlay/learned/';

/** What an overlay network needs on its member switches beyond its ports: whom it hears, and replication. */
export function networkOwner(index: number, state: NetworkState): Owner {
  const network = state.desired.networkByIndex(index);
  const owner = { app: AppId.overlay, id: Kind.network + index, key: `${PREFIX}${index}` };
  return network ? { ...owner, object: `/v1/tenants/${network.tenant}/networks/${network.id}` } : owner;
}

/** The ways to what hardware VTEPs have learned in a network. */
export const learnedOwner = (index: number, state: NetworkState): Owner => ({
  ...networkOwner(index, state),
  id: Kind.learned + index,
  key: `${LEARNED_PREFIX}${index}`,
});

/** Index of the network that an owner's key names. */
export const networkOf = (owner: Owner): number => Number(owner.key.slice(PREFIX.length));

/** Index of the network whose learned MACs an owner's key names; undefined when it names something else. */
export const learnedOf = (owner: Owner): number | undefined =>
  owner.key.startsWith(LEARNED_PREFIX) ? Number(owner.key.slice(LEARNED_PREFIX.length)) : undefined;

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
