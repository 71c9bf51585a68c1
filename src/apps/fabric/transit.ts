import {
  type Dpid,
  FABRIC_SWITCH_MASK,
  fabricSwitchPrefix,
  GroupId,
  group,
  type NetworkState,
  type NextHops,
  next,
  output,
  Priority,
  pipeline,
  type Rule,
  rule,
  toGroup,
} from '../../controller/index.ts';

/** What one switch needs to carry fabric traffic: grows with the switches it can reach, not with networks or hosts. */
export function transitRules(dpid: Dpid, state: NetworkState): readonly Rule[] {
  const { observed } = state;
  const self = observed.switches.get(dpid);
  if (!self) return [];
  const rules: Rule[] = [
    rule(pipeline.respond, { priority: Priority.passThrough, match: {}, do: [next(pipeline.switch)] }),
  ];
  const links = [...self.ports.values()].filter((port) => port.role === 'link').map((port) => port.no);
  for (const no of links.sort((a, b) => a - b)) {
    rules.push(
      rule(pipeline.classify, { priority: Priority.exact, match: { inPort: no }, do: [next(pipeline.transit)] }),
    );
  }
  const peers: { readonly index: number; readonly hops: NextHops }[] = [];
  for (const other of observed.component(dpid)) {
    const index = observed.switches.get(other)?.index;
    const hops = other === dpid ? undefined : observed.nextHops(dpid, other);
    if (index !== undefined && hops && hops.equal.length > 0) peers.push({ index, hops });
  }
  if (links.length > 0 || peers.length > 0) {
    rules.push(
      rule(pipeline.transit, {
        priority: Priority.masked,
        match: { ethDst: { value: fabricSwitchPrefix(self.index), mask: FABRIC_SWITCH_MASK } },
        do: [next(pipeline.deliver)],
      }),
    );
  }
  for (const { index, hops } of peers.sort((a, b) => a.index - b.index)) {
    rules.push(
      hopGroup(index, hops),
      rule(pipeline.transit, {
        priority: Priority.masked,
        match: { ethDst: { value: fabricSwitchPrefix(index), mask: FABRIC_SWITCH_MASK } },
        do: [toGroup(GroupId.hop(index))],
      }),
    );
  }
  return rules;
}

/** The way towards one switch. Where there is a choice, the switch itself leaves a dead port without asking us. */
function hopGroup(index: number, { equal, backup }: NextHops): Rule {
  const id = GroupId.hop(index);
  const through = (port: number) => ({ actions: [output(port)], watchPort: port });
  if (equal.length > 1) return group({ id, type: 'select', buckets: equal.map(through) });
  const only = equal[0]!;
  if (backup === undefined) return group({ id, type: 'indirect', buckets: [{ actions: [output(only)] }] });
  return group({ id, type: 'fastFailover', buckets: [through(only), through(backup)] });
}
