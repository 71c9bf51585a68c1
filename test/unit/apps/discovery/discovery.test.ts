import { Buffer } from 'node:buffer';
import { afterEach, describe, expect, it } from 'vitest';
import { discoverySettings } from '../../../../src/apps/discovery/settings.ts';
import { at, dpid, mac, port } from '../../observed/kit.ts';
import { Lab } from './lab.ts';

let lab: Lab;
const make = (settings: Record<string, unknown> = {}): Lab => {
  lab = new Lab(settings);
  return lab;
};
afterEach(() => {
  expect(lab.stop()).toBe(0);
});

/** s1:1 – s2:1, s2:2 – s3:1; hosts at s1:3, s2:3, s3:3. */
function line(settings: Record<string, unknown> = {}): Lab {
  const l = make(settings);
  l.cable(at(1, 1), at(2, 1));
  l.cable(at(2, 2), at(3, 1));
  for (const n of [1, 2, 3]) l.up(n, 3);
  return l;
}
const LINE = ['1:1 → 2:1', '2:1 → 1:1', '2:2 → 3:1', '3:1 → 2:2'];

function settledLine(): Lab {
  const l = line();
  l.clock.pass(2_000);
  for (const n of [1, 2, 3]) l.observed.learnHost(7, mac(n), at(n, 3));
  l.events.length = 0;
  return l;
}

describe('links', () => {
  it('are found in both directions at once, other ports become edges after the hold time', () => {
    line();
    lab.clock.pass(20);
    expect(lab.links()).toEqual(LINE);
    expect(lab.role(1, 3)).toBe('pending');
    lab.clock.pass(1_000);
    expect([lab.role(1, 1), lab.role(1, 2), lab.role(1, 3)]).toEqual(['link', 'edge', 'edge']);
    expect(lab.events.filter(({ type }) => type === 'link.up')).toHaveLength(4);
    expect(lab.observed.nextHops(dpid(1), dpid(3))?.equal).toEqual([1]);
  });

  it('are found with parallel cables, and a cable within one switch makes no path', () => {
    make();
    lab.cable(at(1, 1), at(2, 2));
    lab.cable(at(1, 2), at(2, 1));
    lab.cable(at(2, 3), at(2, 4));
    lab.up(1);
    lab.up(2);
    lab.clock.pass(50);
    expect(lab.links()).toEqual(['1:1 → 2:2', '1:2 → 2:1', '2:1 → 1:2', '2:2 → 1:1', '2:3 → 2:4', '2:4 → 2:3']);
    expect(lab.observed.nextHops(dpid(1), dpid(2))?.equal).toEqual([1, 2]);
  });

  it('wait with the verdict "edge" until the switch would show us a neighbour’s probe', () => {
    make();
    lab.cable(at(1, 1), at(2, 1));
    lab.up(1, 2, { ruled: false });
    lab.up(2, 2, { ruled: false });
    lab.clock.pass(5_000);
    expect([lab.role(1, 1), lab.role(1, 2)]).toEqual(['pending', 'pending']);
    lab.ruled.add(dpid(1));
    lab.clock.pass(100);
    lab.ruled.add(dpid(2));
    lab.clock.pass(1_500);
    expect(lab.links()).toEqual(['1:1 → 2:1', '2:1 → 1:1']);
    expect(lab.role(1, 2)).toBe('edge');
  });

  it('do not wait for a switch that is not known to show us our own probes', () => {
    make();
    lab.up(1, 1, { ruled: false, nicira: false });
    lab.clock.pass(1_000);
    expect(lab.role(1, 1)).toBe('edge');
  });

  it('are found later over ports that had become edges, also when hosts seemed to be there, by a new switch', () => {
    make();
    lab.cable(at(1, 1), at(2, 1));
    lab.up(1, 2);
    lab.clock.pass(2_000);
    lab.observed.learnHost(7, mac(9), at(1, 1));
    expect(lab.role(1, 1)).toBe('edge');
    lab.up(2, 2);
    lab.clock.pass(50);
    expect(lab.links()).toEqual(['1:1 → 2:1', '2:1 → 1:1']);
    expect(lab.observed.host(7, mac(9))).toBeUndefined();
    expect(lab.observed.badLldp(at(1, 1))).toBe(0);
  });

  it('go down at once with a port, and come back with it', () => {
    settledLine();
    lab.observed.portChanged(dpid(2), port(2, 1, { up: false }));
    expect(lab.links()).toEqual(LINE.slice(2));
    expect(lab.events.filter(({ type }) => type === 'link.down').map(({ fields }) => fields['reason'])).toEqual([
      'port-status',
      'port-status',
    ]);
    lab.clock.pass(5_000);
    expect(lab.role(1, 1)).toBe('edge');
    lab.observed.portChanged(dpid(2), port(2, 1));
    lab.clock.pass(50);
    expect(lab.links()).toEqual(LINE);
  });

  it('are lost when three probes in a row did not arrive, not before, and their ports do not become edges', () => {
    settledLine();
    lab.deaf.add(`${dpid(1)}/1`);
    lab.clock.pass(5_900);
    expect(lab.links()).toEqual(LINE);
    lab.clock.pass(7_000);
    expect(lab.links()).toEqual(LINE.slice(1));
    expect(lab.observed.nextHops(dpid(1), dpid(2))).toBeUndefined();
    expect(lab.events.find(({ type }) => type === 'link.down')?.fields['reason']).toBe('probe-timeout');
    lab.deaf.add(`${dpid(2)}/1`);
    lab.clock.pass(60_000);
    // The cable may be there, only deaf: two edges on it would be a loop.
    expect([lab.role(1, 1), lab.role(2, 1)]).toEqual(['pending', 'pending']);
    lab.observed.switchDown(dpid(1));
    lab.up(1, 3);
    lab.clock.pass(5_000);
    expect(lab.role(1, 1)).toBe('pending');
    lab.deaf.clear();
    lab.clock.pass(3_100);
    expect(lab.links()).toEqual(LINE);
    expect(lab.count('netloom_link_timeouts_total')).toBe(2);
  });

  it('are not lost while a switch is away, nor while it has no rules yet', () => {
    settledLine();
    lab.observed.switchDown(dpid(2));
    lab.ruled.delete(dpid(2));
    lab.clock.pass(60_000);
    expect(lab.links()).toEqual(LINE);
    lab.up(2, 3, { ruled: false });
    lab.clock.pass(20_000);
    expect(lab.links()).toEqual(LINE);
    lab.ruled.add(dpid(2));
    lab.clock.pass(60_000);
    expect(lab.links()).toEqual(LINE);
    expect(lab.events.filter(({ type }) => type.startsWith('link.'))).toEqual([]);
  });

  it('of the last run are dropped when nothing confirms them, and confirmed without an event when something does', () => {
    make();
    const old = [at(1, 1), at(2, 1), at(2, 2), at(3, 1)] as const;
    const ports = (n: number) => [1, 2, 3].map((no) => ({ ...port(n, no), role: no === 3 ? 'edge' : 'link' }) as const);
    const facts = { manufacturer: 'Nicira, Inc.', hardware: 'Open vSwitch', software: '3.1.0', nicira: true };
    lab.observed.load({
      switches: [1, 2, 3].map((n) => ({ dpid: dpid(n), index: n, facts: { ...facts, ports: ports(n) } })),
      links: [
        { from: old[0], to: old[1], since: 1 },
        { from: old[1], to: old[0], since: 1 },
        { from: old[2], to: old[3], since: 1 },
        { from: old[3], to: old[2], since: 1 },
      ],
      hosts: [],
      gateways: [],
    });
    lab.cable(at(1, 1), at(2, 1));
    for (const n of [1, 2, 3]) lab.up(n, 3);
    lab.clock.pass(100);
    expect(lab.links()).toEqual(LINE);
    expect([...lab.observed.links()].map(({ presumed }) => presumed)).toEqual([false, false, true, true]);
    expect(lab.events.filter(({ type }) => type === 'link.up')).toEqual([]);
    lab.clock.pass(15_000);
    expect(lab.links()).toEqual(LINE.slice(0, 2));
  });

  it('stay as they are when a probe arrives at two places', () => {
    settledLine();
    // s3:2 hears what s1:1 sends to s2:1, as on a hub.
    lab.observed.portChanged(dpid(3), port(3, 2, { up: false }));
    lab.observed.portChanged(dpid(3), port(3, 2));
    const probe = lab.observed.links();
    expect([...probe]).toHaveLength(4);
    lab.cables.delete(`${dpid(1)}/1`);
    lab.clock.pass(3_000);
    const frame = lab.last(1, 1);
    lab.cables.set(`${dpid(1)}/1`, at(2, 1));
    lab.inject(2, 1, frame);
    lab.inject(3, 2, frame);
    expect(lab.links()).toEqual(LINE);
    expect(lab.rejected(3, 'conflict') + lab.rejected(3, 'edge-port')).toBe(1);
  });
});

describe('ports that tenants have claimed', () => {
  it('are edges at once, by number or name, whether they are claimed before or after they appear', () => {
    make();
    lab.bind(1, 1);
    lab.bind(1, 's1-eth2');
    lab.up(1, 4);
    expect([1, 2, 3].map((no) => lab.role(1, no))).toEqual(['edge', 'edge', 'pending']);
    lab.bind(1, 's1-eth3');
    expect(lab.role(1, 3)).toBe('edge');
  });

  it('never become a link, and take none away', () => {
    make();
    lab.cable(at(1, 1), at(2, 1));
    lab.bind(1, 1);
    lab.up(1, 2);
    lab.up(2, 2);
    lab.clock.pass(10_000);
    expect(lab.links()).toEqual([]);
    expect(lab.rejected(1, 'edge-port')).toBeGreaterThan(0);
    const l = settledLine();
    l.bind(1, 1);
    l.clock.pass(20_000);
    expect(l.links()).toEqual(LINE);
  });
});

describe('LLDP that we did not send there (FC-15)', () => {
  const untouched = (): void => {
    expect(lab.links()).toEqual(LINE);
    expect([1, 2, 3].map((n) => lab.role(n, 3))).toEqual(['edge', 'edge', 'edge']);
    expect(lab.observed.hostCount).toBe(3);
    expect(lab.observed.nextHops(dpid(1), dpid(3))?.equal).toEqual([1]);
  };

  it('is refused when replayed by the same host, at once or after 60 s', () => {
    settledLine();
    const frame = lab.next(1, 3);
    lab.inject(1, 3, frame);
    expect(lab.rejected(1, 'reflected')).toBe(1);
    lab.clock.pass(60_000);
    lab.inject(1, 3, frame);
    expect(lab.rejected(1, 'stale')).toBe(1);
    expect(lab.observed.badLldp(at(1, 3))).toBe(2);
    expect(lab.events.filter(({ type }) => type === 'lldp.rejected').map(({ fields }) => fields)).toEqual([
      { switch: dpid(1), port: 3, reason: 'reflected', frames: 1 },
      { switch: dpid(1), port: 3, reason: 'stale', frames: 1 },
    ]);
    untouched();
  });

  it('is refused when replayed by another host while it is fresh', () => {
    settledLine();
    lab.inject(2, 3, lab.next(1, 3));
    expect(lab.rejected(2, 'edge-port')).toBe(1);
    lab.clock.pass(30_000);
    untouched();
  });

  it('makes no link from a silent host’s port either, because the way back is not proven', () => {
    settledLine();
    for (const n of [1, 2]) lab.observed.forgetHost(7, mac(n));
    for (let i = 0; i < 5; i++) {
      const frame = lab.next(1, 3);
      lab.inject(2, 3, frame);
      lab.inject(2, 3, frame);
    }
    expect(lab.links()).toEqual(LINE);
    expect([lab.role(1, 3), lab.role(2, 3)]).toEqual(['edge', 'edge']);
    expect(lab.observed.badLldp(at(2, 3))).toBe(5);
  });

  it('makes no link when its host takes its port down and up first', () => {
    settledLine();
    const frame = lab.next(1, 3);
    lab.observed.portChanged(dpid(2), port(2, 3, { up: false }));
    lab.observed.portChanged(dpid(2), port(2, 3));
    lab.inject(2, 3, frame);
    // And both work together: what s2 answers is carried back.
    lab.inject(1, 3, lab.last(2, 3));
    expect(lab.links()).toEqual(LINE);
    expect(lab.rejected(2, 'edge-port') + lab.rejected(1, 'edge-port')).toBe(2);
  });

  it('is refused when the datapath id is changed, to one that exists or not', () => {
    settledLine();
    lab.clock.pass(16_000);
    for (const n of [0xbeef, 2]) {
      const frame = Buffer.from(lab.last(1, 3));
      frame.writeBigUInt64BE(BigInt(n), frame.indexOf(Buffer.from(dpid(1), 'hex')));
      lab.inject(3, 3, frame);
    }
    expect(lab.rejected(3, 'forged')).toBe(2);
    expect(lab.observed.badLldp(at(3, 3))).toBe(2);
    untouched();
  });

  it('costs a bounded number of answers and looks at 1,000 a second for 10 s, while links live on', () => {
    settledLine();
    lab.clock.pass(16_000);
    const before = lab.packetOuts;
    lab.clock.pass(10_000);
    const usual = lab.packetOuts - before;
    const start = lab.packetOuts;
    for (let i = 0; i < 10_000; i++) {
      lab.inject(1, 3, lab.last(1, 3));
      lab.clock.pass(1);
    }
    expect(lab.packetOuts - start).toBeLessThanOrEqual(usual + 5);
    expect(lab.rejected(1, 'budget')).toBeGreaterThan(9_000);
    expect(lab.observed.badLldp(at(1, 3))).toBe(10_000);
    expect(lab.events.filter(({ type }) => type === 'lldp.rejected').length).toBeLessThanOrEqual(2);
    untouched();
  });

  it('of a host’s own is ignored; what is broken is refused', () => {
    settledLine();
    const foreign = Buffer.from('0180c200000e02000000000188cc02070402000000000104030365743006020078', 'hex');
    lab.inject(
      1,
      3,
      Buffer.concat([foreign.subarray(0, 14), Buffer.from('0207040200000000010405056574683006020078', 'hex')]),
    );
    expect([lab.count('netloom_lldp_foreign_total'), lab.observed.badLldp(at(1, 3))]).toEqual([1, 0]);
    lab.inject(1, 3, foreign.subarray(0, 20));
    lab.inject(1, 3, foreign.subarray(0, 9));
    expect(lab.rejected(1, 'malformed')).toBe(2);
    lab.inject(1, 77, foreign);
    expect(lab.rejected(1, 'unknown-port')).toBe(1);
    untouched();
  });

  it('leaves no series of a switch that is forgotten', () => {
    settledLine();
    lab.inject(1, 3, Buffer.alloc(3));
    expect(lab.rejected(1, 'malformed')).toBe(1);
    lab.observed.switchDown(dpid(1));
    lab.observed.forgetSwitch(dpid(1));
    expect(lab.rejected(1, 'malformed')).toBe(0);
  });
});

describe('probes', () => {
  it('leave evenly over time however many switches came at once', () => {
    make();
    for (let n = 1; n <= 200; n++) lab.up(n, 5);
    lab.clock.pass(20_000);
    const perSecond: number[] = [];
    for (let s = 0; s < 15; s++) {
      const before = lab.packetOuts;
      lab.clock.pass(1_000);
      perSecond.push(lab.packetOuts - before);
    }
    const total = perSecond.reduce((a, b) => a + b);
    expect(total).toBe(1_000);
    expect(Math.max(...perSecond)).toBeLessThan((2 * total) / 15);
  });

  it('never leave a switch’s own port, a port that is down, or a switch that is away', () => {
    make();
    lab.observed.switchUp({
      ...{ dpid: dpid(1), index: 1, remote: '', manufacturer: '', hardware: '', software: '', nicira: true },
      ports: [port(1, 1), port(1, 2, { up: false }), port(1, 0xffff_fffe, { name: 's1', up: true })],
    });
    lab.ruled.add(dpid(1));
    lab.clock.pass(20_000);
    expect(new Set(lab.caught.map((caught) => caught.at.port))).toEqual(new Set([1]));
    lab.observed.switchDown(dpid(1));
    const before = lab.packetOuts;
    lab.clock.pass(60_000);
    expect(lab.packetOuts).toBe(before);
    expect(lab.count('netloom_lldp_unsent_total')).toBe(0);
  });
});

describe('settings', () => {
  it('have defaults, and what is wrong is named', () => {
    expect(discoverySettings(undefined)).toMatchObject({ intervalMs: 3_000, holdMs: 500 });
    expect(discoverySettings(undefined).key.equals(discoverySettings(undefined).key)).toBe(false);
    expect(() => discoverySettings({ intervalMs: 5 })).toThrow(/discovery\.intervalMs/);
    expect(() => discoverySettings({ holdMs: -1 })).toThrow(/discovery\.holdMs/);
    expect(() => discoverySettings({ key: 'secret' })).toThrow(/discovery\.key/);
  });
});
