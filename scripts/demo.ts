import { Fabric, type FabricHost } from '../mininet/driver.ts';
import { say, show, startController, stay, stopController, write } from './demo-kit.ts';
import { lispDemo, stopLisp } from './demo-lisp.ts';
import { mobilityDemo, stopMobility } from './demo-mobility.ts';
import { overlayDemo, stopOverlay } from './demo-overlay.ts';

/**
 * Two tenants with the same IP and MAC addresses on one fabric; with `overlay`, on several hypervisors. Shows that each reaches its own
 * and nothing else. With `mobility`, a machine that moves between hypervisors; with `lisp`, LISP routers of others
 * that find each other and a tenant's machine. Then stays until Ctrl-C, or with --exit ends with 0 (all as promised) or 1.
 */

const DPID_BASE = 0xde000;
let fabric: Fabric | undefined;

async function cleanUp(): Promise<void> {
  await fabric?.stop();
  await stopOverlay();
  await stopMobility();
  await stopLisp();
  await stopController();
}

async function provision(http: string, hosts: readonly FabricHost[]): Promise<void> {
  for (const tenant of new Set(hosts.map((host) => host.tenant))) {
    await write('PUT', `${http}/v1/tenants/${tenant}`, { description: 'demo' });
    await write('PUT', `${http}/v1/tenants/${tenant}/networks/lan`, {
      transport: 'fabric',
      subnets: ['10.0.0.0/16', 'fd00::/64'],
    });
  }
  await Promise.all(
    hosts.map((host) =>
      write('PUT', `${http}/v1/tenants/${host.tenant}/ports/${host.name}?wait=ready&timeout=30s`, {
        network: 'lan',
        mac: host.mac,
        addresses: [host.ip, host.ip6],
        binding: { switch: host.dpid, port: host.port },
      }),
    ),
  );
}

async function fabricDemo(): Promise<boolean> {
  const { openflow, http } = await startController(stay ? '127.0.0.1:6653' : '127.0.0.1:0');
  say('starting Mininet: 2 spines, 3 leaves, 6 hosts (Open vSwitch, userspace datapath)');
  fabric = await Fabric.start({ controller: openflow, prefix: 'nld', dpidBase: DPID_BASE, tenants: 2, hosts: 6 });
  say('creating two tenants with the same IP and MAC addresses by REST, and waiting for the switches to confirm');
  await provision(http, fabric.hosts);
  say('ready; trying who reaches whom');
  const good = await show(fabric.hosts);
  if (!stay) return good;
  console.log(
    `  API docs   ${http}/docs\n  metrics    ${http}/metrics\n  switches   ${http}/v1/switches\n  events     ${http}/v1/events`,
  );
  console.log(
    `  a host     mnexec -a ${fabric.hosts[0]!.pid} ping 10.0.0.2\n\n  Ctrl-C ends it and removes all it made.`,
  );
  return good;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    say('cleaning up');
    void cleanUp().finally(() => process.exit(130));
  });
}

const words = process.argv.slice(2).filter((word) => word !== '--exit');
const demos: Readonly<Record<string, () => Promise<boolean>>> = {
  fabric: fabricDemo,
  overlay: overlayDemo,
  mobility: mobilityDemo,
  lisp: lispDemo,
};
const chosen = demos[words[0] ?? 'fabric'];
if (!chosen || words.length > 1) {
  console.error(`netloom demo: "${words.join(' ')}" is none; there are ${Object.keys(demos).join(', ')}, and --exit`);
  process.exit(2);
}
let code = 1;
try {
  code = (await chosen()) ? 0 : 1;
  if (stay) {
    await new Promise<void>((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
    });
  }
} catch (error) {
  console.error(`netloom demo: ${error instanceof Error ? error.message : String(error)}`);
} finally {
  await cleanUp();
}
process.exit(code);
