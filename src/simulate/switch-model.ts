import { type Dpid, dpidValue } from '../controller/kernel/index.ts';
import {
  BundleControl,
  Capability,
  Experimenter,
  encodeMessage,
  FlowModFlag,
  Group,
  type Message,
  type MessageOf,
  Meter,
  noBuffer,
  OnfType,
  Port,
  PortFeature,
  PortState,
  type ReplyBodies,
  Role,
  version13,
} from '../ofproto/index.ts';
import { defaultAsync, groupFeatures, meterFeatures, TABLES, tableFeatures } from './capabilities.ts';
import { type FlowMod, type Mod, type Refusal, SwitchTables, usesGroup, usesMeter } from './tables.ts';

/** A port as the switch describes it. */
export type PortFields = ReplyBodies['portDesc']['ports'][number];

export interface SwitchModelOptions {
  readonly dpid: Dpid;
  /** Numbers of its ports. */
  readonly ports: Iterable<number>;
  /** Speaks ONF bundles (EXT-230), as Open vSwitch does. Default true. */
  readonly hasBundles?: boolean;
  /** Says that it is Open vSwitch, so that its extensions are used. Default true. */
  readonly isOpenVswitch?: boolean;
}

/** 64-bit counters. */
export interface Traffic {
  readonly packetCount: bigint;
  readonly byteCount: bigint;
}
const NO_TRAFFIC: Traffic = { packetCount: 0n, byteCount: 0n };

const refusal = {
  badType: { type: 1, code: 1 },
  badMultipart: { type: 1, code: 2 },
  badExperimenter: { type: 1, code: 3 },
  isSlave: { type: 1, code: 10 },
  staleRole: { type: 11, code: 0 },
  fixedTables: { type: 13, code: 5 },
} as const satisfies Record<string, Refusal>;
/** Errors of bundles are experimenter errors of the ONF (EXT-230). */
const bundle = { badId: 2301, exists: 2302, messageFailed: 2313 } as const;

/** Entries of one piece of a multipart reply; a piece has to stay below 64 KiB. */
const PIECE = 100;
const MAC_BASE = 0x0600_0000_0000;

type RoleMessage = Extract<Message, { readonly generationId: bigint }>;

const reply = (xid: number): { readonly version: number; readonly xid: number } => ({ version: version13, xid });

/**
 * One switch as a function from messages to messages: what Open vSwitch 3.1 answers a controller on OpenFlow 1.3, without any
 * connection. Outlives connections, as a switch's tables do.
 */
export class SwitchModel {
  readonly dpid: Dpid;
  readonly ports = new Map<number, PortFields>();
  readonly tables = new SwitchTables();
  hasBundles: boolean;
  /** Refuses changes when it answers with an error. */
  refuse: (mod: Mod) => Refusal | undefined = () => undefined;
  /** Packets and bytes that a flow has counted; the model carries no frames itself. */
  traffic: (flow: FlowMod) => Traffic = () => NO_TRAFFIC;
  /** Hears of each change that arrives, in bundles or not. */
  onMod: (mod: Mod) => void = () => {};
  onPacketOut: (packetOut: MessageOf<'packetOut'>) => void = () => {};
  /** Messages that no request asked for, e.g. flow-removed. */
  onNotice: (message: Message) => void = () => {};
  readonly #isOpenVswitch: boolean;
  #config = { flags: 0, missSendLen: 128 };
  #async = defaultAsync;
  #role: number = Role.equal;
  #generation: bigint | undefined;
  readonly #bundles = new Map<number, Mod[]>();

  constructor({ dpid, ports, hasBundles = true, isOpenVswitch = true }: SwitchModelOptions) {
    this.dpid = dpid;
    this.#isOpenVswitch = isOpenVswitch;
    this.hasBundles = hasBundles;
    for (const no of ports) this.addPort(no);
    this.tables.onRemoved = ({ flow, reason }) => {
      if ((flow.flags & FlowModFlag.sendFlowRemoved) !== 0) this.onNotice(flowRemoved(flow, reason));
    };
  }

  /** Adds a port that is up, or describes it anew. */
  addPort(no: number, up = true): PortFields {
    const port: PortFields = {
      portNo: no,
      hwAddr: MAC_BASE + Number(dpidValue(this.dpid) & 0xff_ffffn) * 0x1_0000 + (no & 0xffff),
      name: no === Port.local ? 'sim0' : `sim0-${no}`,
      config: 0,
      state: up ? PortState.live : PortState.linkDown,
      curr: PortFeature.speed10GbFd,
      advertised: 0,
      supported: 0,
      peer: 0,
      currSpeed: 10_000_000,
      maxSpeed: 0,
    };
    this.ports.set(no, port);
    return port;
  }

  /** What a new connection forgets: its role, what it wants to hear, its bundles. The tables stay. */
  disconnected(): void {
    this.#role = Role.equal;
    this.#async = defaultAsync;
    this.#bundles.clear();
  }

  /** Answers a message; no answer is an empty list. */
  handle(message: Message): Message[] {
    const head = reply(message.xid);
    switch (message.type) {
      case 'featuresRequest':
        return [
          {
            ...head,
            type: 'featuresReply',
            datapathId: dpidValue(this.dpid),
            nBuffers: 0,
            nTables: TABLES,
            auxiliaryId: 0,
            capabilities: Capability.flowStats | Capability.tableStats | Capability.portStats | Capability.groupStats,
            reserved: 0,
          },
        ];
      case 'echoRequest':
        return [{ ...head, type: 'echoReply', data: message.data }];
      case 'getConfigRequest':
        return [{ ...head, type: 'getConfigReply', ...this.#config }];
      case 'setConfig':
        this.#config = { flags: message.flags, missSendLen: message.missSendLen };
        return [];
      case 'barrierRequest':
        return [{ ...head, type: 'barrierReply' }];
      case 'roleRequest':
        return this.#roleRequest(message);
      case 'flowMod':
      case 'groupMod':
      case 'meterMod': {
        this.onMod(message);
        const refused = this.#carryOut(message);
        return refused ? [failure(message, refused)] : [];
      }
      case 'packetOut':
        this.onPacketOut(message);
        return [];
      case 'multipartRequest':
        return this.#multipart(message as MessageOf<'multipartRequest'>);
      case 'experimenter':
        return this.#experimenter(message);
      case 'getAsyncRequest':
        return [{ ...head, type: 'getAsyncReply', ...this.#async }];
      case 'setAsync': {
        const { type: _, version, xid, ...wanted } = message;
        this.#async = wanted;
        return [];
      }
      case 'queueGetConfigRequest':
        return [{ ...head, type: 'queueGetConfigReply', port: message.port, queues: [] }];
      case 'hello':
      case 'echoReply':
      case 'error':
      case 'portMod':
      case 'tableMod':
        return [];
      default:
        return [failure(message, refusal.badType)];
    }
  }

  #carryOut(mod: Mod): Refusal | undefined {
    if (this.#role === Role.slave) return refusal.isSlave;
    return this.refuse(mod) ?? this.tables.apply(mod);
  }

  #roleRequest(message: RoleMessage): Message[] {
    const { role, generationId, xid } = message;
    if (role === Role.master || role === Role.slave) {
      const age = this.#generation === undefined ? 0n : BigInt.asIntN(64, generationId - this.#generation);
      if (age < 0n) return [failure(message, refusal.staleRole)];
      this.#generation = generationId;
    }
    if (role !== Role.noChange) this.#role = role;
    return [
      { ...reply(xid), type: 'roleReply', role: this.#role, generationId: this.#generation ?? 0xffff_ffff_ffff_ffffn },
    ];
  }

  #experimenter(message: MessageOf<'experimenter'>): Message[] {
    const { body, xid, experimenter } = message;
    const known =
      experimenter === Experimenter.onf && (body.type === 'bundleControl' || body.type === 'bundleAddMessage');
    if (!this.hasBundles || !known) return [failure(message, refusal.badExperimenter)];
    if (body.type === 'bundleAddMessage') {
      const { message: mod } = body;
      const list = this.#bundles.get(body.bundleId);
      if (!list) return [bundleFailure(xid, bundle.badId)];
      if (mod.type === 'flowMod' || mod.type === 'groupMod' || mod.type === 'meterMod') {
        this.onMod(mod);
        list.push(mod);
        return [];
      }
      return [failure(mod, refusal.badType)];
    }
    const list = this.#bundles.get(body.bundleId);
    switch (body.control) {
      case BundleControl.openRequest:
        if (list) return [bundleFailure(xid, bundle.exists)];
        this.#bundles.set(body.bundleId, []);
        break;
      case BundleControl.commitRequest: {
        if (!list) return [bundleFailure(xid, bundle.badId)];
        this.#bundles.delete(body.bundleId);
        const failed = this.tables.commit(list, (mod) => this.#carryOut(mod));
        if (failed) return [failure(failed.mod, failed.refusal), bundleFailure(xid, bundle.messageFailed)];
        break;
      }
      case BundleControl.discardRequest:
        this.#bundles.delete(body.bundleId);
        break;
      case BundleControl.closeRequest:
        if (!list) return [bundleFailure(xid, bundle.badId)];
        break;
      default:
        return [failure(message, refusal.badExperimenter)];
    }
    return [
      {
        ...reply(xid),
        type: 'experimenter',
        experimenter: Experimenter.onf,
        expType: OnfType.bundleControl,
        body: { ...body, control: body.control + 1, properties: Buffer.alloc(0) },
      },
    ];
  }

  #multipart(message: MessageOf<'multipartRequest'>): Message[] {
    const { tables } = this;
    const head = { ...reply(message.xid), type: 'multipartReply', flags: 0 } as const;
    const age = { durationSec: 1, durationNsec: 0 };
    const counts = NO_TRAFFIC;
    switch (message.mp) {
      case 'desc':
        return [
          {
            ...head,
            mp: 'desc',
            manufacturer: this.#isOpenVswitch ? 'Nicira, Inc.' : 'Netloom',
            hardware: this.#isOpenVswitch ? 'Open vSwitch' : 'virtual switch',
            software: 'netloom simulate',
            serialNumber: 'None',
            datapath: 'None',
          },
        ];
      case 'portDesc':
        return pieces([...this.ports.values()], (ports, flags) => ({ ...head, flags, mp: 'portDesc', ports }));
      case 'flow': {
        const flows = [...tables.select(message)].map(([, flow]) => ({ ...flow, ...age, ...this.traffic(flow) }));
        return pieces(flows, (part, flags) => ({ ...head, flags, mp: 'flow', flows: part }));
      }
      case 'aggregate':
        return [{ ...head, mp: 'aggregate', flowCount: [...tables.select(message)].length, ...counts }];
      case 'table': {
        const active = new Map<number, number>();
        for (const { tableId } of tables.flows.values()) active.set(tableId, (active.get(tableId) ?? 0) + 1);
        const list = Array.from({ length: TABLES }, (_, tableId) => ({
          tableId,
          activeCount: active.get(tableId) ?? 0,
          lookupCount: 0n,
          matchedCount: 0n,
        }));
        return [{ ...head, mp: 'table', tables: list }];
      }
      case 'portStats': {
        const nothing = { rxPackets: 0n, txPackets: 0n, rxBytes: 0n, txBytes: 0n, rxDropped: 0n, txDropped: 0n };
        const errors = { rxErrors: 0n, txErrors: 0n, rxFrameErr: 0n, rxOverErr: 0n, rxCrcErr: 0n, collisions: 0n };
        const ports = [...this.ports.keys()]
          .filter((no) => message.portNo === Port.any || message.portNo === no)
          .map((portNo) => ({ portNo, ...nothing, ...errors, ...age }));
        return pieces(ports, (part, flags) => ({ ...head, flags, mp: 'portStats', ports: part }));
      }
      case 'queue':
        return [{ ...head, mp: 'queue', queues: [] }];
      case 'groupDesc':
        return pieces([...tables.groups.values()], (groups, flags) => ({ ...head, flags, mp: 'groupDesc', groups }));
      case 'group': {
        const groups = named(tables.groups, message.groupId, Group.all).map(({ groupId, buckets }) => ({
          groupId,
          refCount: tables.users((flow) => usesGroup(flow, groupId)),
          ...counts,
          ...age,
          buckets: buckets.map(() => counts),
        }));
        return pieces(groups, (part, flags) => ({ ...head, flags, mp: 'group', groups: part }));
      }
      case 'meterConfig': {
        const meters = named(tables.meters, message.meterId, Meter.all);
        return pieces(meters, (part, flags) => ({ ...head, flags, mp: 'meterConfig', meters: part }));
      }
      case 'meter': {
        const meters = named(tables.meters, message.meterId, Meter.all).map(({ meterId, bands }) => ({
          meterId,
          flowCount: tables.users((flow) => usesMeter(flow, meterId)),
          packetInCount: 0n,
          byteInCount: 0n,
          ...age,
          bands: bands.map(() => counts),
        }));
        return pieces(meters, (part, flags) => ({ ...head, flags, mp: 'meter', meters: part }));
      }
      case 'groupFeatures':
        return [{ ...head, mp: 'groupFeatures', ...groupFeatures }];
      case 'meterFeatures':
        return [{ ...head, mp: 'meterFeatures', ...meterFeatures }];
      case 'tableFeatures': {
        if (message.tables.length > 0) return [failure(message, refusal.fixedTables)];
        const list = Array.from({ length: TABLES }, (_, tableId) => tableFeatures(tableId));
        return pieces(list, (part, flags) => ({ ...head, flags, mp: 'tableFeatures', tables: part }));
      }
      default:
        return [failure(message, refusal.badMultipart)];
    }
  }
}

function named<T>(map: ReadonlyMap<number, T>, id: number, all: number): T[] {
  if (id === all) return [...map.values()];
  const one = map.get(id);
  return one === undefined ? [] : [one];
}

function pieces<T>(list: readonly T[], make: (part: readonly T[], flags: number) => Message): Message[] {
  const out: Message[] = [];
  for (let at = 0; at < list.length || at === 0; at += PIECE) {
    out.push(make(list.slice(at, at + PIECE), at + PIECE < list.length ? 1 : 0));
  }
  return out;
}

/** An error about a message, with the first of its bytes as Open vSwitch sends them. */
function failure(about: Message, { type, code }: Refusal): Message {
  const data = encodeMessage(about).subarray(0, 64);
  return { ...reply(about.xid), type: 'error', errorType: type, errorCode: code, data };
}

const bundleFailure = (xid: number, code: number): Message => ({
  ...reply(xid),
  type: 'error',
  errorType: 0xffff,
  errorCode: code,
  experimenter: Experimenter.onf,
  data: Buffer.alloc(0),
});

const flowRemoved = (flow: FlowMod, reason: number): Message => ({
  ...reply(0),
  type: 'flowRemoved',
  cookie: flow.cookie,
  priority: flow.priority,
  reason,
  tableId: flow.tableId,
  durationSec: 1,
  durationNsec: 0,
  idleTimeout: flow.idleTimeout,
  hardTimeout: flow.hardTimeout,
  packetCount: 0n,
  byteCount: 0n,
  match: flow.match,
});

/** Where a frame came in, and which flow shows it to the controller. */
export interface PacketInFacts {
  readonly inPort: number;
  readonly tableId: number;
  readonly cookie: bigint;
  /** OFPR_* */
  readonly reason: number;
}

/** A whole frame shown to the controller by a flow. */
export const packetIn = (frame: Uint8Array, { inPort, ...by }: PacketInFacts): Message => ({
  ...reply(0),
  type: 'packetIn',
  bufferId: noBuffer,
  totalLen: frame.length,
  ...by,
  match: [{ field: 'inPort', value: inPort }],
  data: frame,
});
