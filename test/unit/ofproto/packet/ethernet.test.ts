import { describe, expect, it } from 'vitest';
import {
  arpAt,
  arpOp,
  arpSha,
  arpSpa,
  arpTha,
  arpTpa,
  EtherType,
  ethDst,
  ethSrc,
  ethType,
  hasVlan,
  headersComplete,
  isGroupFrame,
  layer3At,
  layer3Type,
  popVlan,
  pushVlan,
} from '../../../../src/ofproto/packet/index.ts';

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');

const arp = hex('ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000005 000000000000 0a000006');
const tagged = hex(
  'ffffffffffff 020000000001 88a8 0064 8100 2065 0806 0001080006040002 020000000001 0a000005 020000000002 0a000006',
);

describe('ethernet accessors', () => {
  it('read addresses and type at any offset', () => {
    const shifted = Buffer.concat([hex('aabbcc'), arp]);
    expect(ethDst(shifted, 3)).toBe(0xffff_ffff_ffff);
    expect(ethSrc(shifted, 3)).toBe(0x0200_0000_0001);
    expect(ethType(shifted, 3)).toBe(EtherType.arp);
    expect(isGroupFrame(shifted, 3)).toBe(true);
    expect(layer3At(shifted, 3, shifted.length)).toBe(17);
  });

  it('look behind stacked tags', () => {
    const l3 = layer3At(tagged, 0, tagged.length);
    expect(l3).toBe(22);
    expect(layer3Type(tagged, l3)).toBe(EtherType.arp);
    expect(arpAt(tagged, 0, tagged.length)).toBe(22);
  });

  it('look behind a SNAP header, and say "none" for plain 802.3', () => {
    const snap = hex('020000000002 020000000001 0008 aaaa03 000000 0800 45');
    expect(layer3At(snap, 0, snap.length)).toBe(22);
    expect(layer3Type(snap, 22)).toBe(EtherType.ipv4);
    const stp = hex('0180c2000000 020000000001 0003 424203');
    expect(layer3Type(stp, layer3At(stp, 0, stp.length))).toBe(EtherType.none);
  });

  it('take nothing from a cut header or tag', () => {
    for (let end = 0; end < 14; end++) expect(layer3At(arp, 0, end)).toBe(-1);
    for (let end = 0; end < 22; end++) expect(layer3At(tagged, 0, end)).toBe(-1);
    for (let end = 0; end < arp.length; end++) expect(arpAt(arp, 0, end)).toBe(-1);
  });
});

describe('ARP accessors', () => {
  it('read all fields', () => {
    const at = arpAt(tagged, 0, tagged.length);
    expect(arpOp(tagged, at)).toBe(2);
    expect(arpSha(tagged, at)).toBe(0x0200_0000_0001);
    expect(arpSpa(tagged, at)).toBe(0x0a00_0005);
    expect(arpTha(tagged, at)).toBe(0x0200_0000_0002);
    expect(arpTpa(tagged, at)).toBe(0x0a00_0006);
  });

  it('refuse ARP for anything but IPv4 over Ethernet, and RARP unless asked for', () => {
    const odd = Buffer.from(arp);
    odd[18] = 8;
    expect(arpAt(odd, 0, odd.length)).toBe(-1);
    const rarp = Buffer.from(arp);
    rarp.writeUInt16BE(EtherType.rarp, 12);
    expect(arpAt(rarp, 0, rarp.length)).toBe(-1);
    expect(arpAt(rarp, 0, rarp.length, true)).toBe(14);
  });
});

describe('FC-09: short packet-ins', () => {
  const cut = [
    ['IPv4 cut after 6 bytes', 'ffffffffffff02000000000108004500 05dc0001'],
    ['ARP cut', 'ffffffffffff0200000000010806000108000604000102 00'],
    ['Ethernet cut at 9 bytes', 'ffffffffffff020000'],
    ['no data', ''],
    ['tag cut', 'ffffffffffff0200000000018100 00'],
    ['IPv4 options cut', 'ffffffffffff020000000001 0800 46000018000000004001000000000000ffffffff'],
    ['IPv6 cut', 'ffffffffffff020000000001 86dd 6000000000083aff'],
  ] as const;
  it.each(cut)('%s is not complete', (_, text) => {
    const frame = hex(text);
    expect(headersComplete(frame, 0, frame.length)).toBe(false);
    expect(arpAt(frame, 0, frame.length)).toBe(-1);
  });

  it('a whole ARP request is complete', () => {
    expect(headersComplete(arp, 0, arp.length)).toBe(true);
    expect(headersComplete(tagged, 0, tagged.length)).toBe(true);
  });
});

describe('VLAN tags', () => {
  it('push and pop undo each other, and an inner tag is copied outwards', () => {
    const once = pushVlan(arp);
    once.writeUInt16BE(0x6064, 14);
    const twice = pushVlan(once, EtherType.serviceVlan);
    expect(twice.readUInt16BE(14)).toBe(0x6064);
    expect(hasVlan(twice, 0, twice.length)).toBe(true);
    expect(popVlan(popVlan(twice))).toEqual(arp);
    expect(popVlan(arp)).toEqual(arp);
  });
});
