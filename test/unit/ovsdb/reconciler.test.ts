import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/controller/kernel/index.ts';
import { type Operation, OvsdbError, pauseAfter, Reconciler } from '../../../src/overlay-gw/ovsdb/index.ts';
import { ManualClock } from '../../kit/manual-clock.ts';

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A database that holds one text, and a reconciler that wants another. */
function bench() {
  const clock = new ManualClock();
  const database = {
    ready: true,
    holds: '',
    confirmed: true,
    isSlow: false,
    refuses: undefined as OvsdbError | undefined,
  };
  const writes: string[] = [];
  const states: string[] = [];
  /** Answers of a slow database, held back until called. */
  const answers: (() => void)[] = [];
  const client = {
    get ready() {
      return database.ready;
    },
    update: async (plan: () => readonly Operation[] | undefined) => {
      const operations = plan() ?? [];
      if (operations.length === 0) return [];
      if (database.isSlow) await new Promise<void>((resolve) => answers.push(resolve));
      if (database.refuses) throw database.refuses;
      const [operation] = operations;
      database.holds = operation?.op === 'comment' ? operation.comment : '';
      writes.push(database.holds);
      return [];
    },
  };
  const reconciler = new Reconciler<string, string>(() => client, {
    clock,
    log: silentLogger,
    what: 'test',
    retryMs: [1_000, 30_000],
    plan: (wanted) => ({
      operations: wanted === database.holds ? [] : [{ op: 'comment', comment: wanted }],
      problems: wanted.startsWith('bad') ? ['bad'] : [],
    }),
    confirmed: () => database.confirmed,
    told: ({ state }) => states.push(state),
  });
  return { clock, database, reconciler, writes, states, answers };
}

describe('a reconciler', () => {
  it('writes what differs once a session is ready, and nothing when all is right', async () => {
    const { database, reconciler, writes } = bench();
    database.ready = false;
    reconciler.want('a');
    await settled();
    expect([writes, reconciler.status.state]).toEqual([[], 'away']);
    database.ready = true;
    reconciler.ready();
    await settled();
    reconciler.compare();
    await settled();
    expect([writes, reconciler.status.state]).toEqual([['a'], 'right']);
  });

  it('makes one transaction at a time, and then what was wanted last', async () => {
    const { database, reconciler, writes, answers } = bench();
    database.isSlow = true;
    reconciler.want('a');
    for (const wanted of ['b', 'c', 'bad d']) reconciler.want(wanted);
    await settled();
    expect(answers).toHaveLength(1);
    database.isSlow = false;
    answers[0]!();
    await settled();
    expect(writes).toEqual(['a', 'bad d']);
    expect(reconciler.status.problems).toEqual(['bad']);
  });

  it('tries again after pauses that grow while it is refused, at once when something else is wanted', async () => {
    const { clock, database, reconciler, writes } = bench();
    database.refuses = new OvsdbError('refused', 'constraint violation');
    reconciler.want('a');
    await settled();
    expect(reconciler.status).toMatchObject({ state: 'failed', reason: 'constraint violation' });
    for (const pause of [1_000, 2_000]) {
      reconciler.compare();
      clock.pass(pause - 1);
      await settled();
      expect(clock.pending).toBe(1);
      clock.pass(1);
      await settled();
    }
    database.refuses = undefined;
    reconciler.want('b');
    await settled();
    expect([writes, reconciler.status.state, clock.pending]).toEqual([['b'], 'right', 0]);
    expect([0, 1, 4, 5, 60].map((failures) => pauseAfter(failures))).toEqual([1_000, 2_000, 16_000, 30_000, 30_000]);
  });

  it('is right only when the other side has confirmed, and settled when it is or cannot be', async () => {
    const { clock, database, reconciler, states } = bench();
    database.confirmed = false;
    reconciler.want('a');
    let done = false;
    const waiting = reconciler.settled(5_000).then(() => {
      done = true;
    });
    await settled();
    expect([reconciler.status.state, done]).toEqual(['working', false]);
    database.confirmed = true;
    reconciler.compare();
    await settled();
    await waiting;
    expect([states.at(-1), clock.pending]).toEqual(['right', 0]);
    database.confirmed = false;
    reconciler.want('b');
    const late = reconciler.settled(5_000);
    clock.pass(5_000);
    await late;
    expect(reconciler.status.state).toBe('working');
  });

  it('does nothing more when it is closed', async () => {
    const { clock, database, reconciler, writes } = bench();
    database.refuses = new OvsdbError('refused', 'no');
    reconciler.want('a');
    await settled();
    reconciler.close();
    database.refuses = undefined;
    clock.pass(60_000);
    reconciler.compare();
    await settled();
    expect([writes, clock.pending]).toEqual([[], 0]);
  });
});
