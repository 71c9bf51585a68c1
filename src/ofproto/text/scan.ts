import { Buffer } from 'node:buffer';
import { WireError } from '../errors.ts';

/** A text that we cannot read: WireError with code NL_WIRE_VALUE; `what` names the kind of text, `token` the place in it. */
export function textError(what: string, token: string, problem: string, options: { cause?: unknown } = {}): WireError {
  const shown = token.length > 60 ? `${token.slice(0, 57)}...` : token;
  return new WireError(what, JSON.stringify(shown), -1, problem, { code: 'NL_WIRE_VALUE', ...options });
}

/** Deepest nesting of parentheses that we follow. */
const MAX_DEPTH = 32;

/** Splits at commas and blanks outside parentheses and quotes; empty parts are dropped. */
export function splitTop(text: string, what: string, separators = ', \t\n'): string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  let quoted = false;
  for (let i = 0; i <= text.length; i++) {
    const c = text[i];
    if (c === '"') quoted = !quoted;
    if (quoted && c !== undefined) continue;
    if (c === '(' && ++depth > MAX_DEPTH) throw textError(what, text, 'is nested too deep');
    if (c === ')' && --depth < 0) throw textError(what, text, 'has a ) without its (');
    if (c !== undefined && (depth > 0 || !separators.includes(c))) continue;
    if (i > from) parts.push(text.slice(from, i));
    from = i + 1;
  }
  if (quoted) throw textError(what, text, 'has a quote that does not end');
  if (depth > 0) throw textError(what, text, 'has a ( without its )');
  return parts;
}

/** A call `name(inside)` taken apart, or `name:rest`, or a bare name. */
export interface Call {
  readonly name: string;
  /** What stands in the parentheses or after the colon; undefined for a bare name. */
  readonly argument: string | undefined;
  readonly form: 'call' | 'colon' | 'bare';
}

/** Takes an action's text apart. */
export function callOf(token: string): Call {
  const match = /^([a-zA-Z_][\w-]*)(?:\((.*)\)|:(.*))?$/s.exec(token);
  if (!match) return { name: token, argument: undefined, form: 'bare' };
  if (match[2] !== undefined) return { name: match[1]!, argument: match[2], form: 'call' };
  if (match[3] !== undefined) return { name: match[1]!, argument: match[3], form: 'colon' };
  return { name: match[1]!, argument: undefined, form: 'bare' };
}

/** Non-negative whole number, decimal or 0x hex, at most `max`. */
export function numberOf(text: string, max: number, what: string): number {
  const value = /^(0[xX][0-9a-fA-F]{1,13}|\d{1,16})$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= max)) throw textError(what, text, `is no number up to ${max}`);
  return value;
}

/** Non-negative whole number of `bits` bits, decimal or 0x hex. */
export function bigOf(text: string, bits: number, what: string): bigint {
  if (!/^(0[xX][0-9a-fA-F]{1,256}|\d{1,80})$/.test(text)) throw textError(what, text, 'is no number');
  const value = BigInt(text);
  if (value >> BigInt(bits) !== 0n) throw textError(what, text, `does not fit ${bits} bits`);
  return value;
}

/** Splits `left->right`. */
export function arrowOf(text: string, what: string): [string, string] {
  const at = text.lastIndexOf('->');
  if (at < 0) throw textError(what, text, 'has no ->');
  return [text.slice(0, at).trim(), text.slice(at + 2).trim()];
}

/** `key=value` pairs and bare words of a call's argument, in order. */
export function pairsOf(text: string, what: string): { key: string; value: string | undefined; token: string }[] {
  return splitTop(text, what).map((token) => {
    const at = token.indexOf('=');
    return at < 0
      ? { key: token, value: undefined, token }
      : { key: token.slice(0, at), value: token.slice(at + 1), token };
  });
}

/** Hex bytes, with or without dots or colons between them; between those, one digit will do. */
export function hexBytes(text: string, what: string): Buffer {
  const parts = text.split(/[.:]/);
  const digits = parts.length === 1 ? text : parts.map((part) => part.padStart(2, '0')).join('');
  if (digits.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(digits)) throw textError(what, text, 'is no hex');
  return Buffer.from(digits, 'hex');
}

/** Lower-case hex of bytes, two digits each, with dots between as Open vSwitch writes it. */
export function dotted(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('.');
}

/** Hex with 0x, as C's %#x has it: zero is plain 0. */
export function hexText(value: number | bigint): string {
  return value === 0 || value === 0n ? '0' : `0x${value.toString(16)}`;
}

/** Runs of white space become one blank, so that what looks for it need not go back and forth. */
export function oneBlank(text: string): string {
  return text.replace(/\s+/g, ' ');
}
