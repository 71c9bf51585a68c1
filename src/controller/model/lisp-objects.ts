import {
  type FieldProblem,
  formatIp,
  formatMac,
  formatPrefix,
  parseIp,
  parseMac,
  parsePrefix,
} from '../kernel/index.ts';
import { readAddresses } from './addresses.ts';
import { jsonObject } from './json.ts';
import type { LispMappingBody, LispSiteBody, RlocBody, SiteBody } from './lisp-schema.ts';
import type { JsonObject } from './service-types.ts';
import type { LispAction, LispMapping, LispSite, Meta, Rloc, Site } from './types.ts';

export type SiteSpec = Omit<Site, keyof Meta>;
/** `keys` undefined: those that it has stay. */
export type LispSiteSpec = Omit<LispSite, keyof Meta | 'keys'> & { readonly keys: readonly string[] | undefined };
export type LispMappingSpec = Omit<LispMapping, keyof Meta>;

/** Loopback is no locator for anybody else, so it is refused as tunnel addresses are. */
function readRlocs(bodies: readonly RlocBody[], problems: FieldProblem[]): Rloc[] {
  const before = problems.length;
  const addresses = readAddresses(
    bodies.map(({ address }) => address),
    problems,
    (i) => `/rlocs/${i}/address`,
  );
  if (problems.length > before) return [];
  return bodies.map(({ priority = 1, weight = 100 }, i) => ({ address: addresses[i]!, priority, weight }));
}

const MAC_BITS = 48;

/** Canonical text of an EID prefix, or why it is none. */
function readEidPrefix(text: string): { readonly eid: string } | { readonly problem: string } {
  const [address = '', length] = text.split('/', 2);
  const mac = parseMac(address);
  if (mac === undefined) {
    const alone = length === undefined ? parseIp(text) : undefined;
    const prefix = alone ? { ...alone, length: alone.family === 4 ? 32 : 128 } : parsePrefix(text);
    return 'problem' in prefix ? prefix : { eid: formatPrefix(prefix) };
  }
  const bits = length === undefined ? MAC_BITS : /^(0|[1-9]\d?)$/.test(length) ? Number(length) : Number.NaN;
  if (!(bits <= MAC_BITS))
    return { problem: `"${text}": the length of a MAC prefix is a number from 0 to ${MAC_BITS}` };
  const network = mac - (mac % 2 ** (MAC_BITS - bits));
  if (network !== mac) {
    return { problem: `"${text}" has bits set below its mask; write ${formatMac(network)}/${bits}` };
  }
  return { eid: `${formatMac(mac)}/${bits}` };
}

export const readSite = (body: SiteBody, problems: FieldProblem[]): SiteSpec => ({
  rlocs: readRlocs(body.rlocs ?? [], problems),
});

export function readLispSite(body: LispSiteBody, problems: FieldProblem[]): LispSiteSpec {
  const eidPrefixes: string[] = [];
  body.eidPrefixes.forEach((text, i) => {
    const pointer = `/eidPrefixes/${i}`;
    const read = readEidPrefix(text);
    if ('problem' in read) problems.push({ pointer, message: read.problem });
    else if (eidPrefixes.includes(read.eid)) problems.push({ pointer, message: 'is listed twice' });
    else eidPrefixes.push(read.eid);
  });
  return {
    instanceId: body.instanceId ?? 0,
    eidPrefixes,
    keys: body.keys,
    acceptMoreSpecifics: body.acceptMoreSpecifics ?? false,
    proxyReply: body.proxyReply ?? false,
    merge: body.merge ?? false,
    replayDefence: body.replayDefence ?? false,
    registerRate: body.registerRate,
  };
}

export function readLispMapping(body: LispMappingBody, problems: FieldProblem[]): LispMappingSpec {
  const read = readEidPrefix(body.eid);
  if ('problem' in read) problems.push({ pointer: '/eid', message: read.problem });
  const rlocs = readRlocs(body.rlocs ?? [], problems);
  const fallback: LispAction = rlocs.length > 0 ? 'noAction' : 'drop';
  return {
    instanceId: body.instanceId ?? 0,
    eid: 'eid' in read ? read.eid : '',
    rlocs,
    action: body.action ?? fallback,
    ttlMinutes: body.ttlMinutes ?? 1_440,
  };
}

const writtenRlocs = (rlocs: readonly Rloc[]): JsonObject[] =>
  rlocs.map(({ address, priority, weight }) => ({ address: formatIp(address), priority, weight }));

export const writtenSite = ({ rlocs }: SiteSpec): JsonObject => ({ rlocs: writtenRlocs(rlocs) });

export const writtenLispSite = (spec: LispSiteSpec): JsonObject =>
  jsonObject({
    instanceId: spec.instanceId,
    eidPrefixes: spec.eidPrefixes,
    keys: spec.keys,
    acceptMoreSpecifics: spec.acceptMoreSpecifics,
    proxyReply: spec.proxyReply,
    merge: spec.merge,
    replayDefence: spec.replayDefence,
    registerRate: spec.registerRate,
  });

export const writtenLispMapping = ({ instanceId, eid, rlocs, action, ttlMinutes }: LispMappingSpec): JsonObject => ({
  instanceId,
  eid,
  rlocs: writtenRlocs(rlocs),
  action,
  ttlMinutes,
});
