import {
  type AppContext,
  type Dpid,
  type Gateway,
  isOverlay,
  type Membership,
  membershipOf,
  type Network,
  type ObjectVerdict,
  type StateChange,
} from '../../controller/index.ts';

export interface GatewaySettings {
  /** Time that the switch of a gateway may be away before another one takes over, ms. */
  readonly holdMs: number;
}

/** After a start, switches get as long to come back before anybody takes over, ms. */
const START_HOLD_MS = 10_000;
/** A former gateway that has been connected for so long has its new rules, ms. */
const FORMER_MS = 5_000;
/** When tunnels to one gateway after the other are down, it is not the gateways: the next takeover for that cause waits so long, ms. */
const TUNNELS_DAMPED_MS = 30_000;

/** What keeps a hypervisor from being the gateway. */
interface Fault {
  readonly cause: 'unfit' | 'disconnected' | 'tunnels';
  readonly message: string;
}

/** Takeovers by cause. */
export interface GatewayCounters {
  unfit: number;
  disconnected: number;
  tunnels: number;
}

/** What is remembered of one network that extends another. */
interface Watch {
  /** Since when its gateway has had a fault, monotonic; undefined: it has none. */
  faultySince: number | undefined;
  /** Last takeover because of tunnels, monotonic. */
  dampedSince: number;
  cancel: (() => void) | undefined;
}

/**
 * Elects gateways: the first hypervisor of a network's list that works. One that works stays gateway, also when one listed before it comes
 * back: each takeover is a moment of loss. One that is away keeps its part while nobody else can take it, as its flows go on working.
 */
export class Elector {
  readonly counters: GatewayCounters = { unfit: 0, disconnected: 0, tunnels: 0 };
  readonly #context: AppContext;
  readonly #settings: GatewaySettings;
  readonly #membership: Membership;
  readonly #startedAt: number;
  /** By index of the network that extends another. */
  readonly #watched = new Map<number, Watch>();

  constructor(context: AppContext, settings: GatewaySettings) {
    this.#context = context;
    this.#settings = settings;
    this.#membership = membershipOf(context.state);
    this.#startedAt = context.clock.monotonic();
    for (const network of context.state.desired.networks.values()) this.#look(network);
  }

  close(): void {
    for (const watch of this.#watched.values()) watch.cancel?.();
    this.#watched.clear();
  }

  changed(change: StateChange): void {
    if (change.kind === 'host' || change.kind === 'link') return;
    this.#membership.effectOf(change);
    switch (change.kind) {
      case 'network':
        if (change.before && change.after?.extends === undefined) this.#forget(change.before.index);
        if (change.after) this.#look(change.after);
        return;
      case 'hypervisor':
        this.#lookAtAll(change.before?.id, change.after?.id);
        return;
      case 'tunnel':
        if ((change.before?.state === 'down') !== (change.after?.state === 'down')) this.#lookAtAll(change.to);
        return;
      case 'switch':
        if (change.before?.connected !== change.after?.connected) this.#lookAtSwitch(change.dpid);
        return;
      case 'observed-port':
        if (change.before?.tunnel !== change.after?.tunnel) this.#lookAtSwitch(change.dpid);
        return;
      default:
    }
  }

  /** What stands in the status of a network that makes up one segment with another one. */
  verdict(network: Network): ObjectVerdict | undefined {
    const { desired, observed } = this.#context.state;
    const other = desired.otherSide(network);
    const extension = network.extends === undefined ? other : network;
    if (!other || !extension) return undefined;
    const dpid = observed.gateway(extension.index)?.dpid;
    const active = dpid === undefined ? undefined : desired.hypervisorByDpid(dpid)?.id;
    const fields = { otherSide: other.id, gateway: active ?? null };
    const faults = extension.gateways.map((id) => [id, this.#faultOf(extension, id)] as const);
    const why = faults.flatMap(([id, fault]) => (fault ? [`${id}: ${fault.message}`] : [])).join('; ');
    if (active === undefined) return { ok: false, reason: 'GatewayMissing', message: why, fields };
    const [, fault] = faults.find(([id]) => id === active) ?? [];
    return fault
      ? { ok: false, reason: 'GatewayDown', message: why, fields }
      : {
          ok: true,
          reason: 'GatewayActive',
          message: `${active} connects it with network ${other.id}`,
          fields,
          rulesDecide: true,
        };
  }

  #lookAtAll(...hypervisors: readonly (string | undefined)[]): void {
    for (const index of [...this.#watched.keys()]) {
      const network = this.#context.state.desired.networkByIndex(index);
      if (network?.gateways.some((id) => hypervisors.includes(id))) this.#look(network);
    }
  }

  #lookAtSwitch(dpid: Dpid): void {
    const { desired, observed } = this.#context.state;
    this.#lookAtAll(desired.hypervisorByDpid(dpid)?.id);
    for (const index of this.#watched.keys()) {
      const network = desired.networkByIndex(index);
      if (network && observed.gateway(index)?.former === dpid) this.#look(network);
    }
  }

  #forget(index: number): void {
    this.#watched.get(index)?.cancel?.();
    this.#watched.delete(index);
    this.#context.observed.gatewayIs(index, undefined);
  }

  /** Sees to it that the network has a gateway that works, now or when it is time. */
  #look(network: Network): void {
    if (network.extends === undefined) return;
    const { index } = network;
    const watch = this.#watched.get(index) ?? { faultySince: undefined, dampedSince: -Infinity, cancel: undefined };
    this.#watched.set(index, watch);
    watch.cancel?.();
    watch.cancel = undefined;
    const { observed, clock } = this.#context;
    const gateway = observed.gateway(index);
    const fault = gateway && this.#faultAt(network, gateway.dpid);
    if (gateway && !fault) {
      watch.faultySince = undefined;
      this.#settleFormer(network, gateway, watch);
    } else {
      watch.faultySince ??= clock.monotonic();
      const wait = fault ? this.#patience(fault, watch) : 0;
      if (wait > 0) this.#later(network, watch, wait);
      else this.#replace(network, gateway, fault, watch);
    }
    this.#told(network);
  }

  /** Time until somebody else shall take over, ms. */
  #patience({ cause }: Fault, watch: Watch): number {
    const now = this.#context.clock.monotonic();
    if (cause === 'disconnected') {
      const until = Math.max(watch.faultySince! + this.#settings.holdMs, this.#startedAt + START_HOLD_MS);
      return until - now;
    }
    return cause === 'tunnels' ? watch.dampedSince + TUNNELS_DAMPED_MS - now : 0;
  }

  #replace(network: Network, gateway: Gateway | undefined, fault: Fault | undefined, watch: Watch): void {
    const { state, observed, clock } = this.#context;
    const to = network.gateways
      .filter((id) => this.#faultOf(network, id) === undefined)
      .map((id) => state.desired.hypervisors.get(id)!.datapathId!)
      .find((dpid) => dpid !== gateway?.dpid);
    if (to === undefined) {
      // Nobody can do better. One that may not be the gateway any more is none.
      if (fault?.cause === 'unfit') observed.gatewayIs(network.index, undefined);
      return;
    }
    watch.faultySince = undefined;
    if (fault?.cause === 'tunnels') watch.dampedSince = clock.monotonic();
    if (fault) this.counters[fault.cause]++;
    this.#context.event(
      'gateway.changed',
      { network: network.id, from: gateway?.dpid ?? null, to, reason: fault?.message ?? 'the first that works' },
      network.tenant,
    );
    const next = { dpid: to, former: gateway?.dpid };
    observed.gatewayIs(network.index, next);
    this.#settleFormer(network, next, watch);
  }

  /** Trusts the former gateway again when it must have heard that it is none any more. */
  #settleFormer(network: Network, { dpid, former }: Gateway, watch: Watch): void {
    const { state, observed } = this.#context;
    if (former === undefined) return;
    if (!state.observed.switches.has(former)) observed.gatewayIs(network.index, { dpid, former: undefined });
    else if (state.observed.switches.get(former)!.connected) {
      watch.cancel = this.#context.clock.after(FORMER_MS, () => {
        watch.cancel = undefined;
        const now = observed.gateway(network.index);
        if (now?.former === former) observed.gatewayIs(network.index, { dpid: now.dpid, former: undefined });
      });
    }
  }

  #later(network: Network, watch: Watch, ms: number): void {
    watch.cancel = this.#context.clock.after(ms, () => {
      watch.cancel = undefined;
      const now = this.#context.state.desired.networkByIndex(network.index);
      if (now) this.#look(now);
    });
  }

  #faultAt(network: Network, dpid: Dpid): Fault | undefined {
    const hypervisor = this.#context.state.desired.hypervisorByDpid(dpid);
    return hypervisor && network.gateways.includes(hypervisor.id)
      ? this.#faultOf(network, hypervisor.id)
      : { cause: 'unfit', message: `switch ${dpid} is none of its gateways` };
  }

  #faultOf(network: Network, id: string): Fault | undefined {
    const { desired, observed } = this.#context.state;
    const unfit = (message: string): Fault => ({ cause: 'unfit', message });
    const hypervisor = desired.hypervisors.get(id);
    if (!hypervisor) return unfit('does not exist');
    const { datapathId } = hypervisor;
    if (datapathId === undefined) return unfit('is not ours to program');
    const sides = [network.transport, desired.otherSide(network)?.transport].filter(isOverlay);
    if (!observed.switches.get(datapathId)?.connected) {
      return { cause: 'disconnected', message: `switch ${datapathId} is not connected` };
    }
    const vtep = this.#membership.vtepOf(datapathId);
    const missing = sides.find((type) => !vtep?.ports.has(type));
    if (missing) return unfit(`has no ${missing} tunnel port`);
    let seen = 0;
    for (const tunnel of observed.tunnels()) {
      if (tunnel.to !== id || !sides.includes(tunnel.type) || tunnel.health.state === 'unknown') continue;
      if (tunnel.health.state === 'up') return undefined;
      seen++;
    }
    return seen === 0 ? undefined : { cause: 'tunnels', message: 'no tunnel reaches it' };
  }

  #told(network: Network): void {
    const other = this.#context.state.desired.otherSide(network);
    for (const side of [network, other]) {
      if (side) this.#context.statusChanged('network', side.id, side.tenant);
    }
  }
}
