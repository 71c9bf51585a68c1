import { LispError } from './errors.ts';
import { decodeLisp, encodeLisp } from './message.ts';

/** What `netloom wire decode --protocol lisp` shows of the payload of one datagram. */
export interface LispWireResult {
  readonly messages: readonly string[];
  readonly bytes: number;
  readonly reencoded: string;
  readonly needMore: boolean;
  readonly problems: readonly {
    readonly code: string;
    readonly message: string;
    readonly structure: string;
    readonly field: string;
    readonly offset: number;
  }[];
  readonly fatal: boolean;
}

/** Bytes as hex. */
const hex = (_key: string, value: unknown): unknown => {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  // A Buffer has been turned into this before we see it.
  if (typeof value === 'object' && value !== null && (value as { readonly type?: unknown }).type === 'Buffer') {
    return Buffer.from((value as unknown as { readonly data: number[] }).data).toString('hex');
  }
  return value;
};

/** LISP for the wire tool: a file holds the payload of one UDP datagram. */
export const lispProtocol = {
  name: 'lisp',
  decode(bytes: Buffer): LispWireResult {
    try {
      const message = decodeLisp(bytes);
      return {
        messages: [JSON.stringify(message, hex)],
        bytes: bytes.length,
        reencoded: encodeLisp(message).toString('hex'),
        needMore: false,
        problems: [],
        fatal: false,
      };
    } catch (error) {
      if (!(error instanceof LispError)) throw error;
      const { code, message, structure, field, offset } = error;
      const problems = [{ code, message, structure, field, offset }];
      // A datagram that is cut says so by being too short: nothing follows that could complete it.
      return { messages: [], bytes: 0, reencoded: '', needMore: false, problems, fatal: true };
    }
  },
};
