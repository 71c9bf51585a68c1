import { type FieldProblem, formatIp, type IpAddress, parseIp } from '../kernel/index.ts';

/** Addresses that nobody can have, by what they are. */
function unusable({ family, value }: IpAddress): string | undefined {
  if (family === 4) {
    if (value >> 24n === 0n) return '"this network" (0.0.0.0/8)';
    if (value >> 24n === 127n) return 'loopback';
    if (value >> 28n === 0xen) return 'multicast';
    return value === 0xffffffffn ? 'broadcast' : undefined;
  }
  if (value === 0n) return 'the unspecified address';
  if (value === 1n) return 'loopback';
  return value >> 120n === 0xffn ? 'multicast' : undefined;
}

/** The addresses in a list; each with its own pointer when it is none, cannot be used, or was there before. */
export function readAddresses(
  texts: readonly string[],
  problems: FieldProblem[],
  pointerOf: (at: number) => string,
): IpAddress[] {
  const addresses: IpAddress[] = [];
  const seen = new Set<string>();
  texts.forEach((text, i) => {
    const pointer = pointerOf(i);
    const address = parseIp(text);
    if (!address) {
      problems.push({ pointer, message: 'must be a full IPv4 or IPv6 address without prefix length' });
      return;
    }
    const kind = unusable(address);
    if (kind) problems.push({ pointer, message: `is ${kind}` });
    if (seen.has(formatIp(address))) problems.push({ pointer, message: 'is listed twice' });
    seen.add(formatIp(address));
    addresses.push(address);
  });
  return addresses;
}
