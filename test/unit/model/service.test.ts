import { beforeEach, describe, expect, it } from 'vitest';
import { RequestError, silentLogger, systemClock } from '../../../src/controller/kernel/index.ts';
import {
  type DesiredChange,
  type ObjectIds,
  type ObjectService,
  openObjectService,
} from '../../../src/controller/model/index.ts';
import { openMemoryStore, type Store } from '../../../src/controller/store/index.ts';

let store: Store;
let service: ObjectService;

const open = (over: Store = store): Promise<ObjectService> =>
  openObjectService({ store: over, log: silentLogger, clock: systemClock });

beforeEach(async () => {
  store = await openMemoryStore({ log: silentLogger, clock: systemClock });
  service = await open();
});

const acme: ObjectIds = { tenant: 'acme' };
const blue: ObjectIds = { tenant: 'acme', id: 'blue' };
const port = (id: string): ObjectIds => ({ tenant: 'acme', id });
const mac = (n: number): string => `02:00:00:00:00:${n.toString(16).padStart(2, '0')}`;

async function refusal(promise: Promise<unknown>): Promise<RequestError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RequestError);
  return error as RequestError;
}

async function network(): Promise<void> {
  await service.put('tenant', acme, {});
  await service.put('network', blue, { subnets: ['10.0.0.0/24'] });
}

describe('writing one object', () => {
  it('creates it with defaults, allocated numbers and the revision of its transaction', async () => {
    await service.put('tenant', acme, { description: 'A company' });
    const { object, created, changed, revision } = await service.put('network', blue, {
      transport: 'vxlan',
      subnets: ['10.0.0.0/24', '2001:DB8::/64'],
    });
    expect({ created, changed }).toEqual({ created: true, changed: true });
    expect(object).toMatchObject({
      id: 'blue',
      transport: 'vxlan',
      segmentId: 1,
      subnets: ['10.0.0.0/24', '2001:db8::/64'],
      mtu: 1450,
      unknownUnicast: 'drop',
      revision,
      status: { index: 1 },
    });
    expect(service.get('network', blue)).toEqual(object);
    expect(service.revision).toBe(revision);
  });

  it('changes nothing, and no revision, for the same body again', async () => {
    await network();
    const first = await service.put('port', port('p'), { network: 'blue', mac: 'AA-00-00-00-00-01' });
    const again = await service.put('port', port('p'), { network: 'blue', mac: 'aa:00:00:00:00:01' });
    expect(again).toMatchObject({ created: false, changed: false, revision: first.revision });
    expect(store.revision).toBe(first.revision);
  });

  it('takes back what GET answered', async () => {
    await network();
    const { object } = await service.put('port', port('p'), { network: 'blue', mac: mac(1), addresses: ['10.0.0.1'] });
    expect(await service.put('port', port('p'), object)).toMatchObject({ changed: false });
  });

  it('merges a patch, and null takes a field back to its default', async () => {
    await network();
    await service.put('port', port('p'), {
      network: 'blue',
      mac: mac(1),
      portSecurity: false,
      binding: { switch: '00000000000000ab', port: 's1-eth1' },
    });
    const { object } = await service.patch('port', port('p'), {
      portSecurity: null,
      binding: { port: '7' },
      addresses: ['10.0.0.9'],
    });
    expect(object).toMatchObject({
      portSecurity: true,
      addresses: ['10.0.0.9'],
      binding: { switch: '00000000000000ab', port: 7 },
    });
    const gone = await service.patch('port', port('p'), { binding: null });
    expect(gone.object).not.toHaveProperty('binding');
  });

  it('keeps the segment id of a network over PUTs without one, and frees it with the transport', async () => {
    await network();
    await service.put('network', port('green'), { segmentId: 77 });
    expect((await service.put('network', port('green'), { mtu: 1400 })).object).toMatchObject({ segmentId: 77 });
    await service.put('network', port('green'), { transport: 'vxlan' });
    expect((await service.put('network', port('red'), { segmentId: 77 })).object).toMatchObject({ segmentId: 77 });
  });

  it('obeys If-Match and If-None-Match', async () => {
    const { revision } = await service.put('tenant', acme, {});
    const stale = await refusal(service.put('tenant', acme, { description: 'x' }, { ifMatch: revision + 1 }));
    expect(stale).toMatchObject({ status: 412, code: 'NL_PRECONDITION', details: { revision } });
    expect(await refusal(service.put('tenant', acme, {}, { ifNoneMatch: true }))).toMatchObject({ status: 412 });
    expect(await refusal(service.delete('tenant', acme, { ifMatch: revision + 1 }))).toMatchObject({ status: 412 });
    expect(await service.put('tenant', acme, { description: 'y' }, { ifMatch: revision })).toMatchObject({
      changed: true,
    });
  });

  it('only plans with dryRun', async () => {
    await network();
    const before = store.revision;
    service.setPlanner((changes, desired) => ({ report: [changes.length, desired.ports.size] }));
    const result = await service.put('port', port('p'), { network: 'blue', mac: mac(1) }, { dryRun: true });
    expect(result).toMatchObject({ created: true, plan: [1, 1] });
    expect(service.desired.ports.size).toBe(0);
    expect(store.revision).toBe(before);
    expect(() => service.get('port', port('p'))).toThrow(RequestError);
  });
});

describe('refusals', () => {
  it('names every problem of a body', async () => {
    await network();
    const error = await refusal(
      service.put('port', port('p'), {
        mac: '01:00:5e:00:00:01',
        adresses: [],
        network: 7,
        binding: { switch: 'xyz', port: 0 },
      }),
    );
    expect(error).toMatchObject({ status: 400, code: 'NL_INVALID' });
    expect(error.errors.map(({ pointer }) => pointer).sort()).toEqual([
      '/adresses',
      '/binding/port',
      '/binding/switch',
      '/network',
    ]);
    const semantic = await refusal(
      service.put('port', port('p'), {
        mac: '01:00:5e:00:00:01',
        network: 'blue',
        addresses: ['10.0.0.300', '224.0.0.1', '10.0.0.5', '10.0.0.5'],
      }),
    );
    expect(semantic.errors.map(({ pointer }) => pointer)).toEqual([
      '/mac',
      '/addresses/0',
      '/addresses/1',
      '/addresses/3',
    ]);
  });

  it.each([
    ['an array', []],
    ['null', null],
    ['text', 'x'],
    ['a number above 2^53', { quota: { networks: 2 ** 53 } }],
    ['an unknown field', { nope: 1 }],
    ['a member named __proto__', JSON.parse('{"__proto__":{"description":"x"}}')],
    ['half a surrogate pair', { description: '\ud800' }],
  ])('answers %s as a tenant with 400', async (_, body) => {
    expect(await refusal(service.put('tenant', acme, body))).toMatchObject({ status: 400, code: 'NL_INVALID' });
  });

  it.each(['', 'A', '-a', 'a-', 'a/b', '../x', 'a'.repeat(64), 'é', 'a\n'])('refuses the id %j', async (tenant) => {
    expect(await refusal(service.put('tenant', { tenant }, {}))).toMatchObject({ status: 400 });
    expect(() => service.get('tenant', { tenant })).toThrow(RequestError);
  });

  it('refuses host bits, overlaps and too large an MTU', async () => {
    await service.put('tenant', acme, {});
    const body = { subnets: ['10.1.2.3/24', '10.0.0.0/8', '10.9.0.0/16'], transport: 'nvgre', mtu: 1459 };
    const error = await refusal(service.put('network', blue, body));
    expect(error.errors.map(({ pointer }) => pointer)).toEqual(['/subnets/0', '/subnets/2', '/mtu']);
    expect(error.errors[0]?.message).toContain('10.1.2.0/24');
  });

  it('refuses addresses outside of the subnets, and subnets that leave addresses outside', async () => {
    await network();
    const outside = await refusal(
      service.put('port', port('p'), { network: 'blue', mac: mac(1), addresses: ['10.0.1.1'] }),
    );
    expect(outside.errors[0]?.pointer).toBe('/addresses/0');
    await service.put('port', port('p'), { network: 'blue', mac: mac(1), addresses: ['10.0.0.200', 'fe80::1'] });
    expect(await refusal(service.patch('network', blue, { subnets: ['10.0.0.0/25'] }))).toMatchObject({
      code: 'NL_IN_USE',
      details: { users: ['/v1/tenants/acme/ports/p'] },
    });
  });

  it('says who holds a MAC, an address, a binding, a segment', async () => {
    await network();
    await service.put('tenant', { tenant: 'other' }, {});
    await service.put('network', { tenant: 'other', id: 'n' }, { segmentId: 9 });
    const binding = { hypervisor: 'hv', interfaceId: 'if/1' };
    await service.put('port', port('p'), { network: 'blue', mac: mac(1), addresses: ['10.0.0.1'], binding });
    const error = await refusal(
      service.put('port', port('q'), { network: 'blue', mac: mac(1), addresses: ['10.0.0.2', '10.0.0.1'], binding }),
    );
    expect(error).toMatchObject({ status: 409, code: 'NL_CONFLICT' });
    expect(error.errors.map(({ pointer }) => pointer)).toEqual(['/mac', '/addresses/1', '/binding']);
    expect(error.message).toContain('/v1/tenants/acme/ports/p');
    expect(await refusal(service.put('network', port('x'), { segmentId: 9 }))).toMatchObject({
      code: 'NL_CONFLICT',
      details: { holder: '/v1/tenants/other/networks/n' },
    });
    expect((await service.put('network', port('x'), { segmentId: 9, transport: 'vxlan' })).created).toBe(true);
  });

  it('gives segments of the range that is set, names the range when all are taken, and goes on when one is free again', async () => {
    service = await openObjectService({
      ...{ store, log: silentLogger, clock: systemClock },
      segments: { vxlan: { first: 5_000, last: 5_001 } },
    });
    await service.put('tenant', acme, {});
    const vxlan = { transport: 'vxlan' };
    // Those outside of the range are nobody's loss.
    for (const segmentId of [1, 2, 5_002])
      await service.put('network', port(`given${segmentId}`), { ...vxlan, segmentId });
    const segmentOf = async (id: string) => (await service.put('network', port(id), vxlan)).object;
    expect(await segmentOf('a')).toMatchObject({ segmentId: 5_000 });
    expect(await segmentOf('b')).toMatchObject({ segmentId: 5_001 });
    const error = await refusal(segmentOf('c'));
    expect(error).toMatchObject({
      ...{ status: 409, code: 'NL_EXHAUSTED' },
      details: { space: 'segment-vxlan', first: 5_000, last: 5_001 },
      errors: [{ pointer: '/segmentId' }],
    });
    expect(error.message).toContain('5000…5001');
    await service.delete('network', port('a'));
    expect(await segmentOf('c')).toMatchObject({ segmentId: 5_000 });
    expect((await service.put('network', port('d'), { transport: 'nvgre' })).object).toMatchObject({ segmentId: 1 });
  });

  it('lets tenants and networks overlap in MAC and address', async () => {
    await network();
    const other = { tenant: 'other' };
    await service.put('tenant', other, {});
    await service.put('network', { ...other, id: 'blue' }, {});
    const body = { network: 'blue', mac: mac(1), addresses: ['10.0.0.1'] };
    await service.put('port', port('p'), body);
    expect(await service.put('port', { ...other, id: 'p' }, body)).toMatchObject({ created: true });
  });

  it('lets two networks be one segment: other transports, one MTU, one space of addresses, and no third', async () => {
    await service.put('tenant', acme, {});
    const side = { transport: 'nvgre', extends: 'lan', gateways: ['hv1', 'hv2'], mtu: 1450 };
    const at = (id: string): ObjectIds => ({ tenant: 'acme', id });
    const pointers = async (id: string, body: unknown): Promise<unknown> =>
      (await refusal(service.put('network', at(id), body))).errors.map(({ pointer }) => pointer);
    expect(await pointers('far', side)).toEqual(['/extends']);
    await service.put('network', at('lan'), { transport: 'vxlan', mtu: 1450 });
    expect(await pointers('far', { ...side, gateways: undefined })).toEqual(['/gateways']);
    expect(await pointers('far', { ...side, extends: undefined })).toEqual(['/gateways']);
    expect(await pointers('far', { ...side, gateways: ['hv1', 'hv1'] })).toEqual(['/gateways/1']);
    expect(await pointers('far', { ...side, extends: 'far' })).toEqual(['/extends']);
    expect(await pointers('far', { ...side, transport: 'vxlan', mtu: 1400 })).toEqual(['/transport', '/mtu']);
    await service.put('network', at('far'), side);
    expect(await pointers('third', { ...side, transport: 'fabric' })).toEqual(['/extends']);
    expect(await pointers('third', { ...side, transport: 'fabric', extends: 'far' })).toEqual(['/extends']);
    expect(await pointers('lan', { transport: 'vxlan', mtu: 1450, extends: 'far', gateways: ['hv1'] })).toEqual([
      '/extends',
    ]);
    expect(await pointers('lan', { transport: 'nvgre', mtu: 1458 })).toEqual(['/transport', '/mtu']);

    await service.put('port', port('p'), { network: 'lan', mac: mac(1), addresses: ['10.0.0.1'] });
    expect(
      await refusal(service.put('port', port('q'), { network: 'far', mac: mac(1), addresses: ['10.0.0.1'] })),
    ).toMatchObject({
      code: 'NL_CONFLICT',
      errors: [{ pointer: '/mac' }, { pointer: '/addresses/0' }],
    });
    await service.put('port', port('q'), { network: 'far', mac: mac(2), addresses: ['10.0.0.2'] });
    const users = { details: { users: ['/v1/tenants/acme/ports/q'] } };
    expect(await refusal(service.patch('network', at('far'), { extends: null, gateways: null }))).toMatchObject(users);
    expect((await service.patch('network', at('far'), { gateways: ['hv3'] })).object).toMatchObject({
      gateways: ['hv3'],
    });
    expect(await refusal(service.delete('network', at('lan')))).toMatchObject({
      code: 'NL_IN_USE',
      details: { users: ['/v1/tenants/acme/ports/p', '/v1/tenants/acme/ports/q', '/v1/tenants/acme/networks/far'] },
    });
    // After a restart it is all still there.
    service = await open();
    await service.delete('port', port('q'));
    await service.patch('network', at('far'), { extends: null, gateways: null });
    expect((await service.put('port', port('q'), { network: 'far', mac: mac(1) })).created).toBe(true);
    expect((await service.put('network', at('third'), { ...side, transport: 'fabric' })).created).toBe(true);
    await service.delete('network', at('lan'), { cascade: true });
    expect([...service.desired.networksOf('acme')].map(({ id }) => id)).toEqual(['far']);
    expect((await service.put('network', at('lan'), { transport: 'vxlan', mtu: 1450 })).created).toBe(true);
    expect((await service.put('network', at('third'), { ...side, transport: 'fabric' })).created).toBe(true);
  });

  it('keeps to quotas', async () => {
    await service.put('tenant', acme, { quota: { networks: 1, ports: 2, flows: 10 } });
    await service.put('network', blue, {});
    expect(await refusal(service.put('network', port('red'), {}))).toMatchObject({ status: 409, code: 'NL_QUOTA' });
    service.setPlanner((_, desired) => ({ report: [], flowsOfTenant: new Map([['acme', desired.ports.size * 7]]) }));
    await service.put('port', port('a'), { network: 'blue', mac: mac(1) });
    const flows = await refusal(service.put('port', port('b'), { network: 'blue', mac: mac(2) }));
    expect(flows).toMatchObject({ code: 'NL_QUOTA', details: { quota: 'flows', limit: 10, wanted: 14 } });
    service.setPlanner(undefined);
    await Promise.all(
      ['b', 'c', 'd'].map((id, i) =>
        service.put('port', port(id), { network: 'blue', mac: mac(i + 5) }).catch((error: unknown) => {
          expect(error).toMatchObject({ code: 'NL_QUOTA' });
        }),
      ),
    );
    expect(service.desired.ports.size).toBe(2);
  });

  it('hands an admission hook the change before it is made, and its refusal to the caller', async () => {
    await network();
    const seen: string[] = [];
    const remove = service.admit('test', (change, desired) => {
      seen.push(`${change.kind} ${change.after?.id} ${desired.ports.size}`);
      throw new RequestError(409, 'NL_TEST', 'not today');
    });
    expect(await refusal(service.put('port', port('p'), { network: 'blue', mac: mac(1) }))).toMatchObject({
      code: 'NL_TEST',
    });
    expect(seen).toEqual(['port p 0']);
    remove();
    expect(await service.put('port', port('p'), { network: 'blue', mac: mac(1) })).toMatchObject({ created: true });
  });
});

describe('deleting', () => {
  it('refuses what is in use, naming the users, and cascades on request in one revision', async () => {
    await network();
    await service.put('port', port('p'), { network: 'blue', mac: mac(1) });
    expect(await refusal(service.delete('network', blue))).toMatchObject({
      code: 'NL_IN_USE',
      details: { users: ['/v1/tenants/acme/ports/p'] },
    });
    const revisions: number[] = [];
    service.onChange('test', (changes, revision) => {
      revisions.push(revision);
      expect(changes.map(({ kind }) => kind)).toEqual(['port', 'network', 'tenant']);
    });
    const { deleted, revision } = await service.delete('tenant', acme, { cascade: true });
    expect(deleted).toEqual(['/v1/tenants/acme/ports/p', '/v1/tenants/acme/networks/blue', '/v1/tenants/acme']);
    expect(revisions).toEqual([revision]);
    expect(await refusal(service.delete('tenant', acme))).toMatchObject({ status: 404 });
  });

  it('gives numbers out again only after all others had their turn', async () => {
    await network();
    await service.put('port', port('p'), { network: 'blue', mac: mac(1) });
    await service.delete('port', port('p'));
    expect((await service.put('port', port('p'), { network: 'blue', mac: mac(1) })).object.status).toEqual({
      endpoint: 2,
    });
  });
});

describe('many at once', () => {
  it('loses no update when 16 writers patch one object', async () => {
    await service.put('tenant', acme, { quota: {} });
    const fields = ['networks', 'ports', 'flows', 'packetInRate'] as const;
    await Promise.all(
      Array.from({ length: 16 }, (_, i) => service.patch('tenant', acme, { quota: { [fields[i % 4]!]: i + 1 } })),
    );
    expect(service.get('tenant', acme)).toMatchObject({
      quota: { networks: 13, ports: 14, flows: 15, packetInRate: 16 },
    });
  });

  it('lets exactly one of 16 writers with the same If-Match through, each round', async () => {
    let { revision } = await service.put('tenant', acme, {});
    for (let round = 0; round < 5; round++) {
      const ifMatch = revision;
      const results = await Promise.allSettled(
        Array.from({ length: 16 }, (_, i) =>
          service.put('tenant', acme, { description: `${round}/${i}` }, { ifMatch }),
        ),
      );
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      for (const result of results) {
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ status: 412 });
      }
      revision = service.revision;
    }
  });

  it('never gives two writes of one object the same revision', async () => {
    await service.put('tenant', acme, {});
    const results = await Promise.all(
      Array.from({ length: 16 }, (_, i) => service.put('tenant', acme, { description: String(i) })),
    );
    expect(new Set(results.map(({ revision }) => revision)).size).toBe(16);
  });

  it('keeps two services on one store in step, each seeing the other and no number twice', async () => {
    const second = await open();
    await network();
    await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        (i % 2 ? service : second).put('port', port(`p${i}`), { network: 'blue', mac: mac(i) }),
      ),
    );
    const ports = [...service.desired.ports.values()];
    expect(new Set(ports.map(({ endpoint }) => endpoint)).size).toBe(60);
    expect([...second.desired.ports.values()].map(({ endpoint }) => endpoint).sort()).toEqual(
      ports.map(({ endpoint }) => endpoint).sort(),
    );
    const outcomes = await Promise.allSettled([
      service.put('port', port('x'), { network: 'blue', mac: '02:00:00:00:01:00' }),
      second.delete('network', blue, { cascade: true }),
      second.put('port', port('y'), { network: 'blue', mac: '02:00:00:00:01:00' }),
    ]);
    expect(outcomes.map(({ status }) => status)).toContain('fulfilled');
    for (const { network: of, tenant } of service.desired.ports.values()) {
      expect(service.desired.networks.has(`${tenant}/${of}`)).toBe(true);
    }
  });
});

describe('bulk', () => {
  const put = (kind: 'tenant' | 'network' | 'port', ids: ObjectIds, body: unknown) =>
    ({ method: 'PUT', kind, ids, body }) as const;

  it('does all in one revision when atomic, later operations seeing earlier ones', async () => {
    const seen: (readonly DesiredChange[])[] = [];
    service.onChange('test', (changes) => seen.push(changes));
    const { items, revision } = await service.bulk(
      [
        put('tenant', acme, {}),
        put('network', blue, {}),
        put('port', port('p'), { network: 'blue', mac: mac(1) }),
        { method: 'PATCH', kind: 'port', ids: port('p'), body: { mac: mac(2) } },
      ],
      { atomic: true },
    );
    expect(items.map(({ ok }) => ok)).toEqual([true, true, true, true]);
    expect(service.get('port', port('p'))).toMatchObject({ mac: mac(2), revision });
    expect(seen.map((changes) => changes.map(({ kind }) => kind))).toEqual([['tenant', 'network', 'port']]);
  });

  it('does nothing when atomic and one is refused, and points at it', async () => {
    const error = await refusal(
      service.bulk(
        [put('tenant', acme, {}), put('network', blue, {}), put('port', port('p'), { network: 'red', mac: mac(1) })],
        {
          atomic: true,
        },
      ),
    );
    expect(error).toMatchObject({ status: 400, errors: [{ pointer: '/operations/2/body/network' }] });
    expect(service.desired.tenants.size).toBe(0);
    const many = await refusal(
      service.bulk([put('tenant', acme, { a: 1 }), put('tenant', acme, { b: 1 })], { atomic: true }),
    );
    expect(many.errors.map(({ pointer }) => pointer)).toEqual(['/operations/0/body/a', '/operations/1/body/b']);
  });

  it('gives each its own result when not atomic', async () => {
    const { items } = await service.bulk(
      [
        put('tenant', acme, {}),
        put('network', blue, { mtu: 9000 }),
        put('network', blue, {}),
        put('port', port('p'), { network: 'blue', mac: mac(1) }),
        { method: 'DELETE', kind: 'tenant', ids: acme },
        { method: 'DELETE', kind: 'tenant', ids: acme, cascade: true },
      ],
      { atomic: false },
    );
    expect(items.map((item) => (item.ok ? 'ok' : item.error.code))).toEqual([
      'ok',
      'NL_INVALID',
      'ok',
      'ok',
      'NL_IN_USE',
      'ok',
    ]);
    expect(service.desired.tenants.size).toBe(0);
  });

  it('takes 5,000 ports in one transaction', async () => {
    await service.put('tenant', acme, {});
    await service.put('network', blue, {});
    const before = store.revision;
    const operations = Array.from({ length: 5_000 }, (_, i) =>
      put('port', port(`p${i}`), {
        network: 'blue',
        mac: `02:00:00:00:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`,
      }),
    );
    await service.bulk(operations, { atomic: true });
    expect(store.revision).toBe(before + 1);
    expect(service.desired.ports.size).toBe(5_000);
  });
});

describe('listing', () => {
  it('pages through everything once, in a stable order, while others come and go', async () => {
    await network();
    for (let i = 0; i < 25; i++) await service.put('port', port(`p${i}`), { network: 'blue', mac: mac(i) });
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = service.list('port', acme, { limit: 10, ...(cursor === undefined ? {} : { cursor }) });
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
      await service.delete('port', port(seen[0]!)).catch(() => undefined);
      await service.put('port', port(`a${seen.length}`), { network: 'blue', mac: mac(100 + seen.length) });
    } while (cursor !== undefined);
    expect(seen).toHaveLength(25);
    expect(new Set(seen).size).toBe(25);
    expect(() => service.list('port', acme, { cursor: 'rubbish' })).toThrow(RequestError);
    expect(() => service.list('port', acme, { limit: 0 })).toThrow(RequestError);
    expect(() => service.list('port', { tenant: 'nobody' })).toThrow(RequestError);
  });
});
