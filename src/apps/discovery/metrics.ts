import type { Dpid, MetricSample, MetricSink } from '../../controller/index.ts';

/** Why a frame at a port was refused. Stable: label values of `netloom_lldp_rejected_total`. */
export type Refusal =
  | 'malformed'
  | 'forged'
  | 'unknown-switch'
  | 'unknown-port'
  | 'stale'
  | 'reflected'
  | 'edge-port'
  | 'unproven'
  | 'conflict'
  | 'budget';

/** What discovery counts. */
export class DiscoveryCounters {
  sent = 0;
  unsent = 0;
  received = 0;
  foreign = 0;
  lost = 0;
  readonly #refused = new Map<Dpid, Map<Refusal, number>>();

  refuse(dpid: Dpid, reason: Refusal): void {
    let reasons = this.#refused.get(dpid);
    if (!reasons) {
      reasons = new Map();
      this.#refused.set(dpid, reasons);
    }
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }

  refused(dpid: Dpid, reason: Refusal): number {
    return this.#refused.get(dpid)?.get(reason) ?? 0;
  }

  /** A switch that is forgotten takes its series with it. */
  forget(dpid: Dpid): void {
    this.#refused.delete(dpid);
  }

  declare(metrics: MetricSink): void {
    const counter = (name: string, help: string, collect: () => number): void =>
      metrics.declare({ name, help, type: 'counter', collect });
    counter('netloom_lldp_sent_total', 'Probes handed to switches.', () => this.sent);
    counter('netloom_lldp_unsent_total', 'Probes that a switch could not take when they were due.', () => this.unsent);
    counter('netloom_lldp_received_total', 'Probes of ours that arrived and proved a link.', () => this.received);
    counter('netloom_lldp_foreign_total', 'LLDP frames of others, ignored.', () => this.foreign);
    counter('netloom_link_timeouts_total', 'Links lost because probes no longer arrived.', () => this.lost);
    metrics.declare({
      name: 'netloom_lldp_rejected_total',
      help: 'LLDP frames that were refused, by the switch they arrived at. Counts per port are in the API.',
      type: 'counter',
      labels: ['dpid', 'reason'],
      collect: () => this.#samples(),
    });
  }

  *#samples(): Iterable<MetricSample> {
    for (const [dpid, reasons] of this.#refused) {
      for (const [reason, value] of reasons) yield { labels: { dpid, reason }, value };
    }
  }
}
