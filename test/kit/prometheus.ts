import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './netloom.ts';
import { RestClient } from './rest.ts';

/** Why Prometheus cannot run here; undefined when it can. */
export function whyNoPrometheus(): string | undefined {
  const missing = ['prometheus', 'promtool'].filter((name) => spawnSync(name, ['--version']).error !== undefined);
  return missing.length === 0 ? undefined : `${missing.join(' and ')} not installed (apt-get install prometheus)`;
}

/** What `promtool check metrics` says of an exposition; empty: nothing. */
export function lintMetrics(exposition: string): string {
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
    input: exposition,
    encoding: 'utf8',
  });
  return status === 0 && stdout + stderr === '' ? '' : `exit ${status}: ${stdout}${stderr}`;
}

/** One value of an instant query. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A Prometheus of our own on loopback that scrapes one target every 200 ms; gone after `stop`. */
export class Prometheus extends RestClient {
  readonly http: string;
  readonly #folder: string;
  readonly #child: ChildProcess;

  private constructor(http: string, folder: string, child: ChildProcess) {
    super();
    this.http = http;
    this.#folder = folder;
    this.#child = child;
  }

  /** `target`: HOST:PORT. Resolves when it is ready. */
  static async start(target: string): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), 'netloom-prometheus-'));
    const file = join(folder, 'prometheus.yml');
    const http = `127.0.0.1:${await freePort()}`;
    const scrape = { job_name: 'netloom', static_configs: [{ targets: [target] }] };
    // JSON is YAML.
    const timing = { scrape_interval: '200ms', scrape_timeout: '200ms' };
    writeFileSync(file, JSON.stringify({ global: timing, scrape_configs: [scrape] }));
    const flags = [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${http}`,
    ];
    const child = spawn('prometheus', [...flags, '--log.level=warn'], { stdio: 'ignore' });
    const prometheus = new Prometheus(http, folder, child);
    try {
      await prometheus.poll(
        () =>
          fetch(`http://${http}/-/ready`).then(
            ({ ok }) => ok,
            () => false,
          ),
        (ready) => ready || child.exitCode !== null,
        'Prometheus',
        30_000,
      );
      if (child.exitCode !== null) throw new Error(`Prometheus ended with ${child.exitCode}`);
      return prometheus;
    } catch (error) {
      await prometheus.stop();
      throw error;
    }
  }

  /** An instant query. Throws when Prometheus refuses it. */
  async query(text: string): Promise<readonly Sample[]> {
    const body = await this.ok('GET', `/api/v1/query?query=${encodeURIComponent(text)}`);
    return body.data.result.map(({ metric, value }: { metric: Record<string, string>; value: [number, string] }) => ({
      labels: metric,
      value: Number(value[1]),
    }));
  }

  /** Asks again until the query has one value, and that fits. */
  async value(text: string, fits: (value: number) => boolean): Promise<number> {
    const [sample] = await this.poll(
      () => this.query(text),
      (samples) => samples.length === 1 && fits(samples[0]!.value),
      text,
    );
    return sample!.value;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, 'exit');
      this.#child.kill('SIGKILL');
      await ended;
    }
    rmSync(this.#folder, { recursive: true });
  }
}
