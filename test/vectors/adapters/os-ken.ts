import type { Message } from '../../../src/ofproto/index.ts';
import {
  type FieldName,
  fields,
  GroupType,
  InstructionType,
  ipv4Text,
  isFieldName,
  macText,
  type OxmEntry,
  parseIpv6Text,
  standardActions,
  type Value,
} from '../../../src/ofproto/index.ts';

/*
 * Compares our messages with the JSON of Ryu and os-ken: { ClassName: { field: value } }, binary in base64, addresses as
 * text. Lengths are left to the comparison of bytes.
 */

type Tree = Readonly<Record<string, unknown>>;
type Check = (expected: Tree, ours: Tree, at: string, out: string[]) => void;

const lengths = new Set([
  'len',
  'length',
  'match_len',
  'actions_len',
  'n_slaves',
  'subtype',
  'end',
  'start',
  'slave_type',
  'property',
]);

/** What differs between the expectation and our message; empty when nothing does. */
export function differsFromOsKen(expected: unknown, message: Message): string[] {
  const out: string[] = [];
  compare(expected, message, '', out);
  return out;
}

function camel(key: string): string {
  return key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function compare(expected: unknown, ours: unknown, at: string, out: string[]): void {
  if (Array.isArray(expected)) {
    if (ours instanceof Uint8Array) {
      if (JSON.stringify([...ours]) !== JSON.stringify(expected)) out.push(`${at}: bytes differ`);
      return;
    }
    if (!Array.isArray(ours) || ours.length !== expected.length) {
      out.push(`${at}: ${expected.length} items expected, ours ${JSON.stringify(ours)?.slice(0, 80)}`);
      return;
    }
    expected.forEach((item, i) => {
      compare(item, ours[i], `${at}[${i}]`, out);
    });
    return;
  }
  if (typeof expected === 'object' && expected !== null) {
    const [name, value] = Object.entries(expected)[0]!;
    if (!/^(OFP|NX|ONF|OXM)/.test(name)) {
      compareFields(name, expected as Tree, ours as Tree, at, out);
      return;
    }
    const special = classes[name];
    if (special === undefined) compareFields(name, value as Tree, ours as Tree, `${at}.${name}`, out);
    else special(value as Tree, ours as Tree, `${at}.${name}`, out);
    return;
  }
  if (!sameLeaf(expected, ours)) out.push(`${at}: ${String(expected)} expected, ours ${String(ours)}`);
}

function sameLeaf(expected: unknown, ours: unknown): boolean {
  if (expected === null)
    return ours === undefined || ours === null || (ours instanceof Uint8Array && ours.length === 0);
  if (ours instanceof Uint8Array) return Buffer.from(ours).toString('base64') === expected;
  return String(expected) === String(ours);
}

function compareFields(name: string, expected: Tree, ours: Tree, at: string, out: string[]): void {
  for (const [key, value] of Object.entries(expected)) {
    if (lengths.has(key) || key === 'type') continue;
    const ownKey = renames[`${name}.${key}`] ?? renames[key] ?? camel(key);
    const own = ours[ownKey];
    compare(value, key === 'hw_addr' ? macText(own as number) : own, `${at}.${key}`, out);
  }
}

const renames: Readonly<Record<string, string>> = {
  mpls_ttl: 'ttl',
  nw_ttl: 'ttl',
  mfr_desc: 'manufacturer',
  hw_desc: 'hardware',
  sw_desc: 'software',
  serial_num: 'serialNumber',
  dp_desc: 'datapath',
  byte_band_count: 'byteCount',
  packet_band_count: 'packetCount',
  band_stats: 'bands',
  bucket_stats: 'buckets',
  desc: 'port',
  metadata_mask: 'mask',
  'OFPInstructionActions.actions': 'actions',
  n_clauses: 'clauses',
  hdr_size: 'headerSize',
  new_pkt_type: 'newPacketType',
  cnt_ids: 'ids',
  table_ids: 'tables',
  instruction_ids: 'ids',
  action_ids: 'ids',
  oxm_ids: 'fields',
  'NXActionResubmitTable.table_id': 'table',
};

/** Body of a multipart reply: the one list, or the flat fields. */
const multipart: Check = (expected, ours, at, out) => {
  compare(expected['flags'], ours['flags'], `${at}.flags`, out);
  const body = expected['body'];
  const list = ['flows', 'tables', 'ports', 'queues', 'groups', 'meters'].map((key) => ours[key]).find(Array.isArray);
  if (body === undefined) compareFields('request', expected, ours, at, out);
  else if (list === undefined && Array.isArray(body) && body.length === 1) compare(body[0], ours, at, out);
  else compare(body, list ?? ours, at, out);
};

const oxm: Check = (expected, ours, at, out) => {
  const entry = ours as unknown as OxmEntry;
  const name = String(expected['field']);
  if (name === 'pbb_uca' && entry.field === 'unknown') {
    // Ryu's form of an ONF extension with a 16-bit type before the value; to us an unknown field of ONF.
    if (Buffer.from(entry.bytes).toString('hex') !== '0a0001') out.push(`${at}: bytes differ`);
    return;
  }
  if (name.startsWith('field_')) {
    if (entry.field === 'unknown') {
      const bytes = Buffer.from(entry.bytes);
      const given = [expected['value'], expected['mask']].map((part) => Buffer.from(String(part ?? ''), 'base64'));
      if (!Buffer.concat(given).equals(bytes)) out.push(`${at}: bytes differ`);
      return;
    }
    compareRaw(entry.field, entry.value, expected['value'], at, out);
    compareRaw(entry.field, entry.mask, expected['mask'], at, out);
    return;
  }
  if (entry.field === 'unknown' || osKenName(entry.field) !== name) {
    out.push(`${at}: field ${name} expected, ours ${entry.field}`);
    return;
  }
  compareValue(entry.field, entry.value, expected['value'], at, out);
  compareValue(entry.field, entry.mask, expected['mask'], at, out);
};

function compareRaw(field: FieldName, ours: Value | undefined, expected: unknown, at: string, out: string[]): void {
  if (ours === undefined || expected === null) {
    if (ours !== undefined || expected !== null) out.push(`${at}: one mask is missing`);
    return;
  }
  let hex = Buffer.from(String(expected), 'base64').toString('hex');
  // os-ken keeps the experimenter id of a field it does not know in front of the value.
  const { experimenter } = fields[field];
  if (experimenter !== undefined && hex.startsWith(experimenter.toString(16).padStart(8, '0'))) hex = hex.slice(8);
  const own = ours instanceof Uint8Array ? Buffer.from(ours).toString('hex') : ours.toString(16);
  if (own.padStart(hex.length, '0') !== hex) out.push(`${at}: ${field} ${hex} expected, ours ${own}`);
}

function compareValue(field: FieldName, ours: Value | undefined, expected: unknown, at: string, out: string[]): void {
  if (ours === undefined || expected === null) {
    if (ours !== undefined || expected !== null) out.push(`${at}: one mask is missing`);
    return;
  }
  const { format } = fields[field];
  const wanted = String(expected);
  const same =
    format === 'mac'
      ? macText(ours as number) === wanted
      : format === 'ipv4'
        ? ipv4Text(ours as number) === wanted
        : format === 'ipv6'
          ? parseIpv6Text(wanted) === ours
          : String(ours) === wanted;
  if (!same) out.push(`${at}: ${field} ${wanted} expected, ours ${String(ours)}`);
}

const names: Readonly<Record<string, string>> = {
  recircId: '_recirc_id',
  ipTtl: 'nw_ttl',
  nxmVlanTci: 'vlan_tci',
  nxmIpv6Flabel: 'ipv6_label',
  nxmIpv6NdTarget: 'nd_target',
  nxmIpv6NdSll: 'nd_sll',
  nxmIpv6NdTll: 'nd_tll',
  nxmTcpFlags: 'tcp_flags_nxm',
};

function osKenName(field: string): string {
  const known = names[field];
  if (known !== undefined) return known;
  const snake = (name: string): string =>
    name
      .replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
      .replace(/^_/, '')
      .replace('ipv4type', 'ipv4_type');
  if (field.startsWith('nxm')) return `${snake(field.slice(3))}_nxm`;
  return snake(field);
}

const header: Check = (expected, ours, at, out) => {
  const field = ours['field'] as string;
  const wanted = String(expected['type']);
  if (!isFieldName(field) || osKenName(field) !== wanted) out.push(`${at}: ${wanted} expected, ours ${field}`);
};

/** Offset and width packed as Nicira's actions do. */
function packed(range: unknown): number {
  const { ofs, nBits } = range as { ofs: number; nBits: number };
  return (ofs << 6) | (nBits - 1);
}

function nameOf(id: unknown): unknown {
  return osKenName((id as { field: string }).field);
}

const spec: Check = (expected, ours, at, out) => {
  const { nBits, src, dst } = ours as { nBits: number; src: Tree; dst: Tree };
  compare(expected['n_bits'], nBits, `${at}.n_bits`, out);
  const own = (end: Tree): unknown =>
    'immediate' in end ? end['immediate'] : 'field' in end ? [nameOf(end), end['ofs']] : '';
  compare(expected['src'], own(src), `${at}.src`, out);
  compare(expected['dst'], own(dst), `${at}.dst`, out);
};

function ranged(key: 'src' | 'dst', extra: readonly string[] = []): Check {
  return (expected, ours, at, out) => {
    const { ofs_nbits: bits, [key]: field, ...rest } = expected;
    const kept = Object.fromEntries(
      Object.entries(rest).filter(([name]) => !extra.includes(name) && name !== 'experimenter'),
    );
    compareFields('nx', kept, ours, at, out);
    if (ours[key] === undefined) return;
    compare(bits, packed(ours[key]), `${at}.ofs_nbits`, out);
    compare(field, nameOf(ours[key]), `${at}.${key}`, out);
  };
}

const plainNicira: Check = (expected, ours, at, out) => {
  const { experimenter: _, ...rest } = expected;
  compareFields('nx', rest, ours, at, out);
};

const stack: Check = (expected, ours, at, out) => {
  const bits = (ours['src'] ?? ours['dst']) as { ofs: number; nBits: number };
  compare(expected['field'], nameOf(bits), `${at}.field`, out);
  compare(expected['start'], bits.ofs, `${at}.start`, out);
  compare(expected['end'], bits.nBits, `${at}.end`, out);
};

const unknownExperimenter: Check = (expected, ours, at, out) => {
  compare(expected['experimenter'], ours['experimenter'], `${at}.experimenter`, out);
  // os-ken takes Nicira's subtype off the data.
  const data = Buffer.from(String(expected['data'] ?? ''), 'base64');
  if (
    !Buffer.from(ours['bytes'] as Uint8Array)
      .subarray(-data.length || undefined)
      .equals(data) &&
    data.length > 0
  )
    out.push(`${at}: data differ`);
};

const experimenterBody: Check = (expected, ours, at, out) => {
  compare(expected['experimenter'], ours['experimenter'], `${at}.experimenter`, out);
  compare(expected['exp_type'], ours['expType'], `${at}.exp_type`, out);
  const body = (ours['body'] ?? ours) as Tree;
  if (body['bytes'] !== undefined) compare(expected['data'], body['bytes'], `${at}.data`, out);
};

const typed =
  (code: (ours: Tree) => unknown): Check =>
  (expected, ours, at, out) => {
    compare(expected['type'], code(ours), `${at}.type`, out);
    compareFields('typed', expected, ours, at, out);
  };

const actionCode = (ours: Tree): unknown =>
  (standardActions as unknown as Record<string, readonly [number]>)[String(ours['type'])]?.[0];

const standardClasses = Object.fromEntries(
  [
    'Output',
    'Group',
    'CopyTtlIn',
    'CopyTtlOut',
    'DecMplsTtl',
    'DecNwTtl',
    'PopMpls',
    'PopPbb',
    'PopVlan',
    'PushMpls',
    'PushPbb',
    'PushVlan',
    'SetMplsTtl',
    'SetNwTtl',
    'SetQueue',
  ].map((name) => [`OFPAction${name}`, typed(actionCode)]),
);

const groupType: Check = (expected, ours, at, out) => {
  compare(expected['type'], ours['groupType'], `${at}.type`, out);
  if (!Object.values(GroupType).includes(ours['groupType'] as never)) out.push(`${at}: odd group type`);
  compareFields('group', expected, ours, at, out);
};

const async: Check = (expected, ours, at, out) => {
  for (const key of ['packetIn', 'portStatus', 'flowRemoved']) {
    const name = `${key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}_mask`;
    compare(expected[name], [ours[`${key}Master`], ours[`${key}Slave`]], `${at}.${name}`, out);
  }
};

const codeId: Check = (expected, ours, at, out) => compare(expected['type'], ours['code'], `${at}.type`, out);

const controller2: Check = (expected, ours, at, out) => {
  const own: Record<string, unknown> = {};
  for (const property of ours['props'] as Tree[]) Object.assign(own, { pause: property['prop'] === 'pause' }, property);
  const has = (ours['props'] as Tree[]).some((property) => property['prop'] === 'pause');
  compare(expected['pause'], has, `${at}.pause`, out);
  for (const key of ['max_len', 'controller_id', 'reason', 'userdata'])
    if (expected[key] !== undefined) compare(expected[key], own[camel(key)], `${at}.${key}`, out);
};

const nat: Check = (expected, ours, at, out) => {
  compare(expected['flags'], ours['flags'], `${at}.flags`, out);
  const four = (value: unknown): unknown => (value === undefined ? '' : ipv4Text(value as number));
  compare(expected['range_ipv4_min'], four(ours['ipv4Min']), `${at}.range_ipv4_min`, out);
  compare(expected['range_ipv4_max'], four(ours['ipv4Max']), `${at}.range_ipv4_max`, out);
  compare(expected['range_proto_min'], ours['protoMin'] ?? null, `${at}.range_proto_min`, out);
  compare(expected['range_proto_max'], ours['protoMax'] ?? null, `${at}.range_proto_max`, out);
  for (const [key, own] of [
    ['range_ipv6_min', ours['ipv6Min']],
    ['range_ipv6_max', ours['ipv6Max']],
  ] as const) {
    const wanted = expected[key] === '' ? undefined : parseIpv6Text(String(expected[key]));
    if (wanted !== own) out.push(`${at}.${key}: ${String(wanted)} expected, ours ${String(own)}`);
  }
};

/** os-ken calls every encap that of Ethernet, and its packet type 0. */
const encap: Check = (expected, ours, at, out) => {
  compare(expected['hdr_size'], ours['headerSize'], `${at}.hdr_size`, out);
};

const flowMonitor: Check = (expected, ours, at, out) => {
  compare(expected['flags'], ours['flags'], `${at}.flags`, out);
  compare(expected['experimenter'], ours['experimenter'], `${at}.experimenter`, out);
};

const packetIn2: Check = (expected, ours, at, out) => {
  experimenterBody({ ...expected, data: null }, ours, at, out);
  const own = (ours['body'] as { properties: Tree[] }).properties;
  const data = own.find((property) => property['prop'] === 'packet')?.['data'];
  compare(expected['data'], data, `${at}.data`, out);
  compare((expected['properties'] as unknown[]).length, own.length, `${at}.properties`, out);
};

const classes: Readonly<Record<string, Check>> = {
  ...standardClasses,
  OFPMatch: (expected, ours, at, out) => compare(expected['oxm_fields'], ours, at, out),
  OXMTlv: oxm,
  OFPActionSetField: (expected, ours, at, out) => compare(expected['field'], ours, at, out),
  OFPOxmId: header,
  OFPInstructionId: codeId,
  OFPActionId: codeId,
  OFPInstructionActions: (expected, ours, at, out) =>
    // Clear-actions has no list with us, an empty one with os-ken.
    typed((own) => InstructionType[own['type'] as 'applyActions'])(expected, { actions: [], ...ours }, at, out),
  OFPInstructionGotoTable: typed((ours) => InstructionType[ours['type'] as 'gotoTable']),
  OFPInstructionMeter: typed((ours) => InstructionType[ours['type'] as 'meter']),
  OFPInstructionWriteMetadata: typed((ours) => InstructionType[ours['type'] as 'writeMetadata']),
  OFPErrorMsg(expected, ours, at, out) {
    compare(expected['type'], ours['errorType'], `${at}.type`, out);
    // For experimenter errors os-ken calls the code exp_type.
    compare(expected['exp_type'] ?? expected['code'], ours['errorCode'], `${at}.code`, out);
    if (expected['experimenter'] !== undefined && expected['experimenter'] !== null)
      compare(expected['experimenter'], ours['experimenter'], `${at}.experimenter`, out);
    compare(expected['data'], ours['data'], `${at}.data`, out);
  },
  OFPHelloElemVersionBitmap(expected, ours, at, out) {
    const versions = (ours['bitmaps'] as number[]).flatMap((bitmap, i) =>
      Array.from({ length: 32 }, (_, bit) => bit)
        .filter((bit) => ((bitmap >>> bit) & 1) === 1)
        .map((bit) => 32 * i + bit),
    );
    // os-ken forgets version 63, the highest bit of the second word.
    compare(
      expected['versions'],
      versions.filter((version) => version < 63),
      at,
      out,
    );
  },
  OFPGroupMod: groupType,
  OFPGroupDescStats: groupType,
  OFPGroupFeaturesStats(expected, ours, at, out) {
    compare(expected['types'], ours['types'], `${at}.types`, out);
    compare(expected['capabilities'], ours['capabilities'], `${at}.capabilities`, out);
    const four = (key: string): unknown[] =>
      ['All', 'Select', 'Indirect', 'FastFailover'].map((kind) => ours[`${key}${kind}`]);
    compare(expected['max_groups'], four('maxGroups'), `${at}.max_groups`, out);
    compare(expected['actions'], four('actions'), `${at}.actions`, out);
  },
  OFPSetAsync: async,
  OFPGetAsyncReply: async,
  OFPExperimenter: experimenterBody,
  OFPExperimenterMultipart: experimenterBody,
  ONFBundleCtrlMsg(expected, ours, at, out) {
    experimenterBody({ ...expected, data: null }, ours, at, out);
    const body = ours['body'] as Tree;
    compare(expected['type'], body['control'], `${at}.type`, out);
    compare(expected['bundle_id'], body['bundleId'], `${at}.bundle_id`, out);
    compare(expected['flags'], body['flags'], `${at}.flags`, out);
  },
  NXTSetPacketInFormatMsg(expected, ours, at, out) {
    compare(expected['packet_in_format'], (ours['body'] as Tree)['value'], `${at}.packet_in_format`, out);
  },
  NXTPacketIn2: packetIn2,
  ONFFlowMonitorStatsRequest: flowMonitor,
  OFPQueuePropExperimenter: (expected, ours, at, out) => {
    compare(expected['experimenter'], ours['experimenter'], `${at}.experimenter`, out);
    compare(expected['data'], ours['bytes'], `${at}.data`, out);
  },
  OFPTableFeaturePropExperimenter: (expected, ours, at, out) => {
    compare(expected['experimenter'], ours['experimenter'], `${at}.experimenter`, out);
    compare(expected['exp_type'], ours['expType'], `${at}.exp_type`, out);
  },
  OFPActionExperimenterUnknown: unknownExperimenter,
  NXActionUnknown: (expected, ours, at, out) => {
    // Nicira's actions that os-ken does not know but we do are compared as bytes elsewhere.
    if (ours['type'] === 'unknown') unknownExperimenter(expected, ours, at, out);
  },
  NXActionRegMove(expected, ours, at, out) {
    const { src, dst, nBits } = ours as { src: Tree; dst: Tree; nBits: number };
    compare(expected['n_bits'], nBits, `${at}.n_bits`, out);
    compare(expected['src_field'], nameOf(src), `${at}.src_field`, out);
    compare(expected['dst_field'], nameOf(dst), `${at}.dst_field`, out);
    compare(expected['src_ofs'], src['ofs'], `${at}.src_ofs`, out);
    compare(expected['dst_ofs'], dst['ofs'], `${at}.dst_ofs`, out);
  },
  NXActionRegLoad: ranged('dst'),
  NXActionMultipath: ranged('dst'),
  NXActionOutputReg: ranged('src'),
  NXActionBundleLoad(expected, ours, at, out) {
    ranged('dst', ['slaves'])(expected, ours, at, out);
    compare(expected['slaves'], ours['members'], `${at}.slaves`, out);
  },
  NXActionBundle(expected, ours, at, out) {
    const { slaves, dst: _, ofs_nbits: __, ...rest } = expected;
    plainNicira(rest, ours, at, out);
    compare(slaves, ours['members'], `${at}.slaves`, out);
  },
  NXActionStackPush: stack,
  NXActionStackPop: stack,
  NXActionEncapEther: encap,
  NXActionNAT: nat,
  NXActionController2: controller2,
  NXActionCT(expected, ours, at, out) {
    const { zone_src: zoneSource, zone_ofs_nbits: zoneBits, ...rest } = expected;
    plainNicira(rest, ours, at, out);
    const { zone } = ours;
    compare(zoneSource, typeof zone === 'number' ? '' : nameOf(zone), `${at}.zone_src`, out);
    compare(zoneBits, typeof zone === 'number' ? zone : packed(zone), `${at}.zone_ofs_nbits`, out);
  },
  NXFlowSpecMatch: spec,
  NXFlowSpecLoad: spec,
  NXFlowSpecOutput: spec,
  ...Object.fromEntries(
    [
      'CTClear',
      'Conjunction',
      'Controller',
      'DecNshTtl',
      'DecTtlCntIds',
      'Exit',
      'FinTimeout',
      'Learn',
      'Note',
      'OutputTrunc',
      'PopQueue',
      'ResubmitTable',
      'Sample',
      'Sample2',
    ].map((name) => [
      `NXAction${name}`,
      name === 'ResubmitTable'
        ? ({ table_id: table, in_port: inPort }: Tree, ours: Tree, at: string, out: string[]) => {
            compare(table, ours['table'], `${at}.table_id`, out);
            compare(inPort, ours['inPort'], `${at}.in_port`, out);
          }
        : plainNicira,
    ]),
  ),
  ...Object.fromEntries(
    ['Aggregate', 'Desc', 'Experimenter', 'Flow', 'GroupDesc', 'GroupFeatures', 'Group', 'MeterConfig', 'MeterFeatures']
      .concat(['Meter', 'PortDesc', 'Port', 'Queue', 'TableFeatures', 'Table'])
      .flatMap((name) => [
        [`OFP${name}StatsReply`, multipart],
        [
          `OFP${name}StatsRequest`,
          name === 'Experimenter'
            ? (expected: Tree, ours: Tree, at: string, out: string[]) => {
                compare(expected['flags'], ours['flags'], `${at}.flags`, out);
                experimenterBody(expected, ours, at, out);
              }
            : multipart,
        ],
      ]),
  ),
};
