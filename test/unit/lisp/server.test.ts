import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/controller/kernel/index.ts';
import { type Endpoint, LispServer, type LispServerOptions } from '../../../src/overlay-gw/lisp/index.ts';

const servers: LispServer[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((each) => each.stop()));
  for (const each of sockets.splice(0)) each.close();
});

async function serve(
  receive: LispServerOptions['receive'],
  listen = ['127.0.0.1'],
  more: Partial<LispServerOptions> = {},
): Promise<LispServer> {
  const server = new LispServer({
    log: silentLogger,
    listen: listen.map((address) => ({ address, port: 0 })),
    receive,
    ...more,
  });
  servers.push(server);
  await server.start();
  return server;
}

async function peer(address = '127.0.0.1'): Promise<Socket> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  sockets.push(socket);
  socket.bind(0, address);
  await once(socket, 'listening');
  return socket;
}

/** A server that sends back what it hears. */
async function echo(listen: string[], more: Partial<LispServerOptions> = {}): Promise<LispServer> {
  const server: LispServer = await serve((bytes, from, to) => server.send(bytes, from, to), listen, more);
  return server;
}

describe('datagrams', () => {
  it.each([['127.0.0.1'], ['127.0.0.2'], ['::1']])('sent to %s are answered from there', async (address) => {
    const server = await echo(['127.0.0.1', '127.0.0.2', '::1']);
    const at = server.endpoints.find((each) => each.address === address)!;
    const socket = await peer(address.includes(':') ? '::1' : '127.0.0.1');
    const heard = once(socket, 'message');
    socket.send('hello', at.port, at.address);
    const [bytes, from] = await heard;
    expect([String(bytes), { address: from.address, port: from.port }]).toEqual(['hello', at]);
  });

  it('that cause a fault cost only themselves', async () => {
    const server: LispServer = await serve((bytes, from, to) => {
      if (String(bytes) === 'bad') throw new Error('fault');
      server.send(bytes, from, to);
    });
    const [at] = server.endpoints;
    const socket = await peer();
    const heard = once(socket, 'message');
    socket.send('bad', at!.port, at!.address);
    socket.send('good', at!.port, at!.address);
    expect(String((await heard)[0])).toBe('good');
    expect(server.counters.faults).toBe(1);
  });

  it('beyond what may wait are lost, and counted', async () => {
    const server = await echo(['127.0.0.1'], { queueBytes: 100 });
    const [at] = server.endpoints;
    const socket = await peer();
    socket.send('x', at!.port, at!.address);
    await expect.poll(() => server.counters.overflows).toBe(1);
    expect(server.counters.sent).toBe(0);
  });

  it('of many turns are all handled, in order', async () => {
    const heard: string[] = [];
    const server = await serve((bytes) => heard.push(String(bytes)), ['127.0.0.1'], { turnBytes: 1 });
    const [at] = server.endpoints;
    const socket = await peer();
    for (let i = 0; i < 50; i++) socket.send(String(i), at!.port, at!.address);
    await expect.poll(() => heard.length).toBe(50);
    expect(heard).toEqual(Array.from({ length: 50 }, (_, i) => String(i)));
  });

  it.each<[string, Endpoint]>([
    ['no address', { address: 'nowhere', port: 1 }],
    ['port 0', { address: '127.0.0.1', port: 0 }],
    ['a family without socket', { address: '::1', port: 4342 }],
  ])('to %s are counted as not sent', async (_, to) => {
    const server = await echo(['127.0.0.1']);
    server.send(Buffer.from('x'), to, undefined);
    expect(server.counters.sendErrors).toBe(1);
  });

  it('too large for UDP are counted as not sent', async () => {
    const server = await echo(['127.0.0.1']);
    server.send(Buffer.alloc(70_000), server.endpoints[0]!, undefined);
    await expect.poll(() => server.counters.sendErrors).toBe(1);
  });
});

describe('a server', () => {
  it('that cannot open one of its sockets opens none, and says why', async () => {
    const taken = await peer();
    const server = new LispServer({
      log: silentLogger,
      listen: [{ address: '127.0.0.2', port: 0 }, taken.address()],
      receive: () => {},
    });
    await expect(server.start()).rejects.toMatchObject({ code: 'EADDRINUSE' });
    expect(server.endpoints).toEqual([]);
  });

  it('stops, more than once too, sends nothing any more, and can be started again', async () => {
    const server = await echo(['127.0.0.1']);
    await Promise.all([server.stop(), server.stop()]);
    server.send(Buffer.from('x'), { address: '127.0.0.1', port: 9 }, undefined);
    expect(server.counters.sendErrors).toBe(1);
    await server.start();
    expect(server.endpoints).toHaveLength(1);
  });
});
