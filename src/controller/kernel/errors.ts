/** All our errors. `code` is stable API, listed in docs/errors.md. Messages say what was wrong, where, and what was expected. */
export abstract class NetloomError extends Error {
  abstract readonly code: `NL_${string}`;
  readonly details: Readonly<Record<string, unknown>>;
  constructor(message: string, details: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.details = details;
  }
}

/** A switch answered OFPT_ERROR. Tied by xid to the request, and where a rule caused it, to the rule's owner. */
export class SwitchError extends NetloomError {
  readonly code = 'NL_SWITCH_ERROR';
  declare readonly details: Readonly<{
    dpid: string;
    xid: number;
    /** Error type and code by name, e.g. `OFPET_BAD_MATCH` / `OFPBMC_BAD_WILDCARDS`. */
    type: string;
    error: string;
    owner?: string;
  }>;
}

/** One entry of a problem document's `errors` list: where in the request (JSON pointer) and what was wrong there. */
export interface FieldProblem {
  readonly pointer: string;
  readonly message: string;
}

/** A request that we refuse. `status` is the HTTP status, `code` the stable reason, `errors` the fields at fault. */
export class RequestError extends NetloomError {
  readonly code: `NL_${string}`;
  readonly status: number;
  readonly errors: readonly FieldProblem[];
  constructor(
    status: number,
    code: `NL_${string}`,
    message: string,
    errors: readonly FieldProblem[] = [],
    details: Record<string, unknown> = {},
    options?: ErrorOptions,
  ) {
    super(message, details, options);
    this.status = status;
    this.code = code;
    this.errors = errors;
  }
}

/** Compare-and-swap lost: what was expected to be there is not. */
export class ConflictError extends NetloomError {
  readonly code = 'NL_CONFLICT';
}

/** Configuration that we refuse; `details.path` names the key. The process ends with exit code 2. */
export class ConfigError extends NetloomError {
  readonly code = 'NL_CONFIG';
  constructor(path: string, message: string, options?: ErrorOptions) {
    super(`${path}: ${message}`, { path }, options);
  }
}

/** The store cannot do what was asked: disk full, locked, corrupt, closed. */
export class StoreError extends NetloomError {
  readonly code = 'NL_STORE';
}

/** Something did not happen in time. `details` = {what, ms}. */
export class TimeoutError extends NetloomError {
  readonly code = 'NL_TIMEOUT';
  constructor(what: string, ms: number) {
    super(`${what}: nothing within ${ms} ms`, { what, ms });
  }
}

/** The connection (or part) that should have answered is gone. */
export class ClosedError extends NetloomError {
  readonly code = 'NL_CLOSED';
}

/** A bug of ours: logged, counted, never shown as the user's fault. */
export class InvariantError extends NetloomError {
  readonly code = 'NL_INVARIANT';
}
