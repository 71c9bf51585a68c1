import { Buffer } from 'node:buffer';
import { errorName } from './error-codes.ts';
import { WireError } from './errors.ts';
import { decodeMessage, encodeMessage, type Message } from './of13/index.ts';
import type { Value } from './oxm.ts';
import { type FieldName, fields, isFieldName } from './oxm-fields.ts';
import { ipv4Text, ipv6Text, macText, parseIpv4Text, parseIpv6Text, parseMacText } from './text/address.ts';

/** Whatever JSON can say. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/*
 * The JSON form follows the message objects key by key. What JSON lacks is said by text: 64-bit numbers in decimal, bytes
 * in hex, addresses as people write them. Which of these a text is follows from its key alone, so nothing is lost:
 */

/** Keys whose texts are texts. */
const textKeys = new Set([
  'type',
  'mp',
  'to',
  'prop',
  'field',
  'name',
  'manufacturer',
  'hardware',
  'software',
  'serialNumber',
  'datapath',
]);
/** Keys whose texts are bytes in hex; so is `nameBytes` beside `name`, and so on. All other texts are decimal numbers. */
const bytesKeys = new Set(['data', 'bytes', 'properties', 'note', 'userdata', 'reserved']);
/** Names that are added for people and ignored when read. */
const commentKeys = new Set(['errorTypeName', 'errorCodeName']);
const maxDepth = 64;

/** A message as JSON, without loss. Error messages also carry the names of their type and code. */
export function toJson(message: Message): Json {
  const json = valueToJson(message, '') as { [key: string]: Json };
  if (message.type !== 'error') return json;
  const { type, code } = errorName(message.errorType, message.errorCode, message.experimenter);
  return { ...json, errorTypeName: type, errorCodeName: code };
}

function valueToJson(value: unknown, key: string): Json {
  switch (typeof value) {
    case 'bigint':
      return String(value);
    case 'number':
      return key === 'hwAddr' ? macText(value) : value;
    case 'string':
    case 'boolean':
      return value;
    default:
  }
  if (value instanceof Uint8Array) return hexOf(value);
  if (Array.isArray(value)) return value.map((item) => valueToJson(item, key));
  const source = value as Readonly<Record<string, unknown>>;
  const field = source['field'];
  const isEntry = typeof field === 'string' && isFieldName(field);
  const json: { [key: string]: Json } = {};
  for (const name in source) {
    const item = source[name];
    if (item === undefined) continue;
    json[name] =
      isEntry && (name === 'value' || name === 'mask') ? fieldToJson(field, item as Value) : valueToJson(item, name);
  }
  return json;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

function fieldToJson(field: FieldName, value: Value): Json {
  if (value instanceof Uint8Array) return hexOf(value);
  switch (fields[field].format) {
    case 'mac':
      return macText(value as number);
    case 'ipv4':
      return ipv4Text(value as number);
    case 'ipv6':
      return ipv6Text(value as bigint);
    default:
      return typeof value === 'bigint' ? String(value) : value;
  }
}

/**
 * The message of a JSON form made by `toJson` (or by hand). Throws WireError (NL_WIRE_VALUE) naming the key for anything
 * that no message can hold.
 */
export function fromJson(json: Json): Message {
  const message = valueFromJson(json, '', 0) as Message;
  // Encoding is the check: it knows every structure. What it trips over was no message.
  let bytes: Buffer;
  try {
    bytes = encodeMessage(message);
  } catch (cause) {
    if (cause instanceof WireError) throw cause;
    throw new WireError('message', 'json', -1, 'is not the form of a message', { code: 'NL_WIRE_VALUE', cause });
  }
  return decodeMessage(bytes, 0, bytes.length);
}

function valueFromJson(json: Json, key: string, depth: number): unknown {
  if (depth > maxDepth) throw refuse(key, `nests more than ${maxDepth} deep`);
  if (typeof json === 'string') return textFromJson(json, key);
  if (json === null) throw refuse(key, 'cannot be null');
  if (typeof json === 'number' || typeof json === 'boolean') return json;
  if (isList(json)) return json.map((item) => valueFromJson(item, key, depth + 1));
  const field = json['field'];
  const isEntry = typeof field === 'string' && isFieldName(field);
  const value: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(json)) {
    if (commentKeys.has(name)) continue;
    value[name] =
      isEntry && (name === 'value' || name === 'mask')
        ? fieldFromJson(field, item, name)
        : valueFromJson(item, name, depth + 1);
  }
  return value;
}

function isList(json: Json): json is readonly Json[] {
  return Array.isArray(json);
}

function textFromJson(text: string, key: string): unknown {
  if (textKeys.has(key)) return text;
  if (key === 'hwAddr') return parsed(parseMacText(text), key, text, 'a MAC address');
  if (bytesKeys.has(key) || (key.endsWith('Bytes') && textKeys.has(key.slice(0, -5)))) return bytesFromHex(text, key);
  return numberFromText(text, key);
}

function numberFromText(text: string, key: string): bigint {
  if (!/^\d{1,700}$/.test(text)) throw refuse(key, `${shorten(text)} is not a decimal number`);
  return BigInt(text);
}

function bytesFromHex(text: string, key: string): Buffer {
  if (!/^([0-9a-fA-F]{2})*$/.test(text)) throw refuse(key, `${shorten(text)} is not hex`);
  return Buffer.from(text, 'hex');
}

function fieldFromJson(field: FieldName, json: Json, key: string): Value {
  const spec = fields[field];
  if (typeof json === 'number') return json;
  if (typeof json !== 'string') throw refuse(key, `of ${field} must be a text or a number`);
  if (spec.bytes === 0) return bytesFromHex(json, key);
  switch (spec.format) {
    case 'mac':
      return parsed(parseMacText(json), key, json, 'a MAC address');
    case 'ipv4':
      return parsed(parseIpv4Text(json), key, json, 'an IPv4 address');
    case 'ipv6':
      return parsed(parseIpv6Text(json), key, json, 'an IPv6 address');
    default:
      return numberFromText(json, key);
  }
}

function parsed<T>(value: T | undefined, key: string, text: string, wanted: string): T {
  if (value === undefined) throw refuse(key, `${shorten(text)} is not ${wanted}`);
  return value;
}

function shorten(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}

function refuse(key: string, problem: string): WireError {
  return new WireError('message', key === '' ? 'json' : key, -1, problem, { code: 'NL_WIRE_VALUE' });
}
