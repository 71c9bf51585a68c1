/** LISP control messages (RFC 9301, 8060, 9437) in bytes. */
export * from './address.ts';
export { algorithmOf, isAuthentic, signLisp, verifyLisp } from './auth.ts';
export { addressOf, type EidFamily, type EidPrefix, eidPrefix, eidText } from './eid.ts';
export { LispError } from './errors.ts';
export * from './mapping-system.ts';
export { type Mapping, type MappingListener, Mappings, mergedRecord, type Registration } from './mappings.ts';
export * from './message.ts';
export type { Rate } from './pace.ts';
export { type EidRecord, type Locator, MapAction, type MappingRecord } from './records.ts';
export type { Endpoint, SendDatagram } from './repeater.ts';
export * from './server.ts';
export type { StoredRegistration } from './snapshot.ts';
export { lispProtocol } from './wire.ts';
