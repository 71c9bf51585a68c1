import {
  type Dpid,
  GroupId,
  group,
  type IpAddress,
  isOverlay,
  type Membership,
  type Network,
  type NetworkState,
  next,
  OVERLAY,
  output,
  type Placement,
  Priority,
  peerAddress,
  pipeline,
  type Rule,
  rule,
  state as slots,
  type TunnelType,
  toGroup,
  tunnelIdMatch,
  tunnelSteps,
  type Vtep,
  write,
} from '../../controller/index.ts';

/** The bit that tells group addresses, broadcast among them. */
const GROUP_BIT = 0x01_00_00_00_00_00;
const TO_MANY = { value: GROUP_BIT, mask: GROUP_BIT };
const TO_ONE = { value: 0, mask: GROUP_BIT };

/** A tunnel endpoint that holds members of a network. */
interface Peer {
  readonly hypervisor: string;
  readonly addresses: readonly IpAddress[];
}

/** All rules of an overlay network that no single port is the reason for, on each of its member switches. */
export function networkRules(index: number, membership: Membership, state: NetworkState): Placement {
  const placement = new Map<Dpid, readonly Rule[]>();
  const network = state.desired.networkByIndex(index);
  if (!network || !isOverlay(network.transport)) return placement;
  const foreign = foreignPeers(network, state);
  for (const dpid of membership.segment(index, OVERLAY)) {
    const rules = switchRules(network, dpid, [...ownPeers(index, dpid, membership), ...foreign], membership, state);
    if (rules.length > 0) placement.set(dpid, rules);
  }
  return placement;
}

/** Endpoints of ours, by switch index. */
function ownPeers(index: number, dpid: Dpid, membership: Membership): readonly Peer[] {
  return membership.reachable(index, dpid).flatMap((other): Peer[] => {
    const vtep = other === dpid ? undefined : membership.vtepOf(other);
    return vtep ? [vtep] : [];
  });
}

/** Endpoints of others, by id. */
function foreignPeers({ tenant, id }: Network, { desired }: NetworkState): readonly Peer[] {
  return [...desired.hypervisorsOf(tenant, id)].sort().flatMap((hypervisor): Peer[] => {
    const found = desired.hypervisors.get(hypervisor);
    return found && found.datapathId === undefined ? [{ hypervisor, addresses: found.tunnelAddresses }] : [];
  });
}

function switchRules(
  network: Network,
  dpid: Dpid,
  peers: readonly Peer[],
  membership: Membership,
  state: NetworkState,
): readonly Rule[] {
  const { index } = network;
  const transport = network.transport as TunnelType;
  const vtep = membership.vtepOf(dpid);
  const members = membership.portCount(index, dpid);
  const ports = membership.receiversAt(index, dpid);
  const ways = peers.flatMap((peer) => {
    const steps = tunnelSteps(network, vtep, peer.addresses);
    return steps ? [{ peer, steps }] : [];
  });
  if (ways.length === 0 && members < 2) return [];
  const local = GroupId.local(index);
  const rules: Rule[] = [
    group({ id: local, type: 'all', buckets: ports.map((port) => ({ actions: [output(port)] })) }),
  ];
  const floods = network.unknownUnicast === 'flood';
  const spread = (arrived: number | undefined, id: number): void => {
    for (const [ethDst, priority] of [[TO_MANY, Priority.masked] as const, [TO_ONE, Priority.fallback] as const]) {
      if (ethDst === TO_ONE && !floods) continue;
      const match = { network: index, ethDst, ...(arrived === undefined ? {} : { arrived }) };
      rules.push(rule(pipeline.switch, { priority, match, do: [toGroup(id)] }));
    }
  };
  if (ways.length === 0) {
    spread(undefined, local);
    return rules;
  }
  // Split horizon: what came through a tunnel was sent to every other endpoint by the one that it came from.
  spread(1, local);
  const all = GroupId.broadcast(index);
  spread(0, all);
  const replicated = ways.filter(
    ({ peer }) => state.observed.tunnel(dpid, peer.hypervisor, transport)?.state !== 'down',
  );
  rules.push(
    group({
      id: all,
      type: 'all',
      buckets: [{ actions: [toGroup(local)] }, ...replicated.map(({ steps }) => ({ actions: steps }))],
    }),
    ...ways.map(({ peer }) => acceptRule(network, vtep!, peer)),
  );
  return rules;
}

/** Frames of the network from an endpoint that holds members of it; from all others they are dropped. */
function acceptRule(network: Network, vtep: Vtep, peer: Peer): Rule {
  const { family, value } = peerAddress(vtep.addresses, peer.addresses)!;
  const from = family === 4 ? { tunIpv4Src: Number(value) } : { tunIpv6Src: value };
  const inPort = vtep.ports.get(network.transport as TunnelType)!;
  return rule(pipeline.classify, {
    priority: Priority.exact,
    match: { inPort, tunnelId: tunnelIdMatch(network), ...from },
    do: [write(slots.network, network.index), write(slots.arrived, 1), next(pipeline.switch)],
  });
}
