import Type from 'typebox';
import { type EventId, parseEventId } from '../event-log.ts';
import type { EventStreams } from '../event-stream.ts';
import { refusal } from '../problem.ts';
import type { ReadinessCheck } from '../providers.ts';
import { names, text } from '../query.ts';
import type { RouteRegistrar, StreamSpec } from '../route.ts';

interface Deps {
  readonly version: string;
  readiness(): readonly ReadinessCheck[];
  readonly telemetry: { render(): Promise<string>; readonly contentType: string };
}

/** What tells how the controller is. Outside `/v1`. */
export function operationRoutes(registrar: RouteRegistrar, deps: Deps): void {
  registrar.route({
    method: 'GET',
    path: '/healthz',
    operationId: 'health',
    tag: 'operations',
    summary: 'Is the process alive?',
    replies: {
      200: {
        description: 'It answers, so it is',
        schema: Type.Object({ status: Type.Literal('ok'), version: Type.String(), uptimeSeconds: Type.Number() }),
      },
    },
    handle: () => ({
      status: 200,
      body: { status: 'ok', version: deps.version, uptimeSeconds: Math.floor(process.uptime()) },
      headers: { 'cache-control': 'no-store' },
    }),
  });

  const Readiness = Type.Object({
    ready: Type.Boolean(),
    checks: Type.Array(Type.Object({ name: Type.String(), ok: Type.Boolean(), reason: Type.Optional(Type.String()) })),
  });
  registrar.route({
    method: 'GET',
    path: '/readyz',
    operationId: 'readiness',
    tag: 'operations',
    summary: 'Does the controller do its work?',
    description: 'Store open, listeners up, first compilation done.',
    replies: {
      200: { description: 'Every check holds', schema: Readiness },
      503: { description: 'Some check does not; its reason says why', schema: Readiness },
    },
    handle: () => {
      const checks = deps.readiness();
      const ready = checks.every(({ ok }) => ok);
      return { status: ready ? 200 : 503, body: { ready, checks }, headers: { 'cache-control': 'no-store' } };
    },
  });

  registrar.route({
    method: 'GET',
    path: '/metrics',
    operationId: 'metrics',
    tag: 'operations',
    summary: 'Metrics for Prometheus',
    replies: { 200: { description: 'Text format; see docs/metrics.md', schema: Type.String(), type: 'text/plain' } },
    handle: async () => ({
      status: 200,
      text: await deps.telemetry.render(),
      headers: { 'content-type': deps.telemetry.contentType },
    }),
  });
}

/** `/v1/events`. */
export const eventRoute = (streams: EventStreams): StreamSpec => ({
  method: 'GET',
  path: '/v1/events',
  operationId: 'events',
  tag: 'events',
  summary: 'What happens, as server-sent events',
  description:
    'Each event has an id: the store revision, and for further events at the same revision `.n`. `Last-Event-ID` (or the ' +
    '`revision` of any reply) resumes after it, nothing lost. `reset` says that this cannot be done (history gone, id unknown, ' +
    'reader too slow): list again, then go on reading. `shutdown` says that the controller stops.',
  query: {
    types: {
      description: 'Types or their beginnings, separated by commas',
      schema: Type.String({ examples: ['port,switch'] }),
    },
    tenant: { description: 'Only events of this tenant', schema: Type.String({ examples: ['acme'] }) },
  },
  headers: { 'last-event-id': { description: 'Resume after this id', schema: Type.String({ examples: ['42'] }) } },
  replies: { 200: { description: 'The stream', schema: Type.String(), type: 'text/event-stream' } },
  errors: ['NL_OVERLOADED'],
  stream(request, takeOver) {
    const filter = { types: names(request.query, 'types'), tenant: text(request.query, 'tenant') };
    const header = request.headers['last-event-id'];
    let after: EventId | undefined;
    if (typeof header === 'string') {
      after = parseEventId(header);
      if (!after) {
        throw refusal('NL_INVALID', 'Last-Event-ID: expected a revision, or an id of this stream', [
          { pointer: 'Last-Event-ID', message: 'expected a revision, or an id of this stream' },
        ]);
      }
    }
    streams.check();
    const { response, headers } = takeOver();
    streams.serve(response, filter, after, headers);
  },
});
