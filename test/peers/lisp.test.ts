import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab } from '../kit/controller.ts';
import { LispPeer, type PeerEvent, whyNoLispPeer } from '../kit/lisp-peer.ts';
import { freeUdpPort } from '../kit/lisp-router.ts';

/** A LISP router that shares no code with the product, against a whole controller over UDP. */

const reason = whyNoLispPeer();
if (reason !== undefined) console.log(`LISP router of others: skipped, ${reason}`);

const rlocs = ({ rlocs: all = [] }: PeerEvent): string[] => all.map(({ address }) => address);

describe.skipIf(reason !== undefined)('a router of others', () => {
  let lab: Lab;
  let server: string;
  let port: number;
  const peers: LispPeer[] = [];

  beforeAll(async () => {
    server = `127.0.0.1:${await freeUdpPort()}`;
    port = await freeUdpPort();
    lab = await Lab.start({ 'lisp.listen': server, 'lisp.routerPort': String(port) });
    await lab.ok('PUT', '/v1/lisp/sites/east', {
      instanceId: 7,
      eidPrefixes: ['10.1.0.0/16', '2001:db8:1::/48'],
      keys: ['east secret'],
    });
    await lab.ok('PUT', '/v1/lisp/sites/west', {
      instanceId: 7,
      eidPrefixes: ['10.2.0.0/16'],
      keys: ['west secret'],
      acceptMoreSpecifics: true,
    });
  });
  afterAll(async () => {
    for (const each of peers) await each.stop();
    await lab?.remove();
  });

  const peer = async (more: Parameters<typeof LispPeer.start>[0]): Promise<LispPeer> => {
    const made = await LispPeer.start({
      server,
      port,
      instance: 7,
      address: `127.0.0.${2 + peers.length}`,
      ...more,
    });
    peers.push(made);
    return made;
  };

  it('registers IPv4 and IPv6 prefixes, by either algorithm, and is told so by a signature that it finds good', async () => {
    const east = await peer({ key: 'east secret', 'key-id': 1, eid: ['10.1.0.0/16', '2001:db8:1::/48'] });
    const west = await peer({ key: 'west secret', 'key-id': 2, eid: ['10.2.0.0/16'] });
    for (const eid of ['10.1.0.0/16', '2001:db8:1::/48']) {
      expect(rlocs(await east.next((each) => each.event === 'registered' && each.eid === eid))).toEqual(['127.0.0.2']);
    }
    await west.next((each) => each.event === 'registered');
    const { items } = await lab.ok('GET', '/v1/lisp/mappings?instanceId=7');
    expect(items.map(({ eid }: { eid: string }) => eid)).toEqual(['10.1.0.0/16', '10.2.0.0/16', '2001:db8:1::/48']);
    // Acknowledged: nothing is repeated.
    await lab.poll(
      () => lab.sum('netloom_lisp_unacknowledged'),
      (count) => count === 0,
      'all acknowledged',
    );
  });

  it('resolves others’ prefixes by encapsulated questions, and hears what nobody has', async () => {
    const [east] = peers as [LispPeer];
    const asked = (eid: string) => east.told({ do: 'ask', eid }, (each) => each.event === 'reply');
    expect(await asked('10.2.3.4/32')).toMatchObject({ eid: '10.2.0.0/16', instance: 7, ttl: 1440 });
    expect(rlocs(await asked('10.2.3.4/32'))).toEqual(['127.0.0.3']);
    expect(rlocs(await asked('2001:db8:1::9/128'))).toEqual(['127.0.0.2']);
    expect(await asked('172.16.0.1/32')).toMatchObject({ rlocs: [], action: 1, ttl: 15 });
  });

  it('is solicited when what it asked for changes, and asks again by itself', async () => {
    const [east, west] = peers as [LispPeer, LispPeer];
    const from = east.events.length;
    await lab.ok('PUT', '/v1/lisp/mappings/moved', {
      instanceId: 7,
      eid: '10.2.0.0/16',
      rlocs: [{ address: '198.51.100.9' }],
    });
    await east.next((each) => each.event === 'solicited' && each.eid === '10.2.0.0/16', from);
    expect(rlocs(await east.next((each) => each.event === 'reply' && each.eid === '10.2.0.0/16', from))).toEqual([
      '198.51.100.9',
    ]);
    await lab.ok('DELETE', '/v1/lisp/mappings/moved');
    await west.told({ do: 'register' }, (each) => each.event === 'registered');
  });

  it('subscribes, hears of what changes, and of what goes', async () => {
    const [east, west] = peers as [LispPeer, LispPeer];
    const confirmed = await east.told({ do: 'subscribe', eid: '10.2.0.0/16' }, (each) => each.event === 'published');
    expect(rlocs(confirmed)).toEqual(['127.0.0.3']);
    const from = east.events.length;
    west.tell({ do: 'register', eids: ['10.2.9.0/24'] });
    const published = (ttl: number) =>
      east.next((each) => each.event === 'published' && each.eid === '10.2.9.0/24' && each.ttl === ttl, from);
    expect(rlocs(await published(1440))).toEqual(['127.0.0.3']);
    west.tell({ do: 'withdraw', eids: ['10.2.9.0/24'] });
    await published(0);
  });

  it('learns from an Info-Reply how it looks from outside', async () => {
    const [east] = peers as [LispPeer];
    const info = await east.told({ do: 'info' }, (each) => each.event === 'info');
    expect(info).toMatchObject({ address: '127.0.0.2', port, serverPort: Number(server.split(':')[1]) });
  });

  it('with a wrong key hears nothing', async () => {
    const before = await lab.sum('netloom_lisp_authentication_failures_total', 'mapRegister');
    const stranger = await peer({ key: 'guessed', eid: ['10.1.0.0/16'] });
    await lab.poll(
      () => lab.sum('netloom_lisp_authentication_failures_total', 'mapRegister'),
      (count) => count === before + 1,
      'one failure',
    );
    expect(stranger.events.map(({ event }) => event)).toEqual(['ready']);
  });

  it('finds a machine of a tenant in its network’s instance, and hears of it when it moves to another site', async () => {
    const [east] = peers as [LispPeer];
    await lab.ok('PUT', '/v1/tenants/acme', {});
    await lab.ok('PUT', '/v1/tenants/acme/networks/lan', { transport: 'vxlan', instanceId: 7 });
    for (const [n, site] of [
      [1, 'a'],
      [2, 'b'],
    ] as const) {
      await lab.ok('PUT', `/v1/sites/${site}`, { rlocs: [{ address: `198.51.100.${n}` }] });
      await lab.ok('PUT', `/v1/hypervisors/hv${n}`, { tunnelAddresses: [`192.0.2.${n}`], site });
    }
    const on = (hypervisor: string) =>
      lab.ok('PUT', '/v1/tenants/acme/ports/web', {
        network: 'lan',
        mac: '02:00:00:00:00:01',
        addresses: ['10.9.0.1'],
        binding: { hypervisor, interfaceId: 'web' },
      });
    await on('hv1');
    const first = await east.told({ do: 'ask', eid: '10.9.0.1/32' }, (each) => each.event === 'reply');
    expect([first.eid, rlocs(first)]).toEqual(['10.9.0.1/32', ['198.51.100.1']]);
    const from = east.events.length;
    await on('hv2');
    await east.next((each) => each.event === 'solicited' && each.eid === '10.9.0.1/32', from);
    expect(rlocs(await east.next((each) => each.event === 'reply' && each.eid === '10.9.0.1/32', from))).toEqual([
      '198.51.100.2',
    ]);
  });
});
