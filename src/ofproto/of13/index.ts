/** Messages of OpenFlow 1.3. */
export * from './experimenter.ts';
export * from './hot.ts';
export * from './message.ts';
export * from './multipart.ts';
export type { Band, Bucket, FieldsOf, PacketQueue, QueueProperty } from './parts.ts';
export { readBands, readBuckets, writeBands, writeBuckets } from './parts.ts';
export * from './reassembler.ts';
export * from './structs.ts';
export * from './table-features.ts';
