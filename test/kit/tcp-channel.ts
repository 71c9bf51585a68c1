import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { ClosedError, type Dpid, dpidOf, SwitchError } from '../../src/controller/kernel/index.ts';
import type { SwitchChannel } from '../../src/controller/rules/index.ts';
import {
  encodeMessage,
  errorName,
  Framer,
  get16,
  get32,
  get64,
  MessageType,
  set32,
  version13,
  writeEchoReply,
} from '../../src/ofproto/index.ts';

type OnError = (xid: number, type: number, code: number, data: Buffer) => void;

/** Listens for switches, and gives out a plain channel for each: no budgets, no time-outs; for tests of rules alone. */
export class TcpChannels {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #waiting: ((channel: TcpChannel) => void)[] = [];
  readonly #ready: TcpChannel[] = [];

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      const channel = new TcpChannel(socket, () => {
        const next = this.#waiting.shift();
        if (next) next(channel);
        else this.#ready.push(channel);
      });
    });
  }

  static async listen(): Promise<TcpChannels> {
    const server = createServer({ noDelay: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TcpChannels(server);
  }

  /** `tcp:127.0.0.1:PORT` */
  get target(): string {
    const address = this.#server.address();
    return typeof address === 'object' && address ? `tcp:127.0.0.1:${address.port}` : '';
  }

  /** The next switch that has told its datapath id. */
  next(): Promise<TcpChannel> {
    const ready = this.#ready.shift();
    return ready ? Promise.resolve(ready) : new Promise((resolve) => this.#waiting.push(resolve));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** A session as rules need it, over a real socket. */
export class TcpChannel implements SwitchChannel {
  dpid = '' as Dpid;
  bundles = true;
  /** Flow-mods, group-mods and meter-mods sent, in bundles or not; and bytes of all messages. */
  sentBytes = 0;
  /** Called for flow-removed messages. */
  onFlowRemoved: (message: Buffer) => void = () => {};
  /** Called when the connection is gone. */
  onClose: () => void = () => {};
  readonly #socket: Socket;
  readonly #framer = new Framer();
  readonly #pending = new Map<
    number,
    { pieces: Buffer[]; resolve(pieces: Buffer[]): void; reject(error: Error): void }
  >();
  #watches: { first: number; last: number; onError: OnError }[] = [];
  #xid = 0;

  constructor(socket: Socket, ready: () => void) {
    this.#socket = socket;
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      for (const { reject } of this.#pending.values()) reject(new ClosedError('closed'));
      this.#pending.clear();
      this.onClose();
    });
    socket.on('data', (chunk) => {
      this.#framer.push(chunk, (bytes, at, end) => {
        this.#take(Buffer.from(bytes.subarray(at, end)));
        return true;
      });
    });
    this.write(encodeMessage({ type: 'hello', version: version13, xid: 0, elements: [] }));
    this.request(encodeMessage({ type: 'featuresRequest', version: version13, xid: 0 })).then(([reply]) => {
      this.dpid = dpidOf(get64(reply!, 8));
      ready();
    }, socket.destroy.bind(socket));
  }

  nextXid(): number {
    return ++this.#xid;
  }

  write(bytes: Buffer): void {
    this.sentBytes += bytes.length;
    this.#socket.write(bytes);
  }

  async drained(): Promise<void> {
    if (this.#socket.writableNeedDrain) await once(this.#socket, 'drain');
  }

  watchErrors(first: number, last: number, onError: OnError): () => void {
    const watch = { first, last, onError };
    this.#watches.push(watch);
    return () => {
      this.#watches = this.#watches.filter((other) => other !== watch);
    };
  }

  async barrier(): Promise<void> {
    await this.request(encodeMessage({ type: 'barrierRequest', version: version13, xid: 0 }));
  }

  request(message: Buffer): Promise<readonly Buffer[]> {
    return new Promise((resolve, reject) => {
      const xid = this.nextXid();
      set32(message, 4, xid);
      this.#pending.set(xid, { pieces: [], resolve, reject });
      this.write(message);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(message: Buffer): void {
    const xid = get32(message, 4);
    switch (message[1]) {
      // Its xid is the switch's own.
      case MessageType.hello:
        return;
      case MessageType.echoRequest: {
        const reply = Buffer.alloc(message.length);
        writeEchoReply(reply, 0, message, 0, message.length);
        this.write(reply);
        return;
      }
      case MessageType.error: {
        const type = get16(message, 8);
        const code = get16(message, 10);
        const data = message.subarray(12);
        const names = errorName(type, code, type === 0xffff && data.length >= 4 ? get32(data, 0) : undefined);
        const pending = this.#pending.get(xid);
        this.#pending.delete(xid);
        const details = { dpid: this.dpid, xid, type: names.type, error: names.code };
        pending?.reject(new SwitchError(`${names.type} ${names.code}`, details));
        for (const { first, last, onError } of this.#watches) {
          if (xid >= first && xid <= last) onError(xid, type, code, data);
        }
        return;
      }
      case MessageType.flowRemoved:
        this.onFlowRemoved(message);
        return;
      default: {
        const pending = this.#pending.get(xid);
        if (!pending) return;
        pending.pieces.push(message);
        if (message[1] === MessageType.multipartReply && (get16(message, 10) & 1) !== 0) return;
        this.#pending.delete(xid);
        pending.resolve(pending.pieces);
      }
    }
  }
}
