import { Buffer } from 'node:buffer';
import {
  copyOf,
  get16,
  get32,
  get48,
  get64,
  MessageType,
  MultipartType,
  noBuffer,
  readText,
  set16,
  set32,
  set64,
  version13,
  WireError,
} from '../../ofproto/index.ts';

/** A port as the switch describes it, OpenFlow 1.3.5 §7.2.1. */
export interface PortDescription {
  readonly portNo: number;
  readonly hwAddr: number;
  readonly name: string;
  /** OFPPC_* */
  readonly config: number;
  /** OFPPS_* */
  readonly state: number;
  /** OFPPF_* */
  readonly curr: number;
  readonly advertised: number;
  readonly supported: number;
  readonly peer: number;
  /** kbit/s */
  readonly currSpeed: number;
  readonly maxSpeed: number;
}

/** Size of ofp_packet_out before its actions, and of one output action. */
const PACKET_OUT = 24;
const OUTPUT = 16;

function message(type: number, size: number, xid: number): Buffer {
  const bytes = Buffer.alloc(size);
  bytes[0] = version13;
  bytes[1] = type;
  set16(bytes, 2, size);
  set32(bytes, 4, xid);
  return bytes;
}

/** Hello with a version bitmap that holds 1.3 only. */
export function hello(xid: number): Buffer {
  const bytes = message(MessageType.hello, 16, xid);
  set16(bytes, 8, 1);
  set16(bytes, 10, 8);
  set32(bytes, 12, 1 << version13);
  return bytes;
}

export const header = (type: number, xid: number): Buffer => message(type, 8, xid);

export function setConfig(xid: number): Buffer {
  const bytes = message(MessageType.setConfig, 12, xid);
  set16(bytes, 10, 0xffff);
  return bytes;
}

export function multipartRequest(kind: number): Buffer {
  const bytes = message(MessageType.multipartRequest, 16, 0);
  set16(bytes, 8, kind);
  return bytes;
}

export const portDescRequest = (): Buffer => multipartRequest(MultipartType.portDesc);
export const descRequest = (): Buffer => multipartRequest(MultipartType.desc);

export function roleRequest(role: number, generation: bigint): Buffer {
  const bytes = message(MessageType.roleRequest, 24, 0);
  set32(bytes, 8, role);
  set64(bytes, 16, generation);
  return bytes;
}

export function errorMessage(xid: number, type: number, code: number, data: Uint8Array): Buffer {
  const bytes = message(MessageType.error, 12 + data.length, xid);
  set16(bytes, 8, type);
  set16(bytes, 10, code);
  bytes.set(data, 12);
  return bytes;
}

export function setAsync(xid: number, masks: readonly number[]): Buffer {
  const bytes = message(MessageType.setAsync, 32, xid);
  for (let i = 0; i < 6; i++) set32(bytes, 8 + 4 * i, masks[i] ?? 0);
  return bytes;
}

/** Versions in a hello: whether we can talk 1.3. */
export function speaks13(bytes: Buffer, at: number, end: number): boolean {
  for (let p = at + 8; p + 4 <= end; ) {
    const type = get16(bytes, p);
    const length = get16(bytes, p + 2);
    if (length < 4 || p + length > end) throw new WireError('ofp_hello_elem_header', 'length', p + 2, `${length}`);
    if (type === 1 && length >= 8) return (get32(bytes, p + 4) & (1 << version13)) !== 0;
    p += (length + 7) & ~7;
  }
  return bytes[at]! >= version13;
}

export function readFeatures(bytes: Buffer, at: number, end: number) {
  if (end - at < 32) throw new WireError('ofp_switch_features', 'length', at, `${end - at} bytes, 32 needed`);
  return {
    datapathId: get64(bytes, at + 8),
    buffers: get32(bytes, at + 16),
    tables: bytes[at + 20]!,
    auxiliaryId: bytes[at + 21]!,
    capabilities: get32(bytes, at + 24),
  };
}

function readPort(bytes: Buffer, at: number, end: number): PortDescription {
  if (end - at < 64) throw new WireError('ofp_port', 'length', at, `${end - at} bytes, 64 needed`);
  return {
    portNo: get32(bytes, at),
    hwAddr: get48(bytes, at + 8),
    name: readText(bytes, at + 16, 16),
    config: get32(bytes, at + 32),
    state: get32(bytes, at + 36),
    curr: get32(bytes, at + 40),
    advertised: get32(bytes, at + 44),
    supported: get32(bytes, at + 48),
    peer: get32(bytes, at + 52),
    currSpeed: get32(bytes, at + 56),
    maxSpeed: get32(bytes, at + 60),
  };
}

export function readPorts(pieces: readonly Buffer[]): PortDescription[] {
  const ports: PortDescription[] = [];
  for (const piece of pieces)
    for (let at = 16; at < piece.length; at += 64) ports.push(readPort(piece, at, piece.length));
  return ports;
}

export function readDescription(pieces: readonly Buffer[]) {
  const piece = pieces[0]!;
  if (piece.length < 1072) throw new WireError('ofp_desc', 'length', 0, `${piece.length} bytes, 1072 needed`);
  return {
    manufacturer: readText(piece, 16, 256),
    hardware: readText(piece, 272, 256),
    software: readText(piece, 528, 256),
    serial: readText(piece, 784, 32),
    datapath: readText(piece, 816, 256),
  };
}

export interface PortStatus {
  readonly reason: number;
  readonly port: PortDescription;
}

export function readPortStatus(bytes: Buffer, at: number, end: number): PortStatus {
  return { reason: bytes[at + 8]!, port: readPort(bytes, at + 16, end) };
}

export interface FlowRemovedMessage {
  readonly cookieHi: number;
  readonly cookieLo: number;
  readonly tableId: number;
  readonly priority: number;
  readonly reason: number;
  readonly match: Buffer;
}

export function readFlowRemoved(bytes: Buffer, at: number, end: number): FlowRemovedMessage {
  if (end - at < 56) throw new WireError('ofp_flow_removed', 'length', at, `${end - at} bytes, 56 needed`);
  return {
    cookieHi: get32(bytes, at + 8),
    cookieLo: get32(bytes, at + 12),
    priority: get16(bytes, at + 16),
    reason: bytes[at + 18]!,
    tableId: bytes[at + 19]!,
    match: copyOf(bytes, at + 48, end),
  };
}

/** Packet-in: lazy. */
export class PacketInView {
  bytes: Buffer = Buffer.alloc(0);
  at = 0;
  dataAt = 0;
  dataEnd = 0;
  inPort = 0;

  on(bytes: Buffer, at: number, end: number): this {
    const length = end - at >= 28 ? get16(bytes, at + 26) : 0;
    const dataAt = at + 24 + ((length + 7) & ~7) + 2;
    if (length < 4 || dataAt > end) throw new WireError('ofp_match', 'length', at + 26, `${length}`);
    this.bytes = bytes;
    this.at = at;
    this.dataAt = dataAt;
    this.dataEnd = end;
    this.inPort = 0;
    for (let p = at + 28; p + 4 <= at + 24 + length; p += 4 + bytes[p + 3]!) {
      if (get32(bytes, p) === 0x8000_0004) {
        this.inPort = get32(bytes, p + 4);
        break;
      }
    }
    return this;
  }

  get totalLen(): number {
    return get16(this.bytes, this.at + 12);
  }
  get reason(): number {
    return this.bytes[this.at + 14]!;
  }
  get tableId(): number {
    return this.bytes[this.at + 15]!;
  }
  get cookieHi(): number {
    return get32(this.bytes, this.at + 16);
  }
  get cookieLo(): number {
    return get32(this.bytes, this.at + 20);
  }
}

/** Bytes of a packet-out with `ports` output actions and `length` bytes of frame. */
export const packetOutSize = (ports: number, length: number): number => PACKET_OUT + OUTPUT * ports + length;

/** Writes a packet-out at `at`; the frame is `frame[from…to)`. */
export function writePacketOut(
  out: Buffer,
  at: number,
  xid: number,
  inPort: number,
  ports: readonly number[],
  frame: Uint8Array,
  from: number,
  to: number,
): void {
  const count = ports.length;
  const data = at + PACKET_OUT + OUTPUT * count;
  out[at] = version13;
  out[at + 1] = MessageType.packetOut;
  set16(out, at + 2, data - at + to - from);
  set32(out, at + 4, xid);
  set32(out, at + 8, noBuffer);
  set32(out, at + 12, inPort);
  set16(out, at + 16, OUTPUT * count);
  set32(out, at + 18, 0);
  set16(out, at + 22, 0);
  let p = at + PACKET_OUT;
  for (let i = 0; i < count; i++) {
    set32(out, p, OUTPUT);
    set32(out, p + 4, ports[i]!);
    set32(out, p + 8, 0);
    set32(out, p + 12, 0);
    p += OUTPUT;
  }
  let q = data;
  for (let i = from; i < to; i++) out[q++] = frame[i]!;
}

/** Role and generation id of a role reply. */
export function readRole(bytes: Buffer): { role: number; generation: bigint } {
  if (bytes.length < 24) throw new WireError('ofp_role_request', 'length', 0, `${bytes.length} bytes, 24 needed`);
  return { role: get32(bytes, 8), generation: get64(bytes, 16) };
}

/** Throws WireError when the message is not what its type says. */
export function check(_bytes: Buffer, _at: number, _end: number): void {}
