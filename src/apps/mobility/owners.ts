import { AppId, type Dpid, type Owner, type Port } from '../../controller/index.ts';

const Kind = { port: 0x1000_0000, switch: 0x2000_0000 } as const;
const PORT = 'mobility/port/';
const SWITCH = 'mobility/switch/';

/** What a port needs at the place that it moves to, so that its guest is noticed there. */
export const portOwner = (port: Port): Owner => ({
  app: AppId.mobility,
  id: Kind.port + port.endpoint,
  key: `${PORT}${port.tenant}/${port.id}`,
  object: `/v1/tenants/${port.tenant}/ports/${port.id}`,
});

/** The endpoint id of the port whose rule has this number; undefined for other rules. */
export const endpointOf = (id: number): number | undefined =>
  id >= Kind.port && id < Kind.switch ? id - Kind.port : undefined;

/** What moves share on a switch. */
export const switchOwner = (dpid: Dpid, index: number): Owner => ({
  app: AppId.mobility,
  id: Kind.switch + index,
  key: `${SWITCH}${dpid}`,
  object: `/v1/switches/${dpid}`,
});

/** What an owner's key names: a switch, or a port by its key in desired state. */
export const parseOwner = ({ key }: Owner): { readonly dpid: Dpid } | { readonly port: string } =>
  key.startsWith(SWITCH) ? { dpid: key.slice(SWITCH.length) as Dpid } : { port: key.slice(PORT.length) };
