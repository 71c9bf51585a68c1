import swagger from '@fastify/swagger';
import type { FastifyInstance, FastifySchema } from 'fastify';
import Type, { type TSchema } from 'typebox';
import { type ErrorCode, errorCodes, type KnownErrorCode } from './error-codes.ts';
import type { ParameterSpec, RouteSpec, StreamSpec } from './route.ts';
import * as schemas from './schemas.ts';

/** Named schemas of the document; routes refer to them by `Type.Ref(name)`. */
const sharedSchemas: Readonly<Record<string, TSchema>> = {
  Problem: schemas.ProblemSchema,
  Tenant: schemas.objects.tenant,
  Network: schemas.objects.network,
  Port: schemas.objects.port,
  Hypervisor: schemas.objects.hypervisor,
  Site: schemas.objects.site,
  LispSite: schemas.objects.lispSite,
  LispMapping: schemas.objects.lispMapping,
  Migration: schemas.MigrationViewSchema,
  Switch: schemas.SwitchSchema,
  SwitchPort: schemas.SwitchPortSchema,
  Link: schemas.LinkSchema,
  Tunnel: schemas.TunnelSchema,
  Host: schemas.HostSchema,
  Topology: schemas.TopologySchema,
  Flow: schemas.FlowSchema,
  Group: schemas.GroupSchema,
  Meter: schemas.MeterSchema,
  Diff: schemas.DiffSchema,
};

const tags = [
  { name: 'tenants', description: 'Owners of networks and ports, with quotas' },
  { name: 'networks', description: 'Logical layer-2 segments' },
  { name: 'ports', description: 'Attachments of hosts and VMs' },
  { name: 'hypervisors', description: 'Tunnel endpoints: machines with an integration bridge, and foreign ones' },
  { name: 'sites', description: 'Hypervisors behind one underlay, and the routers that lead there' },
  { name: 'lisp', description: 'The LISP mapping system' },
  { name: 'bulk', description: 'Many writes in one request' },
  { name: 'switches', description: 'What one switch holds, and why' },
  { name: 'observed', description: 'What the network looks like' },
  { name: 'events', description: 'What happens' },
  { name: 'operations', description: 'Health, readiness, metrics' },
];

const properties = (specs: Readonly<Record<string, ParameterSpec>>): Record<string, TSchema> =>
  Object.fromEntries(
    Object.entries(specs).map(([name, { schema, description }]) => [name, { ...schema, description } as TSchema]),
  );

const optional = (specs: Readonly<Record<string, ParameterSpec>> | undefined): object | undefined =>
  specs && { type: 'object', properties: properties(specs) };

/** Refusals that any route can give. */
function commonErrors(spec: Omit<RouteSpec, 'handle'>): KnownErrorCode[] {
  const common: KnownErrorCode[] = ['NL_INVALID', 'NL_METHOD_NOT_ALLOWED', 'NL_MISDIRECTED', 'NL_INTERNAL'];
  if (spec.body) common.push('NL_MALFORMED', 'NL_UNSAFE_NUMBER', 'NL_TOO_LARGE', 'NL_MEDIA_TYPE');
  return common;
}

const example = (code: KnownErrorCode): object => {
  const { status, title, meaning } = errorCodes[code];
  return { type: `urn:netloom:problem:${code}`, title, status, code, detail: meaning };
};

/** What the document says of a route, in the framework's form. Nothing of it is executed: handlers check requests. */
export function fastifySchema(spec: RouteSpec | StreamSpec): FastifySchema {
  const response: Record<string, object> = {};
  for (const [status, { description, schema, type = 'application/json' }] of Object.entries(spec.replies)) {
    response[status] = schema ? { description, content: { [type]: { schema } } } : { description, type: 'null' };
  }
  const byStatus = new Map<number, KnownErrorCode[]>();
  for (const code of new Set([...(spec.errors ?? []), ...commonErrors(spec)])) {
    const { status } = errorCodes[code] as ErrorCode;
    if (status !== undefined) byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  for (const [status, codes] of byStatus) {
    if (response[status]) continue;
    response[status] = {
      description: codes.map((code) => `\`${code}\`: ${errorCodes[code].title}`).join('; '),
      content: {
        'application/problem+json': {
          schema: Type.Ref('Problem'),
          example: example(codes[0]!),
        },
      },
    };
  }
  const params = optional(spec.params);
  const query = optional(spec.query);
  const headers = optional(spec.headers);
  return {
    operationId: spec.operationId,
    tags: [spec.tag],
    summary: spec.summary,
    ...(spec.description === undefined ? {} : { description: spec.description }),
    ...(params ? { params: { ...params, required: Object.keys(spec.params ?? {}) } } : {}),
    ...(query ? { querystring: query } : {}),
    ...(headers ? { headers } : {}),
    ...(spec.body ? { body: spec.body } : {}),
    ...(spec.method === 'PATCH' ? { consumes: ['application/merge-patch+json', 'application/json'] } : {}),
    response,
  };
}

/** Gathers the document from the routes that are registered after this. */
export async function registerOpenApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Netloom',
        version,
        description:
          'Isolated tenant networks over OpenFlow. Errors are problem documents; writes take `If-Match`, `?dryRun=true` and ' +
          '`?wait=ready`; 64-bit numbers are strings.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags,
    },
    refResolver: { buildLocalReference: (json, _base, _fragment, i) => String(json['$id'] ?? `schema-${i}`) },
  });
  for (const [$id, schema] of Object.entries(sharedSchemas)) app.addSchema({ ...schema, $id });
}
