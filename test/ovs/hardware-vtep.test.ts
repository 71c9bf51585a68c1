import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab } from '../kit/controller.ts';
import { freePort } from '../kit/netloom.ts';
import { VTEP_SCHEMA, VtepDatabase, whyNoVtepDatabase } from '../kit/vtep-database.ts';

const why = whyNoVtepDatabase();
if (why) console.log(`skipped: hardware VTEPs by REST: ${why}`);

interface Body {
  readonly status: { readonly conditions: readonly { readonly reason: string; readonly message: string }[] };
}

/** Databases of devices without forwarding, and a controller in this process; the tests build on each other. */
describe.skipIf(why !== undefined)('a hardware VTEP by REST', () => {
  let lab: Lab;
  let remote: string;
  const device = new VtepDatabase();
  const other = new VtepDatabase();
  const path = '/v1/hypervisors/rack';
  const port = '/v1/tenants/acme/ports/db';
  const object = { tunnelAddresses: ['192.0.2.1'], physicalSwitch: 'ps1' };
  const attached = { network: 'lan', mac: '02:00:00:00:00:01', addresses: ['10.0.0.1'] };
  const reason = (text: string) => (body: Body) => body.status.conditions[0]!.reason === text;
  const candidates = async () => (await lab.ok('GET', '/v1/apps/hypervisors/candidates')).items;

  beforeAll(async () => {
    const listen = `127.0.0.1:${await freePort()}`;
    lab = await Lab.start({ 'ovsdb.listen': listen });
    remote = `tcp:${listen}`;
    await lab.tenant('acme', { transport: 'vxlan', segmentId: 5001, subnets: ['10.0.0.0/24'] });
    for (const each of [device, other]) {
      await each.start();
      each.populate();
    }
  });

  afterAll(async () => {
    await lab?.remove();
    await device.stop();
    await other.stop();
  });

  it('is refused when it is not one', async () => {
    const pointers = async (method: string, where: string, body: object) => {
      const { status, body: problem } = await lab.call(method, where, body);
      return [status, ...problem.errors.map((each: { pointer: string }) => each.pointer)];
    };
    expect(await pointers('PUT', path, { ...object, datapathId: '0000000000000001' })).toEqual([
      400,
      '/physicalSwitch',
    ]);
    for (const tunnelAddresses of [[], ['2001:db8::1'], ['192.0.2.1', '2001:db8::1']])
      expect(await pointers('PUT', path, { ...object, tunnelAddresses })).toEqual([400, '/tunnelAddresses']);
    const bound = (binding: object) => pointers('PUT', port, { ...attached, binding });
    expect(await bound({ hypervisor: 'rack', port: 'p1', vlan: 4095 })).toEqual([400, '/binding/vlan']);
    expect(await bound({ hypervisor: 'rack', vlan: 1 })).toEqual([400, '/binding/port']);
    expect(await bound({ hypervisor: 'rack', port: 'p1', interfaceId: 'x' })).toEqual([400, '/binding']);
    expect(await bound({ switch: '0000000000000001', port: 'p1', vlan: 1 })).toEqual([400, '/binding']);
  });

  it('is a candidate when it dials in, and that of an object as soon as there is one', async () => {
    device.dbctl('ovsdb-server/add-remote', remote);
    await lab.poll(candidates, (items) => items.length === 1, 'candidates');
    expect((await candidates())[0]).toMatchObject({
      systemId: '',
      bridges: {},
      physicalSwitches: ['ps1'],
      tunnelAddresses: ['192.0.2.1'],
    });
    await lab.ok('PUT', port, { ...attached, binding: { hypervisor: 'rack', port: 'p1' } });
    await lab.until(port, reason('HypervisorUnknown'));
    await lab.ok('PUT', path, object);
    await lab.until(path, reason('Connected'));
    const { status } = await lab.until(path, (body) => body.status.database.state === 'right');
    expect(status).toMatchObject({
      database: { state: 'right' },
      device: { tunnelAddresses: ['192.0.2.1'], faults: [], ports: [{ name: 'p1' }, { name: 'p2' }] },
      networks: 1,
      learned: 0,
      problems: [],
    });
    expect(await candidates()).toEqual([]);
    await lab.until(port, reason('NothingToDo'));
    expect(device.ctl('list-bindings', 'ps1', 'p1')).toBe('0000 netloom.acme/lan');
    expect(device.ctl('get', 'Logical_Switch', 'netloom.acme/lan', 'tunnel_key')).toBe('5001');
  });

  it('keeps its database when another one claims its name, or another object would have it', async () => {
    other.dbctl('ovsdb-server/add-remote', remote);
    // Sent away each time; the one that was there stays.
    await lab.until('/v1/hypervisors/rack', reason('Connected'));
    const twice = await lab.call('PUT', '/v1/hypervisors/rack-2', { ...object, tunnelAddresses: ['192.0.2.2'] });
    expect([twice.status, twice.body.errors[0].pointer]).toEqual([409, '/physicalSwitch']);
    expect(other.ctl('list-ls')).toBe('');
    other.dbctl('ovsdb-server/remove-remote', remote);
    const dialled = { ...object, ovsdb: `unix:${other.socket}` };
    await lab.ok('PUT', '/v1/hypervisors/rack-2', { ...dialled, tunnelAddresses: ['192.0.2.2'] });
    await lab.until('/v1/hypervisors/rack-2', reason('AddressDiffers'));
    const again = await lab.call('PUT', '/v1/hypervisors/rack-3', { ...dialled, tunnelAddresses: ['192.0.2.3'] });
    expect([again.status, again.body.errors[0].pointer]).toEqual([409, '/ovsdb']);
  });

  it('is told of other devices in its networks, and they of it', async () => {
    const second = { ...attached, mac: '02:00:00:00:00:02', addresses: ['10.0.0.2'] };
    await lab.ok('PUT', '/v1/tenants/acme/ports/db2', {
      ...second,
      binding: { hypervisor: 'rack-2', port: 'p2', vlan: 7 },
    });
    const told = (from: VtepDatabase, text: string) =>
      lab.poll(
        async () => from.ctl('list-remote-macs', 'netloom.acme/lan'),
        (macs) => macs.includes(text),
        text,
      );
    await told(device, '02:00:00:00:00:02 -> vxlan_over_ipv4/192.0.2.2');
    await told(device, 'unknown-dst -> vxlan_over_ipv4/192.0.2.2');
    await told(other, '02:00:00:00:00:01 -> vxlan_over_ipv4/192.0.2.1');
    await lab.ok('PATCH', '/v1/hypervisors/rack-2', { tunnelAddresses: ['192.0.2.22'] });
    await told(device, '02:00:00:00:00:02 -> vxlan_over_ipv4/192.0.2.22');
    // What one learned is for others where a port of it is learned.
    other.ctl('add-ucast-local', 'netloom.acme/lan', '02:00:00:00:00:99', '192.0.2.22');
    const learned = (use: string) =>
      lab.until('/v1/apps/hypervisors/learned', ({ items }) => items.length === 1 && items[0].use === use);
    await learned('ignored');
    await lab.ok('PUT', '/v1/tenants/acme/ports/any', {
      network: 'lan',
      mac: 'learned',
      binding: { hypervisor: 'rack-2', port: 'p2', vlan: 8 },
    });
    await learned('reached');
    await told(device, '02:00:00:00:00:99 -> vxlan_over_ipv4/192.0.2.22');
    await lab.ok('PUT', '/v1/tenants/acme/ports/now', { ...attached, mac: '02:00:00:00:00:99', addresses: [] });
    await learned('declared');
    expect(await lab.sum('netloom_hwvtep_learned_macs')).toBe(1);
  });

  it('is a place that a port moves to, ready when the device has it, and told to others once the port is there', async () => {
    const moving = '/v1/tenants/acme/ports/moving';
    const mac = '02:00:00:00:00:55';
    const to = { hypervisor: 'rack-2', port: 'p1', vlan: 55 };
    const macs = (from: VtepDatabase) => from.ctl('list-remote-macs', 'netloom.acme/lan');
    await lab.ok('PUT', moving, { network: 'lan', mac, binding: { hypervisor: 'rack', port: 'p2', vlan: 55 } });
    await lab.poll(
      async () => macs(other),
      (text) => text.includes(`${mac} -> vxlan_over_ipv4/192.0.2.1\n`),
      'where it is',
    );
    await lab.ok('PUT', `${moving}/migration`, { to });
    await lab.until(`${moving}/migration`, ({ phase }) => phase === 'ready');
    expect(other.ctl('list-bindings', 'ps1', 'p1')).toBe('0055 netloom.acme/lan');
    expect(macs(device)).not.toContain(mac);
    await lab.ok('POST', `${moving}/migration/complete`);
    await lab.until(`${moving}/migration`, ({ phase }) => phase === 'done');
    await lab.poll(
      async () => [macs(device).includes(`${mac} -> vxlan_over_ipv4/192.0.2.22`), macs(other).includes(mac)],
      ([there, here]) => there === true && here === false,
      'where it has moved to',
    );
    expect(device.ctl('list-bindings', 'ps1', 'p2')).toBe('');
    await lab.ok('DELETE', moving);
    await lab.poll(
      async () => macs(device),
      (text) => !text.includes(mac),
      'rows of the port',
    );
  });

  it('gets no transaction when the controller starts again', async () => {
    const before = [device, other].map((each) => each.rows());
    await lab.stop();
    await lab.start();
    for (const each of [path, '/v1/hypervisors/rack-2']) {
      await lab.until(each, (body) => body.status.database.state === 'right');
    }
    await lab.until(port, reason('NothingToDo'));
    expect([device, other].map((each) => each.rows())).toEqual(before);
  });

  it('says which columns its schema lacks', async () => {
    const schema = JSON.parse(readFileSync(VTEP_SCHEMA, 'utf8')) as {
      tables: Record<string, { columns: Record<string, unknown> }>;
    };
    delete schema.tables['Physical_Port']!.columns['vlan_bindings'];
    await other.lose();
    await lab.until('/v1/hypervisors/rack-2', reason('DatabaseAway'));
    await lab.until('/v1/tenants/acme/ports/db2', reason('DatabaseAway'));
    const file = join(other.dir, 'old.ovsschema');
    writeFileSync(file, JSON.stringify(schema));
    await other.start(file);
    const { status } = await lab.until('/v1/hypervisors/rack-2', (body) =>
      body.status.conditions[0].message.includes('vlan_bindings'),
    );
    expect(status.conditions[0].reason).toBe('DatabaseAway');
    await other.lose();
    await other.start();
    await lab.until('/v1/hypervisors/rack-2', reason('SwitchMissing'));
    other.populate('192.0.2.22');
    await lab.until('/v1/hypervisors/rack-2', reason('Connected'));
    expect(other.ctl('list-bindings', 'ps1', 'p2')).toBe('0007 netloom.acme/lan\n0008 netloom.acme/lan');
  });

  it('loses what is ours with its object, and nothing else', async () => {
    device.ctl('add-ls', 'theirs', '--', 'bind-ls', 'ps1', 'p2', '9', 'theirs');
    await lab.ok('DELETE', path);
    await lab.poll(
      async () => device.ctl('list-ls'),
      (text) => text === 'theirs',
      'logical switches',
    );
    expect(device.ctl('list-bindings', 'ps1', 'p2')).toBe('0009 theirs');
    await lab.until(port, reason('HypervisorUnknown'));
    await lab.poll(candidates, (items) => items.length === 1, 'candidates');
  });
});
