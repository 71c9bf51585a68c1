import type { Socket } from 'node:net';
import type { AppContext } from '../../controller/index.ts';
import type { Devices } from '../hwvtep/index.ts';
import { identifyPeer, OvsdbError, OvsdbListener, type OvsdbTls } from '../ovsdb/index.ts';
import type { Hypervisors } from './hypervisors.ts';
import type { Refusals } from './refusals.ts';

export interface ReceptionParts {
  readonly context: AppContext;
  readonly hypervisors: Hypervisors;
  readonly devices: Devices;
  /** Told who is sent away. */
  readonly refusals: Refusals;
  /** Where databases dial in; undefined: nowhere. */
  readonly listen: { readonly host: string; readonly port: number } | undefined;
  readonly tls: OvsdbTls | undefined;
}

/** Where databases dial in: asks each who it is, and hands it to those who are in charge of its kind. */
export class Reception {
  readonly #parts: ReceptionParts;
  #listener: OvsdbListener | undefined;

  constructor(parts: ReceptionParts) {
    this.#parts = parts;
  }

  /** Opens the listener; resolves with its address. Rejects with the system's error. */
  async listen(): Promise<string | undefined> {
    const { listen, tls, context, refusals } = this.#parts;
    if (!listen) return undefined;
    this.#listener = await OvsdbListener.open({
      ...listen,
      ...(tls ? { tls } : {}),
      log: context.log,
      accepted: (socket, remote) => void this.#dialledIn(socket, remote),
      refused: (remote, reason) => refusals.add(remote, reason),
    });
    return `${listen.host}:${this.#listener.port}`;
  }

  /** Nobody may dial in any more. */
  close(): void {
    this.#listener?.close();
  }

  async #dialledIn(socket: Socket, remote: string): Promise<void> {
    const { context, hypervisors, devices, refusals } = this.#parts;
    try {
      const { vswitch, hwvtep } = await identifyPeer(socket, context.clock);
      refusals.forgive(remote);
      // A server that has both databases is a hardware VTEP when an object says so.
      if (hwvtep && (!vswitch || devices.claims(hwvtep.switches))) devices.accept(socket, remote, hwvtep);
      else if (vswitch) hypervisors.accept(socket, remote, vswitch, hwvtep?.switches ?? []);
    } catch (error) {
      refusals.add(remote, error instanceof Error ? error.message : String(error));
      if (error instanceof OvsdbError)
        context.log.warn({ remote, reason: error.message }, 'a peer that dialled in is no switch database');
      else context.log.error({ remote, err: error }, 'taking in a peer that dialled in failed');
    }
  }
}
