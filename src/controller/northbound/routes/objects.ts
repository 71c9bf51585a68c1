import Type from 'typebox';
import { RequestError } from '../../kernel/index.ts';
import {
  collectionPath,
  globalKinds,
  kindWords,
  type ObjectIds,
  type ObjectJson,
  type ObjectKind,
  type ObjectService,
  restPath,
  schemas,
  type WriteOptions,
  type WriteResult,
} from '../../model/index.ts';
import { refusal } from '../problem.ts';
import type { ReadyWait } from '../providers.ts';
import { createOnly, duration, flag, ifMatch, integer, type RawQuery, text } from '../query.ts';
import type { ApiReply, ApiRequest, RouteRegistrar, RouteSpec } from '../route.ts';
import { bodies, DryRunSchema, pageSchema, parameters } from '../schemas.ts';

/** Longest `?timeout=`; proxies give up about then. */
export const maxWaitMs = 120_000;
const defaultWaitMs = 10_000;

/** Milliseconds to wait for switches, or undefined when the request does not want to wait. */
export function waitOf(query: RawQuery): number | undefined {
  const wait = text(query, 'wait');
  const timeoutMs = duration(query, 'timeout', maxWaitMs, defaultWaitMs);
  if (wait === undefined) return undefined;
  if (wait !== 'ready') {
    throw refusal('NL_INVALID', '?wait: expected ready', [{ pointer: '?wait', message: 'expected ready' }]);
  }
  return timeoutMs;
}

const etag = (revision: number): string => `"${revision}"`;

/** What a dry run answers: the planner's report, and what would become of the object. */
export const dryRunBody = (plan: unknown, rest: Record<string, unknown>): Record<string, unknown> => ({
  changes: [],
  ...(typeof plan === 'object' && plan !== null ? plan : {}),
  ...rest,
});

interface Deps {
  readonly objects: ObjectService;
  readonly ready: ReadyWait;
}

/** Reads and writes of one kind of object. */
class ObjectHandlers {
  readonly #kind: ObjectKind;
  readonly #deps: Deps;

  constructor(kind: ObjectKind, deps: Deps) {
    this.#kind = kind;
    this.#deps = deps;
  }

  #ids({ params }: ApiRequest): ObjectIds {
    const { tenant = '', id } = params;
    return id === undefined ? { tenant } : { tenant, id };
  }

  list(request: ApiRequest): ApiReply {
    const cursor = text(request.query, 'cursor');
    const limit = integer(request.query, 'limit', 1, 1_000, 100);
    const { tenant } = request.params;
    const page = this.#deps.objects.list(this.#kind, tenant === undefined ? {} : { tenant }, {
      limit,
      ...(cursor === undefined ? {} : { cursor }),
    });
    return { status: 200, body: page };
  }

  get(request: ApiRequest): ApiReply {
    const object = this.#deps.objects.get(this.#kind, this.#ids(request));
    const headers = { etag: etag(object.revision) };
    // No 304 here: `status` is part of the body and changes without the revision.
    return { status: 200, body: object, headers };
  }

  put(request: ApiRequest): Promise<ApiReply> {
    return this.#write('put', request);
  }

  patch(request: ApiRequest): Promise<ApiReply> {
    return this.#write('patch', request);
  }

  async delete(request: ApiRequest): Promise<ApiReply> {
    const ids = this.#ids(request);
    const waitMs = waitOf(request.query);
    const dryRun = flag(request.query, 'dryRun');
    const cascade = flag(request.query, 'cascade');
    const options = { ...this.#conditions(request, ids), dryRun, cascade };
    const result = await this.#deps.objects.delete(this.#kind, ids, options);
    const { revision, deleted, plan } = result;
    if (dryRun) return { status: 200, body: dryRunBody(plan, { revision, deleted }) };
    if (waitMs !== undefined) await this.#wait(request, restPath(this.#kind, ids), revision, waitMs, undefined);
    return { status: 204, headers: { 'x-netloom-revision': String(revision) } };
  }

  async #write(method: 'put' | 'patch', request: ApiRequest): Promise<ApiReply> {
    const ids = this.#ids(request);
    const waitMs = waitOf(request.query);
    const dryRun = flag(request.query, 'dryRun');
    const options = { ...this.#conditions(request, ids), dryRun };
    const result = await this.#deps.objects[method](this.#kind, ids, request.body, options);
    if (dryRun) {
      const { object, created, changed, revision, plan } = result;
      return { status: 200, body: dryRunBody(plan, { object, created, changed, revision }) };
    }
    const object = waitMs === undefined ? result.object : await this.#waited(request, ids, result, waitMs);
    const headers: Record<string, string> = { etag: etag(result.revision) };
    if (result.created) headers['location'] = restPath(this.#kind, ids);
    return { status: result.created ? 201 : 200, body: object, headers };
  }

  #conditions({ headers }: ApiRequest, ids: ObjectIds): WriteOptions {
    const match = ifMatch(headers['if-match']);
    const ifNoneMatch = createOnly(headers['if-none-match']);
    if (match === '*') {
      try {
        this.#deps.objects.get(this.#kind, ids);
      } catch (error) {
        if (!(error instanceof RequestError) || error.status !== 404) throw error;
        throw refusal('NL_PRECONDITION', 'If-Match: * expects the object to exist; it does not');
      }
    }
    return { ...(typeof match === 'number' ? { ifMatch: match } : {}), ...(ifNoneMatch ? { ifNoneMatch } : {}) };
  }

  async #waited(request: ApiRequest, ids: ObjectIds, result: WriteResult, waitMs: number): Promise<ObjectJson> {
    await this.#wait(request, restPath(this.#kind, ids), result.revision, waitMs, ids);
    try {
      const now = this.#deps.objects.get(this.#kind, ids);
      // Somebody may have written again meanwhile; the reply is about this write.
      return now.revision === result.revision ? now : result.object;
    } catch (error) {
      if (error instanceof RequestError && error.status === 404) return result.object;
      throw error;
    }
  }

  async #wait(
    request: ApiRequest,
    path: string,
    revision: number,
    waitMs: number,
    ids: ObjectIds | undefined,
  ): Promise<void> {
    if (await this.#deps.ready.waitReady(path, revision, waitMs, request.signal())) return;
    let objectStatus: unknown;
    if (ids) {
      try {
        objectStatus = this.#deps.objects.get(this.#kind, ids).status;
      } catch (error) {
        if (!(error instanceof RequestError)) throw error;
      }
    }
    throw refusal('NL_TIMEOUT', `${path}: stored as revision ${revision}, not confirmed within ${waitMs} ms`, [], {
      object: path,
      revision,
      ...(objectStatus === undefined ? {} : { objectStatus }),
    });
  }
}

const { tenant, id, limit, cursor, dryRun, cascade, wait, timeout } = parameters;
const conditional = { 'if-match': parameters.ifMatch, 'if-none-match': parameters.ifNoneMatch };
const described = {
  tenant: 'A tenant owns networks and ports and has a quota.',
  network: 'A network is one logical layer-2 segment of a tenant.',
  port: 'A port attaches a host or VM to a network.',
  hypervisor: 'A hypervisor is a tunnel endpoint: a machine with an integration bridge, or a foreign one.',
  site: 'A site is a set of hypervisors behind one underlay.',
  lispSite: 'A LISP site is a block of EIDs whose routers may register. Its keys are not shown.',
  lispMapping: 'A LISP mapping stands until it is deleted, whatever routers register for the same prefix.',
} as const satisfies Record<ObjectKind, string>;

/** Kinds whose lists show more than the objects themselves, and are answered by an app. */
const LISTED_ELSEWHERE: ReadonlySet<ObjectKind> = new Set(['lispMapping']);

/** CRUD of all kinds of objects. */
export function objectRoutes(registrar: RouteRegistrar, deps: Deps): void {
  for (const kind of ['tenant', 'network', 'port', ...globalKinds] as const) {
    const handlers = new ObjectHandlers(kind, deps);
    const isOwned = kind === 'network' || kind === 'port';
    const collection = collectionPath(kind, ':tenant');
    const path = kind === 'tenant' ? '/v1/tenants/:tenant' : `${collection}/:id`;
    const Kind = kind[0]!.toUpperCase() + kind.slice(1);
    const params: NonNullable<RouteSpec['params']> = kind === 'tenant' ? { tenant } : isOwned ? { tenant, id } : { id };
    const tag = collection.startsWith('/v1/lisp/') ? 'lisp' : `${kind}s`;
    const word = kindWords[kind];
    const object = Type.Ref(Kind);
    const dryRunReply = Type.Union([object, DryRunSchema]);

    if (!LISTED_ELSEWHERE.has(kind)) {
      registrar.route({
        method: 'GET',
        path: collection,
        operationId: `list${Kind}s`,
        tag,
        summary: `List ${word}s`,
        ...(isOwned ? { params: { tenant } } : {}),
        query: { limit, cursor },
        replies: { 200: { description: 'One page, in order of id', schema: pageSchema(object) } },
        ...(isOwned ? { errors: ['NL_NOT_FOUND'] as const } : {}),
        handle: (request) => handlers.list(request),
      });
    }
    registrar.route({
      method: 'GET',
      path,
      operationId: `get${Kind}`,
      tag,
      summary: `Get a ${word}`,
      description: described[kind],
      params,
      replies: { 200: { description: `The ${word}; \`ETag\` is its revision`, schema: object } },
      errors: ['NL_NOT_FOUND'],
      handle: (request) => handlers.get(request),
    });
    registrar.route({
      method: 'PUT',
      path,
      operationId: `put${Kind}`,
      tag,
      summary: `Create or replace a ${word}`,
      description: 'The same body again changes nothing and keeps the revision.',
      params,
      query: { dryRun, wait, timeout },
      headers: conditional,
      body: bodies[kind],
      replies: {
        200: { description: 'Replaced, or the same as before; with dryRun the plan', schema: dryRunReply },
        201: { description: 'Created', schema: object },
      },
      errors: ['NL_NOT_FOUND', 'NL_CONFLICT', 'NL_QUOTA', 'NL_PRECONDITION', 'NL_STORE', 'NL_TIMEOUT'],
      handle: (request) => handlers.put(request),
    });
    registrar.route({
      method: 'PATCH',
      path,
      operationId: `patch${Kind}`,
      tag,
      summary: `Change fields of a ${word}`,
      description: 'JSON merge patch (RFC 7396): null takes a field back to its default.',
      params,
      query: { dryRun, wait, timeout },
      headers: conditional,
      body: Type.Partial(schemas[kind]),
      replies: { 200: { description: 'The changed object; with dryRun the plan', schema: dryRunReply } },
      errors: ['NL_NOT_FOUND', 'NL_CONFLICT', 'NL_QUOTA', 'NL_PRECONDITION', 'NL_STORE', 'NL_TIMEOUT'],
      handle: (request) => handlers.patch(request),
    });
    registrar.route({
      method: 'DELETE',
      path,
      operationId: `delete${Kind}`,
      tag,
      summary: `Delete a ${word}`,
      params,
      query: { cascade, dryRun, wait, timeout },
      headers: { 'if-match': parameters.ifMatch },
      replies: {
        200: { description: 'With dryRun: the plan', schema: DryRunSchema },
        204: { description: 'Deleted; `x-netloom-revision` is the revision of the deletion' },
      },
      errors: ['NL_NOT_FOUND', 'NL_IN_USE', 'NL_PRECONDITION', 'NL_STORE', 'NL_TIMEOUT'],
      handle: (request) => handlers.delete(request),
    });
  }
}
