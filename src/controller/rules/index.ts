/** Rules: the declared pipeline, rules by name, and the book that brings switches to what is wanted. */
export { type BookListener, type BookOptions, countFlows, type Explanation, RuleBook } from './book.ts';
export { sameRule } from './compare.ts';
export * from './cookie.ts';
export * from './describe.ts';
export { CompileEngine, type CompileTarget, type EngineOptions } from './engine.ts';
export * from './fabric-address.ts';
export * from './groups.ts';
export * from './ids.ts';
export type { StateSlot, Table } from './pipeline.ts';
export {
  definePipeline,
  defineState,
  metadata,
  pipeline,
  pipelineMarkdown,
  reg,
  state,
  tableId,
  tableName,
  tables,
} from './pipeline.ts';
export * from './plan.ts';
export * from './priority.ts';
export { actionOf, type MatchValue, type RuleSpec, rule } from './rule.ts';
export * from './status.ts';
export * from './steps.ts';
export * from './types.ts';
export type { Difference, FlowView, GroupView, MeterView, Reason } from './views.ts';
