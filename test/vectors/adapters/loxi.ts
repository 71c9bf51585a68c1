import * as of from '../../../src/ofproto/index.ts';
import { type Leaves, leavesOf, plain, take } from './leaves.ts';

type Tree = Readonly<Record<string, unknown>>;

/** Words of LOXI that we call otherwise. */
const words: Readonly<Record<string, string>> = {
  type: 'groupType',
  code: 'errorCode',
  subtype: 'expType',
  mfr_desc: 'manufacturer',
  hw_desc: 'hardware',
  sw_desc: 'software',
  serial_num: 'serialNumber',
  dp_desc: 'datapath',
  value_mask: 'mask',
  metadata_mask: 'mask',
  packet_band_count: 'packetCount',
  byte_band_count: 'byteCount',
  len: 'headerSize',
};

const constants: Readonly<Record<string, number>> = {
  OFPBMC_BAD_MASK: 8,
  OFPR_ACTION: of.PacketInReason.action,
  OFPRR_DELETE: of.FlowRemovedReason.delete,
  OFPGT_FF: of.GroupType.fastFailover,
  OFPPR_MODIFY: of.PortReason.modify,
  OFPC_FRAG_REASM: of.ConfigFlag.fragReassemble,
  OFPPC_NO_FWD: of.PortConfig.noFwd,
  OFPPC_NO_RECV: of.PortConfig.noRecv,
  OFPPS_BLOCKED: of.PortState.blocked,
  OFPPF_10MB_HD: of.PortFeature.speed10MbHd,
  OFPPF_10MB_FD: of.PortFeature.speed10MbFd,
  OFPPF_100MB_HD: of.PortFeature.speed100MbHd,
  OFPPF_100MB_FD: of.PortFeature.speed100MbFd,
  OFPSF_REPLY_MORE: of.multipartMore,
  OFPMBT_DROP: of.MeterBandType.drop,
  OFPMBT_DSCP_REMARK: of.MeterBandType.dscpRemark,
  OFPMF_KBPS: of.MeterFlag.kbps,
  OFPMF_STATS: of.MeterFlag.stats,
};

/** Value of a LOXI literal: numbers, `hex:…`, constants joined by `|`, lists of octets. */
function literal(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value);
  if (typeof value !== 'string') return undefined;
  if (value.startsWith('hex:')) return value.slice(4);
  if (/^\d+$/.test(value)) return value;
  const parts = value.split('|').map((part) => constants[part.trim().replace(/^ofp\./, '')]);
  if (parts.every((part) => part !== undefined)) return String(parts.reduce((sum, part) => sum! | part!, 0));
  return value;
}

/** Leaves that the expectation names and our message lacks. Bodies of Big Switch's extensions stay bytes with us. */
export function missingFromLoxi(expected: Tree, message: of.Message): string[] {
  const [name] = Object.keys(expected);
  const leaves = leavesOf(message);
  const opaque = /bsn_/.test(name!) || (message.type === 'experimenter' && message.body.type === 'unknown');
  const missing: string[] = [];
  visit(expected, '', leaves, missing);
  if (opaque) return missing.filter((line) => line.startsWith('xid'));
  return missing;
}

function camel(key: string): string {
  return key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function visit(node: unknown, key: string, leaves: Leaves, missing: string[]): void {
  if (Array.isArray(node)) {
    if (
      key === 'hw_addr' ||
      (key === 'value' && node.length === 6 && node.every((octet) => typeof octet === 'number'))
    ) {
      const hex = node.map((octet) => Number(octet).toString(16).padStart(2, '0')).join('');
      check(words[key] ?? camel(key), String(Number.parseInt(hex, 16)), leaves, missing);
    } else for (const item of node) visit(item, key, leaves, missing);
    return;
  }
  if (typeof node === 'object' && node !== null) {
    for (const [name, value] of Object.entries(node))
      if (!/^(oxm\.bsn|args$)/.test(name)) visit(value, name, leaves, missing);
    return;
  }
  const value = literal(node);
  if (value !== undefined) check(words[key] ?? camel(key), value, leaves, missing);
}

function check(key: string, value: string, leaves: Leaves, missing: string[]): void {
  if (take(leaves, key, value)) return;
  // The same in other clothes: hex of a number, or a list of bytes as one value.
  for (const [, list] of key === 'value' || key === 'mask' ? [[key, leaves.get(key) ?? []] as const] : []) {
    const at = list.findIndex(
      (own) => /^[0-9a-f]+$/.test(value) && /^\d+$/.test(own) && BigInt(`0x${value}`) === BigInt(own),
    );
    if (at >= 0) {
      list.splice(at, 1);
      return;
    }
  }
  missing.push(`${key} ${plain(value)}`);
}
