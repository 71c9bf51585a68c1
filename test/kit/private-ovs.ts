import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const schema = '/usr/share/openvswitch/vswitch.ovsschema';

/** Why a private Open vSwitch cannot run here; undefined when it can. */
export function whyNoPrivateOvs(): string | undefined {
  if (!existsSync(schema)) return 'Open vSwitch is not installed';
  for (const tool of ['ovsdb-tool', 'ovsdb-server', 'ovs-vswitchd', 'ovs-vsctl', 'ovs-ofctl']) {
    if (!['/usr/sbin', '/usr/bin', '/sbin', '/bin'].some((dir) => existsSync(join(dir, tool))))
      return `${tool} is missing`;
  }
  return undefined;
}

const sleepUntil = async (what: string, done: () => boolean): Promise<void> => {
  const deadline = Date.now() + 10_000;
  while (!done()) {
    if (Date.now() > deadline) throw new Error(`${what} did not happen within 10 s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

/** Why a private Open vSwitch with real devices cannot run here; undefined when it can. */
export function whyNoRealDevices(): string | undefined {
  return (
    whyNoPrivateOvs() ?? (process.getuid?.() === 0 && existsSync('/dev/net/tun') ? undefined : 'no root or no tun')
  );
}

/**
 * An Open vSwitch of our own, gone after `stop`. With the dummy datapath it needs no root and touches nothing of the machine's, but
 * tunnel ports are dummies as well; with real devices (userspace datapath, root) each bridge is a device of the machine by its name.
 */
export class PrivateOvs {
  readonly #dir = mkdtempSync(join(tmpdir(), 'netloom-ovs-'));
  readonly #children: ChildProcess[] = [];
  readonly #devices: 'dummy' | 'netdev';
  readonly #netns: string | undefined;
  #vswitchd: ChildProcess | undefined;

  private constructor(devices: 'dummy' | 'netdev', netns: string | undefined) {
    this.#devices = devices;
    this.#netns = netns;
  }

  /** `netns`: the network namespace in which it runs. */
  static async start(devices: 'dummy' | 'netdev' = 'dummy', netns?: string): Promise<PrivateOvs> {
    const ovs = new PrivateOvs(devices, netns);
    const path = (name: string): string => join(ovs.#dir, name);
    execFileSync('ovsdb-tool', ['create', path('conf.db'), schema], { env: ovs.#env });
    // As Debian starts it: `ovs-vsctl set-manager` and `set-ssl` are heeded.
    ovs.#spawn(
      'ovsdb-server',
      ...[path('conf.db'), `--remote=punix:${path('db.sock')}`, `--unixctl=${path('db.ctl')}`],
      '--remote=db:Open_vSwitch,Open_vSwitch,manager_options',
      '--private-key=db:Open_vSwitch,SSL,private_key',
      ...['--certificate=db:Open_vSwitch,SSL,certificate', '--ca-cert=db:Open_vSwitch,SSL,ca_cert'],
    );
    await sleepUntil('start of ovsdb-server', () => existsSync(path('db.sock')));
    ovs.vsctl('--no-wait', 'init');
    await ovs.startVswitchd();
    return ovs;
  }

  /** Starts the switch daemon (again). */
  async startVswitchd(): Promise<void> {
    const control = join(this.#dir, 'vs.ctl');
    const options = [
      ...(this.#devices === 'dummy' ? ['--enable-dummy=override'] : []),
      '--disable-system',
      `--unixctl=${control}`,
    ];
    this.#vswitchd = this.#spawn('ovs-vswitchd', `unix:${this.database}`, ...options);
    await sleepUntil('start of ovs-vswitchd', () => existsSync(control));
  }

  /** Ends the switch daemon as a crash would. */
  async killVswitchd(): Promise<void> {
    const daemon = this.#vswitchd!;
    const gone = new Promise((resolve) => daemon.once('exit', resolve));
    daemon.kill('SIGKILL');
    await gone;
    rmSync(join(this.#dir, 'vs.ctl'), { force: true });
  }

  get #env(): NodeJS.ProcessEnv {
    const { PATH } = process.env;
    return { PATH, OVS_RUNDIR: this.#dir, OVS_LOGDIR: this.#dir, OVS_DBDIR: this.#dir };
  }

  #spawn(command: string, ...args: readonly string[]): ChildProcess {
    const words = [...(this.#netns === undefined ? [] : ['ip', 'netns', 'exec', this.#netns]), command, '--no-chdir'];
    const child = spawn(words[0]!, [...words.slice(1), ...args], { env: this.#env, stdio: 'ignore' });
    this.#children.push(child);
    return child;
  }

  #run(command: string, args: readonly string[]): string {
    return execFileSync(command, args, { env: this.#env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  vsctl(...args: readonly string[]): string {
    return this.#run('ovs-vsctl', [`--db=unix:${join(this.#dir, 'db.sock')}`, '--timeout=10', ...args]);
  }

  ofctl(...args: readonly string[]): string {
    return this.#run('ovs-ofctl', ['-O', 'OpenFlow13', ...args]);
  }

  /** Flows of a bridge without what changes by itself, sorted. */
  flows(bridge: string): string[] {
    const lines = this.ofctl('dump-flows', bridge, '--no-stats').split('\n');
    return lines
      .filter((line) => line.includes('actions='))
      .map((line) => line.trim())
      .sort();
  }

  /** `ovs-appctl`, for traces. */
  appctl(...args: readonly string[]): string {
    return this.#run('ovs-appctl', ['-t', join(this.#dir, 'vs.ctl'), ...args]);
  }

  /** `ovs-appctl` to the database server. */
  dbctl(...args: readonly string[]): string {
    return this.#run('ovs-appctl', ['-t', join(this.#dir, 'db.ctl'), ...args]);
  }

  /** Path of the database's socket. */
  get database(): string {
    return join(this.#dir, 'db.sock');
  }

  /** Writes a file that lives as long as the switch; returns its path. */
  file(name: string, content: string): string {
    const path = join(this.#dir, name);
    writeFileSync(path, content);
    return path;
  }

  /** A bridge with ports 1…`ports`, in secure mode. */
  addBridge(name: string, dpid: string, ports: number): void {
    this.vsctl(
      ...['add-br', name, '--', 'set', 'bridge', name, `datapath_type=${this.#devices}`, 'fail-mode=secure'],
      ...['protocols=OpenFlow13', `other-config:datapath-id=${dpid}`],
      ...Array.from({ length: ports }, (_, i) => [
        ...['--', 'add-port', name, `${name}p${i + 1}`],
        ...['--', 'set', 'interface', `${name}p${i + 1}`, 'type=dummy', `ofport_request=${i + 1}`],
      ]).flat(),
    );
  }

  /** Lets the bridge dial a controller; without a target it hangs up. */
  setController(bridge: string, target?: string): void {
    if (target === undefined) this.vsctl('del-controller', bridge);
    else this.vsctl('set-controller', bridge, target, '--', 'set', 'controller', bridge, 'max_backoff=1000');
  }

  async stop(): Promise<void> {
    // Devices of bridges outlive a switch daemon that is only ended.
    if (this.#devices === 'netdev' && existsSync(join(this.#dir, 'vs.ctl'))) {
      for (const bridge of this.vsctl('list-br').split('\n').filter(Boolean)) this.vsctl('del-br', bridge);
    }
    for (const child of this.#children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill();
      await gone;
    }
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
