import type Database from 'better-sqlite3';
import { StoreError } from '../kernel/index.ts';

/** "NLOM": tells our files from other SQLite databases. */
const APPLICATION_ID = 0x4e4c4f4d;

/** Step N brings a file from version N to N+1. A released step is never edited; append. */
export const migrations: readonly string[] = [
  `CREATE TABLE meta (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
   INSERT INTO meta VALUES ('revision', 0), ('compacted', 0);
   CREATE TABLE kv (
     key TEXT PRIMARY KEY, value TEXT NOT NULL,
     create_revision INTEGER NOT NULL, mod_revision INTEGER NOT NULL, version INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE TABLE history (
     revision INTEGER NOT NULL, seq INTEGER NOT NULL, key TEXT NOT NULL,
     value TEXT, create_revision INTEGER, version INTEGER,
     before_value TEXT, before_create INTEGER, before_mod INTEGER, before_version INTEGER,
     PRIMARY KEY (revision, seq)
   ) WITHOUT ROWID;`,
  `ALTER TABLE kv ADD COLUMN lease TEXT;
   CREATE INDEX kv_lease ON kv (lease) WHERE lease IS NOT NULL;
   CREATE TABLE lease (id TEXT PRIMARY KEY, ttl_ms INTEGER NOT NULL) WITHOUT ROWID;`,
];

const pragmaNumber = (db: Database.Database, name: string): number => Number(db.pragma(name, { simple: true }));

/**
 * Brings the file to the newest schema, all steps in one transaction. Throws StoreError (`schema`) for a file of a newer
 * version or of another program; such a file is left as it is.
 */
export function migrate(db: Database.Database, path: string, steps: readonly string[] = migrations): number {
  const application = pragmaNumber(db, 'application_id');
  const version = pragmaNumber(db, 'user_version');
  const refuse = (message: string): StoreError =>
    new StoreError(`store ${path}: ${message}`, { reason: 'schema', path, version });
  const empty = db.prepare('SELECT count(*) FROM sqlite_master').pluck().get() === 0;
  if (application !== APPLICATION_ID && !(empty && application === 0)) {
    throw refuse('this is a database of another program; name another file');
  }
  if (version > steps.length) {
    throw refuse(
      `written by a newer Netloom (schema ${version}, this one knows ${steps.length}); use that version, or restore a backup`,
    );
  }
  if (version === steps.length) return version;
  db.exec('BEGIN IMMEDIATE');
  try {
    for (const step of steps.slice(version)) db.exec(step);
    db.pragma(`application_id = ${APPLICATION_ID}`);
    db.pragma(`user_version = ${steps.length}`);
    db.exec('COMMIT');
  } catch (error) {
    if (db.inTransaction) db.exec('ROLLBACK');
    throw error;
  }
  return version;
}
