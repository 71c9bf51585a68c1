import {
  type ActivationSign,
  type Member,
  MeterId,
  meterBy,
  next,
  type Port,
  Priority,
  pipeline,
  type Rule,
  rule,
  toController,
} from '../../controller/index.ts';
import { ARP_HEADER, ETHERNET_HEADER, EtherType, get16, get32 } from '../../ofproto/index.ts';

/** Enough of a frame to tell what it is. */
const SHOWN_BYTES = 128;
const ICMPV6 = 58;
const NEIGHBOUR_ADVERTISEMENT = 136;
const IPV6_HEADER = 40;

/**
 * Shows the controller what a guest sends at the place that it moves to, as far as that is a sign which its move waits for. The frames have
 * passed port security, so they are the guest's own; they go their way besides.
 */
export function signRules(port: Port, { network, no }: Member): readonly Rule[] {
  const { activateOn } = port.migration!;
  const at = { network, inPort: no };
  const shown = [meterBy(MeterId.move), toController(SHOWN_BYTES), next(pipeline.switch)];
  const sign = (match: Parameters<typeof rule<(typeof pipeline.respond)['match'][number]>>[1]['match']): Rule =>
    rule(pipeline.respond, { priority: Priority.deny, match: { ...at, ...match }, do: shown });
  // Below the answers to who has an address: those are given here as ever, and what is asked is no sign that cannot wait.
  const below = (match: { readonly ethType?: number }): Rule =>
    rule(pipeline.respond, { priority: Priority.masked, match: { ...at, ...match }, do: shown });
  const ipv4 = port.addresses.filter(({ family }) => family === 4);
  const rules: Rule[] = [];
  for (const each of activateOn) {
    switch (each) {
      case 'rarp':
        rules.push(sign({ ethType: EtherType.rarp }));
        break;
      case 'garp':
        rules.push(
          ...(port.addresses.length === 0
            ? [below({ ethType: EtherType.arp })]
            : ipv4.map(({ value }) => sign({ ethType: EtherType.arp, arpSpa: value, arpTpa: value }))),
        );
        break;
      case 'na':
        rules.push(sign({ ethType: EtherType.ipv6, ipProto: ICMPV6, icmpv6Type: NEIGHBOUR_ADVERTISEMENT }));
        break;
      case 'packet':
        rules.push(below({}));
        break;
      default:
        each satisfies never;
    }
  }
  return rules;
}

/** What a frame in [at, end) says of where its sender is, as far as a move waits for that. */
export function signOf(
  bytes: Uint8Array,
  at: number,
  end: number,
  wanted: readonly ActivationSign[],
): ActivationSign | undefined {
  const sign = kindOf(bytes, at, end);
  if (wanted.includes(sign)) return sign;
  return wanted.includes('packet') ? 'packet' : undefined;
}

function kindOf(bytes: Uint8Array, at: number, end: number): ActivationSign {
  const body = at + ETHERNET_HEADER;
  if (body > end) return 'packet';
  switch (get16(bytes, at + 12)) {
    case EtherType.rarp:
      return 'rarp';
    case EtherType.arp:
      // Sender's and target's protocol address, RFC 5227 §3.
      return body + ARP_HEADER <= end && get32(bytes, body + 14) === get32(bytes, body + 24) ? 'garp' : 'packet';
    case EtherType.ipv6:
      return body + IPV6_HEADER < end &&
        bytes[body + 6] === ICMPV6 &&
        bytes[body + IPV6_HEADER] === NEIGHBOUR_ADVERTISEMENT
        ? 'na'
        : 'packet';
    default:
      return 'packet';
  }
}
