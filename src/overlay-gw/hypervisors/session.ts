import type { Clock, Dpid, Logger, PortLabel } from '../../controller/index.ts';
import {
  dialVswitch,
  type OvsdbDialer,
  type OvsdbTls,
  parseOvsdbAddress,
  type RowChange,
  type VswitchIdentity,
  VswitchKeeper,
  type VswitchStatus,
} from '../ovsdb/index.ts';
import { concernsLabels, labelsOf } from './view.ts';

export interface SessionParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly tls: OvsdbTls | undefined;
  /** Rows, status or connection changed. */
  readonly changed: (session: DatabaseSession) => void;
  /** The connection ended; told after `changed`. */
  readonly ended: (session: DatabaseSession) => void;
}

/** The session with one switch's database, whichever side dialled; lives on while the connection comes and goes. */
export class DatabaseSession {
  readonly keeper: VswitchKeeper;
  /** Where it is, or who has dialled in. */
  remote: string;
  /** Known of those that dialled in. */
  identity: VswitchIdentity | undefined;
  /** Of the hardware VTEP that its server is as well. */
  physicalSwitches: readonly string[] = [];
  /** The hypervisor it belongs to. */
  hypervisor: string | undefined;
  /** The switch whose ports it labels. */
  dpid: Dpid | undefined;
  /** What that switch's ports were last labelled with. */
  labelled: ReadonlyMap<string, PortLabel> | undefined;
  /** What is wanted of it, as one text. */
  wants: string | undefined;
  #labels: { readonly bridge: string; readonly labels: ReadonlyMap<string, PortLabel> } | undefined;
  readonly #dialer: OvsdbDialer | undefined;

  private constructor(remote: string, parts: SessionParts, dials: boolean) {
    this.remote = remote;
    const { clock, log, tls } = parts;
    const options = {
      clock,
      log,
      handlers: {
        ready: () => {
          this.#labels = undefined;
          parts.changed(this);
        },
        changed: (changes: readonly RowChange[]) => {
          if (changes.some(concernsLabels)) this.#labels = undefined;
          parts.changed(this);
        },
        down: () => {
          parts.changed(this);
          parts.ended(this);
        },
        status: () => parts.changed(this),
      },
    };
    if (dials) {
      const address = parseOvsdbAddress('ovsdb', remote);
      const dialled = dialVswitch({ ...options, address, ...(tls ? { tls } : {}) });
      this.keeper = dialled.keeper;
      this.#dialer = dialled.dialer;
    } else this.keeper = new VswitchKeeper(options);
  }

  /** Dials `tcp:HOST:PORT` and the like, until closed. Throws ConfigError when that is no address. */
  static dial(address: string, parts: SessionParts): DatabaseSession {
    const session = new DatabaseSession(address, parts, true);
    session.#dialer!.start();
    return session;
  }

  /** One that has dialled in; give its client the connection. */
  static accepted(remote: string, identity: VswitchIdentity, parts: SessionParts): DatabaseSession {
    const session = new DatabaseSession(remote, parts, false);
    session.identity = identity;
    return session;
  }

  /** What the database says of a bridge's ports; the same object until that changes. */
  labels(bridge: string): ReadonlyMap<string, PortLabel> {
    if (this.#labels?.bridge !== bridge) this.#labels = { bridge, labels: labelsOf(this.keeper.tables, bridge) };
    return this.#labels.labels;
  }

  get status(): VswitchStatus {
    return this.keeper.status;
  }

  get connected(): boolean {
    return this.keeper.client.ready;
  }

  /** Ends it. What is in the database stays. */
  close(): void {
    this.#dialer?.stop();
    this.keeper.close();
  }
}
