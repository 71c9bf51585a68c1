import Type, { type TSchema } from 'typebox';
import { type Dpid, parseDpid } from '../../kernel/index.ts';
import type { FlowView } from '../../rules/index.ts';
import { pageOf } from '../page.ts';
import { refusal } from '../problem.ts';
import type { ObservedApi, PageQuery, RulesApi } from '../providers.ts';
import { integer, text } from '../query.ts';
import type { ApiReply, ApiRequest, RouteRegistrar } from '../route.ts';
import { pageSchema, parameters } from '../schemas.ts';

interface Deps {
  readonly observed: ObservedApi;
  readonly rules: RulesApi;
}

const pageQuery = ({ query }: ApiRequest, maximum = 1_000, fallback = 100): PageQuery => ({
  limit: integer(query, 'limit', 1, maximum, fallback),
  cursor: text(query, 'cursor'),
});

const number = (value: number): string => value.toString(16).padStart(8, '0');
/** Table, then highest priority first, then match: as one reads a pipeline. */
const flowKey = (flow: FlowView): string =>
  `${number(flow.tableId)}/${number(0xffff - flow.priority)}/${flow.match}/${flow.cookie}`;

/** What a connected switch answered; 503 when it is not connected. */
async function present<T>(dpid: Dpid, answer: Promise<T | undefined>): Promise<T> {
  const value = await answer;
  if (value === undefined) throw refusal('NL_CLOSED', `switch ${dpid} is not connected`);
  return value;
}

/** What switches and the network look like. Read only. */
export function observedRoutes(registrar: RouteRegistrar, { observed, rules }: Deps): void {
  /** 400 for what is no datapath id, 404 for a switch that was never here. */
  const dpidOf = ({ params }: ApiRequest): Dpid => {
    const dpid = parseDpid(params['dpid'] ?? '');
    if (!dpid) {
      throw refusal('NL_INVALID', 'the datapath id in the path: expected 16 hex digits', [
        { pointer: 'path', message: 'expected 16 hex digits' },
      ]);
    }
    if (!observed.switch(dpid)) throw refusal('NL_NOT_FOUND', `switch ${dpid}: has never been here`);
    return dpid;
  };

  const list = (path: string, operationId: string, summary: string, item: string, get: (page: PageQuery) => unknown) =>
    registrar.route({
      method: 'GET',
      path,
      operationId,
      tag: 'observed',
      summary,
      query: { limit: parameters.limit, cursor: parameters.cursor },
      replies: { 200: { description: 'One page', schema: pageSchema(Type.Ref(item)) } },
      handle: (request) => ({ status: 200, body: get(pageQuery(request)) }),
    });

  const ofSwitch = (
    part: string,
    operationId: string,
    summary: string,
    schema: TSchema,
    paged: boolean,
    get: (dpid: Dpid, request: ApiRequest) => unknown,
  ) =>
    registrar.route({
      method: 'GET',
      path: `/v1/switches/:dpid${part}`,
      operationId,
      tag: 'switches',
      summary,
      params: { dpid: parameters.dpid },
      ...(paged ? { query: { limit: { ...parameters.limit, schema: largePage }, cursor: parameters.cursor } } : {}),
      replies: { 200: { description: summary, schema } },
      errors: ['NL_NOT_FOUND', 'NL_CLOSED', 'NL_TIMEOUT', 'NL_SWITCH_ERROR'],
      handle: async (request): Promise<ApiReply> => ({ status: 200, body: await get(dpidOf(request), request) }),
    });
  const largePage = Type.Integer({ minimum: 1, maximum: 10_000, default: 1_000 });

  const page = <T>(all: Iterable<T>, keyOf: (item: T) => string, request: ApiRequest) => {
    const { limit, cursor } = pageQuery(request, 10_000, 1_000);
    return pageOf(all, keyOf, (item) => item, observed.revision, limit, cursor);
  };

  list('/v1/switches', 'listSwitches', 'List switches', 'Switch', (query) => observed.switches(query));
  list('/v1/links', 'listLinks', 'List links, each direction by itself', 'Link', (query) => observed.links(query));
  list('/v1/hosts', 'listHosts', 'List hosts that were seen', 'Host', (query) => observed.hosts(query));
  list(
    '/v1/tunnels',
    'listTunnels',
    'List tunnels between hypervisors that share networks, each direction by itself',
    'Tunnel',
    (query) => observed.tunnels(query),
  );
  registrar.route({
    method: 'GET',
    path: '/v1/topology',
    operationId: 'getTopology',
    tag: 'observed',
    summary: 'All switches and links',
    replies: { 200: { description: 'The topology', schema: Type.Ref('Topology') } },
    handle: () => ({ status: 200, body: observed.topology() }),
  });

  ofSwitch('', 'getSwitch', 'Get a switch', Type.Ref('Switch'), false, (dpid) => observed.switch(dpid));
  ofSwitch(
    '/ports',
    'listSwitchPorts',
    'Ports of a switch',
    pageSchema(Type.Ref('SwitchPort')),
    true,
    (dpid, request) => page(observed.ports(dpid), ({ no }) => number(no), request),
  );
  ofSwitch(
    '/flows',
    'listFlows',
    'Flows that the switch holds, each with its owner and reason',
    pageSchema(Type.Ref('Flow')),
    true,
    async (dpid, request) => page(await present(dpid, rules.flows(dpid)), flowKey, request),
  );
  ofSwitch(
    '/groups',
    'listGroups',
    'Groups that the switch holds',
    pageSchema(Type.Ref('Group')),
    true,
    async (dpid, request) => page(await present(dpid, rules.groups(dpid)), ({ groupId }) => number(groupId), request),
  );
  ofSwitch(
    '/meters',
    'listMeters',
    'Meters that the switch holds',
    pageSchema(Type.Ref('Meter')),
    true,
    async (dpid, request) => page(await present(dpid, rules.meters(dpid)), ({ meterId }) => number(meterId), request),
  );
  ofSwitch('/diff', 'diffSwitch', 'What is wanted against what is present', Type.Ref('Diff'), false, async (dpid) => {
    const { missing, unexpected, different, foreign } = await present(dpid, rules.diff(dpid));
    const inSync = missing.length + unexpected.length + different.length === 0;
    return { switch: dpid, inSync, missing, unexpected, different, foreign };
  });
}
