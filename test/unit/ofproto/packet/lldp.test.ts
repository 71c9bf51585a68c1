import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ChassisSubtype,
  decodeLldp,
  decodeLldpFrame,
  encodeLldp,
  encodeLldpFrame,
  findOrganization,
  LLDP_NEAREST_BRIDGE,
  type Lldp,
  LldpType,
  organizationOf,
  organizationTlv,
  PortSubtype,
} from '../../../../src/ofproto/packet/index.ts';

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');

const sample: Lldp = {
  chassisId: { subtype: ChassisSubtype.local, id: Buffer.from('dpid:0000000000000001') },
  portId: { subtype: PortSubtype.local, id: Buffer.from([0, 0, 0, 7]) },
  ttl: 120,
  tlvs: [
    { type: LldpType.systemName, value: Buffer.from('s1') },
    organizationTlv({ oui: 0x00_1b21, subtype: 3, info: Buffer.from('abcdef') }),
  ],
};

describe('LLDP', () => {
  it('is laid out as IEEE 802.1AB says', () => {
    const bytes = encodeLldp({
      chassisId: { subtype: 4, id: hex('020000000001') },
      portId: { subtype: 7, id: hex('31') },
      ttl: 120,
      tlvs: [organizationTlv({ oui: 0x00_80c2, subtype: 1, info: hex('0064') })],
    });
    expect(bytes.toString('hex')).toBe(
      '0207' + '04020000000001' + '0402' + '0731' + '0602' + '0078' + 'fe06' + '0080c2010064' + '0000',
    );
  });

  it('reads back what it wrote, padding or not', () => {
    const frame = encodeLldpFrame({ dst: LLDP_NEAREST_BRIDGE, src: 0x0200_0000_0001, ...sample });
    const padded = Buffer.concat([hex('ffff'), frame, Buffer.alloc(20)]);
    expect(decodeLldpFrame(padded, 2, padded.length)).toEqual({
      dst: LLDP_NEAREST_BRIDGE,
      src: 0x0200_0000_0001,
      ...sample,
    });
    expect(findOrganization(sample, 0x00_1b21, 3)).toEqual(Buffer.from('abcdef'));
    expect(findOrganization(sample, 0x00_1b21, 4)).toBeUndefined();
    expect(organizationOf({ type: LldpType.systemName, value: Buffer.from('abcdef') })).toBeUndefined();
  });

  it('gives nothing for a cut, and needs no end mark', () => {
    const bytes = encodeLldp(sample);
    const whole = new Set([bytes.length, bytes.length - 2]);
    // A cut exactly between optional TLVs cannot be told from a sender that said less.
    const boundaries = new Set([bytes.length - 2 - 12, bytes.length - 2 - 12 - 4]);
    for (let end = 0; end <= bytes.length; end++) {
      const got = decodeLldp(bytes, 0, end);
      if (whole.has(end)) expect(got).toEqual(sample);
      else if (boundaries.has(end)) expect(got?.tlvs.length).toBeLessThan(2);
      else expect(got).toBeUndefined();
    }
  });

  it.each([
    ['port before chassis', '040207310207040200000000010602007800 00'],
    ['no TTL', '0207040200000000010402073100 00'],
    ['chassis id without an id', '02010404020731060200780000'],
    ['chassis id twice', '020704020000000001040207310602007802070402000000000100 00'],
    ['end mark with a length', '02070402000000000104020731060200780001ff'],
    ['organisation without identifier', '0207040200000000010402073106020078fe02008000 00'],
    ['TTL of one byte', '0207040200000000010402073106017800 00'],
  ])('refuses %s', (_, text) => {
    const bytes = hex(text);
    expect(decodeLldp(bytes, 0, bytes.length)).toBeUndefined();
  });

  it('refuses to write what does not fit', () => {
    expect(() => encodeLldp({ ...sample, ttl: 65536 })).toThrow(/ttl/);
    expect(() => encodeLldp({ ...sample, tlvs: [{ type: 1, value: Buffer.alloc(2) }] })).toThrow(/tlv/);
    expect(() => encodeLldp({ ...sample, tlvs: [{ type: 5, value: Buffer.alloc(512) }] })).toThrow(/tlv/);
    expect(() => encodeLldp({ ...sample, chassisId: { subtype: 1, id: Buffer.alloc(0) } })).toThrow(/chassisId/);
    expect(() => organizationTlv({ oui: 0x100_0000, subtype: 0, info: Buffer.alloc(0) })).toThrow(/oui/);
  });

  it('decode undoes encode for any TLVs', () => {
    const id = fc.record({
      subtype: fc.integer({ min: 0, max: 255 }),
      id: fc.uint8Array({ minLength: 1, maxLength: 255 }).map((b) => Buffer.from(b)),
    });
    const tlv = fc.record({
      type: fc.integer({ min: 4, max: 127 }),
      value: fc.uint8Array({ minLength: 4, maxLength: 511 }).map((b) => Buffer.from(b)),
    });
    const lldp = fc.record({ chassisId: id, portId: id, ttl: fc.integer({ min: 0, max: 65535 }), tlvs: fc.array(tlv) });
    fc.assert(
      fc.property(lldp, (value) => {
        const bytes = encodeLldp(value);
        expect(decodeLldp(bytes, 0, bytes.length)).toEqual(value);
      }),
      { numRuns: 100 },
    );
  });
});
