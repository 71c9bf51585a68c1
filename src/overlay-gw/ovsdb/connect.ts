import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { type Clock, ConfigError, type Logger } from '../../controller/kernel/index.ts';
import { OvsdbClient, type OvsdbClientOptions, type OvsdbHandlers } from './client.ts';
import { OvsdbError, reasonOf } from './errors.ts';

/** Where a database server is: `tcp:HOST:PORT`, `ssl:HOST:PORT`, `unix:PATH`. */
export type OvsdbAddress =
  | { readonly kind: 'tcp' | 'ssl'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** Parses an address as Open vSwitch writes it; an IPv6 host in brackets. Throws ConfigError naming `key`. */
export function parseOvsdbAddress(key: string, text: string): OvsdbAddress {
  const wrong = new ConfigError(key, `"${text}" is none of tcp:HOST:PORT, ssl:HOST:PORT, unix:PATH`);
  const [, kind, rest] = /^(tcp|ssl|unix):(.+)$/.exec(text) ?? [];
  if (kind === undefined || rest === undefined) throw wrong;
  if (kind === 'unix') return { kind, path: rest };
  const [, v6, host = v6, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(rest) ?? [];
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535) throw wrong;
  return { kind: kind as 'tcp' | 'ssl', host, port: Number(port) };
}

/** PEM files with which we show who we are and know whom we trust. */
export interface OvsdbTls {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

const pems = ({ key, cert, ca }: OvsdbTls) => ({
  key: readFileSync(key),
  cert: readFileSync(cert),
  ca: readFileSync(ca),
  minVersion: 'TLSv1.2' as const,
});

/** First and longest pause between two attempts to connect, ms. */
const BACK_OFF = [250, 8_000] as const;
const CONNECT_MS = 5_000;
/** Servers that may have dialled in at once, and that may wait for us to notice. */
const CROWD = 4_096;

export interface DialerOptions {
  readonly address: OvsdbAddress;
  readonly tls?: OvsdbTls;
  readonly clock: Clock;
  readonly client: OvsdbClient;
  readonly backOffMs?: readonly [first: number, longest: number];
}

/**
 * Keeps a client connected to a server by dialling it, with growing pauses that start anew once a session was ready. Tell it of each
 * end of a session: `client`'s `down` handler calls `lost`.
 */
export class OvsdbDialer {
  readonly #options: DialerOptions;
  #stopped = true;
  #failures = 0;
  #socket: Socket | undefined;
  #cancel: (() => void) | undefined;

  constructor(options: DialerOptions) {
    this.#options = options;
  }

  start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#dial();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#socket?.destroy();
    this.#options.client.close();
  }

  /** The session is ready: the next pause is a short one again. */
  succeeded(): void {
    this.#failures = 0;
  }

  /** The session ended: dials again after a pause. */
  lost(): void {
    if (this.#stopped || this.#cancel) return;
    const { clock, backOffMs = BACK_OFF } = this.#options;
    const [first, longest] = backOffMs;
    const pause = Math.min(longest, first * 2 ** Math.min(this.#failures++, 20));
    this.#cancel = clock.after(pause, () => {
      this.#cancel = undefined;
      if (!this.#stopped) this.#dial();
    });
  }

  #dial(): void {
    const { address, tls, client } = this.#options;
    let socket: Socket;
    try {
      socket = open(address, tls);
    } catch (error) {
      client.failed(new OvsdbError('closed', (error as Error).message, { cause: error }));
      return;
    }
    this.#socket = socket;
    const failed = (error: Error): void => {
      socket.destroy();
      const refused = (socket as Partial<TLSSocket>).authorizationError;
      const reason = refused ? `its certificate is refused: ${error.message}` : reasonOf(error);
      client.failed(new OvsdbError('closed', reason, { cause: error }));
    };
    socket.once('error', failed);
    socket.setTimeout(CONNECT_MS, () => failed(new Error(`no connection within ${CONNECT_MS} ms`)));
    socket.once(address.kind === 'ssl' ? 'secureConnect' : 'connect', () => {
      socket.setTimeout(0);
      socket.off('error', failed);
      client.use(socket);
    });
  }
}

function open(address: OvsdbAddress, tls: OvsdbTls | undefined): Socket {
  if (address.kind === 'unix') return connect(address.path);
  const { host, port } = address;
  if (address.kind === 'tcp') return connect({ host, port, noDelay: true });
  if (!tls) throw new Error('ssl: needs a key, a certificate and an authority');
  // Certificates of switches name the switch, not its address: the authority's signature is what counts.
  return tlsConnect({ host, port, ...pems(tls), checkServerIdentity: () => undefined });
}

export interface ListenerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly tls?: OvsdbTls;
  readonly log: Logger;
  /** A server has dialled in. Its client is `use`d with the socket by the caller. */
  readonly accepted: (socket: Socket, remote: string) => void;
  /** One was sent away because of its certificate, or because it does not speak TLS. */
  readonly refused?: (remote: string, reason: string) => void;
}

const remoteOf = ({ remoteAddress = 'unknown', remotePort = 0 }: Socket): string =>
  `${remoteAddress.replace(/^::ffff:(?=\d+\.)/, '')}:${remotePort}`;

/** Where servers may dial in (`ovs-vsctl set-manager tcp:…`). */
export class OvsdbListener {
  readonly #server: Server;
  readonly #options: ListenerOptions;

  private constructor(options: ListenerOptions) {
    this.#options = options;
    const accept = (socket: Socket): void => {
      // An error before somebody listens for it would end the process.
      socket.on('error', () => {});
      socket.setNoDelay(true);
      options.accepted(socket, remoteOf(socket));
    };
    const refuse = (socket: Socket, reason: string): void => {
      const remote = remoteOf(socket);
      options.log.warn({ remote, reason }, 'TLS handshake with a database server failed');
      options.refused?.(remote, reason);
      socket.destroy();
    };
    this.#server = options.tls
      ? createTlsServer(
          // Refused below: Node would hang up without saying why, or whom.
          { ...pems(options.tls), requestCert: true, rejectUnauthorized: false, handshakeTimeout: CONNECT_MS },
          (socket) => {
            if (socket.authorized) accept(socket);
            else refuse(socket, `its certificate is refused: ${String(socket.authorizationError)}`);
          },
        )
      : createServer(accept);
    this.#server.maxConnections = CROWD;
    this.#server.on('tlsClientError', (error: Error, socket: TLSSocket) => refuse(socket, reasonOf(error)));
  }

  /** Rejects with the system's error when the address cannot be used. */
  static async open(options: ListenerOptions): Promise<OvsdbListener> {
    const listener = new OvsdbListener(options);
    await new Promise<void>((resolve, reject) => {
      listener.#server.once('error', reject);
      listener.#server.listen({ host: options.host, port: options.port, backlog: CROWD }, () => {
        listener.#server.off('error', reject);
        resolve();
      });
    });
    return listener;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Accepts nothing more; sessions go on, and are not waited for. */
  close(): void {
    this.#server.close();
    this.#options.log.debug({}, 'no database server may dial in any more');
  }
}

/** Handlers that also tell a dialer how the session fares; `dialer` is asked when there is something to tell. */
export const telling = (handlers: OvsdbHandlers, dialer: () => OvsdbDialer): Required<OvsdbHandlers> => ({
  ready: (changes) => {
    dialer().succeeded();
    handlers.ready(changes);
  },
  changed: (changes) => handlers.changed(changes),
  locked: (id, held) => handlers.locked?.(id, held),
  down: (error) => {
    // First, because a handler may throw.
    dialer().lost();
    handlers.down(error);
  },
});

/** A client that is kept connected by dialling. */
export function dialOvsdb(options: OvsdbClientOptions & Omit<DialerOptions, 'client'>): {
  readonly client: OvsdbClient;
  readonly dialer: OvsdbDialer;
} {
  const client = new OvsdbClient({ ...options, handlers: telling(options.handlers, () => dialer) });
  const dialer: OvsdbDialer = new OvsdbDialer({ ...options, client });
  return { client, dialer };
}
