export * from './hints.ts';
export * from './types.ts';
