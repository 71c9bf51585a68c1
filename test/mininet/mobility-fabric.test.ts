import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Fabric, type FabricHost, Probe } from '../../mininet/driver.ts';
import { udp4Frame } from '../../mininet/frames.ts';
import { Netloom } from '../kit/netloom.ts';

/** A port moves between leaves of a fabric of real switches: from the first host's place to the last one's, where nobody is declared. */

let netloom: Netloom;
let fabric: Fabric;
let hosts: readonly FabricHost[];
const move = () => `/v1/tenants/t1/ports/${hosts[0]!.name}/migration`;
const hex = (text: string) => Buffer.from(text).toString('hex');

beforeAll(async () => {
  netloom = await Netloom.start();
  fabric = await Fabric.start({ controller: netloom.openflow, prefix: 'nlg', dpidBase: 0x1601, hosts: 6, tenants: 1 });
  hosts = fabric.hosts;
  await netloom.until('/v1/links', (body) => body.items?.length >= 12);
  await netloom.ok('PUT', '/v1/tenants/t1', {});
  await netloom.ok('PUT', '/v1/tenants/t1/networks/lan', {
    transport: 'fabric',
    subnets: ['10.0.0.0/16', 'fd00::/64'],
  });
  // The one that moves is the last to be made: when it is ready, so is the way to it from everywhere.
  for (const host of [...hosts.slice(0, -1)].reverse()) {
    await netloom.ok('PUT', `/v1/tenants/t1/ports/${host.name}?wait=ready&timeout=30s`, {
      network: 'lan',
      mac: host.mac,
      addresses: [host.ip, host.ip6],
      binding: { switch: host.dpid, port: host.port },
    });
  }
}, 120_000);

afterAll(async () => {
  await fabric?.stop();
  await netloom?.remove();
}, 60_000);

const inSync = async () => {
  for (const dpid of Object.values(fabric.switches)) {
    await netloom.until(`/v1/switches/${dpid}/diff`, (body) => body.inSync === true);
  }
};

describe('a move between leaves', () => {
  // A single frame may be lost to a busy switch daemon.
  it('brings frames to both places, then to the new one; the old one sends on what the fabric still brings', {
    retry: 2,
    timeout: 60_000,
  }, async () => {
    const [guest, , , , sender] = hosts as [FabricHost, FabricHost, FabricHost, FabricHost, FabricHost];
    const target = hosts.at(-1)!;
    expect(new Set([guest, sender, target].map(({ dpid }) => dpid)).size).toBeGreaterThan(1);
    const [old, fresh, from] = await Promise.all([Probe.open(guest), Probe.open(target), Probe.open(sender)]);
    const say = (tag: string) =>
      from.send(udp4Frame(guest.mac, sender.mac, sender.ip, guest.ip, Buffer.from(tag.padEnd(40))));
    const heard = (probe: Probe<FabricHost>, tag: string) => probe.until((frame) => frame.includes(hex(tag)));
    try {
      say('<before>');
      await heard(old, '<before>');
      await netloom.ok('PUT', `${move()}?wait=ready`, { to: { switch: target.dpid, port: target.port } });
      say('<during>');
      await Promise.all([heard(old, '<during>'), heard(fresh, '<during>')]);
      await inSync();
      await netloom.ok('POST', `${move()}/abort?wait=ready`);

      await netloom.ok('PUT', `${move()}?wait=ready`, {
        to: { switch: target.dpid, port: target.port },
        deliver: 'active',
      });
      await netloom.ok('POST', `${move()}/complete`);
      const sendsOn = ({ table, actions }: { table: string; actions: string }) =>
        table === 'deliver' && /group/.test(actions);
      const { items } = await netloom.until(`/v1/switches/${guest.dpid}/flows?limit=10000`, (body) =>
        body.items.some((each: { table: string; actions: string }) => sendsOn(each) && /in_port/.test(each.actions)),
      );
      const { match } = items.find(
        (each: { table: string; actions: string }) => sendsOn(each) && /in_port/.test(each.actions),
      );
      const address = /eth_dst=([0-9a-f:]+)|dl_dst=([0-9a-f:]+)/.exec(match)!.slice(1).find(Boolean)!;
      // What a sender had on its way comes down from a spine; the way on may be back up the same cable.
      const name = Object.entries(fabric.switches).find(([, dpid]) => dpid === guest.dpid)![0];
      const spines = fabric.cables.flatMap(({ a, aPort, b, bPort }) =>
        a === name ? [[b, bPort]] : b === name ? [[a, aPort]] : [],
      );
      expect(spines.length).toBeGreaterThan(1);
      for (const [at, [spine, port]] of spines.entries()) {
        const frame = udp4Frame(address, sender.mac, sender.ip, guest.ip, Buffer.from(`<late ${at}>`.padEnd(40)));
        const out = `in_port=controller packet=${frame} actions=output:${port}`;
        execFileSync('ovs-ofctl', ['-O', 'OpenFlow13', 'packet-out', spine!, out]);
      }
      for (const at of spines.keys()) {
        const frame = await heard(fresh, `<late ${at}>`);
        expect(frame.slice(0, 12)).toBe(guest.mac.replaceAll(':', ''));
      }
      say('<after>');
      await heard(fresh, '<after>');
      await netloom.until(move(), ({ phase }) => phase === 'done');
      await inSync();
      expect(old.received.filter((frame) => frame.includes(hex('<after>')))).toEqual([]);
      expect(fresh.received.filter((frame) => frame.includes(hex('<after>'))).length).toBe(1);
      const flows = await netloom.ok('GET', `/v1/switches/${guest.dpid}/flows?limit=10000`);
      expect(JSON.stringify(flows.items)).not.toContain(address);
    } finally {
      // Where it was, for another try.
      await netloom.call('POST', `${move()}/abort`);
      if ((await netloom.ok('GET', `/v1/tenants/t1/ports/${guest.name}`)).binding.switch !== guest.dpid) {
        await netloom.ok('PUT', `${move()}?wait=ready`, { to: { switch: guest.dpid, port: guest.port } });
        await netloom.ok('POST', `${move()}/complete?wait=ready`);
      }
      await Promise.all([old, fresh, from].map((probe) => probe.close()));
    }
  });
});
