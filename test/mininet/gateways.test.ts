import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inHost, type LabHypervisor, type LabMachine, ping } from '../../mininet/driver.ts';
import { tryAll } from '../../mininet/matrix.ts';
import type { Netloom } from '../kit/netloom.ts';
import { isReady, OverlayLab } from '../kit/overlay-lab.ts';

/**
 * Two tenants with the same MAC and IP addresses, each with one segment that is VXLAN on some hypervisors and something else on others.
 * Tests of this file build on each other.
 */

let lab: OverlayLab;
let netloom: Netloom;
const ALL_GOOD = { missing: [], leaked: [], astray: [], twice: [] };
const TENANTS = ['t1', 't2'] as const;
const hypervisor = (n: number): LabHypervisor => lab.net.hypervisors[n - 1]!;
const machines = (n: number): readonly LabMachine[] =>
  lab.net.machines.filter((machine) => machine.hypervisor === hypervisor(n).name);
const at = (n: number, tenant: string): LabMachine => machines(n).find((machine) => machine.tenant === tenant)!;
const gatewayOf = async (tenant: string, network: string): Promise<string> =>
  (await netloom.ok('GET', `/v1/tenants/${tenant}/networks/${network}`)).status.gateway;
const gatewayIs = (tenant: string, network: string, n: number): Promise<unknown> =>
  netloom.until(`/v1/tenants/${tenant}/networks/${network}`, (body) => body.status.gateway === hypervisor(n).name);
const inSync = async (): Promise<void> => {
  for (const { dpid } of lab.net.hypervisors)
    await netloom.until(`/v1/switches/${dpid}/diff`, (body) => body.inSync === true);
};
/** Resolves when no gateway holds another one for its predecessor that has not heard of it yet. */
const trusted = async (): Promise<void> => {
  for (const { dpid } of lab.net.hypervisors) {
    await netloom.until(
      `/v1/switches/${dpid}/flows?limit=10000`,
      (body) => !JSON.stringify(body).includes('relayed=1)'),
      20_000,
    );
  }
};
const network = (tenant: string, id: string, body: object): Promise<unknown> =>
  netloom.ok('PUT', `/v1/tenants/${tenant}/networks/${id}`, {
    subnets: ['10.0.0.0/24', 'fd00::/64'],
    mtu: 1450,
    ...body,
  });

beforeAll(async () => {
  lab = await OverlayLab.start(
    { prefix: 'nlg', net: 24, dpidBase: 0x2400, hypervisors: 4, vms: 8 },
    { overlay: { probeMs: 200 } },
  );
  ({ netloom } = lab);
  await lab.addAll();
  for (const tenant of TENANTS) {
    await netloom.ok('PUT', `/v1/tenants/${tenant}`, {});
    await network(tenant, 'lan', { transport: 'vxlan' });
    const [first, second] = tenant === 't1' ? [1, 2] : [2, 1];
    await network(tenant, 'far', {
      transport: 'nvgre',
      extends: 'lan',
      gateways: [hypervisor(first!).name, hypervisor(second!).name],
    });
  }
  // VXLAN on the first and third hypervisor, NVGRE on the second and fourth: both gateways have machines of their own.
  for (const n of [1, 2, 3, 4]) for (const machine of machines(n)) await lab.bind(machine, n % 2 === 1 ? 'lan' : 'far');
  await lab.tunnelsAre((state) => state === 'up');
}, 120_000);

afterAll(async () => {
  await lab?.stop();
}, 60_000);

describe('a segment on VXLAN and NVGRE', () => {
  it('has the first hypervisor of its list as gateway, and says so in the status of both sides', async () => {
    for (const [tenant, n] of [
      ['t1', 1],
      ['t2', 2],
    ] as const) {
      for (const id of ['lan', 'far']) {
        await gatewayIs(tenant, id, n);
        await netloom.until(`/v1/tenants/${tenant}/networks/${id}`, isReady);
      }
    }
    const { status } = await netloom.ok('GET', '/v1/tenants/t1/networks/lan');
    expect(status).toMatchObject({ otherSide: 'far', gateway: hypervisor(1).name });
  });

  it('lets everybody reach everybody, once, and nobody of the other tenant', async () => {
    await inSync();
    expect(await tryAll(lab.net.machines)).toMatchObject(ALL_GOOD);
    for (const tenant of TENANTS) {
      const [from, to] = [at(3, tenant), at(4, tenant)];
      expect(await ping(from, to.ip)).toBe(true);
      expect(await ping(to, from.ip6)).toBe(true);
      // 1450 bytes is what the narrower side leaves.
      const big = ['ping', '-n', '-q', '-c', '1', '-W', '2', '-M', 'do', '-s', String(1450 - 28), to.ip];
      expect((await inHost(from, big)).code).toBe(0);
    }
  });

  it('keeps addresses and MACs apart over both sides', async () => {
    const { mac, ip } = at(3, 't1');
    const twin = { network: 'far', mac, addresses: [ip] };
    const refused = await netloom.call('PUT', '/v1/tenants/t1/ports/twin', twin);
    expect(refused.status).toBe(409);
    expect(refused.body).toMatchObject({
      code: 'NL_CONFLICT',
      errors: [{ pointer: '/mac' }, { pointer: '/addresses/0' }],
    });
  });

  it('goes on without a controller, and a controller that comes back changes nothing', async () => {
    const [from, to] = [at(3, 't1'), at(4, 't1')];
    await netloom.stop('SIGKILL');
    expect(await ping(from, to.ip), 'ping while no controller lives').toBe(true);
    await netloom.start();
    for (const { name } of lab.net.hypervisors) await netloom.until(`/v1/hypervisors/${name}`, isReady);
    await inSync();
    await lab.tunnelsAre((state) => state === 'up');
    expect(await gatewayOf('t1', 'lan')).toBe(hypervisor(1).name);
    for (const type of ['flow_mod', 'group_mod', 'meter_mod']) {
      expect(await netloom.sum('netloom_openflow_sent_messages_total', `type="${type}"`), type).toBe(0);
    }
    expect(await tryAll(lab.net.machines)).toMatchObject(ALL_GOOD);
  }, 60_000);

  it('has the standby take over when tunnels no longer reach the gateway, without loops while the old one does not know', async () => {
    const gone = hypervisor(1);
    await lab.net.underlay(gone, false);
    await gatewayIs('t1', 'lan', 2);
    await inSync();
    const reached = lab.net.machines.filter((machine) => machine.hypervisor !== gone.name);
    expect(await tryAll(reached)).toMatchObject(ALL_GOOD);
    // When it is back it stands by, and its machines reach all others again.
    await lab.net.underlay(gone, true);
    await lab.tunnelsAre((state) => state === 'up');
    await netloom.until('/metrics', (body) =>
      /^netloom_gateway_takeovers_total\{cause="tunnels"\} 1$/m.test(String(body)),
    );
    await inSync();
    await trusted();
    expect(await gatewayOf('t1', 'lan')).toBe(hypervisor(2).name);
    expect(await tryAll(lab.net.machines)).toMatchObject(ALL_GOOD);
  }, 60_000);

  it('has the standby take over when the switch of the gateway dies', async () => {
    const stopped = hypervisor(2);
    await lab.net.vswitchd(stopped, false);
    await gatewayIs('t1', 'lan', 1);
    await gatewayIs('t2', 'far', 1);
    const reached = lab.net.machines.filter((machine) => machine.hypervisor !== stopped.name);
    await lab.tunnelsAre((state, from, to) => state === 'up' || from === stopped.name || to === stopped.name);
    expect(await tryAll(reached)).toMatchObject(ALL_GOOD);
    await lab.net.vswitchd(stopped, true);
    await netloom.until(`/v1/hypervisors/${stopped.name}`, isReady);
    await inSync();
    await lab.tunnelsAre((state) => state === 'up');
    await trusted();
    expect(await tryAll(lab.net.machines)).toMatchObject(ALL_GOOD);
  }, 60_000);
});

describe('a segment on VXLAN and the fabric', () => {
  it('connects machines behind cabled switches with those behind tunnels', async () => {
    await lab.net.cable([hypervisor(1), hypervisor(4)]);
    await netloom.until('/v1/links', ({ items }) => items.length === 2);
    for (const tenant of TENANTS) {
      await netloom.ok('DELETE', `/v1/tenants/${tenant}/networks/far?cascade=true`);
      await network(tenant, 'cabled', { transport: 'fabric', extends: 'lan', gateways: [hypervisor(1).name] });
      await gatewayIs(tenant, 'lan', 1);
    }
    for (const machine of machines(4)) await lab.bind(machine, 'cabled');
    for (const machine of machines(2)) await lab.bind(machine, 'lan');
    await lab.tunnelsAre((state) => state === 'up');
    await inSync();
    expect(await tryAll(lab.net.machines)).toMatchObject(ALL_GOOD);
    expect(await ping(at(4, 't1'), at(3, 't1').ip)).toBe(true);
    expect(await ping(at(2, 't2'), at(4, 't2').ip6)).toBe(true);
  }, 60_000);

  it('leaves two networks of which neither reaches the other when the extension goes', async () => {
    for (const tenant of TENANTS) await netloom.ok('DELETE', `/v1/tenants/${tenant}/networks/cabled?cascade=true`);
    await inSync();
    expect(await ping(at(4, 't1'), at(3, 't1').ip, 1)).toBe(false);
    expect(await tryAll(lab.net.machines.filter((machine) => machine.hypervisor !== hypervisor(4).name))).toMatchObject(
      ALL_GOOD,
    );
    const left = await netloom.ok('GET', `/v1/switches/${hypervisor(4).dpid}/flows?limit=10000`);
    expect(JSON.stringify(left)).not.toContain('/networks/cabled');
  });
});

describe('a segment on VXLAN and a VLAN', () => {
  const VLAN = 100;
  const legacy = { ip: '10.0.0.100', mac: '02:1e:9a:c0:00:64' };
  /** A host that knows nothing of tunnels, in the namespace of the fourth hypervisor. */
  const host = (): LabHypervisor => hypervisor(4);
  const uplink = '/v1/tenants/t1/ports/uplink';

  it('reaches hosts of the VLAN on a physical port of the gateway, which are found by what they send', async () => {
    // A bridge of the third hypervisor plays the switch of a building: cables with tags to the bridges of both gateways, and the host's end
    // of the VLAN.
    for (const n of [1, 2]) await lab.net.cable([hypervisor(n), hypervisor(3)], ['br-ex', 'br-house']);
    const [socket, nic] = await lab.net.cable([hypervisor(3), host()], ['br-house', '']);
    await lab.net.vsctl(hypervisor(3), 'set', 'Port', socket, `tag=${VLAN}`);
    const set = [`ip link set ${nic} address ${legacy.mac} mtu 1450`, `ip addr add ${legacy.ip}/24 dev ${nic}`];
    for (const command of set) expect(await inHost(host(), command.split(' '))).toMatchObject({ code: 0, output: '' });

    await netloom.ok('PUT', `${uplink}?wait=ready&timeout=20s`, {
      network: 'lan',
      mac: 'learned',
      binding: { hypervisor: hypervisor(1).name, port: 'br-ex', vlan: VLAN, standby: [hypervisor(2).name] },
    });
    expect(await lab.net.vsctl(hypervisor(1), 'get', 'Port', await patchOf(1), 'tag')).toContain(String(VLAN));
    // With a machine on the other gateway, on the gateway itself, and behind another switch than both.
    for (const n of [1, 2, 3]) {
      expect(await ping(host(), at(n, 't1').ip), `to ${n}`).toBe(true);
      expect(await ping(at(n, 't1'), legacy.ip), `from ${n}`).toBe(true);
    }
    const { items } = await netloom.ok('GET', '/v1/hosts?limit=100');
    expect(items).toMatchObject([{ mac: legacy.mac, switch: hypervisor(1).dpid }]);
    // The other tenant has the same addresses and is not reached.
    expect(await ping(at(3, 't2'), legacy.ip, 1)).toBe(false);
  }, 60_000);

  it('is carried by the standby when the gateway dies: hosts are taken along, and the VLAN hears where to send', async () => {
    await lab.net.vswitchd(hypervisor(1), false);
    await netloom.until('/v1/hosts?limit=100', ({ items }) => items[0]?.switch === hypervisor(2).dpid);
    for (const n of [2, 3]) expect(await ping(at(n, 't1'), legacy.ip), `from ${n}`).toBe(true);
    await lab.net.vswitchd(hypervisor(1), true);
    await netloom.until(`/v1/hypervisors/${hypervisor(1).name}`, isReady);
    await inSync();
    await lab.tunnelsAre((state) => state === 'up');
    for (const n of [1, 2, 3]) expect(await ping(host(), at(n, 't1').ip), `to ${n}`).toBe(true);
  }, 60_000);

  it('takes its ports out of the bridges when it is deleted, and says what is missing when there is no such port', async () => {
    await netloom.ok('DELETE', uplink);
    for (const n of [1, 2]) {
      const left = async (): Promise<string> =>
        (await lab.net.vsctl(hypervisor(n), 'list-ports', 'br-int')) +
        (await lab.net.vsctl(hypervisor(n), 'list-ports', 'br-ex'));
      await expect.poll(left, { timeout: 5_000 }).not.toMatch(/nl[vw]-/);
    }
    await netloom.ok('PUT', uplink, {
      network: 'lan',
      mac: 'learned',
      binding: { hypervisor: hypervisor(1).name, port: 'eth99', vlan: VLAN },
    });
    await netloom.until(uplink, (body) => body.status.conditions[0].reason === 'VlanUnknown');
    await netloom.ok('DELETE', uplink);
  });
});

/** The far end of the patch to a VLAN. */
const patchOf = async (n: number): Promise<string> =>
  (await lab.net.vsctl(hypervisor(n), 'list-ports', 'br-ex')).split('\n').find((name) => name.startsWith('nlw-'))!;
