import type { Owner } from './types.ts';

/** Top 16 bits of all our cookies ("NL"). Flows whose cookie differs there belong to others and are left alone. */
export const COOKIE_SPACE = 0x4e4c;

/** Mask that keeps the cookie space only; for requests that shall name our flows and nobody else's. */
export const COOKIE_SPACE_MASK = 0xffff000000000000n;

/** A cookie as its halves: `hi` = space and app, `lo` = owner id. Hot code reads two u32 instead of one bigint. */
export interface CookieHalves {
  readonly hi: number;
  readonly lo: number;
}

/** Upper half of the cookies of an app. */
export const cookieHi = (app: number): number => COOKIE_SPACE * 0x10000 + app;

/** True when the upper half of a cookie is in our space. */
export const isOurs = (hi: number): boolean => hi >>> 16 === COOKIE_SPACE;

/** App in the upper half of one of our cookies. */
export const cookieApp = (hi: number): number => hi & 0xffff;

/** Cookie of an owner. */
export const cookieOf = (owner: Pick<Owner, 'app' | 'id'>): bigint =>
  (BigInt(cookieHi(owner.app)) << 32n) | BigInt(owner.id);

/** App and id of a cookie, undefined when it is not ours. */
export function parseCookie(cookie: bigint): { readonly app: number; readonly id: number } | undefined {
  const hi = Number(BigInt.asUintN(64, cookie) >> 32n);
  if (!isOurs(hi)) return undefined;
  return { app: cookieApp(hi), id: Number(cookie & 0xffffffffn) };
}

/** Text of a cookie as the API shows it: `0x` and 16 hex digits. */
export const formatCookie = (cookie: bigint): string => `0x${cookie.toString(16).padStart(16, '0')}`;
