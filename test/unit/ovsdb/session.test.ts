import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/controller/kernel/index.ts';
import {
  dialOvsdb,
  identifyPeer,
  type Needs,
  OvsdbClient,
  OvsdbError,
  type RowChange,
  type Shapes,
} from '../../../src/overlay-gw/ovsdb/index.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { OvsdbLine, settled } from '../../kit/ovsdb-line.ts';

const schema = {
  name: 'Open_vSwitch',
  tables: {
    Bridge: {
      columns: {
        name: { type: 'string' },
        ports: { type: { key: 'uuid', min: 0, max: 'unlimited' } },
        tag: { type: { key: 'integer', min: 0, max: 1 } },
        ids: { type: { key: 'string', value: 'string', min: 0, max: 'unlimited' } },
        constructor: { type: { key: 'string', min: 0, max: 'unlimited' } },
      },
    },
  },
};
const needs: Needs = { Bridge: ['name', 'ports', 'tag', 'ids'] };
const row = (name: string, more: object = {}) => ({
  name,
  ports: ['set', []],
  tag: ['set', []],
  ids: ['map', []],
  ...more,
});

function session(options: { needs?: Needs; shapes?: Shapes } = {}) {
  const heard = {
    ready: [] as (readonly RowChange[])[],
    changed: [] as (readonly RowChange[])[],
    down: [] as OvsdbError[],
    locks: [] as string[],
  };
  const clock = new ManualClock();
  const client = new OvsdbClient({
    database: 'Open_vSwitch',
    needs,
    ...options,
    clock,
    log: silentLogger,
    handlers: {
      ready: (changes) => heard.ready.push(changes),
      changed: (changes) => heard.changed.push(changes),
      down: (error) => heard.down.push(error),
      locked: (id, held) => heard.locks.push(`${id} ${held}`),
    },
  });
  return { client, clock, heard };
}

type Answers = Readonly<Record<string, unknown>>;
/** A server that answers each method with this. */
const server = (answers: Answers) => new OvsdbLine(({ method }) => ({ get_schema: schema, ...answers })[method]);
const initial = (rows: Readonly<Record<string, object>>) => ({
  Bridge: Object.fromEntries(Object.entries(rows).map(([uuid, each]) => [uuid, { initial: each }])),
});
const update3 = (transaction: string, rows: object) => ({
  method: 'update3',
  params: ['netloom', transaction, { Bridge: rows }],
  id: null,
});

describe('a session', () => {
  it('goes on after a reconnection from the last transaction it knows', async () => {
    const { client, heard } = session();
    const first = server({ monitor_cond_since: [false, 't1', initial({ a: row('br-a'), b: row('br-b') })] });
    client.use(first);
    await settled();
    first.say(update3('t2', { b: { modify: { tag: 7 } } }));
    first.destroy();
    await settled();
    expect(client.ready).toBe(false);
    expect(client.table('Bridge').get('b')).toMatchObject({ tag: 7 });
    const second = server({ monitor_cond_since: [true, 't5', { Bridge: { a: { delete: null } } }] });
    client.use(second);
    await settled();
    expect(first.calls[1]!.params[3]).toBe('00000000-0000-0000-0000-000000000000');
    expect(second.calls[1]!.params[3]).toBe('t2');
    expect(heard.ready[1]).toMatchObject([{ uuid: 'a', before: { name: 'br-a' }, after: undefined }]);
    expect([...client.table('Bridge').keys()]).toEqual(['b']);
  });

  it('monitors the older ways where the server has no newer, each in its own form', async () => {
    const refused = new Error('unknown method');
    for (const [answers, last] of [
      [{ monitor_cond_since: refused, monitor_cond: initial({ a: row('x') }) }, 'monitor_cond'],
      [
        { monitor_cond_since: refused, monitor_cond: refused, monitor: { Bridge: { a: { new: row('x') } } } },
        'monitor',
      ],
    ] as const) {
      const { client, heard } = session();
      const line = server(answers);
      client.use(line);
      await settled();
      expect(line.calls.at(-1)!.method).toBe(last);
      expect(heard.ready[0]).toMatchObject([{ uuid: 'a', before: undefined, after: { name: 'x', tag: undefined } }]);
      if (last === 'monitor')
        line.say({
          method: 'update',
          params: ['netloom', { Bridge: { a: { old: { tag: ['set', []] }, new: row('x', { tag: 4 }) } } }],
          id: null,
        });
      else line.say({ method: 'update2', params: ['netloom', { Bridge: { a: { modify: { tag: 4 } } } }], id: null });
      expect(heard.changed).toMatchObject([[{ uuid: 'a', before: { tag: undefined }, after: { tag: 4 } }]]);
    }
  });

  it('takes nothing of an update that makes no sense, so that its good half is told later', async () => {
    const { client, heard } = session();
    const first = server({ monitor_cond_since: [false, 't1', initial({ a: row('x'), b: row('y') })] });
    client.use(first);
    await settled();
    first.say(update3('t2', { a: { modify: { tag: 1 } }, b: { modify: { tag: 'seven' } } }));
    expect(heard.down[0]).toMatchObject({ reason: 'malformed', message: 'Bridge.tag: "seven" is no integer' });
    expect(client.table('Bridge').get('a')).toMatchObject({ tag: undefined });
    const second = server({
      monitor_cond_since: [false, 't3', initial({ a: row('x', { tag: 1 }), b: row('y', { tag: 7 }) })],
    });
    client.use(second);
    await settled();
    expect(second.calls[1]!.params[3]).toBe('00000000-0000-0000-0000-000000000000');
    expect(heard.ready[1]!.map(({ uuid }) => uuid).sort()).toEqual(['a', 'b']);
  });

  it('reads rows by the schema of the session, even when that has changed', async () => {
    const { client, heard } = session();
    const first = server({ monitor_cond_since: [false, 't1', initial({ a: row('x', { tag: 1 }) })] });
    client.use(first);
    await settled();
    first.destroy();
    const newer = structuredClone(schema);
    newer.tables.Bridge.columns.tag.type.max = 9;
    const second = server({
      get_schema: newer,
      monitor_cond_since: [false, 't2', initial({ a: row('x', { tag: ['set', [1, 2]] }) })],
    });
    client.use(second);
    await settled();
    second.say(update3('t3', { a: { modify: { tag: ['set', [2, 3]] } } }));
    expect(heard.changed.at(-1)).toMatchObject([{ after: { tag: [1, 3] } }]);
  });

  it('names a column that has another shape than wanted', async () => {
    const { client, heard } = session({
      shapes: { Bridge: { name: 'string', tag: 'string?', ids: 'map', ports: 'uuid' } },
    });
    client.use(server({}));
    await settled();
    expect(heard.down[0]).toMatchObject({ reason: 'schema' });
    expect(heard.down[0]!.message).toBe(
      'database Open_vSwitch: column Bridge.tag is integer?, not string?, column Bridge.ports is uuid*, not uuid',
    );
  });

  it('survives a handler that fails', async () => {
    const client = new OvsdbClient({
      database: 'Open_vSwitch',
      needs,
      clock: new ManualClock(),
      log: silentLogger,
      handlers: { ready: fail, changed: fail, down: fail },
    });
    function fail(): never {
      throw new Error('the handler');
    }
    const line = server({ monitor_cond_since: [false, 't1', initial({ a: row('x') })] });
    client.use(line);
    await settled();
    line.say(update3('t2', { a: { modify: { tag: 1 } } }), update3('t3', { a: { modify: { name: 'z' } } }));
    expect(client.table('Bridge').get('a')).toMatchObject({ tag: 1, name: 'z' });
  });
});

describe('a peer that misbehaves', () => {
  const up = async () => {
    const made = session();
    const line = server({ monitor_cond_since: [false, 't1', initial({ a: row('x') })] });
    made.client.use(line);
    await settled();
    expect(made.client.ready).toBe(true);
    return { ...made, line };
  };

  it.each([99, 0, -1, 1.5, 'netloom', { a: 1 }])(
    'and answers what was not asked (%j) loses its session',
    async (id) => {
      const { line, heard } = await up();
      line.say({ result: 1, error: null, id });
      expect(heard.down).toMatchObject([
        { reason: 'malformed', message: expect.stringContaining('which was not asked') },
      ]);
      expect(line.destroyed).toBe(true);
    },
  );

  it('and answers too late is let pass', async () => {
    const { client, clock, line, heard } = await up();
    const asked = client.transact([{ op: 'comment', comment: 'x' }]);
    const failed = expect(asked).rejects.toMatchObject({ reason: 'timeout' });
    // It shows that it lives all the while.
    for (let i = 0; i < 8; i++) {
      clock.pass(4_000);
      line.say({ method: 'echo', params: [], id: i });
    }
    await failed;
    line.say({ result: [], error: null, id: line.calls.at(-1)!.id });
    expect(heard.down).toEqual([]);
  });

  it('and names columns like parts of every object costs nothing but what it says', async () => {
    const { client, line, heard } = await up();
    line.bytes(
      Buffer.from(
        '{"method":"update3","params":["netloom","t2",{"Bridge":{"a":{"modify":{"constructor":"x","__proto__":{"tag":1},"tag":3}}}}],"id":null}',
      ),
    );
    expect(heard.down).toEqual([]);
    expect(client.table('Bridge').get('a')).toEqual({ name: 'x', ports: [], tag: 3, ids: new Map() });
  });

  it('and sends what is no UTF-8 loses its session', async () => {
    const { line, heard } = await up();
    line.bytes(
      Buffer.concat([Buffer.from('{"method":"a'), Buffer.from([0xc3, 0x28]), Buffer.from('","params":[],"id":null}')]),
    );
    expect(heard.down).toMatchObject([{ reason: 'malformed' }]);
  });

  it('and ends the monitor loses its session, with the reason', async () => {
    const { line, heard } = await up();
    line.say({ method: 'monitor_canceled', params: ['netloom'], id: null });
    expect(heard.down).toMatchObject([{ reason: 'closed', message: expect.stringContaining('ended the monitor') }]);
  });

  it('and is silent is asked whether it lives before it is dropped', async () => {
    const { clock, line, heard } = await up();
    clock.pass(10_000);
    expect(line.calls.at(-1)!.method).toBe('echo');
    line.say({ result: [], error: null, id: line.calls.at(-1)!.id });
    clock.pass(9_999);
    expect(heard.down).toEqual([]);
    clock.pass(10_000);
    expect(heard.down).toMatchObject([{ reason: 'timeout' }]);
  });
});

describe('a lock', () => {
  const answers = { monitor_cond_since: [false, 't1', {}], unlock: {} };

  it('is what the last word on the wire says, also when words come in one piece', async () => {
    const { client, heard } = session();
    client.use(
      new OvsdbLine(({ method, params, id }, line) => {
        if (method !== 'lock') return ({ get_schema: schema, ...answers } as Answers)[method];
        const [name] = params;
        if (name === 'a')
          line.say({ result: { locked: false }, error: null, id }, { method: 'locked', params: ['a'], id: null });
        else line.say({ result: { locked: true }, error: null, id }, { method: 'stolen', params: ['b'], id: null });
        return undefined;
      }),
    );
    await settled();
    expect(await client.lock('a')).toBe(true);
    expect(await client.lock('b')).toBe(false);
    expect(heard.locks).toEqual(['a true']);
  });

  it('is lost with the session, and wanted again in the next, until it is given back', async () => {
    const { client, heard } = session();
    expect(await client.lock('a')).toBe(false);
    const lines = [1, 2, 3].map(() => server({ ...answers, lock: { locked: true } }));
    client.use(lines[0]!);
    await settled();
    expect(client.holds('a')).toBe(true);
    lines[0]!.destroy();
    await settled();
    expect(client.holds('a')).toBe(false);
    client.use(lines[1]!);
    await settled();
    expect(heard.locks).toEqual(['a true', 'a false', 'a true']);
    await client.unlock('a');
    expect(lines[1]!.calls.at(-1)).toMatchObject({ method: 'unlock', params: ['a'] });
    client.use(lines[2]!);
    await settled();
    expect(lines[2]!.calls.map(({ method }) => method)).toEqual(['get_schema', 'monitor_cond_since']);
  });
});

describe('dialling', () => {
  it('waits longer after each failure, up to a bound, and goes on after a stop and a start', async () => {
    const clock = new ManualClock();
    let downs = 0;
    let wake: () => void = () => {};
    const { dialer } = dialOvsdb({
      database: 'Open_vSwitch',
      needs,
      address: { kind: 'unix', path: '/nonexistent/netloom.sock' },
      clock,
      log: silentLogger,
      backOffMs: [100, 400],
      handlers: {
        ready: () => {},
        changed: () => {},
        down: () => {
          downs++;
          wake();
        },
      },
    });
    const failures = async (count: number): Promise<void> => {
      while (downs < count)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    };
    dialer.start();
    await failures(1);
    for (const [i, pause] of [100, 200, 400, 400].entries()) {
      clock.pass(pause - 1);
      await settled();
      expect(downs).toBe(i + 1);
      clock.pass(1);
      await failures(i + 2);
    }
    dialer.stop();
    clock.pass(10_000);
    await settled();
    expect(downs).toBe(5);
    dialer.start();
    await failures(6);
    clock.pass(400);
    await failures(7);
    dialer.stop();
  });
});

describe('a switch that dials in', () => {
  const ids = ['map', [['system-id', 'h1']]];
  const who = [{ rows: [{ _uuid: ['uuid', 'u1'], external_ids: ids }] }];

  it('is asked who it is, and its connection is then as good as new, without a byte lost', async () => {
    const echo = JSON.stringify({ method: 'echo', params: ['split'], id: 'e' });
    const line = new OvsdbLine(({ method, id }, line) => {
      if (method === 'list_dbs') return ['Open_vSwitch'];
      if (method !== 'transact')
        return ({ get_schema: schema, monitor_cond_since: [false, 't1', initial({ a: row('x') })] } as Answers)[method];
      // The answer, and the first half of what comes next, in one piece.
      line.bytes(Buffer.from(JSON.stringify({ result: who, error: null, id }) + echo.slice(0, 20)));
      return undefined;
    });
    const identity = await identifyPeer(line, new ManualClock());
    expect(identity).toEqual({
      vswitch: { database: 'u1', systemId: 'h1', hostname: undefined },
      hwvtep: undefined,
    });
    const { client } = session();
    client.use(line);
    await settled();
    line.bytes(Buffer.from(echo.slice(20)));
    await settled();
    expect(line.answers).toEqual([{ result: ['split'], error: null, id: 'e' }]);
  });

  it.each<[string, unknown]>([
    ['has no such database', new Error('unknown database')],
    ['never ran', [{ rows: [] }]],
    ['answers nonsense', { a: 1 }],
    ['answers with a row that is none', [{ rows: [{ _uuid: 7 }] }]],
    ['answers nothing', [null]],
    ['answers too much', [{ rows: ['x'.repeat(2_000_000)] }]],
  ])('and %s is sent away', async (_, result) => {
    const line = new OvsdbLine(({ method }) => (method === 'list_dbs' ? ['Open_vSwitch'] : result));
    await expect(identifyPeer(line, new ManualClock())).rejects.toBeInstanceOf(OvsdbError);
    expect(line.destroyed).toBe(true);
  });

  it('and serves something else is sent away', async () => {
    const line = new OvsdbLine(() => ['OVN_Southbound', '_Server']);
    await expect(identifyPeer(line, new ManualClock())).rejects.toMatchObject({ reason: 'schema' });
    expect(line.destroyed).toBe(true);
  });

  it('and says nothing is sent away', async () => {
    const clock = new ManualClock();
    const line = new OvsdbLine(() => undefined);
    const asked = expect(identifyPeer(line, clock)).rejects.toMatchObject({ reason: 'timeout' });
    clock.pass(30_000);
    await asked;
    expect(line.destroyed).toBe(true);
    expect(clock.pending).toBe(0);
  });
});
