import {
  addressOf,
  DEFAULT_NETWORK,
  DefaultRate,
  type Dpid,
  GroupId,
  type Host,
  isLearned,
  isOverlay,
  isWelcome,
  type Membership,
  MeterId,
  meter,
  meterBy,
  type NetworkState,
  next,
  output,
  type Placement,
  Priority,
  pipeline,
  type Rule,
  remoteRules,
  rule,
  rulesBeyond,
  type Step,
  set,
  state as slots,
  toController,
  toGroup,
  waysTo,
  write,
} from '../../controller/index.ts';
import { EtherType, FlowModFlag } from '../../ofproto/index.ts';

const MAX_METERED_TENANT = 0xffff;
/** The bit that tells group addresses is not set. */
const UNICAST = { value: 0, mask: 0x010000000000 };

/** Shown to the controller as far as the network's meter lets it. */
function punt(network: number, state: NetworkState): readonly Step[] {
  if (network === DEFAULT_NETWORK) return [meterBy(MeterId.learn), toController()];
  const tenant = state.desired.tenants.get(state.desired.networkByIndex(network)?.tenant ?? '');
  if (!tenant || tenant.index > MAX_METERED_TENANT) return [toController()];
  return [meterBy(MeterId.tenantPunt(tenant.index)), toController()];
}

/** What a network does with a destination it does not know, when it floods: in the switch where that suffices. */
function unknownRules(network: number, dpid: Dpid, membership: Membership, state: NetworkState): readonly Rule[] {
  const ports = membership.portCount(network, dpid);
  // Overlay networks replicate in the switch itself: see the overlay app.
  if (isOverlay(state.desired.networkByIndex(network)?.transport)) return [];
  const spans = membership.spans(network, dpid);
  if (ports === 0 || (ports === 1 && !spans)) return [];
  // The fabric has no address for a MAC that nobody knows: across switches the controller floods it.
  const steps = spans ? punt(network, state) : [toGroup(GroupId.local(network))];
  return [rule(pipeline.switch, { priority: Priority.fallback, match: { network, ethDst: UNICAST }, do: steps })];
}

/** The default network on one switch: its ports, and unknown senders shown to the controller. */
export function switchRules(dpid: Dpid, membership: Membership, state: NetworkState): readonly Rule[] {
  if (!state.defaultNetwork || membership.indexOf(dpid) === 0) return [];
  const ports = membership.portsAt(DEFAULT_NETWORK, dpid);
  return [
    meter({ id: MeterId.learn, unit: 'pktps', rate: DefaultRate.learnPunt, burst: DefaultRate.learnPunt }),
    rule(pipeline.learn, { priority: Priority.punt, match: {}, do: punt(DEFAULT_NETWORK, state) }),
    ...ports.map((no) =>
      rule(pipeline.classify, {
        priority: Priority.exact,
        match: { inPort: no },
        do: [write(slots.network, DEFAULT_NETWORK), next(pipeline.learn)],
      }),
    ),
    ...unknownRules(DEFAULT_NETWORK, dpid, membership, state),
  ];
}

/** A tenant's network: unknown senders on its learned ports, and unknown destinations when its policy is to flood. */
export function networkRules(network: number, membership: Membership, state: NetworkState): Placement {
  const floods = state.desired.networkByIndex(network)?.unknownUnicast === 'flood';
  const placement = new Map<Dpid, readonly Rule[]>();
  const switches = [...membership.switchesOf(network)].sort((a, b) => membership.indexOf(a) - membership.indexOf(b));
  for (const dpid of switches) {
    const learns = membership.portsAt(network, dpid).some((no) => isLearned(membership.at(dpid, no)));
    const rules = [
      ...(learns
        ? [rule(pipeline.learn, { priority: Priority.fallback, match: { network }, do: punt(network, state) })]
        : []),
      ...(floods ? unknownRules(network, dpid, membership, state) : []),
    ];
    if (rules.length > 0) placement.set(dpid, rules);
  }
  return placement;
}

/** A learned host that is active: known on its port until it is silent for `ageingSeconds`, and reachable from all member switches. */
export function hostRules(host: Host, membership: Membership, state: NetworkState, ageingSeconds: number): Placement {
  if (!host.active || !isWelcome(host, membership)) return new Map();
  const { network, mac, endpoint } = host;
  const { dpid, port } = host.at;
  const to = { network, mac, dpid, endpoint };
  const placement = new Map<Dpid, readonly Rule[]>();
  const lists = new Map<Rule, readonly Rule[]>();
  for (const [other, way] of remoteRules(to, membership, state)) {
    const list = lists.get(way) ?? [way];
    lists.set(way, list);
    placement.set(other, list);
  }
  const spansFabric = placement.size > 0 && !isOverlay(state.desired.networkByIndex(network)?.transport);
  const deliver = rule(pipeline.deliver, {
    priority: Priority.exact,
    match: { ethDst: addressOf(to, membership) },
    do: [set('ethDst', mac), output(port)],
  });
  placement.set(dpid, [
    ...knownRules(host, state, ageingSeconds),
    rule(pipeline.switch, { priority: Priority.exact, match: { network, ethDst: mac }, do: [output(port)] }),
    ...(spansFabric ? [deliver] : []),
  ]);
  const gateway = membership.gatewayOf(network);
  // One that is seen on both sides stays on each: which of them it is nobody can tell.
  const beyond = membership.beyond(network);
  if (gateway !== undefined && beyond && !state.observed.host(beyond.index, mac)) {
    // Endpoint ids of learned hosts are those of their own switch.
    const address = gateway === dpid ? addressOf(to, membership) : undefined;
    const steps = gateway === dpid ? [output(port)] : waysTo(to, membership, state).get(gateway);
    for (const [other, rules] of rulesBeyond(network, mac, steps ?? [], address, membership, state)) {
      placement.set(other, [...(placement.get(other) ?? []), ...rules]);
    }
  }
  return Object.assign(placement, { lead: dpid });
}

function knownRules(host: Host, state: NetworkState, ageingSeconds: number): readonly Rule[] {
  const known = { network: host.network, inPort: host.at.port, ethSrc: host.mac };
  const rules: Rule[] = [
    rule(pipeline.learn, {
      priority: Priority.exact,
      match: known,
      do: [next(pipeline.respond)],
      idleTimeout: ageingSeconds,
      flags: FlowModFlag.sendFlowRemoved,
    }),
  ];
  if (host.addresses.length === 0) {
    // Until its first address is known, a copy of its ARP is shown to us, since its frames no longer are.
    rules.push(
      rule(pipeline.learn, {
        priority: Priority.exception,
        match: { ...known, ethType: EtherType.arp },
        do: [...punt(host.network, state), next(pipeline.respond)],
      }),
    );
  }
  return rules;
}
