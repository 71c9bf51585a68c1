import { inHost, type LabMachine, OverlayNet, ping } from '../mininet/driver.ts';
import { say, show, startController, stay, until, write } from './demo-kit.ts';

/** VNI of the first tenant, which the kernel's device is told, too. */
const VNI = 5001;
const KERNEL = { mac: '02:00:00:00:00:65', ip: '10.0.0.101' };

let net: OverlayNet | undefined;

export const stopOverlay = async (): Promise<void> => net?.stop();

const ready = (body: string): boolean => body.includes('"type":"Ready","status":"True"');

/**
 * Two tenants with the same addresses on three hypervisors that share an IP network only: over VXLAN, then over NVGRE, then with the
 * Linux kernel's VXLAN device as one more endpoint. True when all is as promised.
 */
export async function overlayDemo(): Promise<boolean> {
  say(
    'starting Mininet: an underlay, 3 hypervisors with an Open vSwitch each, 6 machines, 1 host with a kernel VXLAN device',
  );
  net = await OverlayNet.start({ prefix: 'nlx', net: 77, dpidBase: 0xdf000, hypervisors: 3, vms: 6, peers: 1 });
  const { machines, hypervisors } = net;
  const { openflow, http } = await startController(`${net.management}:${stay ? 6653 : 0}`);
  await net.controller(`tcp:${openflow}`);
  say('naming the hypervisors by REST; their databases say which port is whose');
  for (const { name, dpid, tunnel, ovsdb } of hypervisors) {
    await write('PUT', `${http}/v1/hypervisors/${name}`, { datapathId: dpid, tunnelAddresses: [tunnel], ovsdb });
  }
  for (const { name } of hypervisors) await until(`${http}/v1/hypervisors/${name}`, ready);
  say('creating two tenants with the same IP and MAC addresses, on VXLAN');
  for (const tenant of ['t1', 't2']) {
    await write('PUT', `${http}/v1/tenants/${tenant}`, { description: 'demo' });
    const network = { transport: 'vxlan', subnets: ['10.0.0.0/24', 'fd00::/64'] };
    await write(
      'PUT',
      `${http}/v1/tenants/${tenant}/networks/lan`,
      tenant === 't1' ? { ...network, segmentId: VNI } : network,
    );
  }
  await Promise.all(machines.map((machine) => bind(http, machine)));
  await confirmed(http, machines);
  let good = await show(machines);

  say('the same over NVGRE: one PATCH a network');
  for (const tenant of ['t1', 't2']) {
    await write('PATCH', `${http}/v1/tenants/${tenant}/networks/lan`, {
      transport: 'nvgre',
      segmentId: null,
      mtu: null,
    });
  }
  await confirmed(http, machines);
  good = (await show(machines)) && good;

  say(`t1 back on VXLAN, and the kernel's VXLAN device at ${net.peers[0]!.ip} in it as ${KERNEL.ip}`);
  await write('PATCH', `${http}/v1/tenants/t1/networks/lan`, { transport: 'vxlan', segmentId: VNI, mtu: null });
  good = (await kernelPeer(http, net)) && good;
  if (!stay) return good;
  console.log(
    `  API docs   ${http}/docs\n  metrics    ${http}/metrics\n  tunnels    ${http}/v1/tunnels\n  hypervisors ${http}/v1/hypervisors`,
  );
  console.log(`  a machine  mnexec -a ${machines[0]!.pid} ping 10.0.0.2\n\n  Ctrl-C ends it and removes all it made.`);
  return good;
}

const bind = (http: string, { name, tenant, mac, ip, ip6, hypervisor, interfaceId }: LabMachine): Promise<void> =>
  write('PUT', `${http}/v1/tenants/${tenant}/ports/${name}?wait=ready&timeout=30s`, {
    network: 'lan',
    mac,
    addresses: [ip, ip6],
    binding: { hypervisor, interfaceId },
  });

/** Switches have confirmed all, and probes have gone through every tunnel. */
async function confirmed(http: string, machines: readonly LabMachine[]): Promise<void> {
  for (const { tenant, name } of machines) await until(`${http}/v1/tenants/${tenant}/ports/${name}`, ready);
  await until(
    `${http}/v1/tunnels?limit=1000`,
    (body) => body.includes('"up"') && !/"state":"(down|unknown)"/.test(body),
  );
}

async function kernelPeer(http: string, { peers, machines, hypervisors }: OverlayNet): Promise<boolean> {
  const peer = peers[0]!;
  await write('PUT', `${http}/v1/hypervisors/kernel`, { tunnelAddresses: [peer.ip] });
  await write('PUT', `${http}/v1/tenants/t1/ports/kernel?wait=ready&timeout=30s`, {
    network: 'lan',
    mac: KERNEL.mac,
    addresses: [KERNEL.ip],
    binding: { hypervisor: 'kernel', interfaceId: 'any' },
  });
  const device = ['nlxv', 'address', KERNEL.mac, 'type', 'vxlan', 'id', String(VNI), 'dstport', '4789'];
  await inHost(peer, ['ip', 'link', 'add', ...device]);
  for (const { tunnel } of hypervisors) {
    await inHost(peer, ['bridge', 'fdb', 'append', '00:00:00:00:00:00', 'dev', 'nlxv', 'dst', tunnel]);
  }
  await inHost(peer, ['ip', 'addr', 'add', `${KERNEL.ip}/24`, 'dev', 'nlxv']);
  await inHost(peer, ['ip', 'link', 'set', 'nlxv', 'up', 'mtu', '1450']);
  await confirmed(http, machines);
  let good = true;
  for (const machine of machines) {
    const answers = await ping(machine, KERNEL.ip, machine.tenant === 't1' ? 3 : 1);
    const asPromised = answers === (machine.tenant === 't1');
    good &&= asPromised;
    console.log(
      `  ${asPromised ? '+' : '!'} ${machine.tenant}:${machine.ip} ${answers ? 'reaches' : 'does not reach'} the kernel's device`,
    );
  }
  return good;
}
