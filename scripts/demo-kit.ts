import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Guest, ping } from '../mininet/driver.ts';
import { tryAll } from '../mininet/matrix.ts';

/** What the demos share. */

const root = join(import.meta.dirname, '..');
const started = performance.now();
const dataDir = join(tmpdir(), 'netloom-demo');

/** A line with the time since the start. */
export const say = (text: string): void =>
  console.log(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${text}`);

/** True unless the demo is to end by itself. */
export const stay = !process.argv.includes('--exit');

let controller: ChildProcess | undefined;

/** Starts the controller, its OpenFlow listener here; resolves with its addresses once it says it is ready. */
export async function startController(
  openflowAt: string,
  ...more: readonly string[]
): Promise<{ openflow: string; http: string }> {
  say('starting the controller');
  rmSync(dataDir, { recursive: true, force: true });
  mkdirSync(dataDir, { recursive: true });
  const http = stay ? '127.0.0.1:8080' : '127.0.0.1:0';
  const serve = ['serve', '--data', dataDir, '--log-level', 'warn', '--openflow', openflowAt, '--http', http];
  controller = spawn(
    process.execPath,
    ['--import', 'tsx', join(root, 'src/main.ts'), ...serve, '--ovsdb', '', ...more],
    {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  for await (const line of createInterface({ input: controller.stdout! })) {
    const ready = /ready.* openflow=(\S+) http=(\S+)/.exec(line);
    if (ready) {
      const addresses = { openflow: ready[1]!.split(',')[0]!, http: ready[2]! };
      say(`controller ready: OpenFlow ${addresses.openflow}, HTTP ${addresses.http}`);
      return addresses;
    }
    console.log(line);
  }
  throw new Error('the controller ended before it was ready; its message is above');
}

export async function stopController(): Promise<void> {
  if (controller && controller.exitCode === null) {
    const ended = once(controller, 'exit');
    controller.kill('SIGTERM');
    await ended;
  }
  rmSync(dataDir, { recursive: true, force: true });
}

/** A write that has to work. */
export async function write(method: 'PUT' | 'PATCH', url: string, body: unknown): Promise<void> {
  const response = await fetch(url, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${await response.text()}`);
}

/** Asks again until the answer fits. */
export async function until(url: string, fits: (body: string) => boolean): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const body = await (await fetch(url)).text();
    if (fits(body)) return;
    if (Date.now() > deadline) throw new Error(`${url} is not as it should be after 30 s: ${body.slice(0, 500)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** One line a sender, one column a receiver; `+` as it should be, `!` as it must not be. */
function table(title: string, machines: readonly Guest[], cell: (from: Guest, to: Guest) => string): void {
  console.log(`\n  ${title}`);
  console.log(`  ${'from \\ to'.padEnd(14)}${machines.map(({ tenant, ip }) => `${tenant}:${ip}`.padEnd(13)).join('')}`);
  for (const from of machines) {
    const cells = machines.map((to) => (from === to ? '·' : cell(from, to)).padEnd(13)).join('');
    console.log(`  ${`${from.tenant}:${from.ip}`.padEnd(14)}${cells}`);
  }
}

/** Tries everybody with everybody, shows the table, and says whether all is as promised. */
export async function show(machines: readonly Guest[]): Promise<boolean> {
  const answers = new Map<string, boolean>();
  const key = (from: Guest, to: Guest) => `${from.name}>${to.name}`;
  for (const from of machines) {
    for (const to of machines) {
      if (from === to || from.tenant !== to.tenant) continue;
      answers.set(key(from, to), (await ping(from, to.ip)) && (await ping(from, to.ip6)));
    }
  }
  const { missing, leaked, astray, twice } = await tryAll(machines);
  const leaks = (from: Guest, to: Guest) =>
    leaked.some((each) => each.startsWith(`<${from.name}>`) && each.endsWith(` at ${to.name}`));
  table(
    'ping over IPv4 and IPv6 within a tenant; frames of the other tenant seen on the NIC (unicast, broadcast, multicast)',
    machines,
    (from, to) => {
      if (from.tenant === to.tenant) return answers.get(key(from, to)) ? '+ answers' : '! silent';
      return leaks(from, to) ? '! LEAK' : 'never';
    },
  );
  for (const each of missing) console.log(`  ! did not arrive: ${each}`);
  for (const each of [...astray, ...twice]) console.log(`  ! where it does not belong: ${each}`);
  const good = [...answers.values()].every(Boolean) && [missing, leaked, astray, twice].every((list) => !list.length);
  console.log(
    good ? '\n  Each tenant reaches its own, and nothing of the other.\n' : '\n  NOT as promised: see the ! above.\n',
  );
  return good;
}
