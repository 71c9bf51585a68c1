import type { Buffer } from 'node:buffer';
import type { Action } from '../actions.ts';
import { copyOf, get16, get32, set32 } from '../bytes.ts';
import { type MessageName, MessageType, version13 } from '../constants.ts';
import { errorExperimenter } from '../error-codes.ts';
import { WireError } from '../errors.ts';
import type { OxmEntry } from '../oxm.ts';
import { type ListRule, listOfElements } from '../tlv.ts';
import { type Writer, written } from '../writer.ts';
import { type ExperimenterBody, readExperimenterBody, writeExperimenterBody } from './experimenter.ts';
import { type MultipartReply, type MultipartRequest, readMultipart, writeMultipart } from './multipart.ts';
import {
  type Band,
  type Bucket,
  badRequestLength,
  decodeActions,
  decodeInstructions,
  exactly,
  type FieldsOf,
  type Instruction,
  nothingAfter,
  type PacketQueue,
  part,
  readBands,
  readBuckets,
  readMatch,
  readQueues,
  type Without,
  writeActions,
  writeBands,
  writeBuckets,
  writeInstructions,
  writeMatch,
  writeQueues,
} from './parts.ts';
import * as s from './structs.ts';

/** One element of a hello. */
export type HelloElement =
  | { readonly type: 'versionBitmap'; readonly bitmaps: readonly number[] }
  | { readonly type: 'unknown'; readonly elementType: number; readonly bytes: Uint8Array };

type Match = { readonly match: readonly OxmEntry[] };
type Data = { readonly data: Uint8Array };

/** The bodies of all 30 message types, by `type`. */
export type Body =
  | { readonly type: 'hello'; readonly elements: readonly HelloElement[] }
  | ({
      readonly type: 'error';
      /** OFPET_* */
      readonly errorType: number;
      /** Code within the type; for experimenter errors theirs. */
      readonly errorCode: number;
      /** Only with type 0xffff. */
      readonly experimenter?: number;
    } & Data)
  | ({ readonly type: 'echoRequest' | 'echoReply' } & Data)
  | ({ readonly type: 'experimenter'; readonly body: ExperimenterBody } & FieldsOf<typeof s.ExperimenterFixed>)
  | { readonly type: 'featuresRequest' | 'getConfigRequest' | 'barrierRequest' | 'barrierReply' | 'getAsyncRequest' }
  | ({ readonly type: 'featuresReply' } & FieldsOf<typeof s.FeaturesReply>)
  | ({ readonly type: 'getConfigReply' | 'setConfig' } & FieldsOf<typeof s.SwitchConfig>)
  | ({ readonly type: 'packetIn' } & FieldsOf<typeof s.PacketInBody> & Match & Data)
  | ({ readonly type: 'flowRemoved' } & FieldsOf<typeof s.FlowRemovedBody> & Match)
  | ({ readonly type: 'portStatus'; readonly port: FieldsOf<typeof s.PortDesc> } & FieldsOf<typeof s.PortStatusBody>)
  | ({ readonly type: 'packetOut'; readonly actions: readonly Action[] } & Without<
      typeof s.PacketOutBody,
      'actionsLen'
    > &
      Data)
  | ({ readonly type: 'flowMod'; readonly instructions: readonly Instruction[] } & FieldsOf<typeof s.FlowModBody> &
      Match)
  | ({ readonly type: 'groupMod'; readonly buckets: readonly Bucket[] } & FieldsOf<typeof s.GroupModBody>)
  | ({ readonly type: 'portMod' } & FieldsOf<typeof s.PortModBody>)
  | ({ readonly type: 'tableMod' } & FieldsOf<typeof s.TableModBody>)
  | MultipartRequest
  | MultipartReply
  | ({ readonly type: 'queueGetConfigRequest' } & FieldsOf<typeof s.QueueConfigBody>)
  | ({ readonly type: 'queueGetConfigReply'; readonly queues: readonly PacketQueue[] } & FieldsOf<
      typeof s.QueueConfigBody
    >)
  | ({ readonly type: 'roleRequest' | 'roleReply' } & FieldsOf<typeof s.RoleBody>)
  | ({ readonly type: 'getAsyncReply' | 'setAsync' } & FieldsOf<typeof s.AsyncBody>)
  | ({ readonly type: 'meterMod'; readonly bands: readonly Band[] } & FieldsOf<typeof s.MeterModBody>);

/** Any OpenFlow 1.3 message. */
export type Message = Body & { readonly version: number; readonly xid: number };

/** The messages of one type. */
export type MessageOf<T extends MessageName> = Extract<Body, { type: T }> & {
  readonly version: number;
  readonly xid: number;
};

const typeNames = new Map(Object.entries(MessageType).map(([name, code]) => [code as number, name as MessageName]));
// Bundles inside bundles make no sense; the bound keeps hostile bytes from nesting without end.
const maxNested = 2;

/** Name of a message type byte, or undefined when OpenFlow 1.3 has none. */
export function messageName(type: number): MessageName | undefined {
  return typeNames.get(type);
}

/**
 * Decodes the message that fills [at, end), without loss. Throws WireError: `NL_WIRE_VERSION` for another version (only
 * hello and error are read in any), `NL_WIRE_TYPE` for an unknown type, `NL_WIRE` for broken structure.
 */
export function decodeMessage(bytes: Uint8Array, at: number, end: number): Message {
  return decodeNested(bytes, at, end, 0);
}

function decodeNested(bytes: Uint8Array, at: number, end: number, depth: number): Message {
  const { version, type, length, xid } = part(s.Header, bytes, at, end);
  if (length !== end - at)
    throw new WireError('ofp_header', 'length', at + 2, `${length}, the message has ${end - at} bytes`, {
      reply: badRequestLength,
    });
  if (version !== version13 && type !== MessageType.hello && type !== MessageType.error)
    throw new WireError('ofp_header', 'version', at, `${version}, ${version13} wanted`, {
      code: 'NL_WIRE_VERSION',
      reply: { type: 1, code: 0 },
    });
  const name = typeNames.get(type);
  if (name === undefined)
    throw new WireError('ofp_header', 'type', at + 1, `${type} is not known`, {
      code: 'NL_WIRE_TYPE',
      reply: { type: 1, code: 1 },
    });
  return { version, xid, ...readBody(name, bytes, at + s.Header.size, end, depth) };
}

const helloRule: ListRule = { structure: 'ofp_hello_elem', min: 4, padded: true };

function readHello(bytes: Uint8Array, at: number, end: number): HelloElement[] {
  return listOfElements(bytes, at, end, helloRule, (from, to): HelloElement => {
    const elementType = get16(bytes, from);
    if (elementType !== 1) return { type: 'unknown', elementType, bytes: copyOf(bytes, from + 4, to) };
    if ((to - from) % 4 !== 0)
      throw new WireError('ofp_hello_elem_versionbitmap', 'length', from + 2, `${to - from}, not a multiple of 4`);
    const bitmaps: number[] = [];
    for (let here = from + 4; here < to; here += 4) bitmaps.push(get32(bytes, here));
    return { type: 'versionBitmap', bitmaps };
  });
}

function readError(bytes: Uint8Array, at: number, end: number): Extract<Body, { type: 'error' }> {
  if (end - at < 4) throw new WireError('ofp_error_msg', 'length', at, `${end - at} bytes, 4 needed`);
  const errorType = get16(bytes, at);
  const errorCode = get16(bytes, at + 2);
  if (errorType !== errorExperimenter) return { type: 'error', errorType, errorCode, data: copyOf(bytes, at + 4, end) };
  if (end - at < 8) throw new WireError('ofp_error_experimenter_msg', 'length', at, `${end - at} bytes, 8 needed`);
  return { type: 'error', errorType, errorCode, experimenter: get32(bytes, at + 4), data: copyOf(bytes, at + 8, end) };
}

function readBody(type: MessageName, bytes: Uint8Array, at: number, end: number, depth: number): Body {
  switch (type) {
    case 'hello':
      return { type, elements: readHello(bytes, at, end) };
    case 'error':
      return readError(bytes, at, end);
    case 'echoRequest':
    case 'echoReply':
      return { type, data: copyOf(bytes, at, end) };
    case 'experimenter': {
      const fields = part(s.ExperimenterFixed, bytes, at, end);
      const from = at + s.ExperimenterFixed.size;
      const nested = (start: number, stop: number): Message => {
        if (depth >= maxNested) throw new WireError('onf_bundle_add', 'message', start, 'nested too deep');
        return decodeNested(bytes, start, stop, depth + 1);
      };
      const body = readExperimenterBody(fields.experimenter, fields.expType, bytes, from, end, nested);
      return { type, ...fields, body };
    }
    case 'featuresRequest':
    case 'getConfigRequest':
    case 'barrierRequest':
    case 'barrierReply':
    case 'getAsyncRequest':
      nothingAfter('ofp_header', at, end);
      return { type };
    case 'featuresReply':
      return { type, ...exactly(s.FeaturesReply, bytes, at, end) };
    case 'getConfigReply':
    case 'setConfig':
      return { type, ...exactly(s.SwitchConfig, bytes, at, end) };
    case 'packetIn':
      return readPacketIn(bytes, at, end);
    case 'flowRemoved': {
      const fields = part(s.FlowRemovedBody, bytes, at, end);
      const { match, next } = readMatch(bytes, at + s.FlowRemovedBody.size, end);
      nothingAfter('ofp_flow_removed', next, end);
      return { type, ...fields, match };
    }
    case 'portStatus':
      return {
        type,
        ...part(s.PortStatusBody, bytes, at, end),
        port: exactly(s.PortDesc, bytes, at + s.PortStatusBody.size, end),
      };
    case 'packetOut':
      return readPacketOut(bytes, at, end);
    case 'flowMod': {
      const fields = part(s.FlowModBody, bytes, at, end);
      const { match, next } = readMatch(bytes, at + s.FlowModBody.size, end);
      return { type, ...fields, match, instructions: decodeInstructions(bytes, next, end) };
    }
    case 'groupMod': {
      const fields = part(s.GroupModBody, bytes, at, end);
      return { type, ...fields, buckets: readBuckets(bytes, at + s.GroupModBody.size, end) };
    }
    case 'portMod':
      return { type, ...exactly(s.PortModBody, bytes, at, end) };
    case 'tableMod':
      return { type, ...exactly(s.TableModBody, bytes, at, end) };
    case 'multipartRequest':
      return readMultipart('multipartRequest', bytes, at, end);
    case 'multipartReply':
      return readMultipart('multipartReply', bytes, at, end);
    case 'queueGetConfigRequest':
      return { type, ...exactly(s.QueueConfigBody, bytes, at, end) };
    case 'queueGetConfigReply': {
      const fields = part(s.QueueConfigBody, bytes, at, end);
      return { type, ...fields, queues: readQueues(bytes, at + s.QueueConfigBody.size, end) };
    }
    case 'roleRequest':
    case 'roleReply':
      return { type, ...exactly(s.RoleBody, bytes, at, end) };
    case 'getAsyncReply':
    case 'setAsync':
      return { type, ...exactly(s.AsyncBody, bytes, at, end) };
    case 'meterMod': {
      const fields = part(s.MeterModBody, bytes, at, end);
      return { type, ...fields, bands: readBands(bytes, at + s.MeterModBody.size, end) };
    }
  }
}

function readPacketIn(bytes: Uint8Array, at: number, end: number): Extract<Body, { type: 'packetIn' }> {
  const fields = part(s.PacketInBody, bytes, at, end);
  const { match, next } = readMatch(bytes, at + s.PacketInBody.size, end);
  if (next + 2 > end) throw new WireError('ofp_packet_in', 'pad', next, 'is cut off');
  return { type: 'packetIn', ...fields, match, data: copyOf(bytes, next + 2, end) };
}

function readPacketOut(bytes: Uint8Array, at: number, end: number): Extract<Body, { type: 'packetOut' }> {
  const { actionsLen, ...fields } = part(s.PacketOutBody, bytes, at, end);
  const from = at + s.PacketOutBody.size;
  const stop = from + actionsLen;
  if (stop > end)
    throw new WireError('ofp_packet_out', 'actions_len', at + 8, `${actionsLen}, only ${end - from} bytes left`, {
      reply: badRequestLength,
    });
  return { type: 'packetOut', ...fields, actions: decodeActions(bytes, from, stop), data: copyOf(bytes, stop, end) };
}

/** Encodes a message. Throws WireError (NL_WIRE_VALUE) for values that do not fit, or more than 65,535 bytes. */
export function encodeMessage(message: Message): Buffer {
  return written((writer) => writeMessage(writer, message));
}

/** Encodes once what is sent again and again with another xid; the function returned makes a copy with that xid. Throws as `encodeMessage`. */
export function messageTemplate(body: Body): (xid?: number) => Buffer {
  const encoded = encodeMessage({ ...body, version: version13, xid: 0 } as Message);
  return (xid = 0) => {
    const bytes = copyOf(encoded, 0, encoded.length);
    set32(bytes, 4, xid);
    return bytes;
  };
}

/** Appends a whole message to a writer. */
export function writeMessage(writer: Writer, message: Message): void {
  const from = writer.at;
  writer.put(s.Header, { version: message.version, type: MessageType[message.type], length: 0, xid: message.xid });
  writeBody(writer, message);
  writer.length16(from, from + 2);
}

function writeBody(writer: Writer, message: Message): void {
  switch (message.type) {
    case 'hello':
      for (const element of message.elements) writeHelloElement(writer, element);
      return;
    case 'error':
      writer.u16(message.errorType).u16(message.errorCode);
      if (message.errorType === errorExperimenter) writer.u32(message.experimenter ?? 0);
      writer.raw(message.data);
      return;
    case 'echoRequest':
    case 'echoReply':
      writer.raw(message.data);
      return;
    case 'experimenter':
      writer.put(s.ExperimenterFixed, message);
      writeExperimenterBody(writer, message.body, (nested) => writeMessage(writer, nested));
      return;
    case 'featuresRequest':
    case 'getConfigRequest':
    case 'barrierRequest':
    case 'barrierReply':
    case 'getAsyncRequest':
      return;
    case 'featuresReply':
      writer.put(s.FeaturesReply, message);
      return;
    case 'getConfigReply':
    case 'setConfig':
      writer.put(s.SwitchConfig, message);
      return;
    case 'packetIn':
      writeMatch(writer.put(s.PacketInBody, message), message.match);
      writer.zero(2).raw(message.data);
      return;
    case 'flowRemoved':
      writeMatch(writer.put(s.FlowRemovedBody, message), message.match);
      return;
    case 'portStatus':
      writer.put(s.PortStatusBody, message).put(s.PortDesc, message.port);
      return;
    case 'packetOut': {
      const from = writer.at;
      writer.put(s.PacketOutBody, { ...message, actionsLen: 0 });
      const actionsAt = writer.at;
      writeActions(writer, message.actions);
      writer.length16(actionsAt, from + s.PacketOutBody.offsets.actionsLen).raw(message.data);
      return;
    }
    case 'flowMod':
      writeMatch(writer.put(s.FlowModBody, message), message.match);
      writeInstructions(writer, message.instructions);
      return;
    case 'groupMod':
      writeBuckets(writer.put(s.GroupModBody, message), message.buckets);
      return;
    case 'portMod':
      writer.put(s.PortModBody, message);
      return;
    case 'tableMod':
      writer.put(s.TableModBody, message);
      return;
    case 'multipartRequest':
    case 'multipartReply':
      writeMultipart(writer, message);
      return;
    case 'queueGetConfigRequest':
      writer.put(s.QueueConfigBody, message);
      return;
    case 'queueGetConfigReply':
      writeQueues(writer.put(s.QueueConfigBody, message), message.queues);
      return;
    case 'roleRequest':
    case 'roleReply':
      writer.put(s.RoleBody, message);
      return;
    case 'getAsyncReply':
    case 'setAsync':
      writer.put(s.AsyncBody, message);
      return;
    case 'meterMod':
      writeBands(writer.put(s.MeterModBody, message), message.bands);
      return;
  }
}

function writeHelloElement(writer: Writer, element: HelloElement): void {
  const from = writer.at;
  if (element.type === 'versionBitmap') {
    writer.u16(1).u16(0);
    for (const bitmap of element.bitmaps) writer.u32(bitmap);
  } else writer.u16(element.elementType).u16(0).raw(element.bytes);
  writer.length16(from, from + 2).align(from);
}

/** True when the peer that sent this hello can talk OpenFlow 1.3: by its bitmap, or without one by its version byte. */
export function helloSpeaks13(hello: MessageOf<'hello'>): boolean {
  for (const element of hello.elements)
    if (element.type === 'versionBitmap' && element.bitmaps.length > 0)
      return ((element.bitmaps[0]! >>> version13) & 1) === 1;
  return hello.version >= version13;
}
