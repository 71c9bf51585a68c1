import { AppId, type Dpid, type NetworkState, type Owner, type Port, type Tenant } from '../../controller/index.ts';

/*
 * Owner ids. Port 0x1…: endpoint id. Switch 0x2…: switch index. Meters 0b11, tenant index (16 bits), switch index (14 bits).
 */
const Kind = { port: 0x1000_0000, switch: 0x2000_0000, meters: 0xc000_0000 } as const;
const MAX_TENANT_INDEX = 0xffff;

/** Everything that exists because of one port object. */
export const portOwner = (port: Port): Owner => ({
  app: AppId.tenants,
  id: Kind.port + port.endpoint,
  key: `tenants/port/${port.tenant}/${port.id}`,
  object: `/v1/tenants/${port.tenant}/ports/${port.id}`,
});

/** What all tenants share on a switch. */
export const switchOwner = (dpid: Dpid, index: number): Owner => ({
  app: AppId.tenants,
  id: Kind.switch + index,
  key: `tenants/switch/${dpid}`,
  object: `/v1/switches/${dpid}`,
});

/** The meters of one tenant on one switch. A tenant that is gone has no number: such an owner only serves to clean up. */
export function metersOwner(tenant: string, dpid: Dpid, state: NetworkState): Owner {
  const index = state.desired.tenants.get(tenant)?.index ?? 0;
  const switchIndex = state.observed.switches.get(dpid)?.index ?? 0;
  return {
    app: AppId.tenants,
    id: Kind.meters + (index & MAX_TENANT_INDEX) * 0x4000 + switchIndex,
    key: `tenants/meters/${tenant}/${dpid}`,
    object: `/v1/tenants/${tenant}`,
  };
}

/** True when the tenant can have meters; their numbers have room for 65,536 tenants. */
export const canMeter = (tenant: Tenant): boolean => tenant.index <= MAX_TENANT_INDEX;

/** What an owner's key names: kind, and one or two names. */
export function parseOwner(owner: Owner): { readonly kind: string; readonly first: string; readonly second: string } {
  const [, kind = '', first = '', second = ''] = owner.key.split('/');
  return { kind, first, second };
}
