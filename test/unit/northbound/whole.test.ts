import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger, systemClock } from '../../../src/controller/kernel/index.ts';
import { type ObjectService, openObjectService } from '../../../src/controller/model/index.ts';
import { EventLog, openApiText, publishChanges } from '../../../src/controller/northbound/index.ts';
import { openMemoryStore } from '../../../src/controller/store/index.ts';
import { dpid, type Fixture, fixture } from './kit.ts';

/** HTTP over the real object service and an in-memory store. */
let at: Fixture;
let objects: ObjectService;
beforeEach(async () => {
  const store = await openMemoryStore({ log: silentLogger, clock: systemClock });
  objects = await openObjectService({ store, log: silentLogger, clock: systemClock });
  const events = new EventLog({ clock: systemClock, revision: objects.revision, capacity: 16_384 });
  publishChanges(objects, events);
  at = await fixture({ objects, events });
});
afterEach(async () => {
  await at.server.close();
  await objects.close();
});

const call = (
  method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE',
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
) =>
  at.server.app.inject({
    method,
    url,
    headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
  });

const mac = (n: number): string =>
  (0x020000000000 + n)
    .toString(16)
    .padStart(12, '0')
    .replace(/..(?!$)/g, '$&:');
const port = (n: number, more: object = {}) => ({ network: 'blue', mac: mac(n), ...more });

const acme = async (): Promise<void> => {
  expect((await call('PUT', '/v1/tenants/acme', {})).statusCode).toBe(201);
  expect((await call('PUT', '/v1/tenants/acme/networks/blue', { subnets: ['10.0.0.0/16'] })).statusCode).toBe(201);
};

describe('concurrency', () => {
  it('16 writers on one object lose no update silently', async () => {
    await call('PUT', '/v1/tenants/acme', { description: '0' });
    const rounds = 12;
    let conflicts = 0;
    const writer = async (): Promise<void> => {
      for (let done = 0; done < rounds; ) {
        const read = await call('GET', '/v1/tenants/acme');
        const body = { description: String(Number(read.json().description) + 1) };
        const written = await call('PUT', '/v1/tenants/acme', body, { 'if-match': String(read.headers['etag']) });
        if (written.statusCode === 200) done++;
        else {
          expect(written.json()).toMatchObject({ status: 412, code: 'NL_PRECONDITION' });
          conflicts++;
        }
      }
    };
    await Promise.all(Array.from({ length: 16 }, writer));
    expect((await call('GET', '/v1/tenants/acme')).json().description).toBe(String(16 * rounds));
    expect(conflicts).toBeGreaterThan(0);
  });

  it('of 16 that create only, one does', async () => {
    const replies = await Promise.all(
      Array.from({ length: 16 }, (_, n) =>
        call('PUT', '/v1/tenants/acme', { description: `${n}` }, { 'if-none-match': '*' }),
      ),
    );
    expect(replies.map(({ statusCode }) => statusCode).sort()).toEqual([201, ...Array.from({ length: 15 }, () => 412)]);
  });
});

describe('accepted means stored, or it is an error', () => {
  it('of 5,000 operations of which number 4,000 is bad, none is stored, and that one is named', async () => {
    await acme();
    const { revision } = objects;
    const operations = Array.from({ length: 5_000 }, (_, n) => ({
      method: 'PUT',
      path: `/v1/tenants/acme/ports/p${n}`,
      body: port(n, n === 4_000 ? { addresses: ['10.0.0.256'] } : {}),
    }));
    const reply = await call('POST', '/v1/bulk', { atomic: true, operations });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().errors).toEqual([
      { pointer: expect.stringMatching(/^\/operations\/4000\/body\/addresses\/0$/), message: expect.any(String) },
    ]);
    expect(objects.revision).toBe(revision);
    expect((await call('GET', '/v1/tenants/acme/ports')).json().items).toEqual([]);

    const each = (await call('POST', '/v1/bulk', { atomic: false, operations })).json();
    expect(each.failed).toBe(1);
    expect(each.results.filter(({ status }: { status: number }) => status !== 201)).toEqual([
      expect.objectContaining({ path: '/v1/tenants/acme/ports/p4000', status: 400 }),
    ]);
    expect([...objects.desired.portsOf('acme')]).toHaveLength(4_999);
  });

  it.each([
    [{}, '/network'],
    [{ ...port(1), vlan: 3 }, '/vlan'],
    [{ ...port(1), portSecurty: true }, '/portSecurty'],
    [{ ...port(1), mac: 17 }, '/mac'],
    [{ ...port(1), mac: '0x11' }, '/mac'],
    [{ ...port(1), addresses: '10.0.0.1' }, '/addresses'],
    [{ ...port(1), addresses: [17] }, '/addresses/0'],
    [{ ...port(1), binding: { port: 1 } }, '/binding/switch'],
    [{ ...port(1), binding: { switch: '1', port: 1 } }, '/binding/switch'],
    [{ ...port(1), binding: { switch: dpid, port: 0xfffffffe } }, '/binding'],
    [{ ...port(1), network: '__proto__' }, '/network'],
    [[], ''],
    ['"text"', ''],
    ['null', ''],
  ])('refuses the port %j and stores nothing', async (body, pointer) => {
    await acme();
    const { revision } = objects;
    const reply = await call('PUT', '/v1/tenants/acme/ports/p', body);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().errors[0].pointer).toContain(pointer);
    expect(objects.revision).toBe(revision);
  });

  it('names the users of what cannot be deleted, by path', async () => {
    await acme();
    await call('PUT', '/v1/tenants/acme/ports/web-1', port(1));
    const reply = await call('DELETE', '/v1/tenants/acme/networks/blue');
    expect(reply.json()).toMatchObject({ status: 409, code: 'NL_IN_USE', users: ['/v1/tenants/acme/ports/web-1'] });
    expect((await call('DELETE', '/v1/tenants/acme?cascade=true')).statusCode).toBe(204);
    expect((await call('GET', '/v1/tenants')).json()).toMatchObject({ items: [] });
  });
});

describe('events', () => {
  it('of a commit carry its revision, so that any reply is a place to resume from', async () => {
    await acme();
    const { revision } = (await call('GET', '/v1/tenants')).json();
    await call('POST', '/v1/bulk', {
      operations: [1, 2, 3].map((n) => ({ method: 'PUT', path: `/v1/tenants/acme/ports/p${n}`, body: port(n) })),
    });
    await call('PATCH', '/v1/tenants/acme/ports/p1', { portSecurity: false });
    await call('DELETE', '/v1/tenants/acme/ports/p2');
    const log = at.events;
    const start = log.resume({ revision, count: 0 });
    if (typeof start !== 'number') expect.fail(start);
    const seen: string[] = [];
    for (let n = start; n < log.head; n++) {
      const event = log.at(n);
      if (event && event.id.revision > revision)
        seen.push(`${event.type} ${/"object":"([^"]+)"/.exec(event.frame())?.[1]}`);
    }
    const path = (n: number) => `/v1/tenants/acme/ports/p${n}`;
    expect(seen).toEqual([
      `port.created ${path(1)}`,
      `port.created ${path(2)}`,
      `port.created ${path(3)}`,
      `port.updated ${path(1)}`,
      `port.deleted ${path(2)}`,
    ]);
  });
});

describe('documents', () => {
  it('describe replies as they are', async () => {
    const document = (await call('GET', '/openapi.json')).json();
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema({ $id: 'doc', components: document.components });
    const check = (schema: object, value: unknown): void => {
      const resolved = JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"doc#/components')) as object;
      const valid = ajv.validate(resolved, value);
      expect({ valid, errors: ajv.errors, value }).toMatchObject({ valid: true });
    };
    const template = (url: string): string =>
      url
        .split('?')[0]!
        .replace(/switches\/[^/]+/, 'switches/{dpid}')
        .replace(/tenants\/[^/]+/, 'tenants/{tenant}')
        .replace(/(networks|ports)\/[^/]+/, '$1/{id}');
    const checked = async (method: Parameters<typeof call>[0], url: string, body?: unknown): Promise<void> => {
      const reply = await call(method, url, body);
      const operation = document.paths[template(url)][method.toLowerCase()];
      const described = operation.responses[String(reply.statusCode)];
      expect(described, `${method} ${url} ${reply.statusCode}`).toBeDefined();
      const type = String(reply.headers['content-type'] ?? '').split(';')[0]!;
      if (described.content) check(described.content[type].schema, reply.json());
      else expect(reply.body).toBe('');
    };
    await checked('PUT', '/v1/tenants/acme', { description: 'x', quota: { ports: 3 } });
    await checked('PUT', '/v1/tenants/acme/networks/blue', { subnets: ['10.0.0.0/24'] });
    await checked(
      'PUT',
      '/v1/tenants/acme/ports/a',
      port(1, { addresses: ['10.0.0.1'], binding: { switch: dpid, port: 1 } }),
    );
    await checked('PUT', '/v1/tenants/acme/ports/b', { network: 'blue', mac: 'learned' });
    await checked('PUT', '/v1/tenants/acme/ports/c?dryRun=true', port(3));
    await checked('PATCH', '/v1/tenants/acme/ports/a', { binding: null });
    await checked('PUT', '/v1/tenants/acme/ports/a', { bad: 1 });
    for (const url of [
      '/v1/tenants',
      '/v1/tenants/acme',
      '/v1/tenants/none',
      '/v1/tenants/acme/networks',
      '/v1/tenants/acme/networks/blue',
      '/v1/tenants/acme/ports?limit=1',
      '/v1/tenants/acme/ports/a',
      '/v1/switches',
      `/v1/switches/${dpid}`,
      `/v1/switches/${dpid}/ports`,
      `/v1/switches/${dpid}/flows`,
      `/v1/switches/${dpid}/groups`,
      `/v1/switches/${dpid}/meters`,
      `/v1/switches/${dpid}/diff`,
      '/v1/switches/zz',
      '/v1/links',
      '/v1/hosts',
      '/v1/topology',
      '/healthz',
      '/readyz',
    ]) {
      await checked('GET', url);
    }
    await checked('POST', '/v1/bulk', { atomic: false, operations: [{ method: 'DELETE', path: '/v1/tenants/zz' }] });
    await checked('DELETE', '/v1/tenants/acme');
    await checked('DELETE', '/v1/tenants/acme?cascade=true&dryRun=true');
    await checked('DELETE', '/v1/tenants/acme?cascade=true');
  });

  it('are the same with and without a controller, and patches have the fields of their kind', async () => {
    const text = await openApiText('0.0.0');
    expect(JSON.parse(text)).toEqual((await call('GET', '/openapi.json')).json());
    const patch = JSON.parse(text).paths['/v1/tenants/{tenant}/ports/{id}'].patch;
    const { schema } = patch.requestBody.content['application/merge-patch+json'];
    expect(Object.keys(schema.properties)).toEqual(['network', 'mac', 'addresses', 'portSecurity', 'binding']);
    expect(schema.required).toBeUndefined();
  });
});
