import { describe, expect, it } from 'vitest';
import {
  anyTagged,
  canonicalMatch,
  decodeMatch,
  encodeActions,
  encodeMatch,
  encodeMatchList,
  fieldList,
  ipv4Prefix,
  ipv6Prefix,
  listOf,
  type Match,
  matchOf,
  type OxmEntry,
  untagged,
  vlan,
  vlanId,
  WireError,
} from '../../../src/ofproto/index.ts';

/** OXMs of a match without header and padding. */
const oxms = (match: Match): string => {
  const bytes = encodeMatch(match);
  return bytes.toString('hex', 4, bytes.readUInt16BE(2));
};
const canonical = (list: readonly OxmEntry[]): OxmEntry[] => {
  const bytes = encodeMatchList(list);
  const out = canonicalMatch(bytes, 0, bytes.length);
  return decodeMatch(out, 0, out.length);
};

describe('VLAN (FC-03)', () => {
  it('carries the present bit in matches and set-field', () => {
    expect(oxms({ vlanVid: vlan(100) })).toBe('80000c021064');
    expect(oxms({ vlanVid: anyTagged })).toBe('80000d0410001000');
    expect(oxms({ vlanVid: untagged })).toBe('80000c020000');
    expect(encodeActions([{ type: 'setField', field: 'vlanVid', value: vlan(100) }]).toString('hex')).toBe(
      '0019001080000c021064000000000000',
    );
  });

  it('reads back as the id', () => {
    const bytes = encodeMatch({ vlanVid: vlan(100) });
    const [entry] = decodeMatch(bytes, 0, bytes.length) as [{ field: 'vlanVid'; value: number }];
    expect(vlanId(entry.value)).toBe(100);
    expect(vlanId(untagged)).toBeUndefined();
  });

  it.each([0, 4095, 4096, -1, 1.5, Number.NaN])('refuses the id %s', (id) => {
    expect(() => vlan(id)).toThrow('1…4094 wanted');
  });

  it.each<Match['vlanVid']>([100, { value: 100, mask: 0xfff }, { value: 100, mask: 0x1fff }])(
    'refuses a match that would never match: %j',
    (vlanVid) => {
      expect(() => encodeMatch({ vlanVid } as Match)).toThrow('lacks the present bit');
    },
  );
});

describe('prefixes (FC-04)', () => {
  it.each([
    [0, 0, ''],
    [0x8000_0000, 1, '80001708' + '8000000080000000'],
    [0x0a00_0000, 8, '80001708' + '0a000000ff000000'],
    [0x0a01_0202, 31, '80001708' + '0a010202fffffffe'],
    [0x0a01_0203, 32, '80001604' + '0a010203'],
  ])('IPv4 %i/%i', (address, length, expected) => {
    const ipv4Src = ipv4Prefix(address, length);
    const match = ipv4Src === undefined ? { ethType: 0x0800 } : { ethType: 0x0800, ipv4Src };
    expect(oxms(match)).toBe(`80000a020800${expected}`);
  });

  it.each([
    [0n, 0, undefined],
    [1n << 127n, 1, 1n << 127n],
    [0x2001_0db8n << 96n, 64, ((1n << 64n) - 1n) << 64n],
    [2n, 127, (1n << 128n) - 2n],
  ])('IPv6 %s/%i', (address, length, mask) => {
    const prefix = ipv6Prefix(address, length);
    expect(prefix).toEqual(mask === undefined ? undefined : { value: address, mask });
  });

  it('IPv6 /128 needs no mask', () => {
    expect(ipv6Prefix(3n, 128)).toBe(3n);
  });

  it('refuses bits below the prefix everywhere', () => {
    expect(() => ipv4Prefix(0x0a01_0203, 24)).toThrow('outside its mask');
    expect(() => ipv4Prefix(1, 0)).toThrow('outside its mask');
    expect(() => ipv6Prefix(1n, 64)).toThrow('outside its mask');
    expect(() => encodeMatch({ ethType: 0x0800, ipv4Src: { value: 0x0a01_0203, mask: 0xffff_ff00 } })).toThrow(
      'outside its mask',
    );
    expect(() => ipv4Prefix(0, 33)).toThrow('/33');
  });
});

describe('encodeMatch', () => {
  it('writes fields in canonical order, without full and empty masks', () => {
    const match: Match = {
      tcpDst: { value: 80, mask: 0xffff },
      ipProto: 6,
      metadata: { value: 0n, mask: 0n },
      reg1: 5,
      ethType: 0x0800,
      inPort: 3,
    };
    expect(oxms(match)).toBe('8000000400000003' + '80000a020800' + '8000140106' + '80001c020050' + '0001020400000005');
  });

  it('is padded to eight, the padding not counted', () => {
    const bytes = encodeMatch({ inPort: 1 });
    expect(bytes.toString('hex')).toBe('0001000c800000040000000100000000');
    expect(encodeMatch({}).toString('hex')).toBe('0001000400000000');
  });

  it.each<[Match, string]>([
    [{ tcpDst: 80 }, 'tcpDst needs ipProto 0x6'],
    [{ ethType: 0x0800, ipv6Src: 1n }, 'ipv6Src needs ethType 0x86dd'],
    [{ vlanPcp: 3 }, 'vlanPcp needs vlanVid'],
    [{ vlanVid: 0, vlanPcp: 3 }, 'vlanPcp needs vlanVid'],
    [{ ethType: 0x86dd, ipProto: 58, icmpv6Type: 136, ipv6NdSll: 1 }, 'ipv6NdSll needs icmpv6Type 0x87'],
    [{ ethType: 0x0800, ctNwSrc: 1 }, 'ctNwSrc needs ctState'],
    [{ inPort: { value: 1, mask: 1 } }, 'inPort takes no mask'],
    [{ inPort: 2 ** 32 }, 'inPort cannot be'],
    [{ metadata: 1 }, 'metadata cannot be number 1'],
    [{ reg1: 1n }, 'reg1 cannot be bigint 1'],
    [{ ethDst: -1 }, 'ethDst cannot be'],
    [{ ethType: 0x0800, nxmEthType: 0x0800 }, 'ethType is there twice'],
    [{ tunMetadata0: 5 }, 'tunMetadata0 takes bytes'],
    [{ nothing: 1 } as Match, 'nothing is not a match field'],
  ])('refuses %o', (match, problem) => {
    expect(() => encodeMatch(match)).toThrow(problem);
    expect(() => encodeMatch(match)).toThrow(WireError);
  });

  it('accepts the packet type in place of the Ethernet type', () => {
    expect(() => encodeMatch({ packetType: 0x0001_0800, ipv4Src: 1 })).not.toThrow();
    expect(() => encodeMatch({ packetType: 0x0001_86dd, ipv4Src: 1 })).toThrow('needs ethType');
  });

  it('holds every field of the table', () => {
    for (const { name, bits, bytes } of fieldList) {
      const value = bytes === 0 ? Buffer.from('0102', 'hex') : bits > 48 ? 1n : 1;
      const list: OxmEntry[] = [{ field: name, value }];
      const encoded = encodeMatchList(list);
      expect(decodeMatch(encoded, 0, encoded.length)).toEqual(list);
    }
    expect(fieldList.filter(({ oxmClass, field }) => oxmClass === 0x8000 && field < 40)).toHaveLength(40);
  });
});

describe('canonicalMatch', () => {
  it('folds what Nicira says in other numbers', () => {
    expect(
      canonical([
        { field: 'nxmIpTos', value: 0xb8 },
        { field: 'nxmInPort', value: 0xfffe },
        { field: 'nxmTunnelId', value: 7n },
        { field: 'nxmEthType', value: 0x0800 },
      ]),
    ).toEqual([
      { field: 'inPort', value: 0xffff_fffe },
      { field: 'ethType', value: 0x0800 },
      { field: 'ipDscp', value: 46 },
      { field: 'tunnelId', value: 7n },
    ]);
  });

  it.each<[number, number | undefined, OxmEntry[]]>([
    [0, undefined, [{ field: 'vlanVid', value: 0 }]],
    [0x1064, 0x1fff, [{ field: 'vlanVid', value: 0x1064 }]],
    [
      0x7064,
      undefined,
      [
        { field: 'vlanVid', value: 0x1064 },
        { field: 'vlanPcp', value: 3 },
      ],
    ],
    [0x1000, 0x1000, [{ field: 'vlanVid', value: 0x1000, mask: 0x1000 }]],
    [0x6000, 0x4000, [{ field: 'nxmVlanTci', value: 0x4000, mask: 0x4000 }]],
  ])('folds vlan_tci 0x%s under 0x%s', (value, mask, expected) => {
    expect(canonical([{ field: 'nxmVlanTci', value, ...(mask === undefined ? {} : { mask }) }])).toEqual(expected);
  });

  it('keeps unknown fields, in their place', () => {
    const unknown: OxmEntry = {
      field: 'unknown',
      oxmClass: 0xffff,
      oxmField: 3,
      hasMask: false,
      experimenter: 9,
      bytes: Buffer.from('01', 'hex'),
    };
    expect(canonical([unknown, { field: 'inPort', value: 1 }])).toEqual([{ field: 'inPort', value: 1 }, unknown]);
  });

  it('clears bits outside a mask instead of refusing', () => {
    expect(canonical([{ field: 'metadata', value: 0xffn, mask: 0x0fn }])).toEqual([
      { field: 'metadata', value: 0x0fn, mask: 0x0fn },
    ]);
  });
});

describe('decodeMatch', () => {
  it.each([
    ['000100038000000400000001', 'length 3, at least 4 at byte 2'],
    ['00000004', 'type 0, OXM (1) wanted'],
    ['00010010800000040000000100000000', undefined],
    ['0001000c8000000400000001', 'only 12 bytes left'],
    ['0001000b80000003000001' + '0000000000', 'inPort takes 3 bytes, 4 wanted'],
    ['0001000c8000000800000001' + '00000000', 'only 4 bytes left'],
    ['0001000680000000', 'cut: 2 bytes left'],
    ['00010008ffff0002' + '0000000000000000', 'only 0 bytes left'],
  ])('%s', (hex, problem) => {
    const bytes = Buffer.from(hex, 'hex');
    if (problem === undefined) expect(() => decodeMatch(bytes, 0, bytes.length)).toThrow(WireError);
    else expect(() => decodeMatch(bytes, 0, bytes.length)).toThrow(problem);
  });

  it('gives a list that a Match can say, or says why it cannot', () => {
    const list: OxmEntry[] = [
      { field: 'inPort', value: 1 },
      { field: 'ethDst', value: 2, mask: 3 },
    ];
    expect(listOf(matchOf(list))).toEqual(list);
    expect(() => matchOf([...list, list[0]!])).toThrow('cannot be put into a Match');
  });
});
