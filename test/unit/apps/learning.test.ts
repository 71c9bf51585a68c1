import { afterEach, describe, expect, it } from 'vitest';
import type { Mac } from '../../../src/controller/index.ts';
import { pipeline } from '../../../src/controller/index.ts';
import { dpid } from '../../kit/world.ts';
import { frame, LearningWorld } from './kit.ts';

const BROADCAST = 0xffffffffffff;
const mac = (n: number) => (0x020000000000 + n) as Mac;
const DEFAULT = 0xffffff;

let world: LearningWorld | undefined;
const lab = (settings?: unknown): LearningWorld => {
  world = new LearningWorld({ defaultNetwork: true, settings });
  return world;
};
const tenants = (): LearningWorld => {
  world = new LearningWorld();
  return world;
};
afterEach(() => {
  world?.stop();
  world = undefined;
});

/** Switches 1 and 2, linked by their ports 4; hosts may be on ports 1 to 3. */
const pair = (settings?: unknown) => lab(settings).addSwitch(1, 4).addSwitch(2, 4).link(1, 4, 2, 4) as LearningWorld;

describe('rules of the default network', () => {
  it('show unknown senders to the controller, metered, and say which ports belong to it', () => {
    const w = lab().addSwitch(1, 2).compile() as LearningWorld;
    expect(w.text(1)).toEqual([
      'meter=0x3 → drop above 5000 pktps, burst 5000',
      'table=classify priority=exact in_port=1 → write(network=16777215),next:learn',
      'table=classify priority=exact in_port=2 → write(network=16777215),next:learn',
      'table=learn priority=punt → meter:3,controller:65535',
      'table=switch priority=fallback network=16777215,eth_dst=00:00:00:00:00:00/01:00:00:00:00:00 → group:0x50ffffff',
    ]);
  });

  it('leave unknown destinations to the controller where other switches have members', () => {
    expect(pair().compile().text(1, 'fallback')).toEqual([
      'table=switch priority=fallback network=16777215,eth_dst=00:00:00:00:00:00/01:00:00:00:00:00 → meter:3,controller:65535',
    ]);
  });

  it('are none when it is switched off', () => {
    expect(tenants().addSwitch(1, 2).compile().text(1)).toEqual([]);
  });

  it('give a port up that a tenant claims', () => {
    const w = lab().addSwitch(1, 2).network('t', 'n');
    w.port({ tenant: 't', id: 'a', network: 'n', mac: mac(1), at: [1, 1] }).compile();
    expect(w.text(1, 'table=classify')).toEqual([
      'table=classify priority=exact in_port=2 → write(network=16777215),next:learn',
    ]);
  });
});

describe('rules of tenants’ learned ports', () => {
  const learned = (unknownUnicast: 'drop' | 'flood') => {
    const w = tenants().addSwitch(1, 4).addSwitch(2, 4).link(1, 4, 2, 4).network('t', 'n', { unknownUnicast });
    for (const n of [1, 2]) w.port({ tenant: 't', id: `p${n}`, network: 'n', mac: 'learned', at: [n, 1] });
    return w.compile();
  };

  it('show unknown senders under the meter of the tenant', () => {
    expect(learned('drop').text(1)).toEqual(['table=learn priority=fallback network=2 → meter:65537,controller:65535']);
  });

  it('show unknown destinations when the network floods, and only then', () => {
    expect(learned('flood').text(1, 'table=switch')).toEqual([
      'table=switch priority=fallback network=2,eth_dst=00:00:00:00:00:00/01:00:00:00:00:00 → meter:65537,controller:65535',
    ]);
  });
});

describe('rules of a learned host', () => {
  it('know it on its port until it is silent, and lead to it from every member switch', () => {
    const w = pair({ idleSeconds: 60 }).packetIn(1, 2, frame(9, 7));
    w.observed.learnAddress(DEFAULT, mac(7), { family: 4, value: 0x0a000007n });
    w.compile();
    expect(w.text(1, '02:00:00:00:00:07')).toEqual([
      'table=deliver priority=exact eth_dst=06:00:01:80:00:00 → set(eth_dst=02:00:00:00:00:07),output:2',
      'table=learn priority=exact idle=60 in_port=2,network=16777215,eth_src=02:00:00:00:00:07 → next:respond',
      'table=switch priority=exact network=16777215,eth_dst=02:00:00:00:00:07 → output:2',
    ]);
    expect(w.text(2, '02:00:00:00:00:07')).toEqual([
      'table=switch priority=exact network=16777215,eth_dst=02:00:00:00:00:07 → set(eth_dst=06:00:01:80:00:00),group:0x10000001',
    ]);
  });

  it('show copies of its ARP until its first address is known', () => {
    const w = pair().packetIn(1, 2, frame(9, 7)).compile();
    expect(w.text(1, 'table=learn priority=exception')).toHaveLength(1);
    w.observed.learnAddress(DEFAULT, mac(7), { family: 4, value: 0x0a000007n });
    w.compile();
    expect(w.text(1, 'table=learn priority=exception')).toEqual([]);
  });

  it('come with the first unicast frame from it or to it, not with what it says to all', () => {
    const w = pair().packetIn(1, 1, frame(BROADCAST, 7)).packetIn(2, 1, frame(BROADCAST, 8)).compile() as LearningWorld;
    expect(w.observed.hostCount).toBe(2);
    expect(w.text(1, '02:00:00:00:00')).toEqual([]);
    w.packetIn(1, 1, frame(8, 7)).compile();
    for (const n of [7, 8]) expect(w.text(1, `eth_dst=02:00:00:00:00:0${n}`)).not.toEqual([]);
    w.packetIn(1, 1, frame(BROADCAST, 7)).compile();
    expect(w.text(1, 'eth_dst=02:00:00:00:00:07')).not.toEqual([]);
  });

  it('go with its port, its link role, its network', () => {
    const w = pair().packetIn(1, 1, frame(9, 7)).compile() as LearningWorld;
    expect(w.text(2, '02:00:00:00:00:07')).toHaveLength(1);
    w.network('t', 'n')
      .port({ tenant: 't', id: 'a', network: 'n', mac: mac(9), at: [1, 1] })
      .compile();
    expect(w.text(1, '02:00:00:00:00:07')).toEqual([]);
    expect(w.text(2, '02:00:00:00:00:07')).toEqual([]);
    expect(w.observed.hostCount).toBe(0);
  });
});

describe('a packet-in', () => {
  it('for a known host on the same switch goes out of its port', () => {
    const w = pair().packetIn(1, 1, frame(BROADCAST, 1)).packetIn(1, 2, frame(BROADCAST, 2)) as LearningWorld;
    w.takeSent();
    w.packetIn(1, 1, frame(2, 1));
    expect(w.sent[0]?.frame).toBe(frame(2, 1).toString('hex'));
    expect(w.takeSent()).toEqual(['1:1→2']);
  });

  it('for a known host on another switch goes out there, as from the controller', () => {
    const w = pair().packetIn(2, 3, frame(BROADCAST, 2));
    w.takeSent();
    w.packetIn(1, 1, frame(2, 1));
    expect(w.takeSent()).toEqual(['2:controller→3']);
  });

  it('to all or to nobody known goes once to each switch with members, not back to its port', () => {
    const w = pair();
    for (const dst of [BROADCAST, 0x01005e000001, 0x333300000001, 9]) w.packetIn(1, 1, frame(dst, 1));
    expect(w.takeSent()).toEqual(Array.from({ length: 4 }, () => ['1:1→2,3', '2:controller→1,2,3']).flat());
  });

  it('to a reserved or other multicast address goes nowhere', () => {
    const w = pair().packetIn(1, 1, frame(0x0180c2000000, 1)).packetIn(1, 1, frame(0x01005e800001, 1));
    expect(w.takeSent()).toEqual([]);
    expect(w.outcomes()).toEqual({ 'not-carried': 2 });
  });

  it('does not cross between switches that no cable connects', () => {
    const w = lab().addSwitch(1, 2).addSwitch(2, 2) as LearningWorld;
    w.packetIn(2, 1, frame(BROADCAST, 2)).packetIn(1, 1, frame(2, 1)).packetIn(1, 1, frame(BROADCAST, 1));
    expect(w.takeSent()).toEqual(['2:1→2', '1:1→2']);
    expect(w.outcomes()).toEqual({ flooded: 2, unreachable: 1 });
  });

  it('of the switch table floods what the switch does not know, and learns nothing', () => {
    const w = tenants().addSwitch(1, 4).addSwitch(2, 4).link(1, 4, 2, 4).network('t', 'n', { unknownUnicast: 'flood' });
    w.port({ tenant: 't', id: 'a', network: 'n', mac: mac(1), at: [1, 1] });
    w.port({ tenant: 't', id: 'b', network: 'n', mac: 'learned', at: [2, 1] });
    const l = w as LearningWorld;
    l.packetIn(1, 1, frame(9, 1), { tableId: pipeline.switch.id });
    expect(l.takeSent()).toEqual(['2:controller→1']);
    expect(w.observed.hostCount).toBe(0);
  });

  it('from a learned port reaches a declared one', () => {
    const w = tenants().addSwitch(1, 4).network('t', 'n') as LearningWorld;
    w.port({ tenant: 't', id: 'a', network: 'n', mac: mac(1), at: [1, 1] });
    w.port({ tenant: 't', id: 'b', network: 'n', mac: 'learned', at: [1, 2] });
    w.packetIn(1, 2, frame(1, 5)).packetIn(1, 2, frame(9, 5));
    expect(w.takeSent()).toEqual(['1:2→1']);
    expect(w.outcomes()).toEqual({ delivered: 1, 'unknown-destination': 1 });
  });

  it('never crosses tenants, whatever their MACs', () => {
    const w = tenants().addSwitch(1, 4) as LearningWorld;
    for (const [i, tenant] of ['t', 'u'].entries()) {
      w.network(tenant, 'n', { unknownUnicast: 'flood' });
      for (const no of [1, 2]) {
        w.port({ tenant, id: `p${no}`, network: 'n', mac: 'learned', at: [1, 2 * i + no] });
      }
    }
    w.packetIn(1, 3, frame(BROADCAST, 2)).packetIn(1, 1, frame(2, 1)).packetIn(1, 1, frame(BROADCAST, 1));
    expect(w.takeSent()).toEqual(['1:3→4', '1:1→2', '1:1→2']);
  });

  it('from a port that carries nothing, a link or a declared port teaches nothing', () => {
    const w = pair().network('t', 'n') as LearningWorld;
    w.port({ tenant: 't', id: 'a', network: 'n', mac: mac(1), at: [1, 1] });
    w.packetIn(1, 4, frame(2, 1)).packetIn(1, 99, frame(2, 1)).packetIn(1, 1, frame(2, 5));
    expect(w.takeSent()).toEqual([]);
    expect(w.outcomes()).toEqual({ 'not-a-member': 3 });
    expect(w.observed.hostCount).toBe(0);
  });
});

describe('packet-ins with missing bytes', () => {
  const cut = {
    'IPv4 cut after 6 bytes': ['ffffffffffff 020000000001 0800 450005dc0001', 1514],
    'ARP cut': ['ffffffffffff 020000000001 0806 00010800060400010200', 60],
    'Ethernet cut': ['ffffffffffff 020000', 60],
    'no data': ['', 60],
    'tag cut': ['ffffffffffff 020000000001 8100 00', 64],
  } as const;
  it.each(Object.entries(cut))('(%s) teach nothing, send nothing, and are counted', (_what, [hex, totalLen]) => {
    const w = pair().packetIn(1, 1, hex, { totalLen });
    expect(w.takeSent()).toEqual([]);
    expect(w.observed.hostCount).toBe(0);
    expect(w.outcomes()).toEqual({ short: 1 });
  });

  it('but whole headers teach, though the rest is not sent on cut', () => {
    const w = pair().packetIn(1, 1, frame(BROADCAST, 1), { totalLen: 1514 });
    expect(w.takeSent()).toEqual([]);
    expect(w.observed.hostCount).toBe(1);
    expect(w.outcomes()).toEqual({ truncated: 1 });
  });
});

describe('senders', () => {
  it('with a group address or none are refused', () => {
    const w = pair().packetIn(1, 1, frame(BROADCAST, BROADCAST)).packetIn(1, 1, frame(BROADCAST, 0x010000000001));
    const zero = frame(BROADCAST, 1);
    zero.fill(0, 6, 12);
    w.packetIn(1, 1, zero);
    expect(w.outcomes()).toEqual({ 'bad-source': 3 });
    expect(w.observed.hostCount).toBe(0);
  });

  it('whose MAC a port of the network declares are refused, with an event, and taken up when it goes', () => {
    const w = tenants().addSwitch(1, 4).network('t', 'n') as LearningWorld;
    w.port({ tenant: 't', id: 'b', network: 'n', mac: 'learned', at: [1, 2] });
    w.packetIn(1, 2, frame(BROADCAST, 1));
    expect(w.observed.hostCount).toBe(1);
    w.port({ tenant: 't', id: 'a', network: 'n', mac: mac(1), at: [1, 1] });
    expect(w.observed.hostCount).toBe(0);
    w.packetIn(1, 2, frame(BROADCAST, 1));
    expect(w.events.at(-1)).toMatchObject({ type: 'host.conflict', tenant: 't', mac: '02:00:00:00:00:01' });
    w.deletePort('t', 'a');
    w.packetIn(1, 2, frame(BROADCAST, 1));
    expect(w.observed.hostCount).toBe(1);
  });

  it('that move are found at the new port, and no more at the old one', () => {
    const w = pair().packetIn(1, 1, frame(BROADCAST, 1)).packetIn(2, 2, frame(BROADCAST, 1)) as LearningWorld;
    expect(w.events.map((event) => event['type'])).toEqual(['host.learned', 'host.moved']);
    w.compile();
    expect(w.text(1, 'in_port=1,eth_src=02')).toEqual([]);
    w.takeSent();
    w.packetIn(1, 3, frame(1, 9));
    expect(w.takeSent()).toEqual(['2:controller→2']);
  });

  it('that flap between ports stay at one until they are calm', () => {
    const w = pair();
    for (let i = 0; i < 40; i++) w.packetIn(1, 1 + (i % 2), frame(BROADCAST, 1));
    expect(w.outcomes()).toMatchObject({ flapping: expect.any(Number) });
    const moves = w.events.filter((event) => event['type'] === 'host.moved').length;
    expect(moves).toBe(8);
    const stays = w.observed.host(DEFAULT, mac(1))!.at.port;
    w.clock.pass(11_000);
    w.packetIn(1, 3 - stays, frame(BROADCAST, 1));
    expect(w.observed.host(DEFAULT, mac(1))!.at.port).toBe(3 - stays);
  });

  it('beyond what a port may have are refused; those known stay', () => {
    const w = pair({ maxHostsPerPort: 2 });
    for (const n of [1, 2, 3, 1]) w.packetIn(1, 1, frame(BROADCAST, n));
    expect(w.observed.hostCount).toBe(2);
    expect(w.outcomes()).toEqual({ flooded: 3, 'port-full': 1 });
  });

  it('beyond the budget of their port wait for the next second; other ports go on', () => {
    const w = pair({ packetsPerPort: 3 });
    for (let i = 0; i < 5; i++) w.packetIn(1, 1, frame(BROADCAST, 1));
    w.packetIn(1, 2, frame(BROADCAST, 2));
    expect(w.outcomes()).toEqual({ flooded: 4, 'over-budget': 2 });
    w.clock.pass(1_000);
    w.packetIn(1, 1, frame(BROADCAST, 1));
    expect(w.outcomes()).toMatchObject({ flooded: 5 });
  });

  it('beyond the quota of their tenant on a switch wait; the other tenant goes on', () => {
    const w = tenants().addSwitch(1, 4).tenant('t', { packetInRate: 2 }) as LearningWorld;
    for (const [i, tenant] of ['t', 'u'].entries()) {
      w.network(tenant, 'n');
      for (const no of [1, 2]) w.port({ tenant, id: `p${no}`, network: 'n', mac: 'learned', at: [1, 2 * i + no] });
    }
    for (const no of [1, 2, 1, 3, 3, 4]) w.packetIn(1, no, frame(BROADCAST, no));
    expect(w.outcomes()).toEqual({ flooded: 5, 'over-budget': 1 });
    w.tenant('t', { packetInRate: 100 });
    w.packetIn(1, 1, frame(BROADCAST, 1));
    expect(w.outcomes()).toMatchObject({ flooded: 6 });
  });

  it('raise at most so many events a second', () => {
    const w = pair();
    for (let n = 1; n <= 200; n++) w.packetIn(1, 1, frame(BROADCAST, n));
    expect(w.events).toHaveLength(50);
    expect(w.metrics.get('netloom_host_events_suppressed_total')!.collect()).toBe(150);
    w.clock.pass(1_000);
    w.packetIn(1, 1, frame(BROADCAST, 999));
    expect(w.events).toHaveLength(51);
  });

  it('are forgotten when their port goes down, and learned again', () => {
    const w = pair().packetIn(1, 1, frame(BROADCAST, 1));
    w.observed.portChanged(dpid(1), { ...w.observed.resolvePort(dpid(1), 1)!, up: false });
    expect(w.observed.hostCount).toBe(0);
  });

  it('that only speak to all are forgotten when they have been silent for long', () => {
    const w = pair({ idleSeconds: 60 }).packetIn(1, 1, frame(BROADCAST, 1)).packetIn(1, 2, frame(9, 2));
    w.clock.pass(30_000);
    w.packetIn(1, 1, frame(BROADCAST, 1)).packetIn(1, 3, frame(BROADCAST, 3));
    w.clock.pass(59_000);
    expect(w.observed.hostCount).toBe(3);
    w.clock.pass(2_000);
    expect([...w.observed.hosts()].map(({ mac: who }) => who)).toEqual([mac(2)]);
    expect(w.events.at(-1)).toMatchObject({ type: 'host.aged', port: 3 });
  });

  it('have rules at once in a network that drops unknown destinations, and as soon as it does', () => {
    const w = tenants().addSwitch(1, 4).network('t', 'n', { unknownUnicast: 'flood' });
    w.port({ tenant: 't', id: 'p', network: 'n', mac: 'learned', at: [1, 1] }).compile();
    w.packetIn(1, 1, frame(BROADCAST, 1)).compile();
    expect(w.text(1, '02:00:00:00:00:01')).toEqual([]);
    w.network('t', 'n', { unknownUnicast: 'drop' }).compile();
    expect(w.text(1, '02:00:00:00:00:01')).not.toEqual([]);
    w.packetIn(1, 1, frame(BROADCAST, 2)).compile();
    expect(w.text(1, '02:00:00:00:00:02')).not.toEqual([]);
  });

  it('are forgotten when their rule ran out in their switch, not when it was deleted, nor where they no longer are', () => {
    const w = pair().packetIn(1, 1, frame(9, 1)).compile() as LearningWorld;
    const rule = [...w.rules(1).values()].find((r) => r.kind === 'flow' && r.idleTimeout > 0)!;
    if (rule.kind !== 'flow') throw new Error('no flow');
    const message = { cookieLo: 0x80020000, tableId: rule.tableId, priority: rule.priority, match: rule.match };
    w.flowRemoved(1, { ...message, reason: 2 });
    expect(w.observed.hostCount).toBe(1);
    w.packetIn(1, 2, frame(BROADCAST, 1)).flowRemoved(1, { ...message, reason: 0 });
    expect(w.observed.hostCount).toBe(1);
    w.packetIn(1, 1, frame(BROADCAST, 1)).flowRemoved(1, { ...message, reason: 0 });
    expect(w.observed.hostCount).toBe(0);
    expect(w.events.at(-1)).toMatchObject({ type: 'host.aged', port: 1 });
  });
});

describe('addresses', () => {
  const probe = 'ffffffffffff 020000000001 0806 0001080006040001 020000000001 00000000 000000000000 0a000005';
  const announcement = 'ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000005 000000000000 0a000005';
  const byOther = announcement.replaceAll('020000000001', '020000000002');
  const addresses = (w: LearningWorld, network = DEFAULT, n = 1) => w.observed.host(network, mac(n))?.addresses ?? [];

  it('are bound by an announcement, not by a probe', () => {
    const w = pair().packetIn(1, 1, probe);
    expect(addresses(w)).toEqual([]);
    w.packetIn(1, 1, announcement);
    expect(addresses(w)).toEqual([{ family: 4, value: 0x0a000005n }]);
    expect(w.events.at(-1)).toMatchObject({ type: 'host.address', address: '10.0.0.5', mac: '02:00:00:00:00:01' });
  });

  it('stay with who has them when another claims them, with an event; other networks do not care', () => {
    const w = pair().network('t', 'n') as LearningWorld;
    w.port({ tenant: 't', id: 'p', network: 'n', mac: 'learned', at: [2, 1] });
    w.packetIn(1, 1, announcement).packetIn(1, 2, byOther).packetIn(2, 1, byOther);
    expect(addresses(w)).toHaveLength(1);
    expect(addresses(w, DEFAULT, 2)).toEqual([]);
    const conflict = w.events.find((event) => event['type'] === 'host.conflict');
    expect(conflict).toMatchObject({ address: '10.0.0.5', holder: '02:00:00:00:00:01', mac: '02:00:00:00:00:02' });
    expect(addresses(w, w.desired.networks.get('t/n')!.index, 2)).toHaveLength(1);
  });

  it('claimed in the name of another MAC bind nothing', () => {
    const w = pair().packetIn(
      1,
      1,
      announcement.replace('0806 0001080006040001 020000000001', '0806 0001080006040001 020000000009'),
    );
    expect(addresses(w)).toEqual([]);
  });

  it('in a copy that the switch forwards itself are bound, and the copy is not sent again', () => {
    const w = pair().packetIn(1, 1, frame(BROADCAST, 1));
    w.takeSent();
    w.packetIn(1, 1, announcement, { cookieLo: 0x80020000 });
    expect(w.takeSent()).toEqual([]);
    expect(addresses(w)).toHaveLength(1);
  });
});

describe('settings', () => {
  it.each([[{ idleSeconds: 0 }], [{ maxHostsPerPort: 1.5 }], [{ idleSecond: 5 }], [[]], ['x']])(
    '%j are refused',
    (given) => {
      expect(() => lab(given)).toThrow(/learning/);
    },
  );
});
