import type { Message } from '../../../src/ofproto/index.ts';
import { leavesOf, take } from './leaves.ts';

type Tree = Readonly<Record<string, unknown>>;

const words: Readonly<Record<string, string>> = {
  data_hex: 'data',
  idle: 'idleTimeout',
  hard: 'hardTimeout',
  packets: 'packetCount',
  bytes: 'byteCount',
};

function camel(key: string): string {
  return key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** Values put into a constructed vector that our message lacks; `compared` says how many could be looked for. */
export function againstConstructed(
  expected: Tree,
  message: Message,
): { readonly wrong: string[]; readonly compared: number } {
  const leaves = leavesOf(message);
  const wrong: string[] = [];
  let compared = 0;
  for (const [key, value] of Object.entries(expected)) {
    if (typeof value !== 'number' && key !== 'data_hex') continue;
    const own = key === 'type' ? (message.type === 'groupMod' ? 'groupType' : 'control') : (words[key] ?? camel(key));
    if (!leaves.has(own)) continue;
    compared++;
    if (!take(leaves, own, String(value))) wrong.push(`${own} ${String(value)}`);
  }
  return { wrong, compared };
}
