/** LISP control messages (RFC 9301, 8060, 9437) in bytes. */
export * from './address.ts';
export { algorithmOf, isAuthentic, signLisp, verifyLisp } from './auth.ts';
export { addressOf, type EidFamily, type EidPrefix, eidPrefix, eidText, widthOf } from './eid.ts';
export { LispError } from './errors.ts';
export * from './mapping-system.ts';
export {
  counting,
  type Mapping,
  type MappingListener,
  Mappings,
  mergedRecord,
  type Registration,
  type RegistrationListener,
} from './mappings.ts';
export * from './message.ts';
export { Pace, type Rate } from './pace.ts';
export type { SubscriptionFacts } from './publisher.ts';
export { type EidRecord, type Locator, MapAction, type MappingRecord } from './records.ts';
export type { Endpoint, SendDatagram } from './repeater.ts';
export * from './server.ts';
export type { LispSite } from './sites.ts';
export { type StoredRegistration, storedRegistration } from './snapshot.ts';
export { lispProtocol } from './wire.ts';
