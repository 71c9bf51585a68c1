import type { AppContext } from '../../controller/index.ts';
import type { GatewayCounters } from './elector.ts';

/** Declares what the gateways app tells of itself. */
export function declareGatewayMetrics({ metrics, state }: AppContext, counters: GatewayCounters): void {
  metrics.declare({
    name: 'netloom_gateways',
    help: 'Networks that extend another one, by whether they have a gateway.',
    type: 'gauge',
    labels: ['state'],
    collect: () => {
      const counts = { active: 0, none: 0 };
      for (const { index, extends: extended } of state.desired.networks.values()) {
        if (extended !== undefined) counts[state.observed.gateway(`network/${index}`) ? 'active' : 'none']++;
      }
      return Object.entries(counts).map(([is, value]) => ({ labels: { state: is }, value }));
    },
  });
  metrics.declare({
    name: 'netloom_gateway_takeovers_total',
    help: 'Times that a gateway was replaced by one that stood by, by what was wrong with it.',
    type: 'counter',
    labels: ['cause'],
    collect: () => Object.entries(counters).map(([cause, value]) => ({ labels: { cause }, value })),
  });
}
