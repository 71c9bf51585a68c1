import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { remoteOf } from './transport.ts';
import type { ListenerSpec, ListeningAddress, SessionLimits, TlsOptions } from './types.ts';

/** With Node's own 511, a thousand switches that connect at once wait for TCP retries. */
const BACKLOG = 4096;

/** What comes of a listener. */
export interface ListenerEvents {
  accept(socket: Socket): void;
  /** A peer without a certificate of ours, or that speaks no TLS. */
  tlsFailed(remote: string, error: Error): void;
  /** A peer was cut off at once: the listener has as many as we take. */
  tooMany(remote: string): void;
  /** The system could not give us a connection (it is short of memory, say). The listener goes on. */
  failed(address: ListeningAddress, error: Error): void;
}

/** A fingerprint in one form: lower-case hex without colons. */
export const pinOf = (fingerprint: string): string => fingerprint.replaceAll(':', '').toLowerCase();

/** An open listener. */
export interface Listener {
  readonly address: ListeningAddress;
  /** Accepts nothing more; peers in their TLS handshake are cut off, accepted sockets are not touched. */
  close(): void;
}

/** Opens one listener; rejects when the address or the TLS material cannot be used. */
export async function openListener(
  spec: ListenerSpec,
  limits: Pick<SessionLimits, 'handshakeMs' | 'connections'>,
  events: ListenerEvents,
): Promise<Listener> {
  const shaking = new Set<Socket>();
  const server = spec.tls
    ? tlsServer(spec.tls, limits.handshakeMs, events, shaking)
    : createServer((socket) => events.accept(socket));
  // Those in their TLS handshake count too: nobody else would count them.
  server.maxConnections = limits.connections;
  server.on('drop', (peer) => events.tooMany(remoteOf(peer)));
  server.listen({ host: spec.host, port: spec.port, backlog: BACKLOG });
  await once(server, 'listening');
  const { address: host, port } = server.address() as AddressInfo;
  const address = { host, port, tls: spec.tls !== undefined };
  // Without a listener for it, an error while accepting would end the process.
  server.on('error', (error) => events.failed(address, error));
  return {
    address,
    close() {
      server.close();
      for (const socket of shaking) socket.destroy();
    },
  };
}

function tlsServer(tls: TlsOptions, handshakeMs: number, events: ListenerEvents, shaking: Set<Socket>): Server {
  // The raw socket below a TLS socket; the TLS socket names its port.
  const byPort = new Map<string, Socket>();
  const settled = (socket: Socket): void => {
    const raw = byPort.get(remoteOf(socket));
    if (raw) shaking.delete(raw);
    byPort.delete(remoteOf(socket));
  };
  const server = createTlsServer(
    {
      key: tls.key,
      cert: tls.cert,
      ca: tls.ca,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
      handshakeTimeout: handshakeMs,
    },
    (socket) => {
      settled(socket);
      events.accept(socket);
    },
  );
  server.on('connection', (socket: Socket) => {
    const at = remoteOf(socket);
    shaking.add(socket);
    byPort.set(at, socket);
    socket.on('close', () => {
      shaking.delete(socket);
      if (byPort.get(at) === socket) byPort.delete(at);
    });
  });
  server.on('tlsClientError', (error, socket) => {
    events.tlsFailed(remoteOf(socket), error);
    socket.destroy();
  });
  return server;
}
