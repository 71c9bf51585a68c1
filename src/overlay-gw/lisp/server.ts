import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIP } from 'node:net';
import type { Logger } from '../../controller/kernel/index.ts';
import { CONTROL_PORT } from './message.ts';
import type { Endpoint, SendDatagram } from './repeater.ts';

/** What is counted of datagrams. */
export interface LispServerCounters {
  received: number;
  sent: number;
  /** Datagrams that the system did not take for sending. */
  sendErrors: number;
  /** Datagrams lost because as many as are kept wait to be handled. */
  overflows: number;
  /** Datagrams that a fault of ours cost: each is logged. */
  faults: number;
  /** Errors of sockets; the socket stays. */
  socketErrors: number;
}

export interface LispServerOptions {
  readonly log: Logger;
  /** Addresses of ours to be asked at; each gets a socket, from which its answers go. A port of 0 lets the system choose. */
  readonly listen: readonly { readonly address: string; readonly port?: number }[];
  /** Takes one datagram: `MappingSystem.receive`. `to` is the address it came to. */
  readonly receive: (bytes: Buffer, from: Endpoint, to: string) => void;
  /** Bytes handled before others get their turn. Default 256 KiB. */
  readonly turnBytes?: number;
  /** Bytes that may wait for a turn; beyond it datagrams are lost, and counted. Default 4 MiB. */
  readonly queueBytes?: number;
}

interface Waiting {
  readonly bytes: Buffer;
  readonly from: Endpoint;
  readonly to: string;
}

/** Bytes that the system may keep of a burst before we read it; it gives as much as it allows (`net.core.rmem_max`). */
const RECEIVE_BUFFER = 4 << 20;

/** What a datagram that waits takes beside its bytes, so that empty ones are bounded too. */
const OVERHEAD = 128;

/** The UDP side of the mapping system: one socket for each address, bounded work each turn. Nothing that arrives makes it throw. */
export class LispServer {
  readonly counters: LispServerCounters = {
    received: 0,
    sent: 0,
    sendErrors: 0,
    overflows: 0,
    faults: 0,
    socketErrors: 0,
  };
  readonly #options: LispServerOptions;
  readonly #sockets = new Map<string, Socket>();
  #queue: Waiting[] = [];
  #queued = 0;
  #turn: NodeJS.Immediate | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: LispServerOptions) {
    this.#options = options;
  }

  /** Opens all sockets, or none: rejects with the system's error when one cannot be opened. */
  async start(): Promise<void> {
    if (this.#sockets.size > 0) throw new Error('the LISP server has been started');
    this.#stopping = undefined;
    try {
      for (const { address, port } of this.#options.listen) await this.#open(address, port ?? CONTROL_PORT);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async #open(address: string, port: number): Promise<void> {
    const v6 = isIP(address) === 6;
    const socket = createSocket(
      v6
        ? { type: 'udp6', ipv6Only: true, recvBufferSize: RECEIVE_BUFFER }
        : { type: 'udp4', recvBufferSize: RECEIVE_BUFFER },
    );
    this.#sockets.set(address, socket);
    const bound = once(socket, 'listening');
    socket.bind(port, address);
    await bound;
    socket.on('error', (error) => {
      this.counters.socketErrors++;
      this.#options.log.warn({ address, error: error.message }, 'LISP socket error');
    });
    socket.on('message', (bytes: Buffer, from: RemoteInfo) => this.#take(bytes, from, address));
  }

  /** Where it listens, with the ports the system chose. */
  get endpoints(): Endpoint[] {
    return [...this.#sockets].map(([address, socket]) => ({ address, port: socket.address().port }));
  }

  /** Sends from the address of ours given, else from the first of the receiver's family; what cannot be sent is counted. */
  readonly send: SendDatagram = (bytes, to, from) => {
    const socket = (from === undefined ? undefined : this.#sockets.get(from)) ?? this.#socketFor(to.address);
    if (!socket || this.#stopping || isIP(to.address) === 0 || to.port < 1 || to.port > 65_535) {
      this.#unsent(to, 'no socket for it');
      return;
    }
    try {
      socket.send(bytes, to.port, to.address, (error) => {
        if (error) this.#unsent(to, error.message);
        else this.counters.sent++;
      });
    } catch (error) {
      this.#unsent(to, error instanceof Error ? error.message : String(error));
    }
  };

  #unsent({ address, port }: Endpoint, reason: string): void {
    this.counters.sendErrors++;
    this.#options.log.debug({ address, port, reason }, 'LISP datagram not sent');
  }

  #socketFor(address: string): Socket | undefined {
    const family = isIP(address);
    for (const [ours, socket] of this.#sockets) if (isIP(ours) === family) return socket;
    return undefined;
  }

  #take(bytes: Buffer, { address, port }: RemoteInfo, to: string): void {
    this.counters.received++;
    const size = bytes.length + OVERHEAD;
    if (this.#queued + size > (this.#options.queueBytes ?? 4 << 20)) {
      this.counters.overflows++;
      return;
    }
    this.#queued += size;
    this.#queue.push({ bytes, from: { address, port }, to });
    this.#turn ??= setImmediate(() => this.#handle());
  }

  #handle(): void {
    this.#turn = undefined;
    let left = this.#options.turnBytes ?? 256 << 10;
    let done = 0;
    while (done < this.#queue.length && left > 0) {
      const { bytes, from, to } = this.#queue[done++]!;
      left -= bytes.length + OVERHEAD;
      this.#queued -= bytes.length + OVERHEAD;
      try {
        this.#options.receive(bytes, from, to);
      } catch (error) {
        this.counters.faults++;
        this.#options.log.error({ from: from.address, error }, 'LISP datagram caused a fault');
      }
    }
    this.#queue = this.#queue.slice(done);
    if (this.#queue.length > 0) this.#turn = setImmediate(() => this.#handle());
  }

  /** Closes all sockets; what waits is dropped. Twice is as once. */
  stop(): Promise<void> {
    this.#stopping ??= this.#close();
    return this.#stopping;
  }

  async #close(): Promise<void> {
    if (this.#turn) clearImmediate(this.#turn);
    this.#turn = undefined;
    this.#queue = [];
    this.#queued = 0;
    const sockets = [...this.#sockets.values()];
    this.#sockets.clear();
    await Promise.all(sockets.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))));
  }
}
