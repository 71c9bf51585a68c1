import { Buffer } from 'node:buffer';
import { get16, get32 } from '../bytes.ts';
import { multipartMore } from '../constants.ts';
import { WireError } from '../errors.ts';
import { decodeMessage, type MessageOf } from './message.ts';

/** What became of a piece. `done` carries all pieces; `unknown` belongs to no open request; `overflow` ends its request. */
export type PieceResult =
  | { readonly state: 'more' }
  | { readonly state: 'done'; readonly pieces: readonly Buffer[] }
  | { readonly state: 'unknown' }
  | { readonly state: 'overflow' };

interface Open {
  readonly pieces: Buffer[];
  bytes: number;
}

const more: PieceResult = { state: 'more' };
const unknown: PieceResult = { state: 'unknown' };
const overflow: PieceResult = { state: 'overflow' };

/**
 * Joins multipart replies by xid and type. Bounded: a request that gets more than `maxBytes` is given up. It has no
 * clock; whoever asked calls `close` when his time is over.
 */
export class Reassembler {
  readonly maxBytes: number;
  readonly #open = new Map<number, Open>();
  /** Pieces that belonged to no open request. */
  strays = 0;

  /** `maxBytes` bounds one request's pieces together. */
  constructor(maxBytes = 64 * 1024 * 1024) {
    this.maxBytes = maxBytes;
  }

  /** Requests waiting for pieces. */
  get size(): number {
    return this.#open.size;
  }

  /** Expects replies of multipart type `mp` (OFPMP_*) with this xid. */
  open(xid: number, mp: number): void {
    this.#open.set(keyOf(xid, mp), { pieces: [], bytes: 0 });
  }

  /** Forgets a request and its pieces. */
  close(xid: number, mp: number): void {
    this.#open.delete(keyOf(xid, mp));
  }

  /** Takes the multipart reply that fills [at, end); keeps a copy. Throws WireError when it has no multipart header. */
  add(bytes: Buffer, at: number, end: number): PieceResult {
    if (end - at < 16) throw new WireError('ofp_multipart_reply', 'length', at + 2, `${end - at}, at least 16`);
    const key = keyOf(get32(bytes, at + 4), get16(bytes, at + 8));
    const open = this.#open.get(key);
    if (open === undefined) {
      this.strays++;
      return unknown;
    }
    open.bytes += end - at;
    if (open.bytes > this.maxBytes) {
      this.#open.delete(key);
      return overflow;
    }
    open.pieces.push(Buffer.from(bytes.subarray(at, end)));
    if ((get16(bytes, at + 10) & multipartMore) !== 0) return more;
    this.#open.delete(key);
    return { state: 'done', pieces: open.pieces };
  }
}

// xid and type in one number, exact below 2^53.
function keyOf(xid: number, mp: number): number {
  return mp * 0x1_0000_0000 + xid;
}

const listKeys = ['flows', 'tables', 'ports', 'queues', 'groups', 'meters'] as const;

/** Decodes the pieces of one reply and joins their lists. Throws WireError when a piece is broken or of another type. */
export function joinReplies(pieces: readonly Buffer[]): MessageOf<'multipartReply'> {
  const [first, ...rest] = pieces.map((piece) => {
    const message = decodeMessage(piece, 0, piece.length);
    if (message.type !== 'multipartReply')
      throw new WireError('ofp_header', 'type', 1, `is ${message.type}, a multipart reply wanted`);
    return message as MessageOf<'multipartReply'>;
  });
  if (first === undefined) throw new WireError('ofp_multipart_reply', 'pieces', -1, 'none are there');
  const joined: Record<string, unknown> = { ...first, flags: 0 };
  for (const message of rest) {
    if (message.mp !== first.mp)
      throw new WireError('ofp_multipart_reply', 'type', 8, `${message.mp} among pieces of ${first.mp}`);
    for (const key of listKeys) {
      const items = (message as unknown as Record<string, unknown>)[key];
      if (!Array.isArray(items)) continue;
      for (const item of items) (joined[key] as unknown[]).push(item);
    }
  }
  return joined as unknown as MessageOf<'multipartReply'>;
}
