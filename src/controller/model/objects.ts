import {
  type Dpid,
  type FieldProblem,
  formatIp,
  formatMac,
  formatPrefix,
  type IpAddress,
  type IpPrefix,
  isGroupMac,
  type Mac,
  parseDpid,
  parseMac,
  parsePrefix,
  prefixContains,
  type SegmentId,
} from '../kernel/index.ts';
import { readAddresses } from './addresses.ts';
import { readBinding } from './binding.ts';
import { invalid, isObject, jsonObject } from './json.ts';
import { isGlobalKind } from './kinds.ts';
import {
  type LispMappingSpec,
  type LispSiteSpec,
  readLispMapping,
  readLispSite,
  readSite,
  type SiteSpec,
  writtenLispMapping,
  writtenLispSite,
  writtenSite,
} from './lisp-objects.ts';
import { migrationJson, readMigration } from './migration.ts';
import {
  type Bodies,
  checkShape,
  type HypervisorBody,
  type NetworkBody,
  type PortBody,
  type TenantBody,
  withoutOurs,
} from './schema.ts';
import type { JsonObject, ObjectIds, ObjectKind } from './service-types.ts';
import type {
  AnyObject,
  Binding,
  Hypervisor,
  LispMapping,
  LispSite,
  Network,
  Port,
  Quota,
  Site,
  Tenant,
  Transport,
} from './types.ts';

export interface TenantSpec {
  readonly description: string;
  readonly quota: Quota;
}

export interface NetworkSpec {
  readonly transport: Transport;
  /** Undefined: keep the one it has, or allocate. */
  readonly segmentId: SegmentId | undefined;
  readonly instanceId: number | undefined;
  readonly subnets: readonly IpPrefix[];
  readonly mtu: number;
  readonly unknownUnicast: 'drop' | 'flood';
  readonly flowId: 'zero' | 'hash';
  readonly extends: string | undefined;
  readonly gateways: readonly string[];
}

export interface PortSpec {
  readonly network: string;
  readonly mac: Mac | 'learned';
  readonly addresses: readonly IpAddress[];
  readonly portSecurity: boolean;
  readonly binding: Binding | undefined;
}

export interface HypervisorSpec {
  readonly datapathId: Dpid | undefined;
  readonly tunnelAddresses: readonly IpAddress[];
  readonly ovsdb: string | undefined;
  readonly physicalSwitch: string | undefined;
  readonly site: string | undefined;
}

/** What one writes, checked and in typed form. */
export interface Specs {
  tenant: TenantSpec;
  network: NetworkSpec;
  port: PortSpec;
  hypervisor: HypervisorSpec;
  site: SiteSpec;
  lispSite: LispSiteSpec;
  lispMapping: LispMappingSpec;
}

export interface Objects {
  tenant: Tenant;
  network: Network;
  port: Port;
  hypervisor: Hypervisor;
  site: Site;
  lispSite: LispSite;
  lispMapping: LispMapping;
}

/** What carries the overlays. */
export interface Underlay {
  /** MTU of the network between the hypervisors and of the fabric's links. */
  readonly mtu: number;
  /** Address family of the tunnels' outer header. */
  readonly family: 4 | 6;
}

/** Bytes that a transport adds to a frame: outer Ethernet (14) stays out of the MTU, the inner one does not. */
const OVERHEAD: Readonly<Record<Transport, Readonly<Record<4 | 6, number>>>> = {
  fabric: { 4: 0, 6: 0 },
  // inner Ethernet 14 + VXLAN 8 + UDP 8 + IP (RFC 7348 §5)
  vxlan: { 4: 50, 6: 70 },
  // inner Ethernet 14 + GRE with key 8 + IP (RFC 7637 §3.2)
  nvgre: { 4: 42, 6: 62 },
};

/** Largest MTU of a network of this transport, which is also its default. */
export const largestMtu = (transport: Transport, underlay: Underlay): number =>
  underlay.mtu - OVERHEAD[transport][underlay.family];

/** Names an object by itself. */
export function idsOf(object: AnyObject): ObjectIds {
  if ('tenant' in object) return { tenant: object.tenant, id: object.id };
  return 'quota' in object ? { tenant: object.id } : { tenant: '', id: object.id };
}

/**
 * The typed form of a body. Throws RequestError 400 with every problem. `underlay` bounds the MTU; without it (for what is
 * stored already) any is taken.
 */
export function readSpec<K extends ObjectKind>(kind: K, body: unknown, underlay: Underlay | undefined): Specs[K] {
  const shape = checkShape(kind, withoutOurs(body));
  if ('problems' in shape) throw invalid(shape.problems);
  const problems: FieldProblem[] = [];
  const spec = READERS[kind](shape.body, problems, underlay);
  if (problems.length > 0) throw invalid(problems);
  return spec;
}

type Readers = {
  readonly [K in ObjectKind]: (body: Bodies[K], problems: FieldProblem[], underlay: Underlay | undefined) => Specs[K];
};

const READERS: Readers = {
  tenant: readTenant,
  network: readNetwork,
  port: readPort,
  hypervisor: readHypervisor,
  site: readSite,
  lispSite: readLispSite,
  lispMapping: readLispMapping,
};

function readTenant(body: TenantBody): TenantSpec {
  return { description: body.description ?? '', quota: body.quota ?? {} };
}

function readNetwork(body: NetworkBody, problems: FieldProblem[], underlay: Underlay | undefined): NetworkSpec {
  const transport = body.transport ?? 'fabric';
  const subnets: IpPrefix[] = [];
  (body.subnets ?? []).forEach((text, i) => {
    const pointer = `/subnets/${i}`;
    const prefix = parsePrefix(text);
    if ('problem' in prefix) {
      problems.push({ pointer, message: prefix.problem });
      return;
    }
    const other = subnets.find((known) => prefixContains(known, prefix) || prefixContains(prefix, known));
    if (other) problems.push({ pointer, message: `overlaps ${formatPrefix(other)}` });
    subnets.push(prefix);
  });
  const largest = underlay ? largestMtu(transport, underlay) : 65_535;
  const mtu = body.mtu ?? largest;
  if (mtu > largest) {
    problems.push({
      pointer: '/mtu',
      message: `${transport} leaves at most ${largest} of the underlay's ${underlay?.mtu} bytes over IPv${underlay?.family}`,
    });
  } else if (mtu < 1280 && subnets.some((subnet) => subnet.family === 6)) {
    problems.push({ pointer: '/mtu', message: 'IPv6 needs at least 1280 (RFC 8200 §5)' });
  }
  const flowId = body.flowId ?? 'zero';
  if (flowId !== 'zero' && transport !== 'nvgre') {
    problems.push({ pointer: '/flowId', message: `only nvgre has a FlowID, not ${transport}` });
  }
  const gateways = body.gateways ?? [];
  if (body.extends === undefined && body.gateways !== undefined) {
    problems.push({ pointer: '/gateways', message: 'has no meaning without extends' });
  } else if (body.extends !== undefined && gateways.length === 0) {
    problems.push({
      pointer: '/gateways',
      message: 'is required with extends: it says which hypervisors connect the two',
    });
  }
  gateways.forEach((gateway, i) => {
    if (gateways.indexOf(gateway) < i) problems.push({ pointer: `/gateways/${i}`, message: 'is listed twice' });
  });
  return {
    transport,
    segmentId: body.segmentId as SegmentId | undefined,
    instanceId: body.instanceId,
    subnets,
    mtu,
    unknownUnicast: body.unknownUnicast ?? 'drop',
    flowId,
    extends: body.extends,
    gateways,
  };
}

function readPort(body: PortBody, problems: FieldProblem[]): PortSpec {
  const mac = readMac(body.mac, problems);
  const addresses = readAddresses(body.addresses ?? [], problems, (i) => `/addresses/${i}`);
  if (mac === 'learned') {
    if (addresses.length > 0) problems.push({ pointer: '/addresses', message: 'a learned port declares no addresses' });
    if (body.portSecurity === true) {
      problems.push({ pointer: '/portSecurity', message: 'a learned port has nothing to hold its sender to' });
    }
  }
  return {
    network: body.network,
    mac,
    addresses,
    portSecurity: body.portSecurity ?? mac !== 'learned',
    binding: body.binding && readBinding(body.binding),
  };
}

function readMac(text: string, problems: FieldProblem[]): Mac | 'learned' {
  if (text === 'learned') return text;
  const mac = parseMac(text);
  const pointer = '/mac';
  if (mac === undefined) problems.push({ pointer, message: 'must be a MAC such as 02:00:00:00:00:01, or "learned"' });
  else if (isGroupMac(mac)) problems.push({ pointer, message: 'is a group address; a port has an individual one' });
  else if (mac === 0) problems.push({ pointer, message: 'the zero address names nobody' });
  return mac ?? 'learned';
}

function readHypervisor(body: HypervisorBody, problems: FieldProblem[]): HypervisorSpec {
  const tunnelAddresses = readAddresses(body.tunnelAddresses ?? [], problems, (i) => `/tunnelAddresses/${i}`);
  for (const family of [4, 6] as const) {
    const [, second] = tunnelAddresses.filter((address) => address.family === family);
    if (second) problems.push({ pointer: '/tunnelAddresses', message: `at most one IPv${family} address` });
  }
  const datapathId = body.datapathId === undefined ? undefined : parseDpid(body.datapathId);
  const { ovsdb, physicalSwitch } = body;
  if (physicalSwitch !== undefined) {
    if (datapathId !== undefined) {
      problems.push({ pointer: '/physicalSwitch', message: 'a hardware VTEP has no datapathId' });
    }
    // vtep(5) knows no other locators.
    if (tunnelAddresses.length !== 1 || tunnelAddresses[0]!.family !== 4) {
      problems.push({ pointer: '/tunnelAddresses', message: 'a hardware VTEP has one IPv4 address, and no other' });
    }
  } else if (datapathId === undefined && ovsdb !== undefined) {
    problems.push({
      pointer: '/datapathId',
      message: 'ovsdb needs datapathId, the bridge that is meant, or physicalSwitch of a hardware VTEP',
    });
  }
  if (datapathId === undefined && physicalSwitch === undefined && tunnelAddresses.length === 0) {
    problems.push({ pointer: '/tunnelAddresses', message: 'a foreign tunnel endpoint has an address' });
  }
  return { datapathId, tunnelAddresses, ovsdb, physicalSwitch, site: body.site };
}

const isLinkLocal = (address: IpAddress): boolean => address.family === 6 && address.value >> 118n === 0x3fan;

/** Why this address cannot be used in a network with these subnets; undefined when it can. */
export function outsideSubnets(address: IpAddress, subnets: readonly IpPrefix[]): string | undefined {
  if (subnets.length === 0 || isLinkLocal(address)) return undefined;
  const subnet = subnets.find((candidate) => prefixContains(candidate, address));
  if (!subnet) return `is in none of the network's subnets (${subnets.map(formatPrefix).join(', ')})`;
  if (subnet.family === 4 && subnet.length <= 30) {
    const host = address.value - subnet.value;
    if (host === 0n) return `is the network address of ${formatPrefix(subnet)}`;
    if (host === (1n << BigInt(32 - subnet.length)) - 1n) return `is the broadcast address of ${formatPrefix(subnet)}`;
  }
  return undefined;
}

/** The fields one writes, in canonical form: same meaning, same text. */
export function writtenFields<K extends ObjectKind>(kind: K, object: Specs[K]): JsonObject {
  return WRITERS[kind](object);
}

const WRITERS: { readonly [K in ObjectKind]: (spec: Specs[K]) => JsonObject } = {
  tenant: ({ description, quota }) => ({
    description,
    quota: jsonObject({
      networks: quota.networks,
      ports: quota.ports,
      flows: quota.flows,
      packetInRate: quota.packetInRate,
      bandwidthKbps: quota.bandwidthKbps,
    }),
  }),
  network: ({ transport, segmentId, instanceId, subnets, mtu, unknownUnicast, flowId, extends: extended, gateways }) =>
    jsonObject({
      transport,
      segmentId,
      instanceId,
      subnets: subnets.map(formatPrefix),
      mtu,
      unknownUnicast,
      flowId: transport === 'nvgre' ? flowId : undefined,
      extends: extended,
      gateways: extended === undefined ? undefined : [...gateways],
    }),
  port: ({ network, mac, addresses, portSecurity, binding }) =>
    jsonObject({
      network,
      mac: mac === 'learned' ? mac : formatMac(mac),
      addresses: addresses.map(formatIp),
      portSecurity,
      binding: binding && { ...binding },
    }),
  hypervisor: ({ datapathId, tunnelAddresses, ovsdb, physicalSwitch, site }) =>
    jsonObject({ datapathId, tunnelAddresses: tunnelAddresses.map(formatIp), ovsdb, physicalSwitch, site }),
  site: writtenSite,
  lispSite: writtenLispSite,
  lispMapping: writtenLispMapping,
};

/** The fields one writes that may be shown: without secrets. */
export function shownFields(kind: ObjectKind, object: AnyObject): JsonObject {
  const fields = writtenFields(kind, object as unknown as Specs[typeof kind]);
  if (kind !== 'lispSite') return fields;
  const { keys: _secret, ...shown } = fields;
  return shown;
}

/** The numbers that were allocated for an object; shown in its status. */
export function allocated(object: AnyObject): JsonObject {
  if ('endpoint' in object) return { endpoint: object.endpoint };
  return 'index' in object ? { index: object.index } : {};
}

/** Text of an object as stored. Its revision is the store's own. */
export function toStored<K extends ObjectKind>(kind: K, object: Objects[K]): string {
  return JSON.stringify({
    ...writtenFields(kind, object as Specs[K]),
    ...allocated(object),
    ...('endpoint' in object && object.migration ? { migration: migrationJson(object.migration) } : {}),
    createdAt: object.createdAt,
    updatedAt: object.updatedAt,
  });
}

/** An object from its stored text. Throws when the text is none of ours (RequestError, TypeError, SyntaxError). */
export function fromStored(kind: ObjectKind, ids: ObjectIds, text: string, revision: number): AnyObject {
  const stored: unknown = JSON.parse(text);
  if (!isObject(stored)) throw new TypeError('a stored object must be a JSON object');
  const { index, endpoint, migration, createdAt, updatedAt, ...body } = stored;
  if (typeof createdAt !== 'string' || typeof updatedAt !== 'string') {
    throw new TypeError('a stored object must have createdAt and updatedAt');
  }
  const meta = { revision, createdAt, updatedAt };
  if (isGlobalKind(kind)) {
    // A stored LISP site has its keys, if only none.
    return { id: ids.id!, ...meta, ...readSpec(kind, body, undefined) } as AnyObject;
  }
  const number = kind === 'port' ? endpoint : index;
  if (typeof number !== 'number') throw new TypeError('a stored object must have its number');
  if (kind === 'tenant') return { id: ids.tenant, ...meta, ...readSpec(kind, body, undefined), index: number };
  const of = { tenant: ids.tenant, id: ids.id!, ...meta };
  if (kind === 'port') {
    const port = { ...of, ...readSpec(kind, body, undefined), endpoint: number };
    return migration === undefined ? port : { ...port, migration: readMigration(migration) };
  }
  const { segmentId, ...spec } = readSpec(kind, body, undefined);
  if (segmentId === undefined) throw new TypeError('a stored network must have its segmentId');
  return { ...of, ...spec, segmentId, index: number };
}
