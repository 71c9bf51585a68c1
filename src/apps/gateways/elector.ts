import {
  type AppContext,
  type Binding,
  type Dpid,
  type Gateway,
  type GatewayOf,
  isOverlay,
  type Membership,
  membershipOf,
  type Network,
  type ObjectVerdict,
  type Port,
  restPath,
  type StateChange,
  vlanInterface,
} from '../../controller/index.ts';
import type { Announcer } from './announcer.ts';

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

/** Something that has a gateway, and who may be it. */
interface Elected {
  readonly of: GatewayOf;
  readonly tenant: string;
  /** Path of the network or port. */
  readonly object: string;
  /** Hypervisors, most wanted first. */
  readonly candidates: readonly string[];
  /** What keeps this one from being it. */
  fault(id: string): Fault | undefined;
  /** What is true of it may have changed. */
  looked(): void;
  /** Makes this one the gateway. */
  become(gateway: Gateway): void;
}

/** What is remembered of one. */
interface Watch {
  elected: Elected;
  /** Since when its gateway has had a fault, monotonic; undefined: it has none. */
  faultySince: number | undefined;
  /** Last takeover because of tunnels, monotonic. */
  dampedSince: number;
  cancel: (() => void) | undefined;
}

/**
 * Elects gateways: the first hypervisor of a list that works. One that works stays gateway, also when one listed before it comes
 * back: each takeover is a moment of loss. One that is away keeps its part while nobody else can take it, as its flows go on working.
 */
export class Elector {
  readonly counters: GatewayCounters = { unfit: 0, disconnected: 0, tunnels: 0 };
  readonly #context: AppContext;
  readonly #settings: GatewaySettings;
  readonly #membership: Membership;
  readonly #startedAt: number;
  readonly #watched = new Map<GatewayOf, Watch>();
  readonly #announcer: Pick<Announcer, 'hostsBehind' | 'moved'>;

  constructor(context: AppContext, settings: GatewaySettings, announcer: Pick<Announcer, 'hostsBehind' | 'moved'>) {
    this.#context = context;
    this.#settings = settings;
    this.#announcer = announcer;
    this.#membership = membershipOf(context.state);
    this.#startedAt = context.clock.monotonic();
    const { networks, ports } = context.state.desired;
    for (const network of networks.values()) this.#lookAtNetwork(network);
    for (const port of ports.values()) this.#lookAtPort(port);
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
        if (change.before && change.after?.extends === undefined) this.#forget(`network/${change.before.index}`);
        if (change.after) this.#lookAtNetwork(change.after);
        return;
      case 'port':
        if (change.before && (!change.after || uplinkOf(change.after) === undefined)) {
          this.#forget(`endpoint/${change.before.endpoint}`);
        }
        if (change.after) this.#lookAtPort(change.after);
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
      case 'observed-port': {
        const { before, after } = change;
        if (before?.tunnel !== after?.tunnel || before?.interfaceId !== after?.interfaceId) {
          this.#lookAtSwitch(change.dpid);
        }
        return;
      }
      default:
    }
  }

  /** What stands in the status of a network that makes up one segment with another one. */
  verdict(network: Network): ObjectVerdict | undefined {
    const { desired, observed } = this.#context.state;
    const other = desired.otherSide(network);
    const extension = network.extends === undefined ? other : network;
    if (!other || !extension) return undefined;
    const dpid = observed.gateway(`network/${extension.index}`)?.dpid;
    const active = dpid === undefined ? undefined : desired.hypervisorByDpid(dpid)?.id;
    const fields = { otherSide: other.id, gateway: active ?? null };
    const faults = extension.gateways.map((id) => [id, this.#faultOfNetwork(extension, id)] as const);
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
    for (const { elected } of [...this.#watched.values()]) {
      if (elected.candidates.some((id) => hypervisors.includes(id))) this.#look(elected);
    }
  }

  #lookAtSwitch(dpid: Dpid): void {
    const { desired, observed } = this.#context.state;
    this.#lookAtAll(desired.hypervisorByDpid(dpid)?.id);
    for (const [of, { elected }] of [...this.#watched]) if (observed.gateway(of)?.former === dpid) this.#look(elected);
  }

  #lookAtNetwork(network: Network): void {
    if (network.extends === undefined) return;
    const { tenant, id, index, gateways } = network;
    const { desired } = this.#context.state;
    this.#look({
      of: `network/${index}`,
      tenant,
      object: restPath('network', { tenant, id }),
      candidates: gateways,
      fault: (each) => this.#faultOfNetwork(desired.networkByIndex(index) ?? network, each),
      looked: () => {
        for (const side of [network, desired.otherSide(network)]) {
          if (side) this.#context.statusChanged('network', side.id, side.tenant);
        }
      },
      become: (gateway) => this.#context.observed.gatewayIs(`network/${index}`, gateway),
    });
  }

  #lookAtPort(port: Port): void {
    const uplink = uplinkOf(port);
    if (!uplink) return;
    const { tenant, id, endpoint } = port;
    this.#look({
      of: `endpoint/${endpoint}`,
      tenant,
      object: restPath('port', { tenant, id }),
      candidates: [uplink.hypervisor, ...uplink.standby],
      fault: (each) => this.#faultOfUplink(uplink, each),
      looked: () => {},
      become: (gateway) => {
        const hosts = this.#announcer.hostsBehind(port);
        this.#context.observed.gatewayIs(`endpoint/${endpoint}`, gateway);
        if (gateway.former !== undefined) this.#announcer.moved(port, hosts);
      },
    });
  }

  #forget(of: GatewayOf): void {
    if (!this.#watched.has(of)) return;
    this.#watched.get(of)!.cancel?.();
    this.#watched.delete(of);
    this.#context.observed.gatewayIs(of, undefined);
  }

  /** Sees to it that there is a gateway that works, now or when it is time. */
  #look(elected: Elected): void {
    const { of } = elected;
    const watch = this.#watched.get(of) ?? {
      elected,
      faultySince: undefined,
      dampedSince: -Infinity,
      cancel: undefined,
    };
    watch.elected = elected;
    this.#watched.set(of, watch);
    watch.cancel?.();
    watch.cancel = undefined;
    this.#settle(watch);
    elected.looked();
  }

  #settle(watch: Watch): void {
    const { of } = watch.elected;
    const { observed, clock } = this.#context;
    const gateway = observed.gateway(of);
    const fault = gateway && this.#faultAt(watch.elected, gateway.dpid);
    if (gateway && !fault) {
      watch.faultySince = undefined;
      this.#settleFormer(of, gateway, watch);
      return;
    }
    watch.faultySince ??= clock.monotonic();
    const wait = fault ? this.#patience(fault, watch) : 0;
    if (wait <= 0) this.#replace(watch, gateway, fault);
    else {
      watch.cancel = clock.after(wait, () => {
        watch.cancel = undefined;
        this.#look(watch.elected);
      });
    }
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

  #replace(watch: Watch, gateway: Gateway | undefined, fault: Fault | undefined): void {
    const { state, observed, clock } = this.#context;
    const { of, tenant, object, candidates, fault: faultOf, become } = watch.elected;
    const to = candidates
      .filter((id) => faultOf(id) === undefined)
      .map((id) => state.desired.hypervisors.get(id)!.datapathId!)
      .find((dpid) => dpid !== gateway?.dpid);
    if (to === undefined) {
      // Nobody can do better. One that may not be the gateway any more is none.
      if (fault?.cause === 'unfit') observed.gatewayIs(of, undefined);
      return;
    }
    watch.faultySince = undefined;
    if (fault?.cause === 'tunnels') watch.dampedSince = clock.monotonic();
    if (fault) this.counters[fault.cause]++;
    const reason = fault?.message ?? 'the first that works';
    this.#context.event('gateway.changed', { object, from: gateway?.dpid ?? null, to, reason }, tenant);
    const next = { dpid: to, former: gateway?.dpid };
    become(next);
    this.#settleFormer(of, next, watch);
  }

  /** Trusts the former gateway again when it must have heard that it is none any more. */
  #settleFormer(of: GatewayOf, { dpid, former }: Gateway, watch: Watch): void {
    const { state, observed } = this.#context;
    if (former === undefined) return;
    if (!state.observed.switches.has(former)) observed.gatewayIs(of, { dpid, former: undefined });
    else if (state.observed.switches.get(former)!.connected) {
      watch.cancel = this.#context.clock.after(FORMER_MS, () => {
        watch.cancel = undefined;
        const now = observed.gateway(of);
        if (now?.former === former) observed.gatewayIs(of, { dpid: now.dpid, former: undefined });
      });
    }
  }

  #faultAt({ candidates, fault }: Elected, dpid: Dpid): Fault | undefined {
    const hypervisor = this.#context.state.desired.hypervisorByDpid(dpid);
    return hypervisor && candidates.includes(hypervisor.id)
      ? fault(hypervisor.id)
      : { cause: 'unfit', message: `switch ${dpid} is not of the list` };
  }

  /** The switch of a hypervisor, when it works. */
  #switchOf(id: string): Dpid | Fault {
    const { desired, observed } = this.#context.state;
    const hypervisor = desired.hypervisors.get(id);
    if (!hypervisor) return unfit('does not exist');
    const { datapathId } = hypervisor;
    if (datapathId === undefined) return unfit('is not ours to program');
    if (observed.switches.get(datapathId)?.connected) return datapathId;
    return { cause: 'disconnected', message: `switch ${datapathId} is not connected` };
  }

  #faultOfUplink({ port, vlan }: Uplink, id: string): Fault | undefined {
    const dpid = this.#switchOf(id);
    if (typeof dpid !== 'string') return dpid;
    const there = this.#context.state.observed.portOfInterface(dpid, vlanInterface(port, vlan));
    return there ? undefined : { cause: 'disconnected', message: `has no way to VLAN ${vlan} of ${port}` };
  }

  #faultOfNetwork(network: Network, id: string): Fault | undefined {
    const { desired, observed } = this.#context.state;
    const dpid = this.#switchOf(id);
    if (typeof dpid !== 'string') return dpid;
    const sides = [network.transport, desired.otherSide(network)?.transport].filter(isOverlay);
    const vtep = this.#membership.vtepOf(dpid);
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
}

const unfit = (message: string): Fault => ({ cause: 'unfit', message });

type Uplink = Extract<Binding, { readonly vlan: number }>;

/** Where a port leads to a VLAN that more than one hypervisor has; undefined when it does not. */
const uplinkOf = ({ binding }: Port): Uplink | undefined =>
  binding && 'vlan' in binding && binding.standby.length > 0 ? binding : undefined;
