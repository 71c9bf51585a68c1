import { execFileSync } from 'node:child_process';
import type { LabHypervisor } from '../../mininet/driver.ts';

/** `ovs-ofctl` on a hypervisor's own switch daemon, words as a shell reads them; its output. Throws when it fails. */
export const ofctl = (hypervisor: LabHypervisor, ...args: readonly string[]): string =>
  execFileSync('mnexec', ['-a', String(hypervisor.pid), 'sh', '-c', `ovs-ofctl -O OpenFlow13 ${args.join(' ')}`], {
    encoding: 'utf8',
    env: { ...process.env, OVS_RUNDIR: runDir(hypervisor) },
  });

/** `ovs-appctl` to a hypervisor's switch daemon; its output. Throws when it fails. */
export const appctl = (hypervisor: LabHypervisor, ...args: readonly string[]): string =>
  execFileSync('ovs-appctl', ['-t', `${runDir(hypervisor)}/vs.ctl`, ...args], { encoding: 'utf8' });

/** Where the daemons of a hypervisor keep their sockets, from their command line. */
function runDir(hypervisor: LabHypervisor): string {
  const found = execFileSync('pgrep', ['-af', `ovs-vswitchd unix:.*/${hypervisor.name}/db.sock`], { encoding: 'utf8' });
  return /unix:(\S+)\/db\.sock/.exec(found)![1]!;
}
