export * from './binding.ts';
export { Desired } from './desired.ts';
export { invalid, jsonProblems, mergePatch, parseJson, pointerStep } from './json.ts';
export * from './migration.ts';
export { idsOf, largestMtu, restPath, type Underlay } from './objects.ts';
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
