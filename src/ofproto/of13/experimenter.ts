import { copyOf, get16, get32, get64, pad8 } from '../bytes.ts';
import { Experimenter, NiciraType, OnfType } from '../constants.ts';
import { WireError } from '../errors.ts';
import { decodeOxms, encodeOxms, type OxmEntry } from '../oxm.ts';
import { type ListRule, listOfElements } from '../tlv.ts';
import type { Writer } from '../writer.ts';
import type { Message } from './message.ts';
import { arrayOf, exactly, type FieldsOf, part, type Without } from './parts.ts';
import * as s from './structs.ts';

/** One property of NXT_PACKET_IN2 and NXT_RESUME. */
export type PacketInProperty =
  | { readonly prop: 'packet' | 'userdata' | 'continuation'; readonly data: Uint8Array }
  | { readonly prop: 'fullLen' | 'bufferId' | 'tableId' | 'reason'; readonly value: number }
  | { readonly prop: 'cookie'; readonly cookie: bigint }
  | { readonly prop: 'metadata'; readonly match: readonly OxmEntry[] }
  | { readonly prop: 'unknown'; readonly propType: number; readonly bytes: Uint8Array };

/** One property of NXT_SET_ASYNC_CONFIG2: a bit per reason; other forms keep their bytes. */
export type AsyncProperty = { readonly propType: number } & (
  | { readonly mask: number }
  | { readonly bytes: Uint8Array }
);

type TlvMaps = { readonly maps: readonly FieldsOf<typeof s.TlvMap>[] };

/** What an experimenter message says. */
export type ExperimenterBody =
  | ({ readonly type: 'bundleControl'; readonly properties: Uint8Array } & FieldsOf<typeof s.BundleControlBody>)
  | ({
      readonly type: 'bundleAddMessage';
      readonly message: Message;
      /** Padding and properties after the message, as they came. */
      readonly properties: Uint8Array;
    } & FieldsOf<typeof s.BundleAddBody>)
  | ({ readonly type: 'roleStatus' } & FieldsOf<typeof s.RoleStatusBody>)
  | {
      readonly type: 'nxRoleRequest' | 'nxRoleReply' | 'nxSetFlowFormat' | 'nxSetPacketInFormat';
      readonly value: number;
    }
  | { readonly type: 'nxSetControllerId' | 'nxCtFlushZone'; readonly value: number }
  | ({ readonly type: 'nxSetAsyncConfig' } & FieldsOf<typeof s.AsyncBody>)
  | { readonly type: 'nxSetAsyncConfig2'; readonly properties: readonly AsyncProperty[] }
  | ({ readonly type: 'nxPacketIn'; readonly match: readonly OxmEntry[]; readonly data: Uint8Array } & Without<
      typeof s.NxPacketInFixed,
      'matchLen'
    >)
  | { readonly type: 'nxPacketIn2' | 'nxResume'; readonly properties: readonly PacketInProperty[] }
  | ({ readonly type: 'nxTlvTableMod' } & FieldsOf<typeof s.TlvTableModFixed> & TlvMaps)
  | { readonly type: 'nxTlvTableRequest' }
  | ({ readonly type: 'nxTlvTableReply' } & FieldsOf<typeof s.TlvTableReplyFixed> & TlvMaps)
  | { readonly type: 'unknown'; readonly bytes: Uint8Array };

/** Decodes a whole nested message; handed in, because messages hold bundles and bundles hold messages. */
export type ReadNested = (at: number, end: number) => Message;
/** Appends a whole nested message. */
export type WriteNested = (message: Message) => void;

type Body<T extends ExperimenterBody['type']> = Extract<ExperimenterBody, { type: T }>;

const propertyRule: ListRule = { structure: 'nx_packet_in2_prop', min: 4, padded: true };
const asyncRule: ListRule = { structure: 'nx_async_config_prop', min: 4, padded: true };

/** Decodes what follows experimenter id and type, [at, end). */
export function readExperimenterBody(
  experimenter: number,
  expType: number,
  bytes: Uint8Array,
  at: number,
  end: number,
  nested: ReadNested,
): ExperimenterBody {
  if (experimenter === Experimenter.onf) {
    if (expType === OnfType.bundleControl) {
      const fields = part(s.BundleControlBody, bytes, at, end);
      return { type: 'bundleControl', ...fields, properties: copyOf(bytes, at + s.BundleControlBody.size, end) };
    }
    if (expType === OnfType.bundleAddMessage) return readBundleAdd(bytes, at, end, nested);
    if (expType === OnfType.roleStatus) return { type: 'roleStatus', ...exactly(s.RoleStatusBody, bytes, at, end) };
  }
  if (experimenter === Experimenter.nicira) {
    const body = readNicira(expType, bytes, at, end);
    if (body !== undefined) return body;
  }
  return { type: 'unknown', bytes: copyOf(bytes, at, end) };
}

function readBundleAdd(bytes: Uint8Array, at: number, end: number, nested: ReadNested): Body<'bundleAddMessage'> {
  const fields = part(s.BundleAddBody, bytes, at, end);
  const from = at + s.BundleAddBody.size;
  s.Header.check(bytes, from, end);
  const stop = from + get16(bytes, from + 2);
  if (stop < from + s.Header.size || stop > end)
    throw new WireError('onf_bundle_add', 'message length', from + 2, `${stop - from}, 8…${end - from} wanted`, {
      reply: { type: 1, code: 6 },
    });
  return { type: 'bundleAddMessage', ...fields, message: nested(from, stop), properties: copyOf(bytes, stop, end) };
}

function readNicira(expType: number, bytes: Uint8Array, at: number, end: number): ExperimenterBody | undefined {
  switch (expType) {
    case NiciraType.roleRequest:
    case NiciraType.roleReply:
    case NiciraType.setFlowFormat:
    case NiciraType.setPacketInFormat:
      return { type: numberNames[expType], ...exactly(s.NxNumber, bytes, at, end) };
    case NiciraType.setControllerId:
    case NiciraType.ctFlushZone:
      return { type: number16Names[expType], ...exactly(s.NxNumber16, bytes, at, end) };
    case NiciraType.setAsyncConfig:
      return { type: 'nxSetAsyncConfig', ...exactly(s.AsyncBody, bytes, at, end) };
    case NiciraType.setAsyncConfig2:
      return {
        type: 'nxSetAsyncConfig2',
        properties: listOfElements(bytes, at, end, asyncRule, (from, to): AsyncProperty => {
          const propType = get16(bytes, from);
          return to - from === 8
            ? { propType, mask: get32(bytes, from + 4) }
            : { propType, bytes: copyOf(bytes, from + 4, to) };
        }),
      };
    case NiciraType.packetIn:
      return readNxPacketIn(bytes, at, end);
    case NiciraType.packetIn2:
    case NiciraType.resume:
      return {
        type: expType === NiciraType.resume ? 'nxResume' : 'nxPacketIn2',
        properties: listOfElements(bytes, at, end, propertyRule, (from, to) => readPacketInProperty(bytes, from, to)),
      };
    case NiciraType.tlvTableMod: {
      const fields = part(s.TlvTableModFixed, bytes, at, end);
      return { type: 'nxTlvTableMod', ...fields, maps: arrayOf(s.TlvMap, bytes, at + s.TlvTableModFixed.size, end) };
    }
    case NiciraType.tlvTableRequest:
      return at === end ? { type: 'nxTlvTableRequest' } : undefined;
    case NiciraType.tlvTableReply: {
      const fields = part(s.TlvTableReplyFixed, bytes, at, end);
      const maps = arrayOf(s.TlvMap, bytes, at + s.TlvTableReplyFixed.size, end);
      return { type: 'nxTlvTableReply', ...fields, maps };
    }
    default:
      return undefined;
  }
}

const numberNames = {
  [NiciraType.roleRequest]: 'nxRoleRequest',
  [NiciraType.roleReply]: 'nxRoleReply',
  [NiciraType.setFlowFormat]: 'nxSetFlowFormat',
  [NiciraType.setPacketInFormat]: 'nxSetPacketInFormat',
} as const;
const number16Names = {
  [NiciraType.setControllerId]: 'nxSetControllerId',
  [NiciraType.ctFlushZone]: 'nxCtFlushZone',
} as const;

function readNxPacketIn(bytes: Uint8Array, at: number, end: number): Body<'nxPacketIn'> {
  const { matchLen, ...fields } = part(s.NxPacketInFixed, bytes, at, end);
  const from = at + s.NxPacketInFixed.size;
  const dataAt = from + pad8(matchLen) + 2;
  if (dataAt > end)
    throw new WireError('nx_packet_in', 'match_len', at + 16, `${matchLen}, only ${end - from} bytes left`);
  const match = decodeOxms(bytes, from, from + matchLen);
  return { type: 'nxPacketIn', ...fields, match, data: copyOf(bytes, dataAt, end) };
}

const packetInNumbers = { 1: ['fullLen', 4], 2: ['bufferId', 4], 3: ['tableId', 1], 5: ['reason', 1] } as const;
const packetInBytes = { 0: 'packet', 7: 'userdata', 8: 'continuation' } as const;

function readPacketInProperty(bytes: Uint8Array, at: number, end: number): PacketInProperty {
  const propType = get16(bytes, at);
  const size = end - at - 4;
  if (propType === 0 || propType === 7 || propType === 8)
    return { prop: packetInBytes[propType], data: copyOf(bytes, at + 4, end) };
  if (propType === 1 || propType === 2 || propType === 3 || propType === 5) {
    const [prop, width] = packetInNumbers[propType];
    if (size === width) return { prop, value: width === 4 ? get32(bytes, at + 4) : bytes[at + 4]! };
  }
  if (propType === 4 && size === 12) return { prop: 'cookie', cookie: get64(bytes, at + 8) };
  if (propType === 6) return { prop: 'metadata', match: decodeOxms(bytes, at + 4, end) };
  return { prop: 'unknown', propType, bytes: copyOf(bytes, at + 4, end) };
}

/** Appends what follows experimenter id and type. */
export function writeExperimenterBody(writer: Writer, body: ExperimenterBody, nested: WriteNested): void {
  switch (body.type) {
    case 'bundleControl':
      writer.put(s.BundleControlBody, body).raw(body.properties);
      break;
    case 'bundleAddMessage':
      writer.put(s.BundleAddBody, body);
      nested(body.message);
      writer.raw(body.properties);
      break;
    case 'roleStatus':
      writer.put(s.RoleStatusBody, body);
      break;
    case 'nxRoleRequest':
    case 'nxRoleReply':
    case 'nxSetFlowFormat':
    case 'nxSetPacketInFormat':
      writer.u32(body.value);
      break;
    case 'nxSetControllerId':
    case 'nxCtFlushZone':
      writer.put(s.NxNumber16, body);
      break;
    case 'nxSetAsyncConfig':
      writer.put(s.AsyncBody, body);
      break;
    case 'nxSetAsyncConfig2':
      for (const property of body.properties) {
        const from = writer.at;
        writer.u16(property.propType).u16(0);
        if ('mask' in property) writer.u32(property.mask);
        else writer.raw(property.bytes);
        writer.length16(from, from + 2).align(from);
      }
      break;
    case 'nxPacketIn': {
      const match = encodeOxms(body.match);
      writer.put(s.NxPacketInFixed, { ...body, matchLen: match.length });
      const from = writer.at;
      writer.raw(match).align(from).zero(2).raw(body.data);
      break;
    }
    case 'nxPacketIn2':
    case 'nxResume':
      for (const property of body.properties) writePacketInProperty(writer, property);
      break;
    case 'nxTlvTableMod':
      writer.put(s.TlvTableModFixed, body);
      for (const map of body.maps) writer.put(s.TlvMap, map);
      break;
    case 'nxTlvTableRequest':
      break;
    case 'nxTlvTableReply':
      writer.put(s.TlvTableReplyFixed, body);
      for (const map of body.maps) writer.put(s.TlvMap, map);
      break;
    default:
      writer.raw(body.bytes);
  }
}

const packetInCodes = {
  packet: 0,
  fullLen: 1,
  bufferId: 2,
  tableId: 3,
  cookie: 4,
  reason: 5,
  metadata: 6,
  userdata: 7,
  continuation: 8,
} as const;

function writePacketInProperty(writer: Writer, property: PacketInProperty): void {
  const from = writer.at;
  writer.u16(property.prop === 'unknown' ? property.propType : packetInCodes[property.prop]).u16(0);
  if ('data' in property) writer.raw(property.data);
  else if ('value' in property)
    property.prop === 'fullLen' || property.prop === 'bufferId'
      ? writer.u32(property.value)
      : writer.u8(property.value);
  else if (property.prop === 'cookie') writer.zero(4).u64(property.cookie);
  else if (property.prop === 'metadata') writer.raw(encodeOxms(property.match));
  else writer.raw(property.bytes);
  writer.length16(from, from + 2).align(from);
}
