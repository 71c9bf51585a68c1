import Type from 'typebox';
import type { FieldProblem } from '../../kernel/index.ts';
import { type BulkItem, type BulkOperation, type ObjectService, objectOfPath, restPath } from '../../model/index.ts';
import { refusal, toProblem } from '../problem.ts';
import type { ReadyWait } from '../providers.ts';
import { flag } from '../query.ts';
import type { ApiReply, ApiRequest, RouteRegistrar } from '../route.ts';
import { ProblemSchema, parameters } from '../schemas.ts';
import { dryRunBody, waitOf } from './objects.ts';

/** Bytes a bulk body may have. */
export const bulkBodyLimit = 32 * 1_024 * 1_024;
const maxOperations = 100_000;
/** Problems listed in one refusal; more would only be more of the same. */
const maxProblems = 100;

type Fields = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const operationFields = new Set(['method', 'path', 'body', 'ifMatch', 'ifNoneMatch', 'cascade']);

/** Reads operations, gathering every problem with its pointer. */
class OperationReader {
  readonly problems: FieldProblem[] = [];

  #bad(pointer: string, message: string): undefined {
    if (this.problems.length < maxProblems) this.problems.push({ pointer, message });
    return undefined;
  }

  read(value: unknown, at: string): BulkOperation | undefined {
    if (!isObject(value)) return this.#bad(at, 'expected an object');
    for (const name of Object.keys(value)) {
      if (!operationFields.has(name))
        this.#bad(`${at}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, 'unknown field');
    }
    const { method, path, body, ifMatch, ifNoneMatch, cascade } = value;
    const target = typeof path === 'string' ? objectOfPath(path) : undefined;
    if (!target) return this.#bad(`${at}/path`, 'expected the path of an object, such as /v1/tenants/acme/ports/web-1');
    if (ifMatch !== undefined && !(typeof ifMatch === 'number' && Number.isSafeInteger(ifMatch) && ifMatch >= 0)) {
      return this.#bad(`${at}/ifMatch`, 'expected a revision');
    }
    const match = typeof ifMatch === 'number' ? { ifMatch } : {};
    if (method === 'PUT' || method === 'PATCH') {
      if (cascade !== undefined) this.#bad(`${at}/cascade`, 'goes with DELETE only');
      if (ifNoneMatch !== undefined && ifNoneMatch !== '*') return this.#bad(`${at}/ifNoneMatch`, 'expected "*"');
      if (body === undefined) return this.#bad(`${at}/body`, 'is missing');
      return { method, ...target, body, ...match, ...(ifNoneMatch === '*' ? { ifNoneMatch: true } : {}) };
    }
    if (method !== 'DELETE') return this.#bad(`${at}/method`, 'expected PUT, PATCH or DELETE');
    if (body !== undefined) this.#bad(`${at}/body`, 'does not go with DELETE');
    if (ifNoneMatch !== undefined) this.#bad(`${at}/ifNoneMatch`, 'does not go with DELETE');
    if (cascade !== undefined && typeof cascade !== 'boolean')
      return this.#bad(`${at}/cascade`, 'expected true or false');
    return { method, ...target, ...match, ...(cascade === true ? { cascade } : {}) };
  }

  readAll(body: unknown): { readonly atomic: boolean; readonly operations: BulkOperation[] } {
    const operations: BulkOperation[] = [];
    let atomic = true;
    if (!isObject(body)) this.#bad('', 'expected an object');
    else {
      for (const name of Object.keys(body)) {
        if (name !== 'atomic' && name !== 'operations') {
          this.#bad(`/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, 'unknown field');
        }
      }
      const { atomic: wanted = true, operations: list } = body;
      if (typeof wanted === 'boolean') atomic = wanted;
      else this.#bad('/atomic', 'expected true or false');
      if (!Array.isArray(list)) this.#bad('/operations', 'expected a list');
      else if (list.length > maxOperations) this.#bad('/operations', `expected up to ${maxOperations} operations`);
      else {
        for (const [i, item] of (list as unknown[]).entries()) {
          const operation = this.read(item, `/operations/${i}`);
          if (operation) operations.push(operation);
        }
      }
    }
    const first = this.problems[0];
    if (first) {
      throw refusal(
        'NL_INVALID',
        `${first.pointer || 'the body'}: ${first.message}; nothing was changed`,
        this.problems,
      );
    }
    return { atomic, operations };
  }
}

function itemBody(item: BulkItem, operation: BulkOperation): Record<string, unknown> {
  const path = restPath(operation.kind, operation.ids);
  if (!item.ok) {
    const { status, ...problem } = toProblem(item.error);
    return { path, status, problem: { ...problem, status } };
  }
  if (item.method === 'DELETE') return { path, status: 204, revision: item.revision, deleted: item.deleted };
  return { path, status: item.created ? 201 : 200, revision: item.revision, changed: item.changed };
}

interface Deps {
  readonly objects: ObjectService;
  readonly ready: ReadyWait;
}

async function bulk({ objects, ready }: Deps, request: ApiRequest): Promise<ApiReply> {
  const waitMs = waitOf(request.query);
  const dryRun = flag(request.query, 'dryRun');
  const { atomic, operations } = new OperationReader().readAll(request.body);
  const { items, revision, plan } = await objects.bulk(operations, { atomic, dryRun });
  const results = items.map((item, i) => itemBody(item, operations[i]!));
  const failed = items.filter(({ ok }) => !ok).length;
  if (dryRun) return { status: 200, body: dryRunBody(plan, { revision, failed, results }) };
  if (waitMs !== undefined) {
    const signal = request.signal();
    const waits = items.flatMap((item, i) => {
      const operation = operations[i]!;
      return item.ok ? [{ path: restPath(operation.kind, operation.ids), revision: item.revision }] : [];
    });
    const confirmed = await Promise.all(waits.map((w) => ready.waitReady(w.path, w.revision, waitMs, signal)));
    const pending = waits.filter((_, i) => confirmed[i] !== true).map(({ path }) => path);
    if (pending.length > 0) {
      throw refusal(
        'NL_TIMEOUT',
        `stored as revision ${revision}; ${pending.length} of ${waits.length} objects not confirmed within ${waitMs} ms`,
        [],
        { revision, pending: pending.slice(0, maxProblems), results },
      );
    }
  }
  return { status: failed > 0 ? 207 : 200, body: { revision, failed, results } };
}

const OperationSchema = Type.Object(
  {
    method: Type.Union([Type.Literal('PUT'), Type.Literal('PATCH'), Type.Literal('DELETE')]),
    path: Type.String({ examples: ['/v1/tenants/acme/ports/web-1'] }),
    body: Type.Optional(Type.Object({}, { description: 'What PUT or PATCH of that path takes' })),
    ifMatch: Type.Optional(Type.Integer({ description: 'Revision that the object must have' })),
    ifNoneMatch: Type.Optional(Type.Literal('*')),
    cascade: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);

const ResultSchema = Type.Object({
  revision: Type.Integer({ description: 'Revision of the store afterwards' }),
  failed: Type.Integer({ description: 'Operations that were refused; always 0 when atomic' }),
  results: Type.Array(
    Type.Object({
      path: Type.String(),
      status: Type.Integer({ description: 'Status that the operation alone would have had' }),
      revision: Type.Optional(Type.Integer()),
      changed: Type.Optional(Type.Boolean()),
      deleted: Type.Optional(Type.Array(Type.String())),
      problem: Type.Optional(ProblemSchema),
    }),
    { description: 'In the order of the operations' },
  ),
});

/** Many writes in one request. */
export function bulkRoutes(registrar: RouteRegistrar, deps: Deps): void {
  registrar.route({
    method: 'POST',
    path: '/v1/bulk',
    operationId: 'bulk',
    tag: 'bulk',
    summary: 'Many writes in one request',
    description:
      'Atomic (the default): all or nothing, in one transaction; a refusal names every operation at fault. Not atomic: each ' +
      'operation has its own result. Later operations see earlier ones.',
    query: { dryRun: parameters.dryRun, wait: parameters.wait, timeout: parameters.timeout },
    body: Type.Object(
      { atomic: Type.Optional(Type.Boolean({ default: true })), operations: Type.Array(OperationSchema) },
      {
        additionalProperties: false,
        examples: [
          {
            atomic: true,
            operations: [
              { method: 'PUT', path: '/v1/tenants/acme', body: {} },
              { method: 'PUT', path: '/v1/tenants/acme/networks/blue', body: { subnets: ['10.0.0.0/24'] } },
            ],
          },
        ],
      },
    ),
    bodyLimit: bulkBodyLimit,
    replies: {
      200: { description: 'All done; with dryRun the plan', schema: ResultSchema },
      207: { description: 'Not atomic, and some operations were refused', schema: ResultSchema },
    },
    errors: ['NL_NOT_FOUND', 'NL_CONFLICT', 'NL_IN_USE', 'NL_QUOTA', 'NL_PRECONDITION', 'NL_STORE', 'NL_TIMEOUT'],
    handle: (request) => bulk(deps, request),
  });
}
