import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Fabric, type FabricHost, Probe, ping } from '../mininet/driver.ts';
import { taggedFrames } from '../mininet/frames.ts';

/**
 * Two tenants with the same IP and MAC addresses on one fabric. Shows that each reaches its own and nothing else; then stays
 * until Ctrl-C, or with --exit ends with 0 (all as promised) or 1.
 */

const root = join(import.meta.dirname, '..');
const started = performance.now();
const say = (text: string) =>
  console.log(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${text}`);
const stay = !process.argv.includes('--exit');
const dataDir = join(tmpdir(), 'netloom-demo');
const DPID_BASE = 0xde000;

let controller: ChildProcess | undefined;
let fabric: Fabric | undefined;
const probes: Probe<FabricHost>[] = [];

async function cleanUp(): Promise<void> {
  await Promise.all(probes.map((probe) => probe.close()));
  await fabric?.stop();
  if (controller && controller.exitCode === null) {
    const ended = once(controller, 'exit');
    controller.kill('SIGTERM');
    await ended;
  }
  rmSync(dataDir, { recursive: true, force: true });
}

/** Starts the controller on free ports; resolves with its addresses once it says it is ready. */
async function startController(): Promise<{ openflow: string; http: string }> {
  rmSync(dataDir, { recursive: true, force: true });
  mkdirSync(dataDir, { recursive: true });
  const args = ['--import', 'tsx', join(root, 'src/main.ts'), 'serve', '--data', dataDir, '--log-level', 'warn'];
  const fixed = stay
    ? ['--openflow', '127.0.0.1:6653', '--http', '127.0.0.1:8080']
    : ['--openflow', '127.0.0.1:0', '--http', '127.0.0.1:0', '--ovsdb', ''];
  controller = spawn(process.execPath, [...args, ...fixed], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: controller.stdout! })) {
    const ready = /ready.* openflow=(\S+) http=(\S+)/.exec(line);
    if (ready) return { openflow: ready[1]!.split(',')[0]!, http: ready[2]! };
    console.log(line);
  }
  throw new Error('the controller ended before it was ready; its message is above');
}

async function put(base: string, path: string, body: unknown): Promise<void> {
  const response = await fetch(`${base}${path}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`PUT ${path}: ${response.status} ${await response.text()}`);
}

async function provision(base: string, hosts: readonly FabricHost[]): Promise<void> {
  for (const tenant of new Set(hosts.map((host) => host.tenant))) {
    await put(base, `/v1/tenants/${tenant}`, { description: 'demo' });
    await put(base, `/v1/tenants/${tenant}/networks/lan`, {
      transport: 'fabric',
      subnets: ['10.0.0.0/16', 'fd00::/64'],
    });
  }
  await Promise.all(
    hosts.map((host) =>
      put(base, `/v1/tenants/${host.tenant}/ports/${host.name}?wait=ready&timeout=30s`, {
        network: 'lan',
        mac: host.mac,
        addresses: [host.ip, host.ip6],
        binding: { switch: host.dpid, port: host.port },
      }),
    ),
  );
}

/** One line a sender, one column a receiver; `+` as it should be, `!` as it must not be. */
function matrix(title: string, hosts: readonly FabricHost[], cell: (from: FabricHost, to: FabricHost) => string): void {
  console.log(`\n  ${title}`);
  console.log(`  ${'from \\ to'.padEnd(14)}${hosts.map((host) => `${host.tenant}:${host.ip}`.padEnd(13)).join('')}`);
  for (const from of hosts) {
    const cells = hosts.map((to) => (from === to ? '·' : cell(from, to)).padEnd(13)).join('');
    console.log(`  ${`${from.tenant}:${from.ip}`.padEnd(14)}${cells}`);
  }
}

async function show(hosts: readonly FabricHost[]): Promise<boolean> {
  const pairs = hosts.flatMap((from) => hosts.filter((to) => to !== from).map((to) => ({ from, to })));
  const own = pairs.filter(({ from, to }) => from.tenant === to.tenant);
  const key = (from: FabricHost, to: FabricHost) => `${from.name}>${to.name}`;
  let good = true;

  const answered = new Map<string, boolean>();
  for (const { from, to } of own) {
    answered.set(key(from, to), (await ping(from, to.ip)) && (await ping(from, to.ip6)));
  }
  good &&= [...answered.values()].every(Boolean);

  probes.push(...(await Promise.all(hosts.map((host) => Probe.open(host)))));
  const sent = pairs.flatMap(({ from, to }) => taggedFrames(from, to));
  for (const { from, frame } of sent) probes.find((probe) => probe.host === from)!.send(frame);
  // Every frame that must arrive has arrived; what must not has had at least as long, since frames of one sender keep order.
  const failures: string[] = [];
  const seen = (at: FabricHost, tag: string) => (frame: string) =>
    frame.includes(Buffer.from(tag).toString('hex')) && at !== undefined;
  for (const { from, to, tag } of sent) {
    if (from.tenant !== to.tenant) continue;
    const probe = probes.find(({ host }) => host === to)!;
    await probe.until(seen(to, tag), 5_000).catch(() => failures.push(`${key(from, to)} ${tag}`));
  }
  const leaks = new Set<string>();
  for (const { from, tag } of sent) {
    for (const probe of probes) {
      if (probe.host.tenant !== from.tenant && probe.received.some(seen(probe.host, tag)))
        leaks.add(key(from, probe.host));
    }
  }
  good &&= failures.length === 0 && leaks.size === 0;

  matrix(
    'ping over IPv4 and IPv6 within a tenant; frames of the other tenant seen on the NIC (unicast, broadcast, multicast)',
    hosts,
    (from, to) =>
      from.tenant === to.tenant
        ? answered.get(key(from, to))
          ? '+ answers'
          : '! silent'
        : leaks.has(key(from, to))
          ? '! LEAK'
          : 'never',
  );
  for (const failure of failures) console.log(`  ! did not arrive: ${failure}`);
  console.log(
    good ? '\n  Each tenant reaches its own, and nothing of the other.\n' : '\n  NOT as promised: see the ! above.\n',
  );
  return good;
}

async function main(): Promise<number> {
  say('starting the controller');
  const { openflow, http } = await startController();
  say(`controller ready: OpenFlow ${openflow}, HTTP ${http}`);
  say('starting Mininet: 2 spines, 3 leaves, 6 hosts (Open vSwitch, userspace datapath)');
  fabric = await Fabric.start({ controller: openflow, prefix: 'nld', dpidBase: DPID_BASE, tenants: 2, hosts: 6 });
  say('creating two tenants with the same IP and MAC addresses by REST, and waiting for the switches to confirm');
  await provision(http, fabric.hosts);
  say('ready; trying who reaches whom');
  const good = await show(fabric.hosts);
  if (!stay) return good ? 0 : 1;
  console.log(
    `  API docs   ${http}/docs\n  metrics    ${http}/metrics\n  switches   ${http}/v1/switches\n  events     ${http}/v1/events`,
  );
  console.log(
    `  a host     mnexec -a ${fabric.hosts[0]!.pid} ping 10.0.0.2\n\n  Ctrl-C ends it and removes all it made.`,
  );
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  return good ? 0 : 1;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    say('cleaning up');
    void cleanUp().finally(() => process.exit(130));
  });
}

let code = 1;
try {
  code = await main();
} catch (error) {
  console.error(`netloom demo: ${error instanceof Error ? error.message : String(error)}`);
} finally {
  await cleanUp();
}
process.exit(code);
