export type { SessionHandlers } from './connection.ts';
export type { FlowRemovedMessage, PortDescription, PortStatus } from './messages.ts';
export * from './server.ts';
export type { AsyncMasks, RoleResult, Session } from './session.ts';
export * from './types.ts';
