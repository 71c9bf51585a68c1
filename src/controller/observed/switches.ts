import type { Dpid, Mac } from '../kernel/index.ts';
import type { KnownFacts, KnownSwitch } from './hints.ts';
import type { ObservedPort, ObservedSwitch, PortLabel, PortRole } from './types.ts';

/** OFPP_MAX: numbers above it are reserved (OpenFlow 1.3.5 §7.2.1). */
const LAST_PHYSICAL_PORT = 0xffff_ff00;
/** OFPP_LOCAL. */
const LOCAL_PORT = 0xffff_fffe;

/** A port as a session reports it. */
export interface PortDescription {
  readonly no: number;
  readonly name: string;
  readonly mac: Mac;
  /** Not administratively down and with carrier. */
  readonly up: boolean;
  /** kbit/s, 0 when unknown. */
  readonly currentSpeed: number;
}

/** A switch as a session reports it after its handshake. */
export interface SwitchDescription {
  readonly dpid: Dpid;
  /** Its stored index, 1…16383. */
  readonly index: number;
  /** Peer address of the connection. */
  readonly remote: string;
  readonly manufacturer: string;
  readonly hardware: string;
  readonly software: string;
  /** Speaks Nicira's extensions. */
  readonly nicira: boolean;
  readonly ports: Iterable<PortDescription>;
}

/** True for a port that exists as such: a physical or logical one, or the switch's own. */
export const isRealPort = (no: number): boolean => (no >= 1 && no <= LAST_PHYSICAL_PORT) || no === LOCAL_PORT;

/** Role of a port of which nothing is known but what its label says. */
export function firstRole(no: number, label: PortLabel): PortRole {
  if (no === LOCAL_PORT) return 'local';
  return label.tunnel === undefined ? 'pending' : 'tunnel';
}

/** Switches by dpid and index, with their ports by number and name. */
export class SwitchTable {
  readonly views = new Map<Dpid, ObservedSwitch>();
  readonly #ports = new Map<Dpid, Map<number, ObservedPort>>();
  readonly #byIndex = new Map<number, Dpid>();
  /** Numbers of the ports that have a name, but the switch's own. */
  readonly #names = new Map<Dpid, PortIndex>();
  /** The same for interface ids. */
  readonly #interfaces = new Map<Dpid, PortIndex>();

  get(dpid: Dpid): ObservedSwitch | undefined {
    return this.views.get(dpid);
  }

  byIndex(index: number): ObservedSwitch | undefined {
    const dpid = this.#byIndex.get(index);
    return dpid === undefined ? undefined : this.views.get(dpid);
  }

  port(dpid: Dpid, no: number): ObservedPort | undefined {
    return this.#ports.get(dpid)?.get(no);
  }

  /** Never the switch's own port. */
  resolve(dpid: Dpid, ref: string | number): ObservedPort | undefined {
    const no = typeof ref === 'number' ? ref : this.#names.get(dpid)?.only(ref);
    const port = no === undefined ? undefined : this.port(dpid, no);
    return port?.role === 'local' ? undefined : port;
  }

  /** The port whose interface has this id. */
  ofInterface(dpid: Dpid, interfaceId: string): ObservedPort | undefined {
    const no = this.#interfaces.get(dpid)?.only(interfaceId);
    return no === undefined ? undefined : this.port(dpid, no);
  }

  /** Puts a whole switch, ports and all, in place of what was there. */
  put(view: ObservedSwitch, ports: Map<number, ObservedPort>): void {
    this.views.set(view.dpid, view);
    this.#byIndex.set(view.index, view.dpid);
    this.#ports.set(view.dpid, ports);
    this.#names.set(view.dpid, new PortIndex());
    this.#interfaces.set(view.dpid, new PortIndex());
    for (const port of ports.values()) this.#file(view.dpid, undefined, port);
  }

  /** Replaces what is said about the switch itself. */
  update(view: ObservedSwitch): void {
    this.views.set(view.dpid, view);
  }

  putPort(dpid: Dpid, port: ObservedPort): void {
    const ports = this.#ports.get(dpid);
    const before = ports?.get(port.no);
    if (!ports) return;
    this.#file(dpid, before, port);
    ports.set(port.no, port);
  }

  deletePort(dpid: Dpid, no: number): void {
    const ports = this.#ports.get(dpid);
    this.#file(dpid, ports?.get(no), undefined);
    ports?.delete(no);
  }

  delete(dpid: Dpid): void {
    const view = this.views.get(dpid);
    if (!view) return;
    this.views.delete(dpid);
    this.#byIndex.delete(view.index);
    this.#ports.delete(dpid);
    this.#names.delete(dpid);
    this.#interfaces.delete(dpid);
  }

  /** Brings the indexes up to a port that takes the place of another. */
  #file(dpid: Dpid, before: ObservedPort | undefined, after: ObservedPort | undefined): void {
    const was = before?.role === 'local' ? undefined : before;
    const is = after?.role === 'local' ? undefined : after;
    if (was?.name !== is?.name) this.#names.get(dpid)?.move(was?.name, is?.name, (before ?? after)!.no);
    if (was?.interfaceId !== is?.interfaceId)
      this.#interfaces.get(dpid)?.move(was?.interfaceId, is?.interfaceId, (before ?? after)!.no);
  }
}

/** Ports by something that most often one of them has. */
class PortIndex {
  readonly #numbers = new Map<string, readonly number[]>();

  /** The port that alone has this key. */
  only(key: string): number | undefined {
    const numbers = this.#numbers.get(key);
    return numbers?.length === 1 ? numbers[0] : undefined;
  }

  move(from: string | undefined, to: string | undefined, no: number): void {
    if (from !== undefined) {
      const rest = (this.#numbers.get(from) ?? []).filter((each) => each !== no);
      if (rest.length > 0) this.#numbers.set(from, rest);
      else this.#numbers.delete(from);
    }
    if (to !== undefined) this.#numbers.set(to, [...(this.#numbers.get(to) ?? []), no]);
  }
}

/** What is worth remembering of a switch. */
export const factsOf = ({ manufacturer, hardware, software, nicira, ports }: ObservedSwitch): KnownFacts => ({
  manufacturer,
  hardware,
  software,
  nicira,
  ports: [...ports.values()].sort((a, b) => a.no - b.no),
});

/** A switch of an earlier run, not connected yet. `isLinked` says whether a link is remembered at a port. */
export function remembered(
  { dpid, index, facts }: KnownSwitch,
  now: number,
  isLinked: (no: number) => boolean,
): { readonly view: ObservedSwitch; readonly ports: Map<number, ObservedPort> } {
  const ports = new Map<number, ObservedPort>();
  for (const port of facts?.ports ?? []) {
    if (!isRealPort(port.no)) continue;
    // Role and links were written apart, so one may be older than the other: links decide.
    const role = port.up && isLinked(port.no) ? 'link' : port.role === 'link' ? 'pending' : port.role;
    ports.set(port.no, { ...port, role: port.no === LOCAL_PORT ? 'local' : role });
  }
  const view: ObservedSwitch = {
    dpid,
    index,
    connected: false,
    remote: '',
    since: now,
    manufacturer: facts?.manufacturer ?? '',
    hardware: facts?.hardware ?? '',
    software: facts?.software ?? '',
    nicira: facts?.nicira ?? false,
    ports,
  };
  return { view, ports };
}
