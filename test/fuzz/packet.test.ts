import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  arpAt,
  decodeLldp,
  decodePacket,
  encodePacket,
  type FrameField,
  flowKey,
  headersComplete,
  layoutOf,
  setFrameField,
} from '../../src/ofproto/packet/index.ts';
import { frames } from '../kit/frames.ts';

const seed = 4_242;

/** A well-formed frame that was cut, had bytes flipped, or both. */
const damaged = fc
  .tuple(frames(), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.option(fc.nat(200)))
  .map(([packet, flips, cut]) => {
    const bytes = encodePacket(packet);
    // Most headers are in the first 70 bytes: aim there.
    for (const [where, value] of flips) bytes[where % Math.min(bytes.length, 70)] = value;
    return cut === null ? bytes : bytes.subarray(0, Math.min(cut, bytes.length));
  });

const random = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));

describe('hostile frames', () => {
  it('never throw, and are written back unchanged', () => {
    fc.assert(
      fc.property(fc.oneof(damaged, random), (bytes) => {
        expect(encodePacket(decodePacket(bytes, 0, bytes.length))).toEqual(bytes);
      }),
      { seed, numRuns: 3_000 },
    );
  });

  it('never make an accessor read or write outside the frame', () => {
    fc.assert(
      fc.property(fc.oneof(damaged, random), fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), (bytes, value) => {
        // The frame lies between guards that look like more of a frame; nothing may depend on them or change them.
        const inside = (fill: number): Buffer => Buffer.concat([Buffer.alloc(32, fill), bytes, Buffer.alloc(64, fill)]);
        const [a, b] = [inside(0), inside(0xff)];
        const end = 32 + bytes.length;
        const key = flowKey(a, 32, end);
        expect(flowKey(b, 32, end)).toEqual(key);
        expect(layoutOf(b, 32, end)).toEqual(layoutOf(a, 32, end));
        expect(arpAt(b, 32, end)).toBe(arpAt(a, 32, end));
        expect(headersComplete(b, 32, end)).toBe(headersComplete(a, 32, end));
        expect(decodeLldp(b, 32, end)).toEqual(decodeLldp(a, 32, end));
        for (const field of Object.keys(key) as FrameField[]) {
          const copy = Buffer.from(a);
          const wide = typeof key[field] === 'bigint' ? value : Number(value & 0xffff_ffff_ffffn);
          setFrameField(copy.subarray(32, end), field, wide as never);
          expect(copy.subarray(0, 32)).toEqual(a.subarray(0, 32));
          expect(copy.subarray(end)).toEqual(a.subarray(end));
        }
      }),
      { seed, numRuns: 1_000 },
    );
  });
});
