import { errorExperimenter, errorName, get32 } from '../../ofproto/index.ts';
import { SwitchError } from '../kernel/index.ts';
import type { BookCounters } from './book-metrics.ts';
import { bundleControl, bundleOverhead, opSize, writeBundleAdd, writeOp } from './encode.ts';
import type { Op } from './entry.ts';
import type { OrderedOps } from './order.ts';
import type { SwitchChannel } from './types.ts';

/** Names of the error with which a switch refused a change. */
export interface Refusal {
  readonly type: string;
  readonly error: string;
}

/** How changes are sent. */
export interface ApplyOptions {
  readonly counters: BookCounters;
  /** Changes in one bundle at most. */
  readonly bundleRules: number;
}

/** Bytes handed to the channel in one go; it is asked for room after each. */
const chunkBytes = 0x10000;
/** So many meters surely fit one chunk. */
const oneChunk = 1000;
/** A bundle names the first culprit only. After so many bundles the rest goes with a barrier, which names all of them. */
const bundleTries = 3;

/** Channels on which a bundle has been opened: the next ones need not wait for the answer. */
const proven = new WeakSet<SwitchChannel>();
let lastBundle = 0;

/**
 * Brings changes to a switch and waits until it has confirmed them. Resolves with those that the switch refused; all
 * others are in place. Rejects with TimeoutError or ClosedError when the outcome is not known.
 */
export async function applyOps(
  channel: SwitchChannel,
  ops: OrderedOps,
  options: ApplyOptions,
): Promise<Map<Op, Refusal>> {
  const refusals = new Map<Op, Refusal>();
  // One after the other, without waiting in between: a switch works through a connection in order.
  const parts: Promise<void>[] = [];
  if (ops.first.length > 0) {
    const meters = plain(channel, ops.first, refusals);
    // More than one chunk: the flows must not slip in between.
    if (ops.first.length > oneChunk) await meters;
    else parts.push(meters);
  }
  if (ops.bundle.length > 0) parts.push(bundles(channel, ops.bundle, refusals, options));
  await Promise.all(parts);
  if (ops.last.length > 0) await plain(channel, ops.last, refusals);
  return refusals;
}

async function bundles(
  channel: SwitchChannel,
  ops: readonly Op[],
  refusals: Map<Op, Refusal>,
  { counters, bundleRules }: ApplyOptions,
): Promise<void> {
  for (let from = 0; from < ops.length; from += bundleRules) {
    let rest: readonly Op[] = ops.length <= bundleRules ? ops : ops.slice(from, from + bundleRules);
    let tries = 0;
    // A single change is atomic as it is.
    while (rest.length > 1 && channel.bundles && tries++ < bundleTries) {
      const before = refusals.size;
      const { committed, missed } = await bundle(channel, rest, refusals);
      counters.bundles[committed ? 'committed' : 'failed']++;
      rest = committed ? missed : rest.filter((op) => !refusals.has(op));
      if (committed || refusals.size === before) break;
    }
    if (rest.length === 0) continue;
    await plain(channel, rest, refusals);
    counters.bundles.barrier++;
  }
}

/** Changes in order, then a barrier. */
async function plain(channel: SwitchChannel, ops: readonly Op[], refusals: Map<Op, Refusal>): Promise<void> {
  const xids = takeXids(channel, ops.length);
  const stop = watch(channel, ops, xids, refusals);
  try {
    const sending = send(channel, ops, 0, (bytes, at, op, i) => writeOp(bytes, at, op, xids + i));
    if (sending) await sending;
    await channel.barrier();
  } finally {
    stop();
  }
}

/**
 * One bundle. When it was committed all of it is in place, except what is in `refusals` and what is `missed`: changes that
 * the bundle did not take in and that must go some other way. When it was not, nothing of it is in place.
 */
async function bundle(
  channel: SwitchChannel,
  ops: readonly Op[],
  refusals: Map<Op, Refusal>,
): Promise<{ committed: boolean; missed: readonly Op[] }> {
  lastBundle = (lastBundle + 1) >>> 0;
  const id = lastBundle;
  const failed = { committed: false, missed: [] };
  const opened = refusalOf(channel.request(bundleControl('openRequest', id)));
  // Looked at below; when the connection breaks before that, this must not count as unhandled.
  opened.catch(() => undefined);
  if (!proven.has(channel)) {
    const answer = await opened;
    if (answer) {
      if (!isBundleTrouble(answer.details.error)) channel.bundles = false;
      return failed;
    }
    proven.add(channel);
  }
  const xids = takeXids(channel, ops.length);
  const errors = new Map<Op, Refusal>();
  const stop = watch(channel, ops, xids, errors);
  try {
    const sending = send(channel, ops, bundleOverhead, (bytes, at, op, i) =>
      writeBundleAdd(bytes, at, op, xids + i, id),
    );
    if (sending) await sending;
    const committing = channel.request(bundleControl('commitRequest', id));
    const [openTrouble, commitTrouble] = await Promise.all([opened, refusalOf(committing)]);
    // Without a bundle every message was refused, for no fault of its own.
    if (openTrouble) return failed;
    const missed: Op[] = [];
    for (const [op, refusal] of errors) {
      if (isBundleTrouble(refusal.error)) missed.push(op);
      else refusals.set(op, refusal);
    }
    return commitTrouble ? failed : { committed: true, missed };
  } finally {
    stop();
  }
}

/** Undefined when the reply came, the error when the switch answered with one. Rejects with anything else. */
async function refusalOf(reply: Promise<unknown>): Promise<SwitchError | undefined> {
  try {
    await reply;
    return undefined;
  } catch (error) {
    if (error instanceof SwitchError) return error;
    throw error;
  }
}

/** True for errors about bundles as such, from a switch that has them. */
const isBundleTrouble = (error: string): boolean => error.startsWith('OFPBFC_');

/** The first of `count` xids in a row. */
function takeXids(channel: SwitchChannel, count: number): number {
  for (;;) {
    const first = channel.nextXid();
    let last = first;
    for (let i = 1; i < count; i++) last = channel.nextXid();
    // The counter may have begun anew within the run.
    if (last - first === count - 1) return first;
  }
}

function watch(channel: SwitchChannel, ops: readonly Op[], first: number, refusals: Map<Op, Refusal>): () => void {
  return channel.watchErrors(first, first + ops.length - 1, (xid, type, code, data) => {
    const op = ops[xid - first];
    if (!op || refusals.has(op)) return;
    const experimenter = type === errorExperimenter && data.length >= 4 ? get32(data, 0) : undefined;
    const names = errorName(type, code, experimenter);
    refusals.set(op, { type: names.type, error: names.code });
  });
}

type Write = (bytes: Buffer, at: number, op: Op, index: number) => number;

/** Writes messages in chunks, letting the socket keep up. What fits one chunk is written before this returns. */
function send(channel: SwitchChannel, ops: readonly Op[], overhead: number, write: Write): Promise<void> | undefined {
  const next = sendChunk(channel, ops, 0, overhead, write);
  return next < ops.length ? sendRest(channel, ops, next, overhead, write) : undefined;
}

async function sendRest(
  channel: SwitchChannel,
  ops: readonly Op[],
  from: number,
  overhead: number,
  write: Write,
): Promise<void> {
  for (let next = from; next < ops.length; ) {
    await channel.drained();
    next = sendChunk(channel, ops, next, overhead, write);
  }
}

/** Writes one chunk from `from` on; returns where the next begins. */
function sendChunk(channel: SwitchChannel, ops: readonly Op[], from: number, overhead: number, write: Write): number {
  let end = from;
  let size = 0;
  while (end < ops.length && size < chunkBytes) size += opSize(ops[end++]!) + overhead;
  const chunk = Buffer.allocUnsafe(size);
  let at = 0;
  for (let i = from; i < end; i++) at = write(chunk, at, ops[i]!, i);
  channel.write(chunk);
  return end;
}
