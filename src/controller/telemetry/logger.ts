import pino from 'pino';
import type { Logger } from '../kernel/index.ts';

export interface LoggerOptions {
  /** Least level that is written; default `info`. */
  readonly level?: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
  /** Where lines go: a file descriptor (default 2, standard error) or anything that takes lines. */
  readonly destination?: number | { write(line: string): void };
}

/** Fields whose value never reaches a log. pino's own redaction is not used, as it makes a fifth of all garbage when switches come and go. */
const secrets = new Set(['authorization', 'cookie', 'password', 'secret', 'token', 'key', 'privateKey']);
/** They are looked for at the top and so many levels down. */
const DEPTH = 2;

/**
 * The process's logger: JSON lines with time, level, message and the fields given. Values of fields named like secrets are
 * replaced by `[redacted]`; 64-bit values are written as decimal strings. Lines are written before the call returns, so that
 * the last words before a crash are not lost.
 */
export function createLogger(options: LoggerOptions = {}): Logger {
  const { level = 'info', destination = 2 } = options;
  const settings: pino.LoggerOptions = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: {
      level: (label) => ({ level: label }),
      log: (fields) => plain(fields),
      bindings: (fields) => plain(fields),
    },
    serializers: { err: pino.stdSerializers.err, error: pino.stdSerializers.err },
  };
  return typeof destination === 'number'
    ? pino(settings, pino.destination({ dest: destination, sync: true }))
    : pino(settings, destination);
}

/** BigInts as decimal strings, as JSON has no form for them and a log line must not throw; and nothing that is named like a secret. */
function plain(fields: Record<string, unknown>, deeper = DEPTH): Record<string, unknown> {
  let copy: Record<string, unknown> | undefined;
  for (const name in fields) {
    const value = fields[name];
    let written = value;
    if (secrets.has(name)) written = '[redacted]';
    else if (typeof value === 'bigint') written = value.toString();
    else if (deeper > 0 && isRecord(value)) written = plain(value, deeper - 1);
    if (written === value) continue;
    copy ??= { ...fields };
    copy[name] = written;
  }
  return copy ?? fields;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
