import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PortLabel } from '../../src/controller/index.ts';
import { concernsLabels, labelsOf } from '../../src/overlay-gw/hypervisors/view.ts';
import type { Row, VswitchRow, VswitchTable, VswitchTables } from '../../src/overlay-gw/ovsdb/index.ts';

/** Rows as a replica holds them: never changed, only replaced. */
class Tables implements VswitchTables {
  readonly #tables = new Map<string, Map<string, Row>>();

  rows<T extends VswitchTable>(table: T): ReadonlyMap<string, VswitchRow<T>> {
    return this.#of(table) as unknown as ReadonlyMap<string, VswitchRow<T>>;
  }

  /** Puts some columns of a row, or deletes it; true when what is said of ports may differ. */
  put(table: VswitchTable, uuid: string, columns: Row | undefined): boolean {
    const before = this.#of(table).get(uuid);
    const after = columns && { ...before, ...columns };
    if (after) this.#of(table).set(uuid, after);
    else this.#of(table).delete(uuid);
    return concernsLabels({ table, uuid, before, after });
  }

  /** The same rows as other objects. */
  copy(): Tables {
    const copy = new Tables();
    for (const [name, rows] of this.#tables) copy.#tables.set(name, structuredClone(rows));
    return copy;
  }

  #of(table: string): Map<string, Row> {
    const rows = this.#tables.get(table) ?? new Map<string, Row>();
    this.#tables.set(table, rows);
    return rows;
  }
}

const id = fc.constantFrom('1', '2', '3', '4');
const ids = fc.uniqueArray(id, { maxLength: 4 });
const texts = (key: string, values: readonly string[]) =>
  fc
    .option(fc.constantFrom(...values), { nil: undefined })
    .map((value) => new Map(value === undefined ? [] : [[key, value]]));

const step = fc.oneof(
  fc.record({ table: fc.constant('Bridge' as const), uuid: fc.constant('b'), columns: fc.record({ ports: ids }) }),
  fc.record({
    table: fc.constant('Port' as const),
    uuid: id,
    columns: fc.option(
      fc.oneof(
        fc.record({ interfaces: ids, external_ids: texts('netloom-owner', ['netloom', 'x']) }),
        fc.record({ external_ids: texts('netloom-owner', ['netloom', 'x']) }),
      ),
      { nil: undefined },
    ),
  }),
  fc.record({
    table: fc.constant('Interface' as const),
    uuid: id,
    columns: fc.option(
      fc.oneof(
        fc.record({ external_ids: texts('iface-id', ['', 'nic1', 'nic2']) }),
        fc.record({ external_ids: texts('attached-mac', ['02:00:00:00:00:01', 'none']) }),
        fc.record({
          ofport: fc.constantFrom(-1, 1, 2, undefined),
          error: fc.constantFrom(undefined, 'no such device'),
        }),
        fc.record({ ofport: fc.constantFrom(-1, 1, 2) }),
      ),
      { nil: undefined },
    ),
  }),
);

describe('what a database says of ports', () => {
  it('is what all rows come to, though it is only looked at when a change concerns it, and only at rows that are new', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const tables = new Tables();
        tables.put('Bridge', 'b', { name: 'br-int', ports: ['1', '2', '3', '4'] });
        for (const uuid of ['1', '2', '3', '4']) {
          const name = ['netloom-vxlan', 'tap2', 'tap3', 'tap4'][Number(uuid) - 1]!;
          tables.put('Port', uuid, { name, interfaces: [uuid], external_ids: new Map() });
          tables.put('Interface', uuid, { name, external_ids: new Map(), ofport: 1, error: undefined });
        }
        let labels: ReadonlyMap<string, PortLabel> = labelsOf(tables, 'br-int');
        for (const { table, uuid, columns } of steps) {
          // A row that was deleted does not come back in part.
          if (columns && !tables.rows(table).has(uuid)) continue;
          if (tables.put(table, uuid, columns as Row | undefined)) labels = labelsOf(tables, 'br-int');
          expect(labels).toEqual(labelsOf(tables.copy(), 'br-int'));
        }
      }),
    );
  });
});
