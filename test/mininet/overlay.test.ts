import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inHost, type LabHypervisor, type LabMachine, type OverlayNet, Probe, ping } from '../../mininet/driver.ts';
import { udp4Frame } from '../../mininet/frames.ts';
import { tryAll } from '../../mininet/matrix.ts';
import { Capture } from '../kit/capture.ts';
import { heldRules } from '../kit/held.ts';
import type { Netloom } from '../kit/netloom.ts';
import { ofctl } from '../kit/ofctl.ts';
import { isReady, OverlayLab } from '../kit/overlay-lab.ts';

/**
 * Two tenants with the same MAC and IP addresses over three hypervisors that share an IP underlay only, each with an Open vSwitch
 * of its own. Tests of this file build on each other: one network, used as operators would.
 */

let lab: OverlayLab;
let netloom: Netloom;
let net: OverlayNet;
const ALL_GOOD = { missing: [], leaked: [], astray: [], twice: [] };
const hex = (text: string) => Buffer.from(text).toString('hex');
const of = (tenant: string) => lab.of(tenant);
const [t1, t2] = ['t1', 't2'] as const;

const rules = (hypervisor: LabHypervisor): Promise<string> => heldRules(netloom, hypervisor.dpid);

const bind = (machine: LabMachine) => lab.bind(machine);
const tunnelsAre = (fits: (state: string, from: string, to: string) => boolean) => lab.tunnelsAre(fits);

beforeAll(async () => {
  lab = await OverlayLab.start({ prefix: 'nlo', net: 21, dpidBase: 0x2100, hypervisors: 3, vms: 6, peers: 1 });
  ({ net, netloom } = lab);
  const [first, second, third] = net.hypervisors as [LabHypervisor, LabHypervisor, LabHypervisor];
  for (const hypervisor of [first, second]) await lab.add(hypervisor);
  // The third dials in, and is approved by hand.
  await net.manager(third, `tcp:${lab.ovsdb}`);
  const { items } = await netloom.until('/v1/apps/hypervisors/candidates', (body) => body.items.length === 1);
  expect(items[0]).toMatchObject({
    systemId: third.name,
    bridges: { 'br-int': third.dpid },
    tunnelAddresses: [third.tunnel],
  });
  await netloom.ok('PUT', `/v1/hypervisors/${third.name}`, {
    datapathId: third.dpid,
    tunnelAddresses: [third.tunnel],
  });
  await lab.hypervisorsReady();
  for (const tenant of [t1, t2]) {
    await netloom.ok('PUT', `/v1/tenants/${tenant}`, {});
    await netloom.ok('PUT', `/v1/tenants/${tenant}/networks/lan`, {
      transport: 'vxlan',
      segmentId: tenant === t1 ? 0xfffffe : 0x123456,
      subnets: ['10.0.0.0/24', 'fd00::/64'],
    });
  }
  await Promise.all(net.machines.map(bind));
  await tunnelsAre((state) => state === 'up');
}, 120_000);

afterAll(async () => {
  await lab?.stop();
}, 60_000);

describe('two tenants with the same addresses on three hypervisors', () => {
  it('reach their own over VXLAN and nothing of the other: unicast, broadcast, multicast, IPv4 and IPv6', async () => {
    expect(await tryAll(net.machines)).toMatchObject(ALL_GOOD);
    for (const tenant of [t1, t2]) {
      const [a, b, c] = of(tenant) as [LabMachine, LabMachine, LabMachine];
      for (const other of [b, c]) {
        expect(await ping(a, other.ip)).toBe(true);
        expect(await ping(a, other.ip6)).toBe(true);
      }
    }
  }, 60_000);

  it('travel as RFC 7348 says, with all 24 bits of the VNI, and are not fragmented', async () => {
    const [a, b] = of(t1) as [LabMachine, LabMachine];
    const hypervisor = net.hypervisors[0]!;
    const capture = await Capture.start(hypervisor, hypervisor.underlay, 'udp port 4789');
    expect(await ping(a, b.ip)).toBe(true);
    const seen = await capture.read('icmp.type == 8', 'vxlan.vni', 'ip.dst', 'udp.dstport', 'ip.flags.df');
    const [vni, to, port, df] = seen[0]!;
    expect(Number(vni)).toBe(0xfffffe);
    expect(to!.split(',')[0]).toBe(net.hypervisors[1]!.tunnel);
    expect(port!.split(',')[0]).toBe('4789');
    expect(df!.split(',')[0]).toMatch(/^(1|True)$/);
  });

  it('have the MTU that the underlay leaves, no more (FC-19)', async () => {
    const [a, b] = of(t1) as [LabMachine, LabMachine];
    expect((await netloom.ok('GET', '/v1/tenants/t1/networks/lan')).mtu).toBe(1450);
    const refused = await netloom.call('PATCH', '/v1/tenants/t1/networks/lan', { mtu: 1451 });
    expect(refused.status).toBe(400);
    expect(refused.body.errors[0]).toMatchObject({ pointer: '/mtu' });
    const big = (size: number) => inHost(a, ['ping', '-n', '-c', '2', '-W', '1', '-M', 'do', '-s', String(size), b.ip]);
    expect((await big(1450 - 28)).code).toBe(0);
    expect((await big(1451 - 28)).code).not.toBe(0);
  }, 20_000);

  it('answer who-has at the first switch, so no ARP or solicitation for a declared address crosses the underlay', async () => {
    const [a, b] = of(t1) as [LabMachine, LabMachine];
    const hypervisor = net.hypervisors[0]!;
    for (const family of ['-4', '-6']) await inHost(a, ['ip', family, 'neigh', 'flush', 'dev', a.interface]);
    const capture = await Capture.start(hypervisor, hypervisor.underlay, 'udp port 4789');
    expect(await ping(a, b.ip)).toBe(true);
    expect(await ping(a, b.ip6)).toBe(true);
    expect(await capture.read('vxlan && arp', 'arp.opcode')).toEqual([]);
  });

  it('hear nobody who is no known endpoint with members: other senders, unused VNIs, VNI 0 (FC-18)', async () => {
    const [peer] = net.peers;
    const [a] = of(t1) as [LabMachine];
    const { tunnel } = net.hypervisors[0]!;
    const probe = await Probe.open(a);
    try {
      const send = async (vni: number, tag: string) => {
        await inHost(peer!, [
          'ip',
          'link',
          'add',
          'nlx',
          'type',
          'vxlan',
          'id',
          String(vni),
          'dstport',
          '4789',
          'remote',
          tunnel,
        ]);
        await inHost(peer!, ['ip', 'link', 'set', 'nlx', 'up']);
        const sender = await Probe.open({ name: 'nlx', pid: peer!.pid, interface: 'nlx' });
        for (const to of [a.mac, 'ff:ff:ff:ff:ff:ff']) {
          sender.send(udp4Frame(to, '02:00:00:00:00:77', '10.0.0.77', a.ip, Buffer.from(tag.padEnd(40))));
        }
        await sender.close();
        await inHost(peer!, ['ip', 'link', 'del', 'nlx']);
      };
      const capture = await Capture.start(net.hypervisors[0]!, net.hypervisors[0]!.underlay, 'udp port 4789');
      await send(0xfffffe, '<known vni>');
      await send(0x777777, '<unused vni>');
      await send(0, '<vni zero>');
      // They did come as far as the hypervisor; frames of one's own that come later prove that they would have been here by now.
      const [, b] = of(t1) as [LabMachine, LabMachine];
      const honest = await Probe.open(b);
      honest.send(udp4Frame(a.mac, b.mac, b.ip, a.ip, Buffer.from('<honest>'.padEnd(40))));
      await probe.until((frame) => frame.includes(hex('<honest>')));
      await honest.close();
      const arrived = await capture.read(`ip.src == ${peer!.ip} && vxlan`, 'vxlan.vni');
      expect(arrived.length).toBeGreaterThanOrEqual(6);
      expect(
        probe.received.filter((frame) => /<(known|unused|vni)/.test(Buffer.from(frame, 'hex').toString('latin1'))),
      ).toEqual([]);
    } finally {
      await probe.close();
    }
  }, 30_000);

  it('reach a kernel VXLAN device that is declared as a foreign endpoint, both ways, and no other tenant does', async () => {
    const [peer] = net.peers;
    const inside = { mac: '02:00:00:00:00:65', ip: '10.0.0.101' };
    await netloom.ok('PUT', '/v1/hypervisors/kernel', { tunnelAddresses: [peer!.ip] });
    await netloom.ok('PUT', '/v1/tenants/t1/ports/kernel?wait=ready', {
      network: 'lan',
      mac: inside.mac,
      addresses: [inside.ip],
      binding: { hypervisor: 'kernel', interfaceId: 'any' },
    });
    const ip = (...args: string[]) => inHost(peer!, ['ip', ...args]);
    await ip('link', 'add', 'nlx', 'address', inside.mac, 'type', 'vxlan', 'id', String(0xfffffe), 'dstport', '4789');
    for (const { tunnel } of net.hypervisors) {
      await inHost(peer!, ['bridge', 'fdb', 'append', '00:00:00:00:00:00', 'dev', 'nlx', 'dst', tunnel]);
    }
    await ip('addr', 'add', `${inside.ip}/24`, 'dev', 'nlx');
    await ip('link', 'set', 'nlx', 'up', 'mtu', '1450');
    for (const machine of of(t1)) {
      expect(await ping(peer!, machine.ip), `kernel → ${machine.name}`).toBe(true);
      expect(await ping(machine, inside.ip), `${machine.name} → kernel`).toBe(true);
    }
    expect(await ping(of(t2)[0]!, inside.ip, 1)).toBe(false);
    const heard = await Probe.open({ name: 'kernel', pid: peer!.pid, interface: 'nlx' });
    const [a] = of(t1) as [LabMachine];
    const sender = await Probe.open(a);
    sender.send(udp4Frame('ff:ff:ff:ff:ff:ff', a.mac, a.ip, '255.255.255.255', Buffer.from('<to all>'.padEnd(40))));
    await heard.until((frame) => frame.includes(hex('<to all>')));
    await Promise.all([heard.close(), sender.close()]);
    await ip('link', 'del', 'nlx');
    await netloom.ok('DELETE', '/v1/tenants/t1/ports/kernel');
    await netloom.ok('DELETE', '/v1/hypervisors/kernel');
  }, 60_000);

  it('go on over NVGRE when their network is changed to it, with the VSID in the upper bits of the key (RFC 7637)', async () => {
    const patched = await netloom.ok('PATCH', '/v1/tenants/t1/networks/lan?wait=ready&timeout=10s', {
      transport: 'nvgre',
      segmentId: 0xabcdef,
      mtu: null,
    });
    expect(patched.mtu).toBe(1458);
    for (const { name } of of(t1)) await netloom.until(`/v1/tenants/t1/ports/${name}`, isReady);
    await tunnelsAre((state) => state === 'up');
    const hypervisor = net.hypervisors[0]!;
    const capture = await Capture.start(hypervisor, hypervisor.underlay, 'proto gre');
    expect(await tryAll(net.machines)).toMatchObject(ALL_GOOD);
    const seen = await capture.read('gre && udp.dstport == 40001', 'gre.key', 'gre.proto');
    expect(seen.length).toBeGreaterThan(0);
    expect(new Set(seen.map(([key]) => Number(key) >>> 8))).toEqual(new Set([0xabcdef]));
    expect(new Set(seen.map(([, proto]) => Number(proto)))).toEqual(new Set([0x6558]));
    await netloom.ok('PATCH', '/v1/tenants/t1/networks/lan?wait=ready&timeout=10s', {
      transport: 'vxlan',
      segmentId: 0xfffffe,
      mtu: null,
    });
    for (const { name } of of(t1)) await netloom.until(`/v1/tenants/t1/ports/${name}`, isReady);
    await tunnelsAre((state) => state === 'up');
  }, 60_000);

  it('find everything put back after a switch lost its flows and groups; what others put there stays (FC-14)', async () => {
    const hypervisor = net.hypervisors[1]!;
    const before = await rules(hypervisor);
    const target = (await net.vsctl(hypervisor, 'get-controller', 'br-int')).trim();
    await net.vsctl(hypervisor, 'del-controller', 'br-int');
    await netloom.until(`/v1/switches/${hypervisor.dpid}`, (body) => body.connected === false);
    ofctl(hypervisor, 'del-flows', 'br-int');
    ofctl(hypervisor, 'del-groups', 'br-int');
    await net.vsctl(hypervisor, 'set-controller', 'br-int', target);
    // Only now: to remove the last controller, or to set the first one, flushes all flows (Open vSwitch 3.1).
    ofctl(hypervisor, 'add-flow', 'br-int', '"cookie=0x77,table=200,priority=7,actions=drop"');
    await netloom.until(`/v1/switches/${hypervisor.dpid}/diff`, (body) => body.inSync === true);
    const after = (await rules(hypervisor)).split('\n').filter((line) => !line.includes('0x0000000000000077'));
    expect(after.join('\n')).toBe(before);
    expect(ofctl(hypervisor, 'dump-flows', 'br-int', 'cookie=0x77/-1')).toContain('priority=7');
    ofctl(hypervisor, 'del-flows', 'br-int', 'cookie=0x77/-1');
    await tunnelsAre((state) => state === 'up');
    expect(await tryAll(net.machines)).toMatchObject(ALL_GOOD);
  }, 60_000);

  it('go on when a tunnel port is deleted by hand: it comes back, under whatever number (FC-17)', async () => {
    const hypervisor = net.hypervisors[0]!;
    const number = async () => (await net.vsctl(hypervisor, 'get', 'Interface', 'netloom-vxlan', 'ofport')).trim();
    const before = await number();
    // Another port takes the number meanwhile.
    await net.vsctl(
      hypervisor,
      'del-port',
      'netloom-vxlan',
      '--',
      'add-port',
      'br-int',
      'nlother',
      '--',
      'set',
      'Interface',
      'nlother',
      'type=internal',
      `ofport_request=${before}`,
    );
    const port = (body: { items: { name: string; no: number }[] }) =>
      body.items.find(({ name }) => name === 'netloom-vxlan');
    await netloom.until(
      `/v1/switches/${hypervisor.dpid}/ports`,
      (body) => port(body) !== undefined && String(port(body)!.no) !== before,
    );
    await netloom.until(`/v1/switches/${hypervisor.dpid}/diff`, (body) => body.inSync === true);
    await tunnelsAre((state) => state === 'up');
    expect(await tryAll(net.machines)).toMatchObject(ALL_GOOD);
    expect(await rules(hypervisor)).not.toMatch(
      new RegExp(`in_port=${before}\\b.*tun_src|output:${before}\\b.*tun_dst`),
    );
    await net.vsctl(hypervisor, 'del-port', 'nlother');
  }, 60_000);

  it('are cut off when a machine is unplugged, and back when it is plugged in again, without any call', async () => {
    const [a, b] = of(t1) as [LabMachine, LabMachine];
    await net.unplug(b);
    const gone = await netloom.until(`/v1/tenants/t1/ports/${b.name}`, (body) => !isReady(body));
    expect(gone.status.conditions[0]).toMatchObject({ reason: 'InterfaceUnknown' });
    expect(await ping(a, b.ip, 1)).toBe(false);
    await net.plug(b);
    await netloom.until(`/v1/tenants/t1/ports/${b.name}`, isReady);
    expect(await ping(a, b.ip)).toBe(true);
  }, 30_000);

  it('lose nothing while the controller is killed and started again, and no switch gets a change', {
    retry: 1,
    timeout: 60_000,
  }, async () => {
    const [a, b] = of(t1) as [LabMachine, LabMachine];
    const pinging = inHost(a, ['ping', '-n', '-i', '0.01', '-w', '8', b.ip]);
    await netloom.stop('SIGKILL');
    expect(await ping(a, of(t1)[2]!.ip), 'ping while no controller lives').toBe(true);
    await netloom.start();
    await netloom.until('/v1/switches', (body) => body.items.every((item: { connected: boolean }) => item.connected));
    for (const { name } of net.hypervisors) await netloom.until(`/v1/hypervisors/${name}`, isReady);
    await netloom.until('/metrics', (body) => /^netloom_rule_switches_synced 3$/m.test(body as unknown as string));
    await tunnelsAre((state) => state === 'up');
    const { output } = await pinging;
    // Those that were under way when the time was over have no answer; before them none is missing.
    const answered = [...output.matchAll(/icmp_seq=(\d+) /g)].map(([, sequence]) => Number(sequence));
    expect(answered.length).toBeGreaterThan(100);
    const last = Math.max(...answered);
    const heard = new Set(answered);
    expect(Array.from({ length: last }, (_, at) => at + 1).filter((sequence) => !heard.has(sequence))).toEqual([]);
    for (const type of ['flow_mod', 'group_mod', 'meter_mod']) {
      expect(await netloom.sum('netloom_openflow_sent_messages_total', `type="${type}"`), type).toBe(0);
    }
  });

  it('go on after the switch daemon of a hypervisor died and came back', async () => {
    const hypervisor = net.hypervisors[1]!;
    await net.restart(hypervisor);
    await netloom.until(`/v1/hypervisors/${hypervisor.name}`, isReady);
    await netloom.until(`/v1/switches/${hypervisor.dpid}/diff`, (body) => body.inSync === true);
    await tunnelsAre((state) => state === 'up');
    expect(await tryAll(net.machines)).toMatchObject(ALL_GOOD);
  }, 60_000);

  it('leave a hypervisor out of replication that tunnels no longer reach, and take it in again when they do', async () => {
    const [first, second] = net.hypervisors as [LabHypervisor, LabHypervisor];
    await net.underlay(second, false);
    await tunnelsAre((state, from, to) => state === (from === second.name || to === second.name ? 'down' : 'up'));
    await netloom.until(`/v1/switches/${first.dpid}/groups`, (body) => !JSON.stringify(body).includes(second.tunnel));
    await net.underlay(second, true);
    await tunnelsAre((state) => state === 'up');
    await netloom.until(`/v1/switches/${first.dpid}/groups`, (body) => JSON.stringify(body).includes(second.tunnel));
    expect(await tryAll(net.machines)).toMatchObject(ALL_GOOD);
  }, 60_000);
});

describe('what is wrong with a hypervisor', () => {
  /** The message that comes with a reason, once it says this. */
  const reasonOf = (name: string, reason: string, says: string) =>
    netloom.until(`/v1/hypervisors/${name}`, ({ status }) => {
      const [condition] = status.conditions;
      return condition.reason === reason && condition.message.includes(says);
    });

  it('is in its status and heals by itself: unreachable database, other datapath id, other tunnel address', async () => {
    const [first] = net.hypervisors as [LabHypervisor];
    const path = `/v1/hypervisors/${first.name}`;
    const right = { datapathId: first.dpid, tunnelAddresses: [first.tunnel], ovsdb: first.ovsdb };
    await netloom.ok('PUT', path, { ...right, ovsdb: 'tcp:127.0.0.1:1' });
    await reasonOf(first.name, 'DatabaseAway', 'ECONNREFUSED');
    await netloom.ok('PUT', path, { ...right, datapathId: '00000000000021ff' });
    await reasonOf(first.name, 'BridgeMissing', first.dpid);
    await netloom.ok('PUT', path, right);
    await netloom.until(path, isReady);
    await net.vsctl(first, 'set', 'Open_vSwitch', '.', 'external_ids:tunnel-ip=192.0.2.200');
    await reasonOf(first.name, 'AddressDiffers', '192.0.2.200');
    await net.vsctl(first, 'set', 'Open_vSwitch', '.', `external_ids:tunnel-ip=${first.tunnel}`);
    await netloom.until(path, isReady);
    for (const { name, tenant } of net.machines) await netloom.until(`/v1/tenants/${tenant}/ports/${name}`, isReady);
    await tunnelsAre((state) => state === 'up');
    expect(await tryAll(net.machines)).toMatchObject(ALL_GOOD);
  }, 60_000);

  it('is refused when it would take what another has: datapath id, tunnel address', async () => {
    const [first] = net.hypervisors as [LabHypervisor];
    const twice = await netloom.call('PUT', '/v1/hypervisors/twice', {
      datapathId: first.dpid,
      tunnelAddresses: [first.tunnel],
    });
    expect(twice.status).toBe(409);
    expect(twice.body.errors.map(({ pointer }: { pointer: string }) => pointer).sort()).toEqual([
      '/datapathId',
      '/tunnelAddresses/0',
    ]);
  });

  it('takes our ports with it when it is deleted, and nothing else', async () => {
    const [, , third] = net.hypervisors as [LabHypervisor, LabHypervisor, LabHypervisor];
    await netloom.ok('DELETE', `/v1/hypervisors/${third.name}`);
    await netloom.poll(
      () => net.vsctl(third, 'list-ports', 'br-int'),
      (ports) => !ports.includes('netloom-'),
      'ports of br-int',
    );
    expect(await net.vsctl(third, 'list-ports', 'br-int')).toContain(of(t1)[2]!.port);
    await netloom.ok('PUT', `/v1/hypervisors/${third.name}`, {
      datapathId: third.dpid,
      tunnelAddresses: [third.tunnel],
    });
    await netloom.until(`/v1/hypervisors/${third.name}`, isReady);
    await tunnelsAre((state) => state === 'up');
    expect(await tryAll(net.machines)).toMatchObject(ALL_GOOD);
  }, 60_000);
});
