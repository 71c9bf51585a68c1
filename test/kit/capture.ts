import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Inside } from '../../mininet/driver.ts';

/** What passes an interface inside a namespace, read by tshark afterwards. */
export class Capture {
  readonly #folder: string;
  readonly #child: ChildProcess;

  private constructor(folder: string, child: ChildProcess) {
    this.#folder = folder;
    this.#child = child;
  }

  /** Resolves when packets are being captured. */
  static async start(inside: Inside, interfaceName: string, filter = ''): Promise<Capture> {
    const folder = mkdtempSync(join(tmpdir(), 'netloom-capture-'));
    // Packets are in the file as soon as they are seen.
    const command = ['tcpdump', '-i', interfaceName, '-U', '--immediate-mode', '-w', join(folder, 'pcap'), filter];
    const child = spawn('mnexec', ['-a', String(inside.pid), ...command], { stdio: ['ignore', 'ignore', 'pipe'] });
    for (let said = ''; !said.includes('listening on'); said += String((await once(child.stderr, 'data'))[0]));
    child.stderr.resume();
    return new Capture(folder, child);
  }

  /** Ends it; fields of the packets that fit, as tshark names and judges them. */
  async read(filter: string, ...fields: readonly string[]): Promise<readonly (readonly string[])[]> {
    // What tcpdump has not read yet when it is ended is lost; nothing tells how much that is.
    const file = join(this.#folder, 'pcap');
    for (let before = -1, size = statSync(file).size; size !== before; size = statSync(file).size) {
      before = size;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await ended;
    const columns = fields.flatMap((field) => ['-e', field]);
    const args = ['-r', file, '-Y', filter, '-T', 'fields', ...columns];
    const output = execFileSync('tshark', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    rmSync(this.#folder, { recursive: true });
    return output
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split('\t'));
  }
}
