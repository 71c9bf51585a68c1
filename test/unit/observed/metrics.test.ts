import { expect, it } from 'vitest';
import type { MetricDeclaration } from '../../../src/controller/kernel/index.ts';
import { declareObservedMetrics } from '../../../src/controller/observed/index.ts';
import { at, bench, cable, description, dpid } from './kit.ts';

it('gauges of switches and links go down as well as up', () => {
  const { observed } = bench();
  const metrics = new Map<string, MetricDeclaration>();
  declareObservedMetrics(
    { declare: (metric) => metrics.set(metric.name, metric), histogram: () => ({ observe: () => {} }) },
    observed,
  );
  const read = (name: string): Record<string, number> => {
    const samples = metrics.get(name)!.collect();
    if (typeof samples === 'number') throw new Error(`${name} has no labels`);
    return Object.fromEntries([...samples].map(({ labels, value }) => [Object.values(labels!).join(), value]));
  };
  for (const n of [1, 2]) observed.switchUp(description(n));
  cable(observed, at(1, 1), at(2, 1));
  expect(read('netloom_switches')).toEqual({ true: 2, false: 0 });
  expect(read('netloom_links')).toEqual({ up: 2, presumed: 0, down: 0 });
  observed.switchDown(dpid(2));
  expect(read('netloom_switches')).toEqual({ true: 1, false: 1 });
  expect(read('netloom_links')).toEqual({ up: 0, presumed: 0, down: 2 });
  observed.forgetSwitch(dpid(2));
  expect(read('netloom_switches')).toEqual({ true: 1, false: 0 });
  expect(read('netloom_links')).toEqual({ up: 0, presumed: 0, down: 0 });
});
