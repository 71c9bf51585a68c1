import type { RestClient } from './rest.ts';

/** A switch's whole flow and group tables as a controller reads them, as sorted lines, without what counts. */
export async function heldRules(rest: RestClient, dpid: string): Promise<string> {
  const [flows, groups] = await Promise.all(
    ['flows', 'groups'].map((kind) => rest.ok('GET', `/v1/switches/${dpid}/${kind}?limit=10000`)),
  );
  const flow = ({ table, priority, match, actions, cookie }: Record<string, unknown>) =>
    `${table} ${priority} ${match} → ${actions} ${cookie}`;
  return [
    ...flows.items.map(flow),
    ...groups.items.map(({ groupId, type, buckets }: Record<string, unknown>) => `${groupId} ${type} ${buckets}`),
  ]
    .sort()
    .join('\n');
}
