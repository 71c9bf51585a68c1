import {
  BundleAddBody,
  BundleControl,
  BundleControlBody,
  BundleFlag,
  Experimenter,
  ExperimenterFixed,
  FlowMod,
  FlowModCommand,
  Group,
  GroupModBody,
  GroupModCommand,
  Header,
  MessageType,
  Meter,
  MeterModBody,
  MeterModCommand,
  messageTemplate,
  OnfType,
  Port,
  TableId,
  writeFlowMod,
  writeHeader,
} from '../../ofproto/index.ts';
import { COOKIE_SPACE, COOKIE_SPACE_MASK } from './cookie.ts';
import type { Op } from './entry.ts';

// Re-pointed for every message: encoding allocates nothing but the chunk.
const nothing = Buffer.alloc(0);
const flowMod = FlowMod.view(nothing, 0);
const groupMod = GroupModBody.view(nothing, 0);
const meterMod = MeterModBody.view(nothing, 0);
const onf = ExperimenterFixed.view(nothing, 0);
const bundleAdd = BundleAddBody.view(nothing, 0);

const bundleFlags = BundleFlag.atomic | BundleFlag.ordered;

/** Bytes that a bundle adds around a message. */
export const bundleOverhead = Header.size + ExperimenterFixed.size + BundleAddBody.size;

/** Bytes of a change as a message of its own. */
export function opSize({ rule, command }: Op): number {
  const whole = command !== 'delete';
  switch (rule.kind) {
    case 'flow':
      return FlowMod.size + rule.match.length + (whole ? rule.instructions.length : 0);
    case 'group':
      return Header.size + GroupModBody.size + (whole ? rule.buckets.length : 0);
    case 'meter':
      return Header.size + MeterModBody.size + (whole ? rule.bands.length : 0);
  }
}

/** Writes a change as a message at `at`; returns its end. */
export function writeOp(bytes: Buffer, at: number, op: Op, xid: number): number {
  const { rule, command, hi, lo } = op;
  if (rule.kind === 'flow') {
    if (command !== 'delete') return writeFlowMod(bytes, at, xid, FlowModCommand.add, hi, lo, rule);
    const bare = { ...rule, instructions: nothing, flags: 0, idleTimeout: 0, hardTimeout: 0 };
    const end = writeFlowMod(bytes, at, xid, FlowModCommand.deleteStrict, hi, lo, bare);
    // Only the flow that we put there: somebody else's under the same key has another cookie.
    flowMod.on(bytes, at);
    flowMod.cookieMaskHi = 0xffff_ffff;
    flowMod.cookieMaskLo = 0xffff_ffff;
    return end;
  }
  const size = opSize(op);
  const type = rule.kind === 'group' ? MessageType.groupMod : MessageType.meterMod;
  const body = writeHeader(bytes, at, type, size, xid);
  if (rule.kind === 'group') {
    bytes.fill(0, body, body + GroupModBody.size);
    groupMod.on(bytes, body);
    groupMod.command = GroupModCommand[command];
    groupMod.groupType = rule.type;
    groupMod.groupId = rule.groupId;
    if (command !== 'delete') bytes.set(rule.buckets, body + GroupModBody.size);
  } else {
    meterMod.on(bytes, body);
    meterMod.command = MeterModCommand[command];
    meterMod.flags = rule.flags;
    meterMod.meterId = rule.meterId;
    if (command !== 'delete') bytes.set(rule.bands, body + MeterModBody.size);
  }
  return at + size;
}

function writeOnf(bytes: Buffer, at: number, expType: number): number {
  onf.on(bytes, at);
  onf.experimenter = Experimenter.onf;
  onf.expType = expType;
  return at + ExperimenterFixed.size;
}

/** Writes a change inside a bundle-add message at `at`; returns its end. Both xids are the same, as EXT-230 wants. */
export function writeBundleAdd(bytes: Buffer, at: number, op: Op, xid: number, bundleId: number): number {
  const end = writeOp(bytes, at + bundleOverhead, op, xid);
  const head = writeHeader(bytes, at, MessageType.experimenter, end - at, xid);
  const body = writeOnf(bytes, head, OnfType.bundleAddMessage);
  bytes.fill(0, body, body + BundleAddBody.size);
  bundleAdd.on(bytes, body);
  bundleAdd.bundleId = bundleId;
  bundleAdd.flags = bundleFlags;
  return end;
}

/** A bundle control message; the channel sets its xid. */
export function bundleControl(control: keyof typeof BundleControl, bundleId: number): Buffer {
  const bytes = Buffer.alloc(Header.size + ExperimenterFixed.size + BundleControlBody.size);
  const head = writeHeader(bytes, 0, MessageType.experimenter, bytes.length, 0);
  const body = writeOnf(bytes, head, OnfType.bundleControl);
  BundleControlBody.write(bytes, body, { bundleId, control: BundleControl[control], flags: bundleFlags });
  return bytes;
}

const OUR_COOKIE = BigInt(COOKIE_SPACE) << 48n;

const request = { type: 'multipartRequest', flags: 0 } as const;
const anyFlow = { tableId: TableId.all, outPort: Port.any, outGroup: Group.any, match: [] };
const allFlows = { ...anyFlow, cookie: 0n, cookieMask: 0n };
const ourFlows = { ...anyFlow, cookie: OUR_COOKIE, cookieMask: COOKIE_SPACE_MASK };

// The channel sets the xid of requests.

/** Asks for all flows. */
export const allFlowsRequest: () => Buffer = messageTemplate({ ...request, mp: 'flow', ...allFlows });

/** Asks for flows with a cookie of ours. */
export const ourFlowsRequest: () => Buffer = messageTemplate({ ...request, mp: 'flow', ...ourFlows });

/** Asks how many flows there are with a cookie of ours. */
export const ourFlowCountRequest: () => Buffer = messageTemplate({ ...request, mp: 'aggregate', ...ourFlows });

/** Asks for the description of all groups. */
export const groupDescRequest: () => Buffer = messageTemplate({ ...request, mp: 'groupDesc' });

/** Asks for the counters of all groups. */
export const groupStatsRequest: () => Buffer = messageTemplate({ ...request, mp: 'group', groupId: Group.all });

/** Asks for the configuration of all meters. */
export const meterConfigRequest: () => Buffer = messageTemplate({ ...request, mp: 'meterConfig', meterId: Meter.all });

/** Asks for the counters of all meters. */
export const meterStatsRequest: () => Buffer = messageTemplate({ ...request, mp: 'meter', meterId: Meter.all });
