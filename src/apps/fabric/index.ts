import { type App, AppId } from '../../controller/index.ts';
import { fabricCompiler } from './compile.ts';

/**
 * Carries frames between switches: positional destination addresses, hop groups over shortest paths, broadcast and IP
 * multicast to the switches that hold members. See docs/decisions/0003-fabric-forwarding.md.
 */
export const fabricApp: App = {
  name: 'fabric',
  id: AppId.fabric,
  start(context) {
    context.compiler(fabricCompiler);
  },
};

export { fabricCompiler };
