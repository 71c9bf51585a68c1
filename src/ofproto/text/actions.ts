import { type Action, encodeActions } from '../actions.ts';
import { Port } from '../constants.ts';
import type { Instruction } from '../instructions.ts';
import { encodeInstructions } from '../instructions.ts';
import type { FieldBits, FieldRange } from '../nicira-action-types.ts';
import { fields } from '../oxm-fields.ts';
import { canonicalActions, canonicalInstructions, IN_PORT_16, NO_TABLE } from './canonical.ts';
import { connTrackText, natText } from './conntrack.ts';
import { learnText } from './learn.ts';
import {
  bitsText,
  headerName,
  longName,
  namedField,
  port16Text,
  portText,
  type TextNames,
  tableText,
} from './names.ts';
import { dotted, hexText } from './scan.ts';
import { maskedText, valueText } from './value.ts';

/** Words of hash fields (NX_HASH_FIELDS_*), multipath and bundle algorithms, by number. */
export const hashFields: readonly string[] = [
  'eth_src',
  'symmetric_l4',
  'symmetric_l3l4',
  'symmetric_l3l4+udp',
  'nw_src',
  'nw_dst',
  'symmetric_l3',
];
/** NX_MP_ALG_* */
export const multipathAlgorithms: readonly string[] = ['modulo_n', 'hash_threshold', 'hrw', 'iter_hash'];
/** NX_BD_ALG_* */
export const bundleAlgorithms: readonly string[] = ['active_backup', 'hrw'];
/** OFPR_* as ovs-ofctl words them. */
export const packetInReasons: readonly string[] = [
  'no_match',
  'action',
  'invalid_ttl',
  'action_set',
  'group',
  'packet_out',
];

type Of<T extends Action['type']> = Extract<Action, { type: T }>;
/** Text of an action, or undefined when text cannot say it without loss; then its bytes are shown. */
type Say<T extends Action['type']> = (action: Of<T>, names: TextNames) => string | undefined;

function range(bits: FieldRange): string | undefined {
  const field = namedField(bits);
  if (field === undefined || bits.nBits < 1 || bits.ofs + bits.nBits > fields[field].bits) return undefined;
  return bitsText({ field, ofs: bits.ofs, nBits: bits.nBits });
}

/** Joins the pieces unless one is missing. */
function join(...pieces: (string | undefined)[]): string | undefined {
  return pieces.includes(undefined) ? undefined : pieces.join('');
}

function word(list: readonly string[], index: number): string | undefined {
  return list[index];
}

function bit(bits: FieldBits): string | undefined {
  return range({ ...bits, nBits: 1 });
}

function controllerText(props: readonly (readonly [key: string, value: string | undefined])[]): string {
  return `controller(${props.map(([key, value]) => (value === undefined ? key : `${key}=${value}`)).join(',')})`;
}

function reasonText(reason: number): string {
  return packetInReasons[reason] ?? String(reason);
}

const sampleText = (action: Of<'nxSample' | 'nxSample2'>): string => {
  const { probability, collectorSetId, obsDomainId, obsPointId } = action;
  const base = `probability=${probability},collector_set_id=${collectorSetId},obs_domain_id=${obsDomainId},obs_point_id=${obsPointId}`;
  if (action.type === 'nxSample') return `sample(${base})`;
  const direction = ['', ',ingress', ',egress'][action.direction] ?? `,direction=${action.direction}`;
  return `sample(${base},sampling_port=${port16Text(action.samplingPort)}${direction})`;
};

const says: { readonly [T in Action['type']]?: Say<T> } = {
  output: ({ port, maxLen }) => {
    if (port === Port.controller) return `CONTROLLER:${maxLen}`;
    return port <= Port.max ? `output:${port}` : portText(port).replace(/^\d+$/, 'output:$&');
  },
  copyTtlOut: () => 'copy_ttl_out',
  copyTtlIn: () => 'copy_ttl_in',
  setMplsTtl: ({ ttl }) => `set_mpls_ttl(${ttl})`,
  decMplsTtl: () => 'dec_mpls_ttl',
  pushVlan: ({ ethertype }) => `push_vlan:${hex4(ethertype)}`,
  popVlan: () => 'pop_vlan',
  pushMpls: ({ ethertype }) => `push_mpls:${hex4(ethertype)}`,
  popMpls: ({ ethertype }) => `pop_mpls:${hex4(ethertype)}`,
  setQueue: ({ queueId }) => `set_queue:${queueId}`,
  group: ({ groupId }) => `group:${groupId}`,
  setNwTtl: ({ ttl }) => `mod_nw_ttl:${ttl}`,
  decNwTtl: () => 'dec_ttl',
  pushPbb: ({ ethertype }) => `push_pbb:${hex4(ethertype)}`,
  popPbb: () => 'pop_pbb',
  setField: (action) => {
    // set_field has one name for both forms of in_port, and it means the wide one.
    if (action.field === 'unknown' || action.field === 'nxmInPort') return undefined;
    const { field, value, mask } = action;
    const text = mask === undefined ? valueText(field, value) : maskedText(field, value, mask);
    return `set_field:${text}->${longName(field)}`;
  },
  nxRegMove: ({ nBits, src, dst }) => join('move:', range({ ...src, nBits }), '->', range({ ...dst, nBits })),
  nxRegLoad: ({ dst, value }) => {
    if (value >> BigInt(dst.nBits) !== 0n) return undefined;
    return join(`load:${hexText(value)}->`, range(dst));
  },
  nxNote: ({ note }) => `note:${dotted(note)}`,
  nxStackPush: ({ src }) => join('push:', range(src)),
  nxStackPop: ({ dst }) => join('pop:', range(dst)),
  nxOutputReg: ({ src, maxLen }) => (maxLen === 0xffff ? join('output:', range(src)) : undefined),
  nxOutputTrunc: ({ port, maxLen }) => `output(port=${port16Text(port)},max_len=${maxLen})`,
  nxResubmit: ({ inPort }) => `resubmit:${port16Text(inPort)}`,
  nxResubmitTable: ({ inPort, table }, names) => resubmitText(inPort, table, '', names),
  nxResubmitTableCt: ({ inPort, table }, names) => resubmitText(inPort, table, ',ct', names),
  nxPopQueue: () => 'pop_queue',
  nxExit: () => 'exit',
  nxCtClear: () => 'ct_clear',
  nxDecNshTtl: () => 'dec_nsh_ttl',
  nxFinTimeout: ({ finIdleTimeout, finHardTimeout }) =>
    `fin_timeout(${[...(finIdleTimeout === 0 ? [] : [`idle_timeout=${finIdleTimeout}`]), ...(finHardTimeout === 0 ? [] : [`hard_timeout=${finHardTimeout}`])].join(',')})`,
  nxController: ({ maxLen, controllerId, reason }) =>
    controllerText([
      ...(reason === 1 ? [] : [['reason', reasonText(reason)] as const]),
      ...(maxLen === 0xffff ? [] : [['max_len', String(maxLen)] as const]),
      ...(controllerId === 0 ? [] : [['id', String(controllerId)] as const]),
    ]),
  nxController2: ({ props }) => {
    // Open vSwitch's order puts the reason first.
    const rank = ['reason', 'maxLen', 'controllerId', 'userdata', 'pause', 'meterId'];
    const shown: (readonly [string, string | undefined])[] = [];
    for (const property of props.toSorted((a, b) => rank.indexOf(a.prop) - rank.indexOf(b.prop))) {
      switch (property.prop) {
        case 'maxLen':
          shown.push(['max_len', String(property.maxLen)]);
          break;
        case 'controllerId':
          shown.push(['id', String(property.controllerId)]);
          break;
        case 'reason':
          shown.push(['reason', reasonText(property.reason)]);
          break;
        case 'userdata':
          shown.push(['userdata', dotted(property.userdata)]);
          break;
        case 'pause':
          shown.push(['pause', undefined]);
          break;
        case 'meterId':
          shown.push(['meter_id', String(property.meterId)]);
          break;
        default:
          return undefined;
      }
    }
    const twice = new Set(shown.map(([key]) => key)).size !== shown.length;
    return twice ? undefined : controllerText(shown);
  },
  nxSample: sampleText,
  nxSample2: sampleText,
  nxConjunction: ({ clause, clauses, id }) => `conjunction(${id},${clause + 1}/${clauses})`,
  nxMultipath: ({ fields: hash, basis, algorithm, maxLink, arg, dst }) =>
    join(
      'multipath(',
      word(hashFields, hash),
      `,${basis},`,
      word(multipathAlgorithms, algorithm),
      `,${maxLink + 1},${arg},`,
      range(dst),
      ')',
    ),
  nxBundle: (action) => bundleText('bundle', action, ''),
  nxBundleLoad: (action) => bundleText('bundle_load', action, range(action.dst)),
  nxDecTtlCntIds: ({ ids }) => (ids.length === 0 ? undefined : `dec_ttl(${ids.join(',')})`),
  nxCheckPktLarger: ({ packetLength, dst }) => join(`check_pkt_larger(${packetLength})->`, bit(dst)),
  nxDeleteField: ({ target }) => {
    const field = namedField(target);
    return field === undefined ? undefined : `delete_field:${headerName(field)}`;
  },
  nxClone: ({ actions }, names) => `clone(${listText(actions, names)})`,
  nxCt: (action, names) => connTrackText(action, names, listText),
  nxNat: natText,
  nxLearn: (action, names) => wrap('learn', learnText(action, names)),
  nxLearn2: (action, names) => wrap('learn', learnText(action, names)),
  nxEncap: ({ newPacketType, headerSize, props }) =>
    newPacketType === 0 && headerSize === 0 && props.length === 0 ? 'encap(ethernet)' : undefined,
  nxDecap: ({ newPacketType }) =>
    newPacketType === 0xfffe
      ? 'decap()'
      : `decap(packet_type(ns=${newPacketType >>> 16},type=${hexText(newPacketType & 0xffff)}))`,
};

function wrap(name: string, inside: string | undefined): string | undefined {
  return inside === undefined ? undefined : `${name}(${inside})`;
}

function hex4(value: number): string {
  return `0x${value.toString(16).padStart(4, '0')}`;
}

function resubmitText(inPort: number, table: number, more: string, names: TextNames): string {
  const port = inPort === IN_PORT_16 ? '' : port16Text(inPort);
  return `resubmit(${port},${table === NO_TABLE ? '' : tableText(table, names)}${more})`;
}

function bundleText(
  name: string,
  { fields: hash, basis, algorithm, memberType, members }: Of<'nxBundle' | 'nxBundleLoad'>,
  target: string | undefined,
): string | undefined {
  const type = memberType.field === 'nxmInPort' && namedField(memberType) !== undefined ? 'ofport' : undefined;
  const into = target === '' ? '' : join(target, ',');
  const list = members.map(port16Text).join(',');
  return join(
    `${name}(`,
    word(hashFields, hash),
    `,${basis},`,
    word(bundleAlgorithms, algorithm),
    ',',
    type,
    ',',
    into,
    `members:${list})`,
  );
}

function actionText(action: Action, names: TextNames): string {
  const say = says[action.type] as Say<Action['type']> | undefined;
  return say?.(action, names) ?? `raw(${encodeActions([action]).toString('hex')})`;
}

function listText(list: readonly Action[], names: TextNames): string {
  return list.map((action) => actionText(action, names)).join(',');
}

/**
 * Text of actions as ovs-ofctl writes it. An action that has no text, or none without loss, reads `raw(HEX)` with its bytes.
 * Throws WireError (NL_WIRE_VALUE) only for an action that cannot be encoded at all.
 */
export function formatActions(list: readonly Action[], names: TextNames = {}): string {
  return list.length === 0 ? 'drop' : listText(canonicalActions(list), names);
}

/** Text of instructions, as ovs-ofctl writes them after `actions=`. */
export function formatInstructions(list: readonly Instruction[], names: TextNames = {}): string {
  const parts = canonicalInstructions(list).map((one): string => {
    switch (one.type) {
      case 'meter':
        return `meter:${one.meterId}`;
      case 'applyActions':
        return listText(one.actions, names);
      case 'clearActions':
        return 'clear_actions';
      case 'writeActions':
        return `write_actions(${one.actions.length === 0 ? 'drop' : listText(one.actions, names)})`;
      case 'writeMetadata': {
        const mask = one.mask === 0xffff_ffff_ffff_ffffn ? '' : `/${hexText(one.mask)}`;
        return `write_metadata:${hexText(one.metadata)}${mask}`;
      }
      case 'gotoTable':
        return `goto_table:${tableText(one.tableId, names)}`;
      default:
        return `raw_instruction(${encodeInstructions([one]).toString('hex')})`;
    }
  });
  return parts.length === 0 ? 'drop' : parts.join(',');
}
