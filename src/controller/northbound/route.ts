import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { TSchema } from 'typebox';
import type { KnownErrorCode } from './error-codes.ts';
import type { RawQuery } from './query.ts';

export type Method = 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';

/** A request as handlers see it: nothing of the HTTP framework. */
export interface ApiRequest {
  /** Decoded parts of the path, by name. */
  readonly params: Readonly<Record<string, string>>;
  /** Query parameters; names the route does not declare have been refused. See query.ts for readers. */
  readonly query: RawQuery;
  readonly headers: IncomingHttpHeaders;
  /** Parsed JSON; undefined when there is none (refused before when the route declares a body). */
  readonly body: unknown;
  /** Fires when the client has gone or the server stops: a handler that waits stops waiting. */
  signal(): AbortSignal;
}

/** A reply as handlers give it. `body` is turned into JSON; `text` goes out as it is; with neither the reply has no body. */
export interface ApiReply {
  readonly status: number;
  readonly body?: unknown;
  /** Text of the content type that `headers` name. */
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ParameterSpec {
  readonly description: string;
  readonly schema: TSchema;
}

export interface ReplySpec {
  readonly description: string;
  /** Absent: no body. */
  readonly schema?: TSchema;
  /** Default `application/json`. */
  readonly type?: string;
}

/** One operation of the API: what the OpenAPI document says of it, and who answers. */
export interface RouteSpec {
  readonly method: Method;
  /** `/v1/tenants/:tenant`; parameters are named `:name`. */
  readonly path: string;
  /** Unique over the API, camelCase; what generated clients call it. */
  readonly operationId: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  readonly params?: Readonly<Record<string, ParameterSpec>>;
  /** Query parameters; any other is refused. */
  readonly query?: Readonly<Record<string, ParameterSpec>>;
  /** Request headers that mean something here. */
  readonly headers?: Readonly<Record<string, ParameterSpec>>;
  /** For documentation; the handler checks. A request without a body is refused before. */
  readonly body?: TSchema;
  /** Bytes a body may have; default 1 MiB. */
  readonly bodyLimit?: number;
  /** Successful replies by status. */
  readonly replies: Readonly<Record<number, ReplySpec>>;
  /** Refusals that are to be expected; those that every route has need not be listed. */
  readonly errors?: readonly KnownErrorCode[];
  handle(request: ApiRequest): ApiReply | Promise<ApiReply>;
}

/** A route that answers over a long time. `takeOver` hands out the raw response; refusals must be thrown before. */
export interface StreamSpec extends Omit<RouteSpec, 'handle'> {
  stream(request: ApiRequest, takeOver: () => { response: ServerResponse; headers: ReplyHeaders }): void;
}

/** Headers that every reply carries, for a response that was taken over. */
export type ReplyHeaders = Readonly<Record<string, number | string | string[] | undefined>>;

/** Where parts and apps register what they answer. Closed once the server listens. */
export interface RouteRegistrar {
  route(spec: RouteSpec): void;
}
