import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/controller/kernel/index.ts';
import { OvsdbClient, OvsdbError, ovsdbProtocol, type Row, type RowChange } from '../../src/overlay-gw/ovsdb/index.ts';
import { ManualClock } from '../kit/manual-clock.ts';
import { OvsdbLine, settled } from '../kit/ovsdb-line.ts';

const seed = 0x6e6c;
const needs = { Bridge: ['name', 'ports', 'tag', 'ids'], Port: ['name'] };
const schema = {
  tables: {
    Bridge: {
      columns: {
        name: { type: 'string' },
        ports: { type: { key: { type: 'uuid', refTable: 'Port' }, min: 0, max: 'unlimited' } },
        tag: { type: { key: 'integer', min: 0, max: 1 } },
        ids: { type: { key: 'string', value: 'string', min: 0, max: 'unlimited' } },
      },
    },
    Port: { columns: { name: { type: 'string' } } },
  },
};
const bridge = { name: 'br', ports: ['set', [['uuid', 'p1']]], tag: 5, ids: ['map', [['a', 'é"}{']]] };
const state = [false, 't1', { Bridge: { b: { initial: bridge } }, Port: { p1: { initial: { name: 'p' } } } }];
const script = [
  {
    method: 'update3',
    params: ['netloom', 't2', { Bridge: { b: { modify: { tag: ['set', []], ids: ['map', [['a', 'x']]] } } } }],
    id: null,
  },
  { method: 'echo', params: [1], id: 'e' },
  {
    method: 'update3',
    params: [
      'netloom',
      't3',
      { Port: { p2: { insert: { name: 'q' } }, p1: { delete: null }, p3: { insert: { name: 's' } } } },
    ],
    id: null,
  },
  { method: 'locked', params: ['netloom'], id: null },
  { method: 'update', params: ['netloom', { Port: { p2: { old: { name: 'q' }, new: { name: 'r' } } } }], id: null },
];

/** A JSON value with one node replaced, chosen by `at`. */
function replaced(value: unknown, at: number, by: unknown): unknown {
  let count = 0;
  const walk = (node: unknown): unknown => {
    if (count++ === at) return by;
    if (Array.isArray(node)) return node.map(walk);
    if (typeof node !== 'object' || node === null) return node;
    return Object.fromEntries(Object.entries(node).map(([key, each]) => [key, walk(each)]));
  };
  return walk(value);
}

const deep = (levels: number): unknown => {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = [value];
  return value;
};
const hostile = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    '',
    -1,
    1e308,
    2 ** 63,
    [],
    {},
    ['set'],
    ['set', 1],
    ['map', [1]],
    ['map', [[1]]],
    ['uuid'],
    ['uuid', 7],
  ),
  fc.constantFrom<unknown>(
    '__proto__',
    'constructor',
    { delete: null },
    { modify: {} },
    { modify: null },
    { insert: {} },
    deep(80),
  ),
  fc.constant({ toString: 1, constructor: { x: 1 } }),
  fc.jsonValue({ maxDepth: 3 }),
);
const tampering = fc.record({
  at: fc.nat({ max: 60 }),
  by: hostile,
  where: fc.constantFrom('schema', 'state', 'script'),
  flips: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 2 }),
  cuts: fc.array(fc.nat(), { maxLength: 5 }),
});

describe('a session with a hostile database server', () => {
  it('ends with an OvsdbError or goes on, and its copy is always what was told', async () => {
    let ended = 0;
    let survived = 0;
    await fc.assert(
      fc.asyncProperty(tampering, async ({ at, by, where, flips, cuts }) => {
        const told = new Map(Object.keys(needs).map((table) => [table, new Map<string, Row>()]));
        const hear = (changes: readonly RowChange[]): void => {
          for (const { table, uuid, before, after } of changes) {
            expect(told.get(table)!.get(uuid)).toEqual(before);
            if (after) told.get(table)!.set(uuid, after);
            else told.get(table)!.delete(uuid);
          }
        };
        const downs: unknown[] = [];
        const failures: unknown[] = [];
        const log = { ...silentLogger, error: (fields: object) => failures.push(fields), child: () => log };
        const handlers = { ready: hear, changed: hear, down: (error: OvsdbError) => downs.push(error) };
        const client = new OvsdbClient({ database: 'x', needs, handlers, clock: new ManualClock(), log });
        const line = new OvsdbLine(({ method }) =>
          method === 'get_schema'
            ? where === 'schema'
              ? replaced(schema, at, by)
              : schema
            : where === 'state'
              ? replaced(state, at, by)
              : state,
        );
        client.use(line);
        await settled();
        const tampered = where === 'script' ? (replaced(script, at, by) as unknown) : script;
        const bytes = Buffer.from(
          (Array.isArray(tampered) ? tampered : [tampered]).map((each) => JSON.stringify(each)).join(''),
        );
        if (where === 'script') for (const [place, value] of flips) bytes[place % bytes.length] = value;
        const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
        for (let i = 1; i < places.length; i++) line.bytes(bytes.subarray(places[i - 1], places[i]));
        await settled();
        expect(failures).toEqual([]);
        for (const down of downs) expect(down).toBeInstanceOf(OvsdbError);
        expect(downs.length).toBeLessThanOrEqual(1);
        for (const [table, rows] of told) expect(client.table(table)).toEqual(rows);
        if (downs.length > 0) ended++;
        else survived++;
        // Another connection is as good as ever, and ends in the same state as a client that saw nothing else.
        client.use(new OvsdbLine(({ method }) => (method === 'get_schema' ? schema : state)));
        await settled();
        expect(client.ready).toBe(true);
        for (const [table, rows] of told) expect(client.table(table)).toEqual(rows);
        expect([...client.table('Port').keys()]).toEqual(['p1']);
      }),
      { seed, numRuns: 1_500 },
    );
    expect(ended).toBeGreaterThan(100);
    expect(survived).toBeGreaterThan(100);
  }, 60_000);
});

describe('the wire tool', () => {
  it('makes something of any bytes, and reads back what it wrote', () => {
    const real = readFileSync(new URL(import.meta.url));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.array(fc.jsonValue()).map((list) => Buffer.from(list.map((each) => JSON.stringify({ each })).join(''))),
        ),
        (bytes) => {
          const result = ovsdbProtocol.decode(Buffer.from(bytes), () => false);
          expect(result.bytes).toBeLessThanOrEqual(bytes.length);
          const again = ovsdbProtocol.decode(Buffer.from(result.reencoded, 'hex'), () => false);
          expect(again.messages).toEqual(result.messages);
          expect(again.problems).toEqual([]);
        },
      ),
      { seed, numRuns: 1_000 },
    );
    expect(ovsdbProtocol.decode(real, () => false).fatal).toBe(true);
  });
});
