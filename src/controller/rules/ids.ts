/** Group ids by use. Ids outside these ranges belong to others and are left alone. */
export const GroupId = {
  /** Towards the switch of this index. */
  hop: (switchIndex: number): number => 0x10000000 + switchIndex,
  /** Broadcast of a network. */
  broadcast: (network: number): number => 0x20000000 + network,
  /** IPv4 multicast of a network. */
  multicast4: (network: number): number => 0x30000000 + network,
  /** IPv6 multicast of a network. */
  multicast6: (network: number): number => 0x40000000 + network,
  /** Local member ports of a network. */
  local: (network: number): number => 0x50000000 + network,
  /** At the gateway of a network: all members on the other side of it, for the nth kind of frame (0…2). */
  beyond: (network: number, nth: number): number => 0x60000000 + nth * 0x10000000 + network,
} as const;

/** Meter ids by use. Ids outside these ranges belong to others and are left alone. */
export const MeterId = {
  /** Probes that arrive on link ports. */
  probe: 1,
  /** Probes (or what looks like them) that arrive on all other ports. */
  edgeProbe: 2,
  /** Probes that arrive through tunnels. */
  tunnelProbe: 4,
  /** Unknown senders shown to the controller. */
  learn: 3,
  /** Signs of guests at the places that they move to. */
  move: 5,
  /** What a tenant may show to the controller; tenant index 0…65535. */
  tenantPunt: (tenant: number): number => 0x10000 + tenant,
  /** What a tenant's ports may send; tenant index 0…65535. */
  tenantBandwidth: (tenant: number): number => 0x20000 + tenant,
} as const;

/** True for group ids that we give out. */
export const isOurGroup = (id: number): boolean => id >= 0x10000000 && id < 0x90000000;

/** True for meter ids that we give out. */
export const isOurMeter = (id: number): boolean => (id >= 1 && id < 0x100) || (id >= 0x10000 && id < 0x30000);
