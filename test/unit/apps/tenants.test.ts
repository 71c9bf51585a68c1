import { describe, expect, it } from 'vitest';
import { fabricCompiler } from '../../../src/apps/fabric/index.ts';
import { portCondition, tenantsCompiler } from '../../../src/apps/tenants/index.ts';
import { dpid, type PortSpec, World } from '../../kit/world.ts';

const world = () => new World([tenantsCompiler]);
const spec = (over: Partial<PortSpec> = {}): PortSpec => ({
  tenant: 't',
  id: 'a',
  network: 'n',
  mac: 0x020000000001,
  addresses: ['10.0.0.1'],
  at: [1, 1],
  ...over,
});

/** Two linked switches and a network with port a on the first. */
const base = (over: Partial<PortSpec> = {}): World =>
  world().addSwitch(1, 4).addSwitch(2, 4).link(1, 4, 2, 4).network('t', 'n').port(spec(over));

describe('port security', () => {
  const admit = (over: Partial<PortSpec>): string[] =>
    base(over)
      .compile()
      .text(1, 'table=admit')
      .filter((line) => line.includes('in_port'))
      .map((line) => line.replace('table=admit priority=', '').replace(' → next:respond', ''));

  it('admits declared IPv4 addresses, ARP for them, and DHCP, with four rules', () => {
    expect(admit({})).toEqual([
      'exact in_port=1,eth_src=02:00:00:00:00:01,eth_type=0x800,ip_proto=17,ipv4_src=0.0.0.0,udp_src=68,udp_dst=67',
      'exact in_port=1,eth_src=02:00:00:00:00:01,eth_type=0x800,ipv4_src=10.0.0.1',
      'exact in_port=1,eth_src=02:00:00:00:00:01,eth_type=0x806,arp_spa=0.0.0.0,arp_tpa=10.0.0.1,arp_sha=02:00:00:00:00:01',
      'exact in_port=1,eth_src=02:00:00:00:00:01,eth_type=0x806,arp_spa=10.0.0.1,arp_sha=02:00:00:00:00:01',
    ]);
  });

  it('admits declared IPv6 addresses and the link-local one, and neighbour discovery only for these', () => {
    const nd = 'permit in_port=1,eth_src=02:00:00:00:00:01,eth_type=0x86dd,ip_proto=58';
    const own = (address: string) => [
      `${nd},icmpv6_type=136,ipv6_nd_target=${address},ipv6_nd_tll=00:00:00:00:00:00`,
      `${nd},icmpv6_type=136,ipv6_nd_target=${address},ipv6_nd_tll=02:00:00:00:00:01`,
      `${nd},ipv6_src=::,icmpv6_type=135,ipv6_nd_target=${address}`,
      `${nd},ipv6_src=${address},icmpv6_type=135,ipv6_nd_sll=02:00:00:00:00:01`,
      `exact in_port=1,eth_src=02:00:00:00:00:01,eth_type=0x86dd,ipv6_src=${address}`,
    ];
    expect(admit({ addresses: ['fd00::1'] })).toEqual([...own('fd00::1'), ...own('fe80::ff:fe00:1')].sort());
  });

  it('without addresses holds the source MAC only', () => {
    expect(admit({ addresses: [] })).toEqual(['permit in_port=1,eth_src=02:00:00:00:00:01']);
  });

  it('switched off admits everything from the port', () => {
    expect(admit({ portSecurity: false })).toEqual(['permit in_port=1']);
  });

  it('refuses neighbour discovery and router advertisements from everybody else, with rules that all ports share', () => {
    const w = base()
      .port(spec({ id: 'b', mac: 0x020000000002, addresses: ['fd00::2'], at: [1, 2] }))
      .compile();
    expect(w.text(1, '→ drop')).toEqual(
      [134, 135, 136, 137].map(
        (type) => `table=admit priority=exception eth_type=0x86dd,ip_proto=58,icmpv6_type=${type} → drop`,
      ),
    );
  });
});

describe('a declared port', () => {
  it('costs another member switch one rule and one responder for each address', () => {
    const w = base()
      .port(spec({ id: 'b', mac: 0x020000000002, addresses: ['10.0.0.2', 'fd00::2'], at: [2, 1] }))
      .compile();
    const before = w.text(2).length;
    w.port(spec({ id: 'c', mac: 0x020000000003, addresses: ['10.0.0.3'], at: [1, 2] })).compile();
    expect(w.text(2).length).toBe(before + 2);
    expect(w.text(2, '02:00:00:00:00:03')).toEqual([
      expect.stringMatching(/^table=respond priority=exact network=2,eth_type=0x806,arp_op=1,arp_tpa=10\.0\.0\.3 /),
      'table=switch priority=exact network=2,eth_dst=02:00:00:00:00:03 → set(eth_dst=06:00:01:00:00:03),group:0x10000001',
    ]);
  });

  it('costs its own switch eight rules with one IPv4 address, port security included', () => {
    const w = base().compile();
    const before = w.text(1).length;
    w.port(spec({ id: 'c', mac: 0x020000000003, addresses: ['10.0.0.3'], at: [1, 2] })).compile();
    // classify, 4 × admit, ARP responder, announcement, switch; deliver comes with members elsewhere.
    expect(w.text(1).length - before).toBe(8);
    w.port(spec({ id: 'b', mac: 0x020000000002, addresses: [], at: [2, 1] })).compile();
    expect(w.text(1, 'table=deliver')).toHaveLength(2);
  });

  it('is placed on switches that its network has members on, not on others', () => {
    const w = base().addSwitch(3, 4).link(3, 4, 1, 3).compile();
    expect(w.text(2)).toEqual([]);
    expect(w.text(3)).toEqual([]);
  });

  it('with a learned MAC only says which network its port carries', () => {
    expect(base({ mac: 'learned', addresses: [] }).compile().text(1, 'in_port=1')).toEqual([
      'table=classify priority=exact in_port=1 → write(network=2),next:learn',
    ]);
  });

  it('gets no responders on a switch without register moves', () => {
    const w = world().addSwitch(1, 4).addSwitch(2, 4, { nicira: false }).link(1, 4, 2, 4).network('t', 'n');
    w.port(spec())
      .port(spec({ id: 'b', mac: 0x020000000002, addresses: ['10.0.0.2'], at: [2, 1] }))
      .compile();
    expect(w.text(1, 'table=respond priority=exact')).toHaveLength(2);
    expect(w.text(2, 'table=respond')).toEqual([]);
    expect(w.text(2, 'table=switch')).toHaveLength(2);
  });

  it('follows its binding, by number or by name, and leaves nothing behind', () => {
    const w = base().compile();
    w.port(spec({ at: [2, 's2-eth3'] })).compile();
    expect(w.text(1)).toEqual([]);
    expect(w.text(2, 'table=classify')).toEqual([
      'table=classify priority=exact in_port=3 → write(network=2),next:admit',
    ]);
    w.deletePort('t', 'a').compile();
    expect(w.text(2)).toEqual([]);
  });

  it('does not take a physical port that an older port object has, until that one goes', () => {
    const w = base()
      .port(spec({ id: 'b', mac: 0x020000000002, addresses: [], at: [1, 's1-eth1'] }))
      .compile();
    expect(w.text(1, 'eth_dst=02:00:00:00:00:02')).toEqual([]);
    w.deletePort('t', 'a').compile();
    expect(w.text(1, 'eth_dst=02:00:00:00:00:02')).toHaveLength(1);
  });

  it('loses its rules when its physical port turns out to be a link', () => {
    const w = base().compile().link(1, 1, 2, 1).compile();
    expect(w.text(1)).toEqual([]);
  });

  it('keeps its rules while its physical port is down', () => {
    const w = base().compile();
    const before = w.text(1);
    const physical = w.observed.resolvePort(dpid(1), 1)!;
    w.observed.portChanged(dpid(1), { ...physical, up: false });
    expect(w.compile().text(1)).toEqual(before);
  });
});

describe('quotas', () => {
  it('of bandwidth are a meter on each switch with a port of the tenant, in front of its ports', () => {
    const w = base().tenant('t', { bandwidthKbps: 5000 }).compile();
    expect(w.text(1, 'meter')).toEqual([
      'meter=0x20001 → drop above 5000 kbps, burst 5000',
      'table=classify priority=exact in_port=1 → meter:131073,write(network=2),next:admit',
    ]);
    expect(w.text(2, 'meter')).toEqual([]);
    w.tenant('t', { bandwidthKbps: 6000 });
    expect(w.dirty).toEqual([`tenants/meters/t/${dpid(1)}`]);
    w.tenant('t', {}).compile();
    expect(w.text(1, 'meter')).toEqual([]);
  });

  it('of packet-ins are a meter wherever something of the tenant is shown to the controller', () => {
    const w = base({ mac: 'learned', addresses: [] }).tenant('t', { packetInRate: 10 }).compile();
    expect(w.text(1, 'meter')).toEqual(['meter=0x10001 → drop above 10 pktps, burst 10']);
  });

  it('of packet-ins have a default, so that one tenant cannot use up what all share', () => {
    const w = base().compile();
    expect(w.text(1, 'meter')).toEqual([]);
    w.network('t', 'n', { unknownUnicast: 'flood' }).compile();
    expect(w.text(1, 'meter')).toEqual(['meter=0x10001 → drop above 2000 pktps, burst 2000']);
  });
});

describe('the cost of a change', () => {
  it('is one owner for a port that joins where its network is already', () => {
    const w = new World([fabricCompiler, tenantsCompiler]).addSwitch(1, 9).network('t', 'n');
    for (let no = 1; no <= 8; no++)
      w.port(spec({ id: `p${no}`, mac: 0x020000000000 + no, addresses: [], at: [1, no] }));
    w.compile().port(spec({ id: 'new', mac: 0x020000000099, at: [1, 9] }));
    expect(w.dirty).toEqual(['fabric/network/2', `tenants/meters/t/${dpid(1)}`, 'tenants/port/t/new']);
  });

  it('of a plan that is taken back is nothing', async () => {
    const w = base().compile();
    const before = w.allText();
    const port = w.desired.ports.get('t/a')!;
    const change = { kind: 'port', before: port, after: { ...port, binding: { switch: dpid(2), port: 1 } } } as const;
    w.desired.apply([change]);
    const owners = [...tenantsCompiler.affected(change, w.state)];
    expect([...tenantsCompiler.compile(owners[0]!, w.state).keys()]).toEqual([dpid(2)]);
    w.desired.revert([change]);
    await Promise.resolve();
    expect([...tenantsCompiler.compile(owners[0]!, w.state).keys()]).toEqual([dpid(1)]);
    w.port(spec({ addresses: ['10.0.0.9'] })).compile();
    expect(w.allText()).toEqual(w.fromNothing());
    expect(w.allText()).not.toEqual(before);
  });
});

describe('the condition of a port', () => {
  const reason = (w: World, id = 'a') => portCondition(w.desired.ports.get(`t/${id}`)!, w.state)?.reason;

  it('is undefined when nothing keeps it from working', () => {
    expect(reason(base())).toBeUndefined();
  });

  it('says what is missing', () => {
    const unbound: PortSpec = { tenant: 't', id: 'a', network: 'n', mac: 0x020000000001 };
    expect(reason(world().network('t', 'n').port(unbound))).toBe('NotBound');
    expect(reason(base({ at: [9, 1] }))).toBe('SwitchUnknown');
    expect(reason(base({ at: [1, 77] }))).toBe('PortUnknown');
    expect(reason(base({ at: [1, 'eth9'] }))).toBe('PortUnknown');
    expect(reason(base({ at: [1, 4] }))).toBe('PortIsLink');
    expect(reason(base().port(spec({ id: 'b', mac: 5, addresses: [], at: [1, 's1-eth1'] })), 'b')).toBe('PortTaken');
    expect(reason(base().deleteNetwork('t', 'n'))).toBe('NetworkUnknown');
  });

  it('tells a port without rules from one that only waits', () => {
    const w = base();
    const physical = w.observed.resolvePort(dpid(1), 1)!;
    w.observed.portChanged(dpid(1), { ...physical, up: false });
    expect(portCondition(w.desired.ports.get('t/a')!, w.state)).toMatchObject({ placed: true, reason: 'PortDown' });
    w.observed.switchDown(dpid(1));
    expect(reason(w)).toBe('SwitchDisconnected');
    expect(portCondition(w.desired.ports.get('t/a')!, w.state)?.placed).toBe(true);
  });

  it('does not name the port of another tenant', () => {
    const w = base()
      .network('u', 'n')
      .port(spec({ tenant: 'u', id: 'secret', at: [1, 's1-eth1'] }));
    const taken = portCondition(w.desired.ports.get('u/secret')!, w.state)!;
    expect(taken.message).toBe(`port 1 (s1-eth1) of switch ${dpid(1)} is taken by a port of another tenant`);
  });
});
