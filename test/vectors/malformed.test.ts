import { describe, expect, it } from 'vitest';
import { openflowProtocol, type WireResult } from '../../src/controller/cli/index.ts';
import { decodeMessage, Framer, WireError } from '../../src/ofproto/index.ts';
import { type Malformed, ownMalformed, sharedMalformed, whyNotShared } from './load.ts';

const never = (): boolean => false;

/** What the class asks for, as seen by `netloom wire decode`; undefined when it is so. */
function complaint({ class: kind, codec }: Malformed, result: WireResult): string | undefined {
  const { problems, fatal, needMore, messages } = result;
  const code = problems[0]?.code;
  const is = (good: boolean): string | undefined =>
    good
      ? undefined
      : `${kind}: ${JSON.stringify(problems)} fatal ${fatal} needMore ${needMore} messages ${messages.length}`;
  switch (kind) {
    case 'need-more':
      return is(problems.length === 0 && needMore && messages.length === 0);
    case 'fatal':
      return is(fatal && code === 'NL_WIRE_FRAMING' && messages.length === 0);
    case 'split':
      return is(fatal && code === 'NL_WIRE_FRAMING' && messages.length === 1);
    case 'bad-message':
      return is(codec === undefined ? /^NL_WIRE(_TYPE)?$/.test(code ?? '') && !fatal : problems.length === 0);
    case 'bad-version':
      return is(code === 'NL_WIRE_VERSION' && !fatal);
    case 'bad-type':
      return is(code === 'NL_WIRE_TYPE' && !fatal);
    case 'semantic':
      return is(!fatal);
    case 'stream':
    case 'accept':
    case 'unsupported':
      return is(problems.length === 0);
    default:
      return `class ${kind} is not known to this test`;
  }
}

describe.each([
  { source: 'own', vectors: ownMalformed(), count: 73, skip: false },
  { source: 'shared', vectors: sharedMalformed(), count: 102, skip: whyNotShared !== undefined },
])('$source malformed vectors', ({ vectors, count, skip }) => {
  it.skipIf(skip)('are taken as their class says', () => {
    expect(vectors).toHaveLength(count);
    const wrong = vectors.flatMap((vector) => {
      const said = complaint(vector, openflowProtocol.decode(vector.bytes, never));
      return said === undefined ? [] : [`${vector.id}: ${said}`];
    });
    expect(wrong).toEqual([]);
  });

  it.skipIf(skip)('leave the next message of the stream readable', () => {
    const echo = Buffer.from('0402000800000007', 'hex');
    for (const { id, bytes, class: kind } of vectors) {
      if (!['bad-message', 'bad-version', 'bad-type', 'unsupported', 'semantic'].includes(kind)) continue;
      const result = openflowProtocol.decode(Buffer.concat([bytes, echo]), never);
      expect(JSON.parse(result.messages.at(-1) ?? 'null'), id).toMatchObject({ type: 'echoRequest', xid: 7 });
      expect(result.bytes, id).toBe(bytes.length + echo.length);
    }
  });

  it.skipIf(skip)('make the decoder throw nothing but WireError', () => {
    for (const { bytes } of vectors) {
      const framer = new Framer();
      try {
        framer.push(bytes, (chunk, at, end) => {
          decodeMessage(chunk, at, end);
        });
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
      }
    }
  });
});
