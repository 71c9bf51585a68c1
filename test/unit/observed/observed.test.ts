import { describe, expect, it } from 'vitest';
import { type IpAddress, parseIp } from '../../../src/controller/kernel/index.ts';
import { LEARNED_ENDPOINTS, linkState } from '../../../src/controller/observed/index.ts';
import { at, bench, cable, description, dpid, LOCAL, mac, port } from './kit.ts';

const ip = (text: string): IpAddress => parseIp(text)!;

describe('switches and ports', () => {
  it('tells a new switch, then each of its ports, and starts them as pending', () => {
    const { observed, told } = bench();
    observed.switchUp(description(1, 2));
    expect(told()).toEqual([
      'switch 1 - → true',
      'port s1:1 - → pending',
      'port s1:2 - → pending',
      `port s1:${LOCAL} - → local`,
    ]);
    expect(observed.switchByIndex(1)?.dpid).toBe(dpid(1));
    expect(observed.revision).toBe(4);
  });

  it('refuses an index that belongs to another switch', () => {
    const { observed } = bench();
    observed.switchUp(description(1));
    expect(() => observed.switchUp(description(2, 1, { index: 1 }))).toThrow(/not its own/);
    expect(() => observed.switchUp(description(1, 1, { index: 7 }))).toThrow(/not its own/);
  });

  it('keeps two ports whose cleaned names collide apart, and lets the name mean neither', () => {
    const { observed } = bench();
    const ports = [port(1, 3, { name: 'eth\ufffd' }), port(1, 4, { name: 'eth\ufffd' }), port(1, 5, { name: 'eth5' })];
    observed.switchUp(description(1, 0, { ports }));
    expect(observed.switches.get(dpid(1))?.ports.size).toBe(3);
    expect(observed.resolvePort(dpid(1), 'eth\ufffd')).toBeUndefined();
    expect(observed.resolvePort(dpid(1), 3)?.no).toBe(3);
    expect(observed.resolvePort(dpid(1), 'eth5')?.no).toBe(5);
    observed.portRemoved(dpid(1), 4);
    expect(observed.resolvePort(dpid(1), 'eth\ufffd')?.no).toBe(3);
  });

  it('never offers the switch’s own port, by number or name, and never makes it an edge or a link', () => {
    const { observed } = bench();
    observed.switchUp(description(1, 1, { ports: [port(1, LOCAL, { name: 's1' }), port(1, 1)] }));
    expect(observed.resolvePort(dpid(1), LOCAL)).toBeUndefined();
    expect(observed.resolvePort(dpid(1), 's1')).toBeUndefined();
    observed.portSettled(at(1, LOCAL));
    observed.linkSeen(at(1, 1), at(1, LOCAL));
    expect(observed.switches.get(dpid(1))?.ports.get(LOCAL)?.role).toBe('local');
    expect([...observed.links()]).toEqual([]);
  });

  it('leaves out port numbers that name no port', () => {
    const { observed } = bench();
    const numbers = [0, 0xffff_ff01, 0xffff_fff8, 0xffff_fffd, 0xffff_ffff];
    observed.switchUp(description(1, 0, { ports: numbers.map((no) => port(1, no)) }));
    observed.portChanged(dpid(1), port(1, 0xffff_fffb));
    expect(observed.switches.get(dpid(1))?.ports.size).toBe(0);
  });

  it('settles a pending port as edge, and makes it pending again after it was down', () => {
    const { observed, told } = bench();
    observed.switchUp(description(1, 1, { ports: [port(1, 1)] }));
    observed.portSettled(at(1, 1));
    told();
    observed.portChanged(dpid(1), port(1, 1));
    expect(told()).toEqual([]);
    observed.portChanged(dpid(1), port(1, 1, { up: false }));
    observed.portSettled(at(1, 1));
    observed.portChanged(dpid(1), port(1, 1));
    expect(told()).toEqual(['port s1:1 edge → pending', 'port s1:1 pending → pending']);
  });

  it('keeps ports as they were over a reconnect, and drops what belonged to a port that is another one now', () => {
    const { observed, told } = bench();
    observed.switchUp(description(1, 3));
    for (const no of [1, 2, 3]) observed.portSettled(at(1, no));
    observed.learnHost(7, mac(1), at(1, 1));
    observed.learnHost(7, mac(2), at(1, 2));
    observed.learnHost(7, mac(3), at(1, 3));
    observed.switchDown(dpid(1));
    told();
    observed.switchUp(description(1, 3, { ports: [port(1, 1), port(1, 2, { name: 'other' })] }));
    expect(told()).toEqual([
      'switch 1 false → true',
      'port s1:2 edge → pending',
      'host 7/2 s1:2 → -',
      'port s1:3 edge → -',
      'host 7/3 s1:3 → -',
      // OFPP_LOCAL was there before, too.
      `port s1:${LOCAL} local → -`,
    ]);
    expect(observed.host(7, mac(1))?.at).toEqual(at(1, 1));
  });

  it('forgets a disconnected switch with all that hung on it, never a connected one', () => {
    const { observed, hints, told } = bench();
    observed.switchUp(description(1));
    observed.switchUp(description(2));
    cable(observed, at(1, 1), at(2, 1));
    observed.learnHost(7, mac(1), at(1, 2));
    expect(observed.forgetSwitch(dpid(1))).toBe(false);
    observed.switchDown(dpid(1));
    told();
    expect(observed.forgetSwitch(dpid(1))).toBe(true);
    expect(told().at(0)).toBe('switch 1 false → -');
    expect(observed.switches.has(dpid(1))).toBe(false);
    expect(observed.switchByIndex(1)).toBeUndefined();
    expect([...observed.links()]).toEqual([]);
    expect(observed.hostCount).toBe(0);
    expect(observed.switches.get(dpid(2))?.ports.get(1)?.role).toBe('pending');
    expect(hints.links.size + hints.hosts.size).toBe(0);
  });
});

describe('links', () => {
  it('use a cable for paths only when both directions are proven', () => {
    const { observed, told } = bench();
    observed.switchUp(description(1, 1));
    observed.switchUp(description(2, 1));
    told();
    observed.linkSeen(at(1, 1), at(2, 1));
    expect(told()).toEqual(['port s1:1 pending → link', 'port s2:1 pending → link', 'link s1:1 → s2:1 up']);
    expect(observed.nextHops(dpid(1), dpid(2))).toBeUndefined();
    observed.linkSeen(at(2, 1), at(1, 1));
    expect(told()).toEqual(['link s2:1 → s1:1 up', 'paths 1,2']);
    expect(observed.nextHops(dpid(1), dpid(2))).toEqual({ equal: [1], backup: undefined });
    observed.linkSeen(at(2, 1), at(1, 1));
    expect(told()).toEqual([]);
    observed.linkLost(at(1, 1));
    expect(told()).toEqual(['link s1:1 → s2:1 down', 'paths 1,2']);
    observed.linkLost(at(2, 1));
    expect(told()).toEqual(['link s2:1 → s1:1 down', 'port s2:1 link → pending', 'port s1:1 link → pending']);
  });

  it('lose both directions at once when either port goes down', () => {
    const { observed, told } = bench();
    observed.switchUp(description(1));
    observed.switchUp(description(2));
    cable(observed, at(1, 1), at(2, 3));
    told();
    observed.portChanged(dpid(2), port(2, 3, { up: false }));
    expect(told()).toEqual([
      'port s2:3 link → pending',
      'link s2:3 → s1:1 down',
      'link s1:1 → s2:3 down',
      'port s1:1 link → pending',
      'paths 1,2',
    ]);
  });

  it('carry on over parallel cables', () => {
    const { observed } = bench();
    observed.switchUp(description(1));
    observed.switchUp(description(2));
    cable(observed, at(1, 2), at(2, 2));
    cable(observed, at(1, 1), at(2, 1));
    expect(observed.nextHops(dpid(1), dpid(2))).toEqual({ equal: [1, 2], backup: undefined });
    observed.portRemoved(dpid(1), 1);
    expect(observed.nextHops(dpid(1), dpid(2))).toEqual({ equal: [2], backup: undefined });
  });

  it('that lead back to the same switch make no path', () => {
    const { observed } = bench();
    observed.switchUp(description(1));
    cable(observed, at(1, 1), at(1, 2));
    expect(observed.switches.get(dpid(1))?.ports.get(1)?.role).toBe('link');
    expect([...observed.component(dpid(1))]).toEqual([dpid(1)]);
    observed.portRemoved(dpid(1), 1);
    expect([...observed.links()]).toEqual([]);
  });

  it('move when a port’s probes arrive elsewhere', () => {
    const { observed, told } = bench();
    for (const n of [1, 2, 3]) observed.switchUp(description(n));
    cable(observed, at(1, 1), at(2, 1));
    told();
    cable(observed, at(1, 1), at(3, 1));
    expect(observed.nextHops(dpid(1), dpid(2))).toBeUndefined();
    expect(observed.nextHops(dpid(1), dpid(3))?.equal).toEqual([1]);
    observed.linkLost(at(2, 1));
    expect(observed.switches.get(dpid(2))?.ports.get(1)?.role).toBe('pending');
  });

  it('make hosts that were learned at their ports vanish', () => {
    const { observed, told } = bench();
    observed.switchUp(description(1));
    observed.switchUp(description(2));
    observed.learnHost(7, mac(9), at(1, 1));
    told();
    observed.linkSeen(at(2, 1), at(1, 1));
    expect(told()).toContain('host 7/9 s1:1 → -');
    expect(observed.hostCount).toBe(0);
  });
});

describe('a switch that disconnects', () => {
  const square = () => {
    const b = bench();
    for (const n of [1, 2, 3, 4]) b.observed.switchUp(description(n));
    // 1–2–4 and 1–3–4
    cable(b.observed, at(1, 2), at(2, 1));
    cable(b.observed, at(2, 4), at(4, 2));
    cable(b.observed, at(1, 3), at(3, 1));
    cable(b.observed, at(3, 4), at(4, 3));
    b.told();
    return b;
  };

  it('keeps its links, and paths through it for the hold time', () => {
    const { observed, clock, told } = square();
    observed.switchDown(dpid(2));
    expect(told()).toEqual(['switch 2 true → false']);
    expect(linkState(observed, observed.linkFrom(at(1, 2))!)).toBe('down');
    clock.pass(9_000);
    observed.switchUp(description(2));
    clock.pass(60_000);
    expect(told()).toEqual(['switch 2 false → true']);
    expect(observed.nextHops(dpid(1), dpid(4))).toEqual({ equal: [2, 3], backup: undefined });
    expect(linkState(observed, observed.linkFrom(at(1, 2))!)).toBe('up');
  });

  it('is avoided after that where there is another way, and used where there is none', () => {
    const { observed, clock, told } = square();
    observed.nextHops(dpid(1), dpid(4));
    observed.switchDown(dpid(2));
    told();
    clock.pass(10_000);
    expect(told().at(-1)).toMatch(/^paths .*1/);
    expect(observed.nextHops(dpid(1), dpid(4))).toEqual({ equal: [3], backup: 2 });
    expect(observed.nextHops(dpid(1), dpid(2))?.equal).toEqual([2]);
    observed.switchUp(description(2));
    expect(observed.nextHops(dpid(1), dpid(4))?.equal).toEqual([2, 3]);
  });

  it('changes no path when all disconnect', () => {
    const { observed, clock } = square();
    const before = [1, 2, 3, 4].map((n) => observed.nextHops(dpid(n), dpid(5 - n)));
    for (const n of [1, 2, 3, 4]) observed.switchDown(dpid(n));
    clock.pass(60_000);
    expect([1, 2, 3, 4].map((n) => observed.nextHops(dpid(n), dpid(5 - n)))).toEqual(before);
  });

  it('loses a link when the port at the other end goes down', () => {
    const { observed } = square();
    observed.switchDown(dpid(2));
    observed.portChanged(dpid(1), port(1, 2, { up: false }));
    expect(observed.linkFrom(at(2, 1))).toBeUndefined();
    expect(observed.nextHops(dpid(1), dpid(4))?.equal).toEqual([3]);
  });

  it('leaves no timer behind once closed', () => {
    const { observed, clock } = square();
    observed.switchDown(dpid(2));
    expect(clock.pending).toBeGreaterThan(0);
    observed.close();
    expect(clock.pending).toBe(0);
  });
});

describe('hosts', () => {
  it('are told apart by network and MAC, move, and keep their endpoint on one switch', () => {
    const { observed, told, clock } = bench();
    observed.switchUp(description(1));
    observed.switchUp(description(2));
    told();
    const first = observed.learnHost(7, mac(1), at(1, 1));
    observed.learnHost(8, mac(1), at(2, 1));
    expect(first.endpoint).toBe(LEARNED_ENDPOINTS.first);
    clock.pass(1_000);
    expect(observed.learnHost(7, mac(1), at(1, 1)).lastSeen).toBe(clock.now());
    const moved = observed.learnHost(7, mac(1), at(1, 2));
    expect(moved).toMatchObject({ endpoint: first.endpoint, firstSeen: first.firstSeen });
    observed.learnHost(7, mac(1), at(2, 2));
    expect(told()).toEqual(['host 7/1 - → s1:1', 'host 8/1 - → s2:1', 'host 7/1 s1:1 → s1:2', 'host 7/1 s1:2 → s2:2']);
    expect([...observed.hostsOf(7)].map((host) => host.endpoint)).toEqual([LEARNED_ENDPOINTS.first + 1]);
    expect(observed.hostCountAt(at(1, 1))).toBe(0);
    expect(observed.hostCountAt(at(2, 2))).toBe(1);
  });

  it('get endpoint ids that come back only after all the others', () => {
    const { observed } = bench({ endpoints: { first: 10, last: 13 } });
    observed.switchUp(description(1));
    const ids: number[] = [];
    for (let n = 0; n < 9; n++) {
      ids.push(observed.learnHost(7, mac(n), at(1, 1)).endpoint);
      if (n !== 1) observed.forgetHost(7, mac(n));
    }
    expect(ids).toEqual([10, 11, 12, 13, 10, 12, 13, 10, 12]);
    for (let n = 20; n < 23; n++) observed.learnHost(7, mac(n), at(1, 1));
    expect(() => observed.learnHost(7, mac(30), at(1, 1))).toThrow(/no endpoint id/);
    observed.forgetHost(7, mac(20));
    expect(observed.learnHost(7, mac(30), at(1, 1)).endpoint).toBeGreaterThanOrEqual(10);
  });

  it('hold 100,000 without an id or an address twice', () => {
    const { observed } = bench();
    observed.switchUp(description(1));
    const ids = new Set<number>();
    for (let n = 0; n < 100_000; n++) {
      ids.add(observed.learnHost(7, mac(n), at(1, 1 + (n % 4))).endpoint);
      observed.learnAddress(7, mac(n), { family: 4, value: BigInt(0x0a00_0001 + n) });
    }
    expect(ids.size).toBe(100_000);
    for (let n = 0; n < 100_000; n++) observed.forgetHost(7, mac(n));
    expect([observed.hostCount, observed.hostCountAt(at(1, 1))]).toEqual([0, 0]);
  });
});

describe('addresses', () => {
  const two = (over = {}) => {
    const b = bench(over);
    b.observed.switchUp(description(1));
    b.observed.learnHost(7, mac(1), at(1, 1));
    b.observed.learnHost(7, mac(2), at(1, 2));
    b.observed.learnHost(8, mac(2), at(1, 3));
    b.told();
    return b;
  };
  const addressesOf = (b: ReturnType<typeof two>, network: number, n: number) =>
    b.observed.host(network, mac(n))?.addresses;

  it('bind on announcement and tell it; what no host can have binds nothing', () => {
    const b = two();
    for (const text of ['0.0.0.0', '127.0.0.1', '224.0.0.1', '255.255.255.255', '::', '::1', 'ff02::1']) {
      expect(b.observed.learnAddress(7, mac(1), ip(text))).toBeUndefined();
    }
    expect(b.told()).toEqual([]);
    b.observed.learnAddress(7, mac(1), ip('10.0.0.5'));
    b.observed.learnAddress(7, mac(1), ip('10.0.0.5'));
    b.observed.learnAddress(7, mac(1), ip('fe80::1'));
    expect(b.told()).toHaveLength(2);
    expect(addressesOf(b, 7, 1)).toEqual([ip('10.0.0.5'), ip('fe80::1')]);
  });

  it('stay with the first host of a network; the second learns who that is; other networks are untouched', () => {
    const b = two();
    b.observed.learnAddress(7, mac(1), ip('10.0.0.5'));
    b.told();
    expect(b.observed.learnAddress(7, mac(2), ip('10.0.0.5'))?.mac).toBe(mac(1));
    expect(b.told()).toEqual([]);
    expect(addressesOf(b, 7, 2)).toEqual([]);
    expect(b.observed.learnAddress(8, mac(2), ip('10.0.0.5'))).toBeUndefined();
    expect(addressesOf(b, 8, 2)).toEqual([ip('10.0.0.5')]);
    b.observed.forgetHost(7, mac(1));
    expect(b.observed.learnAddress(7, mac(2), ip('10.0.0.5'))).toBeUndefined();
    expect(addressesOf(b, 7, 2)).toEqual([ip('10.0.0.5')]);
  });

  it('pass on when the first host has not used them for the hold time', () => {
    const b = two({ addressHoldMs: 1_000 });
    b.observed.learnAddress(7, mac(1), ip('10.0.0.5'));
    b.clock.pass(900);
    b.observed.learnAddress(7, mac(1), ip('10.0.0.5'));
    b.clock.pass(900);
    expect(b.observed.learnAddress(7, mac(2), ip('10.0.0.5'))?.mac).toBe(mac(1));
    b.clock.pass(200);
    expect(b.observed.learnAddress(7, mac(2), ip('10.0.0.5'))).toBeUndefined();
    expect([addressesOf(b, 7, 1), addressesOf(b, 7, 2)]).toEqual([[], [ip('10.0.0.5')]]);
  });

  it('move with their host and are bounded in number', () => {
    const b = two();
    for (let n = 0; n < 40; n++) b.observed.learnAddress(7, mac(1), { family: 4, value: BigInt(0x0a00_0000 + n) });
    b.observed.learnHost(7, mac(1), at(1, 4));
    expect(addressesOf(b, 7, 1)).toHaveLength(32);
    expect(addressesOf(b, 7, 1)?.at(-1)).toEqual(ip('10.0.0.39'));
    expect(b.observed.learnAddress(7, mac(2), ip('10.0.0.0'))).toBeUndefined();
  });
});

describe('what the next run starts from', () => {
  const grown = () => {
    const b = bench();
    for (const n of [1, 2, 3]) b.observed.switchUp(description(n));
    cable(b.observed, at(1, 1), at(2, 1));
    cable(b.observed, at(2, 2), at(3, 1));
    for (const [n, no] of [
      [1, 2],
      [1, 3],
      [3, 2],
    ] as const)
      b.observed.portSettled(at(n, no));
    b.observed.learnHost(7, mac(1), at(1, 2));
    b.observed.learnHost(7, mac(2), at(3, 2));
    b.observed.learnAddress(7, mac(1), ip('10.0.0.1'));
    return b;
  };
  const known = ({ hints }: ReturnType<typeof grown>) => ({
    switches: [...hints.switches].map(([id, facts]) => ({
      dpid: id as ReturnType<typeof dpid>,
      index: Number(BigInt(`0x${id}`)),
      facts,
    })),
    links: [...hints.links.values()],
    hosts: [...hints.hosts.values()],
    gateways: [...hints.gateways.values()],
  });
  const picture = ({ observed }: ReturnType<typeof grown>) => ({
    ports: [...observed.switches.values()].map((view) => [view.dpid, view.index, view.nicira, [...view.ports]]),
    links: [...observed.links()].map(({ from, to }) => [from, to]),
    hops: [1, 2, 3].map((from) => [1, 2, 3].map((to) => observed.nextHops(dpid(from), dpid(to)))),
    hosts: [...observed.hosts()].map(({ network, mac, at, endpoint, addresses }) => [
      network,
      mac,
      at,
      endpoint,
      addresses,
    ]),
  });

  it('is the same picture before any switch connects, and no fact changes when they come back as they were', () => {
    const old = grown();
    old.observed.close();
    const b = bench();
    b.observed.load(known(old));
    expect(b.told()).toEqual([]);
    expect(picture(b)).toEqual(picture(old));
    expect([...b.observed.links()].every((link) => link.presumed)).toBe(true);
    for (const n of [3, 1, 2]) b.observed.switchUp(description(n));
    expect(b.told()).toEqual(['switch 3 false → true', 'switch 1 false → true', 'switch 2 false → true']);
    expect(picture(b)).toEqual(picture(old));
    b.observed.linkSeen(at(1, 1), at(2, 1));
    expect(b.told()).toEqual(['link s1:1 → s2:1 up']);
    expect(b.observed.linkFrom(at(1, 1))?.presumed).toBe(false);
  });

  it('forgets what changed meanwhile when the switch comes back different', () => {
    const old = grown();
    old.observed.close();
    const b = bench();
    b.observed.load(known(old));
    b.observed.switchUp(description(2, 4, { ports: [port(2, 1, { up: false }), port(2, 2)] }));
    expect(b.observed.linkFrom(at(1, 1))).toBeUndefined();
    expect(b.observed.nextHops(dpid(2), dpid(3))?.equal).toEqual([2]);
    expect(b.observed.nextHops(dpid(1), dpid(2))).toBeUndefined();
  });

  it('leaves out links and hosts without a place, and cleans them from the hints', () => {
    const old = grown();
    old.observed.close();
    const all = known(old);
    const b = bench();
    for (const link of all.links) b.hints.putLink(link);
    for (const host of all.hosts) b.hints.putHost(host);
    b.observed.load({ ...all, switches: all.switches.filter(({ index }) => index !== 3) });
    expect([...b.observed.links()]).toHaveLength(2);
    expect(b.hints.links.size).toBe(2);
    expect([...b.hints.hosts.values()].map((host) => host.mac)).toEqual([mac(1)]);
    // The far end is gone, so the port may be anything.
    expect(b.observed.switches.get(dpid(2))?.ports.get(2)?.role).toBe('pending');
  });

  it('gives a loaded host’s endpoint id to nobody else', () => {
    const old = grown();
    old.observed.close();
    const b = bench();
    b.observed.load(known(old));
    const taken = b.observed.host(7, mac(1))!.endpoint;
    expect(b.observed.learnHost(7, mac(5), at(1, 3)).endpoint).not.toBe(taken);
  });
});

describe('listeners', () => {
  it('see all of a change made; what they change themselves is told after it', () => {
    const { observed, told } = bench();
    observed.switchUp(description(1, 1));
    observed.switchUp(description(2, 1));
    told();
    observed.onChange('eager', (change) => {
      if (change.kind !== 'link' || !change.after || change.after.from.dpid !== dpid(1)) return;
      expect(observed.switches.get(dpid(2))?.ports.get(1)?.role).toBe('link');
      observed.linkSeen(at(2, 1), at(1, 1));
    });
    observed.linkSeen(at(1, 1), at(2, 1));
    expect(told().slice(2)).toEqual(['link s1:1 → s2:1 up', 'link s2:1 → s1:1 up', 'paths 1,2']);
  });

  it('that throw cost nobody else the change', () => {
    const failures: string[] = [];
    const { observed, told } = bench({ onFailure: (_, listener) => failures.push(listener) });
    observed.onChange('broken', () => {
      throw new Error('broken');
    });
    observed.switchUp(description(1, 0, { ports: [] }));
    observed.switchDown(dpid(1));
    expect(told()).toEqual(['switch 1 - → true', 'switch 1 true → false']);
    expect(failures).toEqual(['broken', 'broken']);
  });
});
