import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LabMachine } from '../../mininet/driver.ts';
import { ping } from '../../mininet/driver.ts';
import { isReady, OverlayLab } from '../kit/overlay-lab.ts';
import { lintMetrics, Prometheus, whyNoPrometheus } from '../kit/prometheus.ts';

const reason = whyNoPrometheus();
if (reason !== undefined) console.log(`metrics as Prometheus sees them: skipped, ${reason}`);

/** A real Prometheus watches a controller with hypervisors. Tests build on each other. */
describe.skipIf(reason !== undefined)('Prometheus', () => {
  let lab: OverlayLab;
  let prometheus: Prometheus;
  const sum = (metric: string, by: string, fits: (value: number) => boolean) =>
    prometheus.value(`sum(${metric}{${by}})`, fits);

  beforeAll(async () => {
    lab = await OverlayLab.start({ prefix: 'nlz', net: 28, dpidBase: 0x2800, hypervisors: 2, vms: 2, tenants: 1 });
    prometheus = await Prometheus.start(lab.netloom.http);
    await lab.addAll();
    await lab.netloom.ok('PUT', '/v1/tenants/t1', {});
    await lab.netloom.ok('PUT', '/v1/tenants/t1/networks/lan', {
      transport: 'vxlan',
      subnets: ['10.0.0.0/24', 'fd00::/64'],
    });
    await Promise.all(lab.net.machines.map((machine) => lab.bind(machine)));
    await lab.tunnelsAre((state) => state === 'up');
  }, 120_000);

  afterAll(async () => {
    await prometheus?.stop();
    await lab?.stop();
  }, 60_000);

  it('scrapes the controller without an error', async () => {
    expect(await prometheus.value('up{job="netloom"}', (value) => value === 1)).toBe(1);
    const { data } = await prometheus.ok('GET', '/api/v1/targets');
    expect(data.activeTargets).toMatchObject([{ health: 'up', lastError: '' }]);
  });

  it('finds nothing to complain of in names, types and help', async () => {
    const { body } = await lab.netloom.call('GET', '/metrics');
    expect(body).toContain('netloom_tunnels');
    expect(lintMetrics(body)).toBe('');
    // It does complain of what is wrong.
    expect(lintMetrics('# TYPE netloom_x counter\nnetloom_x 1\n')).toContain('_total');
  });

  it('counts hypervisors, their tunnels and what was sent to their switches', async () => {
    await sum('netloom_ovsdb_sessions', 'state="connected"', (value) => value === 2);
    await sum('netloom_ovsdb_sessions', 'state="away"', (value) => value === 0);
    await sum('netloom_tunnels', 'type="vxlan",state="up"', (value) => value === 2);
    await sum('netloom_tunnels', 'type="nvgre"', (value) => value === 0);
    await sum('netloom_rule_switches_synced', '', (value) => value === 2);
    const [a, b] = lab.net.machines as [LabMachine, LabMachine];
    expect(await ping(a, b.ip)).toBe(true);
  });

  it('sees probes go and come at the rate that is set', async () => {
    await prometheus.value('sum(rate(netloom_tunnel_probes_total{result="received"}[5s]))', (value) => value > 0.5);
    await prometheus.value('sum(increase(netloom_tunnel_probes_total{result="refused"}[30s]))', (value) => value === 0);
  }, 30_000);

  it('sees a tunnel go down and come up, and a database go and come back', async () => {
    const [, second] = lab.net.hypervisors;
    await lab.net.underlay(second!, false);
    await sum('netloom_tunnels', 'type="vxlan",state="down"', (value) => value === 2);
    await sum('netloom_tunnels', 'type="vxlan",state="up"', (value) => value === 0);
    await lab.net.underlay(second!, true);
    await sum('netloom_tunnels', 'type="vxlan",state="up"', (value) => value === 2);
    const path = `/v1/hypervisors/${second!.name}`;
    const right = { datapathId: second!.dpid, tunnelAddresses: [second!.tunnel], ovsdb: second!.ovsdb };
    await lab.netloom.ok('PUT', path, { ...right, ovsdb: 'tcp:127.0.0.1:1' });
    await sum('netloom_ovsdb_sessions', 'state="away"', (value) => value === 1);
    await lab.netloom.ok('PUT', path, right);
    await sum('netloom_ovsdb_sessions', 'state="connected"', (value) => value === 2);
    await lab.netloom.until(path, isReady);
  }, 60_000);

  it('knows no metric of ours that docs/metrics.md does not name', async () => {
    const samples = await prometheus.query('count by (__name__) ({__name__=~"netloom_.*"})');
    const names = samples.map(({ labels }) => labels['__name__']!);
    expect(names.length).toBeGreaterThan(20);
    const documented = readFileSync(join(import.meta.dirname, '../../docs/metrics.md'), 'utf8');
    const isNamed = (name: string) => documented.includes(`| \`${name}\` |`);
    const parts = /_(bucket|sum|count)$/;
    expect(names.filter((name) => !isNamed(name) && !isNamed(name.replace(parts, '')))).toEqual([]);
  });
});
