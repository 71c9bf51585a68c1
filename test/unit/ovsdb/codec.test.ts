import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonStream, OvsdbError, ovsdbProtocol } from '../../../src/overlay-gw/ovsdb/index.ts';
import { checkSchema, readSchema } from '../../../src/overlay-gw/ovsdb/schema.ts';
import {
  applyDifference,
  type ColumnType,
  decodeValue,
  encodeValue,
  sameValue,
  type Value,
} from '../../../src/overlay-gw/ovsdb/values.ts';

const documents = (chunks: readonly Buffer[], limits?: { bytes: number; depth: number }): unknown[] => {
  const stream = new JsonStream(limits);
  const found: unknown[] = [];
  for (const chunk of chunks) stream.push(chunk, (document) => found.push(document));
  return found;
};
const split = (bytes: Buffer, ...cuts: number[]): Buffer[] => {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end));
};

describe('a stream of JSON documents', () => {
  const tricky = [{ a: '}{][\\"\u00e4' }, [[], {}, '[{'], { '"': { ü: '😀\\' } }, []];
  const bytes = Buffer.from(tricky.map((each) => JSON.stringify(each)).join(''));

  it('is cut at every byte alike, without delimiters and with space between', () => {
    for (let cut = 0; cut <= bytes.length; cut++) expect(documents(split(bytes, cut))).toEqual(tricky);
    expect(documents([Buffer.from(' \n{}\t[]\r\n')])).toEqual([{}, []]);
  });

  it('gives back any documents, whatever the pieces', () => {
    const document = fc.oneof(
      fc.array(fc.json().map((text) => JSON.parse(text))),
      fc.dictionary(fc.string(), fc.jsonValue()),
    );
    fc.assert(
      fc.property(fc.array(document, { maxLength: 4 }), fc.array(fc.nat(), { maxLength: 6 }), (list, cuts) => {
        const whole = Buffer.from(list.map((each) => JSON.stringify(each)).join(''));
        const expected = list.map((each) => JSON.parse(JSON.stringify(each)));
        expect(documents(split(whole, ...cuts))).toEqual(expected);
      }),
    );
  });

  it.each([
    ['what is no JSON-RPC', 'GET / HTTP/1.1', 'neither { nor ['],
    ['brackets that do not fit', '{]', 'not JSON'],
    ['nonsense inside', '{"a" 1}', 'not JSON'],
    ['a bare number', '17{}', 'neither { nor ['],
    ['what is too deep', '['.repeat(65), 'nested more than 64'],
    ['what is too long', `["${'x'.repeat(200)}"]`, 'more than 100 bytes'],
  ])('refuses %s, and is lost for good', (_, text, message) => {
    const stream = new JsonStream({ bytes: 100, depth: 64 });
    expect(() => stream.push(Buffer.from(text), () => {})).toThrow(message);
    const after: unknown[] = [];
    stream.push(Buffer.from('{}'), (document) => after.push(document));
    expect(after).toEqual([]);
    expect(stream.pending).toBe(0);
  });

  it('never holds more than a document may have, in however many pieces it comes', () => {
    const stream = new JsonStream({ bytes: 1_000, depth: 8 });
    stream.push(Buffer.from('["'), () => {});
    expect(() => {
      for (let n = 0; n < 100; n++) stream.push(Buffer.alloc(100, 0x61), () => {});
    }).toThrow(OvsdbError);
    expect(stream.pending).toBe(0);
  });

  it('throws nothing but OvsdbError, whatever comes', () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.stringMatching(/^[{}[\]",:\\a-c0-9 ]{0,40}$/).map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(noise, fc.array(fc.nat(), { maxLength: 3 }), (bytes, cuts) => {
        try {
          documents(split(Buffer.from(bytes), ...cuts));
        } catch (error) {
          expect(error).toBeInstanceOf(OvsdbError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('netloom wire decode --protocol ovsdb', () => {
  const decode = (text: string) => ovsdbProtocol.decode(Buffer.from(text), () => false);

  it('shows documents, the rest that is missing, and what is none', () => {
    expect(decode('{"id":1} {"a":"ü"}')).toMatchObject({
      messages: ['{"id":1}', '{"a":"ü"}'],
      needMore: false,
      fatal: false,
    });
    expect(decode('{"id":1}{"a"')).toMatchObject({ messages: ['{"id":1}'], bytes: 8, needMore: true });
    expect(decode('hello')).toMatchObject({ messages: [], fatal: true, problems: [{ code: 'NL_OVSDB' }] });
  });
});

describe('values', () => {
  const optional: ColumnType = { key: 'string', min: 0, max: 1 };
  const scalar: ColumnType = { key: 'integer', min: 1, max: 1 };
  const set: ColumnType = { key: 'uuid', min: 0, max: Number.POSITIVE_INFINITY };
  const map: ColumnType = { key: 'string', value: 'string', min: 0, max: Number.POSITIVE_INFINITY };

  it.each([
    [optional, ['set', []], undefined],
    [optional, 'x', 'x'],
    [optional, ['set', ['x']], 'x'],
    [scalar, -1, -1],
    [
      set,
      [
        'set',
        [
          ['uuid', 'b'],
          ['uuid', 'a'],
        ],
      ],
      ['a', 'b'],
    ],
    [set, ['uuid', 'a'], ['a']],
    [
      map,
      [
        'map',
        [
          ['k', 'v'],
          ['a', 'b'],
        ],
      ],
      new Map([
        ['a', 'b'],
        ['k', 'v'],
      ]),
    ],
  ] as const)('%j: %j is %j (FC-24)', (type, wire, value) => {
    expect(decodeValue(type, wire, 'T.c')).toEqual(value);
  });

  it.each([
    [scalar, 'x', 'T.c: "x" is no integer'],
    [scalar, 1.5, 'is no integer'],
    [scalar, ['set', []], '0 values, one wanted'],
    [optional, ['set', ['a', 'b']], '2 values, at most one wanted'],
    [set, ['uuid', 7], 'is no uuid'],
    [map, ['set', []], 'is no map'],
    [map, ['map', [['a']]], 'is no pair'],
  ] as const)('%j refuses %j', (type, wire, message) => {
    expect(() => decodeValue(type, wire, 'T.c')).toThrow(message);
  });

  it('go out as they came in, and as names of rows of the same transaction', () => {
    const atoms = fc.constantFrom('', 'a', 'ü', 'x y');
    fc.assert(
      fc.property(fc.uniqueArray(atoms), fc.dictionary(atoms, atoms), (list, pairs) => {
        const strings: ColumnType = { key: 'string', min: 0, max: 9 };
        const sorted = decodeValue(strings, encodeValue(strings, list, 'c'), 'c');
        expect(sameValue(decodeValue(strings, encodeValue(strings, sorted as Value, 'c'), 'c'), sorted)).toBe(true);
        const value = new Map(Object.entries(pairs));
        expect(sameValue(decodeValue(map, encodeValue(map, value, 'c'), 'c'), value)).toBe(true);
      }),
    );
    expect(encodeValue(set, [{ namedUuid: 'new' }, 'a'], 'c')).toEqual([
      'set',
      [
        ['named-uuid', 'new'],
        ['uuid', 'a'],
      ],
    ]);
    expect(() => encodeValue(scalar, undefined, 'T.c')).toThrow('0 values, 1…1 wanted');
    expect(() => encodeValue(scalar, 2 ** 60, 'T.c')).toThrow('cannot be written as integer');
  });

  it('change by differences: sets by what came and went, maps by key, others as a whole', () => {
    expect(applyDifference(set, ['a', 'b'], ['b', 'c'])).toEqual(['a', 'c']);
    expect(
      applyDifference(
        map,
        new Map([
          ['a', '1'],
          ['b', '1'],
        ]),
        new Map([
          ['a', '1'],
          ['b', '2'],
          ['c', '3'],
        ]),
      ),
    ).toEqual(
      new Map([
        ['b', '2'],
        ['c', '3'],
      ]),
    );
    expect(applyDifference(optional, 'x', undefined)).toBeUndefined();
  });
});

describe('a schema', () => {
  const wire = {
    tables: {
      T: {
        columns: {
          a: { type: 'string' },
          b: { type: { key: { type: 'uuid', refTable: 'U' }, min: 0, max: 'unlimited' } },
        },
      },
    },
  };

  it('that lacks what is needed is refused, and all of it is named', () => {
    const schema = readSchema(wire);
    expect(schema.get('T')!.get('b')).toEqual({ key: 'uuid', min: 0, max: Number.POSITIVE_INFINITY });
    expect(() => checkSchema(schema, { T: ['a', '_uuid'] }, 'db')).not.toThrow();
    expect(() => checkSchema(schema, { T: ['a', 'x'], V: ['y'] }, 'db')).toThrow(
      'database db lacks column T.x, table V',
    );
  });

  it.each([null, {}, { tables: { T: {} } }, { tables: { T: { columns: { a: { type: { key: 'colour' } } } } } }])(
    '%j is malformed',
    (bad) => {
      expect(() => readSchema(bad)).toThrow(OvsdbError);
    },
  );
});
