import { randomBytes } from 'node:crypto';
import {
  type AppContext,
  actionOf,
  type Dpid,
  type Membership,
  membershipOf,
  output,
  type PacketInView,
  peerAddress,
  type StateChange,
  type SwitchPort,
  set,
  type TunnelType,
} from '../../controller/index.ts';
import { type Pair, Pairs } from './pairs.ts';
import { TunnelProbeCodec } from './probe.ts';

export interface OverlaySettings {
  /** Time between two probes of a pair, ms. */
  readonly probeMs: number;
  /** Probes a second over all pairs; with more of them each is probed less often. */
  readonly probesPerSecond: number;
  /** This installation's secret. */
  readonly key: Buffer;
}

/** Probes that may be lost in a row before a way is down. */
const MISSES = 3;
const TICK_MS = 100;

interface Watched extends Pair {
  /** Probes sent since one arrived. */
  missed: number;
  /** Number of the last one that arrived; older ones are repetitions. */
  last: number;
}

/** What the prober counts. */
export interface ProbeCounters {
  sent: number;
  unsent: number;
  received: number;
  refused: number;
}

/**
 * Finds out whether frames from a switch reach another through its tunnels: sends signed probes that way and waits for the other
 * switch to show them. One is sent at once when two switches come to share a network, which also makes the sending switch find
 * out the underlay address of the other before the first guest's frame needs it.
 */
export class Prober {
  readonly counters: ProbeCounters = { sent: 0, unsent: 0, received: 0, refused: 0 };
  readonly #context: AppContext;
  readonly #settings: OverlaySettings;
  readonly #membership: Membership;
  readonly #codec: TunnelProbeCodec;
  readonly #pairs: Pairs;
  /** By sending switch and kind, then by receiving switch. */
  readonly #watched = new Map<string, Map<Dpid, Watched>>();
  readonly #stop: () => void;
  #round: Iterator<Watched> | undefined;
  #budget = 0;
  #number = 0;

  constructor(context: AppContext, settings: OverlaySettings) {
    this.#context = context;
    this.#settings = settings;
    this.#membership = membershipOf(context.state);
    this.#codec = new TunnelProbeCodec(settings.key, randomBytes(8));
    this.#pairs = new Pairs(context.state, this.#membership);
    for (const pair of this.#pairs.all()) this.#take(pair);
    this.#stop = context.clock.every(TICK_MS, () => this.#tick());
  }

  close(): void {
    this.#stop();
  }

  changed(change: StateChange): void {
    if (change.kind === 'tunnel' || change.kind === 'host' || change.kind === 'link') return;
    const effect = this.#membership.effectOf(change);
    const { came, went } = this.#pairs.changed(change, effect);
    for (const pair of went) if (!this.#pairs.has(pair)) this.#unwatch(pair);
    for (const pair of came) {
      const watched = this.#pairs.has(pair) ? this.#take(pair) : undefined;
      if (watched) this.#probe(watched);
    }
    if (change.kind === 'switch' && change.before?.connected !== change.after?.connected) this.#connection(change.dpid);
  }

  /** A probe that a switch shows. */
  packetIn(at: SwitchPort, { bytes, dataAt, dataEnd, inPort }: PacketInView): void {
    const probe = this.#codec.decode(bytes, dataAt, dataEnd);
    const watched = probe && this.#watched.get(senderKey(probe.dpid, probe.type))?.get(at.dpid);
    const expected = watched && this.#membership.vtepOf(at.dpid)?.ports.get(probe.type) === inPort;
    if (!expected || probe.number <= watched.last) {
      this.counters.refused++;
      return;
    }
    this.counters.received++;
    watched.last = probe.number;
    watched.missed = 0;
    this.#tell(watched, 'up', 'probes arrive');
  }

  /** Watches a pair from now on; one that cannot send to one another is down without looking. */
  #take(pair: Pair): Watched | undefined {
    if (pair.apart) {
      this.#tell(pair, 'down', 'their tunnel addresses have no family in common');
      return undefined;
    }
    const key = senderKey(pair.from, pair.type);
    const peers = this.#watched.get(key) ?? new Map<Dpid, Watched>();
    this.#watched.set(key, peers);
    const watched = { ...pair, missed: 0, last: 0 };
    peers.set(pair.to, watched);
    this.#tell(watched, 'unknown', 'not probed yet');
    return watched;
  }

  #unwatch(pair: Pair): void {
    const key = senderKey(pair.from, pair.type);
    const peers = this.#watched.get(key);
    peers?.delete(pair.to);
    if (peers?.size === 0) this.#watched.delete(key);
    const to = this.#nameOf(pair.to);
    if (to !== undefined) this.#context.observed.tunnelIs(pair.from, to, pair.type, undefined);
  }

  /** Without a session at either end nobody can tell; with both, at once. */
  #connection(dpid: Dpid): void {
    for (const peers of this.#watched.values()) {
      for (const watched of peers.values()) {
        if (watched.from !== dpid && watched.to !== dpid) continue;
        watched.missed = 0;
        this.#probe(watched);
      }
    }
  }

  #tick(): void {
    const { probeMs, probesPerSecond } = this.#settings;
    const wanted = (this.#pairs.size * TICK_MS) / probeMs;
    this.#budget = Math.min(this.#budget + Math.min(wanted, (probesPerSecond * TICK_MS) / 1_000), this.#pairs.size);
    for (; this.#budget >= 1; this.#budget--) {
      this.#round ??= this.#all();
      const { value: watched, done } = this.#round.next();
      if (done) this.#round = undefined;
      else this.#probe(watched);
    }
  }

  *#all(): Iterator<Watched, undefined> {
    for (const peers of this.#watched.values()) yield* peers.values();
    return undefined;
  }

  #probe(watched: Watched): void {
    const { from, to, type } = watched;
    const { switches } = this.#context.state.observed;
    for (const dpid of [from, to]) {
      if (switches.get(dpid)?.connected) continue;
      watched.missed = 0;
      this.#tell(watched, 'unknown', `switch ${dpid} is not connected`);
      return;
    }
    if (watched.missed >= MISSES) this.#tell(watched, 'down', `${MISSES} probes in a row did not arrive`);
    if (this.#send(from, to, type)) watched.missed++;
  }

  #send(from: Dpid, to: Dpid, type: TunnelType): boolean {
    const here = this.#membership.vtepOf(from);
    const there = this.#membership.vtepOf(to);
    const address = here && there && peerAddress(here.addresses, there.addresses);
    const port = here?.ports.get(type);
    const sender = this.#context.switchPort(from);
    if (!address || port === undefined || !sender) return false;
    const steps = [
      set('tunnelId', 0),
      address.family === 4 ? set('tunIpv4Dst', Number(address.value)) : set('tunIpv6Dst', address.value),
      output(port),
    ];
    const frame = this.#codec.encode({ dpid: from, type, number: ++this.#number });
    const sent = sender.packetOutBy(steps.map(actionOf), frame);
    if (sent) this.counters.sent++;
    else this.counters.unsent++;
    return sent;
  }

  #tell({ from, to, type }: Pair, state: 'up' | 'down' | 'unknown', reason: string): void {
    const name = this.#nameOf(to);
    if (name === undefined) return;
    const before = this.#context.observed.tunnel(from, name, type)?.state;
    this.#context.observed.tunnelIs(from, name, type, { state, reason });
    if (before !== state && (state === 'down' || before === 'down')) {
      this.#context.event(`tunnel.${state}`, { switch: from, to: name, type, reason });
    }
  }

  #nameOf(dpid: Dpid): string | undefined {
    return this.#membership.vtepOf(dpid)?.hypervisor;
  }
}

const senderKey = (dpid: Dpid, type: TunnelType): string => `${type}/${dpid}`;
