import type { Histogram, MetricSink } from '../kernel/index.ts';
import type { SwitchWorker } from './worker.ts';

/** What the book counts. */
export class BookCounters {
  /** Rules that two owners wanted differently: bugs of ours. */
  conflicts = 0;
  /** Changes confirmed, by kind and command. */
  readonly changes = new Map<string, number>();
  /** Rules refused, by name of the switch's error. */
  readonly refusals = new Map<string, number>();
  readonly bundles = { committed: 0, failed: 0, barrier: 0 };
  readonly reconciles = { clean: 0, drifted: 0, failed: 0 };
  readonly drift = { missing: 0, unexpected: 0, different: 0 };
  /** From taking a change to its confirmation, seconds. */
  readonly applySeconds: Histogram;

  constructor(metrics: MetricSink, workers: () => Iterable<SwitchWorker>) {
    const labelled =
      (label: string, values: () => Iterable<readonly [string, number]>) =>
      (): Iterable<{ labels: Record<string, string>; value: number }> =>
        [...values()].map(([name, value]) => ({ labels: { [label]: name }, value }));
    const total = (value: (worker: SwitchWorker) => number) => (): number => {
      let sum = 0;
      for (const worker of workers()) sum += value(worker);
      return sum;
    };
    metrics.declare({
      name: 'netloom_rules',
      help: 'Flows, groups and meters wanted, over all switches.',
      type: 'gauge',
      collect: total((worker) => worker.ledger.size),
    });
    metrics.declare({
      name: 'netloom_rules_failed',
      help: 'Rules that a switch refused and that wait for another try.',
      type: 'gauge',
      collect: total((worker) => worker.ledger.failed.size),
    });
    metrics.declare({
      name: 'netloom_rule_switches_synced',
      help: 'Switches that were compared and put right since they connected.',
      type: 'gauge',
      collect: total((worker) => (worker.ready ? 1 : 0)),
    });
    metrics.declare({
      name: 'netloom_rule_changes_total',
      help: 'Changes that switches confirmed; `change` is kind and command, e.g. flow.add.',
      type: 'counter',
      labels: ['change'],
      collect: labelled('change', () => this.changes),
    });
    metrics.declare({
      name: 'netloom_rule_refusals_total',
      help: 'Rules that a switch refused, by name of its error.',
      type: 'counter',
      labels: ['error'],
      collect: labelled('error', () => this.refusals),
    });
    metrics.declare({
      name: 'netloom_rule_conflicts_total',
      help: 'Rules that two owners wanted differently (bugs).',
      type: 'counter',
      collect: () => this.conflicts,
    });
    metrics.declare({
      name: 'netloom_rule_batches_total',
      help: 'Changes sent: committed bundles, failed bundles, and batches with a barrier only.',
      type: 'counter',
      labels: ['result'],
      collect: labelled('result', () => Object.entries(this.bundles)),
    });
    metrics.declare({
      name: 'netloom_reconciles_total',
      help: 'Comparisons of connected switches with what is wanted.',
      type: 'counter',
      labels: ['result'],
      collect: labelled('result', () => Object.entries(this.reconciles)),
    });
    metrics.declare({
      name: 'netloom_drift_rules_total',
      help: 'Rules that a comparison found missing, unexpected or different.',
      type: 'counter',
      labels: ['kind'],
      collect: labelled('kind', () => Object.entries(this.drift)),
    });
    this.applySeconds = metrics.histogram({
      name: 'netloom_rule_apply_seconds',
      help: 'From sending a change to the confirmation of the switch.',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    });
  }

  /** One more of something that is counted by name. */
  static bump(counts: Map<string, number>, name: string): void {
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
}
