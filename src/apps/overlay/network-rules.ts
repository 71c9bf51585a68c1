import {
  crossings,
  type Dpid,
  GroupId,
  group,
  isOverlay,
  type Membership,
  type Network,
  type NetworkState,
  next,
  OVERLAY,
  output,
  type Peer,
  type Placement,
  Priority,
  peerAddress,
  peerWays,
  pipeline,
  priorityOf,
  type Rule,
  replicas,
  rule,
  type Step,
  state as slots,
  TO_MANY,
  TO_ONE,
  type TunnelType,
  toGroup,
  tunnelIdMatch,
  type Vtep,
  write,
} from '../../controller/index.ts';

/** All rules of an overlay network that no single port is the reason for, on each of its member switches. */
export function networkRules(index: number, membership: Membership, state: NetworkState): Placement {
  const placement = new Map<Dpid, readonly Rule[]>();
  const network = state.desired.networkByIndex(index);
  if (!network || !isOverlay(network.transport)) return placement;
  for (const dpid of membership.segment(index, OVERLAY)) {
    const rules = switchRules(network, dpid, membership, state);
    if (rules.length > 0) placement.set(dpid, rules);
  }
  return placement;
}

function switchRules(network: Network, dpid: Dpid, membership: Membership, state: NetworkState): readonly Rule[] {
  const { index } = network;
  const vtep = membership.vtepOf(dpid);
  const ports = membership.receiversAt(index, dpid);
  const ways = peerWays(network, dpid, membership, state);
  const crossing = crossings(index, dpid, membership, state);
  if (ways.length === 0 && crossing.length === 0 && membership.portCount(index, dpid) < 2) return [];
  const local = GroupId.local(index);
  const rules: Rule[] = [
    group({ id: local, type: 'all', buckets: ports.map((port) => ({ actions: [output(port)] })) }),
    ...crossing.map((each) => each.group),
  ];
  /** What is for all, or for a MAC that nobody has, goes to these and, at a gateway, to those beyond it. */
  const spread = (
    arrived: { readonly arrived?: number; readonly relayed?: number },
    id: number,
    crosses: boolean,
  ): void => {
    const to = (ethDst: typeof TO_MANY, priority: Priority, over: readonly Step[]): void => {
      rules.push(
        rule(pipeline.switch, { priority, match: { network: index, ethDst, ...arrived }, do: [toGroup(id), ...over] }),
      );
    };
    const narrower = crosses ? crossing.filter(({ ethDst }) => ethDst !== TO_MANY) : [];
    const over = crosses ? crossing.filter(({ ethDst }) => ethDst === TO_MANY).map(({ step }) => step) : [];
    to(TO_MANY, priorityOf(TO_MANY), over);
    for (const { ethDst, priority, step } of narrower) to(ethDst, priority, [step]);
    if (network.unknownUnicast === 'flood') {
      const beyond = membership.beyond(index);
      to(TO_ONE, Priority.fallback, beyond?.unknownUnicast === 'flood' ? over : []);
    }
  };
  const all = ways.length > 0 ? GroupId.broadcast(index) : local;
  // Split horizon: what came through a tunnel was sent to every other endpoint by the one that it came from.
  if (ways.length === 0) spread({}, local, true);
  else {
    spread({ arrived: 0 }, all, true);
    if (crossing.length > 0) {
      spread({ arrived: 1, relayed: 0 }, local, true);
      spread({ arrived: 1, relayed: 1 }, local, false);
    } else spread({ arrived: 1 }, local, false);
    rules.push(
      group({
        id: all,
        type: 'all',
        buckets: [{ actions: [toGroup(local)] }, ...replicas(network, dpid, ways, state)],
      }),
    );
  }
  const former = crossing.length > 0 ? formerGateway(network, state) : undefined;
  for (const { peer } of ways) rules.push(acceptRule(network, vtep!, peer, peer.hypervisor === former));
  return rules;
}

/** The hypervisor whose switch may still carry frames over because it has not heard that another one does. */
function formerGateway(network: Network, { desired, observed }: NetworkState): string | undefined {
  const extension = network.extends === undefined ? desired.otherSide(network) : network;
  const former = extension && observed.gateway(`network/${extension.index}`)?.former;
  return former === undefined ? undefined : desired.hypervisorByDpid(former)?.id;
}

/** Frames of the network from an endpoint that holds members of it; from all others they are dropped. */
function acceptRule(network: Network, vtep: Vtep, peer: Peer, isFormer: boolean): Rule {
  const { family, value } = peerAddress(vtep.addresses, peer.addresses)!;
  const from = family === 4 ? { tunIpv4Src: Number(value) } : { tunIpv6Src: value };
  const inPort = vtep.ports.get(network.transport as TunnelType)!;
  return rule(pipeline.classify, {
    priority: Priority.exact,
    match: { inPort, tunnelId: tunnelIdMatch(network), ...from },
    do: [
      write(slots.network, network.index),
      write(slots.arrived, 1),
      ...(isFormer ? [write(slots.relayed, 1)] : []),
      next(pipeline.switch),
    ],
  });
}
