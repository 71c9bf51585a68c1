import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openflowProtocol } from '../../src/controller/cli/index.ts';
import {
  canonicalMatch,
  decodeMessage,
  encodeMessage,
  Framer,
  fromJson,
  type Json,
  PacketInReader,
  Reassembler,
  toJson,
  WireError,
} from '../../src/ofproto/index.ts';
import { messages } from '../kit/messages.ts';
import { ownMalformed, ownVectors } from '../vectors/load.ts';

const seed = 20_261_125;
const finds = join(import.meta.dirname, 'finds');
const corpus = [...ownVectors(), ...ownMalformed()].map(({ bytes }) => bytes).filter(({ length }) => length < 4_000);

/** Small reproducible random numbers (mulberry32). */
function random(start: number): (below: number) => number {
  let state = start >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** Things in a decoded message: a bound on the work that bytes could cause. */
function size(node: unknown): number {
  if (typeof node !== 'object' || node === null || node instanceof Uint8Array) return 1;
  let sum = 1;
  for (const value of Object.values(node)) sum += size(value);
  return sum;
}

/** Runs everything that reads bytes; only WireError may come out, and not more than the bytes are worth. */
function survives(bytes: Buffer): void {
  const tries: (() => void)[] = [
    () => {
      const message = decodeMessage(bytes, 0, bytes.length);
      // The dearest four bytes are the id of an action in table features.
      expect(size(message)).toBeLessThan(40 + 4 * bytes.length);
      const again = encodeMessage(message);
      expect(decodeMessage(again, 0, again.length)).toEqual(message);
      expect(fromJson(JSON.parse(JSON.stringify(toJson(message))))).toEqual(message);
    },
    () => {
      canonicalMatch(bytes, Math.min(48, bytes.length), bytes.length);
    },
    () => {
      new PacketInReader().on(bytes, 0, bytes.length);
    },
    () => {
      const reassembler = new Reassembler(1_000);
      reassembler.open(bytes.length >= 8 ? bytes.readUInt32BE(4) : 0, 1);
      reassembler.add(bytes, 0, bytes.length);
    },
    () => {
      new Framer().push(bytes, (chunk, at, end) => {
        decodeMessage(chunk, at, end);
      });
    },
  ];
  for (const attempt of tries) {
    try {
      attempt();
    } catch (error) {
      if (error instanceof WireError && error.code !== 'NL_WIRE_VALUE') continue;
      keep(bytes);
      throw error;
    }
  }
  const { problems } = openflowProtocol.decode(bytes, () => false);
  for (const { offset } of problems) expect(offset).toBeLessThanOrEqual(bytes.length);
}

/** What went wrong once is tried again for ever. */
function keep(bytes: Buffer): void {
  mkdirSync(finds, { recursive: true });
  writeFileSync(join(finds, `${bytes.subarray(0, 12).toString('hex')}-${bytes.length}.hex`), bytes.toString('hex'));
}

const nasty = [0, 1, 3, 4, 7, 8, 12, 16, 0x7fff, 0x8000, 0xfff8, 0xffff] as const;

describe('hostile bytes', () => {
  it('that were found before stay harmless', () => {
    for (const name of readdirSync(finds).filter((file) => file.endsWith('.hex')))
      survives(Buffer.from(readFileSync(join(finds, name), 'utf8').trim(), 'hex'));
  });

  it('cut at every length are refused, with the length put right too', () => {
    for (const bytes of corpus.slice(0, 400)) {
      for (let length = 0; length < Math.min(bytes.length, 160); length++) {
        const cut = Buffer.from(bytes.subarray(0, length));
        survives(cut);
        if (length < 8) continue;
        cut.writeUInt16BE(length, 2);
        survives(cut);
      }
    }
  });

  it('with flipped bits cause nothing but WireError', () => {
    const next = random(seed);
    for (let round = 0; round < 10_000; round++) {
      const bytes = Buffer.from(corpus[next(corpus.length)]!);
      if (bytes.length <= 8) continue;
      for (let flips = 1 + next(4); flips > 0; flips--) {
        const at = next(10) === 0 ? next(bytes.length) : 8 + next(bytes.length - 8);
        bytes[at] = bytes[at]! ^ (1 << next(8));
      }
      survives(bytes);
    }
  });

  it('with nasty numbers where lengths may be cause nothing but WireError', () => {
    const next = random(seed + 1);
    for (let round = 0; round < 10_000; round++) {
      const bytes = Buffer.from(corpus[next(corpus.length)]!);
      if (bytes.length < 12) continue;
      for (let edits = 1 + next(3); edits > 0; edits--) {
        const at = 8 + 2 * next((bytes.length - 8) >> 1);
        bytes.writeUInt16BE(nasty[next(nasty.length)]!, at);
      }
      survives(bytes);
    }
  });

  it('made of pieces of other messages cause nothing but WireError', () => {
    const next = random(seed + 2);
    for (let round = 0; round < 10_000; round++) {
      const one = corpus[next(corpus.length)]!;
      const two = corpus[next(corpus.length)]!;
      const bytes = Buffer.concat([one.subarray(0, next(one.length + 1)), two.subarray(next(two.length + 1))]);
      if (bytes.length >= 8) bytes.writeUInt16BE(Math.min(bytes.length, 0xffff), 2);
      survives(bytes);
    }
  });

  it('nesting actions as deep as a message allows do not exhaust the stack', () => {
    const depth = 4_000;
    const clones = Buffer.alloc(16 * depth);
    for (let i = 0; i < depth; i++) {
      clones.writeUInt16BE(0xffff, 16 * i);
      clones.writeUInt16BE(16 * (depth - i), 16 * i + 2);
      clones.writeUInt32BE(0x2320, 16 * i + 4);
      clones.writeUInt16BE(42, 16 * i + 8);
    }
    const head = Buffer.from(
      `040d0000000000010000000000000000${(clones.length & 0xffff).toString(16)}000000000000`,
      'hex',
    );
    const bytes = Buffer.concat([head, clones]);
    bytes.writeUInt16BE(bytes.length, 2);
    expect(() => decodeMessage(bytes, 0, bytes.length)).toThrow(/nested more than/);
  });

  it('of nothing but the shortest elements stay within their worth', () => {
    for (const unit of ['00000004', '00010004', '80000000', '0000000800000000', 'ffff000800002320']) {
      const body = Buffer.from(unit.repeat(Math.floor(60_000 / (unit.length / 2))), 'hex');
      for (let type = 0; type < 30; type++) {
        for (const lead of [0, 8, 16, 40, 48]) {
          const bytes = Buffer.concat([Buffer.alloc(8 + lead), body]);
          bytes.set([4, type], 0);
          bytes.writeUInt16BE(bytes.length, 2);
          try {
            expect(size(decodeMessage(bytes, 0, bytes.length))).toBeLessThan(4 * bytes.length);
          } catch (error) {
            expect(error).toBeInstanceOf(WireError);
          }
        }
      }
    }
  });
});

describe('hostile JSON', () => {
  const damaged = messages.chain((message) =>
    fc
      .tuple(fc.nat(), fc.constantFrom<Json>(null, 'x', -1, 1.5, 1e300, [], {}, '', true))
      .map(([where, what]) =>
        replaceLeaf(JSON.parse(JSON.stringify(toJson(message))) as Json, { left: where % 40 }, what),
      ),
  );

  it('causes nothing but WireError', () => {
    fc.assert(
      fc.property(damaged, (json) => {
        try {
          fromJson(json);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
      { seed, numRuns: 5_000 },
    );
  });

  it('nested without end is refused', () => {
    let json: Json = 1;
    for (let i = 0; i < 50_000; i++) json = [json];
    expect(() => fromJson({ type: 'hello', version: 4, xid: 1, elements: json } as Json)).toThrow(WireError);
  });
});

/** Puts `what` in place of the n-th leaf. */
function replaceLeaf(json: Json, count: { left: number }, what: Json): Json {
  if (count.left < 0) return json;
  if (typeof json === 'object' && json !== null) {
    if (Array.isArray(json)) return json.map((item: Json) => replaceLeaf(item, count, what));
    return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, replaceLeaf(value, count, what)]));
  }
  return count.left-- === 0 ? what : json;
}
