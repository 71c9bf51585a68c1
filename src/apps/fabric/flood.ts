import {
  type Cast,
  casts,
  crossings,
  type Dpid,
  fabricAddress,
  GroupId,
  group,
  type Membership,
  type NetworkState,
  output,
  Priority,
  pipeline,
  priorityOf,
  type Rule,
  rule,
  type Step,
  toBroadcast,
  toGroup,
  towards,
} from '../../controller/index.ts';

/**
 * Broadcast and IP multicast of a network on one member switch. A lone port with nobody to talk to needs nothing; without
 * members elsewhere the local group does; else each kind has a group that sends one copy to the local ports and one to each
 * other member switch, and the rules that restore what arrives from them.
 */
export function floodRules(network: number, dpid: Dpid, membership: Membership, state: NetworkState): readonly Rule[] {
  const members = membership.portCount(network, dpid);
  const ports = membership.receiversAt(network, dpid);
  const others = membership.reachable(network, dpid).filter((other) => other !== dpid);
  const crossing = crossings(network, dpid, membership, state)[0];
  if (!crossing && (members === 0 || (members === 1 && others.length === 0))) return [];
  // At a gateway, also to those beyond it.
  const over: readonly Step[] = crossing ? [crossing.step] : [];
  const local = GroupId.local(network);
  const rules: Rule[] = [
    group({ id: local, type: 'all', buckets: ports.map((port) => ({ actions: [output(port)] })) }),
    ...(crossing ? [crossing.group] : []),
  ];
  for (const cast of casts) {
    const target = others.length > 0 ? cast.groupId(network) : local;
    rules.push(
      rule(pipeline.switch, {
        priority: priorityOf(cast.ethDst),
        match: { network, ethDst: cast.ethDst },
        do: [toGroup(target), ...over],
      }),
    );
    if (others.length === 0) continue;
    rules.push(
      group({
        id: target,
        type: 'all',
        buckets: [{ actions: [toGroup(local)] }, ...others.map((other) => towards(cast, network, other, membership))],
      }),
      restoreRule(cast, network, dpid, over, membership),
    );
  }
  return rules;
}

function restoreRule(cast: Cast, network: number, dpid: Dpid, over: readonly Step[], membership: Membership): Rule {
  const ethDst = fabricAddress(cast.type, membership.indexOf(dpid), network);
  const out = [toGroup(GroupId.local(network)), ...over];
  // Without register moves the group's MAC cannot be computed; hosts take IP multicast in a broadcast frame as well.
  if (cast.ethType === undefined || !membership.hasNicira(dpid)) {
    return rule(pipeline.deliver, {
      priority: Priority.exact,
      match: { ethDst },
      do: [toBroadcast, ...out],
    });
  }
  return rule(pipeline.deliver, {
    priority: Priority.exact,
    match: { ethDst, ethType: cast.ethType },
    do: [...cast.restore, ...out],
  });
}
