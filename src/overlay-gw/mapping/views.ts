import Type, { type Static } from 'typebox';
import type { Clock } from '../../controller/index.ts';
import { counting, type Locator, type Mapping, mergedRecord, type Registration } from '../lisp/index.ts';
import { actionName, plainText, rlocText } from './eids.ts';

const RlocView = Type.Object({
  address: Type.String({ description: 'Address; several with commas where a locator is a list or a path' }),
  priority: Type.Integer({ description: 'Lower is better; 255: not to be used' }),
  weight: Type.Integer(),
  reachable: Type.Boolean({ description: 'As whoever registered it says' }),
});

const RegistrationView = Type.Object({
  source: Type.Enum(['router', 'rest', 'port'], {
    description: '`router` registered it; `rest`: a LISP mapping object; `port`: a port of a tenant',
  }),
  by: Type.String({ description: 'xTR-ID or address of the router, or path of the object' }),
  site: Type.Optional(Type.String({ description: 'LISP site whose key signed it' })),
  rlocs: Type.Array(RlocView),
  proxyReply: Type.Boolean({ description: 'We answer for it' }),
  counts: Type.Boolean({ description: 'False while objects or ports say something else of the same prefix' }),
  expiresAt: Type.Optional(Type.String({ format: 'date-time', description: 'Unless it is renewed' })),
});

/** A mapping as REST shows it. */
export const MappingView = Type.Object({
  instanceId: Type.Integer({ description: 'Virtual network; 0 when the EIDs name none' }),
  eid: Type.String({ description: 'Prefix', examples: ['10.1.0.0/16'] }),
  rlocs: Type.Array(RlocView, { description: 'What is answered' }),
  action: Type.String({ description: 'What routers do without locators', examples: ['drop'] }),
  registrations: Type.Array(RegistrationView, { description: 'What that is made from' }),
});
export type MappingView = Static<typeof MappingView>;

/** A subscription as REST shows it. */
export const SubscriptionView = Type.Object({
  instanceId: Type.Integer({ description: 'Virtual network; 0 when the EIDs name none' }),
  eid: Type.String({ description: 'Prefix that it is about', examples: ['10.1.0.0/16'] }),
  xtrId: Type.String({ description: 'Who subscribed, 32 hex digits' }),
  site: Type.String({ description: 'LISP site whose key signs what it is told' }),
  address: Type.String({ description: 'Where it is told' }),
  port: Type.Integer(),
  unacknowledged: Type.Integer({ description: 'Publications that it has not acknowledged yet' }),
  expiresAt: Type.String({ format: 'date-time', description: 'Unless it is renewed' }),
});
export type SubscriptionView = Static<typeof SubscriptionView>;

const rlocView = ({ rloc, priority, weight, reachable }: Locator): Static<typeof RlocView> => ({
  address: rlocText(rloc),
  priority,
  weight,
  reachable,
});

/** Where a registration comes from: routers are named by hex digits or an address, others by the path of their object. */
export const sourceOf = ({ by, pinned }: Pick<Registration, 'by' | 'pinned'>): 'router' | 'rest' | 'port' =>
  !pinned ? 'router' : by.startsWith('/v1/lisp/') ? 'rest' : 'port';

/** ISO time of a monotonic one. */
export const timeOf = (clock: Clock, monotonic: number): string =>
  new Date(clock.now() - clock.monotonic() + monotonic).toISOString();

/** `mapping` with all its registrations. */
export function mappingView({ prefix, registrations }: Mapping, clock: Clock): MappingView {
  const effective = counting(registrations);
  const record = mergedRecord({ prefix, registrations: effective });
  return {
    instanceId: prefix.instanceId,
    eid: plainText(prefix),
    rlocs: record.locators.map(rlocView),
    action: actionName(record.action),
    registrations: registrations.map((each) => ({
      source: sourceOf(each),
      by: each.by,
      ...(each.siteId === undefined ? {} : { site: each.siteId }),
      rlocs: each.body.locators.map(rlocView),
      proxyReply: each.proxyReply,
      counts: effective.includes(each),
      ...(Number.isFinite(each.expiresAt) ? { expiresAt: timeOf(clock, each.expiresAt) } : {}),
    })),
  };
}
