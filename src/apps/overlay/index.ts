import { type App, AppId } from '../../controller/index.ts';
import { overlayCompiler } from './compile.ts';

/**
 * Carries networks between hypervisors through VXLAN (RFC 7348) and NVGRE (RFC 7637) tunnels: whom a network hears, head-end
 * replication, split horizon. The ways to single ports are rules of those ports. See docs/overlay.md.
 */
export const overlayApp: App = {
  name: 'overlay',
  id: AppId.overlay,
  start(context) {
    context.compiler(overlayCompiler);
  },
};

export { overlayCompiler };
