import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import {
  anyTagged,
  encodeMatch,
  formatFlow,
  formatInstructions,
  formatMatch,
  ipv4Prefix,
  ipv6Text,
  type Match,
  parseFlow,
  parseGroup,
  parseIpv4Text,
  parseIpv6Text,
  parseMatch,
  parseMeter,
  untagged,
  vlan,
} from '../../../../src/ofproto/index.ts';

describe('match text', () => {
  const cases: readonly (readonly [Match, string])[] = [
    [{}, ''],
    [{ inPort: 1, ethType: 0x0806, arpTpa: 0x0a00_0001 }, 'arp,in_port=1,arp_tpa=10.0.0.1'],
    [{ ethType: 0x0800, ipProto: 6, tcpDst: 80 }, 'tcp,tp_dst=80'],
    [{ ethType: 0x86dd, ipProto: 17, udpSrc: 53 }, 'udp6,tp_src=53'],
    [{ ethType: 0x0800, ipv4Dst: ipv4Prefix(0x0a00_0000, 8)! }, 'ip,nw_dst=10.0.0.0/8'],
    [{ vlanVid: vlan(100) }, 'dl_vlan=100'],
    [{ vlanVid: anyTagged }, 'vlan_tci=0x1000/0x1000'],
    [{ vlanVid: untagged }, 'vlan_tci=0x0000/0x1fff'],
    [{ vlanVid: anyTagged, vlanPcp: 5 }, 'dl_vlan_pcp=5'],
    [{ inPort: 0xffff_fffe, metadata: { value: 7n, mask: 0xffff_ffffn } }, 'metadata=0x7/0xffffffff,in_port=LOCAL'],
    [{ ethDst: { value: 0x0100_0000_0000, mask: 0x0100_0000_0000 } }, 'dl_dst=01:00:00:00:00:00/01:00:00:00:00:00'],
    [{ ethType: 0x88cc }, 'dl_type=0x88cc'],
  ];
  it.each(cases)('of %o is "%s", and back', (match, text) => {
    expect(formatMatch(match)).toBe(text);
    expect(encodeMatch(parseMatch(text))).toEqual(encodeMatch(match));
  });

  it('refuses what means nothing', () => {
    expect(() => parseMatch('tp_dst=80')).toThrow(/protocol/);
    expect(() => parseMatch('colour=red')).toThrow(/no field/);
    expect(() => parseMatch('in_port=1,in_port=2')).toThrow(/twice/);
    expect(() => parseMatch('ip,nw_src=10.0.0.256')).toThrow(/ipv4Src/);
    expect(() => parseMatch('ip,nw_src=10.0.0.0/33')).toThrow(/prefix/);
    expect(() => parseMatch('dl_vlan=5000')).toThrow(/VLAN/);
    expect(() => parseMatch('ct_state=+est-est')).toThrow(/twice/);
  });
});

describe('flow text', () => {
  it('reads like dump-flows, with names of tables when there are some', () => {
    const flow = {
      cookie: 0x4e4c_0001_0000_0007n,
      durationSec: 4,
      durationNsec: 205_000_000,
      tableId: 3,
      packetCount: 12n,
      byteCount: 504n,
      idleTimeout: 300,
      hardTimeout: 0,
      flags: 1,
      priority: 100,
      match: { ethType: 0x0806, inPort: 1 },
      instructions: [
        { type: 'gotoTable' as const, tableId: 4 },
        { type: 'writeMetadata' as const, metadata: 7n, mask: 0xffff_ffffn },
        { type: 'meter' as const, meterId: 2 },
      ],
    };
    const head = 'cookie=0x4e4c000100000007, duration=4.205s, table=';
    const rest =
      ', n_packets=12, n_bytes=504, idle_timeout=300, send_flow_rem priority=100,arp,in_port=1 actions=meter:2,write_metadata:0x7/0xffffffff,goto_table:';
    expect(formatFlow(flow)).toBe(`${head}3${rest}4`);
    const tables = ['classify', 'admit', 'learn', 'respond', 'to switch'];
    const names = { tableName: (id: number) => tables[id], tableId: (name: string) => tables.indexOf(name) };
    const named = formatFlow(flow, names);
    expect(named).toBe(`${head}respond${rest}"to switch"`);
    expect(parseFlow(named, names)).toEqual(parseFlow(formatFlow(flow)));
  });

  it('of no instructions is drop', () => {
    expect(formatInstructions([])).toBe('drop');
    expect(formatFlow({ match: {}, instructions: [{ type: 'applyActions', actions: [] }] })).toBe('actions=drop');
    expect(parseFlow('actions=drop')).toEqual({ match: [], instructions: [] });
  });

  it('names what it cannot read', () => {
    expect(() => parseFlow('priority=1')).toThrow(/no actions=/);
    expect(() => parseFlow('priority=65536 actions=drop')).toThrow(/65536/);
    expect(() => parseFlow('actions=outptu:1')).toThrow(/outptu/);
    expect(() => parseFlow('actions=clone(output:1')).toThrow(/without its \)/);
    expect(() => parseFlow('actions=load:0x10->NXM_NX_REG0[0..3]')).toThrow(/4 bits/);
  });
});

describe('group and meter text', () => {
  it('is read as add-group and add-meter take it', () => {
    expect(
      parseGroup('group_id=2,type=ff,bucket=watch_port:1,actions=output:1,bucket=watch_group:3,actions=group:3'),
    ).toEqual({
      groupId: 2,
      groupType: 3,
      buckets: [
        { weight: 0, watchPort: 1, watchGroup: 0xffff_ffff, actions: [{ type: 'output', port: 1, maxLen: 0 }] },
        { weight: 0, watchPort: 0xffff_ffff, watchGroup: 3, actions: [{ type: 'group', groupId: 3 }] },
      ],
    });
    expect(parseMeter('meter=1,kbps,burst,bands=type=drop,rate=500,burst_size=10')).toEqual({
      meterId: 1,
      flags: 5,
      bands: [{ type: 'drop', rate: 500, burstSize: 10 }],
    });
    expect(() => parseGroup('group_id=2,bucket=actions=drop')).toThrow(/needs/);
    expect(() => parseMeter('kbps bands=')).toThrow(/needs meter/);
  });
});

describe('address text', () => {
  it('shortens IPv6 as RFC 5952 says', () => {
    for (const text of [
      '::',
      '::1',
      'fe80::1',
      '2001:db8::1:0:0:1',
      '1:0:0:2::3',
      '1:0:2:3:4:5:6:7',
      '::ffff:1.2.3.4',
      '1::',
    ])
      expect(ipv6Text(parseIpv6Text(text)!)).toBe(text);
    for (const text of ['', ':', ':::', '1::2::3', '1:2:3:4:5:6:7', '12345::', '1:2:3:4:5:6:7:8:9', '::1%eth0', 'g::'])
      expect(parseIpv6Text(text)).toBeUndefined();
  });

  it('takes no IPv4 that two readers could read in two ways', () => {
    expect(parseIpv4Text('10.0.0.1')).toBe(0x0a00_0001);
    for (const text of ['010.0.0.1', '10.1', '0x0a.0.0.1', '1.2.3.4.5', '256.0.0.1', '1.2.3.'])
      expect(parseIpv4Text(text)).toBeUndefined();
  });
});

/** Flows of the kinds that controllers write, all fit for Open vSwitch. */
const valid = [
  'table=3, priority=100,arp,in_port=1,arp_tpa=10.0.0.1,arp_op=1 actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:02:00:00:00:00:09->eth_src,set_field:2->arp_op,move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],set_field:02:00:00:00:00:09->arp_sha,set_field:10.0.0.1->arp_spa,IN_PORT',
  'table=3, icmp6,icmp_type=136,icmp_code=0,nd_reserved=1,nd_options_type=2 actions=set_field:2->nd_options_type,set_field:1610612736->nd_reserved,set_field:02:00:00:00:00:09->nd_tll,IN_PORT',
  'ct_state=+trk,tcp actions=ct(commit,table=4,zone=5,nat(src=1.2.3.4-1.2.3.9:5-6,hash),exec(set_field:0x1->ct_mark),alg=ftp)',
  'ipv6 actions=ct(commit,nat(dst=[fe80::1]-[fe80::5]:5))',
  'priority=0 actions=CONTROLLER:128',
  'table=4, priority=200,dl_dst=06:00:01:00:00:00/ff:3f:ff:00:00:00 actions=group:268435457',
  'reg0=0,tun_id=0,tun_dst=0.0.0.0,metadata=0 actions=set_field:0->reg0,load:0->NXM_NX_REG1[],write_metadata:0',
  'priority=7,ip,nw_src=10.0.0.0/8,nw_tos=40,nw_ecn=1,nw_frag=not_later actions=dec_ttl,output:2',
  'in_port=CONTROLLER actions=bundle(nw_src,0,hrw,ofport,members:LOCAL,3),ALL,TABLE,NORMAL,FLOOD,LOCAL',
  'arp,arp_sha=01:00:00:00:00:00/01:00:00:00:00:00 actions=set_queue:4,output:3,pop_queue',
  'in_port=1 actions=meter:5,clone(output:1,clone(output:2)),clear_actions,write_actions(set_field:0x4->metadata,output:4)',
  'table=1, dl_vlan=100,dl_vlan_pcp=3 actions=learn(table=10,hard_timeout=300,priority=10,cookie=0xab,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],output:NXM_OF_IN_PORT[])',
] as const;

const ofctl = ((): boolean => {
  try {
    execFileSync('ovs-ofctl', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    console.log('skipped: flow text against Open vSwitch, because ovs-ofctl is not installed');
    return false;
  }
})();

describe('flow text of controllers', () => {
  it.each(valid)('%s is read and written unchanged', (text) => {
    expect(formatFlow(parseFlow(text))).toBe(text);
  });

  it.skipIf(!ofctl).each(valid)('%s is what Open vSwitch prints when it reads it', (text) => {
    const input = text.replace(', ', ',').replace(' actions', ',actions').replace(/^,/, '');
    const print = execFileSync('ovs-ofctl', ['-O', 'OpenFlow13', 'parse-flow', input], { encoding: 'utf8' });
    const [, table, flow] = /\(xid=0x\w+\): ADD (?:table:(\d+) )?(.*)/.exec(print)!;
    expect(table === undefined ? flow : `table=${table}, ${flow}`).toBe(text);
  });
});
