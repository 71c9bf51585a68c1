/** One value of a metric at scrape time. Labels never hold a MAC, IP address, cookie or port id. */
export interface MetricSample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * A metric read when Prometheus asks. Reading late keeps the hot path to `n++`, and series of things that no longer exist
 * vanish by themselves. Names start with `netloom_`, use base units, and end in `_total` on counters only.
 */
export interface MetricDeclaration {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly labels?: readonly string[];
  /** A number for a metric without labels, else its samples. */
  collect(): number | Iterable<MetricSample>;
}

/** A distribution, observed as things happen. */
export interface Histogram {
  observe(value: number, labels?: Readonly<Record<string, string>>): void;
}

/** Where parts declare what they measure; the telemetry room answers `/metrics` from it. */
export interface MetricSink {
  declare(metric: MetricDeclaration): void;
  histogram(spec: {
    readonly name: string;
    readonly help: string;
    readonly buckets: readonly number[];
    readonly labels?: readonly string[];
  }): Histogram;
}
