import type { Buffer } from 'node:buffer';
import {
  type Body,
  copyOf,
  decodeMessage,
  type ErrorReply,
  encodeMessage,
  FlowRemovedBody,
  get32,
  helloSpeaks13,
  type Message,
  type MessageName,
  type MessageOf,
  matchEnd,
  messageTemplate,
  type ReplyBodies,
  version13,
  WireError,
} from '../../ofproto/index.ts';

/** A port as the switch describes it, OpenFlow 1.3.5 §7.2.1. */
export type PortDescription = ReplyBodies['portDesc']['ports'][number];

/** A message of ours as bytes. Requests get their xid when they are sent. */
export const encode = (body: Body, xid = 0): Buffer => encodeMessage({ ...body, version: version13, xid } as Message);

/** OpenFlow 1.3.5 §7.4.4: what we refuse messages with on our own account. */
export const refusals = {
  helloFailed: { type: 0, code: 0 },
  badVersion: { type: 1, code: 0 },
  badType: { type: 1, code: 1 },
  badLength: { type: 1, code: 6 },
} as const satisfies Readonly<Record<string, ErrorReply>>;

/** Hello with a version bitmap that holds 1.3 only. */
export const hello: (xid: number) => Buffer = messageTemplate({
  type: 'hello',
  elements: [{ type: 'versionBitmap', bitmaps: [1 << version13] }],
});

export const featuresRequest: (xid: number) => Buffer = messageTemplate({ type: 'featuresRequest' });

/** Whole packets, not their beginnings. */
export const setConfig: (xid: number) => Buffer = messageTemplate({ type: 'setConfig', flags: 0, missSendLen: 0xffff });

export const portDescRequest: () => Buffer = messageTemplate({ type: 'multipartRequest', mp: 'portDesc', flags: 0 });
export const descRequest: () => Buffer = messageTemplate({ type: 'multipartRequest', mp: 'desc', flags: 0 });

export const roleRequest = (role: number, generationId: bigint): Buffer =>
  encode({ type: 'roleRequest', role, generationId });

export const errorMessage = (xid: number, { type, code }: ErrorReply, data: Uint8Array): Buffer =>
  encode({ type: 'error', errorType: type, errorCode: code, data }, xid);

/** The error that answers a message: with its xid and its first bytes. */
export const refusal = (reply: ErrorReply, bytes: Buffer, at: number, end: number): Buffer =>
  errorMessage(get32(bytes, at + 4), reply, bytes.subarray(at, Math.min(end, at + ERROR_DATA)));
/** OpenFlow 1.3.5 §7.4.4: at least this much of the message at fault. */
const ERROR_DATA = 64;

/** Decodes a message that has to be of a type; throws WireError. */
function read<T extends MessageName>(type: T, bytes: Buffer, at = 0, end = bytes.length): MessageOf<T> {
  const message = decodeMessage(bytes, at, end);
  if (message.type !== type) throw new WireError('ofp_header', 'type', at + 1, `${message.type}, ${type} wanted`);
  return message as MessageOf<T>;
}

/** Versions in a hello: whether we can talk 1.3. */
export const speaks13 = (bytes: Buffer, at: number, end: number): boolean =>
  helloSpeaks13(read('hello', bytes, at, end));

export const readFeatures = (bytes: Buffer, at: number, end: number): MessageOf<'featuresReply'> =>
  read('featuresReply', bytes, at, end);

function* repliesOf<M extends keyof ReplyBodies>(mp: M, pieces: readonly Buffer[]): Generator<ReplyBodies[M]> {
  for (const piece of pieces) {
    const reply = decodeMessage(piece, 0, piece.length);
    if (reply.type !== 'multipartReply' || reply.mp !== mp) {
      throw new WireError('ofp_multipart', 'type', 8, `another reply than ${mp}`);
    }
    yield reply as unknown as ReplyBodies[M];
  }
}

export const readPorts = (pieces: readonly Buffer[]): PortDescription[] =>
  [...repliesOf('portDesc', pieces)].flatMap(({ ports }) => ports);

export function readDescription(pieces: readonly Buffer[]): ReplyBodies['desc'] {
  const [description] = repliesOf('desc', pieces);
  if (!description) throw new WireError('ofp_multipart', 'length', 0, 'no piece at all');
  return description;
}

export interface PortStatus {
  /** OFPPR_* */
  readonly reason: number;
  readonly port: PortDescription;
}

export const readPortStatus = (bytes: Buffer, at: number, end: number): PortStatus =>
  read('portStatus', bytes, at, end);

export interface FlowRemovedMessage {
  readonly cookieHi: number;
  readonly cookieLo: number;
  readonly tableId: number;
  readonly priority: number;
  /** OFPRR_* */
  readonly reason: number;
  /** The whole ofp_match as the switch sent it. */
  readonly match: Buffer;
}

/** The cookie stays in two halves, which is how it is looked up; the match stays bytes, which is how rules are compared. */
export function readFlowRemoved(bytes: Buffer, at: number, end: number): FlowRemovedMessage {
  const body = at + HEADER;
  const matchAt = body + FlowRemovedBody.size;
  if (matchAt > end) throw new WireError('ofp_flow_removed', 'length', at + 2, `${end - at} bytes are too few`);
  const { tableId, priority, reason } = FlowRemovedBody.read(bytes, body);
  const match = copyOf(bytes, matchAt, matchEnd(bytes, matchAt, end));
  return { cookieHi: get32(bytes, body), cookieLo: get32(bytes, body + 4), tableId, priority, reason, match };
}
const HEADER = 8;

/** Role and generation id of a role reply. */
export function readRole(bytes: Buffer): { role: number; generation: bigint } {
  const message = decodeMessage(bytes, 0, bytes.length);
  if (message.type !== 'roleReply') throw new WireError('ofp_header', 'type', 1, `${message.type}, roleReply wanted`);
  return { role: message.role, generation: message.generationId };
}

/** Throws WireError, with its offset, when the message is not what its type says. */
export function check(bytes: Buffer, at: number, end: number): void {
  decodeMessage(bytes, at, end);
}
