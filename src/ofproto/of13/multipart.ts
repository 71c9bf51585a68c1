import { copyOf } from '../bytes.ts';
import { type MultipartName, MultipartType } from '../constants.ts';
import { WireError } from '../errors.ts';
import type { OxmEntry } from '../oxm.ts';
import type { Table } from '../struct.ts';
import { type ListRule, listOfElements } from '../tlv.ts';
import type { Writer } from '../writer.ts';
import {
  arrayOf,
  type Band,
  type Bucket,
  decodeInstructions,
  exactly,
  type FieldsOf,
  type Instruction,
  nothingAfter,
  part,
  readBands,
  readBuckets,
  readMatch,
  type Without,
  writeBands,
  writeBuckets,
  writeInstructions,
  writeMatch,
} from './parts.ts';
import * as s from './structs.ts';
import { readTableFeatures, type TableFeatures, writeTableFeatures } from './table-features.ts';

/** A flow as the switch has it, with counters. */
export type FlowStats = Without<typeof s.FlowStatsFixed, 'length'> & {
  readonly match: readonly OxmEntry[];
  readonly instructions: readonly Instruction[];
};
/** Counters of a group. */
export type GroupStats = Without<typeof s.GroupStatsFixed, 'length'> & {
  readonly buckets: readonly FieldsOf<typeof s.Counter>[];
};
/** A group as the switch has it. */
export type GroupDesc = Without<typeof s.GroupDescFixed, 'length'> & { readonly buckets: readonly Bucket[] };
/** Counters of a meter. */
export type MeterStats = Without<typeof s.MeterStatsFixed, 'length'> & {
  readonly bands: readonly FieldsOf<typeof s.Counter>[];
};
/** A meter as the switch has it. */
export type MeterConfig = Without<typeof s.MeterConfigFixed, 'length'> & { readonly bands: readonly Band[] };

type Empty = Readonly<Record<never, never>>;
type ExperimenterPart = FieldsOf<typeof s.ExperimenterFixed> & { readonly bytes: Uint8Array };

/** Bodies of multipart requests by `mp`. */
export interface RequestBodies {
  desc: Empty;
  flow: FieldsOf<typeof s.FlowStatsRequest> & { readonly match: readonly OxmEntry[] };
  aggregate: FieldsOf<typeof s.FlowStatsRequest> & { readonly match: readonly OxmEntry[] };
  table: Empty;
  portStats: FieldsOf<typeof s.PortStatsRequest>;
  queue: FieldsOf<typeof s.QueueStatsRequest>;
  group: FieldsOf<typeof s.GroupStatsRequest>;
  groupDesc: Empty;
  groupFeatures: Empty;
  meter: FieldsOf<typeof s.MeterRequest>;
  meterConfig: FieldsOf<typeof s.MeterRequest>;
  meterFeatures: Empty;
  /** No tables: asks. Tables: sets them. */
  tableFeatures: { readonly tables: readonly TableFeatures[] };
  portDesc: Empty;
  experimenter: ExperimenterPart;
}

/** Bodies of multipart replies by `mp`. */
export interface ReplyBodies {
  desc: FieldsOf<typeof s.Desc>;
  flow: { readonly flows: readonly FlowStats[] };
  aggregate: FieldsOf<typeof s.AggregateStats>;
  table: { readonly tables: readonly FieldsOf<typeof s.TableStats>[] };
  portStats: { readonly ports: readonly FieldsOf<typeof s.PortStats>[] };
  queue: { readonly queues: readonly FieldsOf<typeof s.QueueStats>[] };
  group: { readonly groups: readonly GroupStats[] };
  groupDesc: { readonly groups: readonly GroupDesc[] };
  groupFeatures: FieldsOf<typeof s.GroupFeatures>;
  meter: { readonly meters: readonly MeterStats[] };
  meterConfig: { readonly meters: readonly MeterConfig[] };
  meterFeatures: FieldsOf<typeof s.MeterFeatures>;
  tableFeatures: { readonly tables: readonly TableFeatures[] };
  portDesc: { readonly ports: readonly FieldsOf<typeof s.PortDesc>[] };
  experimenter: ExperimenterPart;
}

type Tagged<T extends string, B> = {
  [M in keyof B]: { readonly type: T; readonly mp: M; readonly flags: number } & B[M];
}[keyof B];

/** Any multipart request; `flags` 1 means that more pieces follow. */
export type MultipartRequest = Tagged<'multipartRequest', RequestBodies>;
/** Any multipart reply; `flags` 1 means that more pieces follow. */
export type MultipartReply = Tagged<'multipartReply', ReplyBodies>;

interface BodyCodec<B> {
  read(bytes: Uint8Array, at: number, end: number): B;
  write(writer: Writer, body: B): void;
}
type Codecs<B> = { readonly [M in keyof B]: BodyCodec<B[M]> };

const flowRule: ListRule = { structure: 'ofp_flow_stats', lengthAt: 0, min: 56, multipleOf: 8 };
const groupStatsRule: ListRule = { structure: 'ofp_group_stats', lengthAt: 0, min: 40, multipleOf: 8 };
const groupDescRule: ListRule = { structure: 'ofp_group_desc', lengthAt: 0, min: 8, multipleOf: 8 };
const meterStatsRule: ListRule = { structure: 'ofp_meter_stats', lengthAt: 4, min: 40, multipleOf: 8 };
const meterConfigRule: ListRule = { structure: 'ofp_meter_config', lengthAt: 0, min: 8, multipleOf: 8 };

function empty(name: string): BodyCodec<Empty> {
  return {
    read(_bytes, at, end) {
      nothingAfter(name, at, end);
      return {};
    },
    write: () => undefined,
  };
}

function fixed<S extends { readonly table: Table }>(layout: S): BodyCodec<FieldsOf<S>> {
  const table = layout as unknown as Parameters<typeof exactly>[0];
  return {
    read: (bytes, at, end) => exactly(table, bytes, at, end) as FieldsOf<S>,
    write: (writer, body) => void writer.put(table, body as never),
  };
}

function array<K extends string, S extends { readonly table: Table }>(
  key: K,
  layout: S,
): BodyCodec<{ readonly [P in K]: readonly FieldsOf<S>[] }> {
  const table = layout as unknown as Parameters<typeof arrayOf>[0];
  type Body = { readonly [P in K]: readonly FieldsOf<S>[] };
  return {
    read: (bytes, at, end) => ({ [key]: arrayOf(table, bytes, at, end) }) as unknown as Body,
    write(writer, body) {
      for (const item of body[key]) writer.put(table, item as never);
    },
  };
}

const experimenter: BodyCodec<ExperimenterPart> = {
  read: (bytes, at, end) => ({
    ...part(s.ExperimenterFixed, bytes, at, end),
    bytes: copyOf(bytes, at + s.ExperimenterFixed.size, end),
  }),
  write: (writer, body) => void writer.put(s.ExperimenterFixed, body).raw(body.bytes),
};

const flowRequest: BodyCodec<RequestBodies['flow']> = {
  read(bytes, at, end) {
    const fields = part(s.FlowStatsRequest, bytes, at, end);
    const { match, next } = readMatch(bytes, at + s.FlowStatsRequest.size, end);
    nothingAfter('ofp_flow_stats_request', next, end);
    return { ...fields, match };
  },
  write: (writer, body) => writeMatch(writer.put(s.FlowStatsRequest, body), body.match),
};

const tableFeatures: BodyCodec<{ readonly tables: readonly TableFeatures[] }> = {
  read: (bytes, at, end) => ({ tables: readTableFeatures(bytes, at, end) }),
  write: (writer, { tables }) => writeTableFeatures(writer, tables),
};

const requests: Codecs<RequestBodies> = {
  desc: empty('ofp_desc_request'),
  flow: flowRequest,
  aggregate: flowRequest,
  table: empty('ofp_table_stats_request'),
  portStats: fixed(s.PortStatsRequest),
  queue: fixed(s.QueueStatsRequest),
  group: fixed(s.GroupStatsRequest),
  groupDesc: empty('ofp_group_desc_request'),
  groupFeatures: empty('ofp_group_features_request'),
  meter: fixed(s.MeterRequest),
  meterConfig: fixed(s.MeterRequest),
  meterFeatures: empty('ofp_meter_features_request'),
  tableFeatures,
  portDesc: empty('ofp_port_desc_request'),
  experimenter,
};

/** One entry of a flow-statistics reply, [at, end). */
export function readFlowStats(bytes: Uint8Array, at: number, end: number): FlowStats {
  const { length: _, ...fields } = part(s.FlowStatsFixed, bytes, at, end);
  const { match, next } = readMatch(bytes, at + s.FlowStatsFixed.size, end);
  return { ...fields, match, instructions: decodeInstructions(bytes, next, end) };
}

/** Walks the entries of a flow-statistics body without decoding them: `visit` gets the bounds of each. */
export { flowRule as flowStatsRule };

function counters(bytes: Uint8Array, at: number, end: number): FieldsOf<typeof s.Counter>[] {
  return arrayOf(s.Counter, bytes, at, end);
}

const replies: Codecs<ReplyBodies> = {
  desc: fixed(s.Desc),
  flow: {
    read: (bytes, at, end) => ({
      flows: listOfElements(bytes, at, end, flowRule, (from, to) => readFlowStats(bytes, from, to)),
    }),
    write(writer, { flows }) {
      for (const flow of flows) {
        const from = writer.at;
        writeMatch(writer.put(s.FlowStatsFixed, { ...flow, length: 0 }), flow.match);
        writeInstructions(writer, flow.instructions);
        writer.length16(from, from);
      }
    },
  },
  aggregate: fixed(s.AggregateStats),
  table: array('tables', s.TableStats),
  portStats: array('ports', s.PortStats),
  queue: array('queues', s.QueueStats),
  group: {
    read: (bytes, at, end) => ({
      groups: listOfElements(bytes, at, end, groupStatsRule, (from, to) => {
        const { length: _, ...fields } = part(s.GroupStatsFixed, bytes, from, to);
        return { ...fields, buckets: counters(bytes, from + s.GroupStatsFixed.size, to) };
      }),
    }),
    write(writer, { groups }) {
      for (const group of groups) {
        const from = writer.at;
        writer.put(s.GroupStatsFixed, { ...group, length: 0 });
        for (const bucket of group.buckets) writer.put(s.Counter, bucket);
        writer.length16(from, from);
      }
    },
  },
  groupDesc: {
    read: (bytes, at, end) => ({
      groups: listOfElements(bytes, at, end, groupDescRule, (from, to) => {
        const { length: _, ...fields } = part(s.GroupDescFixed, bytes, from, to);
        return { ...fields, buckets: readBuckets(bytes, from + s.GroupDescFixed.size, to) };
      }),
    }),
    write(writer, { groups }) {
      for (const group of groups) {
        const from = writer.at;
        writer.put(s.GroupDescFixed, { ...group, length: 0 });
        writeBuckets(writer, group.buckets);
        writer.length16(from, from);
      }
    },
  },
  groupFeatures: fixed(s.GroupFeatures),
  meter: {
    read: (bytes, at, end) => ({
      meters: listOfElements(bytes, at, end, meterStatsRule, (from, to) => {
        const { length: _, ...fields } = part(s.MeterStatsFixed, bytes, from, to);
        return { ...fields, bands: counters(bytes, from + s.MeterStatsFixed.size, to) };
      }),
    }),
    write(writer, { meters }) {
      for (const meter of meters) {
        const from = writer.at;
        writer.put(s.MeterStatsFixed, { ...meter, length: 0 });
        for (const band of meter.bands) writer.put(s.Counter, band);
        writer.length16(from, from + s.MeterStatsFixed.offsets.length);
      }
    },
  },
  meterConfig: {
    read: (bytes, at, end) => ({
      meters: listOfElements(bytes, at, end, meterConfigRule, (from, to) => {
        const { length: _, ...fields } = part(s.MeterConfigFixed, bytes, from, to);
        return { ...fields, bands: readBands(bytes, from + s.MeterConfigFixed.size, to) };
      }),
    }),
    write(writer, { meters }) {
      for (const meter of meters) {
        const from = writer.at;
        writer.put(s.MeterConfigFixed, { ...meter, length: 0 });
        writeBands(writer, meter.bands);
        writer.length16(from, from);
      }
    },
  },
  meterFeatures: fixed(s.MeterFeatures),
  tableFeatures,
  portDesc: array('ports', s.PortDesc),
  experimenter,
};

const names = new Map(Object.entries(MultipartType).map(([name, code]) => [code as number, name as MultipartName]));
type AnyCodec = BodyCodec<unknown>;

/** Decodes a multipart message from its type on, [at, end). */
export function readMultipart<T extends 'multipartRequest' | 'multipartReply'>(
  type: T,
  bytes: Uint8Array,
  at: number,
  end: number,
): T extends 'multipartRequest' ? MultipartRequest : MultipartReply {
  const { mp, flags } = part(s.MultipartBody, bytes, at, end);
  const name = names.get(mp);
  if (name === undefined)
    throw new WireError('ofp_multipart', 'type', at, `${mp} is not known`, {
      code: 'NL_WIRE_TYPE',
      reply: { type: 1, code: 2 },
    });
  const codec = (type === 'multipartRequest' ? requests : replies)[name] as AnyCodec;
  const body = codec.read(bytes, at + s.MultipartBody.size, end);
  return { type, mp: name, flags, ...(body as object) } as never;
}

/** Appends a multipart message from its type on. */
export function writeMultipart(writer: Writer, message: MultipartRequest | MultipartReply): void {
  writer.put(s.MultipartBody, { mp: MultipartType[message.mp], flags: message.flags });
  const codec = (message.type === 'multipartRequest' ? requests : replies)[message.mp] as AnyCodec;
  codec.write(writer, message);
}
