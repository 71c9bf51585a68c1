import type { Duplex } from 'node:stream';
import type { Clock } from '../../controller/kernel/index.ts';
import { OvsdbError } from './errors.ts';
import { defaultRpcLimits, RpcConnection, type RpcLimits } from './rpc.ts';
import { type ColumnType, decodeValue } from './values.ts';

/** An Open vSwitch that has dialled in. */
export interface VswitchIdentity {
  /** UUID of the database's root row: stays as long as the database does. A copied database has it, too. */
  readonly database: string;
  /** `external_ids:system-id`, which Open vSwitch's start script sets. */
  readonly systemId: string | undefined;
  /** `external_ids:hostname`. */
  readonly hostname: string | undefined;
}

/** What a peer may send before we know who it is. */
export const strangerLimits: RpcLimits = {
  ...defaultRpcLimits,
  json: { bytes: 1024 * 1024, depth: 32 },
  requestMs: 10_000,
  unsentBytes: 64 * 1024,
};

const UUID: ColumnType = { key: 'uuid', min: 1, max: 1 };
const NAME: ColumnType = { key: 'string', min: 1, max: 1 };
const TEXTS: ColumnType = { key: 'string', value: 'string', min: 0, max: Number.POSITIVE_INFINITY };

/** A hardware VTEP that has dialled in. */
export interface HwvtepIdentity {
  /** UUID of the database's row in table Global; undefined when the device has none yet. */
  readonly database: string | undefined;
  /** Names of its physical switches. */
  readonly switches: readonly string[];
}

/** What a server that has dialled in serves; at least one of them. */
export interface PeerIdentity {
  readonly vswitch: VswitchIdentity | undefined;
  readonly hwvtep: HwvtepIdentity | undefined;
}

/**
 * Asks a server that has dialled in who it is, and leaves the connection to the client that is then given it: one that has known the
 * database before tells only what has changed since. Rejects with OvsdbError, the connection closed, when the peer has neither the
 * database of an Open vSwitch nor that of a hardware VTEP (vtep(5)), or does not answer in time.
 */
export async function identifyPeer(
  stream: Duplex,
  clock: Clock,
  limits: RpcLimits = strangerLimits,
): Promise<PeerIdentity> {
  return asking(stream, clock, limits, async (rpc) => {
    const answer = await rpc.request('list_dbs', []);
    const databases: readonly unknown[] = Array.isArray(answer) ? answer : [];
    const hwvtep = databases.includes('hardware_vtep') ? await askHwvtep(rpc) : undefined;
    const vswitch = databases.includes('Open_vSwitch') ? await askVswitch(rpc) : undefined;
    if (vswitch || hwvtep) return { vswitch, hwvtep };
    throw databases.includes('Open_vSwitch')
      ? new OvsdbError('malformed', 'the peer has no row in table Open_vSwitch: its switch daemon never ran')
      : new OvsdbError('schema', 'the peer has neither a database Open_vSwitch nor hardware_vtep');
  });
}

async function askVswitch(rpc: RpcConnection): Promise<VswitchIdentity | undefined> {
  const select = { op: 'select', table: 'Open_vSwitch', where: [], columns: ['_uuid', 'external_ids'] };
  const [row] = rowsOf(await rpc.request('transact', ['Open_vSwitch', select]), 0);
  if (!row) return undefined;
  const ids = decodeValue(TEXTS, row['external_ids'], 'Open_vSwitch.external_ids') as ReadonlyMap<string, string>;
  return {
    database: decodeValue(UUID, row['_uuid'], 'Open_vSwitch._uuid') as string,
    systemId: ids.get('system-id'),
    hostname: ids.get('hostname'),
  };
}

async function askHwvtep(rpc: RpcConnection): Promise<HwvtepIdentity> {
  const answer = await rpc.request('transact', [
    'hardware_vtep',
    { op: 'select', table: 'Global', where: [], columns: ['_uuid'] },
    { op: 'select', table: 'Physical_Switch', where: [], columns: ['name'] },
  ]);
  const [root] = rowsOf(answer, 0);
  return {
    database: root ? (decodeValue(UUID, root['_uuid'], 'Global._uuid') as string) : undefined,
    switches: rowsOf(answer, 1).map((row) => decodeValue(NAME, row['name'], 'Physical_Switch.name') as string),
  };
}

function rowsOf(answer: unknown, index: number): readonly Record<string, unknown>[] {
  const result: unknown = Array.isArray(answer) ? answer[index] : undefined;
  const rows = (result as { readonly rows?: unknown } | null | undefined)?.rows;
  if (!Array.isArray(rows) || !rows.every((row) => typeof row === 'object' && row !== null))
    throw new OvsdbError('malformed', 'the answer to a selection has no rows');
  return rows as Record<string, unknown>[];
}

/** Asks over a connection that is released afterwards, or closed when it fails. */
async function asking<T>(
  stream: Duplex,
  clock: Clock,
  limits: RpcLimits,
  ask: (rpc: RpcConnection) => Promise<T>,
): Promise<T> {
  const rpc = new RpcConnection(stream, { notified: () => {}, closed: () => {} }, clock, limits);
  try {
    const identity = await ask(rpc);
    rpc.release();
    return identity;
  } catch (error) {
    const reason =
      error instanceof OvsdbError ? error : new OvsdbError('malformed', String(error).slice(0, 200), { cause: error });
    rpc.close(reason);
    throw reason;
  }
}
