import { Buffer } from 'node:buffer';
import { get16, get32, get48, set16, set32, set48 } from '../bytes.ts';
import { WireError } from '../errors.ts';

/** UDP ports of DHCPv4 (RFC 2131 §4.1). */
export const DhcpPort = { server: 67, client: 68 } as const;

/** Options that we name (RFC 2132). 0 is a pad and 255 the end mark. */
export const DhcpOption = {
  pad: 0,
  subnetMask: 1,
  router: 3,
  dnsServers: 6,
  hostName: 12,
  domainName: 15,
  mtu: 26,
  requestedAddress: 50,
  leaseTime: 51,
  messageType: 53,
  serverId: 54,
  parameterList: 55,
  clientId: 61,
  classlessRoutes: 121,
  end: 255,
} as const;
export type DhcpOption = (typeof DhcpOption)[keyof typeof DhcpOption];

/** DHCP message types, value of option 53 (RFC 2132 §9.6). */
export const DhcpMessage = {
  discover: 1,
  offer: 2,
  request: 3,
  decline: 4,
  ack: 5,
  nak: 6,
  release: 7,
  inform: 8,
} as const;
export type DhcpMessage = (typeof DhcpMessage)[keyof typeof DhcpMessage];

/** One option; pads are options of code 0 without data. */
export interface DhcpOptionValue {
  readonly code: number;
  readonly data: Buffer;
}

/** A DHCPv4 message for Ethernet (RFC 2131 §2). */
export interface DhcpFields {
  /** 1 request (client), 2 reply (server). */
  readonly op: number;
  readonly hops?: number;
  readonly xid: number;
  readonly secs?: number;
  /** 0x8000: answer by broadcast. */
  readonly flags?: number;
  readonly ciaddr?: number;
  readonly yiaddr?: number;
  readonly siaddr?: number;
  readonly giaddr?: number;
  readonly chaddr: number;
  /** Server name and boot file, 64 and 128 bytes; absent when all zero. */
  readonly sname?: Buffer;
  readonly file?: Buffer;
  readonly options: readonly DhcpOptionValue[];
}

const HEADER = 240;
const COOKIE = 0x6382_5363;

/**
 * Reads the DHCPv4 message in [at, end); `end` in the result is where its end mark stops. Undefined when it is cut, has no
 * magic cookie or end mark, or is not for Ethernet.
 */
export function decodeDhcp(
  bytes: Uint8Array,
  at: number,
  end: number,
): { readonly fields: DhcpFields; readonly end: number } | undefined {
  if (at + HEADER > end || get32(bytes, at + 236) !== COOKIE || get16(bytes, at + 1) !== 0x0106) return undefined;
  // A client's address beyond its six bytes has no meaning here, and is not to be lost silently.
  if (!isZero(bytes, at + 34, at + 44)) return undefined;
  const options: DhcpOptionValue[] = [];
  let here = at + HEADER;
  for (;;) {
    if (here >= end) return undefined;
    const code = bytes[here]!;
    here++;
    if (code === DhcpOption.end) break;
    if (code === DhcpOption.pad) {
      options.push({ code, data: Buffer.alloc(0) });
      continue;
    }
    if (here >= end || here + 1 + bytes[here]! > end) return undefined;
    const stop = here + 1 + bytes[here]!;
    options.push({ code, data: Buffer.from(bytes.subarray(here + 1, stop)) });
    here = stop;
  }
  const fields = {
    op: bytes[at]!,
    hops: bytes[at + 3]!,
    xid: get32(bytes, at + 4),
    secs: get16(bytes, at + 8),
    flags: get16(bytes, at + 10),
    ciaddr: get32(bytes, at + 12),
    yiaddr: get32(bytes, at + 16),
    siaddr: get32(bytes, at + 20),
    giaddr: get32(bytes, at + 24),
    chaddr: get48(bytes, at + 28),
    ...(isZero(bytes, at + 44, at + 108) ? {} : { sname: Buffer.from(bytes.subarray(at + 44, at + 108)) }),
    ...(isZero(bytes, at + 108, at + 236) ? {} : { file: Buffer.from(bytes.subarray(at + 108, at + 236)) }),
    options,
  };
  return { fields, end: here };
}

/** Bytes of a DHCPv4 message with its end mark. Throws WireError (NL_WIRE_VALUE) when an option does not fit. */
export function encodeDhcp(fields: DhcpFields): Buffer {
  const head = Buffer.alloc(HEADER);
  head[0] = fields.op;
  set16(head, 1, 0x0106);
  head[3] = fields.hops ?? 0;
  set32(head, 4, fields.xid);
  set16(head, 8, fields.secs ?? 0);
  set16(head, 10, fields.flags ?? 0);
  set32(head, 12, fields.ciaddr ?? 0);
  set32(head, 16, fields.yiaddr ?? 0);
  set32(head, 20, fields.siaddr ?? 0);
  set32(head, 24, fields.giaddr ?? 0);
  set48(head, 28, fields.chaddr);
  if (fields.sname !== undefined) head.set(fields.sname.subarray(0, 64), 44);
  if (fields.file !== undefined) head.set(fields.file.subarray(0, 128), 108);
  set32(head, 236, COOKIE);
  const parts: Uint8Array[] = [head];
  for (const { code, data } of fields.options) {
    if (!Number.isInteger(code) || code < 0 || code > 254 || data.length > 255 || (code === 0 && data.length > 0))
      throw new WireError('dhcp', 'option', -1, `${code} of ${data.length} bytes does not fit`, {
        code: 'NL_WIRE_VALUE',
      });
    parts.push(code === DhcpOption.pad ? Buffer.from([0]) : Buffer.from([code, data.length]), data);
  }
  parts.push(Buffer.from([DhcpOption.end]));
  return Buffer.concat(parts);
}

/** DHCP message type of a message, undefined for plain BOOTP. */
export function dhcpMessageType(fields: DhcpFields): number | undefined {
  return fields.options.find((option) => option.code === DhcpOption.messageType)?.data[0];
}

function isZero(bytes: Uint8Array, at: number, end: number): boolean {
  for (let i = at; i < end; i++) if (bytes[i] !== 0) return false;
  return true;
}
