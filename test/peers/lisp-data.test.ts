import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab } from '../kit/controller.ts';
import { LispPeer, whyNoLispPeer } from '../kit/lisp-peer.ts';

/** Two LISP routers of others that find each other through the product and carry packets between what is behind them. */

const reason =
  whyNoLispPeer() ?? (process.getuid?.() === 0 && existsSync('/dev/net/tun') ? undefined : 'no root or no tun');
if (reason !== undefined) console.log(`packets between LISP routers of others: skipped, ${reason}`);

const run = (command: string): string => {
  const [program, ...args] = command.split(' ');
  return execFileSync(program!, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
};
/** What a ping says; the controller is in this process and must not wait for it. Undefined when nothing came back. */
async function ping(netns: string, from: string, to: string, count: number): Promise<string | undefined> {
  const args = ['netns', 'exec', netns, 'ping', '-c', String(count), '-i', '0.2', '-W', '3', '-I', from, to];
  try {
    return (await promisify(execFile)('ip', args)).stdout;
  } catch (error) {
    // 1: no answer. Anything else is trouble of another kind.
    if ((error as { readonly code?: unknown }).code === 1) return undefined;
    throw error;
  }
}
const CORE = 'nlxlisp-core';
const UPLINK = 'nlxlisp-up';
const NET = '10.211.77';
const sides = [
  { netns: 'nlxlisp-a', rloc: `${NET}.1`, eid: '172.31.1.0/24', machine: '172.31.1.1' },
  { netns: 'nlxlisp-b', rloc: `${NET}.2`, eid: '172.31.2.0/24', machine: '172.31.2.1' },
] as const;

function remove(): void {
  for (const netns of [CORE, ...sides.map((side) => side.netns)]) {
    if (
      run('ip netns list')
        .split('\n')
        .some((line) => line.split(' ')[0] === netns)
    )
      run(`ip netns del ${netns}`);
  }
}

/** An underlay: a bridge in a namespace of its own, both routers and this machine on it. */
function lay(): void {
  remove();
  run(`ip netns add ${CORE}`);
  run(`ip -n ${CORE} link add br0 type bridge`);
  run(`ip -n ${CORE} link set br0 up`);
  const plug = (end: string, port: string, netns: string | undefined): void => {
    run(`ip link add ${end} type veth peer name ${port} netns ${CORE}`);
    run(`ip -n ${CORE} link set dev ${port} master br0 up`);
    if (netns !== undefined) run(`ip link set ${end} netns ${netns}`);
  };
  plug(UPLINK, 'host', undefined);
  run(`ip addr add ${NET}.254/24 dev ${UPLINK}`);
  run(`ip link set ${UPLINK} up`);
  sides.forEach(({ netns, rloc }, n) => {
    run(`ip netns add ${netns}`);
    plug(`nlxlisp${n}`, `p${n}`, netns);
    for (const words of ['link set lo up', `addr add ${rloc}/24 dev nlxlisp${n}`, `link set nlxlisp${n} up`]) {
      run(`ip -n ${netns} ${words}`);
    }
    run(`ip netns exec ${netns} ip tuntap add lisp0 mode tun`);
  });
  for (const { netns, machine } of sides) {
    for (const words of [
      `addr add ${machine}/32 dev lisp0`,
      'link set lisp0 mtu 1400 up',
      'route add 172.31.0.0/16 dev lisp0',
    ]) {
      run(`ip -n ${netns} ${words}`);
    }
  }
}

describe.skipIf(reason !== undefined)('packets between LISP routers of others', () => {
  let lab: Lab;
  const peers: LispPeer[] = [];

  beforeAll(async () => {
    lay();
    lab = await Lab.start({ 'lisp.listen': `${NET}.254:4342` });
    await lab.ok('PUT', '/v1/lisp/sites/all', {
      instanceId: 9,
      eidPrefixes: ['172.31.0.0/16'],
      keys: ['secret'],
      acceptMoreSpecifics: true,
    });
    for (const { netns, rloc, eid } of sides) {
      const peer = await LispPeer.start(
        { server: `${NET}.254:4342`, address: rloc, instance: 9, eid: [eid], tun: 'lisp0' },
        netns,
      );
      peers.push(peer);
      await peer.next((each) => each.event === 'registered');
    }
  });
  afterAll(async () => {
    for (const each of peers) await each.stop();
    await lab?.remove();
    if (reason === undefined) remove();
  });

  it('arrive both ways, the first one too, each router having asked once', async () => {
    const [a, b] = sides;
    const requests = await lab.sum('netloom_lisp_requests_total', 'mapping');
    const said = await ping(a.netns, a.machine, b.machine, 5);
    expect(said).toContain('5 packets transmitted, 5 received, 0% packet loss');
    expect(await lab.sum('netloom_lisp_requests_total', 'mapping')).toBe(requests + 2);
  });

  it('go where a mapping by REST says, from the moment that it is told', async () => {
    const [a, b] = sides;
    const reached = async () => (await ping(a.netns, a.machine, b.machine, 1)) !== undefined;
    const from = peers[0]!.events.length;
    const relearned = () => peers[0]!.next((each) => each.event === 'reply' && each.eid === `${b.machine}/32`, from);
    await lab.ok('PUT', '/v1/lisp/mappings/hole', { instanceId: 9, eid: b.machine });
    await relearned();
    expect(await reached()).toBe(false);
    await lab.ok('PUT', '/v1/lisp/mappings/hole', { instanceId: 9, eid: b.machine, rlocs: [{ address: b.rloc }] });
    await peers[0]!.next(
      (each) => each.event === 'reply' && each.rlocs?.[0]?.address === b.rloc && each.eid === `${b.machine}/32`,
      from,
    );
    expect(await reached()).toBe(true);
  });
});
