import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WireError } from '../../src/ofproto/index.ts';
import {
  canonicalFlow,
  formatFlow,
  parseActions,
  parseFlow,
  parseGroup,
  parseIpv6Text,
  parseMatch,
  parseMeter,
} from '../../src/ofproto/text/index.ts';
import { flows } from '../kit/flows.ts';

const seed = 4_243;
const readers = [parseFlow, parseGroup, parseMeter, parseMatch, parseActions];

/** Runs a reader; only a WireError with the code for values may come out. */
function survives(read: (text: string) => unknown, text: string): void {
  try {
    read(text);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    expect(error.code).toBe('NL_WIRE_VALUE');
    expect(error.message.length).toBeLessThan(600);
  }
}

/** A flow's text with pieces cut out, doubled, swapped for others, or characters flipped. */
const damaged = fc
  .tuple(
    flows,
    fc.array(
      fc.tuple(fc.nat(), fc.nat(20), fc.constantFrom('', '(', ')', ',', '=', '/', '0x', '->', '[', ':', '\u0000', 'ü')),
      { maxLength: 5 },
    ),
  )
  .map(([flow, edits]) => {
    let text = formatFlow(flow);
    for (const [where, length, piece] of edits) {
      const at = where % (text.length + 1);
      text = text.slice(0, at) + piece + text.slice(at + (length % 4));
    }
    return text;
  });

describe('hostile text', () => {
  it('gives nothing but values or WireError', () => {
    fc.assert(
      fc.property(fc.oneof(damaged, fc.string({ maxLength: 80 })), (text) => {
        for (const read of readers) survives(read, text);
      }),
      { seed, numRuns: 2_000 },
    );
  });

  it('that is accepted means one thing: written again, it reads the same', () => {
    fc.assert(
      fc.property(damaged, (text) => {
        let flow: ReturnType<typeof parseFlow>;
        try {
          flow = parseFlow(text);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
          return;
        }
        expect(parseFlow(formatFlow(flow))).toEqual(canonicalFlow(flow));
      }),
      { seed, numRuns: 1_000 },
    );
  });

  it('stays cheap when it is long or deep', () => {
    const long = 200_000;
    const texts = [
      'actions='.padEnd(long, 'clone('),
      `actions=${'clone('.repeat(30)}${')'.repeat(30)}`,
      `actions=${'output:1,'.repeat(long / 10)}`,
      `actions=set_field:${'-'.repeat(long)}`,
      `actions=${'a'.repeat(long)}`,
      `${'a,'.repeat(long / 2)}actions=drop`,
      `${' '.repeat(long)}actions=drop`,
      `priority=${'1'.repeat(long)} actions=drop`,
      `ct_state=${'+est'.repeat(long / 4)} actions=drop`,
      `group_id=1,type=all${',bucket=actions=drop'.repeat(long / 20)}`,
      `meter=1 bands=${'type=drop '.repeat(long / 10)}`,
      `meter=1${' '.repeat(long)}`,
      `actions=ct(nat(src=${'1'.repeat(long)}))`,
      `actions=multipath(${','.repeat(long)})`,
    ];
    for (const text of texts) for (const read of readers) survives(read, text);
    expect(parseIpv6Text(':'.repeat(long))).toBeUndefined();
  }, 10_000);
});
