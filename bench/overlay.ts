import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { RestClient } from '../test/kit/rest.ts';
import { netloomWith, root, rssMib, type Target } from './targets.ts';

/**
 * `npm run bench -- overlay`: Netloom over several real hypervisors on this machine, arranged by the lab in ../shared/lab, whose tools
 * measure OVN on the same arrangement (`ovn-bench`): same probes, same clock, so that the figures can stand side by side.
 */

const run = promisify(execFile);
const NAME = 'nlbench';
const HYPERVISORS = 3;
const PORTS = 10;

/** `lab` of ../shared/lab, or of where NETLOOM_SHARED says. */
class Lab {
  readonly folder: string;
  readonly #command: string;

  constructor(folder: string) {
    this.folder = folder;
    this.#command = join(folder, 'lab');
  }

  static find(): Lab | undefined {
    const folder = join(process.env['NETLOOM_SHARED'] ?? join(root, '../shared'), 'lab');
    return existsSync(join(folder, 'lab')) ? new Lab(folder) : undefined;
  }

  async do(...args: string[]): Promise<string> {
    const { stdout } = await run(this.#command, ['--name', NAME, ...args], { maxBuffer: 64 << 20 });
    return stdout;
  }

  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.do(...args)) as T;
  }
}

interface Status {
  readonly ctl: string;
  readonly hypervisors: Readonly<
    Record<string, { readonly dpid: string; readonly tunnel: string; readonly ovsdb: string }>
  >;
  readonly vms: Readonly<
    Record<
      string,
      {
        readonly mac: string;
        readonly ip: string;
        readonly tenant: string;
        readonly hv: string;
        readonly iface_id: string;
      }
    >
  >;
}
interface Blackout {
  readonly outage_ms: number;
  readonly 'a->b': { readonly sent: number; readonly lost: number; readonly duplicates: number };
  readonly 'b->a': { readonly sent: number; readonly lost: number; readonly duplicates: number };
}

class Client extends RestClient {
  readonly http: string;
  constructor(http: string) {
    super();
    this.http = http;
  }
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
const say = (part: string, fields: object): void => console.log(JSON.stringify({ part, ...fields }));

/** The arrangement with Netloom in charge of it. */
class World {
  readonly lab: Lab;
  readonly target: Target;
  readonly rest: Client;
  readonly status: Status;

  private constructor(lab: Lab, target: Target, status: Status) {
    this.lab = lab;
    this.target = target;
    this.status = status;
    this.rest = new Client(`127.0.0.1:${target.http}`);
  }

  static async up(lab: Lab, vms: number): Promise<World> {
    await lab.do('up', '--fresh', '-H', String(HYPERVISORS), '-v', String(vms), '-t', '2');
    const target = await netloomWith([]);
    const world = new World(lab, target, await lab.json<Status>('status'));
    await lab.do('set-controller', `tcp:127.0.0.1:${target.openflow}`);
    await lab.do('wait');
    for (const [id, { dpid, tunnel, ovsdb }] of Object.entries(world.status.hypervisors)) {
      await world.rest.ok('PUT', `/v1/hypervisors/${id}`, { datapathId: dpid, tunnelAddresses: [tunnel], ovsdb });
    }
    for (const id of Object.keys(world.status.hypervisors)) {
      await world.rest.until(`/v1/hypervisors/${id}`, (body) => body.status?.conditions?.[0]?.status === 'True');
    }
    for (const tenant of ['t1', 't2']) {
      await world.rest.ok('PUT', `/v1/tenants/${tenant}`, {});
      await world.rest.ok('PUT', `/v1/tenants/${tenant}/networks/lan`, { transport: 'vxlan' });
    }
    for (const [id, { mac, ip, tenant, hv, iface_id }] of Object.entries(world.status.vms)) {
      await world.rest.ok('PUT', `/v1/tenants/${tenant}/ports/${id}?wait=ready`, {
        network: 'lan',
        mac,
        addresses: [ip.split('/')[0]!],
        binding: { hypervisor: hv, interfaceId: iface_id },
      });
    }
    return world;
  }

  async down(): Promise<void> {
    await this.target.stop();
    await this.lab.do('down');
  }

  /** Plugs one interface of each of the first `count` networks, dealt to the hypervisors. */
  async taps(count: number): Promise<void> {
    const ids = Object.keys(this.status.hypervisors);
    await Promise.all(
      ids.map(async (id, at) => {
        for (let from = 0; from < count; from += 300) {
          const args: string[] = [];
          for (let n = from; n < Math.min(count, from + 300); n++) {
            if (n % ids.length !== at) continue;
            args.push('--', '--may-exist', 'add-port', 'br-int', `i${n}`);
            args.push('--', 'set', 'Interface', `i${n}`, 'type=internal', `external_ids:iface-id=n${n}p0`);
          }
          if (args.length > 0) await this.lab.do('exec', id, '--', 'ovs-vsctl', '--timeout=200', ...args);
        }
      }),
    );
  }

  /** Puts networks of ten ports, the first of which is plugged where `taps` put it; all in bulk requests, then waits for the switches. */
  async bulk(count: number): Promise<{ readonly storedS: number; readonly confirmedS: number }> {
    const ids = Object.keys(this.status.hypervisors);
    const started = performance.now();
    await this.rest.ok('PUT', '/v1/tenants/b', {});
    const chunk = 100;
    for (let from = 0; from < count; from += chunk) {
      const operations: object[] = [];
      for (let n = from; n < Math.min(count, from + chunk); n++) {
        operations.push({ method: 'PUT', path: `/v1/tenants/b/networks/n${n}`, body: { transport: 'vxlan' } });
        for (let p = 0; p < PORTS; p++) {
          const mac = `02:${hex(n >> 8)}:${hex(n & 255)}:00:00:${hex(p + 1)}`;
          const binding = { hypervisor: ids[(n + p) % ids.length], interfaceId: `n${n}p${p}` };
          const body = { network: `n${n}`, mac, addresses: [`10.1.0.${p + 1}`], binding };
          operations.push({ method: 'PUT', path: `/v1/tenants/b/ports/n${n}p${p}`, body });
        }
      }
      await this.rest.ok('POST', '/v1/bulk', { atomic: true, operations });
    }
    const storedS = (performance.now() - started) / 1000;
    // All of it: nothing waits to be compiled, and no switch waits for anything.
    await this.rest.poll(
      async () => [
        await this.rest.sum('netloom_compile_dirty_owners'),
        await this.rest.sum('netloom_rule_owners_unconfirmed'),
      ],
      (waiting) => waiting.every((count) => count === 0),
      'rules that wait',
      300_000,
    );
    return { storedS, confirmedS: (performance.now() - started) / 1000 };
  }

  async firstPing(label: string, runs: number): Promise<void> {
    const first: number[] = [];
    for (let i = 0; i < runs; i++) {
      const vm = 'vmx';
      const ip = `10.0.0.${100 + i}`;
      await this.lab.do('add-vm', vm, 'hv2', '--tenant', 't1', '--ip', `${ip}/24`, '--iface-id', `x${i}`, '--no-plug');
      const { mac } = (await this.lab.json<Status>('status')).vms[vm]!;
      const body = JSON.stringify({
        network: 'lan',
        mac,
        addresses: [ip],
        binding: { hypervisor: 'hv2', interfaceId: `x${i}` },
      });
      const url = `http://${this.rest.http}/v1/tenants/t1/ports/x${i}`;
      const put = `curl -sf -o /dev/null -X PUT -H 'content-type: application/json' -d '${body}' ${url}`;
      // What `ovn-bench` does: the switch's own tool, not the lab's.
      const database = join(process.env['LAB_STATE'] ?? '/tmp', `lab-${NAME}`, 'hv2/db.sock');
      const ids = [`iface-id=x${i}`, `attached-mac="${mac}"`, `vm-id=${vm}`, 'iface-status=active'];
      const columns = ids.map((id) => `'external_ids:${id}'`).join(' ');
      const add = `--may-exist add-port br-int ${vm} -- set Interface ${vm} ${columns}`;
      const plug = `ovs-vsctl --db=unix:${database} --no-wait ${add}`;
      const result = await this.lab.json<{ first_ms: number | null; cmd_ms: number }>(
        'first-ping',
        'vm1',
        vm,
        '--static-arp',
        '--timeout',
        '30',
        '--do',
        `${put} & ${plug}; wait`,
      );
      if (result.first_ms !== null) first.push(result.first_ms);
      await this.rest.ok('DELETE', `/v1/tenants/t1/ports/x${i}`);
      await this.lab.do('del-vm', vm);
    }
    say('provision', {
      label,
      runs,
      answered: first.length,
      medianMs: median(first),
      minMs: Math.min(...first),
      maxMs: Math.max(...first),
    });
  }

  /** Milliseconds for one more network with one port, confirmed. */
  async oneMore(label: string): Promise<void> {
    const times: number[] = [];
    for (let k = 0; k < 9; k++) {
      await this.lab.do(
        'exec',
        'hv1',
        '--',
        'ovs-vsctl',
        'add-port',
        'br-int',
        `m${k}`,
        '--',
        'set',
        'Interface',
        `m${k}`,
        'type=internal',
        `external_ids:iface-id=more${k}`,
      );
      const started = performance.now();
      await this.rest.ok('PUT', `/v1/tenants/t1/networks/more${k}`, { transport: 'vxlan' });
      await this.rest.ok('PUT', `/v1/tenants/t1/ports/more${k}?wait=ready`, {
        network: `more${k}`,
        mac: `02:ff:00:00:00:${hex(k)}`,
        addresses: ['10.2.0.1'],
        binding: { hypervisor: 'hv1', interfaceId: `more${k}` },
      });
      times.push(performance.now() - started);
    }
    say('one more network and port', { label, medianMs: median(times), maxMs: Math.max(...times) });
  }

  async blackout(during: string, intervalMs = 2): Promise<Blackout> {
    return this.lab.json<Blackout>('blackout', 'vm1', 'vm3', '--interval', String(intervalMs), '--during', during);
  }

  /** Moves vm3 to and fro in each of the ways that `ovn-bench move` has, and one more. */
  async moves(label: string, runs: number): Promise<void> {
    const port = `http://${this.rest.http}/v1/tenants/t1/ports/vm3`;
    const move = `${join(this.lab.folder, 'lab')} --name ${NAME} move-vm vm3`;
    const announce = (to: string, policy: object): string => {
      const body = JSON.stringify({ to: { hypervisor: to, interfaceId: this.status.vms['vm3']!.iface_id }, ...policy });
      return `curl -sf -o /dev/null -X PUT -H "content-type: application/json" -d '${body}' "${port}/migration?wait=ready"`;
    };
    const complete = `curl -sf -o /dev/null -X POST ${port}/migration/complete`;
    const quoted = (command: string): string => `'${command.replaceAll("'", `'\\''`)}'`;
    const live = (to: string, policy: object): string =>
      `${move} ${to} --precopy 300 --before ${quoted(announce(to, policy))} --after ${quoted(complete)}`;
    const cases: Readonly<Record<string, (to: string) => string>> = {
      rebind: (to) => `${move} ${to} --mode rebind`,
      'rebind pause=100': (to) => `${move} ${to} --mode rebind --pause 100`,
      live: (to) => live(to, {}),
      'live rarp': (to) => live(to, { deliver: 'active', activateOn: ['rarp'] }),
      'live unannounced': (to) => `${move} ${to} --precopy 300`,
    };
    for (const [how, command] of Object.entries(cases)) {
      const results: Blackout[] = [];
      for (let i = 0; i < runs; i++) {
        const { binding } = await this.rest.ok('GET', '/v1/tenants/t1/ports/vm3');
        results.push(await this.blackout(command(binding.hypervisor === 'hv2' ? 'hv3' : 'hv2'), 1));
        await this.rest.until('/v1/tenants/t1/ports/vm3/migration', ({ phase }) => phase === 'done');
      }
      const outages = results.map(({ outage_ms }) => outage_ms);
      const sum = (pick: (way: Blackout['a->b']) => number): number =>
        median(results.map(({ 'a->b': there, 'b->a': back }) => pick(there) + pick(back)));
      say('move', {
        label,
        how,
        runs,
        outageMedianMs: median(outages),
        outageMaxMs: Math.max(...outages),
        lost: sum(({ lost }) => lost),
        twice: sum(({ duplicates }) => duplicates),
      });
    }
  }
}

const hex = (value: number): string => value.toString(16).padStart(2, '0');

/** `npm run bench -- moves`: machines that move between hypervisors, alone and with many networks present. */
export async function movesBench(runs = 9, networks = 1_000): Promise<void> {
  const lab = Lab.find();
  if (!lab) {
    console.log('moves: skipped, there is no lab in ../shared/lab');
    return;
  }
  for (const size of [0, networks]) {
    const world = await World.up(lab, 2);
    try {
      if (size > 0) {
        await world.taps(size);
        await world.bulk(size);
      }
      await world.moves(`${size} further networks`, runs);
    } finally {
      await world.down();
    }
  }
}

/** Runs the parts named, all when none is. */
export async function overlayBench(sizes: readonly number[] = [100, 1_000]): Promise<void> {
  const lab = Lab.find();
  if (!lab) {
    console.log('overlay: skipped, there is no lab in ../shared/lab');
    return;
  }
  const world = await World.up(lab, 2);
  try {
    await world.firstPing('little else', 20);
    await world.oneMore('little else');
  } finally {
    await world.down();
  }
  for (const size of sizes) {
    const large = await World.up(lab, 2);
    try {
      await large.taps(size);
      const { storedS, confirmedS } = await large.bulk(size);
      say('bulk', {
        networks: size,
        ports: size * PORTS,
        bound: size,
        storedS,
        confirmedS,
        rssMib: rssMib(large.target.pid),
      });
      await large.firstPing(`${size} networks`, 10);
      await large.oneMore(`${size} networks`);
      say('memory', { networks: size, rssMib: rssMib(large.target.pid) });
      const {
        outage_ms,
        'a->b': there,
        'b->a': back,
      } = await large.blackout(`${join(lab.folder, 'lab')} --name ${NAME} fault restart-vswitchd hv2`);
      say('vswitchd restarted', { networks: size, outageMs: outage_ms, lost: there.lost + back.lost });
    } finally {
      await large.down();
    }
  }
}
