import type { Duplex } from 'node:stream';
import {
  type AppContext,
  bindingsOf,
  type Dpid,
  formatIp,
  type Hypervisor,
  isId,
  type JsonObject,
  type ObjectService,
  type ObjectVerdict,
  type Port,
  RequestError,
  type StateChange,
  vlanInterface,
} from '../../controller/index.ts';
import { type OvsdbTls, tunnelStates, type VswitchIdentity, type WantedVswitch } from '../ovsdb/index.ts';
import { hostOf, type Refusals } from './refusals.ts';
import { DatabaseSession, type SessionParts } from './session.ts';
import {
  bridgeOf,
  datapaths,
  declaredAddresses,
  OWNER,
  TUNNELS,
  tunnelTypes,
  type VlanEnd,
  wantedPatches,
  wantedTunnels,
} from './view.ts';

export interface HypervisorSettings {
  /** Where databases dial in; undefined: nowhere. */
  readonly listen: { readonly host: string; readonly port: number } | undefined;
  readonly tls: OvsdbTls | undefined;
  /** Whether a database that dials in and that no hypervisor object names makes one by itself. */
  readonly approval: 'manual' | 'auto';
  /** Name of the bridge that VMs are plugged into, for hypervisors that register themselves. */
  readonly bridge: string;
  /** OpenFlow controllers to set on integration bridges; empty: none is touched. */
  readonly controllers: readonly string[];
  readonly objects: Pick<ObjectService, 'put' | 'get'>;
}

/** A database that has dialled in and belongs to no hypervisor. */
export interface Candidate {
  readonly systemId: string;
  readonly hostname: string;
  readonly remote: string;
  /** Datapath ids by bridge. */
  readonly bridges: JsonObject;
  readonly tunnelAddresses: readonly string[];
  /** Of the hardware VTEP that its server is as well, or instead. */
  readonly physicalSwitches: readonly string[];
}

/**
 * Sessions with the databases of hypervisors: says of each port whose NIC it is, and keeps the tunnel ports as they should be.
 * One session a hypervisor: dialled when its object says where, else the one that dialled in and has its datapath id.
 */
export class Hypervisors {
  readonly #context: AppContext;
  readonly #refusals: Refusals;
  readonly #settings: HypervisorSettings;
  readonly #parts: SessionParts;
  /** Dialled, by id of the hypervisor. */
  readonly #dialled = new Map<string, DatabaseSession>();
  /** Dialled in, by the database's UUID. */
  readonly #accepted = new Map<string, DatabaseSession>();
  /** The session of a hypervisor. */
  readonly #sessions = new Map<string, DatabaseSession>();
  readonly #registering = new Set<string>();
  readonly #said = new Map<string, string>();
  /** Switches whose database has told of its ports in this run. */
  readonly #told = new Set<Dpid>();
  readonly #waiting = new Map<Dpid, (() => void)[]>();

  constructor(context: AppContext, settings: HypervisorSettings, refusals: Refusals) {
    this.#context = context;
    this.#refusals = refusals;
    this.#settings = settings;
    const { clock, log } = context;
    this.#parts = {
      clock,
      log,
      tls: settings.tls,
      changed: (session) => this.#look(session),
      ended: (session) => this.#forget(session),
    };
    for (const hypervisor of context.state.desired.hypervisors.values()) this.#edited(undefined, hypervisor);
  }

  /** Sessions by whether they are connected; `candidates` are all that are kept of strangers. */
  get counts(): {
    readonly connected: number;
    readonly away: number;
    readonly candidates: number;
  } {
    let connected = 0;
    for (const session of this.#sessions.values()) if (session.connected) connected++;
    let candidates = 0;
    for (const session of this.#accepted.values()) if (session.hypervisor === undefined) candidates++;
    return { connected, away: this.#sessions.size - connected, candidates };
  }

  /** Databases that have dialled in and wait for somebody to make their hypervisor, by system id. */
  candidates(): readonly Candidate[] {
    return [...this.#accepted.values()]
      .filter((session) => session.connected && session.hypervisor === undefined)
      .map(({ keeper, identity, remote, physicalSwitches }) => ({
        systemId: identity?.systemId ?? '',
        hostname: identity?.hostname ?? '',
        remote,
        bridges: Object.fromEntries(datapaths(keeper.tables)),
        tunnelAddresses: declaredAddresses(keeper.tables).map(formatIp),
        physicalSwitches,
      }))
      .sort((a, b) => (a.systemId < b.systemId ? -1 : 1));
  }

  close(): void {
    for (const session of [...this.#dialled.values(), ...this.#accepted.values()]) session.close();
  }

  changed(change: StateChange): void {
    if (change.kind === 'hypervisor') this.#edited(change.before, change.after);
    else if (change.kind === 'port') this.#vlansChanged(change.before, change.after);
    else if (change.kind === 'switch') {
      const id = this.#context.state.desired.hypervisorByDpid(change.dpid)?.id;
      if (id !== undefined) this.#context.statusChanged('hypervisor', id);
    }
  }

  /**
   * Resolves when the database of a hypervisor's switch has told of its ports for the first time in this run: what is remembered of the
   * last run may be older than what the switch holds.
   */
  told(dpid: Dpid): Promise<void> | undefined {
    if (this.#told.has(dpid) || !this.#context.state.desired.hypervisorByDpid(dpid)) return undefined;
    return new Promise((resolve) => {
      this.#waiting.set(dpid, [...(this.#waiting.get(dpid) ?? []), resolve]);
    });
  }

  #tell(dpid: Dpid): void {
    this.#told.add(dpid);
    for (const resolve of this.#waiting.get(dpid) ?? []) resolve();
    this.#waiting.delete(dpid);
  }

  /** What stands in a hypervisor's status. */
  verdict(hypervisor: Hypervisor): ObjectVerdict {
    const session = this.#sessions.get(hypervisor.id);
    const fields = this.#fields(hypervisor, session);
    const [reason, message] = this.#problem(hypervisor, session) ?? [];
    if (reason !== undefined && message !== undefined) return { ok: false, reason, message, fields };
    return hypervisor.datapathId === undefined
      ? { ok: true, reason: 'Foreign', message: 'a tunnel endpoint that is not ours to program', fields }
      : {
          ok: true,
          reason: 'Connected',
          message: 'its switch and its database are connected and as they should be',
          fields,
        };
  }

  #problem(hypervisor: Hypervisor, session: DatabaseSession | undefined): [string, string] | undefined {
    const { datapathId, tunnelAddresses } = hypervisor;
    if (datapathId === undefined) return undefined;
    const refusal = this.#refusalOf(hypervisor, session);
    if (!session)
      return ['DatabaseUnknown', `its database has not dialled in, and no address to dial is given${refusal}`];
    const { status, keeper } = session;
    if (!session.connected) return ['DatabaseAway', `${status.reason ?? 'no session'}${refusal}`];
    if (bridgeOf(keeper.tables, datapathId) === undefined) {
      const there = [...datapaths(keeper.tables)].map(([name, dpid]) => `${name} ${dpid}`).join(', ') || 'none';
      return ['BridgeMissing', `no bridge has datapath id ${datapathId}; there are: ${there}`];
    }
    if (status.state === 'failed') return ['DatabaseRefused', status.reason ?? 'refused'];
    const [problem] = status.problems;
    if (problem) return ['TunnelRefused', problem.message];
    for (const { name, error } of tunnelStates(keeper.tables, OWNER).values()) {
      if (error !== undefined) return ['TunnelFailed', `port ${name}: ${error}`];
    }
    const declared = declaredAddresses(keeper.tables).map(formatIp);
    const wanted = tunnelAddresses.map(formatIp);
    if (declared.length > 0 && declared.some((address) => !wanted.includes(address))) {
      return [
        'AddressDiffers',
        `its database says that tunnels end at ${declared.join(', ')}, not ${wanted.join(', ')}`,
      ];
    }
    if (!this.#context.state.observed.switches.get(datapathId)?.connected) {
      return ['SwitchDisconnected', `switch ${datapathId} is not connected`];
    }
    return undefined;
  }

  #fields({ datapathId }: Hypervisor, session: DatabaseSession | undefined): JsonObject {
    if (datapathId === undefined) return {};
    if (!session) return { database: { state: 'unknown' } };
    const { status, remote, keeper } = session;
    const states = tunnelStates(keeper.tables, OWNER);
    const bridge = bridgeOf(keeper.tables, datapathId);
    const labels = bridge === undefined ? [] : [...session.labels(bridge).values()];
    return {
      database: {
        state: session.connected ? status.state : 'away',
        remote,
        since: new Date(status.since).toISOString(),
        ...(status.reason === undefined ? {} : { reason: status.reason }),
      },
      ...(bridge === undefined ? {} : { bridge }),
      interfaces: labels.filter(({ interfaceId }) => interfaceId !== undefined).length,
      tunnelPorts: tunnelTypes.flatMap((type): JsonObject[] => {
        const state = states.get(TUNNELS[type].name);
        if (!state) return [];
        const { ofport, error } = state;
        return [{ type, name: state.name, ...(ofport === undefined ? {} : { ofport }), ...(error ? { error } : {}) }];
      }),
    };
  }

  #edited(before: Hypervisor | undefined, after: Hypervisor | undefined): void {
    const { id } = (after ?? before)!;
    if (before && (!after || after.ovsdb !== before.ovsdb || after.datapathId !== before.datapathId))
      this.#part(id, before, after);
    if (!after) for (const subject of ['session', 'twice']) this.#said.delete(`${subject}/${id}`);
    if (!after || after.datapathId === undefined) return;
    if (after.ovsdb !== undefined) this.#dial(id, after.ovsdb);
    const own = this.#sessions.get(id);
    if (own) this.#look(own);
    else for (const session of this.#accepted.values()) if (session.hypervisor === undefined) this.#look(session);
    this.#context.statusChanged('hypervisor', id);
  }

  /**
   * The hypervisor and its session belong together no longer. What was ours in the database goes, unless the same switch is only
   * reached another way from now on.
   */
  #part(id: string, before: Hypervisor, after: Hypervisor | undefined): void {
    const session = this.#sessions.get(id);
    if (session) this.#leave(session, after?.datapathId === before.datapathId);
    const dialled = this.#dialled.get(id);
    if (!dialled || (after?.ovsdb === dialled.remote && after.datapathId !== undefined)) return;
    this.#dialled.delete(id);
    // The removal is under way; the connection ends with what it came to.
    void dialled.keeper.settled(DETACH_MS).then(() => dialled.close());
  }

  /** `keep`: ports and what is known of them stay as they are. */
  #leave(session: DatabaseSession, keep: boolean): void {
    if (session.hypervisor !== undefined) this.#sessions.delete(session.hypervisor);
    if (session.dpid !== undefined && !keep) this.#context.observed.labelPorts(session.dpid, new Map());
    session.hypervisor = undefined;
    session.dpid = undefined;
    session.labelled = undefined;
    session.wants = undefined;
    session.keeper.want(keep ? undefined : { owner: OWNER, tunnels: [] });
    // One that is away is kept while something is to be removed from it.
    if (keep && !session.connected) this.#forget(session);
  }

  #dial(id: string, address: string): void {
    try {
      const session = this.#dialled.get(id) ?? DatabaseSession.dial(address, this.#parts);
      this.#dialled.set(id, session);
      this.#sessions.set(id, session);
      session.hypervisor = id;
    } catch (error) {
      this.#context.log.error({ hypervisor: id, address, reason: (error as Error).message }, 'cannot dial a database');
    }
  }

  /** Takes a database in that has dialled in; `physicalSwitches` are those of a hardware VTEP that its server has as well. */
  accept(socket: Duplex, remote: string, identity: VswitchIdentity, physicalSwitches: readonly string[]): void {
    let session = this.#accepted.get(identity.database);
    if (!session) {
      session = DatabaseSession.accepted(remote, identity, this.#parts);
      this.#accepted.set(identity.database, session);
    }
    session.identity = identity;
    session.physicalSwitches = physicalSwitches;
    session.remote = remote;
    session.keeper.client.use(socket);
  }

  /** Hangs up on candidates that have this physical switch: they dial in again, and are taken as a hardware VTEP then. */
  release(physicalSwitch: string): void {
    for (const session of [...this.#accepted.values()]) {
      if (session.hypervisor === undefined && session.physicalSwitches.includes(physicalSwitch))
        session.keeper.client.close();
    }
  }

  /** Why one that may be this hypervisor's database was sent away, to be added to a message. */
  #refusalOf({ tunnelAddresses, ovsdb }: Hypervisor, session: DatabaseSession | undefined): string {
    if (ovsdb !== undefined) return '';
    const hosts = session ? [hostOf(session.remote)] : tunnelAddresses.map(formatIp);
    return this.#refusals.why(hosts);
  }

  /** Strangers leave nothing behind when they hang up: as many may come as like. */
  #forget(session: DatabaseSession): void {
    const { identity, hypervisor } = session;
    if (!identity || hypervisor !== undefined || this.#accepted.get(identity.database) !== session) return;
    this.#accepted.delete(identity.database);
    this.#said.delete(`candidate/${identity.database}`);
  }

  /** Something about a session changed: whose it is, what its ports are, what it should hold. */
  #look(session: DatabaseSession): void {
    this.#assign(session);
    const { hypervisor: id, keeper } = session;
    if (id === undefined) {
      this.#consider(session);
      return;
    }
    const hypervisor = this.#context.state.desired.hypervisors.get(id);
    if (!hypervisor || hypervisor.datapathId === undefined) return;
    this.#announce(session, id);
    this.#context.statusChanged('hypervisor', id);
    if (!session.connected) return;
    const bridge = bridgeOf(keeper.tables, hypervisor.datapathId);
    if (bridge === undefined) return;
    const labels = session.labels(bridge);
    if (session.dpid !== hypervisor.datapathId || session.labelled !== labels) {
      session.dpid = hypervisor.datapathId;
      session.labelled = labels;
      this.#context.observed.labelPorts(session.dpid, labels);
    }
    this.#tell(session.dpid);
    this.#want(session, bridge, hypervisor);
    if (this.#settings.approval === 'auto' && session.identity?.systemId === id) this.#consider(session);
  }

  /** A session that dialled in belongs to the hypervisor whose datapath id one of its bridges has. */
  #assign(session: DatabaseSession): void {
    if (session.identity === undefined || !session.connected) return;
    const { desired } = this.#context.state;
    const found = [...datapaths(session.keeper.tables).values()]
      .map((dpid) => desired.hypervisorByDpid(dpid))
      .find((hypervisor) => hypervisor && hypervisor.ovsdb === undefined);
    // A bridge that is away for a moment takes nothing from a hypervisor that is known.
    if (!found || found.id === session.hypervisor) return;
    const other = this.#sessions.get(found.id);
    if (other && other !== session) {
      if (other.connected) {
        this.#say(`twice/${found.id}`, 'hypervisor.claimed-twice', { hypervisor: found.id, remote: session.remote });
        return;
      }
      other.hypervisor = undefined;
      this.#forget(other);
    }
    if (session.hypervisor !== undefined) this.#leave(session, false);
    session.hypervisor = found.id;
    this.#sessions.set(found.id, session);
  }

  #want(session: DatabaseSession, bridge: string, { id, tunnelAddresses }: Hypervisor): void {
    const { controllers } = this.#settings;
    const vlans = this.#vlansOf(id);
    const patches = wantedPatches(session.keeper.tables, bridge, vlans);
    const wanted: WantedVswitch = {
      owner: OWNER,
      tunnels: [...wantedTunnels(bridge, tunnelAddresses), ...patches],
      ...(controllers.length === 0 ? {} : { controllers: new Map([[bridge, controllers]]) }),
    };
    const key = JSON.stringify([
      bridge,
      tunnelAddresses.map(formatIp),
      controllers,
      patches.map(({ name, bridge }) => [name, bridge]),
    ]);
    if (session.wants === key) return;
    session.wants = key;
    session.keeper.want(wanted);
  }

  /** VLANs on ports of a hypervisor that ports are bound to there, or would be if it were their gateway. */
  #vlansOf(hypervisor: string): readonly VlanEnd[] {
    const { desired } = this.#context.state;
    const ends = new Map<string, VlanEnd>();
    for (const each of desired.portsOfHypervisor(hypervisor)) {
      for (const binding of bindingsOf(each)) {
        if (!('vlan' in binding) || ![binding.hypervisor, ...binding.standby].includes(hypervisor)) continue;
        const { port, vlan } = binding;
        ends.set(vlanInterface(port, vlan), { port, vlan });
      }
    }
    return [...ends.values()];
  }

  #vlansChanged(before: Port | undefined, after: Port | undefined): void {
    const hypervisors = new Set<string>();
    for (const port of [before, after]) {
      for (const binding of port ? bindingsOf(port) : []) {
        if (!('vlan' in binding)) continue;
        for (const id of [binding.hypervisor, ...binding.standby]) hypervisors.add(id);
      }
    }
    for (const id of hypervisors) {
      const session = this.#sessions.get(id);
      if (session) this.#look(session);
    }
  }

  /** One that belongs to no hypervisor: makes it one, or says that somebody should. With `auto`, keeps those that it made in step. */
  #consider(session: DatabaseSession): void {
    const { identity, keeper, remote } = session;
    if (!identity || !session.connected) return;
    const { approval, bridge, objects } = this.#settings;
    const id = identity.systemId?.toLowerCase();
    const dpid: Dpid | undefined = datapaths(keeper.tables).get(bridge);
    if (approval === 'manual' || id === undefined || !isId(id) || dpid === undefined) {
      const why =
        approval === 'manual'
          ? 'hypervisors are approved by hand'
          : dpid === undefined
            ? `it has no bridge ${bridge}`
            : 'it has no usable external_ids:system-id';
      this.#say(`candidate/${identity.database}`, 'hypervisor.pending', {
        systemId: identity.systemId ?? '',
        remote,
        why,
      });
      return;
    }
    const tunnelAddresses = declaredAddresses(keeper.tables).map(formatIp);
    const known = this.#context.state.desired.hypervisors.get(id);
    if (
      known &&
      (known.ovsdb !== undefined ||
        (known.datapathId === dpid && known.tunnelAddresses.map(formatIp).join() === tunnelAddresses.join()))
    )
      return;
    if (this.#registering.has(id)) return;
    this.#registering.add(id);
    const body = { datapathId: dpid, tunnelAddresses, ...(known?.site === undefined ? {} : { site: known.site }) };
    objects
      .put('hypervisor', { tenant: '', id }, body)
      .then(({ created }) => {
        if (created) this.#context.event('hypervisor.registered', { hypervisor: id, remote });
      })
      .catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error);
        if (!(error instanceof RequestError))
          this.#context.log.error({ err: error }, 'a hypervisor could not be registered');
        this.#say(`candidate/${identity.database}`, 'hypervisor.refused', { systemId: id, remote, reason });
      })
      .finally(() => this.#registering.delete(id));
  }

  /** Tells connections and their ends, each once. */
  #announce(session: DatabaseSession, hypervisor: string): void {
    const { status, remote } = session;
    if (session.connected) this.#say(`session/${hypervisor}`, 'hypervisor.connected', { hypervisor, remote });
    else if (this.#said.has(`session/${hypervisor}`)) {
      this.#say(`session/${hypervisor}`, 'hypervisor.disconnected', { hypervisor, reason: status.reason ?? '' });
    }
  }

  /** The same thing about the same subject is said once in a row. */
  #say(subject: string, type: string, fields: Readonly<Record<string, unknown>>): void {
    if (this.#said.get(subject) === type) return;
    this.#said.set(subject, type);
    this.#context.event(type, fields);
  }
}

/** Time that a switch has to take away what was ours when its hypervisor is deleted, ms. */
const DETACH_MS = 3_000;
