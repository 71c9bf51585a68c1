export * from './binding.ts';
export { Desired } from './desired.ts';
export { invalid, jsonProblems, mergePatch, parseJson, pointerStep } from './json.ts';
export {
  collectionPath,
  type GlobalKind,
  globalKinds,
  isGlobalKind,
  kindWords,
  objectOfPath,
  restPath,
} from './kinds.ts';
export * from './migration.ts';
export { idsOf, largestMtu, type Underlay } from './objects.ts';
export {
  BindingSchema,
  ID_PATTERN,
  isId,
  MigrationSchema,
  NetworkSchema,
  PortSchema,
  QuotaSchema,
  schemas,
  TenantSchema,
} from './schema.ts';
export { type ObjectServiceOptions, openObjectService } from './service.ts';
export * from './service-types.ts';
export * from './types.ts';
