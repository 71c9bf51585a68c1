import { Buffer } from 'node:buffer';

// One DataView per ArrayBuffer is enough, and messages come in runs from the same one. `Buffer.readBigUInt64BE` costs
// 2.5 times as much as `DataView.getBigUint64`, so every 64-bit access goes through here.
let viewOf: ArrayBufferLike = new ArrayBuffer(0);
let view: DataView<ArrayBufferLike> = new DataView(viewOf);

function viewFor(bytes: Uint8Array): DataView {
  if (bytes.buffer !== viewOf) {
    viewOf = bytes.buffer;
    view = new DataView(viewOf);
  }
  return view;
}

/** Unsigned 16-bit number at `at`. No bounds check: the caller has checked the span. */
export function get16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** Unsigned 32-bit number at `at`. */
export function get32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** Unsigned 48-bit number at `at`: a MAC address. */
export function get48(bytes: Uint8Array, at: number): number {
  return get16(bytes, at) * 0x1_0000_0000 + get32(bytes, at + 2);
}

/** Unsigned 64-bit number at `at`. */
export function get64(bytes: Uint8Array, at: number): bigint {
  return viewFor(bytes).getBigUint64(bytes.byteOffset + at);
}

/** Unsigned 128-bit number at `at`. */
export function get128(bytes: Uint8Array, at: number): bigint {
  return (get64(bytes, at) << 64n) | get64(bytes, at + 8);
}

/** Writes the low 16 bits of `value`. */
export function set16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** Writes the low 32 bits of `value`. */
export function set32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** Writes a 48-bit number. */
export function set48(bytes: Uint8Array, at: number, value: number): void {
  const low = value >>> 0;
  set16(bytes, at, (value - low) / 0x1_0000_0000);
  set32(bytes, at + 2, low);
}

/** Writes a 64-bit number. */
export function set64(bytes: Uint8Array, at: number, value: bigint): void {
  viewFor(bytes).setBigUint64(bytes.byteOffset + at, value);
}

/** Writes a 128-bit number. */
export function set128(bytes: Uint8Array, at: number, value: bigint): void {
  set64(bytes, at, (value >> 64n) & 0xffff_ffff_ffff_ffffn);
  set64(bytes, at + 8, value & 0xffff_ffff_ffff_ffffn);
}

/** A copy that owns its memory, so that keeping it does not keep a socket chunk alive. */
export function copyOf(bytes: Uint8Array, at: number, end: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(end - at);
  copy.set(bytes.subarray(at, end));
  return copy;
}

/** Rounds up to a multiple of eight, the alignment of all OpenFlow lists. */
export function pad8(length: number): number {
  return (length + 7) & ~7;
}

/** Byte-wise equality. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** True when every byte of the span is zero. */
export function allZero(bytes: Uint8Array, at: number, end: number): boolean {
  for (let i = at; i < end; i++) if (bytes[i] !== 0) return false;
  return true;
}
