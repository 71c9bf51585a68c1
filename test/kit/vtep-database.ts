import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, watch } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { whyNoPrivateOvs } from './private-ovs.ts';

/** Debian's openvswitch-vtep brings it. */
export const VTEP_SCHEMA = '/usr/share/openvswitch/vtep.ovsschema';

/** Why no such database can be served here; undefined when it can. */
export const whyNoVtepDatabase = (): string | undefined =>
  whyNoPrivateOvs() ?? (existsSync(VTEP_SCHEMA) ? undefined : 'openvswitch-vtep is not installed');

/** A database server with a device's database, and nothing behind it. */
export class VtepDatabase {
  readonly dir = mkdtempSync(join(tmpdir(), 'netloom-hwvtep-'));
  #server: ChildProcess | undefined;

  get socket(): string {
    return join(this.dir, 'db.sock');
  }

  /** Makes an empty database of this schema, and serves it. */
  async start(schema = VTEP_SCHEMA): Promise<void> {
    const path = (name: string): string => join(this.dir, name);
    execFileSync('ovsdb-tool', ['create', path('vtep.db'), schema]);
    const up = new Promise<void>((resolve) => {
      const watcher = watch(this.dir, () => {
        if (!existsSync(this.socket)) return;
        watcher.close();
        resolve();
      });
    });
    this.#server = spawn(
      'ovsdb-server',
      ['--no-chdir', path('vtep.db'), `--remote=punix:${this.socket}`, `--unixctl=${path('ctl')}`],
      { stdio: 'ignore' },
    );
    await up;
    // The socket is there a moment before it is listened on.
    while (!(await this.#answers())) await new Promise((resolve) => setImmediate(resolve));
  }

  #answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(this.socket, () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
  }

  /** Ends the server and loses all that it knew. */
  async lose(): Promise<void> {
    const server = this.#server;
    if (server) {
      const gone = once(server, 'exit');
      server.kill('SIGKILL');
      await gone;
    }
    for (const name of ['vtep.db', '.vtep.db.~lock~', 'db.sock', 'ctl']) rmSync(join(this.dir, name), { force: true });
  }

  async stop(): Promise<void> {
    await this.lose();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** `vtep-ctl`. */
  ctl(...args: readonly string[]): string {
    return execFileSync('vtep-ctl', [`--db=unix:${this.socket}`, '--timeout=10', ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  }

  /** `ovs-appctl` on the database server. */
  dbctl(...args: readonly string[]): void {
    execFileSync('ovs-appctl', ['-t', join(this.dir, 'ctl'), ...args], { stdio: 'ignore' });
  }

  /** As a device that has just started: physical switch `ps1` with ports `p1` and `p2`. */
  populate(tunnel = '192.0.2.1'): void {
    this.ctl('add-ps', 'ps1', '--', 'add-port', 'ps1', 'p1', '--', 'add-port', 'ps1', 'p2');
    this.ctl('set', 'physical_switch', 'ps1', `tunnel_ips=${tunnel}`, 'management_ips=198.51.100.1');
  }

  /** All that a controller may write, as text. */
  rows(): string {
    return ['Logical_Switch', 'Ucast_Macs_Remote', 'Mcast_Macs_Remote', 'Physical_Port', 'Physical_Locator']
      .map((table) => this.ctl('list', table))
      .join('\n');
  }
}
