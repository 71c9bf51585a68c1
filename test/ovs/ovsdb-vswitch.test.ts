import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger, systemClock } from '../../src/controller/kernel/index.ts';
import {
  dialVswitch,
  flowTunnel,
  identifyPeer,
  OvsdbListener,
  parseOvsdbAddress,
  type RowChange,
  tunnelStates,
  VswitchKeeper,
  type WantedPort,
  type WantedVswitch,
  watchedTunnel,
} from '../../src/overlay-gw/ovsdb/index.ts';
import { PrivateOvs, whyNoPrivateOvs, whyNoRealDevices } from '../kit/private-ovs.ts';

const why = whyNoPrivateOvs();
if (why) console.log(`skipped: what we keep in a switch database: ${why}`);

/** Lets a test wait for what a keeper hears. */
class Ears {
  readonly changes: RowChange[] = [];
  readonly resumed: (readonly RowChange[])[] = [];
  #wake: () => void = () => {};
  readonly handlers = {
    ready: (changes: readonly RowChange[]) => this.#heard(() => this.resumed.push(changes)),
    changed: (changes: readonly RowChange[]) => this.#heard(() => this.changes.push(...changes)),
    down: () => this.#heard(() => {}),
    status: () => this.#heard(() => {}),
  };
  #heard(note: () => void): void {
    note();
    // After the keeper itself has taken the news.
    setImmediate(() => this.#wake());
  }
  async until(fits: () => boolean): Promise<void> {
    while (!fits()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

const owner = 'test-owner';
const vxlan = flowTunnel({ name: 'nl-vxlan', bridge: 'kbr', type: 'vxlan', localIp: '127.0.0.1' });
const gre = flowTunnel({ name: 'nl-gre', bridge: 'kbr', type: 'gre' });
const wanting = (tunnels: readonly WantedPort[], more: Partial<WantedVswitch> = {}): WantedVswitch => ({
  owner,
  tunnels,
  ...more,
});

/** A keeper at a database server's address; `stops` gets what ends it. */
function keeping(address: string, stops: (() => void)[]) {
  const ears = new Ears();
  const { keeper, dialer } = dialVswitch({
    handlers: ears.handlers,
    address: parseOvsdbAddress('ovsdb', address),
    clock: systemClock,
    log: silentLogger,
    backOffMs: [20, 100],
    retryMs: [20, 100],
  });
  stops.push(() => dialer.stop());
  dialer.start();
  const right = () => ears.until(() => keeper.status.state === 'right');
  const states = () => tunnelStates(keeper.tables, owner);
  const clean = async (): Promise<void> => {
    keeper.want(wanting([], { controllers: new Map(), managers: [], switchIds: new Map(), bridgeIds: new Map() }));
    await ears.until(() => keeper.status.state === 'right' && states().size === 0);
  };
  return { keeper, ears, right, states, clean };
}
describe.skipIf(why !== undefined)('what we keep in the database of a real switch', () => {
  let ovs: PrivateOvs;
  const stops: (() => void)[] = [];
  beforeAll(async () => {
    ovs = await PrivateOvs.start();
    ovs.addBridge('kbr', '00000000000000dc', 1);
    ovs.addBridge('kbr2', '00000000000000dd', 1);
  });
  afterEach(() => {
    for (const stop of stops.splice(0)) stop();
  });
  afterAll(() => ovs?.stop());

  const keep = (address = `unix:${ovs.database}`) => keeping(address, stops);
  const get = (...what: string[]): string => ovs.vsctl('get', ...what).trim();
  const nextCfg = (): number => Number(get('Open_vSwitch', '.', 'next_cfg'));

  it('makes flow-based VXLAN and GRE ports that the switch numbers, and writes nothing when they are right', async () => {
    const { keeper, right, states, clean } = keep();
    keeper.want(wanting([vxlan, gre], { switchIds: new Map([['netloom-hypervisor', 'h1']]) }));
    await right();
    expect([...states().keys()].sort()).toEqual(['nl-gre', 'nl-vxlan']);
    for (const state of states().values()) {
      expect(state).toMatchObject({ bridge: 'kbr', error: undefined });
      expect(state.ofport).toBe(Number(get('Interface', state.name, 'ofport')));
      expect(state.ofport).toBeGreaterThan(0);
    }
    expect(get('Interface', 'nl-vxlan', 'options')).toBe('{key=flow, local_ip="127.0.0.1", remote_ip=flow}');
    expect(get('Open_vSwitch', '.', 'external_ids:netloom-hypervisor')).toBe('h1');
    const before = nextCfg();
    const again = keep();
    again.keeper.want(wanting([vxlan, gre], { switchIds: new Map([['netloom-hypervisor', 'h1']]) }));
    await again.right();
    expect(nextCfg()).toBe(before);
    await clean();
  });

  it('never touches what others wrote: ports, keys, controllers', async () => {
    ovs.vsctl('add-port', 'kbr', 'theirs', '--', 'set', 'interface', 'theirs', 'type=dummy', 'external_ids:a=b');
    ovs.vsctl('set', 'bridge', 'kbr', 'external_ids:vendor=x');
    ovs.setController('kbr', 'tcp:127.0.0.1:1');
    const theirs = () => [
      ...['Port', 'Interface'].map((table) => ovs.vsctl('--columns=name,external_ids', 'list', table, 'theirs')),
      get('Bridge', 'kbr', 'external_ids:vendor'),
      ovs.vsctl('get-controller', 'kbr'),
    ];
    const before = theirs();
    const { keeper, right, clean } = keep();
    const taken = flowTunnel({ name: 'theirs', bridge: 'kbr', type: 'vxlan' });
    keeper.want(
      wanting([taken, vxlan], {
        bridgeIds: new Map([['kbr', new Map([['netloom-x', '1']])]]),
        controllers: new Map([['kbr', ['tcp:127.0.0.1:2']]]),
      }),
    );
    await right();
    expect(keeper.status.problems).toMatchObject([{ reason: 'name-taken', subject: 'theirs' }]);
    expect(ovs.vsctl('get-controller', 'kbr').trim().split('\n').sort()).toEqual([
      'tcp:127.0.0.1:1',
      'tcp:127.0.0.1:2',
    ]);
    expect(get('Bridge', 'kbr', 'external_ids:netloom-x')).toBe('"1"');
    keeper.want(wanting([], { bridgeIds: new Map([['kbr', new Map()]]), controllers: new Map(), managers: [] }));
    await clean();
    expect(theirs()).toEqual(before);
    expect(get('Bridge', 'kbr', 'external_ids')).toBe('{vendor=x}');
    ovs.vsctl('del-port', 'kbr', 'theirs');
    ovs.setController('kbr');
  });

  it('makes a tunnel port anew that was deleted or changed by hand, and uses its new number (FC-17)', async () => {
    const { keeper, ears, right, states, clean } = keep();
    keeper.want(wanting([vxlan]));
    await right();
    const old = states().get('nl-vxlan')!.ofport;
    ovs.vsctl(
      ...['del-port', 'nl-vxlan', '--', 'add-port', 'kbr', 'between'],
      ...['--', 'set', 'interface', 'between', 'type=dummy', `ofport_request=${old}`],
    );
    await ears.until(() => {
      const now = states().get('nl-vxlan')?.ofport;
      return now !== undefined && now !== old;
    });
    expect(states().get('nl-vxlan')!.ofport).toBe(Number(get('Interface', 'nl-vxlan', 'ofport')));
    ovs.vsctl('set', 'interface', 'nl-vxlan', 'options:key=7', 'external_ids:mine=too');
    await ears.until(() =>
      [...keeper.tables.rows('Interface').values()].some(
        ({ name, options, external_ids }) =>
          name === 'nl-vxlan' && options.get('key') === 'flow' && external_ids.get('mine') === 'too',
      ),
    );
    ovs.vsctl('del-port', 'between');
    await clean();
  });

  it('watches a tunnel by BFD, and stops when it is not wanted any more', async () => {
    const { keeper, ears, right, states, clean } = keep();
    keeper.want(wanting([watchedTunnel({ name: 'nl-bfd', bridge: 'kbr', type: 'vxlan' }, '192.0.2.7', 200)]));
    await ears.until(() => states().get('nl-bfd')?.bfd !== undefined);
    expect(states().get('nl-bfd')!.bfd).toBe('down');
    const ends = { name: 'nl-bfd', bridge: 'kbr', type: 'vxlan' } as const;
    const { bfd: _, ...unwatched } = watchedTunnel(ends, '192.0.2.7');
    keeper.want(wanting([unwatched]));
    await ears.until(() => states().has('nl-bfd') && states().get('nl-bfd')!.bfd === undefined);
    await right();
    expect(get('Interface', 'nl-bfd', 'bfd')).toBe('{}');
    await clean();
  });

  it('moves a port to another bridge, and waits for a bridge that is missing', async () => {
    const { keeper, ears, right, states, clean } = keep();
    keeper.want(wanting([vxlan, { ...gre, bridge: 'kbr9' }]));
    await right();
    expect(keeper.status.problems).toMatchObject([{ reason: 'bridge-missing', subject: 'nl-gre' }]);
    ovs.addBridge('kbr9', '00000000000000d9', 0);
    await ears.until(() => states().get('nl-gre')?.ofport !== undefined && keeper.status.state === 'right');
    expect(keeper.status.problems).toEqual([]);
    keeper.want(wanting([{ ...vxlan, bridge: 'kbr2' }]));
    await ears.until(() => states().get('nl-vxlan')?.bridge === 'kbr2' && keeper.status.state === 'right');
    expect(ovs.vsctl('list-ports', 'kbr2')).toContain('nl-vxlan');
    expect(ovs.vsctl('list-ports', 'kbr')).not.toContain('nl-vxlan');
    expect(ovs.vsctl('list-ports', 'kbr9')).not.toContain('nl-gre');
    ovs.vsctl('del-br', 'kbr9');
    await clean();
  });

  it('through a cut line does what was wanted meanwhile, and only that', async () => {
    const sockets = new Set<Socket>();
    let open = true;
    const server = createServer((inside) => {
      sockets.add(inside);
      inside.on('error', () => {});
      if (!open) {
        inside.destroy();
        return;
      }
      const outside = connect(ovs.database);
      outside.on('error', () => inside.destroy());
      inside.on('close', () => outside.destroy());
      inside.pipe(outside).pipe(inside);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    stops.push(() => server.close());
    const { keeper, ears, right, states, clean } = keep(`tcp:127.0.0.1:${(server.address() as { port: number }).port}`);
    keeper.want(wanting([vxlan, gre]));
    await right();
    const vxlanPort = get('Port', 'nl-vxlan', '_uuid');
    open = false;
    for (const socket of sockets) socket.destroy();
    await ears.until(() => keeper.status.state === 'away');
    ovs.vsctl('del-port', 'nl-gre');
    const other = flowTunnel({ name: 'nl-other', bridge: 'kbr2', type: 'vxlan', dstPort: 4790 });
    keeper.want(wanting([vxlan, gre, other]));
    expect(states().size).toBe(2);
    open = true;
    await ears.until(() => keeper.status.state === 'right' && states().size === 3);
    expect(get('Port', 'nl-vxlan', '_uuid')).toBe(vxlanPort);
    expect(ears.resumed[1]!.filter(({ table }) => table === 'Port')).toMatchObject([
      { before: { name: 'nl-gre' }, after: undefined },
    ]);
    await clean();
  });

  it('keeps a switch that dials in, knows it when it comes again, and is told only what changed', async () => {
    const ears = new Ears();
    const keeper = new VswitchKeeper({ handlers: ears.handlers, clock: systemClock, log: silentLogger });
    const keepers = new Map<string, VswitchKeeper>();
    const listener = await OvsdbListener.open({
      host: '127.0.0.1',
      port: 0,
      log: silentLogger,
      accepted: (socket) => {
        void identifyPeer(socket, systemClock).then(({ vswitch }) => {
          const { database } = vswitch!;
          if (keepers.size === 0) keepers.set(database, keeper);
          keepers.get(database)!.client.use(socket);
        });
      },
    });
    const remote = `tcp:127.0.0.1:${listener.port}`;
    keeper.want(wanting([vxlan]));
    ovs.dbctl('ovsdb-server/add-remote', remote);
    await ears.until(() => keeper.status.state === 'right');
    expect([...keepers.keys()]).toEqual([get('Open_vSwitch', '.', '_uuid')]);
    expect(get('Interface', 'nl-vxlan', 'type')).toBe('vxlan');
    ovs.dbctl('ovsdb-server/remove-remote', remote);
    await ears.until(() => keeper.status.state === 'away');
    ovs.vsctl('set', 'bridge', 'kbr', 'external_ids:meanwhile=yes');
    ovs.dbctl('ovsdb-server/add-remote', remote);
    await ears.until(() => keeper.status.state === 'right');
    expect(ears.resumed[1]!.filter(({ table }) => table !== 'Open_vSwitch')).toMatchObject([
      { table: 'Bridge', before: { name: 'kbr' }, after: { name: 'kbr' } },
    ]);
    keeper.want(wanting([]));
    await ears.until(() => keeper.status.state === 'right' && tunnelStates(keeper.tables, owner).size === 0);
    ovs.dbctl('ovsdb-server/remove-remote', remote);
    await ears.until(() => keeper.status.state === 'away');
    listener.close();
  });

  it('two sessions that want one lock have it one after the other, and a theft is told', async () => {
    const a = keep();
    const b = keep();
    await a.ears.until(() => a.keeper.client.ready);
    await b.ears.until(() => b.keeper.client.ready);
    const told = (client: typeof a.keeper.client, id: string, held: boolean) =>
      new Promise<void>((resolve) => {
        const look = () => (client.holds(id) === held ? resolve() : setImmediate(look));
        look();
      });
    expect(await a.keeper.client.lock('netloom')).toBe(true);
    expect(await b.keeper.client.lock('netloom')).toBe(false);
    await expect(b.keeper.client.transact([{ op: 'assert', lock: 'netloom' }])).rejects.toMatchObject({
      reason: 'refused',
      details: { error: 'not owner' },
    });
    await a.keeper.client.unlock('netloom');
    await told(b.keeper.client, 'netloom', true);
    await b.keeper.client.transact([{ op: 'assert', lock: 'netloom' }]);
    await a.keeper.client.steal('netloom');
    await told(b.keeper.client, 'netloom', false);
    expect(a.keeper.client.holds('netloom')).toBe(true);
  });
});

const whyNotReal = whyNoRealDevices();
if (whyNotReal) console.log(`skipped: tunnel ports of a real datapath: ${whyNotReal}`);

describe.skipIf(whyNotReal !== undefined)('tunnel ports of a real datapath', () => {
  let ovs: PrivateOvs;
  const stops: (() => void)[] = [];
  beforeAll(async () => {
    ovs = await PrivateOvs.start('netdev');
    ovs.addBridge('nlkb', '00000000000000de', 0);
  });
  afterEach(() => {
    for (const stop of stops.splice(0)) stop();
  });
  afterAll(async () => {
    await ovs?.stop();
  });
  const keep = () => keeping(`unix:${ovs.database}`, stops);
  const nextCfg = (): number => Number(ovs.vsctl('get', 'Open_vSwitch', '.', 'next_cfg'));

  it('tells the error of a port that cannot be, harms no working one, and heals when the cause is gone (FC-17)', async () => {
    const { keeper, ears, right, states, clean } = keep();
    const first = watchedTunnel({ name: 'nl-a', bridge: 'nlkb', type: 'vxlan' }, '192.0.2.9');
    const second = watchedTunnel({ name: 'nl-b', bridge: 'nlkb', type: 'vxlan' }, '192.0.2.9');
    keeper.want(wanting([first]));
    await right();
    const number = states().get('nl-a')!.ofport;
    keeper.want(wanting([first, second]));
    await ears.until(() => states().get('nl-b')?.error !== undefined);
    expect(states().get('nl-b')).toMatchObject({ ofport: undefined, error: expect.stringMatching(/File exists/) });
    expect(states().get('nl-a')).toMatchObject({ ofport: number, error: undefined });
    keeper.want(wanting([second]));
    await ears.until(() => states().get('nl-b')?.ofport !== undefined && !states().has('nl-a'));
    expect(states().get('nl-b')!.error).toBeUndefined();
    await clean();
  });

  it('changes a remote address in place, and gives an address to another port in one go (FC-17)', async () => {
    const { keeper, ears, right, states, clean } = keep();
    const to = (name: string, remote: string) => watchedTunnel({ name, bridge: 'nlkb', type: 'vxlan' }, remote);
    keeper.want(wanting([to('nl-a', '192.0.2.9')]));
    await right();
    const { ofport } = states().get('nl-a')!;
    const port = ovs.vsctl('get', 'Port', 'nl-a', '_uuid');
    keeper.want(wanting([to('nl-a', '192.0.2.10')]));
    await ears.until(
      () =>
        keeper.status.state === 'right' &&
        [...keeper.tables.rows('Interface').values()].some((row) => row.options.get('remote_ip') === '192.0.2.10'),
    );
    expect(ovs.vsctl('get', 'Port', 'nl-a', '_uuid')).toBe(port);
    expect(states().get('nl-a')).toMatchObject({ ofport, error: undefined });
    expect(ovs.appctl('ofproto/list-tunnels')).toContain('192.0.2.10');
    // The switch may add the new one before it drops the old: it comes right all the same.
    for (const [name, other] of [
      ['nl-b', 'nl-a'],
      ['nl-a', 'nl-b'],
    ] as const) {
      keeper.want(wanting([to(name, '192.0.2.10')]));
      await ears.until(() => !states().has(other) && states().get(name)?.ofport !== undefined);
      expect(states().get(name)!.error).toBeUndefined();
      expect(states().get(name)!.ofport).toBe(Number(ovs.vsctl('get', 'Interface', name, 'ofport')));
    }
    await clean();
  });

  it('lets the switch dial the controller that we set, and at once again when its daemon starts anew', async () => {
    let dialled = 0;
    let wake: () => void = () => {};
    const controller = createServer((socket) => {
      socket.on('error', () => {});
      dialled++;
      wake();
    }).listen(0, '127.0.0.1');
    await once(controller, 'listening');
    stops.push(() => controller.close());
    const until = async (count: number): Promise<void> => {
      while (dialled < count)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    };
    const { keeper, right, clean } = keep();
    const target = `tcp:127.0.0.1:${(controller.address() as { port: number }).port}`;
    keeper.want(wanting([], { controllers: new Map([['nlkb', [target]]]) }));
    await until(1);
    await right();
    expect(ovs.vsctl('--columns=max_backoff', '--bare', 'list', 'Controller').trim()).toBe('1000');
    await ovs.killVswitchd();
    const before = dialled;
    await ovs.startVswitchd();
    await until(before + 1);
    await clean();
    expect(ovs.vsctl('get-controller', 'nlkb').trim()).toBe('');
  });

  it('comes back in step after the switch daemon died and started again, without writing anything of its own', async () => {
    const { keeper, ears, right, states, clean } = keep();
    keeper.want(wanting([vxlan, gre].map((each) => ({ ...each, bridge: 'nlkb' }))));
    await right();
    const numbers = [...states().values()];
    const before = nextCfg();
    await ovs.killVswitchd();
    await ovs.startVswitchd();
    // Answered by the new daemon only, when it has set up all bridges; it counts next_cfg once itself.
    ovs.vsctl('set', 'bridge', 'nlkb', 'external_ids:seen=yes');
    await ears.until(() => [...keeper.tables.rows('Bridge').values()].some((row) => row.external_ids.has('seen')));
    await right();
    expect([...states().values()]).toEqual(numbers);
    expect(nextCfg()).toBe(before + 1);
    await clean();
  });
});
