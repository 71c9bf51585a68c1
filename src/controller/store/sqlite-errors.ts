import Database from 'better-sqlite3';
import { StoreError } from '../kernel/index.ts';
import type { StoreReason } from './types.ts';

const REASONS: readonly (readonly [prefix: string, reason: StoreReason, text: string])[] = [
  ['SQLITE_FULL', 'full', 'the disk is full; free some space, writing goes on by itself then'],
  ['SQLITE_BUSY', 'locked', 'another program holds a lock on the file; close it'],
  ['SQLITE_LOCKED', 'locked', 'another program holds a lock on the file; close it'],
  ['SQLITE_CORRUPT', 'corrupt', 'the file is damaged; stop, and restore it from a backup'],
  ['SQLITE_NOTADB', 'corrupt', 'the file is no SQLite database, or its start is damaged; restore it from a backup'],
  ['SQLITE_READONLY', 'readonly', 'the file or its file system is read-only'],
  ['SQLITE_PERM', 'readonly', 'the file may not be written by this user'],
  ['SQLITE_CANTOPEN', 'io', 'the file cannot be opened or made; check that the directory exists and may be written'],
  ['SQLITE_IOERR', 'io', 'reading or writing the file failed; check the disk'],
];

/** Our error for one of SQLite's, saying what an operator can do. Others are passed on. */
export function storeError(path: string, error: unknown): unknown {
  if (!(error instanceof Database.SqliteError)) return error;
  const [, reason, text] = REASONS.find(([prefix]) => error.code.startsWith(prefix)) ?? [
    '',
    'io' as const,
    error.message,
  ];
  return new StoreError(
    `store ${path}: ${text} (${error.code})`,
    { reason, path, sqlite: error.code },
    { cause: error },
  );
}

/** Runs `work`, turning SQLite's errors into ours. */
export function guarded<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw storeError(path, error);
  }
}
