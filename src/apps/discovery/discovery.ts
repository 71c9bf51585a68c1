import {
  type AppContext,
  type Attachment,
  type Dpid,
  type ObservedChange,
  type ObservedPort,
  type ObservedSwitch,
  type PacketInView,
  type StateChange,
  type SwitchPort,
  sameAttachment,
} from '../../controller/index.ts';
import { BoundPorts } from './bound.ts';
import { DiscoveryCounters, type Refusal } from './metrics.ts';
import { type Probe, ProbeCodec } from './probe.ts';
import { type DiscoverySettings, EDGE_FACTOR, MISSES } from './settings.ts';
import { newPort, type ProbedPort, type ProbedSwitch, phaseOf, withinBudget } from './state.ts';
import { Wheel } from './wheel.ts';

const TICK_MS = 50;
/** Ports looked at in one go; the rest follows after other events had their turn. */
const SLICE = 50;
/** Shortest time between two probes of a port that answer something. */
const ANSWER_MS = 100;
/**
 * How long we wait for Open vSwitch to show us a probe that we sent into its own tables, before we take it as listening.
 * Others may not do that at all; for them the hold time is all there is.
 */
const DEAF_MS = 30_000;
/** A probe proves nothing when it is older than this, or than three intervals. */
const FRESH_MS = 10_000;
const EVENT_EVERY_MS = 10_000;
/** OFPP_CONTROLLER and OFPP_TABLE. */
const CONTROLLER = 0xffff_fffd;
const TABLE = 0xffff_fff9;

/** Finds links by probes, and says which ports are edges. What is accepted as a link, and why: docs/decisions/0005-links.md. */
export class Discovery {
  readonly counters = new DiscoveryCounters();
  readonly #context: AppContext;
  readonly #settings: DiscoverySettings;
  readonly #codec: ProbeCodec;
  readonly #bound: BoundPorts;
  readonly #switches = new Map<Dpid, ProbedSwitch>();
  readonly #wheel: Wheel<ProbedPort>;
  readonly #freshMs: number;
  readonly #quickMs: number;
  readonly #stopTicking: () => void;
  #cancelRest: (() => void) | undefined;
  /** Why links that are going down right now do. */
  #cause: 'port-status' | 'probe-timeout' = 'port-status';

  constructor(context: AppContext, settings: DiscoverySettings) {
    const { intervalMs, holdMs, key } = settings;
    this.#context = context;
    this.#settings = settings;
    this.#codec = new ProbeCodec(key, Math.min(65_535, Math.ceil((MISSES * intervalMs * EDGE_FACTOR) / 1_000) + 1));
    this.#bound = new BoundPorts(context.state);
    this.#freshMs = Math.max(FRESH_MS, 3 * intervalMs);
    this.#quickMs = Math.min(intervalMs, Math.max(2 * TICK_MS, holdMs / 2));
    this.#wheel = new Wheel(Math.ceil((intervalMs * EDGE_FACTOR) / TICK_MS), this.#tick());
    this.#stopTicking = context.clock.every(TICK_MS, () => this.#advance());
    for (const sw of context.observed.switches.values()) if (sw.connected) this.#switchUp(sw, undefined);
  }

  close(): void {
    this.#stopTicking();
    this.#cancelRest?.();
    this.#switches.clear();
  }

  changed(change: StateChange): void {
    switch (change.kind) {
      case 'switch':
        if (change.after?.connected) this.#switchUp(change.after, change.before);
        else this.#switchDown(change.dpid, change.after === undefined);
        break;
      case 'observed-port':
        this.#portChanged(change);
        break;
      case 'link':
        this.#linkChanged(change);
        break;
      case 'port':
        for (const dpid of this.#bound.changed(change)) this.#settleBound(this.#connected(dpid));
        break;
    }
  }

  packetIn(from: SwitchPort, view: PacketInView): void {
    const { dpid } = from;
    const { inPort, bytes, dataAt, dataEnd } = view;
    const sw = this.#connected(dpid);
    if (!sw) return;
    if (inPort === CONTROLLER) {
      const probe = this.#codec.decode(bytes, dataAt, dataEnd);
      if (typeof probe === 'object' && probe.dpid === dpid && probe.port === CONTROLLER) this.#listens(sw);
      return;
    }
    const here = sw.ports.get(inPort);
    if (!here) {
      this.#refuse({ dpid, port: inPort }, undefined, 'unknown-port');
      return;
    }
    const refusal = withinBudget(here, this.#context.clock.monotonic())
      ? this.#read(here, bytes, dataAt, dataEnd)
      : 'budget';
    if (refusal !== undefined) this.#refuse(here.at, here, refusal);
  }

  #read(here: ProbedPort, bytes: Buffer, at: number, end: number): Refusal | undefined {
    const probe = this.#codec.decode(bytes, at, end);
    if (typeof probe === 'object') return this.#judge(probe, here);
    if (probe !== 'foreign') return probe;
    this.counters.foreign++;
    return undefined;
  }

  // --- what switches and tenants do ---

  #switchUp(view: ObservedSwitch, before: ObservedSwitch | undefined): void {
    const { dpid } = view;
    const old = this.#switches.get(dpid);
    this.#unschedule(old);
    const upAt = this.#context.clock.monotonic();
    const sw: ProbedSwitch = { dpid, upAt, patient: view.nicira, connected: true, listening: false, ports: new Map() };
    this.#switches.set(dpid, sw);
    this.#askItself(sw);
    for (const port of view.ports.values()) {
      this.#sync(sw, port, true);
      const known = sw.ports.get(port.no);
      // A cable that went silent before the session broke is no surer now.
      if (known?.role === 'pending' && before?.ports.get(port.no)?.up === true) {
        known.silent = old?.ports.get(port.no)?.silent === true;
      }
    }
  }

  #switchDown(dpid: Dpid, forgotten: boolean): void {
    const sw = this.#switches.get(dpid);
    this.#unschedule(sw);
    if (sw) sw.connected = false;
    if (!forgotten) return;
    this.#switches.delete(dpid);
    this.#bound.forget(dpid);
    this.counters.forget(dpid);
  }

  #connected(dpid: Dpid): ProbedSwitch | undefined {
    const sw = this.#switches.get(dpid);
    return sw?.connected === true ? sw : undefined;
  }

  #unschedule(sw: ProbedSwitch | undefined): void {
    for (const port of sw?.ports.values() ?? []) this.#wheel.cancel(port);
  }

  #portChanged({ dpid, no, before, after }: ObservedChange & { kind: 'observed-port' }): void {
    if (before && after && before.role !== after.role) {
      this.#context.event('port.role', { switch: dpid, port: no, name: after.name, role: after.role });
    }
    const sw = this.#connected(dpid);
    if (!sw) return;
    // A name may have come or gone, and with it what tenants have bound by name.
    if (before?.name !== after?.name) this.#settleBound(sw);
    // As it is now: a change further on in the queue may already be in the state.
    const port = this.#context.observed.switches.get(dpid)?.ports.get(no);
    if (port) this.#sync(sw, port, before === undefined);
    else this.#drop(sw, no);
  }

  #drop(sw: ProbedSwitch, no: number): void {
    const known = sw.ports.get(no);
    if (known) this.#wheel.cancel(known);
    sw.ports.delete(no);
  }

  /** Brings what we keep of a port in line with what is observed. */
  #sync(sw: ProbedSwitch, port: ObservedPort, fresh: boolean): void {
    if (!port.up || port.role === 'local' || port.role === 'tunnel') {
      this.#drop(sw, port.no);
      return;
    }
    let known = sw.ports.get(port.no);
    const isNew = known === undefined;
    if (!known) {
      known = newPort(sw, port.no, port.mac);
      sw.ports.set(port.no, known);
    }
    known.mac = port.mac;
    if (!isNew && known.role === port.role) return;
    const wasSilent = known.silent;
    Object.assign(known, { role: port.role, fresh: false, sent: 0, heldFrom: -1, missed: 0, claim: undefined });
    known.silent = port.role === 'pending' && wasSilent;
    if (port.role === 'pending') {
      known.fresh = fresh;
      this.#probe(known);
      this.#hold(known);
      this.#wheel.schedule(known, this.#quickMs / TICK_MS);
      if (this.#bound.has(sw.dpid, port.no)) this.#settle(known);
    } else {
      // A link of an earlier session is confirmed at once; what has just been proven or settled waits its turn.
      if (isNew) this.#probe(known);
      const all = port.role === 'link' ? this.#settings.intervalMs : this.#settings.intervalMs * EDGE_FACTOR;
      this.#wheel.schedule(known, (phaseOf(known.at) * all) / TICK_MS);
    }
  }

  #linkChanged({ before, after }: ObservedChange & { kind: 'link' }): void {
    const ends = ({ from, to }: { from: Attachment; to: Attachment }) => ({
      from: { switch: from.dpid, port: from.port },
      to: { switch: to.dpid, port: to.port },
    });
    if (before && !(after && sameAttachment(before.to, after.to))) {
      this.#context.event('link.down', { ...ends(before), reason: this.#cause });
    }
    if (after && !(before && sameAttachment(before.to, after.to))) {
      this.#context.event('link.up', ends(after));
    }
  }

  #settleBound(sw: ProbedSwitch | undefined): void {
    for (const port of sw?.ports.values() ?? []) {
      if (port.role === 'pending' && this.#bound.has(port.at.dpid, port.at.port)) this.#settle(port);
    }
  }

  #settle(port: ProbedPort): void {
    this.#context.observed.portSettled(port.at);
  }

  // --- sending ---

  #tick(): number {
    return Math.floor(this.#context.clock.monotonic() / TICK_MS);
  }

  #advance(): void {
    if (this.#cancelRest) return;
    if (!this.#wheel.advance(this.#tick(), SLICE, (port) => this.#due(port))) return;
    this.#cancelRest = this.#context.clock.after(0, () => {
      this.#cancelRest = undefined;
      this.#advance();
    });
  }

  #due(port: ProbedPort): void {
    const { intervalMs } = this.#settings;
    if (port.role === 'pending') {
      if (this.#isHeld(port)) {
        this.#settle(port);
        return;
      }
      this.#askItself(port.owner);
      this.#probe(port);
      this.#wheel.schedule(port, (port.silent ? intervalMs : this.#untilSettled(port)) / TICK_MS);
    } else if (port.role === 'edge') {
      this.#probe(port);
      this.#wheel.schedule(port, (intervalMs * EDGE_FACTOR) / TICK_MS);
    } else {
      this.#wheel.schedule(port, intervalMs / TICK_MS);
      this.#askItself(port.owner);
      if (!this.#isAnswerable(port)) port.missed = 0;
      if (port.missed >= MISSES) this.#lose(port);
      else if (this.#probe(port)) port.missed++;
    }
  }

  /** The hold time counts from when a probe of a neighbour would have reached us. */
  #isHeld(port: ProbedPort): boolean {
    this.#hold(port);
    if (port.silent || port.heldFrom < 0) return false;
    return this.#context.clock.monotonic() - port.heldFrom >= this.#settings.holdMs;
  }

  #hold(port: ProbedPort): void {
    if (port.heldFrom < 0 && port.sent > 0 && this.#hears(port.owner)) port.heldFrom = this.#context.clock.monotonic();
  }

  /** When to look at a pending port again. */
  #untilSettled(port: ProbedPort): number {
    if (port.heldFrom < 0) return this.#quickMs;
    const left = port.heldFrom + this.#settings.holdMs - this.#context.clock.monotonic();
    return left > this.#quickMs + TICK_MS ? this.#quickMs : Math.ceil(left / TICK_MS) * TICK_MS;
  }

  #hears(sw: ProbedSwitch): boolean {
    return sw.listening || !sw.patient || this.#upFor(sw) >= DEAF_MS;
  }

  #upFor(sw: ProbedSwitch): number {
    return this.#context.clock.monotonic() - sw.upAt;
  }

  /** True when a probe out of this link port ought to come back to us from the other end. */
  #isAnswerable(port: ProbedPort): boolean {
    const link = this.#context.observed.linkFrom(port.at);
    const peer = link && this.#connected(link.to.dpid);
    // Longer than for the hold time: a link that works shall not be lost because a switch was slow to take its rules.
    return peer !== undefined && (peer.listening || this.#upFor(peer) >= DEAF_MS);
  }

  #probe(port: ProbedPort): boolean {
    const { dpid, port: no } = port.at;
    const sent = this.#send(dpid, no, port.mac, no);
    if (sent) port.sent++;
    return sent;
  }

  /** Sends a probe into the switch's own tables: when it comes back, its rules are in place. */
  #askItself(sw: ProbedSwitch): void {
    if (!sw.listening) this.#send(sw.dpid, CONTROLLER, 0, TABLE);
  }

  #send(dpid: Dpid, port: number, source: number, outPort: number): boolean {
    const to = this.#context.switchPort(dpid);
    const frame = this.#codec.encode(dpid, port, source, this.#context.clock.now());
    const sent = to?.packetOut(CONTROLLER, [outPort], frame) === true;
    if (sent) this.counters.sent++;
    else this.counters.unsent++;
    return sent;
  }

  #listens(sw: ProbedSwitch): void {
    if (sw.listening) return;
    sw.listening = true;
    // Neighbours that hear this answer at once, and now the answer reaches us.
    for (const port of sw.ports.values()) if (port.role !== 'edge') this.#answer(port);
  }

  #answer(port: ProbedPort): void {
    const now = this.#context.clock.monotonic();
    if (now - port.answeredAt < ANSWER_MS) return;
    port.answeredAt = now;
    this.#probe(port);
  }

  // --- receiving ---

  /** Undefined when the probe proved something or may still; else why it is refused. */
  #judge(probe: Probe, here: ProbedPort): Refusal | undefined {
    const { observed, clock } = this.#context;
    const sender = observed.switches.get(probe.dpid);
    if (!sender) return 'unknown-switch';
    const senderPort = sender.ports.get(probe.port);
    if (!senderPort || senderPort.role === 'local' || senderPort.role === 'tunnel') return 'unknown-port';
    if (Math.abs(clock.now() - probe.sentAt) > this.#freshMs) return 'stale';
    if (probe.dpid === here.at.dpid && probe.port === here.at.port) return 'reflected';
    const there = this.#connected(probe.dpid)?.ports.get(probe.port);
    // It was sent before its port went down or its switch left.
    if (!there) return 'stale';
    const known = observed.linkFrom(there.at);
    if (known && sameAttachment(known.to, here.at)) {
      this.#accept(there, here);
      return undefined;
    }
    if (this.#isBound(there) || this.#isBound(here)) return 'edge-port';
    if (this.#isTaken(there, here)) return 'conflict';
    if (this.#isInhabited(there, here) || this.#isInhabited(here, there)) return 'edge-port';
    if (there.role === 'edge' || here.role === 'edge') return this.#claim(there, here);
    this.#accept(there, here);
    return undefined;
  }

  #isBound({ at }: ProbedPort): boolean {
    return this.#bound.has(at.dpid, at.port);
  }

  /** True when one of the ports has a link elsewhere that was confirmed by its last probe. */
  #isTaken(there: ProbedPort, here: ProbedPort): boolean {
    const { observed } = this.#context;
    const isAlive = (port: ProbedPort): boolean => port.missed <= 1;
    if (observed.linkFrom(there.at) && isAlive(there)) return true;
    const back = observed.linkFrom(here.at);
    return back !== undefined && !sameAttachment(back.to, there.at) && isAlive(here);
  }

  /**
   * True for an edge port behind which hosts were learned: what comes from there may be anything. But a port leads to hosts,
   * as far as we can see, also when there is a switch that has not found us yet; so it may become a link when that switch
   * appears for the first time.
   */
  #isInhabited(port: ProbedPort, other: ProbedPort): boolean {
    if (port.role !== 'edge' || this.#context.observed.hostCountAt(port.at) === 0) return false;
    return !(other.role === 'pending' && other.fresh);
  }

  /** A host may have carried a probe from one edge port to another; that it did so both ways at once is asked for first. */
  #claim(there: ProbedPort, here: ProbedPort): Refusal | undefined {
    const now = this.#context.clock.monotonic();
    const isClaimed = (from: ProbedPort, to: ProbedPort): boolean =>
      from.claim !== undefined && sameAttachment(from.claim.to, to.at) && now - from.claim.at <= this.#freshMs;
    if (isClaimed(here, there)) {
      this.#accept(here, there);
      this.#accept(there, here);
      return undefined;
    }
    const again = isClaimed(there, here);
    there.claim = { to: here.at, at: now };
    this.#answer(here);
    // A new neighbour repeats itself before it can hear our answer.
    return again && there.role === 'edge' ? 'unproven' : undefined;
  }

  #accept(there: ProbedPort, here: ProbedPort): void {
    const { observed } = this.#context;
    this.counters.received++;
    there.missed = 0;
    observed.linkSeen(there.at, here.at);
    const back = observed.linkFrom(here.at);
    if (!back) this.#answer(here);
    else if (sameAttachment(back.to, there.at)) {
      there.silent = false;
      here.silent = false;
    }
  }

  #lose(port: ProbedPort): void {
    const { observed } = this.#context;
    const link = observed.linkFrom(port.at);
    if (!link) return;
    this.counters.lost++;
    const back = observed.linkFrom(link.to);
    const wasCable = back !== undefined && sameAttachment(back.to, port.at);
    const other = this.#switches.get(link.to.dpid)?.ports.get(link.to.port);
    if (wasCable) {
      // It may be there still, only deaf. Two edges on one cable would be a loop in a flat network.
      port.silent = true;
      if (other) other.silent = true;
    }
    this.#cause = 'probe-timeout';
    observed.linkLost(port.at);
    this.#cause = 'port-status';
  }

  #refuse(at: Attachment, port: ProbedPort | undefined, reason: Refusal): void {
    const { observed, clock } = this.#context;
    this.counters.refuse(at.dpid, reason);
    observed.countBadLldp(at);
    if (!port) return;
    port.refused++;
    const now = clock.monotonic();
    if (now - port.refusedAt < EVENT_EVERY_MS) return;
    this.#context.event('lldp.rejected', { switch: at.dpid, port: at.port, reason, frames: port.refused });
    port.refused = 0;
    port.refusedAt = now;
  }
}
