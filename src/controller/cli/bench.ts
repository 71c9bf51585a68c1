import { type LoadResult, runLoad } from '../../simulate/index.ts';
import { endpoint } from '../config/index.ts';
import type { Clock } from '../kernel/index.ts';
import { type BenchOptions, ExitCode } from './program.ts';
import type { SimulateOutput } from './simulate.ts';

/** One controller's figures: those of its median round. */
interface Measured extends LoadResult {
  readonly controller: string;
}

/**
 * `netloom bench`: the rounds of two controllers alternate, so that what the machine does otherwise hits both. Resolves to the exit
 * code. Throws ConfigError for an address that is none; rejects when a controller does not answer.
 */
export async function bench(options: BenchOptions, clock: Clock, { out, progress }: SimulateOutput): Promise<number> {
  const { connect, against, rounds, rate, json, ...load } = options;
  const controllers = against === undefined ? [connect] : [connect, against];
  const targets = controllers.map((text, i) => endpoint(i === 0 ? '--connect' : '--against', text));
  const results: LoadResult[][] = controllers.map(() => []);
  for (let round = 1; round <= rounds; round++) {
    for (const [i, target] of targets.entries()) {
      progress(`round ${round} of ${rounds}: ${controllers[i]}`);
      const result = await runLoad({ ...load, target, rounds: 1, ...(rate === undefined ? {} : { rate }) }, clock);
      results[i]!.push(result);
    }
  }
  const measured = results.map((list, i): Measured => ({ controller: controllers[i]!, ...summed(list) }));
  const [first, second] = measured as [Measured, Measured | undefined];
  const ratios = second && {
    perSecond: first.perSecond / second.perSecond,
    p50Ms: first.p50Ms / second.p50Ms,
    p99Ms: first.p99Ms / second.p99Ms,
  };
  out(json ? `${JSON.stringify({ measured, ...(ratios ? { ratios } : {}) })}\n` : table(measured, ratios));
  return measured.some(({ lost }) => lost > 0) ? ExitCode.failed : ExitCode.ok;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

function summed(list: readonly LoadResult[]): LoadResult {
  const of = (pick: (result: LoadResult) => number): number[] => list.map(pick);
  return {
    perSecond: median(of((each) => each.perSecond)),
    least: Math.min(...of((each) => each.least)),
    most: Math.max(...of((each) => each.most)),
    p50Ms: median(of((each) => each.p50Ms)),
    p99Ms: median(of((each) => each.p99Ms)),
    maxMs: Math.max(...of((each) => each.maxMs)),
    lost: of((each) => each.lost).reduce((a, b) => a + b, 0),
  };
}

function table(measured: readonly Measured[], ratios: Readonly<Record<string, number>> | undefined): string {
  const lines = measured.map(({ controller, perSecond, least, most, p50Ms, p99Ms, lost }) => {
    const rate = `${perSecond.toFixed(0)} answers/s (${least.toFixed(0)}…${most.toFixed(0)})`;
    return `${controller}: ${rate}, p50 ${p50Ms.toFixed(3)} ms, p99 ${p99Ms.toFixed(3)} ms, ${lost} lost\n`;
  });
  if (ratios) {
    const { perSecond, p50Ms, p99Ms } = ratios;
    const [a, b, c] = [perSecond, p50Ms, p99Ms].map((value) => value!.toPrecision(3));
    lines.push(`ratio: answers/s ${a} ×, p50 ${b} ×, p99 ${c} ×\n`);
  }
  return lines.join('');
}
