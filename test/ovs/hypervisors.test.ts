import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JsonStream } from '../../src/overlay-gw/ovsdb/index.ts';
import { Lab } from '../kit/controller.ts';
import { freePort } from '../kit/netloom.ts';
import { PrivateOvs, whyNoPrivateOvs, whyNoRealDevices } from '../kit/private-ovs.ts';

const reason = whyNoPrivateOvs();
if (reason !== undefined) console.log(`hypervisors that register themselves: skipped, ${reason}`);

describe.skipIf(reason !== undefined)('a hypervisor that dials in while approval is automatic', () => {
  let lab: Lab;
  let port: number;
  let ovs: PrivateOvs;
  const path = '/v1/hypervisors/node-7';

  beforeAll(async () => {
    port = await freePort();
    lab = await Lab.start({ 'ovsdb.listen': `127.0.0.1:${port}`, 'ovsdb.approval': 'auto' });
    ovs = await PrivateOvs.start();
    ovs.vsctl('add-br', 'br-int', '--', 'set', 'Bridge', 'br-int', 'other-config:datapath-id=0000000000007007');
    const ids = ['external_ids:system-id=node-7', 'external_ids:netloom-tunnel-ip=192.0.2.7'];
    ovs.vsctl('set', 'Open_vSwitch', '.', ...ids);
    ovs.dbctl('ovsdb-server/add-remote', `tcp:127.0.0.1:${port}`);
  });

  afterAll(async () => {
    await ovs?.stop();
    await lab?.stop();
  });

  it('becomes an object named by its system id, with the bridge and the addresses that its database says', async () => {
    const made = await lab.until(path, (body) => body.datapathId !== undefined);
    expect(made).toMatchObject({ datapathId: '0000000000007007', tunnelAddresses: ['192.0.2.7'] });
    const ports = await lab.poll(
      async () => ovs.vsctl('list-ports', 'br-int').trim().split('\n').sort(),
      (names) => names.length === 2,
      'ports of br-int',
    );
    expect(ports).toEqual(['netloom-nvgre', 'netloom-vxlan']);
  });

  it('is followed when its addresses change, and keeps the site that an operator gave it', async () => {
    await lab.ok('PATCH', path, { site: 'north' });
    ovs.vsctl('set', 'Open_vSwitch', '.', 'external_ids:netloom-tunnel-ip=192.0.2.8,2001:db8::8');
    const moved = await lab.until(path, (body) => body.tunnelAddresses.length === 2);
    expect(moved).toMatchObject({ tunnelAddresses: ['192.0.2.8', '2001:db8::8'], site: 'north' });
  });

  it('is refused, and told about, when its address is another one’s', async () => {
    await lab.ok('PUT', '/v1/hypervisors/other', { tunnelAddresses: ['192.0.2.9'] });
    ovs.vsctl('set', 'Open_vSwitch', '.', 'external_ids:netloom-tunnel-ip=192.0.2.9');
    const body = await lab.until(path, ({ status }) => status.conditions[0].reason === 'AddressDiffers');
    expect(body.status.conditions[0].message).toContain('192.0.2.9');
    await lab.ok('DELETE', '/v1/hypervisors/other');
    ovs.vsctl('set', 'Open_vSwitch', '.', 'external_ids:netloom-tunnel-ip=192.0.2.10');
    await lab.until(path, (seen) => seen.tunnelAddresses[0] === '192.0.2.10');
  });

  it('keeps its tunnel ports while its database is only reached another way', async () => {
    const numbers = () =>
      ['netloom-vxlan', 'netloom-nvgre'].map((name) => ovs.vsctl('get', 'Interface', name, '_uuid'));
    const before = numbers();
    const { revision, status, id, createdAt, updatedAt, ...body } = await lab.ok('GET', path);
    await lab.ok('PUT', path, { ...body, ovsdb: `unix:${ovs.database}` });
    await lab.until(
      path,
      (seen) => seen.status.database.remote === `unix:${ovs.database}` && seen.status.tunnelPorts.length === 2,
    );
    expect(numbers()).toEqual(before);
  });

  it('is refused with an address that is none', async () => {
    for (const ovsdb of ['tcp:', 'tcp:host', 'tcp:host:0', 'tcp:::1:6640', 'http://x', 'ssl:[::1]']) {
      const refused = await lab.call('PUT', '/v1/hypervisors/bad', { datapathId: '0000000000000bad', ovsdb });
      expect([refused.status, refused.body.errors?.[0]?.pointer], ovsdb).toEqual([400, '/ovsdb']);
    }
  });

  it('is a candidate while a stranger is connected, and again when it comes back', async () => {
    // Without a bridge br-int it registers nothing, and stays a candidate.
    const stranger = await PrivateOvs.start();
    const strangers = (count: number) =>
      lab.until('/v1/apps/hypervisors/candidates', ({ items }) => {
        return items.filter((item: { systemId: string }) => item.systemId === '').length === count;
      });
    try {
      for (let round = 0; round < 2; round++) {
        stranger.dbctl('ovsdb-server/add-remote', `tcp:127.0.0.1:${port}`);
        await strangers(1);
        stranger.dbctl('ovsdb-server/remove-remote', `tcp:127.0.0.1:${port}`);
        await strangers(0);
      }
    } finally {
      await stranger.stop();
    }
  });
});

const noDevices = whyNoRealDevices();
if (noDevices !== undefined) console.log(`interfaces that a switch cannot make: skipped, ${noDevices}`);

describe.skipIf(noDevices !== undefined)('a port whose interface the switch cannot make', () => {
  let lab: Lab;
  let ovs: PrivateOvs;
  const bridge = 'nlfbr';
  const device = 'nlfnic';
  const dpid = '0000000000007f01';
  const path = '/v1/tenants/acme/ports/web';
  const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'ignore' });
  const says = (reason: string) =>
    lab.until(path, ({ status }) => status.conditions[0].reason === reason).then(({ status }) => status.conditions[0]);

  beforeAll(async () => {
    lab = await Lab.start();
    ovs = await PrivateOvs.start('netdev');
    ovs.addBridge(bridge, dpid, 0);
    ovs.setController(bridge, `tcp:${lab.target.host}:${lab.target.port}`);
    await lab.tenant('acme', { transport: 'vxlan' });
    await lab.ok('PUT', '/v1/hypervisors/hv', {
      datapathId: dpid,
      tunnelAddresses: ['192.0.2.77'],
      ovsdb: `unix:${ovs.database}`,
    });
    await lab.ok('PUT', path, {
      network: 'lan',
      mac: '02:00:00:00:00:01',
      binding: { hypervisor: 'hv', interfaceId: 'web' },
    });
    await lab.until('/v1/hypervisors/hv', ({ status }) => status.conditions[0].status === 'True');
  });

  afterAll(async () => {
    try {
      ip('link', 'del', device);
    } catch {
      // A test failed before it was made.
    }
    await ovs?.stop();
    await lab?.remove();
  });

  it('says why in its status, in the words of the switch, and works once the cause is gone', async () => {
    await says('InterfaceUnknown');
    ovs.vsctl('--no-wait', 'add-port', bridge, device, '--', 'set', 'Interface', device, 'external_ids:iface-id=web');
    const failed = await says('InterfaceFailed');
    expect(failed).toMatchObject({ status: 'False' });
    expect(failed.message).toContain(`could not open network device ${device} (No such device)`);
    expect(ovs.vsctl('get', 'Interface', device, 'ofport').trim()).toBe('-1');
    ip('link', 'add', device, 'type', 'veth', 'peer', 'name', `${device}p`);
    for (const end of [device, `${device}p`]) ip('link', 'set', end, 'up');
    await lab.until(path, ({ status }) => status.conditions[0].status === 'True');
    expect(await says('Confirmed')).toMatchObject({ status: 'True' });
  });
});

describe.skipIf(reason !== undefined)('databases that dial in and belong to no hypervisor', () => {
  let lab: Lab;
  let port: number;
  const sockets = new Set<Socket>();
  const kept = () => lab.sum('netloom_ovsdb_sessions', 'candidate');
  const keptAre = (count: number) => lab.poll(kept, (now) => now === count, 'databases that are kept');

  beforeAll(async () => {
    port = await freePort();
    lab = await Lab.start({ 'ovsdb.listen': `127.0.0.1:${port}` });
  });

  afterAll(async () => {
    for (const socket of sockets) socket.destroy();
    await lab?.remove();
  });

  /** Dials in as a switch's database that holds nothing but itself. */
  function stranger(number: number): void {
    const uuid = `00000000-0000-4000-8000-${number.toString(16).padStart(12, '0')}`;
    const answers: Readonly<Record<string, unknown>> = {
      list_dbs: ['Open_vSwitch'],
      get_schema: JSON.parse(readFileSync('/usr/share/openvswitch/vswitch.ovsschema', 'utf8')),
      transact: [{ rows: [{ _uuid: ['uuid', uuid], external_ids: ['map', [['system-id', `s${number}`]]] }] }],
      monitor_cond_since: [false, uuid, {}],
    };
    const socket = connect(port, '127.0.0.1');
    const json = new JsonStream();
    socket.on('data', (chunk) =>
      json.push(chunk, (document) => {
        const { method, id } = document as { method?: string; id?: unknown };
        if (method !== undefined) socket.write(JSON.stringify({ result: answers[method], error: null, id }));
      }),
    );
    sockets.add(socket);
  }

  it('are forgotten when they hang up, however many came', async () => {
    const many = 200;
    for (let number = 0; number < many; number++) stranger(number);
    await keptAre(many);
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    await keptAre(0);
  });
});
