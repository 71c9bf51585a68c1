import { Reader, Writer } from './cursor.ts';
import { type EidPrefix, eidPrefix } from './eid.ts';
import { LispError } from './errors.ts';
import { type Mapping, type Registering, type Registration, recordFor } from './mappings.ts';
import { readMapping, writeMapping } from './records.ts';

/** One registration as it is stored: plain JSON. */
export interface StoredRegistration {
  /** Who registered: an xTR-ID, or an address. */
  readonly by: string;
  /** The EID record as in a message, base64. */
  readonly record: string;
  readonly proxyReply: boolean;
  /** Site whose key signed it. */
  readonly siteId?: string;
  /** Milliseconds since the epoch when it runs out. */
  readonly expiresAt: number;
}

/** What routers registered of a mapping, to be stored. `epoch` is what the monotonic clock's zero is in milliseconds since the epoch. */
export function storedRegistrations({ prefix, registrations }: Mapping, epoch: number): StoredRegistration[] {
  return registrations.flatMap((each) => (each.pinned ? [] : [storedRegistration(prefix, each, epoch)]));
}

/** One registration, to be stored. */
export function storedRegistration(prefix: EidPrefix, registration: Registration, epoch: number): StoredRegistration {
  const { by, proxyReply, expiresAt, siteId } = registration;
  const writer = new Writer();
  writeMapping(writer, recordFor(prefix, registration));
  return {
    by,
    record: writer.bytes().toString('base64'),
    proxyReply,
    ...(siteId === undefined ? {} : { siteId }),
    expiresAt: expiresAt + epoch,
  };
}

/** A stored registration as it is kept. Throws LispError for a record that is none. */
export function readRegistration(
  { by, record: text, proxyReply, siteId, expiresAt }: StoredRegistration,
  epoch: number,
): { readonly prefix: EidPrefix; readonly registration: Registering } {
  const reader = new Reader(Buffer.from(text, 'base64'));
  const record = readMapping(reader);
  const prefix = eidPrefix(record.eid, record.maskLength);
  if (!prefix || reader.left > 0) throw new LispError('snapshot', 'record', reader.at, 'no EID record');
  const site = siteId === undefined ? {} : { siteId };
  return { prefix, registration: { by, record, proxyReply, expiresAt: expiresAt - epoch, ...site } };
}
