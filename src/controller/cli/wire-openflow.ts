import {
  type Action,
  decodeMessage,
  encodeMessage,
  helloSpeaks13,
  type Message,
  messageEnd,
  OxmClass,
  type OxmEntry,
  toJson,
  version13,
  WireError,
} from '../../ofproto/index.ts';
import type { WireProblem, WireProtocol, WireResult } from './wire.ts';

/** OpenFlow 1.3 for `netloom wire decode`. */
export const openflowProtocol: WireProtocol = { name: 'openflow', decode };

// Bounds how much of a hostile file is remembered, not what is decoded.
const maxProblems = 100;

function decode(bytes: Buffer, expired: () => boolean): WireResult {
  const messages: string[] = [];
  const reencoded: string[] = [];
  const problems: WireProblem[] = [];
  let at = 0;
  let fatal = false;
  const note = (error: WireError, offset = error.at): void => {
    if (problems.length < maxProblems) problems.push(problemOf(error, offset));
  };
  let needMore = bytes.length === 0;
  while (at < bytes.length) {
    if (expired()) {
      note(new WireError('file', 'contents', at, 'takes too long; cut it into pieces', { code: 'NL_WIRE_VALUE' }));
      fatal = true;
      break;
    }
    let end: number | undefined;
    try {
      end = messageEnd(bytes, at, bytes.length);
    } catch (error) {
      note(asWireError(error));
      fatal = true;
      break;
    }
    if (end === undefined) {
      needMore = true;
      break;
    }
    try {
      const message = decodeMessage(bytes, at, end);
      messages.push(JSON.stringify(toJson(message)));
      reencoded.push(encodeMessage(message).toString('hex'));
      const objection = objectionTo(message, at);
      if (objection !== undefined) note(objection);
    } catch (error) {
      note(asWireError(error));
    }
    at = end;
  }
  return { messages, bytes: at, reencoded: reencoded.join(''), needMore: needMore && !fatal, problems, fatal };
}

function asWireError(error: unknown): WireError {
  if (error instanceof WireError) return error;
  throw error;
}

function problemOf(error: WireError, offset: number): WireProblem {
  return {
    code: error.code,
    message: error.message,
    structure: error.structure,
    field: error.field,
    offset,
    ...(error.reply === undefined ? {} : { reply: error.reply }),
  };
}

/**
 * What a receiver would refuse although the codec keeps it: a hello of another version that
 * cannot lead to OpenFlow 1.3, and type codes that
 * OpenFlow 1.3 itself does not have. The message is shown all the same.
 */
function objectionTo(message: Message, at: number): WireError | undefined {
  if (message.type === 'hello' && message.version !== version13 && !helloSpeaks13(message))
    return new WireError('ofp_hello', 'version', at, 'offers no OpenFlow 1.3', {
      code: 'NL_WIRE_VERSION',
      reply: { type: 0, code: 0 },
    });
  return unassigned(message, at);
}

const assignedClasses: ReadonlySet<number> = new Set([...Object.values(OxmClass), /* Big Switch Networks */ 3]);

/** The first type code in the tree of the message that nobody has been given. */
function unassigned(node: unknown, at: number): WireError | undefined {
  if (typeof node !== 'object' || node === null || node instanceof Uint8Array) return undefined;
  if (Array.isArray(node)) {
    for (const item of node) {
      const found = unassigned(item, at);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  const part = node as { readonly type?: unknown; readonly field?: unknown };
  return unassignedPart(part, at) ?? unassigned(Object.values(part), at);
}

function unassignedPart(
  part: { readonly type?: unknown; readonly field?: unknown },
  at: number,
): WireError | undefined {
  const refuse = (structure: string, field: string, value: number, reply: { type: number; code: number }): WireError =>
    new WireError(structure, field, at, `${value} is not known; kept as bytes, in the message`, { reply });
  if (part.field === 'unknown' && 'bytes' in part) {
    const { oxmClass, oxmField } = part as Extract<OxmEntry, { field: 'unknown' }>;
    if (!assignedClasses.has(oxmClass)) return refuse('oxm', 'class', oxmClass, { type: 4, code: 6 });
    if (oxmClass === OxmClass.basic) return refuse('oxm', 'field', oxmField, { type: 4, code: 6 });
  }
  if (part.type !== 'unknown') return undefined;
  if ('actionType' in part) {
    const { actionType, experimenter } = part as Extract<Action, { type: 'unknown' }>;
    if (actionType !== 0xffff) return refuse('ofp_action_header', 'type', actionType, { type: 2, code: 0 });
    if (experimenter === 0) return refuse('ofp_action_experimenter', 'experimenter', 0, { type: 2, code: 2 });
  }
  if ('instructionType' in part)
    return refuse('ofp_instruction', 'type', Number(part.instructionType), { type: 3, code: 0 });
  return undefined;
}
