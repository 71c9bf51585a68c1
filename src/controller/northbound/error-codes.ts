/** What users are told of one code, in replies and in docs/errors.md. */
export interface ErrorCode {
  /** HTTP status the code usually comes with; undefined when it never reaches HTTP. */
  readonly status: number | undefined;
  /** Short text, the same for every occurrence. */
  readonly title: string;
  /** When it happens and what to do. */
  readonly meaning: string;
}

/** Every `NL_` code of the controller. A test fails when the sources use one that is not here. */
export const errorCodes = {
  NL_INVALID: {
    status: 400,
    title: 'The request is not valid',
    meaning:
      'A field, parameter or header is missing, unknown or has a wrong value; `errors` names each with a pointer.',
  },
  NL_MALFORMED: {
    status: 400,
    title: 'The request cannot be read',
    meaning: 'The body is no JSON in UTF-8, nests too deep, repeats a key, or the URL or HTTP message is broken.',
  },
  NL_UNSAFE_NUMBER: {
    status: 400,
    title: 'A number is too large for JSON',
    meaning: 'Integers beyond ±(2^53−1) lose digits in JSON numbers; 64-bit values are written as strings.',
  },
  NL_NOT_FOUND: {
    status: 404,
    title: 'There is no such thing',
    meaning: 'Neither a route nor an object has this path.',
  },
  NL_METHOD_NOT_ALLOWED: {
    status: 405,
    title: 'The path does not take this method',
    meaning: 'The header `Allow` lists the methods that it takes.',
  },
  NL_CONFLICT: {
    status: 409,
    title: 'Somebody else was faster',
    meaning: 'What the request builds on has changed meanwhile. Read again and repeat.',
  },
  NL_IN_USE: {
    status: 409,
    title: 'The object is in use',
    meaning: '`users` lists the paths of the objects that use it; `?cascade=true` deletes them too.',
  },
  NL_EXHAUSTED: {
    status: 409,
    title: 'No number is left',
    meaning: 'All segment ids, network indexes or endpoint ids are taken; `space` says which. Nothing was stored.',
  },
  NL_QUOTA: {
    status: 409,
    title: 'The quota of the tenant is used up',
    meaning: 'The change would exceed a limit in `quota` of the tenant; nothing was stored.',
  },
  NL_PRECONDITION: {
    status: 412,
    title: 'The object is not as the request expects it',
    meaning:
      'The revision in `If-Match` is not the one that is stored (read again and decide), or `If-None-Match: *` met an object.',
  },
  NL_TOO_LARGE: {
    status: 413,
    title: 'The request is too large',
    meaning: 'Bodies hold up to 1 MiB, bodies of `/v1/bulk` up to 32 MiB.',
  },
  NL_URI_TOO_LONG: { status: 414, title: 'The path is too long', meaning: 'A part of the path is longer than any id.' },
  NL_MEDIA_TYPE: {
    status: 415,
    title: 'The body has a type that is not understood',
    meaning: 'Bodies are `application/json`; of PATCH also `application/merge-patch+json`.',
  },
  NL_MISDIRECTED: {
    status: 421,
    title: 'The request is meant for another host',
    meaning:
      'While the API is open on loopback only, it answers to addresses and `localhost`, so that a web page cannot reach it.',
  },
  NL_RATE_LIMITED: {
    status: 429,
    title: 'Too many requests',
    meaning: 'The rate limit of the configuration is used up; `Retry-After` says when to come back.',
  },
  NL_HEADERS_TOO_LARGE: { status: 431, title: 'The headers are too large', meaning: 'Headers hold up to 16 KiB.' },
  NL_INTERNAL: {
    status: 500,
    title: 'The controller failed',
    meaning: 'A bug of ours. The log has the details under the `requestId` of the reply.',
  },
  NL_INVARIANT: {
    status: 500,
    title: 'The controller found itself in a state that must not be',
    meaning: 'A bug of ours. The log has the details under the `requestId` of the reply.',
  },
  NL_SWITCH_ERROR: {
    status: 502,
    title: 'A switch refused',
    meaning:
      'The switch answered with an OpenFlow error; its type, code and rule are in the message and in the status.',
  },
  NL_OVSDB: {
    status: 502,
    title: 'A database server failed',
    meaning: 'A session with a switch database (OVSDB) ended, or refused an operation; why is in the message.',
  },
  NL_LISP: {
    status: 400,
    title: 'Not a LISP message',
    meaning: 'The bytes are no LISP control message; structure, field and offset are in the message.',
  },
  NL_OVERLOADED: {
    status: 503,
    title: 'The controller is overloaded',
    meaning: 'Work is waiting for seconds, or too many event streams are open; `Retry-After` says when to come back.',
  },
  NL_CLOSED: {
    status: 503,
    title: 'The connection that is needed is gone',
    meaning: 'The switch is not connected, or the controller is stopping.',
  },
  NL_STORE: {
    status: 503,
    title: 'The store cannot do it',
    meaning: 'Disk full, file locked, or the store is closed; nothing was changed. The message says which.',
  },
  NL_TIMEOUT: {
    status: 504,
    title: 'It did not happen in time',
    meaning:
      'A switch did not answer, or did not confirm within `timeout`; the change is stored, `status` tells how far it is.',
  },
  NL_REQUEST_TIMEOUT: {
    status: 408,
    title: 'The request did not arrive in time',
    meaning: 'The client opened a request and did not finish sending it.',
  },
  NL_WIRE: {
    status: undefined,
    title: 'A message is broken',
    meaning:
      'Its structure is not what OpenFlow says; the message names structure, field and offset. The message is dropped.',
  },
  NL_WIRE_INPUT: {
    status: undefined,
    title: 'A capture cannot be read',
    meaning: 'What was given to `netloom wire decode` is neither hex text nor a file of messages that it knows.',
  },
  NL_WIRE_FRAMING: {
    status: undefined,
    title: 'The stream of messages is broken',
    meaning: 'A length makes no sense, so no further message can be found; the connection is closed.',
  },
  NL_WIRE_VERSION: {
    status: undefined,
    title: 'A message has another version',
    meaning: 'The controller speaks OpenFlow 1.3 (version 4).',
  },
  NL_WIRE_TYPE: {
    status: undefined,
    title: 'A message has an unknown type',
    meaning: 'OpenFlow 1.3 has no message of this type.',
  },
  NL_WIRE_VALUE: {
    status: undefined,
    title: 'A value does not fit its field',
    meaning: 'Something was to be written to a switch that the field cannot hold. A bug of ours or of an app.',
  },
  NL_CONFIG: {
    status: undefined,
    title: 'The configuration is wrong',
    meaning: 'The controller does not start; the message names the key. Exit code 2.',
  },
} as const satisfies Record<`NL_${string}`, ErrorCode>;

export type KnownErrorCode = keyof typeof errorCodes;

/** docs/errors.md: every code in order of status. */
export function errorsMarkdown(): string {
  const rows = Object.entries<ErrorCode>(errorCodes)
    .sort(([a, x], [b, y]) => (x.status ?? 0) - (y.status ?? 0) || (a < b ? -1 : 1))
    .map(([code, { status, title, meaning }]) => `| \`${code}\` | ${status ?? '–'} | ${title} | ${meaning} |`);
  return [
    '# Errors',
    '',
    'Every error of the REST API is a problem document (RFC 9457, `application/problem+json`): `type`, `title`, `status`,',
    '`detail`, `instance`, our stable `code`, `requestId`, and for bad input `errors`, a list of `{pointer, message}` where',
    '`pointer` is a JSON pointer into the body, `?name` for a query parameter, or the name of a header.',
    '',
    '| code | status | title | when, and what to do |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
