import { Buffer } from 'node:buffer';
import { get16, pad8, set16 } from './bytes.ts';
import { canonicalList, decodeMatch, encodeMatchList, matchEnd, unfolding } from './match.ts';
import { oxmEnd, oxmSpec } from './oxm.ts';
import { type FieldSpec, OxmClass } from './oxm-fields.ts';

const matchHeader = 4;
const maxSpans = 64;

// What the quick way needs for one match; a match with more fields takes the long way.
const spanAt = new Float64Array(maxSpans);
const spanSize = new Uint8Array(maxSpans);
const spanMasked = new Uint8Array(maxSpans);
const spanOrder = new Float64Array(maxSpans);

/**
 * The ofp_match at `at`, read back from a switch, in canonical form: equal bytes mean equal matches. Never refuses a
 * match for its meaning: bits outside a mask are cleared, unknown fields keep their bytes. Throws WireError when the
 * bytes are no match.
 */
export function canonicalMatch(bytes: Uint8Array, at: number, end: number): Buffer {
  return quickly(bytes, at, end) ?? encodeMatchList(canonicalList(decodeMatch(bytes, at, end), false));
}

/** Sorts spans of bytes without decoding values; undefined when something is there that needs a closer look. */
function quickly(bytes: Uint8Array, at: number, end: number): Buffer | undefined {
  matchEnd(bytes, at, end);
  const stop = at + get16(bytes, at + 2);
  let count = 0;
  let length = matchHeader;
  for (let here = at + matchHeader; here < stop; ) {
    const next = oxmEnd(bytes, here, stop);
    const spec = oxmSpec(bytes, here);
    if (spec === undefined || count === maxSpans || spec.bytes === 0 || !simple(spec)) return undefined;
    const header = spec.experimenter === undefined ? 4 : 8;
    const payload = next - here - header;
    const hasMask = (bytes[here + 2]! & 1) === 1;
    if (payload !== (hasMask ? 2 * spec.bytes : spec.bytes)) return undefined;
    const mask = hasMask ? maskKind(bytes, here + header, spec) : full;
    if (mask === odd) return undefined;
    if (mask !== empty) {
      let i = count++;
      for (; i > 0 && spanOrder[i - 1]! > spec.order; i--) {
        spanAt[i] = spanAt[i - 1]!;
        spanSize[i] = spanSize[i - 1]!;
        spanMasked[i] = spanMasked[i - 1]!;
        spanOrder[i] = spanOrder[i - 1]!;
      }
      spanAt[i] = here;
      spanSize[i] = header + (mask === full ? spec.bytes : payload);
      spanMasked[i] = mask === full ? 0 : 1;
      spanOrder[i] = spec.order;
      length += spanSize[i]!;
    }
    here = next;
  }
  return gather(bytes, count, length);
}

function simple(spec: FieldSpec): boolean {
  return !(unfolding.has(spec.name) || (spec.oxmClass === OxmClass.basic && spec.name === 'packetType'));
}

const full = 0;
const partial = 1;
const empty = 2;
const odd = 3;

/** What the mask after the value at `at` says; `odd` for bits of the value outside it, or of the mask outside the field. */
function maskKind(bytes: Uint8Array, at: number, spec: FieldSpec): number {
  const size = spec.bytes;
  let isFull = true;
  let isEmpty = true;
  for (let i = 0; i < size; i++) {
    const all = spec.fullBytes[i]!;
    const mask = bytes[at + size + i]!;
    if ((mask & ~all) !== 0 || (bytes[at + i]! & ~mask) !== 0) return odd;
    if (mask !== all) isFull = false;
    if (mask !== 0) isEmpty = false;
  }
  return isFull ? full : isEmpty ? empty : partial;
}

function gather(bytes: Uint8Array, count: number, length: number): Buffer {
  const out = Buffer.allocUnsafe(pad8(length));
  set16(out, 0, 1);
  set16(out, 2, length);
  let to = matchHeader;
  for (let i = 0; i < count; i++) {
    const from = spanAt[i]!;
    const size = spanSize[i]!;
    for (let k = 0; k < size; k++) out[to + k] = bytes[from + k]!;
    if (spanMasked[i] === 0) out[to + 2] = out[to + 2]! & 0xfe;
    out[to + 3] = size - 4;
    to += size;
  }
  while (to < out.length) out[to++] = 0;
  return out;
}
