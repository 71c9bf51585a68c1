import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const script = join(import.meta.dirname, '../peers/lisp_router.py');

/** Why the LISP router of test/peers cannot run here; undefined when it can. */
export function whyNoLispPeer(): string | undefined {
  try {
    const version = execFileSync('python3', ['-c', 'import sys; print(sys.version_info >= (3, 10))'], {
      encoding: 'utf8',
    });
    return version.trim() === 'True' ? undefined : 'Python is older than 3.10';
  } catch {
    return 'there is no python3';
  }
}

/** What the router says; see lisp_router.py. */
export interface PeerEvent {
  readonly event: string;
  readonly eid?: string;
  readonly ttl?: number;
  readonly action?: number;
  readonly rlocs?: readonly { readonly address: string }[];
  readonly [field: string]: unknown;
}

/** The LISP router of test/peers in a process of its own, which is not the product's and reads and writes messages by itself. */
export class LispPeer {
  readonly events: PeerEvent[] = [];
  readonly #child: ChildProcessWithoutNullStreams;
  /** Called when it said something, or ended. */
  #wake: () => void = () => {};
  #changed: Promise<void> = new Promise((resolve) => {
    this.#wake = resolve;
  });
  #errors = '';

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    child.stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
    const changed = (): void => {
      const wake = this.#wake;
      this.#changed = new Promise((resolve) => {
        this.#wake = resolve;
      });
      wake();
    };
    createInterface({ input: child.stdout }).on('line', (line: string) => {
      this.events.push(JSON.parse(line) as PeerEvent);
      changed();
    });
    child.once('exit', changed);
  }

  /** Starts it with options of the script; `netns` runs it in a network namespace. Resolves when it listens. */
  static async start(
    options: Readonly<Record<string, string | number | readonly string[]>>,
    netns?: string,
  ): Promise<LispPeer> {
    const words = Object.entries(options).flatMap(([name, value]) =>
      Array.isArray(value)
        ? value.flatMap((each: string) => [`--${name}`, each])
        : value === ''
          ? [`--${name}`]
          : [`--${name}`, String(value)],
    );
    const command = ['python3', script, ...words];
    const [program, ...rest] = netns === undefined ? command : ['ip', 'netns', 'exec', netns, ...command];
    const peer = new LispPeer(spawn(program!, rest, { stdio: 'pipe' }));
    await peer.next((each) => each.event === 'ready');
    return peer;
  }

  /** Tells it to do something. */
  tell(command: { readonly do: string; readonly [field: string]: unknown }): void {
    this.#child.stdin.write(`${JSON.stringify(command)}\n`);
  }

  /** The first thing that it said, or is to say, that fits, from the `from`th on. Rejects after `timeoutMs`, and when it ends. */
  async next(fits: (event: PeerEvent) => boolean, from = 0, timeoutMs = 20_000): Promise<PeerEvent> {
    const deadline = AbortSignal.timeout(timeoutMs);
    const late = once(deadline, 'abort').then(() => {
      throw new Error(`not heard within ${timeoutMs} ms; heard: ${JSON.stringify(this.events.slice(from))}`);
    });
    // Nobody waits for it when something else was heard first.
    late.catch(() => undefined);
    for (;;) {
      const found = this.events.slice(from).find(fits);
      if (found) return found;
      if (this.#child.exitCode !== null) throw new Error(`the LISP router ended: ${this.#errors}`);
      await Promise.race([this.#changed, late]);
    }
  }

  /** Tells it something, and resolves with what it says next that fits. */
  async told(
    command: { readonly do: string; readonly [field: string]: unknown },
    fits: (event: PeerEvent) => boolean,
  ): Promise<PeerEvent> {
    const from = this.events.length;
    this.tell(command);
    return this.next(fits, from);
  }

  /** Ends it. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.stdin.end();
    await gone;
  }
}
