import { type Clock, dpidOf } from '../controller/kernel/index.ts';
import {
  EtherType,
  encodeMessage,
  encodePacket,
  get16,
  MessageType,
  PacketInReason,
  Port,
  packetOutHeaderSize,
} from '../ofproto/index.ts';
import { reasonOf } from './data-plane.ts';
import { type PacketInFacts, packetIn, SwitchModel } from './switch-model.ts';
import type { FlowMod } from './tables.ts';
import { type ControllerTarget, newCounters, VirtualSwitch } from './virtual-switch.ts';

/** What a load consists of. */
export interface LoadOptions {
  readonly target: ControllerTarget;
  readonly switches: number;
  /** Packet-ins of each switch that wait for their answers; ignored with a rate. */
  readonly window: number;
  /** Packet-ins a second over all switches, whatever is answered; absent: as fast as the window allows. */
  readonly rate?: number;
  /** Seconds of a round, and how many of them are measured after one that is not. */
  readonly seconds: number;
  readonly rounds: number;
  readonly dpidBase?: bigint;
}

/** What came of it. An answer is a packet-out. */
export interface LoadResult {
  /** Answers a second: median of the rounds, and the least and most of them. */
  readonly perSecond: number;
  readonly least: number;
  readonly most: number;
  /** From packet-in to packet-out, milliseconds, over all measured rounds. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Packet-ins that were never answered. */
  readonly lost: number;
}

/** Different frames of each switch: hosts on two ports that talk to each other. */
const FRAMES = 256;
const PROBE_MS = 50;
const READY_MS = 30_000;
/** Width of a latency bin, and how many there are. */
const BIN_MS = 0.002;
const BINS = 500_000;

/** The flow that shows the controller what it does not know: its packet-ins are told apart by cookie and table. */
function puntOf(flows: Iterable<FlowMod>): Omit<PacketInFacts, 'inPort'> {
  let found: FlowMod | undefined;
  for (const flow of flows) {
    const shows = flow.instructions.some(
      (each) =>
        each.type === 'applyActions' &&
        each.actions.some(({ type, ...rest }) => type === 'output' && isController(rest)),
    );
    const lldp = flow.match.some((entry) => entry.field === 'ethType' && entry.value === EtherType.lldp);
    if (shows && !lldp && (!found || flow.priority < found.priority)) found = flow;
  }
  if (!found) return { tableId: 0, cookie: 0xffff_ffff_ffff_ffffn, reason: PacketInReason.noMatch };
  return { tableId: found.tableId, cookie: found.cookie, reason: reasonOf(found) };
}
const isController = (action: object): boolean => (action as { readonly port?: number }).port === Port.controller;

/** One switch that sends packet-ins and waits for packet-outs. */
class LoadSwitch {
  readonly #sw: VirtualSwitch;
  readonly #load: Load;
  readonly #number: number;
  #frames: Buffer | undefined;
  #size = 0;
  #next = 0;
  /** When those under way were sent; a ring, oldest at `#head`. */
  readonly #sentAt = new Float64Array(65_536);
  #head = 0;
  outstanding = 0;
  #answers = 0;
  /** Has had an answer to a probe: the controller forwards for it. */
  ready = false;

  constructor(load: Load, number: number, options: LoadOptions, clock: Clock) {
    this.#load = load;
    this.#number = number;
    const dpid = dpidOf((options.dpidBase ?? 1n) + BigInt(number));
    this.#sw = new VirtualSwitch({
      // It has no data plane that would send the controller's probes of its tables back, so it does not pose as one that does.
      model: new SwitchModel({ dpid, ports: [1, 2], isOpenVswitch: false }),
      target: options.target,
      clock,
      counters: newCounters(),
      intercept: (bytes, at) => {
        if (bytes[at + 1] !== MessageType.packetOut) return this.#load.running && bytes[at + 1] === MessageType.flowMod;
        // Probes for links are no answers.
        const frame = at + packetOutHeaderSize + get16(bytes, at + 16);
        if (get16(bytes, frame + 12) !== EtherType.lldp) this.#answers++;
        return true;
      },
      onChunk: () => this.#answered(),
      onDown: (_sw, reason) => load.failed(`a switch lost its connection: ${reason}`),
    });
    this.#sw.start();
  }

  /** Sends one packet-in, to see whether it is answered. LLDP of the controller is an answer to nothing. */
  probe(): void {
    if (!this.#sw.up) return;
    this.#answers = 0;
    this.#build();
    this.outstanding = 1;
    this.#sw.sendBytes(this.#frames!.subarray(0, this.#size));
  }

  send(count: number): void {
    const now = performance.now();
    for (let left = count; left > 0; ) {
      const batch = Math.min(left, FRAMES - this.#next);
      this.#sw.sendBytes(this.#frames!.subarray(this.#next * this.#size, (this.#next + batch) * this.#size));
      this.#next = (this.#next + batch) % FRAMES;
      left -= batch;
    }
    for (let i = 0; i < count; i++) this.#sentAt[(this.#head + this.outstanding++) & 0xffff] = now;
  }

  forget(): void {
    this.outstanding = 0;
    this.#answers = 0;
  }

  stop(): void {
    this.#sw.stop();
  }

  #answered(): void {
    const count = Math.min(this.#answers, this.outstanding);
    this.#answers = 0;
    if (count === 0) return;
    this.outstanding -= count;
    if (!this.#load.running) {
      this.ready = true;
      return;
    }
    const now = performance.now();
    for (let i = 0; i < count; i++) {
      this.#load.record(now - this.#sentAt[this.#head]!);
      this.#head = (this.#head + 1) & 0xffff;
    }
    this.#load.answered(this, count);
  }

  #build(): void {
    const by = puntOf(this.#sw.model.tables.flows.values());
    const mac = (host: number): number => 0x0e00_0000_0000 + this.#number * 0x1000 + host;
    const messages = Array.from({ length: FRAMES }, (_, n) => {
      const frame = encodePacket({
        layers: [
          { kind: 'ethernet', dst: mac(n ^ 1), src: mac(n) },
          { kind: 'ipv4', src: 0x0a00_0001 + n, dst: 0x0a00_0001 + (n ^ 1) },
          { kind: 'udp', src: 7, dst: 7 },
        ],
        payload: Buffer.alloc(18),
      });
      return encodeMessage(packetIn(frame, { inPort: 1 + (n & 1), ...by }));
    });
    this.#size = messages[0]!.length;
    this.#frames = Buffer.concat(messages);
    this.#head = 0;
  }
}

/** All switches of a load, and what is measured. */
class Load {
  running = false;
  readonly #options: LoadOptions;
  readonly #switches: LoadSwitch[];
  readonly #bins = new Uint32Array(BINS + 1);
  #recorded = 0;
  #longest = 0;
  #count = 0;
  #problem: Error | undefined;

  constructor(options: LoadOptions, clock: Clock) {
    this.#options = options;
    this.#switches = Array.from({ length: options.switches }, (_, n) => new LoadSwitch(this, n, options, clock));
  }

  failed(what: string): void {
    this.#problem ??= new Error(what);
  }

  record(ms: number): void {
    this.#recorded++;
    const bin = Math.min(BINS, Math.floor(ms / BIN_MS));
    this.#bins[bin] = this.#bins[bin]! + 1;
    if (ms > this.#longest) this.#longest = ms;
  }

  answered(sw: LoadSwitch, count: number): void {
    this.#count += count;
    if (this.#options.rate === undefined) sw.send(count);
  }

  async run(): Promise<LoadResult> {
    try {
      await this.#getReady();
      this.running = true;
      const { seconds, rounds, window, rate } = this.#options;
      const rates: number[] = [];
      for (const sw of this.#switches) {
        sw.forget();
        if (rate === undefined) sw.send(window);
      }
      for (let round = 0; round <= rounds; round++) {
        if (round === 1) this.#reset();
        const before = this.#count;
        const begun = performance.now();
        await this.#round(seconds * 1_000);
        this.#check();
        if (round > 0) rates.push(((this.#count - before) * 1_000) / (performance.now() - begun));
      }
      // What is under way when the time is over is not lost; what is not answered a second later is.
      this.running = rate !== undefined;
      if (rate !== undefined) await pause(1_000);
      const lost = rate === undefined ? 0 : this.#switches.reduce((sum, sw) => sum + sw.outstanding, 0);
      const sorted = rates.sort((a, b) => a - b);
      return {
        perSecond: sorted[sorted.length >> 1]!,
        least: sorted[0]!,
        most: sorted.at(-1)!,
        p50Ms: this.#percentile(0.5),
        p99Ms: this.#percentile(0.99),
        maxMs: this.#longest,
        lost,
      };
    } finally {
      for (const sw of this.#switches) sw.stop();
    }
  }

  async #getReady(): Promise<void> {
    const deadline = performance.now() + READY_MS;
    for (;;) {
      const waiting = this.#switches.filter((sw) => !sw.ready);
      if (waiting.length === 0) return;
      this.#check();
      if (performance.now() > deadline) throw new Error(`${waiting.length} switches got no answer to any packet-in`);
      for (const sw of waiting) sw.probe();
      await pause(PROBE_MS);
    }
  }

  async #round(ms: number): Promise<void> {
    const { rate } = this.#options;
    if (rate === undefined) return pause(ms);
    const begun = performance.now();
    let sent = 0;
    for (let at = begun; at - begun < ms; at = performance.now()) {
      const due = Math.floor(((at - begun) * rate) / 1_000);
      for (; sent < due; sent++) this.#switches[sent % this.#switches.length]!.send(1);
      await pause(1);
    }
  }

  #check(): void {
    if (this.#problem) throw this.#problem;
  }

  #reset(): void {
    this.#bins.fill(0);
    this.#recorded = 0;
    this.#longest = 0;
  }

  #percentile(part: number): number {
    let left = this.#recorded * part;
    for (let bin = 0; bin <= BINS; bin++) {
      left -= this.#bins[bin]!;
      if (left <= 0) return (bin + 1) * BIN_MS;
    }
    return this.#longest;
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Sends packet-ins to a controller that forwards for unknown hosts, and measures its packet-outs. Rejects when a switch does not
 * come up, is not answered at all, or loses its connection.
 */
export const runLoad = (options: LoadOptions, clock: Clock): Promise<LoadResult> => new Load(options, clock).run();
