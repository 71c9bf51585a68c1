import { type EidPrefix, widthOf } from './eid.ts';
import { Pace, type Rate } from './pace.ts';
import { PrefixTrie } from './trie.ts';

/** A block of EIDs whose routers may register with us. */
export interface LispSite {
  readonly id: string;
  readonly prefixes: readonly EidPrefix[];
  /** Registrations of parts of the prefixes are taken. */
  readonly acceptMoreSpecifics: boolean;
  /** Any of them may sign. */
  readonly keys: readonly string[];
  /** We answer for its routers whether they ask for that or not. */
  readonly proxyReply?: boolean;
  /** Registrations are merged whether routers ask for that or not. */
  readonly merge?: boolean;
  /** Registrations must bear nonces that grow, for each xTR-ID or, without one, each address. Default: any nonce is taken. */
  readonly replayDefence?: boolean;
  /** Authentic registrations that are taken, of all its routers together. Default: all. */
  readonly registerRate?: Rate;
}

/** Sites by their blocks: an EID belongs to the site of the longest block that contains it. */
export class Sites {
  readonly #byId = new Map<string, LispSite>();
  /** By virtual network and family. */
  readonly #blocks = new Map<string, PrefixTrie<LispSite>>();
  readonly #paces = new Map<string, Pace>();

  get(id: string): LispSite | undefined {
    return this.#byId.get(id);
  }

  /** Adds a site, or replaces the one of the same id, which is answered. */
  set(site: LispSite): LispSite | undefined {
    const before = this.delete(site.id);
    this.#byId.set(site.id, site);
    if (site.registerRate) this.#paces.set(site.id, new Pace(site.registerRate));
    for (const { instanceId, family, bits, length } of site.prefixes) {
      const key = `${instanceId}/${family}`;
      const trie = this.#blocks.get(key) ?? new PrefixTrie<LispSite>(widthOf[family]);
      this.#blocks.set(key, trie);
      trie.set(bits, length, site);
    }
    return before;
  }

  /** Removes a site, which is answered. */
  delete(id: string): LispSite | undefined {
    const site = this.#byId.get(id);
    if (!site) return undefined;
    this.#byId.delete(id);
    this.#paces.delete(id);
    for (const { instanceId, family, bits, length } of site.prefixes) {
      const key = `${instanceId}/${family}`;
      const trie = this.#blocks.get(key);
      if (trie?.get(bits, length)?.id !== id) continue;
      trie.delete(bits, length);
      if (trie.size === 0) this.#blocks.delete(key);
    }
    return site;
  }

  /** Blocks of a virtual network and family. */
  blocks({ instanceId, family }: Pick<EidPrefix, 'instanceId' | 'family'>): PrefixTrie<LispSite> | undefined {
    return this.#blocks.get(`${instanceId}/${family}`);
  }

  /** The site in which a prefix may be registered. */
  for(prefix: EidPrefix): LispSite | undefined {
    for (const match of this.blocks(prefix)?.matches(prefix.bits) ?? []) {
      if (match.length > prefix.length) continue;
      return match.length === prefix.length || match.value.acceptMoreSpecifics ? match.value : undefined;
    }
    return undefined;
  }

  /** The one site in which all of these may be registered. */
  forAll(prefixes: readonly (EidPrefix | undefined)[]): LispSite | undefined {
    let found: LispSite | undefined;
    for (const prefix of prefixes) {
      const site = prefix && this.for(prefix);
      if (!site || (found && site !== found)) return undefined;
      found = site;
    }
    return found;
  }

  /** Takes a turn of the site's rate at `now`, monotonic ms. False when there is none left. */
  take(id: string, now: number): boolean {
    return this.#paces.get(id)?.take('', now) !== false;
  }
}
