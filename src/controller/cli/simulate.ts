import { runSimulation, type SimulationSummary, type Topology } from '../../simulate/index.ts';
import { endpoint } from '../config/index.ts';
import type { Clock } from '../kernel/index.ts';
import { ExitCode, type SimulateOptions } from './program.ts';

/** Where the command writes; `progress` is for people and may be silent. */
export interface SimulateOutput {
  readonly out: (text: string) => void;
  readonly progress: (text: string) => void;
}

/** `netloom simulate`. Resolves to the exit code. Throws ConfigError for an address that is none. */
export async function simulate(
  options: SimulateOptions,
  clock: Clock,
  signal: AbortSignal,
  { out, progress }: SimulateOutput,
): Promise<number> {
  const target = endpoint('--connect', options.connect);
  const { cutsPerSecond, flapsPerSecond } = options;
  const summary = await runSimulation(
    {
      ...options,
      target,
      topology: options.topology as Topology,
      trouble: { cutsPerSecond, flapsPerSecond },
      onProgress: (up, switches) => progress(`${up} of ${switches} switches up`),
    },
    clock,
    signal,
  );
  out(options.json ? `${JSON.stringify(summary)}\n` : table(summary));
  return summary.up === summary.switches && summary.disconnects === summary.cuts ? ExitCode.ok : ExitCode.failed;
}

function table(summary: SimulationSummary): string {
  const { failures, ...rest } = summary;
  const rows = Object.entries(rest).map(([name, value]) => [name, String(value)] as const);
  for (const [what, count] of Object.entries(failures)) rows.push(['not carried out', `${count} × ${what}`]);
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('');
}
