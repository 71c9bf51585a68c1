import { bytes, pad, struct, text } from '../struct.ts';

/** ofp_header, OpenFlow 1.3.5 §7.1.1: the start of every message. */
export const header = {
  version: ['u8', '4 is OpenFlow 1.3'],
  type: ['u8', 'OFPT_*'],
  length: ['u16', 'of the whole message'],
  xid: ['u32', 'ties a reply to its request'],
} as const;

/** ofp_header alone. */
export const Header = struct('ofp_header', header);

/** ofp_switch_features, §7.3.1, after the header. */
export const FeaturesReply = struct('ofp_switch_features', {
  datapathId: ['u64', 'the switch'],
  nBuffers: ['u32', 'packets it can hold for us; Open vSwitch has none'],
  nTables: ['u8', 'flow tables'],
  auxiliaryId: ['u8', 'which connection; 0 is the main one'],
  pad: [pad(2), ''],
  capabilities: ['u32', 'OFPC_*'],
  reserved: ['u32', 'kept as it came'],
});

/** ofp_switch_config, §7.3.2, after the header. */
export const SwitchConfig = struct('ofp_switch_config', {
  flags: ['u16', 'OFPC_FRAG_*'],
  missSendLen: ['u16', 'bytes of a packet sent to the controller'],
});

const packetIn = {
  bufferId: ['u32', 'OFP_NO_BUFFER when the whole frame is here'],
  totalLen: ['u16', 'length of the frame on the wire; may exceed what is here'],
  reason: ['u8', 'OFPR_*'],
  tableId: ['u8', 'table that sent it'],
  cookie: ['u64', 'cookie of the rule that sent it'],
} as const;

/** ofp_packet_in, §7.4.1, fixed part with header: match, two bytes of padding and the frame follow. */
export const PacketIn = struct('ofp_packet_in', { ...header, ...packetIn });
/** ofp_packet_in after the header. */
export const PacketInBody = struct('ofp_packet_in', packetIn);

/** ofp_flow_removed, §7.4.2, after the header; a match follows. */
export const FlowRemovedBody = struct('ofp_flow_removed', {
  cookie: ['u64', 'of the rule'],
  priority: ['u16', 'of the rule'],
  reason: ['u8', 'OFPRR_*'],
  tableId: ['u8', 'of the rule'],
  durationSec: ['u32', 'time it lived'],
  durationNsec: ['u32', 'beyond durationSec'],
  idleTimeout: ['u16', 's'],
  hardTimeout: ['u16', 's'],
  packetCount: ['u64', ''],
  byteCount: ['u64', ''],
});

/** ofp_port, §7.2.1. */
export const PortDesc = struct('ofp_port', {
  portNo: ['u32', 'its number'],
  pad: [pad(4), ''],
  hwAddr: ['u48', 'MAC address'],
  pad2: [pad(2), ''],
  name: [text(16), 'need not be unique, nor text'],
  config: ['u32', 'OFPPC_*'],
  state: ['u32', 'OFPPS_*'],
  curr: ['u32', 'OFPPF_* now'],
  advertised: ['u32', 'OFPPF_*'],
  supported: ['u32', 'OFPPF_*'],
  peer: ['u32', 'OFPPF_*'],
  currSpeed: ['u32', 'kbit/s'],
  maxSpeed: ['u32', 'kbit/s'],
});

/** ofp_port_status, §7.4.3, after the header; an ofp_port follows. */
export const PortStatusBody = struct('ofp_port_status', { reason: ['u8', 'OFPPR_*'], pad: [pad(7), ''] });

const packetOut = {
  bufferId: ['u32', 'OFP_NO_BUFFER: the frame is here'],
  inPort: ['u32', 'port it came from, or OFPP_CONTROLLER'],
  actionsLen: ['u16', 'bytes of actions'],
  pad: [pad(6), ''],
} as const;
/** ofp_packet_out, §7.3.7, fixed part with header: actions and frame follow. */
export const PacketOut = struct('ofp_packet_out', { ...header, ...packetOut });
/** ofp_packet_out after the header. */
export const PacketOutBody = struct('ofp_packet_out', packetOut);

const flowMod = {
  cookie: ['u64', 'ours to choose: app and owner'],
  cookieMask: ['u64', 'for modify and delete: bits of the cookie that must agree'],
  tableId: ['u8', 'OFPTT_ALL deletes in all'],
  command: ['u8', 'OFPFC_*'],
  idleTimeout: ['u16', 's; 0 none'],
  hardTimeout: ['u16', 's; 0 none'],
  priority: ['u16', 'higher wins'],
  bufferId: ['u32', 'OFP_NO_BUFFER'],
  outPort: ['u32', 'delete filter; OFPP_ANY for none. 0 deletes nothing'],
  outGroup: ['u32', 'delete filter; OFPG_ANY for none. 0 deletes nothing'],
  flags: ['u16', 'OFPFF_*'],
  pad: [pad(2), ''],
} as const;
/** ofp_flow_mod, §7.3.4.1, fixed part with header: match and instructions follow. */
export const FlowMod = struct('ofp_flow_mod', { ...header, ...flowMod });
/** ofp_flow_mod after the header. */
export const FlowModBody = struct('ofp_flow_mod', flowMod);

/** ofp_group_mod, §7.3.4.2, after the header; buckets follow. */
export const GroupModBody = struct('ofp_group_mod', {
  command: ['u16', 'OFPGC_*'],
  groupType: ['u8', 'OFPGT_*'],
  pad: [pad(1), ''],
  groupId: ['u32', ''],
});

/** ofp_bucket; actions follow. */
export const BucketFixed = struct('ofp_bucket', {
  length: ['u16', 'with its actions'],
  weight: ['u16', 'for select groups'],
  watchPort: ['u32', 'usable while this port is live; OFPP_ANY none'],
  watchGroup: ['u32', 'usable while this group is; OFPG_ANY none'],
  pad: [pad(4), ''],
});

/** ofp_port_mod, §7.3.4.3, after the header. */
export const PortModBody = struct('ofp_port_mod', {
  portNo: ['u32', ''],
  pad: [pad(4), ''],
  hwAddr: ['u48', 'must be the port’s, as a check'],
  pad2: [pad(2), ''],
  config: ['u32', 'OFPPC_* to set'],
  mask: ['u32', 'OFPPC_* to change'],
  advertise: ['u32', 'OFPPF_*; 0 leaves it'],
  pad3: [pad(4), ''],
});

/** ofp_table_mod, §7.3.3, after the header. */
export const TableModBody = struct('ofp_table_mod', {
  tableId: ['u8', ''],
  pad: [pad(3), ''],
  config: ['u32', 'deprecated'],
});

/** ofp_meter_mod, §7.3.4.4, after the header; bands follow. */
export const MeterModBody = struct('ofp_meter_mod', {
  command: ['u16', 'OFPMC_*'],
  flags: ['u16', 'OFPMF_*'],
  meterId: ['u32', ''],
});

/** ofp_meter_band_header; four bytes at least follow. */
export const BandFixed = struct('ofp_meter_band_header', {
  type: ['u16', 'OFPMBT_*'],
  length: ['u16', ''],
  rate: ['u32', 'kbit/s, or packets per second'],
  burstSize: ['u32', 'kbit, or packets'],
});

/** ofp_role_request, §7.3.9, after the header. */
export const RoleBody = struct('ofp_role_request', {
  role: ['u32', 'OFPCR_ROLE_*'],
  pad: [pad(4), ''],
  generationId: ['u64', 'of the election; older ones are refused'],
});

/** ofp_async_config, §7.3.10, after the header: a bit per reason, for masters and slaves. */
export const AsyncBody = struct('ofp_async_config', {
  packetInMaster: ['u32', '1 << OFPR_*'],
  packetInSlave: ['u32', '1 << OFPR_*'],
  portStatusMaster: ['u32', '1 << OFPPR_*'],
  portStatusSlave: ['u32', '1 << OFPPR_*'],
  flowRemovedMaster: ['u32', '1 << OFPRR_*'],
  flowRemovedSlave: ['u32', '1 << OFPRR_*'],
});

/** Request or reply for the queues of a port, §7.3.6, after the header. */
export const QueueConfigBody = struct('ofp_queue_get_config', { port: ['u32', ''], pad: [pad(4), ''] });

/** ofp_packet_queue, §7.2.2; properties follow. */
export const PacketQueueFixed = struct('ofp_packet_queue', {
  queueId: ['u32', ''],
  port: ['u32', ''],
  length: ['u16', 'with its properties'],
  pad: [pad(6), ''],
});

/** ofp_multipart_request and _reply, §7.3.5, after the header. */
export const MultipartBody = struct('ofp_multipart', {
  mp: ['u16', 'OFPMP_*'],
  flags: ['u16', '1 more pieces follow'],
  pad: [pad(4), ''],
});

/** ofp_desc, §7.3.5.1. */
export const Desc = struct('ofp_desc', {
  manufacturer: [text(256), ''],
  hardware: [text(256), ''],
  software: [text(256), ''],
  serialNumber: [text(32), ''],
  datapath: [text(256), 'what its operator calls it'],
});

/** ofp_flow_stats_request and ofp_aggregate_stats_request, §7.3.5.2; a match follows. */
export const FlowStatsRequest = struct('ofp_flow_stats_request', {
  tableId: ['u8', 'OFPTT_ALL for all'],
  pad: [pad(3), ''],
  outPort: ['u32', 'OFPP_ANY: any'],
  outGroup: ['u32', 'OFPG_ANY: any'],
  pad2: [pad(4), ''],
  cookie: ['u64', ''],
  cookieMask: ['u64', '0: any cookie'],
});

/** ofp_flow_stats; match and instructions follow. */
export const FlowStatsFixed = struct('ofp_flow_stats', {
  length: ['u16', 'of the entry'],
  tableId: ['u8', ''],
  pad: [pad(1), ''],
  durationSec: ['u32', 'age'],
  durationNsec: ['u32', 'beyond durationSec'],
  priority: ['u16', ''],
  idleTimeout: ['u16', 's'],
  hardTimeout: ['u16', 's'],
  flags: ['u16', 'OFPFF_*'],
  pad2: [pad(4), ''],
  cookie: ['u64', ''],
  packetCount: ['u64', ''],
  byteCount: ['u64', ''],
});

/** ofp_aggregate_stats_reply, §7.3.5.3. */
export const AggregateStats = struct('ofp_aggregate_stats_reply', {
  packetCount: ['u64', ''],
  byteCount: ['u64', ''],
  flowCount: ['u32', ''],
  pad: [pad(4), ''],
});

/** ofp_table_stats, §7.3.5.4. */
export const TableStats = struct('ofp_table_stats', {
  tableId: ['u8', ''],
  pad: [pad(3), ''],
  activeCount: ['u32', 'flows'],
  lookupCount: ['u64', ''],
  matchedCount: ['u64', ''],
});

/** ofp_port_stats_request, §7.3.5.6. */
export const PortStatsRequest = struct('ofp_port_stats_request', {
  portNo: ['u32', 'OFPP_ANY: all'],
  pad: [pad(4), ''],
});

/** ofp_port_stats. A counter of 2^64-1 is not kept by the switch. */
export const PortStats = struct('ofp_port_stats', {
  portNo: ['u32', ''],
  pad: [pad(4), ''],
  rxPackets: ['u64', ''],
  txPackets: ['u64', ''],
  rxBytes: ['u64', ''],
  txBytes: ['u64', ''],
  rxDropped: ['u64', ''],
  txDropped: ['u64', ''],
  rxErrors: ['u64', ''],
  txErrors: ['u64', ''],
  rxFrameErr: ['u64', ''],
  rxOverErr: ['u64', ''],
  rxCrcErr: ['u64', ''],
  collisions: ['u64', ''],
  durationSec: ['u32', ''],
  durationNsec: ['u32', 'beyond durationSec'],
});

/** ofp_queue_stats_request, §7.3.5.8. */
export const QueueStatsRequest = struct('ofp_queue_stats_request', {
  portNo: ['u32', 'OFPP_ANY: all'],
  queueId: ['u32', 'OFPQ_ALL: all'],
});

/** ofp_queue_stats. */
export const QueueStats = struct('ofp_queue_stats', {
  portNo: ['u32', ''],
  queueId: ['u32', ''],
  txBytes: ['u64', ''],
  txPackets: ['u64', ''],
  txErrors: ['u64', ''],
  durationSec: ['u32', ''],
  durationNsec: ['u32', 'beyond durationSec'],
});

/** ofp_group_stats_request, §7.3.5.9. */
export const GroupStatsRequest = struct('ofp_group_stats_request', {
  groupId: ['u32', 'OFPG_ALL: all'],
  pad: [pad(4), ''],
});

/** ofp_group_stats; bucket counters follow. */
export const GroupStatsFixed = struct('ofp_group_stats', {
  length: ['u16', 'of the entry'],
  pad: [pad(2), ''],
  groupId: ['u32', ''],
  refCount: ['u32', 'flows and groups that use it'],
  pad2: [pad(4), ''],
  packetCount: ['u64', ''],
  byteCount: ['u64', ''],
  durationSec: ['u32', ''],
  durationNsec: ['u32', 'beyond durationSec'],
});

/** ofp_bucket_counter and ofp_meter_band_stats. */
export const Counter = struct('ofp_bucket_counter', { packetCount: ['u64', ''], byteCount: ['u64', ''] });

/** ofp_group_desc, §7.3.5.10; buckets follow. */
export const GroupDescFixed = struct('ofp_group_desc', {
  length: ['u16', 'of the entry'],
  groupType: ['u8', 'OFPGT_*'],
  pad: [pad(1), ''],
  groupId: ['u32', ''],
});

/** ofp_group_features, §7.3.5.11; numbers per group type in the order of OFPGT_*. */
export const GroupFeatures = struct('ofp_group_features', {
  types: ['u32', '1 << OFPGT_*'],
  capabilities: ['u32', 'OFPGFC_*'],
  maxGroupsAll: ['u32', ''],
  maxGroupsSelect: ['u32', ''],
  maxGroupsIndirect: ['u32', ''],
  maxGroupsFastFailover: ['u32', ''],
  actionsAll: ['u32', '1 << OFPAT_*'],
  actionsSelect: ['u32', '1 << OFPAT_*'],
  actionsIndirect: ['u32', '1 << OFPAT_*'],
  actionsFastFailover: ['u32', '1 << OFPAT_*'],
});

/** ofp_meter_multipart_request, §7.3.5.12. */
export const MeterRequest = struct('ofp_meter_multipart_request', {
  meterId: ['u32', 'OFPM_ALL: all'],
  pad: [pad(4), ''],
});

/** ofp_meter_stats; band counters follow. */
export const MeterStatsFixed = struct('ofp_meter_stats', {
  meterId: ['u32', ''],
  length: ['u16', 'of the entry'],
  pad: [pad(6), ''],
  flowCount: ['u32', ''],
  packetInCount: ['u64', ''],
  byteInCount: ['u64', ''],
  durationSec: ['u32', ''],
  durationNsec: ['u32', 'beyond durationSec'],
});

/** ofp_meter_config, §7.3.5.13; bands follow. */
export const MeterConfigFixed = struct('ofp_meter_config', {
  length: ['u16', 'of the entry'],
  flags: ['u16', 'OFPMF_*'],
  meterId: ['u32', ''],
});

/** ofp_meter_features, §7.3.5.14. */
export const MeterFeatures = struct('ofp_meter_features', {
  maxMeter: ['u32', ''],
  bandTypes: ['u32', '1 << OFPMBT_*'],
  capabilities: ['u32', 'OFPMF_*'],
  maxBands: ['u8', 'per meter'],
  maxColor: ['u8', ''],
  pad: [pad(2), ''],
});

/** ofp_table_features, §7.3.5.5; properties follow. */
export const TableFeaturesFixed = struct('ofp_table_features', {
  length: ['u16', 'of the entry'],
  tableId: ['u8', ''],
  pad: [pad(5), ''],
  name: [text(32), ''],
  metadataMatch: ['u64', 'bits of metadata it can match'],
  metadataWrite: ['u64', 'bits of metadata it can write'],
  config: ['u32', 'deprecated'],
  maxEntries: ['u32', ''],
});

/** Experimenter id and type: start of experimenter messages and multipart bodies, §7.5.4. */
export const ExperimenterFixed = struct('ofp_experimenter_header', {
  experimenter: ['u32', 'whose extension'],
  expType: ['u32', 'which message of theirs'],
});

/** Bundle control, ONF EXT-230, after the experimenter header; properties may follow. */
export const BundleControlBody = struct('onf_bundle_control', {
  bundleId: ['u32', 'ours to choose'],
  control: ['u16', 'OFPBCT_*'],
  flags: ['u16', 'OFPBF_*'],
});

/** Bundle add message, ONF EXT-230; the message follows. */
export const BundleAddBody = struct('onf_bundle_add', {
  bundleId: ['u32', ''],
  pad: [pad(2), ''],
  flags: ['u16', 'OFPBF_*'],
});

/** ONF role status (backport of OpenFlow 1.4). */
export const RoleStatusBody = struct('onf_role_status', {
  role: ['u32', 'ours from now on'],
  reason: ['u8', '0 another became master, 1 by configuration, 2 by an experimenter'],
  pad: [pad(3), ''],
  generationId: ['u64', ''],
});

/** A single number as Nicira's small messages carry it. */
export const NxNumber = struct('nx_number', { value: ['u32', ''] });
/** A 16-bit number after six bytes of zeros: controller id, conntrack zone. */
export const NxNumber16 = struct('nx_number16', { pad: [pad(6), ''], value: ['u16', ''] });

/** nx_packet_in (NXT_PACKET_IN); bare OXMs, padding, two bytes and the frame follow. */
export const NxPacketInFixed = struct('nx_packet_in', {
  bufferId: ['u32', ''],
  totalLen: ['u16', ''],
  reason: ['u8', 'OFPR_*'],
  tableId: ['u8', ''],
  cookie: ['u64', ''],
  matchLen: ['u16', 'bytes of the match'],
  pad: [pad(6), ''],
});

/** nx_tlv_table_mod; maps follow. */
export const TlvTableModFixed = struct('nx_tlv_table_mod', {
  command: ['u16', '0 add, 1 delete, 2 clear'],
  pad: [pad(6), ''],
});
/** nx_tlv_table_reply; maps follow. */
export const TlvTableReplyFixed = struct('nx_tlv_table_reply', {
  maxOptionSpace: ['u32', 'bytes'],
  maxFields: ['u16', ''],
  reserved: [bytes(10), ''],
});
/** nx_tlv_map: which tunnel option becomes which tun_metadata. */
export const TlvMap = struct('nx_tlv_map', {
  optionClass: ['u16', ''],
  optionType: ['u8', ''],
  optionLength: ['u8', 'bytes'],
  index: ['u16', 'tun_metadata number'],
  pad: [pad(2), ''],
});
