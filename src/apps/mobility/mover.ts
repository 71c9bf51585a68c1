import {
  type ActivatedBy,
  type AppContext,
  abortMigration,
  type Binding,
  type Dpid,
  finishMigration,
  foreignEnd,
  isBeforeSwitch,
  isForeignPlace,
  isMoving,
  type Member,
  type Membership,
  type Migration,
  membershipOf,
  type ObjectService,
  type PacketInView,
  type Port,
  type PortEdit,
  RequestError,
  readyMigration,
  resolveBinding,
  restPath,
  type StateChange,
  type SwitchPort,
  switchAtOnce,
  switchMigration,
  unreadyMigration,
} from '../../controller/index.ts';
import { MoveMetrics } from './metrics.ts';
import { endpointOf } from './owners.ts';
import { signOf } from './signs.ts';
import { Track } from './track.ts';

export interface MobilitySettings {
  /** Follow guests whose interface turns up at another hypervisor than the one that their port is bound to. */
  readonly follow: boolean;
  readonly objects: Pick<ObjectService, 'move'>;
  /** See `AppFacts.programmed`. */
  readonly programmed: (objects: readonly string[], needed: Dpid | undefined, signal: AbortSignal) => Promise<void>;
  /** See `AppFacts.remembered`. */
  readonly remembered: () => Promise<void>;
}

/** Time that frames may be under way to the old place after every sender's switch has confirmed the new one, ms. */
const LINGER_MS = 1_000;
/** The same while some sender's switch is away, which goes on sending to the old place until it is back, ms. */
const AWAY_LINGER_MS = 30_000;
const Reason = {
  notThere: 'its interface is not there any more',
  back: 'its interface is at the old place again',
} as const;
/** Why moves are taken back that nobody asked for, and nobody took back. */
export const OWN_REASONS: ReadonlySet<string> = new Set(Object.values(Reason));
const RETRY_MS = 1_000;
/** Time between looks at a place of which nothing is known yet, ms. */
const UNKNOWN_MS = 500;

/**
 * Carries moves of ports from phase to phase. What is stored decides; here are only what was noticed meanwhile, and what is waited for. A
 * controller that starts again looks at each move as it finds it.
 */
export class Mover {
  readonly #context: AppContext;
  readonly #settings: MobilitySettings;
  readonly #membership: Membership;
  readonly #metrics: MoveMetrics;
  readonly #tracks = new Map<string, Track>();
  readonly #byEndpoint = new Map<number, string>();
  /** Ports whose interface went away while they did not move, and when. */
  readonly #departed = new Map<string, number>();
  readonly #stopLooking: () => void;
  #closed = false;

  constructor(context: AppContext, settings: MobilitySettings) {
    this.#context = context;
    this.#settings = settings;
    this.#membership = membershipOf(context.state);
    this.#metrics = new MoveMetrics(context, () => [...this.#tracks.values()].map(({ phase }) => phase));
    for (const [key, port] of context.state.desired.ports) if (isMoving(port)) this.#look(key);
    this.#stopLooking = context.clock.every(UNKNOWN_MS, () => {
      for (const { key, unknown } of this.#tracks.values()) if (unknown) this.#look(key);
    });
  }

  close(): void {
    this.#closed = true;
    this.#stopLooking();
    for (const track of this.#tracks.values()) track.stop();
    this.#tracks.clear();
  }

  changed(change: StateChange): void {
    if (change.kind === 'tunnel' || change.kind === 'link') return;
    if (change.kind === 'host') {
      if (change.after && this.#tracks.size > 0) this.#hostSeen(change.after.at.dpid, change.after.at.port);
      return;
    }
    const effect = this.#membership.effectOf(change);
    if (change.kind === 'port') this.#tellPhase(change.before, change.after);
    for (const key of effect.ports) this.#look(key);
    // What is missing at a switch that has connected is known to be missing; and nobody waits for it any more.
    if (change.kind === 'switch' || change.kind === 'device')
      for (const key of [...this.#tracks.keys()]) this.#look(key);
    for (const { before, after } of effect.places) {
      for (const port of [before?.port, after?.port]) if (port) this.#noteDeparture(port);
    }
  }

  /** A frame that a guest sent at the place that it moves to. */
  packetIn(from: SwitchPort, { cookieLo, bytes, dataAt, dataEnd, inPort }: PacketInView): void {
    const endpoint = endpointOf(cookieLo);
    const key = endpoint === undefined ? undefined : this.#byEndpoint.get(endpoint);
    const port = key === undefined ? undefined : this.#context.state.desired.ports.get(key);
    if (!port || !isBeforeSwitch(port)) return;
    const place = this.#membership.otherPlaceOf(port);
    if (place?.dpid !== from.dpid || place.no !== inPort) return;
    const sign = signOf(bytes, dataAt, dataEnd, port.migration!.activateOn);
    if (sign) this.#noticed(key!, sign);
  }

  /** Stores a step of a port's move. When that fails the move is looked at again a while later. */
  async write(key: string, edit: PortEdit): Promise<void> {
    const [tenant = '', id = ''] = key.split('/');
    try {
      await this.#settings.objects.move({ tenant, id }, edit);
    } catch (error) {
      if (this.#closed) return;
      // It was deleted meanwhile, or the place belongs to another port; or the store failed.
      if (error instanceof RequestError)
        this.#context.log.info({ port: key, reason: error.message }, 'a step of a move was refused');
      else this.#context.log.error({ port: key, err: error }, 'a step of a move could not be stored');
      await new Promise<void>((resolve) => this.#context.clock.after(RETRY_MS, resolve));
    }
  }

  /** For learned ports there are no rules that show signs: whoever is learned at the new place is one. */
  #hostSeen(dpid: Dpid, no: number): void {
    const port = this.#membership.at(dpid, no)?.port;
    if (!port || port.mac !== 'learned' || !isBeforeSwitch(port)) return;
    const place = this.#membership.otherPlaceOf(port);
    if (place?.dpid === dpid && place.no === no && port.migration!.activateOn.includes('packet')) {
      this.#noticed(`${port.tenant}/${port.id}`, 'packet');
    }
  }

  #noticed(key: string, sign: NonNullable<Track['sign']>): void {
    const track = this.#tracks.get(key);
    if (!track || track.sign) return;
    track.sign = sign;
    track.signAt = this.#context.clock.monotonic();
    this.#look(key);
  }

  #noteDeparture(port: Port): void {
    const key = `${port.tenant}/${port.id}`;
    const now = this.#context.state.desired.ports.get(key);
    if (!now || this.#membership.placeOf(now)) this.#departed.delete(key);
    else if (!this.#departed.has(key)) this.#departed.set(key, this.#context.clock.monotonic());
  }

  /** Looks at a port's move as it is now, and does what is next. */
  #look(key: string): void {
    const port = this.#context.state.desired.ports.get(key);
    const migration = port?.migration;
    let track = this.#tracks.get(key);
    if (this.#closed || !port || !migration || !isMoving(port)) {
      if (track) this.#forget(track);
      return;
    }
    if (track?.startedAt !== migration.startedAt) {
      if (track) this.#forget(track);
      track = new Track(key, migration.startedAt, port.endpoint, migration.phase);
      track.leftAt = this.#departed.get(key);
      this.#tracks.set(key, track);
      this.#byEndpoint.set(port.endpoint, key);
    }
    track.phase = migration.phase;
    if (migration.phase === 'switched') this.#afterSwitch(track, port, migration);
    else this.#beforeSwitch(track, port, migration);
  }

  #forget(track: Track): void {
    track.stop();
    this.#tracks.delete(track.key);
    this.#byEndpoint.delete(track.endpoint);
  }

  #beforeSwitch(track: Track, port: Port, migration: Migration): void {
    const { state, clock } = this.#context;
    const isAtOldPlace = this.#membership.placeOf(port) || foreignEnd(migration.from, state.desired);
    const hasLeft = !isAtOldPlace && this.#isKnown(migration.from, port);
    track.leftAt = hasLeft ? (track.leftAt ?? clock.monotonic()) : undefined;
    const place = this.#membership.otherPlaceOf(port);
    const isThere = place || isForeignPlace(port, migration.to, state);
    const isMissing = !isThere && this.#isKnown(migration.to, port);
    track.unknown = (!isAtOldPlace && !hasLeft) || (!isThere && !isMissing);
    if (!isThere) {
      track.stop();
      if (!isMissing) return;
      if (!migration.announced) this.#step(track, abortMigration(track.startedAt, Reason.notThere));
      else if (migration.phase === 'ready') this.#step(track, unreadyMigration(track.startedAt));
      return;
    }
    const by = this.#activation(track);
    if (migration.phase === 'ready') {
      track.readyAt ??= this.#monotonic(migration.readyAt);
      if (by) this.#step(track, switchMigration(track.startedAt, by));
      else this.#startTimer(track, migration);
      return;
    }
    track.readyAt = undefined;
    this.#whenProgrammed(track, port, place, (everywhere) => {
      track.readyAt = clock.monotonic();
      const already = this.#activation(track);
      if (already) this.#step(track, switchAtOnce(track.startedAt, already, everywhere));
      else this.#ready(track, everywhere);
    });
  }

  /** Ready is what a controller that starts again would say, too: it has to know of the new place before it hears of it. */
  #ready(track: Track, everywhere: boolean): void {
    void this.#settings
      .remembered()
      .catch((error: unknown) => {
        this.#context.log.error({ port: track.key, err: error }, 'where a port moves to could not be remembered');
      })
      .then(() => {
        if (this.#tracks.get(track.key) === track) this.#step(track, readyMigration(track.startedAt, everywhere));
      });
  }

  /** True when a place that is not there is known not to be: its switch has connected, and its database has spoken, in this run. */
  #isKnown(binding: Binding, port: Port): boolean {
    const { observed } = this.#context.state;
    const bound = resolveBinding(binding, port, this.#context.state);
    if (!bound) return true;
    if (observed.switches.get(bound.dpid)?.connected !== true) return false;
    return 'port' in bound || observed.isLabelled(bound.dpid);
  }

  #activation({ sign, leftAt }: Track): ActivatedBy | undefined {
    return sign ?? (leftAt === undefined ? undefined : 'departure');
  }

  #startTimer(track: Track, { readyAt, activateAfterMs }: Migration): void {
    if (activateAfterMs === undefined) {
      track.stop();
      return;
    }
    track.wait(`time ${readyAt} ${activateAfterMs}`, () => {
      const left = this.#monotonic(readyAt) + activateAfterMs - this.#context.clock.monotonic();
      return this.#context.clock.after(Math.max(0, left), () =>
        this.#step(track, switchMigration(track.startedAt, 'timeout')),
      );
    });
  }

  #afterSwitch(track: Track, port: Port, migration: Migration): void {
    const place = this.#membership.placeOf(port);
    if (!migration.announced && !place && this.#isKnown(migration.to, port) && this.#membership.otherPlaceOf(port)) {
      this.#step(track, abortMigration(track.startedAt, Reason.back));
      return;
    }
    this.#whenProgrammed(track, port, place, (everywhere) => {
      track.confirmedAt ??= this.#context.clock.monotonic();
      const outageMs = this.#outage(track, migration, track.confirmedAt);
      const finish = (): void => this.#step(track, finishMigration(track.startedAt, outageMs));
      // Not longer than that, however often a switch comes and goes.
      const left = track.confirmedAt + AWAY_LINGER_MS - this.#context.clock.monotonic();
      const linger = migration.seamless ? 0 : Math.min(everywhere ? LINGER_MS : left, left);
      if (linger <= 0) finish();
      else track.wait('the last frames', () => this.#context.clock.after(linger, finish));
    });
  }

  /** From the first sign that the guest had moved until frames went where it is, ms, to a tenth. */
  #outage(track: Track, migration: Migration, confirmedAt: number): number {
    const signs = [track.signAt, track.leftAt, this.#monotonic(migration.switchedAt)].filter((at) => at !== undefined);
    const end = migration.seamless ? (track.readyAt ?? this.#monotonic(migration.readyAt)) : confirmedAt;
    return Math.max(0, Math.round((end - Math.min(...signs)) * 10) / 10);
  }

  /** A stored time as monotonic ms. */
  #monotonic(iso: string | undefined): number {
    const { clock } = this.#context;
    return iso === undefined ? clock.monotonic() : clock.monotonic() - (clock.now() - Date.parse(iso));
  }

  /**
   * Calls `then` once the switches have confirmed the port and its network as they are now: the switch of the place at least, and all
   * others that are connected. It is told whether none is away.
   */
  #whenProgrammed(track: Track, port: Port, place: Member | undefined, then: (everywhere: boolean) => void): void {
    track.wait(`${port.revision} ${place?.dpid} ${place?.no}`, () => {
      const stopped = new AbortController();
      const { signal } = stopped;
      const { tenant, id, network } = port;
      const objects = [restPath('port', { tenant, id }), restPath('network', { tenant, id: network })];
      this.#settings.programmed(objects, place?.dpid, signal).then(
        () => {
          if (signal.aborted) return;
          track.stop();
          then(this.#isEverywhere(port));
        },
        (error: unknown) => {
          if (!signal.aborted) this.#context.log.error({ port: track.key, err: error }, 'a move waits in vain');
        },
      );
      return () => stopped.abort();
    });
  }

  /** No switch that may send to the port is away. */
  #isEverywhere({ tenant, network }: Port): boolean {
    const { desired, observed } = this.#context.state;
    const index = desired.networks.get(`${tenant}/${network}`)?.index;
    if (index === undefined) return true;
    for (const dpid of this.#membership.switchesOf(index)) if (!observed.switches.get(dpid)?.connected) return false;
    return true;
  }

  #step(track: Track, edit: PortEdit): void {
    if (track.writing) return;
    track.writing = true;
    void this.write(track.key, edit).then(() => {
      track.writing = false;
      // What was noticed while it was on its way.
      if (this.#tracks.get(track.key) === track) this.#look(track.key);
    });
  }

  #tellPhase(before: Port | undefined, after: Port | undefined): void {
    const [was, is] = [before?.migration, after?.migration];
    if (before && was && isMoving(before) && is?.startedAt !== was.startedAt) {
      this.#metrics.ended(before.tenant, was, 'superseded');
    }
    if (!after || !is || (is.startedAt === was?.startedAt && is.phase === was.phase)) return;
    const { phase } = is;
    if (phase === 'done' || phase === 'aborted') this.#metrics.ended(after.tenant, is, phase);
    this.#context.event(
      `migration.${phase}`,
      {
        object: restPath('port', { tenant: after.tenant, id: after.id }),
        from: is.from,
        to: is.to,
        announced: is.announced,
        ...(is.activatedBy === undefined ? {} : { activatedBy: is.activatedBy }),
        ...(is.outageMs === undefined ? {} : { outageMs: is.outageMs }),
        ...(is.reason === undefined ? {} : { reason: is.reason }),
      },
      after.tenant,
    );
  }
}
