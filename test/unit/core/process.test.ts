import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Netloom } from '../../kit/netloom.ts';

/** The controller as a process of its own. */

const folder = mkdtempSync(join(tmpdir(), 'netloom-process-'));
let netloom: Netloom | undefined;
afterEach(async () => {
  await netloom?.remove();
  netloom = undefined;
  rmSync(folder, { recursive: true, force: true });
});

describe('SIGTERM', () => {
  it('ends it with 0, with an event stream open and a request waiting', async () => {
    netloom = await Netloom.start();
    await netloom.ok('PUT', '/v1/tenants/acme', {});
    await netloom.ok('PUT', '/v1/tenants/acme/networks/lan', {});
    const body = { network: 'lan', mac: '02:00:00:00:00:01', binding: { switch: '0000000000000001', port: 1 } };
    const waiting = netloom.call('PUT', '/v1/tenants/acme/ports/a?wait=ready&timeout=60s', body);
    const events = await fetch(`http://${netloom.http}/v1/events`);
    await netloom.until('/v1/tenants/acme/ports', ({ items }) => items.length === 1);
    const ended = netloom.stop('SIGTERM');
    const { status } = await waiting;
    expect([503, 504]).toContain(status);
    await events.text();
    expect(await ended).toBe(0);
    // What was accepted is there afterwards.
    await netloom.start();
    expect((await netloom.ok('GET', '/v1/tenants/acme/ports/a')).network).toBe('lan');
  });
});

describe('a third-party app', () => {
  const install = (name: string, code: string): void => {
    const at = join(folder, 'node_modules', name);
    mkdirSync(at, { recursive: true });
    writeFileSync(
      join(at, 'package.json'),
      JSON.stringify({ name, version: '1.0.0', type: 'module', main: 'index.js' }),
    );
    writeFileSync(join(at, 'index.js'), code);
    writeFileSync(join(folder, 'netloom.yaml'), `apps: [${name}]\nappSettings: { hello: { word: moin } }\n`);
  };

  it('is loaded by package name from the working folder, with its settings, and answers requests', async () => {
    install(
      'netloom-hello',
      `export default { name: 'hello', start(context) {
        context.route({ method: 'GET', path: '/v1/apps/hello', operationId: 'hello', tag: 'hello', summary: 'Greets',
          replies: { 200: { description: 'A word' } },
          handle: () => ({ status: 200, body: { word: context.settings.word, id: context.id } }) });
      } };`,
    );
    netloom = await Netloom.startIn(folder, '--config', join(folder, 'netloom.yaml'));
    const answer = await netloom.ok('GET', '/v1/apps/hello');
    expect(answer.word).toBe('moin');
    expect(answer.id).toBeGreaterThanOrEqual(256);
    const { paths } = await netloom.ok('GET', '/openapi.json');
    expect(Object.keys(paths)).toContain('/v1/apps/hello');
    // Its number is in the cookies of its flows: it has to stay the same.
    await netloom.stop('SIGKILL');
    await netloom.start();
    expect(await netloom.ok('GET', '/v1/apps/hello')).toEqual(answer);
  });

  it.each([
    ['answers paths of others', `context.route({ method: 'GET', path: '/v1/tenants/x' })`, 'may not answer'],
    ['throws', `throw new Error('no disk')`, 'no disk'],
  ])('that %s does not start, and neither does the controller', async (_, code, why) => {
    install('netloom-bad', `export default { name: 'bad', start(context) { ${code} } };`);
    await expect(Netloom.startIn(folder, '--config', join(folder, 'netloom.yaml'))).rejects.toThrow(why);
  });
});
