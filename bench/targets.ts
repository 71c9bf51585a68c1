import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from '../test/kit/netloom.ts';

/** Controllers under load, each in a process of its own on ports of loopback. */

/** The project's folder. */
export const root = join(import.meta.dirname, '..');

/** A controller that listens. */
export interface Target {
  readonly openflow: number;
  /** 0 when it speaks no HTTP. */
  readonly http: number;
  readonly pid: number;
  stop(): Promise<void>;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}

/** Netloom as `dist` has it: all apps, metrics on, log level info, an empty store. Rejects when it does not get ready. */
export const netloom = (): Promise<Target> => netloomWith(['--default-network']);

/** The same with flags of one's own, and no default network. */
export async function netloomWith(flags: readonly string[]): Promise<Target> {
  const data = mkdtempSync(join(tmpdir(), 'netloom-bench-'));
  const [openflow, http] = [await freePort(), await freePort()];
  const addresses = ['--openflow', `127.0.0.1:${openflow}`, '--http', `127.0.0.1:${http}`, '--ovsdb', ''];
  const child = spawn(process.execPath, [join(root, 'dist/main.js'), 'serve', '--data', data, ...addresses, ...flags], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let ready = false;
  for await (const line of createInterface({ input: child.stdout })) {
    ready = line.includes('ready');
    if (ready) break;
  }
  if (!ready) throw new Error('the controller ended before it was ready');
  child.stdout.resume();
  return {
    openflow,
    http,
    pid: child.pid!,
    async stop() {
      await ended(child);
      rmSync(data, { recursive: true });
    },
  };
}

/** Debian's `openvswitch-testcontroller`; undefined when it is not installed. */
export async function testController(): Promise<Target | undefined> {
  if (spawnSync('ovs-testcontroller', ['--version']).status !== 0) return undefined;
  const port = await freePort();
  return listening(spawn('ovs-testcontroller', [`ptcp:${port}:127.0.0.1`], { stdio: 'ignore' }), port);
}

/** A program that takes its port as its only word. */
export async function program(path: string): Promise<Target> {
  const port = await freePort();
  return listening(spawn(path, [String(port)], { stdio: 'ignore' }), port);
}

async function listening(child: ChildProcess, openflow: number): Promise<Target> {
  let failed: Error | undefined;
  child.once('error', (error) => {
    failed = error;
  });
  for (let answers = false; !answers; ) {
    if (failed || child.exitCode !== null) throw failed ?? new Error(`${child.spawnfile} ended with ${child.exitCode}`);
    const socket = connect(openflow, '127.0.0.1');
    answers = await new Promise((resolve) =>
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false)),
    );
    socket.destroy();
    if (!answers) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return { openflow, http: 0, pid: child.pid!, stop: () => ended(child) };
}

/** Resident memory of a process, MiB. */
export const rssMib = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
