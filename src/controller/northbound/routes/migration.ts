import Type from 'typebox';
import {
  abortByRest,
  completeByRest,
  type Migration,
  type MigrationPhase,
  MigrationSchema,
  migrationJson,
  type ObjectIds,
  type ObjectService,
  type Port,
  type PortEdit,
  readMigrationSpec,
  restPath,
  startMigration,
} from '../../model/index.ts';
import { refusal } from '../problem.ts';
import type { MoveProgress, ReadyWait } from '../providers.ts';
import type { ApiReply, ApiRequest, RouteRegistrar, RouteSpec } from '../route.ts';
import { parameters } from '../schemas.ts';
import { waitOf } from './objects.ts';

interface Deps {
  readonly objects: ObjectService;
  readonly ready: ReadyWait;
  readonly moves: MoveProgress;
}

/** Phases in which what was asked for has come, by what one waits for. */
const ARRIVED: Readonly<Record<'ready' | 'done', ReadonlySet<MigrationPhase>>> = {
  ready: new Set(['ready', 'switched', 'done', 'aborted']),
  done: new Set(['done', 'aborted']),
};

/** Reads and steps of one port's move. */
class MigrationHandlers {
  readonly #deps: Deps;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  get(request: ApiRequest): ApiReply {
    const port = this.#port(idsOf(request));
    if (!port.migration) throw refusal('NL_NOT_FOUND', `port ${port.id} has not moved`);
    return this.#answer(200, port, port.migration);
  }

  async put(request: ApiRequest): Promise<ApiReply> {
    const ids = idsOf(request);
    const waitMs = waitOf(request.query);
    const spec = readMigrationSpec(request.body);
    const before = this.#deps.objects.desired.ports.get(`${ids.tenant}/${ids.id}`)?.migration?.startedAt;
    const started = await this.#step(ids, startMigration(spec));
    if (waitMs !== undefined) await this.#arrived(request, ids, started, 'ready', waitMs);
    return this.#now(ids, started.startedAt === before ? 200 : 201);
  }

  async complete(request: ApiRequest): Promise<ApiReply> {
    const ids = idsOf(request);
    const waitMs = waitOf(request.query);
    const completed = await this.#step(ids, completeByRest);
    if (waitMs !== undefined) await this.#arrived(request, ids, completed, 'done', waitMs);
    return this.#now(ids, 200);
  }

  async abort(request: ApiRequest): Promise<ApiReply> {
    const ids = idsOf(request);
    const waitMs = waitOf(request.query);
    await this.#step(ids, abortByRest);
    if (waitMs === undefined) return this.#now(ids, 200);
    const { revision } = this.#port(ids);
    const path = restPath('port', ids);
    if (await this.#deps.ready.waitReady(path, revision, waitMs, request.signal())) return this.#now(ids, 200);
    throw late(`${path}: aborted as revision ${revision}`, waitMs, { object: path, revision });
  }

  #port(ids: ObjectIds): Port {
    // Says what is wrong with the ids, too.
    this.#deps.objects.get('port', ids);
    return this.#deps.objects.desired.ports.get(`${ids.tenant}/${ids.id}`)!;
  }

  async #step(ids: ObjectIds, edit: PortEdit): Promise<Migration> {
    await this.#deps.objects.move(ids, edit);
    const { migration, id } = this.#port(ids);
    if (!migration) throw refusal('NL_NOT_FOUND', `port ${id} was made anew meanwhile`);
    return migration;
  }

  #now(ids: ObjectIds, status: number): ApiReply {
    const port = this.#port(ids);
    if (!port.migration) throw refusal('NL_NOT_FOUND', `port ${port.id} was made anew meanwhile`);
    return this.#answer(status, port, port.migration);
  }

  #answer(status: number, port: Port, migration: Migration): ApiReply {
    const waitsFor = migration.phase === 'preparing' ? this.#deps.moves.waitsFor(port) : undefined;
    const body = {
      ...migrationJson(migration),
      ...(waitsFor === undefined ? {} : { waitsFor }),
      revision: port.revision,
    };
    return { status, body, headers: { etag: `"${port.revision}"` } };
  }

  /** Resolves when this move is as far, or over, or another one has taken its place. */
  async #arrived(
    request: ApiRequest,
    ids: ObjectIds,
    { startedAt }: Migration,
    what: 'ready' | 'done',
    waitMs: number,
  ): Promise<void> {
    const { objects } = this.#deps;
    const key = `${ids.tenant}/${ids.id}`;
    const isThere = (): boolean => {
      const migration = objects.desired.ports.get(key)?.migration;
      return migration?.startedAt !== startedAt || ARRIVED[what].has(migration.phase);
    };
    if (isThere()) return;
    const ended = AbortSignal.any([request.signal(), AbortSignal.timeout(waitMs)]);
    await new Promise<void>((resolve, reject) => {
      const stop = objects.onChange(`wait for ${key}`, () => {
        if (!isThere()) return;
        stop();
        resolve();
      });
      const timedOut = (): void => {
        stop();
        const port = objects.desired.ports.get(key);
        const path = `${restPath('port', ids)}/migration`;
        reject(
          late(`${path}: not ${what}`, waitMs, {
            object: path,
            ...(port?.migration ? { objectStatus: this.#answer(200, port, port.migration).body } : {}),
          }),
        );
      };
      ended.addEventListener('abort', timedOut, { once: true });
      if (ended.aborted) timedOut();
    });
  }
}

const late = (what: string, waitMs: number, details: Record<string, unknown>) =>
  refusal('NL_TIMEOUT', `${what} within ${waitMs} ms`, [], details);

const idsOf = ({ params }: ApiRequest): ObjectIds => ({ tenant: params['tenant'] ?? '', id: params['id'] ?? '' });

/** `/v1/tenants/{t}/ports/{p}/migration`. */
export function migrationRoutes(registrar: RouteRegistrar, deps: Deps): void {
  const handlers = new MigrationHandlers(deps);
  const { tenant, id, wait, timeout } = parameters;
  const path = '/v1/tenants/:tenant/ports/:id/migration';
  const object = Type.Ref('Migration');
  const common = { tag: 'ports', params: { tenant, id } } satisfies Partial<RouteSpec>;
  registrar.route({
    ...common,
    method: 'GET',
    path,
    operationId: 'getMigration',
    summary: 'Get the move of a port that is under way, or the last one',
    replies: { 200: { description: 'The move', schema: object } },
    errors: ['NL_NOT_FOUND'],
    handle: (request) => handlers.get(request),
  });
  registrar.route({
    ...common,
    method: 'PUT',
    path,
    operationId: 'putMigration',
    summary: 'Begin to move a port',
    description:
      'With `wait` it answers once the new place is ready: the guest may be resumed there. The same again changes nothing; a move to ' +
      'another place while one is under way is refused. See docs/mobility.md.',
    query: { wait, timeout },
    body: { ...MigrationSchema, examples: [{ to: { hypervisor: 'hv2', interfaceId: 'web-1' } }] },
    replies: {
      200: { description: 'It is under way or done already', schema: object },
      201: { description: 'Begun', schema: object },
    },
    errors: ['NL_NOT_FOUND', 'NL_CONFLICT', 'NL_STORE', 'NL_TIMEOUT'],
    handle: (request) => handlers.put(request),
  });
  for (const [step, summary, description] of [
    ['complete', 'Say that the guest runs at the new place', 'With `wait` it answers when the old place is clean.'],
    ['abort', 'Take a move back', 'The port is where it was. Refused when the move is done.'],
  ] as const) {
    registrar.route({
      ...common,
      method: 'POST',
      path: `${path}/${step}`,
      operationId: `${step}Migration`,
      summary,
      description,
      query: { wait, timeout },
      replies: { 200: { description: 'The move', schema: object } },
      errors: ['NL_NOT_FOUND', 'NL_CONFLICT', 'NL_STORE', 'NL_TIMEOUT'],
      handle: (request) => handlers[step](request),
    });
  }
}
