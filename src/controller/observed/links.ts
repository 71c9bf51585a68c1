import type { Dpid } from '../kernel/index.ts';
import type { Attachment, Link, ObservedReader } from './types.ts';

/** True for the same port of the same switch. */
export const sameAttachment = (a: Attachment, b: Attachment): boolean => a.port === b.port && a.dpid === b.dpid;

/** `down`: a switch at one of its ends is not connected, so nothing proves or refutes the link; paths may still use it. */
export type LinkState = 'up' | 'presumed' | 'down';

/** What to tell users of a link. */
export function linkState(observed: Pick<ObservedReader, 'switches'>, link: Link): LinkState {
  const connected = (at: Attachment): boolean => observed.switches.get(at.dpid)?.connected === true;
  if (!connected(link.from) || !connected(link.to)) return 'down';
  return link.presumed ? 'presumed' : 'up';
}

const byFrom = (a: Link, b: Link): number =>
  a.from.dpid === b.from.dpid ? a.from.port - b.from.port : a.from.dpid < b.from.dpid ? -1 : 1;

/** Directed links, by the port they leave from and by the port they arrive at. */
export class LinkTable {
  readonly #from = new Map<Dpid, Map<number, Link>>();
  readonly #into = new Map<Dpid, Map<number, Set<Link>>>();

  from(at: Attachment): Link | undefined {
    return this.#from.get(at.dpid)?.get(at.port);
  }

  /** A copy, so that links may be deleted meanwhile. */
  into(at: Attachment): Link[] {
    return [...(this.#into.get(at.dpid)?.get(at.port) ?? [])];
  }

  /** True when a link leaves from or arrives at this port. */
  touches(at: Attachment): boolean {
    return this.#from.get(at.dpid)?.has(at.port) === true || this.#into.get(at.dpid)?.has(at.port) === true;
  }

  /** True when the other direction is here, too, and the ends are different switches: what paths may use. */
  isCable(link: Link): boolean {
    const back = this.from(link.to);
    return back !== undefined && sameAttachment(back.to, link.from) && link.from.dpid !== link.to.dpid;
  }

  all(): Link[] {
    const links: Link[] = [];
    for (const ports of this.#from.values()) links.push(...ports.values());
    return links.sort(byFrom);
  }

  put(link: Link): void {
    this.delete(link.from);
    const leaving = this.#from.get(link.from.dpid) ?? new Map<number, Link>();
    this.#from.set(link.from.dpid, leaving.set(link.from.port, link));
    const ports = this.#into.get(link.to.dpid) ?? new Map<number, Set<Link>>();
    const arriving = ports.get(link.to.port) ?? new Set<Link>();
    this.#into.set(link.to.dpid, ports.set(link.to.port, arriving.add(link)));
  }

  delete(from: Attachment): void {
    const link = this.from(from);
    if (!link) return;
    const leaving = this.#from.get(from.dpid);
    leaving?.delete(from.port);
    if (leaving?.size === 0) this.#from.delete(from.dpid);
    const ports = this.#into.get(link.to.dpid);
    const arriving = ports?.get(link.to.port);
    arriving?.delete(link);
    if (arriving?.size === 0) ports?.delete(link.to.port);
    if (ports?.size === 0) this.#into.delete(link.to.dpid);
  }
}
