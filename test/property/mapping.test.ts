import fc from 'fast-check';
import { expect, it } from 'vitest';
import { formatIp, silentLogger } from '../../src/controller/index.ts';
import { MappingSystem, mergedRecord } from '../../src/overlay-gw/lisp/index.ts';
import { PortFeed } from '../../src/overlay-gw/mapping/ports.ts';
import { mappingView } from '../../src/overlay-gw/mapping/views.ts';
import { World } from '../kit/world.ts';

/** What the mapping system says of ports, after any sequence of edits. */

const tenants = ['a', 'b'] as const;
const networks = ['m', 'n'] as const;
const hypervisors = ['h1', 'h2', 'h3'] as const;
const addresses = ['10.0.0.1', '10.0.0.2', '2001:db8::1'] as const;
const sites = ['s', 't'] as const;

const edit = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('port' as const),
      tenant: fc.constantFrom(...tenants),
      id: fc.constantFrom('p', 'q'),
      network: fc.constantFrom(...networks),
      addresses: fc.subarray([...addresses]),
      on: fc.option(fc.constantFrom(...hypervisors, 'nowhere'), { nil: undefined }),
    }),
  },
  fc.record({
    do: fc.constant('instance' as const),
    tenant: fc.constantFrom(...tenants),
    network: fc.constantFrom(...networks),
    has: fc.boolean(),
  }),
  fc.record({
    do: fc.constant('hypervisor' as const),
    id: fc.constantFrom(...hypervisors),
    own: fc.integer({ min: 0, max: 2 }),
    site: fc.option(fc.constantFrom(...sites, 'unknown'), { nil: undefined }),
  }),
  fc.record({
    do: fc.constant('site' as const),
    id: fc.constantFrom(...sites),
    rlocs: fc.option(fc.subarray(['198.51.100.1', '2001:db8:9::1']), { nil: undefined }),
  }),
  fc.record({ do: fc.constant('delete' as const), tenant: fc.constantFrom(...tenants), id: fc.constantFrom('p', 'q') }),
);
type Edit = typeof edit extends fc.Arbitrary<infer T> ? T : never;

const instanceOf = (tenant: string, network: string): number =>
  10 * (1 + tenants.indexOf(tenant as 'a')) + networks.indexOf(network as 'm');

function apply(world: World, step: Edit): void {
  switch (step.do) {
    case 'port': {
      const { tenant, id, network, addresses: given, on } = step;
      const n = 1 + tenants.indexOf(tenant) * 2 + (id === 'p' ? 0 : 1);
      world.port({ tenant, id, network, mac: n, addresses: given, ...(on ? { on: [on, `${tenant}-${id}`] } : {}) });
      return;
    }
    case 'instance':
      world.network(step.tenant, step.network, {
        instanceId: step.has ? instanceOf(step.tenant, step.network) : undefined,
      });
      return;
    case 'hypervisor': {
      const own = [`192.0.2.${1 + hypervisors.indexOf(step.id)}`, `2001:db8:1::${1 + hypervisors.indexOf(step.id)}`];
      world.hypervisor(step.id, undefined, own.slice(0, step.own), step.site);
      return;
    }
    case 'site':
      if (step.rlocs || world.desired.sites.has(step.id)) world.site(step.id, step.rlocs);
      return;
    case 'delete':
      if (world.desired.ports.has(`${step.tenant}/${step.id}`)) world.deletePort(step.tenant, step.id);
  }
}

const systemOf = (world: World): MappingSystem =>
  new MappingSystem({ clock: world.clock, log: silentLogger, send: () => {} });

const shown = (world: World, system: MappingSystem): object[] =>
  [...system.mappings.all()].map((mapping) => mappingView(mapping, world.clock));

it('is what it would say if it had started now, of every declared address on a hypervisor that can be reached, and each in its own network', () => {
  fc.assert(
    fc.property(fc.array(edit, { maxLength: 60 }), (edits) => {
      const world = new World([]);
      for (const tenant of tenants) for (const network of networks) world.network(tenant, network);
      const system = systemOf(world);
      const feed = new PortFeed(system, world.desired);
      world.onChange = (change) => feed.changed(change);
      for (const step of edits) apply(world, step);

      const fresh = systemOf(world);
      const other = new PortFeed(fresh, world.desired);
      other.load();
      expect(shown(world, system)).toEqual(shown(world, fresh));
      expect(feed.ports).toBe(other.ports);

      const { desired } = world;
      let count = 0;
      for (const port of desired.ports.values()) {
        const { instanceId } = desired.networks.get(`${port.tenant}/${port.network}`)!;
        const hypervisor =
          port.binding && 'hypervisor' in port.binding ? desired.hypervisors.get(port.binding.hypervisor) : undefined;
        const ofSite = desired.sites.get(hypervisor?.site ?? '')?.rlocs.map(({ address }) => formatIp(address)) ?? [];
        const rlocs = ofSite.length > 0 ? ofSite : (hypervisor?.tunnelAddresses.map(formatIp) ?? []);
        if (instanceId === undefined || rlocs.length === 0) continue;
        for (const address of port.addresses) {
          count++;
          const found = [...system.mappings.all()].filter(
            ({ prefix, registrations }) =>
              prefix.instanceId === instanceId &&
              registrations.some(({ by }) => by === `/v1/tenants/${port.tenant}/ports/${port.id}`),
          );
          expect(found.map((each) => mappingView(each, world.clock).eid)).toContain(
            `${formatIp(address)}/${address.family === 4 ? 32 : 128}`,
          );
          expect(
            found.every((each) =>
              mergedRecord(each).locators.some(({ rloc }) => 'address' in rloc && rlocs.includes(String(rloc.address))),
            ),
          ).toBe(true);
        }
      }
      const registrations = [...system.mappings.all()].flatMap((each) => each.registrations);
      expect(registrations).toHaveLength(count);
      system.close();
      fresh.close();
    }),
    { numRuns: 1_000 },
  );
});
