import { type App, AppId, InvariantError } from '../../controller/index.ts';
import { discoveryCompiler } from './compile.ts';
import { Discovery } from './discovery.ts';
import { discoverySettings } from './settings.ts';

/** Makes the app; one for each controller in a process. */
export function makeDiscoveryApp(): App {
  let running: Discovery | undefined;
  return {
    name: 'discovery',
    id: AppId.discovery,
    start(context) {
      if (running) throw new InvariantError('discovery is started already');
      const discovery = new Discovery(context, discoverySettings(context.settings));
      running = discovery;
      context.compiler(discoveryCompiler);
      context.onPacketIn((from, packetIn) => discovery.packetIn(from, packetIn));
      context.onChange((change) => discovery.changed(change));
      discovery.counters.declare(context.metrics);
    },
    stop() {
      running?.close();
      running = undefined;
    },
  };
}

/** Finds links between switches by signed probes, and tells edge ports from them. */
export const discoveryApp: App = makeDiscoveryApp();

export { discoveryCompiler };
