import { Experimenter } from './constants.ts';

/** OXM classes (high 16 bits of an OXM header). */
export const OxmClass = {
  nxm0: 0x0000,
  nxm1: 0x0001,
  /** Ericsson's fields for IPv6 ND as Open vSwitch has them. */
  ericsson: 0x1000,
  basic: 0x8000,
  packetRegs: 0x8001,
  experimenter: 0xffff,
} as const;

/** How a value reads: in text, JSON and documentation. */
export type FieldFormat =
  | 'decimal'
  | 'hex'
  | 'port'
  | 'port16'
  | 'mac'
  | 'ipv4'
  | 'ipv6'
  | 'vlanVid'
  | 'tcpFlags'
  | 'ctState'
  | 'ipFrag'
  | 'tunFlags'
  | 'packetType'
  | 'bytes';

/** What must also be matched before a field means anything, OpenFlow 1.3.5 §7.2.3.8 and ovs-fields(7). */
export type Prerequisite =
  | 'none'
  | 'inPort'
  | 'vlan'
  | 'ip'
  | 'ipv4'
  | 'ipv6'
  | 'arp'
  | 'mpls'
  | 'pbb'
  | 'nsh'
  | 'tcp'
  | 'udp'
  | 'sctp'
  | 'icmpv4'
  | 'icmpv6'
  | 'nd'
  | 'ndSolicit'
  | 'ndAdvert'
  | 'ct'
  | 'ctIpv6';

type Row = readonly [
  oxmClass: number,
  field: number,
  bits: number,
  format: FieldFormat,
  ovs: string,
  needs: Prerequisite,
  maskable: 0 | 1,
  more?: {
    readonly experimenter?: number;
    readonly aliasOf?: string;
    readonly bytes?: number;
    readonly names?: readonly string[];
    readonly readOnly?: true;
  },
];

const basic = OxmClass.basic;
const nxm0 = OxmClass.nxm0;
const nxm1 = OxmClass.nxm1;
const exp = OxmClass.experimenter;
const nsh = { experimenter: Experimenter.nsh };
const et = { experimenter: Experimenter.nicira };

/*
 * The one table of match fields. Name → class, field, bits, format, name in Open vSwitch's flow text, prerequisite,
 * maskable (as Open vSwitch accepts it). `bytes` where the wire takes more than the bits need; `names` are other words
 * that ovs-ofctl accepts; `aliasOf` marks another wire form of a field listed before it.
 */
const rows = {
  inPort: [basic, 0, 32, 'port', 'in_port', 'none', 0],
  inPhyPort: [basic, 1, 32, 'port', 'in_phy_port', 'inPort', 0, { readOnly: true }],
  metadata: [basic, 2, 64, 'hex', 'metadata', 'none', 1],
  ethDst: [basic, 3, 48, 'mac', 'dl_dst', 'none', 1, { names: ['eth_dst'] }],
  ethSrc: [basic, 4, 48, 'mac', 'dl_src', 'none', 1, { names: ['eth_src'] }],
  ethType: [basic, 5, 16, 'hex', 'dl_type', 'none', 0, { names: ['eth_type'], readOnly: true }],
  vlanVid: [basic, 6, 13, 'vlanVid', 'vlan_vid', 'none', 1, { names: ['dl_vlan'] }],
  vlanPcp: [basic, 7, 3, 'decimal', 'dl_vlan_pcp', 'vlan', 0, { names: ['vlan_pcp'] }],
  ipDscp: [basic, 8, 6, 'decimal', 'ip_dscp', 'ip', 0],
  ipEcn: [basic, 9, 2, 'decimal', 'nw_ecn', 'ip', 0, { names: ['ip_ecn'] }],
  ipProto: [basic, 10, 8, 'decimal', 'nw_proto', 'ip', 0, { names: ['ip_proto'], readOnly: true }],
  ipv4Src: [basic, 11, 32, 'ipv4', 'nw_src', 'ipv4', 1, { names: ['ip_src'] }],
  ipv4Dst: [basic, 12, 32, 'ipv4', 'nw_dst', 'ipv4', 1, { names: ['ip_dst'] }],
  tcpSrc: [basic, 13, 16, 'decimal', 'tp_src', 'tcp', 1, { names: ['tcp_src'] }],
  tcpDst: [basic, 14, 16, 'decimal', 'tp_dst', 'tcp', 1, { names: ['tcp_dst'] }],
  udpSrc: [basic, 15, 16, 'decimal', 'tp_src', 'udp', 1, { names: ['udp_src'] }],
  udpDst: [basic, 16, 16, 'decimal', 'tp_dst', 'udp', 1, { names: ['udp_dst'] }],
  sctpSrc: [basic, 17, 16, 'decimal', 'tp_src', 'sctp', 1, { names: ['sctp_src'] }],
  sctpDst: [basic, 18, 16, 'decimal', 'tp_dst', 'sctp', 1, { names: ['sctp_dst'] }],
  icmpv4Type: [basic, 19, 8, 'decimal', 'icmp_type', 'icmpv4', 0],
  icmpv4Code: [basic, 20, 8, 'decimal', 'icmp_code', 'icmpv4', 0],
  arpOp: [basic, 21, 16, 'decimal', 'arp_op', 'arp', 0],
  arpSpa: [basic, 22, 32, 'ipv4', 'arp_spa', 'arp', 1],
  arpTpa: [basic, 23, 32, 'ipv4', 'arp_tpa', 'arp', 1],
  arpSha: [basic, 24, 48, 'mac', 'arp_sha', 'arp', 1],
  arpTha: [basic, 25, 48, 'mac', 'arp_tha', 'arp', 1],
  ipv6Src: [basic, 26, 128, 'ipv6', 'ipv6_src', 'ipv6', 1],
  ipv6Dst: [basic, 27, 128, 'ipv6', 'ipv6_dst', 'ipv6', 1],
  ipv6Flabel: [basic, 28, 20, 'hex', 'ipv6_label', 'ipv6', 1, { bytes: 4 }],
  icmpv6Type: [basic, 29, 8, 'decimal', 'icmp_type', 'icmpv6', 0, { names: ['icmpv6_type'] }],
  icmpv6Code: [basic, 30, 8, 'decimal', 'icmp_code', 'icmpv6', 0, { names: ['icmpv6_code'] }],
  ipv6NdTarget: [basic, 31, 128, 'ipv6', 'nd_target', 'nd', 1],
  ipv6NdSll: [basic, 32, 48, 'mac', 'nd_sll', 'ndSolicit', 1],
  ipv6NdTll: [basic, 33, 48, 'mac', 'nd_tll', 'ndAdvert', 1],
  mplsLabel: [basic, 34, 20, 'decimal', 'mpls_label', 'mpls', 0, { bytes: 4 }],
  mplsTc: [basic, 35, 3, 'decimal', 'mpls_tc', 'mpls', 0],
  mplsBos: [basic, 36, 1, 'decimal', 'mpls_bos', 'mpls', 0, { readOnly: true }],
  pbbIsid: [basic, 37, 24, 'hex', 'pbb_isid', 'pbb', 1],
  tunnelId: [basic, 38, 64, 'hex', 'tun_id', 'none', 1, { names: ['tunnel_id'] }],
  ipv6Exthdr: [basic, 39, 9, 'hex', 'ipv6_exthdr', 'ipv6', 1],
  pbbUca: [basic, 41, 1, 'decimal', 'pbb_uca', 'pbb', 0],
  packetType: [basic, 44, 32, 'packetType', 'packet_type', 'none', 0, { readOnly: true }],

  tcpFlags: [exp, 42, 12, 'tcpFlags', 'tcp_flags', 'tcp', 1, { experimenter: Experimenter.onf, readOnly: true }],
  actsetOutput: [exp, 43, 32, 'port', 'actset_output', 'none', 0, { experimenter: Experimenter.onf, readOnly: true }],

  ipFrag: [nxm1, 26, 2, 'ipFrag', 'nw_frag', 'ip', 1, { names: ['ip_frag'], readOnly: true }],
  ipTtl: [nxm1, 29, 8, 'decimal', 'nw_ttl', 'ip', 0],
  mplsTtl: [nxm1, 30, 8, 'decimal', 'mpls_ttl', 'mpls', 0],
  tunIpv4Src: [nxm1, 31, 32, 'ipv4', 'tun_src', 'none', 1],
  tunIpv4Dst: [nxm1, 32, 32, 'ipv4', 'tun_dst', 'none', 1],
  pktMark: [nxm1, 33, 32, 'hex', 'pkt_mark', 'none', 1],
  dpHash: [nxm1, 35, 32, 'hex', 'dp_hash', 'none', 1, { readOnly: true }],
  recircId: [nxm1, 36, 32, 'hex', 'recirc_id', 'none', 0, { readOnly: true }],
  conjId: [nxm1, 37, 32, 'decimal', 'conj_id', 'none', 0, { readOnly: true }],
  tunGbpId: [nxm1, 38, 16, 'decimal', 'tun_gbp_id', 'none', 1],
  tunGbpFlags: [nxm1, 39, 8, 'hex', 'tun_gbp_flags', 'none', 1],
  tunFlags: [nxm1, 104, 16, 'tunFlags', 'tun_flags', 'none', 1],
  ctState: [nxm1, 105, 32, 'ctState', 'ct_state', 'none', 1, { readOnly: true }],
  ctZone: [nxm1, 106, 16, 'hex', 'ct_zone', 'none', 0, { readOnly: true }],
  ctMark: [nxm1, 107, 32, 'hex', 'ct_mark', 'none', 1],
  ctLabel: [nxm1, 108, 128, 'hex', 'ct_label', 'none', 1],
  tunIpv6Src: [nxm1, 109, 128, 'ipv6', 'tun_ipv6_src', 'none', 1],
  tunIpv6Dst: [nxm1, 110, 128, 'ipv6', 'tun_ipv6_dst', 'none', 1],
  xxreg0: [nxm1, 111, 128, 'hex', 'xxreg0', 'none', 1],
  xxreg1: [nxm1, 112, 128, 'hex', 'xxreg1', 'none', 1],
  xxreg2: [nxm1, 113, 128, 'hex', 'xxreg2', 'none', 1],
  xxreg3: [nxm1, 114, 128, 'hex', 'xxreg3', 'none', 1],
  ctNwProto: [nxm1, 119, 8, 'decimal', 'ct_nw_proto', 'ct', 0, { readOnly: true }],
  ctNwSrc: [nxm1, 120, 32, 'ipv4', 'ct_nw_src', 'ct', 1, { readOnly: true }],
  ctNwDst: [nxm1, 121, 32, 'ipv4', 'ct_nw_dst', 'ct', 1, { readOnly: true }],
  ctIpv6Src: [nxm1, 122, 128, 'ipv6', 'ct_ipv6_src', 'ctIpv6', 1, { readOnly: true }],
  ctIpv6Dst: [nxm1, 123, 128, 'ipv6', 'ct_ipv6_dst', 'ctIpv6', 1, { readOnly: true }],
  ctTpSrc: [nxm1, 124, 16, 'decimal', 'ct_tp_src', 'ct', 1, { readOnly: true }],
  ctTpDst: [nxm1, 125, 16, 'decimal', 'ct_tp_dst', 'ct', 1, { readOnly: true }],
  tunErspanIdx: [exp, 11, 20, 'hex', 'tun_erspan_idx', 'none', 1, { ...et, bytes: 4 }],
  tunErspanVer: [exp, 12, 4, 'decimal', 'tun_erspan_ver', 'none', 1, et],
  tunErspanDir: [exp, 13, 1, 'decimal', 'tun_erspan_dir', 'none', 1, et],
  tunErspanHwid: [exp, 14, 6, 'hex', 'tun_erspan_hwid', 'none', 1, et],
  tunGtpuFlags: [exp, 15, 8, 'hex', 'tun_gtpu_flags', 'none', 1, { ...et, readOnly: true }],
  tunGtpuMsgtype: [exp, 16, 8, 'decimal', 'tun_gtpu_msgtype', 'none', 1, { ...et, readOnly: true }],
  nshFlags: [exp, 1, 8, 'decimal', 'nsh_flags', 'nsh', 1, nsh],
  nshMdtype: [exp, 2, 8, 'decimal', 'nsh_mdtype', 'nsh', 0, { ...nsh, readOnly: true }],
  nshNp: [exp, 3, 8, 'decimal', 'nsh_np', 'nsh', 0, { ...nsh, readOnly: true }],
  nshSpi: [exp, 4, 24, 'hex', 'nsh_spi', 'nsh', 0, { ...nsh, bytes: 4, names: ['nsp'] }],
  nshSi: [exp, 5, 8, 'decimal', 'nsh_si', 'nsh', 0, { ...nsh, names: ['nsi'] }],
  nshC1: [exp, 6, 32, 'hex', 'nsh_c1', 'nsh', 1, { ...nsh, names: ['nshc1'] }],
  nshC2: [exp, 7, 32, 'hex', 'nsh_c2', 'nsh', 1, { ...nsh, names: ['nshc2'] }],
  nshC3: [exp, 8, 32, 'hex', 'nsh_c3', 'nsh', 1, { ...nsh, names: ['nshc3'] }],
  nshC4: [exp, 9, 32, 'hex', 'nsh_c4', 'nsh', 1, { ...nsh, names: ['nshc4'] }],
  nshTtl: [exp, 10, 8, 'decimal', 'nsh_ttl', 'nsh', 0, nsh],
  ndReserved: [OxmClass.ericsson, 1, 32, 'decimal', 'nd_reserved', 'nd', 0],
  ndOptionsType: [OxmClass.ericsson, 2, 8, 'decimal', 'nd_options_type', 'nd', 0],
  /** Not a packet field: lets Nicira's flow requests filter by cookie. */
  nxmCookie: [nxm1, 30, 64, 'hex', 'cookie', 'none', 1],

  nxmInPort: [nxm0, 0, 16, 'port16', 'in_port', 'none', 0, { aliasOf: 'inPort' }],
  nxmEthDst: [nxm0, 1, 48, 'mac', 'dl_dst', 'none', 1, { aliasOf: 'ethDst' }],
  nxmEthSrc: [nxm0, 2, 48, 'mac', 'dl_src', 'none', 1, { aliasOf: 'ethSrc' }],
  nxmEthType: [nxm0, 3, 16, 'hex', 'dl_type', 'none', 0, { aliasOf: 'ethType' }],
  /** VLAN id, present bit and priority in one; folded into vlanVid and vlanPcp where they can say the same. */
  nxmVlanTci: [nxm0, 4, 16, 'hex', 'vlan_tci', 'none', 1],
  /** DSCP in the upper six bits, as the TOS byte has it. */
  nxmIpTos: [nxm0, 5, 8, 'decimal', 'nw_tos', 'ip', 0],
  nxmIpProto: [nxm0, 6, 8, 'decimal', 'nw_proto', 'ip', 0, { aliasOf: 'ipProto' }],
  nxmIpv4Src: [nxm0, 7, 32, 'ipv4', 'nw_src', 'ipv4', 1, { aliasOf: 'ipv4Src' }],
  nxmIpv4Dst: [nxm0, 8, 32, 'ipv4', 'nw_dst', 'ipv4', 1, { aliasOf: 'ipv4Dst' }],
  nxmTcpSrc: [nxm0, 9, 16, 'decimal', 'tp_src', 'tcp', 1, { aliasOf: 'tcpSrc' }],
  nxmTcpDst: [nxm0, 10, 16, 'decimal', 'tp_dst', 'tcp', 1, { aliasOf: 'tcpDst' }],
  nxmUdpSrc: [nxm0, 11, 16, 'decimal', 'tp_src', 'udp', 1, { aliasOf: 'udpSrc' }],
  nxmUdpDst: [nxm0, 12, 16, 'decimal', 'tp_dst', 'udp', 1, { aliasOf: 'udpDst' }],
  nxmIcmpv4Type: [nxm0, 13, 8, 'decimal', 'icmp_type', 'icmpv4', 0, { aliasOf: 'icmpv4Type' }],
  nxmIcmpv4Code: [nxm0, 14, 8, 'decimal', 'icmp_code', 'icmpv4', 0, { aliasOf: 'icmpv4Code' }],
  nxmArpOp: [nxm0, 15, 16, 'decimal', 'arp_op', 'arp', 0, { aliasOf: 'arpOp' }],
  nxmArpSpa: [nxm0, 16, 32, 'ipv4', 'arp_spa', 'arp', 1, { aliasOf: 'arpSpa' }],
  nxmArpTpa: [nxm0, 17, 32, 'ipv4', 'arp_tpa', 'arp', 1, { aliasOf: 'arpTpa' }],
  nxmTunnelId: [nxm1, 16, 64, 'hex', 'tun_id', 'none', 1, { aliasOf: 'tunnelId' }],
  nxmArpSha: [nxm1, 17, 48, 'mac', 'arp_sha', 'arp', 1, { aliasOf: 'arpSha' }],
  nxmArpTha: [nxm1, 18, 48, 'mac', 'arp_tha', 'arp', 1, { aliasOf: 'arpTha' }],
  nxmIpv6Src: [nxm1, 19, 128, 'ipv6', 'ipv6_src', 'ipv6', 1, { aliasOf: 'ipv6Src' }],
  nxmIpv6Dst: [nxm1, 20, 128, 'ipv6', 'ipv6_dst', 'ipv6', 1, { aliasOf: 'ipv6Dst' }],
  nxmIcmpv6Type: [nxm1, 21, 8, 'decimal', 'icmp_type', 'icmpv6', 0, { aliasOf: 'icmpv6Type' }],
  nxmIcmpv6Code: [nxm1, 22, 8, 'decimal', 'icmp_code', 'icmpv6', 0, { aliasOf: 'icmpv6Code' }],
  nxmIpv6NdTarget: [nxm1, 23, 128, 'ipv6', 'nd_target', 'nd', 1, { aliasOf: 'ipv6NdTarget' }],
  nxmIpv6NdSll: [nxm1, 24, 48, 'mac', 'nd_sll', 'ndSolicit', 1, { aliasOf: 'ipv6NdSll' }],
  nxmIpv6NdTll: [nxm1, 25, 48, 'mac', 'nd_tll', 'ndAdvert', 1, { aliasOf: 'ipv6NdTll' }],
  nxmIpv6Flabel: [nxm1, 27, 20, 'hex', 'ipv6_label', 'ipv6', 1, { aliasOf: 'ipv6Flabel', bytes: 4 }],
  nxmIpEcn: [nxm1, 28, 2, 'decimal', 'nw_ecn', 'ip', 0, { aliasOf: 'ipEcn' }],
  nxmTcpFlags: [nxm1, 34, 12, 'tcpFlags', 'tcp_flags', 'tcp', 1, { aliasOf: 'tcpFlags' }],
  oxmTcpFlags: [basic, 42, 12, 'tcpFlags', 'tcp_flags', 'tcp', 1, { aliasOf: 'tcpFlags' }],
  oxmActsetOutput: [basic, 43, 32, 'port', 'actset_output', 'none', 0, { aliasOf: 'actsetOutput' }],
  etDpHash: [exp, 0, 32, 'hex', 'dp_hash', 'none', 1, { ...et, aliasOf: 'dpHash' }],
} as const satisfies Record<string, Row>;

type Digit = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9;
type To63 = Digit | `${1 | 2 | 3 | 4 | 5}${Digit}` | `6${0 | 1 | 2 | 3}`;

/** Name of a match field. */
export type FieldName =
  | keyof typeof rows
  | `reg${Digit | 10 | 11 | 12 | 13 | 14 | 15}`
  | `xreg${0 | 1 | 2 | 3 | 4 | 5 | 6 | 7}`
  | `tunMetadata${To63}`;

/** All there is to know about a match field. */
export interface FieldSpec {
  readonly name: FieldName;
  readonly oxmClass: number;
  readonly field: number;
  /** Experimenter id that follows the header, for class 0xffff. */
  readonly experimenter: number | undefined;
  readonly bits: number;
  /** Bytes of the value on the wire; 0 for tunnel options, whose length varies. */
  readonly bytes: number;
  readonly maskable: boolean;
  /** False when only the switch sets it. */
  readonly writable: boolean;
  readonly format: FieldFormat;
  readonly needs: Prerequisite;
  /** Name in the flow text of Open vSwitch. */
  readonly ovs: string;
  /** Other names that ovs-ofctl accepts. */
  readonly names: readonly string[];
  /** The field of which this is another wire form. */
  readonly aliasOf: FieldName | undefined;
  /** Place in the canonical order. */
  readonly order: number;
  /** OXM header without a mask. For class 0xffff without the experimenter id. */
  readonly header: number;
  /** All bits set: a mask equal to this says nothing. bigint above 48 bits, undefined for tunnel options. */
  readonly full: number | bigint | undefined;
  /** The same as bytes of the wire; empty for tunnel options. */
  readonly fullBytes: Uint8Array;
}

function allRows(): [string, Row][] {
  const all: [string, Row][] = Object.entries<Row>(rows);
  for (let n = 0; n < 16; n++) all.push([`reg${n}`, [nxm1, n, 32, 'hex', `reg${n}`, 'none', 1]]);
  for (let n = 0; n < 8; n++) all.push([`xreg${n}`, [OxmClass.packetRegs, n, 64, 'hex', `xreg${n}`, 'none', 1]]);
  for (let n = 0; n < 64; n++)
    all.push([`tunMetadata${n}`, [nxm1, 40 + n, 992, 'bytes', `tun_metadata${n}`, 'none', 1, { bytes: 0 }]]);
  return all;
}

// The canonical order is that of the OXM headers with one exception: Open vSwitch checks prerequisites while it reads, so
// the basic fields (class 0x8000, whose numbers already respect prerequisites) go before Nicira's (classes 0 and 1), and
// the packet type goes before everything. Experimenter fields are last, by experimenter.
function orderOf(oxmClass: number, field: number, experimenter: number, size: number): number {
  if (oxmClass === basic && field === 44) return 0;
  if (oxmClass === exp) return 0x400_0000 + experimenter * 128 + field;
  const rank = oxmClass === basic ? 1 : oxmClass === OxmClass.packetRegs ? 2 : 3 + oxmClass;
  // Class 1 field 30 is two fields.
  return rank * 128 + field + (oxmClass === nxm1 && field === 30 && size === 8 ? 0.5 : 0);
}

/** Place in the canonical order of any field, known or not. */
export const canonicalOrder = orderOf;

function specOf(name: string, row: Row): FieldSpec {
  const [oxmClass, field, bits, format, ovs, needs, maskable, more] = row;
  const bytes = more?.bytes ?? Math.ceil(bits / 8);
  const payload = bytes + (more?.experimenter === undefined ? 0 : 4);
  return {
    name: name as FieldName,
    oxmClass,
    field,
    experimenter: more?.experimenter,
    bits,
    bytes,
    maskable: maskable === 1,
    writable: more?.readOnly !== true,
    format,
    needs,
    ovs,
    names: more?.names ?? [],
    aliasOf: more?.aliasOf as FieldName | undefined,
    order: orderOf(oxmClass, field, more?.experimenter ?? 0, bytes),
    header: oxmClass * 0x1_0000 + (field << 9) + payload,
    full: bytes === 0 ? undefined : bits > 48 ? (1n << BigInt(bits)) - 1n : 2 ** bits - 1,
    fullBytes: Uint8Array.from({ length: bytes }, (_, i) => {
      const above = 8 * (bytes - i) - bits;
      return above <= 0 ? 0xff : above >= 8 ? 0 : 0xff >> above;
    }),
  };
}

const specs = allRows().map(([name, row]) => specOf(name, row));

/** Every field by name. */
export const fields: { readonly [F in FieldName]: FieldSpec } = Object.fromEntries(
  specs.map((spec) => [spec.name, spec]),
) as { readonly [F in FieldName]: FieldSpec };

/** Every field, in the table's order. */
export const fieldList: readonly FieldSpec[] = specs;

/** True for a name in the table. */
export function isFieldName(name: string): name is FieldName {
  return Object.hasOwn(fields, name);
}

// class, field and experimenter in one number. Class 1 field 30 is two things, told apart by their length.
function keyOf(oxmClass: number, field: number, experimenter: number): number {
  return experimenter * 0x80_0000 + oxmClass * 0x80 + field;
}

const byKey = new Map<number, FieldSpec>();
// Most fields of most messages are of this class, so no map is asked for them.
const basicFields: (FieldSpec | undefined)[] = new Array(128).fill(undefined);
for (const spec of specs) {
  if (spec.name === 'nxmCookie') continue;
  if (spec.oxmClass === basic) basicFields[spec.field] = spec;
  byKey.set(keyOf(spec.oxmClass, spec.field, spec.experimenter ?? 0), spec);
}

/** The field with these numbers, or undefined. `size` is the length of its value, needed for one ambiguous number. */
export function fieldByNumber(
  oxmClass: number,
  field: number,
  experimenter: number,
  size: number,
): FieldSpec | undefined {
  if (oxmClass === basic) return basicFields[field];
  if (oxmClass === nxm1 && field === 30 && size === 8) return fields.nxmCookie;
  return byKey.get(keyOf(oxmClass, field, experimenter));
}

/** A prerequisite spelled out: `field` must be matched with one of `values`, after `also` holds. */
export interface PrerequisiteRule {
  readonly also: Prerequisite;
  readonly field: FieldName;
  /** Undefined: any value will do. */
  readonly values: readonly number[] | undefined;
}

/** What each prerequisite asks for. */
export const prerequisites: { readonly [P in Exclude<Prerequisite, 'none'>]: PrerequisiteRule } = {
  inPort: { also: 'none', field: 'inPort', values: undefined },
  vlan: { also: 'none', field: 'vlanVid', values: undefined },
  ip: { also: 'none', field: 'ethType', values: [0x0800, 0x86dd] },
  ipv4: { also: 'none', field: 'ethType', values: [0x0800] },
  ipv6: { also: 'none', field: 'ethType', values: [0x86dd] },
  arp: { also: 'none', field: 'ethType', values: [0x0806, 0x8035] },
  mpls: { also: 'none', field: 'ethType', values: [0x8847, 0x8848] },
  pbb: { also: 'none', field: 'ethType', values: [0x88e7] },
  nsh: { also: 'none', field: 'ethType', values: [0x894f] },
  tcp: { also: 'ip', field: 'ipProto', values: [6] },
  udp: { also: 'ip', field: 'ipProto', values: [17] },
  sctp: { also: 'ip', field: 'ipProto', values: [132] },
  icmpv4: { also: 'ipv4', field: 'ipProto', values: [1] },
  icmpv6: { also: 'ipv6', field: 'ipProto', values: [58] },
  nd: { also: 'icmpv6', field: 'icmpv6Type', values: [135, 136] },
  ndSolicit: { also: 'icmpv6', field: 'icmpv6Type', values: [135] },
  ndAdvert: { also: 'icmpv6', field: 'icmpv6Type', values: [136] },
  ct: { also: 'ip', field: 'ctState', values: undefined },
  ctIpv6: { also: 'ipv6', field: 'ctState', values: undefined },
};
