import { Buffer } from 'node:buffer';
import { get16 } from './bytes.ts';
import { WireError } from './errors.ts';
import { type FieldId, fieldIdSize, readFieldId } from './oxm.ts';
import type { Writer } from './writer.ts';

/** One line of a learn action: `nBits` bits go from the packet or a constant into the learned flow. */
export interface LearnSpec {
  readonly nBits: number;
  readonly src: (FieldId & { readonly ofs: number }) | { readonly immediate: bigint };
  readonly dst: ({ readonly to: 'match' | 'load' } & FieldId & { readonly ofs: number }) | { readonly to: 'output' };
}

const badLength = { type: 2, code: 1 };
const immediateBit = 1 << 13;
const kinds = ['match', 'load', 'output'] as const;

function cut(at: number): WireError {
  return new WireError('nx_flow_mod_spec', 'length', at, 'is cut off', { reply: badLength });
}

/** Reads the specs in [at, end); a zero header ends them, what follows is padding. */
export function readLearnSpecs(bytes: Uint8Array, at: number, end: number): LearnSpec[] {
  const specs: LearnSpec[] = [];
  let here = at;
  const field = (): FieldId & { ofs: number } => {
    const id = readFieldId(bytes, here, end);
    here += fieldIdSize(id);
    if (here + 2 > end) throw cut(here);
    const ofs = get16(bytes, here);
    here += 2;
    return { ...id, ofs };
  };
  while (here + 2 <= end) {
    const header = get16(bytes, here);
    if (header === 0) break;
    const kind = kinds[(header >> 11) & 3];
    if (kind === undefined || header >> 14 !== 0)
      throw new WireError('nx_flow_mod_spec', 'header', here, `0x${header.toString(16)} is not known`, {
        reply: { type: 2, code: 5 },
      });
    here += 2;
    const nBits = header & 0x7ff;
    let src: LearnSpec['src'];
    if ((header & immediateBit) === 0) src = field();
    else {
      const size = 2 * Math.ceil(nBits / 16);
      if (here + size > end) throw cut(here);
      const hex = Buffer.from(bytes.buffer, bytes.byteOffset + here, size).toString('hex');
      src = { immediate: hex === '' ? 0n : BigInt(`0x${hex}`) };
      here += size;
    }
    specs.push({ nBits, src, dst: kind === 'output' ? { to: 'output' } : { to: kind, ...field() } });
  }
  return specs;
}

/** Appends specs; padding to eight bytes ends them. */
export function writeLearnSpecs(writer: Writer, specs: readonly LearnSpec[]): void {
  for (const { nBits, src, dst } of specs) {
    if (nBits < 0 || nBits > 0x7ff)
      throw new WireError('nx_flow_mod_spec', 'n_bits', -1, `${nBits}`, { code: 'NL_WIRE_VALUE' });
    const isImmediate = 'immediate' in src;
    writer.u16(nBits | (isImmediate ? immediateBit : 0) | (kinds.indexOf(dst.to) << 11));
    if (isImmediate) {
      const size = 2 * Math.ceil(nBits / 16);
      const hex = src.immediate.toString(16).padStart(2 * size, '0');
      if (src.immediate < 0n || hex.length > 2 * size)
        throw new WireError('nx_flow_mod_spec', 'immediate', -1, `does not fit ${nBits} bits`, {
          code: 'NL_WIRE_VALUE',
        });
      writer.raw(Buffer.from(hex.slice(0, 2 * size), 'hex'));
    } else writer.fieldId(src).u16(src.ofs);
    if (dst.to !== 'output') writer.fieldId(dst).u16(dst.ofs);
  }
}
