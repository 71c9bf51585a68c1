export * from './service-types.ts';
export * from './types.ts';
