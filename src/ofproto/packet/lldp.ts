import { Buffer } from 'node:buffer';
import { get16, get48, set16, set48 } from '../bytes.ts';
import { WireError } from '../errors.ts';
import { ETHERNET_HEADER, EtherType, layer3At, layer3Type } from './ethernet.ts';

/** LLDP TLV types (IEEE 802.1AB-2016 §8.4). */
export const LldpType = {
  end: 0,
  chassisId: 1,
  portId: 2,
  timeToLive: 3,
  portDescription: 4,
  systemName: 5,
  systemDescription: 6,
  systemCapabilities: 7,
  managementAddress: 8,
  organization: 127,
} as const;
export type LldpType = (typeof LldpType)[keyof typeof LldpType];

/** Subtypes of the chassis id TLV (§8.5.2.2). */
export const ChassisSubtype = {
  component: 1,
  interfaceAlias: 2,
  port: 3,
  mac: 4,
  network: 5,
  interfaceName: 6,
  local: 7,
} as const;
export type ChassisSubtype = (typeof ChassisSubtype)[keyof typeof ChassisSubtype];

/** Subtypes of the port id TLV (§8.5.3.2). */
export const PortSubtype = {
  interfaceAlias: 1,
  component: 2,
  mac: 3,
  network: 4,
  interfaceName: 5,
  circuit: 6,
  local: 7,
} as const;
export type PortSubtype = (typeof PortSubtype)[keyof typeof PortSubtype];

/** Nearest-bridge group address, the usual destination of LLDP: 01:80:c2:00:00:0e (§7.1). */
export const LLDP_NEAREST_BRIDGE = 0x0180_c200_000e;

const MAX_VALUE = 511;
const MAX_ID = 255;

/** Chassis or port identity: 1…255 bytes whose meaning the subtype says. */
export interface LldpId {
  readonly subtype: number;
  readonly id: Buffer;
}

/** Any TLV after the three mandatory ones: type 1…127, value up to 511 bytes. */
export interface LldpTlv {
  readonly type: number;
  readonly value: Buffer;
}

/** An LLDPDU. `tlvs` holds what follows chassis id, port id and TTL, in order, without the end mark. */
export interface Lldp {
  readonly chassisId: LldpId;
  readonly portId: LldpId;
  /** Seconds that the receiver may keep this; 0 takes it back. */
  readonly ttl: number;
  readonly tlvs: readonly LldpTlv[];
}

/** An LLDPDU with the Ethernet addresses it travels with. */
export interface LldpFrame extends Lldp {
  readonly dst: number;
  readonly src: number;
}

/** What an organisationally specific TLV (type 127, §8.6) says. */
export interface LldpOrganization {
  /** 24-bit organisation identifier. */
  readonly oui: number;
  readonly subtype: number;
  /** Up to 507 bytes. */
  readonly info: Buffer;
}

/** Makes an organisationally specific TLV. Throws WireError (NL_WIRE_VALUE) when a part does not fit. */
export function organizationTlv(organization: LldpOrganization): LldpTlv {
  const { oui, subtype, info } = organization;
  if (!fits(oui, 0xff_ffff)) throw refuse('oui', oui);
  if (!fits(subtype, 0xff)) throw refuse('subtype', subtype);
  if (info.length > MAX_VALUE - 4) throw refuse('info', `${info.length} bytes`);
  const value = Buffer.alloc(4 + info.length);
  value.writeUIntBE(oui, 0, 3);
  value[3] = subtype;
  value.set(info, 4);
  return { type: LldpType.organization, value };
}

/** Reads an organisationally specific TLV, undefined for any other. */
export function organizationOf(tlv: LldpTlv): LldpOrganization | undefined {
  const { type, value } = tlv;
  if (type !== LldpType.organization || value.length < 4) return undefined;
  return { oui: value.readUIntBE(0, 3), subtype: value[3]!, info: value.subarray(4) };
}

/** Info of the first organisationally specific TLV with this identifier and subtype, else undefined. */
export function findOrganization(lldp: Lldp, oui: number, subtype: number): Buffer | undefined {
  for (const tlv of lldp.tlvs) {
    const found = organizationOf(tlv);
    if (found?.oui === oui && found.subtype === subtype) return found.info;
  }
  return undefined;
}

/**
 * Reads the LLDPDU in [at, end). Undefined when it breaks IEEE 802.1AB §9.2.7: one of the three mandatory TLVs missing,
 * doubled, out of order or of wrong length, or any TLV cut. The end mark may be missing when the bytes end; padding after it
 * is ignored. Values are copies. Unknown types are kept.
 */
export function decodeLldp(bytes: Uint8Array, at: number, end: number): Lldp | undefined {
  const tlvs: LldpTlv[] = [];
  for (let here = at; here < end; ) {
    if (here + 2 > end) return undefined;
    const head = get16(bytes, here);
    const type = head >>> 9;
    const stop = here + 2 + (head & MAX_VALUE);
    if (stop > end) return undefined;
    if (type === LldpType.end) {
      if (stop !== here + 2) return undefined;
      break;
    }
    tlvs.push({ type, value: Buffer.from(bytes.subarray(here + 2, stop)) });
    here = stop;
  }
  const [chassis, port, ttl, ...rest] = tlvs;
  if (chassis === undefined || port === undefined || ttl === undefined) return undefined;
  const chassisId = idOf(chassis, LldpType.chassisId);
  const portId = idOf(port, LldpType.portId);
  if (chassisId === undefined || portId === undefined) return undefined;
  if (ttl.type !== LldpType.timeToLive || ttl.value.length < 2) return undefined;
  if (!rest.every(isOptional)) return undefined;
  return { chassisId, portId, ttl: get16(ttl.value, 0), tlvs: rest };
}

/** Reads the LLDP frame in [at, end), tags allowed; undefined when it is not LLDP or not well formed (`decodeLldp`). */
export function decodeLldpFrame(bytes: Uint8Array, at: number, end: number): LldpFrame | undefined {
  const l3 = layer3At(bytes, at, end);
  if (l3 < 0 || layer3Type(bytes, l3) !== EtherType.lldp) return undefined;
  const lldp = decodeLldp(bytes, l3, end);
  return lldp === undefined ? undefined : { dst: get48(bytes, at), src: get48(bytes, at + 6), ...lldp };
}

/** Bytes of an LLDPDU with its end mark. Throws WireError (NL_WIRE_VALUE) when a part does not fit. */
export function encodeLldp(lldp: Lldp): Buffer {
  if (!fits(lldp.ttl, 0xffff)) throw refuse('ttl', lldp.ttl);
  const ttl = Buffer.alloc(2);
  set16(ttl, 0, lldp.ttl);
  const all: LldpTlv[] = [
    { type: LldpType.chassisId, value: idBytes('chassisId', lldp.chassisId) },
    { type: LldpType.portId, value: idBytes('portId', lldp.portId) },
    { type: LldpType.timeToLive, value: ttl },
    ...lldp.tlvs,
  ];
  const out = Buffer.alloc(all.reduce((sum, tlv) => sum + 2 + tlv.value.length, 2));
  let at = 0;
  for (const tlv of lldp.tlvs) if (!isOptional(tlv) || tlv.value.length > MAX_VALUE) throw refuse('tlv', describe(tlv));
  for (const { type, value } of all) {
    set16(out, at, (type << 9) | value.length);
    out.set(value, at + 2);
    at += 2 + value.length;
  }
  return out;
}

/** The whole Ethernet frame, without padding to the 60-byte minimum (the sending device does that). */
export function encodeLldpFrame(frame: LldpFrame): Buffer {
  const header = Buffer.alloc(ETHERNET_HEADER);
  set48(header, 0, frame.dst);
  set48(header, 6, frame.src);
  set16(header, 12, EtherType.lldp);
  return Buffer.concat([header, encodeLldp(frame)]);
}

function idOf(tlv: LldpTlv, type: number): LldpId | undefined {
  const { value } = tlv;
  if (tlv.type !== type || value.length < 2 || value.length > MAX_ID + 1) return undefined;
  return { subtype: value[0]!, id: value.subarray(1) };
}

function idBytes(field: string, { subtype, id }: LldpId): Buffer {
  if (!fits(subtype, 0xff)) throw refuse(`${field}.subtype`, subtype);
  if (id.length < 1 || id.length > MAX_ID) throw refuse(field, `${id.length} bytes`);
  return Buffer.concat([Buffer.from([subtype]), id]);
}

/** A TLV that may stand after the mandatory three; an organisation's needs its identifier. */
function isOptional({ type, value }: LldpTlv): boolean {
  if (type === LldpType.organization) return value.length >= 4;
  return type > LldpType.timeToLive && type < LldpType.organization;
}

const describe = (tlv: LldpTlv): string => `type ${tlv.type}, ${tlv.value.length} bytes`;

function fits(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max;
}

function refuse(field: string, value: number | string): WireError {
  return new WireError('lldp', field, -1, `does not fit: ${value}`, { code: 'NL_WIRE_VALUE' });
}
