import type { Clock, KeyValue, Logger, Store, StoreOp } from '../../controller/index.ts';
import {
  type EidPrefix,
  eidText,
  LispError,
  type MappingSystem,
  type Registration,
  type RegistrationListener,
  type StoredRegistration,
  storedRegistration,
} from '../lisp/index.ts';

const REGISTRATIONS = '/lisp/registration/';
const NONCES = '/lisp/nonce/';
const ALIVE = '/lisp/alive';
/** A change is on its way to the disk after this. */
const DELAY_MS = 100;
/** How often the store hears that what it has is still true, and of nonces. */
const ALIVE_MS = 10_000;
/** Operations of one transaction; etcd's default limit is 128. */
const BATCH = 100;
const PAGE = 1_000;
/** Registrations that are stored; what is beyond lasts until the process ends. */
const MOST = 1_000_000;

/** As stored: renewals are not written, so how long one lasts has to be known. */
interface Entry extends StoredRegistration {
  readonly lifetimeMs: number;
}

export interface KeeperParts {
  readonly store: Pick<Store, 'txn' | 'range' | 'get'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Keeps what routers registered in the store, so that it outlives the process. Written behind, changes only: a renewal costs nothing.
 * Each ten seconds the store hears that we live; what it holds was true then, and after a restart lasts one lifetime from then on.
 */
export class Keeper implements RegistrationListener {
  readonly #parts: KeeperParts;
  /** Newest unwritten value of each key; undefined deletes. */
  #pending = new Map<string, string | undefined>();
  /** Keys of registrations that are stored, or on their way. */
  readonly #stored = new Set<string>();
  /** What was restored is stored already. */
  #restoring = false;
  #writing: Promise<void> | undefined;
  #cancelTimer: (() => void) | undefined;
  #stopAlive: () => void = () => {};
  #inFlight = 0;
  #closed = false;
  #warned = false;
  /** Nonces that the store has not heard of, by sender. */
  #nonces: () => Iterable<readonly [sender: string, nonce: string]> = () => [];
  /** Times that the store refused; what was to be written is kept and tried again. */
  failures = 0;
  /** Registrations that are not stored: there are too many. */
  unstored = 0;

  constructor(parts: KeeperParts) {
    this.#parts = parts;
  }

  /** Changes that the store has not got yet. */
  get waiting(): number {
    return this.#pending.size + this.#inFlight;
  }

  put(prefix: EidPrefix, registration: Registration): void {
    if (registration.pinned || this.#restoring) return;
    const key = keyOf(prefix, registration.by);
    if (!this.#stored.has(key)) {
      if (this.#stored.size >= MOST) {
        this.unstored++;
        if (!this.#warned) this.#parts.log.warn({ most: MOST }, 'LISP: no more registrations are stored');
        this.#warned = true;
        return;
      }
      this.#stored.add(key);
    }
    const { clock } = this.#parts;
    const entry: Entry = {
      ...storedRegistration(prefix, registration, clock.now() - clock.monotonic()),
      lifetimeMs: registration.expiresAt - clock.monotonic(),
    };
    this.#write(key, JSON.stringify(entry));
  }

  removed(prefix: EidPrefix, registration: Registration): void {
    const key = keyOf(prefix, registration.by);
    if (this.#stored.delete(key)) this.#write(key, undefined);
  }

  /**
   * Gives the system what is stored, and stores its nonces from now on. Answers how many registrations it took. What cannot be read, has
   * run out or belongs to no site any more is taken out of the store. Rejects with StoreError.
   */
  async restore(system: MappingSystem): Promise<number> {
    const { store, log, clock } = this.#parts;
    const alive = Number((await store.get(ALIVE))?.value ?? 0);
    let taken = 0;
    this.#restoring = true;
    try {
      for await (const { key, value } of this.#all(REGISTRATIONS)) {
        this.#stored.add(key);
        const before = taken;
        try {
          const { lifetimeMs, ...stored } = readEntry(value);
          taken += system.restore([{ ...stored, expiresAt: Math.max(stored.expiresAt, alive + lifetimeMs) }]);
        } catch (error) {
          if (!(error instanceof LispError || error instanceof SyntaxError || error instanceof TypeError)) throw error;
          log.warn({ key, err: error }, 'LISP: a stored registration cannot be read; it is left out');
        }
        if (taken === before) {
          this.#stored.delete(key);
          this.#write(key, undefined);
        }
      }
      for await (const { key, value } of this.#all(NONCES)) {
        if (/^[0-9a-f]{16}$/.test(value)) system.restoreNonces([[key.slice(NONCES.length), value]]);
      }
    } finally {
      this.#restoring = false;
    }
    this.#nonces = () => system.takeNonces();
    this.#stopAlive = clock.every(ALIVE_MS, () => this.#live());
    return taken;
  }

  /** Tells the store that what it has is still true. */
  #live(): void {
    for (const [sender, nonce] of this.#nonces()) this.#write(NONCES + sender, nonce === '' ? undefined : nonce);
    if (this.#stored.size > 0) this.#write(ALIVE, String(this.#parts.clock.now()));
  }

  async *#all(prefix: string): AsyncGenerator<KeyValue> {
    let after: string | undefined;
    for (let more = true; more; ) {
      const page = await this.#parts.store.range({ prefix, limit: PAGE, ...(after === undefined ? {} : { after }) });
      yield* page.items;
      after = page.items.at(-1)?.key;
      more = page.more;
    }
  }

  #write(key: string, value: string | undefined): void {
    this.#pending.set(key, value);
    this.#arm(DELAY_MS);
  }

  #arm(delayMs: number): void {
    if (this.#cancelTimer || this.#writing || this.#closed) return;
    this.#cancelTimer = this.#parts.clock.after(delayMs, () => {
      this.#cancelTimer = undefined;
      this.#flush().catch((error: unknown) => {
        this.failures++;
        this.#parts.log.warn({ err: error }, 'LISP: registrations could not be stored; they are kept and tried again');
        this.#arm(1_000);
      });
    });
  }

  /** Writes what waits, a batch at a time; the store lets others in between. Rejects with StoreError. */
  #flush(): Promise<void> {
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  async #writeAll(): Promise<void> {
    while (this.#pending.size > 0) {
      const ops: StoreOp[] = [];
      const batch: [string, string | undefined][] = [];
      for (const entry of this.#pending) {
        const [key, value] = entry;
        batch.push(entry);
        ops.push(value === undefined ? { op: 'delete', key } : { op: 'put', key, value });
        if (batch.length === BATCH) break;
      }
      for (const [key] of batch) this.#pending.delete(key);
      this.#inFlight = batch.length;
      try {
        // Routers register again within a minute: losing the newest with the machine's power is no loss that lasts.
        await this.#parts.store.txn([], ops, { relaxed: true });
      } catch (error) {
        // What was written again meanwhile is newer.
        for (const [key, value] of batch) if (!this.#pending.has(key)) this.#pending.set(key, value);
        throw error;
      } finally {
        this.#inFlight = 0;
      }
    }
  }

  /** Stores what waits. Rejects with StoreError. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#stopAlive();
    this.#live();
    this.#closed = true;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    await this.#writing;
    await this.#flush();
  }
}

const keyOf = (prefix: EidPrefix, by: string): string => `${REGISTRATIONS}${eidText(prefix)} ${by}`;

function readEntry(text: string): Entry {
  const value: unknown = JSON.parse(text);
  const { by, record, proxyReply, siteId, expiresAt, lifetimeMs } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (
    typeof by !== 'string' ||
    typeof record !== 'string' ||
    typeof proxyReply !== 'boolean' ||
    typeof expiresAt !== 'number' ||
    typeof lifetimeMs !== 'number' ||
    (siteId !== undefined && typeof siteId !== 'string')
  ) {
    throw new TypeError('a stored registration is not as it should be');
  }
  return { by, record, proxyReply, expiresAt, lifetimeMs, ...(siteId === undefined ? {} : { siteId }) };
}
