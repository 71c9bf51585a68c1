import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Address,
  decodeLisp,
  dottedQuad,
  encodeLisp,
  isAuthentic,
  LispError,
  type LispMessage,
  lispProtocol,
  type MappingRecord,
  type MapRegister,
  signLisp,
  verifyLisp,
} from '../../../src/overlay-gw/lisp/index.ts';

const bits = (count: number) => fc.integer({ min: 0, max: 2 ** count - 1 });
const hexOf = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((list) => Buffer.from(list).toString('hex'));
const blob = (max: number) => fc.uint8Array({ maxLength: max }).map((list) => Buffer.from(list));
const header = { reserved1: bits(8), flags: bits(8), reserved2: bits(8) };
const lcaf = <T extends string, R extends object>(type: T, rest: { [K in keyof R]: fc.Arbitrary<R[K]> }) =>
  fc.record({ afi: fc.constant('lcaf' as const), type: fc.constant(type), ...header, ...rest });

const plain: fc.Arbitrary<Address> = fc.oneof(
  fc.constant({ afi: 'none' as const }),
  fc.record({ afi: fc.constant('ipv4' as const), address: fc.ipV4() }),
  fc.record({
    afi: fc.constant('ipv6' as const),
    address: fc.constantFrom('::', '2001:db8::1', 'fd00::1:2:3:4', '::ffff:102:304'),
  }),
  fc.record({
    afi: fc.constantFrom('mac' as const, 'ieee802' as const),
    address: fc.constantFrom('02:00:00:00:00:01', 'ff:ff:ff:ff:ff:ff'),
  }),
  fc.record({ afi: fc.constant('name' as const), name: fc.stringMatching(/^[ -~]{0,20}$/) }),
);
const address: fc.Arbitrary<Address> = fc.letrec<{ any: Address }>((tie) => {
  const inner = tie('any');
  const list = fc.array(inner, { maxLength: 3 });
  return {
    any: fc.oneof(
      { depthSize: 'small', withCrossShrink: true, maxDepth: 2 },
      plain,
      lcaf('instanceId', { instanceId: bits(32), address: inner }),
      lcaf('afiList', { addresses: list }),
      lcaf('nat', {
        msPort: bits(16),
        etrPort: bits(16),
        globalEtr: plain,
        mapServer: plain,
        privateEtr: plain,
        rtrs: list,
      }),
      lcaf('explicitPath', { hops: fc.array(fc.record({ flags: bits(16), address: plain }), { maxLength: 3 }) }),
      lcaf('sourceDestination', {
        reserved: bits(16),
        sourceMask: bits(8),
        destinationMask: bits(8),
        source: plain,
        destination: plain,
      }),
      lcaf('unknown', { lcafType: fc.constantFrom(3, 4, 13, 200), bytes: blob(12) }),
    ) as fc.Arbitrary<Address>,
  };
}).any;
const mapping: fc.Arbitrary<MappingRecord> = fc.record({
  ttl: bits(32),
  maskLength: bits(8),
  action: bits(3),
  authoritative: fc.boolean(),
  reserved: bits(12),
  reserved2: bits(4),
  version: bits(12),
  eid: address,
  locators: fc.array(
    fc.record({
      priority: bits(8),
      weight: bits(8),
      multicastPriority: bits(8),
      multicastWeight: bits(8),
      reserved: bits(13),
      local: fc.boolean(),
      probed: fc.boolean(),
      reachable: fc.boolean(),
      rloc: address,
    }),
    { maxLength: 3 },
  ),
});
const nonce = hexOf(8);
const identity = fc.record({ xtrId: hexOf(16), siteId: hexOf(8) });
const auth = fc.record({ keyId: bits(16), data: blob(32) });
const flag = fc.boolean();
const message: fc.Arbitrary<LispMessage> = fc.oneof(
  fc.record(
    {
      type: fc.constant('mapRequest' as const),
      authoritative: flag,
      mapDataPresent: fc.constant(false),
      probe: flag,
      smr: flag,
      pitr: flag,
      smrInvoked: flag,
      nonce,
      reserved: fc.constant(0),
      source: address,
      itrRlocs: fc.array(address, { minLength: 1, maxLength: 4 }),
      records: fc.array(fc.record({ reserved: bits(8), maskLength: bits(8), eid: address }), { maxLength: 3 }),
      identity,
    },
    {
      requiredKeys: [
        'type',
        'authoritative',
        'mapDataPresent',
        'probe',
        'smr',
        'pitr',
        'smrInvoked',
        'nonce',
        'reserved',
        'source',
        'itrRlocs',
        'records',
      ],
    },
  ),
  fc.record({
    type: fc.constant('mapReply' as const),
    probe: flag,
    echoNonce: flag,
    security: fc.constant(false),
    nonce,
    reserved: fc.constant(0),
    records: fc.array(mapping, { maxLength: 3 }),
  }),
  fc.record(
    {
      type: fc.constant('mapRegister' as const),
      proxyReply: flag,
      security: flag,
      rtr: flag,
      useTtl: flag,
      merge: flag,
      wantNotify: flag,
      nonce,
      reserved: fc.constant(0),
      auth,
      records: fc.array(mapping, { maxLength: 3 }),
      identity,
    },
    {
      requiredKeys: [
        'type',
        'proxyReply',
        'security',
        'rtr',
        'useTtl',
        'merge',
        'wantNotify',
        'nonce',
        'reserved',
        'auth',
        'records',
      ],
    },
  ),
  fc.record({
    type: fc.constantFrom('mapNotify' as const, 'mapNotifyAck' as const),
    rtr: flag,
    nonce,
    reserved: fc.constant(0),
    auth,
    records: fc.array(mapping, { maxLength: 3 }),
  }),
  fc.record({
    type: fc.constantFrom('infoRequest' as const, 'infoReply' as const),
    nonce,
    reserved: fc.constant(0),
    auth,
    ttl: bits(32),
    reserved2: bits(8),
    maskLength: bits(8),
    eid: address,
    nat: address,
  }),
  fc.record({
    type: fc.constant('unknown' as const),
    lispType: fc.constant(6),
    bytes: blob(20).map((rest) => Buffer.concat([Buffer.of(0x60, 0, 0, 0), rest])),
  }),
) as fc.Arbitrary<LispMessage>;

describe('LISP messages', () => {
  it('come back from bytes as they went', () => {
    fc.assert(
      fc.property(message, (given) => {
        expect(decodeLisp(encodeLisp(given))).toEqual(given);
      }),
      { numRuns: 400 },
    );
  });

  it('that are cut, flipped or noise throw LispError with an offset inside, or re-encode to the same bytes', () => {
    const check = (bytes: Buffer): void => {
      try {
        expect(encodeLisp(decodeLisp(bytes)).equals(bytes)).toBe(true);
      } catch (error) {
        if (!(error instanceof LispError)) throw error;
        expect(error.offset).toBeGreaterThanOrEqual(0);
        expect(error.offset).toBeLessThanOrEqual(bytes.length);
      }
    };
    fc.assert(
      fc.property(message, fc.nat(), fc.nat(), bits(8), blob(80), (given, cut, at, value, noise) => {
        const bytes = encodeLisp(given);
        check(bytes.subarray(0, cut % (bytes.length + 1)));
        const flipped = Buffer.from(bytes);
        flipped[at % bytes.length] = value;
        check(flipped);
        check(noise);
      }),
      { numRuns: 1_500, seed: 20_261_125 },
    );
  });

  it.each([
    [
      'nested LCAFs without end',
      `10000001${'00'.repeat(8)}${'4003000001000078'.repeat(12)}`,
      /nested more than 6|bytes wanted/,
    ],
    [
      'encapsulation without end',
      '80000000450000000000000000110000000000000000000000000000000000000'.padEnd(64, '0').slice(0, 64).repeat(5),
      /encapsulated more than 2|bytes|neither/,
    ],
    ['a name without its end', `10000001${'00'.repeat(8)}0011616161`, /a name without its end/],
    ['a family nobody knows', `10000001${'00'.repeat(8)}0063`, /99 is no address family/],
    ['nothing at all', '', /4 bytes wanted/],
  ])('with %s are refused', (_, hex, message) => {
    expect(() => decodeLisp(Buffer.from(hex, 'hex'))).toThrow(message);
  });
});

describe('signatures', () => {
  const register: MapRegister = {
    type: 'mapRegister',
    proxyReply: true,
    security: false,
    rtr: false,
    useTtl: false,
    merge: false,
    wantNotify: true,
    nonce: '0102030405060708',
    reserved: 0,
    auth: { keyId: 0, data: Buffer.alloc(0) },
    records: [
      {
        ttl: 10,
        maskLength: 24,
        action: 0,
        authoritative: true,
        reserved: 0,
        reserved2: 0,
        version: 0,
        eid: { afi: 'ipv4', address: '10.1.2.0' },
        locators: [],
      },
    ],
  };

  it.each([
    ['HMAC-SHA-1', 1, 20],
    ['HMAC-SHA-256', 2, 32],
    ['HMAC-SHA-256 with a key id', 0x0702, 32],
  ])('%s: all of the digest is sent and compared', (_, keyId, length) => {
    const bytes = signLisp(register, keyId, 'password');
    const message = decodeLisp(bytes);
    expect(message).toMatchObject({ auth: { keyId } });
    expect('auth' in message && message.auth.data.length).toBe(length);
    expect(verifyLisp(bytes, 'password')).toBe(true);
    expect(verifyLisp(bytes, 'Password')).toBe(false);
    for (let at = 0; at < bytes.length; at++) {
      // Another key id, length or type is another message; the rest is what is signed.
      if (at === 0 || (at >= 12 && at < 16)) continue;
      const forged = Buffer.from(bytes);
      forged[at]! ^= 1;
      const { auth } = message as MapRegister;
      const data = Buffer.from(forged.subarray(16, 16 + length));
      expect(isAuthentic(forged, { ...auth, data }, 'password'), `byte ${at}`).toBe(false);
    }
  });

  it('of the field case verifies (FC-20)', () => {
    const hex =
      '30000102010203040506070800010014a9a8e21a34cde643fdef8468814c8cdeb203ce12000005a001101000000000010a0100000164ff0000050001c000020b0000000101181000000000010a0102000164ff0000050001c000020c';
    const bytes = Buffer.from(hex, 'hex');
    expect(verifyLisp(bytes, 'password')).toBe(true);
    const message = decodeLisp(bytes) as MapRegister;
    expect(message.records.map(({ eid, maskLength, ttl }) => [eid, maskLength, ttl])).toEqual([
      [{ afi: 'ipv4', address: '10.1.0.0' }, 16, 1440],
      [{ afi: 'ipv4', address: '10.1.2.0' }, 24, 1],
    ]);
  });

  it('with an algorithm that nobody knows are never right', () => {
    expect(() => signLisp(register, 9, 'x')).toThrow('names no algorithm');
    const bytes = encodeLisp({ ...register, auth: { keyId: 0, data: Buffer.alloc(20) } });
    expect(verifyLisp(bytes, 'password')).toBe(false);
    expect(verifyLisp(encodeLisp(register), 'password')).toBeUndefined();
  });
});

describe('netloom wire decode --protocol lisp', () => {
  it('shows bytes as hex, and says where it goes wrong', () => {
    const hex = '1000000108070605040302010001 0a320101 0001 0a090007 0020 0001 0a3c0101'.replaceAll(' ', '');
    const result = lispProtocol.decode(Buffer.from(hex, 'hex'));
    expect(result).toMatchObject({ bytes: hex.length / 2, reencoded: hex, problems: [], fatal: false });
    expect(JSON.parse(result.messages[0]!)).toMatchObject({
      type: 'mapRequest',
      nonce: '0807060504030201',
      records: [{ maskLength: 32, eid: { afi: 'ipv4', address: '10.60.1.1' } }],
    });
    const unknown = lispProtocol.decode(Buffer.from('6000000001', 'hex'));
    expect(JSON.parse(unknown.messages[0]!)).toEqual({ type: 'unknown', lispType: 6, bytes: '6000000001' });
    expect(lispProtocol.decode(Buffer.from('1000', 'hex'))).toMatchObject({
      fatal: true,
      problems: [{ code: 'NL_LISP', structure: 'header', field: 'type', offset: 0 }],
    });
  });
});

describe('an IPv4 address', () => {
  it.each([
    ['10.1.2.3', 0x0a010203],
    ['0.0.0.0', 0],
    ['255.255.255.255', 0xffffffff],
    ['10.0.0.100', 0x0a000064],
  ])('%s is read as a number', (text, value) => {
    expect(dottedQuad(text)).toBe(value);
  });

  it.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '1..2.3',
    '.1.2.3.4',
    '1.2.3.4.',
    '256.1.1.1',
    '01.2.3.4',
    '1.2.3.x',
    ' 1.2.3.4',
    '1.2.3.-4',
    '::1',
    '1.2.3.4/8',
  ])('%j is left to others to read', (text) => {
    expect(dottedQuad(text)).toBeUndefined();
  });
});
