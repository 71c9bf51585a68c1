import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '../src/controller/kernel/index.ts';
import { type LoadResult, runLoad } from '../src/simulate/index.ts';
import { program, type Target } from './targets.ts';

const run = promisify(execFile);

/** Load of switches that send packet-ins. */
export interface Load {
  readonly switches: number;
  /** Packet-ins of each that wait for answers; 0: as many as the connection takes (the generator in C alone). */
  readonly window: number;
  /** Packet-ins a second over all switches, instead of a window. */
  readonly rate?: number;
}

/** How many switches came up, and how fast. */
export interface Arrival {
  readonly up: number;
  readonly upSeconds: number;
  /** Until the first packet-in of the last switch was answered. */
  readonly usableSeconds: number;
}

/** What steady switches see while others come, go, hang and read slowly. */
export interface Churn {
  readonly p99Ms: number;
  readonly halfOpen: number;
  readonly halfOpenClosed: number;
}

/** The generator's report, one JSON line; the parts that are used. */
interface Report {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly lost: number;
  readonly up: number;
  readonly up_seconds: number;
  readonly usable_seconds: number;
  readonly half_open: number;
  readonly half_open_closed: number;
  readonly ctl_peak_mb: number;
  readonly latency_ms: { readonly p50: number; readonly p99: number; readonly max: number };
}

/** The load generator in C, and the least a controller can do, also in C. */
export class Generator {
  readonly #ofbench: string;
  readonly #echo: string;

  private constructor(folder: string) {
    this.#ofbench = join(folder, 'ofbench');
    this.#echo = join(folder, 'ofbench-echo');
  }

  /** Builds it out of `bench` in the folder that NETLOOM_SHARED names, or `../shared`; else answers why not. */
  static build(root: string): Generator | string {
    const source = join(process.env['NETLOOM_SHARED'] ?? join(root, '../shared'), 'bench');
    if (!existsSync(join(source, 'ofbench.c'))) return 'there is no generator in ../shared/bench';
    const folder = mkdtempSync(join(tmpdir(), 'netloom-ofbench-'));
    for (const name of ['ofbench', 'ofbench-echo']) {
      const built = spawnSync('cc', ['-O2', '-o', join(folder, name), join(source, `${name}.c`)], { encoding: 'utf8' });
      if (built.status !== 0) return `${name}.c does not compile: ${built.error?.message ?? built.stderr.trim()}`;
    }
    return new Generator(folder);
  }

  /** Starts the controller that answers every packet-in with a packet-out of the same frame. */
  echo(): Promise<Target> {
    return program(this.#echo);
  }

  /** Answers and latencies under a load, and the highest resident memory of the controller, MiB. */
  async load(target: Target, { switches, window, rate }: Load): Promise<LoadResult & { readonly peakMib: number }> {
    const mode = switches === 1 && window === 1 && rate === undefined ? 'latency' : 'throughput';
    const pace = rate === undefined ? ['-w', String(window)] : ['-R', String(rate)];
    // Without a window the controller's queue is seconds long.
    const patience = window === 0 ? ['--loss', '8000'] : [];
    const shape = mode === 'latency' ? [] : [...pace, ...patience];
    const report = await this.#run(target, mode, '-s', String(switches), ...shape, '-t', '2', '-l', '2', '-W', '1');
    const { median, min, max, lost, latency_ms, ctl_peak_mb } = report;
    const { p50, p99, max: maxMs } = latency_ms;
    return { perSecond: median, least: min, most: max, lost, p50Ms: p50, p99Ms: p99, maxMs, peakMib: ctl_peak_mb };
  }

  async connect(target: Target, switches: number): Promise<Arrival> {
    const { up, up_seconds, usable_seconds } = await this.#run(target, 'connect', '-s', String(switches), '--probe');
    return { up, upSeconds: up_seconds, usableSeconds: usable_seconds };
  }

  /** 200 switches that live for a moment, 50 connections that say nothing, 10 that hardly read, 4 that are measured. */
  async churn(target: Target): Promise<Churn> {
    const bad = ['--half-open', '50', '--slow', '10', '--life', '50-500', '--rst'];
    const report = await this.#run(target, 'churn', '-s', '200', '--stable', '4', ...bad, '-t', '12');
    const { latency_ms, half_open, half_open_closed } = report;
    return { p99Ms: latency_ms.p99, halfOpen: half_open, halfOpenClosed: half_open_closed };
  }

  async #run({ openflow, pid }: Target, mode: string, ...options: string[]): Promise<Report> {
    const where = ['-q', '-c', `127.0.0.1:${openflow}`, '--pid', String(pid)];
    // It ends with 1 when a switch is not up, which the report says as well.
    const { stdout } = await run(this.#ofbench, [mode, ...where, ...options]).catch(
      (error: Error & { stdout?: string }) => {
        if (!error.stdout?.startsWith('{')) throw error;
        return { stdout: error.stdout };
      },
    );
    return JSON.parse(stdout) as Report;
  }
}

/** The same load out of this process, by the project's own switches. */
export const ownLoad = ({ openflow }: Target, load: Load): Promise<LoadResult> =>
  runLoad({ ...load, target: { host: '127.0.0.1', port: openflow }, seconds: 2, rounds: 2 }, systemClock);
