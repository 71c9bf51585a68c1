import type { Dpid, IpAddress } from '../kernel/index.ts';
import type { Network } from '../model/index.ts';
import {
  type BucketSpec,
  bits,
  FabricType,
  fabricAddress,
  GroupId,
  group,
  move,
  output,
  Priority,
  type Rule,
  type Step,
  set,
  toGroup,
} from '../rules/index.ts';
import type { NetworkState } from './app.ts';
import type { Membership } from './membership.ts';
import { isOverlay, speaks, tunnelSteps } from './overlay.ts';

/** Destinations that a rule matches. */
export type EthDst = number | { readonly value: number; readonly mask: number };

/** Frames that go to all members of a fabric network. */
export interface Cast {
  readonly type: FabricType;
  readonly groupId: (network: number) => number;
  /** Destination MACs of this kind. */
  readonly ethDst: EthDst;
  /** What only frames of this kind have, and how the group's MAC follows from it. */
  readonly ethType?: number;
  readonly restore: readonly Step[];
}

const BROADCAST = 0xffffffffffff;

/** Sets the destination of a frame to broadcast. */
export const toBroadcast: Step = set('ethDst', BROADCAST);

/** The three kinds of frames that go to all members over the fabric. Multicast that is not IP has no way back to its MAC: it is dropped. */
export const casts: readonly Cast[] = [
  {
    type: FabricType.broadcast,
    groupId: GroupId.broadcast,
    ethDst: BROADCAST,
    restore: [toBroadcast],
  },
  {
    type: FabricType.multicast4,
    groupId: GroupId.multicast4,
    ethDst: { value: 0x01005e000000, mask: 0xffffff800000 },
    ethType: 0x0800,
    restore: [set('ethDst', 0x01005e000000), move(bits('ipv4Dst', 0, 23), bits('ethDst', 0, 23))],
  },
  {
    type: FabricType.multicast6,
    groupId: GroupId.multicast6,
    ethDst: { value: 0x333300000000, mask: 0xffff00000000 },
    ethType: 0x86dd,
    restore: [set('ethDst', 0x333300000000), move(bits('ipv6Dst', 0, 32), bits('ethDst', 0, 32))],
  },
];

/** Sends a copy to another member switch of a fabric network. */
export function towards(cast: Cast, network: number, other: Dpid, membership: Membership): BucketSpec {
  const index = membership.indexOf(other);
  return { actions: [set('ethDst', fabricAddress(cast.type, index, network)), toGroup(GroupId.hop(index))] };
}

/** A tunnel endpoint that holds members of a network. */
export interface Peer {
  readonly hypervisor: string;
  readonly addresses: readonly IpAddress[];
}

/** A tunnel endpoint and how a switch sends frames there. */
export interface PeerWay {
  readonly peer: Peer;
  readonly steps: readonly Step[];
}

/** Tunnel endpoints with members of an overlay network, and how this switch sends there: ours by switch index, then others' by id. */
export function peerWays(
  network: Network,
  dpid: Dpid,
  membership: Membership,
  state: NetworkState,
): readonly PeerWay[] {
  const vtep = membership.vtepOf(dpid);
  return [...ownPeers(network.index, dpid, membership), ...foreignPeers(network, state)].flatMap((peer) => {
    const steps = tunnelSteps(network, vtep, peer.addresses);
    return steps ? [{ peer, steps }] : [];
  });
}

function ownPeers(index: number, dpid: Dpid, membership: Membership): readonly Peer[] {
  return membership.reachable(index, dpid).flatMap((other): Peer[] => {
    const vtep = other === dpid ? undefined : membership.vtepOf(other);
    return vtep ? [vtep] : [];
  });
}

function foreignPeers({ tenant, id, transport }: Network, { desired }: NetworkState): readonly Peer[] {
  return [...desired.hypervisorsOf(tenant, id)].sort().flatMap((hypervisor): Peer[] => {
    const found = desired.hypervisors.get(hypervisor);
    return found && found.datapathId === undefined && speaks(found, transport)
      ? [{ hypervisor, addresses: found.tunnelAddresses }]
      : [];
  });
}

/** One copy for each tunnel endpoint that is not known to be down. */
export function replicas(
  { transport }: Network,
  dpid: Dpid,
  ways: readonly PeerWay[],
  { observed }: NetworkState,
): readonly BucketSpec[] {
  return ways
    .filter(({ peer }) => !isOverlay(transport) || observed.tunnel(dpid, peer.hypervisor, transport)?.state !== 'down')
    .map(({ steps }) => ({ actions: steps }));
}

/** Which frames a gateway carries over to all members beyond it, and the group that does. */
export interface Crossing {
  readonly ethDst: EthDst;
  readonly priority: Priority;
  readonly group: Rule;
  readonly step: Step;
}

/** The bit that tells group addresses, broadcast among them. */
const GROUP_BIT = 0x01_00_00_00_00_00;
/** Group addresses, and all others. */
export const TO_MANY: EthDst = { value: GROUP_BIT, mask: GROUP_BIT };
export const TO_ONE: EthDst = { value: 0, mask: GROUP_BIT };

/**
 * How the gateway of a network carries what is for everybody to the other side: to the ports there that it has itself, and to all other
 * members there. One group when tunnels lead to them, one for each kind of frame that the fabric carries. Empty on other switches.
 */
export function crossings(
  network: number,
  dpid: Dpid,
  membership: Membership,
  state: NetworkState,
): readonly Crossing[] {
  if (membership.gatewayOf(network) !== dpid) return [];
  const beyond = membership.beyond(network);
  if (!beyond) return [];
  const local = membership.receiversAt(beyond.index, dpid).map((port): BucketSpec => ({ actions: [output(port)] }));
  const crossing = (ethDst: EthDst, nth: number, remote: readonly BucketSpec[]): Crossing => {
    const id = GroupId.beyond(network, nth);
    const rule = group({ id, type: 'all', buckets: [...local, ...remote] });
    return { ethDst, priority: priorityOf(ethDst), group: rule, step: toGroup(id) };
  };
  if (isOverlay(beyond.transport)) {
    return [crossing(TO_MANY, 0, replicas(beyond, dpid, peerWays(beyond, dpid, membership, state), state))];
  }
  const others = membership.reachable(beyond.index, dpid).filter((other) => other !== dpid);
  return casts.map((cast, nth) =>
    crossing(
      cast.ethDst,
      nth,
      others.map((other) => towards(cast, beyond.index, other, membership)),
    ),
  );
}

/** Of two rules for group addresses the narrower one wins. */
export const priorityOf = (ethDst: EthDst): Priority =>
  typeof ethDst === 'number' ? Priority.exact : ethDst === TO_MANY ? Priority.fallback : Priority.masked;
