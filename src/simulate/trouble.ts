import type { Clock } from '../controller/kernel/index.ts';
import type { SimPoint } from './data-plane.ts';
import type { SwitchModel } from './switch-model.ts';
import type { VirtualNetwork } from './virtual-network.ts';

/** Trouble that virtual switches make for a controller; 0 for none. */
export interface Trouble {
  /** Connections that break, a second: one switch after the other. */
  readonly cutsPerSecond: number;
  /** Cables that go down and up again, a second, one after the other; without cables, ports for hosts. */
  readonly flapsPerSecond: number;
}

/** How long a port is down; shorter when the same one is due again. */
const DOWN_MS = 300;

/** Makes trouble until `end`, which brings up what is down and says what was done. Deterministic but for the timing. */
export function startTrouble(
  network: VirtualNetwork,
  { cutsPerSecond, flapsPerSecond }: Trouble,
  clock: Clock,
): { end(): { readonly cuts: number; readonly flaps: number } } {
  const switches = [...network.switches.values()];
  const ends = network.cables.length > 0 ? network.cables : switches.flatMap(({ model }) => hostPort(model));
  const down = new Map<number, () => void>();
  let cuts = 0;
  let flaps = 0;
  let nextCut = 0;

  const set = (which: number, up: boolean): void => {
    const end = ends[which]!;
    if ('dpid' in end) network.setPort(end, up);
    else network.setCable(end, up);
  };
  const raise = (which: number): void => {
    down.get(which)?.();
    if (down.delete(which)) set(which, true);
  };
  const cut = (): void => {
    const sw = switches[nextCut++ % switches.length];
    // One that is not up yet has nothing to lose.
    if (!sw?.up) return;
    cuts++;
    sw.disconnect();
  };
  const flap = (): void => {
    if (ends.length === 0) return;
    const which = flaps++ % ends.length;
    raise(which);
    set(which, false);
    down.set(
      which,
      clock.after(DOWN_MS, () => raise(which)),
    );
  };
  const stops = [
    ...(cutsPerSecond > 0 ? [clock.every(1_000 / cutsPerSecond, cut)] : []),
    ...(flapsPerSecond > 0 ? [clock.every(1_000 / flapsPerSecond, flap)] : []),
  ];
  return {
    end() {
      for (const stop of stops) stop();
      for (const which of [...down.keys()]) raise(which);
      return { cuts, flaps };
    },
  };
}

/** The first port of a switch, if it has any. */
function hostPort({ dpid, ports }: SwitchModel): readonly SimPoint[] {
  const [port] = ports.keys();
  return port === undefined ? [] : [{ dpid, port }];
}
