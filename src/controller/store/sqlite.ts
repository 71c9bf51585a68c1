import { statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { type Clock, type Logger, type MetricSink, StoreError } from '../kernel/index.ts';
import { type Backend, type BackendState, compareKeys, type Row } from './backend.ts';
import { lockData } from './data-lock.ts';
import { LocalStore, type LocalStoreOptions } from './local-store.ts';
import { guarded } from './sqlite-errors.ts';
import { migrate } from './sqlite-schema.ts';
import type { KeyValue, Store, StoreEvent } from './types.ts';

export interface SqliteStoreOptions extends LocalStoreOptions {
  /** The database file. Its directory must exist; beside it lie `-wal`, `-shm`, `.lock` and `.owner`. */
  readonly path: string;
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics?: MetricSink;
}

/** How long a write waits for another program (a backup tool, sqlite3) to let go. It holds the event loop, so it is short. */
const BUSY_TIMEOUT_MS = 500;
/** Files up to this size are checked when opened (some 100 ms at most). */
const CHECKED_BYTES = 64 * 1024 * 1024;

interface RawRow {
  key: string;
  value: string;
  create_revision: number;
  mod_revision: number;
  version: number;
  lease: string | null;
}

interface RawEvent {
  revision: number;
  key: string;
  value: string | null;
  create_revision: number | null;
  version: number | null;
  before_value: string | null;
  before_create: number | null;
  before_mod: number | null;
  before_version: number | null;
}

const toRow = (raw: RawRow): Row => ({
  key: raw.key,
  value: raw.value,
  createRevision: raw.create_revision,
  modRevision: raw.mod_revision,
  version: raw.version,
  lease: raw.lease ?? undefined,
});

function toEvent(raw: RawEvent): StoreEvent {
  const { key, revision } = raw;
  const state = (value: string | null, create: number | null, mod: number | null, version: number | null) =>
    value === null
      ? undefined
      : ({ key, value, createRevision: create!, modRevision: mod!, version: version! } satisfies KeyValue);
  return {
    key,
    revision,
    before: state(raw.before_value, raw.before_create, raw.before_mod, raw.before_version),
    after: state(raw.value, raw.create_revision, revision, raw.version),
  };
}

const ROW = 'key, value, create_revision, mod_revision, version, lease';

class SqliteBackend implements Backend {
  readonly #path: string;
  readonly #db: Database.Database;
  readonly #release: () => void;
  readonly #get: Database.Statement<[string], RawRow>;
  readonly #from: Database.Statement<[string], RawRow>;
  readonly #after: Database.Statement<[string], RawRow>;
  readonly #put: Database.Statement<[string, string, number, number, number, string | null]>;
  readonly #remove: Database.Statement<[string]>;
  readonly #record: Database.Statement<
    [
      number,
      number,
      string,
      string | null,
      number | null,
      number | null,
      string | null,
      number | null,
      number | null,
      number | null,
    ]
  >;
  readonly #setMeta: Database.Statement<[number, string]>;
  #revision = 0;
  #savedRevision = 0;
  #relaxed = false;

  constructor(path: string, db: Database.Database, release: () => void) {
    this.#path = path;
    this.#db = db;
    this.#release = release;
    this.#get = db.prepare(`SELECT ${ROW} FROM kv WHERE key = ?`);
    this.#from = db.prepare(`SELECT ${ROW} FROM kv WHERE key >= ? ORDER BY key`);
    this.#after = db.prepare(`SELECT ${ROW} FROM kv WHERE key > ? ORDER BY key`);
    this.#put = db.prepare(`INSERT OR REPLACE INTO kv (${ROW}) VALUES (?, ?, ?, ?, ?, ?)`);
    this.#remove = db.prepare('DELETE FROM kv WHERE key = ?');
    this.#record = db.prepare('INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
    this.#setMeta = db.prepare('UPDATE meta SET number = ? WHERE name = ?');
  }

  load(): BackendState {
    return this.#guarded(() => {
      const meta = (name: string): number =>
        Number(this.#db.prepare('SELECT number FROM meta WHERE name = ?').pluck().get(name));
      const leases = this.#db
        .prepare<[], { id: string; ttlMs: number }>('SELECT id, ttl_ms AS ttlMs FROM lease ORDER BY id')
        .all();
      this.#revision = meta('revision');
      this.#savedRevision = this.#revision;
      return { revision: this.#revision, compacted: meta('compacted'), leases };
    });
  }

  get(key: string): Row | undefined {
    return this.#guarded(() => {
      const raw = this.#get.get(key);
      return raw && toRow(raw);
    });
  }

  range(prefix: string, after: string | undefined, limit: number): Row[] {
    return this.#guarded(() => {
      const found =
        after !== undefined && compareKeys(after, prefix) >= 0
          ? this.#after.iterate(after)
          : this.#from.iterate(prefix);
      const rows: Row[] = [];
      for (const raw of found) {
        if (rows.length >= limit || !raw.key.startsWith(prefix)) break;
        rows.push(toRow(raw));
      }
      return rows;
    });
  }

  rowsOfLease(lease: string): Row[] {
    return this.#guarded(() =>
      this.#db.prepare<[string], RawRow>(`SELECT ${ROW} FROM kv WHERE lease = ? ORDER BY key`).all(lease).map(toRow),
    );
  }

  begin(relaxed: boolean): void {
    this.#guarded(() => {
      if (relaxed !== this.#relaxed) {
        // In WAL mode NORMAL leaves out the wait for the disk at commit, and nothing else.
        this.#db.pragma(`synchronous = ${relaxed ? 'NORMAL' : 'FULL'}`);
        this.#relaxed = relaxed;
      }
      this.#db.exec('BEGIN IMMEDIATE');
    });
  }

  commit(): void {
    this.#guarded(() => {
      if (this.#revision !== this.#savedRevision) this.#setMeta.run(this.#revision, 'revision');
      this.#db.exec('COMMIT');
      this.#savedRevision = this.#revision;
    });
  }

  rollback(): void {
    this.#revision = this.#savedRevision;
    // SQLite takes a transaction back by itself on some errors (disk full among them).
    if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
  }

  put(row: Row): void {
    this.#guarded(() =>
      this.#put.run(row.key, row.value, row.createRevision, row.modRevision, row.version, row.lease ?? null),
    );
  }

  remove(key: string): void {
    this.#guarded(() => this.#remove.run(key));
  }

  record({ key, revision, before, after }: StoreEvent, seq: number): void {
    this.#revision = revision;
    this.#guarded(() =>
      this.#record.run(
        revision,
        seq,
        key,
        after?.value ?? null,
        after?.createRevision ?? null,
        after?.version ?? null,
        before?.value ?? null,
        before?.createRevision ?? null,
        before?.modRevision ?? null,
        before?.version ?? null,
      ),
    );
  }

  putLease(id: string, ttlMs: number): void {
    this.#guarded(() => this.#db.prepare('INSERT INTO lease VALUES (?, ?)').run(id, ttlMs));
  }

  removeLease(id: string): void {
    this.#guarded(() => this.#db.prepare('DELETE FROM lease WHERE id = ?').run(id));
  }

  setCompacted(revision: number): void {
    this.#guarded(() => this.#setMeta.run(revision, 'compacted'));
  }

  history(from: number, to: number, limit: number, skip: number): StoreEvent[] {
    return this.#guarded(() =>
      this.#db
        .prepare<[number, number, number, number], RawEvent>(
          'SELECT * FROM history WHERE revision >= ? AND revision <= ? ORDER BY revision, seq LIMIT ? OFFSET ?',
        )
        .all(from, to, limit, skip)
        .map(toEvent),
    );
  }

  historySize(): number {
    return this.#guarded(() => Number(this.#db.prepare('SELECT count(*) FROM history').pluck().get()));
  }

  revisionBehind(newer: number): number {
    return this.#guarded(() =>
      Number(
        this.#db
          .prepare('SELECT revision FROM history ORDER BY revision DESC, seq DESC LIMIT 1 OFFSET ?')
          .pluck()
          .get(newer) ?? 0,
      ),
    );
  }

  forget(revision: number, limit: number): number {
    return this.#guarded(
      () =>
        this.#db
          .prepare(
            `DELETE FROM history WHERE (revision, seq) IN
               (SELECT revision, seq FROM history WHERE revision <= ? ORDER BY revision, seq LIMIT ?)`,
          )
          .run(revision, limit).changes,
    );
  }

  close(): void {
    try {
      this.#guarded(() => this.#db.close());
    } finally {
      this.#release();
    }
  }

  #guarded<T>(work: () => T): T {
    return guarded(this.#path, work);
  }
}

/**
 * Opens (or makes) the embedded store: SQLite in WAL mode, one writer process, every acknowledged write on the disk. Brings
 * older files to the newest schema. Rejects with StoreError: `locked` naming the other process, `corrupt`, `schema`,
 * `readonly`, `full`, `io`.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const { path, log } = options;
  const lock = lockData(path, log);
  let db: Database.Database | undefined;
  try {
    db = guarded(path, () => new Database(path, { timeout: BUSY_TIMEOUT_MS }));
    prepareDatabase(db, path, log);
    return new LocalStore(new SqliteBackend(path, db, () => lock.release()), options);
  } catch (error) {
    db?.close();
    lock.release();
    throw error;
  }
}

function prepareDatabase(db: Database.Database, path: string, log: Logger): void {
  guarded(path, () => {
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma('journal_size_limit = 67108864');
    if (statSync(path).size <= CHECKED_BYTES) {
      const found = db.pragma('quick_check(1)', { simple: true });
      if (found !== 'ok') {
        throw new StoreError(`store ${path}: the file is damaged (${String(found)}); restore it from a backup`, {
          reason: 'corrupt',
          path,
        });
      }
    }
    const from = migrate(db, path);
    log.debug({ path, schema: from }, 'store: opened');
  });
}
