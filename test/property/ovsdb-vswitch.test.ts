import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  flowTunnel,
  type Operation,
  planVswitch,
  type VswitchTables,
  type WantedVswitch,
  watchedTunnel,
} from '../../src/overlay-gw/ovsdb/index.ts';

type Texts = ReadonlyMap<string, string>;
type Loose = Record<string, unknown>;

/** Tables as a database server keeps them, as far as our operations go: applies a transaction, then deletes what nobody refers to. */
class Database {
  readonly tables: Record<string, Map<string, Loose>> = {
    Open_vSwitch: new Map(),
    Bridge: new Map(),
    Port: new Map(),
    Interface: new Map(),
    Controller: new Map(),
    Manager: new Map(),
  };
  #next = 0;

  add(table: string, row: Loose): string {
    const uuid = `${table}-${++this.#next}`;
    this.tables[table]!.set(uuid, { external_ids: new Map(), ...row });
    return uuid;
  }

  get view(): VswitchTables {
    return { rows: (table) => this.tables[table] as never };
  }

  transact(operations: readonly Operation[]): void {
    const names = new Map<string, string>();
    const resolve = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(resolve);
      if (typeof value !== 'object' || value === null || !('namedUuid' in value)) return value;
      const uuid = names.get(String(value.namedUuid));
      if (uuid === undefined) throw new Error(`no row ${String(value.namedUuid)} in this transaction`);
      return uuid;
    };
    // Inserted rows may be named before they are there (RFC 7047 §3.1).
    for (const operation of operations)
      if (operation.op === 'insert') names.set(operation.name!, this.add(operation.table, { bfd: new Map() }));
    for (const operation of operations) {
      if (operation.op === 'comment' || operation.op === 'assert') continue;
      const rows = this.tables[operation.table]!;
      if (operation.op === 'insert') {
        const row = rows.get(names.get(operation.name!)!)!;
        for (const [column, value] of Object.entries(operation.row)) {
          const resolved = resolve(value);
          row[column] = column === 'interfaces' ? [resolved] : resolved;
        }
        continue;
      }
      const uuid = (operation.where as { uuid: string }).uuid;
      const row = rows.get(uuid);
      if (!row) throw new Error(`${operation.op} of a row that is not there`);
      if (operation.op === 'wait') expect(row).toMatchObject(operation.row);
      else if (operation.op === 'update') rows.set(uuid, { ...row, ...operation.row });
      else if (operation.op === 'mutate') rows.set(uuid, this.#mutated(row, operation.mutations, resolve));
    }
    this.#collect();
    for (const table of ['Port', 'Interface']) {
      const all = [...this.tables[table]!.values()].map((row) => row['name']);
      expect(new Set(all).size, `${table}.name is unique`).toBe(all.length);
    }
  }

  #mutated(
    row: Loose,
    mutations: readonly (readonly [string, string, unknown])[],
    resolve: (v: unknown) => unknown,
  ): Loose {
    const after = { ...row };
    for (const [column, mutator, value] of mutations) {
      const there = after[column];
      if (typeof there === 'number') after[column] = there + (value as number);
      else if (there instanceof Map) {
        const map = new Map(there as Texts);
        if (mutator === 'delete') for (const key of value as string[]) map.delete(key);
        else for (const [key, each] of value as Texts) if (!map.has(key)) map.set(key, each);
        after[column] = map;
      } else {
        const set = new Set(there as string[]);
        for (const each of resolve(value) as string[])
          if (mutator === 'delete') set.delete(each);
          else set.add(each);
        after[column] = [...set];
      }
    }
    return after;
  }

  #collect(): void {
    for (const [from, column, to] of [
      ['Bridge', 'ports', 'Port'],
      ['Port', 'interfaces', 'Interface'],
      ['Bridge', 'controller', 'Controller'],
      ['Open_vSwitch', 'manager_options', 'Manager'],
    ] as const) {
      const used = new Set([...this.tables[from]!.values()].flatMap((row) => row[column] as string[]));
      for (const uuid of this.tables[to]!.keys()) if (!used.has(uuid)) this.tables[to]!.delete(uuid);
    }
  }
}

const OWNERS = [undefined, 'us', 'others'] as const;
const name = fc.constantFrom('t1', 't2', 't3', 't4');
const bridge = fc.constantFrom('br-a', 'br-b', 'br-missing');
const owner = fc.constantFrom(...OWNERS);
const target = fc.constantFrom('tcp:h:1', 'tcp:h:2', 'ssl:h:3');
const texts = fc
  .dictionary(fc.constantFrom('netloom-x', 'netloom-y'), fc.constantFrom('1', '2'))
  .map((each) => new Map(Object.entries(each)));
const tunnel = fc
  .record({ name, bridge, vxlan: fc.boolean(), watched: fc.boolean() })
  .map(({ vxlan, watched, ...ends }) => {
    const all = { ...ends, type: vxlan ? ('vxlan' as const) : ('gre' as const) };
    return watched ? watchedTunnel(all, '192.0.2.1') : flowTunnel(all);
  });
const wanted: fc.Arbitrary<WantedVswitch> = fc
  .record(
    {
      tunnels: fc.array(tunnel, { maxLength: 5 }),
      switchIds: texts,
      bridgeIds: fc.array(fc.tuple(bridge, texts)).map((pairs) => new Map(pairs)),
      controllers: fc.array(fc.tuple(bridge, fc.uniqueArray(target))).map((pairs) => new Map(pairs)),
      managers: fc.uniqueArray(target),
    },
    { requiredKeys: ['tunnels'] },
  )
  .map((each) => ({ ...each, owner: 'us' }));

const owned = (value: string | undefined): Texts =>
  new Map([['theirs', 'stays'], ...(value === undefined ? [] : [['netloom-owner', value] as [string, string]])]);
const database = fc
  .record({
    ports: fc.uniqueArray(fc.record({ name, owner, onB: fc.boolean(), type: fc.constantFrom('vxlan', 'gre') }), {
      selector: (each) => each.name,
    }),
    targets: fc.array(fc.record({ target, owner, manager: fc.boolean() }), { maxLength: 4 }),
    ids: texts,
  })
  .map(({ ports, targets, ids }) => {
    const made = new Database();
    const members: [string[], string[]] = [[], []];
    for (const { name, owner, onB, type } of ports) {
      const row = { name, type, options: new Map([['key', '5']]), bfd: new Map(), external_ids: owned(owner) };
      const link = made.add('Interface', row);
      members[onB ? 1 : 0].push(made.add('Port', { name, interfaces: [link], external_ids: owned(owner) }));
    }
    const rows = targets.map(({ target, owner, manager }) => ({
      manager,
      uuid: made.add(manager ? 'Manager' : 'Controller', { target, external_ids: owned(owner) }),
    }));
    const uuids = (manager: boolean) => rows.filter((each) => each.manager === manager).map(({ uuid }) => uuid);
    const external_ids = new Map([...ids, ['vendor', 'x']]);
    made.add('Bridge', { name: 'br-a', ports: members[0], controller: uuids(false), external_ids });
    made.add('Bridge', { name: 'br-b', ports: members[1], controller: [], external_ids });
    made.add('Open_vSwitch', { manager_options: uuids(true), next_cfg: 0, cur_cfg: 0, external_ids });
    return made;
  });

/** What is not ours: rows of other owners as a whole, and foreign keys of all rows. */
const foreign = (db: Database): unknown => {
  const rows = Object.entries(db.tables).flatMap(([table, all]) =>
    [...all].map(([uuid, row]) => ({ table, uuid, row })),
  );
  return rows.flatMap(({ table, uuid, row }) => {
    const ids = row['external_ids'] as Texts;
    if (ids.get('netloom-owner') === 'us') return [];
    const others = [...ids].filter(([key]) => !key.startsWith('netloom-') || key === 'netloom-owner');
    const isParent = table === 'Bridge' || table === 'Open_vSwitch';
    return [{ table, uuid, others, ...(isParent ? {} : { row }) }];
  });
};

describe('what is kept in a switch database', () => {
  it('is right after one transaction, whatever was there; others keep what they had', () => {
    fc.assert(
      fc.property(database, fc.array(wanted, { minLength: 1, maxLength: 3 }), (db, wishes) => {
        const before = foreign(db);
        for (const wish of wishes) {
          const plan = planVswitch(db.view, wish);
          db.transact(plan.operations);
          const after = planVswitch(db.view, wish);
          expect(after.operations).toEqual([]);
          expect(after.problems).toEqual(plan.problems);
          const refused = new Set(plan.problems.map(({ subject }) => subject));
          for (const { name, type, options } of wish.tunnels.filter(
            (each, i) => wish.tunnels.findIndex((t) => t.name === each.name) === i,
          )) {
            if (refused.has(name)) continue;
            const row = [...db.tables['Interface']!.values()].find((each) => each['name'] === name);
            expect(row).toMatchObject({ type, options });
          }
        }
        expect(foreign(db)).toEqual(before);
      }),
      { numRuns: 500 },
    );
  });

  it('leaves nothing of ours when nothing is wanted any more', () => {
    fc.assert(
      fc.property(database, wanted, (db, wish) => {
        db.transact(planVswitch(db.view, wish).operations);
        const none: WantedVswitch = {
          ...{ owner: 'us', tunnels: [], switchIds: new Map(), controllers: new Map(), managers: [] },
          bridgeIds: new Map(['br-a', 'br-b'].map((each) => [each, new Map()])),
        };
        db.transact(planVswitch(db.view, none).operations);
        for (const rows of Object.values(db.tables))
          for (const { external_ids } of rows.values()) {
            const keys = [...(external_ids as Texts)].filter(
              ([key, value]) => key.startsWith('netloom-') && value !== 'others',
            );
            expect(keys).toEqual([]);
          }
      }),
      { numRuns: 300 },
    );
  });
});
