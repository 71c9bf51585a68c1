import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { ListenerSpec, ListeningAddress, TlsOptions } from './types.ts';

/** With Node's own 511, a thousand switches that connect at once wait for TCP retries. */
const BACKLOG = 4096;

/** What comes of a listener. */
export interface ListenerEvents {
  accept(socket: Socket): void;
  /** A peer without a certificate of ours, or that speaks no TLS. */
  tlsFailed(remote: string, error: Error): void;
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
export async function openListener(spec: ListenerSpec, handshakeMs: number, events: ListenerEvents): Promise<Listener> {
  const shaking = new Set<Socket>();
  const server = spec.tls
    ? tlsServer(spec.tls, handshakeMs, events, shaking)
    : createServer((socket) => events.accept(socket));
  server.listen({ host: spec.host, port: spec.port, backlog: BACKLOG });
  await once(server, 'listening');
  const { address, port } = server.address() as AddressInfo;
  return {
    address: { host: address, port, tls: spec.tls !== undefined },
    close() {
      server.close();
      for (const socket of shaking) socket.destroy();
    },
  };
}

function tlsServer(tls: TlsOptions, handshakeMs: number, events: ListenerEvents, shaking: Set<Socket>): Server {
  // The raw socket below a TLS socket; the TLS socket names its port.
  const byPort = new Map<string, Socket>();
  const key = (socket: Socket): string => `${socket.remoteAddress}:${socket.remotePort}`;
  const settled = (socket: Socket): void => {
    const raw = byPort.get(key(socket));
    if (raw) shaking.delete(raw);
    byPort.delete(key(socket));
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
    const at = key(socket);
    shaking.add(socket);
    byPort.set(at, socket);
    socket.on('close', () => {
      shaking.delete(socket);
      if (byPort.get(at) === socket) byPort.delete(at);
    });
  });
  server.on('tlsClientError', (error, socket) => {
    events.tlsFailed(key(socket), error);
    socket.destroy();
  });
  return server;
}
