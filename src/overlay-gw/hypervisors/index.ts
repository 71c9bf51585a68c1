import Type from 'typebox';
import { type App, AppId } from '../../controller/index.ts';
import { type HypervisorSettings, Hypervisors } from './hypervisors.ts';

export type { HypervisorSettings } from './hypervisors.ts';

const CandidatesSchema = Type.Object({
  items: Type.Array(
    Type.Object({
      systemId: Type.String({ description: '`external_ids:system-id`; empty when it has none' }),
      hostname: Type.String(),
      remote: Type.String({ description: 'Where it dialled in from' }),
      bridges: Type.Record(Type.String(), Type.String(), { description: 'Datapath ids of its bridges, by name' }),
      tunnelAddresses: Type.Array(Type.String(), { description: 'Where it says that tunnels to it end' }),
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
  let hypervisors: Hypervisors | undefined;
  return {
    name: 'hypervisors',
    id: AppId.hypervisors,
    async start(context) {
      const settings = context.settings as HypervisorsAppSettings;
      const all = new Hypervisors(context, settings);
      hypervisors = all;
      context.onChange((change) => all.changed(change));
      context.beforeCompare((dpid) => all.told(dpid));
      context.onStatus('hypervisor', (object) => all.verdict(object));
      context.metrics.declare({
        name: 'netloom_ovsdb_sessions',
        help: 'Databases of switches that are known: of hypervisors, with a session or without, and of those that no hypervisor names.',
        type: 'gauge',
        labels: ['state'],
        collect: () => {
          const { connected, away, candidates } = all.counts;
          return [
            { labels: { state: 'connected' }, value: connected },
            { labels: { state: 'away' }, value: away },
            { labels: { state: 'candidate' }, value: candidates },
          ];
        },
      });
      context.metrics.declare({
        name: 'netloom_ovsdb_refused_total',
        help: 'Peers that dialled in and were no switch database.',
        type: 'counter',
        collect: () => all.counts.refused,
      });
      context.route({
        method: 'GET',
        path: '/v1/apps/hypervisors/candidates',
        operationId: 'listHypervisorCandidates',
        tag: 'hypervisors',
        summary: 'Databases that have dialled in and that no hypervisor names yet',
        description:
          'PUT a hypervisor with the datapath id of one of its bridges, and without `ovsdb`, to approve one.',
        replies: { 200: { description: 'All of them', schema: CandidatesSchema } },
        handle: () => ({
          status: 200,
          body: {
            items: all.candidates(),
            refused: all.refusals().map(({ at, ...refusal }) => ({ ...refusal, at: new Date(at).toISOString() })),
          },
        }),
      });
      const address = await all.listen();
      if (address !== undefined) settings.listening(address);
    },
    stop: () => hypervisors?.close(),
  };
}
