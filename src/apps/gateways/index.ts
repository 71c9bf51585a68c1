import { type App, AppId } from '../../controller/index.ts';
import { Announcer } from './announcer.ts';
import { Elector, type GatewaySettings } from './elector.ts';
import { declareGatewayMetrics } from './metrics.ts';

export type { GatewaySettings } from './elector.ts';

/**
 * Chooses which hypervisor carries frames between a network and the one that it extends, and another one when that fails. The rules that
 * follow are those of the networks and ports. See docs/gateways.md.
 */
export function gatewaysApp(): App {
  let elector: Elector | undefined;
  let announcer: Announcer | undefined;
  return {
    name: 'gateways',
    id: AppId.gateways,
    start(context) {
      const announcing = new Announcer(context);
      announcer = announcing;
      const running = new Elector(context, context.settings as GatewaySettings, announcing);
      elector = running;
      declareGatewayMetrics(context, running.counters);
      context.onChange((change) => running.changed(change));
      context.onStatus('network', (network) => running.verdict(network));
    },
    stop() {
      elector?.close();
      announcer?.close();
    },
  };
}
