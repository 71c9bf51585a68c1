import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';

/** An Open vSwitch of its own: database, daemon and bridges apart from the system's, removed by `stop`. Userspace datapath. */
export class Ovs {
  readonly dir = mkdtempSync(join(tmpdir(), 'netloom-ovs-'));
  readonly #pids: number[] = [];
  readonly #bridges: string[] = [];

  static async start(): Promise<Ovs> {
    const ovs = new Ovs();
    const database = join(ovs.dir, 'conf.db');
    await run('ovsdb-tool', ['create', database, SCHEMA]);
    await ovs.#daemon('ovsdb-server', [database, `--remote=punix:${ovs.dir}/db.sock`]);
    await ovs.vsctl('--no-wait', 'init');
    await ovs.startVswitchd();
    return ovs;
  }

  /** Starts ovs-vswitchd (again). */
  async startVswitchd(): Promise<void> {
    await this.#daemon('ovs-vswitchd', [`unix:${this.dir}/db.sock`]);
  }

  async #daemon(program: string, args: readonly string[]): Promise<void> {
    const pidfile = join(this.dir, `${program}.pid`);
    // Management sockets of bridges go to the run directory, whatever the other sockets are told.
    const options = { env: { ...process.env, OVS_RUNDIR: this.dir, OVS_LOGDIR: this.dir, OVS_DBDIR: this.dir } };
    const all = [
      ...args,
      '--detach',
      '--no-chdir',
      `--pidfile=${pidfile}`,
      `--log-file=${this.dir}/${program}.log`,
      `--unixctl=${this.dir}/${program}.ctl`,
    ];
    await run(program, all, options);
    this.#pids.push(Number(readFileSync(pidfile, 'utf8')));
  }

  async vsctl(...args: readonly string[]): Promise<string> {
    return (await run('ovs-vsctl', [`--db=unix:${this.dir}/db.sock`, '--timeout=20', ...args])).stdout.trim();
  }

  /** `ovs-ofctl -O OpenFlow13 COMMAND BRIDGE …`. */
  async ofctl(command: string, bridge: string, ...args: readonly string[]): Promise<string> {
    return (
      await run('ovs-ofctl', ['-O', 'OpenFlow13', command, `unix:${this.dir}/${bridge}.mgmt`, ...args], {
        maxBuffer: 1 << 28,
      })
    ).stdout;
  }

  async appctl(...args: readonly string[]): Promise<string> {
    return (await run('ovs-appctl', ['-t', `${this.dir}/ovs-vswitchd.ctl`, ...args])).stdout;
  }

  /** A bridge with internal ports named BRIDGE-1, BRIDGE-2, …; names must be unique on the machine and short. */
  async addBridge(name: string, dpid: string, ports: number, controller: string): Promise<void> {
    this.#bridges.push(name);
    const add = Array.from({ length: ports }, (_, i) => [
      ...['--', 'add-port', name, `${name}-${i + 1}`],
      ...['--', 'set', 'interface', `${name}-${i + 1}`, 'type=internal', `ofport_request=${i + 1}`],
    ]).flat();
    await this.vsctl(
      ...[
        'add-br',
        name,
        '--',
        'set',
        'bridge',
        name,
        'datapath_type=netdev',
        'protocols=OpenFlow13',
        'fail_mode=secure',
      ],
      `other_config:datapath-id=${dpid}`,
      ...add,
      ...['--', 'set-controller', name, `tcp:${controller}`],
      ...['--', 'set', 'controller', name, 'max_backoff=1000'],
    );
  }

  /** Flows without what changes by itself, sorted. */
  async flows(bridge: string): Promise<string[]> {
    const text = await this.ofctl('dump-flows', bridge, '--no-stats');
    return text
      .split('\n')
      .filter((line) => line.includes('actions='))
      .map((line) => line.trim())
      .sort();
  }

  /** Ends the daemon as a crash would. */
  async killVswitchd(): Promise<void> {
    await this.#kill(this.#pids.pop()!, 'SIGKILL');
  }

  async #kill(pid: number, signal: NodeJS.Signals): Promise<void> {
    // Daemons are no children of ours: wait for their entry in /proc to go.
    try {
      process.kill(pid, signal);
    } catch {
      return;
    }
    for (const deadline = Date.now() + 10_000; existsSync(`/proc/${pid}`) && Date.now() < deadline; ) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async stop(): Promise<void> {
    for (const bridge of this.#bridges) await this.vsctl('--if-exists', 'del-br', bridge).catch(() => {});
    for (const pid of this.#pids.reverse()) await this.#kill(pid, 'SIGTERM');
    rmSync(this.dir, { recursive: true, force: true });
  }
}
