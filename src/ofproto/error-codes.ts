import { Experimenter } from './constants.ts';

interface ErrorClass {
  readonly name: string;
  readonly codes: Readonly<Record<number, string>>;
}

/** OFPET_*: error types of OpenFlow 1.3.5 §7.4.4 with every code, by number. */
export const errorTypes: Readonly<Record<number, ErrorClass>> = {
  0: { name: 'OFPET_HELLO_FAILED', codes: { 0: 'OFPHFC_INCOMPATIBLE', 1: 'OFPHFC_EPERM' } },
  1: {
    name: 'OFPET_BAD_REQUEST',
    codes: {
      0: 'OFPBRC_BAD_VERSION',
      1: 'OFPBRC_BAD_TYPE',
      2: 'OFPBRC_BAD_MULTIPART',
      3: 'OFPBRC_BAD_EXPERIMENTER',
      4: 'OFPBRC_BAD_EXP_TYPE',
      5: 'OFPBRC_EPERM',
      6: 'OFPBRC_BAD_LEN',
      7: 'OFPBRC_BUFFER_EMPTY',
      8: 'OFPBRC_BUFFER_UNKNOWN',
      9: 'OFPBRC_BAD_TABLE_ID',
      10: 'OFPBRC_IS_SLAVE',
      11: 'OFPBRC_BAD_PORT',
      12: 'OFPBRC_BAD_PACKET',
      13: 'OFPBRC_MULTIPART_BUFFER_OVERFLOW',
    },
  },
  2: {
    name: 'OFPET_BAD_ACTION',
    codes: {
      0: 'OFPBAC_BAD_TYPE',
      1: 'OFPBAC_BAD_LEN',
      2: 'OFPBAC_BAD_EXPERIMENTER',
      3: 'OFPBAC_BAD_EXP_TYPE',
      4: 'OFPBAC_BAD_OUT_PORT',
      5: 'OFPBAC_BAD_ARGUMENT',
      6: 'OFPBAC_EPERM',
      7: 'OFPBAC_TOO_MANY',
      8: 'OFPBAC_BAD_QUEUE',
      9: 'OFPBAC_BAD_OUT_GROUP',
      10: 'OFPBAC_MATCH_INCONSISTENT',
      11: 'OFPBAC_UNSUPPORTED_ORDER',
      12: 'OFPBAC_BAD_TAG',
      13: 'OFPBAC_BAD_SET_TYPE',
      14: 'OFPBAC_BAD_SET_LEN',
      15: 'OFPBAC_BAD_SET_ARGUMENT',
    },
  },
  3: {
    name: 'OFPET_BAD_INSTRUCTION',
    codes: {
      0: 'OFPBIC_UNKNOWN_INST',
      1: 'OFPBIC_UNSUP_INST',
      2: 'OFPBIC_BAD_TABLE_ID',
      3: 'OFPBIC_UNSUP_METADATA',
      4: 'OFPBIC_UNSUP_METADATA_MASK',
      5: 'OFPBIC_BAD_EXPERIMENTER',
      6: 'OFPBIC_BAD_EXP_TYPE',
      7: 'OFPBIC_BAD_LEN',
      8: 'OFPBIC_EPERM',
    },
  },
  4: {
    name: 'OFPET_BAD_MATCH',
    codes: {
      0: 'OFPBMC_BAD_TYPE',
      1: 'OFPBMC_BAD_LEN',
      2: 'OFPBMC_BAD_TAG',
      3: 'OFPBMC_BAD_DL_ADDR_MASK',
      4: 'OFPBMC_BAD_NW_ADDR_MASK',
      5: 'OFPBMC_BAD_WILDCARDS',
      6: 'OFPBMC_BAD_FIELD',
      7: 'OFPBMC_BAD_VALUE',
      8: 'OFPBMC_BAD_MASK',
      9: 'OFPBMC_BAD_PREREQ',
      10: 'OFPBMC_DUP_FIELD',
      11: 'OFPBMC_EPERM',
    },
  },
  5: {
    name: 'OFPET_FLOW_MOD_FAILED',
    codes: {
      0: 'OFPFMFC_UNKNOWN',
      1: 'OFPFMFC_TABLE_FULL',
      2: 'OFPFMFC_BAD_TABLE_ID',
      3: 'OFPFMFC_OVERLAP',
      4: 'OFPFMFC_EPERM',
      5: 'OFPFMFC_BAD_TIMEOUT',
      6: 'OFPFMFC_BAD_COMMAND',
      7: 'OFPFMFC_BAD_FLAGS',
    },
  },
  6: {
    name: 'OFPET_GROUP_MOD_FAILED',
    codes: {
      0: 'OFPGMFC_GROUP_EXISTS',
      1: 'OFPGMFC_INVALID_GROUP',
      2: 'OFPGMFC_WEIGHT_UNSUPPORTED',
      3: 'OFPGMFC_OUT_OF_GROUPS',
      4: 'OFPGMFC_OUT_OF_BUCKETS',
      5: 'OFPGMFC_CHAINING_UNSUPPORTED',
      6: 'OFPGMFC_WATCH_UNSUPPORTED',
      7: 'OFPGMFC_LOOP',
      8: 'OFPGMFC_UNKNOWN_GROUP',
      9: 'OFPGMFC_CHAINED_GROUP',
      10: 'OFPGMFC_BAD_TYPE',
      11: 'OFPGMFC_BAD_COMMAND',
      12: 'OFPGMFC_BAD_BUCKET',
      13: 'OFPGMFC_BAD_WATCH',
      14: 'OFPGMFC_EPERM',
    },
  },
  7: {
    name: 'OFPET_PORT_MOD_FAILED',
    codes: {
      0: 'OFPPMFC_BAD_PORT',
      1: 'OFPPMFC_BAD_HW_ADDR',
      2: 'OFPPMFC_BAD_CONFIG',
      3: 'OFPPMFC_BAD_ADVERTISE',
      4: 'OFPPMFC_EPERM',
    },
  },
  8: {
    name: 'OFPET_TABLE_MOD_FAILED',
    codes: { 0: 'OFPTMFC_BAD_TABLE', 1: 'OFPTMFC_BAD_CONFIG', 2: 'OFPTMFC_EPERM' },
  },
  9: {
    name: 'OFPET_QUEUE_OP_FAILED',
    codes: { 0: 'OFPQOFC_BAD_PORT', 1: 'OFPQOFC_BAD_QUEUE', 2: 'OFPQOFC_EPERM' },
  },
  10: {
    name: 'OFPET_SWITCH_CONFIG_FAILED',
    codes: { 0: 'OFPSCFC_BAD_FLAGS', 1: 'OFPSCFC_BAD_LEN', 2: 'OFPSCFC_EPERM' },
  },
  11: {
    name: 'OFPET_ROLE_REQUEST_FAILED',
    codes: { 0: 'OFPRRFC_STALE', 1: 'OFPRRFC_UNSUP', 2: 'OFPRRFC_BAD_ROLE' },
  },
  12: {
    name: 'OFPET_METER_MOD_FAILED',
    codes: {
      0: 'OFPMMFC_UNKNOWN',
      1: 'OFPMMFC_METER_EXISTS',
      2: 'OFPMMFC_INVALID_METER',
      3: 'OFPMMFC_UNKNOWN_METER',
      4: 'OFPMMFC_BAD_COMMAND',
      5: 'OFPMMFC_BAD_FLAGS',
      6: 'OFPMMFC_BAD_RATE',
      7: 'OFPMMFC_BAD_BURST',
      8: 'OFPMMFC_BAD_BAND',
      9: 'OFPMMFC_BAD_BAND_VALUE',
      10: 'OFPMMFC_OUT_OF_METERS',
      11: 'OFPMMFC_OUT_OF_BANDS',
    },
  },
  13: {
    name: 'OFPET_TABLE_FEATURES_FAILED',
    codes: {
      0: 'OFPTFFC_BAD_TABLE',
      1: 'OFPTFFC_BAD_METADATA',
      2: 'OFPTFFC_BAD_TYPE',
      3: 'OFPTFFC_BAD_LEN',
      4: 'OFPTFFC_BAD_ARGUMENT',
      5: 'OFPTFFC_EPERM',
    },
  },
};

/** Type of errors whose code belongs to an experimenter. */
export const errorExperimenter = 0xffff;

/** Errors of experimenters that Open vSwitch sends: ONF extensions to 1.3 (EXT-230, EXT-187 …) and Nicira. */
export const experimenterErrors: Readonly<Record<number, Readonly<Record<number, string>>>> = {
  [Experimenter.onf]: {
    2300: 'OFPBFC_UNKNOWN',
    2301: 'OFPBFC_EPERM',
    2302: 'OFPBFC_BAD_ID',
    2303: 'OFPBFC_BUNDLE_EXIST',
    2304: 'OFPBFC_BUNDLE_CLOSED',
    2305: 'OFPBFC_OUT_OF_BUNDLES',
    2306: 'OFPBFC_BAD_TYPE',
    2307: 'OFPBFC_BAD_FLAGS',
    2308: 'OFPBFC_MSG_BAD_LEN',
    2309: 'OFPBFC_MSG_BAD_XID',
    2310: 'OFPBFC_MSG_UNSUP',
    2311: 'OFPBFC_MSG_CONFLICT',
    2312: 'OFPBFC_MSG_TOO_MANY',
    2313: 'OFPBFC_MSG_FAILED',
    2314: 'OFPBFC_TIMEOUT',
    2315: 'OFPBFC_BUNDLE_IN_PROGRESS',
    2360: 'OFPFMFC_BAD_PRIORITY',
    2370: 'OFPACFC_INVALID',
    2371: 'OFPACFC_UNSUPPORTED',
    2372: 'OFPACFC_EPERM',
    2600: 'OFPBIC_DUP_INST',
    2640: 'OFPBRC_MULTIPART_REQUEST_TIMEOUT',
    2641: 'OFPBRC_MULTIPART_REPLY_TIMEOUT',
    4250: 'OFPBAC_BAD_SET_MASK',
    4443: 'OFPBPC_TOO_MANY',
    4444: 'OFPBPC_DUP_TYPE',
    4445: 'OFPBPC_BAD_EXPERIMENTER',
  },
  [Experimenter.nicira]: {
    2: 'NXBRC_NXM_INVALID',
    3: 'NXBRC_NXM_BAD_TYPE',
    4: 'NXBRC_MUST_BE_ZERO',
    5: 'NXBRC_BAD_REASON',
    6: 'OFPMOFC_MONITOR_EXISTS',
    7: 'OFPMOFC_BAD_FLAGS',
    8: 'OFPMOFC_UNKNOWN_MONITOR',
    9: 'NXBRC_FM_BAD_EVENT',
    10: 'NXBRC_UNENCODABLE_ERROR',
    11: 'NXBAC_MUST_BE_ZERO',
    12: 'NXFMFC_HARDWARE',
    13: 'NXFMFC_BAD_TABLE_ID',
    15: 'NXBAC_BAD_CONJUNCTION',
    16: 'NXTTMFC_BAD_COMMAND',
    17: 'NXTTMFC_BAD_OPT_LEN',
    18: 'NXTTMFC_BAD_FIELD_IDX',
    19: 'NXTTMFC_TABLE_FULL',
    20: 'NXTTMFC_ALREADY_MAPPED',
    21: 'NXTTMFC_DUP_ENTRY',
    34: 'NXR_NOT_SUPPORTED',
    35: 'NXR_STALE',
    36: 'NXST_NOT_CONFIGURED',
    37: 'NXFMFC_INVALID_TLV_FIELD',
    38: 'NXTTMFC_INVALID_TLV_DEL',
    39: 'NXBAC_BAD_HEADER_TYPE',
    40: 'NXBAC_UNKNOWN_ED_PROP',
    41: 'NXBAC_BAD_ED_PROP',
    42: 'NXBAC_CT_DATAPATH_SUPPORT',
    43: 'NXBMC_CT_DATAPATH_SUPPORT',
    44: 'NXTFFC_DUP_TABLE',
  },
};

/** Names of an error; numbers in text when the type or code is not known. */
export function errorName(type: number, code: number, experimenter?: number): { type: string; code: string } {
  if (type === errorExperimenter) {
    const known = experimenter === undefined ? undefined : experimenterErrors[experimenter]?.[code];
    return { type: 'OFPET_EXPERIMENTER', code: known ?? String(code) };
  }
  const found = errorTypes[type];
  return { type: found?.name ?? String(type), code: found?.codes[code] ?? String(code) };
}
