import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/controller/config/index.ts';
import type { Controller } from '../../src/controller/core/controller.ts';
import { type Logger, silentLogger, systemClock } from '../../src/controller/kernel/index.ts';
import { createTelemetry } from '../../src/controller/telemetry/index.ts';
import { startNetloom } from '../../src/serve.ts';
import { VirtualNetwork, type VirtualNetworkOptions } from '../../src/simulate/index.ts';
import { type Answer, RestClient } from './rest.ts';

/** A whole controller in this process, on free ports, and virtual switches that connect to it. */
export class Lab extends RestClient {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'netloom-lab-'));
  readonly #settings: Readonly<Record<string, string>>;
  readonly #log: Logger;
  readonly #networks: VirtualNetwork[] = [];
  #controller: Controller | undefined;
  #openflow = '127.0.0.1:0';
  #http = '127.0.0.1:0';

  private constructor(settings: Readonly<Record<string, string>>, log: Logger) {
    super();
    this.#settings = settings;
    this.#log = log;
  }

  /** `settings` are configuration by dotted key, as text. */
  static async start(settings: Readonly<Record<string, string>> = {}, log: Logger = silentLogger): Promise<Lab> {
    const lab = new Lab(settings, log);
    await lab.start();
    return lab;
  }

  get http(): string {
    return this.#http;
  }

  /** Starts the controller, on the ports of the last time. */
  async start(): Promise<void> {
    const flags = {
      'ovsdb.listen': '',
      ...this.#settings,
      dataDir: this.dataDir,
      'openflow.listen': this.#openflow,
      'http.listen': this.#http,
    };
    const { config } = loadConfig({ environment: {}, flags });
    const telemetry = createTelemetry({ log: this.#log, processMetrics: false });
    this.#controller = await startNetloom({ config, version: '0.0.0', log: this.#log, telemetry });
    const { openflow, http } = this.#controller.addresses;
    this.#openflow = openflow[0]!;
    this.#http = http.replace('http://', '');
  }

  async stop(): Promise<void> {
    await this.#controller?.stop();
    this.#controller = undefined;
  }

  /** Stops, and starts again with switches connecting to another port. */
  async restartOn(port: number): Promise<void> {
    await this.stop();
    this.#openflow = `127.0.0.1:${port}`;
    await this.start();
  }

  /** HOST and PORT of the controller for switches. */
  get target(): { readonly host: string; readonly port: number } {
    const [host, port] = this.#openflow.split(':');
    return { host: host!, port: Number(port) };
  }

  /** Virtual switches, which connect. Resolves when the controller has put all of them right. */
  async network(
    options: Partial<VirtualNetworkOptions> & Pick<VirtualNetworkOptions, 'switches' | 'ports'>,
  ): Promise<VirtualNetwork> {
    const network = new VirtualNetwork({ target: this.target, clock: systemClock, reconnectMs: 50, ...options });
    this.#networks.push(network);
    const before = await this.sum('netloom_rule_switches_synced');
    network.start();
    await this.untilSynced(before + network.switches.size);
    return network;
  }

  /** Resolves when so many switches have been compared and hold what they should. */
  async untilSynced(count: number): Promise<void> {
    await this.poll(
      () => this.sum('netloom_rule_switches_synced'),
      (synced) => synced === count,
      `${count} switches in sync`,
    );
  }

  /** Stops all, and removes what was stored. */
  async remove(): Promise<void> {
    for (const network of this.#networks) network.stop();
    await this.stop();
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  /** A tenant with one network, made by REST. */
  async tenant(id: string, network: object = {}): Promise<void> {
    await this.ok('PUT', `/v1/tenants/${id}`, {});
    await this.ok('PUT', `/v1/tenants/${id}/networks/lan`, { transport: 'fabric', ...network });
  }
}

export type { Answer };
