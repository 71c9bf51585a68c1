import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Logger, silentLogger, systemClock } from '../../src/controller/kernel/index.ts';
import { type ObjectService, openObjectService } from '../../src/controller/model/index.ts';
import { openMemoryStore } from '../../src/controller/store/index.ts';
import { type Fixture, fixture } from '../unit/northbound/kit.ts';

const seed = Number(process.env['NETLOOM_FUZZ_SEED'] ?? 20_261_125);
const rounds = Number(process.env['NETLOOM_FUZZ_ROUNDS'] ?? 3_000);

/** Mulberry32: the same seed, the same requests. */
function random(state: number): () => number {
  let a = state >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

let at: Fixture;
let objects: ObjectService;
let address: AddressInfo;
const failures: object[] = [];
const log: Logger = { ...silentLogger, error: (fields) => failures.push(fields), child: () => log };

beforeAll(async () => {
  const store = await openMemoryStore({ log: silentLogger, clock: systemClock });
  objects = await openObjectService({ store, log: silentLogger, clock: systemClock });
  at = await fixture({ objects, log });
  address = await at.server.listen('127.0.0.1', 0);
});
/** Something to hit; requests that cascade take it away now and then. */
const provide = async (): Promise<void> => {
  await objects.put('tenant', { tenant: 'acme' }, {});
  await objects.put('network', { tenant: 'acme', id: 'blue' }, {});
};
afterAll(async () => {
  await at.server.close();
  await objects.close();
});

const ids = [
  'acme',
  'blue',
  'a',
  '-',
  '..',
  '.',
  '%2e%2e',
  '%00',
  '%ff',
  '%F0%9F%98%80',
  '☃',
  'A',
  'a'.repeat(64),
  '__proto__',
  'constructor',
  'a%2fb',
  "'; drop table",
  '0020000000000001',
  '*',
  '',
];
const values: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  -0,
  1.5,
  65_536,
  2 ** 31,
  2 ** 53,
  1e308,
  '',
  'learned',
  'blue',
  '02:00:00:00:00:01',
  '01:00:5e:00:00:01',
  '10.0.0.1',
  '10.0.0.0/24',
  '::1',
  'fe80::1%eth0',
  '999.1.1.1',
  '\u0000',
  '😀',
  '\ud800',
  'x'.repeat(5_000),
  [],
  {},
  [[]],
  [null],
  { a: 1 },
  { switch: '0020000000000001', port: 1 },
  { hypervisor: 'h', interfaceId: 'i' },
  ['10.0.0.1', '10.0.0.1'],
  { networks: -1 },
  { ports: '5' },
  '__proto__',
];
const fields = [
  'network',
  'mac',
  'addresses',
  'portSecurity',
  'binding',
  'transport',
  'segmentId',
  'subnets',
  'mtu',
  'unknownUnicast',
  'flowId',
  'description',
  'quota',
  'id',
  'revision',
  'status',
  '__proto__',
  'constructor',
  'toString',
  '',
  'a/b~c',
  'operations',
  'atomic',
];
const methods = ['GET', 'PUT', 'PUT', 'PUT', 'PATCH', 'DELETE', 'POST', 'HEAD', 'OPTIONS'] as const;
const types = [
  'application/json',
  'application/json',
  'application/json',
  'application/merge-patch+json',
  'application/json; charset=utf-16',
  'text/plain',
  'application/x-www-form-urlencoded',
  ';;',
];
const queries = [
  '',
  '',
  '',
  '?dryRun=true',
  '?wait=ready&timeout=1ms',
  '?limit=5',
  '?cursor=%%%',
  '?limit=-1',
  '?cascade=true',
  '?a[]=1&a[]=2',
  '?__proto__=1',
  '?dryRun=true&dryRun=true',
  '?%ff=%ff',
  '?cursor=AAAA',
  '?timeout=9999999m',
];
const headers: readonly (readonly [string, string])[] = [
  ['if-match', '*'],
  ['if-match', '"1"'],
  ['if-match', '"'],
  ['if-match', '99999999999999999999'],
  ['if-none-match', '*'],
  ['if-none-match', '"1", "2"'],
  ['x-request-id', '../../x'],
  ['last-event-id', '1e9'],
  ['expect', 'nonsense'],
  ['accept', 'image/png'],
  ['host', 'localhost:1'],
  ['host', 'evil.example'],
  ['host', ''],
  ['host', '[::'],
];

function generator(next: () => number) {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!;
  const chance = (p: number): boolean => next() < p;
  const value = (depth = 0): unknown => {
    if (depth > 3 || chance(0.7)) return pick(values);
    return chance(0.5) ? Array.from({ length: Math.floor(next() * 4) }, () => value(depth + 1)) : object(depth + 1);
  };
  const object = (depth = 0): Record<string, unknown> => {
    const made: [string, unknown][] = [];
    for (let n = Math.floor(next() * 5); n >= 0; n--) made.push([pick(fields), value(depth)]);
    // fromEntries defines, so that `__proto__` becomes a real key as in hostile JSON.
    return Object.fromEntries(made);
  };
  const path = (): string => {
    const t = pick(ids);
    return pick([
      () => `/v1/tenants/${t}`,
      () => `/v1/tenants/${t}/networks/${pick(ids)}`,
      () => `/v1/tenants/acme/ports/${chance(0.5) ? pick(['p1', 'p2', 'p3']) : pick(ids)}`,
      () => `/v1/tenants/acme/networks/${pick(ids)}`,
      () => `/v1/${pick(['tenants', 'switches', 'links', 'hosts', 'topology', 'bulk', 'nothing'])}`,
      () => `/v1/switches/${pick(ids)}/${pick(['flows', 'groups', 'meters', 'ports', 'diff', 'x'])}`,
      () =>
        pick([
          '/',
          '//',
          '/healthz',
          '/readyz',
          '/openapi.json',
          '/docs/../../etc/passwd',
          '/docs/static/%2e%2e/%2e%2e/package.json',
          '/v1/tenants//x',
          `/${'a/'.repeat(500)}`,
        ]),
    ])();
  };
  const good = (): object => ({
    network: 'blue',
    mac: `02:00:00:00:00:${Math.floor(next() * 200 + 16).toString(16)}`,
    ...(chance(0.5) ? { portSecurity: chance(0.5) } : {}),
  });
  const body = (): string => {
    const operations = (): unknown => ({
      atomic: pick([true, false, 1, null]),
      operations: Array.from({ length: 3 }, () => ({
        method: pick([...methods, 7]),
        path: pick([path(), 7, null]),
        body: value(),
      })),
    });
    let text =
      JSON.stringify(chance(0.3) ? good() : chance(0.2) ? operations() : chance(0.8) ? object() : value()) ??
      'undefined';
    for (let n = chance(0.25) ? 1 + Math.floor(next() * 3) : 0; n > 0; n--) {
      const cut = Math.floor(next() * text.length);
      text =
        text.slice(0, cut) +
        pick(['', '"', '{', ']', ',', '\\', '\u0000', '9007199254740993', 'e999', '\\ud800', '[[[[', ':']) +
        text.slice(cut + pick([0, 0, 1]));
    }
    return text;
  };
  return { pick, chance, path, body };
}

describe('hostile requests', () => {
  it(`never get a reply of 500 or more, and every refusal is a problem document (seed ${seed})`, async () => {
    const { pick, chance, path, body } = generator(random(seed));
    const seen = new Map<number, number>();
    for (let n = 0; n < rounds; n++) {
      if (n % 20 === 0) await provide();
      const method = pick(methods);
      const url = path() + pick(queries);
      const given = Object.fromEntries(Array.from({ length: chance(0.3) ? 2 : 0 }, () => pick(headers)));
      const payload = method === 'GET' || method === 'HEAD' || chance(0.1) ? undefined : body();
      const reply = await at.server.app.inject({
        method,
        url,
        headers: { ...(payload === undefined ? {} : { 'content-type': pick(types) }), ...given },
        ...(payload === undefined ? {} : { payload }),
      });
      const said = { n, method, url, given, payload, status: reply.statusCode, body: reply.body.slice(0, 300) };
      seen.set(reply.statusCode, (seen.get(reply.statusCode) ?? 0) + 1);
      if (reply.statusCode >= 500) expect.fail(JSON.stringify(said));
      if (reply.statusCode < 400 || method === 'HEAD') continue;
      if (!String(reply.headers['content-type']).startsWith('application/problem+json'))
        expect.fail(JSON.stringify(said));
      expect(reply.json(), JSON.stringify(said)).toMatchObject({
        status: reply.statusCode,
        code: expect.stringMatching(/^NL_/),
      });
    }
    expect(failures).toEqual([]);
    // The generator is worth something only while it reaches both sides.
    for (const status of [200, 201, 400, 404, 405, 415])
      expect(seen.get(status) ?? 0, `replies of ${status}`).toBeGreaterThan(0);
    expect(({} as Record<string, unknown>)['a']).toBeUndefined();
  });

  it('that are not even HTTP get a problem document or a closed connection, and cost nobody else anything', async () => {
    const next = random(seed + 1);
    const head = 'PUT /v1/tenants/acme HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
    const fixed = [
      'GARBAGE\r\n\r\n',
      '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
      '\x04\x00\x00\x08\x00\x00\x00\x01',
      'GET / HTTP/9.9\r\n\r\n',
      'GET /v1/tenants HTTP/1.1\r\n\r\n',
      `GET /v1/tenants HTTP/1.1\r\nHost: localhost\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`,
      `GET /${'a'.repeat(40_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
      `${head}Content-Length: -1\r\n\r\n{}`,
      `${head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`,
      `${head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}`,
      `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`,
      `${head}Content-Length: 99999999999\r\n\r\n{}`,
      `${head}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}`,
      'GET /v1/tenants/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n',
      'GET http://evil.example/v1/tenants HTTP/1.1\r\nHost: localhost\r\n\r\n',
      'OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n',
      'CONNECT x:1 HTTP/1.1\r\nHost: localhost\r\n\r\n',
      'TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n',
    ];
    const whole = Buffer.from(`${head}Connection: close\r\nContent-Length: 2\r\n\r\n{}`, 'latin1');
    const flipped = Array.from({ length: 200 }, () => {
      const copy = Buffer.from(whole);
      for (let n = 0; n < 3; n++) copy[Math.floor(next() * copy.length)] = Math.floor(next() * 256);
      return copy;
    });
    for (const bytes of [...fixed.map((text) => Buffer.from(text, 'latin1')), ...flipped]) {
      const socket = connect(address.port, '127.0.0.1');
      const chunks: Buffer[] = [];
      socket.on('data', (chunk) => chunks.push(chunk));
      socket.on('error', () => {});
      socket.end(bytes);
      await once(socket, 'close');
      for (const [, status] of Buffer.concat(chunks)
        .toString('latin1')
        .matchAll(/^HTTP\/1\.1 (\d+)/gm)) {
        expect(Number(status), bytes.toString('latin1').slice(0, 200)).toBeLessThan(500);
      }
    }
    expect(failures).toEqual([]);
    expect((await fetch(`http://127.0.0.1:${address.port}/healthz`)).status).toBe(200);
    expect(await at.telemetry.render()).toContain('netloom_http_requests_in_flight 0\n');
  });
});
