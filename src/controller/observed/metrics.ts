import type { MetricSink } from '../kernel/index.ts';
import { type LinkState, linkState } from './links.ts';
import type { ObservedReader } from './types.ts';

/** Declares gauges of switches and links, read when asked. Hosts are counted by the app that learns them. */
export function declareObservedMetrics(metrics: MetricSink, observed: ObservedReader): void {
  metrics.declare({
    name: 'netloom_switches',
    help: 'Switches known, by whether they are connected.',
    type: 'gauge',
    labels: ['connected'],
    collect: () => {
      let connected = 0;
      for (const sw of observed.switches.values()) if (sw.connected) connected++;
      return [
        { labels: { connected: 'true' }, value: connected },
        { labels: { connected: 'false' }, value: observed.switches.size - connected },
      ];
    },
  });
  metrics.declare({
    name: 'netloom_links',
    help: 'Links, each direction counted. presumed: of the last run, not proven yet; down: a switch at an end is not connected.',
    type: 'gauge',
    labels: ['state'],
    collect: () => {
      const counts: Record<LinkState, number> = { up: 0, presumed: 0, down: 0 };
      for (const link of observed.links()) counts[linkState(observed, link)]++;
      return Object.entries(counts).map(([state, value]) => ({ labels: { state }, value }));
    },
  });
}
