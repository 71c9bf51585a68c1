import type { Dpid } from '../kernel/index.ts';

/** TLS of a listener. Switches must show a certificate that `ca` signed. */
export interface TlsOptions {
  /** PEM text of the private key. */
  readonly key: string | Buffer;
  /** PEM text of the certificate chain. */
  readonly cert: string | Buffer;
  /** PEM text of the authority whose signature a switch's certificate must bear. */
  readonly ca: string | Buffer;
  /**
   * Datapath id → SHA-256 fingerprint (hex, colons optional) of the only certificate that may claim it. Holds on every
   * listener: a pinned switch is refused over plain TCP too.
   */
  readonly pins?: Readonly<Record<string, string>>;
  /** Refuses on this listener every datapath id that no listener pins. False when not given. */
  readonly pinnedOnly?: boolean;
}

/** Where switches may connect. */
export interface ListenerSpec {
  readonly host: string;
  /** 0 takes any free port; `listen()` tells which. */
  readonly port: number;
  readonly tls?: TlsOptions;
}

/** Address that a listener got. */
export interface ListeningAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

/** What one connection may take of us. Times in milliseconds, sizes in bytes. */
export interface SessionLimits {
  /** From accept until the switch is up. */
  readonly handshakeMs: number;
  /** Silence after which we send an echo request. */
  readonly echoIntervalMs: number;
  /** Time the switch has to say anything after that. */
  readonly echoTimeoutMs: number;
  /** Default deadline of a request. */
  readonly requestTimeoutMs: number;
  /** Time the old connection has to answer when another claims its datapath id. */
  readonly duplicateProbeMs: number;
  /** Time for the last bytes to reach the peer after we decided to close. */
  readonly lingerMs: number;
  /** Unsent output above which we stop reading from the switch. */
  readonly highWater: number;
  /** Unsent output above which packet-outs are refused (they may be lost; flow-mods may not). */
  readonly packetOutCap: number;
  /** Unsent output that closes the connection. With buffers half filled this stays below 1 MiB. */
  readonly outputCap: number;
  /** Input handled per connection and turn of the event loop before others get theirs: bytes … */
  readonly turnBytes: number;
  /** … and messages. Checked after each chunk read from the socket (64 KiB at most). */
  readonly turnMessages: number;
  /** Bytes of multipart pieces held for all open requests of a connection. */
  readonly replyBytes: number;
  /** Open requests of a connection. */
  readonly requests: number;
  /** Connections in all; further ones are closed at once. */
  readonly connections: number;
}

/** Limits that suit a fabric of some thousand switches. */
export const defaultLimits: SessionLimits = {
  handshakeMs: 10_000,
  echoIntervalMs: 5_000,
  echoTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  duplicateProbeMs: 1_000,
  lingerMs: 1_000,
  highWater: 128 * 1024,
  packetOutCap: 512 * 1024,
  outputCap: 768 * 1024,
  turnBytes: 128 * 1024,
  turnMessages: 2_048,
  replyBytes: 64 * 1024 * 1024,
  requests: 1_024,
  connections: 20_000,
};

/** Why a connection ended. These are label values of `netloom_openflow_closed_total` and stable. */
export const closeReasons = [
  'peer-closed',
  'socket-error',
  'handshake-timeout',
  'version',
  'refused-by-switch',
  'hello-expected',
  'framing',
  'bad-handshake',
  'pin',
  'duplicate-dpid',
  'replaced',
  'echo-timeout',
  'slow-reader',
  'too-many-connections',
  'auxiliary-without-main',
  'main-closed',
  'tls',
  'shutdown',
  'requested',
] as const;
export type CloseReason = (typeof closeReasons)[number];

/** What a switch says of itself in its features reply. */
export interface SwitchFeatures {
  readonly dpid: Dpid;
  /** Packets it can hold back; Open vSwitch: 0. */
  readonly buffers: number;
  readonly tables: number;
  /** OFPC_* bits. */
  readonly capabilities: number;
}

/** What a switch says of itself in its description; empty texts when it refuses to tell. */
export interface SwitchDescription {
  readonly manufacturer: string;
  readonly hardware: string;
  readonly software: string;
  readonly serialNumber: string;
  readonly datapath: string;
}

/** Something an operator should see. */
export interface SessionAlarm {
  readonly kind: 'duplicate-dpid';
  readonly dpid: Dpid;
  /** Address of the switch that is up and answers. */
  readonly holder: string;
  /** Address of the connection that was refused. */
  readonly claimant: string;
  /** Refusals since the holder came up. */
  readonly refused: number;
}
