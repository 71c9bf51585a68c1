import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

/** Drives `fabric.py`, `overlay.py` and `probe.py` from Node: for the demo, the tests, and whoever tries things out. */

/** A namespace in which commands can be run. */
export interface Inside {
  readonly pid: number;
}

/** A namespace with one NIC. */
export interface Machine extends Inside {
  readonly name: string;
  readonly interface: string;
}

/** A tenant's machine. */
export interface Guest extends Machine {
  readonly tenant: string;
  readonly ip: string;
  readonly ip6: string;
  readonly mac: string;
}

/** One Mininet host and where it is plugged in. */
export interface FabricHost extends Guest {
  readonly dpid: string;
  readonly switch: string;
  readonly port: string;
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

/** One of our Mininet scripts: a JSON line that says what stands, then a JSON line an answer. */
class Script {
  readonly ready: Readonly<Record<string, unknown>>;
  readonly #child: Child;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: Child, lines: AsyncIterator<string>, ready: Readonly<Record<string, unknown>>) {
    this.#child = child;
    this.#lines = lines;
    this.ready = ready;
  }

  /** Rejects when Mininet fails. */
  static async start(file: string, options: object): Promise<Script> {
    const flags = Object.entries(options).flatMap(([key, value]: [string, unknown]) => {
      const flag = `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
      return value === true ? [flag] : value === false ? [] : [flag, String(value)];
    });
    const child = spawn(PYTHON, [`${import.meta.dirname}/${file}`, ...flags], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const first = await lines.next();
    if (first.done) throw new Error('Mininet ended before the network stood; its message is above');
    return new Script(child, lines, JSON.parse(first.value) as Record<string, unknown>);
  }

  async do(command: object): Promise<Readonly<Record<string, unknown>>> {
    this.#child.stdin.write(`${JSON.stringify(command)}\n`);
    const answer = await this.#lines.next();
    if (answer.done) throw new Error('Mininet ended');
    const { event, message, ...rest } = JSON.parse(answer.value) as { event: string; message?: string };
    if (event !== 'done') throw new Error(message ?? event);
    return rest;
  }

  /** Ends Mininet, which removes all it made. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.stdin.end();
    await ended;
  }
}

/** Facts by name, as a list. */
const named = <T>(facts: unknown): readonly (T & { readonly name: string })[] =>
  Object.entries(facts as Record<string, T>).map(([name, fact]) => ({ name, ...fact }));

/** A running Mininet network. */
export class Fabric {
  readonly hosts: readonly FabricHost[];
  readonly cables: readonly FabricCable[];
  /** Switch name → datapath id, 16 hex digits. */
  readonly switches: Readonly<Record<string, string>>;
  readonly #script: Script;

  private constructor(script: Script) {
    this.#script = script;
    this.hosts = named<Omit<FabricHost, 'name'>>(script.ready['hosts']);
    this.cables = script.ready['links'] as FabricCable[];
    this.switches = script.ready['switches'] as Record<string, string>;
  }

  /** Builds the network; resolves when it stands (switches may still be connecting). Rejects when Mininet fails. */
  static async start(options: FabricOptions): Promise<Fabric> {
    return new Fabric(await Script.start('fabric.py', options));
  }

  /** Takes the cables between two switches down or up. */
  async link(a: string, b: string, up: boolean): Promise<void> {
    await this.#script.do({ op: 'link', a, b, up });
  }

  /** Ends Mininet, which removes all it made. */
  stop(): Promise<void> {
    return this.#script.stop();
  }
}

/** A hypervisor of `overlay.py`. */
export interface LabHypervisor extends Inside {
  readonly name: string;
  /** Datapath id of br-int, 16 hex digits. */
  readonly dpid: string;
  /** `tcp:HOST:PORT` of its database. */
  readonly ovsdb: string;
  /** Where its tunnels end, in the underlay's family. */
  readonly tunnel: string;
  readonly tunnel6: string;
  /** Its interface on the underlay. */
  readonly underlay: string;
}

/** A machine behind a hypervisor. */
export interface LabMachine extends Guest {
  readonly hypervisor: string;
  /** Name of its port on br-int. */
  readonly port: string;
  readonly interfaceId: string;
}

/** A host on the underlay. */
export interface LabPeer extends Machine {
  readonly ip: string;
  readonly ip6: string;
}

/** A hardware VTEP: Open vSwitch's emulator. */
export interface LabDevice extends Inside {
  readonly name: string;
  readonly physicalSwitch: string;
  /** `tcp:HOST:PORT` of its database. */
  readonly ovsdb: string;
  readonly tunnel: string;
  /** Its interface on the underlay. */
  readonly underlay: string;
}

/** A machine on a physical port of a device. */
export interface LabStation extends Guest {
  readonly device: string;
  readonly port: string;
  /** VLAN that it is in, 0: untagged. */
  readonly vlan: number;
}

export interface OverlayOptions {
  readonly prefix?: string;
  /** Third number of the management addresses, 100.127.NET.0/24. */
  readonly net?: number;
  readonly dpidBase?: number;
  readonly hypervisors?: number;
  readonly vms?: number;
  readonly tenants?: number;
  readonly peers?: number;
  /** IP version between the hypervisors; default 4, with IPv6 addresses there as well. */
  readonly family?: 4 | 6;
  /** Hardware VTEPs, and machines on their physical ports. */
  readonly devices?: number;
  readonly stations?: number;
  /** MTU of the underlay. */
  readonly mtu?: number;
  readonly unique?: boolean;
  readonly unplugged?: boolean;
  /** Machines can change the hypervisor that they run on. */
  readonly movable?: boolean;
}

/** Several hypervisors on this machine, each with an Open vSwitch of its own; see `overlay.py`. */
export class OverlayNet {
  /** Address of this machine on the management network: where a controller listens for the hypervisors. */
  readonly management: string;
  readonly hypervisors: readonly LabHypervisor[];
  readonly machines: readonly LabMachine[];
  readonly peers: readonly LabPeer[];
  readonly devices: readonly LabDevice[];
  readonly stations: readonly LabStation[];
  readonly #script: Script;

  private constructor(script: Script) {
    this.#script = script;
    const { mgmt, hypervisors, vms, peers, devices, stations } = script.ready;
    this.management = mgmt as string;
    this.hypervisors = named<Omit<LabHypervisor, 'name'>>(hypervisors);
    this.machines = named<Omit<LabMachine, 'name'>>(vms);
    this.peers = named<Omit<LabPeer, 'name'>>(peers);
    this.devices = named<Omit<LabDevice, 'name'>>(devices);
    this.stations = named<Omit<LabStation, 'name'>>(stations);
  }

  /** Resolves when all stands. Rejects when Mininet fails. */
  static async start(options: OverlayOptions): Promise<OverlayNet> {
    return new OverlayNet(await Script.start('overlay.py', options));
  }

  /** Points every br-int at a controller, `tcp:HOST:PORT`. */
  async controller(target: string): Promise<void> {
    await this.#script.do({ op: 'controller', target });
  }

  /** Puts a machine's NIC on the bridge of a hypervisor, its home when none is named. */
  async plug(machine: LabMachine, at?: LabHypervisor): Promise<void> {
    await this.#script.do({ op: 'plug', vm: machine.name, ...(at ? { hypervisor: at.name } : {}) });
  }

  async unplug(machine: LabMachine, at?: LabHypervisor): Promise<void> {
    await this.#script.do({ op: 'unplug', vm: machine.name, ...(at ? { hypervisor: at.name } : {}) });
  }

  /** A machine of a `movable` arrangement runs on this hypervisor from now on; it has to be plugged in there to be heard. */
  async land(machine: LabMachine, at: LabHypervisor): Promise<void> {
    await this.#script.do({ op: 'land', vm: machine.name, hypervisor: at.name });
  }

  /** The interface id of a machine changes hypervisor, and the machine lands there. */
  async rebind(machine: LabMachine, from: LabHypervisor, to: LabHypervisor): Promise<void> {
    await this.#script.do({ op: 'rebind', vm: machine.name, from: from.name, to: to.name });
  }

  /** Makes a hypervisor's database dial `tcp:HOST:PORT`, or nobody when empty. */
  async manager(hypervisor: LabHypervisor, target: string): Promise<void> {
    await this.#script.do({ op: 'manager', hypervisor: hypervisor.name, target });
  }

  /** The switch daemon of a hypervisor dies and comes back. */
  async restart(hypervisor: LabHypervisor): Promise<void> {
    await this.#script.do({ op: 'restart', hypervisor: hypervisor.name });
  }

  /** The switch daemon of a hypervisor dies, or comes back. */
  async vswitchd(hypervisor: LabHypervisor, up: boolean): Promise<void> {
    await this.#script.do({ op: 'vswitchd', hypervisor: hypervisor.name, up });
  }

  /** Puts a cable between bridges of two hypervisors, which are made if need be; '' for none. Resolves to the names of its ends. */
  async cable(
    [a, b]: readonly [LabHypervisor, LabHypervisor],
    bridges: readonly [string, string] = ['br-int', 'br-int'],
  ): Promise<readonly [string, string]> {
    const { interfaces } = await this.#script.do({ op: 'cable', hypervisors: [a.name, b.name], bridges });
    return interfaces as [string, string];
  }

  /** Takes a hypervisor off the underlay, or back. */
  async underlay(hypervisor: LabHypervisor, up: boolean): Promise<void> {
    await this.#script.do({ op: 'underlay', hypervisor: hypervisor.name, up });
  }

  /** `ovs-vsctl` on a hypervisor or device. */
  async vsctl(hypervisor: LabHypervisor | LabDevice, ...args: string[]): Promise<string> {
    return (await this.#script.do({ op: 'vsctl', hypervisor: hypervisor.name, args }))['output'] as string;
  }

  /** `vtep-ctl` on a device. */
  async vtep(device: LabDevice, ...args: string[]): Promise<string> {
    return (await this.#script.do({ op: 'vtep', device: device.name, args }))['output'] as string;
  }

  /** A device loses its database, and starts anew with an empty one. */
  async lose(device: LabDevice): Promise<void> {
    await this.#script.do({ op: 'lose', device: device.name });
  }

  /** Ends Mininet, which removes all it made. */
  stop(): Promise<void> {
    return this.#script.stop();
  }
}

/** Runs a command inside a host; resolves to its exit code and output, never rejects for a non-zero code. */
export function inHost(host: Inside, command: readonly string[]): Promise<{ code: number; output: string }> {
  return new Promise((resolve, reject) => {
    execFile('mnexec', ['-a', String(host.pid), ...command], { maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      if (error && typeof error.code !== 'number') reject(error);
      else resolve({ code: error ? Number(error.code) : 0, output: stdout + stderr });
    });
  });
}

/** True when one of `tries` echo requests is answered. */
export async function ping(from: Inside, address: string, tries = 3): Promise<boolean> {
  // -c N -w N: ends at the first answer only with -c 1, so ask one by one.
  for (let i = 0; i < tries; i++) {
    if ((await inHost(from, ['ping', '-n', '-q', '-c', '1', '-W', '1', address])).code === 0) return true;
  }
  return false;
}

/** What came of one direction of a stream. */
export interface Received {
  readonly sent: number;
  /** Numbers of datagrams that did not come. */
  readonly lost: readonly number[];
  readonly twice: readonly number[];
  /** Longest time between two that came, ms. */
  readonly gapMs: number;
}

interface StreamReport {
  readonly sent: number;
  readonly received: readonly (readonly [first: number, last: number])[];
  readonly twice: readonly number[];
  readonly gapMs: number;
}

/** Numbered datagrams both ways between two machines, counted; see `stream.py`. */
export class Stream {
  readonly #ends: readonly { readonly child: Child; readonly lines: AsyncIterator<string> }[];

  private constructor(ends: readonly { readonly child: Child; readonly lines: AsyncIterator<string> }[]) {
    this.#ends = ends;
  }

  /** Resolves when both ends send. */
  static async start(a: Guest, b: Guest, intervalMs = 1): Promise<Stream> {
    const ends = await Promise.all(
      [[a, b] as const, [b, a] as const].map(async ([own, other]) => {
        const script = [`${import.meta.dirname}/stream.py`, own.ip, other.ip, String(intervalMs)];
        const child = spawn('mnexec', ['-a', String(own.pid), PYTHON, ...script], {
          stdio: ['pipe', 'pipe', 'inherit'],
        });
        const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
        if ((await lines.next()).done) throw new Error(`no stream at ${own.name}; its message is above`);
        return { child, lines };
      }),
    );
    // Only when both ends listen.
    for (const { child } of ends) child.stdin.write('go\n');
    return new Stream(ends);
  }

  /** Ends it. What the second sent to the first, and the first to the second, in this order. */
  async stop(): Promise<readonly [toFirst: Received, toSecond: Received]> {
    for (const { child } of this.#ends) child.stdin.end();
    const [a, b] = (await Promise.all(
      this.#ends.map(async ({ lines }) => JSON.parse((await lines.next()).value as string) as StreamReport),
    )) as [StreamReport, StreamReport];
    return [received(a, b.sent), received(b, a.sent)];
  }
}

function received({ received: ranges, twice, gapMs }: StreamReport, sent: number): Received {
  const lost: number[] = [];
  let next = 0;
  for (const [first, last] of [...ranges, [sent, sent] as const]) {
    for (; next < first; next++) lost.push(next);
    next = last + 1;
  }
  return { sent, lost, twice, gapMs };
}

/** Sees every frame that reaches a host's NIC, and sends raw ones. */
export class Probe<M extends Machine = Machine> {
  readonly host: M;
  /** Frames in the order they came, as hex. */
  readonly received: string[] = [];
  readonly #child: Child;
  #changed: () => void = () => {};

  private constructor(host: M, child: Child, lines: ReturnType<typeof createInterface>) {
    this.host = host;
    this.#child = child;
    lines.on('line', (line) => {
      const { frame } = JSON.parse(line) as { frame?: string };
      if (frame === undefined) return;
      this.received.push(frame);
      this.#changed();
    });
  }

  static async open<M extends Machine>(host: M): Promise<Probe<M>> {
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
