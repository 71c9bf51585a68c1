import { spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { decodeLisp, encodeLisp, type MapReply } from '../../../src/overlay-gw/lisp/index.ts';
import { freeUdpPort, LispRouter, rlocsOf } from '../../kit/lisp-router.ts';
import { Netloom } from '../../kit/netloom.ts';

/** `netloom serve` with a mapping system, from outside. */

const main = join(import.meta.dirname, '../../../src/main.ts');
const folder = mkdtempSync(join(tmpdir(), 'netloom-lisp-'));
const sockets: Socket[] = [];
let netloom: Netloom | undefined;
afterEach(async () => {
  for (const each of sockets.splice(0)) each.close();
  await netloom?.remove();
  netloom = undefined;
});
beforeAll(() => () => rmSync(folder, { recursive: true, force: true }));

async function udp(address = '127.0.0.1'): Promise<Socket> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  sockets.push(socket);
  socket.bind(0, address);
  await once(socket, 'listening');
  return socket;
}

/** Runs `netloom serve` to its end. */
async function serve(...flags: string[]): Promise<{ readonly code: number | null; readonly said: string }> {
  const any = '127.0.0.1:0';
  const args = ['serve', '--data', folder, '--openflow', any, '--http', any, '--ovsdb', '', ...flags];
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), main, ...args], { stdio: 'pipe' });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, said };
}

const question = (rloc: string): Buffer =>
  encodeLisp({
    type: 'mapRequest',
    authoritative: false,
    mapDataPresent: false,
    probe: false,
    smr: false,
    pitr: false,
    smrInvoked: false,
    nonce: '00000000000000aa',
    reserved: 0,
    source: { afi: 'none' },
    itrRlocs: [{ afi: rloc.includes(':') ? 'ipv6' : 'ipv4', address: rloc }],
    records: [{ reserved: 0, maskLength: 32, eid: { afi: 'ipv4', address: '10.0.0.1' } }],
  });

async function ask(address: string, port: number): Promise<MapReply> {
  const socket = await udp(address);
  const answer = once(socket, 'message');
  socket.send(question(address), port, address);
  const [bytes] = (await answer) as [Buffer];
  return decodeLisp(bytes) as MapReply;
}

describe('netloom serve', () => {
  it('answers LISP routers at each address of lisp.listen, says so when asked whether it is ready, and lets go of the port', async () => {
    const port = await freeUdpPort();
    netloom = await Netloom.start('--lisp', `127.0.0.1:${port},[::1]:${port}`);
    for (const address of ['127.0.0.1', '::1']) {
      expect((await ask(address, port)).records[0]).toMatchObject({ ttl: 15, action: 1, locators: [] });
    }
    const { checks } = await netloom.ok('GET', '/readyz');
    expect(checks).toContainEqual({ name: 'lisp', ok: true, reason: `127.0.0.1:${port},[::1]:${port}` });
    expect(await netloom.stop('SIGTERM')).toBe(0);
    const same = createSocket('udp4');
    sockets.push(same);
    same.bind(port, '127.0.0.1');
    await once(same, 'listening');
  });

  it('opens no LISP socket unless told to', async () => {
    netloom = await Netloom.start();
    const { checks } = await netloom.ok('GET', '/readyz');
    expect((checks as { name: string }[]).map(({ name }) => name)).not.toContain('lisp');
  });

  it.each([
    ['no HOST:PORT', '127.0.0.1'],
    ['a port beyond all', '127.0.0.1:4342,127.0.0.1:70000'],
    ['an address of another machine', '192.0.2.77:4342'],
    ['a name of nobody', 'nobody.invalid:4342'],
    ['an address twice', '127.0.0.1:4342,127.0.0.1:4343'],
  ])('ends with 2 and names lisp.listen for %s', async (_, listen) => {
    const { code, said } = await serve('--lisp', listen);
    expect(said).toContain('lisp.listen');
    expect(code).toBe(2);
  });

  it('says that the port is in use, and whose setting that is, and ends with 1', async () => {
    const { port } = (await udp()).address();
    const { code, said } = await serve('--lisp', `127.0.0.1:${port}`);
    expect(said).toContain(`netloom: lisp.listen: UDP 127.0.0.1:${port} is in use by another program`);
    expect(code).toBe(1);
  });
});

describe('what routers registered', () => {
  it('is answered again after kill -9 and a restart, and what was withdrawn stays gone', async () => {
    const port = await freeUdpPort();
    netloom = await Netloom.start('--lisp', `127.0.0.1:${port}`);
    const body = { instanceId: 7, eidPrefixes: ['10.1.0.0/16'], keys: ['secret'], acceptMoreSpecifics: true };
    await netloom.ok('PUT', '/v1/lisp/sites/a', { ...body, replayDefence: true });
    const router = await LispRouter.start({ address: '127.0.0.1', port });
    try {
      for (let i = 0; i < 250; i++) router.send(router.registration(`[7]10.1.${i}.0/24`, ['192.0.2.1']));
      await router.register('[7]10.1.255.0/24', ['192.0.2.2']);
      await router.withdraw('[7]10.1.3.0/24');
      await netloom.poll(
        () => netloom!.sum('netloom_lisp_store_waiting'),
        (waiting) => waiting === 0,
        'all stored',
      );
      await netloom.stop('SIGKILL');
      await netloom.start();
      expect(await netloom.sum('netloom_lisp_mappings')).toBe(250);
      expect(rlocsOf(await router.ask('[7]10.1.9.1'))).toEqual(['192.0.2.1']);
      expect(rlocsOf(await router.ask('[7]10.1.255.1'))).toEqual(['192.0.2.2']);
      expect((await router.ask('[7]10.1.3.1')).locators).toEqual([]);
      const { items } = await netloom.ok('GET', '/v1/lisp/mappings?instanceId=7&eid=10.1.9.0/24');
      const left = Date.parse(items[0].registrations[0].expiresAt) - Date.now();
      expect(left).toBeGreaterThan(100_000);
      expect(left).toBeLessThanOrEqual(180_000);
      // Registered again it is as if nothing had been; without its site it is gone, also after another restart.
      await router.register('[7]10.1.9.0/24', ['192.0.2.1']);
      await netloom.ok('DELETE', '/v1/lisp/sites/a');
      expect(await netloom.sum('netloom_lisp_mappings')).toBe(0);
      await netloom.stop('SIGTERM');
      await netloom.start();
      expect(await netloom.sum('netloom_lisp_mappings')).toBe(0);
    } finally {
      router.close();
    }
  });
});
