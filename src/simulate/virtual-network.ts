import { type Clock, type Dpid, dpidOf } from '../controller/kernel/index.ts';
import type { MessageOf } from '../ofproto/index.ts';
import { type Delivery, type SimPoint, type SimResult, type SimSwitch, Simulator } from './data-plane.ts';
import { SwitchModel } from './switch-model.ts';
import { type Topology, wiring } from './topology.ts';
import { type ControllerTarget, newCounters, type SimulationCounters, VirtualSwitch } from './virtual-switch.ts';

export interface VirtualNetworkOptions {
  readonly target: ControllerTarget;
  readonly clock: Clock;
  readonly switches: number;
  /** Ports for hosts of each switch, numbered from 1; cables come after them. */
  readonly ports: number;
  readonly topology?: Topology;
  /** First datapath id. */
  readonly dpidBase?: bigint;
  readonly hasBundles?: boolean;
  readonly reconnectMs?: number;
  /** A switch's handshake is done. */
  readonly onUp?: (sw: VirtualSwitch) => void;
  readonly onDown?: (sw: VirtualSwitch, reason: string) => void;
  /** Frames that left at ports for hosts. */
  readonly onDelivery?: (delivery: Delivery) => void;
}

/** Virtual switches, their cables and the frames on them: a controller's probes find the links, its flows carry the frames. */
export class VirtualNetwork {
  readonly switches = new Map<Dpid, VirtualSwitch>();
  /** Ends of the cables. */
  readonly cables: readonly (readonly [SimPoint, SimPoint])[];
  readonly counters: SimulationCounters = newCounters();
  /** Frames that met something the data plane does not carry out, by what that was. */
  readonly failures = new Map<string, number>();
  readonly #plane = new Simulator(undefined, (sw) => this.#load(sw));
  readonly #loaded = new Map<Dpid, number>();
  readonly #options: VirtualNetworkOptions;

  constructor(options: VirtualNetworkOptions) {
    this.#options = options;
    const { switches, ports, topology = 'none', dpidBase = 1n } = options;
    const dpids = Array.from({ length: switches }, (_, i) => dpidOf(dpidBase + BigInt(i)));
    const next = dpids.map(() => ports);
    this.cables = wiring(topology, switches).map(([a, b]) => {
      const end = (i: number): SimPoint => ({ dpid: dpids[i]!, port: ++next[i]! });
      return [end(a), end(b)] as const;
    });
    dpids.forEach((dpid, i) => {
      const numbers = Array.from({ length: next[i]! }, (_, port) => port + 1);
      const { hasBundles = true } = options;
      const model = new SwitchModel({ dpid, ports: numbers, hasBundles });
      const { target, clock, reconnectMs = 1_000, onUp, onDown } = options;
      const sw = new VirtualSwitch({
        model,
        target,
        clock,
        counters: this.counters,
        reconnectMs,
        ...(onUp ? { onUp } : {}),
        ...(onDown ? { onDown } : {}),
      });
      model.onPacketOut = (message) => this.#packetOut(dpid, message);
      this.switches.set(dpid, sw);
      this.#plane.addSwitch(dpid, numbers);
    });
    for (const [a, b] of this.cables) this.#plane.link(a, b);
  }

  /** All switches connect. */
  start(): void {
    for (const sw of this.switches.values()) sw.start();
  }

  stop(): void {
    for (const sw of this.switches.values()) sw.stop();
  }

  /** A host sends a frame. Answers what became of it. */
  inject(at: SimPoint, frame: Uint8Array): SimResult | undefined {
    return this.#carry(() => this.#plane.inject(at, frame));
  }

  /** Takes a port for hosts down or up; its switch tells the controller. */
  setPort(at: SimPoint, up: boolean): void {
    this.#plane.setLink(at, up);
    this.switches.get(at.dpid)?.setPort(at.port, up);
  }

  /** Takes a cable down or up at both its ends; the switches tell the controller. */
  setCable([a, b]: readonly [SimPoint, SimPoint], up: boolean): void {
    this.#plane.setLink(a, up);
    for (const { dpid, port } of [a, b]) this.switches.get(dpid)?.setPort(port, up);
  }

  #packetOut(dpid: Dpid, { inPort, actions, data }: MessageOf<'packetOut'>): void {
    this.#carry(() => this.#plane.packetOut({ dpid, port: inPort }, actions, data));
  }

  /** Runs frames over the flows as they are now; what the controller is shown goes to it. */
  #carry(run: () => SimResult): SimResult | undefined {
    let result: SimResult;
    try {
      result = run();
    } catch (error) {
      // A flow that the data plane does not know is the controller's, and no reason to end: it is counted and told.
      const what = error instanceof Error ? error.message : String(error);
      this.failures.set(what, (this.failures.get(what) ?? 0) + 1);
      return undefined;
    }
    for (const { dpid, port: inPort, frame, tableId, cookie, reason } of result.packetIns) {
      this.switches.get(dpid)?.packetIn(frame, { inPort, tableId, cookie, reason });
    }
    for (const delivery of result.deliveries) this.#options.onDelivery?.(delivery);
    return result;
  }

  /** Brings a switch of the data plane up to what its model holds. */
  #load(sw: SimSwitch): void {
    const { tables } = this.switches.get(sw.dpid)!.model;
    if (this.#loaded.get(sw.dpid) === tables.version) return;
    this.#loaded.set(sw.dpid, tables.version);
    sw.clear();
    for (const [key, flow] of tables.flows) sw.addFlow(key, flow);
    for (const [id, group] of tables.groups) sw.addGroup(id, group);
  }
}
