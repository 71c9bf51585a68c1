import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { MapNotify, MapRequest } from '../../../src/overlay-gw/lisp/index.ts';
import { Lab } from '../../kit/controller.ts';
import { freeUdpPort, LispRouter, rlocsOf } from '../../kit/lisp-router.ts';

/** Ports of tenants, as LISP routers find them. */

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
  });
  await lab.ok('PUT', '/v1/sites/east', { rlocs: [{ address: '198.51.100.1', priority: 3, weight: 30 }] });
  await lab.ok('PUT', '/v1/hypervisors/hv1', { tunnelAddresses: ['192.0.2.1', '2001:db8::1'] });
  await lab.ok('PUT', '/v1/hypervisors/hv2', { tunnelAddresses: ['192.0.2.2'] });
  await lab.ok('PUT', '/v1/hypervisors/hv3', { tunnelAddresses: ['192.0.2.3'], site: 'east' });
  for (const [tenant, instanceId] of [
    ['acme', 1001],
    ['zeta', 1002],
  ] as const) {
    await lab.ok('PUT', `/v1/tenants/${tenant}`, {});
    await lab.ok('PUT', `/v1/tenants/${tenant}/networks/lan`, { transport: 'vxlan', instanceId });
  }
});
afterAll(() => lab.remove());
afterEach(async () => {
  for (const each of routers.splice(0)) each.close();
  for (const tenant of ['acme', 'zeta']) {
    for (const { id } of (await lab.ok('GET', `/v1/tenants/${tenant}/ports`)).items) {
      await lab.ok('DELETE', `/v1/tenants/${tenant}/ports/${id}`);
    }
  }
});

const router = async (): Promise<LispRouter> => {
  const at = { address: `127.0.0.${routers.length + 2}`, port: routerPort };
  const made = await LispRouter.start(server, 'secret', at);
  routers.push(made);
  return made;
};
const port = (tenant: string, id: string, hypervisor: string, addresses: string[], more: object = {}) =>
  lab.ok('PUT', `/v1/tenants/${tenant}/ports/${id}`, {
    network: 'lan',
    mac: '02:00:00:00:00:01',
    addresses,
    binding: { hypervisor, interfaceId: `${tenant}-${id}` },
    ...more,
  });

describe('a port', () => {
  it('is found by each of its addresses, at the addresses of its hypervisor or the locators of its site', async () => {
    const xtr = await router();
    await port('acme', 'web', 'hv1', ['10.0.0.1', 'fd00::1']);
    expect(await xtr.ask('[1001]10.0.0.1')).toMatchObject({ ttl: 10, maskLength: 32, authoritative: true });
    expect(rlocsOf(await xtr.ask('[1001]10.0.0.1'))).toEqual(['192.0.2.1', '2001:db8::1']);
    expect(rlocsOf(await xtr.ask('[1001]fd00::1'))).toEqual(['192.0.2.1', '2001:db8::1']);
    await port('acme', 'web', 'hv3', ['10.0.0.1']);
    expect(await xtr.ask('[1001]10.0.0.1')).toMatchObject({
      locators: [{ priority: 3, weight: 30, rloc: { address: '198.51.100.1' } }],
    });
    expect((await xtr.ask('[1001]fd00::1')).locators).toEqual([]);
    const [shown] = (await lab.ok('GET', '/v1/lisp/mappings')).items;
    expect(shown.registrations).toMatchObject([{ source: 'port', by: '/v1/tenants/acme/ports/web', counts: true }]);
  });

  it('follows the locators of its site and the addresses of its hypervisor', async () => {
    const xtr = await router();
    await port('acme', 'web', 'hv3', ['10.0.0.1']);
    await lab.ok('PUT', '/v1/sites/east', { rlocs: [] });
    expect(rlocsOf(await xtr.ask('[1001]10.0.0.1'))).toEqual(['192.0.2.3']);
    await lab.ok('PATCH', '/v1/hypervisors/hv3', { tunnelAddresses: ['192.0.2.33'] });
    expect(rlocsOf(await xtr.ask('[1001]10.0.0.1'))).toEqual(['192.0.2.33']);
    await lab.ok('PUT', '/v1/sites/east', { rlocs: [{ address: '198.51.100.1', priority: 3, weight: 30 }] });
    expect(rlocsOf(await xtr.ask('[1001]10.0.0.1'))).toEqual(['198.51.100.1']);
  });

  it('of another tenant with the same address is another mapping, in its own instance; without an instance there is none', async () => {
    const xtr = await router();
    await port('acme', 'web', 'hv1', ['10.0.0.1']);
    await port('zeta', 'web', 'hv2', ['10.0.0.1']);
    expect(rlocsOf(await xtr.ask('[1001]10.0.0.1'))).toEqual(['192.0.2.1', '2001:db8::1']);
    expect(rlocsOf(await xtr.ask('[1002]10.0.0.1'))).toEqual(['192.0.2.2']);
    expect((await xtr.ask('10.0.0.1')).locators).toEqual([]);
    const taken = await lab.call('PUT', '/v1/tenants/zeta/networks/other', { instanceId: 1001 });
    expect([taken.status, taken.body.errors]).toEqual([
      409,
      [{ pointer: '/instanceId', message: 'LISP instance 1001 belongs to /v1/tenants/acme/networks/lan' }],
    ]);
    await lab.ok('PATCH', '/v1/tenants/zeta/networks/lan', { instanceId: null });
    expect((await xtr.ask('[1002]10.0.0.1')).locators).toEqual([]);
    await lab.ok('PATCH', '/v1/tenants/zeta/networks/lan', { instanceId: 1002 });
    expect(rlocsOf(await xtr.ask('[1002]10.0.0.1'))).toEqual(['192.0.2.2']);
  });

  it('that moves is told to whoever asked for it and to who subscribed, by one write', async () => {
    await lab.ok('PUT', '/v1/lisp/sites/remote', {
      instanceId: 1001,
      eidPrefixes: ['172.16.0.0/16'],
      keys: ['secret'],
    });
    const [asker, subscriber] = [await router(), await router()];
    await port('acme', 'web', 'hv1', ['10.0.0.1']);
    await subscriber.register('[1001]172.16.0.0/16', ['203.0.113.1']);
    await subscriber.subscribe('[1001]10.0.0.0/24');
    await asker.ask('[1001]10.0.0.1', { source: { afi: 'ipv4', address: '172.16.0.9' } });
    await port('acme', 'web', 'hv2', ['10.0.0.1']);
    const smr = (await asker.next((each) => each.type === 'mapRequest' && each.smr)) as MapRequest;
    expect(smr.records[0]).toMatchObject({
      maskLength: 32,
      eid: { instanceId: 1001, address: { address: '10.0.0.1' } },
    });
    const moved = (await subscriber.next(
      (each) => each.type === 'mapNotify' && each.records.some((record) => rlocsOf(record)[0] === '192.0.2.2'),
    )) as MapNotify;
    expect(moved.records[0]).toMatchObject({ maskLength: 32, ttl: 10 });
    expect(rlocsOf(await asker.ask('[1001]10.0.0.1'))).toEqual(['192.0.2.2']);
  });

  it('that is gone, or nowhere, is nowhere', async () => {
    const xtr = await router();
    await port('acme', 'web', 'hv1', ['10.0.0.1']);
    await lab.ok('PATCH', '/v1/tenants/acme/ports/web', { binding: null });
    expect((await xtr.ask('[1001]10.0.0.1')).locators).toEqual([]);
    await port('acme', 'web', 'hv1', ['10.0.0.1']);
    await lab.ok('DELETE', '/v1/tenants/acme/ports/web');
    expect((await lab.ok('GET', '/v1/lisp/mappings?instanceId=1001&eid=10.0.0.1')).items).toEqual([]);
  });

  it('is found again after a restart', async () => {
    await port('acme', 'web', 'hv1', ['10.0.0.1']);
    await lab.stop();
    await lab.start();
    const xtr = await router();
    expect(rlocsOf(await xtr.ask('[1001]10.0.0.1'))).toEqual(['192.0.2.1', '2001:db8::1']);
  });
});
