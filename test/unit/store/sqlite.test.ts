import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger, systemClock } from '../../../src/controller/kernel/index.ts';
import { openSqliteStore, type Store } from '../../../src/controller/store/index.ts';
import { migrate, migrations } from '../../../src/controller/store/sqlite-schema.ts';

/** The embedded store in trouble: killed, without room, locked, damaged, of another age. */

let folder: string;
let path: string;
const opened: Store[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'netloom-sqlite-'));
  path = join(folder, 'netloom.db');
});
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  rmSync(folder, { recursive: true });
});

async function open(at = path): Promise<Store> {
  const store = await openSqliteStore({ path: at, log: silentLogger, clock: systemClock });
  opened.push(store);
  return store;
}
const put = (store: Store, key: string, value: string) => store.txn([], [{ op: 'put', key, value }]);

/** A process that writes `/n/0`, `/n/1`, … two keys a transaction, and says which were acknowledged. */
const writerCode = `
  import { openSqliteStore } from ${JSON.stringify(join(import.meta.dirname, '../../../src/controller/store/index.ts'))};
  import { silentLogger, systemClock } from ${JSON.stringify(join(import.meta.dirname, '../../../src/controller/kernel/index.ts'))};
  const store = await openSqliteStore({ path: process.argv.at(-1), log: silentLogger, clock: systemClock });
  let n = Number((await store.get('/next'))?.value ?? 0);
  for (;;) {
    const round = [];
    for (let i = 0; i < 8; i++, n++) {
      const ops = ['/n/', '/twin/'].map((prefix) => ({ op: 'put', key: prefix + n, value: 'x'.repeat(200) }));
      round.push(store.txn([], ops).then(((k) => () => process.stdout.write(k + '\\n'))(n)));
    }
    await Promise.all(round);
    await store.txn([], [{ op: 'put', key: '/next', value: String(n) }]);
  }
`;

describe('kill -9', () => {
  it('at any moment loses no acknowledged write, and half of none', async () => {
    const acknowledged = new Set<string>();
    const script = join(folder, 'writer.mts');
    writeFileSync(script, writerCode);
    for (let round = 0; round < 6; round++) {
      const writer = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), script, path], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const gone = once(writer, 'exit');
      let here = 0;
      for await (const line of createInterface({ input: writer.stdout })) {
        acknowledged.add(line);
        // Somewhere in the middle of the next write, another place each time.
        if (++here === 40 + round * 13) writer.kill('SIGKILL');
      }
      await gone;
    }
    const store = await open();
    const of = async (prefix: string): Promise<string[]> =>
      (await store.range({ prefix })).items.map(({ key }) => key.slice(prefix.length));
    const [stored, twins] = [await of('/n/'), await of('/twin/')];
    expect(acknowledged.size).toBeGreaterThan(200);
    expect([...acknowledged].filter((n) => !stored.includes(n))).toEqual([]);
    expect(twins).toEqual(stored);
  }, 60_000);
});

describe('a full disk', () => {
  const disk = mkdtempSync(join(tmpdir(), 'netloom-disk-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk]).status === 0;
  if (!mounted) rmSync(disk, { recursive: true });

  it.runIf(mounted)('refuses writes saying so, loses nothing, and takes them again when there is room', async () => {
    try {
      const store = await open(join(disk, 'netloom.db'));
      await put(store, '/kept', 'yes');
      const ballast = join(disk, 'ballast');
      let failure: unknown;
      writeFileSync(ballast, Buffer.alloc(1_200_000));
      for (let n = 0; failure === undefined && n < 1_000; n++) {
        failure = await put(store, `/fill/${n}`, 'x'.repeat(20_000)).catch((error: unknown) => error);
        if (failure && typeof failure === 'object' && 'succeeded' in failure) failure = undefined;
      }
      expect(failure).toMatchObject({ name: 'StoreError', details: { reason: 'full' } });
      expect((failure as Error).message).toMatch(/the disk is full; free some space/);
      expect(store.problem).toMatchObject({ details: { reason: 'full' } });
      expect((await store.get('/kept'))?.value).toBe('yes');
      rmSync(ballast);
      await put(store, '/after', 'yes');
      expect(store.problem).toBeUndefined();
      await opened.pop()!.close();
      const again = await open(join(disk, 'netloom.db'));
      expect((await again.get('/kept'))?.value).toBe('yes');
      expect((await again.get('/after'))?.value).toBe('yes');
      await opened.pop()!.close();
    } finally {
      spawnSync('umount', [disk]);
      rmSync(disk, { recursive: true, force: true });
    }
  });
});

describe('a data directory', () => {
  it('belongs to one process: the second is told which', async () => {
    await open();
    await expect(open()).rejects.toMatchObject({ name: 'StoreError', details: { reason: 'locked' } });
    await expect(open()).rejects.toThrow(new RegExp(`in use by process ${process.pid} on `));
  });

  it('is free again after its process was killed', async () => {
    const script = join(folder, 'holder.mts');
    writeFileSync(script, writerCode);
    const holder = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), script, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const gone = once(holder, 'exit');
    await once(holder.stdout, 'data');
    await expect(open()).rejects.toThrow(`in use by process ${holder.pid}`);
    holder.kill('SIGKILL');
    await gone;
    await open();
  }, 30_000);

  it('that does not exist is named', async () => {
    await expect(open(join(folder, 'no/such/netloom.db'))).rejects.toMatchObject({ details: { reason: 'io' } });
  });
});

describe('a file that another program locks', () => {
  it('fails the write saying so, and the next goes through', async () => {
    const store = await open();
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    await expect(put(store, '/a', '1')).rejects.toMatchObject({ details: { reason: 'locked' } });
    other.exec('ROLLBACK');
    other.close();
    expect((await put(store, '/a', '2')).succeeded).toBe(true);
  });
});

describe('a file that is not ours, or no longer', () => {
  it.each([
    [
      'of another program',
      (file: string) => new Database(file).exec('CREATE TABLE theirs (x)').close(),
      'schema',
      /another program/,
    ],
    [
      'no database at all',
      (file: string) => writeFileSync(file, 'hello, this is a letter'.repeat(100)),
      'corrupt',
      /no SQLite database/,
    ],
  ] as const)('%s is refused and left alone', async (_, make, reason, message) => {
    make(path);
    const before = readFileSync(path);
    const failure = await open().catch((error: unknown) => error);
    expect(failure).toMatchObject({ name: 'StoreError', details: { reason, path } });
    expect((failure as Error).message).toMatch(message);
    if (reason === 'corrupt') expect(readFileSync(path)).toEqual(before);
  });

  it('of a newer version is refused', async () => {
    await (await open()).close();
    opened.pop();
    const db = new Database(path);
    db.pragma(`user_version = ${migrations.length + 1}`);
    db.close();
    await expect(open()).rejects.toThrow(/written by a newer Netloom/);
  });

  it('with a damaged page is refused when it is opened', async () => {
    const store = await open();
    for (let n = 0; n < 200; n++) await put(store, `/k/${n}`, 'x'.repeat(500));
    await opened.pop()!.close();
    const bytes = readFileSync(path);
    bytes.fill(0xa5, 4096 * 3, 4096 * 6);
    writeFileSync(path, bytes);
    await expect(open()).rejects.toMatchObject({ details: { reason: 'corrupt' } });
  });
});

describe('an older file', () => {
  it('is brought to the newest schema, with all it holds', async () => {
    const db = new Database(path);
    migrate(db, path, migrations.slice(0, 1));
    db.exec(`UPDATE meta SET number = 1 WHERE name = 'revision'`);
    db.exec(`INSERT INTO kv VALUES ('/old', 'value', 1, 1, 1)`);
    db.close();
    const store = await open();
    expect(store.revision).toBe(1);
    expect((await store.get('/old'))?.value).toBe('value');
    const lease = await store.grantLease(1_000);
    expect((await store.txn([], [{ op: 'put', key: '/new', value: '1', lease }])).succeeded).toBe(true);
    expect(existsSync(path)).toBe(true);
  });

  it('stays as it is when a step fails', async () => {
    const db = new Database(path);
    migrate(db, path, migrations.slice(0, 1));
    expect(() => migrate(db, path, [migrations[0]!, 'CREATE TABLE half (x); NO SUCH THING;'])).toThrow();
    expect(db.pragma('user_version', { simple: true })).toBe(1);
    expect(db.prepare(`SELECT count(*) FROM sqlite_master WHERE name = 'half'`).pluck().get()).toBe(0);
    db.close();
  });
});
