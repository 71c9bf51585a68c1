import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LabHypervisor, type LabMachine, OverlayNet, type OverlayOptions } from '../../mininet/driver.ts';
import { freePort, Netloom } from './netloom.ts';

/** True when an object's `Ready` condition holds. */
export const isReady = (body: { status?: { conditions?: { type: string; status: string }[] } }): boolean =>
  body.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;

/** Several hypervisors on this machine, and a controller that their switches are connected to. */
export class OverlayLab {
  readonly net: OverlayNet;
  readonly netloom: Netloom;
  /** HOST:PORT where databases dial in. */
  readonly ovsdb: string;
  readonly #folder: string;

  private constructor(net: OverlayNet, netloom: Netloom, ovsdb: string, folder: string) {
    this.net = net;
    this.netloom = netloom;
    this.ovsdb = ovsdb;
    this.#folder = folder;
  }

  /** `settings` are the controller's configuration, as in its file. */
  static async start(options: OverlayOptions, settings: object = {}): Promise<OverlayLab> {
    const folder = mkdtempSync(join(tmpdir(), 'netloom-overlay-'));
    const net = await OverlayNet.start(options);
    try {
      const config = join(folder, 'netloom.yaml');
      // JSON is YAML.
      writeFileSync(config, JSON.stringify(settings));
      const [openflow, ovsdb] = [await freePort(), await freePort()].map((port) => `${net.management}:${port}`);
      const netloom = await Netloom.start('--config', config, '--openflow', openflow!, '--ovsdb', ovsdb!);
      await net.controller(`tcp:${openflow}`);
      return new OverlayLab(net, netloom, ovsdb!, folder);
    } catch (error) {
      await net.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    // A controller that outlives its lab would go on with the databases of the next one.
    await Promise.allSettled([this.net.stop(), this.netloom.remove()]);
    rmSync(this.#folder, { recursive: true });
  }

  /** A tenant's machines. */
  of(tenant: string): readonly LabMachine[] {
    return this.net.machines.filter((machine) => machine.tenant === tenant);
  }

  /** Makes the object of a hypervisor whose database is dialled. */
  async add({ name, dpid, tunnel, ovsdb }: LabHypervisor): Promise<void> {
    await this.netloom.ok('PUT', `/v1/hypervisors/${name}`, { datapathId: dpid, tunnelAddresses: [tunnel], ovsdb });
  }

  /** All hypervisors, dialled; resolves when they are ready. */
  async addAll(): Promise<void> {
    for (const hypervisor of this.net.hypervisors) await this.add(hypervisor);
    await this.hypervisorsReady();
  }

  async hypervisorsReady(): Promise<void> {
    for (const { name } of this.net.hypervisors) await this.netloom.until(`/v1/hypervisors/${name}`, isReady);
  }

  /** A machine's port in a network of its tenant; resolves when it works. */
  async bind(machine: LabMachine, network = 'lan'): Promise<void> {
    await this.netloom.ok('PUT', `/v1/tenants/${machine.tenant}/ports/${machine.name}?wait=ready&timeout=30s`, {
      network,
      mac: machine.mac,
      addresses: [machine.ip, machine.ip6],
      binding: { hypervisor: machine.hypervisor, interfaceId: machine.interfaceId },
    });
  }

  /** Resolves when there are tunnels and all of them are in such a state. */
  async tunnelsAre(fits: (state: string, from: string, to: string) => boolean): Promise<void> {
    await this.netloom.until(
      '/v1/tunnels?limit=1000',
      ({ items }) =>
        items.length > 0 &&
        items.every((each: { state: string; from: string; to: string }) => fits(each.state, each.from, each.to)),
    );
  }
}
