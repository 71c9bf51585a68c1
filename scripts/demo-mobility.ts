import { type LabHypervisor, type LabMachine, OverlayNet, Probe, type Received, Stream } from '../mininet/driver.ts';
import { say, startController, stay, until, write } from './demo-kit.ts';

/** LISP instance id of the tenant's network. */
const INSTANCE = 1001;
/** The sites, and where routers of others reach them. */
const SITES = { east: '198.51.100.1', west: '203.0.113.1' } as const;

let net: OverlayNet | undefined;

export const stopMobility = async (): Promise<void> => net?.stop();

interface Move {
  readonly phase: string;
  readonly outageMs?: number;
  readonly activatedBy?: string;
  readonly announced: boolean;
  readonly waitsFor?: string;
}

/** What a virtual machine monitor sends in the name of a machine that has landed: a reverse ARP request. */
function announcement({ mac }: LabMachine): string {
  const hex = mac.replaceAll(':', '');
  return `ffffffffffff${hex}80350001080006040003${hex}00000000${hex}00000000${'00'.repeat(18)}`;
}

/**
 * A machine moves between two sites under a running stream: announced by REST, without a word, and with its interface id changing
 * hypervisor in one go. True when the moves that can be prepared lose nothing.
 */
export async function mobilityDemo(): Promise<boolean> {
  say('starting Mininet: an underlay, 3 hypervisors with an Open vSwitch each at 2 sites, 3 machines');
  net = await OverlayNet.start({
    prefix: 'nly',
    net: 78,
    dpidBase: 0xdf100,
    hypervisors: 3,
    vms: 3,
    tenants: 1,
    movable: true,
  });
  const { machines, hypervisors } = net;
  const { openflow, http } = await startController(`${net.management}:${stay ? 6653 : 0}`, '--lisp', '127.0.0.1:0');
  await net.controller(`tcp:${openflow}`);
  await provision(http, net);
  const [guest, peer] = machines as [LabMachine, LabMachine];
  const [east, , west] = hypervisors as [LabHypervisor, LabHypervisor, LabHypervisor];
  const shown = new Shown(http, guest, peer);
  await shown.start();
  const probe = await Probe.open(guest);
  let good = true;

  await shown.where();
  const to = { to: { hypervisor: west.name, interfaceId: guest.interfaceId } };
  good =
    (await shown.move(`${guest.name} moves from ${east.name} to ${west.name}, announced by REST`, true, async (at) => {
      await at.net.plug(guest, west);
      await write('PUT', `${shown.path}?wait=ready&timeout=30s`, to);
      await shown.phase('ready');
      await at.net.land(guest, west);
      probe.send(announcement(guest));
      await shown.phase('done');
      await at.net.unplug(guest, east);
    })) && good;
  good =
    (await shown.move(
      'and back, without a word: its interface turns up there, it is resumed, it announces itself',
      true,
      async (at) => {
        await at.net.plug(guest, east);
        await shown.phase('ready');
        await at.net.land(guest, east);
        probe.send(announcement(guest));
        await shown.phase('done');
        await at.net.unplug(guest, west);
      },
    )) && good;
  good =
    (await shown.move(
      'and there again, its interface id changing hypervisor in one go: followed after the fact',
      false,
      async (at) => {
        await at.net.rebind(guest, east, west);
        await shown.phase('done');
      },
    )) && good;
  await probe.close();
  console.log(
    good
      ? '\n  Where a move could be prepared, no more was lost than a datagram caught in the instant of landing.\n'
      : '\n  NOT as promised: see the ! above.\n',
  );
  if (stay) {
    console.log(`  its move   ${shown.path}\n  mappings   ${http}/v1/lisp/mappings\n  API docs   ${http}/docs\n`);
    console.log('  Ctrl-C ends it and removes all it made.');
  }
  return good;
}

async function provision(http: string, { hypervisors, machines }: OverlayNet): Promise<void> {
  say('naming sites, hypervisors, one tenant with a VXLAN network, and its machines by REST');
  for (const [site, address] of Object.entries(SITES)) {
    await write('PUT', `${http}/v1/sites/${site}`, { rlocs: [{ address, priority: 1, weight: 100 }] });
  }
  for (const [at, { name, dpid, tunnel, ovsdb }] of hypervisors.entries()) {
    const site = at < 2 ? 'east' : 'west';
    await write('PUT', `${http}/v1/hypervisors/${name}`, { datapathId: dpid, tunnelAddresses: [tunnel], ovsdb, site });
  }
  await write('PUT', `${http}/v1/tenants/t1`, { description: 'demo' });
  await write('PUT', `${http}/v1/tenants/t1/networks/lan`, {
    transport: 'vxlan',
    instanceId: INSTANCE,
    subnets: ['10.0.0.0/24', 'fd00::/64'],
  });
  for (const { name, mac, ip, ip6, hypervisor, interfaceId } of machines) {
    await write('PUT', `${http}/v1/tenants/t1/ports/${name}?wait=ready&timeout=30s`, {
      network: 'lan',
      mac,
      addresses: [ip, ip6],
      binding: { hypervisor, interfaceId },
    });
  }
  const isUp = (body: string): boolean => body.includes('"up"') && !/"state":"(down|unknown)"/.test(body);
  await until(`${http}/v1/tunnels?limit=1000`, isUp);
}

/** Moves of one machine, and what is told of them. */
class Shown {
  readonly path: string;
  readonly #http: string;
  readonly #guest: LabMachine;
  readonly #peer: LabMachine;

  constructor(http: string, guest: LabMachine, peer: LabMachine) {
    this.#http = http;
    this.#guest = guest;
    this.#peer = peer;
    this.path = `${http}/v1/tenants/t1/ports/${guest.name}/migration`;
  }

  /** Both have found each other. */
  async start(): Promise<void> {
    const warm = await Stream.start(this.#guest, this.#peer, 10);
    await warm.stop();
  }

  /** Waits for a phase, and says what it brought. */
  async phase(phase: string): Promise<void> {
    await until(this.path, (body) => body.includes(`"phase":"${phase}"`));
    const move = (await (await fetch(this.path)).json()) as Move;
    const by = move.activatedBy === undefined ? '' : `, switched over by: ${move.activatedBy}`;
    const outage = move.outageMs === undefined ? '' : `, outage as the controller saw it: ${move.outageMs} ms`;
    console.log(`    ${phase}${move.announced ? '' : ' (nobody announced it)'}${by}${outage}`);
  }

  /** What LISP routers of other sites are told. */
  async where(): Promise<void> {
    const { ip } = this.#guest;
    const url = `${this.#http}/v1/lisp/mappings?instanceId=${INSTANCE}&eid=${ip}`;
    const { items } = (await (await fetch(url)).json()) as { items: { rlocs: { address: string }[] }[] };
    const rlocs = items.flatMap(({ rlocs: list }) => list.map(({ address }) => address)).join(', ');
    console.log(`    mapping: instance ${INSTANCE}, ${ip}/32 → ${rlocs}`);
  }

  /** One move under a stream. `prepared`: it has to lose nothing. */
  async move(
    title: string,
    prepared: boolean,
    during: (at: { readonly net: OverlayNet }) => Promise<void>,
  ): Promise<boolean> {
    say(`${title}; a datagram a millisecond each way between ${this.#guest.name} and ${this.#peer.name}`);
    const stream = await Stream.start(this.#guest, this.#peer);
    let counted: readonly [Received, Received];
    try {
      await during({ net: net! });
    } finally {
      counted = await stream.stop();
    }
    await this.where();
    let good = true;
    for (const [at, { sent, lost, twice, gapMs }] of counted.entries()) {
      // The copies to both places are not equally quick: one may fall between.
      const fine = !prepared || lost.length + twice.length <= 2;
      good &&= fine;
      const way = at === 0 ? `to ${this.#guest.name}  ` : `from ${this.#guest.name}`;
      console.log(
        `  ${fine ? '+' : '!'} ${way}: ${lost.length} lost, ${twice.length} twice, of ${sent}; longest gap ${gapMs} ms`,
      );
    }
    return good;
  }
}
