import {
  ClosedError,
  ConflictError,
  type FieldProblem,
  InvariantError,
  RequestError,
  StoreError,
  SwitchError,
  TimeoutError,
} from '../kernel/index.ts';
import { type ErrorCode, errorCodes, type KnownErrorCode } from './error-codes.ts';

/** A problem document (RFC 9457) with our members. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  /** Path of the request. */
  readonly instance?: string;
  readonly requestId?: string;
  readonly errors?: readonly FieldProblem[];
  /** Details of the error, e.g. `users` of NL_IN_USE. */
  readonly [member: string]: unknown;
}

export const problemType = 'application/problem+json; charset=utf-8';

/** An error that goes to the user as it is, with the status of the table. */
export function refusal(
  code: KnownErrorCode,
  message: string,
  errors: readonly FieldProblem[] = [],
  details: Record<string, unknown> = {},
): RequestError {
  return new RequestError(errorCodes[code].status ?? 500, code, message, errors, details);
}

/** Codes of Fastify and its plugins, which are about the user's request, in our terms. */
const frameworkCodes: Readonly<Record<string, KnownErrorCode>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'NL_MEDIA_TYPE',
  FST_ERR_CTP_BODY_TOO_LARGE: 'NL_TOO_LARGE',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'NL_MALFORMED',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'NL_MALFORMED',
  FST_ERR_CTP_INVALID_JSON_BODY: 'NL_MALFORMED',
  FST_ERR_BAD_URL: 'NL_MALFORMED',
  FST_ERR_MAX_PARAM_LENGTH: 'NL_URI_TOO_LONG',
  FST_ERR_NOT_FOUND: 'NL_NOT_FOUND',
  FST_UNDER_PRESSURE: 'NL_OVERLOADED',
  ERR_STREAM_PREMATURE_CLOSE: 'NL_MALFORMED',
  ECONNRESET: 'NL_MALFORMED',
};

const byStatus: Readonly<Record<number, KnownErrorCode>> = {
  404: 'NL_NOT_FOUND',
  405: 'NL_METHOD_NOT_ALLOWED',
  408: 'NL_REQUEST_TIMEOUT',
  413: 'NL_TOO_LARGE',
  414: 'NL_URI_TOO_LONG',
  415: 'NL_MEDIA_TYPE',
  429: 'NL_RATE_LIMITED',
  431: 'NL_HEADERS_TOO_LARGE',
  503: 'NL_OVERLOADED',
};

const reserved = new Set(['type', 'title', 'status', 'code', 'detail', 'instance', 'requestId', 'errors']);

function build(
  code: string,
  status: number,
  detail: string,
  errors: readonly FieldProblem[] = [],
  details: Readonly<Record<string, unknown>> = {},
): Problem {
  const known: ErrorCode | undefined = Object.hasOwn(errorCodes, code) ? errorCodes[code as KnownErrorCode] : undefined;
  const members = Object.entries(details).filter(([name]) => !reserved.has(name));
  return {
    type: `urn:netloom:problem:${code}`,
    title: known?.title ?? code,
    status,
    code,
    detail,
    ...(errors.length > 0 ? { errors } : {}),
    ...Object.fromEntries(members),
  };
}

/**
 * The one place where errors become replies. Errors that tell about us rather than about the request keep their text to
 * themselves: the log has it, under the request id.
 */
export function toProblem(error: unknown): Problem {
  if (error instanceof RequestError) {
    return build(error.code, error.status, error.message, error.errors, error.details);
  }
  if (error instanceof ConflictError) return build(error.code, 409, error.message);
  if (error instanceof StoreError) return build(error.code, 503, error.message);
  if (error instanceof TimeoutError) return build(error.code, 504, error.message);
  if (error instanceof ClosedError) return build(error.code, 503, error.message);
  if (error instanceof SwitchError) return build(error.code, 502, error.message);
  if (error instanceof InvariantError) return build(error.code, 500, errorCodes.NL_INVARIANT.meaning);
  if (error instanceof Error) {
    const { code, statusCode } = error as Error & { readonly code?: unknown; readonly statusCode?: unknown };
    const named = typeof code === 'string' && Object.hasOwn(frameworkCodes, code) ? frameworkCodes[code] : undefined;
    const known = named ?? (typeof statusCode === 'number' ? byStatus[statusCode] : undefined);
    if (known) return build(known, errorCodes[known].status ?? 500, error.message);
    if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
      return build('NL_INVALID', statusCode, error.message);
    }
  }
  return build('NL_INTERNAL', 500, errorCodes.NL_INTERNAL.meaning);
}
