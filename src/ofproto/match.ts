import { Buffer } from 'node:buffer';
import { get16, pad8, set16 } from './bytes.ts';
import { vlanPresent } from './constants.ts';
import { WireError } from './errors.ts';
import { decodeOxms, type KnownEntry, type OxmEntry, type UnknownEntry, type Value, writeOxm } from './oxm.ts';
import {
  canonicalOrder,
  type FieldName,
  type FieldSpec,
  fieldList,
  fields,
  isFieldName,
  type Prerequisite,
  prerequisites,
} from './oxm-fields.ts';

/** A value under a mask: only bits set in the mask count. */
export interface Masked {
  readonly value: Value;
  readonly mask: Value;
}

/** What packets a rule takes, by field. An absent field takes anything. */
export type Match = { readonly [F in FieldName]?: Value | Masked };

const matchHeader = 4;
const badLength = { type: 4, code: 1 };

/** Any frame with a VLAN tag, whatever the id: for `match.vlanVid`. */
export const anyTagged: Masked = { value: vlanPresent, mask: vlanPresent };
/** Frames without a VLAN tag: for `match.vlanVid`. */
export const untagged = 0;

/**
 * VLAN id 1…4094 in the form that OpenFlow wants, with the "present" bit. Without that bit a switch takes the match and
 * never matches, silently. Throws WireError (NL_WIRE_VALUE) for 0, 4095 and anything else.
 */
export function vlan(id: number): number {
  if (!Number.isInteger(id) || id < 1 || id > 4094)
    throw new WireError('oxm', 'vlanVid', -1, `cannot be ${id}; 1…4094 wanted`, { code: 'NL_WIRE_VALUE' });
  return vlanPresent | id;
}

/** VLAN id of a matched or set value, or undefined when it says "untagged" or "any". */
export function vlanId(value: number): number | undefined {
  return (value & vlanPresent) === 0 ? undefined : value & 0xfff;
}

/**
 * IPv4 prefix as a match value. /0 says nothing, so the field is to be left out: undefined. /32 needs no mask. Host bits
 * below the prefix are refused (NL_WIRE_VALUE): Open vSwitch refuses them too.
 */
export function ipv4Prefix(address: number, length: number): Value | Masked | undefined {
  if (!Number.isInteger(length) || length < 0 || length > 32)
    throw new WireError('oxm', 'ipv4', -1, `prefix cannot be /${length}`, { code: 'NL_WIRE_VALUE' });
  if (length === 0) {
    if (address !== 0) throw hostBits('ipv4');
    return undefined;
  }
  // A shift by 32 is a shift by 0 in JavaScript; length is at least 1 here, so the shift stays below 32.
  const mask = (0xffff_ffff << (32 - length)) >>> 0;
  if ((address & mask) >>> 0 !== address) throw hostBits('ipv4');
  return length === 32 ? address : { value: address, mask };
}

/** IPv6 prefix as a match value; /0 gives undefined as in `ipv4Prefix`. */
export function ipv6Prefix(address: bigint, length: number): Value | Masked | undefined {
  if (!Number.isInteger(length) || length < 0 || length > 128)
    throw new WireError('oxm', 'ipv6', -1, `prefix cannot be /${length}`, { code: 'NL_WIRE_VALUE' });
  const mask = ((1n << BigInt(length)) - 1n) << BigInt(128 - length);
  if ((address & mask) !== address) throw hostBits('ipv6');
  if (length === 0) return undefined;
  return length === 128 ? address : { value: address, mask };
}

function hostBits(field: string): WireError {
  return new WireError('oxm', field, -1, 'has bits set outside its mask', {
    code: 'NL_WIRE_VALUE',
    reply: { type: 4, code: 5 },
  });
}

/** End of the ofp_match at `at`, padding included, after checking it against the parent's end. */
export function matchEnd(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < matchHeader)
    throw new WireError('ofp_match', 'length', at, `cut: ${end - at} bytes left`, { reply: badLength });
  const type = get16(bytes, at);
  if (type !== 1)
    throw new WireError('ofp_match', 'type', at, `${type}, OXM (1) wanted`, { reply: { type: 4, code: 0 } });
  const length = get16(bytes, at + 2);
  if (length < matchHeader)
    throw new WireError('ofp_match', 'length', at + 2, `${length}, at least ${matchHeader}`, { reply: badLength });
  const stop = at + pad8(length);
  if (stop > end)
    throw new WireError('ofp_match', 'length', at + 2, `${length} and padding, only ${end - at} bytes left`, {
      reply: badLength,
    });
  return stop;
}

/** Decodes an ofp_match into its fields, in wire order and without loss. `matchEnd` tells where it ends. */
export function decodeMatch(bytes: Uint8Array, at: number, end: number): OxmEntry[] {
  matchEnd(bytes, at, end);
  return decodeOxms(bytes, at + matchHeader, at + get16(bytes, at + 2));
}

/** Whole ofp_match of the entries as they are: order and masks unchanged. */
export function encodeMatchList(list: readonly OxmEntry[]): Buffer {
  // An entry takes 259 bytes at most. The longest lists get a buffer of their own.
  const work = list.length <= 64 ? scratch : Buffer.allocUnsafe(matchHeader + 259 * list.length + 8);
  let at = matchHeader;
  for (const entry of list) at = writeOxm(work, at, entry);
  if (at > 0xffff) throw new WireError('ofp_match', 'length', -1, `${at}`, { code: 'NL_WIRE_VALUE' });
  set16(work, 0, 1);
  set16(work, 2, at);
  const end = pad8(at);
  const bytes = Buffer.allocUnsafe(end);
  for (let i = 0; i < at; i++) bytes[i] = work[i]!;
  for (let i = at; i < end; i++) bytes[i] = 0;
  return bytes;
}

const scratch = Buffer.alloc(matchHeader + 259 * 64 + 8);

function isMasked(value: Value | Masked): value is Masked {
  return typeof value === 'object' && !(value instanceof Uint8Array);
}

/** The entries of a match in the table's order, unchecked. */
export function listOf(match: Match): OxmEntry[] {
  const list: OxmEntry[] = [];
  for (const name in match) {
    if (!isFieldName(name))
      throw new WireError('ofp_match', name, -1, 'is not a match field', { code: 'NL_WIRE_VALUE' });
    const given = match[name];
    if (given === undefined) continue;
    list.push(isMasked(given) ? { field: name, value: given.value, mask: given.mask } : { field: name, value: given });
  }
  return list;
}

/** The match of a list. Throws WireError (NL_WIRE_VALUE) for a field twice or one we do not know: a Match cannot hold it. */
export function matchOf(list: readonly OxmEntry[]): Match {
  const match: { [F in FieldName]?: Value | Masked } = {};
  for (const entry of list) {
    if (entry.field === 'unknown' || match[entry.field] !== undefined)
      throw new WireError('ofp_match', entry.field, -1, 'cannot be put into a Match', { code: 'NL_WIRE_VALUE' });
    match[entry.field] = entry.mask === undefined ? entry.value : { value: entry.value, mask: entry.mask };
  }
  return match;
}

/**
 * Whole ofp_match (type 1, length, padding) in canonical form: fields in canonical order, full masks dropped, empty masks
 * removed, Nicira's doubles of basic fields written as the basic ones. Refuses (WireError, NL_WIRE_VALUE) what a switch
 * would refuse or silently never match: values out of range, bits outside the mask, a mask where none is allowed, a
 * missing prerequisite, a VLAN id without its present bit.
 */
export function encodeMatch(match: Match): Buffer {
  const list = canonicalList(listOf(match), true) as KnownEntry[];
  checkPrerequisites(list);
  return encodeMatchList(list);
}

/** Canonical order and form of a list of entries; `strict` refuses instead of tidying. */
export function canonicalList(list: readonly OxmEntry[], strict: boolean): OxmEntry[] {
  const out: OxmEntry[] = [];
  const orders: number[] = [];
  for (const entry of list) {
    if (entry.field === 'unknown') insert(out, orders, entry, orderOfUnknown(entry), strict);
    else if (unfolding.has(entry.field)) for (const plain of unfold(entry)) tidy(plain, out, orders, strict);
    else tidy(entry, out, orders, strict);
  }
  return dropImpliedPacketType(out);
}

function orderOfUnknown(entry: UnknownEntry): number {
  return canonicalOrder(entry.oxmClass, entry.oxmField, entry.experimenter ?? 0, 0);
}

function insert(out: OxmEntry[], orders: number[], entry: OxmEntry, order: number, strict: boolean): void {
  let i = out.length;
  while (i > 0 && orders[i - 1]! > order) {
    out[i] = out[i - 1]!;
    orders[i] = orders[i - 1]!;
    i--;
  }
  out[i] = entry;
  orders[i] = order;
  if (strict && i > 0 && orders[i - 1] === order)
    throw new WireError('ofp_match', entry.field, -1, 'is there twice', {
      code: 'NL_WIRE_VALUE',
      reply: { type: 4, code: 10 },
    });
}

/** Tidies one entry into the list: full mask dropped, empty mask removed, host bits cleared or refused. */
function tidy(entry: KnownEntry, out: OxmEntry[], orders: number[], strict: boolean): void {
  const spec = fields[entry.field];
  if (strict) checkValue(spec, entry);
  const { value, mask } = entry;
  if (mask === undefined) {
    insert(out, orders, entry, spec.order, strict);
    return;
  }
  if (spec.full === undefined) {
    tidyBytes(entry, spec, out, orders, strict);
    return;
  }
  if (typeof mask === 'bigint' && typeof value === 'bigint') {
    const full = spec.full as bigint;
    const effective = mask & full;
    if (strict && (value & ~effective) !== 0n) throw hostBits(spec.name);
    if (effective === 0n) return;
    const clean = value & effective;
    const tidied =
      effective === full ? { field: spec.name, value: clean } : { field: spec.name, value: clean, mask: effective };
    insert(out, orders, tidied, spec.order, strict);
    return;
  }
  const full = spec.full as number;
  const effective = and48(mask as number, full);
  const clean = and48(value as number, effective);
  if (strict && clean !== value) throw hostBits(spec.name);
  if (effective === 0) return;
  const tidied =
    effective === full ? { field: spec.name, value: clean } : { field: spec.name, value: clean, mask: effective };
  insert(out, orders, tidied, spec.order, strict);
}

/** Bitwise and of numbers up to 48 bits, which JavaScript's `&` cannot do. */
function and48(a: number, b: number): number {
  const high = (a / 0x1_0000_0000) & (b / 0x1_0000_0000);
  return high * 0x1_0000_0000 + (((a % 0x1_0000_0000) & (b % 0x1_0000_0000)) >>> 0);
}

function tidyBytes(entry: KnownEntry, spec: FieldSpec, out: OxmEntry[], orders: number[], strict: boolean): void {
  const value = Buffer.from(entry.value as Uint8Array);
  const mask = entry.mask as Uint8Array;
  for (let i = 0; i < value.length; i++) {
    const clean = value[i]! & mask[i]!;
    if (strict && clean !== value[i]) throw hostBits(spec.name);
    value[i] = clean;
  }
  if (mask.every((byte) => byte === 0)) return;
  const tidied = mask.every((byte) => byte === 0xff) ? { field: spec.name, value } : { field: spec.name, value, mask };
  insert(out, orders, tidied, spec.order, strict);
}

function refuse(spec: FieldSpec, problem: string, code: number): WireError {
  return new WireError('oxm', spec.name, -1, problem, { code: 'NL_WIRE_VALUE', reply: { type: 4, code } });
}

function checkValue(spec: FieldSpec, { value, mask }: KnownEntry): void {
  if (spec.full === undefined) {
    if (!(value instanceof Uint8Array)) throw refuse(spec, 'takes bytes', 7);
    if (mask !== undefined && !(mask instanceof Uint8Array && mask.length === value.length))
      throw refuse(spec, 'takes a mask of the length of its value', 8);
    return;
  }
  if (!fits(spec, value)) throw refuse(spec, `cannot be ${shown(value)}; ${spec.bits} bits wanted`, 7);
  if (mask !== undefined) {
    if (!fits(spec, mask)) throw refuse(spec, `cannot have mask ${shown(mask)}; ${spec.bits} bits wanted`, 8);
    if (!spec.maskable && mask !== spec.full) throw refuse(spec, 'takes no mask', 8);
  }
  if (spec.name === 'vlanVid') checkVlan(spec, value as number, mask as number | undefined);
}

function shown(value: Value): string {
  return value instanceof Uint8Array ? `${value.length} bytes` : `${typeof value} ${value}`;
}

function fits(spec: FieldSpec, value: Value): boolean {
  if (typeof spec.full === 'bigint') return typeof value === 'bigint' && value >= 0n && value <= spec.full;
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= (spec.full as number);
}

function checkVlan(spec: FieldSpec, value: number, mask: number | undefined): void {
  const effective = mask ?? 0x1fff;
  if ((effective & 0xfff) !== 0 && (value & vlanPresent & effective) === 0 && !(value === 0 && effective === 0x1fff))
    throw refuse(spec, `${value} lacks the present bit 0x1000 and would never match; use vlan()`, 7);
}

/** Fields that the canonical form writes as others. */
export const unfolding: ReadonlySet<FieldName> = new Set(
  fieldList
    .filter(({ name, aliasOf }) => aliasOf !== undefined || name === 'nxmVlanTci' || name === 'nxmIpTos')
    .map(({ name }) => name),
);

// Nicira's doubles of basic fields, in the basic form.
function unfold(entry: KnownEntry): readonly KnownEntry[] {
  const spec = fields[entry.field];
  if (entry.field === 'nxmVlanTci') return unfoldTci(entry);
  if (entry.field === 'nxmIpTos') return [{ field: 'ipDscp', value: (entry.value as number) >> 2 }];
  if (spec.aliasOf === undefined) return [entry];
  if (entry.field === 'nxmInPort') return [{ field: 'inPort', value: wide(entry.value as number) }];
  return [{ ...entry, field: spec.aliasOf }];
}

/** 16-bit port number of OpenFlow 1.0 as the 32-bit one: the reserved ones keep their meaning. */
export function wide(port16: number): number {
  return port16 >= 0xff00 ? 0xffff_0000 + port16 : port16;
}

function unfoldTci(entry: KnownEntry): readonly KnownEntry[] {
  const value = entry.value as number;
  const mask = (entry.mask as number | undefined) ?? 0xffff;
  // All zero under a full mask is "no tag"; so is a zero present bit with nothing else.
  if (mask === 0xffff && value === 0) return [{ field: 'vlanVid', value: 0 }];
  const pcpMask = mask >> 13;
  if (pcpMask !== 0 && (pcpMask !== 7 || (value & mask & vlanPresent) === 0)) return [entry];
  const vid: KnownEntry = { field: 'vlanVid', value: value & mask & 0x1fff, mask: mask & 0x1fff };
  return pcpMask === 0 ? [vid] : [vid, { field: 'vlanPcp', value: value >> 13 }];
}

// Open vSwitch leaves out packet_type (0,0), Ethernet, when another field implies it.
function dropImpliedPacketType(list: OxmEntry[]): OxmEntry[] {
  const first = list[0];
  if (first?.field !== 'packetType' || first.value !== 0 || list.length < 2) return list;
  return list.some((entry) => entry.field === 'ethType' || entry.field === 'ethSrc' || entry.field === 'ethDst')
    ? list.slice(1)
    : list;
}

function checkPrerequisites(list: readonly KnownEntry[]): void {
  for (const entry of list) {
    const missing = unmet(fields[entry.field].needs, list);
    if (missing !== undefined)
      throw new WireError('ofp_match', entry.field, -1, `needs ${missing}`, {
        code: 'NL_WIRE_VALUE',
        reply: { type: 4, code: 9 },
      });
  }
}

/** What is missing for the prerequisite, in words; undefined when it holds. */
export function unmet(needs: Prerequisite, list: readonly OxmEntry[]): string | undefined {
  for (let name = needs; name !== 'none'; ) {
    const rule = prerequisites[name];
    if (!holds(rule.field, rule.values, list)) {
      const values = rule.values?.map((value) => `0x${value.toString(16)}`).join(' or ');
      return values === undefined ? rule.field : `${rule.field} ${values}`;
    }
    name = rule.also;
  }
  return undefined;
}

function holds(field: FieldName, values: readonly number[] | undefined, list: readonly OxmEntry[]): boolean {
  for (const entry of list) {
    if (entry.field === field) {
      if (field === 'vlanVid') return ((entry.value as number) & vlanPresent) !== 0;
      return values === undefined || (entry.mask === undefined && values.includes(entry.value as number));
    }
    // A packet type other than Ethernet carries the Ethernet type in its low half (name space 1).
    if (field === 'ethType' && entry.field === 'packetType' && typeof entry.value === 'number')
      if (entry.value >>> 16 === 1 && values?.includes(entry.value & 0xffff) === true) return true;
  }
  return false;
}
