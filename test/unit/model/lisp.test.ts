import { beforeEach, describe, expect, it } from 'vitest';
import { RequestError, silentLogger, systemClock } from '../../../src/controller/kernel/index.ts';
import {
  type ObjectKind,
  type ObjectService,
  objectOfPath,
  openObjectService,
  restPath,
} from '../../../src/controller/model/index.ts';
import { openMemoryStore, type Store } from '../../../src/controller/store/index.ts';

/** Sites, LISP sites and LISP mappings as objects. */

let store: Store;
let service: ObjectService;
const open = (): Promise<ObjectService> => openObjectService({ store, log: silentLogger, clock: systemClock });
beforeEach(async () => {
  store = await openMemoryStore({ log: silentLogger, clock: systemClock });
  service = await open();
});

const named = (id: string) => ({ tenant: '', id });
const put = (kind: ObjectKind, id: string, body: unknown) => service.put(kind, named(id), body);

async function refusal(promise: Promise<unknown>): Promise<RequestError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RequestError);
  return error as RequestError;
}

describe('paths', () => {
  it.each([
    ['tenant', { tenant: 'acme' }, '/v1/tenants/acme'],
    ['network', { tenant: 'acme', id: 'lan' }, '/v1/tenants/acme/networks/lan'],
    ['port', { tenant: 'acme', id: 'p' }, '/v1/tenants/acme/ports/p'],
    ['hypervisor', named('hv'), '/v1/hypervisors/hv'],
    ['site', named('s'), '/v1/sites/s'],
    ['lispSite', named('s'), '/v1/lisp/sites/s'],
    ['lispMapping', named('m'), '/v1/lisp/mappings/m'],
  ] as const)('of a %s lead to it and back', (kind, ids, path) => {
    expect(restPath(kind, ids)).toBe(path);
    expect(objectOfPath(path)).toEqual({ kind, ids });
  });

  it.each([
    '/v1/sites',
    '/v1/lisp/sites',
    '/v1/tenants/acme/routers/r',
    '/v1/lisp/other/x',
    '/v1/sites/a/b',
    'sites/a',
  ])('%s names no object', (path) => {
    expect(objectOfPath(path)).toBeUndefined();
  });
});

describe('a site', () => {
  it('has locators with the defaults of LISP routers, in canonical form', async () => {
    const { object } = await put('site', 'east', {
      rlocs: [{ address: '198.51.100.1' }, { address: '2001:DB8::1', priority: 2, weight: 50 }],
    });
    expect(object).toMatchObject({
      rlocs: [
        { address: '198.51.100.1', priority: 1, weight: 100 },
        { address: '2001:db8::1', priority: 2, weight: 50 },
      ],
    });
  });

  it('refuses locators that nobody can reach, each by its place', async () => {
    const { errors } = await refusal(
      put('site', 'east', { rlocs: [{ address: '127.0.0.1' }, { address: '10.0.0.1' }, { address: '10.0.0.1' }] }),
    );
    expect(errors).toEqual([
      { pointer: '/rlocs/0/address', message: 'is loopback' },
      { pointer: '/rlocs/2/address', message: 'is listed twice' },
    ]);
    const range = await refusal(put('site', 'east', { rlocs: [{ address: '10.0.0.1', priority: 256 }] }));
    expect(range.errors.map(({ pointer }) => pointer)).toEqual(['/rlocs/0/priority']);
  });

  it('is kept while hypervisors stand there, and goes with them when that is asked for', async () => {
    await put('site', 'east', {});
    await put('hypervisor', 'hv1', { tunnelAddresses: ['192.0.2.1'], site: 'east' });
    await put('hypervisor', 'hv2', { tunnelAddresses: ['192.0.2.2'], site: 'west' });
    const error = await refusal(service.delete('site', named('east')));
    expect(error).toMatchObject({ status: 409, code: 'NL_IN_USE', details: { users: ['/v1/hypervisors/hv1'] } });
    const { deleted } = await service.delete('site', named('east'), { cascade: true });
    expect(deleted).toEqual(['/v1/hypervisors/hv1', '/v1/sites/east']);
    expect([...service.desired.hypervisors.keys()]).toEqual(['hv2']);
    // Its tunnel address is free again.
    await put('hypervisor', 'hv3', { tunnelAddresses: ['192.0.2.1'] });
  });
});

describe('a LISP site', () => {
  const body = { instanceId: 7, eidPrefixes: ['10.1.0.0/16', '2001:DB8::/32', '02:00:00:00:00:00/24'] };

  it('never shows its keys, and keeps them when they are not given', async () => {
    const made = await put('lispSite', 's', { ...body, keys: ['top secret', 'old secret'] });
    expect(JSON.stringify([made, service.get('lispSite', named('s')), service.list('lispSite', {})])).not.toContain(
      'secret',
    );
    expect(made.object).toMatchObject({ eidPrefixes: ['10.1.0.0/16', '2001:db8::/32', '02:00:00:00:00:00/24'] });
    const { object } = made;
    expect(await put('lispSite', 's', object)).toMatchObject({ changed: false });
    expect(await put('lispSite', 's', { ...object, proxyReply: true })).toMatchObject({ changed: true });
    await service.patch('lispSite', named('s'), { merge: true, keys: null });
    const again = await open();
    expect(again.desired.lispSites.get('s')).toMatchObject({
      keys: ['top secret', 'old secret'],
      proxyReply: true,
      merge: true,
    });
    await service.patch('lispSite', named('s'), { keys: ['new'] });
    expect(service.desired.lispSites.get('s')?.keys).toEqual(['new']);
    await service.patch('lispSite', named('s'), { keys: [] });
    expect(service.desired.lispSites.get('s')?.keys).toEqual([]);
  });

  it('says nothing of its keys in refusals', async () => {
    const error = await refusal(put('lispSite', 's', { ...body, keys: ['a secret\n'], eidPrefixes: ['x'] }));
    expect(error.errors.map(({ pointer }) => pointer)).toEqual(['/keys/0']);
    expect(JSON.stringify([error.message, error.errors, error.details])).not.toContain('secret');
  });

  it('refuses prefixes that are none, or twice there', async () => {
    const eidPrefixes = [
      '10.1.0.1/16',
      '10.0.0.0/33',
      '02:00:00:00:00:01/24',
      '02:00:00:00:00:00/49',
      '10.1.0.0/16',
      'x',
    ];
    const { errors } = await refusal(put('lispSite', 's', { eidPrefixes: [...eidPrefixes, '10.1.0.0/16'] }));
    expect(errors).toEqual([
      { pointer: '/eidPrefixes/0', message: '"10.1.0.1/16" has bits set below its mask; write 10.1.0.0/16' },
      { pointer: '/eidPrefixes/1', message: '"10.0.0.0/33": length 33 is above 32' },
      {
        pointer: '/eidPrefixes/2',
        message: '"02:00:00:00:00:01/24" has bits set below its mask; write 02:00:00:00:00:00/24',
      },
      {
        pointer: '/eidPrefixes/3',
        message: '"02:00:00:00:00:00/49": the length of a MAC prefix is a number from 0 to 48',
      },
      { pointer: '/eidPrefixes/5', message: '"x" is not ADDRESS/LENGTH' },
      { pointer: '/eidPrefixes/6', message: 'is listed twice' },
    ]);
  });

  it('has its blocks for itself, in its virtual network; blocks within them may be of others', async () => {
    await put('lispSite', 'a', { eidPrefixes: ['10.0.0.0/8'] });
    const error = await refusal(put('lispSite', 'b', { eidPrefixes: ['10.0.0.0/8'] }));
    expect(error).toMatchObject({
      status: 409,
      code: 'NL_CONFLICT',
      errors: [
        { pointer: '/eidPrefixes/0', message: 'EID prefix 10.0.0.0/8 of instance 0 belongs to /v1/lisp/sites/a' },
      ],
    });
    await put('lispSite', 'b', { eidPrefixes: ['10.1.0.0/16'] });
    await put('lispSite', 'c', { eidPrefixes: ['10.0.0.0/8'], instanceId: 1 });
    await service.delete('lispSite', named('a'));
    await put('lispSite', 'd', { eidPrefixes: ['10.0.0.0/8'] });
  });
});

describe('a LISP mapping', () => {
  it('takes a prefix or an address, and drops what has no locator unless told otherwise', async () => {
    const { object } = await put('lispMapping', 'm', { instanceId: 7, eid: '10.1.0.9' });
    expect(object).toMatchObject({ instanceId: 7, eid: '10.1.0.9/32', rlocs: [], action: 'drop', ttlMinutes: 1440 });
    const found = await put('lispMapping', 'n', { eid: '02:00:00:00:00:01', rlocs: [{ address: '192.0.2.1' }] });
    expect(found.object).toMatchObject({ instanceId: 0, eid: '02:00:00:00:00:01/48', action: 'noAction' });
    const other = await put('lispMapping', 'o', { eid: '2001:db8::1', action: 'nativelyForward' });
    expect(other.object).toMatchObject({ eid: '2001:db8::1/128', action: 'nativelyForward' });
  });

  it('is the only one of its EID in its virtual network', async () => {
    await put('lispMapping', 'm', { eid: '10.1.0.0/16' });
    const { errors } = await refusal(put('lispMapping', 'n', { eid: '10.1.0.0/16' }));
    expect(errors).toEqual([
      { pointer: '/eid', message: 'EID 10.1.0.0/16 of instance 0 belongs to /v1/lisp/mappings/m' },
    ]);
    await put('lispMapping', 'n', { eid: '10.1.0.0/16', instanceId: 1 });
    await put('lispMapping', 'm', { eid: '10.2.0.0/16' });
    await put('lispMapping', 'o', { eid: '10.1.0.0/16' });
  });

  it('is stored, and there again after a restart', async () => {
    await put('lispMapping', 'm', { eid: '10.1.0.0/16', rlocs: [{ address: '2001:db8::1', priority: 0 }] });
    const before = service.get('lispMapping', named('m'));
    expect((await open()).get('lispMapping', named('m'))).toEqual(before);
  });
});
