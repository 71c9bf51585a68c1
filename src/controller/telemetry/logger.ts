import pino from 'pino';
import type { Logger } from '../kernel/index.ts';

export interface LoggerOptions {
  /** Least level that is written; default `info`. */
  readonly level?: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
  /** Where lines go: a file descriptor (default 2, standard error) or anything that takes lines. */
  readonly destination?: number | { write(line: string): void };
}

/** Fields whose value never reaches a log, at the top and one level down. */
const secrets = ['authorization', 'cookie', 'password', 'secret', 'token', 'key', 'privateKey'];

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
    formatters: { level: (label) => ({ level: label }), log: plain },
    serializers: { err: pino.stdSerializers.err, error: pino.stdSerializers.err },
    redact: {
      paths: [...secrets, ...secrets.map((name) => `*.${name}`), 'headers.authorization', '*.headers.authorization'],
      censor: '[redacted]',
    },
  };
  return typeof destination === 'number'
    ? pino(settings, pino.destination({ dest: destination, sync: true }))
    : pino(settings, destination);
}

/** BigInts as decimal strings: JSON has no form for them, and a log line must not throw. */
function plain(fields: Record<string, unknown>): Record<string, unknown> {
  let copy: Record<string, unknown> | undefined;
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value !== 'bigint') continue;
    copy ??= { ...fields };
    copy[name] = value.toString();
  }
  return copy ?? fields;
}
