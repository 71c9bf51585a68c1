import type { Desired } from './desired.ts';
import { invalid, isObject } from './json.ts';
import { isGlobalKind } from './kinds.ts';
import { find, notFound } from './plan.ts';
import type { ListOptions, ListResult, ObjectIds, ObjectJson, ObjectKind } from './service-types.ts';
import type { AnyObject } from './types.ts';

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;

/**
 * One page. The cursor holds the last key given, so what comes and goes between pages shifts nothing: who was there
 * throughout is seen once.
 */
export function listPage(
  desired: Desired,
  kind: ObjectKind,
  scope: { readonly tenant?: string },
  { limit = DEFAULT_LIMIT, cursor }: ListOptions,
  render: (object: AnyObject) => ObjectJson,
): ListResult {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw invalid([{ pointer: '', message: `limit must be a whole number from 1 to ${MAX_LIMIT}` }]);
  }
  const { tenant } = scope;
  if (kind !== 'tenant' && tenant !== undefined && !desired.tenants.has(tenant)) throw notFound('tenant', { tenant });
  const prefix = kind === 'tenant' || tenant === undefined ? '' : `${tenant}/`;
  const after = cursor === undefined ? undefined : readCursor(cursor, kind, prefix);
  const items: ObjectJson[] = [];
  let last = '';
  for (const key of desired.keys(kind, prefix, after)) {
    if (items.length === limit) {
      return { items, nextCursor: writeCursor(kind, prefix, last), revision: desired.revision };
    }
    last = key;
    const object = find(desired, kind, idsOfKey(kind, key));
    if (object) items.push(render(object));
  }
  return { items, revision: desired.revision };
}

function idsOfKey(kind: ObjectKind, key: string): ObjectIds {
  if (isGlobalKind(kind)) return { tenant: '', id: key };
  const [tenant = '', id] = key.split('/');
  return id === undefined ? { tenant } : { tenant, id };
}

const writeCursor = (kind: ObjectKind, prefix: string, last: string): string =>
  Buffer.from(JSON.stringify({ k: kind, p: prefix, a: last })).toString('base64url');

function readCursor(cursor: string, kind: ObjectKind, prefix: string): string {
  const refused = invalid([{ pointer: '', message: 'cursor is not from a page of this list' }]);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch (cause) {
    refused.cause = cause;
    throw refused;
  }
  if (!isObject(value) || value['k'] !== kind || value['p'] !== prefix) throw refused;
  const after = value['a'];
  if (typeof after !== 'string' || !after.startsWith(prefix)) throw refused;
  return after;
}
