import {
  type BucketSpec,
  bits,
  type Dpid,
  FabricType,
  fabricAddress,
  GroupId,
  group,
  type Membership,
  move,
  output,
  Priority,
  pipeline,
  type Rule,
  rule,
  type Step,
  set,
  toGroup,
} from '../../controller/index.ts';

const BROADCAST = 0xffffffffffff;

interface Cast {
  readonly type: FabricType;
  readonly groupId: (network: number) => number;
  /** Destination MACs of this kind. */
  readonly ethDst: number | { readonly value: number; readonly mask: number };
  /** What only frames of this kind have, and how the group's MAC follows from it. */
  readonly ethType?: number;
  readonly restore: readonly Step[];
}

/** The three kinds of frames that go to all members. Multicast that is not IP has no way back to its MAC: it is dropped. */
const casts: readonly Cast[] = [
  {
    type: FabricType.broadcast,
    groupId: GroupId.broadcast,
    ethDst: BROADCAST,
    restore: [set('ethDst', BROADCAST)],
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

/**
 * Broadcast and IP multicast of a network on one member switch. A lone port with nobody to talk to needs nothing; without
 * members elsewhere the local group does; else each kind has a group that sends one copy to the local ports and one to each
 * other member switch, and the rules that restore what arrives from them.
 */
export function floodRules(network: number, dpid: Dpid, membership: Membership): readonly Rule[] {
  const members = membership.portCount(network, dpid);
  const ports = membership.receiversAt(network, dpid);
  const others = membership.reachable(network, dpid).filter((other) => other !== dpid);
  if (members === 0 || (members === 1 && others.length === 0)) return [];
  const local = GroupId.local(network);
  const rules: Rule[] = [
    group({ id: local, type: 'all', buckets: ports.map((port) => ({ actions: [output(port)] })) }),
  ];
  for (const cast of casts) {
    const target = others.length > 0 ? cast.groupId(network) : local;
    rules.push(
      rule(pipeline.switch, {
        priority: typeof cast.ethDst === 'number' ? Priority.exact : Priority.masked,
        match: { network, ethDst: cast.ethDst },
        do: [toGroup(target)],
      }),
    );
    if (others.length === 0) continue;
    rules.push(
      group({
        id: target,
        type: 'all',
        buckets: [{ actions: [toGroup(local)] }, ...others.map((other) => towards(cast, network, other, membership))],
      }),
      restoreRule(cast, network, dpid, membership),
    );
  }
  return rules;
}

function towards(cast: Cast, network: number, other: Dpid, membership: Membership): BucketSpec {
  const index = membership.indexOf(other);
  return { actions: [set('ethDst', fabricAddress(cast.type, index, network)), toGroup(GroupId.hop(index))] };
}

function restoreRule(cast: Cast, network: number, dpid: Dpid, membership: Membership): Rule {
  const ethDst = fabricAddress(cast.type, membership.indexOf(dpid), network);
  const out = toGroup(GroupId.local(network));
  // Without register moves the group's MAC cannot be computed; hosts take IP multicast in a broadcast frame as well.
  if (cast.ethType === undefined || !membership.hasNicira(dpid)) {
    return rule(pipeline.deliver, {
      priority: Priority.exact,
      match: { ethDst },
      do: [set('ethDst', BROADCAST), out],
    });
  }
  return rule(pipeline.deliver, {
    priority: Priority.exact,
    match: { ethDst, ethType: cast.ethType },
    do: [...cast.restore, out],
  });
}
