import { NetloomError } from '../../controller/kernel/index.ts';

/**
 * What went wrong with a database server: `malformed` (it does not speak RFC 7047), `schema` (it lacks what we need), `refused` (an
 * operation failed; `details.error` is its error), `closed`, `timeout`, `conflict` (somebody else was faster, again and again).
 */
export type OvsdbReason = 'malformed' | 'schema' | 'refused' | 'closed' | 'timeout' | 'conflict';

/** A failure of an OVSDB session or operation. */
export class OvsdbError extends NetloomError {
  readonly code = 'NL_OVSDB';
  readonly reason: OvsdbReason;

  constructor(
    reason: OvsdbReason,
    message: string,
    options: ErrorOptions & { readonly details?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, { reason, ...options.details }, options);
    this.reason = reason;
  }
}

/** What went wrong with a connection, in a few words: OpenSSL's messages are long and hold addresses of its memory. */
export function reasonOf(error: Error): string {
  const { library, reason } = error as Error & { readonly library?: unknown; readonly reason?: unknown };
  return typeof library === 'string' && typeof reason === 'string' ? `TLS: ${reason}` : error.message;
}
