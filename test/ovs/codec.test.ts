import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type Action,
  anyTagged,
  decodeMessage,
  encodeMessage,
  Group,
  ipv4Prefix,
  listOf,
  type Match,
  type Message,
  matchOf,
  Port,
  untagged,
  version13,
  vlan,
  vlanId,
} from '../../src/ofproto/index.ts';
import { PrivateOvs, whyNoPrivateOvs } from '../kit/private-ovs.ts';
import { type TcpChannel, TcpChannels } from '../kit/tcp-channel.ts';

/** What we encode, as Open vSwitch understands it; what it holds, as we read it back. */

const why = whyNoPrivateOvs();
if (why) console.log(`skipped: the codec against Open vSwitch: ${why}`);

const any = 0xffff_ffff;
const flow = (match: Match, actions: readonly Action[], more: object = {}): Message => ({
  type: 'flowMod',
  version: version13,
  xid: 0,
  cookie: 0n,
  cookieMask: 0n,
  tableId: 0,
  command: 0,
  idleTimeout: 0,
  hardTimeout: 0,
  priority: 10,
  bufferId: any,
  outPort: Port.any,
  outGroup: Group.any,
  flags: 0,
  match: listOf(match),
  instructions: actions.length > 0 ? [{ type: 'applyActions', actions }] : [],
  ...more,
});

describe.skipIf(why !== undefined)('Open vSwitch', () => {
  let ovs: PrivateOvs;
  let channels: TcpChannels;
  let channel: TcpChannel;
  const errors: string[] = [];

  beforeAll(async () => {
    ovs = await PrivateOvs.start();
    channels = await TcpChannels.listen();
    ovs.addBridge('cd1', '00000000000000cd', 3);
    ovs.setController('cd1', channels.target);
    channel = await channels.next();
    channel.watchErrors(1, 0x7fff_ffff, (_xid, type, code) => errors.push(`${type}/${code}`));
  });
  afterAll(async () => {
    await ovs?.stop();
    await channels?.close();
  });
  beforeEach(() => {
    errors.length = 0;
    ovs.ofctl('del-flows', 'cd1');
  });

  async function send(...messages: readonly Message[]): Promise<void> {
    for (const message of messages) channel.write(encodeMessage({ ...message, xid: channel.nextXid() }));
    await channel.barrier();
  }
  const dump = (): string[] =>
    ovs
      .ofctl('--no-stats', 'dump-flows', 'cd1')
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line.includes('actions='));
  async function readBack(): Promise<Match[]> {
    const request = { tableId: 255, outPort: Port.any, outGroup: Group.any, cookie: 0n, cookieMask: 0n, match: [] };
    const pieces = await channel.request(
      encodeMessage({ type: 'multipartRequest', version: version13, xid: 0, mp: 'flow', flags: 0, ...request }),
    );
    return pieces.flatMap((piece) => {
      const reply = decodeMessage(piece, 0, piece.length);
      return reply.type === 'multipartReply' && reply.mp === 'flow'
        ? reply.flows.map(({ match }) => matchOf(match))
        : [];
    });
  }

  it.each([
    ['VLAN 100', { vlanVid: vlan(100) }, 'dl_vlan=100'],
    ['any tagged frame', { vlanVid: anyTagged }, 'vlan_tci=0x1000/0x1000'],
    ['untagged frames', { vlanVid: untagged }, 'vlan_tci=0x0000'],
  ] as const)('matches %s as we mean it (FC-03)', async (_, match, shown) => {
    await send(flow(match, []));
    expect(errors).toEqual([]);
    expect(dump()[0]).toContain(shown);
    expect(await readBack()).toEqual([match]);
  });

  it('sets VLAN 100, and 100 is read back, not 4196 (FC-03)', async () => {
    await send(flow({ vlanVid: anyTagged }, [{ type: 'setField', field: 'vlanVid', value: vlan(100) }]));
    expect(errors).toEqual([]);
    expect(dump()[0]).toMatch(/actions=(set_field:4196->vlan_vid|mod_vlan_vid:100)/);
    await send(flow({ vlanVid: vlan(100) }, [], { priority: 11 }));
    const found = (await readBack()).find(({ vlanVid }) => typeof vlanVid === 'number');
    expect(vlanId(found!.vlanVid as number)).toBe(100);
  });

  it.each([
    [0, 0, 'ip'],
    [1, 0x8000_0000, 'nw_dst=128.0.0.0/1'],
    [8, 0xc800_0000, 'nw_dst=200.0.0.0/8'],
    [31, 0xc801_0202, 'nw_dst=200.1.2.2/31'],
    [32, 0xc801_0203, 'nw_dst=200.1.2.3'],
  ])('takes an IPv4 prefix of length %i (FC-04)', async (length, address, shown) => {
    const ipv4Dst = ipv4Prefix(address, length);
    await send(flow({ ethType: 0x800, ...(ipv4Dst === undefined ? {} : { ipv4Dst }) }, []));
    expect(errors).toEqual([]);
    expect(dump()[0]).toContain(shown);
    if (length === 0) expect(dump()[0]).not.toContain('nw_dst');
  });

  it('outputs to reserved ports by their names (FC-06)', async () => {
    const to = [Port.local, Port.controller, Port.inPort, Port.flood];
    await send(
      flow(
        {},
        to.map((port): Action => ({ type: 'output', port, maxLen: 0xffff })),
      ),
    );
    expect(errors).toEqual([]);
    expect(dump()[0]).toMatch(/actions=LOCAL,CONTROLLER:65535,IN_PORT,FLOOD$/);
  });

  it('refuses output to 65534, which is no LOCAL on OpenFlow 1.3, and says so to us (FC-06)', async () => {
    await send(flow({}, [{ type: 'output', port: 65_534, maxLen: 0 }]));
    expect(errors).toEqual(['2/4']);
    expect(dump()).toEqual([]);
  });

  it('deletes all flows of all tables when a delete filters by nothing, none when it filters by port 0 (FC-06)', async () => {
    await send(flow({ inPort: 1 }, []), flow({ inPort: 2 }, [], { tableId: 7 }));
    await send(flow({}, [], { command: 3, tableId: 255, outPort: 0, outGroup: 0 }));
    expect(dump()).toHaveLength(2);
    await send(flow({}, [], { command: 3, tableId: 255 }));
    expect(dump()).toEqual([]);
  });
});
