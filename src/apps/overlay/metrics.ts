import type { AppContext } from '../../controller/index.ts';
import type { ProbeCounters } from './prober.ts';

/** Declares what the overlay app tells of itself. */
export function declareOverlayMetrics({ metrics, state }: AppContext, counters: ProbeCounters): void {
  metrics.declare({
    name: 'netloom_tunnels',
    help: 'Ways from a switch to a hypervisor with which it shares networks, by how they are.',
    type: 'gauge',
    labels: ['type', 'state'],
    collect: () => {
      const counts = new Map<string, number>();
      for (const type of ['vxlan', 'nvgre']) for (const is of ['up', 'down', 'unknown']) counts.set(`${type}/${is}`, 0);
      for (const { type, health } of state.observed.tunnels()) {
        const key = `${type}/${health.state}`;
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
      return [...counts].map(([key, value]) => {
        const [type = '', is = ''] = key.split('/');
        return { labels: { type, state: is }, value };
      });
    },
  });
  metrics.declare({
    name: 'netloom_tunnel_probes_total',
    help: 'Probes of tunnels: sent, not sent because the switch was busy, received, and refused: forged, repeated or out of place.',
    type: 'counter',
    labels: ['result'],
    collect: () => Object.entries(counters).map(([result, value]) => ({ labels: { result }, value })),
  });
}
