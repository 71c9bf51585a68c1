import {
  ACTIVATION_SIGNS,
  type AppContext,
  bindingsOf,
  type Dpid,
  followMigration,
  formatMac,
  type Hypervisor,
  isMoving,
  type ObservedPort,
  type Port,
  type StateChange,
  sameBinding,
} from '../../controller/index.ts';
import { type Mover, OWN_REASONS } from './mover.ts';

const RECONSIDER_MS = 1_000;

/** An interface that turned up somewhere. */
interface Found {
  readonly hypervisor: Hypervisor;
  readonly dpid: Dpid;
  readonly port: ObservedPort;
}

/**
 * Notices that the interface of a port turns up at another hypervisor than the one that the port is bound to, and lets the port move there.
 * What says so is the hypervisors' databases, never a guest.
 */
export class Follower {
  readonly #context: AppContext;
  readonly #mover: Mover;
  /** Ports by the interfaces that they are bound to, at whichever hypervisor. */
  readonly #ports = new Map<string, Set<string>>();
  /** Ports whose interface left for more than one place. */
  readonly #ambiguous = new Set<string>();
  readonly #timers = new Set<() => void>();

  constructor(context: AppContext, mover: Mover) {
    this.#context = context;
    this.#mover = mover;
    for (const port of context.state.desired.ports.values()) this.#index(undefined, port);
    // What turned up while we were not there.
    for (const [id] of this.#ports) this.#lost(id);
  }

  changed(change: StateChange): void {
    if (change.kind === 'port') {
      this.#index(change.before, change.after);
      this.#reconsider(change.after);
    }
    if (change.kind !== 'observed-port') return;
    const [was, is] = [change.before?.interfaceId, change.after?.interfaceId];
    if (was === is) return;
    if (was !== undefined && this.#matters(was, change.dpid)) this.#lost(was);
    if (is !== undefined) this.#turnedUp(is, change.dpid);
  }

  /** A move that we began ourselves and took back: things may have changed again while that was written. */
  #reconsider(port: Port | undefined): void {
    const { migration } = port ?? {};
    if (migration?.phase !== 'aborted' || !OWN_REASONS.has(migration.reason ?? '')) return;
    const cancel = this.#context.clock.after(RECONSIDER_MS, () => {
      this.#timers.delete(cancel);
      for (const id of interfacesOf(port)) this.#lost(id);
    });
    this.#timers.add(cancel);
  }

  close(): void {
    for (const cancel of this.#timers) cancel();
  }

  #index(before: Port | undefined, after: Port | undefined): void {
    const key = `${(after ?? before)!.tenant}/${(after ?? before)!.id}`;
    if (!sameBinding(before?.binding, after?.binding)) this.#ambiguous.delete(key);
    for (const id of interfacesOf(before)) {
      const keys = this.#ports.get(id);
      keys?.delete(key);
      if (keys?.size === 0) this.#ports.delete(id);
    }
    for (const id of interfacesOf(after)) this.#ports.set(id, (this.#ports.get(id) ?? new Set()).add(key));
  }

  /** The one port that an interface belongs to; undefined as well when several hypervisors use the same id for different ports. */
  #portOf(interfaceId: string): { readonly key: string; readonly port: Port; readonly at: string } | undefined {
    const keys = this.#ports.get(interfaceId);
    if (keys?.size !== 1) return undefined;
    const [key] = [...keys] as [string];
    const port = this.#context.state.desired.ports.get(key);
    if (!port?.binding || !('interfaceId' in port.binding) || port.binding.interfaceId !== interfaceId)
      return undefined;
    return port.migration?.announced && isMoving(port) ? undefined : { key, port, at: port.binding.hypervisor };
  }

  #turnedUp(interfaceId: string, dpid: Dpid): void {
    const owner = this.#portOf(interfaceId);
    const hypervisor = this.#context.state.desired.hypervisorByDpid(dpid);
    const found = owner && hypervisor && hypervisor.id !== owner.at ? this.#at(hypervisor, interfaceId) : undefined;
    if (found) this.#follow(owner!, found);
  }

  /** True for what went away where its port is bound to, and for what could not be followed because it was at several places. */
  #matters(interfaceId: string, dpid: Dpid): boolean {
    const owner = this.#portOf(interfaceId);
    const { desired } = this.#context.state;
    return (
      owner !== undefined && (desired.hypervisors.get(owner.at)?.datapathId === dpid || this.#ambiguous.has(owner.key))
    );
  }

  /** It went away somewhere, or may have: if it is not where its port is bound to, it may be elsewhere already. */
  #lost(interfaceId: string): void {
    const owner = this.#portOf(interfaceId);
    if (!owner || this.#isAt(owner.at, interfaceId)) return;
    const elsewhere: Found[] = [];
    for (const hypervisor of this.#context.state.desired.hypervisors.values()) {
      const found = hypervisor.id === owner.at ? undefined : this.#at(hypervisor, interfaceId);
      if (found) elsewhere.push(found);
    }
    const [only, second] = elsewhere;
    if (second) this.#ambiguous.add(owner.key);
    else this.#ambiguous.delete(owner.key);
    if (only && !second) this.#follow(owner, only);
    else if (second) {
      const { tenant, id } = owner.port;
      const hypervisors = elsewhere.map(({ hypervisor }) => hypervisor.id);
      this.#context.event('migration.ambiguous', { object: `/v1/tenants/${tenant}/ports/${id}`, hypervisors }, tenant);
    }
  }

  #isAt(hypervisor: string, interfaceId: string): boolean {
    const known = this.#context.state.desired.hypervisors.get(hypervisor);
    return known !== undefined && this.#at(known, interfaceId) !== undefined;
  }

  #at(hypervisor: Hypervisor, interfaceId: string): Found | undefined {
    const dpid = hypervisor.datapathId;
    const port = dpid === undefined ? undefined : this.#context.state.observed.portOfInterface(dpid, interfaceId);
    return port && { hypervisor, dpid: dpid!, port };
  }

  #follow({ key, port, at }: { key: string; port: Port; at: string }, { hypervisor, dpid, port: nic }: Found): void {
    const { attachedMac, interfaceId } = nic;
    const { log, state } = this.#context;
    if (attachedMac !== undefined && port.mac !== 'learned' && attachedMac !== port.mac) {
      log.info(
        { port: key, hypervisor: hypervisor.id, attachedMac: formatMac(attachedMac) },
        'an interface with the id of a port turned up at another hypervisor, with another MAC: not followed',
      );
      return;
    }
    const to = { hypervisor: hypervisor.id, interfaceId: interfaceId! };
    // Nothing is sent to what might be another guest before that one has shown to be the right one.
    const deliver = attachedMac === port.mac ? 'both' : 'active';
    const gone = !this.#isAt(at, interfaceId!) && state.observed.switches.get(dpid)?.connected === true;
    void this.#mover.write(
      key,
      followMigration({ to, deliver, activateOn: ACTIVATION_SIGNS, activateAfterMs: undefined }, gone),
    );
  }
}

const interfacesOf = (port: Port | undefined): ReadonlySet<string> =>
  new Set((port ? bindingsOf(port) : []).flatMap((each) => ('interfaceId' in each ? [each.interfaceId] : [])));
