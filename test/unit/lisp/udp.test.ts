import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger, systemClock } from '../../../src/controller/kernel/index.ts';
import {
  decodeLisp,
  eidPrefix,
  encodeLisp,
  type LispMessage,
  LispServer,
  MappingSystem,
  type MapRegister,
  type MapRequest,
  signLisp,
  verifyLisp,
} from '../../../src/overlay-gw/lisp/index.ts';

const KEY = 'password';
const identity = { xtrId: '7'.repeat(32), siteId: '0'.repeat(16) };
const eid = { afi: 'ipv4', address: '10.1.0.0' } as const;

let server: LispServer;
let system: MappingSystem;
let xtr: Socket;
let heard: LispMessage[];

beforeEach(async () => {
  heard = [];
  xtr = createSocket('udp4');
  xtr.on('message', (bytes) => heard.push(decodeLisp(bytes)));
  xtr.bind(0, '127.0.0.1');
  await once(xtr, 'listening');
  server = new LispServer({
    log: silentLogger,
    listen: [{ address: '127.0.0.1', port: 0 }],
    receive: (bytes, from, to) => system.receive(bytes, from, to),
  });
  system = new MappingSystem({
    clock: systemClock,
    log: silentLogger,
    send: server.send,
    controlPort: xtr.address().port,
  });
  const prefix = eidPrefix({ afi: 'ipv4', address: '10.0.0.0' }, 8)!;
  system.setSite({ id: 'a', prefixes: [prefix], acceptMoreSpecifics: true, keys: [KEY] });
  await server.start();
});
afterEach(async () => {
  system.close();
  await server.stop();
  xtr.close();
});

const tell = (bytes: Buffer): void => {
  const [at] = server.endpoints;
  xtr.send(bytes, at!.port, at!.address);
};
const next = async (type: LispMessage['type'], nonce: string): Promise<LispMessage> => {
  const wanted = (each: LispMessage) => each.type === type && 'nonce' in each && each.nonce === nonce;
  await expect.poll(() => heard.some(wanted), { timeout: 10_000 }).toBe(true);
  return heard.find(wanted)!;
};
const register = (nonce: string, rloc: string, more: Partial<MapRegister> = {}): Buffer => {
  const locator = {
    priority: 1,
    weight: 100,
    multicastPriority: 255,
    multicastWeight: 0,
    reserved: 0,
    local: true,
    probed: false,
    reachable: true,
    rloc: { afi: 'ipv4', address: rloc },
  } as const;
  const record = {
    ttl: 1440,
    maskLength: 16,
    action: 0,
    authoritative: true,
    reserved: 0,
    reserved2: 0,
    version: 0,
    eid,
    locators: [locator],
  };
  const flags = { security: false, rtr: false, useTtl: false, merge: false, reserved: 0 };
  const auth = { keyId: 2, data: Buffer.alloc(0) };
  const message: MapRegister = {
    type: 'mapRegister',
    proxyReply: true,
    wantNotify: true,
    ...flags,
    nonce,
    auth,
    records: [record],
    identity,
    ...more,
  };
  return signLisp(message, 2, KEY);
};
const request = (nonce: string, subscribe: boolean): Buffer => {
  const flags = {
    authoritative: false,
    mapDataPresent: false,
    probe: false,
    smr: false,
    pitr: false,
    smrInvoked: false,
  };
  const message: MapRequest = {
    type: 'mapRequest',
    ...flags,
    nonce,
    reserved: 0,
    source: { afi: 'none' },
    itrRlocs: [{ afi: 'ipv4', address: '127.0.0.1' }],
    records: [{ reserved: subscribe ? 0x80 : 0, maskLength: 16, eid }],
    ...(subscribe ? { identity } : {}),
  };
  return encodeLisp(message);
};

describe('over UDP', () => {
  it('a router registers, resolves, subscribes, and hears of a move', async () => {
    tell(register('0000000000000001', '192.0.2.1'));
    expect(await next('mapNotify', '0000000000000001')).toMatchObject({ identity });
    tell(request('0000000000000002', false));
    expect(await next('mapReply', '0000000000000002')).toMatchObject({
      records: [{ locators: [{ rloc: { address: '192.0.2.1' } }] }],
    });
    tell(request('0000000000000003', true));
    await next('mapNotify', '0000000000000003');
    tell(register('0000000000000009', '192.0.2.2', { wantNotify: false }));
    const news = await next('mapNotify', '0000000000000004');
    expect(news).toMatchObject({
      records: [{ locators: [{ rloc: { address: '192.0.2.2' } }] }],
    });
    expect(verifyLisp(encodeLisp(news), KEY)).toBe(true);
    expect(server.counters).toMatchObject({ faults: 0, sendErrors: 0 });
  });

  it('messages that are cut, flipped or noise never cause a fault, and it answers after them', async () => {
    const good = [register('0000000000000001', '192.0.2.1'), request('0000000000000002', true)];
    const damaged = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      fc.tuple(fc.constantFrom(...good), fc.nat(), fc.nat(255)).map(([bytes, at, to]) => {
        const copy = Buffer.from(bytes);
        copy[at % copy.length] = to;
        return copy;
      }),
      fc.tuple(fc.constantFrom(...good), fc.nat()).map(([bytes, at]) => bytes.subarray(0, at % bytes.length)),
    );
    const addresses = fc.constantFrom('127.0.0.1', '::1', 'fe80::1%lo', '');
    fc.assert(
      fc.property(damaged, addresses, fc.option(addresses), (bytes, address, to) =>
        system.receive(bytes, { address, port: 4342 }, to ?? undefined),
      ),
      { seed: 0x6e6c, numRuns: 3_000 },
    );
    for (const bytes of fc.sample(damaged, { seed: 1, numRuns: 200 })) tell(bytes);
    await expect.poll(() => server.counters.received).toBeGreaterThan(100);
    tell(register('00000000000000ff', '192.0.2.1'));
    await next('mapNotify', '00000000000000ff');
    expect(server.counters.faults).toBe(0);
  });
});
