import type { Dpid } from '../kernel/index.ts';
import type { Port } from '../model/index.ts';
import type { NetworkState, StateChange } from './app.ts';

/** Index of the network that holds all unclaimed edge ports when `defaultNetwork` is on. */
export const DEFAULT_NETWORK = 0xffffff;

/** A physical port that carries a network. */
export interface Member {
  readonly dpid: Dpid;
  readonly no: number;
  /** Index of the network. */
  readonly network: number;
  /** The port object that claims it; undefined in the default network. */
  readonly port: Port | undefined;
  /** Frames for the network and for the port object go there; false at the place of a move that does not count (yet, or any more). */
  readonly receives: boolean;
}

/** A physical port that carries something else than before, or for somebody else. */
export interface PlaceChange {
  readonly dpid: Dpid;
  readonly no: number;
  readonly before: Member | undefined;
  readonly after: Member | undefined;
}

/** What one state change did to membership. Keys of ports are `tenant/id`. */
export interface Effect {
  /** Port objects whose own claim changed: took a physical port, lost one, or was edited. */
  readonly ports: ReadonlySet<string>;
  /**
   * Networks whose set of member switches changed, and where: representatives of the components concerned. Whoever places
   * rules on all member switches of a network must look again at what is attached in these components.
   */
  readonly edges: ReadonlyMap<number, ReadonlySet<Dpid>>;
  /** Networks whose member ports on a switch changed. Covers every switch that joined or left as well. */
  readonly locals: ReadonlyMap<number, ReadonlySet<Dpid>>;
  /** Switches that got their first tenant port, lost their last, or changed what they can do. */
  readonly switches: ReadonlySet<Dpid>;
  /** Tenants whose ports on a switch changed, and where. */
  readonly tenants: ReadonlyMap<string, ReadonlySet<Dpid>>;
  /** Physical ports that carry something else than before. */
  readonly places: readonly PlaceChange[];
}

/** An effect while it is gathered. */
export interface MutableEffect extends Effect {
  readonly ports: Set<string>;
  readonly edges: Map<number, Set<Dpid>>;
  readonly locals: Map<number, Set<Dpid>>;
  readonly switches: Set<Dpid>;
  readonly tenants: Map<string, Set<Dpid>>;
  readonly places: PlaceChange[];
}

/** True for ports whose hosts are found out by watching: those of the default network and those declared `learned`. */
export const isLearned = (member: Member | undefined): boolean =>
  member !== undefined && (member.port === undefined || member.port.mac === 'learned');

/** Key of a port object in desired state. */
export const portKey = (port: Port): string => `${port.tenant}/${port.id}`;
/** Key of the network that a port object names. */
export const networkKey = (port: Port): string => `${port.tenant}/${port.network}`;

/** Adds to the set under a key. */
export const addTo = <K, V>(map: Map<K, Set<V>>, key: K, value: V): void => {
  const set = map.get(key);
  if (set) set.add(value);
  else map.set(key, new Set([value]));
};

/** An effect of nothing. */
export const newEffect = (): MutableEffect => ({
  ports: new Set(),
  edges: new Map(),
  locals: new Map(),
  switches: new Set(),
  tenants: new Map(),
  places: [],
});

const mergeSets = <K, V>(into: Map<K, Set<V>>, from: ReadonlyMap<K, ReadonlySet<V>>): void => {
  for (const [key, values] of from) for (const value of values) addTo(into, key, value);
};

/** What changes do that membership does not depend on, such as hosts coming and going by the thousand. */
export const NO_EFFECT: Effect = newEffect();

/** Adds what another effect did. */
export function merge(into: MutableEffect, from: Effect | undefined): void {
  if (!from) return;
  for (const key of from.ports) into.ports.add(key);
  for (const dpid of from.switches) into.switches.add(dpid);
  mergeSets(into.edges, from.edges);
  mergeSets(into.locals, from.locals);
  mergeSets(into.tenants, from.tenants);
  for (const place of from.places) into.places.push(place);
}

/**
 * True for a switch that came, or went for good. What a switch should hold does not depend on whether it is connected, and
 * each of its ports that differs is told as a change of its own.
 */
export const isOtherSwitch = (change: StateChange): change is Extract<StateChange, { kind: 'switch' }> =>
  change.kind === 'switch' && change.before?.index !== change.after?.index;

/** True while the state holds what a desired change brought. */
export function isCurrent(change: StateChange, { desired }: NetworkState): boolean {
  switch (change.kind) {
    case 'port':
      return desired.ports.get(portKey((change.after ?? change.before)!)) === change.after;
    case 'network': {
      const { tenant, id } = (change.after ?? change.before)!;
      return desired.networks.get(`${tenant}/${id}`) === change.after;
    }
    case 'hypervisor':
      return desired.hypervisors.get((change.after ?? change.before)!.id) === change.after;
    default:
      return true;
  }
}
