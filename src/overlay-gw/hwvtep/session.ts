import type { Duplex } from 'node:stream';
import type { Clock, Logger } from '../../controller/index.ts';
import { type HwvtepIdentity, type OvsdbDialer, type OvsdbTls, parseOvsdbAddress } from '../ovsdb/index.ts';
import { dialHwvtep, HwvtepKeeper, type HwvtepStatus } from './keeper.ts';

export interface DeviceSessionParts {
  readonly owner: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly tls: OvsdbTls | undefined;
  /** What the device says, the status or the connection changed. */
  readonly changed: (session: DeviceSession) => void;
}

/** The session with one device's database, whichever side dialled; lives on while the connection comes and goes. */
export class DeviceSession {
  readonly keeper: HwvtepKeeper;
  /** Where it is, or who has dialled in. */
  remote: string;
  /** Id of the hypervisor object that it belongs to. */
  device: string | undefined;
  /** It was told that this one waits for somebody to make its object. */
  announced = false;
  /** Known of those that dialled in. */
  #identity: HwvtepIdentity | undefined;
  readonly #dialer: OvsdbDialer | undefined;

  private constructor(remote: string, parts: DeviceSessionParts, dials: boolean) {
    this.remote = remote;
    const { owner, clock, log, tls } = parts;
    const watcher = { status: () => parts.changed(this), view: () => parts.changed(this) };
    const options = { owner, clock, log, watcher };
    if (dials) {
      const address = parseOvsdbAddress('ovsdb', remote);
      const dialled = dialHwvtep({ ...options, address, ...(tls ? { tls } : {}) });
      this.keeper = dialled.keeper;
      this.#dialer = dialled.dialer;
    } else this.keeper = new HwvtepKeeper(options);
  }

  /** Dials `tcp:HOST:PORT` and the like, until closed. Throws ConfigError when that is no address. */
  static dial(address: string, parts: DeviceSessionParts): DeviceSession {
    const session = new DeviceSession(address, parts, true);
    session.#dialer!.start();
    return session;
  }

  /** For those that dial in; give it their connections by `take`. */
  static accepting(parts: DeviceSessionParts): DeviceSession {
    return new DeviceSession('', parts, false);
  }

  /** Talks over this connection from now on. */
  take(socket: Duplex, remote: string, identity: HwvtepIdentity): void {
    this.remote = remote;
    this.#identity = identity;
    this.keeper.client.use(socket);
  }

  get dials(): boolean {
    return this.#dialer !== undefined;
  }

  get connected(): boolean {
    return this.keeper.client.ready;
  }

  get status(): HwvtepStatus {
    return this.keeper.status;
  }

  /** True when somebody who dials in has the database that this session is about. */
  isWith({ database }: HwvtepIdentity): boolean {
    return this.#identity?.database === database;
  }

  /** Ends it. What is in the database stays. */
  close(): void {
    this.#dialer?.stop();
    this.keeper.close();
  }
}
