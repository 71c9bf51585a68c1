import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/controller/kernel/index.ts';
import { EventLog, formatEventId, parseEventId } from '../../../src/controller/northbound/index.ts';

const clock = { ...systemClock, now: () => 1_000_000 };
const after = (text: string) => parseEventId(text) ?? expect.fail(`${text} is no id`);

const frames = (log: EventLog, from: string): string[] | string => {
  const start = log.resume(after(from));
  if (typeof start !== 'number') return start;
  const out: string[] = [];
  for (let at = start; at < log.head; at++) out.push(log.at(at)?.type ?? 'forgotten');
  return out;
};

describe('event log', () => {
  it('gives desired events their revision as id, and others ids in between', () => {
    const log = new EventLog({ clock, revision: 5 });
    const ids = [
      log.publish({ type: 'a', revision: 6 }),
      log.publish({ type: 'b', revision: 6 }),
      log.publish({ type: 'c' }),
      log.publish({ type: 'd', revision: 9 }),
      log.publish({ type: 'e', revision: 7 }),
    ].map(formatEventId);
    expect(ids).toEqual(['6', '6.1', '6.2', '9', '9.1']);
  });

  it('resumes after any id with exactly what followed', () => {
    const log = new EventLog({ clock, revision: 5 });
    for (const input of [{ revision: 6 }, {}, { revision: 7 }, {}]) log.publish({ type: `t${log.head}`, ...input });
    expect(frames(log, '5')).toEqual(['t0', 't1', 't2', 't3']);
    expect(frames(log, '6')).toEqual(['t1', 't2', 't3']);
    expect(frames(log, '6.1')).toEqual(['t2', 't3']);
    expect(frames(log, '7.1')).toEqual([]);
  });

  it('says so when history is gone or an id is none of this log', () => {
    const log = new EventLog({ clock, revision: 5, capacity: 4 });
    expect(frames(log, '4')).toBe('history-gone');
    expect(frames(log, '6')).toBe('unknown-id');
    for (let revision = 6; revision < 12; revision++) log.publish({ type: 't', revision });
    expect(frames(log, '6')).toBe('history-gone');
    expect(frames(log, '7')).toEqual(['t', 't', 't', 't']);
    expect(frames(log, '11.7')).toBe('unknown-id');
  });

  it('does not take up the observed events of a former process, but its revision', () => {
    const former = new EventLog({ clock, revision: 5 });
    const seen = formatEventId(former.publish({ type: 'seen' }));
    const next = new EventLog({ clock: { ...clock, now: () => 2_000_000 }, revision: 5 });
    for (let i = 0; i < 10; i++) next.publish({ type: 'again' });
    expect(frames(next, seen)).toBe('history-gone');
    expect(frames(next, '5')).toHaveLength(10);
  });

  it('from every id gives every later event that it still has, or says reset', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 3 })), { maxLength: 60 }), fc.nat(60), (steps, pick) => {
        const log = new EventLog({ clock, revision: 1, capacity: 16 });
        let revision = 1;
        const ids: string[] = [];
        for (const step of steps) {
          if (step !== null) revision += step;
          ids.push(formatEventId(log.publish(step === null ? { type: 'x' } : { type: 'x', revision })));
        }
        expect(new Set(ids).size).toBe(ids.length);
        const index = Math.min(pick, ids.length - 1);
        if (index < 0) return;
        const start = log.resume(after(ids[index]!));
        // An event is kept while fewer than 16 came after it; the one we resume from need not be.
        if (ids.length - 1 - index <= 16) expect(start).toBe(index + 1);
        else expect(start).toBe('history-gone');
      }),
    );
  });

  it('keeps event ids apart from other text', () => {
    for (const bad of ['', 'x', '1.', '.1', '01', '1.0', '-1', '1e3', '99999999999999999', '1.2.3']) {
      expect(parseEventId(bad)).toBeUndefined();
    }
  });
});
