import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { type Dpid, dpidOf, dpidValue } from '../../controller/index.ts';
import {
  ChassisSubtype,
  decodeLldp,
  ETHERNET_HEADER,
  EtherType,
  encodeLldpFrame,
  ethType,
  findOrganization,
  get32,
  get48,
  LLDP_NEAREST_BRIDGE,
  organizationTlv,
  PortSubtype,
  set32,
  set48,
  set64,
} from '../../ofproto/index.ts';

/** Organisation identifier of our TLV: "NLL" with the locally-administered bit set, as nobody registered it for us. */
const OUI = 0x4e_4c_4c;
const SUBTYPE = 1;
const VERSION = 1;
const MAC_BYTES = 16;
/** version, time, truncated HMAC. */
const INFO_BYTES = 1 + 6 + MAC_BYTES;

/** What a probe says: sent out of this port at this time (ms since the epoch). */
export interface Probe {
  readonly dpid: Dpid;
  readonly port: number;
  readonly sentAt: number;
}

/** Why a frame is no probe of ours. `foreign`: LLDP of somebody else, which is no offence. */
export type NoProbe = 'foreign' | 'malformed' | 'forged';

/**
 * Writes and reads probes: LLDP frames (IEEE 802.1AB) with the datapath id as chassis, the port number as port, and an
 * organisation's TLV with version, time and the first 16 bytes of an HMAC-SHA-256 over version, datapath id, port and time.
 */
export class ProbeCodec {
  readonly #key: KeyObject;
  readonly #signed = Buffer.alloc(1 + 8 + 4 + 6);
  readonly #frame: Buffer;
  readonly #at: { readonly chassis: number; readonly port: number; readonly info: number };

  /** `ttl`: seconds a neighbour's LLDP may keep what it read. The key is this installation's secret. */
  constructor(key: Buffer, ttl: number) {
    this.#key = createSecretKey(key);
    // Markers, so that the offsets come from the encoder and not from counting.
    const [chassis, port, info] = [Buffer.alloc(8, 0xc1), Buffer.alloc(4, 0xc2), Buffer.alloc(INFO_BYTES, 0xc3)];
    this.#frame = encodeLldpFrame({
      dst: LLDP_NEAREST_BRIDGE,
      src: 0,
      chassisId: { subtype: ChassisSubtype.local, id: chassis },
      portId: { subtype: PortSubtype.component, id: port },
      ttl,
      tlvs: [organizationTlv({ oui: OUI, subtype: SUBTYPE, info })],
    });
    const find = (mark: Buffer): number => this.#frame.indexOf(mark);
    this.#at = { chassis: find(chassis), port: find(port), info: find(info) };
  }

  /** The frame; valid until the next call, as all share one buffer. `source` is the sending port's MAC. */
  encode(dpid: Dpid, port: number, source: number, sentAt: number): Buffer {
    const frame = this.#frame;
    const { chassis, port: portAt, info } = this.#at;
    set48(frame, 6, source);
    set64(frame, chassis, dpidValue(dpid));
    set32(frame, portAt, port);
    frame[info] = VERSION;
    set48(frame, info + 1, sentAt);
    this.#sign(frame, chassis, port, sentAt).copy(frame, info + 7, 0, MAC_BYTES);
    return frame;
  }

  /** Reads the frame in [at, end). */
  decode(bytes: Buffer, at: number, end: number): Probe | NoProbe {
    if (end - at < ETHERNET_HEADER || ethType(bytes, at) !== EtherType.lldp) return 'malformed';
    const lldp = decodeLldp(bytes, at + ETHERNET_HEADER, end);
    if (!lldp) return 'malformed';
    const info = findOrganization(lldp, OUI, SUBTYPE);
    if (!info) return 'foreign';
    const { chassisId, portId } = lldp;
    const ours =
      info.length === INFO_BYTES &&
      info[0] === VERSION &&
      chassisId.subtype === ChassisSubtype.local &&
      chassisId.id.length === 8 &&
      portId.subtype === PortSubtype.component &&
      portId.id.length === 4;
    if (!ours) return 'malformed';
    const port = get32(portId.id, 0);
    const sentAt = get48(info, 1);
    const wanted = this.#sign(chassisId.id, 0, port, sentAt).subarray(0, MAC_BYTES);
    if (!timingSafeEqual(wanted, info.subarray(7))) return 'forged';
    return { dpid: dpidOf(chassisId.id.readBigUInt64BE(0)), port, sentAt };
  }

  /** HMAC over the datapath id found in `bytes` at `at`, and the rest. */
  #sign(bytes: Buffer, at: number, port: number, sentAt: number): Buffer {
    const signed = this.#signed;
    signed[0] = VERSION;
    bytes.copy(signed, 1, at, at + 8);
    set32(signed, 9, port);
    set48(signed, 13, sentAt);
    return createHmac('sha256', this.#key).update(signed).digest();
  }
}
