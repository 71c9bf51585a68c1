import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodePacket,
  encodePacket,
  type FlowKey,
  type FrameField,
  flowKey,
  setFrameField,
} from '../../src/ofproto/packet/index.ts';
import { frames, pcapOf } from '../kit/frames.ts';

const seed = 20_261;

describe('packets', () => {
  it('decode of encode gives the bytes back, nothing odd in them, whole or padded', () => {
    fc.assert(
      fc.property(frames(), fc.integer({ min: 0, max: 20 }), (packet, padding) => {
        const bytes = encodePacket(padding === 0 ? packet : { ...packet, trailer: Buffer.alloc(padding, 0x55) });
        const again = decodePacket(bytes, 0, bytes.length);
        expect(encodePacket(again)).toEqual(bytes);
        expect(again.truncated).toBeUndefined();
        expect(again.layers.some((layer) => 'checksum' in layer)).toBe(false);
        expect(again.layers.map((layer) => layer.kind).slice(0, packet.layers.length)).toEqual(
          packet.layers.map((layer) => layer.kind),
        );
      }),
      { seed, numRuns: 300 },
    );
  });

  it('setting any field of a frame changes that field alone and leaves every checksum right', () => {
    fc.assert(
      fc.property(frames(1), fc.nat(), fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), (packet, pick, random) => {
        const bytes = encodePacket(packet);
        const before = flowKey(bytes, 0, bytes.length);
        // These decide what the rest of the frame is, so other fields come and go with them.
        const shape = new Set<string>([
          'ethType',
          'vlanVid',
          'ipProto',
          'ipFrag',
          'icmpv6Type',
          'icmpv6Code',
          'ndOptionsType',
        ]);
        const settable = (Object.keys(before) as FrameField[]).filter((f) => !shape.has(f) && before[f] !== undefined);
        const field = settable[pick % settable.length]!;
        const value = fitted(field, random);
        const after = setFrameField(bytes, field, value as never);
        const isOption = field === 'ipv6NdSll' || field === 'ipv6NdTll';
        if (!isOption || before.ndOptionsType !== 0)
          expect(flowKey(after, 0, after.length)).toEqual(
            optionless(before, field) ? before : { ...before, [field]: value },
          );
        expect(decodePacket(after, 0, after.length).layers.filter((layer) => 'checksum' in layer)).toEqual([]);
      }),
      { seed, numRuns: 500 },
    );
  });
});

/** The source option is a field of solicitations, the target option of advertisements; a frame may have the other one. */
function optionless(key: FlowKey, field: FrameField): boolean {
  return (field === 'ipv6NdSll' && key.ndOptionsType !== 1) || (field === 'ipv6NdTll' && key.ndOptionsType !== 2);
}

const widths: Partial<Record<FrameField, number>> = {
  vlanPcp: 3,
  arpOp: 16,
  arpSpa: 32,
  arpTpa: 32,
  ipv4Src: 32,
  ipv4Dst: 32,
  ipv6Flabel: 20,
  ipDscp: 6,
  ipEcn: 2,
  ipTtl: 8,
  tcpSrc: 16,
  tcpDst: 16,
  tcpFlags: 12,
  udpSrc: 16,
  udpDst: 16,
  icmpv4Type: 8,
  icmpv4Code: 8,
  ndReserved: 32,
};

function fitted(field: FrameField, random: bigint): number | bigint {
  if (field === 'ipv6Src' || field === 'ipv6Dst' || field === 'ipv6NdTarget') return random;
  return Number(random & ((1n << BigInt(widths[field] ?? 48)) - 1n));
}

const ofctl = ((): boolean => {
  try {
    execFileSync('ovs-ofctl', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    console.log('skipped: flow keys against Open vSwitch, because ovs-ofctl is not installed');
    return false;
  }
})();

describe.skipIf(!ofctl)('flow keys', () => {
  it('are what Open vSwitch extracts from the same frames', () => {
    const list = fc.sample(frames(1), { seed, numRuns: 400 }).map((packet) => encodePacket(packet));
    const folder = mkdtempSync(join(tmpdir(), 'netloom-pcap-'));
    try {
      const file = join(folder, 'frames.pcap');
      writeFileSync(file, pcapOf(list));
      const lines = execFileSync('ovs-ofctl', ['parse-pcap', file], { encoding: 'utf8' }).trim().split('\n');
      expect(lines.length).toBe(list.length);
      const ours = list.map((frame) => textOf(flowKey(frame, 0, frame.length, 2)));
      const theirs = lines.map((line) => tokensOf(line));
      for (let i = 0; i < list.length; i++) expect(ours[i], list[i]!.toString('hex')).toEqual(theirs[i]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

const short: Record<string, [number, number]> = {
  ip: [0x0800, -1],
  arp: [0x0806, -1],
  rarp: [0x8035, -1],
  ipv6: [0x86dd, -1],
  tcp: [0x0800, 6],
  udp: [0x0800, 17],
  icmp: [0x0800, 1],
  tcp6: [0x86dd, 6],
  udp6: [0x86dd, 17],
  icmp6: [0x86dd, 58],
  sctp: [0x0800, 132],
  sctp6: [0x86dd, 132],
};
const flags = ['fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ece', 'cwr', 'ns'];

/** Open vSwitch's text as a map of plain tokens, its shorthands spelled out. */
function tokensOf(line: string): Record<string, string> {
  const out: Record<string, string> = {};
  for (const token of line.split(',')) {
    const [name, value] = token.split('=') as [string, string | undefined];
    if (value === undefined) {
      const [type, proto] = short[name]!;
      out['ethType'] = String(type);
      if (proto >= 0) out['ipProto'] = String(proto);
    } else if (name !== 'in_port' && name !== 'vlan_tci1') out[name] = value;
  }
  // Open vSwitch keeps room for both options in either message; only one of them can be matched in each.
  if (out['icmp_type'] === '135') delete out['nd_tll'];
  if (out['icmp_type'] === '136') delete out['nd_sll'];
  return out;
}

const mac = (value: number): string =>
  value
    .toString(16)
    .padStart(12, '0')
    .replace(/..(?!$)/g, '$&:');
const ipv4 = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join('.');

function ipv6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1);
}

/** Our key in the same tokens. */
function textOf(key: FlowKey): Record<string, string> {
  const out: Record<string, string> = {};
  const say = (name: string, value: unknown): void => {
    if (value !== undefined) out[name] = String(value);
  };
  const say48 = (name: string, value: number | undefined): void =>
    say(name, value === undefined ? undefined : mac(value));
  const say4 = (name: string, value: number | undefined): void =>
    say(name, value === undefined ? undefined : ipv4(value));
  const say6 = (name: string, value: bigint | undefined): void =>
    say(name, value === undefined ? undefined : ipv6(value));
  say48('dl_src', key.ethSrc);
  say48('dl_dst', key.ethDst);
  say('ethType', key.ethType);
  if (key.vlanVid === 0) say('vlan_tci', '0x0000');
  else {
    say('dl_vlan', key.vlanVid! & 0xfff);
    say('dl_vlan_pcp', key.vlanPcp);
  }
  say('arp_op', key.arpOp);
  say4('arp_spa', key.arpSpa);
  say4('arp_tpa', key.arpTpa);
  say48('arp_sha', key.arpSha);
  say48('arp_tha', key.arpTha);
  say4('nw_src', key.ipv4Src);
  say4('nw_dst', key.ipv4Dst);
  say6('ipv6_src', key.ipv6Src);
  say6('ipv6_dst', key.ipv6Dst);
  say('ipv6_label', key.ipv6Flabel === undefined ? undefined : `0x${key.ipv6Flabel.toString(16).padStart(5, '0')}`);
  say('nw_tos', key.ipDscp === undefined ? undefined : key.ipDscp << 2);
  say('nw_ecn', key.ipEcn);
  say('nw_ttl', key.ipTtl);
  say('ipProto', key.ipProto);
  say('nw_frag', key.ipFrag === undefined ? undefined : ['no', 'first', '', 'later'][key.ipFrag]);
  say('tp_src', key.tcpSrc ?? key.udpSrc);
  say('tp_dst', key.tcpDst ?? key.udpDst);
  if (key.tcpFlags !== undefined) {
    const names = flags.filter((_, bit) => (key.tcpFlags! & (1 << bit)) !== 0);
    for (const bit of [9, 10, 11]) if ((key.tcpFlags & (1 << bit)) !== 0) names.push(`[${(1 << bit).toString(16)}]`);
    say('tcp_flags', names.length === 0 ? '0' : names.join('|'));
  }
  say('icmp_type', key.icmpv4Type ?? key.icmpv6Type);
  say('icmp_code', key.icmpv4Code ?? key.icmpv6Code);
  say6('nd_target', key.ipv6NdTarget);
  if (key.ipv6NdTarget !== undefined) {
    say48('nd_sll', key.ipv6NdSll);
    say48('nd_tll', key.ipv6NdTll);
  }
  return out;
}
