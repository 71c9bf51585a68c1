import { beforeEach, describe, expect, it } from 'vitest';
import { ClosedError, RequestError, StoreError, TimeoutError } from '../../../src/controller/kernel/index.ts';
import { dpid, type Fixture, fixture, flow } from './kit.ts';

let at: Fixture;
const json = { 'content-type': 'application/json' };

const call = (
  method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE',
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
) =>
  at.server.app.inject({
    method,
    url,
    headers: body === undefined ? headers : { ...json, ...headers },
    ...(body === undefined
      ? {}
      : { payload: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body) }),
  });

type Reply = Awaited<ReturnType<typeof call>>;
const expectProblem = (reply: Reply, status: number, code: string): Record<string, unknown> => {
  expect(reply.headers['content-type']).toBe('application/problem+json; charset=utf-8');
  const problem = reply.json() as Record<string, unknown>;
  expect({ status: reply.statusCode, code: problem['code'] }).toEqual({ status, code });
  expect(problem).toMatchObject({
    status,
    title: expect.any(String),
    detail: expect.any(String),
    requestId: expect.any(String),
  });
  return problem;
};

beforeEach(async () => {
  at = await fixture();
});

describe('objects', () => {
  it('creates with 201, an entity tag and a location; the same body again is 200 at the same revision', async () => {
    const created = await call('PUT', '/v1/tenants/acme', { description: 'x' });
    expect(created.statusCode).toBe(201);
    expect(created.headers['location']).toBe('/v1/tenants/acme');
    expect(created.headers['etag']).toBe(`"${created.json().revision}"`);
    const again = await call('PUT', '/v1/tenants/acme', { description: 'x' });
    expect({ status: again.statusCode, etag: again.headers['etag'] }).toEqual({
      status: 200,
      etag: created.headers['etag'],
    });
  });

  it('refuses a write whose If-Match names another revision, and takes one that names the right one', async () => {
    const { headers } = await call('PUT', '/v1/tenants/acme', {});
    expectProblem(
      await call('PUT', '/v1/tenants/acme', { description: 'b' }, { 'if-match': '"3"' }),
      412,
      'NL_PRECONDITION',
    );
    const ok = await call('PUT', '/v1/tenants/acme', { description: 'b' }, { 'if-match': String(headers['etag']) });
    expect(ok.statusCode).toBe(200);
  });

  it('refuses If-Match: * on what does not exist', async () => {
    expectProblem(await call('PUT', '/v1/tenants/acme', {}, { 'if-match': '*' }), 412, 'NL_PRECONDITION');
    await call('PUT', '/v1/tenants/acme', {});
    expect((await call('PUT', '/v1/tenants/acme', {}, { 'if-match': '*' })).statusCode).toBe(200);
  });

  it.each(['x', '"1", "2"', 'W/"1"', '"-1"', ''])('refuses the If-Match %j', async (tag) => {
    const problem = expectProblem(await call('PUT', '/v1/tenants/acme', {}, { 'if-match': tag }), 400, 'NL_INVALID');
    expect(problem['errors']).toEqual([{ pointer: 'If-Match', message: expect.any(String) }]);
  });

  it('creates only, with If-None-Match: *', async () => {
    const once = await call('PUT', '/v1/tenants/acme', {}, { 'if-none-match': '*' });
    expect(once.statusCode).toBe(201);
    expectProblem(await call('PUT', '/v1/tenants/acme', {}, { 'if-none-match': '*' }), 412, 'NL_PRECONDITION');
  });

  it('patches with either content type', async () => {
    await call('PUT', '/v1/tenants/acme', { description: 'a' });
    const reply = await call(
      'PATCH',
      '/v1/tenants/acme',
      { description: 'b' },
      { 'content-type': 'application/merge-patch+json' },
    );
    expect(reply.json()).toMatchObject({ id: 'acme', description: 'b' });
    expect((await call('PATCH', '/v1/tenants/acme', { description: 'c' })).json()).toMatchObject({ description: 'c' });
  });

  it('names the users of what is in use, and deletes them too with cascade', async () => {
    await call('PUT', '/v1/tenants/acme', {});
    await call('PUT', '/v1/tenants/acme/networks/blue', {});
    const problem = expectProblem(await call('DELETE', '/v1/tenants/acme'), 409, 'NL_IN_USE');
    expect(problem['users']).toEqual(['network/acme/blue']);
    const gone = await call('DELETE', '/v1/tenants/acme?cascade=true');
    expect({ status: gone.statusCode, body: gone.body }).toEqual({ status: 204, body: '' });
    expectProblem(await call('GET', '/v1/tenants/acme/networks/blue'), 404, 'NL_NOT_FOUND');
  });

  it('deletes although the client says that its empty body is JSON', async () => {
    await call('PUT', '/v1/tenants/acme', {});
    expect((await call('DELETE', '/v1/tenants/acme', '')).statusCode).toBe(204);
  });

  it('plans without doing, with dryRun', async () => {
    const reply = await call('PUT', '/v1/tenants/acme?dryRun=true', {});
    expect(reply.statusCode).toBe(200);
    expect(reply.json()).toMatchObject({ created: true, changes: [{ switch: '0000000000000001', add: 2 }] });
    expectProblem(await call('GET', '/v1/tenants/acme'), 404, 'NL_NOT_FOUND');
  });

  it('refuses a misspelt parameter instead of doing what was not meant', async () => {
    const problem = expectProblem(await call('PUT', '/v1/tenants/acme?dryrun=true', {}), 400, 'NL_INVALID');
    expect(problem['errors']).toEqual([{ pointer: '?dryrun', message: expect.stringContaining('dryRun') }]);
    expectProblem(await call('GET', '/v1/tenants/acme'), 404, 'NL_NOT_FOUND');
  });

  it.each(['dryRun=1', 'dryRun=true&dryRun=false', 'wait=yes', 'timeout=10', 'timeout=1h', 'timeout=121s'])(
    'refuses ?%s',
    async (query) => {
      expectProblem(await call('PUT', `/v1/tenants/acme?${query}`, {}), 400, 'NL_INVALID');
    },
  );

  it.each(['limit=0', 'limit=1001', 'limit=1e2', 'limit=-1', 'limit='])('refuses ?%s of a list', async (query) => {
    expectProblem(await call('GET', `/v1/tenants?${query}`), 400, 'NL_INVALID');
  });
});

describe('wait=ready', () => {
  it('answers after the switches confirmed', async () => {
    let confirm: (ready: boolean) => void = () => {};
    const asked: unknown[] = [];
    at.waitReady = (path, revision, timeoutMs) => {
      asked.push([path, revision, timeoutMs]);
      return new Promise((resolve) => {
        confirm = resolve;
        setImmediate(() => confirm(true));
      });
    };
    const reply = await call('PUT', '/v1/tenants/acme?wait=ready&timeout=3s', {});
    expect(reply.statusCode).toBe(201);
    expect(asked).toEqual([['/v1/tenants/acme', reply.json().revision, 3_000]]);
  });

  it('answers 504 with the status so far; the change is stored', async () => {
    at.waitReady = async () => false;
    const problem = expectProblem(await call('PUT', '/v1/tenants/acme?wait=ready', {}), 504, 'NL_TIMEOUT');
    expect(problem).toMatchObject({ object: '/v1/tenants/acme', revision: 11, objectStatus: { conditions: [] } });
    expect((await call('GET', '/v1/tenants/acme')).statusCode).toBe(200);
  });
});

describe('bodies', () => {
  const put = (body: string | Buffer, headers: Record<string, string> = {}) =>
    call('PUT', '/v1/tenants/acme', body, headers);

  it('refuses integers that a double cannot hold, with a pointer, and does not round them', async () => {
    const problem = expectProblem(await put('{"quota":{"ports":[1,9007199254740993]}}'), 400, 'NL_UNSAFE_NUMBER');
    expect(problem['errors']).toEqual([{ pointer: '/quota/ports/1', message: expect.stringContaining('string') }]);
  });

  it.each(['9007199254740992', '-9007199254740992', '1e400', '-1e400', '1e16', '18446744073709551616'])(
    'refuses the number %s',
    async (number) => {
      expectProblem(await put(`{"a":${number}}`), 400, 'NL_UNSAFE_NUMBER');
    },
  );

  it.each(['9007199254740991', '-9007199254740991', '0.1', '1e3', '"9007199254740993"'])('takes %s', async (number) => {
    expect((await put(`{"a":${number}}`)).statusCode).toBe(201);
  });

  it.each(['', '{', '{"a":1}}', 'nul', '{"a":01}', "{'a':1}", '\uFEFF{}', '{"a":1,}'])(
    'refuses %j as no JSON',
    async (body) => {
      expectProblem(await put(body), 400, 'NL_MALFORMED');
    },
  );

  it('refuses bytes that are not UTF-8', async () => {
    expectProblem(await put(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), 400, 'NL_MALFORMED');
  });

  it.each([
    ['{"a":1,"a":2}', '/a'],
    ['{"x":[{"b":1},{"a/b":{"c":"\\":","c" : 2}}]}', '/x/1/a~1b/c'],
    ['{"\\u0061":1,"a":2}', '/a'],
  ])('refuses a key that is there twice: %s', async (body, pointer) => {
    const problem = expectProblem(await put(body), 400, 'NL_MALFORMED');
    expect(problem['errors']).toEqual([{ pointer, message: 'is there twice' }]);
  });

  it.each(['{"a":"\\":","b":1}', '{"a":["\\"","x:"],"b":{"a":{"a":1}}}', '{"a\\\\":1,"a":2}'])(
    'does not take %s for one with equal keys',
    async (body) => {
      expect((await put(body)).statusCode).toBe(201);
    },
  );

  it.each(['{"__proto__":{"x":1}}', '{"a":{"constructor":{"prototype":{"x":1}}}}'])('refuses %s', async (body) => {
    expectProblem(await put(body), 400, 'NL_INVALID');
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  it('refuses half a surrogate pair, and takes a whole one', async () => {
    expectProblem(await put('{"description":"\\ud83d"}'), 400, 'NL_INVALID');
    expect((await put('{"description":"\\ud83d\\ude00 ☃"}')).json()).toMatchObject({ description: '😀 ☃' });
  });

  it('refuses nesting without end', async () => {
    expectProblem(await put(`${'['.repeat(100_000)}${']'.repeat(100_000)}`), 400, 'NL_MALFORMED');
    expectProblem(await put(`${'{"a":'.repeat(40)}1${'}'.repeat(40)}`), 400, 'NL_MALFORMED');
  });

  it('refuses more than a MiB, and more than 32 MiB of a bulk', async () => {
    expectProblem(await put(`{"description":"${'x'.repeat(1_100_000)}"}`), 413, 'NL_TOO_LARGE');
    const ten = JSON.stringify({ operations: [], pad: 'x'.repeat(10_000_000) });
    expectProblem(await call('POST', '/v1/bulk', ten), 400, 'NL_INVALID');
    expectProblem(await call('POST', '/v1/bulk', Buffer.alloc(33 * 1_048_576, 0x20)), 413, 'NL_TOO_LARGE');
  });

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'nonsense'])(
    'refuses the content type %s',
    async (type) => {
      expectProblem(await put('{}', { 'content-type': type }), 415, 'NL_MEDIA_TYPE');
    },
  );
});

describe('paths', () => {
  it.each([
    '/',
    '/v1',
    '/v2/tenants',
    '/v1/tenants/',
    '/v1/tenants/a/networks/b/c',
    '/v1/tenants/..%2f..%2fetc',
    '/v1/tenants/%00',
  ])('answers %s with a problem below 500', async (path) => {
    const reply = await call('GET', path);
    expect(reply.statusCode).toBeGreaterThanOrEqual(400);
    expect(reply.statusCode).toBeLessThan(500);
    expect(reply.headers['content-type']).toContain('application/problem+json');
  });

  it('refuses broken escapes and parts that are longer than any id', async () => {
    expectProblem(await call('GET', '/v1/tenants/%zz'), 400, 'NL_MALFORMED');
    expectProblem(await call('GET', `/v1/tenants/${'a'.repeat(5_000)}`), 414, 'NL_URI_TOO_LONG');
  });

  it('says which methods a path takes, whatever the body', async () => {
    const reply = await call('POST', '/v1/tenants/acme', 'not json', { 'content-type': 'text/plain' });
    expectProblem(reply, 405, 'NL_METHOD_NOT_ALLOWED');
    expect(reply.headers['allow']).toBe('GET, PUT, PATCH, DELETE, HEAD');
    expectProblem(await call('DELETE', '/v1/events'), 405, 'NL_METHOD_NOT_ALLOWED');
    expectProblem(await call('PUT', '/healthz', {}), 405, 'NL_METHOD_NOT_ALLOWED');
  });

  it('refuses host names that a web page could bring along', async () => {
    expectProblem(await call('GET', '/v1/tenants', undefined, { host: 'evil.example:8080' }), 421, 'NL_MISDIRECTED');
    for (const host of ['127.0.0.1:8080', '[::1]:8080', 'localhost:8080', '10.0.0.7']) {
      expect((await call('GET', '/v1/tenants', undefined, { host })).statusCode).toBe(200);
    }
  });
});

describe('bulk', () => {
  const operation = (n: number, body: unknown = {}) => ({ method: 'PUT', path: `/v1/tenants/t${n}`, body });

  it('tells of 5,000 operations which one is bad, and that nothing was changed', async () => {
    const operations = Array.from({ length: 5_000 }, (_, n) =>
      n === 4_000 ? { method: 'PUT', path: '/v1/switches/1', body: {} } : operation(n),
    );
    const problem = expectProblem(await call('POST', '/v1/bulk', { atomic: true, operations }), 400, 'NL_INVALID');
    expect(problem['errors']).toEqual([{ pointer: '/operations/4000/path', message: expect.any(String) }]);
    expect((await call('GET', '/v1/tenants')).json()).toMatchObject({ items: [] });
  });

  it('hands on the pointer that the model gives', async () => {
    const problem = expectProblem(
      await call('POST', '/v1/bulk', { atomic: true, operations: [operation(0), operation(1, { vlan: 1 })] }),
      400,
      'NL_INVALID',
    );
    expect(problem['errors']).toEqual([{ pointer: '/operations/1/body/vlan', message: 'unknown field' }]);
  });

  it('gives each operation its own result when not atomic', async () => {
    const operations = [operation(0), operation(1, { vlan: 1 }), { method: 'DELETE', path: '/v1/tenants/t0' }];
    const reply = await call('POST', '/v1/bulk', { atomic: false, operations });
    expect(reply.statusCode).toBe(207);
    expect(reply.json()).toMatchObject({
      failed: 1,
      results: [
        { path: '/v1/tenants/t0', status: 201, changed: true },
        { path: '/v1/tenants/t1', status: 400, problem: { code: 'NL_INVALID', errors: [{ pointer: '/vlan' }] } },
        { path: '/v1/tenants/t0', status: 204 },
      ],
    });
  });

  it.each([
    [[], ''],
    [{}, '/operations'],
    [{ operations: {} }, '/operations'],
    [{ operations: [], atomic: 1 }, '/atomic'],
    [{ operations: [], dry: true }, '/dry'],
    [{ operations: [null] }, '/operations/0'],
    [{ operations: [{ method: 'PUT', path: '/v1/tenants/a' }] }, '/operations/0/body'],
    [{ operations: [{ method: 'GET', path: '/v1/tenants/a' }] }, '/operations/0/method'],
    [{ operations: [{ method: 'DELETE', path: '/v1/tenants/a', body: {} }] }, '/operations/0/body'],
    [{ operations: [{ method: 'DELETE', path: 7 }] }, '/operations/0/path'],
    [{ operations: [{ method: 'PUT', path: '/v1/tenants/a', body: {}, 'x/y': 1 }] }, '/operations/0/x~1y'],
  ])('refuses %j with a pointer', async (body, pointer) => {
    const problem = expectProblem(await call('POST', '/v1/bulk', body), 400, 'NL_INVALID');
    expect(problem['errors']).toEqual([expect.objectContaining({ pointer })]);
  });
});

describe('bulk with wait=ready', () => {
  const operations = ['a', 'b', 'c'].map((id) => ({ method: 'PUT', path: `/v1/tenants/${id}`, body: {} }));

  it('waits for every object', async () => {
    const asked: string[] = [];
    at.waitReady = async (path) => asked.push(path) > 0;
    expect((await call('POST', '/v1/bulk?wait=ready', { operations })).statusCode).toBe(200);
    expect(asked).toEqual(['/v1/tenants/a', '/v1/tenants/b', '/v1/tenants/c']);
  });

  it('names those that are not confirmed, and the results, which are stored', async () => {
    at.waitReady = async (path) => path !== '/v1/tenants/b';
    const problem = expectProblem(await call('POST', '/v1/bulk?wait=ready', { operations }), 504, 'NL_TIMEOUT');
    expect(problem).toMatchObject({
      pending: ['/v1/tenants/b'],
      results: [{ status: 201 }, { status: 201 }, { status: 201 }],
    });
    expect((await call('GET', '/v1/tenants/b')).statusCode).toBe(200);
  });
});

describe('rate limit', () => {
  it('is off unless asked for, and then refuses with a problem document', async () => {
    for (let n = 0; n < 50; n++) expect((await call('GET', '/v1/tenants')).statusCode).toBe(200);
    at = await fixture({ options: { rateLimit: { max: 2, windowMs: 60_000 } } });
    await call('GET', '/v1/tenants');
    await call('GET', '/v1/tenants');
    const reply = await call('GET', '/v1/tenants');
    expectProblem(reply, 429, 'NL_RATE_LIMITED');
    expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
  });
});

describe('switches', () => {
  it('tells a malformed datapath id from an unknown one', async () => {
    for (const bad of ['1', 'g000000000000001', '00200000000000011', '9007199254740993']) {
      expectProblem(
        await call('GET', `/v1/switches/${bad}/flows`),
        bad.length === 16 && !bad.startsWith('g') ? 404 : 400,
        bad.length === 16 && !bad.startsWith('g') ? 'NL_NOT_FOUND' : 'NL_INVALID',
      );
    }
    expect((await call('GET', `/v1/switches/${dpid.toUpperCase()}`)).json()).toMatchObject({ id: dpid });
  });

  it('gives 64-bit values with all digits, and reserved port numbers as positive numbers', async () => {
    const { items } = (await call('GET', `/v1/switches/${dpid}/flows`)).json();
    expect(items).toEqual([{ ...flow, packets: '9007199254740993', bytes: '18446744073709551614' }]);
    expect((await call('GET', `/v1/switches/${dpid}/ports`)).json().items[0].no).toBe(4294967294);
  });

  it.each([
    [new ClosedError('switch is not connected'), 503, 'NL_CLOSED'],
    [new TimeoutError('flow statistics', 1_000), 504, 'NL_TIMEOUT'],
    [new StoreError('disk is full'), 503, 'NL_STORE'],
    [new RequestError(409, 'NL_CONFLICT', 'x'), 409, 'NL_CONFLICT'],
  ])('answers %s with its own status', async (error, status, code) => {
    at.rules = { ...at.rules, flows: () => Promise.reject(error) };
    expectProblem(await call('GET', `/v1/switches/${dpid}/flows`), status, code);
  });

  it('keeps the text of a bug to itself', async () => {
    at.rules = { ...at.rules, flows: () => Promise.reject(new Error('secret path /etc/shadow')) };
    const reply = await call('GET', `/v1/switches/${dpid}/flows`);
    expectProblem(reply, 500, 'NL_INTERNAL');
    expect(reply.body).not.toContain('secret');
  });
});

describe('documents and health', () => {
  it('describes every route in OpenAPI 3.1, with schemas and refusals', async () => {
    const document = (await call('GET', '/openapi.json')).json();
    expect(document.openapi).toBe('3.1.0');
    const operations = Object.entries<Record<string, Record<string, unknown>>>(document.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
    );
    expect(operations.map(({ path, method }) => `${method} ${path}`).sort()).toMatchSnapshot();
    for (const { operation } of operations) {
      expect(operation).toMatchObject({
        operationId: expect.any(String),
        summary: expect.any(String),
        tags: [expect.any(String)],
      });
      const responses = operation['responses'] as Record<string, { content?: Record<string, { schema: unknown }> }>;
      expect(responses['500']?.content?.['application/problem+json']?.schema).toEqual({
        $ref: '#/components/schemas/Problem',
      });
    }
    // Every reference leads somewhere.
    for (const [, name] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      expect(document.components.schemas).toHaveProperty(name!);
    }
  });

  it('serves the documentation page', async () => {
    const page = await call('GET', '/docs/');
    expect(page.headers['content-type']).toContain('text/html');
    const script = /src="\.?([^"]+initializer\.js)"/.exec(page.body)?.[1];
    expect((await call('GET', `/docs${script}`)).statusCode).toBe(200);
    // Neither the page nor its policy leads anywhere else.
    expect(`${page.body}${page.headers['content-security-policy']}`).not.toMatch(/https?:/);
  });

  it('says what is not ready, and why', async () => {
    at = await fixture({
      readiness: () => [
        { name: 'store', ok: true },
        { name: 'compile', ok: false, reason: 'first compilation' },
      ],
    });
    const reply = await call('GET', '/readyz');
    expect({ status: reply.statusCode, body: reply.json() }).toEqual({
      status: 503,
      body: {
        ready: false,
        checks: [
          { name: 'store', ok: true },
          { name: 'compile', ok: false, reason: 'first compilation' },
        ],
      },
    });
    expect((await call('GET', '/healthz')).json()).toMatchObject({ status: 'ok' });
  });

  it('measures requests by route template, never by path', async () => {
    for (const id of ['a', 'b', 'c']) await call('PUT', `/v1/tenants/${id}`, {});
    await call('GET', '/no/such/path');
    await call('GET', '/v1/tenants/%zz');
    const text = (await call('GET', '/metrics')).body;
    expect(text).toContain(
      'netloom_http_request_duration_seconds_count{method="PUT",route="/v1/tenants/:tenant",code="201"} 3',
    );
    expect(text).toContain('route="none",code="404"');
    expect(text).toContain('netloom_http_requests_in_flight 1\n');
    expect(text).not.toContain('/no/such');
  });

  it('answers the routes of apps', async () => {
    at = await fixture({
      routes: [
        {
          method: 'GET',
          path: '/v1/apps/hello/:name',
          operationId: 'hello',
          tag: 'apps',
          summary: 'Greets',
          replies: { 200: { description: 'A greeting' } },
          handle: ({ params }) => ({ status: 200, body: { hello: params['name'] } }),
        },
      ],
    });
    expect((await call('GET', '/v1/apps/hello/you')).json()).toEqual({ hello: 'you' });
    expectProblem(await call('PUT', '/v1/apps/hello/you', {}), 405, 'NL_METHOD_NOT_ALLOWED');
  });
});
