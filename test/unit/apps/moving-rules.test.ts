import { describe, expect, it } from 'vitest';
import { overlayCompiler } from '../../../src/apps/overlay/index.ts';
import { tenantsCompiler } from '../../../src/apps/tenants/index.ts';
import {
  ACTIVATION_SIGNS,
  type Binding,
  type Migration,
  readyMigration,
  startMigration,
  switchMigration,
} from '../../../src/controller/index.ts';
import { World } from '../../kit/world.ts';

/** Three hypervisors and a tunnel endpoint of others; port p at the first, somebody else at the third. */
function world(): World {
  const w = new World([tenantsCompiler, overlayCompiler]);
  for (let n = 1; n <= 3; n++) {
    w.addSwitch(n, 4).hypervisor(`hv${n}`, n, [`192.0.2.${n}`]);
    w.labels(n, { 1: { interfaceId: 'nic' }, 2: { interfaceId: 'other' }, 4: { tunnel: 'vxlan' } });
  }
  w.hypervisor('kernel', undefined, ['192.0.2.101']);
  w.network('t', 'n', { transport: 'vxlan' });
  w.port({ tenant: 't', id: 'p', network: 'n', mac: 0x020000000001, on: ['hv1', 'nic'] });
  w.port({ tenant: 't', id: 'q', network: 'n', mac: 0x020000000002, on: ['hv3', 'other'] });
  return w.compile();
}

function move(w: World, to: Binding, deliver: Migration['deliver'], upTo: 'preparing' | 'ready' | 'switched'): World {
  w.move('t', 'p', startMigration({ to, deliver, activateOn: ACTIVATION_SIGNS, activateAfterMs: undefined }));
  const { startedAt } = w.desired.ports.get('t/p')!.migration!;
  if (upTo !== 'preparing') w.move('t', 'p', readyMigration(startedAt, true));
  if (upTo === 'switched') w.move('t', 'p', switchMigration(startedAt, 'packet'));
  return w.compile();
}

/** What each switch does with frames for the port. */
const ways = (w: World): string[] =>
  [1, 2, 3].flatMap((n) =>
    w
      .text(n, 'eth_dst=02:00:00:00:00:01')
      .map((line) => `${n}: ${line.replace('table=switch priority=exact network=2,', '')}`),
  );
const to = (n: number): string => `set(tunnel_id=0x2),set(tun_ipv4_dst=192.0.2.${n}),output:4`;
const DST = 'eth_dst=02:00:00:00:00:01';
const hv2 = { hypervisor: 'hv2', interfaceId: 'nic' };

describe('frames for a port that moves between hypervisors', () => {
  it('go to both places until it has switched over, once each, and not from tunnel to tunnel', () => {
    expect(ways(move(world(), hv2, 'both', 'ready'))).toEqual([
      `1: arrived=0,${DST} → output:1,${to(2)}`,
      `1: arrived=1,${DST} → output:1`,
      `2: arrived=0,${DST} → output:1,${to(1)}`,
      `2: arrived=1,${DST} → output:1`,
      `3: arrived=0,${DST} → ${to(1)},${to(2)}`,
    ]);
  });

  it('then to the new one; the old one drops what its sender has sent to both', () => {
    expect(ways(move(world(), hv2, 'both', 'switched'))).toEqual([
      `1: arrived=0,${DST} → ${to(2)}`,
      `2: ${DST} → output:1`,
      `3: arrived=0,${DST} → ${to(2)}`,
    ]);
  });

  it('go to the old one only where that is wanted, which forwards them from then on, back out of the tunnel port', () => {
    expect(ways(move(world(), hv2, 'active', 'ready'))).toEqual([
      `1: ${DST} → output:1`,
      `2: arrived=0,${DST} → ${to(1)}`,
      `3: arrived=0,${DST} → ${to(1)}`,
    ]);
    expect(ways(move(world(), hv2, 'active', 'switched'))).toEqual([
      `1: arrived=0,${DST} → ${to(2)}`,
      `1: arrived=1,${DST} → ${to(2).replace('output:4', 'in_port')}`,
      `2: ${DST} → output:1`,
      `3: arrived=0,${DST} → ${to(2)}`,
    ]);
  });

  it('to a tunnel endpoint of others, and from one, go the same ways', () => {
    const kernel = { hypervisor: 'kernel', interfaceId: 'any' };
    expect(ways(move(world(), kernel, 'both', 'ready'))).toEqual([
      `1: arrived=0,${DST} → output:1,${to(101)}`,
      `1: arrived=1,${DST} → output:1`,
      `3: arrived=0,${DST} → ${to(1)},${to(101)}`,
    ]);
    const back = world();
    back.port({ tenant: 't', id: 'p', network: 'n', mac: 0x020000000001, on: ['kernel', 'any'] });
    expect(ways(move(back, hv2, 'both', 'ready'))).toEqual([
      `2: arrived=0,${DST} → output:1,${to(101)}`,
      `2: arrived=1,${DST} → output:1`,
      `3: arrived=0,${DST} → ${to(101)},${to(2)}`,
    ]);
    expect(ways(move(back, hv2, 'both', 'switched')).filter((line) => line.startsWith('3'))).toEqual([
      `3: arrived=0,${DST} → ${to(2)}`,
    ]);
  });

  it('that are for all go to the new place only when single ones do', () => {
    const group = (w: World, n: number) => w.text(n, 'group=0x50000002');
    expect(group(move(world(), hv2, 'both', 'ready'), 2)).toEqual(['group=0x50000002 type=all → [output:1]']);
    expect(group(move(world(), hv2, 'active', 'ready'), 2)).toEqual(['group=0x50000002 type=all → ']);
    expect(group(move(world(), hv2, 'active', 'switched'), 1)).toEqual(['group=0x50000002 type=all → ']);
  });
});
