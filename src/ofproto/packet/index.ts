export * from './ethernet.ts';
export * from './lldp.ts';
