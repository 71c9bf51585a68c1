import { describe, expect, it } from 'vitest';
import { learningCompiler } from '../../../src/apps/learning/index.ts';
import { overlayCompiler } from '../../../src/apps/overlay/index.ts';
import { portCondition, tenantsCompiler } from '../../../src/apps/tenants/index.ts';
import { type Mac, membershipOf, type ObservedDevice } from '../../../src/controller/index.ts';
import { deviceBindings, wantedNetwork } from '../../../src/overlay-gw/hwvtep/wishes.ts';
import { dpid, type PortSpec, World } from '../../kit/world.ts';

const MAC = { a: 0x020000000001, b: 0x020000000002, rack: 0x020000000011, heard: 0x020000000099 } as const;

/** Two hypervisors with a machine each, and a device with a station, in VXLAN network t/n with VNI 77. */
function world(): World {
  const w = new World([tenantsCompiler, learningCompiler(300), overlayCompiler]);
  for (const n of [1, 2]) {
    w.addSwitch(n, 4).hypervisor(`hv${n}`, n, [`192.0.2.${n}`]);
    w.labels(n, { 1: { interfaceId: 'nic' }, 3: { tunnel: 'vxlan' }, 4: { tunnel: 'nvgre' } });
  }
  w.tenant('t').network('t', 'n', { transport: 'vxlan', segmentId: 77 as never });
  w.device('rack', '192.0.2.51');
  w.port(machine('a', MAC.a, 'hv1')).port(machine('b', MAC.b, 'hv2'));
  w.port(station('s', MAC.rack, 'p1', 5, ['10.0.0.51']));
  return w.compile();
}

const machine = (id: string, mac: number, on: string): PortSpec => ({
  ...{ tenant: 't', id, network: 'n', mac, addresses: [] },
  on: [on, 'nic'],
});
const station = (
  id: string,
  mac: number | 'learned',
  port: string,
  vlan: number,
  addresses: readonly string[] = [],
): PortSpec => ({ ...{ tenant: 't', id, network: 'n', mac, addresses }, on: ['rack', port, vlan] });

const device = (over: Partial<ObservedDevice> = {}): ObservedDevice => ({
  away: undefined,
  bindings: new Map([['p1/5', 't/n']]),
  problems: [],
  macs: new Map(),
  ...over,
});
const heard = (...macs: readonly number[]) => device({ macs: new Map([['t/n', new Set(macs as Mac[])]]) });

const wishes = (w: World, id = 'rack') => {
  const object = w.desired.hypervisors.get(id)!;
  const { networks, taken } = deviceBindings(object, w.desired);
  const membership = membershipOf(w.state);
  const wanted = [...networks].map(([key, bindings]) =>
    wantedNetwork(w.desired.networks.get(key)!, bindings, object, membership, w.state),
  );
  return { wanted, taken };
};

describe('what a hardware VTEP is told', () => {
  it('is where each MAC of its networks is, and who holds members; not what is behind itself', () => {
    expect(wishes(world()).wanted).toEqual([
      {
        network: 't/n',
        vni: 77,
        bindings: [{ port: 'p1', vlan: 5 }],
        remoteMacs: [
          { mac: '02:00:00:00:00:01', vtep: '192.0.2.1' },
          { mac: '02:00:00:00:00:02', vtep: '192.0.2.2' },
        ],
        floodTo: ['192.0.2.1', '192.0.2.2'],
      },
    ]);
  });

  it('follows machines that are unplugged, endpoints that have no IPv4 address or no tunnels', () => {
    const w = world().labels(1, { 3: { tunnel: 'vxlan' } });
    expect(wishes(w).wanted[0]).toMatchObject({
      remoteMacs: [{ mac: '02:00:00:00:00:02' }],
      floodTo: ['192.0.2.2'],
    });
    w.hypervisor('hv2', 2, ['2001:db8::2']);
    expect(wishes(w).wanted[0]).toMatchObject({ remoteMacs: [], floodTo: [] });
    w.labels(1, { 1: { interfaceId: 'nic' } });
    expect(wishes(w).wanted[0]).toMatchObject({ remoteMacs: [], floodTo: [] });
  });

  it('is of other devices and foreign endpoints as well, learned MACs among them where a port is learned', () => {
    const w = world().device('rack2', '192.0.2.52').hypervisor('kernel', undefined, ['192.0.2.101']);
    w.port({ ...station('s2', 0x020000000012, 'p9', 0), on: ['rack2', 'p9', 0] });
    w.port({ ...machine('k', 0x020000000013, 'kernel') });
    w.observed.deviceIs('rack2', heard(MAC.heard));
    const macs = () => wishes(w).wanted[0]!.remoteMacs.map(({ mac, vtep }) => `${mac} ${vtep}`);
    expect(macs()).toContain('02:00:00:00:00:12 192.0.2.52');
    expect(macs()).toContain('02:00:00:00:00:13 192.0.2.101');
    expect(macs().join()).not.toContain('02:00:00:00:00:99');
    expect(wishes(w).wanted[0]!.floodTo).toEqual(['192.0.2.1', '192.0.2.101', '192.0.2.2', '192.0.2.52']);
    w.port({ ...station('any', 'learned', 'p8', 0), on: ['rack2', 'p8', 0] });
    expect(macs()).toContain('02:00:00:00:00:99 192.0.2.52');
    expect(wishes(w, 'rack2').wanted[0]!.remoteMacs.map(({ mac }) => mac)).not.toContain('02:00:00:00:00:99');
  });

  it('is where the MACs beyond a gateway are: behind the gateway, which is reached from there in turn', () => {
    const w = world().network('t', 'm', { transport: 'nvgre', extends: 'n', gateways: ['hv1'] });
    w.observed.gatewayIs(`network/${w.desired.networks.get('t/m')!.index}`, { dpid: dpid(1), former: undefined });
    w.port({ ...machine('far', 0x020000000031, 'hv2'), network: 'm', on: ['hv2', 'far'] });
    w.labels(2, {
      1: { interfaceId: 'nic' },
      2: { interfaceId: 'far' },
      3: { tunnel: 'vxlan' },
      4: { tunnel: 'nvgre' },
    });
    const [wanted] = wishes(w).wanted;
    expect(wanted!.remoteMacs).toContainEqual({ mac: '02:00:00:00:00:31', vtep: '192.0.2.1' });
    expect(wanted!.floodTo).toEqual(['192.0.2.1', '192.0.2.2']);
    w.compile();
    const far = w.desired.networks.get('t/m')!.index;
    expect(w.text(2, `network=${far},arrived=0,eth_dst=02:00:00:00:00:11`).join()).toContain('tun_ipv4_dst=192.0.2.1');
  });

  it('gives a port and VLAN to the network with the oldest port, and leaves out networks that are not VXLAN', () => {
    const w = world()
      .tenant('u')
      .network('u', 'n', { transport: 'vxlan', segmentId: 78 as never });
    w.port({ ...station('x', 0x020000000021, 'p1', 5), tenant: 'u' });
    w.port({ ...station('y', 0x020000000022, 'p1', 6), tenant: 'u' });
    const { wanted, taken } = wishes(w);
    expect(wanted.map(({ network, bindings }) => [network, bindings])).toEqual([
      ['t/n', [{ port: 'p1', vlan: 5 }]],
      ['u/n', [{ port: 'p1', vlan: 6 }]],
    ]);
    expect(taken).toEqual([expect.objectContaining({ reason: 'PortTaken', network: 'u/n', at: 'p1/5' })]);
    expect(taken[0]!.message).not.toContain('t/n');
    w.network('t', 'n', { transport: 'nvgre' });
    expect(wishes(w).wanted.map(({ network, bindings }) => [network, bindings.length])).toEqual([['u/n', 2]]);
  });
});

describe('rules for what is behind a hardware VTEP', () => {
  it('send to its MACs, copy broadcasts to it, hear it, and answer who has its addresses', () => {
    const w = world();
    const lines = w.text(1, '192.0.2.51');
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(/^group=.*type=all.*tun_ipv4_dst=192\.0\.2\.51/);
    expect(lines[1]).toMatch(/^table=classify .*tunnel_id=0x4d,tun_ipv4_src=192\.0\.2\.51/);
    expect(lines[2]).toMatch(/^table=switch .*arrived=0,eth_dst=02:00:00:00:00:11 .*tun_ipv4_dst=192\.0\.2\.51/);
    expect(w.text(1, 'arp_tpa=10.0.0.51')).toHaveLength(1);
    w.network('t', 'n', { transport: 'nvgre' }).compile();
    expect(w.text(1).join('\n')).not.toContain('192.0.2.51');
    expect(w.allText()).toEqual(w.fromNothing());
  });

  it('send to what it learned only while a port there is learned, and nobody else has the MAC', () => {
    const w = world();
    const reached = () => w.compile().text(1, 'eth_dst=02:00:00:00:00:99').length;
    w.observed.deviceIs('rack', heard(MAC.heard, MAC.a));
    expect(reached()).toBe(0);
    w.port(station('any', 'learned', 'p2', 0));
    expect(reached()).toBe(1);
    // A declared MAC stays where it is declared.
    expect(w.text(1, 'eth_dst=02:00:00:00:00:01').join()).not.toContain('192.0.2.51');
    w.port({ ...machine('c', MAC.heard, 'hv1'), on: ['hv1', 'none'] });
    expect(reached()).toBe(0);
    w.deletePort('t', 'c');
    expect(reached()).toBe(1);
    w.observed.deviceIs('rack', heard());
    expect(reached()).toBe(0);
    expect(w.allText()).toEqual(w.fromNothing());
  });
});

describe('the condition of a port behind a hardware VTEP', () => {
  const reason = (w: World, id = 's') => portCondition(w.desired.ports.get(`t/${id}`)!, w.state)?.reason;

  it('says what is missing, up to the binding in its database', () => {
    const w = world();
    expect(reason(w)).toBe('DatabaseUnknown');
    w.observed.deviceIs('rack', device({ away: 'ECONNREFUSED' }));
    expect(reason(w)).toBe('DatabaseAway');
    w.observed.deviceIs('rack', device({ bindings: new Map() }));
    expect(reason(w)).toBe('DevicePending');
    const problem = { message: 'it is so', network: 't/n', at: 'p1/5' } as const;
    w.observed.deviceIs('rack', device({ bindings: new Map(), problems: [{ ...problem, reason: 'VlanTaken' }] }));
    expect(reason(w)).toBe('VlanTaken');
    w.observed.deviceIs(
      'rack',
      device({ bindings: new Map(), problems: [{ ...problem, at: 'p1/6', reason: 'Invalid' }] }),
    );
    expect(reason(w)).toBe('DevicePending');
    w.observed.deviceIs('rack', device());
    expect(reason(w)).toBeUndefined();
    w.network('t', 'n', { transport: 'nvgre' });
    expect(reason(w)).toBe('NotVxlan');
  });

  it('says when a binding is not of the kind that its endpoint needs', () => {
    const w = world();
    expect(reason(w.port({ ...station('s', MAC.rack, 'p1', 5), on: ['rack', 'nic'] }))).toBe('BindingUnfit');
    expect(reason(w.port({ ...station('s', MAC.rack, 'p1', 5), on: ['hv1', 'p1', 5] }))).toBe('VlanUnknown');
    expect(w.compile().text(2).join('\n')).not.toContain('02:00:00:00:00:11');
    expect(reason(w.deleteHypervisor('rack').port(station('s', MAC.rack, 'p1', 5)))).toBe('HypervisorUnknown');
  });

  it('is that of every network when the physical switch is not there', () => {
    const w = world();
    const missing = { reason: 'SwitchMissing', message: 'no ps', network: undefined, at: undefined } as const;
    w.observed.deviceIs('rack', device({ bindings: new Map(), problems: [missing] }));
    expect(reason(w)).toBe('SwitchMissing');
    expect(w.observed.switches.has(dpid(1))).toBe(true);
  });
});
