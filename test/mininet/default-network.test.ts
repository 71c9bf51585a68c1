import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Fabric, type FabricHost, Probe, ping } from '../../mininet/driver.ts';
import { Netloom } from '../kit/netloom.ts';

/** A lab without tenants: `defaultNetwork: true`, and Mininet as its users start it. */

const macHex = (host: FabricHost) => host.mac.replaceAll(':', '');
const ipHex = (host: FabricHost) => Buffer.from(host.ip.split('.').map(Number)).toString('hex');
const gratuitousArp = (host: FabricHost) =>
  `ffffffffffff${macHex(host)}08060001080006040001${macHex(host)}${ipHex(host)}000000000000${ipHex(host)}`;

let netloom: Netloom;
beforeEach(async () => {
  netloom = await Netloom.start('--default-network');
});
afterEach(async () => {
  await netloom.remove();
});

/**
 * What `mn --test pingall` prints. Mininet hangs once in a while before it starts anything, in its own question whether the
 * controller listens (which answers all others meanwhile); then it is started again.
 */
async function pingall(topo: string): Promise<string> {
  const [host, port] = netloom.openflow.split(':');
  const options = [
    ...['--topo', topo, '--mac', '--wait', '--test', 'pingall'],
    ...['--controller', `remote,ip=${host},port=${port}`],
    ...['--switch', 'ovs,datapath=user,protocols=OpenFlow13,failMode=secure'],
  ];
  for (let attempt = 1; ; attempt++) {
    const child = spawn('/usr/bin/python3', ['/usr/bin/mn', ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
      });
    }
    const stuck = setTimeout(() => {
      if (!output.includes('Starting controller')) child.kill('SIGKILL');
    }, 20_000);
    await once(child, 'close');
    clearTimeout(stuck);
    if (output.includes('Starting controller') || attempt === 3) return output;
  }
}

describe('the default network', () => {
  it.each(['single,4', 'linear,3', 'tree,2,2', 'torus,3,3'])(
    'mn --topo %s --test pingall drops nothing',
    async (topo) => {
      expect(await pingall(topo)).toMatch(/Results: 0% dropped/);
    },
    150_000,
  );

  it('a host that moves to another switch is reached there', async () => {
    const fabric = await Fabric.start({
      controller: netloom.openflow,
      prefix: 'nlm',
      dpidBase: 0x1601,
      spines: 0,
      leaves: 2,
      hosts: 3,
      tenants: 1,
      unique: true,
    });
    try {
      await netloom.until('/v1/links', (body) => body.items?.length === 2);
      const [a, b, c] = fabric.hosts as [FabricHost, FabricHost, FabricHost];
      expect(await ping(a, b.ip)).toBe(true);
      expect(await ping(a, c.ip)).toBe(true);
      const { items } = await netloom.ok('GET', '/v1/hosts');
      expect(items.map((host: { mac: string }) => host.mac).sort()).toEqual(
        fabric.hosts.map((host) => host.mac).sort(),
      );
      // Whoever had a's cable now has b's: its announcement comes from there.
      const nic = await Probe.open(b);
      try {
        nic.send(gratuitousArp(a));
        await netloom.until('/v1/hosts', (body) =>
          body.items.some((host: { mac: string; switch: string }) => host.mac === a.mac && host.switch === b.dpid),
        );
        const asked = nic.until((frame) => frame.startsWith(macHex(a)) && frame.slice(24, 28) === '0800');
        await Promise.all([asked, ping(c, a.ip)]);
      } finally {
        await nic.close();
      }
    } finally {
      await fabric.stop();
    }
  }, 60_000);

  it('LLDP that we did not send makes no link, and is counted at its port (forged, replayed, flooded)', async () => {
    const fabric = await Fabric.start({
      controller: netloom.openflow,
      prefix: 'nlf',
      dpidBase: 0x1701,
      spines: 0,
      leaves: 3,
      hosts: 3,
      tenants: 1,
      unique: true,
    });
    const [h1, h2, h3] = fabric.hosts as [FabricHost, FabricHost, FabricHost];
    const probes = await Promise.all([h1, h2].map((host) => Probe.open(host)));
    try {
      await netloom.until('/v1/links', (body) => body.items?.length === 4);
      const links = async () =>
        JSON.stringify(
          (await netloom.ok('GET', '/v1/links')).items.map((link: { from: unknown; to: unknown }) => [
            link.from,
            link.to,
          ]),
        );
      const before = await links();
      expect(await ping(h1, h2.ip)).toBe(true);
      const lldp = await probes[0]!.until((frame) => frame.slice(24, 28) === '88cc', 40_000);
      const forged = lldp.replace(/(0007)(.{4})/, '$1beef');
      for (let i = 0; i < 50; i++) {
        probes[0]!.send(lldp);
        probes[1]!.send(lldp);
        probes[1]!.send(forged);
      }
      const portOf = (host: FabricHost) => async () => {
        const { items } = await netloom.ok('GET', `/v1/switches/${host.dpid}/ports`);
        return items.find((port: { name: string }) => port.name === host.port);
      };
      await netloom.until(`/v1/switches/${h2.dpid}/ports`, (body) =>
        body.items.some(
          (port: { name: string; badLldp?: number | string }) => port.name === h2.port && Number(port.badLldp) > 0,
        ),
      );
      expect((await portOf(h1)()).role).toBe('edge');
      expect((await portOf(h2)()).role).toBe('edge');
      expect(await links()).toBe(before);
      expect(await ping(h1, h3.ip)).toBe(true);
    } finally {
      await Promise.all(probes.map((probe) => probe.close()));
      await fabric.stop();
    }
  }, 120_000);
});
