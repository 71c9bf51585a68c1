import {
  addressOf,
  type Binding,
  type Dpid,
  type Endpoint,
  foreignEnd,
  isBeforeSwitch,
  isOverlay,
  load,
  type Member,
  type Membership,
  type NetworkState,
  next,
  OVERLAY,
  otherBinding,
  output,
  type Placement,
  type Port,
  Priority,
  pipeline,
  type Rule,
  rule,
  type Step,
  set,
  speaks,
  inPort as theSamePort,
  tunnelWays,
  type Way,
  waysTo,
} from '../../controller/index.ts';
import { admitRules } from './admit.ts';
import { ethType } from './numbers.ts';
import { addBeyond, classifyRule, type DeclaredPort, isDeclared } from './port-rules.ts';
import { announcementRules, responderRules } from './respond.ts';

/** A place of a port that moves, and how the other switches get there. */
interface End {
  /** Where it is plugged in; undefined behind a tunnel endpoint of others. */
  readonly place: Member | undefined;
  /** Whom frames for it are sent to: a switch, or a tunnel endpoint of others. */
  readonly via: string;
  readonly ways: ReadonlyMap<Dpid, Way>;
}

/** Frames whose in_port has been forgotten may go back where they came from. */
const forgetInPort = load('nxmInPort', 0);

/**
 * All rules of a port that moves. Until it switches over, the guest may send from both places, and frames for it go to both (or to the old
 * one only, as was asked for). From then on it is at the new place; the old place knows nothing of it but how to forward what is still
 * on its way there.
 */
export function movingRules(port: Port, membership: Membership, state: NetworkState): Placement {
  const place = membership.placeOf(port);
  const other = membership.otherPlaceOf(port);
  const before = isBeforeSwitch(port);
  const senders = [place, before ? other : undefined].filter((each) => each !== undefined);
  const placement = new Map<Dpid, readonly Rule[]>();
  const add = (dpid: Dpid, ...rules: readonly Rule[]): void => {
    placement.set(dpid, [...(placement.get(dpid) ?? []), ...rules]);
  };
  for (const sender of senders) add(sender.dpid, classifyRule(port, sender, state));
  const lead = (before ? (other ?? place) : place)?.dpid;
  const led = lead === undefined ? {} : { lead, leadsMoves: true };
  const network = state.desired.networks.get(`${port.tenant}/${port.network}`)?.index;
  if (!isDeclared(port) || network === undefined) return Object.assign(placement, led);

  for (const sender of senders) {
    add(sender.dpid, ...admitRules(port, sender.no));
    if (sender === other || !before) add(sender.dpid, ...admitReverseArp(port, sender));
  }
  const end = (member: Member | undefined, binding: Binding | undefined): readonly End[] =>
    endOf(port, network, member, binding, membership, state);
  const both = before && port.migration?.deliver === 'both';
  const ends = [...end(place, port.binding), ...(both ? end(other, otherBinding(port)) : [])];
  // Senders that have not changed over yet send to both places: what the old one forwarded would arrive twice.
  const left = before || port.migration?.seamless ? undefined : other;
  const overlay = isOverlay(state.desired.networkByIndex(network)?.transport);
  const switches = new Set([...senders.map(({ dpid }) => dpid), ...ends.flatMap(({ ways }) => [...ways.keys()])]);
  const responders = responderRules(network, port.mac, port.addresses);
  for (const dpid of switches) {
    add(dpid, ...switchRules({ network, mac: port.mac, ends, dpid, overlay }));
    if (membership.hasNicira(dpid)) add(dpid, ...responders);
  }
  for (const dpid of new Set(senders.map((sender) => sender.dpid))) {
    if (membership.hasNicira(dpid)) add(dpid, ...announcementRules(network, port.addresses));
  }
  if (overlay) {
    const way = left && ends[0]?.ways.get(left.dpid);
    if (way) add(left.dpid, stragglersThroughTunnels(network, port.mac, way));
  } else for (const rules of deliverRules(port, network, ends, left, membership)) add(rules.dpid, rules.rule);
  const gateway = membership.gatewayOf(network);
  if (gateway !== undefined) {
    const { local, remote } = stepsAt(gateway, ends);
    addBeyond(placement, port, network, [...local, ...remote], membership, state);
  }
  return Object.assign(placement, led);
}

/** How a switch hands frames for the port out here, and sends them to where else it may be. */
function stepsAt(
  dpid: Dpid,
  ends: readonly End[],
): { readonly local: readonly Step[]; readonly remote: readonly Step[] } {
  const local: Step[] = [];
  const remote: Step[] = [];
  const sent = new Set<string>();
  for (const { place, via, ways } of ends) {
    if (place?.dpid === dpid) local.push(output(place.no));
    // One copy does for two places on one switch.
    else if (!sent.has(via)) remote.push(...(ways.get(dpid) ?? []));
    sent.add(via);
  }
  return { local, remote };
}

function endOf(
  port: DeclaredPort,
  network: number,
  place: Member | undefined,
  binding: Binding | undefined,
  membership: Membership,
  state: NetworkState,
): readonly End[] {
  if (place) return [{ place, via: place.dpid, ways: waysTo(endpointAt(port, place), membership, state) }];
  const host = foreignEnd(binding, state.desired);
  if (!host || !speaks(host, state.desired.networkByIndex(network)?.transport)) return [];
  const switches = membership.segment(network, OVERLAY);
  return [{ place, via: host.id, ways: tunnelWays(network, switches, host.tunnelAddresses, membership, state) }];
}

const endpointAt = (port: DeclaredPort, { network, dpid }: Member): Endpoint => ({
  network,
  mac: port.mac,
  dpid,
  endpoint: port.endpoint,
});

interface At {
  readonly network: number;
  readonly mac: number;
  readonly ends: readonly End[];
  readonly dpid: Dpid;
  readonly overlay: boolean;
}

/** What a switch does with frames for the port: hands them out here, sends them to where else it may be, or both. */
function switchRules({ network, mac, ends, dpid, overlay }: At): readonly Rule[] {
  const { local, remote } = stepsAt(dpid, ends);
  const to = (arrived: number | undefined, steps: readonly Step[]): readonly Rule[] => {
    if (steps.length === 0) return [];
    const match = { network, ...(arrived === undefined ? {} : { arrived }), ethDst: mac };
    return [rule(pipeline.switch, { priority: Priority.exact, match, do: steps })];
  };
  // The sender has sent a copy to each place: what came through a tunnel goes to no other one.
  return overlay && remote.length > 0
    ? [...to(0, [...local, ...remote]), ...to(1, local)]
    : to(undefined, [...local, ...remote]);
}

/** Frames that were sent to the old place a moment ago come through the very tunnel port that they have to leave by. */
const stragglersThroughTunnels = (network: number, mac: number, way: Way): Rule =>
  rule(pipeline.switch, {
    priority: Priority.exact,
    match: { network, arrived: 1, ethDst: mac },
    do: way.map((step) => (step.step === 'output' ? theSamePort : step)),
  });

/** Frames that the fabric brings: handed out at each place; at the old one sent on, back along the link they came by if need be. */
function* deliverRules(
  port: DeclaredPort,
  network: number,
  ends: readonly End[],
  left: Member | undefined,
  membership: Membership,
): Iterable<{ readonly dpid: Dpid; readonly rule: Rule }> {
  const deliver = (dpid: Dpid, steps: readonly Step[]): { dpid: Dpid; rule: Rule } => {
    const ethDst = addressOf({ network, mac: port.mac, dpid, endpoint: port.endpoint }, membership);
    return { dpid, rule: rule(pipeline.deliver, { priority: Priority.exact, match: { ethDst }, do: steps }) };
  };
  const outputs = new Map<Dpid, Step[]>();
  for (const { place, ways } of ends) {
    if (!place || ways.size === 0) continue;
    outputs.set(place.dpid, [...(outputs.get(place.dpid) ?? []), output(place.no)]);
  }
  for (const [dpid, steps] of outputs) yield deliver(dpid, [set('ethDst', port.mac), ...steps]);
  const way = left && !outputs.has(left.dpid) ? ends[0]?.ways.get(left.dpid) : undefined;
  if (way) yield deliver(left!.dpid, membership.hasNicira(left!.dpid) ? [forgetInPort, ...way] : way);
}

/** Virtual machine monitors announce a guest that has landed by reverse ARP requests in its name; others have no use for that. */
function admitReverseArp(port: DeclaredPort, { no }: Member): readonly Rule[] {
  if (!port.portSecurity || port.addresses.length === 0) return [];
  const match = { inPort: no, ethSrc: port.mac, ethType: ethType.rarp };
  return [rule(pipeline.admit, { priority: Priority.exact, match, do: [next(pipeline.respond)] })];
}
