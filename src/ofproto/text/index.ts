/** Text of matches, actions, flows, groups and meters as ovs-ofctl writes them, both ways. */
export { formatActions, formatInstructions } from './actions.ts';
export * from './address.ts';
export { canonicalActions, canonicalInstructions } from './canonical.ts';
export * from './flow.ts';
export * from './group.ts';
export { formatMatch, parseMatch } from './match.ts';
export * from './meter.ts';
export type { TextNames } from './names.ts';
export { parseActions, parseInstructions } from './parse-actions.ts';
