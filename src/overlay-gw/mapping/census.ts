import { type Clock, restPath } from '../../controller/index.ts';
import { type EidPrefix, Pace, type Registration, type RegistrationListener } from '../lisp/index.ts';
import { plainText } from './eids.ts';

/** Events a second that are told; a router that comes and goes in haste is not worth more. */
const EVENTS = { perSecond: 50, burst: 500 } as const;

export interface CensusParts {
  readonly clock: Clock;
  readonly event: (type: string, fields: Readonly<Record<string, unknown>>) => void;
  /** Routers of this site came or went. */
  readonly changed: (siteId: string) => void;
}

/** Which routers have something registered, by site; says when one has its first, and when its last is gone. */
export class Census implements RegistrationListener {
  readonly #parts: CensusParts;
  /** By site, then by router: how much it has registered. */
  readonly #sites = new Map<string, Map<string, number>>();
  readonly #pace = new Pace(EVENTS);
  /** Nothing is news: what is told is what was known before. */
  quiet = false;
  /** Events that were not told, being too many. */
  suppressed = 0;
  /** Registrations by routers. */
  registrations = 0;
  /** Registrations by others. */
  pinned = 0;

  constructor(parts: CensusParts) {
    this.#parts = parts;
  }

  /** Routers with something registered, over all sites. */
  get routers(): number {
    let sum = 0;
    for (const routers of this.#sites.values()) sum += routers.size;
    return sum;
  }

  /** Routers and registrations of a site. */
  of(siteId: string): { readonly routers: number; readonly registrations: number } {
    const routers = this.#sites.get(siteId);
    let registrations = 0;
    for (const count of routers?.values() ?? []) registrations += count;
    return { routers: routers?.size ?? 0, registrations };
  }

  put(prefix: EidPrefix, registration: Registration, before: Registration | undefined): void {
    if (!before) this.#count(registration, 1);
    if (before?.siteId === registration.siteId) return;
    if (before) this.#step(prefix, before, -1, 'moved');
    this.#step(prefix, registration, 1, 'registered');
  }

  removed(prefix: EidPrefix, registration: Registration, expired: boolean): void {
    this.#count(registration, -1);
    this.#step(prefix, registration, -1, expired ? 'expired' : 'withdrawn');
  }

  #count({ pinned }: Registration, by: 1 | -1): void {
    if (pinned) this.pinned += by;
    else this.registrations += by;
  }

  #step(prefix: EidPrefix, { siteId, by }: Registration, step: 1 | -1, reason: string): void {
    if (siteId === undefined) return;
    const routers = this.#sites.get(siteId) ?? new Map<string, number>();
    const before = routers.get(by) ?? 0;
    const after = before + step;
    if (after > 0) this.#sites.set(siteId, routers.set(by, after));
    else {
      routers.delete(by);
      if (routers.size === 0) this.#sites.delete(siteId);
    }
    if (before > 0 === after > 0) return;
    this.#parts.changed(siteId);
    if (this.quiet) return;
    if (!this.#pace.take('', this.#parts.clock.monotonic())) {
      this.suppressed++;
      return;
    }
    this.#parts.event(after > 0 ? 'lisp.router.registered' : 'lisp.router.withdrawn', {
      object: restPath('lispSite', { tenant: '', id: siteId }),
      router: by,
      instanceId: prefix.instanceId,
      eid: plainText(prefix),
      routers: routers.size,
      reason,
    });
  }
}
