import { type App, AppId, InvariantError } from '../../controller/index.ts';
import { learningCompiler } from './compile.ts';
import { Learner } from './learner.ts';
import { learningSettings } from './settings.ts';

/** Makes the app; one for each controller in a process. */
export function makeLearningApp(): App {
  let learner: Learner | undefined;
  return {
    name: 'learning',
    id: AppId.learning,
    start(context) {
      if (learner) throw new InvariantError('the learning app runs already');
      const settings = learningSettings(context.settings);
      const running = new Learner(context, settings);
      learner = running;
      context.compiler(learningCompiler(settings.idleSeconds));
      context.onPacketIn((from, packetIn) => running.packetIn(from, packetIn));
      context.onFlowRemoved((from, message) => running.flowRemoved(from, message));
      context.onChange((change) => running.changed(change));
      running.counters.declare(context.metrics, () => context.observed.hostCount);
    },
    stop() {
      learner?.close();
      learner = undefined;
    },
  };
}

/** Learns the hosts behind ports that are not declared one by one, delivers their first packets, forgets who falls silent. */
export const learningApp: App = makeLearningApp();

export { learningCompiler };
