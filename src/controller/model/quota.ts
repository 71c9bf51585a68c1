import { RequestError } from '../kernel/index.ts';
import type { Desired } from './desired.ts';
import type { Planner } from './service-types.ts';
import type { DesiredChange } from './types.ts';

/**
 * Refuses changes that take a tenant above its flows. Called with the changes, and the earlier ones of the same batch, in
 * `desired`. Costs a plan only when a tenant that gains something has such a limit.
 */
export function checkFlowQuotas(
  changes: readonly DesiredChange[],
  earlier: () => readonly DesiredChange[],
  desired: Desired,
  planner: Planner,
): void {
  const limited = new Map<string, number>();
  for (const { kind, after } of changes) {
    if (!after || kind === 'tenant' || !('tenant' in after)) continue;
    const limit = desired.tenants.get(after.tenant)?.quota.flows;
    if (limit !== undefined) limited.set(after.tenant, limit);
  }
  if (limited.size === 0) return;
  const { flowsOfTenant } = planner([...earlier(), ...changes], desired, 'quota');
  for (const [tenant, limit] of limited) {
    const flows = flowsOfTenant?.get(tenant) ?? 0;
    if (flows <= limit) continue;
    throw new RequestError(
      409,
      'NL_QUOTA',
      `tenant ${tenant} may hold ${limit} flows and would hold ${flows} (quota.flows)`,
      [],
      { quota: 'flows', limit, wanted: flows },
    );
  }
}
