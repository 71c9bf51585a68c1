import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { type Dpid, dpidOf, dpidValue, type TunnelType } from '../../controller/index.ts';
import { ETHERNET_HEADER, get16, get32, set16, set32, set48, set64 } from '../../ofproto/index.ts';

/** EtherType of experiments within one network, IEEE 802 §9.2.4. Probes travel under tunnel id 0, which no tenant can have. */
export const PROBE_TYPE = 0x88b5;
const MAGIC = 0x4e_4c_54_50;
const MAC_BYTES = 16;
/** magic, type, datapath id, run, number. */
const SIGNED = 4 + 1 + 8 + 8 + 4;
const TYPES: readonly TunnelType[] = ['vxlan', 'nvgre'];

/** Says: this switch sent me through this kind of tunnel, in this run of the controller, as its so-manieth. */
export interface TunnelProbe {
  readonly dpid: Dpid;
  readonly type: TunnelType;
  readonly number: number;
}

/** Writes and reads probes of tunnels, signed so that no guest and no foreign endpoint can make or repeat one. */
export class TunnelProbeCodec {
  readonly #key: KeyObject;
  readonly #run: Buffer;

  /** `key`: this installation's secret. `run`: 8 bytes that no other run of the controller has. */
  constructor(key: Buffer, run: Buffer) {
    this.#key = createSecretKey(createHmac('sha256', key).update('tunnel probe').digest());
    this.#run = run;
  }

  encode({ dpid, type, number }: TunnelProbe): Buffer {
    const frame = Buffer.alloc(ETHERNET_HEADER + SIGNED + MAC_BYTES);
    set48(frame, 0, 0x0180c200000e);
    set48(frame, 6, 0x020000000000 + Number(dpidValue(dpid) & 0xffffffffn));
    set16(frame, 12, PROBE_TYPE);
    const at = ETHERNET_HEADER;
    set32(frame, at, MAGIC);
    frame[at + 4] = TYPES.indexOf(type);
    set64(frame, at + 5, dpidValue(dpid));
    this.#run.copy(frame, at + 13);
    set32(frame, at + 21, number);
    this.#sign(frame.subarray(at, at + SIGNED)).copy(frame, at + SIGNED);
    return frame;
  }

  /** The probe in [at, end); undefined for anything that this run of ours did not send. */
  decode(bytes: Buffer, at: number, end: number): TunnelProbe | undefined {
    const from = at + ETHERNET_HEADER;
    if (end - from < SIGNED + MAC_BYTES || get16(bytes, at + 12) !== PROBE_TYPE || get32(bytes, from) !== MAGIC) {
      return undefined;
    }
    const signed = bytes.subarray(from, from + SIGNED);
    const mac = bytes.subarray(from + SIGNED, from + SIGNED + MAC_BYTES);
    const type = TYPES[signed[4]!];
    if (type === undefined || !timingSafeEqual(this.#sign(signed), mac)) return undefined;
    if (!signed.subarray(13, 21).equals(this.#run)) return undefined;
    return { dpid: dpidOf(signed.readBigUInt64BE(5)), type, number: get32(signed, 21) };
  }

  #sign(bytes: Buffer): Buffer {
    return createHmac('sha256', this.#key).update(bytes).digest().subarray(0, MAC_BYTES);
  }
}
