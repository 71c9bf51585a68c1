import { describe, expect, it } from 'vitest';
import { fabricCompiler } from '../../../src/apps/fabric/index.ts';
import { tenantsCompiler } from '../../../src/apps/tenants/index.ts';
import { dpid, World } from '../../kit/world.ts';

const world = () => new World([fabricCompiler, tenantsCompiler]);

/** Two edges and two cores, each edge on both cores. */
function square(): World {
  return world()
    .addSwitch(1, 4)
    .addSwitch(2, 4)
    .addSwitch(11, 4)
    .addSwitch(12, 4)
    .link(1, 3, 11, 1)
    .link(1, 4, 12, 1)
    .link(2, 3, 11, 2)
    .link(2, 4, 12, 2);
}

describe('transit', () => {
  it('costs a switch without links one rule, however many others there are', () => {
    const w = world();
    for (let n = 1; n <= 20; n++) w.addSwitch(n, 2);
    w.compile();
    expect(w.text(7)).toEqual(['table=respond priority=passThrough → next:switch']);
  });

  it('is compiled anew only where paths changed', () => {
    const w = world();
    for (let n = 1; n <= 5; n++) w.addSwitch(n, 2);
    w.compile().link(1, 1, 2, 1);
    expect(w.dirty).toEqual([`fabric/switch/${dpid(1)}`, `fabric/switch/${dpid(2)}`]);
  });

  it('matches switch index only, and spreads over equal paths by a select group that leaves dead ports', () => {
    const w = square().compile();
    expect(w.text(1)).toEqual([
      'group=0x10000002 type=select → [watch:3 output:3] [watch:4 output:4]',
      'group=0x1000000b type=indirect → [output:3]',
      'group=0x1000000c type=indirect → [output:4]',
      'table=classify priority=exact in_port=3 → next:transit',
      'table=classify priority=exact in_port=4 → next:transit',
      'table=respond priority=passThrough → next:switch',
      'table=transit priority=masked eth_dst=06:00:01:00:00:00/ff:3f:ff:00:00:00 → next:deliver',
      'table=transit priority=masked eth_dst=06:00:02:00:00:00/ff:3f:ff:00:00:00 → group:0x10000002',
      'table=transit priority=masked eth_dst=06:00:0b:00:00:00/ff:3f:ff:00:00:00 → group:0x1000000b',
      'table=transit priority=masked eth_dst=06:00:0c:00:00:00/ff:3f:ff:00:00:00 → group:0x1000000c',
    ]);
  });

  it('fails over to a loop-free alternate without the controller', () => {
    const w = world().addSwitch(1, 3).addSwitch(2, 3).addSwitch(3, 3);
    w.link(1, 1, 2, 1).link(2, 2, 3, 1).link(1, 2, 3, 2).compile();
    expect(w.text(1, 'group=0x10000002')).toEqual([
      'group=0x10000002 type=fastFailover → [watch:1 output:1] [watch:2 output:2]',
    ]);
  });

  it('forgets the way to a switch that became unreachable', () => {
    const w = world().addSwitch(1, 2).addSwitch(2, 2).link(1, 1, 2, 1).compile().unlink(1, 1).compile();
    expect(w.text(1, 'group')).toEqual([]);
  });
});

describe('broadcast and multicast', () => {
  const learned = (w: World, n: number, no: number, network = 'n') =>
    w.port({ tenant: 't', id: `p${n}-${no}`, network, mac: 'learned', at: [n, no] });

  it('need nothing where a port is alone', () => {
    const w = world().addSwitch(1, 4).network('t', 'n');
    learned(w, 1, 1).compile();
    expect(w.text(1, 'group')).toEqual([]);
  });

  it('stay in the local group while all members are on one switch', () => {
    const w = world().addSwitch(1, 4).network('t', 'n');
    learned(learned(w, 1, 1), 1, 2).compile();
    expect(w.text(1, 'group')).toEqual([
      'group=0x50000002 type=all → [output:1] [output:2]',
      'table=switch priority=exact network=2,eth_dst=ff:ff:ff:ff:ff:ff → group:0x50000002',
      'table=switch priority=masked network=2,eth_dst=01:00:5e:00:00:00/ff:ff:ff:80:00:00 → group:0x50000002',
      'table=switch priority=masked network=2,eth_dst=33:33:00:00:00:00/ff:ff:00:00:00:00 → group:0x50000002',
    ]);
  });

  it('go once to each other member switch of the component, and to no others', () => {
    const w = square().addSwitch(3, 4).network('t', 'n');
    for (const n of [1, 2, 3]) learned(w, n, 1);
    w.compile();
    expect(w.text(1, 'group=0x2')).toEqual([
      'group=0x20000002 type=all → [group:0x50000002] [set(eth_dst=06:40:02:00:00:02),group:0x10000002]',
    ]);
    expect(w.text(11, '0x50000002')).toEqual([]);
    expect(w.text(3, 'group')).toEqual([]);
  });

  it('restore the group address from the IP destination, or to broadcast where the switch cannot move bits', () => {
    const w = world().addSwitch(1, 4).addSwitch(2, 4, { nicira: false }).link(1, 3, 2, 3).network('t', 'n');
    learned(learned(w, 1, 1), 2, 1).compile();
    expect(w.text(1, 'table=deliver')).toEqual([
      'table=deliver priority=exact eth_dst=06:40:01:00:00:02 → set(eth_dst=ff:ff:ff:ff:ff:ff),group:0x50000002',
      'table=deliver priority=exact eth_dst=06:80:01:00:00:02,eth_type=0x800 → set(eth_dst=01:00:5e:00:00:00),move(ipv4_dst[0..22]→eth_dst[0..22]),group:0x50000002',
      'table=deliver priority=exact eth_dst=06:c0:01:00:00:02,eth_type=0x86dd → set(eth_dst=33:33:00:00:00:00),move(ipv6_dst[0..31]→eth_dst[0..31]),group:0x50000002',
    ]);
    expect(w.text(2, 'move')).toEqual([]);
    expect(w.text(2, 'table=deliver')).toHaveLength(3);
  });

  it('of a network that is not carried by the fabric stay on their switch', () => {
    const w = world().addSwitch(1, 4).addSwitch(2, 4).link(1, 3, 2, 3).network('t', 'n', { transport: 'vxlan' });
    learned(learned(w, 1, 1), 2, 1).compile();
    expect(w.text(1, 'group=0x2')).toEqual([]);
  });

  it('change on member switches only when one joins', () => {
    const w = square().network('t', 'n').network('t', 'other');
    learned(learned(w, 1, 1), 2, 1).compile();
    w.port({ tenant: 't', id: 'x', network: 'other', mac: 'learned', at: [1, 2] });
    expect(w.dirty).toEqual(['fabric/network/3', `tenants/meters/t/${dpid(1)}`, 'tenants/port/t/x']);
  });
});

describe('the default network', () => {
  it('is flooded by owners per switch, so that a new switch touches only its component', () => {
    const w = new World([fabricCompiler], { defaultNetwork: true });
    for (let n = 1; n <= 3; n++) w.addSwitch(n, 3);
    w.compile().addSwitch(4, 3);
    expect(w.dirty).toEqual([`fabric/flood/${dpid(4)}`, `fabric/switch/${dpid(4)}`]);
    w.compile();
    expect(w.text(4, 'group=')).toEqual(['group=0x50ffffff type=all → [output:1] [output:2] [output:3]']);
  });

  it('leaves ports alone that may still be links, and those that are', () => {
    const w = new World([fabricCompiler], { defaultNetwork: true });
    w.addSwitch(1, 3).addSwitch(2, 3, { settled: false }).link(1, 3, 2, 3).compile();
    expect(w.text(1, 'group=0x5')).toEqual(['group=0x50ffffff type=all → [output:1] [output:2]']);
    expect(w.text(2, 'group=0x5')).toEqual([]);
  });
});
