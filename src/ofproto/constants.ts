/** Version byte of OpenFlow 1.3. */
export const version13 = 4;

/** Reserved ports, unsigned, OpenFlow 1.3.5 §7.2.1. Real ports are 1…0xffffff00. */
export const Port = {
  max: 0xffff_ff00,
  inPort: 0xffff_fff8,
  table: 0xffff_fff9,
  normal: 0xffff_fffa,
  flood: 0xffff_fffb,
  all: 0xffff_fffc,
  controller: 0xffff_fffd,
  local: 0xffff_fffe,
  any: 0xffff_ffff,
} as const;

/** Words for the reserved ports, as Open vSwitch prints them. */
export const portNames: ReadonlyMap<number, string> = new Map([
  [Port.inPort, 'IN_PORT'],
  [Port.table, 'TABLE'],
  [Port.normal, 'NORMAL'],
  [Port.flood, 'FLOOD'],
  [Port.all, 'ALL'],
  [Port.controller, 'CONTROLLER'],
  [Port.local, 'LOCAL'],
  [Port.any, 'ANY'],
]);

/** OFPG_*: reserved group numbers. */
export const Group = { max: 0xffff_ff00, all: 0xffff_fffc, any: 0xffff_ffff } as const;

/** OFPM_*: reserved meter numbers. */
export const Meter = { max: 0xffff_0000, slowpath: 0xffff_fffd, controller: 0xffff_fffe, all: 0xffff_ffff } as const;

/** OFPTT_*: reserved table numbers. */
export const TableId = { max: 254, all: 255 } as const;

/** OFPQ_ALL: all queues of a port. */
export const queueAll = 0xffff_ffff;

/** OFP_NO_BUFFER: the packet's bytes are in the message. Open vSwitch knows nothing else. */
export const noBuffer = 0xffff_ffff;

/** OFPCML_*: max_len of an output to the controller. */
export const MaxLen = { max: 0xffe5, noBuffer: 0xffff } as const;

/** OFPT_*: message types, by the name used for `Message.type`. */
export const MessageType = {
  hello: 0,
  error: 1,
  echoRequest: 2,
  echoReply: 3,
  experimenter: 4,
  featuresRequest: 5,
  featuresReply: 6,
  getConfigRequest: 7,
  getConfigReply: 8,
  setConfig: 9,
  packetIn: 10,
  flowRemoved: 11,
  portStatus: 12,
  packetOut: 13,
  flowMod: 14,
  groupMod: 15,
  portMod: 16,
  tableMod: 17,
  multipartRequest: 18,
  multipartReply: 19,
  barrierRequest: 20,
  barrierReply: 21,
  queueGetConfigRequest: 22,
  queueGetConfigReply: 23,
  roleRequest: 24,
  roleReply: 25,
  getAsyncRequest: 26,
  getAsyncReply: 27,
  setAsync: 28,
  meterMod: 29,
} as const;
/** Name of a message type. */
export type MessageName = keyof typeof MessageType;

/** OFPMP_*: multipart types, by the name used for `mp`. */
export const MultipartType = {
  desc: 0,
  flow: 1,
  aggregate: 2,
  table: 3,
  portStats: 4,
  queue: 5,
  group: 6,
  groupDesc: 7,
  groupFeatures: 8,
  meter: 9,
  meterConfig: 10,
  meterFeatures: 11,
  tableFeatures: 12,
  portDesc: 13,
  experimenter: 0xffff,
} as const;
/** Name of a multipart type. */
export type MultipartName = keyof typeof MultipartType;

/** OFPMPF_REQ_MORE / OFPMPF_REPLY_MORE: more pieces follow. */
export const multipartMore = 1;

/** OFPFC_* */
export const FlowModCommand = { add: 0, modify: 1, modifyStrict: 2, delete: 3, deleteStrict: 4 } as const;
/** One of OFPFC_*. */
export type FlowModCommand = (typeof FlowModCommand)[keyof typeof FlowModCommand];

/** OFPFF_* */
export const FlowModFlag = {
  sendFlowRemoved: 1,
  checkOverlap: 2,
  resetCounts: 4,
  noPacketCounts: 8,
  noByteCounts: 16,
} as const;

/** OFPGC_* */
export const GroupModCommand = { add: 0, modify: 1, delete: 2 } as const;
/** One of OFPGC_*. */
export type GroupModCommand = (typeof GroupModCommand)[keyof typeof GroupModCommand];

/** OFPGT_* */
export const GroupType = { all: 0, select: 1, indirect: 2, fastFailover: 3 } as const;
/** One of OFPGT_*. */
export type GroupType = (typeof GroupType)[keyof typeof GroupType];

/** OFPMC_* */
export const MeterModCommand = { add: 0, modify: 1, delete: 2 } as const;
/** OFPMF_* */
export const MeterFlag = { kbps: 1, pktps: 2, burst: 4, stats: 8 } as const;
/** OFPMBT_* */
export const MeterBandType = { drop: 1, dscpRemark: 2, experimenter: 0xffff } as const;

/** OFPR_*: why a packet came to the controller. */
export const PacketInReason = { noMatch: 0, action: 1, invalidTtl: 2 } as const;
/** OFPRR_*: why a flow went. */
export const FlowRemovedReason = { idleTimeout: 0, hardTimeout: 1, delete: 2, groupDelete: 3 } as const;
/** OFPPR_*: what happened to a port. */
export const PortReason = { add: 0, delete: 1, modify: 2 } as const;
/** OFPPC_*: what the administrator set. */
export const PortConfig = { portDown: 1, noRecv: 4, noFwd: 32, noPacketIn: 64 } as const;
/** OFPPS_*: how the port is. */
export const PortState = { linkDown: 1, blocked: 2, live: 4 } as const;
/** OFPPF_*: speeds and media. */
export const PortFeature = {
  speed10MbHd: 1 << 0,
  speed10MbFd: 1 << 1,
  speed100MbHd: 1 << 2,
  speed100MbFd: 1 << 3,
  speed1GbHd: 1 << 4,
  speed1GbFd: 1 << 5,
  speed10GbFd: 1 << 6,
  speed40GbFd: 1 << 7,
  speed100GbFd: 1 << 8,
  speed1TbFd: 1 << 9,
  other: 1 << 10,
  copper: 1 << 11,
  fiber: 1 << 12,
  autoneg: 1 << 13,
  pause: 1 << 14,
  pauseAsym: 1 << 15,
} as const;

/** OFPC_*: what a switch can do, in features replies. */
export const Capability = {
  flowStats: 1,
  tableStats: 2,
  portStats: 4,
  groupStats: 8,
  ipReassembly: 32,
  queueStats: 64,
  portBlocked: 256,
} as const;
/** OFPC_FRAG_*: handling of fragments. */
export const ConfigFlag = { fragNormal: 0, fragDrop: 1, fragReassemble: 2, fragMask: 3 } as const;

/** OFPCR_ROLE_* */
export const Role = { noChange: 0, equal: 1, master: 2, slave: 3 } as const;
/** One of OFPCR_ROLE_*. */
export type Role = (typeof Role)[keyof typeof Role];

/** Experimenter ids. */
export const Experimenter = {
  nicira: 0x0000_2320,
  onf: 0x4f4e_4600,
  nsh: 0x005a_d650,
  bigSwitch: 0x005c_16c7,
} as const;

/** ONF_ET_BUNDLE_* of EXT-230: experimenter message types. */
export const OnfType = { bundleControl: 2300, bundleAddMessage: 2301, roleStatus: 1911 } as const;
/** OFPBCT_*: what a bundle control message asks or answers. */
export const BundleControl = {
  openRequest: 0,
  openReply: 1,
  closeRequest: 2,
  closeReply: 3,
  commitRequest: 4,
  commitReply: 5,
  discardRequest: 6,
  discardReply: 7,
} as const;
/** One of OFPBCT_*. */
export type BundleControl = (typeof BundleControl)[keyof typeof BundleControl];
/** OFPBF_* */
export const BundleFlag = { atomic: 1, ordered: 2 } as const;

/** NXT_*: Nicira experimenter message types that exist in OpenFlow 1.3 sessions. */
export const NiciraType = {
  roleRequest: 10,
  roleReply: 11,
  setFlowFormat: 12,
  setPacketInFormat: 16,
  packetIn: 17,
  setAsyncConfig: 19,
  setControllerId: 20,
  tlvTableMod: 24,
  tlvTableRequest: 25,
  tlvTableReply: 26,
  setAsyncConfig2: 27,
  resume: 28,
  ctFlushZone: 29,
  packetIn2: 30,
} as const;
/** NXPIF_*: packet-in formats. */
export const PacketInFormat = { standard: 0, nxt: 1, nxt2: 2 } as const;

/** Present bit of the VLAN id field (OFPVID_PRESENT). */
export const vlanPresent = 0x1000;
