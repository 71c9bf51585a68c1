import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import Database from 'better-sqlite3';
import { type Logger, StoreError } from '../kernel/index.ts';
import { storeError } from './sqlite-errors.ts';

/** Held until released, or until the process ends in whatever way. */
export interface DataLock {
  release(): void;
}

/**
 * Makes this process the only writer of the store at `path`. The lock is the operating system's, on `PATH.lock` (an empty
 * file, taken through SQLite because Node has no file locks), so a killed process leaves none behind; `PATH.owner` only says
 * who holds it. Throws StoreError `locked`, naming the other process.
 */
export function lockData(path: string, log: Logger): DataLock {
  const ownerFile = `${path}.owner`;
  let db: Database.Database;
  try {
    db = new Database(`${path}.lock`, { timeout: 0 });
  } catch (error) {
    // better-sqlite3 throws a TypeError when the directory does not exist.
    if (error instanceof TypeError) throw new StoreError(`store ${path}: ${error.message}`, { reason: 'io', path });
    throw storeError(path, error);
  }
  try {
    db.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    db.close();
    if (!(error instanceof Database.SqliteError) || !error.code.startsWith('SQLITE_BUSY'))
      throw storeError(path, error);
    throw new StoreError(
      `store ${path} is in use by ${describeOwner(ownerFile)}; stop that one, or choose another data directory`,
      { reason: 'locked', path },
      { cause: error },
    );
  }
  const owner = { pid: process.pid, host: hostname(), since: new Date().toISOString() };
  try {
    writeFileSync(ownerFile, `${JSON.stringify(owner)}\n`, { mode: 0o644 });
  } catch (error) {
    log.warn({ file: ownerFile, err: error }, 'store: locked, but could not write down who holds the lock');
  }
  return {
    release() {
      rmSync(ownerFile, { force: true });
      db.close();
    },
  };
}

function describeOwner(ownerFile: string): string {
  try {
    const owner: unknown = JSON.parse(readFileSync(ownerFile, 'utf8'));
    if (typeof owner === 'object' && owner !== null && 'pid' in owner && 'host' in owner && 'since' in owner) {
      return `process ${String(owner.pid)} on ${String(owner.host)} (since ${String(owner.since)})`;
    }
  } catch {
    // Only a help for the reader: who holds the lock may not have written it yet.
  }
  return 'another process';
}
