import { describe, expect, it } from 'vitest';
import { phaseOf } from '../../../../src/apps/discovery/state.ts';
import { Wheel } from '../../../../src/apps/discovery/wheel.ts';
import { at } from '../../observed/kit.ts';

const item = (name: string) => ({ name, slot: -1 });

describe('the wheel', () => {
  it('hands out each item once, when it is due', () => {
    const wheel = new Wheel<ReturnType<typeof item>>(10, 100);
    const [a, b, c] = [item('a'), item('b'), item('c')];
    wheel.schedule(a, 3);
    wheel.schedule(b, 10);
    wheel.schedule(c, 0);
    wheel.schedule(a, 5);
    const due: string[] = [];
    for (let tick = 101; tick <= 125; tick++) wheel.advance(tick, 9, ({ name }) => due.push(`${name}@${tick}`));
    expect(due).toEqual(['c@101', 'a@105', 'b@110']);
  });

  it('lets items go back on while they are handed out', () => {
    const wheel = new Wheel<ReturnType<typeof item>>(4, 0);
    const a = item('a');
    wheel.schedule(a, 1);
    let times = 0;
    for (let tick = 1; tick <= 10; tick++)
      wheel.advance(tick, 9, (x) => {
        times++;
        wheel.schedule(x, 1);
      });
    expect(times).toBe(10);
  });

  it('keeps to its limit and loses none, also after a long pause', () => {
    const wheel = new Wheel<ReturnType<typeof item>>(20, 0);
    const items = Array.from({ length: 100 }, (_, i) => item(String(i)));
    for (const [i, x] of items.entries()) wheel.schedule(x, 1 + (i % 3));
    const due: string[] = [];
    let most = 0;
    for (let tick = 1_000; tick < 1_020; tick++) {
      const before = due.length;
      wheel.advance(tick, 7, ({ name }) => due.push(name));
      most = Math.max(most, due.length - before);
    }
    expect(most).toBe(7);
    expect(new Set(due).size).toBe(100);
    expect(due).toHaveLength(100);
  });

  it('hands out nothing that one before it took off', () => {
    const wheel = new Wheel<ReturnType<typeof item>>(4, 0);
    const [a, b] = [item('a'), item('b')];
    wheel.schedule(a, 1);
    wheel.schedule(b, 1);
    const due: string[] = [];
    wheel.advance(1, 9, ({ name }) => {
      due.push(name);
      wheel.cancel(b);
    });
    expect(due).toEqual(['a']);
  });
});

describe('phases of ports', () => {
  it('are spread evenly over the interval', () => {
    const tenths = new Array<number>(10).fill(0);
    for (let n = 1; n <= 500; n++)
      for (let no = 1; no <= 4; no++) {
        const tenth = Math.floor(phaseOf(at(n, no)) * 10);
        tenths[tenth] = tenths[tenth]! + 1;
      }
    expect(Math.min(...tenths)).toBeGreaterThan(150);
    expect(Math.max(...tenths)).toBeLessThan(250);
  });
});
