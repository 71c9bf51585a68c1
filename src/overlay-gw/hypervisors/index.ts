import Type from 'typebox';
import { type App, AppId } from '../../controller/index.ts';
import { Devices } from '../hwvtep/index.ts';
import { type HypervisorSettings, Hypervisors } from './hypervisors.ts';
import { Reception } from './reception.ts';
import { Refusals } from './refusals.ts';
import { OWNER } from './view.ts';

export type { HypervisorSettings } from './hypervisors.ts';

const CandidatesSchema = Type.Object({
  items: Type.Array(
    Type.Object({
      systemId: Type.String({ description: '`external_ids:system-id`; empty when it has none' }),
      hostname: Type.String(),
      remote: Type.String({ description: 'Where it dialled in from' }),
      bridges: Type.Record(Type.String(), Type.String(), { description: 'Datapath ids of its bridges, by name' }),
      tunnelAddresses: Type.Array(Type.String(), { description: 'Where it says that tunnels to it end' }),
      physicalSwitches: Type.Array(Type.String(), { description: 'Of a hardware VTEP; empty when it is none' }),
    }),
  ),
});

const LearnedSchema = Type.Object({
  items: Type.Array(
    Type.Object({
      hypervisor: Type.String({ description: 'The hardware VTEP' }),
      tenant: Type.String(),
      network: Type.String(),
      mac: Type.String(),
      use: Type.Enum(['declared', 'reached', 'ignored'], {
        description:
          'declared: a port or a host of ours has it. reached: switches send to it, since a port there is `learned`. ignored: no port there is',
      }),
    }),
  ),
  refused: Type.Array(
    Type.Object({
      remote: Type.String({ description: 'Where it dialled in from' }),
      at: Type.String({ format: 'date-time' }),
      reason: Type.String({ description: 'Its certificate, or that it is no switch database' }),
    }),
    { description: 'Who dialled in and was sent away: the last of each host, the latest first' },
  ),
});

/** What the app is given. */
export interface HypervisorsAppSettings extends HypervisorSettings {
  /** Told where databases dial in, once the listener is open. */
  readonly listening: (address: string) => void;
}

/** Makes the app that keeps sessions with the databases of hypervisors. See docs/overlay.md. */
export function hypervisorsApp(): App {
  const parts: { close(): void }[] = [];
  return {
    name: 'hypervisors',
    id: AppId.hypervisors,
    async start(context) {
      const settings = context.settings as HypervisorsAppSettings;
      const { listen, tls } = settings;
      const refusals = new Refusals(context.clock);
      const all = new Hypervisors(context, settings, refusals);
      const devices = new Devices(context, { owner: OWNER, tls });
      const reception = new Reception({ context, hypervisors: all, devices, refusals, listen, tls });
      parts.push(reception, devices, all);
      context.onChange((change) => {
        all.changed(change);
        devices.changed(change);
        if (change.kind !== 'hypervisor' || change.after?.ovsdb !== undefined) return;
        const { physicalSwitch } = change.after ?? {};
        if (physicalSwitch !== undefined) all.release(physicalSwitch);
      });
      context.beforeCompare((dpid) => all.told(dpid));
      context.beforeCompare((dpid) => devices.told(dpid));
      context.onStatus('hypervisor', (object) =>
        object.physicalSwitch === undefined ? all.verdict(object) : devices.verdict(object),
      );
      context.metrics.declare({
        name: 'netloom_ovsdb_sessions',
        help: 'Databases of switches that are known: of hypervisors, with a session or without, and of those that no hypervisor names.',
        type: 'gauge',
        labels: ['state'],
        collect: () => {
          const [a, b] = [all.counts, devices.counts];
          return [
            { labels: { state: 'connected' }, value: a.connected + b.connected },
            { labels: { state: 'away' }, value: a.away + b.away },
            { labels: { state: 'candidate' }, value: a.candidates + b.candidates },
          ];
        },
      });
      context.metrics.declare({
        name: 'netloom_ovsdb_refused_total',
        help: 'Peers that dialled in and were no switch database.',
        type: 'counter',
        collect: () => refusals.count,
      });
      context.metrics.declare({
        name: 'netloom_hwvtep_problems',
        help: 'Things that are wanted of hardware VTEPs and cannot be.',
        type: 'gauge',
        collect: () => devices.problemCount,
      });
      context.metrics.declare({
        name: 'netloom_hwvtep_learned_macs',
        help: 'MACs that hardware VTEPs have learned on their own ports, in networks of ours.',
        type: 'gauge',
        collect: () => devices.learnedCount,
      });
      context.route({
        method: 'GET',
        path: '/v1/apps/hypervisors/candidates',
        operationId: 'listHypervisorCandidates',
        tag: 'hypervisors',
        summary: 'Databases that have dialled in and that no hypervisor names yet',
        description:
          'PUT a hypervisor with the datapath id of one of its bridges, or with a physical switch, and without `ovsdb`, to approve one.',
        replies: { 200: { description: 'All of them', schema: CandidatesSchema } },
        handle: () => ({
          status: 200,
          body: {
            items: [
              ...all.candidates(),
              ...devices.candidates().map((each) => ({ systemId: '', hostname: '', bridges: {}, ...each })),
            ],
            refused: refusals.list().map(({ at, ...refusal }) => ({ ...refusal, at: new Date(at).toISOString() })),
          },
        }),
      });
      context.route({
        method: 'GET',
        path: '/v1/apps/hypervisors/learned',
        operationId: 'listLearnedMacs',
        tag: 'hypervisors',
        summary: 'MACs that hardware VTEPs have learned, and whether they are used',
        replies: { 200: { description: 'All of them', schema: LearnedSchema } },
        handle: () => ({ status: 200, body: { items: devices.learned() } }),
      });
      const address = await reception.listen();
      if (address !== undefined) settings.listening(address);
    },
    stop() {
      for (const part of parts.splice(0)) part.close();
    },
  };
}
