import {
  type DesiredReader,
  type LispMapping,
  type LispSite,
  restPath,
  type StateChange,
} from '../../controller/index.ts';
import type { MappingSystem, LispSite as ProtocolSite } from '../lisp/index.ts';
import { prefixOf, recordOf } from './eids.ts';

const siteOf = (site: LispSite): ProtocolSite => ({
  id: site.id,
  prefixes: site.eidPrefixes.map((eid) => prefixOf(site.instanceId, eid)),
  acceptMoreSpecifics: site.acceptMoreSpecifics,
  keys: site.keys,
  proxyReply: site.proxyReply,
  merge: site.merge,
  replayDefence: site.replayDefence,
  ...(site.registerRate === undefined
    ? {}
    : { registerRate: { perSecond: site.registerRate, burst: Math.max(site.registerRate, 10) } }),
});

const pathOf = ({ id }: LispMapping): string => restPath('lispMapping', { tenant: '', id });

/** Keeps the mapping system's sites, and the mappings that objects state, as desired state has them. */
export class DesiredFeed {
  readonly #system: MappingSystem;

  constructor(system: MappingSystem) {
    this.#system = system;
  }

  /** Takes all there is. */
  load(desired: DesiredReader): void {
    for (const site of desired.lispSites.values()) this.#system.setSite(siteOf(site));
    for (const mapping of desired.lispMappings.values()) this.#mapping(undefined, mapping);
  }

  changed(change: StateChange): void {
    if (change.kind === 'lispMapping') this.#mapping(change.before, change.after);
    else if (change.kind === 'lispSite') {
      if (change.after) this.#system.setSite(siteOf(change.after));
      else if (change.before) this.#system.removeSite(change.before.id);
    }
  }

  #mapping(before: LispMapping | undefined, after: LispMapping | undefined): void {
    const moved = before && (before.instanceId !== after?.instanceId || before.eid !== after.eid);
    if (moved) this.#system.unpin(prefixOf(before.instanceId, before.eid), pathOf(before));
    if (!after) return;
    const prefix = prefixOf(after.instanceId, after.eid);
    this.#system.pin(prefix, pathOf(after), recordOf(prefix, after.rlocs, after.action, after.ttlMinutes));
  }
}
