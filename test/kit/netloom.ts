import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

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

/** The answer of one REST call. */
export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape
  readonly body: any;
  readonly headers: Headers;
}

/** A real controller in its own process, on ports that stay the same when it is killed and started again. */
export class Netloom {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'netloom-e2e-'));
  readonly openflow: string;
  readonly http: string;
  readonly #flags: readonly string[];
  #child: ChildProcess | undefined;
  /** All that it wrote to standard error since the last start. */
  log = '';

  private constructor(openflow: string, http: string, flags: readonly string[]) {
    this.openflow = openflow;
    this.http = http;
    this.#flags = flags;
  }

  static async start(...flags: readonly string[]): Promise<Netloom> {
    const netloom = new Netloom(`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`, flags);
    await netloom.start();
    return netloom;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  /** Starts the process; resolves with its ready line. Rejects, with what it said, when it ends before. */
  async start(): Promise<void> {
    const args = ['serve', '--data', this.dataDir, '--openflow', this.openflow, '--http', this.http, ...this.#flags];
    const child = spawn(process.execPath, ['--import', 'tsx', join(root, 'src/main.ts'), ...args], {
      cwd: root,
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

  /** One REST call; a body that is not JSON comes as text. */
  async call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const response = await fetch(`http://${this.http}${path}`, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = /json/.test(response.headers.get('content-type') ?? '') && text !== '';
    return { status: response.status, body: json ? JSON.parse(text) : text, headers: response.headers };
  }

  /** Like `call`, and throws unless the status is 2xx. Returns the body. */
  async ok(method: string, path: string, body?: unknown): Promise<Answer['body']> {
    const answer = await this.call(method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** Asks again, each 50 ms, until the body fits; rejects with the last body after `timeoutMs`. */
  async until(path: string, fits: (body: Answer['body']) => boolean, timeoutMs = 15_000): Promise<Answer['body']> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const { body } = await this.call('GET', path);
      if (fits(body)) return body;
      if (Date.now() > deadline) throw new Error(`${path} is not as awaited: ${JSON.stringify(body).slice(0, 4000)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Sum of a metric's series whose labels contain `label`; throws when there is no such metric at all. */
  async sum(metric: string, label = ''): Promise<number> {
    const { body } = await this.call('GET', '/metrics');
    const text = body as string;
    if (!text.includes(`# TYPE ${metric} `)) throw new Error(`the controller has no metric ${metric}`);
    const series = text
      .split('\n')
      .filter((line) => line.startsWith(metric) && /^[{ ]/.test(line.slice(metric.length)));
    return series
      .filter((line) => line.includes(label))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }
}
