import type { Guest } from './driver.ts';

/** Frames that carry a name, so that with overlapping addresses nobody's frame passes for another's. */

/** A frame to send, and the tag that its payload holds. */
export interface TaggedFrame<G extends Guest = Guest> {
  readonly from: G;
  readonly to: G;
  /** Sent to a group address: the receiver only gives it its name. */
  readonly isGroup: boolean;
  readonly tag: string;
  /** Hex. */
  readonly frame: string;
}

const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');
const ipv4Bytes = (ip: string): Buffer => Buffer.from(ip.split('.').map(Number));

/** Only the forms `fabric.py` makes: PREFIX::SUFFIX with one group each, and full multicast addresses such as ff02::1. */
function ipv6Bytes(ip: string): Buffer {
  const [head, tail] = ip.split('::') as [string, string];
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16BE(Number.parseInt(head, 16), 0);
  bytes.writeUInt16BE(Number.parseInt(tail, 16), 14);
  return bytes;
}

function checksum(...parts: readonly Buffer[]): number {
  const bytes = Buffer.concat(parts);
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function ethernet(dst: string, src: string, type: number, payload: Buffer): string {
  const head = Buffer.alloc(14);
  macBytes(dst).copy(head, 0);
  macBytes(src).copy(head, 6);
  head.writeUInt16BE(type, 12);
  return Buffer.concat([head, payload]).toString('hex');
}

function udp(pseudo: (length: number) => Buffer, payload: Buffer, from = 40_000): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt16BE(from, 0);
  head.writeUInt16BE(40_001, 2);
  head.writeUInt16BE(8 + payload.length, 4);
  const whole = Buffer.concat([head, payload]);
  whole.writeUInt16BE(checksum(pseudo(whole.length), whole) || 0xffff, 6);
  return whole;
}

/** A UDP datagram over IPv4 in an Ethernet frame, hex. */
export function udp4Frame(
  dstMac: string,
  srcMac: string,
  src: string,
  dst: string,
  payload: Buffer,
  srcPort?: number,
): string {
  const addresses = Buffer.concat([ipv4Bytes(src), ipv4Bytes(dst)]);
  const datagram = udp(
    (length) => Buffer.concat([addresses, Buffer.from([0, 17, length >> 8, length & 0xff])]),
    payload,
    srcPort,
  );
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0x4500, 0);
  head.writeUInt16BE(20 + datagram.length, 2);
  head.writeUInt16BE(0x4011, 8);
  head.writeUInt16BE(checksum(head, addresses), 10);
  return ethernet(dstMac, srcMac, 0x0800, Buffer.concat([head, addresses, datagram]));
}

/** A UDP datagram over IPv6 in an Ethernet frame, hex. */
export function udp6Frame(dstMac: string, srcMac: string, src: string, dst: string, payload: Buffer): string {
  const addresses = Buffer.concat([ipv6Bytes(src), ipv6Bytes(dst)]);
  const datagram = udp(
    (length) => Buffer.concat([addresses, Buffer.from([0, 0, length >> 8, length & 0xff, 0, 0, 0, 17])]),
    payload,
  );
  const head = Buffer.alloc(8);
  head.writeUInt32BE(0x60000000, 0);
  head.writeUInt16BE(datagram.length, 4);
  head.writeUInt16BE(0x1140, 6);
  return ethernet(dstMac, srcMac, 0x86dd, Buffer.concat([head, addresses, datagram]));
}

/** Unicast over IPv4 and IPv6, broadcast, and multicast of both families from one host, named after sender and receiver. */
export function taggedFrames<G extends Guest>(from: G, to: G): TaggedFrame<G>[] {
  const make = (kind: string, frame: (payload: Buffer) => string): TaggedFrame<G> => {
    const tag = `<${from.name}>${to.name}:${kind}>`;
    return { from, to, tag, isGroup: !kind.startsWith('ipv'), frame: frame(Buffer.from(tag.padEnd(40))) };
  };
  return [
    make('ipv4', (payload) => udp4Frame(to.mac, from.mac, from.ip, to.ip, payload)),
    make('ipv6', (payload) => udp6Frame(to.mac, from.mac, from.ip6, to.ip6, payload)),
    make('broadcast', (payload) => udp4Frame('ff:ff:ff:ff:ff:ff', from.mac, from.ip, '255.255.255.255', payload)),
    make('multicast4', (payload) => udp4Frame('01:00:5e:00:00:fb', from.mac, from.ip, '224.0.0.251', payload)),
    make('multicast6', (payload) => udp6Frame('33:33:00:00:00:fb', from.mac, from.ip6, 'ff02::fb', payload)),
  ];
}
