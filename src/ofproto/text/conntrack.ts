import type { Action } from '../actions.ts';
import { fields } from '../oxm-fields.ts';
import { ipv4Text, ipv6Text, parseIpv4Text, parseIpv6Text } from './address.ts';
import { NO_TABLE } from './canonical.ts';
import { bitsText, isBitsText, namedField, parseBits, parseTable, type TextNames, tableText } from './names.ts';
import { callOf, numberOf, splitTop, textError } from './scan.ts';

type Ct = Extract<Action, { type: 'nxCt' }>;
type Nat = Extract<Action, { type: 'nxNat' }>;

const WHAT = 'ct text';
const COMMIT = 1;
const FORCE = 2;
const algorithms = [
  ['ftp', 21],
  ['tftp', 69],
] as const;

const SOURCE = 1;
const DESTINATION = 2;
const natWords = [
  ['persistent', 4],
  ['hash', 8],
  ['random', 16],
] as const;

/** Text of ct; undefined when text cannot say it without loss. */
export function connTrackText(
  { flags, zone, recircTable, alg, actions }: Ct,
  names: TextNames,
  list: (actions: readonly Action[], names: TextNames) => string,
): string | undefined {
  if ((flags & ~(COMMIT | FORCE)) !== 0) return undefined;
  const parts: string[] = [];
  if ((flags & COMMIT) !== 0) parts.push('commit');
  if ((flags & FORCE) !== 0) parts.push('force');
  if (recircTable !== NO_TABLE) parts.push(`table=${tableText(recircTable, names)}`);
  if (typeof zone === 'number') {
    if (zone !== 0) parts.push(`zone=${zone}`);
  } else {
    const field = namedField(zone);
    if (field === undefined || zone.nBits < 1 || zone.ofs + zone.nBits > fields[field].bits) return undefined;
    parts.push(`zone=${bitsText({ field, ofs: zone.ofs, nBits: zone.nBits })}`);
  }
  const first = actions[0];
  const nat = first?.type === 'nxNat' ? natText(first) : undefined;
  if (nat !== undefined) parts.push(nat);
  const rest = nat === undefined ? actions : actions.slice(1);
  if (rest.length > 0) parts.push(`exec(${list(rest, names)})`);
  if (alg !== 0) parts.push(`alg=${algorithms.find(([, port]) => port === alg)?.[0] ?? alg}`);
  return `ct(${parts.join(',')})`;
}

/** Text of nat inside ct; undefined when text cannot say it without loss. */
export function natText(nat: Nat): string | undefined {
  const { flags, ipv4Min, ipv4Max, ipv6Min, ipv6Max, protoMin, protoMax } = nat;
  const side = flags & (SOURCE | DESTINATION);
  const known = natWords.reduce((sum, [, bit]) => sum | bit, SOURCE | DESTINATION);
  const isV6 = ipv6Min !== undefined;
  const hasRange = isV6 || ipv4Min !== undefined;
  // What the grammar cannot hold: both sides, both families, ends without beginnings, parts without a side.
  if ((flags & ~known) !== 0 || side === 3 || (isV6 && ipv4Min !== undefined)) return undefined;
  if ((ipv4Max !== undefined && ipv4Min === undefined) || (ipv6Max !== undefined && !isV6)) return undefined;
  if ((protoMin !== undefined && !hasRange) || (protoMax !== undefined && protoMin === undefined)) return undefined;
  if (side === 0) return flags === 0 && !hasRange ? 'nat' : undefined;
  const address = (v4: number | undefined, v6: bigint | undefined): string => {
    if (v6 === undefined) return v4 === undefined ? '' : ipv4Text(v4);
    return protoMin === undefined ? ipv6Text(v6) : `[${ipv6Text(v6)}]`;
  };
  let text = address(ipv4Min, ipv6Min);
  if (ipv4Max !== undefined || ipv6Max !== undefined) text += `-${address(ipv4Max, ipv6Max)}`;
  if (protoMin !== undefined) text += `:${protoMin}`;
  if (protoMax !== undefined) text += `-${protoMax}`;
  const parts = [`${side === SOURCE ? 'src' : 'dst'}${hasRange ? `=${text}` : ''}`];
  for (const [name, bit] of natWords) if ((flags & bit) !== 0) parts.push(name);
  return `nat(${parts.join(',')})`;
}

/** Reads the inside of `ct(…)`. */
export function parseConnTrack(text: string, names: TextNames, list: (text: string) => Action[]): Action {
  let ct: Ct = { type: 'nxCt', flags: 0, zone: 0, recircTable: NO_TABLE, alg: 0, actions: [] };
  let nat: Action | undefined;
  for (const token of splitTop(text, WHAT)) {
    const { name, argument, form } = callOf(token);
    const [key, value] = [token.split('=', 1)[0]!, token.slice(token.indexOf('=') + 1)];
    if (token === 'commit') ct = { ...ct, flags: ct.flags | COMMIT };
    else if (token === 'force') ct = { ...ct, flags: ct.flags | FORCE };
    else if (name === 'nat' && form !== 'colon') nat = parseNat(argument);
    else if (name === 'exec' && form === 'call') ct = { ...ct, actions: list(argument ?? '') };
    else if (key === 'table') ct = { ...ct, recircTable: parseTable(value, names, WHAT) };
    else if (key === 'zone')
      ct = { ...ct, zone: isBitsText(value) ? parseBits(value, WHAT) : numberOf(value, 0xffff, WHAT) };
    else if (key === 'alg')
      ct = { ...ct, alg: algorithms.find(([word]) => word === value)?.[1] ?? numberOf(value, 0xffff, WHAT) };
    else throw textError(WHAT, token, 'is no part of ct');
  }
  return nat === undefined ? ct : { ...ct, actions: [nat, ...ct.actions] };
}

/** Reads the inside of `nat(…)`; undefined for `nat` alone. */
export function parseNat(text: string | undefined): Action {
  let nat: Nat = { type: 'nxNat', flags: 0 };
  for (const token of splitTop(text ?? '', WHAT)) {
    const flag = natWords.find(([word]) => word === token);
    const side = /^(src|dst)(?:=(.*))?$/.exec(token);
    if (flag) nat = { ...nat, flags: nat.flags | flag[1] };
    else if (side) {
      nat = { ...nat, flags: nat.flags | (side[1] === 'src' ? SOURCE : DESTINATION) };
      if (side[2] !== undefined) nat = { ...nat, ...natRange(side[2]) };
    } else throw textError(WHAT, token, 'is no part of nat');
  }
  return nat;
}

function natRange(text: string): Partial<Nat> {
  const port = (value: string): number => numberOf(value, 0xffff, WHAT);
  const v4 = /^([\d.]+)(?:-([\d.]+))?(?::(\d+)(?:-(\d+))?)?$/.exec(text);
  const v6 =
    /^\[([^\]]+)\](?:-\[([^\]]+)\])?:(\d+)(?:-(\d+))?$/.exec(text) ??
    /^([\da-fA-F:.]+)(?:-([\da-fA-F:.]+))?$/.exec(text);
  const [, min, max, low, high] = v4 ?? v6 ?? [];
  const family = v4 ? ([parseIpv4Text, 'ipv4'] as const) : ([parseIpv6Text, 'ipv6'] as const);
  const address = (value: string): number | bigint => {
    const found = family[0](value);
    if (found === undefined) throw textError(WHAT, text, 'is no range of addresses');
    return found;
  };
  return {
    [`${family[1]}Min`]: address(min ?? ''),
    ...(max === undefined ? {} : { [`${family[1]}Max`]: address(max) }),
    ...(low === undefined ? {} : { protoMin: port(low) }),
    ...(high === undefined ? {} : { protoMax: port(high) }),
  };
}
