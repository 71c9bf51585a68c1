import fc from 'fast-check';
import {
  type Action,
  type FieldName,
  fieldList,
  fields,
  type Instruction,
  type OxmEntry,
  type Value,
} from '../../src/ofproto/index.ts';
import type { FlowText } from '../../src/ofproto/text/index.ts';

const upTo = (bits: number): fc.Arbitrary<number> => fc.integer({ min: 0, max: 2 ** bits - 1 });
const big = (bits: number): fc.Arbitrary<bigint> =>
  fc.oneof(fc.constantFrom(0n, 1n, (1n << BigInt(bits)) - 1n), fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n }));
const bytes = (minLength: number, maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength, maxLength }).map((b) => Buffer.from(b));

function valueFor(field: FieldName): fc.Arbitrary<Value> {
  const spec = fields[field];
  if (spec.bytes === 0) return bytes(1, 12);
  return spec.bits > 48 ? big(spec.bits) : upTo(spec.bits);
}

const anyField = fc.constantFrom(...fieldList.map((spec) => spec.name));

/** Any match entry at all, prerequisites or not: what a switch may report, and then some. */
const entry: fc.Arbitrary<OxmEntry> = fc.oneof(
  {
    weight: 9,
    arbitrary: anyField.chain((field) =>
      fc.tuple(valueFor(field), fc.option(valueFor(field), { nil: undefined })).map(([value, mask]): OxmEntry => {
        if (mask === undefined) return { field, value };
        if (!(value instanceof Uint8Array)) return { field, value, mask };
        // A mask is as long as its value.
        return { field, value, mask: Buffer.alloc(value.length, mask as Uint8Array) };
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(0x8000, 0x1234, 0xffff), fc.integer({ min: 100, max: 103 }), fc.boolean(), bytes(1, 8))
      .map(([oxmClass, oxmField, hasMask, data]): OxmEntry => {
        const base = { field: 'unknown', oxmClass, oxmField, hasMask, bytes: data } as const;
        return oxmClass === 0xffff ? { ...base, experimenter: 0x1234_5678 } : base;
      }),
  },
);

/** Entries of a match, each field once; aliases of one field count as it. */
export const matches: fc.Arbitrary<OxmEntry[]> = fc.uniqueArray(entry, {
  maxLength: 8,
  selector: (one) => {
    if (one.field === 'unknown') return `${one.oxmClass}.${one.oxmField}`;
    if (/^(nxmVlanTci|vlanVid|vlanPcp)$/.test(one.field)) return 'vlan';
    if (/^(nxmIpTos|ipDscp)$/.test(one.field)) return 'dscp';
    return fields[one.field].aliasOf ?? one.field;
  },
});

const bitsField = fc.constantFrom<FieldName>(
  'reg0',
  'reg15',
  'xreg3',
  'xxreg1',
  'ethDst',
  'nxmEthSrc',
  'arpSpa',
  'nxmArpTpa',
  'metadata',
  'vlanVid',
  'nxmVlanTci',
  'ipv6Dst',
  'ctMark',
  'nxmInPort',
  'inPort',
  'tunnelId',
  'nxmTunnelId',
  'tcpDst',
  'ipv6NdTarget',
  'pktMark',
  'ctLabel',
);
const range = (max: number): fc.Arbitrary<{ field: FieldName; ofs: number; nBits: number }> =>
  bitsField.chain((field) =>
    fc.tuple(upTo(7), upTo(7)).map(([a, b]) => {
      const { bits } = fields[field];
      const ofs = a % bits;
      return { field, ofs, nBits: 1 + (b % Math.min(max, bits - ofs)) };
    }),
  );
const port16 = fc.oneof(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 0xfff8, max: 0xffff }));
const port = fc.oneof(upTo(8), fc.integer({ min: 0xffff_fff8, max: 0xffff_ffff }), upTo(32));

const simple: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ type: fc.constant('output' as const), port, maxLen: upTo(16) }),
  fc.record({ type: fc.constant('group' as const), groupId: upTo(32) }),
  fc.record({ type: fc.constant('setQueue' as const), queueId: upTo(32) }),
  fc.constantFrom<Action>(
    { type: 'popVlan' },
    { type: 'decNwTtl' },
    { type: 'decMplsTtl' },
    { type: 'copyTtlIn' },
    { type: 'copyTtlOut' },
    { type: 'popPbb' },
    { type: 'nxExit' },
    { type: 'nxCtClear' },
    { type: 'nxPopQueue' },
    { type: 'nxDecNshTtl' },
    { type: 'unknown', actionType: 77, bytes: Buffer.from('00000000', 'hex') },
    { type: 'unknown', actionType: 0xffff, experimenter: 0x1234, bytes: Buffer.from('0102030405060708', 'hex') },
  ),
  fc.record({
    type: fc.constantFrom('pushVlan' as const, 'pushMpls' as const, 'popMpls' as const),
    ethertype: upTo(16),
  }),
  fc.record({ type: fc.constantFrom('setNwTtl' as const, 'setMplsTtl' as const), ttl: upTo(8) }),
  anyField.chain((field) =>
    fc.tuple(valueFor(field), fc.option(valueFor(field), { nil: undefined })).map(([value, mask]): Action => {
      if (mask === undefined) return { type: 'setField', field, value };
      if (!(value instanceof Uint8Array)) return { type: 'setField', field, value, mask };
      return { type: 'setField', field, value, mask: Buffer.alloc(value.length, mask as Uint8Array) };
    }),
  ),
  fc.tuple(range(2000), range(2000)).map(([a, b]): Action => {
    const nBits = Math.min(a.nBits, b.nBits);
    return { type: 'nxRegMove', nBits, src: { field: a.field, ofs: a.ofs }, dst: { field: b.field, ofs: b.ofs } };
  }),
  fc
    .tuple(range(64), big(64))
    .map(([dst, value]): Action => ({ type: 'nxRegLoad', dst, value: value >> BigInt(64 - dst.nBits) })),
  fc.record({ type: fc.constant('nxStackPush' as const), src: range(2000) }),
  fc.record({ type: fc.constant('nxStackPop' as const), dst: range(2000) }),
  fc.record({ type: fc.constant('nxOutputReg' as const), src: range(32), maxLen: fc.constantFrom(0xffff, 100) }),
  fc.record({ type: fc.constant('nxResubmit' as const), inPort: port16 }),
  fc.record({
    type: fc.constantFrom('nxResubmitTable' as const, 'nxResubmitTableCt' as const),
    inPort: port16,
    table: upTo(8),
  }),
  fc.record({ type: fc.constant('nxNote' as const), note: bytes(6, 14) }),
  fc.record({ type: fc.constant('nxController' as const), maxLen: upTo(16), controllerId: upTo(16), reason: upTo(3) }),
  fc.record({ type: fc.constant('nxConjunction' as const), clause: upTo(6), clauses: upTo(6), id: upTo(32) }),
  fc.record({ type: fc.constant('nxDecTtlCntIds' as const), ids: fc.array(upTo(16), { maxLength: 3 }) }),
  fc.record({ type: fc.constant('nxFinTimeout' as const), finIdleTimeout: upTo(16), finHardTimeout: upTo(16) }),
  fc.record({ type: fc.constant('nxOutputTrunc' as const), port: port16, maxLen: upTo(32) }),
  fc.record({
    type: fc.constant('nxMultipath' as const),
    fields: upTo(3),
    basis: upTo(16),
    algorithm: upTo(3),
    maxLink: upTo(16),
    arg: upTo(32),
    dst: range(64),
  }),
  fc
    .array(
      fc.oneof(
        fc.record({ prop: fc.constant('maxLen' as const), maxLen: upTo(16) }),
        fc.record({ prop: fc.constant('reason' as const), reason: upTo(8) }),
        fc.record({ prop: fc.constant('userdata' as const), userdata: bytes(0, 6) }),
        fc.constant({ prop: 'pause' as const }),
        fc.record({ prop: fc.constant('meterId' as const), meterId: upTo(32) }),
      ),
      { maxLength: 4 },
    )
    .map((props): Action => ({ type: 'nxController2', props })),
  fc.record({
    type: fc.constant('nxNat' as const),
    flags: upTo(5),
    ipv4Min: upTo(32),
    ipv4Max: upTo(32),
    protoMin: upTo(16),
    protoMax: upTo(16),
  }),
  fc.record({
    type: fc.constant('nxNat' as const),
    flags: fc.constantFrom(1, 2, 26),
    ipv6Min: big(128),
    protoMin: upTo(16),
  }),
  fc.tuple(range(64), big(64), upTo(16), upTo(3), upTo(8)).map(
    ([dst, value, timeout, flags, tableId]): Action => ({
      type: 'nxLearn',
      idleTimeout: timeout,
      hardTimeout: 0,
      priority: timeout,
      cookie: value,
      flags: flags & 3,
      tableId,
      finIdleTimeout: 0,
      finHardTimeout: timeout,
      specs: [
        { nBits: 48, src: { field: 'ethSrc', ofs: 0 }, dst: { to: 'match', field: 'ethDst', ofs: 0 } },
        { nBits: 12, src: { field: 'vlanVid', ofs: 0 }, dst: { to: 'match', field: 'vlanVid', ofs: 0 } },
        {
          nBits: dst.nBits,
          src: { immediate: value >> BigInt(64 - dst.nBits) },
          dst: { to: flags > 3 ? 'load' : 'match', field: dst.field, ofs: dst.ofs },
        },
        { nBits: 16, src: { immediate: 0x800n }, dst: { to: 'match', field: 'ethType', ofs: 0 } },
        { nBits: dst.nBits, src: { field: dst.field, ofs: dst.ofs }, dst: { to: 'output' } },
      ],
    }),
  ),
);

/** Any action, with actions inside clone and ct. */
export const actions: fc.Arbitrary<Action> = fc.oneof(
  { weight: 9, arbitrary: simple },
  {
    weight: 1,
    arbitrary: fc.array(simple, { maxLength: 3 }).map((inner): Action => ({ type: 'nxClone', actions: inner })),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('nxCt' as const),
      flags: upTo(2),
      zone: fc.oneof(upTo(16), range(16)),
      recircTable: upTo(8),
      alg: fc.constantFrom(0, 21, 69, 5),
      actions: fc.array(simple, { maxLength: 3 }),
    }),
  },
);

/** Any instruction. */
export const instructions: fc.Arbitrary<Instruction> = fc.oneof(
  fc.record({ type: fc.constant('gotoTable' as const), tableId: upTo(8) }),
  fc.record({ type: fc.constant('writeMetadata' as const), metadata: big(64), mask: big(64) }),
  fc.record({
    type: fc.constantFrom('writeActions' as const, 'applyActions' as const),
    actions: fc.array(actions, { maxLength: 4 }),
  }),
  fc.constant<Instruction>({ type: 'clearActions' }),
  fc.record({ type: fc.constant('meter' as const), meterId: upTo(32) }),
  fc.constant<Instruction>({ type: 'experimenter', experimenter: 7, bytes: Buffer.from('0102030405060708', 'hex') }),
  fc.constant<Instruction>({ type: 'unknown', instructionType: 99, bytes: Buffer.from('01020304', 'hex') }),
);

/** Any flow. */
export const flows: fc.Arbitrary<FlowText> = fc.record(
  {
    cookie: big(64),
    tableId: upTo(8),
    durationSec: upTo(32),
    durationNsec: fc.integer({ min: 0, max: 999_999_999 }),
    packetCount: big(64),
    byteCount: big(64),
    idleTimeout: upTo(16),
    hardTimeout: upTo(16),
    flags: upTo(6),
    priority: upTo(16),
    match: matches,
    instructions: fc.array(instructions, { maxLength: 4 }),
  },
  { requiredKeys: ['match', 'instructions'] },
);
