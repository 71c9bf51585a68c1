import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RawPeer } from '../../kit/raw-peer.ts';
import { Harness } from './kit.ts';

/** What peers may put on the wire, over real TCP. Inputs of the field cases are in docs of the cases named. */

let at: Harness;
let port: number;
const peers: RawPeer[] = [];
const connect = async (): Promise<RawPeer> => {
  const peer = await RawPeer.connect(port);
  peers.push(peer);
  return peer;
};
const up = async (dpid: bigint): Promise<RawPeer> => {
  const peer = await connect();
  await peer.shakeHands(dpid);
  await at.until(`up ${dpid.toString(16).padStart(16, '0')}`);
  return peer;
};

beforeEach(async () => {
  at = new Harness({ handshakeMs: 400 });
  port = await at.listen();
});
afterEach(async () => {
  for (const peer of peers.splice(0)) peer.destroy();
  await at.server.close('test ends');
});

const zeroLengths: readonly (readonly [string, string])[] = [
  [
    'flow entry',
    '04130048000000210001000000000000000000000000000100000000000a0000000000000000000000000000000000000000000000000001000000000000003c0001000400000000',
  ],
  [
    'instruction',
    '04130050000000210001000000000000004000000000000100000000000a0000000000000000000000000000000000000000000000000001000000000000003c00010004000000000004000000000000',
  ],
  [
    'action',
    '04130060000000210001000000000000005000000000000100000000000a0000000000000000000000000000000000000000000000000001000000000000003c000100040000000000040018000000000000000000000001ffff000000000000',
  ],
  [
    'entry larger than its message',
    '04130048000000210001000000000000100000000000000100000000000a0000000000000000000000000000000000000000000000000001000000000000003c0001000400000000',
  ],
  ['bucket', '04130028000000210007000000000000001800000000000100000001ffffffffffffffff00000000'],
];

describe('lengths of zero inside lists (FC-01)', () => {
  it.each(zeroLengths)('%s: refused with its offset; the connection and its neighbours go on', async (_, hex) => {
    const healthy = await up(2n);
    const peer = await up(1n);
    peer.send(hex);
    await at.counted('badMessages', 1);
    const { fields } = at.logged.find(({ message }) => message === 'message refused')!;
    expect(fields).toMatchObject({ dpid: '0000000000000001', reason: expect.stringMatching(/ at byte \d+$/) });
    expect(await peer.echo()).toBe('are you there');
    expect(await healthy.echo()).toBe('are you there');
  });

  it('hello element: the connection ends, with the reason', async () => {
    const healthy = await up(2n);
    const peer = await connect();
    peer.send('04000010000000010001000000000010');
    await peer.closed;
    expect(at.closed).toEqual({ 'bad-handshake': 1 });
    expect(await healthy.echo()).toBe('are you there');
  });
});

describe('framing (FC-02)', () => {
  it.each(['0402000700000001', '0402000000000001'])('a header with length %s ends the connection', async (hex) => {
    const peer = await up(1n);
    peer.send(hex);
    await peer.closed;
    expect(peer.received.at(-1)).toMatchObject({ type: 'error', errorType: 1, errorCode: 6 });
    expect(at.closed).toEqual({ framing: 1 });
  });

  it('a handshake byte by byte is a handshake', async () => {
    const peer = await connect();
    await peer.trickle('0400000800000001');
    const { xid } = await peer.next(({ type }) => type === 'featuresRequest');
    await peer.trickle(`04060020${xid.toString(16).padStart(8, '0')}000000000000000100000000fe0000000000004f00000000`);
    await peer.answer('portDesc');
    await peer.answer('desc');
    await at.until('up 0000000000000001');
  });

  it('500 echo requests in one write are answered in order, each with its xid and payload', async () => {
    const peer = await up(1n);
    const request = (n: number): string =>
      `0402000c${n.toString(16).padStart(8, '0')}${(n * 7).toString(16).padStart(8, '0')}`;
    const numbers = Array.from({ length: 500 }, (_, n) => n + 1000);
    const before = peer.raw.length;
    peer.send(numbers.map(request).join(''));
    await peer.next((message) => message.type === 'echoReply' && message.xid === 1499);
    expect(peer.raw.slice(before)).toEqual(numbers.map((n) => request(n).replace('0402', '0403')));
  });

  it('half a message before the end is handed to nobody', async () => {
    const peer = await up(1n);
    peer.send('040a003e00000000ffffffff05ea0000');
    peer.end();
    await at.until('down 0000000000000001 peer-closed');
    expect(at.packetIns).toEqual([]);
    expect(at.server.counters.badMessages).toBe(0);
  });

  it('an announced length that never comes ends with the handshake time', async () => {
    const peer = await connect();
    peer.send(Buffer.concat([Buffer.from('0400ffff00000001', 'hex'), Buffer.alloc(92)]));
    await peer.closed;
    expect(at.closed).toEqual({ 'handshake-timeout': 1 });
  });
});

describe('replies in pieces (FC-07)', () => {
  const one =
    '0413005000000031000d00010000000000000001000000000200000000010000703100000000000000000000000000000000000000000004000000000000000000000000000000000098968000000000';
  const two =
    '0413005000000031000d00010000000000000002000000000200000000020000703200000000000000000000000000000000000000000004000000000000000000000000000000000098968000000000';
  const last = '0413001000000031000d000000000000';
  const withXid = (hex: string, xid: number): string =>
    hex.slice(0, 8) + xid.toString(16).padStart(8, '0') + hex.slice(16);
  const portDesc = (): Buffer => Buffer.from('0412001000000000000d000000000000', 'hex');
  const kind = (message: { readonly type: string }): boolean => message.type === 'multipartRequest';

  it('are one result, given after the last piece', async () => {
    const peer = await up(1n);
    let settled = false;
    const asked = at
      .session(1n)
      .request(portDesc())
      .finally(() => {
        settled = true;
      });
    const { xid } = await peer.next(kind);
    peer.send(withXid(one, xid));
    expect(await peer.echo()).toBe('are you there');
    peer.send(withXid(two, xid));
    expect(await peer.echo()).toBe('are you there');
    expect(settled).toBe(false);
    peer.send(withXid(last, xid));
    expect((await asked).map((piece) => piece.toString('hex'))).toEqual(
      [one, two, last].map((hex) => withXid(hex, xid)),
    );
  });

  it('of two requests at once are told apart by xid, whatever their order', async () => {
    const peer = await up(1n);
    const asked = [at.session(1n).request(portDesc()), at.session(1n).request(portDesc())];
    const a = (await peer.next(kind)).xid;
    const b = (await peer.next(kind)).xid;
    for (const hex of [withXid(one, a), withXid(two, b), withXid(two, a), withXid(last, b), withXid(last, a)])
      peer.send(hex);
    const [first, second] = await Promise.all(asked);
    expect(first).toHaveLength(3);
    expect(second).toHaveLength(2);
  });

  it('that nobody asked for are counted and dropped', async () => {
    const peer = await up(1n);
    peer.send(withXid(one, 0x4444));
    await at.counted('unknownReplies', 1);
    expect(await peer.echo()).toBe('are you there');
  });

  it('that never end time out, and their memory is free', async () => {
    const peer = await up(1n);
    const asked = at.session(1n).request(portDesc(), 100);
    const { xid } = await peer.next(kind);
    peer.send(withXid(one, xid));
    await expect(asked).rejects.toMatchObject({ name: 'TimeoutError' });
    peer.send(withXid(last, xid));
    await at.counted('unknownReplies', 1);
  });
});

describe('packet-ins with missing bytes (FC-09)', () => {
  it.each([
    '040a003e00000000ffffffff05ea000000000000000000000001000c8000000400000001000000000000ffffffffffff0200000000010800450005dc0001',
    '040a004200000000ffffffff003c000000000000000000000001000c8000000400000001000000000000ffffffffffff020000000001080600010800060400010200',
    '040a003300000000ffffffff003c000000000000000000000001000c8000000400000001000000000000ffffffffffff020000',
    '040a002a00000000ffffffff003c000000000000000000000001000c8000000400000001000000000000',
    '040a003900000000ffffffff0040000000000000000000000001000c8000000400000001000000000000ffffffffffff020000000001810000',
  ])('are handed on as they are, and counted: %s', async (hex) => {
    const peer = await up(1n);
    peer.send(hex);
    await at.until('packet-in');
    expect(at.packetIns[0]!.frame).toBe(hex.slice(84));
    expect(at.server.counters.shortPacketIns).toBe(1);
    expect(at.server.counters.handlerFailures).toBe(0);
  });
});

describe('hello (FC-10)', () => {
  it.each([
    ['a 1.5 switch whose bitmap has 1.3', '06000010000000010001000800000072'],
    ['an unknown element before the bitmap', '040000180000000100090007616263000001000800000012'],
    ['a plain hello of version 6', '0600000800000001'],
  ])('%s: 1.3 is spoken', async (_, hex) => {
    const peer = await connect();
    peer.send(hex);
    expect(await peer.next(({ type }) => type === 'featuresRequest')).toMatchObject({ version: 4 });
  });

  it.each([
    ['a bitmap without 1.3', '06000010000000010001000800000062'],
    ['a plain hello of version 1', '0100000800000001'],
  ])('%s: hello-failed arrives as text, then the end', async (_, hex) => {
    const peer = await connect();
    peer.send(hex);
    await peer.closed;
    const error = peer.received.find(({ type }) => type === 'error')!;
    expect(error).toMatchObject({ errorType: 0, errorCode: 0 });
    expect(error.type === 'error' && Buffer.from(error.data).toString()).toMatch(/^[ -~]*OpenFlow 1\.3[ -~]*$/);
    expect(at.closed).toEqual({ version: 1 });
  });

  it('an echo request in the middle of the handshake is answered at once, and the handshake goes on', async () => {
    const peer = await connect();
    peer.send('0400000800000001');
    const features = await peer.next(({ type }) => type === 'featuresRequest');
    peer.send('0402001800000099000102030405060708090a0b0c0d0e0f');
    await peer.next(({ type }) => type === 'echoReply');
    expect(peer.raw.at(-1)).toBe('0403001800000099000102030405060708090a0b0c0d0e0f');
    peer.send(`04060020${features.xid.toString(16).padStart(8, '0')}000000000000000100000000fe0000000000004f00000000`);
    await peer.answer('portDesc');
    await peer.answer('desc');
    await at.until('up 0000000000000001');
  });

  it('a second hello changes nothing', async () => {
    const peer = await up(1n);
    peer.send('0400000800000002');
    expect(await peer.echo()).toBe('are you there');
    expect(peer.received.filter(({ type }) => type === 'featuresRequest')).toHaveLength(1);
    expect(at.events).toEqual(['up 0000000000000001']);
  });

  it('a peer that says hello and leaves is no warning', async () => {
    const peer = await connect();
    peer.send('0400000800000001');
    await peer.next(({ type }) => type === 'featuresRequest');
    peer.end();
    await at.empty();
    expect(at.logged.filter(({ level }) => level === 'warn')).toEqual([]);
  });

  it('anything else first is refused', async () => {
    const peer = await connect();
    peer.send('0405000800000001');
    await peer.closed;
    expect(at.closed).toEqual({ 'hello-expected': 1 });
  });

  it('a switch may refuse ours in a version of its own; half an error ends the connection too', async () => {
    const refusing = await connect();
    refusing.send(`010100100000000100000000${Buffer.from('no13').toString('hex')}`);
    await refusing.closed;
    expect(at.closed).toEqual({ 'refused-by-switch': 1 });
    expect(at.logged.find(({ level }) => level === 'warn')!.fields).toMatchObject({
      detail: 'the switch refused our hello: no13',
    });
    const half = await connect();
    half.send('0101000800000001');
    await half.closed;
    expect(at.closed).toEqual({ 'refused-by-switch': 1, 'bad-handshake': 1 });
  });

  it('half a features reply ends a handshake, and costs a switch that is up nothing', async () => {
    const peer = await connect();
    peer.send('0400000800000001');
    await peer.next(({ type }) => type === 'featuresRequest');
    peer.send('0406000800000077');
    await peer.closed;
    expect(at.closed).toEqual({ 'bad-handshake': 1 });
    const healthy = await up(1n);
    healthy.send('0406000800000077');
    await at.counted('badMessages', 2);
    expect(await healthy.echo()).toBe('are you there');
    expect(at.closed).toEqual({ 'bad-handshake': 1 });
  });
});

describe('messages that cannot be', () => {
  it.each([
    ['of an unknown type', '04ff000800000077', [1, 1]],
    ['of another version', '0502000800000077', [1, 0]],
    ['that only controllers send', '040e000800000077', [1, 1]],
  ])('%s are answered with an error that quotes them', async (_, hex, [errorType, errorCode]) => {
    const peer = await up(1n);
    peer.send(hex);
    const error = await peer.next(({ type }) => type === 'error');
    expect(error).toMatchObject({ xid: 0x77, errorType, errorCode });
    expect(error.type === 'error' && Buffer.from(error.data).toString('hex')).toBe(hex);
    expect(await peer.echo()).toBe('are you there');
  });
});
