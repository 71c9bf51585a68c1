import { beforeEach, describe, expect, it } from 'vitest';
import { reverseArp } from '../../../../src/apps/gateways/announcer.ts';
import { Elector } from '../../../../src/apps/gateways/elector.ts';
import {
  type AppContext,
  type Mac,
  membershipOf,
  type Network,
  silentLogger,
  vlanInterface,
} from '../../../../src/controller/index.ts';
import { dpid, World } from '../../../kit/world.ts';

const HOLD = 3_000;
let w: World;
let elector: Elector;
let events: Record<string, unknown>[];
let announced: string[];

const tunnels = { 2: { tunnel: 'vxlan' }, 3: { tunnel: 'nvgre' } } as const;
const network = (id: string): Network => w.desired.networks.get(`t/${id}`)!;
const gateway = () => {
  const found = w.observed.gateway(`network/${network('far').index}`);
  return (
    found && { at: Number(BigInt(`0x${found.dpid}`)), former: found.former && Number(BigInt(`0x${found.former}`)) }
  );
};
const verdict = (id = 'lan') => elector.verdict(network(id));
const reach = (to: string, state: 'up' | 'down') =>
  w.observed.tunnelIs(dpid(4), to, 'vxlan', { state, reason: 'test' });

/** Starts the app, as after a start of the controller. */
function start(): void {
  events = [];
  announced = [];
  const context: Partial<AppContext> = {
    log: silentLogger,
    clock: w.clock,
    state: w.state,
    observed: w.observed,
    statusChanged: () => {},
    event: (type, fields, tenant) => events.push({ type, ...fields, tenant }),
  };
  elector = new Elector(
    context as AppContext,
    { holdMs: HOLD },
    {
      hostsBehind: () => [],
      moved: ({ tenant, id }) => announced.push(`${tenant}/${id}`),
    },
  );
  w.onChange = (change) => elector.changed(change);
}

beforeEach(() => {
  w = new World([]);
  for (let n = 1; n <= 4; n++) {
    w.addSwitch(n, 3).hypervisor(`hv${n}`, n, [`192.0.2.${n}`]);
    w.labels(n, tunnels);
  }
  start();
  w.clock.pass(10_000);
  w.network('t', 'lan', { transport: 'vxlan' });
  w.network('t', 'far', { transport: 'nvgre', extends: 'lan', gateways: ['hv1', 'hv2', 'hv3'] });
});

describe('a port on a VLAN with hypervisors that stand by', () => {
  const at = () => {
    const { endpoint } = w.desired.ports.get('t/up')!;
    return w.observed.gateway(`endpoint/${endpoint}`);
  };
  const way = { 1: { interfaceId: vlanInterface('up', 0) }, ...tunnels };

  it('is at the first that has a way there, moves on when that goes away, and is nowhere else then', () => {
    w.port({ tenant: 't', id: 'up', network: 'lan', mac: 'learned', uplink: ['hv1', 'hv2'] });
    expect(at()).toBeUndefined();
    w.labels(2, way);
    expect(at()).toEqual({ dpid: dpid(2), former: undefined });
    w.labels(1, way);
    expect(at()).toEqual({ dpid: dpid(2), former: undefined });
    expect(membershipOf(w.state).placeOf(w.desired.ports.get('t/up')!)).toMatchObject({ dpid: dpid(2), no: 1 });
    w.observed.switchDown(dpid(2));
    w.clock.pass(HOLD);
    expect(at()).toMatchObject({ dpid: dpid(1) });
    expect(membershipOf(w.state).portsAt(network('lan').index, dpid(2))).toEqual([]);
    expect(announced).toEqual(['t/up']);
    w.deletePort('t', 'up');
    expect(w.observed.gateway(`endpoint/${1}`)).toBeUndefined();
  });
});

describe('what tells a VLAN where machines are now', () => {
  it('is a reverse ARP request in their name (RFC 903)', () => {
    expect(reverseArp(0x020000000031 as Mac).toString('hex')).toBe(
      `${'ffffffffffff'}${'020000000031'}8035${'0001080006040003'}${'020000000031'}00000000${'020000000031'}00000000${'00'.repeat(18)}`,
    );
  });
});

describe('the gateway of a network that extends another one', () => {
  it('is the first of the list that works', () => {
    expect(gateway()).toEqual({ at: 1, former: undefined });
    expect(events).toMatchObject([
      { type: 'gateway.changed', object: '/v1/tenants/t/networks/far', from: null, to: dpid(1), tenant: 't' },
    ]);
    for (const [side, other] of [
      ['lan', 'far'],
      ['far', 'lan'],
    ] as const) {
      expect(verdict(side)).toMatchObject({ ok: true, fields: { otherSide: other, gateway: 'hv1' } });
    }
  });

  it('passes over what is not ours, unknown, without tunnel ports or disconnected', () => {
    w.hypervisor('foreign', undefined, ['192.0.2.99']).labels(2, { 2: { tunnel: 'vxlan' } });
    w.observed.switchDown(dpid(3));
    w.network('t', 'far', { transport: 'nvgre', extends: 'lan', gateways: ['foreign', 'nobody', 'hv2', 'hv3', 'hv4'] });
    expect(gateway()).toMatchObject({ at: 4 });
    w.network('t', 'far', { transport: 'nvgre', extends: 'lan', gateways: ['foreign', 'nobody', 'hv2'] });
    expect(gateway()).toBeUndefined();
    expect(verdict()).toMatchObject({ ok: false, reason: 'GatewayMissing', fields: { gateway: null } });
    for (const word of ['not ours', 'does not exist', 'no nvgre tunnel port'])
      expect(verdict()!.message).toContain(word);
  });

  it('is replaced when its switch has been away for the hold time, and not before', () => {
    w.observed.switchDown(dpid(1));
    w.clock.pass(HOLD - 1);
    expect(gateway()).toMatchObject({ at: 1 });
    expect(verdict()).toMatchObject({ ok: false, reason: 'GatewayDown' });
    w.clock.pass(1);
    expect(gateway()).toEqual({ at: 2, former: 1 });
    expect(elector.counters).toMatchObject({ disconnected: 1, tunnels: 0, unfit: 0 });
  });

  it('stays when its switch is back in time, and when one that is listed before it comes back', () => {
    w.observed.switchDown(dpid(1));
    w.clock.pass(HOLD - 1);
    w.addSwitch(1, 3);
    w.clock.pass(10 * HOLD);
    expect(gateway()).toEqual({ at: 1, former: undefined });
    w.observed.switchDown(dpid(1));
    w.clock.pass(HOLD);
    w.addSwitch(1, 3);
    w.clock.pass(10 * HOLD);
    expect(gateway()).toMatchObject({ at: 2 });
  });

  it('distrusts the former one until that has been connected for some time', () => {
    w.observed.switchDown(dpid(1));
    w.clock.pass(HOLD);
    w.clock.pass(60_000);
    expect(gateway()).toEqual({ at: 2, former: 1 });
    w.addSwitch(1, 3);
    w.clock.pass(4_999);
    expect(gateway()).toEqual({ at: 2, former: 1 });
    w.observed.switchDown(dpid(1));
    w.addSwitch(1, 3);
    w.clock.pass(4_999);
    expect(gateway()).toEqual({ at: 2, former: 1 });
    w.clock.pass(1);
    expect(gateway()).toEqual({ at: 2, former: undefined });
  });

  it('is replaced at once when no tunnel reaches it, but not by one after the other', () => {
    reach('hv1', 'up');
    w.observed.tunnelIs(dpid(3), 'hv1', 'nvgre', { state: 'down', reason: 'test' });
    expect(gateway()).toMatchObject({ at: 1 });
    reach('hv1', 'down');
    expect(gateway()).toEqual({ at: 2, former: 1 });
    reach('hv2', 'down');
    w.clock.pass(29_999);
    expect(gateway()).toMatchObject({ at: 2 });
    w.clock.pass(1);
    expect(gateway()).toMatchObject({ at: 3 });
  });

  it('keeps its part while nobody can do better', () => {
    for (const n of [2, 3, 1]) w.observed.switchDown(dpid(n));
    w.clock.pass(10 * HOLD);
    expect(gateway()).toEqual({ at: 1, former: undefined });
    w.addSwitch(3, 3);
    expect(gateway()).toEqual({ at: 3, former: 1 });
  });

  it('is replaced at once when it may be it no more', () => {
    w.network('t', 'far', { transport: 'nvgre', extends: 'lan', gateways: ['hv2'] });
    expect(gateway()).toEqual({ at: 2, former: 1 });
    w.deleteHypervisor('hv2');
    expect(gateway()).toBeUndefined();
  });

  it('is none when the network extends nothing any more, or is gone', () => {
    const { index } = network('far');
    w.network('t', 'far', { transport: 'nvgre' });
    expect(w.observed.gateway(`network/${index}`)).toBeUndefined();
    expect(verdict()).toBeUndefined();
    w.network('t', 'far', { transport: 'nvgre', extends: 'lan', gateways: ['hv1'] });
    expect(gateway()).toMatchObject({ at: 1 });
    w.deleteNetwork('t', 'far');
    expect(w.observed.gateway(`network/${index}`)).toBeUndefined();
  });

  it('is who it was before a restart, though others come back first', () => {
    elector.close();
    for (const n of [1, 2, 3, 4]) w.observed.switchDown(dpid(n));
    start();
    w.addSwitch(2, 3);
    w.clock.pass(9_999);
    expect(gateway()).toEqual({ at: 1, former: undefined });
    w.addSwitch(1, 3);
    w.clock.pass(60_000);
    expect(gateway()).toEqual({ at: 1, former: undefined });
    expect(events).toEqual([]);
  });
});
