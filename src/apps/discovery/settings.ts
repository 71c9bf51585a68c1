import { randomBytes } from 'node:crypto';
import { ConfigError } from '../../controller/index.ts';

/** How probing works. Times in ms. */
export interface DiscoverySettings {
  /** Between probes of a link port. */
  readonly intervalMs: number;
  /** How long a new port is watched before it counts as an edge. */
  readonly holdMs: number;
  /** Secret that probes are signed with. */
  readonly key: Buffer;
}

/** Edge ports are probed this many times less often than links. */
export const EDGE_FACTOR = 5;
/** A link is lost when this many probes in a row did not arrive. */
export const MISSES = 3;

const within = (value: unknown, minimum: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= minimum && value <= 86_400_000;

/**
 * Checks what the configuration hands in: `{intervalMs, holdMs, key}`, all optional. Without a key a random one is made, so
 * that probes of an earlier run are not ours. Throws ConfigError that names the setting.
 */
export function discoverySettings(given: unknown): DiscoverySettings {
  const { intervalMs = 3_000, holdMs = 500, key = randomBytes(32) } = (given ?? {}) as Record<string, unknown>;
  if (!within(intervalMs, 100)) throw new ConfigError('discovery.intervalMs', 'a whole number from 100 wanted');
  if (!within(holdMs, 0)) throw new ConfigError('discovery.holdMs', 'a whole number from 0 wanted');
  if (!Buffer.isBuffer(key) || key.length < 16) throw new ConfigError('discovery.key', 'at least 16 bytes wanted');
  return { intervalMs, holdMs, key };
}
