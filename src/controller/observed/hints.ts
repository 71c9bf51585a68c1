import type { Dpid, IpAddress, Mac } from '../kernel/index.ts';
import type { Attachment, GatewayOf, PortRole, TunnelType } from './types.ts';

/** A port as it was in the last run. */
export interface KnownPort {
  readonly no: number;
  readonly name: string;
  readonly mac: Mac;
  readonly up: boolean;
  readonly currentSpeed: number;
  readonly role: PortRole;
  readonly interfaceId?: string;
  readonly tunnel?: TunnelType;
}

/** What a switch said about itself in the last run. */
export interface KnownFacts {
  readonly manufacturer: string;
  readonly hardware: string;
  readonly software: string;
  readonly nicira: boolean;
  readonly ports: readonly KnownPort[];
}

/** A switch of an earlier run; `facts` when it was ever described. */
export interface KnownSwitch {
  readonly dpid: Dpid;
  readonly index: number;
  readonly facts: KnownFacts | undefined;
}

/** One direction of a cable that an earlier run proved. */
export interface KnownLink {
  readonly from: Attachment;
  readonly to: Attachment;
  readonly since: number;
}

/** An active host that an earlier run learned. */
export interface KnownHost {
  readonly network: number;
  readonly mac: Mac;
  readonly at: Attachment;
  readonly endpoint: number;
  readonly addresses: readonly IpAddress[];
  readonly firstSeen: number;
  readonly lastSeen: number;
}

/** Who was a gateway in the last run. */
export interface KnownGateway {
  readonly of: GatewayOf;
  readonly dpid: Dpid;
  readonly former: Dpid | undefined;
}

/** What earlier runs left behind, as `Observed.load` takes it. */
export interface KnownBefore {
  readonly switches: readonly KnownSwitch[];
  readonly links: readonly KnownLink[];
  readonly hosts: readonly KnownHost[];
  readonly gateways: readonly KnownGateway[];
}

/** Where observed state leaves what the next run should start from; the store's `HintStore` fits. Calls only queue. */
export interface HintSink {
  putSwitch(dpid: Dpid, facts: KnownFacts): void;
  putLink(link: KnownLink): void;
  deleteLink(from: Attachment): void;
  putHost(host: KnownHost): void;
  deleteHost(network: number, mac: Mac): void;
  putGateway(gateway: KnownGateway): void;
  deleteGateway(of: GatewayOf): void;
}

/** Remembers nothing. */
export const noHints: HintSink = {
  putSwitch: () => {},
  putLink: () => {},
  deleteLink: () => {},
  putHost: () => {},
  deleteHost: () => {},
  putGateway: () => {},
  deleteGateway: () => {},
};
