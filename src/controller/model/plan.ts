import { type FieldProblem, formatIp, formatMac, type IpAddress, RequestError, StoreError } from '../kernel/index.ts';
import { type IdSpace, IdSpaces } from '../store/index.ts';
import { describeBinding, sameBinding } from './binding.ts';
import { type Desired, keyOf } from './desired.ts';
import { type Draft, keys } from './draft.ts';
import { invalid, mergePatch } from './json.ts';
import { type GlobalKind, isGlobalKind, restPath } from './kinds.ts';
import { bindingsOf, rebound } from './migration.ts';
import {
  idsOf,
  type Objects,
  outsideSubnets,
  readSpec,
  type Specs,
  shownFields,
  toStored,
  type Underlay,
  writtenFields,
} from './objects.ts';
import { withoutOurs } from './schema.ts';
import type { AdmissionHook, ObjectIds, ObjectKind } from './service-types.ts';
import type { Step } from './steps.ts';
import type {
  AnyObject,
  DesiredChange,
  Hypervisor,
  LispMapping,
  LispSite,
  Network,
  Port,
  Tenant,
  Transport,
} from './types.ts';

/** What a step came to. `object` is undefined after a deletion. */
export interface StepPlan {
  readonly changes: readonly DesiredChange[];
  readonly object: { readonly kind: ObjectKind; readonly object: AnyObject } | undefined;
  readonly created: boolean;
}

/** Segments that are given to networks which name none, by transport. */
export type SegmentRanges = { readonly [T in Transport]?: { readonly first: number; readonly last: number } };

export interface PlanContext {
  readonly desired: Desired;
  readonly underlay: Underlay;
  readonly segments: SegmentRanges;
  /** ISO time of this batch. */
  readonly now: string;
  /** A text that no other transaction uses. */
  readonly token: string;
  readonly hooks: readonly AdmissionHook[];
}

/** Users named in a refusal. */
const USERS_LISTED = 100;

const SEGMENTS = {
  fabric: IdSpaces['segment-fabric'],
  vxlan: IdSpaces['segment-vxlan'],
  nvgre: IdSpaces['segment-nvgre'],
} as const;

/**
 * Plans one step into `draft` and applies it to `desired` (the caller takes it back). Refuses with RequestError, having
 * changed nothing. Every fact that the plan rests on is in the draft's reads.
 */
export function planStep(context: PlanContext, draft: Draft, step: Step): StepPlan {
  const { desired } = context;
  const current = find(desired, step.kind, step.ids);
  draft.get(keys.object(step.kind, step.ids));
  checkConditions(step, current);
  if (step.action === 'delete') return planDelete(context, draft, step, current);
  if (step.action === 'move') return planMove(context, draft, step, current as Port | undefined);
  const spec = step.action === 'put' ? step.spec : patched(context, step, current);
  return planPut(context, draft, step.kind, step.ids, spec, current);
}

const OF_NO_TENANT: { readonly [K in GlobalKind]: (desired: Desired) => ReadonlyMap<string, Objects[K]> } = {
  hypervisor: ({ hypervisors }) => hypervisors,
  site: ({ sites }) => sites,
  lispSite: ({ lispSites }) => lispSites,
  lispMapping: ({ lispMappings }) => lispMappings,
};

/** The object, when it exists. */
export function find(desired: Desired, kind: ObjectKind, ids: ObjectIds): AnyObject | undefined {
  if (kind === 'tenant') return desired.tenants.get(ids.tenant);
  if (isGlobalKind(kind)) return OF_NO_TENANT[kind](desired).get(ids.id ?? '');
  const key = keyOf(ids.tenant, ids.id ?? '');
  return kind === 'network' ? desired.networks.get(key) : desired.ports.get(key);
}

export const notFound = (kind: ObjectKind, ids: ObjectIds): RequestError =>
  new RequestError(404, 'NL_NOT_FOUND', `${restPath(kind, ids)} does not exist`);

function checkConditions(step: Step, current: AnyObject | undefined): void {
  const path = restPath(step.kind, step.ids);
  if ('ifNoneMatch' in step && step.ifNoneMatch && current) {
    throw new RequestError(412, 'NL_PRECONDITION', `${path} exists already (If-None-Match: *)`, [], {
      revision: current.revision,
    });
  }
  if (!current && step.action !== 'put') throw notFound(step.kind, step.ids);
  if (step.ifMatch !== undefined && step.ifMatch !== current?.revision) {
    const is = current ? `is at revision ${current.revision}` : 'does not exist';
    throw new RequestError(412, 'NL_PRECONDITION', `${path} ${is}, not at ${step.ifMatch} (If-Match)`, [], {
      expected: step.ifMatch,
      ...(current ? { revision: current.revision } : {}),
    });
  }
}

function patched(
  context: PlanContext,
  step: Extract<Step, { readonly action: 'patch' }>,
  current: AnyObject | undefined,
): Specs[ObjectKind] {
  if (!current) throw notFound(step.kind, step.ids);
  const body = mergePatch(shownFields(step.kind, current), withoutOurs(step.body));
  return readSpec(step.kind, body, context.underlay);
}

const fieldsOf = (kind: ObjectKind, object: AnyObject): ReturnType<typeof writtenFields> =>
  writtenFields(kind, object as unknown as Specs[typeof kind]);

function planPut<K extends ObjectKind>(
  context: PlanContext,
  draft: Draft,
  kind: K,
  ids: ObjectIds,
  spec: Specs[K],
  current: AnyObject | undefined,
): StepPlan {
  const change: DesiredChange = CHANGES[kind](context, draft, ids, spec);
  const after = change.after!;
  if (current && sameObject(kind, current, after)) {
    return { changes: [], object: { kind, object: current }, created: false };
  }
  for (const hook of context.hooks) hook(change, context.desired);
  draft.put(keys.object(kind, ids), toStored(kind, after as Objects[ObjectKind] as Objects[K]));
  if (kind === 'network' || kind === 'port') draft.put(keys.guard(ids.tenant), context.token);
  context.desired.apply([change]);
  return { changes: [change], object: { kind, object: after }, created: current === undefined };
}

const sameObject = (kind: ObjectKind, a: AnyObject, b: AnyObject): boolean =>
  JSON.stringify(fieldsOf(kind, a)) === JSON.stringify(fieldsOf(kind, b));

type Change<K extends ObjectKind> = Extract<DesiredChange, { readonly kind: K }>;
const CHANGES: {
  readonly [K in ObjectKind]: (context: PlanContext, draft: Draft, ids: ObjectIds, spec: Specs[K]) => Change<K>;
} = {
  tenant: changeTenant,
  network: changeNetwork,
  port: changePort,
  hypervisor: changeHypervisor,
  site: changeSite,
  lispSite: changeLispSite,
  lispMapping: changeLispMapping,
};

/** Times of an object that is written now. Its revision is not known before it is stored. */
const stamp = (context: PlanContext, before: { readonly createdAt: string } | undefined) => ({
  revision: 0,
  createdAt: before?.createdAt ?? context.now,
  updatedAt: context.now,
});

/** An id for the holder. A range that is used up is the caller's trouble, not the store's. */
function take(draft: Draft, space: IdSpace, holder: string): number {
  try {
    const id = draft.takeId(space, holder);
    if (id !== undefined) return id;
  } catch (error) {
    if (!(error instanceof StoreError) || error.details['reason'] !== 'exhausted') throw error;
    throw new RequestError(409, 'NL_EXHAUSTED', error.message, [], { space: space.name }, { cause: error });
  }
  throw new RequestError(409, 'NL_CONFLICT', `a ${space.name} id was taken meanwhile; try again`);
}

function changeTenant(context: PlanContext, draft: Draft, ids: ObjectIds, spec: Specs['tenant']): Change<'tenant'> {
  const before = context.desired.tenants.get(ids.tenant);
  const index = before?.index ?? take(draft, IdSpaces.tenant, restPath('tenant', ids));
  return { kind: 'tenant', before, after: { id: ids.tenant, ...stamp(context, before), ...spec, index } };
}

function tenantFor(context: PlanContext, draft: Draft, ids: ObjectIds): Tenant {
  const tenant = context.desired.tenants.get(ids.tenant);
  draft.get(keys.object('tenant', { tenant: ids.tenant }));
  if (!tenant) throw notFound('tenant', { tenant: ids.tenant });
  return tenant;
}

function checkCount(draft: Draft, tenant: Tenant, what: 'networks' | 'ports', present: number): void {
  const limit = tenant.quota[what];
  if (limit === undefined) return;
  draft.get(keys.guard(tenant.id));
  if (present < limit) return;
  throw new RequestError(
    409,
    'NL_QUOTA',
    `tenant ${tenant.id} may have ${limit} ${what} and has ${present} (quota.${what})`,
    [],
    { quota: what, limit, present },
  );
}

function changeNetwork(context: PlanContext, draft: Draft, ids: ObjectIds, spec: Specs['network']): Change<'network'> {
  const { desired } = context;
  const tenant = tenantFor(context, draft, ids);
  const before = desired.networks.get(keyOf(ids.tenant, ids.id!));
  const { segmentId: wanted, ...fields } = spec;
  if (!before) checkCount(draft, tenant, 'networks', desired.countNetworks(tenant.id));
  const path = restPath('network', ids);
  const keeps = before?.transport === spec.transport && (wanted === undefined || wanted === before.segmentId);
  let segmentId = before?.segmentId;
  if (!keeps || segmentId === undefined) {
    const space = SEGMENTS[spec.transport];
    const taken =
      wanted === undefined ? nextSegment(context, draft, spec.transport, path) : draft.takeId(space, path, wanted);
    if (taken === undefined) throw segmentTaken(spec.transport, wanted!, draft.get(keys.id(space.name, wanted!)));
    if (before) draft.freeId(SEGMENTS[before.transport], before.segmentId);
    segmentId = taken as Network['segmentId'];
  }
  const index = before?.index ?? take(draft, IdSpaces.network, path);
  const after: Network = {
    tenant: ids.tenant,
    id: ids.id!,
    ...stamp(context, before),
    ...fields,
    segmentId,
    index,
  };
  if (before) checkPortsFit(desired, draft, after);
  checkSides(desired, draft, before, after);
  claim(draft, path, before ? networkClaims(before) : [], networkClaims(after));
  return { kind: 'network', before, after };
}

/** A free segment of those that are given to networks which name none. */
function nextSegment({ segments }: PlanContext, draft: Draft, transport: Transport, path: string): number {
  const space = SEGMENTS[transport];
  const range = segments[transport];
  try {
    const isPart = range !== undefined && (range.first > space.first || range.last < space.last);
    return take(draft, { ...space, ...range, isPart }, path);
  } catch (error) {
    if (!(error instanceof RequestError) || error.code !== 'NL_EXHAUSTED') throw error;
    const { first, last } = range ?? space;
    const message = `no ${transport} segment is left: all of ${first}…${last} are taken; delete networks, or name a free segmentId`;
    const details = { space: space.name, first, last };
    throw new RequestError(409, 'NL_EXHAUSTED', message, [{ pointer: '/segmentId', message }], details, {
      cause: error,
    });
  }
}

/** What only one network may have. */
const networkClaims = (network: Network): Claim[] => [...instanceClaims(network), ...sideClaims(network)];

/** An instance id names one network: routers that resolve in it see one tenant only. */
const instanceClaims = ({ instanceId }: Network): Claim[] =>
  instanceId === undefined
    ? []
    : [
        {
          key: keys.unique(`lisp-instance/${instanceId}`),
          pointer: '/instanceId',
          what: `LISP instance ${instanceId}`,
        },
      ];

function segmentTaken(transport: string, wanted: number, holder: string | undefined): RequestError {
  const message = `${transport} segment ${wanted} belongs to ${holder ?? 'another network'}`;
  return new RequestError(409, 'NL_CONFLICT', message, [{ pointer: '/segmentId', message }], {
    holder: holder ?? null,
  });
}

/** Two networks that make up one segment: different transports, one MTU, one space of addresses; and no more than two. */
function checkSides(desired: Desired, draft: Draft, before: Network | undefined, after: Network): void {
  const { tenant, id, extends: extended } = after;
  if (before?.extends === undefined && extended === undefined) {
    const extension = before && desired.otherSide(before);
    if (extension) checkSide(after, extension, restPath('network', idsOf(extension)));
    return;
  }
  // What ports of the two claim is claimed for both of them together.
  if (before && before.extends !== extended && desired.countPortsOfNetwork(tenant, id) > 0) {
    draft.get(keys.guard(tenant));
    const users = [...desired.portsOfNetwork(tenant, id)].map((port) => restPath('port', idsOf(port)));
    throw inUse(`${restPath('network', idsOf(after))} cannot change what it extends while it has ports:`, users);
  }
  if (extended === undefined) return;
  draft.get(keys.guard(tenant));
  const pointer = '/extends';
  const other = extended === id ? undefined : desired.networks.get(keyOf(tenant, extended));
  if (!other) {
    throw invalid([{ pointer, message: `network ${extended} does not exist in tenant ${tenant}, or is this one` }]);
  }
  if (other.extends !== undefined) {
    throw invalid([{ pointer, message: `network ${extended} extends ${other.extends}; extend that one` }]);
  }
  const extension = before && desired.otherSide({ ...before, extends: undefined });
  if (extension) throw invalid([{ pointer, message: `is extended by network ${extension.id} itself` }]);
  checkSide(after, other, restPath('network', idsOf(other)));
}

function checkSide(network: Network, other: Network, path: string): void {
  const problems: FieldProblem[] = [];
  if (network.transport === other.transport) {
    problems.push({
      pointer: '/transport',
      message: `is ${other.transport}, as that of ${path}: gateways connect different ones`,
    });
  }
  if (network.mtu !== other.mtu) {
    problems.push({
      pointer: '/mtu',
      message: `is ${network.mtu}, and that of ${path} ${other.mtu}: one segment has one MTU`,
    });
  }
  if (problems.length > 0) throw invalid(problems);
}

/** A network is extended by one other. */
function sideClaims({ tenant, extends: extended }: Network): Claim[] {
  if (extended === undefined) return [];
  const what = `the other side of network ${extended}`;
  return [{ key: keys.unique(`extends/${tenant}/${extended}`), pointer: '/extends', what }];
}

/** Subnets may not change under the addresses of ports. */
function checkPortsFit(desired: Desired, draft: Draft, network: Network): void {
  // No port may come while we look: all of the tenant's changes touch its guard.
  draft.get(keys.guard(network.tenant));
  const users: string[] = [];
  for (const port of desired.portsOfNetwork(network.tenant, network.id)) {
    if (port.addresses.some((address) => outsideSubnets(address, network.subnets) !== undefined)) {
      users.push(restPath('port', idsOf(port)));
    }
  }
  if (users.length > 0)
    throw inUse(`the subnets of ${restPath('network', idsOf(network))} would leave out addresses of`, users);
}

function changePort(context: PlanContext, draft: Draft, ids: ObjectIds, spec: Specs['port']): Change<'port'> {
  const { desired } = context;
  const tenant = tenantFor(context, draft, ids);
  const before = desired.ports.get(keyOf(ids.tenant, ids.id!));
  const network = desired.networks.get(keyOf(ids.tenant, spec.network));
  draft.get(keys.object('network', { tenant: ids.tenant, id: spec.network }));
  if (!network) {
    throw invalid([{ pointer: '/network', message: `network ${spec.network} does not exist in tenant ${ids.tenant}` }]);
  }
  const outside = spec.addresses.flatMap((address, i): FieldProblem[] => {
    const problem = outsideSubnets(address, network.subnets);
    return problem === undefined ? [] : [{ pointer: `/addresses/${i}`, message: problem }];
  });
  if (outside.length > 0) throw invalid(outside);
  if (!before) checkCount(draft, tenant, 'ports', desired.countPorts(tenant.id));
  const path = restPath('port', ids);
  const endpoint = before?.endpoint ?? take(draft, IdSpaces.endpoint, path);
  const migration = rebound(before, spec.binding, context.now);
  const after: Port = { tenant: ids.tenant, id: ids.id!, ...stamp(context, before), ...spec, endpoint, migration };
  checkDevicePorts(desired, after);
  claim(draft, path, before ? claimsOf(desired, before) : [], claimsOf(desired, after));
  return { kind: 'port', before, after };
}

/** A step of a port's move: only its places change, and what is known of the move. */
function planMove(
  context: PlanContext,
  draft: Draft,
  step: Extract<Step, { readonly action: 'move' }>,
  before: Port | undefined,
): StepPlan {
  if (!before) throw notFound('port', step.ids);
  const edited = step.edit(before, context.now);
  if (edited === before) return { changes: [], object: { kind: 'port', object: before }, created: false };
  const after: Port = { ...edited, ...stamp(context, before) };
  checkDevicePorts(context.desired, after);
  claim(draft, restPath('port', step.ids), claimsOf(context.desired, before), claimsOf(context.desired, after));
  const change: DesiredChange = { kind: 'port', before, after };
  for (const hook of context.hooks) hook(change, context.desired);
  draft.put(keys.object('port', step.ids), toStored('port', after));
  context.desired.apply([change]);
  return { changes: [change], object: { kind: 'port', object: after }, created: false };
}

/** A VLAN on a physical port of a hardware VTEP belongs to one network, however many of its ports are there. */
function checkDevicePorts(desired: Desired, port: Port): void {
  bindingsOf(port).forEach((binding, i) => {
    if (!('vlan' in binding)) return;
    for (const other of desired.portsOfHypervisor(binding.hypervisor)) {
      if (!bindingsOf(other).some((there) => sameBinding(there, binding))) continue;
      if (other.tenant === port.tenant && other.id === port.id) continue;
      if (other.tenant === port.tenant && other.network === port.network) return;
      const holder = restPath('network', { tenant: other.tenant, id: other.network });
      const message = `${describeBinding(binding)} belongs to ${holder}`;
      const pointer = i === 0 ? '/binding' : '/to';
      throw new RequestError(409, 'NL_CONFLICT', message, [{ pointer, message }], { holders: [holder] });
    }
  });
}

/** Ports may be bound to a hypervisor that does not exist yet, as to a switch that was never seen. */
function changeHypervisor(
  context: PlanContext,
  draft: Draft,
  ids: ObjectIds,
  spec: Specs['hypervisor'],
): Change<'hypervisor'> {
  const before = context.desired.hypervisors.get(ids.id!);
  const after: Hypervisor = { id: ids.id!, ...stamp(context, before), ...spec };
  claim(draft, restPath('hypervisor', ids), before ? endpointClaims(before) : [], endpointClaims(after));
  return { kind: 'hypervisor', before, after };
}

/** Hypervisors may name a site that does not exist yet. */
function changeSite(context: PlanContext, _draft: Draft, ids: ObjectIds, spec: Specs['site']): Change<'site'> {
  const before = context.desired.sites.get(ids.id!);
  return { kind: 'site', before, after: { id: ids.id!, ...stamp(context, before), ...spec } };
}

function changeLispSite(
  context: PlanContext,
  draft: Draft,
  ids: ObjectIds,
  spec: Specs['lispSite'],
): Change<'lispSite'> {
  const before = context.desired.lispSites.get(ids.id!);
  const keys = spec.keys ?? before?.keys ?? [];
  const after: LispSite = { id: ids.id!, ...stamp(context, before), ...spec, keys };
  claim(draft, restPath('lispSite', ids), before ? blockClaims(before) : [], blockClaims(after));
  return { kind: 'lispSite', before, after };
}

/** A block belongs to one LISP site; blocks within it may belong to others. */
const blockClaims = ({ instanceId, eidPrefixes }: LispSite): Claim[] =>
  eidPrefixes.map((eid, i) => ({
    key: keys.unique(`lisp-block/${instanceId}/${eid}`),
    pointer: `/eidPrefixes/${i}`,
    what: `EID prefix ${eid} of instance ${instanceId}`,
  }));

function changeLispMapping(
  context: PlanContext,
  draft: Draft,
  ids: ObjectIds,
  spec: Specs['lispMapping'],
): Change<'lispMapping'> {
  const before = context.desired.lispMappings.get(ids.id!);
  const after: LispMapping = { id: ids.id!, ...stamp(context, before), ...spec };
  claim(draft, restPath('lispMapping', ids), before ? eidClaims(before) : [], eidClaims(after));
  return { kind: 'lispMapping', before, after };
}

const eidClaims = ({ instanceId, eid }: LispMapping): Claim[] => [
  {
    key: keys.unique(`lisp-mapping/${instanceId}/${eid}`),
    pointer: '/eid',
    what: `EID ${eid} of instance ${instanceId}`,
  },
];

/** What only one tunnel endpoint may have. */
function endpointClaims({ datapathId, tunnelAddresses, ovsdb, physicalSwitch }: Hypervisor): Claim[] {
  const claims = tunnelAddresses.map((address, i): Claim => {
    const text = formatIp(address);
    return { key: keys.unique(`vtep/${text}`), pointer: `/tunnelAddresses/${i}`, what: `tunnel address ${text}` };
  });
  if (physicalSwitch !== undefined) {
    // One that is dialled is known by its database, of which we keep one physical switch; one that dials in, by its name.
    const [key, what] =
      ovsdb === undefined
        ? [keys.unique(`physical-switch/${physicalSwitch}`), `physical switch ${physicalSwitch}`]
        : [keys.unique(`vtep-database/${ovsdb}`), `the hardware_vtep database at ${ovsdb}`];
    claims.push({ key, pointer: ovsdb === undefined ? '/physicalSwitch' : '/ovsdb', what });
  }
  if (datapathId === undefined) return claims;
  const key = keys.unique(`datapath/${datapathId}`);
  return [...claims, { key, pointer: '/datapathId', what: `datapath id ${datapathId}` }];
}

/** Something that only one object may have. */
interface Claim {
  readonly key: string;
  readonly pointer: string;
  readonly what: string;
}

function claimsOf(desired: Desired, port: Port): Claim[] {
  const claims: Claim[] = [];
  const add = (what: string, pointer: string, text: string): void => {
    claims.push({ key: keys.unique(what), pointer, what: text });
  };
  const network = desired.networks.get(keyOf(port.tenant, port.network))!;
  // Two networks that make up one segment have one space of addresses.
  const { index } = network.extends === undefined ? network : desired.otherSide(network)!;
  if (port.mac !== 'learned') {
    add(`mac/${index}/${formatMac(port.mac)}`, '/mac', `MAC ${formatMac(port.mac)} in network ${port.network}`);
  }
  port.addresses.forEach((address: IpAddress, i) => {
    const text = formatIp(address);
    add(`address/${index}/${text}`, `/addresses/${i}`, `address ${text} in network ${port.network}`);
  });
  bindingsOf(port).forEach((binding, i) => {
    const pointer = i === 0 ? '/binding' : '/to';
    if ('switch' in binding) {
      // A number and a name are different claims even when they look alike.
      const name = typeof binding.port === 'number' ? `#${binding.port}` : `=${binding.port}`;
      add(`binding/switch/${binding.switch}/${name}`, pointer, `port ${binding.port} of switch ${binding.switch}`);
    } else if ('interfaceId' in binding) {
      const { hypervisor, interfaceId } = binding;
      const what = `interface ${interfaceId} of hypervisor ${hypervisor}`;
      add(`binding/hypervisor/${hypervisor}/${interfaceId}`, pointer, what);
    }
  });
  return claims;
}

function claim(draft: Draft, path: string, before: readonly Claim[], after: readonly Claim[]): void {
  const wanted = new Set(after.map(({ key }) => key));
  for (const { key } of before) if (!wanted.has(key)) draft.delete(key);
  const had = new Set(before.map(({ key }) => key));
  const problems: FieldProblem[] = [];
  const holders: string[] = [];
  for (const { key, pointer, what } of after) {
    if (had.has(key)) continue;
    const holder = draft.get(key);
    if (holder !== undefined) {
      problems.push({ pointer, message: `${what} belongs to ${holder}` });
      holders.push(holder);
    } else draft.put(key, path);
  }
  if (problems.length > 0) {
    throw new RequestError(409, 'NL_CONFLICT', problems.map(({ message }) => message).join('; '), problems, {
      holders,
    });
  }
}

function inUse(what: string, users: readonly string[]): RequestError {
  const named = users.slice(0, 5).join(', ');
  const more = users.length > 5 ? ` and ${users.length - 5} more` : '';
  return new RequestError(409, 'NL_IN_USE', `${what} ${named}${more}`, [], {
    users: users.slice(0, USERS_LISTED),
    userCount: users.length,
  });
}

function planDelete(
  context: PlanContext,
  draft: Draft,
  step: Extract<Step, { readonly action: 'delete' }>,
  current: AnyObject | undefined,
): StepPlan {
  if (!current) throw notFound(step.kind, step.ids);
  const { desired } = context;
  const changes: DesiredChange[] = [];
  const { tenant, id } = step.ids;
  if (step.kind === 'site') {
    for (const before of desired.hypervisors.values()) {
      if (before.site === id) changes.push({ kind: 'hypervisor', before, after: undefined });
    }
  }
  if (step.kind === 'port' || isGlobalKind(step.kind)) {
    // Ports keep their binding: a hypervisor may come back under its name.
    changes.push({ kind: step.kind, before: current, after: undefined } as DesiredChange);
  } else {
    draft.get(keys.guard(tenant));
    const network = step.kind === 'network' ? (current as Network) : undefined;
    const extension = network?.extends === undefined && network ? desired.otherSide(network) : undefined;
    const ports = network ? desired.portsOfNetwork(tenant, id!) : desired.portsOf(tenant);
    for (const before of ports) changes.push({ kind: 'port', before, after: undefined });
    for (const before of extension ? desired.portsOfNetwork(tenant, extension.id) : []) {
      changes.push({ kind: 'port', before, after: undefined });
    }
    if (extension) changes.push({ kind: 'network', before: extension, after: undefined });
    if (network) changes.push({ kind: 'network', before: network, after: undefined });
    else {
      for (const before of desired.networksOf(tenant)) changes.push({ kind: 'network', before, after: undefined });
      changes.push({ kind: 'tenant', before: current as Tenant, after: undefined });
    }
  }
  if (changes.length > 1 && !step.cascade) {
    const users = changes.slice(0, -1).map(({ kind, before }) => restPath(kind, idsOf(before!)));
    throw inUse(`${restPath(step.kind, step.ids)} is in use by`, users);
  }
  for (const hook of context.hooks) for (const change of changes) hook(change, desired);
  for (const change of changes) remove(desired, draft, change);
  if (step.kind === 'tenant') draft.delete(keys.guard(tenant));
  else if (!isGlobalKind(step.kind)) draft.put(keys.guard(tenant), context.token);
  desired.apply(changes);
  return { changes, object: undefined, created: false };
}

/** Frees all that a deleted object held. */
function remove(desired: Desired, draft: Draft, change: DesiredChange): void {
  const before = change.before!;
  const key = keys.object(change.kind, idsOf(before));
  draft.get(key);
  draft.delete(key);
  switch (change.kind) {
    case 'tenant':
      draft.freeId(IdSpaces.tenant, change.before!.index);
      return;
    case 'network':
      draft.freeId(IdSpaces.network, change.before!.index);
      draft.freeId(SEGMENTS[change.before!.transport], change.before!.segmentId);
      for (const claimed of networkClaims(change.before!)) draft.delete(claimed.key);
      return;
    case 'port':
      draft.freeId(IdSpaces.endpoint, change.before!.endpoint);
      for (const claimed of claimsOf(desired, change.before!)) draft.delete(claimed.key);
      return;
    case 'hypervisor':
      for (const claimed of endpointClaims(change.before!)) draft.delete(claimed.key);
      return;
    case 'site':
      return;
    case 'lispSite':
      for (const claimed of blockClaims(change.before!)) draft.delete(claimed.key);
      return;
    case 'lispMapping':
      for (const claimed of eidClaims(change.before!)) draft.delete(claimed.key);
  }
}
