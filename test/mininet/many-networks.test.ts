import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LabMachine, ping } from '../../mininet/driver.ts';
import { tryAll } from '../../mininet/matrix.ts';
import { Capture } from '../kit/capture.ts';
import { ManyNetworks } from '../kit/many-networks.ts';
import { OverlayLab } from '../kit/overlay-lab.ts';

/** As `npm run bench -- networks`, with fewer. Tests build on each other. */

const COUNT = 500;
const FIRST_VNI = 70_000;
let lab: OverlayLab;
let many: ManyNetworks;

beforeAll(async () => {
  lab = await OverlayLab.start(
    { prefix: 'nly', net: 29, dpidBase: 0x2900, hypervisors: 2, vms: 6, tenants: 3 },
    { overlay: { vnis: `${FIRST_VNI}-${FIRST_VNI + COUNT - 1}` } },
  );
  many = new ManyNetworks(COUNT, lab.net, lab.netloom);
  await lab.addAll();
  await many.plug();
  await many.provision();
  await lab.tunnelsAre((state) => state === 'up');
}, 180_000);

afterAll(async () => {
  await lab?.stop();
}, 60_000);

describe(`${COUNT} VXLAN networks on two hypervisors`, () => {
  it('are all confirmed by the switches, which hold what they should', async () => {
    const states: string[] = [];
    for (let page = '', more = true; more; ) {
      const { items, nextCursor } = await lab.netloom.ok('GET', `/v1/tenants/many/ports?limit=1000${page}`);
      for (const { status } of items) states.push(status.conditions[0].status);
      page = `&cursor=${nextCursor}`;
      more = nextCursor !== undefined;
    }
    expect(states).toHaveLength(2 * COUNT + lab.net.machines.length);
    expect(new Set(states)).toEqual(new Set(['True']));
    for (const hypervisor of lab.net.hypervisors) {
      await lab.netloom.until(`/v1/switches/${hypervisor.dpid}/diff`, (body) => body.inSync === true);
      expect(many.flows(hypervisor)).toBeGreaterThan(5 * COUNT);
    }
  }, 60_000);

  it('carry the traffic of the first, the middle and the last of them, each under its own VNI and to nobody else', async () => {
    expect(await tryAll(lab.net.machines)).toMatchObject({ missing: [], leaked: [], astray: [], twice: [] });
    const [hypervisor] = lab.net.hypervisors;
    for (const [tenant, vni] of [
      ['t1', FIRST_VNI],
      ['t2', FIRST_VNI + (COUNT >> 1)],
      ['t3', FIRST_VNI + COUNT - 1],
    ] as const) {
      const [a, b] = lab.of(tenant) as [LabMachine, LabMachine];
      const capture = await Capture.start(hypervisor!, hypervisor!.underlay, 'udp port 4789');
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const)
        expect(await ping(from, to.ip)).toBe(true);
      const seen = await capture.read('vxlan && icmp', 'vxlan.vni');
      expect(new Set(seen.map(([id]) => Number(id)))).toEqual(new Set([vni]));
    }
  }, 60_000);

  it('are the end of the range of VNIs: one more is refused, and says why, until one goes or a VNI is named', async () => {
    const put = (id: string, body: object = {}) =>
      lab.netloom.call('PUT', `/v1/tenants/many/networks/${id}`, { transport: 'vxlan', ...body });
    const refused = await put('more');
    expect(refused.status).toBe(409);
    expect(refused.body).toMatchObject({
      code: 'NL_EXHAUSTED',
      space: 'segment-vxlan',
      first: FIRST_VNI,
      last: FIRST_VNI + COUNT - 1,
      errors: [{ pointer: '/segmentId' }],
    });
    expect(refused.body.detail).toContain('no vxlan segment is left');
    expect((await put('named', { segmentId: 5 })).body.segmentId).toBe(5);
    expect((await put('other', { transport: 'nvgre' })).status).toBe(201);
    await lab.netloom.ok('DELETE', '/v1/tenants/many/networks/n7?cascade=true');
    expect((await put('more')).body.segmentId).toBe(FIRST_VNI + 7);
  });
});
