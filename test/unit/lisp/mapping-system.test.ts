import { beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/controller/kernel/index.ts';
import { encapsulate } from '../../../src/overlay-gw/lisp/encapsulate.ts';
import {
  type Address,
  decodeLisp,
  type Endpoint,
  eidPrefix,
  eidText,
  encodeLisp,
  type LispMessage,
  type LispSite,
  type Locator,
  type MapNotify,
  type MappingRecord,
  MappingSystem,
  type MapRegister,
  type MapReply,
  type MapRequest,
  signLisp,
  verifyLisp,
} from '../../../src/overlay-gw/lisp/index.ts';
import { ManualClock } from '../../kit/manual-clock.ts';

const KEY = 'password';
const xtr: Endpoint = { address: '10.9.0.3', port: 4342 };
const itr: Endpoint = { address: '10.9.0.7', port: 40_000 };
const none: Address = { afi: 'none' };
const ip = (address: string): Address => ({ afi: address.includes(':') ? 'ipv6' : 'ipv4', address });
const within = (instanceId: number, address: Address): Address => ({
  afi: 'lcaf',
  type: 'instanceId',
  reserved1: 0,
  flags: 0,
  reserved2: 32,
  instanceId,
  address,
});
const locator = (rloc: string, more: Partial<Locator> = {}): Locator => ({
  priority: 1,
  weight: 100,
  multicastPriority: 255,
  multicastWeight: 0,
  reserved: 0,
  local: true,
  probed: false,
  reachable: true,
  rloc: ip(rloc),
  ...more,
});
const record = (eid: Address, maskLength: number, more: Partial<MappingRecord> = {}): MappingRecord => ({
  ttl: 1440,
  maskLength,
  action: 0,
  authoritative: true,
  reserved: 0,
  reserved2: 0,
  version: 0,
  eid,
  locators: [locator('192.0.2.1')],
  ...more,
});
let nonces = 0;
const nonce = (): string => (++nonces).toString(16).padStart(16, '0');

function register(records: readonly MappingRecord[], more: Partial<MapRegister> = {}, key = KEY, keyId = 1): Buffer {
  const message: MapRegister = {
    type: 'mapRegister',
    proxyReply: true,
    security: false,
    rtr: false,
    useTtl: false,
    merge: false,
    wantNotify: true,
    nonce: nonce(),
    reserved: 0,
    auth: { keyId, data: Buffer.alloc(0) },
    records,
    ...more,
  };
  return signLisp(message, keyId, key);
}
const request = (eid: Address, maskLength: number, more: Partial<MapRequest> = {}): MapRequest => ({
  type: 'mapRequest',
  authoritative: false,
  mapDataPresent: false,
  probe: false,
  smr: false,
  pitr: false,
  smrInvoked: false,
  nonce: nonce(),
  reserved: 0,
  source: none,
  itrRlocs: [ip(itr.address)],
  records: [{ reserved: 0, maskLength, eid }],
  ...more,
});

interface Sent {
  readonly message: LispMessage;
  readonly bytes: Buffer;
  readonly to: Endpoint;
  readonly from: string | undefined;
}
let clock: ManualClock;
let sent: Sent[];
let system: MappingSystem;
const site = (
  id: string,
  prefixes: readonly (readonly [Address, number])[],
  more: Partial<LispSite> = {},
): LispSite => ({
  id,
  prefixes: prefixes.map(([eid, length]) => eidPrefix(eid, length)!),
  acceptMoreSpecifics: true,
  keys: [KEY],
  ...more,
});

beforeEach(() => {
  clock = new ManualClock();
  sent = [];
  system = new MappingSystem({
    clock,
    log: silentLogger,
    send: (bytes, to, from) => sent.push({ message: decodeLisp(bytes), bytes, to, from }),
  });
  system.setSite(
    site('all', [
      [ip('10.0.0.0'), 8],
      [ip('2001:db8::'), 32],
      [within(7, ip('10.0.0.0')), 8],
    ]),
  );
});

/** Asks in the plain way; answers the record of the reply. */
function ask(eid: Address, length = 32): MappingRecord {
  sent.length = 0;
  system.receive(encodeLisp(request(eid, length)), itr, '203.0.113.1');
  const reply = sent[0]!.message as MapReply;
  expect(reply.type).toBe('mapReply');
  return reply.records[0]!;
}
const answer = (eid: Address, length = 32): string => {
  const found = ask(eid, length);
  return `${eidText(eidPrefix(found.eid, found.maskLength)!)} ${found.locators.length === 0 ? `negative ${found.ttl}` : 'found'}`;
};

describe('registered prefixes (FC-20)', () => {
  const fieldCase = Buffer.from(
    '30000102010203040506070800010014a9a8e21a34cde643fdef8468814c8cdeb203ce12000005a001101000000000010a0100000164ff0000050001c000020b0000000101181000000000010a0102000164ff0000050001c000020c',
    'hex',
  );

  it('are both stored, one Map-Notify lists both, and after the /24 has run out the /16 answers', () => {
    system.receive(fieldCase, xtr);
    expect(system.mappings.size).toBe(2);
    expect(sent).toHaveLength(1);
    expect(sent[0]).toMatchObject({ to: xtr, message: { type: 'mapNotify', nonce: '0102030405060708' } });
    expect((sent[0]!.message as MapRegister).records.map(({ maskLength }) => maskLength)).toEqual([16, 24]);
    // The message does not ask for a proxy reply: its routers would be asked.
    const registered = decodeLisp(fieldCase) as MapRegister;
    system.receive(signLisp({ ...registered, proxyReply: true, useTtl: true }, 1, KEY), xtr);
    expect(answer(ip('10.1.2.3'))).toBe('[0]10.1.2.0/24 found');
    clock.pass(61_000);
    expect(answer(ip('10.1.2.3'))).toBe('[0]10.1.0.0/16 found');
  });

  it.each([
    [[], '10.2.3.4', '0.0.0.0/0'],
    [['10.1.0.0/16'], '10.2.3.4', '10.2.0.0/15'],
    [['10.1.0.0/16', '10.3.0.0/16'], '10.2.3.4', '10.2.0.0/16'],
    [['10.1.0.0/17', '10.1.128.0/18'], '10.1.255.255', '10.1.192.0/18'],
    [['2001:db8:1::/48'], '2001:db8:2::1', '2001:db8:2::/47'],
  ])('with %j a question for %s is answered negatively for %s', (registered, eid, gap) => {
    system.receive(
      register(registered.map((text) => record(ip(text.split('/')[0]!), Number(text.split('/')[1])))),
      xtr,
    );
    expect(answer(ip(eid), eid.includes(':') ? 128 : 32)).toBe(`[0]${gap} negative 1`);
  });

  it('give negative answers that overlap nothing right after a registration or a removal', () => {
    system.receive(register([record(ip('10.1.0.0'), 16)]), xtr);
    expect(answer(ip('10.2.3.4'))).toBe('[0]10.2.0.0/15 negative 1');
    system.receive(register([record(ip('10.2.0.0'), 24)]), xtr);
    expect(answer(ip('10.2.3.4'))).toBe('[0]10.2.2.0/23 negative 1');
    system.receive(register([record(ip('10.2.0.0'), 24, { ttl: 0 })]), xtr);
    expect(answer(ip('10.2.3.4'))).toBe('[0]10.2.0.0/15 negative 1');
  });

  it('outside of all sites last fifteen minutes and leave the sites out', () => {
    expect(answer(ip('192.0.2.1'))).toBe('[0]128.0.0.0/1 negative 15');
    expect(answer(ip('11.0.0.1'))).toBe('[0]11.0.0.0/8 negative 15');
    expect(answer(within(9, ip('10.1.1.1')))).toBe('[9]0.0.0.0/0 negative 15');
  });
});

describe('virtual networks', () => {
  it('with the same EIDs are never mixed', () => {
    system.receive(register([record(ip('10.1.0.0'), 16, { locators: [locator('192.0.2.1')] })]), xtr);
    system.receive(register([record(within(7, ip('10.1.0.0')), 16, { locators: [locator('192.0.2.7')] })]), xtr);
    expect(ask(ip('10.1.0.5')).locators[0]!.rloc).toEqual(ip('192.0.2.1'));
    expect(ask(within(7, ip('10.1.0.5'))).locators[0]!.rloc).toEqual(ip('192.0.2.7'));
    expect(answer(within(8, ip('10.1.0.5')))).toContain('negative');
  });
});

describe('registrations', () => {
  it.each([
    ['signed with a wrong key', register([record(ip('10.1.0.0'), 16)], {}, 'wrong'), 'badSignatures'],
    ['of EIDs of no site', register([record(ip('172.16.0.0'), 16)]), 'notOfSite'],
    ['larger than the site', register([record(ip('0.0.0.0'), 4)]), 'notOfSite'],
    ['that are nonsense', Buffer.from('30000101', 'hex'), 'malformed'],
  ] as const)('%s are refused in silence, and counted', (_, bytes, counter) => {
    system.receive(bytes, xtr);
    expect(sent).toEqual([]);
    expect(system.mappings.size).toBe(0);
    expect(system.counters[counter]).toBe(1);
  });

  it('of parts of a site are taken only where the site allows that', () => {
    system.setSite(site('all', [[ip('10.1.0.0'), 16]], { acceptMoreSpecifics: false }));
    system.receive(register([record(ip('10.1.2.0'), 24)]), xtr);
    expect(system.mappings.size).toBe(0);
    system.receive(register([record(ip('10.1.0.0'), 16)]), xtr);
    expect(system.mappings.size).toBe(1);
  });

  it('across two sites are refused as a whole', () => {
    system.setSite(site('other', [[ip('172.16.0.0'), 12]]));
    system.receive(register([record(ip('10.1.0.0'), 16), record(ip('172.16.1.0'), 24)]), xtr);
    expect([system.mappings.size, system.counters.notOfSite]).toEqual([0, 1]);
  });

  it('last three minutes, or as long as their records when they say so, and are renewed', () => {
    system.receive(register([record(ip('10.1.0.0'), 16)]), xtr);
    system.receive(register([record(ip('10.2.0.0'), 16, { ttl: 5 })], { useTtl: true }), xtr);
    clock.pass(170_000);
    system.receive(register([record(ip('10.1.0.0'), 16)]), xtr);
    clock.pass(20_000);
    expect(system.mappings.size).toBe(2);
    clock.pass(111_000);
    expect(answer(ip('10.2.0.1'))).toContain('negative');
    expect(answer(ip('10.1.0.1'))).toContain('found');
    clock.pass(60_000);
    expect(system.mappings.size).toBe(0);
  });

  it('of several routers are merged when they ask for it, else the last one counts', () => {
    const other: Endpoint = { address: '10.9.0.4', port: 4342 };
    const from = (rloc: string) => [record(ip('10.1.0.0'), 16, { locators: [locator(rloc)] })];
    const rlocs = (): unknown[] => ask(ip('10.1.0.1')).locators.map(({ rloc }) => 'address' in rloc && rloc.address);
    system.receive(register(from('192.0.2.1'), { merge: true }), xtr);
    system.receive(register(from('192.0.2.2'), { merge: true }), other);
    // Whoever registers hears of all.
    expect((sent.at(-1)!.message as MapRegister).records[0]!.locators).toHaveLength(2);
    expect(rlocs()).toEqual(['192.0.2.1', '192.0.2.2']);
    system.receive(register([record(ip('10.1.0.0'), 16, { ttl: 0 })], { merge: true }), other);
    expect(rlocs()).toEqual(['192.0.2.1']);
    system.receive(register(from('192.0.2.3')), other);
    expect(rlocs()).toEqual(['192.0.2.3']);
  });

  it('are answered by a Map-Notify, signed alike, again until it is acknowledged', () => {
    for (const [keyId, hash] of [
      [1, 20],
      [0x0502, 32],
    ] as const) {
      sent.length = 0;
      system.receive(register([record(ip('10.1.0.0'), 16)], {}, KEY, keyId), xtr, '203.0.113.1');
      const [first] = sent;
      const notify = first!.message as MapRegister;
      expect(first).toMatchObject({ to: xtr, from: '203.0.113.1' });
      expect(notify.auth.keyId).toBe(keyId);
      expect(notify.auth.data).toHaveLength(hash);
      clock.pass(1_100);
      expect(sent.map(({ bytes }) => bytes.equals(first!.bytes))).toEqual([true, true]);
      const ack = { ...notify, type: 'mapNotifyAck' as const, rtr: false };
      system.receive(signLisp(ack, keyId, 'wrong'), xtr);
      clock.pass(2_000);
      expect(sent).toHaveLength(3);
      system.receive(signLisp(ack, keyId, KEY), xtr);
      clock.pass(10_000);
      expect(sent).toHaveLength(3);
    }
    sent.length = 0;
    system.receive(register([record(ip('10.1.0.0'), 16)]), xtr);
    clock.pass(60_000);
    expect(sent).toHaveLength(4);
  });
});

describe('what is too much', () => {
  it('of one source is refused unread, and others are answered', () => {
    const limited = new MappingSystem({
      clock,
      log: silentLogger,
      send: (bytes, to, from) => sent.push({ message: decodeLisp(bytes), bytes, to, from }),
      sourceRate: { perSecond: 2, burst: 3 },
    });
    const asks = (from: Endpoint) => limited.receive(encodeLisp(request(ip('10.1.0.1'), 32)), from);
    for (let i = 0; i < 10; i++) asks(itr);
    expect([sent.length, limited.counters.sourceLimited]).toEqual([3, 7]);
    asks(xtr);
    expect(sent).toHaveLength(4);
    clock.pass(1_000);
    for (let i = 0; i < 10; i++) asks(itr);
    expect(sent).toHaveLength(6);
    limited.close();
  });

  it('of one site is refused, and other sites are served; a wrong signature takes nothing of its share', () => {
    system.setSite(site('all', [[ip('10.0.0.0'), 8]], { registerRate: { perSecond: 1, burst: 2 } }));
    system.setSite(site('other', [[ip('172.16.0.0'), 12]]));
    for (let i = 0; i < 5; i++) system.receive(register([record(ip('10.1.0.0'), 16)], {}, 'wrong'), xtr);
    for (let i = 0; i < 5; i++) system.receive(register([record(ip(`10.${i}.0.0`), 16)]), xtr);
    system.receive(register([record(ip('172.16.1.0'), 24)]), xtr);
    expect([system.mappings.size, system.counters.siteLimited]).toEqual([3, 3]);
  });

  it('is a registration heard before, where the site says so: nonces must grow for each xTR-ID', () => {
    system.setSite(site('all', [[ip('10.0.0.0'), 8]], { replayDefence: true }));
    const identity = { xtrId: '0'.repeat(31).concat('1'), siteId: '0'.repeat(16) };
    const at = (eid: string, nonce: string, more: Partial<MapRegister> = {}) =>
      register([record(ip(eid), 16)], { identity, nonce, ...more });
    system.receive(at('10.1.0.0', '00000000000000f0'), xtr);
    // From elsewhere, as whoever recorded it would send it.
    system.receive(at('10.1.0.0', '00000000000000f0'), itr);
    system.receive(at('10.2.0.0', '00000000000000ef'), xtr);
    expect([system.mappings.size, system.counters.replayed]).toEqual([1, 2]);
    system.receive(at('10.2.0.0', '00000000000000f1'), xtr);
    system.receive(at('10.3.0.0', '0000000000000001', { identity: { ...identity, xtrId: '2'.repeat(32) } }), xtr);
    expect([system.mappings.size, system.counters.replayed]).toEqual([3, 2]);
  });
});

describe('questions', () => {
  beforeEach(() => {
    system.receive(register([record(ip('10.1.0.0'), 16)]), xtr);
    system.receive(
      register(
        [record(ip('10.2.0.0'), 16, { locators: [locator('192.0.2.9', { priority: 255 }), locator('192.0.2.5')] })],
        { proxyReply: false },
      ),
      xtr,
    );
    sent.length = 0;
  });

  it('are answered to the locator of the asker in its family, from the address that was asked, with its nonce', () => {
    const asked = request(ip('10.1.0.1'), 32, { itrRlocs: [ip('2001:db8::7'), ip('10.9.0.8')] });
    system.receive(encodeLisp(asked), itr, '203.0.113.1');
    expect(sent[0]).toMatchObject({
      to: { address: '10.9.0.8', port: 40_000 },
      from: '203.0.113.1',
      message: { nonce: asked.nonce },
    });
  });

  it.each(['10.9.0.7', '2001:db8::7'])(
    'in an encapsulated message from %s are answered as if they came without it',
    (address) => {
      const asked = request(ip('10.1.0.1'), 32, { itrRlocs: [ip(address)] });
      const bytes = encapsulate(
        encodeLisp(asked),
        { address, port: 41_000 },
        address.includes(':') ? '2001:db8::1' : '10.1.0.1',
      );
      system.receive(bytes, { address: '10.9.0.99', port: 4342 });
      expect(sent[0]).toMatchObject({
        to: { address, port: 41_000 },
        message: { type: 'mapReply', nonce: asked.nonce },
      });
    },
  );

  it('for a prefix whose router answers itself are handed on to it, as the asker sent them', () => {
    const asked = request(ip('10.2.0.1'), 32);
    system.receive(encodeLisp(asked), itr);
    expect(sent[0]!.to).toEqual({ address: '192.0.2.5', port: 4342 });
    expect(sent[0]!.message).toMatchObject({
      type: 'encapsulated',
      source: itr.address,
      sourcePort: itr.port,
      destination: '10.2.0.1',
      destinationPort: 4342,
      message: asked,
    });
    expect(system.counters.forwarded).toBe(1);
  });

  it('for a larger prefix than is registered are not answered with a part of it', () => {
    expect(answer(ip('10.1.0.0'), 16)).toBe('[0]10.1.0.0/16 found');
    expect(ask(ip('10.0.0.0'), 8).locators).toEqual([]);
  });

  it('without anybody to answer to are counted', () => {
    system.receive(encodeLisp(request({ afi: 'name', name: 'x' }, 0)), itr);
    system.receive(encodeLisp(request(ip('10.1.0.1'), 32, { itrRlocs: [none] })), itr);
    system.receive(encodeLisp(request(ip('10.1.0.1'), 32, { records: [] })), itr);
    expect(sent).toEqual([]);
    expect(system.counters.malformed).toBe(3);
  });
});

describe('subscriptions (RFC 9437)', () => {
  const identity = { xtrId: '0'.repeat(31).concat('7'), siteId: '0'.repeat(16) };
  const subscriber: Endpoint = { address: itr.address, port: 4342 };
  const notified = () => sent.map(({ message }) => message as MapNotify).filter(({ type }) => type === 'mapNotify');
  const told = () => notified().map(({ records }) => records.map((each) => textOf(each)));
  const textOf = ({ eid, maskLength, locators, ttl }: MappingRecord): string =>
    `${eidText(eidPrefix(eid, maskLength)!)} ${locators.map(({ rloc }) => 'address' in rloc && rloc.address)} ${ttl}`;
  function subscribe(eid: Address, length: number, more: Partial<MapRequest> = {}): void {
    const records = [{ reserved: 0x80, maskLength: length, eid }];
    system.receive(encodeLisp(request(eid, length, { identity, records, ...more })), itr, '203.0.113.1');
  }
  function acknowledge(key = KEY): void {
    for (const { message, to } of sent.splice(0)) {
      if (message.type === 'mapNotify') system.receive(signLisp({ ...message, type: 'mapNotifyAck' }, 1, key), to);
    }
  }
  const moved = (eid: Address, length: number, rloc: string, more: Partial<MappingRecord> = {}) =>
    system.receive(register([record(eid, length, { locators: [locator(rloc)], ...more })], { wantNotify: false }), xtr);

  beforeEach(() => {
    // By registering an xTR proves that it shares a key with us.
    system.receive(register([record(ip('10.200.0.0'), 16)], { identity, wantNotify: false }), itr);
    moved(ip('10.1.0.0'), 16, '192.0.2.1');
  });

  it('are confirmed by a signed Map-Notify with the nonce of the question, and the mapping', () => {
    subscribe(ip('10.1.0.0'), 16, { nonce: '0000000000000100' });
    expect(told()).toEqual([['[0]10.1.0.0/16 192.0.2.1 1440']]);
    expect(sent[0]).toMatchObject({ to: subscriber, from: '203.0.113.1' });
    expect(sent[0]!.message).toMatchObject({ nonce: '0000000000000100', identity });
    expect(verifyLisp(sent[0]!.bytes, KEY)).toBe(true);
  });

  it('publish each change with the next nonce: moves, more specific prefixes, withdrawals, expiry', () => {
    subscribe(ip('10.1.0.0'), 16, { nonce: '0000000000000100' });
    acknowledge();
    moved(ip('10.1.0.0'), 16, '192.0.2.2');
    moved(ip('10.1.5.0'), 24, '192.0.2.3');
    moved(ip('10.1.5.0'), 24, '192.0.2.3', { ttl: 0 });
    // Told again what is known already, or about others: nothing to say.
    moved(ip('10.1.0.0'), 16, '192.0.2.2');
    moved(ip('10.2.0.0'), 16, '192.0.2.2');
    moved(within(7, ip('10.1.0.0')), 16, '192.0.2.9');
    expect(told()).toEqual([
      ['[0]10.1.0.0/16 192.0.2.2 1440'],
      ['[0]10.1.5.0/24 192.0.2.3 1440'],
      ['[0]10.1.5.0/24  0'],
    ]);
    expect(notified().map(({ nonce }) => Number.parseInt(nonce, 16))).toEqual([0x101, 0x102, 0x103]);
    acknowledge();
    clock.pass(182_000);
    expect(told()[0]).toEqual(['[0]10.1.0.0/16  0']);
  });

  it('of a part of what is registered hear of its change, unless something closer answers', () => {
    subscribe(ip('10.1.9.9'), 32);
    acknowledge();
    moved(ip('10.1.0.0'), 16, '192.0.2.2');
    moved(ip('10.1.9.0'), 24, '192.0.2.3');
    moved(ip('10.1.0.0'), 16, '192.0.2.4');
    moved(ip('10.1.9.0'), 24, '192.0.2.3', { ttl: 0 });
    expect(told()).toEqual([
      ['[0]10.1.0.0/16 192.0.2.2 1440'],
      ['[0]10.1.9.0/24 192.0.2.3 1440'],
      ['[0]10.1.9.0/24  0', '[0]10.1.0.0/16 192.0.2.4 1440'],
    ]);
  });

  it('are repeated less and less often until acknowledged, by the newest publication only', () => {
    subscribe(ip('10.1.0.0'), 16);
    acknowledge();
    moved(ip('10.1.0.0'), 16, '192.0.2.2');
    moved(ip('10.1.0.0'), 16, '192.0.2.3');
    sent.length = 0;
    clock.pass(1_100);
    expect(told()).toEqual([['[0]10.1.0.0/16 192.0.2.3 1440']]);
    clock.pass(1_500);
    expect(sent).toHaveLength(1);
    clock.pass(500);
    expect(sent).toHaveLength(2);
    acknowledge('wrong');
    clock.pass(4_000);
    expect(sent).toHaveLength(1);
    acknowledge();
    clock.pass(60_000);
    expect(sent).toEqual([]);
    expect(system.sizes.subscriptions).toBe(1);
  });

  it('end when nobody acknowledges, and after a day without renewal', () => {
    subscribe(ip('10.1.0.0'), 16);
    clock.pass(16_000);
    expect([system.sizes.subscriptions, system.counters.subscriptionsLost]).toEqual([0, 1]);
    subscribe(ip('10.1.0.0'), 16);
    acknowledge();
    clock.pass(24 * 3_600_000 - 2_000);
    acknowledge();
    expect(system.sizes.subscriptions).toBe(0);
  });

  it('are taken back by a question whose only locator is none, which is confirmed', () => {
    subscribe(ip('10.1.0.0'), 16);
    acknowledge();
    subscribe(ip('10.1.0.0'), 16, { itrRlocs: [none], nonce: 'f000000000000000' });
    expect(notified().map((each) => each.nonce)).toEqual(['f000000000000000']);
    acknowledge();
    moved(ip('10.1.0.0'), 16, '192.0.2.2');
    expect([sent, system.sizes.subscriptions, system.counters.unsubscribes]).toEqual([[], 0, 1]);
  });

  it.each<[string, () => void]>([
    [
      'of a router that shares no key',
      () => subscribe(ip('10.1.0.0'), 16, { identity: { ...identity, xtrId: 'a'.repeat(32) } }),
    ],
    ['of a virtual network that its site has no part of', () => subscribe(within(8, ip('10.1.0.0')), 16)],
  ])('%s are refused: the question is answered as any other', (_, ask) => {
    ask();
    expect(sent.map(({ message }) => message.type)).toEqual(['mapReply']);
    expect([system.sizes.subscriptions, system.counters.subscribesRefused]).toEqual([0, 1]);
  });

  it('with a nonce heard before change nothing', () => {
    subscribe(ip('10.1.0.0'), 16, { nonce: '0000000000000100' });
    acknowledge();
    subscribe(ip('10.1.0.0'), 16, { nonce: '0000000000000100', itrRlocs: [ip('198.51.100.1')] });
    subscribe(ip('10.1.0.0'), 16, { nonce: '0000000000000100', itrRlocs: [none] });
    expect(notified()).toEqual([]);
    expect(system.sizes.subscriptions).toBe(1);
  });

  it('end with the key that they rest on', () => {
    subscribe(ip('10.1.0.0'), 16);
    system.setSite(site('all', [[ip('10.0.0.0'), 8]], { keys: ['another'] }));
    expect(system.sizes.subscriptions).toBe(0);
  });
});

describe('solicitation', () => {
  it('asks whoever holds a mapping that changed to ask again, until it does', () => {
    const soliciting = new MappingSystem({
      clock,
      log: silentLogger,
      send: (bytes, to, from) => sent.push({ message: decodeLisp(bytes), bytes, to, from }),
      solicit: true,
    });
    soliciting.setSite(site('all', [[ip('10.0.0.0'), 8]]));
    const move = (rloc: string) =>
      soliciting.receive(
        register([record(ip('10.1.0.0'), 16, { locators: [locator(rloc)] })], { wantNotify: false }),
        xtr,
      );
    move('192.0.2.1');
    const asked = encodeLisp(request(ip('10.1.0.1'), 32, { source: ip('10.7.0.1') }));
    soliciting.receive(asked, itr, '203.0.113.1');
    sent.length = 0;
    move('192.0.2.2');
    expect(sent).toHaveLength(1);
    expect(sent[0]).toMatchObject({
      to: { address: itr.address, port: 4342 },
      from: '203.0.113.1',
      message: {
        smr: true,
        source: ip('10.7.0.1'),
        itrRlocs: [ip('203.0.113.1')],
        records: [{ maskLength: 16, eid: ip('10.1.0.0') }],
      },
    });
    clock.pass(1_100);
    expect(sent).toHaveLength(2);
    soliciting.receive(asked, itr, '203.0.113.1');
    clock.pass(60_000);
    expect(sent).toHaveLength(3);
    soliciting.close();
  });
});

describe('Info-Requests', () => {
  const info = (eid: Address, length: number, key = KEY): Buffer =>
    signLisp(
      {
        type: 'infoRequest',
        nonce: nonce(),
        reserved: 0,
        auth: { keyId: 1, data: Buffer.alloc(0) },
        ttl: 0,
        reserved2: 0,
        maskLength: length,
        eid,
        nat: none,
      },
      1,
      key,
    );

  it('are answered, signed, with how the router looks from here and who can help', () => {
    const behind = new MappingSystem({
      clock,
      log: silentLogger,
      send: (bytes, to, from) => sent.push({ message: decodeLisp(bytes), bytes, to, from }),
      portOf: () => 14_342,
      rtrs: [ip('198.51.100.99')],
    });
    behind.setSite(site('all', [[ip('10.0.0.0'), 8]]));
    const nat: Endpoint = { address: '203.0.113.9', port: 61_234 };
    behind.receive(info(ip('10.1.0.0'), 16), nat, '192.0.2.1');
    expect(sent).toHaveLength(1);
    const [{ message, bytes, to, from }] = sent as [Sent];
    expect([to, from, verifyLisp(bytes, KEY)]).toEqual([nat, '192.0.2.1', true]);
    expect(message).toMatchObject({
      type: 'infoReply',
      ttl: 10,
      maskLength: 16,
      eid: ip('10.1.0.0'),
      nat: {
        type: 'nat',
        msPort: 14_342,
        etrPort: 61_234,
        globalEtr: ip('203.0.113.9'),
        mapServer: ip('192.0.2.1'),
        privateEtr: none,
        rtrs: [ip('198.51.100.99')],
      },
    });
    behind.close();
  });

  it.each([
    ['with a wrong key', () => info(ip('10.1.0.0'), 16, 'other')],
    ['of no site', () => info(ip('172.16.0.0'), 16)],
    ['of a name', () => info({ afi: 'name', name: 'router' }, 0)],
  ])('%s get silence and a count', (_, bytes) => {
    system.receive(bytes(), xtr, '192.0.2.1');
    expect([sent, system.counters.badInfos]).toEqual([[], 1]);
  });
});

describe('what is pinned', () => {
  const pin = (rloc: string, length = 16): void =>
    system.pin(
      eidPrefix(ip('10.1.0.0'), length)!,
      '/v1/x',
      record(ip('10.1.0.0'), length, { locators: [locator(rloc)] }),
    );
  const rlocs = (): string[] =>
    system.mappings
      .lookup(eidPrefix(ip('10.1.2.3'), 32)!)!
      .registrations.flatMap(({ body: record }) =>
        record.locators.map(({ rloc }) => ('address' in rloc ? String(rloc.address) : '')),
      );

  it('counts instead of registrations of the same prefix, never runs out, is not in the snapshot, and gives way when taken back', () => {
    pin('198.51.100.1');
    system.receive(register([record(ip('10.1.0.0'), 16)]), xtr);
    expect(rlocs()).toEqual(['198.51.100.1']);
    expect([...system.snapshot()]).toHaveLength(1);
    clock.pass(1_000_000);
    expect(rlocs()).toEqual(['198.51.100.1']);
    system.receive(register([record(ip('10.1.0.0'), 16)]), xtr);
    expect(system.unpin(eidPrefix(ip('10.1.0.0'), 16)!, '/v1/x')).toBe(true);
    expect(rlocs()).toEqual(['192.0.2.1']);
    expect(system.unpin(eidPrefix(ip('10.1.0.0'), 16)!, '/v1/x')).toBe(false);
  });
});

describe('stored registrations', () => {
  it('come back with owners, locators and the time that is left; so do nonces', () => {
    system.setSite(
      site(
        'all',
        [
          [ip('10.0.0.0'), 8],
          [within(7, ip('10.0.0.0')), 8],
        ],
        { replayDefence: true },
      ),
    );
    const other: Endpoint = { address: '10.9.0.4', port: 4342 };
    const from = (rloc: string) => [record(ip('10.1.0.0'), 16, { locators: [locator(rloc)] })];
    const old = register(from('192.0.2.1'), { merge: true });
    system.receive(old, xtr);
    system.receive(register(from('192.0.2.2'), { merge: true }), other);
    system.receive(register([record(within(7, ip('10.1.0.0')), 16)]), xtr);
    const [stored, nonces] = JSON.parse(JSON.stringify([[...system.snapshot()], system.nonces()]));
    clock.pass(100_000);
    const again = new MappingSystem({ clock, log: silentLogger, send: () => {} });
    again.setSite(site('all', [[ip('10.0.0.0'), 8]], { replayDefence: true }));
    // The site has lost its block in virtual network 7 meanwhile.
    expect(again.restore(stored)).toBe(2);
    again.restoreNonces(nonces);
    const found = again.mappings.lookup(eidPrefix(ip('10.1.2.3'), 32)!)!;
    expect(found).toEqual(system.mappings.lookup(eidPrefix(ip('10.1.2.3'), 32)!));
    again.receive(old, xtr);
    expect(again.counters.replayed).toBe(1);
    clock.pass(81_000);
    expect([again.mappings.size, again.restore(stored)]).toEqual([0, 0]);
    again.close();
  });
});
