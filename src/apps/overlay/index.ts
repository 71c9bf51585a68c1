import { type App, AppId } from '../../controller/index.ts';
import { overlayCompiler } from './compile.ts';
import { declareOverlayMetrics } from './metrics.ts';
import { type OverlaySettings, Prober } from './prober.ts';

/**
 * Carries networks between hypervisors through VXLAN (RFC 7348) and NVGRE (RFC 7637) tunnels: whom a network hears, head-end
 * replication, split horizon, and whether the tunnels work. The ways to single ports are rules of those ports. See docs/overlay.md.
 */
export function overlayApp(): App {
  let prober: Prober | undefined;
  return {
    name: 'overlay',
    id: AppId.overlay,
    start(context) {
      const running = new Prober(context, context.settings as OverlaySettings);
      prober = running;
      declareOverlayMetrics(context, running.counters);
      context.onChange((change) => running.changed(change));
      context.onPacketIn((from, view) => running.packetIn(from, view));
      context.compiler(overlayCompiler);
    },
    stop: () => prober?.close(),
  };
}

export { overlayCompiler };
