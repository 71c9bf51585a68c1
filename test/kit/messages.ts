import fc from 'fast-check';
import * as of from '../../src/ofproto/index.ts';
import { actions as anyActions, instructions as anyInstructions, matches } from './flows.ts';

/*
 * Arbitrary OpenFlow messages. Structures of fixed size are made from their own tables, so a field that is added is
 * tested at once.
 */

const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map((list) => Buffer.from(list));
const number = (bits: number): fc.Arbitrary<number> =>
  fc.oneof(fc.constantFrom(0, 1, 2 ** bits - 1), fc.integer({ min: 0, max: 2 ** bits - 1 }));
const u64 = fc.oneof(fc.constantFrom(0n, 2n ** 53n + 1n, 2n ** 64n - 1n), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }));

function arbitraryOf(kind: of.FieldKind): fc.Arbitrary<unknown> | undefined {
  const [base, size] = kind.split(':');
  switch (base) {
    case 'pad':
      return undefined;
    case 'u64':
      return u64;
    case 'bytes':
      return fc.uint8Array({ minLength: Number(size), maxLength: Number(size) }).map((list) => Buffer.from(list));
    case 'text':
      // Characters of one to four bytes, never a NUL, never cut.
      return fc
        .string({ unit: 'grapheme', maxLength: Number(size) })
        .filter((text) => !text.includes('\0') && Buffer.byteLength(text) <= Number(size));
    default:
      return number(Number(base!.slice(1)));
  }
}

/** Any plain object of a structure. */
export function fieldsOf<T extends of.Table>(
  layout: of.Struct<T>,
  without: readonly string[] = [],
): fc.Arbitrary<of.Fields<T>> {
  const shape: Record<string, fc.Arbitrary<unknown>> = {};
  for (const [key, [kind]] of Object.entries(layout.table)) {
    const arbitrary = without.includes(key) ? undefined : arbitraryOf(kind);
    if (arbitrary !== undefined) shape[key] = arbitrary;
  }
  return fc.record(shape) as unknown as fc.Arbitrary<of.Fields<T>>;
}

type Part = fc.Arbitrary<object>;

/** Several arbitraries' objects in one. */
function join(...parts: Part[]): Part {
  return fc.tuple(...parts).map((list) => Object.assign({}, ...list) as object);
}

/** Notes end where the action's padding would; shorter ones come back longer. */
function fullNotes<T>(node: T): T {
  if (Array.isArray(node)) return node.map(fullNotes) as T;
  if (typeof node !== 'object' || node === null || node instanceof Uint8Array) return node;
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(node))
    out[key] =
      key === 'note' && value instanceof Uint8Array
        ? Buffer.concat([value, Buffer.alloc(-(value.length + 2) & 7)])
        : fullNotes(value);
  return out as T;
}

const actions = anyActions.map(fullNotes);
const instructions = anyInstructions.map(fullNotes);
const few = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(item, { maxLength: 3 });
const actionList = fc.array(actions, { maxLength: 4 });
const data = fc.record({ data: bytes(40) });
const match = fc.record({ match: matches });

const bucket = join(fieldsOf(of.BucketFixed, ['length']), fc.record({ actions: actionList }));
const buckets = fc.record({ buckets: few(bucket) });
const band = fc.oneof(
  fc.record({ type: fc.constant('drop'), rate: number(32), burstSize: number(32) }),
  fc.record({ type: fc.constant('dscpRemark'), rate: number(32), burstSize: number(32), precLevel: number(8) }),
  fc.record({
    type: fc.constant('experimenter'),
    rate: number(32),
    burstSize: number(32),
    experimenter: number(32),
    bytes: bytes(8),
  }),
  fc.record({
    type: fc.constant('unknown'),
    bandType: fc.integer({ min: 3, max: 9 }),
    rate: number(32),
    burstSize: number(32),
    bytes: bytes(8),
  }),
);
const bands = fc.record({ bands: few(band) });
// Lists whose entries are multiples of eight long, as the specification has them.
const wholeBands = fc.record({
  bands: few(
    band
      .filter((one) => !('bytes' in one) || one.bytes.length === 0 || one.bytes.length === 8)
      .filter((one) => one.type !== 'unknown'),
  ),
});

const queueProperty = fc.oneof(
  fc.record({ type: fc.constantFrom('minRate', 'maxRate'), rate: number(16) }),
  fc.record({ type: fc.constant('experimenter'), experimenter: number(32), bytes: bytes(8) }),
);
const queue = join(fieldsOf(of.PacketQueueFixed, ['length']), fc.record({ properties: few(queueProperty) }));

const fieldId = fc
  .constantFrom(...of.fieldList.filter((spec) => spec.bytes > 0))
  .chain((spec) =>
    fc.boolean().map((hasMask) => (hasMask ? { field: spec.name, hasMask: true } : { field: spec.name })),
  );
const codeId = fc.oneof(
  fc.record({ code: fc.integer({ min: 0, max: 30 }) }),
  fc.record({ code: fc.constant(0xffff), experimenter: number(32) }),
);
const tableProperty = fc.oneof(
  fc.record({ type: fc.constantFrom('instructions', 'writeActionsMiss', 'applyActions'), ids: few(codeId) }),
  fc.record({ type: fc.constantFrom('nextTables', 'nextTablesMiss'), tables: few(number(8)) }),
  fc.record({ type: fc.constantFrom('match', 'wildcards', 'applySetField'), fields: few(fieldId) }),
  fc.record({
    type: fc.constantFrom('experimenter', 'experimenterMiss'),
    experimenter: number(32),
    expType: number(32),
    bytes: bytes(9),
  }),
  fc.record({ type: fc.constant('unknown'), property: fc.integer({ min: 100, max: 200 }), bytes: bytes(9) }),
);
const tableFeatures = join(fieldsOf(of.TableFeaturesFixed, ['length']), fc.record({ properties: few(tableProperty) }));
const tables = fc.record({ tables: few(tableFeatures) });
const experimenterPart = join(fieldsOf(of.ExperimenterFixed), fc.record({ bytes: bytes(20) }));
const flowRequest = join(fieldsOf(of.FlowStatsRequest), match);
const flowStats = join(fieldsOf(of.FlowStatsFixed, ['length']), match, fc.record({ instructions: few(instructions) }));
const counters = few(fieldsOf(of.Counter));

const requests: Readonly<Record<of.MultipartName, Part>> = {
  desc: fc.constant({}),
  flow: flowRequest,
  aggregate: flowRequest,
  table: fc.constant({}),
  portStats: fieldsOf(of.PortStatsRequest),
  queue: fieldsOf(of.QueueStatsRequest),
  group: fieldsOf(of.GroupStatsRequest),
  groupDesc: fc.constant({}),
  groupFeatures: fc.constant({}),
  meter: fieldsOf(of.MeterRequest),
  meterConfig: fieldsOf(of.MeterRequest),
  meterFeatures: fc.constant({}),
  tableFeatures: tables,
  portDesc: fc.constant({}),
  experimenter: experimenterPart,
};

const replies: Readonly<Record<of.MultipartName, Part>> = {
  desc: fieldsOf(of.Desc),
  flow: fc.record({ flows: few(flowStats) }),
  aggregate: fieldsOf(of.AggregateStats),
  table: fc.record({ tables: few(fieldsOf(of.TableStats)) }),
  portStats: fc.record({ ports: few(fieldsOf(of.PortStats)) }),
  queue: fc.record({ queues: few(fieldsOf(of.QueueStats)) }),
  group: fc.record({ groups: few(join(fieldsOf(of.GroupStatsFixed, ['length']), fc.record({ buckets: counters }))) }),
  groupDesc: fc.record({ groups: few(join(fieldsOf(of.GroupDescFixed, ['length']), buckets)) }),
  groupFeatures: fieldsOf(of.GroupFeatures),
  meter: fc.record({ meters: few(join(fieldsOf(of.MeterStatsFixed, ['length']), fc.record({ bands: counters }))) }),
  meterConfig: fc.record({ meters: few(join(fieldsOf(of.MeterConfigFixed, ['length']), wholeBands)) }),
  meterFeatures: fieldsOf(of.MeterFeatures),
  tableFeatures: tables,
  portDesc: fc.record({ ports: few(fieldsOf(of.PortDesc)) }),
  experimenter: experimenterPart,
};

const helloElement = fc.oneof(
  fc.record({ type: fc.constant('versionBitmap'), bitmaps: few(number(32)) }),
  fc.record({ type: fc.constant('unknown'), elementType: fc.integer({ min: 2, max: 99 }), bytes: bytes(9) }),
);

const packetInProperty = fc.oneof(
  fc.record({ prop: fc.constantFrom('packet', 'userdata', 'continuation'), data: bytes(20) }),
  fc.record({ prop: fc.constantFrom('fullLen', 'bufferId'), value: number(32) }),
  fc.record({ prop: fc.constantFrom('tableId', 'reason'), value: number(8) }),
  fc.record({ prop: fc.constant('cookie'), cookie: u64 }),
  fc.record({ prop: fc.constant('metadata'), match: matches }),
  fc.record({ prop: fc.constant('unknown'), propType: fc.integer({ min: 20, max: 99 }), bytes: bytes(9) }),
);
const maps = fc.record({ maps: few(fieldsOf(of.TlvMap)) });

/** Experimenter bodies with the id and type that name them. */
function known(experimenter: number, expType: number, type: string, body: Part = fc.constant({})): Part {
  return body.map((fields) => ({ experimenter, expType, body: { type, ...fields } }));
}
const { nicira, onf } = of.Experimenter;
const value32 = fc.record({ value: number(32) });
const value16 = fc.record({ value: number(16) });

const simpleBodies: Readonly<Record<Exclude<of.MessageName, 'experimenter'>, Part>> = {
  hello: fc.record({ elements: few(helloElement) }),
  error: fc.oneof(
    join(fc.record({ errorType: fc.integer({ min: 0, max: 20 }), errorCode: number(16) }), data),
    join(fc.record({ errorType: fc.constant(0xffff), errorCode: number(16), experimenter: number(32) }), data),
  ),
  echoRequest: data,
  echoReply: data,
  featuresRequest: fc.constant({}),
  featuresReply: fieldsOf(of.FeaturesReply),
  getConfigRequest: fc.constant({}),
  getConfigReply: fieldsOf(of.SwitchConfig),
  setConfig: fieldsOf(of.SwitchConfig),
  packetIn: join(fieldsOf(of.PacketInBody), match, data),
  flowRemoved: join(fieldsOf(of.FlowRemovedBody), match),
  portStatus: join(fieldsOf(of.PortStatusBody), fc.record({ port: fieldsOf(of.PortDesc) })),
  packetOut: join(fieldsOf(of.PacketOutBody, ['actionsLen']), fc.record({ actions: actionList }), data),
  flowMod: join(fieldsOf(of.FlowModBody), match, fc.record({ instructions: few(instructions) })),
  groupMod: join(fieldsOf(of.GroupModBody), buckets),
  portMod: fieldsOf(of.PortModBody),
  tableMod: fieldsOf(of.TableModBody),
  multipartRequest: anyMultipart(requests),
  multipartReply: anyMultipart(replies),
  barrierRequest: fc.constant({}),
  barrierReply: fc.constant({}),
  queueGetConfigRequest: fieldsOf(of.QueueConfigBody),
  queueGetConfigReply: join(fieldsOf(of.QueueConfigBody), fc.record({ queues: few(queue) })),
  roleRequest: fieldsOf(of.RoleBody),
  roleReply: fieldsOf(of.RoleBody),
  getAsyncRequest: fc.constant({}),
  getAsyncReply: fieldsOf(of.AsyncBody),
  setAsync: fieldsOf(of.AsyncBody),
  meterMod: join(fieldsOf(of.MeterModBody), bands),
};

function anyMultipart(bodies: Readonly<Record<of.MultipartName, Part>>): Part {
  return fc.oneof(
    ...Object.entries(bodies).map(([mp, body]) => join(fc.record({ mp: fc.constant(mp), flags: number(16) }), body)),
  );
}

function message(type: string, body: Part): fc.Arbitrary<of.Message> {
  return join(
    fc.record({ version: fc.constant(of.version13), xid: number(32), type: fc.constant(type) }),
    body,
  ) as unknown as fc.Arbitrary<of.Message>;
}

// Messages with lists inside are where mistakes hide.
const weights: Readonly<Record<string, number>> = {
  flowMod: 12,
  packetOut: 8,
  groupMod: 6,
  multipartReply: 20,
  multipartRequest: 6,
};
const simple = fc.oneof(
  ...Object.entries(simpleBodies).map(([type, body]) => ({
    weight: weights[type] ?? 1,
    arbitrary: message(type, body),
  })),
);

const experimenterBodies: readonly Part[] = [
  known(
    onf,
    of.OnfType.bundleControl,
    'bundleControl',
    join(fieldsOf(of.BundleControlBody), fc.record({ properties: bytes(8) })),
  ),
  known(
    onf,
    of.OnfType.bundleAddMessage,
    'bundleAddMessage',
    join(fieldsOf(of.BundleAddBody), fc.record({ message: simple, properties: bytes(8) })),
  ),
  known(onf, of.OnfType.roleStatus, 'roleStatus', fieldsOf(of.RoleStatusBody)),
  known(nicira, of.NiciraType.roleRequest, 'nxRoleRequest', value32),
  known(nicira, of.NiciraType.roleReply, 'nxRoleReply', value32),
  known(nicira, of.NiciraType.setFlowFormat, 'nxSetFlowFormat', value32),
  known(nicira, of.NiciraType.setPacketInFormat, 'nxSetPacketInFormat', value32),
  known(nicira, of.NiciraType.setControllerId, 'nxSetControllerId', value16),
  known(nicira, of.NiciraType.ctFlushZone, 'nxCtFlushZone', value16),
  known(nicira, of.NiciraType.setAsyncConfig, 'nxSetAsyncConfig', fieldsOf(of.AsyncBody)),
  known(
    nicira,
    of.NiciraType.setAsyncConfig2,
    'nxSetAsyncConfig2',
    fc.record({ properties: few(fc.record({ propType: number(16), mask: number(32) })) }),
  ),
  known(nicira, of.NiciraType.packetIn, 'nxPacketIn', join(fieldsOf(of.NxPacketInFixed, ['matchLen']), match, data)),
  known(nicira, of.NiciraType.packetIn2, 'nxPacketIn2', fc.record({ properties: few(packetInProperty) })),
  known(nicira, of.NiciraType.resume, 'nxResume', fc.record({ properties: few(packetInProperty) })),
  known(nicira, of.NiciraType.tlvTableMod, 'nxTlvTableMod', join(fieldsOf(of.TlvTableModFixed), maps)),
  known(nicira, of.NiciraType.tlvTableRequest, 'nxTlvTableRequest'),
  known(nicira, of.NiciraType.tlvTableReply, 'nxTlvTableReply', join(fieldsOf(of.TlvTableReplyFixed), maps)),
  bytes(20).map((rest) => ({ experimenter: 0x1234_5678, expType: 9, body: { type: 'unknown', bytes: rest } })),
];

/** Any message of any of the 30 types, with the extensions. */
export const messages: fc.Arbitrary<of.Message> = fc.oneof(
  { weight: 3, arbitrary: simple },
  { weight: 1, arbitrary: message('experimenter', fc.oneof(...experimenterBodies)) },
);
