import { parseIp } from '../../controller/kernel/index.ts';
import { encodePacket } from '../../ofproto/index.ts';
import { LispError } from './errors.ts';
import { CONTROL_PORT, LispType } from './message.ts';

/**
 * An Encapsulated Control Message around a message (RFC 9301 §5.8). The inner headers say that it went from the asker's address and
 * port to the EID's; where the two are of different families, both are the asker's.
 */
export function encapsulate(
  message: Buffer,
  from: { readonly address: string; readonly port: number },
  to: string,
): Buffer {
  const source = parseIp(from.address);
  const given = parseIp(to);
  if (!source || !given) throw new LispError('ecm', 'address', 0, `"${from.address}" or "${to}" is no IP address`);
  const destination = given.family === source.family ? given : source;
  const udp = { kind: 'udp', src: from.port, dst: CONTROL_PORT } as const;
  const ip =
    source.family === 4
      ? ({ kind: 'ipv4', src: Number(source.value), dst: Number(destination.value) } as const)
      : ({ kind: 'ipv6', src: source.value, dst: destination.value } as const);
  const head = Buffer.alloc(4);
  head[0] = LispType.encapsulated << 4;
  return Buffer.concat([head, encodePacket({ layers: [ip, udp], payload: message })]);
}
