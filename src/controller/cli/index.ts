export * from './bench.ts';
export * from './program.ts';
export * from './simulate.ts';
export * from './wire.ts';
export { openflowProtocol } from './wire-openflow.ts';
