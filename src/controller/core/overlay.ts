import type { Dpid, IpAddress } from '../kernel/index.ts';
import type { Hypervisor, Network, Transport } from '../model/index.ts';
import type { TunnelType } from '../observed/index.ts';
import { bits, hashTo, output, type Step, set } from '../rules/index.ts';

/** Stands for the component of the fabric in overlay networks: tunnels reach everybody. No switch has this datapath id. */
export const OVERLAY = '0000000000000000' as Dpid;

export const isOverlay = (transport: Transport | undefined): transport is TunnelType =>
  transport === 'vxlan' || transport === 'nvgre';

/** True when a tunnel endpoint speaks the encapsulation of networks of this transport: hardware VTEPs speak VXLAN only (vtep(5)). */
export const speaks = ({ physicalSwitch }: Hypervisor, transport: Transport | undefined): transport is TunnelType =>
  isOverlay(transport) && (physicalSwitch === undefined || transport === 'vxlan');

/** A switch's end of the tunnels. */
export interface Vtep {
  /** Id of the hypervisor. */
  readonly hypervisor: string;
  readonly addresses: readonly IpAddress[];
  /** Tunnel ports by encapsulation. */
  readonly ports: ReadonlyMap<TunnelType, number>;
}

/** The address family in which two endpoints reach one another: IPv4 when both have it. */
export function commonFamily(a: readonly IpAddress[], b: readonly IpAddress[]): 4 | 6 | undefined {
  const has = (addresses: readonly IpAddress[], family: 4 | 6) => addresses.some((each) => each.family === family);
  if (has(a, 4) && has(b, 4)) return 4;
  return has(a, 6) && has(b, 6) ? 6 : undefined;
}

/** The address of `to` that `from` sends to. */
export function peerAddress(from: readonly IpAddress[], to: readonly IpAddress[]): IpAddress | undefined {
  const family = commonFamily(from, to);
  return to.find((address) => address.family === family);
}

/** VSID in the upper 24 bits of the GRE key, FlowID below (RFC 7637 §3.2). */
const NVGRE_SHIFT = 8;

/** The tunnel id with which a network's frames leave. */
export const tunnelIdOf = ({ transport, segmentId }: Network): number =>
  transport === 'nvgre' ? segmentId * 2 ** NVGRE_SHIFT : segmentId;

/** The tunnel ids under which a network's frames may arrive: NVGRE's FlowID may be anything. */
export const tunnelIdMatch = (network: Network): number | { readonly value: number; readonly mask: bigint } =>
  network.transport === 'nvgre' ? { value: tunnelIdOf(network), mask: 0xffff_ffff_ffff_ff00n } : tunnelIdOf(network);

/** Sends a frame of the network to the tunnel endpoint at these addresses; undefined when there is no way to it. */
export function tunnelSteps(
  network: Network,
  from: Vtep | undefined,
  to: readonly IpAddress[],
): readonly Step[] | undefined {
  const { transport } = network;
  const port = from && isOverlay(transport) ? from.ports.get(transport) : undefined;
  const address = from && peerAddress(from.addresses, to);
  if (port === undefined || !address) return undefined;
  return [
    set('tunnelId', tunnelIdOf(network)),
    ...(transport === 'nvgre' && network.flowId === 'hash' ? [hashTo(bits('tunnelId', 0, NVGRE_SHIFT))] : []),
    address.family === 4 ? set('tunIpv4Dst', Number(address.value)) : set('tunIpv6Dst', address.value),
    output(port),
  ];
}
