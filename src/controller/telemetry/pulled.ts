import { Counter, Gauge, type MetricObjectWithValues, type MetricValue } from 'prom-client';
import type { MetricDeclaration, MetricSample } from '../kernel/index.ts';

/** Called when a metric could not be read; the scrape goes on without it. */
export type CollectFailure = (metric: string, reason: string, error?: unknown) => void;

/** Reads a declaration into values, leaving out what Prometheus would refuse the whole scrape for. */
function read(declaration: MetricDeclaration, onFailure: CollectFailure): MetricValue<string>[] {
  const { name, type, labels = [] } = declaration;
  let collected: number | Iterable<MetricSample>;
  const values: MetricValue<string>[] = [];
  // The same labels twice would make Prometheus drop everything we say: counters add up, of gauges the last one holds.
  const seen = new Map<string, MetricValue<string>>();
  try {
    collected = declaration.collect();
    const samples = typeof collected === 'number' ? [{ value: collected }] : collected;
    for (const sample of samples as Iterable<MetricSample>) {
      const given = sample.labels ?? {};
      if (Object.keys(given).length !== labels.length || labels.some((label) => given[label] === undefined)) {
        onFailure(name, `labels {${Object.keys(given)}} are not the declared {${labels}}`);
        continue;
      }
      if (Number.isNaN(sample.value) || (type === 'counter' && sample.value < 0)) {
        onFailure(name, `value ${sample.value} is none for a ${type}`);
        continue;
      }
      const key = labels.length === 0 ? '' : labels.map((label) => JSON.stringify(given[label])).join();
      const before = seen.get(key);
      if (before) {
        before.value = type === 'counter' ? before.value + sample.value : sample.value;
        continue;
      }
      const value = { value: sample.value, labels: { ...given } };
      seen.set(key, value);
      values.push(value);
    }
  } catch (error) {
    onFailure(name, 'collect failed', error);
  }
  return values;
}

/** A gauge without memory of its own: each scrape asks the part that declared it, so series vanish with their things. */
export class PulledGauge extends Gauge {
  readonly #read: () => MetricValue<string>[];

  constructor(declaration: MetricDeclaration, onFailure: CollectFailure) {
    super({
      name: declaration.name,
      help: declaration.help,
      labelNames: [...(declaration.labels ?? [])],
      registers: [],
    });
    this.#read = () => read(declaration, onFailure);
  }

  override async get(): Promise<MetricObjectWithValues<MetricValue<string>>> {
    return { ...(await super.get()), values: this.#read() };
  }
}

/** A counter kept by the part that declared it; see `PulledGauge`. */
export class PulledCounter extends Counter {
  readonly #read: () => MetricValue<string>[];

  constructor(declaration: MetricDeclaration, onFailure: CollectFailure) {
    super({
      name: declaration.name,
      help: declaration.help,
      labelNames: [...(declaration.labels ?? [])],
      registers: [],
    });
    this.#read = () => read(declaration, onFailure);
  }

  override async get(): Promise<MetricObjectWithValues<MetricValue<string>>> {
    return { ...(await super.get()), values: this.#read() };
  }
}
