import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/controller/config/index.ts';

const load = (yaml?: string, environment: Record<string, string> = {}, flags: Record<string, string> = {}) => {
  let file: string | undefined;
  if (yaml !== undefined) {
    file = join(mkdtempSync(join(tmpdir(), 'netloom-config-')), 'netloom.yaml');
    writeFileSync(file, yaml);
  }
  return loadConfig({ file, environment, flags });
};

const sourceOf = (loaded: ReturnType<typeof load>, key: string) =>
  loaded.entries.find((entry) => entry.key === key)?.source;

describe('configuration', () => {
  it('listens on loopback only and has the default network off unless told otherwise', () => {
    const { config } = load();
    expect(config.openflow.listen).toEqual(['127.0.0.1:6653']);
    expect(config.http.listen).toBe('127.0.0.1:8080');
    expect(config.defaultNetwork).toBe(false);
    expect(config.dataDir).toBe('./netloom-data');
  });

  it('prefers flag over environment over file over default, and says which it was', () => {
    const yaml = 'log: {level: warn}\nhttp: {listen: "127.0.0.1:1"}\nopenflow: {echoTimeoutMs: 7000}\n';
    const loaded = load(
      yaml,
      { NETLOOM_LOG_LEVEL: 'error', NETLOOM_HTTP_LISTEN: '127.0.0.1:2' },
      { 'http.listen': '127.0.0.1:3' },
    );
    expect(loaded.config.http.listen).toBe('127.0.0.1:3');
    expect(sourceOf(loaded, 'http.listen')).toBe('flag');
    expect(loaded.config.log.level).toBe('error');
    expect(sourceOf(loaded, 'log.level')).toBe('environment');
    expect(loaded.config.openflow.echoTimeoutMs).toBe(7000);
    expect(sourceOf(loaded, 'openflow.echoTimeoutMs')).toBe('file');
    expect(sourceOf(loaded, 'dataDir')).toBe('default');
  });

  it.each([
    ['an unknown key', 'opneflow: {}', 'opneflow'],
    ['an unknown key below', 'log: {levle: info}', 'log.levle'],
    ['a wrong type', 'defaultNetwork: "yes"', 'defaultNetwork'],
    ['a wrong level', 'log: {level: loud}', 'log.level'],
    ['an endpoint without a port', 'http: {listen: localhost}', 'http.listen'],
    ['a port above 65535', 'http: {listen: "127.0.0.1:70000"}', 'http.listen'],
    ['VNIs that end before they begin', 'overlay: {vnis: 9-8}', 'overlay.vnis'],
    ['VSIDs from 0', 'overlay: {vsids: 0-8}', 'overlay.vsids'],
    ['VNIs of 25 bits', 'overlay: {vnis: 1-16777216}', 'overlay.vnis'],
    ['VNIs that are no range', 'overlay: {vnis: "17"}', 'overlay.vnis'],
    ['no listener', 'openflow: {listen: []}', 'openflow.listen'],
    ['a scalar where settings belong', 'log: info', 'log'],
    ['a document that is a list', '- a', '--config'],
    ['broken YAML', 'a: [', '--config'],
  ])('refuses %s and names the key', (_what, yaml, key) => {
    expect(() => load(yaml)).toThrowError(expect.objectContaining({ code: 'NL_CONFIG', details: { path: key } }));
  });

  it('refuses an unknown NETLOOM_ variable, but not those of clients', () => {
    expect(() => load(undefined, { NETLOOM_LOG_LEVLE: 'info' })).toThrow('NETLOOM_LOG_LEVLE');
    expect(() => load(undefined, { NETLOOM_TOKEN: 'x', HOME: '/' })).not.toThrow();
  });

  it('refuses an open API beyond loopback unless it is asked for by name', () => {
    expect(() => load('http: {listen: "0.0.0.0:8080"}')).toThrow('allowRemote');
    expect(() => load('http: {listen: "0.0.0.0:8080", allowRemote: true}')).not.toThrow();
    expect(() => load('http: {listen: "[::1]:8080"}')).not.toThrow();
  });

  it('takes TLS listeners with pins from the file and plain ones from the environment', () => {
    const tls =
      'openflow: {listen: ["127.0.0.1:6653", {address: "0.0.0.0:6654", tls: {key: k, cert: c, ca: a, pinnedOnly: true}}]}';
    expect(load(tls).config.openflow.listen).toEqual([
      '127.0.0.1:6653',
      { address: '0.0.0.0:6654', tls: { key: 'k', cert: 'c', ca: 'a', pinnedOnly: true } },
    ]);
    expect(load(undefined, { NETLOOM_OPENFLOW_LISTEN: '127.0.0.1:1, 127.0.0.1:2' }).config.openflow.listen).toEqual([
      '127.0.0.1:1',
      '127.0.0.1:2',
    ]);
  });
});
