import { collectDefaultMetrics, Histogram as PromHistogram, Registry } from 'prom-client';
import {
  type Histogram,
  InvariantError,
  type Logger,
  type MetricDeclaration,
  type MetricSink,
} from '../kernel/index.ts';
import { checkMetricName } from './naming.ts';
import { PulledCounter, PulledGauge } from './pulled.ts';

/** What docs/metrics.md says of one metric. */
export interface DescribedMetric {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets?: readonly number[];
}

/** A sink that can tell what was declared. */
export interface DescribedSink extends MetricSink {
  described(): readonly DescribedMetric[];
}

export interface Telemetry {
  readonly sink: DescribedSink;
  /** Prometheus text of everything declared. May run several times at once. */
  render(): Promise<string>;
  readonly contentType: string;
  /** Stops what the process metrics hold; only tests need it. */
  close(): void;
}

export interface TelemetryOptions {
  readonly log: Logger;
  /** CPU, memory, garbage collection and event-loop lag of the process (`process_*`, `nodejs_*`). Default true. */
  readonly processMetrics?: boolean;
}

/** prom-client calls these gauges `_total`, which Prometheus' linter refuses; the same numbers exist per type without it. */
const misnamed = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

/** Creates the registry behind `/metrics`. Declaring a name twice, or against the naming rules, is an InvariantError. */
export function createTelemetry({ log, processMetrics = true }: TelemetryOptions): Telemetry {
  const registry = new Registry();
  const described: DescribedMetric[] = [];
  const complained = new Set<string>();
  let failures = 0;

  const onFailure = (metric: string, reason: string, error?: unknown): void => {
    failures++;
    // Once per metric and reason: a scrape comes every few seconds for ever.
    if (complained.size > 1_000 || complained.has(`${metric} ${reason}`)) return;
    complained.add(`${metric} ${reason}`);
    log.error({ metric, reason, err: error }, 'metric could not be read');
  };

  const describe = (metric: DescribedMetric): void => {
    checkMetricName(metric);
    if (described.some(({ name }) => name === metric.name)) {
      throw new InvariantError(`metric ${metric.name} is declared twice`, { name: metric.name });
    }
    described.push(metric);
  };

  const sink: DescribedSink = {
    declare(declaration: MetricDeclaration): void {
      const { name, type, help, labels = [] } = declaration;
      describe({ name, type, help, labels });
      registry.registerMetric(
        type === 'counter' ? new PulledCounter(declaration, onFailure) : new PulledGauge(declaration, onFailure),
      );
    },
    histogram({ name, help, buckets, labels = [] }): Histogram {
      describe({ name, type: 'histogram', help, labels, buckets });
      const histogram = new PromHistogram({
        name,
        help,
        buckets: [...buckets],
        labelNames: [...labels],
        registers: [registry],
      });
      return {
        observe(value, given) {
          if (given) histogram.observe(given, value);
          else histogram.observe(value);
        },
      };
    },
    described: () => described,
  };

  sink.declare({
    name: 'netloom_metrics_failures_total',
    help: 'Metrics that could not be read, or had values or labels that were left out.',
    type: 'counter',
    collect: () => failures,
  });

  if (processMetrics) {
    collectDefaultMetrics({ register: registry });
    for (const name of misnamed) registry.removeSingleMetric(name);
  }

  return {
    sink,
    render: () => registry.metrics(),
    contentType: registry.contentType,
    close: () => registry.clear(),
  };
}
