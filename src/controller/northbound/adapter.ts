import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import { InvariantError } from '../kernel/index.ts';
import { stringify } from './json.ts';
import { fastifySchema } from './openapi.ts';
import { refusal } from './problem.ts';
import { checkNames, type RawQuery } from './query.ts';
import type { ApiReply, ApiRequest, RouteRegistrar, RouteSpec, StreamSpec } from './route.ts';

const jsonType = 'application/json; charset=utf-8';
const allMethods: readonly HTTPMethods[] = ['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS'];

class FrameworkRequest implements ApiRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly query: RawQuery;
  readonly headers: FastifyRequest['headers'];
  readonly body: unknown;
  readonly #reply: FastifyReply;
  readonly #stopping: AbortSignal;

  constructor(request: FastifyRequest, reply: FastifyReply, stopping: AbortSignal) {
    this.params = request.params as Readonly<Record<string, string>>;
    this.query = request.query as RawQuery;
    this.headers = request.headers;
    this.body = request.body;
    this.#reply = reply;
    this.#stopping = stopping;
  }

  signal(): AbortSignal {
    const gone = new AbortController();
    this.#reply.raw.once('close', () => gone.abort());
    return AbortSignal.any([gone.signal, this.#stopping]);
  }
}

function send(reply: FastifyReply, { status, body, text, headers }: ApiReply): FastifyReply {
  reply.code(status);
  if (headers) reply.headers(headers);
  if (text !== undefined) return reply.send(text);
  if (body === undefined) return reply.send();
  return reply.type(jsonType).send(stringify(body));
}

/** Registers our routes with the framework, once each, and in the end says 405 for what they do not take. */
export class RouteAdapter implements RouteRegistrar {
  readonly #app: FastifyInstance;
  readonly #stopping: AbortSignal;
  readonly #methods = new Map<string, HTTPMethods[]>();
  readonly #operationIds = new Set<string>();
  #sealed = false;

  constructor(app: FastifyInstance, stopping: AbortSignal) {
    this.#app = app;
    this.#stopping = stopping;
  }

  route(spec: RouteSpec): void {
    const known = this.#register(spec);
    this.#app.route({
      method: spec.method,
      url: spec.path,
      schema: fastifySchema(spec),
      ...(spec.bodyLimit === undefined ? {} : { bodyLimit: spec.bodyLimit }),
      handler: async (request, reply) => {
        checkNames(request.query as RawQuery, known);
        if (spec.body && request.body === undefined) {
          throw refusal('NL_MALFORMED', 'a JSON body is expected', [{ pointer: '', message: 'is missing' }]);
        }
        return send(reply, await spec.handle(new FrameworkRequest(request, reply, this.#stopping)));
      },
    });
  }

  stream(spec: StreamSpec): void {
    const known = this.#register(spec);
    this.#app.route({
      method: spec.method,
      url: spec.path,
      exposeHeadRoute: false,
      schema: fastifySchema(spec),
      handler: (request, reply) => {
        checkNames(request.query as RawQuery, known);
        spec.stream(new FrameworkRequest(request, reply, this.#stopping), () => {
          const headers = reply.getHeaders();
          reply.hijack();
          return { response: reply.raw, headers };
        });
      },
    });
  }

  /** After the last route: every path refuses the methods that it does not have. */
  seal(): void {
    this.#sealed = true;
    for (const [url, methods] of this.#methods) {
      const allow = methods.includes('GET') && url !== '/v1/events' ? [...methods, 'HEAD'] : methods;
      const rest = allMethods.filter((method) => !allow.includes(method));
      this.#app.route({
        method: [...rest],
        url,
        schema: { hide: true },
        // Before the body is read: it does not matter what it holds.
        onRequest: (request, reply, done) => {
          reply.header('allow', allow.join(', '));
          done(refusal('NL_METHOD_NOT_ALLOWED', `${request.method}: this path takes ${allow.join(', ')}`));
        },
        handler: () => {
          throw new InvariantError('a refused method reached its handler');
        },
      });
    }
  }

  #register(spec: RouteSpec | StreamSpec): ReadonlySet<string> {
    if (this.#sealed) throw new InvariantError(`route ${spec.method} ${spec.path}: the server has its routes already`);
    if (this.#operationIds.has(spec.operationId)) {
      throw new InvariantError(`route ${spec.method} ${spec.path}: operationId ${spec.operationId} is taken`);
    }
    this.#operationIds.add(spec.operationId);
    this.#methods.set(spec.path, [...(this.#methods.get(spec.path) ?? []), spec.method]);
    return new Set(Object.keys(spec.query ?? {}));
  }
}
