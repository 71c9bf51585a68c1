import { pad, struct } from './struct.ts';

/*
 * Actions of one fixed size. The structures leave out type and length (and experimenter and subtype), which the list
 * knows; the first number is the type code, OFPAT_* or NXAST_*.
 */

/** Standard actions, OpenFlow 1.3.5 §7.2.5. */
export const standardActions = {
  output: [
    0,
    struct('ofp_action_output', {
      port: ['u32', 'output port, or one of the reserved ones'],
      maxLen: ['u16', 'bytes to send to the controller; 0xffff all'],
      pad: [pad(6), ''],
    }),
  ],
  copyTtlOut: [11, struct('ofp_action_copy_ttl_out', { pad: [pad(4), ''] })],
  copyTtlIn: [12, struct('ofp_action_copy_ttl_in', { pad: [pad(4), ''] })],
  setMplsTtl: [15, struct('ofp_action_mpls_ttl', { ttl: ['u8', 'MPLS TTL'], pad: [pad(3), ''] })],
  decMplsTtl: [16, struct('ofp_action_dec_mpls_ttl', { pad: [pad(4), ''] })],
  pushVlan: [17, struct('ofp_action_push_vlan', { ethertype: ['u16', 'of the new tag'], pad: [pad(2), ''] })],
  popVlan: [18, struct('ofp_action_pop_vlan', { pad: [pad(4), ''] })],
  pushMpls: [19, struct('ofp_action_push_mpls', { ethertype: ['u16', 'of the new header'], pad: [pad(2), ''] })],
  popMpls: [20, struct('ofp_action_pop_mpls', { ethertype: ['u16', 'of what is under it'], pad: [pad(2), ''] })],
  setQueue: [21, struct('ofp_action_set_queue', { queueId: ['u32', 'queue of the output port'] })],
  group: [22, struct('ofp_action_group', { groupId: ['u32', 'group to run'] })],
  setNwTtl: [23, struct('ofp_action_nw_ttl', { ttl: ['u8', 'IP TTL'], pad: [pad(3), ''] })],
  decNwTtl: [24, struct('ofp_action_dec_nw_ttl', { pad: [pad(4), ''] })],
  pushPbb: [26, struct('ofp_action_push_pbb', { ethertype: ['u16', 'of the new header'], pad: [pad(2), ''] })],
  popPbb: [27, struct('ofp_action_pop_pbb', { pad: [pad(4), ''] })],
} as const;

/** Nicira's actions of one fixed size, as Open vSwitch speaks them in OpenFlow 1.3. */
export const niciraActions = {
  nxResubmit: [1, struct('nx_action_resubmit', { inPort: ['u16', '16-bit port to pretend'], pad: [pad(4), ''] })],
  nxSetTunnel: [2, struct('nx_action_set_tunnel', { pad: [pad(2), ''], tunnelId: ['u32', 'low 32 bits'] })],
  nxSetQueue: [4, struct('nx_action_set_queue', { pad: [pad(2), ''], queueId: ['u32', 'queue'] })],
  nxPopQueue: [5, struct('nx_action_pop_queue', { pad: [pad(6), ''] })],
  nxSetTunnel64: [9, struct('nx_action_set_tunnel64', { pad: [pad(6), ''], tunnelId: ['u64', 'tunnel id'] })],
  nxResubmitTable: [
    14,
    struct('nx_action_resubmit_table', {
      inPort: ['u16', '16-bit port to pretend; 0xfff8 keeps it'],
      table: ['u8', 'table to look up; 255 the current one'],
      pad: [pad(3), ''],
    }),
  ],
  nxExit: [17, struct('nx_action_exit', { pad: [pad(6), ''] })],
  nxFinTimeout: [
    19,
    struct('nx_action_fin_timeout', {
      finIdleTimeout: ['u16', 'idle timeout after FIN or RST, s'],
      finHardTimeout: ['u16', 'hard timeout after FIN or RST, s'],
      pad: [pad(2), ''],
    }),
  ],
  nxController: [
    20,
    struct('nx_action_controller', {
      maxLen: ['u16', 'bytes to send'],
      controllerId: ['u16', 'which controller connection'],
      reason: ['u8', 'OFPR_*'],
      pad: [pad(1), ''],
    }),
  ],
  nxWriteMetadata: [
    22,
    struct('nx_action_write_metadata', {
      pad: [pad(6), ''],
      metadata: ['u64', 'new bits'],
      mask: ['u64', 'bits to change'],
    }),
  ],
  nxSample: [
    29,
    struct('nx_action_sample', {
      probability: ['u16', 'of 65535'],
      collectorSetId: ['u32', 'Flow_Sample_Collector_Set'],
      obsDomainId: ['u32', 'IPFIX observation domain'],
      obsPointId: ['u32', 'IPFIX observation point'],
    }),
  ],
  nxConjunction: [
    34,
    struct('nx_action_conjunction', {
      clause: ['u8', 'which clause, from 0'],
      clauses: ['u8', 'how many there are'],
      id: ['u32', 'conj_id of the conjunction'],
    }),
  ],
  nxSample2: [
    38,
    struct('nx_action_sample2', {
      probability: ['u16', 'of 65535'],
      collectorSetId: ['u32', 'Flow_Sample_Collector_Set'],
      obsDomainId: ['u32', 'IPFIX observation domain'],
      obsPointId: ['u32', 'IPFIX observation point'],
      samplingPort: ['u16', '16-bit port'],
      direction: ['u8', '0 default, 1 ingress, 2 egress'],
      pad: [pad(5), ''],
    }),
  ],
  nxOutputTrunc: [
    39,
    struct('nx_action_output_trunc', { port: ['u16', '16-bit port'], maxLen: ['u32', 'bytes to keep'] }),
  ],
  nxGroup: [40, struct('nx_action_group', { pad: [pad(2), ''], groupId: ['u32', 'group to run'] })],
  nxSample3: [
    41,
    struct('nx_action_sample3', {
      probability: ['u16', 'of 65535'],
      collectorSetId: ['u32', 'Flow_Sample_Collector_Set'],
      obsDomainId: ['u32', 'IPFIX observation domain'],
      obsPointId: ['u32', 'IPFIX observation point'],
      samplingPort: ['u16', '16-bit port'],
      direction: ['u8', '0 default, 1 ingress, 2 egress'],
      pad: [pad(5), ''],
    }),
  ],
  nxCtClear: [43, struct('nx_action_ct_clear', { pad: [pad(6), ''] })],
  nxResubmitTableCt: [
    44,
    struct('nx_action_resubmit_table_ct', {
      inPort: ['u16', '16-bit port to pretend'],
      table: ['u8', 'table to look up; addresses and ports of the original direction'],
      pad: [pad(3), ''],
    }),
  ],
  nxDecap: [47, struct('nx_action_decap', { pad: [pad(2), ''], newPacketType: ['u32', 'packet_type after it'] })],
  nxDecNshTtl: [48, struct('nx_action_dec_nsh_ttl', { pad: [pad(6), ''] })],
} as const;

/** Fixed part of ct, after the subtype. */
export const CtFixed = struct('nx_action_conntrack', {
  flags: ['u16', '1 commit, 2 force'],
  zoneSource: ['u32', 'field header of the zone, or 0'],
  zoneImmediate: ['u16', 'the zone, or offset and width in the field'],
  recircTable: ['u8', 'table to go on in; 255 none'],
  pad: [pad(3), ''],
  alg: ['u16', 'application helper by its port: 21 FTP, 69 TFTP'],
});

/** Fixed part of learn, after the subtype. */
export const LearnFixed = struct('nx_action_learn', {
  idleTimeout: ['u16', 's'],
  hardTimeout: ['u16', 's'],
  priority: ['u16', 'of the learned flow'],
  cookie: ['u64', 'of the learned flow'],
  flags: ['u16', '1 send flow-removed, 2 delete learned, 4 write result'],
  tableId: ['u8', 'where it goes'],
  pad: [pad(1), ''],
  finIdleTimeout: ['u16', 's'],
  finHardTimeout: ['u16', 's'],
});

/** Fixed part of multipath, after the subtype. */
export const MultipathFixed = struct('nx_action_multipath', {
  fields: ['u16', 'NX_HASH_FIELDS_*'],
  basis: ['u16', 'of the hash'],
  pad: [pad(2), ''],
  algorithm: ['u16', 'NX_MP_ALG_*'],
  maxLink: ['u16', 'number of links less one'],
  arg: ['u32', 'of the algorithm'],
  pad2: [pad(2), ''],
});

/** Fixed part of bundle and bundle_load, after the subtype. */
export const BundleFixed = struct('nx_action_bundle', {
  algorithm: ['u16', 'NX_BD_ALG_*'],
  fields: ['u16', 'NX_HASH_FIELDS_*'],
  basis: ['u16', 'of the hash'],
  memberType: ['u32', 'field header of what the members are: in_port'],
  memberCount: ['u16', 'how many follow'],
  ofsNbits: ['u16', 'offset and width in the destination'],
  dst: ['u32', 'field header of the destination, or 0'],
  pad: [pad(4), ''],
});
