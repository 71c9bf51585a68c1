import { isIP } from 'node:net';
import { refusal } from './problem.ts';

/** True for addresses that only this machine can reach. */
export const isLoopback = (host: string): boolean => {
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  return bare === 'localhost' || bare === '::1' || (isIP(bare) === 4 && bare.startsWith('127.'));
};

/**
 * Refuses requests for names other than `localhost`. An API that is open to whoever is on this machine must not be open to
 * web pages whose own name was made to point to 127.0.0.1; a page cannot forge an address in the Host header.
 */
export function hostCheck(): (host: string | undefined) => void {
  let last: string | undefined;
  return (host) => {
    if (host === undefined || host === last) return;
    const name = host.replace(/:\d+$/, '');
    const bare = name.replace(/^\[(.*)\]$/, '$1');
    if (isIP(bare) === 0 && bare !== 'localhost' && !bare.endsWith('.localhost')) {
      throw refusal('NL_MISDIRECTED', 'Host: expected an address or localhost', [
        { pointer: 'Host', message: 'expected an address or localhost' },
      ]);
    }
    last = host;
  };
}
