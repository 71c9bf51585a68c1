import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type HwvtepTables, planHwvtep, type WantedHwvtep } from '../../src/overlay-gw/hwvtep/index.ts';
import type { Operation, Writable } from '../../src/overlay-gw/ovsdb/index.ts';

type Rows = Map<string, Record<string, unknown>>;

/** A database in memory that carries out plans. */
class Memory {
  readonly tables = new Map<string, Rows>();
  #count = 0;

  table(name: string): Rows {
    const rows = this.tables.get(name) ?? new Map();
    this.tables.set(name, rows);
    return rows;
  }

  add(table: string, row: Record<string, unknown>): string {
    const uuid = `uuid${this.#count++}`;
    this.table(table).set(uuid, row);
    return uuid;
  }

  get view(): HwvtepTables {
    return {
      rows: (table) => this.table(table) as never,
      ports: () => this.table('Physical_Port') as never,
      routed: () => new Set(),
      hasReplicationMode: () => true,
    };
  }

  apply(operations: readonly Operation[]): void {
    const named = new Map<string, string>();
    for (const each of operations) if (each.op === 'insert') named.set(each.name!, this.add(each.table, {}));
    const value = (given: Writable): unknown => {
      if (given instanceof Map) return new Map([...given].map(([key, one]) => [key, value(one)]));
      if (Array.isArray(given)) return given.map((one: Writable) => value(one));
      return typeof given === 'object' && 'namedUuid' in given ? named.get(given.namedUuid) : given;
    };
    const values = (row: Readonly<Record<string, Writable>>) =>
      Object.fromEntries(Object.entries(row).map(([column, one]) => [column, value(one)]));
    for (const each of operations) {
      if (each.op === 'insert') this.table(each.table).set(named.get(each.name!)!, values(each.row));
      if (!('where' in each) || each.where === 'all') continue;
      const uuids =
        'uuid' in each.where
          ? [each.where.uuid]
          : [...this.table(each.table)]
              .filter(
                ([, row]) =>
                  row['logical_switch'] ===
                  value((each.where as { columns: { logical_switch: string } }).columns.logical_switch),
              )
              .map(([uuid]) => uuid);
      for (const uuid of uuids) {
        const row = this.table(each.table).get(uuid);
        if (!row) throw new Error(`${each.op} of a row of ${each.table} that is not there`);
        if (each.op === 'update') Object.assign(row, values(each.row));
        if (each.op === 'delete') this.table(each.table).delete(uuid);
        if (each.op !== 'mutate') continue;
        const map = new Map(row['vlan_bindings'] as ReadonlyMap<number, string>);
        for (const [, mutator, pairs] of each.mutations)
          for (const [vlan, bound] of value(pairs) as Map<number, string>) {
            if (mutator === 'delete' && map.get(vlan) === bound) map.delete(vlan);
            if (mutator === 'insert' && !map.has(vlan)) map.set(vlan, bound);
          }
        row['vlan_bindings'] = map;
      }
    }
  }
}

/** A device on which somebody else has a network. */
function device() {
  const memory = new Memory();
  const theirs = memory.add('Logical_Switch', { name: 'other.red', tunnel_key: 3 });
  const ports = ['p0', 'p1'].map((name) =>
    memory.add('Physical_Port', { name, vlan_bindings: new Map(name === 'p0' ? [[2, theirs]] : []) }),
  );
  memory.add('Physical_Switch', { name: 'ps', ports, management_ips: [], tunnel_ips: [] });
  const locator = memory.add('Physical_Locator', { encapsulation_type: 'vxlan_over_ipv4', dst_ip: '192.0.2.1' });
  memory.add('Ucast_Macs_Remote', { MAC: '02:00:00:00:00:01', logical_switch: theirs, locator });
  const foreign = () =>
    structuredClone({
      switch: memory.table('Logical_Switch').get(theirs),
      binding: (memory.table('Physical_Port').get(ports[0]!)!['vlan_bindings'] as Map<number, string>).get(2),
      macs: [...memory.table('Ucast_Macs_Remote').values()].filter((row) => row['logical_switch'] === theirs),
    });
  return { memory, foreign };
}

const address = fc.integer({ min: 0, max: 3 }).map((n) => `192.0.2.${n}`);
const network = fc.record({
  network: fc.constantFrom('a', 'b', 'c', 'no good'),
  vni: fc.integer({ min: 0, max: 6 }),
  bindings: fc.array(fc.record({ port: fc.constantFrom('p0', 'p1', 'p2'), vlan: fc.integer({ min: -1, max: 3 }) })),
  remoteMacs: fc.array(
    fc.record({ mac: fc.integer({ min: 0, max: 4 }).map((n) => `02:00:00:00:00:0${n}`), vtep: address }),
  ),
  floodTo: fc.array(address),
});
const wanted = fc.record({
  owner: fc.constant('me'),
  switch: fc.constant('ps'),
  networks: fc.array(network, { maxLength: 5 }),
});

describe('the plan for a hardware VTEP', () => {
  it('leads to what is wanted in one go from any state, and leaves what others wrote', () => {
    fc.assert(
      fc.property(fc.array(wanted, { minLength: 1, maxLength: 4 }), (steps: WantedHwvtep[]) => {
        const { memory, foreign } = device();
        const before = foreign();
        for (const step of steps) {
          memory.apply(planHwvtep(memory.view, step).operations);
          expect(planHwvtep(memory.view, step).operations).toEqual([]);
          expect(foreign()).toEqual(before);
        }
        memory.apply(planHwvtep(memory.view, { owner: 'me', switch: 'ps', networks: [] }).operations);
        expect(memory.table('Logical_Switch').size).toBe(1);
        expect(memory.table('Ucast_Macs_Remote').size).toBe(1);
        expect(memory.table('Mcast_Macs_Remote').size).toBe(0);
      }),
    );
  });

  it('touches nothing of a device that has no such physical switch, and refuses an owner that would be ambiguous', () => {
    const { memory } = device();
    const plan = planHwvtep(memory.view, { owner: 'me', switch: 'other', networks: [] });
    expect(plan.operations).toEqual([]);
    expect(plan.problems.map(({ reason }) => reason)).toEqual(['switch-missing']);
    expect(() => planHwvtep(memory.view, { owner: 'a.b', switch: 'ps', networks: [] })).toThrow(RangeError);
  });
});
