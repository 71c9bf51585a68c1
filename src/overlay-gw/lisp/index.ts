/** LISP control messages (RFC 9301, 8060, 9437) in bytes. */
export * from './address.ts';
export { algorithmOf, isAuthentic, signLisp, verifyLisp } from './auth.ts';
export { LispError } from './errors.ts';
export * from './message.ts';
export { type EidRecord, type Locator, MapAction, type MappingRecord } from './records.ts';
export { lispProtocol } from './wire.ts';
