import { type Message, MeterBandType, MultipartType } from '../../../src/ofproto/index.ts';
import { type Leaves, leavesOf, take } from './leaves.ts';

/** One line of an OpenFlowPlugin test: a getter and what it gives. */
interface Assertion {
  readonly field: string;
  readonly equals?: string;
}

/** Words of OpenFlowPlugin that we call otherwise. */
const words: Readonly<Record<string, string>> = {
  code: 'errorCode',
  buffers: 'nBuffers',
  tables: 'nTables',
  hwAddress: 'hwAddr',
  currSpeed: 'currSpeed',
  rxFrameErr: 'rxFrameErr',
  mfrDesc: 'manufacturer',
  hwDesc: 'hardware',
  swDesc: 'software',
  serialNum: 'serialNumber',
  dpDesc: 'datapath',
};

const texts = new Set(['name', 'manufacturer', 'hardware', 'software', 'serialNumber', 'datapath']);

/** Number of a Java literal (`0x04L`, `12`, `"FF01…", 16`), text for a MAC address, undefined for anything else. */
function literal(text: string): string | undefined {
  const radix = /^([0-9A-Fa-f]+)\\?", 16$/.exec(text);
  if (radix !== null) return String(BigInt(`0x${radix[1]}`));
  const chosen = /^\w+\.forValue\((\d+)\)$/.exec(text);
  if (chosen !== null) return chosen[1];
  const whole = /^(0x[0-9a-fA-F]+|\d+)L?$/.exec(text);
  if (whole !== null) return String(BigInt(whole[1]!));
  const mac = /^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.exec(text);
  if (mac !== null) return String(Number.parseInt(text.replaceAll(':', ''), 16));
  return undefined;
}

/** Our names of types as the numbers that the peer has. */
function typesIn(leaves: Leaves): string[] {
  const names: Readonly<Record<string, number>> = { ...MultipartType, ...MeterBandType, minRate: 1, maxRate: 2 };
  return [
    ...(leaves.get('errorType') ?? []),
    ...(leaves.get('groupType') ?? []),
    ...[...(leaves.get('mp') ?? []), ...(leaves.get('type') ?? [])].map((name) => String(names[name])),
  ];
}

/** Whole-number assertions that our message does not bear out, and how many were compared. */
export function againstOpenflowplugin(
  assertions: readonly Assertion[],
  message: Message,
): { readonly wrong: string[]; readonly compared: number } {
  const leaves = leavesOf(message);
  leaves.set('type', typesIn(leaves));
  const wrong: string[] = [];
  let compared = 0;
  for (const { field, equals } of assertions) {
    const name = field.replace(/\(.*/, '').replace(/^get/, '');
    const key = `${name[0]?.toLowerCase() ?? ''}${name.slice(1)}`.replace(/\..*/, '');
    const own = words[key] ?? key;
    const value = equals === undefined ? undefined : texts.has(own) ? equals : literal(equals);
    // Flag sets, enums and words about structure have no number here; types are compared by the vector's own type.
    if (value === undefined || !leaves.has(own)) continue;
    compared++;
    if (!take(leaves, own, value)) wrong.push(`${own} ${value}`);
  }
  return { wrong, compared };
}
