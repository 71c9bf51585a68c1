/*
 * Compares by leaves: every number, text or byte string that the expectation names must be in our message under the same
 * word (camelCase, with a few words of the peer's translated), at least as often.
 */

/** Leaves of our message: word → values in their plainest form. */
export type Leaves = Map<string, string[]>;

/** Plainest form of a value: numbers in decimal, bytes in hex. */
export function plain(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  return String(value);
}

/** All leaves of a message. */
export function leavesOf(node: unknown, key = '', into: Leaves = new Map()): Leaves {
  if (Array.isArray(node)) for (const item of node) leavesOf(item, key, into);
  else if (typeof node === 'object' && node !== null && !(node instanceof Uint8Array))
    for (const [name, value] of Object.entries(node)) leavesOf(value, name, into);
  else {
    const list = into.get(key) ?? [];
    list.push(plain(node));
    into.set(key, list);
  }
  return into;
}

/** Takes one leaf out; false when it is not there. */
export function take(leaves: Leaves, key: string, value: string): boolean {
  const list = leaves.get(key);
  const at = list?.indexOf(value) ?? -1;
  if (at < 0) return false;
  list!.splice(at, 1);
  return true;
}
