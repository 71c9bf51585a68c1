import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { type Logger, type MetricSample, silentLogger } from '../../../src/controller/kernel/index.ts';
import { createTelemetry, metricsMarkdown, seriesCap } from '../../../src/controller/telemetry/index.ts';

const dpid = (n: number): string => n.toString(16).padStart(16, '0');
const make = (log: Logger = silentLogger) => createTelemetry({ log, processMetrics: false });
const lines = (text: string, name: string): string[] => text.split('\n').filter((line) => line.startsWith(name));

describe('metrics', () => {
  it('lose the series of things that no longer exist, and gain new ones, at the next scrape', async () => {
    const telemetry = make();
    const switches = new Map<string, number>();
    telemetry.sink.declare({
      name: 'netloom_switch_flows',
      help: 'Flows on a switch.',
      type: 'gauge',
      labels: ['dpid'],
      *collect() {
        for (const [id, value] of switches) yield { labels: { dpid: id }, value };
      },
    });
    const count = async () => lines(await telemetry.render(), 'netloom_switch_flows{').length;
    expect(await count()).toBe(0);
    for (let n = 1; n <= 20; n++) switches.set(dpid(n), n);
    expect(await count()).toBe(20);
    for (let n = 1; n <= 10; n++) switches.delete(dpid(n));
    switches.set(dpid(11), 3);
    const text = await telemetry.render();
    expect(lines(text, 'netloom_switch_flows{')).toHaveLength(10);
    expect(text).toContain(`netloom_switch_flows{dpid="${dpid(11)}"} 3\n`);
    switches.clear();
    expect(await count()).toBe(0);
  });

  it('are whole in scrapes that run at the same time', async () => {
    const telemetry = make();
    telemetry.sink.declare({
      name: 'netloom_things',
      help: 'Things.',
      type: 'gauge',
      labels: ['dpid'],
      collect: () => Array.from({ length: 500 }, (_, n) => ({ labels: { dpid: dpid(n) }, value: n })),
    });
    const scrapes = await Promise.all(Array.from({ length: 8 }, () => telemetry.render()));
    expect(new Set(scrapes).size).toBe(1);
    expect(lines(scrapes[0]!, 'netloom_things{')).toHaveLength(500);
  });

  it('of which one fails cost no other, and are told of once', async () => {
    const told: object[] = [];
    const telemetry = make({ ...silentLogger, error: (fields) => told.push(fields) });
    telemetry.sink.declare({
      name: 'netloom_broken',
      help: 'Throws.',
      type: 'gauge',
      collect: () => {
        throw new Error('broken');
      },
    });
    telemetry.sink.declare({ name: 'netloom_good', help: 'Works.', type: 'gauge', collect: () => 7 });
    await telemetry.render();
    const text = await telemetry.render();
    expect(text).toContain('netloom_good 7\n');
    expect(lines(text, 'netloom_broken')).toEqual([]);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({ metric: 'netloom_broken' });
  });

  it('leave out samples that would spoil the scrape: wrong labels, no number; equal labels become one', async () => {
    const telemetry = make();
    telemetry.sink.declare({
      name: 'netloom_x_total',
      help: 'X.',
      type: 'counter',
      labels: ['dpid'],
      collect: () =>
        [
          { labels: { dpid: 'a' }, value: 1 },
          { labels: { dpid: 'a' }, value: 2 },
          { labels: { dpid: 'b' }, value: Number.NaN },
          { labels: { dpid: 'c' }, value: -1 },
          { labels: { other: 'd' }, value: 1 },
          { value: 5 },
        ] as MetricSample[],
    });
    const text = await telemetry.render();
    expect(lines(text, 'netloom_x_total')).toEqual(['netloom_x_total{dpid="a"} 3']);
  });

  it('keep counting after a scrape', async () => {
    const telemetry = make();
    const histogram = telemetry.sink.histogram({
      name: 'netloom_wait_seconds',
      help: 'Wait.',
      buckets: [0.1, 1],
      labels: ['route'],
    });
    histogram.observe(0.05, { route: 'a' });
    await telemetry.render();
    histogram.observe(5, { route: 'a' });
    const text = await telemetry.render();
    expect(text).toContain('netloom_wait_seconds_bucket{le="0.1",route="a"} 1\n');
    expect(text).toContain('netloom_wait_seconds_count{route="a"} 2\n');
  });

  it.each([
    ['flows', 'gauge', []],
    ['netloom_Flows', 'gauge', []],
    ['netloom_flows_total', 'gauge', []],
    ['netloom_flows', 'counter', []],
    ['netloom_flows', 'gauge', ['mac']],
    ['netloom_flows', 'gauge', ['switch']],
    ['netloom_flows', 'gauge', ['Dpid']],
  ] as const)('refuse the name %s as %s with labels %j', (name, type, labels) => {
    expect(() => make().sink.declare({ name, help: 'x', type, labels, collect: () => [] })).toThrow('netloom');
  });

  it('refuse to be declared twice', () => {
    const { sink } = make();
    const metric = { name: 'netloom_one', help: 'One.', type: 'gauge', collect: () => 1 } as const;
    sink.declare(metric);
    expect(() => sink.declare(metric)).toThrow('declared twice');
  });

  it('escape what labels hold', async () => {
    const telemetry = make();
    telemetry.sink.declare({
      name: 'netloom_named',
      help: 'A\nB',
      type: 'gauge',
      labels: ['name'],
      collect: () => [{ labels: { name: 'a"b\\c\nd' }, value: 1 }],
    });
    expect(lines(await telemetry.render(), 'netloom_named{')).toEqual(['netloom_named{name="a\\"b\\\\c\\nd"} 1']);
  });

  const promtool = spawnSync('promtool', ['--version']).status === 0;
  if (!promtool) console.warn('skipped: metrics against promtool, which is not installed');
  it.skipIf(!promtool)('satisfy promtool, process metrics among them', async () => {
    const telemetry = createTelemetry({ log: silentLogger });
    telemetry.sink.declare({
      name: 'netloom_up',
      help: 'Up.',
      type: 'gauge',
      labels: ['dpid'],
      collect: () => [{ labels: { dpid: dpid(1) }, value: 1 }],
    });
    telemetry.sink.declare({ name: 'netloom_messages_total', help: 'Messages.', type: 'counter', collect: () => 3 });
    telemetry.sink.histogram({ name: 'netloom_wait_seconds', help: 'Wait.', buckets: [1, 2] }).observe(1);
    const text = await telemetry.render();
    telemetry.close();
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(text).toContain('nodejs_eventloop_lag_p99_seconds');
  });

  it('are listed for the documentation with labels and buckets', () => {
    const { sink } = make();
    sink.declare({ name: 'netloom_b', help: 'B | b.', type: 'gauge', labels: ['dpid'], collect: () => [] });
    sink.histogram({ name: 'netloom_a_seconds', help: 'A.', buckets: [1, 2] });
    const rows = metricsMarkdown(sink)
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    expect(rows).toEqual([
      '| `netloom_a_seconds` | histogram | – | A. Buckets: 1, 2. |',
      '| `netloom_b` | gauge | `dpid` | B \\| b. |',
      expect.stringContaining('netloom_metrics_failures_total'),
    ]);
  });
});

describe('series cap', () => {
  const sample = (tenant: string, value: number): MetricSample => ({ labels: { tenant, dpid: 'x' }, value });

  it('sums what is above it under "other", and keeps series stable while their things live', () => {
    const cap = seriesCap('tenant', 2);
    expect(cap([sample('a', 1), sample('b', 2), sample('c', 3), sample('d', 4)])).toEqual([
      sample('a', 1),
      sample('b', 2),
      { labels: { tenant: 'other', dpid: 'x' }, value: 7 },
    ]);
    // b is gone: c moves up. a keeps its place although it now comes last.
    expect(cap([sample('c', 3), sample('d', 4), sample('a', 1)])).toEqual([
      sample('c', 3),
      sample('a', 1),
      { labels: { tenant: 'other', dpid: 'x' }, value: 4 },
    ]);
  });

  it('returns to nothing when 200 networks with random names came and went', () => {
    const cap = seriesCap('network', 50);
    const all = Array.from({ length: 200 }, () => ({ labels: { network: Math.random().toString(36) }, value: 1 }));
    expect(cap(all)).toHaveLength(51);
    expect(cap([])).toEqual([]);
  });
});
