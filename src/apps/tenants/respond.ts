import {
  type IpAddress,
  inPort,
  move,
  next,
  Priority,
  pipeline,
  type Rule,
  rule,
  set,
} from '../../controller/index.ts';
import { ArpOp, ethType, Icmpv6, IpProto } from './numbers.ts';

/** NA flags solicited and override, RFC 4861 §4.4, as they stand in the reserved word. */
const SOLICITED_OVERRIDE = 0x6000_0000;
const TARGET_LINK_LAYER_OPTION = 2;
const VLAN_PRESENT = 0x1000;

/**
 * Answers to "who has this address" for one endpoint, for every switch where its network has members: one flow an address,
 * so that neighbours are found while no controller lives and no request has to cross the fabric.
 */
export const responderRules = (network: number, mac: number, addresses: readonly IpAddress[]): readonly Rule[] =>
  addresses.map((address) =>
    address.family === 4 ? arpResponder(network, mac, address.value) : ndResponder(network, mac, address.value),
  );

function arpResponder(network: number, mac: number, address: bigint): Rule {
  return rule(pipeline.respond, {
    priority: Priority.exact,
    match: { network, ethType: ethType.arp, arpOp: ArpOp.request, arpTpa: address },
    do: [
      move('ethSrc', 'ethDst'),
      set('ethSrc', mac),
      set('arpOp', ArpOp.reply),
      move('arpSha', 'arpTha'),
      move('arpSpa', 'arpTpa'),
      set('arpSha', mac),
      set('arpSpa', address),
      inPort,
    ],
  });
}

function ndResponder(network: number, mac: number, address: bigint): Rule {
  return rule(pipeline.respond, {
    priority: Priority.exact,
    match: {
      network,
      ethType: ethType.ipv6,
      ipProto: IpProto.icmpv6,
      icmpv6Type: Icmpv6.neighbourSolicitation,
      ipv6NdTarget: address,
    },
    do: [
      move('ethSrc', 'ethDst'),
      set('ethSrc', mac),
      move('ipv6Src', 'ipv6Dst'),
      set('ipv6Src', address),
      set('icmpv6Type', Icmpv6.neighbourAdvertisement),
      next(pipeline.advertise),
    ],
  });
}

/** The owner's own announcement (it asks for itself) goes to all members instead of being answered. On its switch only. */
export const announcementRules = (network: number, addresses: readonly IpAddress[]): readonly Rule[] =>
  addresses
    .filter((address) => address.family === 4)
    .map(({ value }) =>
      rule(pipeline.respond, {
        priority: Priority.exception,
        match: { network, ethType: ethType.arp, arpOp: ArpOp.request, arpSpa: value, arpTpa: value },
        do: [next(pipeline.switch)],
      }),
    );

/**
 * What the responders of a switch share. Not answered but passed on: tagged frames (the declared addresses are the untagged
 * ones); ARP probes and duplicate address detection, which only the owner may answer; solicitations without their sender's
 * MAC option, because there is no room for ours in the reply.
 */
export function sharedResponderRules(): readonly Rule[] {
  const solicitation = {
    ethType: ethType.ipv6,
    ipProto: IpProto.icmpv6,
    icmpv6Type: Icmpv6.neighbourSolicitation,
  };
  const passed = [
    { vlanVid: { value: VLAN_PRESENT, mask: VLAN_PRESENT } },
    { ethType: ethType.arp, arpOp: ArpOp.request, arpSpa: 0 },
    { ...solicitation, ipv6NdSll: 0 },
  ];
  return [
    ...passed.map((match) =>
      rule(pipeline.respond, { priority: Priority.exception, match, do: [next(pipeline.switch)] }),
    ),
    rule(pipeline.advertise, {
      priority: Priority.exact,
      match: { ethType: ethType.ipv6, ipProto: IpProto.icmpv6, icmpv6Type: Icmpv6.neighbourAdvertisement },
      do: [
        set('ndOptionsType', TARGET_LINK_LAYER_OPTION),
        set('ndReserved', SOLICITED_OVERRIDE),
        move('ethSrc', 'ipv6NdTll'),
        inPort,
      ],
    }),
  ];
}
