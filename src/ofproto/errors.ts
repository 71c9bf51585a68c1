/** Why bytes were refused: stable codes of the wire level, listed in docs/errors.md. */
export type WireErrorCode = 'NL_WIRE' | 'NL_WIRE_FRAMING' | 'NL_WIRE_VERSION' | 'NL_WIRE_TYPE' | 'NL_WIRE_VALUE';

/** The OFPT_ERROR that a receiver may answer with. */
export interface ErrorReply {
  readonly type: number;
  readonly code: number;
}

/**
 * Bytes that break the protocol, or a value that cannot be put into bytes. `structure` and `field` name the place by the
 * specification's words, `at` is the byte offset in the buffer that was given. `code` is `NL_WIRE` for broken structure,
 * `NL_WIRE_FRAMING` when the stream cannot be followed any more (close the connection), `NL_WIRE_VERSION` and
 * `NL_WIRE_TYPE` for a message we do not speak, `NL_WIRE_VALUE` for something of ours that cannot be encoded.
 * Extends Error itself because nothing here imports the rest of the program; the shape is that of `NetloomError`.
 */
export class WireError extends Error {
  readonly code: WireErrorCode;
  readonly structure: string;
  readonly field: string;
  readonly at: number;
  /** What OpenFlow would answer, where the specification names an error. */
  readonly reply: ErrorReply | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    structure: string,
    field: string,
    at: number,
    problem: string,
    options: { readonly code?: WireErrorCode; readonly reply?: ErrorReply; readonly cause?: unknown } = {},
  ) {
    super(
      `${structure}: ${field} ${problem}${at >= 0 ? ` at byte ${at}` : ''}`,
      'cause' in options ? { cause: options.cause } : undefined,
    );
    this.name = 'WireError';
    this.code = options.code ?? 'NL_WIRE';
    this.structure = structure;
    this.field = field;
    this.at = at;
    this.reply = options.reply;
    this.details = { structure, field, at };
  }
}

/** True when the stream that the error came from cannot be followed any further. */
export function isFatal(error: WireError): boolean {
  return error.code === 'NL_WIRE_FRAMING';
}
