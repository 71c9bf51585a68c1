import type { MetricSample } from '../kernel/index.ts';

/**
 * Bounds the series of one label, e.g. `tenant`: the first `limit` values seen keep series of their own as long as they
 * exist, all others are added up under `other`. Stable from scrape to scrape, so a counter does not change its series
 * while its thing lives.
 */
export function seriesCap(label: string, limit: number): (samples: Iterable<MetricSample>) => MetricSample[] {
  let admitted = new Set<string>();
  return (samples) => {
    const all = [...samples];
    const present = new Set<string>();
    for (const sample of all) present.add(sample.labels?.[label] ?? '');
    const kept = new Set<string>();
    for (const value of admitted) if (present.has(value)) kept.add(value);
    for (const value of present) if (kept.size < limit) kept.add(value);
    admitted = kept;

    const out: MetricSample[] = [];
    const others = new Map<string, { labels: Record<string, string>; value: number }>();
    for (const sample of all) {
      if (kept.has(sample.labels?.[label] ?? '')) {
        out.push(sample);
        continue;
      }
      const labels = { ...sample.labels, [label]: 'other' };
      const key = JSON.stringify(labels);
      const sum = others.get(key);
      if (sum) sum.value += sample.value;
      else others.set(key, { labels, value: sample.value });
    }
    return [...out, ...others.values()];
  };
}
