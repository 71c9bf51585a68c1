import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as tlsConnect } from 'node:tls';
import { type Body, decodeMessage, encodeMessage, Framer, type Message, version13 } from '../../src/ofproto/index.ts';

const handshakeReplies: Readonly<Record<string, (xid: number, dpid: bigint) => string>> = {
  featuresRequest: (xid, dpid) =>
    `04060020${hex32(xid)}${dpid.toString(16).padStart(16, '0')}00000000fe0000000000004f00000000`,
  portDesc: (xid) => `04130010${hex32(xid)}000d000000000000`,
  desc: (xid) => `04130430${hex32(xid)}0000000000000000${'00'.repeat(1056)}`,
};

const hex32 = (value: number): string => value.toString(16).padStart(8, '0');

/** One TCP or TLS connection to a controller of which a test decides every byte. */
export class RawPeer {
  readonly #socket: Socket;
  readonly #framer = new Framer();
  /** All messages so far. */
  readonly received: Message[] = [];
  /** Whole messages as they came, hex. */
  readonly raw: string[] = [];
  /** The other side has ended the connection, in whatever way. */
  readonly closed: Promise<void>;
  /** Its own address, as the other side sees it. */
  remote = '';
  #seen = 0;
  #changed: () => void = () => {};
  #isClosed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) =>
      this.#framer.push(chunk, (bytes, at, end) => {
        this.raw.push(bytes.toString('hex', at, end));
        this.received.push(decodeMessage(bytes, at, end));
        this.#changed();
      }),
    );
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#isClosed = true;
        this.#changed();
        resolve();
      });
    });
  }

  /** Connected; nothing is sent yet. */
  static async connect(port: number, tls?: ConnectionOptions): Promise<RawPeer> {
    const socket = tls
      ? tlsConnect({ host: '127.0.0.1', port, ...tls })
      : connect({ host: '127.0.0.1', port, noDelay: true });
    const peer = new RawPeer(socket);
    await once(socket, tls ? 'secureConnect' : 'connect');
    peer.remote = `127.0.0.1:${socket.localPort}`;
    return peer;
  }

  /** Connected, with its handshake done as a switch without ports. */
  static async up(port: number, dpid: bigint, tls?: ConnectionOptions): Promise<RawPeer> {
    const peer = await RawPeer.connect(port, tls);
    await peer.shakeHands(dpid);
    return peer;
  }

  async shakeHands(dpid: bigint): Promise<void> {
    this.send('0400000800000001');
    await this.answer('featuresRequest', dpid);
    await this.answer('portDesc', dpid);
    await this.answer('desc', dpid);
  }

  /** Answers the next message of this kind as a switch does in its handshake. */
  async answer(kind: 'featuresRequest' | 'portDesc' | 'desc', dpid = 0n): Promise<void> {
    const request = await this.next((message) => message.type === kind || ('mp' in message && message.mp === kind));
    this.send(handshakeReplies[kind]!(request.xid, dpid));
  }

  /** Sends bytes, hex or not, as they are. */
  send(bytes: string | Buffer): void {
    this.#socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'hex') : bytes);
  }

  message(body: Body, xid: number): void {
    this.send(encodeMessage({ ...body, version: version13, xid } as Message));
  }

  /** Sends each byte by itself, one TCP segment at a time. */
  async trickle(hex: string): Promise<void> {
    for (const byte of Buffer.from(hex, 'hex')) {
      await new Promise<void>((resolve) => this.#socket.write(Buffer.of(byte), () => resolve()));
    }
  }

  /** The next message that fits, of those not asked for yet. Rejects when the connection ends first. */
  async next(fits: (message: Message) => boolean = () => true): Promise<Message> {
    for (;;) {
      while (this.#seen < this.received.length) {
        const message = this.received[this.#seen++]!;
        if (fits(message)) return message;
      }
      if (this.#isClosed) throw new Error('the connection ended before the message came');
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  /** An echo round trip; resolves with the payload that came back. */
  async echo(payload = 'are you there'): Promise<string> {
    const xid = 0x7e00_0000 + this.received.length;
    this.message({ type: 'echoRequest', data: Buffer.from(payload) }, xid);
    const reply = await this.next((message) => message.type === 'echoReply' && message.xid === xid);
    return reply.type === 'echoReply' ? Buffer.from(reply.data).toString() : '';
  }

  /** Stops or starts reading. */
  stall(stalled: boolean): void {
    if (stalled) this.#socket.pause();
    else this.#socket.resume();
  }

  /** Ends the connection in an orderly way. */
  end(): void {
    this.#socket.end();
  }

  /** Ends it at once. */
  destroy(): void {
    this.#socket.destroy();
  }
}
