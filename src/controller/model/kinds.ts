import type { ObjectIds, ObjectKind } from './service-types.ts';

/** Kinds that no tenant owns. */
export type GlobalKind = Exclude<ObjectKind, 'tenant' | 'network' | 'port'>;

const COLLECTIONS: { readonly [K in GlobalKind]: string } = {
  hypervisor: '/v1/hypervisors',
  site: '/v1/sites',
  lispSite: '/v1/lisp/sites',
  lispMapping: '/v1/lisp/mappings',
};

/** All kinds that no tenant owns. */
export const globalKinds = Object.keys(COLLECTIONS) as readonly GlobalKind[];

/** True when no tenant owns objects of this kind. */
export const isGlobalKind = (kind: ObjectKind): kind is GlobalKind => Object.hasOwn(COLLECTIONS, kind);

/** What objects of a kind are called in sentences. */
export const kindWords: { readonly [K in ObjectKind]: string } = {
  tenant: 'tenant',
  network: 'network',
  port: 'port',
  hypervisor: 'hypervisor',
  site: 'site',
  lispSite: 'LISP site',
  lispMapping: 'LISP mapping',
};

/** Path of the list that objects of a kind are in; `tenant` only matters for what a tenant owns. */
export function collectionPath(kind: ObjectKind, tenant: string): string {
  if (isGlobalKind(kind)) return COLLECTIONS[kind];
  return kind === 'tenant' ? '/v1/tenants' : `/v1/tenants/${tenant}/${kind}s`;
}

/** Path of an object in the API; names it in messages, too. */
export const restPath = (kind: ObjectKind, { tenant, id }: ObjectIds): string =>
  `${collectionPath(kind, tenant)}/${kind === 'tenant' ? tenant : id}`;

/** Kind and ids that a path of the API names; undefined when it is no object's. The ids themselves are not checked. */
export function objectOfPath(path: string): { readonly kind: ObjectKind; readonly ids: ObjectIds } | undefined {
  const [, collection, last] = /^(\/v1\/[^?#]{1,600})\/([^/?#]{1,256})$/.exec(path) ?? [];
  if (collection === undefined || last === undefined) return undefined;
  if (collection === '/v1/tenants') return { kind: 'tenant', ids: { tenant: last } };
  const global = globalKinds.find((kind) => COLLECTIONS[kind] === collection);
  if (global) return { kind: global, ids: { tenant: '', id: last } };
  const [, tenant, plural] = /^\/v1\/tenants\/([^/]{1,256})\/(networks|ports)$/.exec(collection) ?? [];
  if (tenant === undefined) return undefined;
  return { kind: plural === 'networks' ? 'network' : 'port', ids: { tenant, id: last } };
}
