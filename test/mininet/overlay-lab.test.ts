import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inHost, type LabHypervisor, type LabMachine, OverlayNet, ping } from '../../mininet/driver.ts';
import { tryAll } from '../../mininet/matrix.ts';
import { Capture } from '../kit/capture.ts';
import { ofctl } from '../kit/ofctl.ts';

/**
 * The arrangement that overlay tests stand on, without a controller: flows are made by hand, so that what these tests see is the
 * arrangement's doing. Two hypervisors, on each one machine of each of two tenants.
 */

let net: OverlayNet;
const ALL_GOOD = { missing: [], leaked: [], astray: [], twice: [] };
const SEGMENTS: Readonly<Record<string, number>> = { t1: 0xabcdef, t2: 0x123456 };

interface Way {
  readonly type: 'vxlan' | 'gre';
  /** Field that holds the remote endpoint. */
  readonly field: 'tun_dst' | 'tun_ipv6_dst';
  readonly address: (hypervisor: LabHypervisor) => string;
  /** Tunnel key of a segment. */
  readonly key: (segment: number) => number;
}

const VXLAN: Way = { type: 'vxlan', field: 'tun_dst', address: ({ tunnel }) => tunnel, key: (vni) => vni };
const VXLAN6: Way = { ...VXLAN, field: 'tun_ipv6_dst', address: ({ tunnel6 }) => tunnel6 };
const GRE: Way = { ...VXLAN, type: 'gre', key: (vsid) => vsid * 256 };

const other = (hypervisor: LabHypervisor) => net.hypervisors.find((each) => each !== hypervisor)!;
const at = (hypervisor: LabHypervisor, tenant: string) =>
  net.machines.find((machine) => machine.hypervisor === hypervisor.name && machine.tenant === tenant)!;

/** Number of a port, as soon as it has one. */
async function portNumber(hypervisor: LabHypervisor, port: string): Promise<string> {
  await net.vsctl(hypervisor, 'wait-until', 'Interface', port, 'ofport>0');
  return (await net.vsctl(hypervisor, 'get', 'Interface', port, 'ofport')).trim();
}

const GROUP_ADDRESS = '01:00:00:00:00:00/01:00:00:00:00:00';

/** Replaces all flows: each machine's frames go to the other hypervisor and `more` endpoints, and there to who they are for. */
async function connect(way: Way, more: readonly string[] = []): Promise<void> {
  for (const hypervisor of net.hypervisors) {
    ofctl(hypervisor, 'del-flows', 'br-int');
    const tunnel = await portNumber(hypervisor, `hand-${way.type}`);
    for (const [tenant, segment] of Object.entries(SEGMENTS)) {
      const machine = at(hypervisor, tenant);
      const port = await portNumber(hypervisor, machine.port);
      const key = way.key(segment);
      const copies = [way.address(other(hypervisor)), ...more].map(
        (address) => `set_field:${address}-\\>${way.field},output:${tunnel}`,
      );
      ofctl(hypervisor, 'add-flow', 'br-int', `in_port=${port},actions=set_field:${key}-\\>tun_id,${copies.join(',')}`);
      for (const address of [machine.mac, GROUP_ADDRESS]) {
        const match = `in_port=${tunnel},tun_id=${key},dl_dst=${address}`;
        ofctl(hypervisor, 'add-flow', 'br-int', `${match},actions=output:${port}`);
      }
    }
  }
}

/** One capture on the underlay while all send to all; fields of what fits. */
async function onTheWire(filter: string, fits: string, ...fields: string[]): Promise<readonly (readonly string[])[]> {
  const [hypervisor] = net.hypervisors as [LabHypervisor];
  const capture = await Capture.start(hypervisor, hypervisor.underlay, filter);
  expect(await tryAll(net.machines)).toMatchObject(ALL_GOOD);
  return capture.read(fits, ...fields);
}

const segmentsOf = (seen: readonly (readonly string[])[], shift = 0) =>
  [...new Set(seen.map(([value]) => Number(value) >>> shift))].sort((a, b) => a - b);
const EXPECTED = Object.values(SEGMENTS).sort((a, b) => a - b);

beforeAll(async () => {
  net = await OverlayNet.start({
    prefix: 'nlt',
    net: 35,
    dpidBase: 0x2300,
    hypervisors: 2,
    vms: 4,
    peers: 1,
    mtu: 1600,
  });
  for (const hypervisor of net.hypervisors) {
    for (const type of ['vxlan', 'gre']) {
      const port = ['add-port', 'br-int', `hand-${type}`, '--', 'set', 'Interface', `hand-${type}`, `type=${type}`];
      await net.vsctl(hypervisor, ...port, 'options:remote_ip=flow', 'options:key=flow');
    }
    // The first frame to an endpoint whose MAC is not known is lost.
    const { tunnel, tunnel6 } = other(hypervisor);
    for (const address of [tunnel, tunnel6, net.peers[0]!.ip]) expect(await ping(hypervisor, address)).toBe(true);
  }
}, 60_000);

afterAll(async () => {
  await net?.stop();
}, 60_000);

describe('hypervisors on one machine, with flows made by hand', () => {
  it('carry two tenants with the same addresses over VXLAN, and the wire shows their VNIs', async () => {
    await connect(VXLAN);
    const seen = await onTheWire('udp port 4789', 'vxlan && ip.version == 4', 'vxlan.vni');
    expect(segmentsOf(seen)).toEqual(EXPECTED);
  }, 60_000);

  it('carry them over VXLAN on an IPv6 underlay', async () => {
    await connect(VXLAN6);
    const seen = await onTheWire('ip6 and udp port 4789', 'vxlan && ipv6.dst == 2001:db8::/32', 'vxlan.vni');
    expect(segmentsOf(seen)).toEqual(EXPECTED);
  }, 60_000);

  it('carry them over GRE, and the wire shows their VSIDs in the upper bits of the key', async () => {
    await connect(GRE);
    const seen = await onTheWire('proto gre', 'gre', 'gre.key', 'gre.proto');
    expect(segmentsOf(seen, 8)).toEqual(EXPECTED);
    expect(new Set(seen.map(([, proto]) => Number(proto)))).toEqual(new Set([0x6558]));
  }, 60_000);

  it('let full frames through when the underlay has room for the headers, and no larger ones', async () => {
    await connect(VXLAN);
    const [a, b] = net.machines.filter(({ tenant }) => tenant === 't1') as [LabMachine, LabMachine];
    const big = (size: number) => inHost(a, ['ping', '-n', '-c', '1', '-W', '2', '-M', 'do', '-s', String(size), b.ip]);
    expect((await big(1500 - 28)).code).toBe(0);
    expect((await big(1501 - 28)).code).not.toBe(0);
  }, 30_000);

  it('have a leak seen at the NIC it comes to: unicast and broadcast', async () => {
    await connect(VXLAN);
    const [first, second] = net.hypervisors as [LabHypervisor, LabHypervisor];
    const [mine, theirs] = [at(second, 't1'), at(second, 't2')];
    const tunnel = await portNumber(second, 'hand-vxlan');
    const outputs = [await portNumber(second, mine.port), await portNumber(second, theirs.port)];
    const match = `priority=40000,in_port=${tunnel},tun_id=${SEGMENTS['t1']}`;
    for (const address of [mine.mac, GROUP_ADDRESS]) {
      const actions = outputs.map((port) => `output:${port}`).join(',');
      ofctl(second, 'add-flow', 'br-int', `${match},dl_dst=${address},actions=${actions}`);
    }
    const { leaked, missing } = await tryAll(net.machines);
    expect(missing).toEqual([]);
    expect(leaked.length).toBeGreaterThan(1);
    expect(leaked.filter((each) => !each.endsWith(` at ${theirs.name}`))).toEqual([]);
    expect(leaked.filter((each) => !each.includes(at(first, 't1').name))).toEqual([]);
  }, 60_000);

  it('have a lost frame seen at the NIC it should have come to', async () => {
    await connect(VXLAN);
    const [first] = net.hypervisors as [LabHypervisor];
    ofctl(first, 'add-flow', 'br-int', `priority=40000,tun_id=${SEGMENTS['t2']},actions=drop`);
    const { missing, leaked } = await tryAll(net.machines, 1_000);
    expect(leaked).toEqual([]);
    expect(missing.length).toBeGreaterThan(0);
    expect(missing.filter((each) => !each.endsWith(` at ${at(first, 't2').name}`))).toEqual([]);
  }, 60_000);

  it('reach a VXLAN device of the kernel, both ways', async () => {
    const [peer] = net.peers;
    await connect(VXLAN, [peer!.ip]);
    const ip = (...args: string[]) => inHost(peer!, ['ip', ...args]);
    await ip('link', 'add', 'nlx', 'type', 'vxlan', 'id', String(SEGMENTS['t1']), 'dstport', '4789');
    for (const { tunnel } of net.hypervisors) {
      await inHost(peer!, ['bridge', 'fdb', 'append', '00:00:00:00:00:00', 'dev', 'nlx', 'dst', tunnel]);
    }
    await ip('addr', 'add', '10.0.0.101/24', 'dev', 'nlx');
    await ip('link', 'set', 'nlx', 'up', 'mtu', '1450');
    for (const machine of net.machines) {
      expect(await ping(machine, '10.0.0.101', 1), machine.name).toBe(machine.tenant === 't1');
    }
    expect(await ping(peer!, net.machines[0]!.ip)).toBe(true);
  }, 30_000);
});
