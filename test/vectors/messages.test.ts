import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { decodeMessage, encodeMessage, Framer, fromJson, type Message, toJson } from '../../src/ofproto/index.ts';
import { againstConstructed } from './adapters/constructed.ts';
import { missingFromLoxi } from './adapters/loxi.ts';
import { againstOpenflowplugin } from './adapters/openflowplugin.ts';
import { differsFromOsKen } from './adapters/os-ken.ts';
import { ownVectors, sharedVectors, type Vector, whyNotShared } from './load.ts';

if (whyNotShared !== undefined) console.warn(`shared vectors skipped: ${whyNotShared}`);

/** Ids of the vectors for which `check` gives a complaint, with the complaint. */
function complaints(
  vectors: readonly Vector[],
  check: (vector: Vector, message: Message) => string | undefined,
): string[] {
  return vectors.flatMap((vector) => {
    const complaint = check(vector, decodeMessage(vector.bytes, 0, vector.bytes.length));
    return complaint === undefined ? [] : [`${vector.id}: ${complaint}`];
  });
}

const firstOf = (list: readonly string[]): string | undefined =>
  list.length === 0 ? undefined : list.slice(0, 3).join('; ');

describe.each([
  { source: 'own', vectors: ownVectors(), least: 542, skip: false },
  { source: 'shared', vectors: sharedVectors(), least: 838, skip: whyNotShared !== undefined },
])('$source vectors', ({ vectors, least, skip }) => {
  it.skipIf(skip)('are all there', () => {
    expect(vectors.length).toBeGreaterThanOrEqual(least);
  });

  it.skipIf(skip)('decode without an error', () => {
    expect(complaints(vectors, () => undefined)).toEqual([]);
  });

  it.skipIf(skip)(
    'encode to the same bytes, or where padding was not zero to the same message with zero padding',
    () => {
      const wrong = complaints(vectors, ({ bytes, roundtrip }, message) => {
        const again = encodeMessage(message);
        if (roundtrip) return again.equals(bytes) ? undefined : `${again.toString('hex')}`;
        return isDeepStrictEqual(decodeMessage(again, 0, again.length), message) ? undefined : 'another message';
      });
      expect(wrong).toEqual([]);
    },
  );

  it.skipIf(skip)('lose nothing in JSON', () => {
    const wrong = complaints(vectors, (_, message) => {
      const back = fromJson(JSON.parse(JSON.stringify(toJson(message))));
      return isDeepStrictEqual(back, message) ? undefined : 'another message';
    });
    expect(wrong).toEqual([]);
  });

  it.skipIf(skip)('have the fields that os-ken reads', () => {
    const checked = vectors.filter(({ osKen }) => osKen !== undefined);
    expect(checked.length).toBeGreaterThan(300);
    expect(complaints(checked, ({ osKen }, message) => firstOf(differsFromOsKen(osKen, message)))).toEqual([]);
  });

  it.skipIf(skip)('have the values that were put into the constructed ones', () => {
    const checked = vectors.filter(({ expected }) => expected.kind === 'constructed');
    let compared = 0;
    const wrong = complaints(checked, ({ expected }, message) => {
      const result = againstConstructed(expected.value as never, message);
      compared += result.compared;
      return firstOf(result.wrong);
    });
    expect(wrong).toEqual([]);
    expect(compared).toBeGreaterThan(280);
  });

  it.skipIf(skip)('come out of the framer whole wherever the stream is cut', () => {
    for (const { bytes, id } of vectors) {
      // Every cut of the short ones; of long ones the start, where the header is, and the end.
      const cuts = [...Array(Math.min(bytes.length, 80)).keys(), bytes.length - 1];
      for (const cut of cuts) {
        const framer = new Framer();
        const got: string[] = [];
        const take = (chunk: Buffer, at: number, end: number): undefined => {
          got.push(chunk.toString('hex', at, end));
        };
        framer.push(bytes.subarray(0, cut), take);
        expect(got, id).toEqual([]);
        framer.push(bytes.subarray(cut), take);
        expect(got.length === 1 && got[0] === bytes.toString('hex'), `${id} cut at ${cut}`).toBe(true);
        expect(framer.pending).toBe(0);
      }
    }
  });
});

describe('peers', () => {
  const vectors = sharedVectors();
  const of = (kind: string): Vector[] => vectors.filter(({ expected }) => expected.kind === kind);

  it.skipIf(whyNotShared !== undefined)('agree: Ryu', () => {
    const checked = of('ryu-json');
    expect(checked).toHaveLength(82);
    expect(complaints(checked, ({ expected }, message) => firstOf(differsFromOsKen(expected.value, message)))).toEqual(
      [],
    );
  });

  it.skipIf(whyNotShared !== undefined)('agree: LOXI', () => {
    const checked = of('loxi-values');
    expect(checked).toHaveLength(53);
    expect(
      complaints(checked, ({ expected }, message) => firstOf(missingFromLoxi(expected.value as never, message))),
    ).toEqual([]);
  });

  it.skipIf(whyNotShared !== undefined)('agree: OpenFlowPlugin', () => {
    let compared = 0;
    const wrong = complaints(of('openflowplugin-assertions'), ({ expected }, message) => {
      const result = againstOpenflowplugin(expected.value as never, message);
      compared += result.compared;
      return firstOf(result.wrong);
    });
    expect(wrong).toEqual([]);
    expect(compared).toBeGreaterThan(160);
  });
});
