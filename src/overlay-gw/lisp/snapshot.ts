import { Reader, Writer } from './cursor.ts';
import { eidPrefix } from './eid.ts';
import { LispError } from './errors.ts';
import type { Mapping, Mappings } from './mappings.ts';
import { readMapping, writeMapping } from './records.ts';

/** One registration as it is stored: plain JSON. */
export interface StoredRegistration {
  /** Who registered: an xTR-ID, or an address. */
  readonly by: string;
  /** The EID record as in a message, base64. */
  readonly record: string;
  readonly proxyReply: boolean;
  /** Milliseconds since the epoch when it runs out. */
  readonly expiresAt: number;
}

/** The registrations of a mapping, to be stored. `epoch` is what the monotonic clock's zero is in milliseconds since the epoch. */
export function storedRegistrations({ registrations }: Mapping, epoch: number): StoredRegistration[] {
  return registrations.map(({ by, record, proxyReply, expiresAt }) => {
    const writer = new Writer();
    writeMapping(writer, record);
    return { by, record: writer.bytes().toString('base64'), proxyReply, expiresAt: expiresAt + epoch };
  });
}

/** Takes a stored registration in, unless it has run out. Throws LispError for a record that is none. */
export function restoreRegistration(
  mappings: Mappings,
  stored: StoredRegistration,
  epoch: number,
  now: number,
): boolean {
  const reader = new Reader(Buffer.from(stored.record, 'base64'));
  const record = readMapping(reader);
  const prefix = eidPrefix(record.eid, record.maskLength);
  if (!prefix || reader.left > 0) throw new LispError('snapshot', 'record', reader.at, 'no EID record');
  const expiresAt = stored.expiresAt - epoch;
  if (expiresAt <= now) return false;
  mappings.register(prefix, { by: stored.by, record, proxyReply: stored.proxyReply, expiresAt }, true);
  return true;
}
