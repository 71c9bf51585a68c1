import { describe, expect, it } from 'vitest';
import {
  crc32c,
  decodePacket,
  decrementTtl,
  encodePacket,
  flowKey,
  type Layer,
  layerOf,
  linkLayerOption,
  setFrameField,
} from '../../../../src/ofproto/packet/index.ts';

const key = (frame: Buffer) => flowKey(frame, 0, frame.length);
const decode = (frame: Buffer) => decodePacket(frame, 0, frame.length);
const ethernet = { kind: 'ethernet', dst: 0x0200_0000_0002, src: 0x0200_0000_0001 } as const;
const hasChecksum = (layer: Layer): boolean => 'checksum' in layer;

const solicitation = (): Buffer =>
  encodePacket({
    layers: [
      ethernet,
      { kind: 'ipv6', src: 0xfe80n, dst: 0xff02n, hopLimit: 255 },
      { kind: 'icmpv6', type: 135, code: 0, rest: 0 },
      { kind: 'nd', target: 0xfe81n, options: [linkLayerOption(1, 0x0200_0000_0001)] },
    ],
  });

describe('setFrameField', () => {
  it('turns a solicitation into an advertisement as the respond table does, checksum right', () => {
    const frame = solicitation();
    setFrameField(frame, 'icmpv6Type', 136);
    expect(key(frame)).toMatchObject({ icmpv6Type: 136, ndOptionsType: 1, ipv6NdTll: 0 });
    setFrameField(frame, 'ndOptionsType', 2);
    setFrameField(frame, 'ndReserved', 0x6000_0000);
    setFrameField(frame, 'ipv6NdTll', 0x0200_0000_0009);
    setFrameField(frame, 'ipv6Src', 0xfe81n);
    setFrameField(frame, 'ipv6Dst', 0xfe80n);
    const packet = decode(frame);
    expect(packet.layers.some(hasChecksum)).toBe(false);
    expect(layerOf(packet, 'icmpv6')).toMatchObject({ type: 136, rest: 0x6000_0000 });
    expect(layerOf(packet, 'nd')?.options).toEqual([linkLayerOption(2, 0x0200_0000_0009)]);
  });

  it('inserts, changes and removes a tag', () => {
    const plain = solicitation();
    const tagged = setFrameField(Buffer.from(plain), 'vlanVid', 0x1064);
    expect(key(tagged)).toMatchObject({ vlanVid: 0x1064, vlanPcp: 0, ethType: 0x86dd });
    setFrameField(tagged, 'vlanPcp', 5);
    setFrameField(tagged, 'vlanVid', 0x1065);
    expect(key(tagged)).toMatchObject({ vlanVid: 0x1065, vlanPcp: 5 });
    expect(setFrameField(tagged, 'vlanVid', 0)).toEqual(plain);
  });

  it('leaves a frame alone that lacks the field', () => {
    const frame = solicitation();
    const before = Buffer.from(frame);
    setFrameField(frame, 'arpSpa', 1);
    setFrameField(frame, 'tcpDst', 1);
    setFrameField(frame, 'ipv4Dst', 1);
    setFrameField(frame, 'ipv6NdTll', 1);
    expect(frame).toEqual(before);
    const short = Buffer.alloc(9);
    setFrameField(short, 'ethDst', 1);
    setFrameField(short, 'vlanVid', 0x1001);
    expect(short).toEqual(Buffer.alloc(9));
  });

  it('keeps UDP without a checksum without one', () => {
    const frame = encodePacket({
      layers: [ethernet, { kind: 'ipv4', src: 1, dst: 2 }, { kind: 'udp', src: 1, dst: 2, checksum: 0 }],
    });
    setFrameField(frame, 'udpDst', 53);
    setFrameField(frame, 'ipv4Src', 0xffff_fffe);
    expect(layerOf(decode(frame), 'udp')).toMatchObject({ dst: 53, checksum: 0 });
    expect(layerOf(decode(frame), 'ipv4')).not.toHaveProperty('checksum');
  });

  it('recomputes the CRC of SCTP', () => {
    const sctp = Buffer.from('0b590b5a0000000000000000', 'hex');
    const frame = encodePacket({ layers: [ethernet, { kind: 'ipv4', src: 1, dst: 2, proto: 132 }], payload: sctp });
    setFrameField(frame, 'sctpDst', 0x1234);
    setFrameField(frame, 'sctpDst', 0x0b5a);
    expect(crc32c(Buffer.from('123456789'), 0, 9)).toBe(0xe306_9283);
    expect(frame.subarray(34).toString('hex')).toBe('0b590b5a00000000f921060c');
  });
});

describe('decrementTtl', () => {
  it('takes one hop off and stops at the last', () => {
    const frame = encodePacket({ layers: [ethernet, { kind: 'ipv4', src: 1, dst: 2, ttl: 2, proto: 47 }] });
    expect(decrementTtl(frame)).toBe(true);
    expect(layerOf(decode(frame), 'ipv4')).toMatchObject({ ttl: 1 });
    expect(layerOf(decode(frame), 'ipv4')).not.toHaveProperty('checksum');
    expect(decrementTtl(frame)).toBe(false);
    expect(decrementTtl(solicitation())).toBe(true);
    expect(decrementTtl(Buffer.alloc(20))).toBe(false);
  });
});
