import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonicalList,
  canonicalMatch,
  decodeMatch,
  decodeMessage,
  encodeMatchList,
  encodeMessage,
  Framer,
  fields,
  fromJson,
  type Message,
  toJson,
} from '../../src/ofproto/index.ts';
import { matches } from '../kit/flows.ts';
import { messages } from '../kit/messages.ts';

const decode = (bytes: Buffer): Message => decodeMessage(bytes, 0, bytes.length);

describe('messages', () => {
  it('come back from bytes as they went', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const back = decode(encodeMessage(message));
        expect(back).toEqual(message);
      }),
      { numRuns: 8_000 },
    );
  });

  it('give the same bytes again after reading', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const bytes = encodeMessage(message);
        return encodeMessage(decode(bytes)).equals(bytes);
      }),
      { numRuns: 4_001 },
    );
  });

  it('read the same wherever they lie in a buffer', () => {
    fc.assert(
      fc.property(messages, fc.nat(40), fc.nat(40), (message, before, after) => {
        const bytes = encodeMessage(message);
        const around = Buffer.concat([Buffer.alloc(before, 0xa5), bytes, Buffer.alloc(after, 0x5a)]);
        return isDeepStrictEqual(decodeMessage(around, before, before + bytes.length), decode(bytes));
      }),
      { numRuns: 500 },
    );
  });

  it('lose nothing in JSON', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const back = fromJson(JSON.parse(JSON.stringify(toJson(message))));
        expect(back).toEqual(message);
      }),
      { numRuns: 4_001 },
    );
  });

  it('come out of the framer in order however the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(messages, { maxLength: 6 }), fc.array(fc.integer({ min: 1, max: 90 })), (list, cuts) => {
        const encoded = list.map(encodeMessage);
        const stream = Buffer.concat(encoded);
        const framer = new Framer();
        const got: string[] = [];
        let at = 0;
        for (const size of [...cuts, stream.length]) {
          framer.push(stream.subarray(at, at + size), (bytes, from, to) => got.push(bytes.toString('hex', from, to)));
          at += size;
        }
        expect(got).toEqual(encoded.map((bytes) => bytes.toString('hex')));
        expect(framer.pending).toBe(0);
      }),
      { numRuns: 500 },
    );
  });
});

describe('canonical matches', () => {
  const canonical = (match: Buffer): Buffer => canonicalMatch(match, 0, match.length);

  it('do not depend on the order of the fields', () => {
    fc.assert(
      fc.property(
        matches.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
        ([list, shuffled]) => canonical(encodeMatchList(list)).equals(canonical(encodeMatchList(shuffled))),
      ),
      { numRuns: 4_001 },
    );
  });

  it('stay as they are', () => {
    fc.assert(
      fc.property(matches, (list) => {
        const once = canonical(encodeMatchList(list));
        return canonical(once).equals(once);
      }),
      { numRuns: 4_001 },
    );
  });

  it('are the same by the quick way and by the entries', () => {
    fc.assert(
      fc.property(matches, (list) => {
        const bytes = encodeMatchList(list);
        const byEntries = encodeMatchList(canonicalList(decodeMatch(bytes, 0, bytes.length), false));
        return canonical(bytes).equals(byEntries);
      }),
      { numRuns: 5_000 },
    );
  });

  it('do not depend on full masks being said', () => {
    fc.assert(
      fc.property(matches, (list) => {
        const masked = list.map((entry) => {
          if (entry.field === 'unknown' || entry.mask !== undefined) return entry;
          const { full } = fields[entry.field];
          return full === undefined ? entry : { ...entry, mask: full };
        });
        return canonical(encodeMatchList(masked)).equals(canonical(encodeMatchList(list)));
      }),
      { numRuns: 4_001 },
    );
  });
});
