import { StoreError } from '../kernel/index.ts';
import type { Compare, Store, StoreOp, StoreReason } from './types.ts';

/** A range of numbers that switches or the API know things by. */
export interface IdSpace {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  /** True: numbers outside of `first`…`last` may be taken as well, by who asks for them. */
  readonly isPart?: boolean;
}

/** Every space that is allocated from, in one place so that none is used twice. */
export const IdSpaces = {
  /** Names meters, whose ids hold it in 16 bits. */
  tenant: { name: 'tenant', first: 1, last: 0xffff },
  /** 2^24−1 is the default network's. */
  network: { name: 'network', first: 1, last: 0xfffffe },
  /** Learned hosts have the upper half of the 24 bits. */
  endpoint: { name: 'endpoint', first: 1, last: 0x7fffff },
  switch: { name: 'switch', first: 1, last: 0x3fff },
  /** Third-party apps, in cookies. */
  app: { name: 'app', first: 256, last: 0xffff },
  'segment-fabric': { name: 'segment-fabric', first: 1, last: 0xffffff },
  'segment-vxlan': { name: 'segment-vxlan', first: 1, last: 0xffffff },
  'segment-nvgre': { name: 'segment-nvgre', first: 1, last: 0xffffff },
} as const satisfies Record<string, IdSpace>;

/** What is taken of one space. `next` is where the search for a free number starts. */
export interface IdUse {
  readonly next: number;
  readonly used: number;
  has(id: number): boolean;
}

/**
 * The number to give out next. Numbers are taken in a circle, so that a freed one rests until all others had their turn: by
 * then no switch holds a rule of the old owner. Throws StoreError `exhausted` when all are taken.
 */
export function pickId(space: IdSpace, use: IdUse): number {
  const size = space.last - space.first + 1;
  if (space.isPart || use.used < size) {
    let id = use.next >= space.first && use.next <= space.last ? use.next : space.first;
    for (let tried = 0; tried < size; tried++) {
      if (!use.has(id)) return id;
      id = id === space.last ? space.first : id + 1;
    }
  }
  throw new StoreError(
    `no free ${space.name} id: all of ${space.first}…${space.last} are taken; delete what is unused`,
    {
      reason: 'exhausted' satisfies StoreReason,
      space: space.name,
    },
  );
}

/** The place after this one on the circle. */
export const idAfter = (space: IdSpace, id: number): number => (id >= space.last ? space.first : id + 1);

/** Holders that one transaction serves at most, so that none of them is long. */
const BATCH = 500;

/** Shortest time between two transactions, so that those who come one by one share them, too. */
const GATHER_MS = 10;

/** Attempts of a compare-and-swap before giving up; each lost one means that another instance got through. */
const ATTEMPTS = 20;

interface Waiting {
  readonly holder: string;
  readonly resolve: (id: number) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Numbers for things that are not northbound objects (switches, third-party apps): given once per holder, stored before they
 * are given. Safe with several instances on one store.
 */
export class IdAllocator {
  readonly #store: Store;
  readonly #space: IdSpace;
  readonly #prefix: string;
  readonly #byHolder = new Map<string, { id: number; revision: number }>();
  readonly #taken = new Set<number>();
  #pointer = { id: 0, revision: 0 };
  /** All work goes through this chain, so that concurrent calls of one process see each other's numbers. */
  #last: Promise<unknown> = Promise.resolve();
  #loaded = false;
  readonly #waiting: Waiting[] = [];
  #allocatedAt = Number.NEGATIVE_INFINITY;

  constructor(store: Store, space: IdSpace) {
    this.#store = store;
    this.#space = space;
    this.#prefix = `/allocated/${space.name}/`;
  }

  /** The holder's number, a new one when it has none. Rejects with StoreError, `exhausted` among its reasons. */
  allocate(holder: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ holder, resolve, reject });
      if (this.#waiting.length > 1) return;
      // The first goes at once; a crowd shares transactions, as each waits for the disk.
      const pause = Math.max(0, this.#allocatedAt + GATHER_MS - performance.now());
      setTimeout(() => void this.#inTurn(() => this.#allocateWaiting()), pause);
    });
  }

  async #allocateWaiting(): Promise<void> {
    // Two operations for each holder, and one for the pointer.
    const batch = this.#waiting.splice(0, Math.min(BATCH, (this.#store.maxOps - 1) >> 1));
    this.#allocatedAt = performance.now();
    if (this.#waiting.length > 0) void this.#inTurn(() => this.#allocateWaiting());
    try {
      await this.#allocateAll(new Set(batch.map(({ holder }) => holder)));
      for (const { holder, resolve } of batch) resolve(this.#byHolder.get(holder)!.id);
    } catch (error) {
      // One who finds no free number must not cost the others theirs.
      if (batch.length === 1) batch[0]!.reject(error);
      else
        for (const one of batch)
          await this.#allocateAll(new Set([one.holder])).then(
            () => one.resolve(this.#byHolder.get(one.holder)!.id),
            one.reject,
          );
    }
  }

  /** Sees to it that each of these holders has a stored number. */
  async #allocateAll(holders: ReadonlySet<string>): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      await this.#load();
      const fresh = new Map<number, string>();
      let next = this.#pointer.id;
      for (const holder of holders) {
        if (this.#byHolder.has(holder)) continue;
        const id = pickId(this.#space, {
          next,
          used: this.#taken.size + fresh.size,
          has: (candidate) => this.#taken.has(candidate) || fresh.has(candidate),
        });
        fresh.set(id, holder);
        next = idAfter(this.#space, id);
      }
      if (fresh.size === 0) return;
      const compares: Compare[] = [{ key: `${this.#prefix}next`, modRevision: this.#pointer.revision }];
      const ops: StoreOp[] = [{ op: 'put', key: `${this.#prefix}next`, value: String(next) }];
      for (const [id, holder] of fresh) {
        const idKey = `${this.#prefix}id/${id}`;
        compares.push({ key: this.#holderKey(holder), modRevision: 0 }, { key: idKey, modRevision: 0 });
        ops.push(
          { op: 'put', key: this.#holderKey(holder), value: String(id) },
          { op: 'put', key: idKey, value: holder },
        );
      }
      const result = await this.#store.txn(compares, ops);
      this.#loaded = result.succeeded;
      if (!result.succeeded) continue;
      for (const [id, holder] of fresh) {
        this.#byHolder.set(holder, { id, revision: result.revision });
        this.#taken.add(id);
      }
      this.#pointer = { id: next, revision: result.revision };
      return;
    }
    throw this.#lost([...holders].join(', '));
  }

  /** Gives the holder's number back; no effect when it has none. */
  release(holder: string): Promise<void> {
    return this.#inTurn(async () => {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        await this.#load();
        const known = this.#byHolder.get(holder);
        if (!known) return;
        const result = await this.#store.txn(
          [{ key: this.#holderKey(holder), modRevision: known.revision }],
          [
            { op: 'delete', key: this.#holderKey(holder) },
            { op: 'delete', key: `${this.#prefix}id/${known.id}` },
          ],
        );
        this.#loaded = result.succeeded;
        if (!result.succeeded) continue;
        this.#byHolder.delete(holder);
        this.#taken.delete(known.id);
        return;
      }
      throw this.#lost(holder);
    });
  }

  /** All holders and their numbers, by holder. */
  holders(): Promise<ReadonlyMap<string, number>> {
    return this.#inTurn(async () => {
      this.#loaded = false;
      await this.#load();
      return new Map([...this.#byHolder].map(([holder, { id }]) => [holder, id]));
    });
  }

  #holderKey(holder: string): string {
    return `${this.#prefix}of/${holder}`;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#last.then(work, work);
    this.#last = run.catch(() => undefined);
    return run;
  }

  async #load(): Promise<void> {
    if (this.#loaded) return;
    this.#byHolder.clear();
    this.#taken.clear();
    const holders = `${this.#prefix}of/`;
    const { items } = await this.#store.range({ prefix: holders });
    for (const item of items) {
      const id = Number(item.value);
      this.#byHolder.set(item.key.slice(holders.length), { id, revision: item.modRevision });
      this.#taken.add(id);
    }
    const pointer = await this.#store.get(`${this.#prefix}next`);
    this.#pointer = { id: Number(pointer?.value ?? this.#space.first), revision: pointer?.modRevision ?? 0 };
    this.#loaded = true;
  }

  #lost(holder: string): StoreError {
    return new StoreError(
      `${this.#space.name} id of ${holder}: lost ${ATTEMPTS} races against other instances; try again`,
      {
        reason: 'busy' satisfies StoreReason,
      },
    );
  }
}
