import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inHost, type LabMachine, ping } from '../../mininet/driver.ts';
import { tryAll } from '../../mininet/matrix.ts';
import { Capture } from '../kit/capture.ts';
import { isReady, OverlayLab } from '../kit/overlay-lab.ts';

/** Two tenants with the same addresses on hypervisors that share an IPv6 underlay and nothing of IPv4. */

let lab: OverlayLab;
const ALL_GOOD = { missing: [], leaked: [], astray: [], twice: [] };
const SEGMENTS: Readonly<Record<string, number>> = { t1: 0xfffffe, t2: 0x123456 };

beforeAll(async () => {
  lab = await OverlayLab.start(
    { prefix: 'nl6', net: 26, dpidBase: 0x2600, hypervisors: 2, vms: 4, peers: 1, family: 6 },
    { underlay: { family: 6 } },
  );
  await lab.addAll();
}, 120_000);

afterAll(async () => {
  await lab?.stop();
}, 60_000);

describe.each([
  {
    transport: 'vxlan',
    capture: 'ip6 and udp port 4789',
    field: 'vxlan.vni',
    segment: (id: string) => Number(id),
    mtu: 1430,
  },
  {
    transport: 'nvgre',
    capture: 'ip6 proto 47',
    field: 'gre.key',
    segment: (key: string) => Number(key) >>> 8,
    mtu: 1438,
  },
])('$transport over IPv6', ({ transport, capture: filter, field, segment, mtu }) => {
  beforeAll(async () => {
    for (const [tenant, segmentId] of Object.entries(SEGMENTS)) {
      await lab.netloom.ok('PUT', `/v1/tenants/${tenant}`, {});
      const network = { transport, segmentId, subnets: ['10.0.0.0/24', 'fd00::/64'] };
      await lab.netloom.ok('PUT', `/v1/tenants/${tenant}/networks/lan`, network);
    }
    await Promise.all(lab.net.machines.map((machine) => lab.bind(machine)));
    for (const { name, tenant } of lab.net.machines)
      await lab.netloom.until(`/v1/tenants/${tenant}/ports/${name}`, isReady);
    await lab.tunnelsAre((state) => state === 'up');
  }, 60_000);

  it('carries unicast, broadcast and multicast of each tenant to all of its machines and to nobody else', async () => {
    expect(await tryAll(lab.net.machines)).toMatchObject(ALL_GOOD);
    for (const tenant of Object.keys(SEGMENTS)) {
      const [a, b] = lab.of(tenant) as [LabMachine, LabMachine];
      expect(a.hypervisor).not.toBe(b.hypervisor);
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        expect(await ping(from, to.ip)).toBe(true);
        expect(await ping(from, to.ip6)).toBe(true);
      }
    }
  }, 60_000);

  it('has the tenant’s segment on the wire, between the IPv6 addresses of the hypervisors', async () => {
    const [from, to] = lab.net.hypervisors;
    for (const [tenant, id] of Object.entries(SEGMENTS)) {
      const [a, b] = lab.of(tenant) as [LabMachine, LabMachine];
      const capture = await Capture.start(from!, from!.underlay, filter);
      expect(await ping(a, b.ip)).toBe(true);
      const seen = await capture.read('icmp.type == 8', field, 'ipv6.src', 'ipv6.dst', 'ip.dst');
      expect(seen.length).toBeGreaterThan(0);
      for (const [shown, source, target, inner] of seen) {
        expect(segment(shown!)).toBe(id);
        expect([source, target]).toEqual([from!.tunnel6, to!.tunnel6]);
        expect(inner).toBe(b.ip);
      }
    }
  }, 60_000);

  it('leaves machines the MTU that the larger header leaves, and no more', async () => {
    const [a, b] = lab.of('t1') as [LabMachine, LabMachine];
    expect((await lab.netloom.ok('GET', '/v1/tenants/t1/networks/lan')).mtu).toBe(mtu);
    const big = (size: number) =>
      inHost(a, ['ping', '-n', '-c', '2', '-W', '1', '-M', 'do', '-s', String(size - 28), b.ip]);
    expect((await big(mtu)).code).toBe(0);
    expect((await big(mtu + 1)).code).not.toBe(0);
  }, 30_000);
});

describe('a kernel VXLAN device at an IPv6 address', () => {
  it('is reached, and reaches machines of its tenant and nobody else: outer UDP checksums are right (RFC 8200)', async () => {
    const peer = lab.net.peers[0]!;
    const [from] = lab.net.hypervisors;
    const inside = { mac: '02:00:00:00:00:65', ip: '10.0.0.101' };
    const ip = async (...args: string[]) => {
      const { code, output } = await inHost(peer, ['ip', ...args]);
      expect(code, `ip ${args.join(' ')}: ${output}`).toBe(0);
    };
    await lab.netloom.ok('PATCH', '/v1/tenants/t1/networks/lan', {
      transport: 'vxlan',
      segmentId: 0xfffffe,
      mtu: null,
    });
    await lab.netloom.ok('PUT', '/v1/hypervisors/kernel', { tunnelAddresses: [peer.ip6] });
    await lab.netloom.ok('PUT', '/v1/tenants/t1/ports/kernel?wait=ready', {
      network: 'lan',
      mac: inside.mac,
      addresses: [inside.ip],
      binding: { hypervisor: 'kernel', interfaceId: 'any' },
    });
    for (const { name, tenant } of lab.net.machines)
      await lab.netloom.until(`/v1/tenants/${tenant}/ports/${name}`, isReady);
    // No udp6zerocsumrx: the kernel drops what has no checksum.
    const tunnel = ['type', 'vxlan', 'id', String(0xfffffe), 'dstport', '4789', 'local', peer.ip6];
    await ip('link', 'add', 'nlx', 'address', inside.mac, ...tunnel);
    for (const { tunnel: address } of lab.net.hypervisors) {
      await inHost(peer, ['bridge', 'fdb', 'append', '00:00:00:00:00:00', 'dev', 'nlx', 'dst', address]);
    }
    await ip('addr', 'add', `${inside.ip}/24`, 'dev', 'nlx');
    await ip('link', 'set', 'nlx', 'up', 'mtu', '1430');
    const capture = await Capture.start(from!, from!.underlay, 'ip6 and udp port 4789');
    for (const machine of lab.of('t1')) {
      expect(await ping(peer, machine.ip), `kernel → ${machine.name}`).toBe(true);
      expect(await ping(machine, inside.ip), `${machine.name} → kernel`).toBe(true);
    }
    expect(await ping(lab.of('t2')[0]!, inside.ip, 1)).toBe(false);
    const sent = await capture.read(`ipv6.src == ${from!.tunnel6} && vxlan`, 'udp.checksum');
    expect(sent.length).toBeGreaterThan(0);
    expect(sent.filter(([checksum]) => Number(checksum!.split(',')[0]) === 0)).toEqual([]);
  }, 60_000);
});
