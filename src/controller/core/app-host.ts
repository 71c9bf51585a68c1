import { createRequire } from 'node:module';
import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Clock, ConfigError, type Dpid, InvariantError, type Logger, type MetricSink } from '../kernel/index.ts';
import type { ReadinessCheck, RouteSpec } from '../northbound/index.ts';
import type { ObservedWriter } from '../observed/index.ts';
import type { Compiler } from '../rules/index.ts';
import type {
  App,
  AppContext,
  FlowRemoved,
  Judged,
  NetworkState,
  ObjectVerdict,
  PacketInView,
  StateChange,
  SwitchPort,
} from './app.ts';

/** What the host needs of the core to give to apps. */
export interface AppHostParts {
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: MetricSink;
  readonly state: NetworkState;
  readonly observed: ObservedWriter;
  readonly registerCompiler: (compiler: Compiler<NetworkState, StateChange>) => void;
  readonly switchPort: AppContext['switchPort'];
  readonly event: AppContext['event'];
  readonly statusChanged: AppContext['statusChanged'];
  /** The stored number of a third-party app, allocated at its first start. */
  readonly appNumber: (name: string) => Promise<number>;
}

type PacketInHandler = (from: SwitchPort, packetIn: PacketInView) => void;
type FlowRemovedHandler = (from: SwitchPort, message: FlowRemoved) => void;

/** Errors of one app are logged at most this often; all are counted. */
const LOG_EVERY_MS = 1_000;

/** Starts apps, hands them events by their number, and keeps the error of one from everybody else. */
export class AppHost {
  readonly #parts: AppHostParts;
  readonly #apps: App[] = [];
  readonly #names: string[] = [];
  readonly #packetIn: PacketInHandler[] = [];
  readonly #flowRemoved: FlowRemovedHandler[] = [];
  readonly #onChange: { readonly app: string; readonly fn: (change: StateChange) => void }[] = [];
  readonly #routes: RouteSpec[] = [];
  readonly #waits: { readonly app: string; readonly wait: (dpid: Dpid) => Promise<void> | undefined }[] = [];
  readonly #readiness: { readonly app: string; readonly check: () => ReadinessCheck }[] = [];
  /** Each takes objects of its kind. */
  readonly #verdicts = new Map<keyof Judged, (object: never) => ObjectVerdict | undefined>();
  readonly #errors = new Map<string, number>();
  readonly #loggedAt = new Map<string, number>();

  constructor(parts: AppHostParts) {
    this.#parts = parts;
    parts.metrics.declare({
      name: 'netloom_app_errors_total',
      help: 'Exceptions thrown by apps while they handled something; the event went on to the others.',
      type: 'counter',
      labels: ['app'],
      collect: () => [...this.#errors].map(([app, value]) => ({ labels: { app }, value })),
    });
  }

  /** Names of the apps that run, in order of start. */
  get names(): readonly string[] {
    return this.#apps.map((app) => app.name);
  }

  /** What the apps that run answer over HTTP. */
  get routes(): readonly RouteSpec[] {
    return this.#routes;
  }

  /** Starts one app. Rejects when its name or number is taken, or with what its `start` throws. */
  async start(app: App, settings: unknown): Promise<void> {
    if (this.#apps.some((other) => other.name === app.name))
      throw new ConfigError('apps', `two apps are named ${app.name}`);
    const id = app.id ?? (await this.#parts.appNumber(app.name));
    if (this.#names[id] !== undefined)
      throw new InvariantError(`apps ${this.#names[id]} and ${app.name} share number ${id}`);
    this.#names[id] = app.name;
    this.#apps.push(app);
    await app.start(this.#context(app, id, settings));
  }

  /** Stops all apps, the last started first. One that fails is logged and does not keep the others from stopping. */
  async stop(): Promise<void> {
    for (const app of this.#apps.splice(0).reverse()) {
      try {
        await app.stop?.();
      } catch (error) {
        this.#failed(app.name, error);
      }
    }
    this.#packetIn.length = 0;
    this.#flowRemoved.length = 0;
    this.#onChange.length = 0;
    this.#waits.length = 0;
    this.#readiness.length = 0;
  }

  /** Hands a packet-in to the app that its cookie names. False when there is none. Hot path. */
  packetIn(id: number, from: SwitchPort, view: PacketInView): boolean {
    const handler = this.#packetIn[id];
    if (handler === undefined) return false;
    try {
      handler(from, view);
    } catch (error) {
      this.#failed(this.#names[id]!, error);
    }
    return true;
  }

  /** Hands a flow-removed message to the app that its cookie names. False when there is none. */
  flowRemoved(id: number, from: SwitchPort, message: FlowRemoved): boolean {
    const handler = this.#flowRemoved[id];
    if (handler === undefined) return false;
    try {
      handler(from, message);
    } catch (error) {
      this.#failed(this.#names[id]!, error);
    }
    return true;
  }

  /** Tells all apps of a change that is already in the state. */
  changed(change: StateChange): void {
    for (const { app, fn } of this.#onChange) {
      try {
        fn(change);
      } catch (error) {
        this.#failed(app, error);
      }
    }
  }

  /** Resolves when no app waits for anything about this switch any more. */
  async beforeCompare(dpid: Dpid): Promise<void> {
    for (const { app, wait } of this.#waits) {
      try {
        await wait(dpid);
      } catch (error) {
        this.#failed(app, error);
      }
    }
  }

  /** What apps add to `/readyz`; one that fails is not ready. */
  readiness(): readonly ReadinessCheck[] {
    return this.#readiness.map(({ app, check }) => {
      try {
        return check();
      } catch (error) {
        this.#failed(app, error);
        return { name: app, ok: false, reason: 'internal error' };
      }
    });
  }

  /** What the app in charge says of an object; undefined when there is none, or it fails. */
  verdict<K extends keyof Judged>(kind: K, object: Judged[K]): ObjectVerdict | undefined {
    try {
      return this.#verdicts.get(kind)?.(object as never);
    } catch (error) {
      this.#failed('status', error);
      return undefined;
    }
  }

  #context(app: App, id: number, settings: unknown): AppContext {
    const parts = this.#parts;
    return {
      id,
      log: parts.log.child({ app: app.name }),
      clock: parts.clock,
      metrics: parts.metrics,
      state: parts.state,
      observed: parts.observed,
      settings,
      compiler: (compiler) => parts.registerCompiler(compiler),
      onPacketIn: (handler) => {
        this.#packetIn[id] = handler;
      },
      onFlowRemoved: (handler) => {
        this.#flowRemoved[id] = handler;
      },
      onChange: (fn) => {
        this.#onChange.push({ app: app.name, fn });
      },
      switchPort: parts.switchPort,
      beforeCompare: (wait) => {
        this.#waits.push({ app: app.name, wait });
      },
      onStatus: (kind, verdict) => {
        this.#verdicts.set(kind, verdict);
      },
      statusChanged: parts.statusChanged,
      readiness: (check) => {
        this.#readiness.push({ app: app.name, check });
      },
      route: (spec) => {
        const own = app.id === undefined ? [`/v1/apps/${app.name}`] : [`/v1/apps/${app.name}`, `/v1/${app.name}`];
        if (!own.some((path) => spec.path === path || spec.path.startsWith(`${path}/`))) {
          throw new InvariantError(
            `app ${app.name} may not answer ${spec.path}: its paths start with /v1/apps/${app.name}`,
          );
        }
        this.#routes.push(spec);
      },
      event: parts.event,
    };
  }

  #failed(app: string, error: unknown): void {
    this.#errors.set(app, (this.#errors.get(app) ?? 0) + 1);
    const now = this.#parts.clock.monotonic();
    if (now - (this.#loggedAt.get(app) ?? Number.NEGATIVE_INFINITY) < LOG_EVERY_MS) return;
    this.#loggedAt.set(app, now);
    this.#parts.log.error({ app, err: error }, 'app failed');
  }
}

const isApp = (value: unknown): value is App =>
  typeof value === 'object' &&
  value !== null &&
  typeof (value as App).name === 'string' &&
  /^[a-z][-a-z0-9]*$/.test((value as App).name) &&
  typeof (value as App).start === 'function';

/**
 * Packages resolve from the working folder, where the user installed them; one that offers itself to `import` only is left to
 * Node's own search from here, which finds it when Netloom is installed beside it.
 */
function packageUrl(name: string): string {
  try {
    return pathToFileURL(createRequire(resolve('netloom.js')).resolve(name)).href;
  } catch {
    return name;
  }
}

/**
 * Loads a third-party app by package name, or by path when it starts with `./` or `/`. The module's default export is the
 * app, or a function that makes it. Rejects with ConfigError that names the entry.
 */
export async function loadApp(reference: string): Promise<App> {
  const isPath = reference.startsWith('./') || isAbsolute(reference);
  let module: { default?: unknown };
  try {
    const specifier = isPath ? pathToFileURL(resolve(reference)).href : packageUrl(reference);
    module = (await import(specifier)) as { default?: unknown };
  } catch (cause) {
    throw new ConfigError('apps', `cannot load ${reference}: ${(cause as Error).message}`, { cause });
  }
  const made: unknown = typeof module.default === 'function' ? (module.default as () => unknown)() : module.default;
  if (!isApp(made)) throw new ConfigError('apps', `${reference} has no default export that is an app {name, start}`);
  return made;
}
