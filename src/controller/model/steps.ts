import { type FieldProblem, RequestError } from '../kernel/index.ts';
import { invalid, isObject, jsonProblems, MAX_PROBLEMS } from './json.ts';
import { isGlobalKind, kindWords } from './kinds.ts';
import type { PortEdit } from './migration.ts';
import { readSpec, type Specs, type Underlay } from './objects.ts';
import { ID_RULE, isId } from './schema.ts';
import type { BulkOperation, ObjectIds, ObjectKind, WriteOptions } from './service-types.ts';

/** One edit of one object, its body checked as far as that goes without looking at others. */
export type Step =
  | {
      readonly action: 'put';
      readonly kind: ObjectKind;
      readonly ids: ObjectIds;
      /** Of the same kind; from `readSpec`. */
      readonly spec: Specs[ObjectKind];
      readonly ifMatch: number | undefined;
      readonly ifNoneMatch: boolean;
    }
  | {
      readonly action: 'patch';
      readonly kind: ObjectKind;
      readonly ids: ObjectIds;
      readonly body: unknown;
      readonly ifMatch: number | undefined;
      readonly ifNoneMatch: boolean;
    }
  | {
      readonly action: 'move';
      readonly kind: 'port';
      readonly ids: ObjectIds;
      readonly edit: PortEdit;
      readonly ifMatch: undefined;
    }
  | {
      readonly action: 'delete';
      readonly kind: ObjectKind;
      readonly ids: ObjectIds;
      readonly ifMatch: number | undefined;
      readonly cascade: boolean;
    };

/** Throws RequestError 400 when the ids in the path cannot name anything. */
function checkIds(kind: ObjectKind, ids: ObjectIds): void {
  const problems: FieldProblem[] = [];
  const check = (name: string, id: string | undefined): void => {
    if (id === undefined || !isId(id))
      problems.push({ pointer: '', message: `${name} in the path must be ${ID_RULE}` });
  };
  if (!isGlobalKind(kind)) check('the tenant id', ids.tenant);
  if (kind !== 'tenant') check(`the ${kindWords[kind]} id`, ids.id);
  if (problems.length > 0) throw invalid(problems);
}

/** A body may bring its id back, but not another's. */
function checkOwnId(kind: ObjectKind, ids: ObjectIds, body: unknown): void {
  const own = kind === 'tenant' ? ids.tenant : ids.id;
  if (isObject(body) && body['id'] !== undefined && body['id'] !== own) {
    throw invalid([{ pointer: '/id', message: `is not the id in the path, ${own}` }]);
  }
}

/** Checks of a merge patch that need no look at its target. */
function checkPatch(kind: ObjectKind, ids: ObjectIds, body: unknown): void {
  checkIds(kind, ids);
  checkOwnId(kind, ids, body);
  const problems = jsonProblems(body);
  if (!isObject(body)) problems.push({ pointer: '', message: 'a merge patch must be a JSON object' });
  if (problems.length > 0) throw invalid(problems);
}

/** A checked PUT. Throws RequestError 400. */
export function putStep(
  kind: ObjectKind,
  ids: ObjectIds,
  body: unknown,
  options: WriteOptions,
  underlay: Underlay,
): Step {
  checkIds(kind, ids);
  checkOwnId(kind, ids, body);
  const spec = readSpec(kind, body, underlay);
  return { action: 'put', kind, ids, spec, ifMatch: options.ifMatch, ifNoneMatch: options.ifNoneMatch ?? false };
}

/** A PATCH, checked as far as goes without its target. Throws RequestError 400. */
export function patchStep(kind: ObjectKind, ids: ObjectIds, body: unknown, options: WriteOptions): Step {
  checkPatch(kind, ids, body);
  return { action: 'patch', kind, ids, body, ifMatch: options.ifMatch, ifNoneMatch: options.ifNoneMatch ?? false };
}

/** A checked step of a move. Throws RequestError 400. */
export function moveStep(ids: ObjectIds, edit: PortEdit): Step {
  checkIds('port', ids);
  return { action: 'move', kind: 'port', ids, edit, ifMatch: undefined };
}

/** The step of a bulk operation. Throws RequestError 400. */
export function stepOf(operation: BulkOperation, underlay: Underlay): Step {
  const { kind, ids } = operation;
  if (operation.method === 'PUT') return putStep(kind, ids, operation.body, operation, underlay);
  if (operation.method === 'PATCH') return patchStep(kind, ids, operation.body, operation);
  const { ifMatch, cascade } = operation as Extract<BulkOperation, { readonly method: 'DELETE' }>;
  return { action: 'delete', kind, ids, ifMatch, cascade: cascade ?? false };
}

/** One refusal for an atomic bulk, its pointers leading into the request's body. */
export function bulkRefusal(refusals: readonly { readonly at: number; readonly error: RequestError }[]): RequestError {
  const { at, error } = refusals[0]!;
  const errors = refusals.flatMap(({ at: place, error: refusal }) =>
    (refusal.errors.length > 0 ? refusal.errors : [{ pointer: '', message: refusal.message }]).map((problem) => ({
      pointer: `/operations/${place}${problem.pointer === '' ? '' : `/body${problem.pointer}`}`,
      message: problem.message,
    })),
  );
  const more = refusals.length > 1 ? ` (and ${refusals.length - 1} more operations)` : '';
  return new RequestError(
    error.status,
    error.code,
    `operation ${at}: ${error.message}${more}`,
    errors.slice(0, MAX_PROBLEMS),
    { ...error.details, operation: at },
    { cause: error },
  );
}
