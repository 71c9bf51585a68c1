import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LabMachine, Probe, ping } from '../../mininet/driver.ts';
import { udp4Frame } from '../../mininet/frames.ts';
import { tryAll } from '../../mininet/matrix.ts';
import { Capture } from '../kit/capture.ts';
import { appctl, ofctl } from '../kit/ofctl.ts';
import { isReady, OverlayLab } from '../kit/overlay-lab.ts';

/** NVGRE networks whose flows an underlay can tell apart. Tests build on each other. */

let lab: OverlayLab;
const VSIDS: Readonly<Record<string, number>> = { t1: 0xabcdef, t2: 0x000001 };
const FLOWS = Array.from({ length: 24 }, (_, flow) => 50_000 + flow);
const COPIES = 2;
const ALL_GOOD = { missing: [], leaked: [], astray: [], twice: [] };

beforeAll(async () => {
  lab = await OverlayLab.start({ prefix: 'nlw', net: 27, dpidBase: 0x2700, hypervisors: 2, vms: 4 });
  await lab.addAll();
  for (const [tenant, segmentId] of Object.entries(VSIDS)) {
    await lab.netloom.ok('PUT', `/v1/tenants/${tenant}`, {});
    await lab.netloom.ok('PUT', `/v1/tenants/${tenant}/networks/lan`, {
      transport: 'nvgre',
      segmentId,
      subnets: ['10.0.0.0/24', 'fd00::/64'],
    });
  }
  await Promise.all(lab.net.machines.map((machine) => lab.bind(machine)));
  await lab.tunnelsAre((state) => state === 'up');
}, 120_000);

afterAll(async () => {
  await lab?.stop();
}, 60_000);

/** Entries of the sending datapath for the flows of `onTheWire`. */
const entries = (): number => {
  const [hypervisor] = lab.net.hypervisors;
  const dump = appctl(hypervisor!, 'dpctl/dump-flows', 'filter=udp');
  // From the machine into the tunnel; what comes out of it is another entry.
  return dump.split('\n').filter((line) => line.includes('tnl_push') && line.includes('02:00:00:00:00:01')).length;
};

/** What the underlay saw of a machine's UDP flows to another: VSID and FlowID of each frame, by source port. */
async function onTheWire(
  from: LabMachine,
  to: LabMachine,
): Promise<ReadonlyMap<number, readonly (readonly [number, number])[]>> {
  const [hypervisor] = lab.net.hypervisors;
  const capture = await Capture.start(hypervisor!, hypervisor!.underlay, 'proto gre');
  const [sender, receiver] = [await Probe.open(from), await Probe.open(to)];
  for (let copy = 0; copy < COPIES; copy++) {
    for (const port of FLOWS)
      sender.send(udp4Frame(to.mac, from.mac, from.ip, to.ip, Buffer.from(`<${port}/${copy}>`.padEnd(40)), port));
  }
  for (let copy = 0; copy < COPIES; copy++)
    for (const port of FLOWS)
      await receiver.until((frame) => frame.includes(Buffer.from(`<${port}/${copy}>`).toString('hex')));
  await Promise.all([sender.close(), receiver.close()]);
  const seen = new Map<number, (readonly [number, number])[]>();
  // Not the errors of the receiver, which quote what they complain of.
  for (const [key, port] of await capture.read('gre && udp.dstport == 40001 && !icmp', 'gre.key', 'udp.srcport'))
    seen.set(Number(port), [...(seen.get(Number(port)) ?? []), [Number(key) >>> 8, Number(key) & 0xff]]);
  return seen;
}

const pair = (tenant: string) => lab.of(tenant) as [LabMachine, LabMachine];
const flowIds = (seen: ReadonlyMap<number, readonly (readonly [number, number])[]>) =>
  new Map([...seen].map(([port, frames]) => [port, new Set(frames.map(([, id]) => id))]));
const flowCount = () =>
  lab.net.hypervisors.map((each) => ofctl(each, 'dump-flows', 'br-int').trim().split('\n').length);

describe('the FlowID of NVGRE frames (RFC 7637 §3.2)', () => {
  let flowsBefore: readonly number[];

  it('is zero as long as nothing else is asked for', async () => {
    flowsBefore = flowCount();
    const seen = await onTheWire(...pair('t1'));
    expect([...seen.keys()].sort()).toEqual(FLOWS);
    expect(new Set([...seen.values()].flat().map(String))).toEqual(new Set([`${VSIDS['t1']},0`]));
    expect(entries()).toBe(1);
  }, 30_000);

  it('is one value for each flow and differs between flows, beside the right VSID, when the network asks for a hash', async () => {
    for (const tenant of Object.keys(VSIDS)) {
      const patched = await lab.netloom.ok('PATCH', `/v1/tenants/${tenant}/networks/lan?wait=ready`, {
        flowId: 'hash',
      });
      expect(patched).toMatchObject({ flowId: 'hash', segmentId: VSIDS[tenant] });
      for (const { name } of lab.of(tenant)) await lab.netloom.until(`/v1/tenants/${tenant}/ports/${name}`, isReady);
      const seen = await onTheWire(...pair(tenant));
      expect([...seen.keys()].sort()).toEqual(FLOWS);
      expect(new Set([...seen.values()].flat().map(([vsid]) => vsid))).toEqual(new Set([VSIDS[tenant]]));
      const ids = flowIds(seen);
      expect(entries()).toBeGreaterThanOrEqual(FLOWS.length);
      expect([...ids.values()].every((each) => each.size === 1)).toBe(true);
      // 24 flows over 256 values: fewer than 12 different ones would be no spread (about one in 10^13 by chance).
      expect(new Set([...ids.values()].map((each) => [...each][0])).size).toBeGreaterThanOrEqual(12);
    }
  }, 60_000);

  it('of any value is taken in, both ways, and tenants stay apart', async () => {
    expect(await tryAll(lab.net.machines)).toMatchObject(ALL_GOOD);
    for (const tenant of Object.keys(VSIDS)) {
      const [a, b] = pair(tenant);
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        expect(await ping(from, to.ip)).toBe(true);
        expect(await ping(from, to.ip6)).toBe(true);
      }
    }
  }, 60_000);

  it('costs no flow in any table of OpenFlow, and switches hold what they should', async () => {
    expect(flowCount()).toEqual(flowsBefore);
    for (const { dpid } of lab.net.hypervisors)
      await lab.netloom.until(`/v1/switches/${dpid}/diff`, (body) => body.inSync === true);
  });

  it('is refused for transports that have none', async () => {
    const refused = await lab.netloom.call('PUT', '/v1/tenants/t1/networks/other', {
      transport: 'vxlan',
      flowId: 'hash',
    });
    expect([refused.status, refused.body.errors[0].pointer]).toEqual([400, '/flowId']);
  });
});
