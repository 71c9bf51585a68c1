import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  inHost,
  type LabDevice,
  type LabMachine,
  type LabStation,
  type OverlayNet,
  ping,
} from '../../mininet/driver.ts';
import { tryAll } from '../../mininet/matrix.ts';
import { Capture } from '../kit/capture.ts';
import type { Netloom } from '../kit/netloom.ts';
import { isReady, OverlayLab } from '../kit/overlay-lab.ts';

const emulator = '/usr/share/openvswitch/scripts/ovs-vtep';
const why = existsSync(emulator) ? undefined : 'openvswitch-vtep is not installed';
if (why) console.log(`skipped: hardware VTEPs: ${why}`);

/**
 * Open vSwitch's emulator of a hardware VTEP and two hypervisors on one underlay; two tenants with the same MAC and IP addresses, each
 * with machines behind the hypervisors and stations behind the device: on a physical port of its own, and in VLANs of a port that both
 * tenants share. Tests of this file build on each other: one network, used as operators would.
 */
describe.skipIf(why !== undefined)('a hardware VTEP', () => {
  let lab: OverlayLab;
  let netloom: Netloom;
  let net: OverlayNet;
  let device: LabDevice;
  const ALL_GOOD = { missing: [], leaked: [], astray: [], twice: [] };
  const VNI = { t1: 0xfffffe, t2: 0x123456 };
  const path = '/v1/hypervisors/rack';

  interface Body {
    readonly status?: { readonly conditions?: readonly { readonly status: string; readonly reason: string }[] };
  }
  const has = (reason: string) => (body: Body) => body.status?.conditions?.[0]?.reason === reason;
  const of = (tenant: string) => lab.of(tenant) as [LabMachine, LabMachine];
  const station = (tenant: string) => net.stations.find((each) => each.tenant === tenant) as LabStation;
  const portPath = ({ tenant, name }: LabStation) => `/v1/tenants/${tenant}/ports/${name}`;
  const bound = ({ port, vlan }: LabStation) => ({ hypervisor: 'rack', port, ...(vlan === 0 ? {} : { vlan }) });
  const declared = (each: LabStation) => ({
    network: 'lan',
    mac: each.mac,
    addresses: [each.ip, each.ip6],
    binding: bound(each),
  });
  const bind = (each: LabStation) => netloom.ok('PUT', `${portPath(each)}?wait=ready&timeout=30s`, declared(each));
  const whole = () => ({
    tunnelAddresses: [device.tunnel],
    physicalSwitch: device.physicalSwitch,
    ovsdb: device.ovsdb,
  });
  /** The emulator looks at its database once a second, and takes its time. */
  const reaches = (from: LabMachine | LabStation, to: { readonly ip: string; readonly name: string }) =>
    netloom.poll(
      () => ping(from, to.ip, 1),
      (answered) => answered,
      `answer from ${to.name} to ${from.name}`,
    );
  const allReach = async () => {
    for (const each of net.stations) for (const machine of of(each.tenant)) await reaches(each, machine);
  };
  /** What is in the device's database but for what it counts and what it learns. */
  const rows = async () =>
    (
      await Promise.all(
        ['Logical_Switch', 'Ucast_Macs_Remote', 'Mcast_Macs_Remote', 'Physical_Locator_Set'].map((table) =>
          net.vtep(device, 'list', table),
        ),
      )
    ).join('\n');
  const flowsOf = async (dpid: string) =>
    JSON.stringify(await netloom.ok('GET', `/v1/switches/${dpid}/flows?limit=10000`));

  beforeAll(async () => {
    lab = await OverlayLab.start({
      ...{ prefix: 'nlk', net: 33, dpidBase: 0x3300 },
      ...{ hypervisors: 2, vms: 4, devices: 1, stations: 3 },
    });
    ({ net, netloom } = lab);
    device = net.devices[0]!;
    await lab.addAll();
    await netloom.ok('PUT', path, whole());
    for (const tenant of ['t1', 't2'] as const) {
      await netloom.ok('PUT', `/v1/tenants/${tenant}`, {});
      await netloom.ok('PUT', `/v1/tenants/${tenant}/networks/lan`, {
        transport: 'vxlan',
        segmentId: VNI[tenant],
        subnets: ['10.0.0.0/24', 'fd00::/64'],
      });
    }
    await Promise.all(net.machines.map((machine) => lab.bind(machine)));
    await Promise.all(net.stations.map(bind));
    await netloom.until(path, isReady);
  }, 120_000);

  afterAll(async () => {
    await lab?.stop();
  }, 60_000);

  it('joins its stations with the machines of their tenant and nobody else: unicast, broadcast, multicast, IPv4 and IPv6', async () => {
    await allReach();
    expect(await tryAll([...net.machines, ...net.stations])).toMatchObject(ALL_GOOD);
  }, 60_000);

  it('is told each MAC with the tunnel end of its hypervisor, and all that hold members for floods', async () => {
    const macs = await net.vtep(device, 'list-remote-macs', 'netloom.t1/lan');
    const [first, second] = net.hypervisors;
    for (const { mac, hypervisor } of of('t1')) {
      const { tunnel } = net.hypervisors.find(({ name }) => name === hypervisor)!;
      expect(macs).toContain(`${mac} -> vxlan_over_ipv4/${tunnel}`);
    }
    for (const { tunnel } of [first!, second!]) expect(macs).toContain(`unknown-dst -> vxlan_over_ipv4/${tunnel}`);
    expect(macs).not.toContain(station('t1').mac);
    expect(await net.vtep(device, 'list-bindings', device.physicalSwitch, station('t2').port)).toContain(
      '0102 netloom.t2/lan',
    );
  });

  it('is asked who-has by its stations and answers nothing itself; frames carry the VNI of the network', async () => {
    const [a] = of('t1');
    const from = station('t1');
    await inHost(from, ['ip', '-4', 'neigh', 'flush', 'dev', from.interface]);
    const capture = await Capture.start(device, device.underlay, 'udp port 4789');
    expect(await ping(from, a.ip)).toBe(true);
    const seen = await capture.read('vxlan && (arp || icmp)', 'vxlan.vni', 'arp.opcode', 'icmp.type');
    expect(new Set(seen.map(([vni]) => Number(vni)))).toEqual(new Set([VNI.t1]));
    expect(seen.some(([, opcode]) => opcode === '2')).toBe(true);
    expect(seen.some(([, , type]) => type === '0')).toBe(true);
  }, 30_000);

  it('keeps its rows, and no switch is changed, when the controller is killed and started again', async () => {
    const before = await rows();
    await netloom.stop('SIGKILL');
    const [a] = of('t2');
    expect(await ping(station('t2'), a.ip), 'ping while no controller lives').toBe(true);
    await netloom.start();
    await netloom.until(path, isReady);
    await lab.hypervisorsReady();
    await netloom.until('/metrics', (body) => /^netloom_rule_switches_synced 2$/m.test(body as unknown as string));
    for (const each of net.stations) await netloom.until(portPath(each), isReady);
    expect(await rows()).toBe(before);
    for (const type of ['flow_mod', 'group_mod', 'meter_mod'])
      expect(await netloom.sum('netloom_openflow_sent_messages_total', `type="${type}"`), type).toBe(0);
  }, 60_000);

  it('shows what it has learned; that is reached where a port of the network is learned, and only there', async () => {
    const from = station('t1');
    const [a, b] = of('t1');
    const learned = async (use: string) => {
      // The emulator forgets what is silent for 15 s.
      await ping(from, a.ip, 1);
      const { items } = await netloom.ok('GET', '/v1/apps/hypervisors/learned');
      return items.some(
        (each: { tenant: string; mac: string; use: string }) =>
          each.tenant === 't1' && each.mac === from.mac && each.use === use,
      );
    };
    const until = (use: string) =>
      netloom.poll(
        () => learned(use),
        (fits) => fits,
        `${from.mac} ${use}`,
      );
    await until('declared');
    await netloom.ok('PUT', portPath(from), { ...declared(from), mac: '02:00:00:00:01:77' });
    await until('ignored');
    expect(await ping(b, from.ip, 1)).toBe(false);
    await netloom.ok('PUT', `${portPath(from)}?wait=ready`, { network: 'lan', mac: 'learned', binding: bound(from) });
    await until('reached');
    await reaches(b, from);
    await netloom.ok('PUT', `${portPath(from)}?wait=ready`, declared(from));
    await reaches(b, from);
  }, 60_000);

  it('says what cannot be, in the status of the port and its own, and heals', async () => {
    const from = station('t1');
    const other = { network: 'lan', mac: '02:00:00:00:01:09' };
    const extra = '/v1/tenants/t1/ports/extra';
    await netloom.ok('PUT', extra, { ...other, binding: { hypervisor: 'rack', port: 'nowhere', vlan: 7 } });
    await netloom.until(extra, has('PortMissing'));
    await netloom.until(path, has('PortMissing'));
    const taken = await netloom.call('PUT', extra, { ...other, binding: bound(station('t2')) });
    expect([taken.status, taken.body.errors[0].pointer]).toEqual([409, '/binding']);
    await net.vtep(device, 'add-ls', 'theirs', '--', 'bind-ls', device.physicalSwitch, from.port, '7', 'theirs');
    await netloom.ok('PUT', extra, { ...other, binding: { hypervisor: 'rack', port: from.port, vlan: 7 } });
    await netloom.until(extra, has('VlanTaken'));
    await net.vtep(device, 'unbind-ls', device.physicalSwitch, from.port, '7');
    // The emulator notes MACs of its own there whenever it gets round to it, and a logical switch with MACs cannot be deleted.
    const deletion = ['clear-local-macs', 'theirs', '--', 'del-ls', 'theirs'];
    await netloom.poll(
      () =>
        net.vtep(device, ...deletion).then(
          () => 'done',
          (error: Error) => error.message,
        ),
      (outcome) => outcome === 'done',
      'deletion of the logical switch',
    );
    await netloom.until(extra, isReady);
    await netloom.ok('PUT', extra, { ...other, binding: { hypervisor: 'rack', interfaceId: 'any' } });
    await netloom.until(extra, has('BindingUnfit'));
    await netloom.ok('DELETE', extra);
    await netloom.until(path, isReady);
    await netloom.ok('PUT', path, { ...whole(), tunnelAddresses: ['192.0.2.99'] });
    await netloom.until(path, has('AddressDiffers'));
    await netloom.ok('PUT', path, { ...whole(), physicalSwitch: 'other' });
    await netloom.until(path, has('SwitchMissing'));
    await netloom.until(portPath(from), has('SwitchMissing'));
    await netloom.ok('PUT', path, whole());
    await netloom.until(portPath(from), isReady);
  }, 60_000);

  it('loses a network that is changed to NVGRE, with the reason, and gets it back', async () => {
    const lan = '/v1/tenants/t1/networks/lan';
    const from = station('t1');
    await netloom.ok('PATCH', lan, { transport: 'nvgre', segmentId: null, mtu: null });
    await netloom.until(portPath(from), has('NotVxlan'));
    await netloom.poll(
      () => net.vtep(device, 'list-ls'),
      (text) => !text.includes('t1/lan'),
      'logical switches',
    );
    await netloom.ok('PATCH', lan, { transport: 'vxlan', segmentId: VNI.t1, mtu: null });
    await netloom.until(portPath(from), isReady);
    await reaches(from, of('t1')[0]);
  }, 60_000);

  it('gets everything again when it has lost its database', async () => {
    await net.lose(device);
    await netloom.until(path, isReady);
    for (const each of net.stations) await netloom.until(portPath(each), isReady);
    await allReach();
    expect(await tryAll([...net.machines, ...net.stations])).toMatchObject(ALL_GOOD);
  }, 60_000);

  it('may dial in as well: it is a candidate until an object names its physical switch', async () => {
    const { ovsdb: _, ...dialling } = whole();
    const before = await rows();
    await netloom.ok('PUT', path, dialling);
    await netloom.until(path, has('DatabaseUnknown'));
    await net.vsctl(device, 'set-manager', `tcp:${lab.ovsdb}`);
    await netloom.until(path, isReady);
    expect(await rows()).toBe(before);
    await netloom.ok('DELETE', path);
    await netloom.until('/v1/apps/hypervisors/candidates', ({ items }) =>
      items.some((each: { physicalSwitches: string[] }) => each.physicalSwitches.includes(device.physicalSwitch)),
    );
    await netloom.until(portPath(station('t1')), has('HypervisorUnknown'));
    await netloom.ok('PUT', path, dialling);
    for (const each of net.stations) await netloom.until(portPath(each), isReady);
    await allReach();
  }, 60_000);

  it('has nothing of a network left, and is heard by no switch, when its ports are gone', async () => {
    const from = station('t1');
    for (const { dpid } of net.hypervisors) expect(await flowsOf(dpid)).toContain(device.tunnel);
    for (const each of net.stations) await netloom.ok('DELETE', `${portPath(each)}?wait=ready`);
    await netloom.poll(
      () => net.vtep(device, 'list-ls'),
      (text) => text.trim() === '',
      'logical switches',
    );
    for (const table of ['Ucast_Macs_Remote', 'Mcast_Macs_Remote', 'Ucast_Macs_Local'])
      expect(await net.vtep(device, 'list', table)).toBe('');
    expect((await net.vtep(device, 'list-bindings', device.physicalSwitch, from.port)).trim()).toBe('');
    for (const { dpid } of net.hypervisors) expect(await flowsOf(dpid)).not.toContain(device.tunnel);
    expect(await ping(of('t1')[0], from.ip, 1)).toBe(false);
    await netloom.ok('DELETE', path);
  }, 30_000);
});
