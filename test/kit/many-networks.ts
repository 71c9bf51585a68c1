import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { LabHypervisor, LabMachine, OverlayNet } from '../../mininet/driver.ts';
import { ofctl } from './ofctl.ts';
import type { RestClient } from './rest.ts';

const byte = (value: number): string => value.toString(16).padStart(2, '0');

const run = promisify(execFile);

/** Interfaces that one transaction plugs: it is one argument of a command. */
const BATCH = 250;

/** One transaction in a switch's database; the answer as text. `ovs-vsctl` takes a time that grows with the square of its arguments. */
async function transact(database: string, operations: readonly object[]): Promise<string> {
  const { stdout } = await run('ovsdb-client', ['transact', database, JSON.stringify(['Open_vSwitch', ...operations])]);
  if (stdout.includes('"error"')) throw new Error(stdout.slice(0, 1_000));
  return stdout;
}

const rowsOf = (n: number): object[] => {
  const options = ['map', [['peer', `x${n}`]]];
  const external_ids = ['map', [['iface-id', `n${n}`]]];
  const row = { name: `n${n}`, type: 'patch', options, external_ids };
  return [
    { op: 'insert', table: 'Interface', row, 'uuid-name': `i${n}` },
    { op: 'insert', table: 'Port', row: { name: `n${n}`, interfaces: ['named-uuid', `i${n}`] }, 'uuid-name': `p${n}` },
  ];
};

/** Plugs the interfaces with these numbers in. */
async function plugInto(database: string, numbers: readonly number[]): Promise<void> {
  const ports = ['set', numbers.map((n) => ['named-uuid', `p${n}`])];
  await transact(database, [
    ...numbers.flatMap(rowsOf),
    { op: 'mutate', table: 'Bridge', where: [['name', '==', 'br-int']], mutations: [['ports', 'insert', ports]] },
  ]);
}

/** VXLAN networks by the thousand in an arrangement of hypervisors, each with a port on every one of them. */
export class ManyNetworks {
  readonly count: number;
  readonly #net: OverlayNet;
  readonly #rest: RestClient;

  constructor(count: number, net: OverlayNet, rest: RestClient) {
    this.count = count;
    this.#net = net;
    this.#rest = rest;
  }

  /** Machines of the arrangement's first tenant are in the first network, of the second in the middle one, of the third in the last. */
  networkOf({ tenant }: LabMachine): string {
    return `n${[0, this.count >> 1, this.count - 1][Number(tenant.slice(1)) - 1]}`;
  }

  /** Plugs an interface for each network into each hypervisor: one end of a patch cable whose other end nobody holds. */
  async plug(): Promise<void> {
    for (const { ovsdb } of this.#net.hypervisors) {
      // Statistics of them all every five seconds would be measured along.
      const interval = ['map', [['stats-update-interval', '3600000']]];
      await transact(ovsdb, [
        { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['other_config', 'insert', interval]] },
      ]);
      for (let from = 0; from < this.count; from += BATCH)
        await plugInto(
          ovsdb,
          Array.from({ length: Math.min(BATCH, this.count - from) }, (_, at) => from + at),
        );
    }
    for (const { ovsdb } of this.#net.hypervisors) await this.#plugged(ovsdb, this.count - 1);
  }

  async #plugged(ovsdb: string, n: number): Promise<void> {
    const select = { op: 'select', table: 'Interface', where: [['name', '==', `n${n}`]], columns: ['ofport'] };
    await this.#rest.poll(
      () => transact(ovsdb, [select]),
      (answer) => /"ofport":[1-9]/.test(answer),
      `interface n${n} of ${ovsdb}`,
      300_000,
    );
  }

  /** Milliseconds that each of so many further networks takes with a port on each hypervisor, all plugged before, until confirmed. */
  async further(count: number): Promise<readonly number[]> {
    const numbers = Array.from({ length: count }, (_, at) => this.count + at);
    for (const { ovsdb, name } of this.#net.hypervisors) {
      const before = (await this.#rest.ok('GET', `/v1/hypervisors/${name}`)).status.interfaces;
      await plugInto(ovsdb, numbers);
      await this.#plugged(ovsdb, numbers.at(-1)!);
      await this.#rest.until(`/v1/hypervisors/${name}`, ({ status }) => status.interfaces === before + count);
    }
    const times: number[] = [];
    for (const n of numbers) {
      const started = performance.now();
      for (const { path, body } of this.#operations(n))
        await this.#rest.ok('PUT', path.includes('/ports/') ? `${path}?wait=ready` : path, body);
      times.push(Math.round(performance.now() - started));
    }
    return times;
  }

  /** Stores networks and ports in bulk; resolves when all switches have confirmed all of it. Seconds. */
  async provision(): Promise<{ readonly storedS: number; readonly confirmedS: number }> {
    const started = performance.now();
    const passed = (): number => Math.round(performance.now() - started) / 1_000;
    await this.#rest.ok('PUT', '/v1/tenants/many', {});
    for (let from = 0; from < this.count; from += 100) {
      const operations: object[] = [];
      for (let n = from; n < Math.min(this.count, from + 100); n++) operations.push(...this.#operations(n));
      await this.#rest.ok('POST', '/v1/bulk', { atomic: true, operations });
    }
    for (const machine of this.#net.machines) {
      await this.#rest.ok('PUT', `/v1/tenants/many/ports/${machine.name}`, {
        network: this.networkOf(machine),
        mac: machine.mac,
        addresses: [machine.ip, machine.ip6],
        binding: { hypervisor: machine.hypervisor, interfaceId: machine.interfaceId },
      });
    }
    const storedS = passed();
    await this.#rest.poll(
      async () => [
        await this.#rest.sum('netloom_compile_dirty_owners'),
        await this.#rest.sum('netloom_rule_owners_unconfirmed'),
      ],
      (waiting) => waiting.every((owners) => owners === 0),
      'rules that wait',
      600_000,
    );
    return { storedS, confirmedS: passed() };
  }

  #operations(n: number): readonly { readonly method: string; readonly path: string; readonly body: object }[] {
    const network = `n${n}`;
    const path = '/v1/tenants/many';
    const subnets = ['10.0.0.0/24', 'fd00::/64'];
    const ports = this.#net.hypervisors.map(({ name }, at) => ({
      method: 'PUT',
      path: `${path}/ports/${network}h${at}`,
      body: {
        network,
        mac: `06:${byte(n >> 8)}:${byte(n & 0xff)}:00:00:${byte(at)}`,
        addresses: [`10.0.0.${101 + at}`],
        binding: { hypervisor: name, interfaceId: network },
      },
    }));
    return [{ method: 'PUT', path: `${path}/networks/${network}`, body: { transport: 'vxlan', subnets } }, ...ports];
  }

  /** Flows that a hypervisor's switch itself says that it has. */
  flows(hypervisor: LabHypervisor): number {
    return Number(/flow_count=(\d+)/.exec(ofctl(hypervisor, 'dump-aggregate', 'br-int'))![1]);
  }
}
