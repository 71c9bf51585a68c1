/** Open vSwitch's database protocol, RFC 7047: sessions both ways round, and a copy of what is monitored. */
export * from './client.ts';
export * from './connect.ts';
export * from './errors.ts';
export * from './identify.ts';
export { defaultJsonLimits, type JsonLimits, JsonStream } from './json-stream.ts';
export * from './reconciler.ts';
export type { RowChange } from './replica.ts';
export { defaultRpcLimits, type RpcLimits } from './rpc.ts';
export type { Needs, Schema } from './schema.ts';
export { needsOf, type Shape, type ShapedRow, type Shapes } from './shapes.ts';
export type { Operation, Outcome, Where, WritableRow } from './transaction.ts';
export type { Atom, NamedUuid, Row, Value, Writable } from './values.ts';
export * from './vswitch.ts';
export * from './vswitch-keeper.ts';
export * from './vswitch-plan.ts';
export { ovsdbProtocol } from './wire.ts';
