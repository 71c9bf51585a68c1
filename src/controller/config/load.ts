import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { parse } from 'yaml';
import { ConfigError } from '../kernel/index.ts';
import { type Config, ConfigSchema } from './schema.ts';

/** Where a value came from, strongest last. */
export type ConfigSource = 'default' | 'file' | 'environment' | 'flag';

/** One setting with its value and where that came from. */
export interface ConfigEntry {
  /** Dotted key, e.g. `openflow.listen`. */
  readonly key: string;
  readonly environment: string;
  readonly value: unknown;
  readonly source: ConfigSource;
  readonly description: string;
}

/** Checked settings and the origin of each. */
export interface LoadedConfig {
  readonly config: Config;
  readonly entries: readonly ConfigEntry[];
}

interface Leaf {
  readonly key: string;
  readonly schema: TSchema & { description?: string; default?: unknown; type?: string };
}

/** Environment variables with our prefix that are not settings: they belong to the client, or to tests. */
const NOT_SETTINGS = new Set(['NETLOOM_CONFIG', 'NETLOOM_TOKEN', 'NETLOOM_URL', 'NETLOOM_SHARED']);

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function leavesOf(schema: TSchema, path: string): Leaf[] {
  const properties = (schema as { properties?: Record<string, TSchema> }).properties;
  if (!properties) return [{ key: path, schema }];
  return Object.entries(properties).flatMap(([key, child]) => leavesOf(child, path === '' ? key : `${path}.${key}`));
}

const leaves = leavesOf(ConfigSchema, '');

/** `openflow.listen` → `NETLOOM_OPENFLOW_LISTEN`. */
export const environmentName = (key: string): string =>
  `NETLOOM_${key
    .replace(/([A-Z])/g, '_$1')
    .replaceAll('.', '_')
    .toUpperCase()}`;

function fromText(leaf: Leaf, text: string): unknown {
  switch (leaf.schema.type) {
    case 'integer': {
      if (!/^\d+$/.test(text)) throw new ConfigError(leaf.key, `"${text}" is not a whole number`);
      return Number(text);
    }
    case 'boolean': {
      if (text !== 'true' && text !== 'false') throw new ConfigError(leaf.key, `"${text}" is neither true nor false`);
      return text === 'true';
    }
    case 'array':
      return text === '' ? [] : text.split(',').map((part) => part.trim());
    case 'object': {
      try {
        return JSON.parse(text) as unknown;
      } catch (cause) {
        throw new ConfigError(leaf.key, 'expected a JSON object', { cause });
      }
    }
    default:
      return text;
  }
}

function readFile(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new ConfigError('--config', `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
  let document: unknown;
  try {
    document = parse(text);
  } catch (cause) {
    throw new ConfigError('--config', `${path} is not YAML: ${(cause as Error).message}`, { cause });
  }
  if (document === null || document === undefined) return {};
  if (!isRecord(document)) throw new ConfigError('--config', `${path} is not a mapping of settings`);
  refuseUnknown(document, ConfigSchema, '');
  return document;
}

function refuseUnknown(value: Record<string, unknown>, schema: TSchema, path: string): void {
  const properties = (schema as { properties?: Record<string, TSchema> }).properties;
  if (!properties) return;
  for (const [key, child] of Object.entries(value)) {
    const at = path === '' ? key : `${path}.${key}`;
    const known = Object.hasOwn(properties, key) ? properties[key] : undefined;
    if (!known) throw new ConfigError(at, `unknown setting; known here: ${Object.keys(properties).join(', ')}`);
    if ((known as { properties?: unknown }).properties !== undefined) {
      if (!isRecord(child)) throw new ConfigError(at, 'expected a mapping of settings');
      refuseUnknown(child, known, at);
    }
  }
}

const pick = (from: Record<string, unknown>, key: string): unknown =>
  key.split('.').reduce<unknown>((value, part) => (isRecord(value) ? value[part] : undefined), from);

/** Splits HOST:PORT; the host of an IPv6 endpoint loses its brackets. Throws ConfigError naming `key`. */
export function endpoint(key: string, text: string): { host: string; port: number } {
  const colon = text.lastIndexOf(':');
  const host = text.slice(0, colon).replace(/^\[|\]$/g, '');
  const port = Number(text.slice(colon + 1));
  if (colon < 1 || !Number.isInteger(port) || port > 65_535) throw new ConfigError(key, `"${text}" is not HOST:PORT`);
  return { host, port };
}

/** Splits FIRST-LAST into two segment ids. Throws ConfigError naming `key`. */
export function segmentRange(key: string, text: string): { first: number; last: number } {
  const [first = 0, last = 0] = text.split('-').map(Number);
  if (!(first >= 1 && first <= last && last <= 0xffffff))
    throw new ConfigError(key, `"${text}" is no range within 1-16777215`);
  return { first, last };
}

/** Splits HOST:PORT,HOST:PORT…; none for an empty text. Throws ConfigError naming `key`. */
export const endpoints = (key: string, text: string): { host: string; port: number }[] =>
  text === '' ? [] : text.split(',').map((each) => endpoint(key, each));

/** True when only this machine can reach the host. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));

/**
 * Settings by precedence: flag > environment `NETLOOM_*` > YAML file > default. Throws ConfigError that names the key.
 * `flags` holds values by dotted key, as text.
 */
export function loadConfig(input: {
  readonly file?: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly flags: Readonly<Record<string, string | undefined>>;
}): LoadedConfig {
  const file = input.file === undefined ? {} : readFile(input.file);
  const names = new Set(leaves.map((leaf) => environmentName(leaf.key)));
  for (const name of Object.keys(input.environment)) {
    if (name.startsWith('NETLOOM_') && !names.has(name) && !NOT_SETTINGS.has(name)) {
      throw new ConfigError(name, 'unknown setting in the environment');
    }
  }
  const config: Record<string, unknown> = {};
  const entries = leaves.map((leaf): ConfigEntry => {
    const environment = environmentName(leaf.key);
    const inEnvironment = input.environment[environment];
    const flag = input.flags[leaf.key];
    const inFile = pick(file, leaf.key);
    const [value, source]: [unknown, ConfigSource] =
      flag !== undefined
        ? [fromText(leaf, flag), 'flag']
        : inEnvironment !== undefined
          ? [fromText(leaf, inEnvironment), 'environment']
          : inFile !== undefined
            ? [inFile, 'file']
            : [structuredClone(leaf.schema.default), 'default'];
    const [problem] = Value.Errors(leaf.schema, value);
    if (problem) {
      throw new ConfigError(
        leaf.key,
        `${JSON.stringify(value)} (from ${source}) ${problem.message}; ${leaf.schema.description}`,
      );
    }
    const parts = leaf.key.split('.');
    const last = parts.pop()!;
    let into = config;
    for (const part of parts) {
      into[part] ??= {};
      into = into[part] as Record<string, unknown>;
    }
    into[last] = value;
    return { key: leaf.key, environment, value, source, description: leaf.schema.description ?? '' };
  });
  const checked = Value.Parse(ConfigSchema, config) as Config;
  const http = endpoint('http.listen', checked.http.listen);
  if (!isLoopback(http.host) && !checked.http.allowRemote) {
    throw new ConfigError(
      'http.listen',
      `${checked.http.listen} is reachable from other machines and the API does not authenticate; set http.allowRemote to true to allow that`,
    );
  }
  for (const listener of checked.openflow.listen) {
    endpoint('openflow.listen', typeof listener === 'string' ? listener : listener.address);
  }
  endpoints('lisp.listen', checked.lisp.listen);
  segmentRange('overlay.vnis', checked.overlay.vnis);
  segmentRange('overlay.vsids', checked.overlay.vsids);
  return { config: checked, entries };
}

/** docs/configuration.md: every setting with its variable, default and meaning. */
export function configMarkdown(): string {
  const rows = leaves.map(
    ({ key, schema }) =>
      `| \`${key}\` | \`${environmentName(key)}\` | \`${JSON.stringify(schema.default)}\` | ${schema.description ?? ''} |`,
  );
  return [
    '# Settings',
    '',
    'A flag is stronger than the environment, that than the YAML file (`--config FILE`), that than the default. An unknown key is',
    'an error. `netloom config print` shows each value and where it came from. Lists in the environment are separated by commas.',
    '',
    '| key | environment | default | meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
