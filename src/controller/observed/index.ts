export * from './hints.ts';
export { LEARNED_ENDPOINTS } from './hosts.ts';
export { type LinkState, linkState, sameAttachment } from './links.ts';
export * from './metrics.ts';
export * from './observed.ts';
export type { PortDescription, SwitchDescription } from './switches.ts';
export * from './types.ts';
