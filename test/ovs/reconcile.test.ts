import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Netloom } from '../kit/netloom.ts';
import { PrivateOvs } from '../kit/private-ovs.ts';

/** The rule book against a real Open vSwitch: what it holds is compared, put right, and otherwise left alone (FC-13, FC-14). */

const DPIDS = ['00000000000a0001', '00000000000a0002'];
const BRIDGES = ['nlra', 'nlrb'];
let netloom: Netloom;
let ovs: PrivateOvs;

const ready = (port: string) =>
  netloom.until(`/v1/tenants/red/ports/${port}`, (body) => body.status.conditions[0].status === 'True');

const snapshot = async () =>
  Promise.all(
    BRIDGES.map(async (bridge) => ({
      flows: ovs.flows(bridge),
      groups: ovs.ofctl('dump-groups', bridge).split('\n').slice(1).sort(),
      meters: ovs.ofctl('dump-meters', bridge).split('\n').slice(1).sort(),
    })),
  );

beforeAll(async () => {
  netloom = await Netloom.start();
  ovs = await PrivateOvs.start();
  for (const [i, bridge] of BRIDGES.entries()) {
    ovs.addBridge(bridge, DPIDS[i]!, 3);
    ovs.setController(bridge, `tcp:${netloom.openflow}`);
  }
  await netloom.ok('PUT', '/v1/tenants/red', { quota: { bandwidthKbps: 100_000 } });
  await netloom.ok('PUT', '/v1/tenants/red/networks/lan', { transport: 'fabric', subnets: ['10.0.0.0/24'] });
  for (const [i, bridge] of BRIDGES.entries()) {
    for (const port of [1, 2]) {
      const n = i * 2 + port;
      await netloom.ok('PUT', `/v1/tenants/red/ports/p${n}?wait=ready&timeout=20s`, {
        network: 'lan',
        mac: `02:00:00:00:00:0${n}`,
        addresses: [`10.0.0.${n}`],
        binding: { switch: DPIDS[i], port: `${bridge}p${port}` },
      });
    }
  }
}, 60_000);

afterAll(async () => {
  await ovs?.stop();
  await netloom?.remove();
}, 60_000);

describe('a switch that lost what it held', () => {
  it('gets back every flow, group and meter when it connects again, without a REST call', async () => {
    const before = await snapshot();
    expect(before[0]!.flows.length).toBeGreaterThan(10);
    ovs.setController('nlra');
    await netloom.until(`/v1/switches/${DPIDS[0]}`, (body) => body.connected === false);
    ovs.ofctl('del-flows', 'nlra');
    ovs.ofctl('del-groups', 'nlra');
    ovs.ofctl('del-meters', 'nlra');
    expect(ovs.flows('nlra')).toEqual([]);
    ovs.setController('nlra', `tcp:${netloom.openflow}`);
    await netloom.until(`/v1/switches/${DPIDS[0]}`, (body) => body.connected === true);
    await ready('p1');
    expect(await snapshot()).toEqual(before);
  }, 60_000);

  it('is put right by the comparison when somebody changes flows while it is connected', async () => {
    const restarted = await Netloom.start();
    await restarted.remove();
    const before = await snapshot();
    const [flow] = before[0]!.flows.filter((text) => text.includes('table=1'));
    expect(flow).toBeDefined();
    ovs.ofctl('del-flows', 'nlra', 'table=1');
    const diff = await netloom.ok('GET', `/v1/switches/${DPIDS[0]}/diff`);
    expect(diff.inSync).toBe(false);
    expect(diff.missing.length).toBeGreaterThan(0);
  }, 30_000);

  it('keeps flows of others, which are listed as foreign', async () => {
    ovs.ofctl('add-flow', 'nlrb', 'cookie=0x1234,table=7,priority=7,in_port=3,actions=drop');
    await netloom.stop();
    await netloom.start();
    await ready('p3');
    expect(ovs.flows('nlrb').filter((text) => text.includes('cookie=0x1234'))).toHaveLength(1);
    const diff = await netloom.ok('GET', `/v1/switches/${DPIDS[1]}/diff`);
    expect(diff.inSync).toBe(true);
    expect(diff.foreign).toHaveLength(1);
  }, 30_000);

  it('gets everything back after ovs-vswitchd crashed', async () => {
    await ready('p1');
    await netloom.until(`/v1/switches/${DPIDS[0]}/diff`, (body) => body.inSync === true);
    const before = (await snapshot()).map(({ flows }) => flows.filter((text) => !text.includes('cookie=0x1234')));
    await ovs.killVswitchd();
    await netloom.until('/v1/switches', (body) => body.items.every((item: { connected: boolean }) => !item.connected));
    await ovs.startVswitchd();
    await netloom.until('/v1/switches', (body) => body.items.every((item: { connected: boolean }) => item.connected));
    for (const port of ['p1', 'p2', 'p3', 'p4']) await ready(port);
    expect((await snapshot()).map(({ flows }) => flows)).toEqual(before);
  }, 60_000);
});

describe('a switch that refuses', () => {
  it('makes the object say so, with the name of the error, and heals when there is room again', async () => {
    const used = ovs.flows('nlrb').filter((text) => text.includes('table=1,')).length;
    ovs.vsctl(
      ...[
        '--id=@t',
        'create',
        'Flow_Table',
        `flow_limit=${used}`,
        'overflow_policy=refuse',
        '--',
        'set',
        'bridge',
        'nlrb',
        'flow_tables:1=@t',
      ],
    );
    await netloom.ok('PUT', '/v1/tenants/red/ports/p5', {
      network: 'lan',
      mac: '02:00:00:00:00:05',
      addresses: ['10.0.0.5'],
      binding: { switch: DPIDS[1], port: 'nlrbp3' },
    });
    const body = await netloom.until(
      '/v1/tenants/red/ports/p5',
      ({ status }) => status.conditions[0].reason === 'Refused',
    );
    expect(body.status.conditions[0]).toMatchObject({ status: 'False' });
    expect(body.status.conditions[0].message).toContain('TABLE_FULL');
    const others = await netloom.ok('GET', '/v1/tenants/red/ports/p3');
    expect(others.status.conditions[0].status).toBe('True');
    ovs.vsctl('clear', 'bridge', 'nlrb', 'flow_tables');
    await netloom.until('/v1/tenants/red/ports/p5', ({ status }) => status.conditions[0].status === 'True', 30_000);
  }, 60_000);
});
