import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab } from '../kit/controller.ts';
import { LispNet, ping, run, whyNoLispNet } from '../kit/lisp-net.ts';
import { LispPeer } from '../kit/lisp-peer.ts';
import { PrivateOvs, whyNoPrivateOvs } from '../kit/private-ovs.ts';

/** LISP routers of others that find each other, and machines of tenants, through the product; packets over VXLAN-GPE. */

const reason = whyNoLispNet() ?? whyNoPrivateOvs();
if (reason !== undefined) console.log(`packets through LISP routers of others: skipped, ${reason}`);

const MACHINES = ['172.31.1.1', '172.31.2.1'] as const;
const VM = { address: '172.31.9.9', mac: '02:00:00:00:09:09' };
const GATEWAY = '02:00:00:00:00:fe';
const INSTANCE = 9;

describe.skipIf(reason !== undefined)('packets through LISP routers of others', () => {
  let lab: Lab;
  let net: LispNet;
  let server: string;
  const routers: { readonly netns: string; readonly rloc: string; readonly peer: LispPeer }[] = [];

  beforeAll(async () => {
    net = new LispNet('nlxlisp', '10.211.77');
    server = `${net.here}:4342`;
    lab = await Lab.start({ 'lisp.listen': server });
    await lab.ok('PUT', '/v1/lisp/sites/all', {
      instanceId: INSTANCE,
      eidPrefixes: ['172.31.0.0/16'],
      keys: ['secret'],
      acceptMoreSpecifics: true,
    });
    for (const [n, machine] of MACHINES.entries()) {
      const { netns, rloc } = net.router(`r${n}`, n + 1, machine, '172.31.0.0/16');
      const eid = [machine.replace(/\.\d+$/, '.0/24')];
      const peer = await LispPeer.start({ server, address: rloc, instance: INSTANCE, eid, tun: 'lisp0' }, netns);
      routers.push({ netns, rloc, peer });
      await peer.next((each) => each.event === 'registered');
    }
  });
  afterAll(async () => {
    for (const { peer } of routers) await peer.stop();
    await lab?.remove();
    net?.remove();
  });

  const asked = () => lab.sum('netloom_lisp_requests_total', 'mapping');

  it('arrive both ways, the first one too, each router having asked once', async () => {
    const requests = await asked();
    const said = await ping(routers[0]!.netns, MACHINES[1], 5, MACHINES[0]);
    expect(said).toContain('5 packets transmitted, 5 received, 0% packet loss');
    expect(await asked()).toBe(requests + 2);
  });

  it('go where a mapping by REST says, from the moment that it is told', async () => {
    const [{ netns, peer }, { rloc }] = routers as [(typeof routers)[0], (typeof routers)[0]];
    const eid = `${MACHINES[1]}/32`;
    const from = peer.events.length;
    const told = (where: string | undefined) =>
      peer.next((each) => each.event === 'reply' && each.eid === eid && each.rlocs?.[0]?.address === where, from);
    await lab.ok('PUT', '/v1/lisp/mappings/hole', { instanceId: INSTANCE, eid });
    await told(undefined);
    expect(await ping(netns, MACHINES[1], 1, MACHINES[0])).toBeUndefined();
    await lab.ok('PUT', '/v1/lisp/mappings/hole', { instanceId: INSTANCE, eid, rlocs: [{ address: rloc }] });
    await told(rloc);
    expect(await ping(netns, MACHINES[1], 1, MACHINES[0])).toBeDefined();
    await lab.ok('DELETE', '/v1/lisp/mappings/hole');
  });

  describe('and a machine of a tenant behind Open vSwitch (its flows made by hand)', () => {
    let ovs: PrivateOvs;
    let vm: string;
    const tunnel = '10.211.77.11';

    beforeAll(async () => {
      const hypervisor = net.namespace('hv');
      vm = net.namespace('vm');
      const uplink = net.attach(hypervisor);
      run(`ip link add nlxlispv netns ${hypervisor} type veth peer name eth0 netns ${vm}`);
      run(`ip -n ${hypervisor} link set dev nlxlispv up`);
      run(`ip netns exec ${vm} ethtool -K eth0 tx off`);
      run(`ip -n ${vm} link set dev eth0 address ${VM.mac} up`);
      run(`ip -n ${vm} addr add ${VM.address}/32 dev eth0`);
      run(`ip -n ${vm} route add default dev eth0`);
      for (const machine of MACHINES) run(`ip -n ${vm} neigh replace ${machine} lladdr ${GATEWAY} dev eth0`);
      ovs = await PrivateOvs.start('netdev', hypervisor);
      ovs.vsctl('add-br', 'br-phy', '--', 'set', 'bridge', 'br-phy', 'datapath_type=netdev');
      ovs.vsctl('add-port', 'br-phy', uplink);
      ovs.addBridge('br-int', '0000000000000b09', 0);
      const gpe = ['remote_ip=flow', 'key=flow', 'exts=gpe', 'packet_type=legacy_l3', 'dst_port=4790'];
      ovs.vsctl('add-port', 'br-int', 'nlxlispv', '--', 'set', 'interface', 'nlxlispv', 'ofport_request=1');
      ovs.vsctl(
        ...['add-port', 'br-int', 'gpe', '--', 'set', 'interface', 'gpe', 'type=vxlan', 'ofport_request=2'],
        ...gpe.map((each) => `options:${each}`),
      );
      run(`ip -n ${hypervisor} addr add ${tunnel}/24 dev br-phy`);
      run(`ip -n ${hypervisor} link set dev br-phy up`);
      const inside = `tun_id=${INSTANCE},ip,nw_dst=${VM.address}`;
      const deliver = `dec_ttl,set_field:${GATEWAY}->eth_src,set_field:${VM.mac}->eth_dst,output:1`;
      ovs.ofctl('add-flow', 'br-int', `priority=10,in_port=2,${inside},actions=${deliver}`);
      for (const [n, machine] of MACHINES.entries()) {
        const tunnelled = `set_field:${INSTANCE}->tun_id,set_field:${routers[n]!.rloc}->tun_dst,output:2`;
        ovs.ofctl('add-flow', 'br-int', `priority=10,in_port=1,ip,nw_dst=${machine},actions=dec_ttl,${tunnelled}`);
      }
      // The first packet to a tunnel's end waits for nobody: its neighbour has to be known.
      await ping(hypervisor, routers[0]!.rloc, 1);
      await lab.ok('PUT', '/v1/tenants/acme', {});
      await lab.ok('PUT', '/v1/tenants/acme/networks/lan', { transport: 'vxlan', instanceId: INSTANCE });
      await lab.ok('PUT', '/v1/hypervisors/hv', { tunnelAddresses: [tunnel] });
    });
    afterAll(() => ovs?.stop());

    const bind = (hypervisor: string) =>
      lab.ok('PUT', '/v1/tenants/acme/ports/web', {
        network: 'lan',
        mac: VM.mac,
        addresses: [VM.address],
        binding: { hypervisor, interfaceId: 'web' },
      });

    it('reach it where its port is, and it reaches them', async () => {
      await bind('hv');
      const [{ netns }] = routers as [(typeof routers)[0]];
      expect(await ping(netns, VM.address, 5, MACHINES[0])).toContain('5 packets transmitted, 5 received');
      expect(await ping(vm, MACHINES[0], 5)).toContain('5 packets transmitted, 5 received');
    });

    it('follow it when one write says that it is elsewhere, and come back with it', async () => {
      const [{ netns, peer }] = routers as [(typeof routers)[0]];
      await lab.ok('PUT', '/v1/hypervisors/other', { tunnelAddresses: ['10.211.77.99'] });
      const moved = async (hypervisor: string, rloc: string): Promise<void> => {
        const from = peer.events.length;
        await bind(hypervisor);
        await peer.next((each) => each.event === 'reply' && each.rlocs?.[0]?.address === rloc, from);
      };
      await moved('other', '10.211.77.99');
      expect(await ping(netns, VM.address, 1, MACHINES[0])).toBeUndefined();
      await moved('hv', tunnel);
      expect(await ping(netns, VM.address, 3, MACHINES[0])).toContain('3 received');
    });
  });
});
