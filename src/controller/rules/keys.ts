/** Identity of a flow on a switch: table, priority and canonical match. */
export const flowKey = (tableId: number, priority: number, match: Buffer): string =>
  `f${tableId}.${priority}.${match.toString('latin1')}`;

/** Identity of a group on a switch. */
export const groupKey = (groupId: number): string => `g${groupId}`;

/** Identity of a meter on a switch. */
export const meterKey = (meterId: number): string => `m${meterId}`;
