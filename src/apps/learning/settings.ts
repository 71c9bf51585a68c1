import { ConfigError } from '../../controller/index.ts';

/** How learning works. */
export interface LearningSettings {
  /** Silence after which a learned host is forgotten, s; the idle time-out of its rule when it has one. */
  readonly idleSeconds: number;
  /** Learned hosts that one port may have. */
  readonly maxHostsPerPort: number;
  /** Packets a second of one port that the controller looks at; the rest is dropped and counted. */
  readonly packetsPerPort: number;
}

/*
 * Meters keep a port of a real switch far below `packetsPerPort`. It is there for switches without meters: it leaves room for
 * whatever one controller can do for one port, and takes from a flood what others need.
 */
const limits = {
  idleSeconds: { default: 300, max: 65_535 },
  maxHostsPerPort: { default: 4_096, max: 1_000_000 },
  packetsPerPort: { default: 1_000_000, max: 1_000_000_000 },
} as const;
type Name = keyof typeof limits;

/** Checks what the configuration hands in; everything has a default. Throws ConfigError that names the setting. */
export function learningSettings(given: unknown): LearningSettings {
  if (given !== undefined && (typeof given !== 'object' || given === null || Array.isArray(given))) {
    throw new ConfigError('learning', 'a mapping of settings wanted');
  }
  const settings = { ...given } as Record<string, unknown>;
  for (const name of Object.keys(settings)) {
    if (!Object.hasOwn(limits, name)) throw new ConfigError(`learning.${name}`, 'there is no such setting');
  }
  const read = (name: Name): number => {
    const value = settings[name] ?? limits[name].default;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= limits[name].max) return value;
    throw new ConfigError(`learning.${name}`, `a whole number from 1 to ${limits[name].max} wanted`);
  };
  return {
    idleSeconds: read('idleSeconds'),
    maxHostsPerPort: read('maxHostsPerPort'),
    packetsPerPort: read('packetsPerPort'),
  };
}
