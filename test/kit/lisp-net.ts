import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { whyNoLispPeer } from './lisp-peer.ts';

/** Why LISP routers of test/peers cannot carry packets here; undefined when they can. */
export const whyNoLispNet = (): string | undefined =>
  whyNoLispPeer() ?? (process.getuid?.() === 0 && existsSync('/dev/net/tun') ? undefined : 'no root or no tun');

/** Runs a command whose words hold no spaces; throws with what it said when it fails. */
export function run(command: string): string {
  const [program, ...args] = command.split(' ');
  return execFileSync(program!, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** What a ping says. Undefined when nothing came back. A controller in this process does not have to wait for it. */
export async function ping(netns: string, to: string, count: number, from?: string): Promise<string | undefined> {
  const source = from === undefined ? [] : ['-I', from];
  const args = ['netns', 'exec', netns, 'ping', '-c', String(count), '-i', '0.2', '-W', '3', ...source, to];
  try {
    return (await promisify(execFile)('ip', args)).stdout;
  } catch (error) {
    // 1: no answer. Anything else is trouble of another kind.
    if ((error as { readonly code?: unknown }).code === 1) return undefined;
    throw error;
  }
}

/** An underlay: a bridge in a namespace of its own, this machine and others on it. All that it makes bears its prefix. */
export class LispNet {
  readonly #prefix: string;
  readonly #net: string;
  readonly #made: string[] = [];
  #plugs = 0;

  /** `prefix` names devices too: eight characters at most. `net` is the first 24 bits of the underlay's addresses. */
  constructor(prefix: string, net: string) {
    this.#prefix = prefix;
    this.#net = net;
    this.namespace('core');
    const core = this.#name('core');
    run(`ip -n ${core} link add br0 type bridge`);
    run(`ip -n ${core} link set dev br0 up`);
    this.#plug(undefined, `${prefix}up`);
    run(`ip addr add ${this.here}/24 dev ${prefix}up`);
    run(`ip link set dev ${prefix}up up`);
  }

  #name(what: string): string {
    return `${this.#prefix}-${what}`;
  }

  /** Address of this machine in the underlay. */
  get here(): string {
    return `${this.#net}.254`;
  }

  /** A namespace that is new, or new again. */
  namespace(what: string): string {
    const name = this.#name(what);
    this.#remove(name);
    run(`ip netns add ${name}`);
    run(`ip -n ${name} link set dev lo up`);
    this.#made.push(name);
    return name;
  }

  #plug(netns: string | undefined, end: string): void {
    const core = this.#name('core');
    const port = `p${this.#plugs++}`;
    run(`ip link add ${end} type veth peer name ${port} netns ${core}`);
    run(`ip -n ${core} link set dev ${port} master br0 up`);
    if (netns !== undefined) run(`ip link set dev ${end} netns ${netns}`);
    run(netns === undefined ? `ethtool -K ${end} tx off` : `ip netns exec ${netns} ethtool -K ${end} tx off`);
  }

  /** A cable from the underlay into a namespace; up, without an address. Answers its name there. */
  attach(netns: string): string {
    const end = `${this.#prefix}${this.#plugs}`;
    this.#plug(netns, end);
    run(`ip -n ${netns} link set dev ${end} up`);
    return end;
  }

  /** A namespace for a LISP router at .`host` of the underlay, with a machine of this address behind its TUN device `lisp0`. */
  router(
    what: string,
    host: number,
    machine: string,
    others: string,
  ): { readonly netns: string; readonly rloc: string } {
    const netns = this.namespace(what);
    const rloc = `${this.#net}.${host}`;
    run(`ip -n ${netns} addr add ${rloc}/24 dev ${this.attach(netns)}`);
    run(`ip netns exec ${netns} ip tuntap add lisp0 mode tun`);
    run(`ip -n ${netns} addr add ${machine}/32 dev lisp0`);
    run(`ip -n ${netns} link set dev lisp0 mtu 1400 up`);
    run(`ip -n ${netns} route add ${others} dev lisp0`);
    return { netns, rloc };
  }

  #remove(name: string): void {
    const there = run('ip netns list')
      .split('\n')
      .some((line) => line.split(' ')[0] === name);
    if (there) run(`ip netns del ${name}`);
  }

  /** Removes all that was made. */
  remove(): void {
    for (const name of this.#made.splice(0)) this.#remove(name);
  }
}
