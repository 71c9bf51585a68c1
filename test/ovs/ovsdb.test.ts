import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger, systemClock } from '../../src/controller/kernel/index.ts';
import {
  defaultRpcLimits,
  dialOvsdb,
  type Needs,
  OvsdbClient,
  type OvsdbError,
  OvsdbListener,
  parseOvsdbAddress,
  type RowChange,
} from '../../src/overlay-gw/ovsdb/index.ts';
import { Authority } from '../kit/authority.ts';
import { freePort } from '../kit/netloom.ts';
import { PrivateOvs, whyNoPrivateOvs } from '../kit/private-ovs.ts';

const why = whyNoPrivateOvs();
if (why) console.log(`skipped: sessions with a database server: ${why}`);

const needs: Needs = {
  Bridge: ['name', 'ports', 'external_ids'],
  Port: ['name', 'interfaces', 'tag', 'external_ids'],
  Interface: ['name', 'type', 'ofport', 'error', 'mac_in_use', 'options', 'external_ids'],
};

/** All that a client's handlers heard. */
class Ears {
  readonly changes: RowChange[] = [];
  readonly ready: (readonly RowChange[])[] = [];
  readonly downs: OvsdbError[] = [];
  #wake: () => void = () => {};
  readonly handlers = {
    ready: (changes: readonly RowChange[]) => this.#heard(() => this.ready.push(changes)),
    changed: (changes: readonly RowChange[]) => this.#heard(() => this.changes.push(...changes)),
    down: (error: OvsdbError) => this.#heard(() => this.downs.push(error)),
  };
  #heard(note: () => void): void {
    note();
    this.#wake();
  }
  async until(fits: () => boolean): Promise<void> {
    while (!fits()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

describe.skipIf(why !== undefined)('a session with a real database server', () => {
  let ovs: PrivateOvs;
  const stops: (() => void)[] = [];
  beforeAll(async () => {
    ovs = await PrivateOvs.start();
    ovs.addBridge('dbr', '00000000000000db', 2);
  });
  afterEach(() => {
    for (const stop of stops.splice(0)) stop();
  });
  afterAll(() => ovs?.stop());

  function dial(text: string, more: object = {}) {
    const ears = new Ears();
    const { client, dialer } = dialOvsdb({
      database: 'Open_vSwitch',
      needs,
      address: parseOvsdbAddress('ovsdb', text),
      clock: systemClock,
      log: silentLogger,
      backOffMs: [20, 100],
      ...more,
      handlers: ears.handlers,
    });
    stops.push(() => dialer.stop());
    dialer.start();
    return { client, dialer, ears };
  }
  const named = (client: OvsdbClient, table: string, name: string) =>
    [...client.table(table)].find(([, row]) => row['name'] === name);

  /** Passes bytes on until it is cut. */
  async function proxy(): Promise<{ address: string; cut(): void; server: Server }> {
    const sockets = new Set<Socket>();
    const server = createServer((inside) => {
      const outside = connect(ovs.database);
      for (const [a, b] of [
        [inside, outside],
        [outside, inside],
      ] as const) {
        sockets.add(a);
        a.on('data', (chunk) => b.write(chunk));
        a.on('error', () => b.destroy());
        a.on('close', () => b.destroy());
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    stops.push(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const { port } = server.address() as { port: number };
    return {
      address: `tcp:127.0.0.1:${port}`,
      server,
      cut() {
        for (const socket of sockets) socket.destroy();
        sockets.clear();
      },
    };
  }

  it('has a copy of what was asked for, with columns that are not set, failed ports and their errors (FC-24)', async () => {
    const { client, ears } = dial(`unix:${ovs.database}`);
    await ears.until(() => ears.ready.length === 1);
    const [, bridge] = named(client, 'Bridge', 'dbr')!;
    expect((bridge!['ports'] as string[]).length).toBe(3);
    const [, port] = named(client, 'Port', 'dbrp1')!;
    expect(port).toMatchObject({ name: 'dbrp1', tag: undefined });
    const [, good] = named(client, 'Interface', 'dbrp1')!;
    expect(good).toMatchObject({ ofport: 1, error: undefined });
    ovs.vsctl('add-port', 'dbr', 'broken', '--', 'set', 'interface', 'broken', 'type=nonsense');
    await ears.until(() => named(client, 'Interface', 'broken')?.[1]['error'] !== undefined);
    expect(named(client, 'Interface', 'broken')![1]).toMatchObject({ ofport: -1, mac_in_use: undefined });
    expect(named(client, 'Interface', 'broken')![1]['error']).toMatch(/could not open network device broken/);
    ovs.vsctl('del-port', 'dbr', 'broken');
    await ears.until(() => named(client, 'Interface', 'broken') === undefined);
  });

  it('after a cut tells what was deleted and changed meanwhile, and nothing else (FC-24)', async () => {
    for (const name of ['gone', 'other'])
      ovs.vsctl('add-port', 'dbr', name, '--', 'set', 'interface', name, 'type=dummy');
    const line = await proxy();
    const { client, ears } = dial(line.address);
    await ears.until(() => ears.ready.length === 1);
    const [gone] = named(client, 'Port', 'gone')!;
    ears.changes.length = 0;
    line.cut();
    await ears.until(() => ears.downs.length > 0);
    ovs.vsctl('del-port', 'dbr', 'gone');
    ovs.vsctl('set', 'port', 'other', 'external_ids:seen=yes');
    await ears.until(() => ears.ready.length === 2);
    const told = [...ears.ready[1]!, ...ears.changes];
    const ports = told.filter(({ table }) => table === 'Port');
    expect(ports).toHaveLength(2);
    expect(ports.find(({ uuid }) => uuid === gone)).toMatchObject({ after: undefined });
    expect(ports.find(({ uuid }) => uuid !== gone)!.after!['external_ids']).toEqual(new Map([['seen', 'yes']]));
    expect(told.some(({ before, after }) => before === undefined && after !== undefined)).toBe(false);
    ovs.vsctl('del-port', 'dbr', 'other');
  });

  it('comes about in the end when the server is not there at first, and goes on by itself', async () => {
    const line = await proxy();
    const { port } = line.server.address() as { port: number };
    line.server.close();
    const { ears } = dial(`tcp:127.0.0.1:${port}`);
    await ears.until(() => ears.downs.length >= 2);
    expect(ears.downs[0]).toMatchObject({ name: 'OvsdbError', reason: 'closed' });
    const server = createServer((inside) => {
      const outside = connect(ovs.database);
      inside.pipe(outside).pipe(inside);
      stops.push(() => inside.destroy());
    }).listen(port, '127.0.0.1');
    stops.push(() => void server.close());
    await ears.until(() => ears.ready.length === 1);
  });

  it('writes typed rows, and sees them in its copy when the transaction is answered', async () => {
    const { client, ears } = dial(`unix:${ovs.database}`);
    await ears.until(() => ears.ready.length === 1);
    const [bridge] = named(client, 'Bridge', 'dbr')!;
    const [inserted] = await client.transact([
      { op: 'insert', table: 'Port', name: 'p', row: { name: 'made', interfaces: { namedUuid: 'i' }, tag: 7 } },
      {
        op: 'insert',
        table: 'Interface',
        name: 'i',
        row: { name: 'made', type: 'dummy', options: new Map([['a', 'b']]) },
      },
      {
        op: 'mutate',
        table: 'Bridge',
        where: { uuid: bridge },
        mutations: [['ports', 'insert', [{ namedUuid: 'p' }]]],
      },
      { op: 'comment', comment: 'netloom test' },
    ]);
    expect(client.table('Port').get(inserted!.uuid!)).toMatchObject({ name: 'made', tag: 7 });
    const [iface] = named(client, 'Interface', 'made')!;
    await client.transact([
      { op: 'mutate', table: 'Interface', where: { uuid: iface }, mutations: [['options', 'delete', ['a']]] },
      { op: 'update', table: 'Port', where: { columns: { name: 'made' } }, row: { tag: undefined } },
    ]);
    expect(client.table('Interface').get(iface)!['options']).toEqual(new Map());
    expect(client.table('Port').get(inserted!.uuid!)!['tag']).toBeUndefined();
    ovs.vsctl('del-port', 'dbr', 'made');
  });

  it('refuses what does not fit before it is sent, and tells what the server refuses', async () => {
    const { client, ears } = dial(`unix:${ovs.database}`);
    await ears.until(() => ears.ready.length === 1);
    const insert = (row: object) => client.transact([{ op: 'insert', table: 'Interface', row: row as never }]);
    await expect(insert({ nme: 'x' })).rejects.toMatchObject({ reason: 'schema', message: 'no column Interface.nme' });
    await expect(insert({ name: 7 })).rejects.toMatchObject({ reason: 'malformed' });
    const twice = { op: 'insert', table: 'Bridge', row: { name: 'dbr' } } as const;
    const failure = await client
      .transact([twice, { op: 'update', table: 'Bridge', where: 'all', row: { name: 'x' } }])
      .catch((e: unknown) => e);
    expect(failure).toMatchObject({ name: 'OvsdbError', reason: 'refused' });
    expect(client.ready).toBe(true);
  });

  it('tries an update again when somebody else changed the row, a bounded number of times (FC-24)', async () => {
    const { client, ears } = dial(`unix:${ovs.database}`);
    await ears.until(() => ears.ready.length === 1);
    const [bridge] = named(client, 'Bridge', 'dbr')!;
    const ids = () => client.table('Bridge').get(bridge)!['external_ids'] as ReadonlyMap<string, string>;
    const plan = (before: ReadonlyMap<string, string>) => [
      { op: 'wait', table: 'Bridge', where: { uuid: bridge }, row: { external_ids: before } } as const,
      {
        op: 'update',
        table: 'Bridge',
        where: { uuid: bridge },
        row: { external_ids: new Map([...before, ['n', String(Number(before.get('n') ?? 0) + 1)]]) },
      } as const,
    ];
    let first = true;
    await client.update(() => {
      const seen = ids();
      if (first) ovs.vsctl('set', 'bridge', 'dbr', 'external_ids:faster=yes');
      first = false;
      return plan(seen);
    });
    expect(client.retries).toBe(1);
    expect(Object.fromEntries(ids())).toMatchObject({ faster: 'yes', n: '1' });
    expect(await client.update(() => undefined)).toEqual([]);
    let round = 0;
    await expect(
      client.update(() => {
        const seen = ids();
        ovs.vsctl('set', 'bridge', 'dbr', `external_ids:faster=${++round}`);
        return plan(seen);
      }),
    ).rejects.toMatchObject({ reason: 'conflict' });
    expect(round).toBe(8);
  }, 30_000);

  it('names what the database lacks', async () => {
    const { ears } = dial(`unix:${ovs.database}`, { needs: { Bridge: ['name', 'colour'], Nothing: ['x'] } });
    await ears.until(() => ears.downs.length > 0);
    expect(ears.downs[0]).toMatchObject({ reason: 'schema' });
    expect(ears.downs[0]!.message).toContain('lacks column Bridge.colour, table Nothing');
  });

  it('reads several megabytes in one document', async () => {
    const big = 'x'.repeat(3_000_000);
    const { client, ears } = dial(`unix:${ovs.database}`);
    await ears.until(() => ears.ready.length === 1);
    const [bridge] = named(client, 'Bridge', 'dbr')!;
    await client.transact([
      {
        op: 'mutate',
        table: 'Bridge',
        where: { uuid: bridge },
        mutations: [['external_ids', 'insert', new Map([['big', big]])]],
      },
    ]);
    const again = dial(`unix:${ovs.database}`);
    await again.ears.until(() => again.ears.ready.length === 1);
    expect((again.client.table('Bridge').get(bridge)!['external_ids'] as ReadonlyMap<string, string>).get('big')).toBe(
      big,
    );
    await client.transact([
      { op: 'mutate', table: 'Bridge', where: { uuid: bridge }, mutations: [['external_ids', 'delete', ['big']]] },
    ]);
  });

  it('comes about when the server dials in', async () => {
    const ears = new Ears();
    const client = new OvsdbClient({
      database: 'Open_vSwitch',
      needs,
      handlers: ears.handlers,
      clock: systemClock,
      log: silentLogger,
    });
    const listener = await OvsdbListener.open({
      host: '127.0.0.1',
      port: 0,
      log: silentLogger,
      accepted: (socket) => client.use(socket),
    });
    ovs.dbctl('ovsdb-server/add-remote', `tcp:127.0.0.1:${listener.port}`);
    await ears.until(() => ears.ready.length === 1);
    expect(named(client, 'Bridge', 'dbr')).toBeDefined();
    ovs.dbctl('ovsdb-server/remove-remote', `tcp:127.0.0.1:${listener.port}`);
    await ears.until(() => ears.downs.length === 1);
    listener.close();
  });

  it('over TLS knows its server by the authority, and only such a one', async () => {
    const authority = new Authority();
    const rogue = new Authority();
    const file = (name: string): string => join(authority.folder, name);
    const server = authority.issue('server');
    const tls = authority.issue('client');
    const port = await freePort();
    execFileSync('ovsdb-tool', ['create', file('conf.db'), '/usr/share/openvswitch/vswitch.ovsschema']);
    const daemon = spawn(
      'ovsdb-server',
      [
        ...[file('conf.db'), `--remote=pssl:${port}:127.0.0.1`, `--unixctl=${file('ctl')}`, '--no-chdir'],
        ...[`--private-key=${server.key}`, `--certificate=${server.cert}`, `--ca-cert=${server.ca}`],
      ],
      { stdio: 'ignore' },
    );
    const good = dial(`ssl:127.0.0.1:${port}`, { tls });
    const bad = dial(`ssl:127.0.0.1:${port}`, { tls: { ...tls, ca: rogue.ca } });
    await good.ears.until(() => good.ears.ready.length === 1);
    await bad.ears.until(() => bad.ears.downs.length > 2);
    expect(bad.ears.ready).toEqual([]);
    // And the same when the server dials in: one listener of ours has its authority, the other a certificate of nobody's.
    const ctl = (...words: string[]) => execFileSync('ovs-appctl', ['-t', file('ctl'), ...words]);
    for (const [keys, isGood] of [
      [tls, true],
      [{ ...tls, ca: rogue.ca }, false],
    ] as const) {
      const ears = new Ears();
      const refused: object[] = [];
      const client = new OvsdbClient({
        ...{ database: 'Open_vSwitch', needs, handlers: ears.handlers },
        ...{ clock: systemClock, log: silentLogger },
      });
      let wake: () => void = () => {};
      const handshakeFailed = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const listener = await OvsdbListener.open({
        ...{ host: '127.0.0.1', port: 0, tls: keys },
        log: {
          ...silentLogger,
          warn: (fields) => {
            refused.push(fields);
            wake();
          },
        },
        accepted: (socket) => client.use(socket),
      });
      ctl('ovsdb-server/add-remote', `ssl:127.0.0.1:${listener.port}`);
      if (isGood) await ears.until(() => ears.ready.length === 1);
      else await handshakeFailed;
      expect(client.ready).toBe(isGood);
      expect(refused.length > 0).toBe(!isGood);
      ctl('ovsdb-server/remove-remote', `ssl:127.0.0.1:${listener.port}`);
      if (isGood) await ears.until(() => ears.downs.length === 1);
      listener.close();
    }
    const gone = once(daemon, 'exit');
    daemon.kill();
    await gone;
    authority.remove();
    rogue.remove();
  }, 30_000);
});

describe('a peer that misbehaves', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  async function against(behave: (socket: Socket) => void, limits = defaultRpcLimits) {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      behave(socket);
    }).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const ears = new Ears();
    const client = new OvsdbClient({
      database: 'Open_vSwitch',
      needs,
      handlers: ears.handlers,
      clock: systemClock,
      log: silentLogger,
      limits,
    });
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    client.use(socket);
    return { client, ears };
  }

  it.each([
    ['speaks HTTP', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
    ['sends an array', '[1,2]'],
    ['sends neither call nor answer', '{"a":1}'],
    ['calls without parameters', '{"method":"update","id":null}'],
    ['answers with a schema that is none', '{"result":17,"error":null,"id":1}'],
    ['sends an update first', '{"method":"update3","params":["m","x",{}],"id":null}'],
  ])('and %s loses its session, with the reason', async (_, text) => {
    const { client, ears } = await against((socket) => socket.write(text));
    await ears.until(() => ears.downs.length === 1);
    expect(ears.downs[0]!.reason).toBe('malformed');
    await expect(client.transact([])).rejects.toMatchObject({ reason: 'closed' });
  });

  it('and says nothing is asked whether it lives, then dropped', async () => {
    const seen: string[] = [];
    const { ears } = await against((socket) => socket.on('data', (chunk) => seen.push(chunk.toString())), {
      ...defaultRpcLimits,
      probeMs: 30,
      probeTimeoutMs: 30,
    });
    await ears.until(() => ears.downs.length === 1);
    expect(ears.downs[0]!.reason).toBe('timeout');
    expect(seen.join('')).toContain('"method":"echo"');
  });

  it('and asks for an echo gets it', async () => {
    let answer = '';
    const answered = new Promise<void>((resolve) => {
      void against((socket) => {
        socket.write('{"method":"echo","params":["hello",7],"id":"q"}');
        socket.on('data', (chunk) => {
          answer += chunk.toString();
          if (answer.includes('"id":"q"')) resolve();
        });
      });
    });
    await answered;
    expect(answer).toContain('{"result":["hello",7],"error":null,"id":"q"}');
  });
});

describe('addresses', () => {
  it.each([
    ['tcp:10.0.0.1:6640', { kind: 'tcp', host: '10.0.0.1', port: 6640 }],
    ['ssl:[fd00::1]:6640', { kind: 'ssl', host: 'fd00::1', port: 6640 }],
    ['unix:/run/db.sock', { kind: 'unix', path: '/run/db.sock' }],
  ])('%s', (text, address) => {
    expect(parseOvsdbAddress('ovsdb', text)).toEqual(address);
  });
  it.each(['10.0.0.1:6640', 'tcp:10.0.0.1', 'tcp:10.0.0.1:0', 'tcp:h:70000', 'udp:h:1', 'unix:'])(
    '%s is refused by name',
    (text) => {
      expect(() => parseOvsdbAddress('hypervisors.h1.ovsdb', text)).toThrow(/hypervisors\.h1\.ovsdb: ".*" is none of/);
    },
  );
});
