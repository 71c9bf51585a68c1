import type { AppContext, Histogram, Migration, MigrationPhase } from '../../controller/index.ts';

/** Tenants that have a series of their own; the others share one. */
const MAX_TENANTS = 100;
const OUTAGE_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const UNDER_WAY = ['preparing', 'ready', 'switched'] as const satisfies readonly MigrationPhase[];

/** What is counted of moves. */
export class MoveMetrics {
  readonly #ended = new Map<string, number>();
  readonly #outage: Histogram;
  readonly #tenants = new Set<string>();

  /** `phases`: of the moves that are under way. */
  constructor({ metrics }: Pick<AppContext, 'metrics'>, phases: () => Iterable<MigrationPhase>) {
    metrics.declare({
      name: 'netloom_migrations',
      help: 'Ports that move, by phase.',
      type: 'gauge',
      labels: ['phase'],
      collect: () => {
        const counts = new Map<MigrationPhase, number>();
        for (const phase of phases()) counts.set(phase, (counts.get(phase) ?? 0) + 1);
        return UNDER_WAY.map((phase) => ({ labels: { phase }, value: counts.get(phase) ?? 0 }));
      },
    });
    metrics.declare({
      name: 'netloom_migrations_total',
      help: 'Moves of ports that ended: how, and whether they had been announced by REST or were found out.',
      type: 'counter',
      labels: ['outcome', 'announced'],
      collect: () =>
        ['done', 'aborted', 'superseded'].flatMap((outcome) =>
          ['true', 'false'].map((announced) => ({
            labels: { outcome, announced },
            value: this.#ended.get(`${outcome}/${announced}`) ?? 0,
          })),
        ),
    });
    this.#outage = metrics.histogram({
      name: 'netloom_migration_outage_seconds',
      help: 'Time during which frames went where a moving guest was not.',
      buckets: OUTAGE_BUCKETS,
      labels: ['tenant'],
    });
  }

  /** A move ended. */
  ended(tenant: string, { announced, outageMs }: Migration, outcome: 'done' | 'aborted' | 'superseded'): void {
    const key = `${outcome}/${announced}`;
    this.#ended.set(key, (this.#ended.get(key) ?? 0) + 1);
    if (outageMs === undefined || outcome !== 'done') return;
    if (this.#tenants.size < MAX_TENANTS) this.#tenants.add(tenant);
    this.#outage.observe(outageMs / 1_000, { tenant: this.#tenants.has(tenant) ? tenant : 'other' });
  }
}
