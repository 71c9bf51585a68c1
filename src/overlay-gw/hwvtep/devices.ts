import type { Duplex } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import {
  type AppContext,
  type DeviceProblem,
  type Dpid,
  devicesOf,
  type Hypervisor,
  isOverlay,
  learnsBehind,
  type Membership,
  membershipOf,
  type ObjectVerdict,
  type ObservedDevice,
  type StateChange,
} from '../../controller/index.ts';
import type { HwvtepIdentity, OvsdbTls } from '../ovsdb/index.ts';
import { candidateOf, type DeviceCandidate, type LearnedMac, learnedBy, observedOf } from './listing.ts';
import type { WantedNetwork } from './plan.ts';
import { DeviceSession, type DeviceSessionParts } from './session.ts';
import { deviceVerdict } from './verdict.ts';
import { deviceBindings, wantedNetwork } from './wishes.ts';

export interface DevicesSettings {
  /** Whose logical switches we keep. All instances that share a store manage the same. */
  readonly owner: string;
  readonly tls: OvsdbTls | undefined;
}

/** A hypervisor object that is a hardware VTEP. */
interface Device {
  readonly id: string;
  session: DeviceSession | undefined;
  /** What it shall have, by `tenant/network`. */
  networks: ReadonlyMap<string, WantedNetwork>;
  taken: readonly DeviceProblem[];
  /** Networks to look at anew; undefined: all. */
  stale: Set<string> | undefined;
  /** Its database has told in this run, or could not be reached. */
  heard: boolean;
  readonly waiting: (() => void)[];
}

/** Time that a device has to take away what was ours when it is deleted, ms. */
const DETACH_MS = 3_000;

/**
 * Hardware VTEPs: keeps the database of each as the ports bound to it and the members of their networks elsewhere ask for, and tells
 * observed state what it says. A change is looked at network by network; those of one turn are written together.
 */
export class Devices {
  readonly #context: AppContext;
  readonly #membership: Membership;
  readonly #parts: DeviceSessionParts;
  readonly #devices = new Map<string, Device>();
  /** Sessions that dialled in and belong to nobody. */
  readonly #strangers = new Set<DeviceSession>();
  readonly #stale = new Set<Device>();
  readonly #said = new Map<string, string>();
  #scheduled = false;
  #closed = false;

  constructor(context: AppContext, settings: DevicesSettings) {
    this.#context = context;
    this.#membership = membershipOf(context.state);
    const { clock, log } = context;
    this.#parts = {
      owner: settings.owner,
      clock,
      log,
      tls: settings.tls,
      changed: (session) => this.#heard(session),
    };
    for (const hypervisor of context.state.desired.hypervisors.values()) this.#edited(undefined, hypervisor);
  }

  /** Sessions by whether they are connected; `candidates` are all that are kept of strangers. */
  get counts(): { readonly connected: number; readonly away: number; readonly candidates: number } {
    let connected = 0;
    for (const { session } of this.#devices.values()) if (session?.connected) connected++;
    const all = [...this.#devices.values()].filter(({ session }) => session).length;
    return { connected, away: all - connected, candidates: this.#strangers.size };
  }

  /** Things that are wanted of devices and cannot be. */
  get problemCount(): number {
    let count = 0;
    for (const { id } of this.#devices.values()) count += this.#observed(id)?.problems.length ?? 0;
    return count;
  }

  /** MACs that devices have learned in our networks. */
  get learnedCount(): number {
    let count = 0;
    for (const { id } of this.#devices.values())
      for (const macs of this.#observed(id)?.macs.values() ?? []) count += macs.size;
    return count;
  }

  /** Devices that have dialled in and wait for somebody to make their hypervisor object. */
  candidates(): readonly DeviceCandidate[] {
    return [...this.#strangers].filter(({ connected }) => connected).map(candidateOf);
  }

  /** What devices have learned, in order of device, network and MAC. */
  learned(): readonly LearnedMac[] {
    return learnedBy(this.#devices.keys(), this.#membership, this.#context.state);
  }

  /** True when a hardware VTEP of ours that dials in has one of these physical switches. */
  claims(physicalSwitches: readonly string[]): boolean {
    return this.#named(physicalSwitches) !== undefined;
  }

  /** Takes a database in that has dialled in. */
  accept(socket: Duplex, remote: string, identity: HwvtepIdentity): void {
    const device = this.#named(identity.switches);
    const now = device?.session;
    if (device && now?.connected && !now.isWith(identity)) {
      this.#say(`twice/${device.id}`, 'hypervisor.claimed-twice', { hypervisor: device.id, remote });
      socket.destroy();
      return;
    }
    const session = now ?? DeviceSession.accepting(this.#parts);
    if (device) this.#give(session, device);
    else this.#strangers.add(session);
    session.take(socket, remote, identity);
  }

  close(): void {
    this.#closed = true;
    for (const { session } of this.#devices.values()) session?.close();
    for (const session of this.#strangers) session.close();
  }

  changed(change: StateChange): void {
    if (change.kind === 'hypervisor') this.#edited(change.before, change.after);
    if (this.#devices.size === 0) return;
    const { desired } = this.#context.state;
    if (change.kind === 'host') {
      const { network } = (change.after ?? change.before)!;
      this.#networkChanged(network);
    } else if (change.kind === 'device') {
      for (const key of new Set([...(change.before?.macs.keys() ?? []), ...(change.after?.macs.keys() ?? [])]))
        this.#touch(key);
    } else {
      const effect = this.#membership.effectOf(change);
      for (const index of effect.edges.keys()) this.#networkChanged(index);
      for (const index of effect.locals.keys()) this.#networkChanged(index);
      for (const key of effect.ports) {
        const port = desired.ports.get(key);
        if (port) this.#touch(`${port.tenant}/${port.network}`);
      }
      if (change.kind === 'port' || change.kind === 'network') {
        for (const object of [change.before, change.after])
          if (object) this.#touch(`${object.tenant}/${'network' in object ? object.network : object.id}`);
      }
    }
  }

  /**
   * Resolves when the devices have told what they learned that switches of ours reach by it, or cannot be reached: without that a switch
   * would lose rules when we start, and get them back.
   */
  told(dpid: Dpid): Promise<void> | undefined {
    const unheard = [...this.#devices.values()].filter((device) => !device.heard && this.#feeds(device, dpid));
    if (unheard.length === 0) return undefined;
    return Promise.all(unheard.map(({ waiting }) => new Promise<void>((resolve) => waiting.push(resolve)))).then(
      () => undefined,
    );
  }

  /** What stands in the status of a hardware VTEP. */
  verdict(hypervisor: Hypervisor): ObjectVerdict {
    const device = this.#devices.get(hypervisor.id);
    return deviceVerdict(hypervisor, device?.session, this.#observed(hypervisor.id), device?.networks.size ?? 0);
  }

  #observed(id: string): ObservedDevice | undefined {
    return this.#context.state.observed.device(id);
  }

  /** A member switch that reaches what this device has learned in a network. */
  #feeds({ id }: Device, dpid: Dpid): boolean {
    const { desired } = this.#context.state;
    for (const { network } of this.#membership.membersOf(dpid)) {
      const found = desired.networkByIndex(network);
      if (!found || !isOverlay(found.transport)) continue;
      if (desired.hypervisorsOf(found.tenant, found.id).has(id) && learnsBehind(found, id, desired)) return true;
    }
    return false;
  }

  /** The device that dials in and has one of these physical switches. */
  #named(physicalSwitches: readonly string[]): Device | undefined {
    const { hypervisors } = this.#context.state.desired;
    for (const device of this.#devices.values()) {
      const object = hypervisors.get(device.id);
      if (object?.physicalSwitch === undefined || object.ovsdb !== undefined) continue;
      if (physicalSwitches.includes(object.physicalSwitch)) return device;
    }
    return undefined;
  }

  #edited(before: Hypervisor | undefined, after: Hypervisor | undefined): void {
    const { id } = (after ?? before)!;
    const known = this.#devices.get(id);
    const other = before?.ovsdb !== after?.ovsdb || before?.physicalSwitch !== after?.physicalSwitch;
    if (known && other) this.#part(known, before!, after);
    if (after?.physicalSwitch === undefined) {
      if (!known) return;
      this.#devices.delete(id);
      this.#context.observed.deviceIs(id, undefined);
      return;
    }
    const device: Device = known ?? {
      id,
      session: undefined,
      networks: new Map(),
      taken: [],
      stale: undefined,
      heard: false,
      waiting: [],
    };
    this.#devices.set(id, device);
    if (after.ovsdb !== undefined) this.#dial(device, after.ovsdb);
    else for (const session of [...this.#strangers]) this.#assign(session);
    device.stale = undefined;
    this.#schedule(device);
    this.#context.statusChanged('hypervisor', id);
  }

  #dial(device: Device, address: string): void {
    if (device.session) return;
    try {
      const session = DeviceSession.dial(address, this.#parts);
      session.device = device.id;
      device.session = session;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#context.log.error({ hypervisor: device.id, address, reason }, 'cannot dial a database');
    }
  }

  /**
   * A device and its session belong together no longer. What was ours in the database goes, unless the same device is only reached
   * another way from now on.
   */
  #part(device: Device, before: Hypervisor, after: Hypervisor | undefined): void {
    const { session } = device;
    if (!session) return;
    device.session = undefined;
    session.device = undefined;
    const { physicalSwitch } = before;
    const gone = physicalSwitch !== undefined && after?.physicalSwitch !== physicalSwitch;
    session.keeper.want(gone ? { switch: physicalSwitch, networks: [] } : undefined);
    if (!session.dials) this.#strangers.add(session);
    // The removal is under way; the connection ends, or is nobody's, with what it came to.
    void session.keeper.settled(gone ? DETACH_MS : 0).then(() => {
      if (session.dials) session.close();
      else if (session.device === undefined) session.keeper.want(undefined);
    });
  }

  #give(session: DeviceSession, device: Device): void {
    this.#strangers.delete(session);
    if (device.session !== session) device.session?.close();
    session.device = device.id;
    device.session = session;
    device.stale = undefined;
    this.#schedule(device);
  }

  /** One that belongs to nobody yet: to whom it may belong, or that somebody should say so. */
  #consider(session: DeviceSession): void {
    this.#assign(session);
    const { switches } = session.keeper.view;
    if (session.device !== undefined || session.announced || switches.length === 0) return;
    session.announced = true;
    const physicalSwitches = switches.map(({ name }) => name);
    const why = 'hardware VTEPs are approved by hand';
    this.#context.event('hypervisor.pending', { systemId: '', remote: session.remote, physicalSwitches, why });
  }

  /** A stranger belongs to the device that has one of its physical switches. */
  #assign(session: DeviceSession): void {
    const device = this.#named(session.keeper.view.switches.map(({ name }) => name));
    if (!device) return;
    if (device.session?.connected) {
      const { id } = device;
      this.#say(`twice/${id}`, 'hypervisor.claimed-twice', { hypervisor: id, remote: session.remote });
    } else this.#give(session, device);
  }

  /** Something about a session changed: what the device says, how its database stands, the connection. */
  #heard(session: DeviceSession): void {
    if (this.#closed) return;
    if (this.#strangers.has(session)) {
      // Strangers leave nothing behind when they hang up: as many may come as like.
      if (!session.connected) this.#strangers.delete(session);
      else this.#consider(session);
    }
    const device = session.device === undefined ? undefined : this.#devices.get(session.device);
    if (device?.session !== session) return;
    this.#announce(session, device.id);
    this.#tell(device, session);
    this.#context.statusChanged('hypervisor', device.id);
    device.heard = true;
    for (const resolve of device.waiting.splice(0)) resolve();
  }

  /** Hands what the device says to observed state. */
  #tell(device: Device, session: DeviceSession): void {
    const physicalSwitch = this.#context.state.desired.hypervisors.get(device.id)?.physicalSwitch;
    if (physicalSwitch === undefined) return;
    this.#context.observed.deviceIs(device.id, observedOf(session, physicalSwitch, device.taken));
  }

  #networkChanged(index: number): void {
    const network = this.#context.state.desired.networkByIndex(index);
    if (network) this.#touch(`${network.tenant}/${network.id}`);
  }

  /** Looks anew at a network on the devices that have it, or shall have it. */
  #touch(key: string): void {
    const { desired } = this.#context.state;
    const network = desired.networks.get(key);
    this.#touchOne(key);
    const beyond = network && desired.otherSide(network);
    if (beyond) this.#touchOne(`${beyond.tenant}/${beyond.id}`);
  }

  #touchOne(key: string): void {
    const { desired } = this.#context.state;
    const network = desired.networks.get(key);
    const wanted = network ? devicesOf(network, desired) : [];
    for (const device of this.#devices.values()) {
      if (!device.networks.has(key) && !wanted.some(({ id }) => id === device.id)) continue;
      device.stale?.add(key);
      this.#schedule(device);
    }
  }

  #schedule(device: Device): void {
    this.#stale.add(device);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const stale = [...this.#stale];
      this.#stale.clear();
      if (!this.#closed) for (const each of stale) this.#want(each);
    });
  }

  #want(device: Device): void {
    const { state } = this.#context;
    const object = state.desired.hypervisors.get(device.id);
    if (object?.physicalSwitch === undefined || this.#devices.get(device.id) !== device) return;
    const { networks, taken } = deviceBindings(object, state.desired);
    const wanted = new Map<string, WantedNetwork>();
    for (const [key, bindings] of networks) {
      const known = device.stale && !device.stale.has(key) ? device.networks.get(key) : undefined;
      const network = state.desired.networks.get(key);
      if (known) wanted.set(key, { ...known, bindings });
      else if (network) wanted.set(key, wantedNetwork(network, bindings, object, this.#membership, state));
    }
    // To compare with the database costs more than to see that nothing else is wanted than before.
    const isSame = device.stale !== undefined && isDeepStrictEqual(wanted, device.networks);
    device.networks = wanted;
    device.taken = taken;
    device.stale = new Set();
    if (!device.session) return;
    if (!isSame) device.session.keeper.want({ switch: object.physicalSwitch, networks: [...wanted.values()] });
    if (device.session.status.state !== 'away' || device.heard) this.#tell(device, device.session);
  }

  /** Tells connections and their ends, each once. */
  #announce({ connected, status, remote }: DeviceSession, hypervisor: string): void {
    if (connected) this.#say(`session/${hypervisor}`, 'hypervisor.connected', { hypervisor, remote });
    else if (this.#said.has(`session/${hypervisor}`))
      this.#say(`session/${hypervisor}`, 'hypervisor.disconnected', { hypervisor, reason: status.reason ?? '' });
  }

  /** The same thing about the same subject is said once in a row. */
  #say(subject: string, type: string, fields: Readonly<Record<string, unknown>>): void {
    if (this.#said.get(subject) === type) return;
    this.#said.set(subject, type);
    this.#context.event(type, fields);
  }
}
