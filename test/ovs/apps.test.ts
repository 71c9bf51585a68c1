import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fabricCompiler } from '../../src/apps/fabric/index.ts';
import { learningCompiler } from '../../src/apps/learning/index.ts';
import { tenantsCompiler } from '../../src/apps/tenants/index.ts';
import type { Mac } from '../../src/controller/index.ts';
import { PrivateOvs, whyNoPrivateOvs } from '../kit/private-ovs.ts';
import { TcpChannels } from '../kit/tcp-channel.ts';
import { dpid, World } from '../kit/world.ts';
import { makeBook } from '../unit/rules/kit.ts';

const why = whyNoPrivateOvs();
if (why) console.log(`skipped: apps against Open vSwitch: ${why}`);

const mac = (n: number): Mac => (0x020000000000 + n) as Mac;

/** A triangle of switches; two tenants with the same MACs and addresses on the first two; the rest is the default network. */
function triangle(): World {
  const w = new World([fabricCompiler, tenantsCompiler, learningCompiler(300)], { defaultNetwork: true });
  for (const n of [1, 2, 3]) w.addSwitch(n, 8);
  w.link(1, 7, 2, 7).link(2, 8, 3, 7).link(1, 8, 3, 8);
  w.tenant('t', { bandwidthKbps: 50_000, packetInRate: 100 });
  for (const [i, tenant] of ['t', 'u'].entries()) {
    w.network(tenant, 'n', { unknownUnicast: 'flood' });
    for (const n of [1, 2]) {
      const addresses = [`10.0.0.${n}`, `fd00::${n}`];
      w.port({ tenant, id: `vm${n}`, network: 'n', mac: mac(n), addresses, at: [n, 1 + i] });
      w.port({ tenant, id: `open${n}`, network: 'n', mac: mac(10 + n), portSecurity: n === 1, at: [n, 3 + i] });
    }
  }
  w.port({ tenant: 'u', id: 'crowd', network: 'n', mac: 'learned', at: [1, 5] });
  w.observed.learnHost(w.desired.networks.get('u/n')!.index, mac(77), { dpid: dpid(1), port: 5 });
  w.observed.learnHost(0xffffff, mac(78), { dpid: dpid(1), port: 6 });
  return w.compile();
}

describe.skipIf(why !== undefined)('compiled rules on Open vSwitch', () => {
  let ovs: PrivateOvs;
  let channels: TcpChannels;
  const w = triangle();
  /** Number in the datapath of port `no` of switch n. */
  const port = (n: number, no: number): string =>
    new RegExp(`ap${n}p${no} ${no}/(\\d+):`).exec(ovs.appctl('dpif/show'))![1]!;
  const trace = (flow: string, bridge = 'ap1'): string => {
    const lines = ovs.appctl('ofproto/trace', bridge, flow).split('\n');
    return lines.find((line) => line.startsWith('Datapath actions:'))!.slice('Datapath actions: '.length);
  };

  beforeAll(async () => {
    ovs = await PrivateOvs.start();
    channels = await TcpChannels.listen();
    ovs.addBridge('ap1', dpid(1), 8);
    ovs.addBridge('ap2', dpid(2), 8);
  });
  afterAll(async () => {
    await ovs?.stop();
    await channels?.close();
  });

  it('are all taken, read back as what was sent, and then need nothing of a second controller', async () => {
    const placements = [...w.placements()].map(({ owner, placement }) => ({
      owner,
      placement: new Map([...placement].filter(([id]) => id !== dpid(3))),
    }));
    const fill = () => {
      const { book } = makeBook({ reconcileMs: 0 });
      for (const { owner, placement } of placements) book.set(owner, placement, 1);
      return book;
    };
    const book = fill();
    const opened = [];
    for (const bridge of ['ap1', 'ap2']) {
      ovs.setController(bridge, channels.target);
      const channel = await channels.next();
      opened.push(channel);
      await book.connect(channel);
    }
    for (const n of [1, 2]) {
      await expect.poll(() => book.diff(dpid(n))).toEqual({ missing: [], unexpected: [], different: [], foreign: [] });
      expect(await book.flows(dpid(n))).toHaveLength([...w.rules(n).values()].filter((r) => r.kind === 'flow').length);
    }
    for (const { owner, placement } of placements) {
      if (placement.size > 0) expect(book.ownerStatus(owner.key)?.state).toBe('confirmed');
    }
    const again = fill();
    // Closed, not taken from the bridges: without any controller configured Open vSwitch flushes its flows.
    for (const channel of opened) channel.close();
    for (const _ of opened) expect(await again.connect(await channels.next())).toBe(0);
  });

  const from = 'in_port=1,dl_src=02:00:00:00:00:01';

  it('lead a unicast frame to its positional address and out of the shortest link', () => {
    const out = trace(`${from},dl_dst=02:00:00:00:00:02,ip,nw_src=10.0.0.1,nw_dst=10.0.0.2`);
    expect(out.replace(/^meter\(\d+\),/, '')).toBe(`set(eth(dst=06:00:02:00:00:03)),${port(1, 7)}`);
  });

  it('deliver it with its own address restored', () => {
    const arrives = 'in_port=7,dl_src=02:00:00:00:00:01,dl_dst=06:00:02:00:00:03,ip,nw_src=10.0.0.1,nw_dst=10.0.0.2';
    expect(trace(arrives, 'ap2')).toBe(`set(eth(dst=02:00:00:00:00:02)),${port(2, 1)}`);
  });

  it('restore the MAC of an IP multicast group', () => {
    const arrives = 'in_port=7,dl_src=02:00:00:00:00:01,ip,nw_dst=239.129.2.3';
    expect(trace(`${arrives},dl_dst=06:80:02:00:00:02`, 'ap2')).toContain('dst=01:00:5e:01:02:03');
    const six = 'in_port=7,dl_src=02:00:00:00:00:01,ipv6,ipv6_dst=ff02::1:ff00:1234';
    expect(trace(`${six},dl_dst=06:c0:02:00:00:02`, 'ap2')).toContain('dst=33:33:ff:00:12:34');
  });

  it('answer ARP and neighbour solicitations where they enter', () => {
    const ask = `${from},dl_dst=ff:ff:ff:ff:ff:ff,arp,arp_op=1,arp_sha=02:00:00:00:00:01,arp_spa=10.0.0.1,arp_tpa=10.0.0.2`;
    const reply = trace(ask);
    expect(reply).toContain('arp(sip=10.0.0.2,tip=10.0.0.1,op=2,sha=02:00:00:00:00:02,tha=02:00:00:00:00:01)');
    expect(reply.endsWith(`,${port(1, 1)}`)).toBe(true);
    const solicit = `${from},dl_dst=33:33:ff:00:00:02,icmp6,icmpv6_type=135,icmpv6_code=0,ipv6_src=fd00::1,ipv6_dst=ff02::1:ff00:2`;
    const answer = trace(`${solicit},nd_target=fd00::2,nd_sll=02:00:00:00:00:01`);
    expect(answer).toMatch(/ipv6\(src=fd00::2,dst=fd00::1/);
    expect(answer).toMatch(/nd\(.*tll=02:00:00:00:00:02\)/);
    expect(answer.endsWith(`,${port(1, 1)}`)).toBe(true);
  });

  it.each([
    ['another address', `${from},dl_dst=02:00:00:00:00:02,ip,nw_src=10.0.0.9`],
    ['another MAC', 'in_port=1,dl_src=02:00:00:00:00:09,dl_dst=02:00:00:00:00:02,ip,nw_src=10.0.0.1'],
    [
      'an ARP answer for somebody else',
      `${from},dl_dst=02:00:00:00:00:02,arp,arp_op=2,arp_spa=10.0.0.2,arp_sha=02:00:00:00:00:01`,
    ],
    ['a router advertisement', `${from},dl_dst=33:33:00:00:00:01,icmp6,icmpv6_type=134,ipv6_src=fe80::ff:fe00:1`],
    [
      'an advertisement of a foreign target',
      `${from},dl_dst=33:33:00:00:00:01,icmp6,icmpv6_type=136,icmpv6_code=0,ipv6_src=fd00::1,nd_target=fd00::2,nd_tll=02:00:00:00:00:01`,
    ],
  ])('drop what claims %s', (_what, flow) => {
    expect(trace(flow)).toMatch(/^(meter\(\d+\)|drop)$/);
  });

  it('keep tenants with the same addresses apart', () => {
    const other = 'in_port=2,dl_src=02:00:00:00:00:01';
    expect(trace(`${other},dl_dst=02:00:00:00:00:02,ip,nw_src=10.0.0.1,nw_dst=10.0.0.2`)).toBe(
      `set(eth(dst=06:00:02:00:00:07)),${port(1, 7)}`,
    );
    expect(trace(`${other},dl_dst=ff:ff:ff:ff:ff:ff,ip,nw_src=10.0.0.1,nw_dst=10.0.0.255`)).toBe(
      `${port(1, 4)},${port(1, 5)},set(eth(dst=06:40:02:00:00:04)),${port(1, 7)}`,
    );
  });

  it('meter what a tenant sends and what it shows to the controller', () => {
    expect(ovs.ofctl('dump-meters', 'ap1')).toMatch(/meter=131073 .*kbps/);
    expect(trace(`${from},dl_dst=02:00:00:00:00:02,ip,nw_src=10.0.0.1`)).toMatch(/^meter\(\d+\),/);
  });
});
