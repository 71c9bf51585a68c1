import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Fabric, type FabricHost, Probe, ping } from '../../mininet/driver.ts';
import { Netloom } from '../kit/netloom.ts';

/** One tenant that does its worst, and another that must not notice. Both have learned ports: what they say goes to the controller. */

let netloom: Netloom;
let fabric: Fabric;
const of = (tenant: string): FabricHost[] => fabric.hosts.filter((host) => host.tenant === tenant);

beforeAll(async () => {
  netloom = await Netloom.start();
  fabric = await Fabric.start({
    controller: netloom.openflow,
    prefix: 'nlq',
    dpidBase: 0x1801,
    spines: 0,
    leaves: 2,
    hosts: 6,
    tenants: 2,
  });
  await netloom.until('/v1/links', (body) => body.items?.length === 2);
  for (const tenant of ['t1', 't2']) {
    await netloom.ok('PUT', `/v1/tenants/${tenant}`, { quota: { packetInRate: 200 } });
    await netloom.ok('PUT', `/v1/tenants/${tenant}/networks/lan`, { transport: 'fabric', unknownUnicast: 'flood' });
  }
  for (const host of fabric.hosts) {
    await netloom.ok('PUT', `/v1/tenants/${host.tenant}/ports/${host.name}?wait=ready&timeout=30s`, {
      network: 'lan',
      mac: 'learned',
      binding: { switch: host.dpid, port: host.port },
    });
  }
}, 60_000);
afterAll(async () => {
  await fabric?.stop();
  await netloom?.remove();
}, 60_000);

describe('a tenant that floods', () => {
  it('with new senders by the thousand reaches the controller at its own rate, and its neighbour talks on undisturbed', async () => {
    const [bad] = of('t1') as [FabricHost];
    const [a, b, c] = of('t2') as [FabricHost, FabricHost, FabricHost];
    const loud = await Probe.open(bad);
    const quiet = await Probe.open(c);
    let flooding = true;
    let sent = 0;
    const flood = (async () => {
      while (flooding) {
        for (let n = 0; n < 200; n++) {
          const mac = `06${(++sent).toString(16).padStart(10, '0')}`;
          loud.send(`ffffffffffff${mac}0800${'00'.repeat(46)}`);
        }
        await new Promise((resolve) => setImmediate(resolve));
        if (sent > 200_000) break;
      }
    })();
    try {
      // Nobody of the other tenant has been seen before: all of this needs the controller.
      expect(await ping(a, b.ip)).toBe(true);
      expect(await ping(b, c.ip)).toBe(true);
      for (let round = 0; round < 20; round++) expect(await ping(a, c.ip, 1), `round ${round}`).toBe(true);
    } finally {
      flooding = false;
      await flood;
    }
    expect(sent).toBeGreaterThan(2_000);
    const { body } = await netloom.call('GET', '/v1/hosts?limit=1000');
    const learned = body.items.filter(({ mac }: { mac: string }) => mac.startsWith('06:00:00:'));
    expect(learned.length).toBeLessThan(sent / 2);
    // The kernel's own random MACs may begin with 06 as well.
    expect(quiet.received.filter((frame) => frame.slice(12, 18) === '060000')).toEqual([]);
    await loud.close();
    await quiet.close();
  }, 60_000);
});
