import { type App, AppId } from '../../controller/index.ts';
import { type LispAppSettings, LispService } from './service.ts';

export type { LispAppSettings } from './service.ts';

/** Makes the app that is the LISP mapping system: a Map-Server and Map-Resolver for routers of others. See docs/lisp.md. */
export function lispApp(): App {
  let service: LispService | undefined;
  return {
    name: 'lisp',
    id: AppId.lisp,
    start: (context) =>
      LispService.start(context, context.settings as LispAppSettings, (made) => {
        service = made;
      }),
    stop: () => service?.close(),
  };
}
