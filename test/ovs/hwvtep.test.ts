import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger, systemClock } from '../../src/controller/kernel/index.ts';
import { dialHwvtep, HwvtepKeeper, type HwvtepWishes } from '../../src/overlay-gw/hwvtep/index.ts';
import { identifyPeer, OvsdbListener, parseOvsdbAddress } from '../../src/overlay-gw/ovsdb/index.ts';
import { VTEP_SCHEMA, VtepDatabase, whyNoVtepDatabase } from '../kit/vtep-database.ts';

const why = whyNoVtepDatabase();
if (why) console.log(`skipped: a hardware VTEP's database: ${why}`);

/** A watcher that a test can wait for. */
class Ears {
  #wake: () => void = () => {};
  readonly watcher = {
    status: () => void setImmediate(() => this.#wake()),
    view: () => void setImmediate(() => this.#wake()),
  };
  async until(fits: () => boolean): Promise<void> {
    while (!fits()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

const mac = '02:00:00:00:00:0a';
const wishes: HwvtepWishes = {
  switch: 'ps1',
  networks: [
    {
      network: 'blue',
      vni: 5001,
      bindings: [
        { port: 'p1', vlan: 0 },
        { port: 'p2', vlan: 100 },
      ],
      remoteMacs: [{ mac, vtep: '192.0.2.2' }],
      floodTo: ['192.0.2.2', '192.0.2.3'],
    },
  ],
};

describe.skipIf(why !== undefined)("a hardware VTEP's database", () => {
  let device: VtepDatabase;
  const stops: (() => void)[] = [];
  beforeAll(async () => {
    device = new VtepDatabase();
    await device.start();
    device.populate();
  });
  afterEach(async () => {
    for (const stop of stops.splice(0)) stop();
    await device.lose();
    await device.start();
    device.populate();
  });
  afterAll(async () => {
    await device?.stop();
  });

  const keep = () => {
    const ears = new Ears();
    const { keeper, dialer } = dialHwvtep({
      owner: 'test',
      watcher: ears.watcher,
      address: parseOvsdbAddress('ovsdb', `unix:${device.socket}`),
      clock: systemClock,
      log: silentLogger,
      backOffMs: [20, 100],
      retryMs: [20, 100],
    });
    stops.push(() => dialer.stop());
    dialer.start();
    return { keeper, ears, right: () => ears.until(() => keeper.status.state === 'right') };
  };

  it('gets networks, bindings, remote MACs and flood targets; a second keeper writes nothing', async () => {
    const first = keep();
    first.keeper.want(wishes);
    await first.right();
    expect(first.keeper.status.problems).toEqual([]);
    expect(device.ctl('list-bindings', 'ps1', 'p1')).toBe('0000 test.blue');
    expect(device.ctl('list-bindings', 'ps1', 'p2')).toBe('0100 test.blue');
    const macs = device.ctl('list-remote-macs', 'test.blue');
    expect(macs).toContain(`${mac} -> vxlan_over_ipv4/192.0.2.2`);
    expect(macs).toContain('unknown-dst -> vxlan_over_ipv4/192.0.2.3');
    expect(device.ctl('get', 'Logical_Switch', 'test.blue', 'tunnel_key', 'replication_mode')).toBe(
      '5001\nsource_node',
    );
    expect(first.keeper.view.switches).toMatchObject([
      {
        name: 'ps1',
        tunnelIps: ['192.0.2.1'],
        managementIps: ['198.51.100.1'],
        ports: [{ name: 'p1' }, { name: 'p2' }],
      },
    ]);
    const before = device.rows();
    const second = keep();
    second.keeper.want(wishes);
    await second.right();
    expect(device.rows()).toBe(before);
  });

  it('refuses a VLAN of somebody else and a port that is missing, with reasons, and heals when they change', async () => {
    device.ctl('add-ls', 'theirs', '--', 'bind-ls', 'ps1', 'p2', '100', 'theirs');
    const { keeper, ears, right } = keep();
    const [blue] = wishes.networks;
    keeper.want({ ...wishes, networks: [{ ...blue!, bindings: [...blue!.bindings, { port: 'p3', vlan: 7 }] }] });
    await right();
    expect(keeper.status.problems.map(({ reason, subject }) => [reason, subject])).toEqual([
      ['vlan-taken', 'p2/100'],
      ['port-missing', 'p3/7'],
    ]);
    expect(device.ctl('list-bindings', 'ps1', 'p2')).toBe('0100 theirs');
    device.ctl('unbind-ls', 'ps1', 'p2', '100', '--', 'add-port', 'ps1', 'p3');
    await ears.until(() => keeper.status.state === 'right' && keeper.status.problems.length === 0);
    expect(device.ctl('list-bindings', 'ps1', 'p2')).toBe('0100 test.blue');
    expect(device.ctl('list-bindings', 'ps1', 'p3')).toBe('0007 test.blue');
  });

  it('tells the MACs that the device learned, and removes a network with them; what others wrote stays', async () => {
    device.ctl('add-ls', 'theirs', '--', 'bind-ls', 'ps1', 'p1', '7', 'theirs');
    device.ctl('add-ucast-remote', 'theirs', mac, '192.0.2.2');
    device.ctl('add-mcast-remote', 'theirs', 'unknown-dst', '192.0.2.2');
    const theirs = device.rows();
    const { keeper, ears, right } = keep();
    keeper.want(wishes);
    await right();
    device.ctl('add-ucast-local', 'test.blue', '02:00:00:00:00:01', '192.0.2.1');
    device.ctl('add-mcast-local', 'test.blue', 'unknown-dst', '192.0.2.1');
    await ears.until(() => keeper.view.localMacs.length === 2);
    expect(keeper.view.localMacs).toEqual([
      { mac: '02:00:00:00:00:01', network: 'blue', locators: ['192.0.2.1'] },
      { mac: 'unknown-dst', network: 'blue', locators: ['192.0.2.1'] },
    ]);
    keeper.want({ ...wishes, networks: [] });
    await ears.until(() => keeper.view.localMacs.length === 0 && keeper.status.state === 'right');
    expect(device.rows()).toBe(theirs);
  });

  it('writes everything again to a device that comes back empty', async () => {
    const { keeper, ears, right } = keep();
    keeper.want(wishes);
    await right();
    await device.lose();
    await ears.until(() => keeper.status.state === 'away');
    expect(keeper.status.reason).toBeTruthy();
    await device.start();
    await ears.until(() => keeper.status.problems[0]?.reason === 'switch-missing');
    device.populate();
    await ears.until(() => keeper.status.state === 'right' && keeper.status.problems.length === 0);
    expect(device.ctl('list-bindings', 'ps1', 'p1')).toBe('0000 test.blue');
    expect(device.ctl('list-remote-macs', 'test.blue')).toContain(mac);
  });

  it('does without the replication mode that an older device lacks, and says so', async () => {
    const schema = JSON.parse(readFileSync(VTEP_SCHEMA, 'utf8')) as {
      tables: Record<string, { columns: Record<string, unknown> }>;
    };
    delete schema.tables['Logical_Switch']!.columns['replication_mode'];
    delete schema.tables['Logical_Router'];
    await device.lose();
    const file = join(device.dir, 'old.ovsschema');
    writeFileSync(file, JSON.stringify(schema));
    await device.start(file);
    const insert = ['hardware_vtep', { op: 'insert', table: 'Global', row: { switches: ['named-uuid', 's'] } }];
    const port = { op: 'insert', table: 'Physical_Port', row: { name: 'p1' }, 'uuid-name': 'p' };
    const ps = { op: 'insert', table: 'Physical_Switch', row: { name: 'ps1', ports: ['named-uuid', 'p'] } };
    execFileSync('ovsdb-client', [
      ...['transact', `unix:${device.socket}`],
      JSON.stringify([...insert, port, { ...ps, 'uuid-name': 's' }]),
    ]);
    const { keeper, right } = keep();
    const [blue] = wishes.networks;
    keeper.want({ ...wishes, networks: [{ ...blue!, bindings: [{ port: 'p1', vlan: 0 }] }] });
    await right();
    expect(keeper.status.problems.map(({ reason }) => reason)).toEqual(['no-replication-mode']);
  });

  it('keeps a device that dials in, known by its database', async () => {
    const ears = new Ears();
    const keeper = new HwvtepKeeper({ owner: 'test', watcher: ears.watcher, clock: systemClock, log: silentLogger });
    stops.push(() => keeper.close());
    const seen: (readonly string[])[] = [];
    const listener = await OvsdbListener.open({
      host: '127.0.0.1',
      port: 0,
      log: silentLogger,
      accepted: (socket) => {
        void identifyPeer(socket, systemClock).then(({ hwvtep }) => {
          seen.push(hwvtep!.switches);
          keeper.client.use(socket);
        });
      },
    });
    keeper.want(wishes);
    const remote = `tcp:127.0.0.1:${listener.port}`;
    device.dbctl('ovsdb-server/add-remote', remote);
    await ears.until(() => keeper.status.state === 'right');
    expect(seen).toEqual([['ps1']]);
    expect(device.ctl('list-bindings', 'ps1', 'p1')).toBe('0000 test.blue');
    device.dbctl('ovsdb-server/remove-remote', remote);
    await ears.until(() => keeper.status.state === 'away');
    listener.close();
  });
});
