import { type App, AppId } from '../../controller/index.ts';
import { type HypervisorSettings, Hypervisors } from './hypervisors.ts';

export type { HypervisorSettings } from './hypervisors.ts';

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
      context.onStatus('hypervisor', (object) => all.verdict(object));
      context.metrics.declare({
        name: 'netloom_ovsdb_sessions',
        help: 'Sessions with databases of switches: of hypervisors, and of those that no hypervisor names.',
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
      const address = await all.listen();
      if (address !== undefined) settings.listening(address);
    },
    stop: () => hypervisors?.close(),
  };
}
