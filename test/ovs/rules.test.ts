import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  bits,
  decTtl,
  GroupId,
  group,
  inPort,
  load,
  meter,
  meterBy,
  move,
  next,
  output,
  Priority,
  pipeline,
  type Rule,
  rule,
  set,
  state,
  toController,
  toGroup,
  write,
} from '../../src/controller/rules/index.ts';
import { FlowModFlag, vlan } from '../../src/ofproto/index.ts';
import { PrivateOvs, whyNoPrivateOvs } from '../kit/private-ovs.ts';
import { TcpChannels } from '../kit/tcp-channel.ts';
import { dpid, makeBook, owner, turns, unicast } from '../unit/rules/kit.ts';

const why = whyNoPrivateOvs();
if (why) console.log(`skipped: rules against Open vSwitch: ${why}`);

const one = dpid(0x51);

/** One of everything that compilers may state. */
function everything(): Rule[] {
  const solicitation = { ethType: 0x86dd, ipProto: 58, icmpv6Type: 135, network: 7 };
  return [
    meter({ id: 3, unit: 'pktps', rate: 100, burst: 20 }),
    meter({ id: 0x20001, unit: 'kbps', rate: 5000 }),
    group({ id: GroupId.hop(2), type: 'indirect', buckets: [{ actions: [output(1)] }] }),
    group({
      id: GroupId.hop(3),
      type: 'select',
      buckets: [
        { watchPort: 1, actions: [output(1)] },
        { watchPort: 2, weight: 3, actions: [output(2)] },
      ],
    }),
    group({
      id: GroupId.hop(4),
      type: 'fastFailover',
      buckets: [
        { watchPort: 1, actions: [output(1)] },
        { watchPort: 2, actions: [output(2)] },
      ],
    }),
    group({ id: GroupId.local(7), type: 'all', buckets: [{ actions: [output(3)] }, { actions: [output(4)] }] }),
    group({
      id: GroupId.broadcast(7),
      type: 'all',
      buckets: [
        { actions: [toGroup(GroupId.local(7))] },
        { actions: [set('ethDst', 0x064002000007), toGroup(GroupId.hop(2))] },
      ],
    }),
    group({ id: GroupId.local(8), type: 'all', buckets: [] }),
    rule(pipeline.classify, {
      priority: Priority.exact,
      match: { inPort: 3 },
      do: [meterBy(0x20001), write(state.network, 7), write(state.endpoint, 12), next(pipeline.admit)],
    }),
    rule(pipeline.classify, {
      priority: Priority.control,
      match: { inPort: 1, ethType: 0x88cc, ethDst: 0x0180c200000e },
      do: [meterBy(3), toController(512)],
    }),
    rule(pipeline.classify, {
      priority: Priority.exact,
      match: { inPort: 1, vlanVid: vlan(5) },
      do: [next(pipeline.transit)],
    }),
    rule(pipeline.admit, {
      priority: Priority.exact,
      match: {
        network: 7,
        endpoint: 12,
        ethSrc: 0x020000000001,
        ethType: 0x0806,
        arpSpa: 0x0a000001,
        arpSha: 0x020000000001,
      },
      do: [next(pipeline.respond)],
    }),
    rule(pipeline.admit, {
      priority: Priority.masked,
      match: { endpoint: 12, ethType: 0x0800, ipv4Src: { value: 0x0a000000, mask: 0xff000000 } },
      do: [next(pipeline.respond)],
    }),
    rule(pipeline.admit, {
      priority: Priority.deny,
      match: { endpoint: 12, ethType: 0x86dd, ipProto: 17, udpSrc: 547, ipv6Src: 0xfe800000000000000000000000000001n },
      do: [],
    }),
    rule(pipeline.learn, {
      priority: Priority.exact,
      match: { network: 7, inPort: 4, ethSrc: 0x020000000002 },
      do: [next(pipeline.respond)],
      idleTimeout: 300,
      flags: FlowModFlag.sendFlowRemoved,
    }),
    rule(pipeline.learn, { priority: Priority.punt, match: {}, do: [meterBy(3), toController()] }),
    rule(pipeline.respond, {
      priority: Priority.exact,
      match: { network: 7, ethType: 0x0806, arpOp: 1, arpTpa: 0x0a000001 },
      do: [
        move('ethSrc', 'ethDst'),
        set('ethSrc', 0x020000000001),
        set('arpOp', 2),
        move('arpSha', 'arpTha'),
        move('arpSpa', 'arpTpa'),
        set('arpSha', 0x020000000001),
        set('arpSpa', 0x0a000001),
        inPort,
      ],
    }),
    rule(pipeline.respond, {
      priority: Priority.exact,
      match: { ...solicitation, ipv6NdTarget: 0xfd000000000000000000000000000001n },
      do: [
        move('ethSrc', 'ethDst'),
        set('ethSrc', 0x020000000001),
        move('ipv6Src', 'ipv6Dst'),
        set('ipv6Src', 0xfd000000000000000000000000000001n),
        set('icmpv6Type', 136),
        next(pipeline.advertise),
      ],
    }),
    rule(pipeline.advertise, {
      priority: Priority.exact,
      match: { ethType: 0x86dd, ipProto: 58, icmpv6Type: 136 },
      do: [set('ndOptionsType', 2), set('ndReserved', 0x60000000), move('ethSrc', 'ipv6NdTll'), inPort],
    }),
    rule(pipeline.switch, {
      priority: Priority.exception,
      match: { network: 7, ethType: 0x86dd, ethDst: 0x020000000003 },
      do: [decTtl, output(2)],
    }),
    rule(pipeline.respond, { priority: Priority.passThrough, match: {}, do: [next(pipeline.switch)] }),
    rule(pipeline.switch, {
      priority: Priority.exact,
      match: { network: 7, ethDst: 0x020000000003 },
      do: [set('ethDst', 0x060002000003), toGroup(GroupId.hop(2))],
    }),
    rule(pipeline.switch, {
      priority: Priority.masked,
      match: { network: 7, ethDst: { value: 0x010000000000, mask: 0x010000000000 } },
      do: [toGroup(GroupId.broadcast(7))],
    }),
    rule(pipeline.transit, {
      priority: Priority.masked,
      match: { ethDst: { value: 0x060002000000, mask: 0xff3fff000000 } },
      do: [toGroup(GroupId.hop(3))],
    }),
    rule(pipeline.deliver, {
      priority: Priority.masked,
      match: { ethType: 0x0800, ethDst: 0x068001000007 },
      do: [
        set('ethDst', 0x01005e000000),
        move(bits('ipv4Dst', 0, 23), bits('ethDst', 0, 23)),
        toGroup(GroupId.local(7)),
      ],
    }),
    rule(pipeline.deliver, {
      priority: Priority.masked,
      match: { ethType: 0x86dd, ethDst: 0x06c001000007 },
      do: [
        set('ethDst', 0x333300000000),
        move(bits('ipv6Dst', 0, 32), bits('ethDst', 0, 32)),
        load(bits('ethDst', 40, 8), 0x33),
        toGroup(GroupId.local(7)),
      ],
    }),
  ];
}

describe.skipIf(why !== undefined)('rules on Open vSwitch', () => {
  let ovs: PrivateOvs;
  let channels: TcpChannels;

  beforeAll(async () => {
    ovs = await PrivateOvs.start();
    channels = await TcpChannels.listen();
    ovs.addBridge('br0', one, 4);
    ovs.setController('br0', channels.target);
  });
  afterAll(async () => {
    await channels?.close();
    await ovs?.stop();
  });

  it('are taken in one bundle and read back as what was sent, so that a second controller sends nothing', async () => {
    const channel = await channels.next();
    const { book } = makeBook({ reconcileMs: 0 });
    await book.connect(channel);
    book.set(owner(1), new Map([[one, everything()]]), 1);
    book.flush();
    await turns();
    await expect.poll(() => book.ownerStatus(owner(1).key)?.state).toBe('confirmed');
    expect(await book.diff(one)).toEqual({ missing: [], unexpected: [], different: [], foreign: [] });
    expect(await book.reconcile(one)).toEqual({ missing: 0, unexpected: 0, different: 0 });
    expect(await book.flows(one)).toHaveLength(everything().filter(({ kind }) => kind === 'flow').length);
    expect(await book.groups(one)).toHaveLength(6);
    expect(await book.meters(one)).toHaveLength(2);

    channel.close();
    const again = await channels.next();
    const { book: restarted } = makeBook({ reconcileMs: 0 });
    restarted.set(owner(1), new Map([[one, everything()]]), 1);
    expect(await restarted.connect(again)).toBe(0);
    again.close();
  });

  it('that the switch refuses leave nothing of their bundle, and the rest arrives by the next', async () => {
    const channel = await channels.next();
    const { book } = makeBook({ reconcileMs: 0 });
    await book.connect(channel);
    expect(ovs.ofctl('dump-flows', 'br0')).not.toMatch(/cookie/);
    // A group that is not there: the switch refuses the flow.
    const lost = rule(pipeline.switch, {
      priority: Priority.exact,
      match: { network: 1, ethDst: 9 },
      do: [toGroup(GroupId.hop(99))],
    });
    book.set(owner(1), new Map([[one, [unicast(1, 1), lost, unicast(2, 2)]]]), 1);
    book.flush();
    await expect.poll(() => book.ownerStatus(owner(1).key)?.state).toBe('failed');
    expect(book.ownerStatus(owner(1).key)?.switches[0]?.failures).toMatchObject([
      { type: 'OFPET_BAD_ACTION', error: 'OFPBAC_BAD_OUT_GROUP' },
    ]);
    expect(await book.flows(one)).toHaveLength(2);
    channel.close();
  });

  it('of others stay, and what others delete of ours comes back', async () => {
    const channel = await channels.next();
    ovs.ofctl('add-flow', 'br0', 'table=0,priority=9,in_port=4,cookie=0x77,actions=drop');
    ovs.ofctl('add-group', 'br0', 'group_id=5,type=all,bucket=output:1');
    const { book } = makeBook({ reconcileMs: 0 });
    await book.connect(channel);
    const flagged = rule(pipeline.learn, {
      priority: Priority.exact,
      match: { inPort: 1 },
      do: [next(pipeline.respond)],
      flags: FlowModFlag.sendFlowRemoved,
    });
    book.set(owner(1), new Map([[one, [flagged, unicast(1, 1)]]]), 1);
    book.flush();
    await expect.poll(() => book.ownerStatus(owner(1).key)?.state).toBe('confirmed');
    ovs.ofctl('--strict', 'del-flows', 'br0', 'table=5,priority=300,metadata=0x1/0xffffffff,dl_dst=00:00:00:00:00:01');
    expect(await book.reconcile(one)).toEqual({ missing: 1, unexpected: 0, different: 0 });
    await expect.poll(() => book.ownerStatus(owner(1).key)?.state).toBe('confirmed');
    book.remove(owner(1).key);
    book.flush();
    await expect.poll(() => book.ownerStatus(owner(1).key)).toBeUndefined();
    expect(await book.flows(one)).toMatchObject([{ origin: 'foreign', cookie: '0x0000000000000077' }]);
    expect(await book.groups(one)).toMatchObject([{ groupId: 5, origin: 'foreign' }]);
    channel.close();
  });
});
