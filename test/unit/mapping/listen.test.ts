import { networkInterfaces } from 'node:os';
import { describe, expect, it } from 'vitest';
import { hostPort, listenAddresses } from '../../../src/overlay-gw/mapping/listen.ts';

const own = (family: 'IPv4' | 'IPv6'): string[] =>
  Object.values(networkInterfaces()).flatMap((all = []) =>
    all.filter((each) => each.family === family).map(({ address }) => address),
  );

describe('where to listen', () => {
  it('is each address of the machine for the unspecified one, so that answers can come from the one that was asked', async () => {
    const v4 = await listenAddresses([{ host: '0.0.0.0', port: 4342 }]);
    expect(v4.map(({ address }) => address).sort()).toEqual(own('IPv4').sort());
    expect(new Set(v4.map(({ port }) => port))).toEqual(new Set([4342]));
    const v6 = await listenAddresses([{ host: '::', port: 1 }]);
    expect(v6.every(({ address }) => own('IPv6').includes(address) && !address.startsWith('fe80'))).toBe(true);
  });

  it('is what a name stands for', async () => {
    const [found] = await listenAddresses([{ host: 'localhost', port: 7 }]);
    expect(['127.0.0.1:7', '[::1]:7']).toContain(hostPort(found!));
  });

  it('is no address twice, written one way or another', async () => {
    const twice = [
      { host: '127.0.0.1', port: 1 },
      { host: '0.0.0.0', port: 2 },
    ];
    await expect(listenAddresses(twice)).rejects.toThrow('lisp.listen: 127.0.0.1 is listed twice');
  });
});
