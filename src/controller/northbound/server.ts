import type { AddressInfo } from 'node:net';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import swaggerUi from '@fastify/swagger-ui';
import underPressure from '@fastify/under-pressure';
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { type Clock, ConfigError, type Logger, type MetricSink } from '../kernel/index.ts';
import type { ObjectService } from '../model/index.ts';
import { RouteAdapter } from './adapter.ts';
import type { EventLog } from './event-log.ts';
import { EventStreams } from './event-stream.ts';
import { hostCheck, isLoopback } from './host-check.ts';
import { parseBody, stringify } from './json.ts';
import { registerOpenApi } from './openapi.ts';
import { problemType, refusal, toProblem } from './problem.ts';
import type { MoveProgress, ObservedApi, ReadinessCheck, ReadyWait, RulesApi } from './providers.ts';
import type { RouteSpec } from './route.ts';
import { registerRoutes } from './routes/index.ts';

export interface HttpServerDeps {
  readonly objects: ObjectService;
  readonly ready: ReadyWait;
  readonly moves: MoveProgress;
  readonly observed: ObservedApi;
  readonly rules: RulesApi;
  readonly events: EventLog;
  readonly telemetry: { readonly sink: MetricSink; render(): Promise<string>; readonly contentType: string };
  readiness(): readonly ReadinessCheck[];
  readonly log: Logger;
  readonly clock: Clock;
  /** Version of the controller, for the OpenAPI document and `/healthz`. */
  readonly version: string;
  /** Routes of apps, registered after ours. */
  readonly routes?: readonly RouteSpec[];
  readonly options?: HttpOptions;
}

export interface HttpOptions {
  /** Listen on addresses that others can reach, and answer to any host name. Default false. */
  readonly allowRemote?: boolean;
  /** Requests that one address may make in a span. Off by default. */
  readonly rateLimit?: { readonly max: number; readonly windowMs: number };
  /** Event-loop delay above which requests other than health and metrics get 503; default 5,000. 0 is off. */
  readonly maxEventLoopDelayMs?: number;
  readonly heartbeatMs?: number;
  readonly maxEventStreams?: number;
  /** Time that requests have to finish when the server closes; default 8,000. */
  readonly graceMs?: number;
}

export interface HttpServer {
  /** Resolves with the address once connections are accepted. Rejects with ConfigError for an address that is not allowed. */
  listen(host: string, port: number): Promise<AddressInfo>;
  /** Lets requests finish, tells event streams, and ends what is left after `graceMs`. */
  close(): Promise<void>;
  /** For tests (`inject`) and the docs generator. */
  readonly app: FastifyInstance;
}

/** Bytes a body may have unless its route says otherwise. */
const bodyLimit = 1_024 * 1_024;
/** Routes that must answer while everything else is overloaded. */
const unguarded = new Set(['/healthz', '/readyz', '/metrics']);
const requestIdPattern = /^[\w.:-]{1,64}$/;

/** Builds the HTTP side: REST, events, documents, health, metrics. Nothing is listened on yet. */
export async function createHttpServer(deps: HttpServerDeps): Promise<HttpServer> {
  const { log, clock, events, telemetry, options = {} } = deps;
  const stopping = new AbortController();
  let requests = 0;

  const sendProblem = (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const problem = toProblem(error);
    const path = pathPart(request.url);
    if (problem.status >= 500) {
      const fields = { requestId: request.id, method: request.method, path, code: problem.code, err: error };
      if (problem.status === 500) log.error(fields, 'request failed');
      else log.warn(fields, 'request could not be served');
    }
    if (problem.status === 503 && !reply.hasHeader('retry-after')) reply.header('retry-after', '1');
    return reply
      .code(problem.status)
      .type(problemType)
      .send(stringify({ ...problem, instance: path, requestId: request.id }));
  };

  const app: FastifyInstance = Fastify({
    logger: false,
    bodyLimit,
    routerOptions: { maxParamLength: 1_024 },
    requestTimeout: 60_000,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    genReqId: (raw) => {
      const given = raw.headers['x-request-id'];
      return typeof given === 'string' && requestIdPattern.test(given) ? given : `r${(++requests).toString(36)}`;
    },
    frameworkErrors: (error, request, reply) => {
      // Before routing there are no hooks: the headers that every reply has are not there, the document is.
      sendProblem(error, request, reply);
    },
    clientErrorHandler(error, socket) {
      if (!socket.writable || error.code === 'ECONNRESET') {
        socket.destroy();
        return;
      }
      const { status, text } = rawProblem(error.code);
      const lines = [
        `HTTP/1.1 ${status}`,
        `Content-Type: ${problemType}`,
        `Content-Length: ${Buffer.byteLength(text)}`,
        'Connection: close',
      ];
      socket.end(`${lines.join('\r\n')}\r\n\r\n${text}`);
    },
  });

  // Requests are checked by the model and by handlers, replies are JSON already: the framework compiles no schemas.
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => stringify);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    ['application/json', 'application/merge-patch+json'],
    { parseAs: 'buffer' },
    (_request: FastifyRequest, body: Buffer, done: (error: Error | null, value?: unknown) => void) => {
      try {
        done(null, parseBody(body));
      } catch (error) {
        done(error instanceof Error ? error : new Error('parser threw no error'));
      }
    },
  );
  app.setErrorHandler<FastifyError>(sendProblem);
  app.setNotFoundHandler((request, reply) =>
    sendProblem(refusal('NL_NOT_FOUND', `${request.method} ${pathPart(request.url)}: no such route`), request, reply),
  );

  measure(app, deps);
  const checkHost = options.allowRemote ? undefined : hostCheck();
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    try {
      checkHost?.(request.headers.host);
      done();
    } catch (error) {
      done(error as Error);
    }
  });

  await app.register(helmet, {
    // Over plain HTTP on loopback, and replies are data: nothing of them may be run or framed.
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    strictTransportSecurity: false,
  });
  const { rateLimit: limit, maxEventLoopDelayMs = 5_000 } = options;
  if (limit) await app.register(rateLimit, { max: limit.max, timeWindow: limit.windowMs });
  await app.register(underPressure, {
    maxEventLoopDelay: maxEventLoopDelayMs,
    pressureHandler: (request, reply, _type, value) => {
      // Infinity says that nothing was measured in the last second; if work did wait, the next second has the figure.
      if (unguarded.has(request.routeOptions.url ?? '') || value === Number.POSITIVE_INFINITY) return;
      reply.header('retry-after', '5');
      throw refusal('NL_OVERLOADED', `work has been waiting for ${Math.round(value ?? 0)} ms`);
    },
  });
  await registerOpenApi(app, deps.version);
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    // Nothing from other places, and no upgrade to HTTPS, which nobody serves on loopback.
    staticCSP:
      "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
      "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    uiConfig: { validatorUrl: null, tryItOutEnabled: true, displayRequestDuration: true },
  });

  const streams = new EventStreams({
    log: events,
    clock,
    logger: log,
    ...(options.heartbeatMs === undefined ? {} : { heartbeatMs: options.heartbeatMs }),
    ...(options.maxEventStreams === undefined ? {} : { maxStreams: options.maxEventStreams }),
  });
  streams.declareMetrics(telemetry.sink);
  const routes = new RouteAdapter(app, stopping.signal);
  registerRoutes(routes, deps, streams);
  for (const spec of deps.routes ?? []) routes.route(spec);
  app.get('/openapi.json', { schema: { hide: true } }, (_request, reply) =>
    reply.type('application/json; charset=utf-8').send(stringify(app.swagger())),
  );
  routes.seal();
  await app.ready();

  return {
    app,
    async listen(host, port) {
      if (!options.allowRemote && !isLoopback(host)) {
        throw new ConfigError('http.listen', `${host} can be reached by others; expected a loopback address`);
      }
      await app.listen({ host, port, backlog: 4_096 });
      return app.server.address() as AddressInfo;
    },
    async close() {
      stopping.abort();
      streams.close();
      // Connections become idle as their requests finish; clients that keep them alive would hold us for a minute.
      const sweep = clock.every(100, () => app.server.closeIdleConnections());
      const end = clock.after(options.graceMs ?? 8_000, () => {
        log.warn({}, 'requests did not finish in time; their connections are closed');
        app.server.closeAllConnections();
      });
      await app.close();
      sweep();
      end();
    },
  };
}

const pathPart = (url: string): string => {
  const end = url.indexOf('?');
  return (end < 0 ? url : url.slice(0, end)).slice(0, 256);
};

/** Problem for what is no HTTP request at all, so that no route can answer it. */
function rawProblem(code: string): { readonly status: string; readonly text: string } {
  const problem = toProblem(
    code === 'HPE_HEADER_OVERFLOW'
      ? refusal('NL_HEADERS_TOO_LARGE', 'the headers are larger than 16 KiB')
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? refusal('NL_REQUEST_TIMEOUT', 'the request did not arrive in time')
        : refusal('NL_MALFORMED', 'this is no HTTP request'),
  );
  const phrases: Readonly<Record<number, string>> = { 408: 'Request Timeout', 431: 'Request Header Fields Too Large' };
  return { status: `${problem.status} ${phrases[problem.status] ?? 'Bad Request'}`, text: stringify(problem) };
}

/** Request metrics by route, and the access log at debug. */
function measure(app: FastifyInstance, { log, telemetry }: HttpServerDeps): void {
  let inFlight = 0;
  const seconds = telemetry.sink.histogram({
    name: 'netloom_http_request_duration_seconds',
    help: 'Time from the request line to the end of the reply, by route; `none` is no route of ours.',
    labels: ['method', 'route', 'code'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  });
  telemetry.sink.declare({
    name: 'netloom_http_requests_in_flight',
    help: 'Requests that have no complete reply yet, event streams among them.',
    type: 'gauge',
    collect: () => inFlight,
  });
  app.addHook('onRequest', (_request, reply, done) => {
    inFlight++;
    // Not onResponse: that does not run for a client that goes away while it sends its body.
    reply.raw.once('close', () => {
      inFlight--;
    });
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'none';
    const { statusCode, elapsedTime } = reply;
    if (route !== '/v1/events') {
      seconds.observe(elapsedTime / 1_000, { method: request.method, route, code: String(statusCode) });
    }
    log.debug(
      {
        requestId: request.id,
        method: request.method,
        path: pathPart(request.url),
        status: statusCode,
        ms: elapsedTime,
      },
      'request',
    );
    done();
  });
}
