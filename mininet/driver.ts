import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

/** Drives `fabric.py` and `probe.py` from Node: for the demo, the tests, and whoever tries things out. */

/** One Mininet host and where it is plugged in. */
export interface FabricHost {
  readonly name: string;
  readonly tenant: string;
  readonly ip: string;
  readonly ip6: string;
  readonly mac: string;
  readonly dpid: string;
  readonly switch: string;
  readonly port: string;
  readonly interface: string;
  readonly pid: number;
}

/** A cable between two switches. */
export interface FabricCable {
  readonly a: string;
  readonly aPort: string;
  readonly b: string;
  readonly bPort: string;
}

export interface FabricOptions {
  /** HOST:PORT of the controller. */
  readonly controller: string;
  readonly prefix?: string;
  readonly dpidBase?: number;
  readonly spines?: number;
  readonly leaves?: number;
  readonly parallel?: number;
  readonly hosts?: number;
  readonly tenants?: number;
  readonly shift?: number;
  readonly unique?: boolean;
}

type Child = ChildProcessByStdio<Writable, Readable, null>;

const PYTHON = '/usr/bin/python3';

/** A running Mininet network. */
export class Fabric {
  readonly hosts: readonly FabricHost[];
  readonly cables: readonly FabricCable[];
  /** Switch name → datapath id, 16 hex digits. */
  readonly switches: Readonly<Record<string, string>>;
  readonly #child: Child;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: Child, lines: AsyncIterator<string>, ready: Record<string, unknown>) {
    this.#child = child;
    this.#lines = lines;
    this.hosts = Object.entries(ready['hosts'] as Record<string, Omit<FabricHost, 'name'>>).map(([name, host]) => ({
      name,
      ...host,
    }));
    this.cables = ready['links'] as FabricCable[];
    this.switches = ready['switches'] as Record<string, string>;
  }

  /** Builds the network; resolves when it stands (switches may still be connecting). Rejects when Mininet fails. */
  static async start(options: FabricOptions): Promise<Fabric> {
    const flags = Object.entries(options).flatMap(([key, value]: [string, unknown]) => {
      const flag = `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
      return value === true ? [flag] : value === false ? [] : [flag, String(value)];
    });
    const child = spawn(PYTHON, [`${import.meta.dirname}/fabric.py`, ...flags], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const first = await lines.next();
    if (first.done) throw new Error('Mininet ended before the network stood; its message is above');
    return new Fabric(child, lines, JSON.parse(first.value) as Record<string, unknown>);
  }

  /** Takes the cables between two switches down or up. */
  async link(a: string, b: string, up: boolean): Promise<void> {
    this.#child.stdin.write(`${JSON.stringify({ op: 'link', a, b, up })}\n`);
    const answer = await this.#lines.next();
    if (answer.done) throw new Error('Mininet ended');
    const { event, message } = JSON.parse(answer.value) as { event: string; message?: string };
    if (event !== 'done') throw new Error(message ?? event);
  }

  /** Ends Mininet, which removes all it made. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.stdin.end();
    await ended;
  }
}

/** Runs a command inside a host; resolves to its exit code and output, never rejects for a non-zero code. */
export function inHost(host: FabricHost, command: readonly string[]): Promise<{ code: number; output: string }> {
  return new Promise((resolve, reject) => {
    execFile('mnexec', ['-a', String(host.pid), ...command], { maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      if (error && typeof error.code !== 'number') reject(error);
      else resolve({ code: error ? Number(error.code) : 0, output: stdout + stderr });
    });
  });
}

/** True when one of `tries` echo requests is answered. */
export async function ping(from: FabricHost, address: string, tries = 3): Promise<boolean> {
  // -c N -w N: ends at the first answer only with -c 1, so ask one by one.
  for (let i = 0; i < tries; i++) {
    if ((await inHost(from, ['ping', '-n', '-q', '-c', '1', '-W', '1', address])).code === 0) return true;
  }
  return false;
}

/** Sees every frame that reaches a host's NIC, and sends raw ones. */
export class Probe {
  readonly host: FabricHost;
  /** Frames in the order they came, as hex. */
  readonly received: string[] = [];
  readonly #child: Child;
  #changed: () => void = () => {};

  private constructor(host: FabricHost, child: Child, lines: ReturnType<typeof createInterface>) {
    this.host = host;
    this.#child = child;
    lines.on('line', (line) => {
      const { frame } = JSON.parse(line) as { frame?: string };
      if (frame === undefined) return;
      this.received.push(frame);
      this.#changed();
    });
  }

  static async open(host: FabricHost): Promise<Probe> {
    const args = ['-a', String(host.pid), PYTHON, `${import.meta.dirname}/probe.py`, host.interface];
    const child = spawn('mnexec', args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout });
    const ready = once(lines, 'line');
    const probe = new Probe(host, child, lines);
    await ready;
    return probe;
  }

  /** Sends one frame (hex). */
  send(frame: string): void {
    this.#child.stdin.write(`${JSON.stringify({ send: frame })}\n`);
  }

  /** Resolves with the first frame that fits, received already or to come; rejects after `timeoutMs`. */
  async until(fits: (frame: string) => boolean, timeoutMs = 5_000): Promise<string> {
    const deadline = AbortSignal.timeout(timeoutMs);
    for (let seen = 0; ; ) {
      for (; seen < this.received.length; seen++) if (fits(this.received[seen]!)) return this.received[seen]!;
      await new Promise<void>((resolve, reject) => {
        this.#changed = resolve;
        deadline.addEventListener(
          'abort',
          () => reject(new Error(`no such frame at ${this.host.name} within ${timeoutMs} ms`)),
          { once: true },
        );
        if (deadline.aborted) reject(new Error(`no such frame at ${this.host.name} within ${timeoutMs} ms`));
      });
    }
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.stdin.end();
    await ended;
  }
}
