/** Virtual switches: for users' own tests against a controller, for our tests, and for benchmarks. */
export * from './data-plane.ts';
export { type LoadOptions, type LoadResult, runLoad } from './load.ts';
export { runSimulation, type SimulationOptions, type SimulationSummary } from './run.ts';
export * from './switch-model.ts';
export * from './tables.ts';
export * from './topology.ts';
export * from './trouble.ts';
export * from './virtual-network.ts';
export * from './virtual-switch.ts';
