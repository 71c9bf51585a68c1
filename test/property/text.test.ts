import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonicalActions,
  canonicalFlow,
  canonicalGroup,
  formatActions,
  formatFlow,
  formatGroup,
  formatMeter,
  parseActions,
  parseFlow,
  parseGroup,
  parseMeter,
} from '../../src/ofproto/text/index.ts';
import { actions, flows } from '../kit/flows.ts';

const seed = 20_262;
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });

describe('text', () => {
  it('gives back any list of actions, in canonical form', () => {
    fc.assert(
      fc.property(fc.array(actions, { maxLength: 4 }), (list) => {
        expect(parseActions(formatActions(list))).toEqual(canonicalActions(list));
      }),
      { seed, numRuns: 3_000 },
    );
  });

  it('gives back any flow, in canonical form, and canonical form changes nothing twice', () => {
    fc.assert(
      fc.property(flows, (flow) => {
        const canonical = canonicalFlow(flow);
        expect(parseFlow(formatFlow(flow))).toEqual(canonical);
        expect(formatFlow(canonical)).toBe(formatFlow(flow));
        expect(canonicalFlow(canonical)).toEqual(canonical);
      }),
      { seed, numRuns: 2_000 },
    );
  });

  it('gives back any group', () => {
    const bucket = fc.record({
      weight: fc.integer({ min: 0, max: 0xffff }),
      watchPort: u32,
      watchGroup: u32,
      actions: fc.array(actions, { maxLength: 3 }),
    });
    const group = fc.record({
      groupId: u32,
      groupType: fc.integer({ min: 0, max: 5 }),
      buckets: fc.array(bucket, { maxLength: 4 }),
    });
    fc.assert(
      fc.property(group, (value) => {
        expect(parseGroup(formatGroup(value))).toEqual(canonicalGroup(value));
      }),
      { seed, numRuns: 500 },
    );
  });

  it('gives back any meter', () => {
    const fixed = { rate: u32, burstSize: u32 };
    const data = fc.uint8Array({ minLength: 4, maxLength: 8 }).map((b) => Buffer.from(b));
    const band = fc.oneof(
      fc.record({ type: fc.constant('drop' as const), ...fixed }),
      fc.record({ type: fc.constant('dscpRemark' as const), ...fixed, precLevel: fc.integer({ min: 0, max: 255 }) }),
      fc.record({ type: fc.constant('experimenter' as const), ...fixed, experimenter: u32, bytes: data }),
      fc.record({
        type: fc.constant('unknown' as const),
        ...fixed,
        bandType: fc.integer({ min: 3, max: 9 }),
        bytes: data,
      }),
    );
    const meter = fc.record({
      meterId: u32,
      flags: fc.integer({ min: 0, max: 31 }),
      bands: fc.array(band, { maxLength: 3 }),
    });
    fc.assert(
      fc.property(meter, (value) => {
        expect(parseMeter(formatMeter(value))).toEqual(value);
      }),
      { seed, numRuns: 500 },
    );
  });
});
