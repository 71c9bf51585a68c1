import { Buffer } from 'node:buffer';
import { vlanPresent } from '../constants.ts';
import { canonicalList, listOf, type Match, matchOf } from '../match.ts';
import type { KnownEntry, OxmEntry, UnknownEntry } from '../oxm.ts';
import { type FieldName, fieldList, fields, prerequisites } from '../oxm-fields.ts';
import { fieldOfName, headerName, longName } from './names.ts';
import { hexBytes, hexText, numberOf, splitTop, textError } from './scan.ts';
import { maskedText, parseValue, valueText } from './value.ts';

const WHAT = 'match text';

/** Words that stand for an EtherType, and an IP protocol with it. */
const words: readonly (readonly [word: string, ethType: number, ipProto?: number])[] = [
  ['tcp', 0x0800, 6],
  ['udp', 0x0800, 17],
  ['icmp', 0x0800, 1],
  ['igmp', 0x0800, 2],
  ['sctp', 0x0800, 132],
  ['tcp6', 0x86dd, 6],
  ['udp6', 0x86dd, 17],
  ['icmp6', 0x86dd, 58],
  ['sctp6', 0x86dd, 132],
  ['ip', 0x0800],
  ['ipv6', 0x86dd],
  ['arp', 0x0806],
  ['rarp', 0x8035],
  ['mpls', 0x8847],
  ['mplsm', 0x8848],
];

// The order in which Open vSwitch writes fields; what is not here comes last, in the table's order. `dl_type` marks where
// the word for EtherType and protocol goes.
const shownOrder: readonly string[] = [
  ...['pktMark', 'recircId', 'dpHash', 'conjId', 'actsetOutput', 'ctState', 'ctZone', 'ctMark', 'ctLabel'],
  ...['ctNwSrc', 'ctIpv6Src', 'ctNwDst', 'ctIpv6Dst', 'ctNwProto', 'ctTpSrc', 'ctTpDst', 'packetType', 'word'],
  ...Array.from({ length: 16 }, (_, n) => `reg${n}`),
  ...Array.from({ length: 8 }, (_, n) => `xreg${n}`),
  ...Array.from({ length: 4 }, (_, n) => `xxreg${n}`),
  ...['tunnelId', 'tunIpv4Src', 'tunIpv4Dst', 'tunIpv6Src', 'tunIpv6Dst', 'tunGbpId', 'tunGbpFlags'],
  ...['tunErspanVer', 'tunErspanIdx', 'tunErspanDir', 'tunErspanHwid', 'tunGtpuFlags', 'tunGtpuMsgtype', 'tunFlags'],
  ...Array.from({ length: 64 }, (_, n) => `tunMetadata${n}`),
  ...[
    'metadata',
    'inPort',
    'nxmInPort',
    'inPhyPort',
    'vlanVid',
    'vlanPcp',
    'nxmVlanTci',
    'ethSrc',
    'ethDst',
    'ethType',
  ],
  ...['ipv4Src', 'ipv4Dst', 'ipv6Src', 'ipv6Dst', 'ipv6Flabel', 'arpSpa', 'arpTpa', 'arpOp', 'ipProto'],
  ...[
    'arpSha',
    'arpTha',
    'nxmIpTos',
    'ipDscp',
    'ipEcn',
    'ipTtl',
    'mplsLabel',
    'mplsTc',
    'mplsTtl',
    'mplsBos',
    'ipFrag',
  ],
  ...['icmpv4Type', 'icmpv4Code', 'icmpv6Type', 'icmpv6Code', 'ipv6NdTarget', 'ipv6NdSll', 'ipv6NdTll'],
  ...['nshFlags', 'nshTtl', 'nshMdtype', 'nshNp', 'nshSpi', 'nshSi', 'nshC1', 'nshC2', 'nshC3', 'nshC4'],
  ...['ndReserved', 'ndOptionsType', 'tcpSrc', 'tcpDst', 'udpSrc', 'udpDst', 'sctpSrc', 'sctpDst', 'tcpFlags'],
];
const rank = new Map(shownOrder.map((name, index) => [name, index]));

function rankOf(entry: OxmEntry): number {
  return rank.get(entry.field) ?? shownOrder.length + (entry.field === 'unknown' ? 1 : 0);
}

/**
 * The parts of a match's text, in Open vSwitch's order; empty for a match of anything. Brought into canonical form first, so
 * two matches that mean the same give the same text.
 */
export function matchParts(match: Match | readonly OxmEntry[]): string[] {
  const list = canonicalList(isList(match) ? match : listOf(match), false);
  const sorted = list.map((entry, index) => ({ entry, index, rank: rankOf(entry) }));
  sorted.sort((a, b) => a.rank - b.rank || a.index - b.index);
  const word = wordOf(list);
  const parts: string[] = [];
  let wordDue = word !== undefined;
  for (const { entry, rank: here } of sorted) {
    if (wordDue && here > rank.get('word')!) {
      parts.push(word!.word);
      wordDue = false;
    }
    if (entry.field === 'unknown') parts.push(unknownText(entry));
    else if (!(word?.covers.includes(entry.field) ?? false)) parts.push(...entryText(entry, list));
  }
  if (wordDue) parts.push(word!.word);
  return parts;
}

/** Text of a match as ovs-ofctl writes it, without priority; empty for a match of anything. */
export function formatMatch(match: Match | readonly OxmEntry[]): string {
  return matchParts(match).join(',');
}

/** True for a match given as entries. */
export function isList(match: Match | readonly OxmEntry[]): match is readonly OxmEntry[] {
  return Array.isArray(match);
}

function exact(list: readonly OxmEntry[], field: FieldName): number | undefined {
  const entry = list.find((one): one is KnownEntry => one.field === field);
  return entry !== undefined && entry.mask === undefined ? Number(entry.value) : undefined;
}

function wordOf(list: readonly OxmEntry[]): { word: string; covers: readonly string[] } | undefined {
  const ethType = exact(list, 'ethType');
  const ipProto = exact(list, 'ipProto');
  const found = words.find(([, type, proto]) => type === ethType && (proto === undefined || proto === ipProto));
  if (found === undefined) return undefined;
  return { word: found[0], covers: found[2] === undefined ? ['ethType'] : ['ethType', 'ipProto'] };
}

const pad = (value: number, digits: number): string => `0x${value.toString(16).padStart(digits, '0')}`;

function entryText(entry: KnownEntry, list: readonly OxmEntry[]): string[] {
  const { field, value, mask } = entry;
  const name = nameOf(field, list);
  // Masks where no switch takes one, in the plainest form.
  if (mask !== undefined && unmasked.has(field)) {
    const masked = maskedHex(value, mask);
    return [field === 'ipDscp' ? `ip_dscp=${masked}` : `${name}=${masked}`];
  }
  switch (field) {
    case 'vlanVid':
    case 'nxmVlanTci':
      return [vlanText(entry, list)].filter((text) => text !== '');
    case 'ipDscp':
      return [`nw_tos=${Number(value) * 4}`];
    case 'ethType':
      return [`${name}=${pad(Number(value), 4)}`];
    case 'ipv6Flabel':
      return [`${name}=${pad(Number(value), 5)}${mask === undefined ? '' : `/${pad(Number(mask), 5)}`}`];
    case 'ctZone':
    case 'nxmIpTos':
      return [`${name}=${value}`];
    case 'packetType':
      return [`${name}=${valueText(field, value)}`];
    default:
      return [`${name}=${mask === undefined ? valueText(field, value) : maskedText(field, value, mask)}`];
  }
}

/** Fields whose special form has no place for a mask. */
const unmasked: ReadonlySet<string> = new Set(['ethType', 'ipDscp', 'ctZone', 'nxmIpTos', 'packetType']);

function maskedHex(value: KnownEntry['value'], mask: KnownEntry['value']): string {
  return `${hexText(Number(value))}/${hexText(Number(mask))}`;
}

/** tp_src and icmp_type say which field they are by the protocol; without one, the field's own name does. */
function nameOf(field: FieldName, list: readonly OxmEntry[]): string {
  const { ovs } = fields[field];
  // dl_vlan_pcp says that there is a tag; where the match does not, it must not.
  if (field === 'vlanPcp' && !list.some((entry) => entry.field === 'vlanVid')) return 'vlan_pcp';
  // A flow's own cookie has the short name.
  if (field === 'nxmCookie') return headerName(field);
  return candidates.get(ovs)?.length === 1 || applies(field, list) ? ovs : longName(field);
}

function vlanText({ field, value, mask }: KnownEntry, list: readonly OxmEntry[]): string {
  const tci = Number(value);
  // Bits that a VLAN id does not have would turn into a priority in the forms below.
  if (field === 'vlanVid' && (tci > 0x1fff || Number(mask ?? 0) > 0x1fff))
    return `vlan_vid=${pad(tci, 4)}${mask === undefined ? '' : `/${pad(Number(mask), 4)}`}`;
  if (field === 'nxmVlanTci') return `vlan_tci=${pad(tci, 4)}${mask === undefined ? '' : `/${pad(Number(mask), 4)}`}`;
  if (mask === undefined && (tci & vlanPresent) !== 0) return `dl_vlan=${tci & 0xfff}`;
  // A priority says that there is a tag; the present bit alone need not be said again.
  if (mask === vlanPresent && tci === vlanPresent && exact(list, 'vlanPcp') !== undefined) return '';
  return `vlan_tci=${pad(tci, 4)}/${pad(Number(mask ?? 0x1fff), 4)}`;
}

function unknownText({ oxmClass, oxmField, hasMask, experimenter, bytes }: UnknownEntry): string {
  const id = [oxmClass.toString(16), oxmField, ...(experimenter === undefined ? [] : [experimenter.toString(16)])].join(
    '_',
  );
  const half = bytes.length / 2;
  const text = (part: Uint8Array): string => `0x${Buffer.from(part).toString('hex')}`;
  // A mask of another length than its value cannot be split; keep it whole.
  if (hasMask && !Number.isInteger(half)) return `oxm_${id}=${text(bytes)}/`;
  return hasMask
    ? `oxm_${id}=${text(bytes.subarray(0, half))}/${text(bytes.subarray(half))}`
    : `oxm_${id}=${text(bytes)}`;
}

function parseUnknown(key: string, value: string): UnknownEntry | undefined {
  const id = /^oxm_([0-9a-f]{1,4})_(\d{1,3})(?:_([0-9a-f]{1,8}))?$/.exec(key);
  if (!id) return undefined;
  const slash = value.indexOf('/');
  const part = (text: string): Buffer => (text === '' ? Buffer.alloc(0) : hexBytes(text.replace(/^0x/, ''), WHAT));
  const bytes = slash < 0 ? part(value) : Buffer.concat([part(value.slice(0, slash)), part(value.slice(slash + 1))]);
  const oxmClass = Number.parseInt(id[1]!, 16);
  const oxmField = numberOf(id[2]!, 127, WHAT);
  if (bytes.length > 251 || (oxmClass === 0xffff) !== (id[3] !== undefined)) throw textError(WHAT, key, 'is no OXM');
  const entry = { field: 'unknown', oxmClass, oxmField, hasMask: slash >= 0, bytes } as const;
  return id[3] === undefined ? entry : { ...entry, experimenter: Number.parseInt(id[3], 16) };
}

// Names that mean one field or another, by what else is matched.
const candidates = new Map<string, FieldName[]>();
for (const spec of fieldList) {
  if (spec.aliasOf !== undefined) continue;
  for (const name of new Set([spec.ovs, ...spec.names]))
    candidates.set(name, [...(candidates.get(name) ?? []), spec.name]);
}

/** Reads the parts of a match. Throws WireError (NL_WIRE_VALUE) for what is no field or does not fit it. */
export function parseMatchParts(parts: readonly string[]): OxmEntry[] {
  const list: OxmEntry[] = [];
  const later: [key: string, value: string][] = [];
  const seen = new Set<string>();
  for (const part of parts) {
    const at = part.indexOf('=');
    const key = at < 0 ? part : part.slice(0, at);
    if (seen.has(key)) throw textError(WHAT, part, 'is there twice');
    seen.add(key);
    if (at < 0) list.push(...wordEntries(part));
    else later.push([key, part.slice(at + 1)]);
  }
  // EtherType and protocol first: they decide what tp_src and icmp_type are.
  const isType = ([key]: [string, string]): boolean => /^(dl_type|eth_type|nw_proto|ip_proto)$/.test(key);
  for (const [key, value] of [...later.filter(isType), ...later.filter((one) => !isType(one))])
    list.push(parseEntry(key, value, list));
  if (seen.has('dl_vlan_pcp') && !list.some(({ field }) => field === 'vlanVid' || field === 'nxmVlanTci'))
    list.push({ field: 'vlanVid', value: vlanPresent, mask: vlanPresent });
  return canonicalList(list, false);
}

/** Reads a match as `formatMatch` or ovs-ofctl writes it. Throws WireError (NL_WIRE_VALUE), also for unknown fields. */
export function parseMatch(text: string): Match {
  return matchOf(parseMatchParts(splitTop(text, WHAT)));
}

function wordEntries(word: string): OxmEntry[] {
  const found = words.find(([name]) => name === word);
  if (found === undefined) throw textError(WHAT, word, 'is no protocol and has no value');
  const [, ethType, ipProto] = found;
  const list: OxmEntry[] = [{ field: 'ethType', value: ethType }];
  return ipProto === undefined ? list : [...list, { field: 'ipProto', value: ipProto }];
}

function parseEntry(key: string, text: string, before: readonly OxmEntry[]): OxmEntry {
  switch (key) {
    case 'dl_vlan': {
      const id = numberOf(text, 0xffff, WHAT);
      if (id > 0xfff && id !== 0xffff) throw textError(WHAT, text, 'is no VLAN id');
      return { field: 'vlanVid', value: id === 0xffff ? 0 : vlanPresent | id };
    }
    case 'vlan_tci':
      return { field: 'nxmVlanTci', ...parseValue('nxmVlanTci', text, WHAT) };
    case 'nw_tos': {
      const tos = numberOf(text, 4 * 255, WHAT);
      if (tos % 4 !== 0) throw textError(WHAT, text, 'has ECN bits');
      return { field: 'ipDscp', value: tos / 4 };
    }
    default: {
      const unknown = parseUnknown(key, text);
      if (unknown !== undefined) return unknown;
      const field = resolve(key, before);
      return { field, ...parseValue(field, text, WHAT) };
    }
  }
}

function resolve(key: string, list: readonly OxmEntry[]): FieldName {
  const found = candidates.get(key);
  if (found === undefined) return fieldOfName(key, WHAT);
  if (found.length === 1) return found[0]!;
  const fitting = found.find((field) => applies(field, list)) ?? found.find((field) => longName(field) === key);
  if (fitting === undefined) throw textError(WHAT, key, 'needs a protocol such as tcp');
  return fitting;
}

function applies(field: FieldName, list: readonly OxmEntry[]): boolean {
  for (let needs = fields[field].needs; needs !== 'none'; ) {
    const { field: wanted, values, also } = prerequisites[needs];
    const value = exact(list, wanted);
    if (values !== undefined && (value === undefined || !values.includes(value))) return false;
    needs = also;
  }
  return true;
}
