import { LispNet, ping, whyNoLispNet } from '../test/kit/lisp-net.ts';
import { LispPeer, type PeerEvent } from '../test/kit/lisp-peer.ts';
import { say, startController, stay, write } from './demo-kit.ts';

const INSTANCE = 1001;
const SITES = [
  { id: 'east', machine: '172.31.1.1', eid: '172.31.1.0/24' },
  { id: 'west', machine: '172.31.2.1', eid: '172.31.2.0/24' },
] as const;
const VM = '172.31.9.9';

let net: LispNet | undefined;
const routers: { readonly id: string; readonly netns: string; readonly machine: string; readonly peer: LispPeer }[] =
  [];

export async function stopLisp(): Promise<void> {
  for (const { peer } of routers.splice(0)) await peer.stop();
  net?.remove();
  net = undefined;
}

const where = ({ rlocs = [] }: PeerEvent): string => rlocs.map(({ address }) => address).join(', ') || 'nowhere';

/**
 * Two LISP routers of others, which share no code with Netloom: they register, find each other through Netloom, and carry packets between
 * the machines behind them over VXLAN-GPE; then one looks for a machine of a tenant, which moves to another site by one write. True when
 * all is as promised.
 */
export async function lispDemo(): Promise<boolean> {
  const problem = whyNoLispNet();
  if (problem !== undefined) throw new Error(problem);
  say('making an underlay with two LISP routers on it (network namespaces)');
  net = new LispNet('nldlisp', '10.211.78');
  const { here } = net;
  const places = SITES.map(({ id, machine }, n) => net!.router(id, n + 1, machine, '172.31.0.0/16'));
  const { http } = await startController(stay ? '127.0.0.1:6653' : '127.0.0.1:0', '--lisp', `${here}:4342`);
  say(`two LISP sites by REST, each with a key of its own; LISP at ${here}:4342`);
  for (const { id, eid } of SITES) {
    const body = { instanceId: INSTANCE, eidPrefixes: [eid], keys: [`key of ${id}`] };
    await write('PUT', `${http}/v1/lisp/sites/${id}`, body);
  }
  for (const [n, { id, eid, machine }] of SITES.entries()) {
    const { netns, rloc } = places[n]!;
    const options = { server: `${here}:4342`, address: rloc, instance: INSTANCE, key: `key of ${id}`, tun: 'lisp0' };
    const peer = await LispPeer.start({ ...options, eid: [eid] }, netns);
    routers.push({ id, netns, machine, peer });
    await peer.next((each) => each.event === 'registered');
    say(`router ${id} at ${rloc} has registered ${eid} in instance ${INSTANCE}`);
  }
  const [east, west] = routers as [(typeof routers)[0], (typeof routers)[0]];
  let good = await reaches(east, west.machine);
  const learned = east.peer.events.find((each) => each.event === 'reply' && each.eid === SITES[1].eid);
  if (learned) say(`router east has asked for it and was told: ${String(learned.eid)} is at ${where(learned)}`);
  good = (await reaches(west, east.machine)) && good;
  good = (await moves(http, east.peer)) && good;
  console.log(good ? '\n  All as promised.\n' : '\n  NOT as promised: see the ! above.\n');
  if (stay) {
    console.log(`  mappings   ${http}/v1/lisp/mappings\n  events     ${http}/v1/events?types=lisp.router`);
    console.log(
      `  a machine  ip netns exec ${east.netns} ping -I ${east.machine} ${west.machine}\n\n  Ctrl-C ends it.`,
    );
  }
  return good;
}

async function reaches(from: (typeof routers)[0], to: string): Promise<boolean> {
  const said = await ping(from.netns, to, 5, from.machine);
  const [, received = '0'] = /(\d+) received/.exec(said ?? '') ?? [];
  const good = received === '5';
  say(`${good ? '+' : '!'} ping from ${from.machine} to ${to}: 5 sent, ${received} came back`);
  return good;
}

/** A machine of a tenant moves from one site to another: one write, and the router is told. */
async function moves(http: string, peer: LispPeer): Promise<boolean> {
  say(`a tenant with a machine ${VM} on hypervisor hv-north of site north`);
  for (const [n, id] of ['north', 'south'].entries()) {
    await write('PUT', `${http}/v1/sites/${id}`, { rlocs: [{ address: `198.51.100.${n + 1}` }] });
    await write('PUT', `${http}/v1/hypervisors/hv-${id}`, { tunnelAddresses: [`192.0.2.${n + 1}`], site: id });
  }
  await write('PUT', `${http}/v1/tenants/acme`, {});
  await write('PUT', `${http}/v1/tenants/acme/networks/lan`, { transport: 'vxlan', instanceId: INSTANCE });
  const bind = (site: string) =>
    write('PUT', `${http}/v1/tenants/acme/ports/vm`, {
      network: 'lan',
      mac: '02:00:00:00:00:01',
      addresses: [VM],
      binding: { hypervisor: `hv-${site}`, interfaceId: 'vm' },
    });
  await bind('north');
  const first = await peer.told({ do: 'ask', eid: `${VM}/32` }, (each) => each.event === 'reply');
  say(`router east asks for ${VM}: it is at ${where(first)}`);
  const from = peer.events.length;
  const begun = performance.now();
  await bind('south');
  await peer.next((each) => each.event === 'solicited', from);
  const second = await peer.next((each) => each.event === 'reply', from);
  const ms = Math.round(performance.now() - begun);
  say(
    `the port is written to hv-south: router east was solicited, asked again, and knows after ${ms} ms: ${where(second)}`,
  );
  const good = where(first) === '198.51.100.1' && where(second) === '198.51.100.2';
  if (!good) say('! these are not the locators of sites north and south');
  return good;
}
