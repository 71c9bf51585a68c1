import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LabHypervisor, type LabMachine, ping } from '../../mininet/driver.ts';
import { Capture } from '../kit/capture.ts';
import { isReady, OverlayLab } from '../kit/overlay-lab.ts';

/** Three hypervisors on an underlay of both IP versions: one with an IPv4 address only, one with both, one with IPv6 only. */

let lab: OverlayLab;
/** The first and the last hypervisor have no family in common. */
const isCut = (from: string, to: string): boolean => [from, to].every((name) => name !== lab.net.hypervisors[1]!.name);
const machines = () => lab.of('t1') as [LabMachine, LabMachine, LabMachine];

beforeAll(async () => {
  lab = await OverlayLab.start({ prefix: 'nlj', net: 32, dpidBase: 0x3200, hypervisors: 3, vms: 3, tenants: 1 });
  const [four, both, six] = lab.net.hypervisors as [LabHypervisor, LabHypervisor, LabHypervisor];
  for (const [hypervisor, addresses] of [
    [four, [four.tunnel]],
    [both, [both.tunnel, both.tunnel6]],
    [six, [six.tunnel6]],
  ] as const) {
    await lab.net.vsctl(hypervisor, 'set', 'Open_vSwitch', '.', `external_ids:tunnel-ip="${addresses.join(',')}"`);
    const { name, dpid, ovsdb } = hypervisor;
    await lab.netloom.ok('PUT', `/v1/hypervisors/${name}`, { datapathId: dpid, tunnelAddresses: addresses, ovsdb });
  }
  await lab.hypervisorsReady();
  await lab.netloom.ok('PUT', '/v1/tenants/t1', {});
  const network = { transport: 'vxlan', subnets: ['10.0.0.0/24', 'fd00::/64'] };
  await lab.netloom.ok('PUT', '/v1/tenants/t1/networks/lan', network);
  await Promise.all(lab.net.machines.map((machine) => lab.bind(machine)));
  await lab.tunnelsAre((state, from, to) => state === (isCut(from, to) ? 'down' : 'up'));
}, 120_000);

afterAll(async () => {
  await lab?.stop();
}, 60_000);

describe('hypervisors with addresses of different families', () => {
  it('reach one another in the family that both have, IPv4 where there is a choice', async () => {
    const [a, b, c] = machines();
    const [, both] = lab.net.hypervisors;
    const capture = await Capture.start(both!, both!.underlay, 'udp port 4789');
    for (const [from, to] of [
      [a, b],
      [b, a],
      [b, c],
      [c, b],
    ] as const)
      expect(await ping(from, to.ip)).toBe(true);
    const seen = await capture.read('vxlan && icmp', 'ip.version', 'ipv6.version');
    expect(seen.some(([, six]) => six === '')).toBe(true);
    expect(seen.some(([, six]) => six === '6')).toBe(true);
  }, 60_000);

  it('do not reach one another without a family in common: the tunnels say so, and their ports work otherwise', async () => {
    const [a, , c] = machines();
    expect(await ping(a, c.ip, 1)).toBe(false);
    const { items } = await lab.netloom.ok('GET', '/v1/tunnels?limit=1000');
    expect(items).toHaveLength(6);
    const cut = items.filter(({ from, to }: { from: string; to: string }) => isCut(from, to));
    const reason = 'their tunnel addresses have no family in common';
    expect(cut).toMatchObject([
      { state: 'down', reason },
      { state: 'down', reason },
    ]);
    for (const { name } of machines())
      expect(isReady(await lab.netloom.ok('GET', `/v1/tenants/t1/ports/${name}`))).toBe(true);
  }, 60_000);

  it('reach one another as soon as an address of the other family is added', async () => {
    const [a, , c] = machines();
    const [, , six] = lab.net.hypervisors as [LabHypervisor, LabHypervisor, LabHypervisor];
    // 192.0.2.13 is there; only the controller was not told.
    const ipv4 = `192.0.2.${Number.parseInt(six.tunnel6.split('::')[1]!, 16)}`;
    await lab.netloom.ok('PATCH', `/v1/hypervisors/${six.name}`, { tunnelAddresses: [six.tunnel6, ipv4] });
    await lab.tunnelsAre((state) => state === 'up');
    for (const [from, to] of [
      [a, c],
      [c, a],
    ] as const)
      expect(await ping(from, to.ip)).toBe(true);
  }, 60_000);
});
