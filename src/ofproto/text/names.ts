import { Port, portNames } from '../constants.ts';
import type { FieldId } from '../oxm.ts';
import { type FieldName, type FieldSpec, fieldList, fields, OxmClass } from '../oxm-fields.ts';
import { numberOf, textError } from './scan.ts';

/** How numbers that have names elsewhere are shown and read. All optional; without them numbers stay numbers. */
export interface TextNames {
  /** Name of a table, undefined for none. */
  readonly tableName?: (tableId: number) => string | undefined;
  /** Table of a name, undefined for none. */
  readonly tableId?: (name: string) => number | undefined;
}

// Names of fields in headers that do not follow from ours.
const headerNames: Partial<Record<FieldName, string>> = {
  nxmIpv4Src: 'NXM_OF_IP_SRC',
  nxmIpv4Dst: 'NXM_OF_IP_DST',
  nxmIcmpv4Type: 'NXM_OF_ICMP_TYPE',
  nxmIcmpv4Code: 'NXM_OF_ICMP_CODE',
  nxmTunnelId: 'NXM_NX_TUN_ID',
  nxmIpv6NdTarget: 'NXM_NX_ND_TARGET',
  nxmIpv6NdSll: 'NXM_NX_ND_SLL',
  nxmIpv6NdTll: 'NXM_NX_ND_TLL',
  nxmIpv6Flabel: 'NXM_NX_IPV6_LABEL',
  ndReserved: 'ERICOXM_OF_ICMPV6_ND_RESERVED',
  ndOptionsType: 'ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE',
};

const prefixes: Readonly<Record<number, string>> = {
  [OxmClass.nxm0]: 'NXM_OF_',
  [OxmClass.nxm1]: 'NXM_NX_',
  [OxmClass.basic]: 'OXM_OF_',
  [OxmClass.packetRegs]: 'OXM_OF_PKT_',
};

function headerNameOf(spec: FieldSpec): string {
  const given = headerNames[spec.name];
  if (given !== undefined) return given;
  const plain = spec.name.replace(/^(nxm|oxm)(?=[A-Z])/, '').replace(/^xreg/, 'reg');
  const snake = plain.replace(/[A-Z]/g, '_$&').replace(/^_/, '').toUpperCase();
  if (spec.oxmClass !== OxmClass.experimenter) return prefixes[spec.oxmClass]! + snake;
  if (snake.startsWith('NSH_')) return `NXOXM_${snake}`;
  if (spec.name === 'tcpFlags' || spec.name === 'actsetOutput') return `OXM_OF_${snake}`;
  return `NXOXM_ET_${snake.replace(/^TUN_|^ET_/, '')}`;
}

/**
 * The field that stands for all wire forms of one thing, as Open vSwitch has it: `nxmEthDst` is `ethDst`. The 16-bit in_port
 * stays apart, because its bits differ.
 */
export function plainField(name: FieldName): FieldName {
  return name === 'nxmInPort' ? name : (fields[name].aliasOf ?? name);
}

const shownHeader = new Map<FieldName, string>();
const byHeader = new Map<string, FieldName>();
for (const spec of fieldList) {
  const name = headerNameOf(spec);
  const plain = plainField(spec.name);
  byHeader.set(name, plain);
  // Open vSwitch shows a field by its oldest name: Nicira's before the standard's.
  const isNxm = spec.oxmClass === OxmClass.nxm0 || spec.oxmClass === OxmClass.nxm1;
  if (isNxm || !shownHeader.has(plain)) shownHeader.set(plain, name);
}

/** Name of a field in `move`, `load`, `learn` …: NXM_OF_ETH_DST. */
export function headerName(field: FieldName): string {
  return shownHeader.get(plainField(field))!;
}

// Where set_field and learn use another name than the match does.
const longNames: Partial<Record<FieldName, string>> = Object.fromEntries(
  (
    [
      'ethDst',
      'ethSrc',
      'ethType',
      'vlanPcp',
      'ipv4Src',
      'ipv4Dst',
      'tcpSrc',
      'tcpDst',
      'udpSrc',
      'udpDst',
      'sctpSrc',
      'sctpDst',
      'icmpv6Type',
      'icmpv6Code',
    ] as const
  ).map((name) => [name, fields[name].names[0]!]),
);

const byLongName = new Map<string, FieldName>();
for (const spec of fieldList) {
  if (spec.aliasOf !== undefined && spec.name !== 'nxmInPort') continue;
  for (const name of [longNames[spec.name] ?? spec.ovs, ...spec.names, spec.ovs])
    if (!byLongName.has(name)) byLongName.set(name, spec.name);
}

/** Name of a field in `set_field` and in constants of `learn`: eth_dst. */
export function longName(field: FieldName): string {
  const plain = plainField(field);
  return longNames[plain] ?? fields[plain].ovs;
}

/** Field of such a name, or of a header name. */
export function fieldOfName(name: string, what: string): FieldName {
  const field = byLongName.get(name) ?? byHeader.get(name);
  if (field === undefined) throw textError(what, name, 'is no field');
  return field;
}

/** Bits of a field, `nBits` of them from `ofs` up. */
export interface Bits {
  readonly field: FieldName;
  readonly ofs: number;
  readonly nBits: number;
}

/** The field of an id when text can name it: known, and its header says nothing more. */
export function namedField(id: FieldId): FieldName | undefined {
  return id.field === 'unknown' || id.hasMask !== undefined || id.length !== undefined
    ? undefined
    : plainField(id.field);
}

/** Bits that NAME[] stands for: all of the field, but for VLAN ids the twelve below the present bit, as in Open vSwitch. */
export function wholeBits(field: FieldName): number {
  return field === 'vlanVid' ? 12 : fields[field].bits;
}

/** NAME[], NAME[3] or NAME[0..15]. */
export function bitsText({ field, ofs, nBits }: Bits): string {
  const name = headerName(field);
  if (ofs === 0 && nBits === wholeBits(field)) return `${name}[]`;
  return nBits === 1 ? `${name}[${ofs}]` : `${name}[${ofs}..${ofs + nBits - 1}]`;
}

/** Reads NAME[], NAME[3], NAME[0..15], or a bare name for the whole field. */
export function parseBits(text: string, what: string): Bits {
  const match = /^([A-Za-z]\w*)(\[(?:(\d{1,4})(?:\.\.(\d{1,4}))?)?\])?$/.exec(text);
  if (!match) throw textError(what, text, 'is no field with bits');
  const field = fieldOfName(match[1]!, what);
  const { bits } = fields[field];
  const ofs = Number(match[3] ?? 0);
  const last = match[3] === undefined ? wholeBits(field) - 1 : Number(match[4] ?? ofs);
  if (last < ofs || last >= bits) throw textError(what, text, `is outside the ${bits} bits of the field`);
  return { field, ofs, nBits: last - ofs + 1 };
}

/** True when the text looks like NAME[…]. */
export function isBitsText(text: string): boolean {
  return /^[A-Za-z]\w*\[[\d.]*\]$/.test(text);
}

/** Port as Open vSwitch shows it: reserved ones by name. */
export function portText(port: number): string {
  return portNames.get(port) ?? String(port);
}

/** 16-bit port of Nicira's actions. */
export function port16Text(port: number): string {
  return port >= 0xfff8 ? portText(port + 0xffff_0000) : String(port);
}

const portByName = new Map(Array.from(portNames, ([port, name]) => [name.toLowerCase(), port]));

/** Port of a number or reserved name in either case. */
export function parsePort(text: string, what: string): number {
  const named = portByName.get(text.toLowerCase());
  return named ?? numberOf(text, Port.any, what);
}

/** As `parsePort`, in 16 bits. */
export function parsePort16(text: string, what: string): number {
  const port = parsePort(text, what);
  if (port > 0xffff && port < 0xffff_fff8) throw textError(what, text, 'is no 16-bit port');
  return port & 0xffff;
}

/** Table as `names` has it, else its number. */
export function tableText(tableId: number, names: TextNames): string {
  const name = names.tableName?.(tableId);
  // A name that would need escapes is not worth them.
  if (name === undefined || !/^[\w .:/-]+$/.test(name)) return String(tableId);
  return /^[A-Za-z][\w.-]*$/.test(name) ? name : `"${name}"`;
}

/** Table of a number or a name. */
export function parseTable(text: string, names: TextNames, what: string): number {
  if (/^\d|^0x/.test(text)) return numberOf(text, 255, what);
  const name = /^"(.*)"$/.exec(text)?.[1] ?? text;
  const tableId = names.tableId?.(name);
  if (tableId === undefined) throw textError(what, text, 'is no table');
  return tableId;
}
