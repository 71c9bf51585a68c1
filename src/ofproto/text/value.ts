import { Buffer } from 'node:buffer';
import type { Value } from '../oxm.ts';
import { type FieldName, type FieldSpec, fields } from '../oxm-fields.ts';
import { ipv4Text, ipv6Text, macText, parseIpv4Text, parseIpv6Text, parseMacText } from './address.ts';
import { parsePort, parsePort16, port16Text, portText } from './names.ts';
import { bigOf, hexText, textError } from './scan.ts';

/** Bits with names, lowest first; an empty name has none. */
const flagNames: Partial<Record<FieldSpec['format'], readonly string[]>> = {
  tcpFlags: ['fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ece', 'cwr', 'ns'],
  ctState: ['new', 'est', 'rel', 'rpl', 'inv', 'trk', 'snat', 'dnat'],
  tunFlags: ['oam'],
};

// ip_frag is two bits: 1 any fragment, 2 later. Words for value and mask.
const fragmentWords = [
  ['no', 0, 3],
  ['first', 1, 3],
  ['later', 3, 3],
  ['yes', 1, 1],
  ['not_later', 0, 2],
] as const;

/** Value and mask of a field, in the field's own form. */
export interface ValueMask {
  readonly value: Value;
  readonly mask?: Value;
}

function bytesHex(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes).toString('hex')}`;
}

/** Text of a value as `set_field` and `learn` show it, without a mask. */
export function valueText(field: FieldName, value: Value): string {
  const spec = fields[field];
  if (value instanceof Uint8Array) return bytesHex(value);
  switch (spec.format) {
    case 'mac':
      return macText(Number(value));
    case 'ipv4':
      return ipv4Text(Number(value));
    case 'ipv6':
      return ipv6Text(BigInt(value));
    case 'port':
      return portText(Number(value));
    case 'port16':
      return port16Text(Number(value));
    case 'decimal':
    case 'vlanVid':
      return String(value);
    case 'packetType':
      return `(${Number(value) >>> 16},${hexText(Number(value) & 0xffff)})`;
    case 'ipFrag':
      return fragmentWords.find(([, word, mask]) => word === value && mask === 3)?.[0] ?? hexText(value);
    case 'tcpFlags':
    case 'ctState':
    case 'tunFlags':
      return exactFlags(spec, Number(value));
    default:
      return hexText(value);
  }
}

/** Text of a value under a mask. */
export function maskedText(field: FieldName, value: Value, mask: Value): string {
  const spec = fields[field];
  if (value instanceof Uint8Array) return `${bytesHex(value)}/${bytesHex(mask as Uint8Array)}`;
  switch (spec.format) {
    case 'mac':
      return `${macText(Number(value))}/${macText(Number(mask))}`;
    case 'ipv4': {
      const length = prefixLength(BigInt(mask as number), 32);
      return `${ipv4Text(Number(value))}/${length ?? ipv4Text(Number(mask))}`;
    }
    case 'ipv6': {
      const length = prefixLength(BigInt(mask as bigint), 128);
      return `${ipv6Text(BigInt(value))}/${length ?? ipv6Text(BigInt(mask as bigint))}`;
    }
    case 'ipFrag': {
      const word = fragmentWords.find(([, bits, wildcard]) => bits === value && wildcard === mask);
      return word?.[0] ?? `${hexText(value)}/${hexText(mask as number)}`;
    }
    case 'tcpFlags':
    case 'ctState':
    case 'tunFlags':
      return maskedFlags(spec, Number(value), Number(mask));
    default:
      return `${hexText(value)}/${hexText(mask as number)}`;
  }
}

/** Length of a mask that is a prefix, else undefined. */
function prefixLength(mask: bigint, width: number): number | undefined {
  const inverse = ((1n << BigInt(width)) - 1n) ^ mask;
  if ((inverse & (inverse + 1n)) !== 0n) return undefined;
  return width - (inverse === 0n ? 0 : inverse.toString(2).length);
}

function exactFlags(spec: FieldSpec, value: number): string {
  const names = flagNames[spec.format]!;
  const shown: string[] = [];
  let rest = value;
  names.forEach((name, bit) => {
    if ((value & (1 << bit)) === 0) return;
    shown.push(name);
    rest -= 1 << bit;
  });
  if (rest !== 0) shown.push(hexText(rest));
  return shown.length === 0 ? '0' : shown.join('|');
}

function maskedFlags(spec: FieldSpec, value: number, mask: number): string {
  const names = flagNames[spec.format]!;
  const known = 2 ** names.length - 1;
  // Bits without a name, or set outside the mask, need the plain form.
  if ((mask & ~known) !== 0 || (value & ~mask) !== 0) return `${hexText(value)}/${hexText(mask)}`;
  return names
    .map((name, bit) => ((mask & (1 << bit)) === 0 ? '' : (value & (1 << bit)) === 0 ? `-${name}` : `+${name}`))
    .join('');
}

/** Reads VALUE or VALUE/MASK of a field. Throws WireError (NL_WIRE_VALUE). */
export function parseValue(field: FieldName, text: string, what: string): ValueMask {
  const spec = fields[field];
  const flags = flagNames[spec.format];
  if (flags !== undefined && /^[+-]/.test(text)) return parseMaskedFlags(flags, text, what);
  if (spec.format === 'ipFrag') {
    const word = fragmentWords.find(([name]) => name === text);
    if (word) return word[2] === 3 ? { value: word[1] } : { value: word[1], mask: word[2] };
  }
  const slash = text.indexOf('/');
  if (slash < 0) return { value: parsePlain(spec, text, what) };
  const [left, right] = [text.slice(0, slash), text.slice(slash + 1)];
  return { value: parsePlain(spec, left, what), mask: parseMask(spec, right, what) };
}

function parseMask(spec: FieldSpec, text: string, what: string): Value {
  const width = spec.format === 'ipv4' ? 32 : spec.format === 'ipv6' ? 128 : 0;
  if (width === 0 || !/^\d{1,3}$/.test(text)) return parsePlain(spec, text, what);
  const length = Number(text);
  if (length > width) throw textError(what, text, `is a prefix longer than ${width}`);
  const mask = ((1n << BigInt(length)) - 1n) << BigInt(width - length);
  return width === 32 ? Number(mask) : mask;
}

function parsePlain(spec: FieldSpec, text: string, what: string): Value {
  const must = <T>(value: T | undefined): T => {
    if (value === undefined) throw textError(what, text, `is no value of ${spec.name}`);
    return value;
  };
  switch (spec.format) {
    case 'mac':
      return must(parseMacText(text));
    case 'ipv4':
      return must(parseIpv4Text(text));
    case 'ipv6':
      return must(parseIpv6Text(text));
    case 'port':
      return parsePort(text, what);
    case 'port16':
      return parsePort16(text, what);
    case 'bytes':
      return parseBytes(text, what);
    case 'packetType': {
      if (!text.startsWith('(')) return Number(bigOf(text, 32, what));
      const pair = /^\((\d{1,5}),(0x[0-9a-fA-F]{1,4}|\d{1,5})\)$/.exec(text);
      const [space, type] = pair ? [Number(pair[1]), Number(pair[2])] : [0x1_0000, 0];
      return must(space > 0xffff || type > 0xffff ? undefined : space * 0x1_0000 + type);
    }
    case 'tcpFlags':
    case 'ctState':
    case 'tunFlags':
      return parseExactFlags(spec, flagNames[spec.format]!, text, what);
    default: {
      // The wire may hold more bits than the field has; what is too much is for the encoder to refuse.
      const value = bigOf(text, 8 * spec.bytes, what);
      return spec.bits > 48 ? value : Number(value);
    }
  }
}

function parseBytes(text: string, what: string): Buffer {
  const digits = /^0x([0-9a-fA-F]{1,248})$/.exec(text)?.[1];
  if (digits === undefined) throw textError(what, text, 'is no hex of up to 124 bytes');
  return Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
}

function parseExactFlags(spec: FieldSpec, names: readonly string[], text: string, what: string): number {
  let value = 0;
  for (const word of text.split('|')) {
    const bit = names.indexOf(word);
    const add = bit >= 0 ? 1 << bit : Number(bigOf(word, 8 * spec.bytes, what));
    value = (value | add) >>> 0;
  }
  return value;
}

function parseMaskedFlags(names: readonly string[], text: string, what: string): ValueMask {
  if (!/^([+-][a-z]+)+$/.test(text)) throw textError(what, text, 'is no list of +flag and -flag');
  let value = 0;
  let mask = 0;
  for (const [, sign, name] of text.matchAll(/([+-])([a-z]+)/g)) {
    const bit = names.indexOf(name!);
    if (bit < 0) throw textError(what, name!, 'is no flag');
    if ((mask & (1 << bit)) !== 0) throw textError(what, name!, 'is there twice');
    mask |= 1 << bit;
    if (sign === '+') value |= 1 << bit;
  }
  return { value, mask };
}
