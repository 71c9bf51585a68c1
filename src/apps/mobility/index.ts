import { type App, AppId } from '../../controller/index.ts';
import { mobilityCompiler } from './compile.ts';
import { Follower } from './follower.ts';
import { type MobilitySettings, Mover } from './mover.ts';

export type { MobilitySettings } from './mover.ts';

/** Moves ports from one place to another without losing frames, when asked to and after the fact. See docs/mobility.md. */
export function mobilityApp(): App {
  let stop: () => void = () => {};
  return {
    name: 'mobility',
    id: AppId.mobility,
    start(context) {
      const settings = context.settings as MobilitySettings;
      const moving = new Mover(context, settings);
      const follower = settings.follow ? new Follower(context, moving) : undefined;
      stop = () => {
        follower?.close();
        moving.close();
      };
      context.compiler(mobilityCompiler);
      context.onChange((change) => {
        moving.changed(change);
        follower?.changed(change);
      });
      context.onPacketIn((from, view) => moving.packetIn(from, view));
    },
    stop: () => stop(),
  };
}

export { mobilityCompiler };
