import { BundleFixed, CtFixed, LearnFixed, MultipathFixed } from './action-structs.ts';
import type { Action } from './actions.ts';
import { allZero, copyOf, get16, get32, get64 } from './bytes.ts';
import { WireError } from './errors.ts';
import { readLearnSpecs, writeLearnSpecs } from './learn-spec.ts';
import type {
  BundleHash,
  ControllerProperty,
  EncapProperty,
  FieldRange,
  VariableNicira,
} from './nicira-action-types.ts';
import { type FieldId, fieldIdSize, readFieldId, writeFieldId } from './oxm.ts';
import type { Fields, Struct, Table } from './struct.ts';
import { elementEnd, type ListRule, nextElement } from './tlv.ts';
import type { Writer } from './writer.ts';

type Of<T extends VariableNicira['type']> = Extract<VariableNicira, { type: T }>;
type ReadList = (at: number, end: number) => Action[];
type WriteList = (list: readonly Action[]) => void;

interface Codec<T extends VariableNicira['type']> {
  readonly subtype: number;
  /** Least bytes after the subtype. */
  readonly min: number;
  /** Undefined when this is a form that we do not know, to be kept as bytes. */
  read(bytes: Uint8Array, at: number, end: number, nested: ReadList): Of<T> | undefined;
  write(writer: Writer, action: Of<T>, nested: WriteList): void;
}

const badLength = { type: 2, code: 1 };

function part<T extends Table>(layout: Struct<T>, bytes: Uint8Array, at: number, end: number): Fields<T> {
  layout.check(bytes, at, end, badLength);
  return layout.read(bytes, at);
}

/** Offset and width in 16 bits: the width less one in the low six. */
function range(id: FieldId, ofsNbits: number): FieldRange {
  return { ...id, ofs: ofsNbits >> 6, nBits: (ofsNbits & 63) + 1 };
}

function ofsNbits({ ofs, nBits }: FieldRange): number {
  if (nBits < 1 || nBits > 64 || ofs < 0 || ofs > 1023)
    throw new WireError('nx_action', 'ofs_nbits', -1, `cannot hold ${ofs}+${nBits}`, { code: 'NL_WIRE_VALUE' });
  return (ofs << 6) | (nBits - 1);
}

function header32(bytes: Uint8Array, at: number): FieldId {
  return readFieldId(bytes, at, at + fieldIdSizeAt(bytes, at));
}

// Where the structure has room for four bytes of header only, an experimenter field cannot stand there.
function fieldIdSizeAt(bytes: Uint8Array, at: number): number {
  if (get16(bytes, at) === 0xffff)
    throw new WireError('nx_action', 'field', at, 'is an experimenter field, which has no room here', {
      reply: { type: 2, code: 5 },
    });
  return 4;
}

function id32(id: FieldId): number {
  if (fieldIdSize(id) !== 4)
    throw new WireError('nx_action', 'field', -1, 'is an experimenter field, which has no room here', {
      code: 'NL_WIRE_VALUE',
    });
  const header = new Uint8Array(4);
  writeFieldId(header, 0, id);
  return get32(header, 0);
}

function readBundle(bytes: Uint8Array, at: number, end: number): BundleHash {
  const { algorithm, fields, basis, memberCount } = part(BundleFixed, bytes, at, end);
  const from = at + BundleFixed.size;
  if (from + 2 * memberCount > end)
    throw new WireError('nx_action_bundle', 'n_slaves', at, `${memberCount} do not fit`, { reply: badLength });
  const memberType = header32(bytes, at + BundleFixed.offsets.memberType);
  const members = Array.from({ length: memberCount }, (_, i) => get16(bytes, from + 2 * i));
  return { algorithm, fields, basis, memberType, members };
}

function writeBundle(writer: Writer, action: BundleHash, dst: FieldRange | undefined): void {
  writer.put(BundleFixed, {
    algorithm: action.algorithm,
    fields: action.fields,
    basis: action.basis,
    memberType: id32(action.memberType),
    memberCount: action.members.length,
    ofsNbits: dst === undefined ? 0 : ofsNbits(dst),
    dst: dst === undefined ? 0 : id32(dst),
  });
  for (const member of action.members) writer.u16(member);
}

const natParts = [
  ['ipv4Min', 1, 4],
  ['ipv4Max', 2, 4],
  ['ipv6Min', 4, 16],
  ['ipv6Max', 8, 16],
  ['protoMin', 16, 2],
  ['protoMax', 32, 2],
] as const;

const controllerRule: ListRule = { structure: 'nx_action_controller2', min: 4, padded: true, reply: badLength };

function readControllerProperty(bytes: Uint8Array, at: number, end: number): ControllerProperty {
  const type = get16(bytes, at);
  const size = end - at - 4;
  if (type === 0 && size === 4) return { prop: 'maxLen', maxLen: get16(bytes, at + 4) };
  if (type === 1 && size === 4) return { prop: 'controllerId', controllerId: get16(bytes, at + 4) };
  if (type === 2 && size === 1) return { prop: 'reason', reason: bytes[at + 4]! };
  if (type === 3) return { prop: 'userdata', userdata: copyOf(bytes, at + 4, end) };
  if (type === 4 && size === 0) return { prop: 'pause' };
  if (type === 5 && size === 4) return { prop: 'meterId', meterId: get32(bytes, at + 4) };
  return { prop: 'unknown', propType: type, bytes: copyOf(bytes, at + 4, end) };
}

function writeControllerProperty(writer: Writer, property: ControllerProperty): void {
  const from = writer.at;
  switch (property.prop) {
    case 'maxLen':
      writer.u16(0).u16(0).u16(property.maxLen).zero(2);
      break;
    case 'controllerId':
      writer.u16(1).u16(0).u16(property.controllerId).zero(2);
      break;
    case 'reason':
      writer.u16(2).u16(0).u8(property.reason);
      break;
    case 'userdata':
      writer.u16(3).u16(0).raw(property.userdata);
      break;
    case 'pause':
      writer.u16(4).u16(0);
      break;
    case 'meterId':
      writer.u16(5).u16(0).u32(property.meterId);
      break;
    default:
      writer.u16(property.propType).u16(0).raw(property.bytes);
  }
  writer.length16(from, from + 2).align(from);
}

function readEncapProperties(bytes: Uint8Array, at: number, end: number): EncapProperty[] {
  const props: EncapProperty[] = [];
  for (let here = at; here < end; ) {
    const length = end - here < 4 ? 0 : bytes[here + 3]!;
    if (length < 4 || here + length > end)
      throw new WireError('ofp_ed_prop_header', 'len', here + 3, `${length}, 4…${end - here} wanted`, {
        reply: badLength,
      });
    props.push({
      propClass: get16(bytes, here),
      propType: bytes[here + 2]!,
      bytes: copyOf(bytes, here + 4, here + length),
    });
    here = Math.min(end, here + ((length + 7) & ~7));
  }
  return props;
}

const codecs: { readonly [T in VariableNicira['type']]: Codec<T> } = {
  nxRegMove: {
    subtype: 6,
    min: 14,
    read(bytes, at, end) {
      const src = readFieldId(bytes, at + 6, end);
      const dst = readFieldId(bytes, at + 6 + fieldIdSize(src), end);
      return {
        type: 'nxRegMove',
        nBits: get16(bytes, at),
        src: { ...src, ofs: get16(bytes, at + 2) },
        dst: { ...dst, ofs: get16(bytes, at + 4) },
      };
    },
    write: (writer, { nBits, src, dst }) => void writer.u16(nBits).u16(src.ofs).u16(dst.ofs).fieldId(src).fieldId(dst),
  },
  nxRegLoad: {
    subtype: 7,
    min: 14,
    read: (bytes, at) => ({
      type: 'nxRegLoad',
      dst: range(header32(bytes, at + 2), get16(bytes, at)),
      value: get64(bytes, at + 6),
    }),
    write: (writer, { dst, value }) => void writer.u16(ofsNbits(dst)).u32(id32(dst)).u64(value),
  },
  nxNote: {
    subtype: 8,
    min: 0,
    read: (bytes, at, end) => ({ type: 'nxNote', note: copyOf(bytes, at, end) }),
    write: (writer, { note }) => void writer.raw(note),
  },
  nxMultipath: {
    subtype: 10,
    min: MultipathFixed.size + 6,
    read(bytes, at, end) {
      const fixed = part(MultipathFixed, bytes, at, end);
      const next = at + MultipathFixed.size;
      return { type: 'nxMultipath', ...fixed, dst: range(header32(bytes, next + 2), get16(bytes, next)) };
    },
    write: (writer, action) => void writer.put(MultipathFixed, action).u16(ofsNbits(action.dst)).u32(id32(action.dst)),
  },
  nxBundle: {
    subtype: 12,
    min: BundleFixed.size,
    read: (bytes, at, end) => ({ type: 'nxBundle', ...readBundle(bytes, at, end) }),
    write: (writer, action) => writeBundle(writer, action, undefined),
  },
  nxBundleLoad: {
    subtype: 13,
    min: BundleFixed.size,
    read(bytes, at, end) {
      const { ofsNbits: bits, dst } = BundleFixed.offsets;
      const hash = readBundle(bytes, at, end);
      return { type: 'nxBundleLoad', ...hash, dst: range(header32(bytes, at + dst), get16(bytes, at + bits)) };
    },
    write: (writer, action) => writeBundle(writer, action, action.dst),
  },
  nxOutputReg: {
    subtype: 15,
    min: 14,
    read: (bytes, at) => ({
      type: 'nxOutputReg',
      src: range(header32(bytes, at + 2), get16(bytes, at)),
      maxLen: get16(bytes, at + 6),
    }),
    write: (writer, { src, maxLen }) => void writer.u16(ofsNbits(src)).u32(id32(src)).u16(maxLen).zero(6),
  },
  nxOutputReg2: {
    subtype: 32,
    min: 14,
    read: (bytes, at, end) => ({
      type: 'nxOutputReg2',
      src: range(readFieldId(bytes, at + 4, end), get16(bytes, at)),
      maxLen: get16(bytes, at + 2),
    }),
    write: (writer, { src, maxLen }) =>
      void writer
        .u16(ofsNbits(src))
        .u16(maxLen)
        .fieldId(src)
        .zero(10 - fieldIdSize(src)),
  },
  nxLearn: {
    subtype: 16,
    min: LearnFixed.size,
    read: (bytes, at, end) => ({
      type: 'nxLearn',
      ...part(LearnFixed, bytes, at, end),
      specs: readLearnSpecs(bytes, at + LearnFixed.size, end),
    }),
    write(writer, action) {
      writer.put(LearnFixed, action);
      writeLearnSpecs(writer, action.specs);
    },
  },
  nxLearn2: {
    subtype: 45,
    min: LearnFixed.size + 8,
    read(bytes, at, end) {
      const fixed = part(LearnFixed, bytes, at, end);
      const next = at + LearnFixed.size;
      const action = {
        type: 'nxLearn2',
        ...fixed,
        limit: get32(bytes, next),
        resultOfs: get16(bytes, next + 4),
      } as const;
      if ((fixed.flags & 4) === 0) return { ...action, specs: readLearnSpecs(bytes, next + 8, end) };
      const result = readFieldId(bytes, next + 8, end);
      return { ...action, result, specs: readLearnSpecs(bytes, next + 8 + fieldIdSize(result), end) };
    },
    write(writer, action) {
      writer.put(LearnFixed, action).u32(action.limit).u16(action.resultOfs).zero(2);
      if (action.result !== undefined) writer.fieldId(action.result);
      writeLearnSpecs(writer, action.specs);
    },
  },
  nxDecTtlCntIds: {
    subtype: 21,
    min: 6,
    read(bytes, at, end) {
      const count = get16(bytes, at);
      if (at + 6 + 2 * count > end)
        throw new WireError('nx_action_cnt_ids', 'n_controllers', at, `${count} do not fit`, { reply: badLength });
      return { type: 'nxDecTtlCntIds', ids: Array.from({ length: count }, (_, i) => get16(bytes, at + 6 + 2 * i)) };
    },
    write(writer, { ids }) {
      writer.u16(ids.length).zero(4);
      for (const id of ids) writer.u16(id);
    },
  },
  nxStackPush: {
    subtype: 27,
    min: 8,
    read: (bytes, at, end) => ({ type: 'nxStackPush', src: readStack(bytes, at, end) }),
    write: (writer, { src }) => writeStack(writer, src),
  },
  nxStackPop: {
    subtype: 28,
    min: 8,
    read: (bytes, at, end) => ({ type: 'nxStackPop', dst: readStack(bytes, at, end) }),
    write: (writer, { dst }) => writeStack(writer, dst),
  },
  nxCt: {
    subtype: 35,
    min: CtFixed.size,
    read(bytes, at, end, nested) {
      const { flags, zoneSource, zoneImmediate, recircTable, alg } = part(CtFixed, bytes, at, end);
      const zone =
        zoneSource === 0 ? zoneImmediate : range(header32(bytes, at + CtFixed.offsets.zoneSource), zoneImmediate);
      return { type: 'nxCt', flags, zone, recircTable, alg, actions: nested(at + CtFixed.size, end) };
    },
    write(writer, { flags, zone, recircTable, alg, actions }, nested) {
      const zoneSource = typeof zone === 'number' ? 0 : id32(zone);
      const zoneImmediate = typeof zone === 'number' ? zone : ofsNbits(zone);
      writer.put(CtFixed, { flags, zoneSource, zoneImmediate, recircTable, alg });
      nested(actions);
    },
  },
  nxNat: {
    subtype: 36,
    min: 6,
    read(bytes, at, end) {
      const present = get16(bytes, at + 4);
      const action: { -readonly [K in keyof Of<'nxNat'>]: Of<'nxNat'>[K] } = {
        type: 'nxNat',
        flags: get16(bytes, at + 2),
      };
      let here = at + 6;
      for (const [key, bit, size] of natParts) {
        if ((present & bit) === 0) continue;
        if (here + size > end)
          throw new WireError('nx_action_nat', 'range_present', at + 4, `${present} does not fit`, {
            reply: badLength,
          });
        if (key === 'ipv6Min' || key === 'ipv6Max') action[key] = (get64(bytes, here) << 64n) | get64(bytes, here + 8);
        else action[key] = size === 4 ? get32(bytes, here) : get16(bytes, here);
        here += size;
      }
      return action;
    },
    write(writer, action) {
      let present = 0;
      for (const [key, bit] of natParts) if (action[key] !== undefined) present |= bit;
      writer.zero(2).u16(action.flags).u16(present);
      for (const [key, , size] of natParts) {
        const value = action[key];
        if (typeof value === 'bigint') writer.u64(value >> 64n).u64(value & 0xffff_ffff_ffff_ffffn);
        else if (value !== undefined) size === 4 ? writer.u32(value) : writer.u16(value);
      }
    },
  },
  nxController2: {
    subtype: 37,
    min: 6,
    read(bytes, at, end) {
      // Reserved bytes in use mean a form that came after this one.
      if (!allZero(bytes, at, at + 6)) return undefined;
      const props: ControllerProperty[] = [];
      for (let here = at + 6; here < end; ) {
        const stop = elementEnd(bytes, here, end, controllerRule);
        props.push(readControllerProperty(bytes, here, stop));
        here = nextElement(here, stop, end, controllerRule);
      }
      return { type: 'nxController2', props };
    },
    write(writer, { props }) {
      writer.zero(6);
      for (const property of props) writeControllerProperty(writer, property);
    },
  },
  nxClone: {
    subtype: 42,
    min: 6,
    read: (_bytes, at, end, nested) => ({ type: 'nxClone', actions: nested(at + 6, end) }),
    write(writer, { actions }, nested) {
      writer.zero(6);
      nested(actions);
    },
  },
  nxEncap: {
    subtype: 46,
    min: 6,
    read: (bytes, at, end) => ({
      type: 'nxEncap',
      headerSize: get16(bytes, at),
      newPacketType: get32(bytes, at + 2),
      props: readEncapProperties(bytes, at + 6, end),
    }),
    write(writer, { headerSize, newPacketType, props }) {
      writer.u16(headerSize).u32(newPacketType);
      for (const { propClass, propType, bytes } of props) {
        const from = writer.at;
        writer
          .u16(propClass)
          .u8(propType)
          .u8(bytes.length + 4)
          .raw(bytes)
          .align(from);
      }
    },
  },
  nxCheckPktLarger: {
    subtype: 49,
    min: 14,
    read: (bytes, at, end) => ({
      type: 'nxCheckPktLarger',
      packetLength: get16(bytes, at),
      dst: { ...readFieldId(bytes, at + 4, end), ofs: get16(bytes, at + 2) },
    }),
    write: (writer, { packetLength, dst }) =>
      void writer
        .u16(packetLength)
        .u16(dst.ofs)
        .fieldId(dst)
        .zero(10 - fieldIdSize(dst)),
  },
  nxDeleteField: {
    subtype: 50,
    min: 14,
    read: (bytes, at, end) => ({ type: 'nxDeleteField', target: readFieldId(bytes, at + 6, end) }),
    write: (writer, { target }) => void writer.zero(6).fieldId(target),
  },
};

function readStack(bytes: Uint8Array, at: number, end: number): FieldRange {
  const id = readFieldId(bytes, at + 2, end);
  const next = at + 2 + fieldIdSize(id);
  if (next + 2 > end) throw new WireError('nx_action_stack', 'n_bits', next, 'is cut off', { reply: badLength });
  return { ...id, ofs: get16(bytes, at), nBits: get16(bytes, next) };
}

function writeStack(writer: Writer, bits: FieldRange): void {
  writer
    .u16(bits.ofs)
    .fieldId(bits)
    .u16(bits.nBits)
    .zero(10 - fieldIdSize(bits));
}

type AnyCodec = Codec<VariableNicira['type']>;
const bySubtype = new Map<number, AnyCodec>(
  Object.values(codecs).map((codec) => [codec.subtype, codec as unknown as AnyCodec]),
);

/** Decodes the part after the subtype; undefined when the subtype is not one of these. */
export function decodeVariableNicira(
  subtype: number,
  bytes: Uint8Array,
  at: number,
  end: number,
  nested: ReadList,
): VariableNicira | undefined {
  const codec = bySubtype.get(subtype);
  if (codec === undefined) return undefined;
  if (end - at < codec.min)
    throw new WireError('nx_action', 'length', at - 8, `${end - at + 10}, at least ${codec.min + 10}`, {
      reply: badLength,
    });
  return codec.read(bytes, at, end, nested);
}

/** NXAST_* of the action. */
export function variableSubtype(action: VariableNicira): number {
  return codecs[action.type].subtype;
}

/** Writes the part after the subtype. */
export function writeVariableNicira(writer: Writer, action: VariableNicira, nested: WriteList): void {
  (codecs[action.type] as unknown as AnyCodec).write(writer, action as never, nested);
}

/** Names of the actions here with their NXAST_*, for documentation. */
export function variableNiciraSubtypes(): [name: string, subtype: number][] {
  return Object.entries(codecs).map(([name, { subtype }]) => [name, subtype]);
}
