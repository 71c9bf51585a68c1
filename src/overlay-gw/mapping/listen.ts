import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { ConfigError } from '../../controller/index.ts';

/** HOST:PORT of the configuration. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** An address of this machine to be asked at. */
export interface ListenAddress {
  readonly address: string;
  readonly port: number;
}

const KEY = 'lisp.listen';

/** HOST:PORT, or [HOST]:PORT for IPv6. */
export const hostPort = ({ address, port }: ListenAddress): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

/** Addresses of all interfaces. Link-local ones of IPv6 are left out: routers elsewhere cannot reach them. */
const ownAddresses = (family: 'IPv4' | 'IPv6'): string[] =>
  Object.values(networkInterfaces()).flatMap((addresses = []) =>
    addresses
      .filter((each) => each.family === family && !(each.family === 'IPv6' && each.scopeid !== 0))
      .map(({ address }) => address),
  );

/**
 * The addresses that entries of the configuration mean. A socket for each, since an answer has to come from the address that was asked:
 * 0.0.0.0 and [::] are all addresses that the machine has now. Rejects with ConfigError.
 */
export async function listenAddresses(entries: readonly HostPort[]): Promise<ListenAddress[]> {
  const found = new Map<string, ListenAddress>();
  for (const { host, port } of entries) {
    for (const address of await addressesOf(host)) {
      if (found.has(address)) throw new ConfigError(KEY, `${address} is listed twice`);
      found.set(address, { address, port });
    }
  }
  return [...found.values()];
}

async function addressesOf(host: string): Promise<string[]> {
  if (host === '0.0.0.0') return ownAddresses('IPv4');
  if (/^[0:]+$/.test(host) && isIP(host) === 6) return ownAddresses('IPv6');
  if (isIP(host) !== 0) return [host];
  try {
    const { address } = await lookup(host);
    return [address];
  } catch (cause) {
    throw new ConfigError(KEY, `${host} names no address: ${(cause as Error).message}`, { cause });
  }
}

/** What a system's error while opening a socket means to who wrote the configuration. */
export function listenError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
  const at = `UDP ${address}:${port}`;
  if (code === 'EADDRNOTAVAIL')
    return new ConfigError(KEY, `${address} is no address of this machine`, { cause: error });
  if (code === 'EADDRINUSE') error.message = `${KEY}: ${at} is in use by another program (EADDRINUSE)`;
  if (code === 'EACCES') error.message = `${KEY}: ${at} may not be opened by this user (EACCES)`;
  return error;
}
