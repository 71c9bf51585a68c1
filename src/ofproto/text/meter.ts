import { Meter, MeterFlag } from '../constants.ts';
import type { Band } from '../of13/parts.ts';
import { hexBytes, numberOf, splitTop, textError } from './scan.ts';

const WHAT = 'meter text';
const U32 = 0xffff_ffff;

/** A meter as text shows it. */
export interface MeterText {
  readonly meterId: number;
  /** OFPMF_* */
  readonly flags: number;
  readonly bands: readonly Band[];
}

const flagWords = [
  ['kbps', MeterFlag.kbps],
  ['pktps', MeterFlag.pktps],
  ['burst', MeterFlag.burst],
  ['stats', MeterFlag.stats],
] as const;

const idWords = [
  ['controller', Meter.controller],
  ['slowpath', Meter.slowpath],
  ['all', Meter.all],
] as const;

/** The lines that `ovs-ofctl dump-meters` prints for one meter: the meter, then a line for each band. */
export function formatMeter({ meterId, flags, bands }: MeterText): string {
  const head = [`meter=${idWords.find(([, id]) => id === meterId)?.[0] ?? meterId}`];
  for (const [word, bit] of flagWords) if ((flags & bit) !== 0) head.push(word);
  const rest = flags & ~flagWords.reduce((sum, [, bit]) => sum | bit, 0);
  if (rest !== 0) head.push(`flags:0x${rest.toString(16)}`);
  return [`${head.join(' ')} bands=`, ...bands.map((band) => bandText(band, (flags & MeterFlag.burst) !== 0))].join(
    '\n',
  );
}

function bandText(band: Band, hasBurst: boolean): string {
  const words = { drop: 'drop', dscpRemark: 'dscp_remark', experimenter: 'experimenter', unknown: '' } as const;
  const parts = [
    `type=${band.type === 'unknown' ? band.bandType : words[band.type]}`,
    `rate=${band.rate}`,
    ...(hasBurst || band.burstSize !== 0 ? [`burst_size=${band.burstSize}`] : []),
  ];
  if (band.type === 'dscpRemark') parts.push(`prec_level=${band.precLevel}`);
  if (band.type === 'experimenter') parts.push(`experimenter=0x${band.experimenter.toString(16)}`);
  if (band.type === 'experimenter' || band.type === 'unknown')
    parts.push(`data=${Array.from(band.bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`);
  return parts.join(' ');
}

/**
 * Reads one meter as `formatMeter`, `ovs-ofctl dump-meters` or `ovs-ofctl add-meter` has it (`meter=1,kbps,band=type=drop
 * rate=500`). Throws WireError (NL_WIRE_VALUE).
 */
export function parseMeter(text: string): MeterText {
  const at = /[\s,]?\bbands?=/.exec(text);
  const head = at ? text.slice(0, at.index) : text;
  let meterId: number | undefined;
  let flags = 0;
  for (const token of splitTop(head, WHAT)) {
    const flag = flagWords.find(([word]) => word === token);
    if (flag) flags |= flag[1];
    else if (token.startsWith('flags:')) flags |= numberOf(token.slice(6), 0xffff, WHAT);
    else if (token.startsWith('meter=')) meterId = idOf(token.slice(6));
    else throw textError(WHAT, token, 'is no part of a meter');
  }
  if (meterId === undefined) throw textError(WHAT, text, 'needs meter=');
  const body = at ? text.slice(at.index + at[0].length) : '';
  // Every band begins with its type.
  const bands = body.split(/(?:^|[\s,])(?:bands?=)?(?=type=)/).filter((part) => !/^[\s,]*$/.test(part));
  return { meterId, flags, bands: bands.map(parseBand) };
}

function idOf(text: string): number {
  return idWords.find(([word]) => word === text.toLowerCase())?.[1] ?? numberOf(text, U32, WHAT);
}

function parseBand(text: string): Band {
  const values = new Map<string, string>();
  for (const token of splitTop(text, WHAT)) {
    const [key = ''] = token.split('=', 1);
    if (!/^(type|rate|burst_size|prec_level|experimenter|data)$/.test(key) || values.has(key))
      throw textError(WHAT, token, 'is no part of a band');
    values.set(key, token.slice(key.length + 1));
  }
  const number = (key: string, max: number): number => numberOf(values.get(key) ?? '0', max, WHAT);
  const fixed = { rate: number('rate', U32), burstSize: number('burst_size', U32) };
  const type = values.get('type') ?? '';
  switch (type) {
    case 'drop':
      return { type: 'drop', ...fixed };
    case 'dscp_remark':
      return { type: 'dscpRemark', ...fixed, precLevel: number('prec_level', 255) };
    case 'experimenter':
      return {
        type: 'experimenter',
        ...fixed,
        experimenter: number('experimenter', U32),
        bytes: hexBytes(values.get('data') ?? '', WHAT),
      };
    default:
      return {
        type: 'unknown',
        ...fixed,
        bandType: numberOf(type, 0xffff, WHAT),
        bytes: hexBytes(values.get('data') ?? '', WHAT),
      };
  }
}
