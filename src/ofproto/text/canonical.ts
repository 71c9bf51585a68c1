import type { Action } from '../actions.ts';
import { Port } from '../constants.ts';
import type { Instruction } from '../instructions.ts';
import { wide } from '../match.ts';
import type { ControllerProperty } from '../nicira-action-types.ts';
import type { FieldId } from '../oxm.ts';
import { fields } from '../oxm-fields.ts';
import { plainField } from './names.ts';

/** 16-bit number of "the port that it came from" in Nicira's actions. */
export const IN_PORT_16 = 0xfff8;
/** Table number that stands for the current one in resubmit, and for none in ct. */
export const NO_TABLE = 255;
const ANY_LENGTH = 0xffff;

function plainId<T extends FieldId>(id: T): T {
  if (id.field === 'unknown' || id.hasMask !== undefined || id.length !== undefined) return id;
  const field = plainField(id.field);
  return field === id.field ? id : { ...id, field };
}

const defaults: Partial<Record<ControllerProperty['prop'], number>> = {
  maxLen: ANY_LENGTH,
  controllerId: 0,
  reason: 1,
};
const propertyOrder: readonly ControllerProperty['prop'][] = [
  'maxLen',
  'controllerId',
  'reason',
  'userdata',
  'pause',
  'meterId',
  'unknown',
];

function isDefault(property: ControllerProperty): boolean {
  const value = defaults[property.prop];
  if (property.prop === 'maxLen') return property.maxLen === value;
  if (property.prop === 'controllerId') return property.controllerId === value;
  return property.prop === 'reason' && property.reason === value;
}

/**
 * One form for actions that do the same: Nicira's doubles of standard actions and fields become the standard ones, parts that
 * nobody reads (max_len of an output to anything but the controller) become zero, defaults are left out. What text says of an
 * action is this form; `parseActions(formatActions(x))` equals `canonicalActions(x)`.
 */
export function canonicalActions(list: readonly Action[]): Action[] {
  return list.map(canonicalAction);
}

function canonicalAction(action: Action): Action {
  switch (action.type) {
    case 'output':
      return action.port === Port.controller || action.maxLen === 0 ? action : { ...action, maxLen: 0 };
    case 'setField':
      return canonicalSetField(action);
    case 'nxGroup':
      return { type: 'group', groupId: action.groupId };
    case 'nxSetQueue':
      return { type: 'setQueue', queueId: action.queueId };
    case 'nxSetTunnel':
      return { type: 'setField', field: 'tunnelId', value: BigInt(action.tunnelId) };
    case 'nxSetTunnel64':
      return { type: 'setField', field: 'tunnelId', value: action.tunnelId };
    case 'nxResubmit':
      return action.inPort === IN_PORT_16 ? { type: 'nxResubmitTable', inPort: IN_PORT_16, table: NO_TABLE } : action;
    case 'nxResubmitTable':
      return action.table === NO_TABLE && action.inPort !== IN_PORT_16
        ? { type: 'nxResubmit', inPort: action.inPort }
        : action;
    case 'nxRegMove':
      return { ...action, src: plainId(action.src), dst: plainId(action.dst) };
    case 'nxOutputReg':
    case 'nxOutputReg2':
      return { ...action, type: 'nxOutputReg', src: plainId(action.src) };
    case 'nxRegLoad':
    case 'nxStackPop':
    case 'nxMultipath':
    case 'nxBundleLoad':
    case 'nxCheckPktLarger':
      return { ...action, dst: plainId(action.dst) } as Action;
    case 'nxStackPush':
      return { ...action, src: plainId(action.src) };
    case 'nxDeleteField':
      return { ...action, target: plainId(action.target) };
    case 'nxClone':
      return { ...action, actions: canonicalActions(action.actions) };
    case 'nxCt':
      return {
        ...action,
        zone: typeof action.zone === 'number' ? action.zone : plainId(action.zone),
        actions: canonicalActions(action.actions),
      };
    case 'nxController2':
      return canonicalController(action.props);
    case 'nxLearn':
    case 'nxLearn2':
      return canonicalLearn(action);
    default:
      return action;
  }
}

type Of<T extends Action['type']> = Extract<Action, { type: T }>;

function canonicalSetField(action: Of<'setField'>): Action {
  if (action.field === 'unknown') return action;
  const { full } = fields[action.field];
  if (action.mask !== undefined && action.mask !== full) return { ...action, field: plainField(action.field) };
  if (action.field === 'nxmInPort') return { type: 'setField', field: 'inPort', value: wide(Number(action.value)) };
  return { type: 'setField', field: plainField(action.field), value: action.value };
}

function canonicalController(props: readonly ControllerProperty[]): Action {
  const kept = props.filter((property) => !isDefault(property));
  const sorted = kept.toSorted((a, b) => propertyOrder.indexOf(a.prop) - propertyOrder.indexOf(b.prop));
  if (!sorted.every(({ prop }) => prop === 'maxLen' || prop === 'controllerId' || prop === 'reason'))
    return { type: 'nxController2', props: sorted };
  let action: Of<'nxController'> = { type: 'nxController', maxLen: ANY_LENGTH, controllerId: 0, reason: 1 };
  for (const property of sorted) {
    if (property.prop === 'maxLen') action = { ...action, maxLen: property.maxLen };
    if (property.prop === 'controllerId') action = { ...action, controllerId: property.controllerId };
    if (property.prop === 'reason') action = { ...action, reason: property.reason };
  }
  return action;
}

function canonicalLearn(action: Of<'nxLearn' | 'nxLearn2'>): Action {
  const specs = action.specs.map((spec) => ({
    nBits: spec.nBits,
    src: 'immediate' in spec.src ? spec.src : plainId(spec.src),
    dst: spec.dst.to === 'output' ? spec.dst : plainId(spec.dst),
  }));
  if (action.type === 'nxLearn') return { ...action, specs };
  const { limit, resultOfs, result, ...rest } = action;
  if (limit === 0 && result === undefined) return { ...rest, type: 'nxLearn', specs };
  if (result === undefined) return { ...rest, type: 'nxLearn2', limit, resultOfs: 0, specs };
  return { ...action, result: plainId(result), specs };
}

const instructionOrder: readonly Instruction['type'][] = [
  'meter',
  'applyActions',
  'clearActions',
  'writeActions',
  'writeMetadata',
  'gotoTable',
  'experimenter',
  'unknown',
];

/**
 * One form for instruction lists that do the same: in the order in which a switch runs them, actions canonical, one or
 * no apply-actions, no bits of metadata outside its mask.
 */
export function canonicalInstructions(list: readonly Instruction[]): Instruction[] {
  const applied = list.flatMap((one) => (one.type === 'applyActions' ? one.actions : []));
  const others = list.filter((one) => one.type !== 'applyActions');
  const all: Instruction[] = applied.length === 0 ? others : [...others, { type: 'applyActions', actions: applied }];
  return all
    .toSorted((a, b) => instructionOrder.indexOf(a.type) - instructionOrder.indexOf(b.type))
    .map((one): Instruction => {
      if (one.type === 'applyActions' || one.type === 'writeActions')
        return { ...one, actions: canonicalActions(one.actions) };
      if (one.type === 'writeMetadata') return { ...one, metadata: one.metadata & one.mask };
      return one;
    });
}
