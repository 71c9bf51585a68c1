import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { RestClient } from './rest.ts';

const root = join(import.meta.dirname, '../..');

/** A TCP port of loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** A real controller in its own process, on ports that stay the same when it is killed and started again. */
export class Netloom extends RestClient {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'netloom-e2e-'));
  readonly openflow: string;
  readonly http: string;
  readonly #flags: readonly string[];
  readonly #cwd: string;
  #child: ChildProcess | undefined;
  /** All that it wrote to standard error since the last start. */
  log = '';

  private constructor(openflow: string, http: string, flags: readonly string[], cwd: string) {
    super();
    this.openflow = openflow;
    this.http = http;
    this.#flags = flags;
    this.#cwd = cwd;
  }

  static start(...flags: readonly string[]): Promise<Netloom> {
    return Netloom.startIn(root, ...flags);
  }

  /** As `start`, with `cwd` as its working folder. */
  static async startIn(cwd: string, ...flags: readonly string[]): Promise<Netloom> {
    const netloom = new Netloom(`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`, flags, cwd);
    await netloom.start();
    return netloom;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  /** Starts the process; resolves with its ready line. Rejects, with what it said, when it ends before. */
  async start(): Promise<void> {
    const args = [
      'serve',
      '--data',
      this.dataDir,
      '--openflow',
      this.openflow,
      '--http',
      this.http,
      '--ovsdb',
      '',
      ...this.#flags,
    ];
    const tsx = import.meta.resolve('tsx');
    const child = spawn(process.execPath, ['--import', tsx, join(root, 'src/main.ts'), ...args], {
      cwd: this.#cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.log = '';
    child.stderr.on('data', (chunk: Buffer) => {
      this.log += chunk.toString();
    });
    for await (const line of createInterface({ input: child.stdout })) if (line.includes('ready')) return;
    throw new Error(`the controller ended before it was ready: ${this.log}`);
  }

  /** Ends the process by a signal and waits until it is gone. Resolves to its exit code (null when the signal killed it). */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
    return child.exitCode;
  }

  /** Stops it and removes its data. */
  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}
