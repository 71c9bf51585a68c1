import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { MapNotify } from '../../../src/overlay-gw/lisp/index.ts';
import { Lab } from '../../kit/controller.ts';
import { freeUdpPort, LispRouter, rlocsOf } from '../../kit/lisp-router.ts';

/** The mapping system in a whole controller: REST on one side, LISP over UDP on the other. */

const server = { address: '127.0.0.1', port: 0 };
let routerPort = 0;
let lab: Lab;
const routers: LispRouter[] = [];

beforeAll(async () => {
  server.port = await freeUdpPort();
  routerPort = await freeUdpPort();
  lab = await Lab.start({
    'lisp.listen': `${server.address}:${server.port}`,
    'lisp.routerPort': String(routerPort),
    'lisp.rtrs': '198.51.100.99',
  });
});
afterAll(async () => {
  await lab.remove();
});
afterEach(async () => {
  for (const each of routers.splice(0)) each.close();
  for (const kind of ['mappings', 'sites']) {
    const { items } = await lab.ok('GET', `/v1/lisp/${kind}`);
    for (const { id } of items) if (id !== undefined) await lab.ok('DELETE', `/v1/lisp/${kind}/${id}`);
  }
  for (const id of ['m', 'n']) await lab.call('DELETE', `/v1/lisp/mappings/${id}`);
});

/** Each at an address of its own, all at the port at which routers listen. */
const router = async (key = 'secret'): Promise<LispRouter> => {
  const made = await LispRouter.start(server, key, { address: `127.0.0.${routers.length + 2}`, port: routerPort });
  routers.push(made);
  return made;
};
const site = (id: string, body: object) => lab.ok('PUT', `/v1/lisp/sites/${id}`, { keys: ['secret'], ...body });
const mappings = async (query = ''): Promise<{ eid: string; instanceId: number }[]> =>
  (await lab.ok('GET', `/v1/lisp/mappings${query}`)).items;
const eids = async (query = ''): Promise<string[]> => (await mappings(query)).map(({ eid }) => eid);
const metric = (name: string, label = '') => lab.sum(`netloom_lisp_${name}`, label);

describe('a site that is made by REST', () => {
  it('takes registrations of its routers, which then answer questions and are listed', async () => {
    await site('a', { eidPrefixes: ['10.1.0.0/16'], instanceId: 7 });
    const xtr = await router();
    await xtr.register('[7]10.1.0.0/16', ['192.0.2.1']);
    expect(rlocsOf(await xtr.ask('[7]10.1.2.3'))).toEqual(['192.0.2.1']);
    expect((await xtr.ask('10.1.2.3')).locators).toEqual([]);
    expect(await mappings()).toEqual([
      {
        instanceId: 7,
        eid: '10.1.0.0/16',
        action: 'noAction',
        rlocs: [{ address: '192.0.2.1', priority: 1, weight: 100, reachable: true }],
        registrations: [
          {
            source: 'router',
            by: xtr.xtrId,
            site: 'a',
            rlocs: [{ address: '192.0.2.1', priority: 1, weight: 100, reachable: true }],
            proxyReply: true,
            counts: true,
            expiresAt: expect.stringMatching(/^\d{4}-/),
          },
        ],
      },
    ]);
    const { status } = await lab.ok('GET', '/v1/lisp/sites/a');
    expect(status).toMatchObject({ keys: 1, routers: 1, registrations: 1, conditions: [{ reason: 'Registered' }] });
    expect([await metric('routers'), await metric('mappings'), await metric('registrations', 'router')]).toEqual([
      1, 1, 1,
    ]);
  });

  it('hears nothing of a wrong key but counts it, and another key is taken from the moment that it is stored', async () => {
    await site('a', { eidPrefixes: ['10.1.0.0/16'] });
    const xtr = await router('other');
    const before = await metric('authentication_failures_total', 'mapRegister');
    xtr.send(xtr.registration('10.1.0.0/16', ['192.0.2.1']));
    await lab.poll(
      () => metric('authentication_failures_total', 'mapRegister'),
      (now) => now === before + 1,
      'one failure',
    );
    expect([xtr.heard, await eids()]).toEqual([[], []]);
    await lab.ok('PATCH', '/v1/lisp/sites/a', { keys: ['secret', 'other'] });
    await xtr.register('10.1.0.0/16', ['192.0.2.1']);
    expect(await eids()).toEqual(['10.1.0.0/16']);
  });

  it('may take parts of its prefixes, answer for all its routers, and merge what they say', async () => {
    await site('a', { eidPrefixes: ['10.1.0.0/16'], acceptMoreSpecifics: true, proxyReply: true, merge: true });
    const [one, two] = [await router(), await router()];
    await one.register('10.1.9.0/24', ['192.0.2.1'], { proxyReply: false });
    await two.register('10.1.9.0/24', ['192.0.2.2'], { proxyReply: false });
    expect(rlocsOf(await one.ask('10.1.9.1')).sort()).toEqual(['192.0.2.1', '192.0.2.2']);
  });

  it('takes what its routers registered with it when it goes, or loses the prefix', async () => {
    await site('a', { eidPrefixes: ['10.1.0.0/16', '10.2.0.0/16'] });
    const xtr = await router();
    await xtr.register('10.1.0.0/16', ['192.0.2.1']);
    await xtr.register('10.2.0.0/16', ['192.0.2.1']);
    await lab.ok('PATCH', '/v1/lisp/sites/a', { eidPrefixes: ['10.2.0.0/16'] });
    expect(await eids()).toEqual(['10.2.0.0/16']);
    await lab.ok('DELETE', '/v1/lisp/sites/a');
    expect(await eids()).toEqual([]);
    expect((await xtr.ask('10.2.0.1')).ttl).toBe(15);
  });

  it('shows its keys nowhere', async () => {
    const secret = 'never-to-be-seen';
    const body = { eidPrefixes: ['10.1.0.0/16'], keys: [secret] };
    const seen = [
      await lab.ok('PUT', '/v1/lisp/sites/a?dryRun=true', body),
      await lab.ok('PUT', '/v1/lisp/sites/a', body),
      await lab.ok('GET', '/v1/lisp/sites/a'),
      await lab.ok('GET', '/v1/lisp/sites'),
      await lab.ok('POST', '/v1/bulk', { operations: [{ method: 'PUT', path: '/v1/lisp/sites/a', body }] }),
      (await lab.call('PUT', '/v1/lisp/sites/b', body)).body,
      (await lab.call('PUT', '/v1/lisp/sites/a', { ...body, keys: [secret, ''] })).body,
    ];
    expect(JSON.stringify(seen)).not.toContain(secret);
    expect(seen[6].errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual(['/keys/1']);
  });
});

describe('events', () => {
  it('say when a router has its first prefix with a site, and when its last is gone', async () => {
    await site('a', { eidPrefixes: ['10.1.0.0/16', '10.2.0.0/16'] });
    const xtr = await router();
    const stop = new AbortController();
    const { body } = await fetch(`http://${lab.http}/v1/events?types=lisp.router`, { signal: stop.signal });
    for (const eid of ['10.1.0.0/16', '10.2.0.0/16']) await xtr.register(eid, ['192.0.2.1']);
    for (const eid of ['10.1.0.0/16', '10.2.0.0/16']) await xtr.withdraw(eid);
    const told: object[] = [];
    let text = '';
    for await (const chunk of body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const lines = text.split('\n').filter((line) => line.startsWith('data: ') && line.endsWith('}'));
      told.splice(0, told.length, ...lines.map((line) => JSON.parse(line.slice(6)) as object));
      if (told.length >= 2) break;
    }
    stop.abort();
    const facts = { object: '/v1/lisp/sites/a', router: xtr.xtrId, instanceId: 0 };
    expect(told).toMatchObject([
      { type: 'lisp.router.registered', data: { ...facts, eid: '10.1.0.0/16', routers: 1 } },
      { type: 'lisp.router.withdrawn', data: { ...facts, eid: '10.2.0.0/16', routers: 0, reason: 'withdrawn' } },
    ]);
  });
});

describe('a mapping that is made by REST', () => {
  it('is answered, changes with its object, and is gone with it', async () => {
    const xtr = await router();
    const rlocs = [{ address: '198.51.100.1', priority: 2, weight: 10 }];
    await lab.ok('PUT', '/v1/lisp/mappings/m', { instanceId: 3, eid: '10.5.0.0/16', rlocs, ttlMinutes: 7 });
    expect(await xtr.ask('[3]10.5.0.9')).toMatchObject({
      ttl: 7,
      maskLength: 16,
      authoritative: true,
      locators: [{ priority: 2, weight: 10, rloc: { afi: 'ipv4', address: '198.51.100.1' } }],
    });
    await lab.ok('PATCH', '/v1/lisp/mappings/m', { eid: '10.6.0.0/16' });
    expect((await xtr.ask('[3]10.5.0.9')).locators).toEqual([]);
    expect(rlocsOf(await xtr.ask('[3]10.6.0.9'))).toEqual(['198.51.100.1']);
    await lab.ok('PUT', '/v1/lisp/mappings/m', { instanceId: 3, eid: '10.6.0.0/16' });
    expect(await xtr.ask('[3]10.6.0.9')).toMatchObject({ action: 3, locators: [] });
    await lab.ok('DELETE', '/v1/lisp/mappings/m');
    expect(await xtr.ask('[3]10.6.0.9')).toMatchObject({ action: 1, ttl: 15 });
  });

  it('counts instead of what routers register for the same prefix, which counts again when it is gone', async () => {
    await site('a', { eidPrefixes: ['10.1.0.0/16'] });
    const xtr = await router();
    await lab.ok('PUT', '/v1/lisp/mappings/m', { eid: '10.1.0.0/16', rlocs: [{ address: '198.51.100.1' }] });
    await xtr.register('10.1.0.0/16', ['192.0.2.1']);
    expect(rlocsOf(await xtr.ask('10.1.0.1'))).toEqual(['198.51.100.1']);
    const [shown] = (await lab.ok('GET', '/v1/lisp/mappings')).items;
    expect(shown.registrations).toMatchObject([
      { source: 'rest', by: '/v1/lisp/mappings/m', counts: true },
      { source: 'router', site: 'a', counts: false },
    ]);
    await lab.ok('DELETE', '/v1/lisp/mappings/m');
    expect(rlocsOf(await xtr.ask('10.1.0.1'))).toEqual(['192.0.2.1']);
  });

  it('is told to subscribers when it comes and goes', async () => {
    await site('a', { eidPrefixes: ['10.1.0.0/16'] });
    const xtr = await router();
    await xtr.register('10.1.0.0/16', ['192.0.2.1']);
    const confirmed = await xtr.subscribe('10.9.0.0/16');
    const [subscription] = (await lab.ok('GET', '/v1/lisp/subscriptions')).items;
    expect(subscription).toMatchObject({
      instanceId: 0,
      eid: '10.9.0.0/16',
      xtrId: xtr.xtrId,
      site: 'a',
      address: '127.0.0.2',
      port: routerPort,
    });
    expect(confirmed.records[0]).toMatchObject({ action: 1, locators: [] });
    const told = (ttl: number) =>
      xtr.next(
        (each) => each.type === 'mapNotify' && each.records[0]!.maskLength === 24 && each.records[0]!.ttl === ttl,
      );
    await lab.ok('PUT', '/v1/lisp/mappings/m', { eid: '10.9.1.0/24', rlocs: [{ address: '198.51.100.1' }] });
    expect(rlocsOf(((await told(1440)) as MapNotify).records[0]!)).toEqual(['198.51.100.1']);
    await lab.ok('DELETE', '/v1/lisp/mappings/m');
    await told(0);
    expect((await lab.ok('GET', '/v1/lisp/subscriptions?instanceId=1')).items).toEqual([]);
  });
});

describe('the list of mappings', () => {
  const all = ['10.0.0.0/8', '10.1.0.0/16', '10.1.1.0/24', '10.1.1.1/32', '10.2.0.0/16', '11.0.0.0/8', '2001:db8::/32'];

  it('comes in order, by pages of which none misses or repeats anything, and by filters', async () => {
    await site('a', { eidPrefixes: ['0.0.0.0/0', '::/0'], acceptMoreSpecifics: true });
    await site('b', { eidPrefixes: ['0.0.0.0/0'], acceptMoreSpecifics: true, instanceId: 5 });
    const xtr = await router();
    for (const each of [...all].reverse()) await xtr.register(each, ['192.0.2.1']);
    await xtr.register('[5]10.0.0.0/8', ['192.0.2.1']);
    await lab.ok('PUT', '/v1/lisp/mappings/m', { eid: '02:00:00:00:00:01' });
    const everything = [...all, '02:00:00:00:00:01/48', '10.0.0.0/8'];
    expect(await eids()).toEqual(everything);
    for (const limit of [1, 2, 3, 8]) {
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await lab.ok(
          'GET',
          `/v1/lisp/mappings?limit=${limit}${cursor === undefined ? '' : `&cursor=${cursor}`}`,
        );
        expect(page.items.length).toBeLessThanOrEqual(limit);
        seen.push(...page.items.map(({ eid }: { eid: string }) => eid));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect(seen).toEqual(everything);
    }
    expect(await eids('?instanceId=5')).toEqual(['10.0.0.0/8']);
    expect(await eids('?eid=10.1.0.0/16')).toEqual(['10.0.0.0/8', '10.1.0.0/16', '10.1.1.0/24', '10.1.1.1/32']);
    expect(await eids('?eid=10.1.1.1')).toEqual(['10.0.0.0/8', '10.1.0.0/16', '10.1.1.0/24', '10.1.1.1/32']);
    expect(await eids('?eid=10.1.1.2')).toEqual(['10.0.0.0/8', '10.1.0.0/16', '10.1.1.0/24']);
    expect(await eids('?eid=12.0.0.0/8')).toEqual([]);
    const page = await lab.ok('GET', '/v1/lisp/mappings?eid=10.1.1.1&limit=2');
    expect(await eids(`?eid=10.1.1.1&limit=2&cursor=${page.nextCursor}`)).toEqual(['10.1.1.0/24', '10.1.1.1/32']);
  });

  it.each([
    ['cursor', 'x'],
    ['cursor', Buffer.from('["x"]').toString('base64url')],
    ['eid', '10.0.0.0/33'],
    ['eid', 'here'],
    ['instanceId', '-1'],
    ['limit', '0'],
    ['family', 'ipv4'],
  ])('refuses ?%s=%s', async (name, value) => {
    const { status, body } = await lab.call('GET', `/v1/lisp/mappings?${name}=${value}`);
    expect([status, body.code, body.errors[0].pointer]).toEqual([400, 'NL_INVALID', `?${name}`]);
  });
});

describe('the messages', () => {
  it('are counted by type and direction, and what nobody can read as dropped', async () => {
    const xtr = await router();
    const before = [
      await metric('messages_total', 'direction="received",type="mapRequest"'),
      await metric('messages_total', 'direction="sent",type="mapReply"'),
      await metric('requests_total', 'answer="negative"'),
      await metric('dropped_total', 'reason="malformed"'),
    ];
    await xtr.ask('203.0.113.1');
    xtr.send(Buffer.from('f0', 'hex'));
    await lab.poll(
      () => metric('dropped_total', 'malformed'),
      (now) => now > before[3]!,
      'one dropped',
    );
    expect([
      await metric('messages_total', 'direction="received",type="mapRequest"'),
      await metric('messages_total', 'direction="sent",type="mapReply"'),
      await metric('requests_total', 'answer="negative"'),
      await metric('dropped_total', 'reason="malformed"'),
    ]).toEqual(before.map((count) => count + 1));
  });
});
