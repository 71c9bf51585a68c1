import type { AsyncBody, FieldsOf, ReplyBodies, TableFeatures } from '../ofproto/index.ts';
import {
  FlowRemovedReason,
  GroupType,
  MeterBandType,
  MeterFlag,
  PacketInReason,
  PortReason,
} from '../ofproto/index.ts';

/** What virtual switches say that they can do: as Open vSwitch 3.1 with its userspace datapath. */

/** Tables of a switch. */
export const TABLES = 254;

const bits = (...numbers: readonly number[]): number => numbers.reduce((all, bit) => all | (1 << bit), 0);

/** OFPAT_*: output, MPLS TTL, VLAN and MPLS tags, queue, group, IP TTL, set-field. */
const actionCodes = [0, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25];
const actions = bits(...actionCodes);
/** OFPIT_*: goto, write metadata, write, apply and clear actions, meter. */
const instructionCodes = [1, 2, 3, 4, 5, 6];
const MAX_GROUPS = 0xffff_ff00;

/** Answer to a request for group features: all kinds, weights, liveness, groups that lead to groups. */
export const groupFeatures: ReplyBodies['groupFeatures'] = {
  types: bits(...Object.values(GroupType)),
  capabilities: 0x7,
  maxGroupsAll: MAX_GROUPS,
  maxGroupsSelect: MAX_GROUPS,
  maxGroupsIndirect: MAX_GROUPS,
  maxGroupsFastFailover: MAX_GROUPS,
  actionsAll: actions,
  actionsSelect: actions,
  actionsIndirect: actions,
  actionsFastFailover: actions,
};

/** Answer to a request for meter features. */
export const meterFeatures: ReplyBodies['meterFeatures'] = {
  maxMeter: 200_000,
  bandTypes: bits(MeterBandType.drop),
  capabilities: MeterFlag.kbps | MeterFlag.pktps | MeterFlag.burst | MeterFlag.stats,
  maxBands: 8,
  maxColor: 0,
};

type AsyncConfig = FieldsOf<typeof AsyncBody>;

/** What a connection hears without asking, until it says otherwise: OpenFlow 1.3.5 §6.1.1. */
export const defaultAsync: AsyncConfig = {
  packetInMaster: bits(PacketInReason.noMatch, PacketInReason.action),
  packetInSlave: 0,
  portStatusMaster: bits(...Object.values(PortReason)),
  portStatusSlave: bits(...Object.values(PortReason)),
  flowRemovedMaster: bits(...Object.values(FlowRemovedReason)),
  flowRemovedSlave: 0,
};

/** What one table can do. */
export const tableFeatures = (tableId: number): TableFeatures => ({
  tableId,
  name: `table${tableId}`,
  metadataMatch: 0xffff_ffff_ffff_ffffn,
  metadataWrite: 0xffff_ffff_ffff_ffffn,
  config: 0,
  maxEntries: 1_000_000,
  properties: [
    { type: 'instructions', ids: instructionCodes.map((code) => ({ code })) },
    { type: 'nextTables', tables: Array.from({ length: TABLES - 1 - tableId }, (_, i) => tableId + 1 + i) },
    { type: 'writeActions', ids: actionCodes.map((code) => ({ code })) },
    { type: 'applyActions', ids: actionCodes.map((code) => ({ code })) },
  ],
});
