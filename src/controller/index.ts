/** The controller's door: what apps and programs that embed Netloom build on. */
export * from './core/app.ts';
export {
  allBoundTo,
  type BoundTo,
  boundTo,
  foreignEnd,
  foreignHost,
  isFit,
  isForeign,
  physicalOf,
  resolveBinding,
  vlanInterface,
  vlanOf,
} from './core/attachment.ts';
export * from './core/devices.ts';
export {
  DEFAULT_NETWORK,
  type Effect,
  isLearned,
  isOtherSwitch,
  type Member,
  type PlaceChange,
} from './core/effect.ts';
export * from './core/limits.ts';
export * from './core/membership.ts';
export * from './core/overlay.ts';
export * from './core/spread.ts';
export * from './core/way.ts';
export * from './kernel/index.ts';
export * from './model/index.ts';
export { type ApiReply, type ApiRequest, query, type RouteSpec, refusal } from './northbound/index.ts';
export * from './observed/index.ts';
export * from './rules/index.ts';
export type { KeyValue, Store, StoreOp } from './store/index.ts';
