import type { Buffer } from 'node:buffer';
import { get16, get32, pad8, set16, set32 } from '../bytes.ts';
import { MessageType, noBuffer, Port, version13 } from '../constants.ts';
import { WireError } from '../errors.ts';
import { FlowMod, PacketIn, PacketOut } from './structs.ts';

const inPortHeader = 0x8000_0004;
const matchOffset = PacketIn.size;

/**
 * A packet-in read in place: one reader per connection, pointed at message after message, allocates nothing. What it
 * shows is valid only until the socket's bytes are given back.
 */
export class PacketInReader {
  bytes!: Buffer;
  at = 0;
  /** The frame is `bytes[dataAt…dataEnd)`. */
  dataAt = 0;
  dataEnd = 0;
  /** Port the frame came in by; 0 when the match does not say. */
  inPort = 0;

  /** Points at the packet-in that fills [at, end). Throws WireError when match or padding do not fit. */
  on(bytes: Buffer, at: number, end: number): this {
    const matchAt = at + matchOffset;
    if (matchAt + 8 > end) throw new WireError('ofp_packet_in', 'match', at, 'is cut off');
    const matchLength = get16(bytes, matchAt + 2);
    const dataAt = matchAt + pad8(matchLength) + 2;
    if (matchLength < 4 || dataAt > end)
      throw new WireError('ofp_match', 'length', matchAt + 2, `${matchLength}, 4…${end - matchAt - 2} wanted`);
    this.bytes = bytes;
    this.at = at;
    this.dataAt = dataAt;
    this.dataEnd = end;
    // Open vSwitch puts the input port first; others may not.
    this.inPort =
      matchLength >= 12 && get32(bytes, matchAt + 4) === inPortHeader
        ? get32(bytes, matchAt + 8)
        : findInPort(bytes, matchAt + 4, matchAt + matchLength);
    return this;
  }

  get xid(): number {
    return get32(this.bytes, this.at + 4);
  }
  get bufferId(): number {
    return get32(this.bytes, this.at + 8);
  }
  /** Length of the frame on the wire; `dataEnd - dataAt` may be less. */
  get totalLen(): number {
    return get16(this.bytes, this.at + 12);
  }
  /** OFPR_* */
  get reason(): number {
    return this.bytes[this.at + 14]!;
  }
  get tableId(): number {
    return this.bytes[this.at + 15]!;
  }
  /** High half of the cookie: the app. */
  get cookieHi(): number {
    return get32(this.bytes, this.at + 16);
  }
  /** Low half of the cookie: the owner. */
  get cookieLo(): number {
    return get32(this.bytes, this.at + 20);
  }
}

function findInPort(bytes: Uint8Array, at: number, end: number): number {
  for (let here = at; here + 4 <= end; ) {
    const stop = here + 4 + bytes[here + 3]!;
    if (stop > end) throw new WireError('oxm', 'length', here + 3, `${bytes[here + 3]!}, only ${end - here - 4} left`);
    if (get32(bytes, here) === inPortHeader) return get32(bytes, here + 4);
    here = stop;
  }
  return 0;
}

/** Writes an ofp_header; returns its end. */
export function writeHeader(bytes: Uint8Array, at: number, type: number, length: number, xid: number): number {
  bytes[at] = version13;
  bytes[at + 1] = type;
  set16(bytes, at + 2, length);
  set32(bytes, at + 4, xid);
  return at + 8;
}

/** Bytes of a packet-out up to its actions. */
export const packetOutHeaderSize = PacketOut.size;
/** Bytes of an output action. */
export const outputActionSize = 16;

/**
 * Writes a packet-out up to its actions: no buffer, `length` bytes in all, of which `actionsLength` are actions. Returns
 * where the actions go.
 */
export function writePacketOutHeader(
  bytes: Uint8Array,
  at: number,
  xid: number,
  length: number,
  inPort: number,
  actionsLength: number,
): number {
  writeHeader(bytes, at, MessageType.packetOut, length, xid);
  set32(bytes, at + 8, noBuffer);
  set32(bytes, at + 12, inPort);
  set16(bytes, at + 16, actionsLength);
  set16(bytes, at + 18, 0);
  set32(bytes, at + 20, 0);
  return at + 24;
}

/** Writes an output action; returns its end. */
export function writeOutput(bytes: Uint8Array, at: number, port: number, maxLen = 0): number {
  set32(bytes, at, 0x0000_0010);
  set32(bytes, at + 4, port);
  set16(bytes, at + 8, maxLen);
  set16(bytes, at + 10, 0);
  set32(bytes, at + 12, 0);
  return at + 16;
}

/** What a flow-mod carries besides command and cookie: match and instructions are compiled bytes. */
export interface CompiledFlow {
  readonly tableId: number;
  readonly priority: number;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  /** OFPFF_* */
  readonly flags: number;
  /** Whole ofp_match. */
  readonly match: Uint8Array;
  readonly instructions: Uint8Array;
}

/** Bytes that `writeFlowMod` takes for this flow. */
export function flowModSize(flow: CompiledFlow): number {
  return FlowMod.size + flow.match.length + flow.instructions.length;
}

/**
 * Writes a whole flow-mod at `at`: a header and two copies. The cookie's mask is zero, buffer none, and the filters
 * out_port and out_group are ANY, so that a delete deletes. Returns the end; the caller has made room.
 */
export function writeFlowMod(
  bytes: Uint8Array,
  at: number,
  xid: number,
  command: number,
  cookieHi: number,
  cookieLo: number,
  flow: CompiledFlow,
): number {
  const { match, instructions } = flow;
  writeHeader(bytes, at, MessageType.flowMod, FlowMod.size + match.length + instructions.length, xid);
  set32(bytes, at + 8, cookieHi);
  set32(bytes, at + 12, cookieLo);
  set32(bytes, at + 16, 0);
  set32(bytes, at + 20, 0);
  bytes[at + 24] = flow.tableId;
  bytes[at + 25] = command;
  set16(bytes, at + 26, flow.idleTimeout);
  set16(bytes, at + 28, flow.hardTimeout);
  set16(bytes, at + 30, flow.priority);
  set32(bytes, at + 32, noBuffer);
  set32(bytes, at + 36, Port.any);
  set32(bytes, at + 40, 0xffff_ffff);
  set16(bytes, at + 44, flow.flags);
  set16(bytes, at + 46, 0);
  bytes.set(match, at + 48);
  bytes.set(instructions, at + 48 + match.length);
  return at + 48 + match.length + instructions.length;
}

/** Writes an echo reply to the echo request that fills [from, to) of `request`; returns its end. */
export function writeEchoReply(bytes: Uint8Array, at: number, request: Uint8Array, from: number, to: number): number {
  bytes.set(request.subarray(from, to), at);
  bytes[at] = version13;
  bytes[at + 1] = MessageType.echoReply;
  return at + to - from;
}
