import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Shared by the demo and the test runner. Plain JavaScript: it runs before node_modules exists. */

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Root rights, needed to make network namespaces and to install packages. */
export const isRoot = () => process.getuid?.() === 0;

const works = (command, ...args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;

/** Path of a program, or undefined. */
export const which = (program) =>
  ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']
    .map((dir) => join(dir, program))
    .find((path) => existsSync(path));

/** Installs the npm packages of the lock file when they are absent or older than it. */
export function ensureNodeModules(say) {
  const marker = join(root, 'node_modules', '.package-lock.json');
  if (existsSync(marker) && statSync(marker).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs) return;
  if (existsSync(marker) && works('npm', 'ls', '--prefix', root)) return;
  say('installing npm packages (npm ci)');
  const done = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (done.status !== 0) throw new Error('npm ci failed');
}

/** Debian packages by the program each must bring. */
export const packages = {
  'ovs-vswitchd': 'openvswitch-switch',
  'vtep-ctl': 'openvswitch-vtep',
  mnexec: 'mininet',
  ip: 'iproute2',
  ethtool: 'ethtool',
  ping: 'iputils-ping',
  promtool: 'prometheus',
};

/** Installs what is missing of the named programs. Returns the programs still missing, with why. */
export function ensurePrograms(programs, say) {
  const missing = programs.filter((program) => which(program) === undefined);
  if (missing.length === 0) return undefined;
  const names = [...new Set(missing.map((program) => packages[program] ?? program))];
  if (!isRoot()) return `needs ${names.join(', ')}; run as root, or: apt-get install ${names.join(' ')}`;
  if (which('apt-get') === undefined) return `needs ${names.join(', ')}, and this system has no apt-get`;
  say(`installing ${names.join(', ')} (apt-get)`);
  const options = {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  };
  const install = () =>
    spawnSync('apt-get', ['install', '-y', '--no-install-recommends', ...names], options).status === 0;
  if (!install()) {
    spawnSync('apt-get', ['update'], options);
    if (!install()) return `apt-get could not install ${names.join(', ')}`;
  }
  const still = missing.filter((program) => which(program) === undefined);
  return still.length === 0 ? undefined : `still missing after installation: ${still.join(', ')}`;
}

const alive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/**
 * Starts the system's Open vSwitch when none answers (containers and machines without systemd or kernel module).
 * It is left running, as a service would be. Returns why it could not, or undefined.
 */
export function ensureOpenVswitch(say) {
  if (works('ovs-vsctl', '--timeout=3', 'get', 'Open_vSwitch', '.', 'cur_cfg') && works('ovs-appctl', 'version'))
    return undefined;
  if (!isRoot()) return 'Open vSwitch does not answer, and only root can start it';
  say('starting Open vSwitch');
  const run = '/var/run/openvswitch';
  const database = '/etc/openvswitch/conf.db';
  mkdirSync(run, { recursive: true });
  mkdirSync('/var/log/openvswitch', { recursive: true });
  mkdirSync(dirname(database), { recursive: true });
  if (!existsSync(database) && !works('ovsdb-tool', 'create', database, '/usr/share/openvswitch/vswitch.ovsschema')) {
    return 'ovsdb-tool could not create the database';
  }
  const log = openSync('/var/log/openvswitch/netloom-start.log', 'a');
  const start = (program, ...args) => {
    const file = join(run, `${program}.pid`);
    if (existsSync(file) && alive(Number(readFileSync(file, 'utf8')))) return true;
    const done = spawnSync(program, [...args, `--pidfile=${file}`, '--detach', '--no-chdir', '--log-file'], {
      stdio: ['ignore', log, log],
    });
    return done.status === 0;
  };
  if (!start('ovsdb-server', database, `--remote=punix:${run}/db.sock`)) return 'ovsdb-server did not start';
  if (!works('ovs-vsctl', '--no-wait', 'init')) return 'ovsdb-server does not answer';
  if (!start('ovs-vswitchd', `unix:${run}/db.sock`)) return 'ovs-vswitchd did not start';
  return undefined;
}
