import type { MetricSink } from '../../controller/index.ts';

/** What became of a packet-in: places in `packetIns`. The words are label values of a metric, so they are stable API. */
export const Outcome = {
  delivered: 0,
  flooded: 1,
  /** A copy of what the switch forwards itself; looked at for addresses only. */
  copied: 2,
  'unknown-destination': 3,
  unreachable: 4,
  'not-carried': 5,
  'not-sent': 6,
  short: 7,
  truncated: 8,
  'not-a-member': 9,
  'bad-source': 10,
  'declared-source': 11,
  'port-full': 12,
  flapping: 13,
  'over-budget': 14,
} as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

const outcomes = Object.entries(Outcome);

/** Plain numbers, so that the hot path only adds. */
export class LearningCounters {
  readonly packetIns = new Float64Array(outcomes.length);
  learned = 0;
  moved = 0;
  aged = 0;
  conflicts = 0;
  /** Events that were not emitted because there were too many. */
  unsaid = 0;

  declare(metrics: MetricSink, hosts: () => number): void {
    metrics.declare({
      name: 'netloom_learning_packet_ins_total',
      help: 'Packets that switches showed to the learning app, by what became of them.',
      type: 'counter',
      labels: ['outcome'],
      collect: () => outcomes.map(([outcome, place]) => ({ labels: { outcome }, value: this.packetIns[place]! })),
    });
    const counter = (name: string, help: string, collect: () => number): void =>
      metrics.declare({ name, help, type: 'counter', collect });
    counter('netloom_hosts_learned_total', 'Hosts that were learned.', () => this.learned);
    counter('netloom_hosts_moved_total', 'Learned hosts that turned up at another port.', () => this.moved);
    counter('netloom_hosts_aged_total', 'Learned hosts that fell silent.', () => this.aged);
    counter('netloom_host_conflicts_total', 'Addresses or MACs claimed that somebody else has.', () => this.conflicts);
    counter('netloom_host_events_suppressed_total', 'Host events not emitted, being too many.', () => this.unsaid);
    metrics.declare({ name: 'netloom_hosts', help: 'Learned hosts known now.', type: 'gauge', collect: hosts });
  }
}
