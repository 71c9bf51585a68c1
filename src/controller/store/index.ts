export { type HintStoreOptions, StoredHintStore } from './hint-store.ts';
export * from './hints.ts';
export { IdAllocator, type IdSpace, IdSpaces, type IdUse, idAfter, pickId } from './ids.ts';
export { openMemoryStore } from './memory.ts';
export { openSqliteStore, type SqliteStoreOptions } from './sqlite.ts';
export * from './types.ts';
