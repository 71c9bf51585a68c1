import { type LabHypervisor, type LabMachine, OverlayNet, ping } from '../mininet/driver.ts';
import { tryAll } from '../mininet/matrix.ts';
import { ManyNetworks } from '../test/kit/many-networks.ts';
import { freePort } from '../test/kit/netloom.ts';
import { RestClient } from '../test/kit/rest.ts';
import { netloomWith, rssMib } from './targets.ts';

/**
 * `npm run bench -- networks`: 16,000 VXLAN networks on two hypervisors with an Open vSwitch of their own, each network with a port on
 * both; then traffic in the first, the middle and the last of them. NETWORKS sets another number.
 */

const COUNT = Number(process.env['NETWORKS'] ?? 16_000);

const say = (part: string, fields: object): void => console.log(JSON.stringify({ part, ...fields }));
const seconds = (since: number): number => Math.round((performance.now() - since) / 100) / 10;

class Client extends RestClient {
  readonly http: string;
  constructor(http: string) {
    super();
    this.http = http;
  }
}

/** Rejects when a network does not work, or anything comes where it does not belong. */
export async function networksBench(): Promise<void> {
  const net = await OverlayNet.start({ prefix: 'nlb', net: 31, dpidBase: 0x3100, hypervisors: 2, vms: 6, tenants: 3 });
  const openflow = `${net.management}:${await freePort()}`;
  const target = await netloomWith(['--openflow', openflow]);
  try {
    const rest = new Client(`127.0.0.1:${target.http}`);
    await net.controller(`tcp:${openflow}`);
    const isReady = async (): Promise<void> => {
      for (const { name } of net.hypervisors)
        await rest.until(`/v1/hypervisors/${name}`, (body) => body.status?.conditions?.[0]?.status === 'True', 300_000);
    };
    for (const { name, dpid, tunnel, ovsdb } of net.hypervisors)
      await rest.ok('PUT', `/v1/hypervisors/${name}`, { datapathId: dpid, tunnelAddresses: [tunnel], ovsdb });
    await isReady();
    const many = new ManyNetworks(COUNT, net, rest);
    const plugging = performance.now();
    await many.plug();
    await isReady();
    say('interfaces plugged', { each: COUNT, s: seconds(plugging) });
    const { storedS, confirmedS } = await many.provision();
    say('networks', { networks: COUNT, ports: COUNT * net.hypervisors.length, storedS, confirmedS });
    say('flows', { each: net.hypervisors.map((each: LabHypervisor) => many.flows(each)) });
    say('memory', { rssMib: Math.round(rssMib(target.pid)) });
    const matrix = await tryAll(net.machines, 30_000);
    say('traffic', { ...matrix });
    for (const { name, ip, tenant } of net.machines) {
      const other = net.machines.find((each: LabMachine) => each.tenant === tenant && each.name !== name)!;
      if (!(await ping(other, ip))) throw new Error(`${other.name} does not reach ${name} in ${many.networkOf(other)}`);
    }
    if ([matrix.missing, matrix.leaked, matrix.astray, matrix.twice].some((each) => each.length > 0))
      throw new Error('frames were lost, or came where they do not belong');
    const times = await many.further(9);
    say('one more network and its ports', { medianMs: [...times].sort((a, b) => a - b)[4], times });
  } finally {
    await target.stop();
    await net.stop();
  }
}
