import fc from 'fast-check';
import { fabricCompiler } from '../../src/apps/fabric/index.ts';
import { learningCompiler } from '../../src/apps/learning/index.ts';
import { mobilityCompiler } from '../../src/apps/mobility/index.ts';
import { overlayCompiler } from '../../src/apps/overlay/index.ts';
import { tenantsCompiler } from '../../src/apps/tenants/index.ts';
import {
  ACTIVATION_SIGNS,
  abortMigration,
  finishMigration,
  followMigration,
  type Mac,
  membershipOf,
  type Network,
  type Port,
  type PortEdit,
  parseIp,
  RequestError,
  readyMigration,
  startMigration,
  switchAtOnce,
  switchMigration,
  unreadyMigration,
  vlanInterface,
} from '../../src/controller/index.ts';
import { dpid, World } from '../kit/world.ts';

/** Random networks for the properties of compiled rules: edits as data, so that a failing sequence shrinks. */

const SWITCHES = 5;
const PORTS = 5;
/** Further ports of each switch, which tunnels end at when its database says so. */
const TUNNELS = { vxlan: PORTS + 1, nvgre: PORTS + 2 } as const;
const TENANTS = ['t', 'u'] as const;
const NETWORKS = ['n', 'm'] as const;

const switchNo = fc.integer({ min: 1, max: SWITCHES });
const portNo = fc.integer({ min: 1, max: PORTS });
const tenant = fc.constantFrom(...TENANTS);
const network = fc.constantFrom(...NETWORKS);
/** Few MACs and addresses: tenants shall have the same ones. */
const host = fc.integer({ min: 1, max: 6 });
const deviceNo = fc.integer({ min: 1, max: 2 });
const at = fc.tuple(switchNo, fc.oneof(portNo, fc.tuple(switchNo, portNo)));

export const edit = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('switch' as const), n: switchNo, nicira: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('down' as const), n: switchNo, forget: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('link' as const), a: switchNo, ap: portNo, b: switchNo, bp: portNo }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('unlink' as const), n: switchNo, no: portNo }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('carrier' as const), n: switchNo, no: portNo, up: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('rename' as const), n: switchNo, no: portNo, as: portNo }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('unplug' as const), n: switchNo, no: portNo }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('tenant' as const),
      tenant,
      bandwidthKbps: fc.option(fc.constantFrom(1000, 2000), { nil: undefined }),
      packetInRate: fc.option(fc.constantFrom(10, 20), { nil: undefined }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('network' as const),
      tenant,
      network,
      transport: fc.constantFrom('fabric' as const, 'fabric' as const, 'vxlan' as const, 'nvgre' as const),
      segment: fc.integer({ min: 1, max: 3 }),
      unknownUnicast: fc.constantFrom('drop' as const, 'flood' as const),
      flowId: fc.constantFrom('zero' as const, 'hash' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('deleteNetwork' as const), tenant, network }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('gateway' as const),
      tenant,
      n: fc.option(switchNo, { nil: undefined }),
      former: fc.option(switchNo, { nil: undefined }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('elect' as const),
      tenant,
      network,
      host,
      n: fc.option(switchNo, { nil: undefined }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('hypervisor' as const),
      n: switchNo,
      families: fc.constantFrom([4], [6], [4, 6], [], undefined),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('label' as const),
      n: switchNo,
      tunnels: fc.boolean(),
      interfaces: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: PORTS }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('device' as const), d: deviceNo, there: fc.boolean(), address: deviceNo }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('deviceLearns' as const),
      d: deviceNo,
      tenant,
      network,
      hosts: fc.array(host, { maxLength: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('tunnel' as const), n: switchNo, to: switchNo, down: fc.boolean() }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('port' as const),
      plan: fc.boolean(),
      tenant,
      network,
      host,
      learned: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
      secure: fc.boolean(),
      addressed: fc.boolean(),
      at: fc.option(at, { nil: undefined }),
      on: fc.option(fc.tuple(switchNo, fc.integer({ min: 1, max: 3 })), { nil: undefined }),
      uplink: fc.oneof(
        { weight: 7, arbitrary: fc.constant(undefined) },
        { weight: 1, arbitrary: fc.tuple(switchNo, switchNo) },
      ),
      behind: fc.option(fc.tuple(deviceNo, fc.integer({ min: 0, max: 2 })), { nil: undefined, freq: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('deletePort' as const), tenant, network, host }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('learn' as const), n: switchNo, no: portNo, host, addressed: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('age' as const), n: switchNo, no: portNo }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('compile' as const) }) },
);

/** The same with ports that move, to another place of the same kind or of the other. */
export const movingEdit = fc.oneof(
  { weight: 3, arbitrary: edit },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('move' as const),
      tenant,
      network,
      host,
      step: fc.constantFrom('start', 'start', 'follow', 'ready', 'unready', 'switch', 'atOnce', 'finish', 'abort'),
      gone: fc.boolean(),
      deliver: fc.constantFrom('both' as const, 'active' as const),
      at: fc.option(at, { nil: undefined }),
      on: fc.tuple(switchNo, fc.integer({ min: 1, max: 3 })),
    }),
  },
);
export type Edit = typeof movingEdit extends fc.Arbitrary<infer T> ? T : never;

export const macOf = (n: number): Mac => (0x020000000000 + n) as Mac;
export const ipv4Of = (n: number): string => `10.0.0.${n}`;
export const ipv6Of = (n: number): string => `fd00::${n}`;

/** Which transports the two networks of each tenant have that are one segment from the start; undefined: they are two. */
export const joins = fc.option(
  fc.constantFrom(
    ['fabric', 'vxlan'] as const,
    ['vxlan', 'fabric'] as const,
    ['nvgre', 'vxlan'] as const,
    ['fabric', 'nvgre'] as const,
  ),
  { nil: undefined },
);
type Join = typeof joins extends fc.Arbitrary<infer T> ? T : never;

/** A world to start from: all switches there, in a row or apart, and all networks. */
export function makeWorld(defaultNetwork: boolean, inRow: boolean, join?: Join): World {
  const compilers = [fabricCompiler, tenantsCompiler, learningCompiler(300), overlayCompiler, mobilityCompiler];
  const w = new World(compilers, { defaultNetwork });
  for (let n = 1; n <= SWITCHES; n++) {
    w.addSwitch(n, TUNNELS.nvgre);
    if (!inRow) hypervisor(w, n, [4]);
    if (!inRow) w.labels(n, tunnelLabels);
  }
  for (let n = 1; inRow && n < SWITCHES; n++) w.link(n, PORTS, n + 1, PORTS - 1);
  for (const tenantId of TENANTS) for (const id of NETWORKS) w.network(tenantId, id);
  // Apart, one network is an overlay that lets in what a hardware VTEP learns: nobody would meet all that by chance.
  if (!inRow) {
    for (const d of [1, 2]) w.device(`dev${d}`, `192.0.2.${100 + d}`);
    w.network('t', 'n', { transport: 'vxlan' });
    w.port({ tenant: 't', id: 'rack', network: 'n', mac: 'learned', on: ['dev1', 'p2', 0] });
  }
  if (!join) return w.compile();
  const gateways = Array.from({ length: SWITCHES - 1 }, (_, n) => `hv${n + 1}`);
  TENANTS.forEach((tenantId, nth) => {
    w.network(tenantId, 'n', { transport: join[0] });
    w.network(tenantId, 'm', { transport: join[1], extends: 'n', gateways });
    w.observed.gatewayIs(`network/${w.desired.networks.get(`${tenantId}/m`)!.index}`, {
      dpid: dpid(nth + 1),
      former: undefined,
    });
  });
  for (let n = 1; inRow && n <= SWITCHES; n++) {
    hypervisor(w, n, [4]);
    w.labels(n, tunnelLabels);
  }
  return w.compile();
}

const tunnelLabels = { [TUNNELS.vxlan]: { tunnel: 'vxlan' }, [TUNNELS.nvgre]: { tunnel: 'nvgre' } } as const;

/** Switch n is a hypervisor with addresses of these families; undefined: it is none. */
function hypervisor(w: World, n: number, families: readonly number[] | undefined): void {
  const id = `hv${n}`;
  if (families)
    w.hypervisor(
      id,
      n,
      families.map((family) => (family === 4 ? `192.0.2.${n}` : `2001:db8::${n}`)),
    );
  else if (w.desired.hypervisors.has(id)) w.deleteHypervisor(id);
}

const bindingOf = (spec: readonly [number, number | readonly [number, number]] | undefined): Port['binding'] =>
  spec && {
    switch: dpid(spec[0]),
    port: typeof spec[1] === 'number' ? spec[1] : `s${spec[1][0]}-eth${spec[1][1]}`,
  };

/** Does one edit; edits that make no sense in the state they meet do nothing, as the parts before us would refuse them. */
export async function perform(w: World, e: Edit): Promise<void> {
  switch (e.do) {
    case 'switch':
      w.addSwitch(e.n, TUNNELS.nvgre, { nicira: e.nicira });
      return;
    case 'down':
      w.observed.switchDown(dpid(e.n));
      if (e.forget) w.observed.forgetSwitch(dpid(e.n));
      return;
    case 'link':
      if (e.a !== e.b) w.link(e.a, e.ap, e.b, e.bp);
      return;
    case 'unlink':
      w.unlink(e.n, e.no);
      w.observed.portSettled({ dpid: dpid(e.n), port: e.no });
      return;
    case 'carrier':
    case 'rename': {
      const physical = w.observed.switches.get(dpid(e.n))?.ports.get(e.no);
      if (!physical) return;
      const change = e.do === 'carrier' ? { up: e.up } : { name: `s${e.n}-eth${e.as}` };
      w.observed.portChanged(dpid(e.n), { ...physical, ...change });
      w.observed.portSettled({ dpid: dpid(e.n), port: e.no });
      return;
    }
    case 'unplug':
      w.observed.portRemoved(dpid(e.n), e.no);
      return;
    case 'tenant': {
      const { bandwidthKbps, packetInRate } = e;
      w.tenant(e.tenant, {
        ...(bandwidthKbps === undefined ? {} : { bandwidthKbps }),
        ...(packetInRate === undefined ? {} : { packetInRate }),
      });
      return;
    }
    case 'network': {
      const now = w.desired.networks.get(`${e.tenant}/${e.network}`);
      const other = now && w.desired.otherSide(now);
      if (other?.transport === e.transport) return;
      // Segments are the store's to keep apart; here each network has three of its own.
      w.network(e.tenant, e.network, {
        transport: e.transport,
        unknownUnicast: e.unknownUnicast,
        flowId: e.flowId,
        segmentId: (100 * TENANTS.indexOf(e.tenant) +
          10 * NETWORKS.indexOf(e.network) +
          e.segment) as Network['segmentId'],
        extends: now?.extends,
        gateways: now?.gateways ?? [],
      });
      return;
    }
    case 'gateway': {
      const extension = w.desired.networks.get(`${e.tenant}/m`);
      if (!extension) return;
      const former = e.former === undefined || e.former === e.n ? undefined : dpid(e.former);
      w.observed.gatewayIs(`network/${extension.index}`, e.n === undefined ? undefined : { dpid: dpid(e.n), former });
      return;
    }
    case 'hypervisor':
      hypervisor(w, e.n, e.families);
      return;
    case 'label':
      w.labels(e.n, {
        ...(e.tunnels ? tunnelLabels : {}),
        ...Object.fromEntries(
          e.interfaces.map((id, at) => [at + 1, { interfaceId: id === 4 ? vlanInterface('up', 0) : `nic${id}` }]),
        ),
      });
      return;
    case 'device':
      if (e.there) w.device(`dev${e.d}`, `192.0.2.${100 + 10 * e.d + e.address}`);
      else if (w.desired.hypervisors.has(`dev${e.d}`)) w.deleteHypervisor(`dev${e.d}`);
      return;
    case 'deviceLearns': {
      const macs = new Map(w.observed.device(`dev${e.d}`)?.macs);
      macs.set(`${e.tenant}/${e.network}`, new Set(e.hosts.map(macOf)));
      w.observed.deviceIs(`dev${e.d}`, { away: undefined, bindings: new Map(), problems: [], macs });
      return;
    }
    case 'tunnel':
      for (const type of ['vxlan', 'nvgre'] as const) {
        w.observed.tunnelIs(dpid(e.n), `hv${e.to}`, type, { state: e.down ? 'down' : 'up', reason: 'test' });
      }
      return;
    case 'elect': {
      const { binding, endpoint } = w.desired.ports.get(`${e.tenant}/${e.network}${e.host}`) ?? {};
      if (!binding || !('vlan' in binding) || binding.standby.length === 0) return;
      // Only who is of the list is elected.
      const ofList = e.n !== undefined && [binding.hypervisor, ...binding.standby].includes(`hv${e.n}`);
      w.observed.gatewayIs(`endpoint/${endpoint!}`, ofList ? { dpid: dpid(e.n!), former: undefined } : undefined);
      return;
    }
    case 'deleteNetwork': {
      const network: Network | undefined = w.desired.networks.get(`${e.tenant}/${e.network}`);
      if (!network) return;
      // What extends it goes with it.
      const extension = network.extends === undefined ? w.desired.otherSide(network) : undefined;
      for (const port of [...(extension ? w.desired.portsOfNetwork(e.tenant, extension.id) : [])]) {
        w.deletePort(e.tenant, port.id);
      }
      if (extension) w.deleteNetwork(e.tenant, extension.id);
      for (const port of [...w.desired.portsOfNetwork(e.tenant, e.network)]) w.deletePort(e.tenant, port.id);
      w.deleteNetwork(e.tenant, e.network);
      return;
    }
    case 'port': {
      const network: Network | undefined = w.desired.networks.get(`${e.tenant}/${e.network}`);
      if (!network) return;
      const other = w.desired.otherSide(network);
      const taken = other && w.desired.ports.get(`${e.tenant}/${other.id}${e.host}`);
      // One segment has one space of MACs and addresses.
      if (taken && taken.mac !== 'learned' && !e.learned) return;
      const id = `${e.network}${e.host}`;
      const addresses = e.addressed && !e.learned ? [ipv4Of(e.host), ipv6Of(e.host)] : [];
      const binding = bindingOf(e.at);
      const spec = {
        tenant: e.tenant,
        id,
        network: e.network,
        mac: e.learned ? ('learned' as const) : macOf(e.host),
        addresses,
        portSecurity: e.secure,
        ...(binding && 'switch' in binding ? { at: [e.at![0], binding.port] as const } : {}),
        ...(e.on ? { on: [`hv${e.on[0]}`, `nic${e.on[1]}`] as const } : {}),
        ...(e.uplink ? { uplink: [`hv${e.uplink[0]}`, `hv${e.uplink[1]}`] as const } : {}),
        ...(e.behind ? { on: [`dev${e.behind[0]}`, 'p1', e.behind[1]] as const } : {}),
      };
      if (e.plan) await plan(w, spec.tenant, id);
      refusable(() => w.port(spec));
      return;
    }
    case 'move': {
      const port = w.desired.ports.get(`${e.tenant}/${e.network}${e.host}`);
      if (!port?.binding) return;
      const to = bindingOf(e.at) ?? { hypervisor: `hv${e.on[0]}`, interfaceId: `nic${e.on[1]}` };
      const spec = { to, deliver: e.deliver, activateOn: ACTIVATION_SIGNS, activateAfterMs: undefined };
      const started = port.migration?.startedAt ?? '';
      const steps: Readonly<Record<typeof e.step, PortEdit>> = {
        start: startMigration(spec),
        follow: followMigration(spec, e.gone),
        ready: readyMigration(started, e.gone),
        unready: unreadyMigration(started),
        switch: switchMigration(started, 'packet'),
        atOnce: switchAtOnce(started, 'packet', e.gone),
        finish: finishMigration(started, 0),
        abort: abortMigration(started, 'test'),
      };
      refusable(() => w.move(e.tenant, port.id, steps[e.step]));
      return;
    }
    case 'deletePort':
      if (w.desired.ports.has(`${e.tenant}/${e.network}${e.host}`)) w.deletePort(e.tenant, `${e.network}${e.host}`);
      return;
    case 'learn': {
      const where = { dpid: dpid(e.n), port: e.no };
      const member = membersPort(w, e.n, e.no);
      if (member === undefined) return;
      w.observed.learnHost(member, macOf(e.host), where);
      if (e.addressed) w.observed.learnAddress(member, macOf(e.host), parseIp(ipv4Of(e.host))!);
      return;
    }
    case 'age':
      for (const learned of [...w.observed.hostsAt({ dpid: dpid(e.n), port: e.no })]) {
        w.observed.forgetHost(learned.network, learned.mac);
      }
      return;
    case 'compile':
      w.compile();
      return;
    default:
      e satisfies never;
  }
}

/** What REST would refuse is not done. */
function refusable(write: () => void): void {
  try {
    write();
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
  }
}

/** A plan: the port is deleted, looked at, and put back, in one turn. */
async function plan(w: World, tenantId: string, id: string): Promise<void> {
  const before = w.desired.ports.get(`${tenantId}/${id}`);
  if (!before) return;
  const change = { kind: 'port', before, after: undefined } as const;
  w.desired.apply([change]);
  for (const compiler of w.compilers) {
    for (const owner of compiler.affected(change, w.state)) compiler.compile(owner, w.state);
  }
  w.desired.revert([change]);
  await Promise.resolve();
}

/** Network that the port of a switch carries, as membership built from nothing has it. */
function membersPort(w: World, n: number, no: number): number | undefined {
  return membershipOf({ ...w.state }).at(dpid(n), no)?.network;
}
