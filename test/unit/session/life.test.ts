import { readdirSync, readFileSync } from 'node:fs';
import { Server } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { TlsOptions } from '../../../src/controller/session/index.ts';
import type { Message } from '../../../src/ofproto/index.ts';
import { Authority, type Credentials } from '../../kit/authority.ts';
import { RawPeer } from '../../kit/raw-peer.ts';
import { Harness } from './kit.ts';

/** How connections live and end, over real TCP and TLS. */

let at: Harness;
const peers: RawPeer[] = [];
afterEach(async () => {
  for (const peer of peers.splice(0)) peer.destroy();
  await at.server.close('test ends');
});

async function serve(...parameters: ConstructorParameters<typeof Harness>): Promise<number> {
  at = new Harness(...parameters);
  return at.listen();
}
const keep = (peer: RawPeer): RawPeer => {
  peers.push(peer);
  return peer;
};
const connect = async (port: number): Promise<RawPeer> => keep(await RawPeer.connect(port));
async function up(port: number, dpid: bigint): Promise<RawPeer> {
  const peer = keep(await RawPeer.up(port, dpid));
  await at.until(`up ${id(dpid)}`);
  return peer;
}
const id = (dpid: bigint): string => dpid.toString(16).padStart(16, '0');
/** Says hello and which switch it is, and no more. */
async function claim(port: number, dpid: bigint): Promise<RawPeer> {
  const peer = await connect(port);
  peer.send('0400000800000001');
  await peer.answer('featuresRequest', dpid);
  return peer;
}
/** An auxiliary connection of datapath 1, as far as it gets. */
async function auxiliaryOf1(port: number): Promise<RawPeer> {
  const peer = await connect(port);
  peer.send('0400000800000001');
  const { xid } = await peer.next(({ type }) => type === 'featuresRequest');
  peer.send(`04060020${xid.toString(16).padStart(8, '0')}000000000000000100000000fe0100000000004f00000000`);
  return peer;
}
const isEcho = ({ type }: Message): boolean => type === 'echoRequest';
async function answerEcho(peer: RawPeer): Promise<void> {
  const { xid } = await peer.next(isEcho);
  peer.message({ type: 'echoReply', data: Buffer.alloc(0) }, xid);
}

describe('one datapath id, two connections (FC-11)', () => {
  it('a live switch is asked for a sign of life, stays, and the second is refused with an alarm that names both', async () => {
    const port = await serve();
    const first = await up(port, 1n);
    const second = await claim(port, 1n);
    await answerEcho(first);
    await second.closed;
    expect(at.alarms).toMatchObject([{ dpid: id(1n), holder: first.remote, claimant: second.remote }]);
    expect(at.closed).toEqual({ 'duplicate-dpid': 1 });
    expect(await first.echo()).toBe('are you there');
  });

  it('a dead one gives way to the one that comes', async () => {
    const port = await serve({ duplicateProbeMs: 50 });
    await up(port, 1n);
    const second = keep(await RawPeer.up(port, 1n));
    await at.until(`up ${id(1n)}`, 2);
    expect(at.events).toEqual([`up ${id(1n)}`, `down ${id(1n)} replaced`, `up ${id(1n)}`]);
    expect(at.session(1n).remote).toBe(second.remote);
    expect(at.alarms).toEqual([]);
  });

  it('the late end of the old connection takes nothing from the new one', async () => {
    const port = await serve({ duplicateProbeMs: 50 });
    const first = await up(port, 1n);
    const second = keep(await RawPeer.up(port, 1n));
    await at.until(`up ${id(1n)}`, 2);
    first.destroy();
    while (at.server.connections > 1) await second.echo();
    expect(at.session(1n).remote).toBe(second.remote);
    expect(at.events.filter((event) => event.startsWith('down'))).toHaveLength(1);
  });

  it('two live ones that fight change nothing: the first stays, however often the other tries', async () => {
    const port = await serve();
    const first = await up(port, 1n);
    for (let round = 0; round < 20; round++) {
      const second = await claim(port, 1n);
      await answerEcho(first);
      await second.closed;
    }
    expect(at.events.filter((event) => event !== 'alarm')).toEqual([`up ${id(1n)}`]);
    expect(at.server.counters.duplicateAlarms).toBe(1);
    expect(at.closed).toEqual({ 'duplicate-dpid': 20 });
  });

  it('a refused one is welcome as soon as the other is gone', async () => {
    const port = await serve();
    const first = await up(port, 1n);
    const refused = await claim(port, 1n);
    await answerEcho(first);
    await refused.closed;
    first.end();
    await at.until(/^down/);
    keep(await RawPeer.up(port, 1n));
    await at.until(`up ${id(1n)}`, 2);
  });

  it('an auxiliary connection is no duplicate, ends with its main one, and needs one', async () => {
    const port = await serve({ echoIntervalMs: 50, echoTimeoutMs: 5_000 });
    const main = await up(port, 1n);
    const auxiliary = await auxiliaryOf1(port);
    expect(await auxiliary.echo()).toBe('are you there');
    expect(at.events).toEqual([`up ${id(1n)}`]);
    main.end();
    await auxiliary.closed;
    const orphan = await auxiliaryOf1(port);
    await orphan.closed;
    expect(at.closed).toMatchObject({ 'main-closed': 1, 'auxiliary-without-main': 1 });
  });

  it('what a switch reports over an auxiliary connection counts as from its main one', async () => {
    const port = await serve();
    await up(port, 1n);
    const auxiliary = await auxiliaryOf1(port);
    const described = `00000007${'00'.repeat(60)}`;
    auxiliary.send(`040c0050000000000000000000000000${described}`);
    auxiliary.send('040a002a00000000ffffffff0000000000000000000000000001000c8000000400000001000000000000');
    auxiliary.send(`040b003800000000${'00'.repeat(40)}0001000400000000`);
    await at.until(`flow-removed ${id(1n)}`);
    expect(at.events).toEqual([`up ${id(1n)}`, `port ${id(1n)} 7`, 'packet-in', `flow-removed ${id(1n)}`]);
    expect(at.packetIns[0]!.dpid).toBe(id(1n));
    expect([...at.session(1n).ports.keys()]).toEqual([7]);
  });
});

describe('silence (FC-12)', () => {
  it('is asked about after the interval, and ends the session when nothing comes', async () => {
    const port = await serve({ echoIntervalMs: 60, echoTimeoutMs: 60 });
    const peer = await up(port, 1n);
    await answerEcho(peer);
    await answerEcho(peer);
    expect(at.events).toEqual([`up ${id(1n)}`]);
    await at.until(`down ${id(1n)} echo-timeout`);
  });

  it('in the handshake ends the connection', async () => {
    const port = await serve({ handshakeMs: 60 });
    const silent = await connect(port);
    const stuck = await claim(port, 1n);
    await Promise.all([silent.closed, stuck.closed]);
    expect(at.closed).toEqual({ 'handshake-timeout': 2 });
  });

  it('of requests is answered by their deadline; the end of a session answers all that are open', async () => {
    const port = await serve();
    const peer = await up(port, 1n);
    const session = at.session(1n);
    await expect(session.request(Buffer.from('0414000800000000', 'hex'), 50)).rejects.toMatchObject({
      name: 'TimeoutError',
    });
    const waiting = [session.barrier(), session.barrier(), session.requestRole(2)];
    const outcomes = Promise.allSettled(waiting);
    peer.end();
    expect((await outcomes).map((each) => each.status === 'rejected' && each.reason.name)).toEqual(
      Array.from({ length: 3 }, () => 'ClosedError'),
    );
    await expect(session.barrier()).rejects.toMatchObject({ name: 'ClosedError' });
  });
});

describe('storms (FC-12)', () => {
  it('100 that connect and vanish leave no descriptor and no entry behind', async () => {
    const port = await serve();
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    const first = await up(port, 1n);
    first.destroy();
    await at.empty();
    const before = descriptors();
    for (let round = 0; round < 100; round++) {
      const peer = round % 2 === 0 ? await RawPeer.connect(port) : await RawPeer.up(port, BigInt(round + 100));
      peer.destroy();
      await peer.closed;
    }
    await at.empty();
    while (descriptors() > before) await new Promise((resolve) => setImmediate(resolve));
    expect(at.server.sessions.size).toBe(0);
    expect(at.server.counters.opened).toBe(101);
    // Nobody holds a datapath id any more: all of them may come.
    const again = await up(port, 101n);
    expect(await again.echo()).toBe('are you there');
  });

  it('200 at once are all up, none of them dropped by our own limits', async () => {
    const port = await serve();
    const all = await Promise.all(Array.from({ length: 200 }, (_, n) => RawPeer.up(port, BigInt(n + 1))));
    for (const peer of all) keep(peer);
    await at.until(/^up/, 200);
    expect(at.server.sessions.size).toBe(200);
    expect(at.closed).toEqual({});
  });

  it('more connections than allowed are closed at once; those that are there stay', async () => {
    const port = await serve({ connections: 2 });
    const [one] = [await up(port, 1n), await up(port, 2n)];
    const third = await connect(port);
    await third.closed;
    expect(at.closed).toEqual({ 'too-many-connections': 1 });
    expect(await one.echo()).toBe('are you there');
  });

  it('the limit is one for all listeners', async () => {
    const listener = { host: '127.0.0.1', port: 0 };
    const port = await serve({ connections: 2 }, [listener, listener]);
    const one = await up(port, 1n);
    await up(at.addresses[1]!.port, 2n);
    const third = await connect(port);
    await third.closed;
    expect(at.closed).toEqual({ 'too-many-connections': 1 });
    expect(at.logged.find(({ message }) => message.includes('connections'))!.fields).toEqual({ remote: third.remote });
    expect(await one.echo()).toBe('are you there');
  });

  it('an error while accepting is told, and nothing ends: those that are there stay, others may come', async () => {
    const listen = vi.spyOn(Server.prototype, 'listen');
    const port = await serve();
    const [listening] = listen.mock.contexts as Server[];
    listen.mockRestore();
    const one = await up(port, 1n);
    // What Node does when accept(2) fails; an `error` that nobody listens to is thrown.
    listening!.emit('error', new Error('accept ENOBUFS'));
    const { fields } = at.logged.find(({ message }) => message === 'cannot accept a switch')!;
    expect(fields).toEqual({ host: '127.0.0.1', port, tls: false, reason: 'accept ENOBUFS' });
    expect(await one.echo()).toBe('are you there');
    await up(port, 2n);
    expect(at.closed).toEqual({});
  });
});

describe('errors of a switch (FC-13)', () => {
  const tableFull = (xid: number): string => `0401000c${xid.toString(16).padStart(8, '0')}00050001`;
  const cutCopy = (xid: number): string =>
    `0401004c${xid.toString(16).padStart(8, '0')}00040009040e005000000055000000000000000000000000000000000000000000000064ffffffffffffffffffffffff000000000001001e80000a0286dd800034102001`;

  it.each([
    ['without data', tableFull, 5, 1],
    ['with a cut copy', cutCopy, 4, 9],
  ] as const)('%s reach whoever owns the xid', async (_, bytes, type, code) => {
    const port = await serve();
    const peer = await up(port, 1n);
    const session = at.session(1n);
    const seen: unknown[] = [];
    const xid = session.nextXid();
    const stop = session.watchErrors(xid, xid, (...error) => seen.push(error.slice(0, 3)));
    const barrier = session.barrier();
    const { xid: barrierXid } = await peer.next(({ type }) => type === 'barrierRequest');
    peer.send(bytes(xid));
    peer.message({ type: 'barrierReply' }, barrierXid);
    await barrier;
    expect(seen).toEqual([[xid, type, code]]);
    stop();
  });

  it('fail the request with their names and the datapath id', async () => {
    const port = await serve();
    const peer = await up(port, 1n);
    const asked = at.session(1n).request(Buffer.from('04070008000000000'.slice(0, 16), 'hex'));
    const { xid } = await peer.next(({ type }) => type === 'getConfigRequest');
    peer.send(`0401000c${xid.toString(16).padStart(8, '0')}00010005`);
    await expect(asked).rejects.toMatchObject({
      name: 'SwitchError',
      details: { dpid: id(1n), type: 'OFPET_BAD_REQUEST', error: 'OFPBRC_EPERM' },
    });
  });

  it('for an xid that nobody knows are told and counted', async () => {
    const port = await serve();
    const peer = await up(port, 1n);
    peer.send(tableFull(0x4444));
    await at.until(/^error/);
    expect(at.server.counters.errorsUnexpected).toBe(1);
    expect(at.logged.some(({ message }) => message === 'error from switch')).toBe(true);
  });
});

describe('roles', () => {
  it('the generation is asked for first, and the next one used', async () => {
    const port = await serve();
    const peer = await up(port, 1n);
    const asked = at.session(1n).requestRole(2);
    const isRole = ({ type }: Message): boolean => type === 'roleRequest';
    const first = await peer.next(isRole);
    expect(first).toMatchObject({ role: 0 });
    peer.message({ type: 'roleReply', role: 1, generationId: 41n }, first.xid);
    const second = await peer.next(isRole);
    expect(second).toMatchObject({ role: 2, generationId: 42n });
    // Somebody was faster: once more, higher.
    peer.send(`0401000c${second.xid.toString(16).padStart(8, '0')}000b0000`);
    const third = await peer.next(isRole);
    peer.message({ type: 'roleReply', role: 1, generationId: 50n }, third.xid);
    const fourth = await peer.next(isRole);
    expect(fourth).toMatchObject({ role: 2, generationId: 51n });
    peer.message({ type: 'roleReply', role: 2, generationId: 51n }, fourth.xid);
    expect(await asked).toBe('accepted');
  });

  it('a number of our own is not used when the switch has seen one as new', async () => {
    const port = await serve();
    const peer = await up(port, 1n);
    const asked = at.session(1n).requestRole(2, 7n);
    const { xid } = await peer.next(({ type }) => type === 'roleRequest');
    peer.message({ type: 'roleReply', role: 1, generationId: 7n }, xid);
    expect(await asked).toBe('stale');
  });

  it('what may come unasked is chosen by OFPT_SET_ASYNC, and a refusal is told', async () => {
    const port = await serve();
    const peer = await up(port, 1n);
    const chosen = at.session(1n).setAsync({ packetIn: [7, 0], portStatus: [7, 7], flowRemoved: [15, 0] });
    const sent = await peer.next(({ type }) => type === 'setAsync');
    expect(sent).toMatchObject({ packetInMaster: 7, packetInSlave: 0, portStatusSlave: 7, flowRemovedMaster: 15 });
    const barrier = await peer.next(({ type }) => type === 'barrierRequest');
    peer.send(`0401000c${sent.xid.toString(16).padStart(8, '0')}00010001`);
    peer.message({ type: 'barrierReply' }, barrier.xid);
    await expect(chosen).rejects.toMatchObject({ name: 'SwitchError' });
  });
});

describe('a peer that does not read', () => {
  const frame = Buffer.alloc(1_400);

  it('is owed little, gets no packet-outs beyond that, and is closed when it takes nothing', async () => {
    const port = await serve({ echoIntervalMs: 300, echoTimeoutMs: 300, handshakeMs: 5_000 });
    const healthy = await up(port, 2n);
    const peer = await up(port, 1n);
    const session = at.session(1n);
    peer.stall(true);
    // The kernel's own buffers take some megabytes first.
    let refused = false;
    for (let n = 0; !refused; n++) {
      refused = !session.packetOut(1, [2], frame);
      if (n % 50 === 0) await healthy.echo();
    }
    while (at.session(1n) === session) {
      // The kernel may find some room yet.
      while (session.packetOut(1, [2], frame));
      expect(session.unsent).toBeLessThanOrEqual(1024 * 1024);
      expect(await healthy.echo()).toBe('are you there');
    }
    expect(at.closed).toEqual({ 'slow-reader': 1 });
  });

  it('is not read either, until it reads again', async () => {
    const port = await serve();
    const peer = await up(port, 1n);
    const session = at.session(1n);
    peer.stall(true);
    while (session.unsent <= 128 * 1024) {
      session.write(Buffer.concat([Buffer.from('0402ff0000000009', 'hex'), Buffer.alloc(0xff00 - 8)]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const drained = session.drained();
    expect(at.server.counters.pressurePauses).toBe(1);
    peer.stall(false);
    await drained;
    expect(await peer.echo()).toBe('are you there');
    expect(at.server.sessions.size).toBe(1);
  });

  it('is closed when it is owed more than the cap', async () => {
    const port = await serve({ outputCap: 256 * 1024 });
    const peer = await up(port, 1n);
    const session = at.session(1n);
    peer.stall(true);
    const chunk = Buffer.concat([Buffer.from('0402ff0000000009', 'hex'), Buffer.alloc(0xff00 - 8)]);
    while (at.session(1n) === session) {
      session.write(chunk);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(at.closed).toEqual({ 'slow-reader': 1 });
  });
});

describe('a peer that sends too much', () => {
  it('gets its share of a turn, and its neighbours are answered in between', async () => {
    const port = await serve({ turnMessages: 64 });
    const [loud, quiet] = [await up(port, 1n), await up(port, 2n)];
    const packetIn = Buffer.from(
      '040a002a00000000ffffffff0000000000000000000000000001000c8000000400000001000000000000',
      'hex',
    );
    loud.send(Buffer.concat(Array.from({ length: 20_000 }, () => packetIn)));
    const during: number[] = [];
    while (at.packetIns.length < 20_000) {
      await quiet.echo();
      during.push(at.packetIns.length);
    }
    expect(during.length).toBeGreaterThan(5);
    expect(at.server.counters.turnPauses).toBeGreaterThan(0);
  });
});

describe('TLS', () => {
  let ours: Authority;
  let theirs: Authority;
  const certificates = new Map<string, Credentials>();
  const pem = (name: string, part: keyof Credentials): string => readFileSync(certificates.get(name)![part], 'utf8');

  beforeAll(() => {
    ours = new Authority();
    theirs = new Authority();
    for (const name of ['controller', 'switch1', 'switch2']) certificates.set(name, ours.issue(name));
    certificates.set('stranger', theirs.issue('stranger'));
  });
  afterAll(() => {
    ours.remove();
    theirs.remove();
  });

  const listener = (pinning: Pick<TlsOptions, 'pins' | 'pinnedOnly'> = {}) => ({
    host: '127.0.0.1',
    port: 0,
    tls: {
      key: pem('controller', 'key'),
      cert: pem('controller', 'cert'),
      ca: pem('controller', 'ca'),
      ...pinning,
    },
  });
  const as = (name: string) => ({
    key: pem(name, 'key'),
    cert: pem(name, 'cert'),
    ca: pem('controller', 'ca'),
    checkServerIdentity: () => undefined,
  });
  const fingerprint = (name: string): string =>
    ours
      .openssl('x509', '-in', certificates.get(name)!.cert, '-noout', '-fingerprint', '-sha256')
      .split('=')[1]!
      .trim();

  it('a switch whose certificate our authority signed is up; others, and those without one, never are', async () => {
    const port = await serve({}, [listener()]);
    const peer = keep(await RawPeer.up(port, 1n, as('switch1')));
    await at.until(`up ${id(1n)}`);
    const strangers = [as('stranger'), { ca: pem('controller', 'ca'), checkServerIdentity: () => undefined }];
    for (const stranger of strangers) {
      // TLS 1.3 tells a client of its refusal after its own handshake: the connection may seem open for a moment.
      const refused = await RawPeer.connect(port, stranger).catch(() => undefined);
      await refused?.closed;
    }
    const plain = await connect(port);
    plain.send('0400000800000001');
    await plain.closed;
    while (at.closed['tls'] !== 3) await peer.echo();
    expect(at.events).toEqual([`up ${id(1n)}`]);
  });

  it('a pinned datapath id belongs to one certificate, on every listener', async () => {
    const plain = { host: '127.0.0.1', port: 0 };
    await serve({}, [listener({ pins: { [id(1n)]: fingerprint('switch1') } }), plain]);
    const [secure, open] = at.addresses.map(({ port }) => port) as [number, number];
    for (const imposter of [await RawPeer.connect(secure, as('switch2')), await RawPeer.connect(open)]) {
      keep(imposter).send('0400000800000001');
      await imposter.answer('featuresRequest', 1n);
      await imposter.closed;
    }
    expect(at.closed).toEqual({ pin: 2 });
    keep(await RawPeer.up(secure, 1n, as('switch1')));
    await at.until(`up ${id(1n)}`);
    // Who is not pinned is free to be anybody else.
    await up(open, 2n);
  });

  it('a listener for pinned ones only takes nobody else; who is not pinned may use the others', async () => {
    const elsewhere = listener({ pins: { [id(3n)]: fingerprint('switch2') } });
    await serve({}, [listener({ pins: { [id(1n)]: fingerprint('switch1') }, pinnedOnly: true }), elsewhere]);
    const [strict, lax] = at.addresses.map(({ port }) => port) as [number, number];
    const refused = keep(await RawPeer.connect(strict, as('switch2')));
    refused.send('0400000800000001');
    await refused.answer('featuresRequest', 2n);
    await refused.closed;
    expect(at.closed).toEqual({ pin: 1 });
    expect(at.events).toEqual([]);
    const { fields } = at.logged.find(({ level }) => level === 'warn')!;
    expect(fields).toMatchObject({ reason: 'pin', detail: expect.stringContaining(`${id(2n)} is not pinned`) });
    // A pin is a pin, on whatever listener it is written.
    for (const [port, dpid, name] of [
      [strict, 1n, 'switch1'],
      [strict, 3n, 'switch2'],
      [lax, 2n, 'switch2'],
    ] as const) {
      keep(await RawPeer.up(port, dpid, as(name)));
      await at.until(`up ${id(dpid)}`);
    }
    expect(at.closed).toEqual({ pin: 1 });
  });

  it('peers that stay in their TLS handshake count against the limit of connections', async () => {
    const port = await serve({ connections: 2 }, [listener()]);
    const peer = keep(await RawPeer.up(port, 1n, as('switch1')));
    await at.until(`up ${id(1n)}`);
    const silent = await connect(port);
    const third = await connect(port);
    await third.closed;
    expect(at.closed).toEqual({ 'too-many-connections': 1 });
    expect(at.server.connections).toBe(1);
    expect(at.logged.find(({ message }) => message.includes('connections'))!.fields).toEqual({ remote: third.remote });
    expect(await peer.echo()).toBe('are you there');
    // When one of them leaves, the next may come.
    silent.destroy();
    while (at.closed['tls'] !== 1) await peer.echo();
    await peer.echo();
    keep(await RawPeer.up(port, 2n, as('switch2')));
    await at.until(`up ${id(2n)}`);
  });

  it('a listener whose port is taken opens none of them', async () => {
    const port = await serve({}, [listener()]);
    const second = new Harness({}, [
      { host: '127.0.0.1', port: 0 },
      { host: '127.0.0.1', port },
    ]);
    await expect(second.listen()).rejects.toThrow(/EADDRINUSE/);
  });
});
