export * from './program.ts';
export * from './wire.ts';
export { openflowProtocol } from './wire-openflow.ts';
