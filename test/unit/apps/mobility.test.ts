import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { type MobilitySettings, mobilityApp } from '../../../src/apps/mobility/index.ts';
import { signOf } from '../../../src/apps/mobility/signs.ts';
import {
  ACTIVATION_SIGNS,
  type AppContext,
  AppId,
  type Compiler,
  type Migration,
  type NetworkState,
  type PacketInView,
  parseMac,
  type StateChange,
  type SwitchPort,
  silentLogger,
  startMigration,
} from '../../../src/controller/index.ts';
import { dpid, NOW, World } from '../../kit/world.ts';

/** The app in a world of three hypervisors: what it makes of interfaces that come and go, and of packets that it is shown. */
class MovingWorld extends World {
  readonly events: Record<string, unknown>[] = [];
  readonly #app = mobilityApp();
  #packetIn: (from: SwitchPort, view: PacketInView) => void = () => {};

  constructor(settings: Partial<MobilitySettings> = {}) {
    const compilers: Compiler<NetworkState, StateChange>[] = [];
    super(compilers);
    for (let n = 1; n <= 3; n++)
      this.addSwitch(n, 4)
        .hypervisor(`hv${n}`, n, [`192.0.2.${n}`])
        .at(n);
    this.network('t', 'n', { transport: 'vxlan' });
    const context: AppContext = {
      id: AppId.mobility,
      log: silentLogger,
      clock: this.clock,
      metrics: { declare: () => {}, histogram: () => ({ observe: () => {} }) },
      state: this.state,
      observed: this.observed,
      settings: {
        follow: true,
        objects: {
          move: async ({ tenant, id }, edit) => {
            this.move(tenant, id!, edit);
            return undefined as never;
          },
        },
        programmed: async () => {},
        remembered: async () => {},
        ...settings,
      } satisfies MobilitySettings,
      compiler: (compiler) => compilers.push(compiler),
      onPacketIn: (handler) => {
        this.#packetIn = handler;
      },
      onFlowRemoved: () => {},
      onChange: (handler) => {
        this.onChange = handler;
      },
      beforeCompare: () => {},
      onStatus: () => {},
      statusChanged: () => {},
      switchPort: () => undefined,
      readiness: () => {},
      route: () => {},
      event: (type, fields) => this.events.push({ type, ...fields }),
    };
    void this.#app.start(context);
  }

  stop(): void {
    void this.#app.stop?.();
  }

  /** What the database of hypervisor n says: interface id by port number, and the MAC behind it. */
  at(n: number, interfaces: Readonly<Record<number, string>> = {}, mac?: string): this {
    const attachedMac = mac === undefined ? {} : { attachedMac: parseMac(mac)! };
    const nics = Object.entries(interfaces).map(([no, interfaceId]) => [no, { interfaceId, ...attachedMac }] as const);
    return this.labels(n, { 4: { tunnel: 'vxlan' }, ...Object.fromEntries(nics) });
  }

  guest(id = 'p', mac = 1): this {
    return this.port({ tenant: 't', id, network: 'n', mac: 0x020000000000 + mac, on: ['hv1', 'nic'] });
  }

  get migration(): Migration | undefined {
    return this.desired.ports.get('t/p')?.migration;
  }

  get binding(): unknown {
    return this.desired.ports.get('t/p')?.binding;
  }

  /** A frame of the guest that the rule of its move shows at port `no` of switch n. */
  show(n: number, no: number, frame = Buffer.alloc(60)): this {
    const { endpoint } = this.desired.ports.get('t/p')!;
    const from: SwitchPort = { dpid: dpid(n), packetOut: () => true, packetOutBy: () => true };
    this.#packetIn(from, {
      inPort: no,
      reason: 1,
      tableId: 3,
      cookieLo: 0x1000_0000 + endpoint,
      totalLen: frame.length,
      bytes: frame,
      dataAt: 0,
      dataEnd: frame.length,
    });
    return this;
  }
}

let w: MovingWorld;
afterEach(() => w.stop());
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
const MAC = '02:00:00:00:00:01';
const hv = (n: number) => ({ hypervisor: `hv${n}`, interfaceId: 'nic' });
const announced = (n: number) =>
  startMigration({ to: hv(n), deliver: 'both', activateOn: ACTIVATION_SIGNS, activateAfterMs: undefined });

describe('an interface that turns up at another hypervisor', () => {
  it('while it is at the old one too: becomes ready, and moves by the first packet at the new place', async () => {
    w = new MovingWorld().at(1, { 1: 'nic' }, MAC).guest();
    w.at(2, { 2: 'nic' }, MAC);
    await settled();
    expect(w.migration).toMatchObject({ phase: 'ready', announced: false, deliver: 'both', to: hv(2) });
    // At another port, or another switch, it is not the guest's move.
    w.show(2, 1).show(3, 2).show(1, 1);
    await settled();
    expect(w.migration).toMatchObject({ phase: 'ready' });
    w.show(2, 2);
    await settled();
    expect(w.binding).toEqual(hv(2));
    w.at(1);
    await settled();
    w.clock.pass(1_000);
    await settled();
    expect(w.migration).toMatchObject({ phase: 'done', activatedBy: 'packet' });
  });

  it('gets nothing before it has shown itself where the database does not say whose MAC it has', async () => {
    w = new MovingWorld().at(1, { 1: 'nic' }).guest();
    w.at(2, { 2: 'nic' });
    await settled();
    expect(w.migration).toMatchObject({ phase: 'ready', deliver: 'active' });
  });

  it('after it has left the old one: is followed at once', async () => {
    w = new MovingWorld().at(1, { 1: 'nic' }, MAC).guest();
    w.at(1);
    w.clock.pass(40);
    w.at(3, { 1: 'nic' }, MAC);
    await settled();
    expect(w.migration).toMatchObject({ phase: 'switched', activatedBy: 'departure' });
    expect(w.binding).toEqual(hv(3));
    w.clock.pass(1_000);
    await settled();
    expect(w.migration).toMatchObject({ phase: 'done', outageMs: 40 });
  });

  it('is not followed when another MAC is behind it, or the id is not one port\u2019s, or nobody shall be followed', async () => {
    w = new MovingWorld().at(1, { 1: 'nic' }, MAC).guest();
    w.at(2, { 2: 'nic' }, '02:00:00:00:00:99');
    await settled();
    expect(w.migration).toBeUndefined();
    w.stop();
    w = new MovingWorld().at(1, { 1: 'nic' }, MAC).guest();
    w.port({ tenant: 't', id: 'q', network: 'n', mac: 0x020000000002, on: ['hv3', 'nic'] });
    w.at(2, { 2: 'nic' }, MAC);
    await settled();
    expect(w.migration).toBeUndefined();
    w.stop();
    w = new MovingWorld({ follow: false }).at(1, { 1: 'nic' }, MAC).guest();
    w.at(2, { 2: 'nic' }, MAC).at(1);
    await settled();
    expect(w.migration).toBeUndefined();
  });

  it('at two others, when it left the old one: nobody can tell, and an event says so', async () => {
    w = new MovingWorld();
    w.at(1, { 1: 'nic' }, MAC).at(2, { 1: 'nic' }, MAC).at(3, { 1: 'nic' }, MAC);
    w.guest();
    w.at(1);
    await settled();
    expect(w.migration).toBeUndefined();
    expect(w.events).toEqual([
      { type: 'migration.ambiguous', object: '/v1/tenants/t/ports/p', hypervisors: ['hv2', 'hv3'] },
    ]);
    w.at(2);
    await settled();
    expect(w.binding).toEqual(hv(3));
  });

  it('goes on to a third place while the first move is under way, and back', async () => {
    w = new MovingWorld().at(1, { 1: 'nic' }, MAC).guest();
    w.at(1).at(2, { 1: 'nic' }, MAC);
    await settled();
    w.at(2).at(3, { 1: 'nic' }, MAC);
    await settled();
    expect(w.migration).toMatchObject({ from: hv(2), to: hv(3), phase: 'switched' });
    w.at(3).at(1, { 1: 'nic' }, MAC);
    await settled();
    expect(w.migration).toMatchObject({ from: hv(3), to: hv(1), phase: 'switched' });
  });

  it('and goes away again before the guest was there: the move is taken back', async () => {
    w = new MovingWorld().at(1, { 1: 'nic' }, MAC).guest();
    w.at(2, { 2: 'nic' }, MAC);
    await settled();
    w.at(2);
    await settled();
    expect(w.migration).toMatchObject({ phase: 'aborted' });
    expect(w.binding).toEqual(hv(1));
    w.at(2, { 2: 'nic' }, MAC);
    await settled();
    expect(w.migration).toMatchObject({ phase: 'ready' });
  });
});

describe('what somebody says', () => {
  it('counts for more than what was seen: a binding by hand ends the move that we began, and is not undone', async () => {
    w = new MovingWorld().at(1, { 1: 'nic' }, MAC).guest();
    w.at(2, { 2: 'nic' }, MAC);
    await settled();
    w.port({ tenant: 't', id: 'p', network: 'n', mac: 0x020000000001, on: ['hv3', 'nic'] });
    w.at(1);
    await settled();
    w.clock.pass(2_000);
    await settled();
    expect(w.migration).toMatchObject({ phase: 'aborted', reason: 'its port was bound by hand' });
    expect(w.binding).toEqual(hv(3));
  });

  it('a move asked for goes to where it was asked for, whatever turns up elsewhere', async () => {
    w = new MovingWorld().at(1, { 1: 'nic' }, MAC).guest();
    w.move('t', 'p', announced(3));
    w.at(2, { 2: 'nic' }, MAC);
    await settled();
    expect(w.migration).toMatchObject({ phase: 'preparing', to: hv(3), announced: true });
    w.at(3, { 1: 'nic' }, MAC);
    await settled();
    expect(w.migration).toMatchObject({ phase: 'ready', to: hv(3) });
    w.at(3);
    await settled();
    expect(w.migration).toMatchObject({ phase: 'preparing' });
  });

  it('asking for a move that was found out takes it over, with its policy', async () => {
    w = new MovingWorld().at(1, { 1: 'nic' }, MAC).guest();
    w.at(2, { 2: 'nic' }, MAC);
    await settled();
    w.move('t', 'p', startMigration({ to: hv(2), deliver: 'both', activateOn: [], activateAfterMs: undefined }));
    w.show(2, 2);
    await settled();
    expect(w.migration).toMatchObject({ phase: 'ready', announced: true, startedAt: NOW });
  });
});

describe('what is not known', () => {
  it('is not taken for gone: a new place whose switch is away, or has not spoken, may be there', async () => {
    w = new MovingWorld().at(1, { 1: 'nic' }, MAC).guest();
    w.move('t', 'p', announced(2));
    w.at(2, { 2: 'nic' }, MAC);
    await settled();
    expect(w.migration).toMatchObject({ phase: 'ready' });
    w.observed.switchDown(dpid(1));
    w.observed.portRemoved(dpid(1), 1);
    await settled();
    expect(w.migration).toMatchObject({ phase: 'ready' });
    w.addSwitch(1, 0);
    await settled();
    expect(w.migration).toMatchObject({ phase: 'done', activatedBy: 'departure' });
  });

  it('a sign is one whatever the bytes, and never makes reading throw', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 100 }),
        fc.nat(100),
        fc.subarray([...ACTIVATION_SIGNS]),
        (bytes, cut, wanted) => {
          const sign = signOf(bytes, 0, Math.min(cut, bytes.length), wanted);
          expect(sign === undefined || wanted.includes(sign)).toBe(true);
        },
      ),
    );
  });
});
