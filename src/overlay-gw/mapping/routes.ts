import Type, { type TSchema } from 'typebox';
import { type ApiRequest, type AppContext, query, type RouteSpec, refusal } from '../../controller/index.ts';
import { type EidPrefix, type Mapping, type MappingSystem, widthOf } from '../lisp/index.ts';
import { plainText, readPrefix } from './eids.ts';
import { MappingView, mappingView, SubscriptionView, timeOf } from './views.ts';

const MAX_INSTANCE = 0xffff_ffff;

const parameters = {
  limit: { description: 'Items on a page', schema: Type.Integer({ minimum: 1, maximum: 1_000, default: 100 }) },
  cursor: { description: '`nextCursor` of the page before', schema: Type.String() },
  instanceId: { description: 'Only those of this virtual network', schema: Type.Integer({ minimum: 0 }) },
} as const;

const pageSchema = (item: TSchema) =>
  Type.Object({
    items: Type.Array(item),
    nextCursor: Type.Optional(Type.String({ description: 'Give it back as `?cursor=`; absent on the last page' })),
    revision: Type.Integer({ description: 'A place to resume /v1/events from' }),
  });

const bad = (name: string, message: string) =>
  refusal('NL_INVALID', `?${name}: ${message}`, [{ pointer: `?${name}`, message }]);

/** What a page begins behind: a prefix, and with it a name where several things share one. */
interface Place {
  readonly prefix: EidPrefix;
  readonly name: string;
}

const writeCursor = ({ prefix, name }: Place): string =>
  Buffer.from(JSON.stringify([prefix.instanceId, plainText(prefix), name])).toString('base64url');

function readCursor(text: string): Place {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(text, 'base64url').toString());
  } catch (cause) {
    const refused = bad('cursor', 'not one of ours');
    refused.cause = cause;
    throw refused;
  }
  const [instanceId, eid, name]: readonly unknown[] = Array.isArray(value) ? value : [];
  const prefix = typeof instanceId === 'number' && typeof eid === 'string' ? readPrefix(instanceId, eid) : undefined;
  if (!prefix || typeof name !== 'string') throw bad('cursor', 'not one of ours');
  return { prefix, name };
}

interface Asked {
  readonly limit: number;
  readonly after: Place | undefined;
  readonly instanceId: number | undefined;
}

function asked({ query: raw }: ApiRequest): Asked {
  const cursor = query.text(raw, 'cursor');
  return {
    limit: query.integer(raw, 'limit', 1, 1_000, 100),
    after: cursor === undefined ? undefined : readCursor(cursor),
    instanceId:
      query.text(raw, 'instanceId') === undefined ? undefined : query.integer(raw, 'instanceId', 0, MAX_INSTANCE, 0),
  };
}

/** Where a prefix stands in lists: by instance id, family, bits, the shorter first. */
const byPlace = (a: EidPrefix, b: EidPrefix): number =>
  a.instanceId - b.instanceId ||
  (a.family < b.family ? -1 : a.family > b.family ? 1 : 0) ||
  a.bits.reduce((order, word, i) => order || word - b.bits[i]!, 0) ||
  a.length - b.length;

/** Mappings of one virtual network, or of all; with an EID those that contain it and those within it. */
function* mappingsOf(
  system: MappingSystem,
  { after, instanceId }: Asked,
  eid: EidPrefix | undefined,
): Generator<Mapping> {
  if (eid) {
    for (const mapping of system.mappings.containing(eid)) {
      if (!after || byPlace(mapping.prefix, after.prefix) > 0) yield mapping;
    }
    yield* system.mappings.all(eid, after?.prefix);
  } else if (instanceId === undefined) yield* system.mappings.all(undefined, after?.prefix);
  else {
    for (const family of ['ipv4', 'ipv6', 'mac'] as const) {
      const all = { instanceId, family, bits: new Array<number>(Math.ceil(widthOf[family] / 32)).fill(0), length: 0 };
      yield* system.mappings.all(all, after?.prefix);
    }
  }
}

/** Reads of the mapping system under /v1/lisp. */
export function lispRoutes(system: MappingSystem, { clock, state }: Pick<AppContext, 'clock' | 'state'>): RouteSpec[] {
  return [
    {
      method: 'GET',
      path: '/v1/lisp/mappings',
      operationId: 'listLispMappings',
      tag: 'lisp',
      summary: 'List what is registered: by routers, by LISP mapping objects and by ports',
      description: 'In order of instance id, family and prefix.',
      query: {
        ...parameters,
        eid: {
          description: 'Only prefixes that contain this address or prefix, or lie within it; of instance 0 unless told',
          schema: Type.String({ examples: ['10.1.0.9'] }),
        },
      },
      replies: { 200: { description: 'One page', schema: pageSchema(MappingView) } },
      handle: (request) => {
        const page = asked(request);
        const text = query.text(request.query, 'eid');
        const eid = text === undefined ? undefined : readPrefix(page.instanceId ?? 0, text);
        if (text !== undefined && !eid) throw bad('eid', 'expected an IPv4, IPv6 or MAC address or prefix');
        const items: MappingView[] = [];
        let last: EidPrefix | undefined;
        let more = false;
        for (const mapping of mappingsOf(system, page, eid)) {
          more = items.length === page.limit;
          if (more) break;
          items.push(mappingView(mapping, clock));
          last = mapping.prefix;
        }
        const next = more && last ? { nextCursor: writeCursor({ prefix: last, name: '' }) } : {};
        return { status: 200, body: { items, ...next, revision: state.desired.revision } };
      },
    },
    {
      method: 'GET',
      path: '/v1/lisp/subscriptions',
      operationId: 'listLispSubscriptions',
      tag: 'lisp',
      summary: 'List who is told of changed mappings',
      description: 'In order of instance id, family, prefix and xTR-ID.',
      query: parameters,
      replies: { 200: { description: 'One page', schema: pageSchema(SubscriptionView) } },
      handle: (request) => {
        const { limit, after, instanceId } = asked(request);
        const all = [...system.subscriptions()]
          .filter(({ prefix }) => instanceId === undefined || prefix.instanceId === instanceId)
          .map((each) => ({ each, place: { prefix: each.prefix, name: each.xtrId } }))
          .filter(({ place }) => !after || inOrder(after, place) < 0)
          .sort((a, b) => inOrder(a.place, b.place));
        const items = all.slice(0, limit).map(
          ({ each }): SubscriptionView => ({
            instanceId: each.prefix.instanceId,
            eid: plainText(each.prefix),
            xtrId: each.xtrId,
            site: each.siteId,
            address: each.to.address,
            port: each.to.port,
            unacknowledged: each.unacknowledged,
            expiresAt: timeOf(clock, each.expiresAt),
          }),
        );
        const last = all[limit - 1];
        const next = all.length > limit && last ? { nextCursor: writeCursor(last.place) } : {};
        return { status: 200, body: { items, ...next, revision: state.desired.revision } };
      },
    },
  ];
}

const inOrder = (a: Place, b: Place): number =>
  byPlace(a.prefix, b.prefix) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
