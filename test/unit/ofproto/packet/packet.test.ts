import { describe, expect, it } from 'vitest';
import {
  DhcpMessage,
  decodePacket,
  dhcpMessageType,
  encodePacket,
  IpProto,
  type Layer,
  layerOf,
  linkLayerOption,
  NdOptionType,
  NdType,
} from '../../../../src/ofproto/packet/index.ts';

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');
const decode = (frame: Buffer) => decodePacket(frame, 0, frame.length);

const ethernet = { kind: 'ethernet', dst: 0x0200_0000_0002, src: 0x0200_0000_0001 } as const;
const ipv4 = { kind: 'ipv4', src: 0xc0a8_0001, dst: 0xc0a8_00c7 } as const;

describe('packet encoder', () => {
  it('computes the IPv4 checksum of the well-known example header', () => {
    const frame = encodePacket({
      layers: [{ ...ethernet }, { ...ipv4, proto: 17, flags: 2, ttl: 64, totalLength: 115 }],
    });
    expect(frame.subarray(14).toString('hex')).toBe('45000073000040004011b861c0a80001c0a800c7');
  });

  it('computes TCP, UDP and ICMP checksums that the receiver accepts', () => {
    // Written down from tcpdump, which said "correct" of each.
    const tcp = encodePacket({
      layers: [
        ethernet,
        { ...ipv4, src: 0x0a00_0001, dst: 0x0a00_0002 },
        { kind: 'tcp', src: 1, dst: 80, seq: 1, ack: 2, flags: 0x12, window: 100 },
      ],
    });
    expect(tcp.readUInt16BE(34 + 16)).toBe(0x9b18);
    const echo = hex('08004d5a00010001 6162');
    const icmp = encodePacket({
      layers: [ethernet, ipv4, { kind: 'icmpv4', type: 8, code: 0, rest: 0x0001_0001 }],
      payload: hex('6162'),
    });
    expect(icmp.readUInt16BE(36)).toBe(~(0x0800 + 1 + 1 + 0x6162) & 0xffff);
    expect(icmp.length).toBe(14 + 20 + echo.length);
  });

  it('sends a UDP sum of zero as 0xffff, and none at all when asked', () => {
    const udp = { kind: 'udp', src: 1, dst: 2 } as const;
    const base = encodePacket({ layers: [ethernet, ipv4, udp], payload: hex('0000') });
    // A payload equal to the checksum makes the sum come out as zero.
    const zero = encodePacket({ layers: [ethernet, ipv4, udp], payload: base.subarray(40, 42) });
    expect(zero.readUInt16BE(40)).toBe(0xffff);
    expect(layerOf(decode(zero), 'udp')?.checksum).toBeUndefined();
    const none = encodePacket({ layers: [ethernet, ipv4, { ...udp, checksum: 0 }], payload: hex('0000') });
    expect(none.readUInt16BE(40)).toBe(0);
    expect(layerOf(decode(none), 'udp')?.checksum).toBe(0);
  });

  it('refuses values that do not fit', () => {
    expect(() => encodePacket({ layers: [{ ...ethernet, dst: 2 ** 48 }] })).toThrow(/ethernet: dst/);
    expect(() => encodePacket({ layers: [ethernet, { kind: 'vlan', vid: 4096 }] })).toThrow(/vlan: vid/);
    expect(() => encodePacket({ layers: [ethernet, { ...ipv4, options: Buffer.alloc(41) }] })).toThrow(/options/);
    expect(() => encodePacket({ layers: [ethernet, ipv4], payload: Buffer.alloc(65_530) })).toThrow(/totalLength/);
  });
});

describe('packet decoder', () => {
  it('reads a neighbour solicitation behind two tags and an extension header', () => {
    const layers: Layer[] = [
      { ...ethernet, type: 0x88a8 },
      { kind: 'vlan', vid: 5, pcp: 1, dei: true, type: 0x8100 },
      { kind: 'vlan', vid: 100, pcp: 0, dei: false, type: 0x86dd },
      { kind: 'ipv6', src: 1n, dst: 2n, nextHeader: 0, hopLimit: 255, dscp: 46, ecn: 1, flowLabel: 0x12345 },
      { kind: 'extension', proto: 0, nextHeader: IpProto.icmpv6, data: hex('050200000100') },
      { kind: 'icmpv6', type: NdType.neighborSolicit, code: 0, rest: 0 },
      {
        kind: 'nd',
        options: [linkLayerOption(NdOptionType.sourceLinkLayer, 0x0200_0000_0001)],
        target: 0xfe80_0000_0000_0000_0000_0000_0000_0001n,
      },
    ];
    const frame = encodePacket({ layers });
    expect(decode(frame)).toEqual({ layers });
  });

  it('reads DHCP with its options', () => {
    const layers: Layer[] = [
      ethernet,
      { ...ipv4, src: 0, dst: 0xffff_ffff },
      { kind: 'udp', src: 68, dst: 67 },
      {
        kind: 'dhcp',
        op: 1,
        xid: 0x1234,
        flags: 0x8000,
        chaddr: 0x0200_0000_0001,
        options: [
          { code: 53, data: Buffer.from([DhcpMessage.discover]) },
          { code: 55, data: hex('0103060f') },
        ],
      },
    ];
    const frame = encodePacket({ layers, payload: Buffer.alloc(30) });
    const packet = decode(frame);
    const dhcp = layerOf(packet, 'dhcp');
    expect(dhcp).toMatchObject({ ...layers[3], hops: 0, yiaddr: 0 });
    expect(dhcp && dhcpMessageType(dhcp)).toBe(DhcpMessage.discover);
    expect(packet.payload).toEqual(Buffer.alloc(30));
  });

  it('keeps padding apart from payload', () => {
    const frame = Buffer.concat([
      encodePacket({ layers: [ethernet, ipv4, { kind: 'udp', src: 1, dst: 2 }], payload: hex('aa') }),
      Buffer.alloc(17, 0xee),
    ]);
    expect(decode(frame)).toMatchObject({ payload: hex('aa'), trailer: Buffer.alloc(17, 0xee) });
  });

  it('tells a wrong checksum by giving it', () => {
    const frame = encodePacket({ layers: [ethernet, ipv4, { kind: 'icmpv4', type: 8, code: 0, rest: 0 }] });
    expect(layerOf(decode(frame), 'icmpv4')).not.toHaveProperty('checksum');
    frame[36]! ^= 1;
    expect(layerOf(decode(frame), 'icmpv4')).toHaveProperty('checksum');
  });

  it('stops at a later fragment', () => {
    const later = encodePacket({
      layers: [ethernet, { ...ipv4, proto: 17, fragmentOffset: 10 }],
      payload: Buffer.alloc(8),
    });
    expect(decode(later).layers.map((layer) => layer.kind)).toEqual(['ethernet', 'ipv4']);
  });

  it('says "truncated" and keeps the rest for each frame of FC-09', () => {
    const cut = [
      ['ffffffffffff0200000000010800450005dc0001', ['ethernet']],
      ['ffffffffffff020000000001080600010800060400010200', ['ethernet']],
      ['ffffffffffff020000', []],
      ['', []],
      ['ffffffffffff020000000001810000', ['ethernet']],
    ] as const;
    for (const [text, kinds] of cut) {
      const frame = hex(text);
      const packet = decode(frame);
      expect(packet.layers.map((layer) => layer.kind)).toEqual(kinds);
      expect(packet.truncated).toBe(true);
      expect(encodePacket(packet)).toEqual(frame);
    }
  });

  it('gives up on tags stacked without end', () => {
    const frame = Buffer.concat([hex('020000000002020000000001'), Buffer.alloc(60_000, hex('81000001'))]);
    expect(decode(frame).layers.length).toBe(64);
    expect(encodePacket(decode(frame))).toEqual(frame);
  });
});
