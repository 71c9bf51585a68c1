import { describe, expect, it } from 'vitest';
import { Arrivals } from '../../../src/controller/core/arrivals.ts';
import { Door } from '../../../src/controller/session/door.ts';
import { ManualClock } from '../../kit/manual-clock.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('the door', () => {
  it('is crowded when turn after turn somebody comes, and no longer when nobody does', () => {
    const clock = new ManualClock();
    const door = new Door(clock);
    for (let n = 1; n < 16; n++) door.accepted(n);
    expect(door.crowded).toBe(false);
    door.accepted(16);
    expect(door.crowded).toBe(true);
    clock.pass(90);
    expect(door.crowded).toBe(true);
    clock.pass(10);
    expect(door.crowded).toBe(false);
  });

  it('is not when they come now and then, or all in one turn', () => {
    const door = new Door(new ManualClock());
    for (let n = 0; n < 100; n++) door.accepted(3 * n);
    for (let n = 0; n < 100; n++) door.accepted(300);
    expect(door.crowded).toBe(false);
  });
});

describe('arrivals', () => {
  const queue = () => {
    const clock = new ManualClock();
    const taken: number[] = [];
    const state = { crowded: false };
    const arrivals = new Arrivals<number>({ clock, crowded: () => state.crowded, takeIn: (one) => taken.push(one) });
    return { clock, taken, state, arrivals };
  };

  it('are taken in soon, in order', async () => {
    const { taken, arrivals } = queue();
    arrivals.add(1);
    arrivals.add(2);
    expect(taken).toEqual([]);
    await turn();
    expect(taken).toEqual([1, 2]);
  });

  it('wait for the crowd at the door, but not for ever', async () => {
    const { clock, taken, state, arrivals } = queue();
    state.crowded = true;
    arrivals.add(1);
    clock.pass(600);
    arrivals.add(2);
    await turn();
    expect(taken).toEqual([]);
    clock.pass(500);
    await turn();
    await turn();
    expect(taken).toEqual([1]);
    state.crowded = false;
    await turn();
    await turn();
    expect(taken).toEqual([1, 2]);
  });
});
