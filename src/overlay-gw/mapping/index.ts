import { type App, AppId } from '../../controller/index.ts';
import { LispServer, MappingSystem, type Rate } from '../lisp/index.ts';
import { type HostPort, hostPort, listenAddresses, listenError } from './listen.ts';

/** What the app is given. */
export interface LispAppSettings {
  /** Where routers register and ask; empty: nowhere. */
  readonly listen: readonly HostPort[];
  readonly solicit: boolean;
  /** Datagrams that are taken of one address; undefined: all. */
  readonly sourceRate: Rate | undefined;
  /** UDP port that routers listen at. */
  readonly routerPort: number;
  /** Told where routers register and ask, once the sockets are open. */
  readonly listening: (address: string) => void;
}

/** Makes the app that is the LISP mapping system: a Map-Server and Map-Resolver for routers of others. See docs/lisp.md. */
export function lispApp(): App {
  let server: LispServer | undefined;
  let system: MappingSystem | undefined;
  return {
    name: 'lisp',
    id: AppId.lisp,
    async start(context) {
      const { clock, log } = context;
      const { listen, solicit, sourceRate, routerPort, listening } = context.settings as LispAppSettings;
      const addresses = await listenAddresses(listen);
      const sockets = new LispServer({
        log,
        listen: addresses,
        receive: (bytes, from, to) => mappings.receive(bytes, from, to),
      });
      const mappings = new MappingSystem({
        clock,
        log,
        send: sockets.send,
        solicit,
        controlPort: routerPort,
        ...(sourceRate ? { sourceRate } : {}),
      });
      [server, system] = [sockets, mappings];
      if (addresses.length === 0) return;
      try {
        await sockets.start();
      } catch (error) {
        throw listenError(error);
      }
      const at = sockets.endpoints.map(hostPort).join(',');
      context.readiness(() => ({ name: 'lisp', ok: true, reason: at }));
      listening(at);
      log.info({ listen: at }, 'LISP routers may register and ask');
    },
    async stop() {
      system?.close();
      await server?.stop();
    },
  };
}
