import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PortReason } from '../../ofproto/index.ts';
import { type Config, endpoint, type ListenerConfig, segmentRange } from '../config/index.ts';
import { type Clock, ConfigError, type Dpid, type Logger, systemClock } from '../kernel/index.ts';
import {
  type DesiredChange,
  type ObjectService,
  objectOfPath,
  openObjectService,
  type Port,
  restPath,
} from '../model/index.ts';
import {
  createHttpServer,
  EventLog,
  type HttpServer,
  observedApi,
  publishChanges,
  type ReadinessCheck,
  type RouteSpec,
} from '../northbound/index.ts';
import { declareObservedMetrics, Observed, type ObservedChange } from '../observed/index.ts';
import { CompileEngine, countFlows, isOurs, RuleBook } from '../rules/index.ts';
import { type ListenerSpec, OpenFlowServer, type Session, type SwitchDescription } from '../session/index.ts';
import { IdAllocator, IdSpaces, openSqliteStore, type Store, StoredHintStore } from '../store/index.ts';
import type { Telemetry } from '../telemetry/index.ts';
import type { App, NetworkState, ObjectVerdict, StateChange } from './app.ts';
import { AppHost, loadApp } from './app-host.ts';
import { Arrivals } from './arrivals.ts';
import { portsOfDevice } from './devices.ts';
import { ObjectStatus, type PortProblem } from './object-status.ts';
import { portOf } from './switch-port.ts';

/** What `main.ts` hands in: configuration, and the apps that this build ships. */
export interface ControllerOptions {
  readonly config: Config;
  readonly version: string;
  readonly log: Logger;
  readonly telemetry: Telemetry;
  readonly clock?: Clock;
  /** Apps with their settings, in order of start. */
  readonly apps: (facts: AppFacts) => readonly (readonly [app: App, settings: unknown])[];
  /** Why a port cannot work as things are. */
  readonly portProblem: (port: Port, state: NetworkState) => PortProblem | undefined;
}

/** What apps that this build ships are made from. */
export interface AppFacts {
  readonly discoveryKey: Buffer;
  readonly objects: ObjectService;
  readonly store: Store;
  /** Resolves when the next run of the controller would know of switches and ports what this one does now. */
  readonly remembered: () => Promise<void>;
  /**
   * Resolves when all that has changed by now is compiled, and every connected switch has confirmed what it holds for these objects (by
   * REST path), `needed` being one of them. Rejects when `signal` aborts.
   */
  readonly programmed: (objects: readonly string[], needed: Dpid | undefined, signal: AbortSignal) => Promise<void>;
  /** To be told where an app listens, once it does. */
  readonly listening: (protocol: 'ovsdb' | 'lisp', address: string) => void;
}

/** Where a running controller is reached. */
export interface Addresses {
  readonly openflow: readonly string[];
  /** Where databases of switches dial in; empty when they may not. */
  readonly ovsdb: string;
  /** Where LISP routers register and ask, several with commas; empty when they may not. */
  readonly lisp: string;
  readonly http: string;
}

/** How long a switch may wait for compilation before it is compared. */
const COMPILE_WAIT_MS = 2_000;

const hostPort = (host: string, port: number): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);

/** The parts put together. `start` brings them up in the order that keeps a correct switch untouched; `stop` takes them down. */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #events: EventLog;
  readonly #observed: Observed;
  readonly #hints: StoredHintStore;
  readonly #objects: ObjectService;
  readonly #store: Store;
  readonly #book: RuleBook;
  readonly #engine: CompileEngine<NetworkState, StateChange>;
  readonly #state: NetworkState;
  readonly #status: ObjectStatus;
  readonly #apps: AppHost;
  readonly #server: OpenFlowServer;
  readonly #arrivals: Arrivals<Session>;
  #http: HttpServer | undefined;
  #unclaimedPacketIns = 0;
  #listening = false;
  #compiled = false;
  #firstCompiled: () => void = () => {};
  readonly #whenCompiled = new Promise<void>((resolve) => {
    this.#firstCompiled = resolve;
  });
  #stopping: Promise<void> | undefined;

  private constructor(options: ControllerOptions, store: Store, objects: ObjectService, hints: StoredHintStore) {
    const { config, log, telemetry } = options;
    const clock = options.clock ?? systemClock;
    const metrics = telemetry.sink;
    this.#options = options;
    this.#log = log;
    this.#clock = clock;
    this.#store = store;
    this.#objects = objects;
    this.#hints = hints;
    this.#events = new EventLog({ clock, revision: objects.revision });
    this.#observed = new Observed({
      clock,
      hints,
      onFailure: (event, listener, err) => log.error({ event, listener, err }, 'listener failed'),
    });
    this.#state = { desired: objects.desired, observed: this.#observed, defaultNetwork: config.defaultNetwork };
    this.#book = new RuleBook({
      clock,
      log,
      metrics,
      reconcileMs: config.rules.reconcileMs,
      scopeOf: tenantOf,
      listener: {
        ownerChanged: (_key, object) => {
          // Only tenants' objects have a status; the hosts of a fabric, all behind one path, would be summed up each time.
          if (object !== undefined && tenantOf(object) !== undefined) this.#status.touch(object);
        },
        refused: (event) => this.#event('rule.refused', event),
        drift: (event) => this.#event('switch.drift', event),
        synced: (event) => this.#event('switch.synced', event),
      },
    });
    this.#engine = new CompileEngine({ state: () => this.#state, target: this.#book, clock, log, metrics });
    this.#status = new ObjectStatus({
      book: this.#book,
      clock,
      port: (path) => this.#port(path),
      portProblem: (port) => options.portProblem(port, this.#state),
      verdict: (path) => this.#verdict(path),
      onReady: (path, { status, reason, message }) =>
        this.#event(
          status === 'True' ? 'object.ready' : 'object.degraded',
          { object: path, reason, message },
          tenantOf(path),
        ),
    });
    this.#arrivals = new Arrivals({
      clock,
      crowded: () => this.#server.crowded,
      takeIn: (session) => void this.#up(session),
    });
    const appNumbers = new IdAllocator(store, IdSpaces.app);
    this.#apps = new AppHost({
      log,
      clock,
      metrics,
      state: this.#state,
      observed: this.#observed,
      registerCompiler: (compiler) => void this.#engine.register(compiler),
      switchPort: (dpid) => this.#server.sessions.get(dpid),
      event: (type, fields, tenant) => this.#event(type, fields, tenant),
      statusChanged: (kind, id, tenant = '') => this.#status.touch(restPath(kind, { tenant, id })),
      appNumber: (name) => appNumbers.allocate(name),
    });
    this.#server = new OpenFlowServer({
      listeners: config.openflow.listen.map(listenerSpec),
      limits: {
        handshakeMs: config.openflow.handshakeMs,
        echoIntervalMs: config.openflow.echoIntervalMs,
        echoTimeoutMs: config.openflow.echoTimeoutMs,
        requestTimeoutMs: config.openflow.requestTimeoutMs,
      },
      log,
      clock,
      metrics,
      handlers: {
        up: (session) => this.#arrivals.add(session),
        down: (session, reason) => {
          this.#book.disconnect(session.dpid, session);
          this.#observed.switchDown(session.dpid);
          this.#event('switch.disconnected', { switch: session.dpid, reason });
        },
        packetIn: (session, view) => {
          const high = view.cookieHi;
          if (!isOurs(high) || !this.#apps.packetIn(high & 0xffff, session, view)) this.#unclaimedPacketIns++;
        },
        portStatus: (session, { reason, port }) => {
          if (reason === PortReason.delete) this.#observed.portRemoved(session.dpid, port.portNo);
          else this.#observed.portChanged(session.dpid, portOf(port));
        },
        flowRemoved: (session, message) => {
          this.#book.flowRemoved(session.dpid, message);
          if (isOurs(message.cookieHi)) this.#apps.flowRemoved(message.cookieHi & 0xffff, session, message);
        },
        switchError: (session, error) => this.#event('switch.error', { switch: session.dpid, error: error.message }),
        alarm: (alarm) => this.#event(`switch.${alarm.kind}`, { ...alarm }),
      },
    });
    declareObservedMetrics(metrics, this.#observed);
    metrics.declare({
      name: 'netloom_packet_in_unclaimed_total',
      help: 'Packet-ins whose cookie names no app of ours.',
      type: 'counter',
      collect: () => this.#unclaimedPacketIns,
    });
  }

  /**
   * Opens the store, loads both states, compiles all rules, and only then listens. Rejects with ConfigError, StoreError or the
   * system's error (port taken); then nothing is left open.
   */
  static async start(options: ControllerOptions): Promise<Controller> {
    const { config, log, telemetry } = options;
    const clock = options.clock ?? systemClock;
    mkdirSync(config.dataDir, { recursive: true, mode: 0o700 });
    const metrics = telemetry.sink;
    const store = await openSqliteStore({ path: join(config.dataDir, 'netloom.db'), log, clock, metrics });
    let controller: Controller | undefined;
    try {
      const objects = await openObjectService({
        store,
        log,
        clock,
        metrics,
        underlay: config.underlay,
        segments: {
          vxlan: segmentRange('overlay.vnis', config.overlay.vnis),
          nvgre: segmentRange('overlay.vsids', config.overlay.vsids),
        },
      });
      const hints = new StoredHintStore({ store, log, clock });
      controller = new Controller(options, store, objects, hints);
      await controller.#start();
      return controller;
    } catch (error) {
      if (controller) await controller.stop();
      else await store.close();
      throw error;
    }
  }

  /** Where it listens. */
  addresses: Addresses = { openflow: [], http: '', ovsdb: '', lisp: '' };

  /** What apps answer over HTTP. */
  get routes(): readonly RouteSpec[] {
    return this.#apps.routes;
  }

  async #start(): Promise<void> {
    const { config } = this.#options;
    this.#observed.load(await this.#hints.load());
    this.#objects.setStatusProvider(this.#status.provider);
    this.#objects.setPlanner((changes, _desired, purpose) =>
      purpose === 'quota'
        ? { report: undefined, flowsOfTenant: this.#flowsOfTenants(changes) }
        : { report: { changes: this.#engine.plan(changes, this.#state) } },
    );
    this.#objects.onChange('core', (changes, revision) => this.#desiredChanged(changes, revision));
    publishChanges(this.#objects, this.#events);
    this.#observed.onChange('core', (change) => this.#observedChanged(change));
    const discoveryKey = secret(join(config.dataDir, 'discovery-key'));
    const listening = { ovsdb: '', lisp: '' };
    const facts: AppFacts = {
      discoveryKey,
      objects: this.#objects,
      store: this.#store,
      remembered: () => {
        this.#observed.rememberNow();
        return this.#hints.flush();
      },
      programmed: async (objects, needed, signal) => {
        await this.#whenCompiled;
        // Apps hear of a change before compilers do.
        await Promise.resolve();
        await this.#engine.caughtUp();
        await this.#book.whenProgrammed(objects, needed, signal);
      },
      listening: (protocol, address) => {
        listening[protocol] = address;
      },
    };
    for (const [app, settings] of this.#options.apps(facts)) await this.#apps.start(app, settings);
    for (const reference of config.apps) {
      const app = await loadApp(reference);
      await this.#apps.start(app, config.appSettings[app.name]);
    }
    this.#engine.compileAll(this.#objects.revision);
    await this.#engine.settled();
    this.#compiled = true;
    this.#firstCompiled();
    const openflow = (await this.#server.listen()).map(({ host, port }) => hostPort(host, port));
    this.#listening = true;
    this.#http = await createHttpServer({
      objects: this.#objects,
      ready: this.#status,
      moves: { waitsFor: (port) => this.#waitsFor(port) },
      observed: observedApi(this.#observed, this.#objects.desired, (index) => this.#networkPath(index)),
      rules: this.#book,
      events: this.#events,
      telemetry: this.#options.telemetry,
      readiness: () => [
        storeReadiness(this.#store),
        { name: 'rules', ok: this.#compiled },
        { name: 'openflow', ok: this.#listening },
        ...this.#apps.readiness(),
      ],
      log: this.#log,
      clock: this.#clock,
      version: this.#options.version,
      routes: this.#apps.routes,
      options: {
        allowRemote: config.http.allowRemote,
        ...(config.http.rateLimit > 0 ? { rateLimit: { max: config.http.rateLimit, windowMs: 1_000 } } : {}),
      },
    });
    const { host, port } = endpoint('http.listen', config.http.listen);
    const bound = await this.#http.listen(host, port);
    this.addresses = { openflow, ...listening, http: `http://${hostPort(bound.address, bound.port)}` };
  }

  /** Finishes requests, then takes everything down. Flows stay on the switches. Calling it again waits for the first. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#listening = false;
    await this.#http?.close();
    await this.#apps.stop();
    this.#book.close();
    await this.#server.close('controller stops');
    this.#observed.close();
    await this.#hints.close();
    await this.#objects.close();
    await this.#store.close();
  }

  async #up(session: Session): Promise<void> {
    const { dpid } = session;
    const gone = (): boolean => this.#server.sessions.get(dpid) !== session;
    try {
      const index = this.#observed.switches.get(dpid)?.index ?? (await this.#hints.switchIndex(dpid));
      if (gone()) return;
      const { manufacturer, hardware, software } = session.description;
      this.#observed.switchUp({
        dpid,
        index,
        remote: session.remote,
        manufacturer,
        hardware,
        software,
        nicira: isOpenVswitch(session.description),
        ports: [...session.ports.values()].map(portOf),
      });
      this.#event('switch.connected', { switch: dpid, remote: session.remote, software });
      // What it should hold is compiled before it is compared: else it would lose rules and get them back.
      await Promise.race([
        this.#apps.beforeCompare(dpid).then(() => this.#engine.settled()),
        new Promise<void>((resolve) => this.#clock.after(COMPILE_WAIT_MS, resolve)),
      ]);
      if (gone()) return;
      const changes = await this.#book.connect(session);
      if (changes !== undefined) this.#log.info({ dpid, changes }, 'switch holds what it should');
    } catch (err) {
      if (gone()) return;
      this.#log.error({ dpid, err }, 'switch could not be taken in');
      session.close('could not be taken in');
    }
  }

  #desiredChanged(changes: readonly DesiredChange[], revision: number): void {
    this.#status.changed(changes);
    for (const change of changes) this.#apps.changed(change);
    this.#engine.change(changes, revision);
  }

  #observedChanged(change: ObservedChange): void {
    this.#apps.changed(change);
    this.#engine.change([change]);
    if (change.kind === 'switch' || change.kind === 'observed-port') this.#status.touchWaiters();
    if (change.kind === 'device') {
      for (const port of portsOfDevice(change, this.#objects.desired))
        this.#status.touch(restPath('port', { tenant: port.tenant, id: port.id }));
    }
  }

  /** Flows that tenants would want after these changes, and after all that waits to be compiled. */
  #flowsOfTenants(changes: readonly DesiredChange[]): ReadonlyMap<string, number> {
    const flows = new Map<string, number>();
    const change = (tenant: string, by: number): void => {
      flows.set(tenant, (flows.get(tenant) ?? this.#book.flowsOfScope(tenant)) + by);
    };
    for (const { after } of changes) if (after && 'tenant' in after) change(after.tenant, 0);
    for (const [owner, placement] of this.#engine.outlook(changes, this.#state)) {
      const tenant = owner.object === undefined ? undefined : tenantOf(owner.object);
      if (tenant !== undefined) change(tenant, countFlows(placement) - this.#book.flowCount(owner.key));
    }
    return flows;
  }

  #event(type: string, fields: Readonly<Record<string, unknown>>, tenant?: string): void {
    this.#events.publish({ type, ...(tenant === undefined ? {} : { tenant }), data: fields });
  }

  #port(path: string): Port | undefined {
    const match = /^\/v1\/tenants\/([^/]+)\/ports\/([^/]+)$/.exec(path);
    return match ? this.#objects.desired.ports.get(`${match[1]}/${match[2]}`) : undefined;
  }

  /** What the new place of a port that moves lacks: the same as for a port that was bound there. */
  #waitsFor(port: Port): string | undefined {
    const binding = port.migration?.to;
    return this.#options.portProblem({ ...port, binding, migration: undefined }, this.#state)?.message;
  }

  #verdict(path: string): ObjectVerdict | undefined {
    // Most objects are ports, of which apps say nothing here.
    const { kind, ids } = (path.includes('/ports/') ? undefined : objectOfPath(path)) ?? {};
    const { hypervisors, lispSites, networks } = this.#objects.desired;
    if (kind === 'network') {
      const network = networks.get(`${ids?.tenant}/${ids?.id}`);
      return network && this.#apps.verdict(kind, network);
    }
    if (kind === 'hypervisor') {
      const hypervisor = hypervisors.get(ids?.id ?? '');
      return hypervisor && this.#apps.verdict(kind, hypervisor);
    }
    const site = kind === 'lispSite' ? lispSites.get(ids?.id ?? '') : undefined;
    return site && this.#apps.verdict('lispSite', site);
  }

  #networkPath(index: number): string | undefined {
    const network = this.#objects.desired.networkByIndex(index);
    if (network) return restPath('network', { tenant: network.tenant, id: network.id });
    return index === 0xff_ffff ? 'default' : undefined;
  }
}

function storeReadiness({ problem }: Store): ReadinessCheck {
  return problem ? { name: 'store', ok: false, reason: problem.message } : { name: 'store', ok: true };
}

const tenantOf = (path: string): string | undefined => /^\/v1\/tenants\/([^/]+)/.exec(path)?.[1];

/** Open vSwitch and what is built on it speak Nicira's extensions. */
const isOpenVswitch = ({ manufacturer, hardware }: SwitchDescription): boolean =>
  /open vswitch/i.test(hardware) || /nicira/i.test(manufacturer);

/** A key of this installation: made at the first start, readable by its owner only. */
function secret(path: string): Buffer {
  if (!existsSync(path)) writeFileSync(path, randomBytes(32).toString('hex'), { mode: 0o600 });
  chmodSync(path, 0o600);
  const key = Buffer.from(readFileSync(path, 'utf8').trim(), 'hex');
  if (key.length < 16) throw new ConfigError('dataDir', `${path} holds no key; remove it and a new one is made`);
  return key;
}

function pem(key: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new ConfigError(key, `cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}

function listenerSpec(listener: ListenerConfig): ListenerSpec {
  const [address, tls] = typeof listener === 'string' ? [listener, undefined] : [listener.address, listener.tls];
  const { host, port } = endpoint('openflow.listen', address);
  if (!tls) return { host, port };
  const files = {
    key: pem('openflow.listen[].tls.key', tls.key),
    cert: pem('openflow.listen[].tls.cert', tls.cert),
    ca: pem('openflow.listen[].tls.ca', tls.ca),
  };
  return { host, port, tls: { ...tls, ...files } };
}
