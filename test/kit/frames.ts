import fc from 'fast-check';
import { type Layer, linkLayerOption, type Packet } from '../../src/ofproto/packet/index.ts';

const mac = fc.integer({ min: 0, max: 0xffff_ffff_ffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u8 = fc.integer({ min: 0, max: 0xff });
const ip6 = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n });
const data = (maxLength: number): fc.Arbitrary<Buffer> => fc.uint8Array({ maxLength }).map((b) => Buffer.from(b));

const ports = { src: u16, dst: u16 };
const tcp = fc.record({
  kind: fc.constant('tcp' as const),
  ...ports,
  seq: u32,
  ack: u32,
  flags: fc.integer({ min: 0, max: 0xfff }),
  window: u16,
  options: data(40),
});
const udp = fc.record({ kind: fc.constant('udp' as const), ...ports });
const icmpv4 = fc.record({ kind: fc.constant('icmpv4' as const), type: u8, code: u8, rest: u32 });
const icmpv6 = fc.record({
  kind: fc.constant('icmpv6' as const),
  // Neighbour discovery is made below, where its body fits its type.
  type: u8.filter((type) => type < 133 || type > 137),
  code: u8,
  rest: u32,
});
const nd = fc
  .tuple(fc.constantFrom(135, 136), u32, ip6, fc.constantFrom(0, 1, 2), mac)
  .map(([type, rest, target, option, address]): Layer[] => [
    { kind: 'icmpv6', type, code: 0, rest },
    { kind: 'nd', target, options: option === 0 ? [] : [linkLayerOption(option, address)] },
  ]);

const one = (layer: fc.Arbitrary<Layer>): fc.Arbitrary<Layer[]> => layer.map((l) => [l]);
const dscp = fc.integer({ min: 0, max: 63 });
const ecn = fc.integer({ min: 0, max: 3 });

const over4 = fc
  .tuple(
    fc.record({
      kind: fc.constant('ipv4' as const),
      src: u32,
      dst: u32,
      ttl: u8,
      dscp,
      ecn,
      id: u16,
      flags: fc.constantFrom(0, 2),
      options: data(40),
    }),
    fc.oneof(one(tcp), one(udp), one(icmpv4)),
  )
  .map(([ip, rest]): Layer[] => [ip, ...rest]);

const extension = fc.record({
  kind: fc.constant('extension' as const),
  proto: fc.constantFrom(0, 60),
  data: fc.constantFrom(6, 14).map((n) => Buffer.alloc(n)),
});

const over6 = fc
  .tuple(
    fc.record({
      kind: fc.constant('ipv6' as const),
      src: ip6,
      dst: ip6,
      hopLimit: u8,
      dscp,
      ecn,
      flowLabel: fc.integer({ min: 0, max: 0xf_ffff }),
    }),
    fc.array(extension, { maxLength: 2 }),
    fc.oneof(one(tcp), one(udp), one(icmpv6), nd),
  )
  .map(([ip, extensions, rest]): Layer[] => [ip, ...extensions, ...rest]);

const arp = fc.record({
  kind: fc.constant('arp' as const),
  op: fc.integer({ min: 1, max: 4 }),
  sha: mac,
  spa: u32,
  tha: mac,
  tpa: u32,
});

const tag = fc.record({
  kind: fc.constant('vlan' as const),
  vid: fc.integer({ min: 0, max: 4095 }),
  pcp: fc.integer({ min: 0, max: 7 }),
});

/** Whole, well-formed frames of all the kinds that we read into, with up to `maxTags` VLAN tags. */
export function frames(maxTags = 2): fc.Arbitrary<Packet> {
  return fc
    .tuple(mac, mac, fc.array(tag, { maxLength: maxTags }), fc.oneof(over4, over6, one(arp)), data(20))
    .map(([dst, src, tags, rest, payload]) => ({
      layers: [{ kind: 'ethernet', dst, src }, ...tags, ...rest],
      // Nothing may follow neighbour discovery's options, ARP ends the packet.
      ...(payload.length === 0 || ['nd', 'arp'].includes(rest.at(-1)!.kind) ? {} : { payload }),
    }));
}

/** Bytes as a capture file (pcap, Ethernet), for programs that read one. */
export function pcapOf(list: readonly Uint8Array[]): Buffer {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2_c3d4, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(0xffff, 16);
  head.writeUInt32LE(1, 20);
  const parts: Uint8Array[] = [head];
  for (const frame of list) {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(frame.length, 8);
    record.writeUInt32LE(frame.length, 12);
    parts.push(record, frame);
  }
  return Buffer.concat(parts);
}
