import { createHmac, timingSafeEqual } from 'node:crypto';
import { LispError } from './errors.ts';
import { type Authentication, decodeLisp, encodeLisp, type Info, type MapNotify, type MapRegister } from './message.ts';

/**
 * Algorithms as the field uses them: the whole digest is sent, whatever "-96" and "-128" in their names say (RFC 9301 §5.6 names
 * HMAC-SHA-1-96 and HMAC-SHA-256-128).
 */
const ALGORITHMS = [
  { id: 1, hash: 'sha1', length: 20 },
  { id: 2, hash: 'sha256', length: 32 },
] as const;

type Signed = MapRegister | MapNotify | Info;

/** The algorithm of a key id: its lower byte (RFC 9301), the whole number before. Undefined for one that is not known. */
export const algorithmOf = (keyId: number) => ALGORITHMS.find(({ id }) => id === (keyId & 0xff));

/** Where the authentication data begins: after the first word, the nonce, key id and length. */
const AUTH_AT = 4 + 8 + 2 + 2;

/** True when the message, whose bytes these are, was signed with the key. All of the digest is compared, in constant time. */
export function isAuthentic(bytes: Buffer, { keyId, data }: Authentication, key: string | Buffer): boolean {
  const algorithm = algorithmOf(keyId);
  if (!algorithm || data.length !== algorithm.length) return false;
  const blank = Buffer.from(bytes);
  blank.fill(0, AUTH_AT, AUTH_AT + data.length);
  return timingSafeEqual(createHmac(algorithm.hash, key).update(blank).digest(), data);
}

/** Encodes a message and signs it: the digest goes over all of its bytes with the digest's own place empty. */
export function signLisp(message: Signed, keyId: number, key: string | Buffer): Buffer {
  const algorithm = algorithmOf(keyId);
  if (!algorithm) throw new LispError('auth', 'keyId', 12, `${keyId} names no algorithm that is known`);
  const bytes = encodeLisp({ ...message, auth: { keyId, data: Buffer.alloc(algorithm.length) } });
  createHmac(algorithm.hash, key).update(bytes).digest().copy(bytes, AUTH_AT);
  return bytes;
}

/** Decodes a message, and says whether one of the keys signed it: undefined when it bears no signature. */
export function verifyLisp(bytes: Buffer, key: string | Buffer): boolean | undefined {
  const message = decodeLisp(bytes);
  return 'auth' in message && message.auth.data.length > 0 ? isAuthentic(bytes, message.auth, key) : undefined;
}
