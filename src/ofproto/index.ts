/** OpenFlow 1.3 in bytes: the door of this room. Knows no sockets, clock or tenants. */
export * from './action-structs.ts';
export * from './actions.ts';
export * from './bytes.ts';
export * from './canonical-match.ts';
export * from './constants.ts';
export * from './docs.ts';
export * from './error-codes.ts';
export * from './errors.ts';
export * from './framer.ts';
export * from './instructions.ts';
export * from './json.ts';
export * from './learn-spec.ts';
export * from './match.ts';
export type {
  ControllerProperty,
  EncapProperty,
  FieldBits,
  FieldRange,
  VariableNicira,
} from './nicira-action-types.ts';
export { variableNiciraSubtypes } from './nicira-actions.ts';
export * from './of13/index.ts';
export * from './oxm.ts';
export * from './oxm-fields.ts';
export * from './packet/index.ts';
export * from './struct.ts';
export * from './text/index.ts';
export * from './tlv.ts';
export * from './writer.ts';
