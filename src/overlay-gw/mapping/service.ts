import type { AppContext, LispSite, ObjectVerdict, Store } from '../../controller/index.ts';
import {
  type EidPrefix,
  LispServer,
  MappingSystem,
  type Rate,
  type Registration,
  type RegistrationListener,
} from '../lisp/index.ts';
import { Census } from './census.ts';
import { DesiredFeed } from './feed.ts';
import { Keeper } from './keeper.ts';
import { type HostPort, hostPort, type ListenAddress, listenAddresses, listenError } from './listen.ts';
import { declareMetrics, MessageCounts } from './metrics.ts';
import { PortFeed } from './ports.ts';
import { lispRoutes } from './routes.ts';

/** What the mapping system is given. */
export interface LispAppSettings {
  /** Where routers register and ask; empty: nowhere. */
  readonly listen: readonly HostPort[];
  readonly solicit: boolean;
  /** Datagrams that are taken of one address; undefined: all. */
  readonly sourceRate: Rate | undefined;
  /** UDP port that routers listen at. */
  readonly routerPort: number;
  /** Addresses of re-encapsulating routers that routers behind a NAT may use. */
  readonly rtrs: readonly string[];
  /** Where registrations are kept over restarts. */
  readonly store: Pick<Store, 'txn' | 'range' | 'get'>;
  /** Told where routers register and ask, once the sockets are open. */
  readonly listening: (address: string) => void;
}

/** Tells all of several listeners. */
const tellAll = (listeners: readonly RegistrationListener[]): RegistrationListener => ({
  put(prefix: EidPrefix, registration: Registration, before: Registration | undefined) {
    for (const each of listeners) each.put(prefix, registration, before);
  },
  removed(prefix: EidPrefix, registration: Registration, expired: boolean) {
    for (const each of listeners) each.removed(prefix, registration, expired);
  },
});

/** The mapping system with all that belongs to it in a controller. */
export class LispService {
  readonly #context: AppContext;
  readonly #settings: LispAppSettings;
  readonly #server: LispServer;
  readonly #system: MappingSystem;
  readonly #keeper: Keeper;
  readonly #census: Census;
  readonly #feed: DesiredFeed;
  readonly #ports: PortFeed;
  readonly #addresses: readonly ListenAddress[];

  private constructor(context: AppContext, settings: LispAppSettings, addresses: readonly ListenAddress[]) {
    const { clock, log, metrics, state } = context;
    const { solicit, sourceRate, routerPort, rtrs, store } = settings;
    this.#context = context;
    this.#settings = settings;
    this.#addresses = addresses;
    const counts = new MessageCounts();
    this.#keeper = new Keeper({ store, clock, log });
    this.#census = new Census({
      clock,
      event: (type, fields) => context.event(type, fields),
      changed: (siteId) => context.statusChanged('lispSite', siteId),
    });
    this.#server = new LispServer({
      log,
      listen: addresses,
      receive: (bytes, from, to) => {
        counts.in(bytes);
        this.#system.receive(bytes, from, to);
      },
    });
    const ports = new Map(addresses.map(({ address, port }) => [address, port]));
    this.#system = new MappingSystem({
      clock,
      log,
      send: (bytes, to, from) => {
        counts.out(bytes);
        this.#server.send(bytes, to, from);
      },
      solicit,
      controlPort: routerPort,
      portOf: (address) => ports.get(address) ?? routerPort,
      rtrs: rtrs.map((address) => ({ afi: address.includes(':') ? 'ipv6' : 'ipv4', address })),
      registrations: tellAll([this.#keeper, this.#census]),
      ...(sourceRate ? { sourceRate } : {}),
    });
    this.#feed = new DesiredFeed(this.#system);
    this.#ports = new PortFeed(this.#system, state.desired);
    context.onChange((change) => {
      this.#feed.changed(change);
      this.#ports.changed(change);
    });
    context.onStatus('lispSite', (site) => this.#verdict(site));
    for (const route of lispRoutes(this.#system, { clock, state })) context.route(route);
    declareMetrics(metrics, {
      system: this.#system,
      server: this.#server,
      counts,
      census: this.#census,
      keeper: this.#keeper,
    });
  }

  /** Takes up what is wanted and what was registered before, and listens. Rejects with ConfigError, StoreError or the system's error. */
  static async start(
    context: AppContext,
    settings: LispAppSettings,
    made: (service: LispService) => void,
  ): Promise<void> {
    const service = new LispService(context, settings, await listenAddresses(settings.listen));
    made(service);
    await service.#start();
  }

  async #start(): Promise<void> {
    const { log, state, readiness } = this.#context;
    this.#feed.load(state.desired);
    this.#ports.load();
    this.#census.quiet = true;
    const restored = await this.#keeper.restore(this.#system);
    this.#census.quiet = false;
    if (restored > 0) log.info({ registrations: restored }, 'LISP registrations of before are there again');
    if (this.#addresses.length === 0) return;
    try {
      await this.#server.start();
    } catch (error) {
      throw listenError(error);
    }
    const at = this.#server.endpoints.map(hostPort).join(',');
    readiness(() => ({ name: 'lisp', ok: true, reason: at }));
    this.#settings.listening(at);
    log.info({ listen: at }, 'LISP routers may register and ask');
  }

  /** What stands in the status of a LISP site. */
  #verdict({ id, keys }: LispSite): ObjectVerdict {
    const { routers, registrations } = this.#census.of(id);
    const fields = { keys: keys.length, routers, registrations };
    if (routers > 0) return { ok: true, reason: 'Registered', message: `${routers} router(s) registered`, fields };
    return keys.length === 0
      ? { ok: true, reason: 'NoKeys', message: 'no router can register: there are no keys', fields }
      : { ok: true, reason: 'NotRegistered', message: 'no router is registered', fields };
  }

  /** Stops listening and stores what is registered. Rejects with StoreError. */
  async close(): Promise<void> {
    await this.#server.stop();
    this.#system.close();
    await this.#keeper.close();
  }
}
