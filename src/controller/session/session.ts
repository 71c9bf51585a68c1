import {
  type Action,
  MessageType,
  noBuffer,
  outputActionSize,
  Port,
  packetOutHeaderSize,
  Role,
  writeOutput,
  writePacketOutHeader,
} from '../../ofproto/index.ts';
import { type ClosedError, type Dpid, SwitchError } from '../kernel/index.ts';
import type { SessionCounters } from './counters.ts';
import { encode, type PortDescription, readRole, roleRequest } from './messages.ts';
import { type RequestTable, switchError } from './requests.ts';
import type { Transport } from './transport.ts';
import type { SessionLimits, SwitchDescription, SwitchFeatures } from './types.ts';

/** Xid of all packet-outs: nobody waits for their errors, and requests never use it. */
export const PACKET_OUT_XID = 0x8000_0000;

/** Generation id of a switch that has not seen one. */
const NO_GENERATION = 0xffff_ffff_ffff_ffffn;
const ROLE_ATTEMPTS = 3;
const STALE = 'OFPRRFC_STALE';

/** What a switch said to a role request. `stale`: another instance has a generation that is as new. */
export type RoleResult = 'accepted' | 'stale' | 'unsupported';

/** OFPT_SET_ASYNC: bit masks of reasons, for the roles master/equal and slave. */
export interface AsyncMasks {
  readonly packetIn: readonly [master: number, slave: number];
  readonly portStatus: readonly [master: number, slave: number];
  readonly flowRemoved: readonly [master: number, slave: number];
}

/** What a session is made of; the connection that did the handshake hands it over. */
export interface SessionParts {
  readonly dpid: Dpid;
  readonly features: SwitchFeatures;
  readonly description: SwitchDescription;
  /** Kept current by the connection, from port-status messages. */
  readonly ports: ReadonlyMap<number, PortDescription>;
  readonly transport: Transport;
  readonly requests: RequestTable;
  readonly limits: SessionLimits;
  readonly counters: SessionCounters;
  closedError(): ClosedError;
  close(detail: string): void;
}

/** A switch that is up. Fits the rule book's `SwitchChannel` and the apps' `SwitchPort`. */
export class Session {
  readonly dpid: Dpid;
  readonly features: SwitchFeatures;
  readonly description: SwitchDescription;
  /** By port number; current. */
  readonly ports: ReadonlyMap<number, PortDescription>;
  /** Address of the switch, HOST:PORT. */
  readonly remote: string;
  /** Speaks ONF bundles (EXT-230). True until the switch refused one; whoever tries sets it. */
  bundles = true;
  readonly #parts: SessionParts;
  readonly #transport: Transport;
  readonly #packetOutCap: number;

  constructor(parts: SessionParts) {
    this.dpid = parts.dpid;
    this.features = parts.features;
    this.description = parts.description;
    this.ports = parts.ports;
    this.remote = parts.transport.remote;
    this.#parts = parts;
    this.#transport = parts.transport;
    this.#packetOutCap = parts.limits.packetOutCap;
  }

  /** Bytes that the switch has not taken yet. */
  get unsent(): number {
    return this.#transport.pending;
  }

  /** A number for a message, 1…0x7fffffff. */
  nextXid(): number {
    return this.#parts.requests.nextXid();
  }

  /**
   * Queues whole messages whose xids the caller has set; the bytes are copied and leave in order at the end of this turn.
   * Await `drained()` after every 256 KiB or so: a connection with more than `outputCap` unsent bytes is closed.
   */
  write(bytes: Uint8Array): void {
    this.#transport.write(bytes);
  }

  /** Resolves when unsent output is below the high-water mark; rejects with ClosedError when the connection ends first. */
  drained(): Promise<void> {
    if (!this.#transport.open) return Promise.reject(this.#parts.closedError());
    return this.#transport.drained();
  }

  /** Errors of the switch for xids in [first, last] go to `onError` until the function returned is called. */
  watchErrors(
    first: number,
    last: number,
    onError: (xid: number, type: number, code: number, data: Buffer) => void,
  ): () => void {
    return this.#parts.requests.watchErrors(first, last, onError);
  }

  /** Resolves when the switch has processed all before it; rejects with SwitchError, TimeoutError or ClosedError. */
  async barrier(): Promise<void> {
    await this.request(encode({ type: 'barrierRequest' }));
  }

  /**
   * One whole request message (its xid is set here) and the raw messages of its reply: one, or the pieces of a multipart
   * reply. Rejects with SwitchError, TimeoutError (default after `requestTimeoutMs` of silence) or ClosedError.
   */
  request(message: Buffer, deadlineMs: number = this.#parts.limits.requestTimeoutMs): Promise<readonly Buffer[]> {
    return this.#parts.requests.request(message, deadlineMs);
  }

  /**
   * Sends a frame out of ports, without waiting for anything; the frame is copied. False, and counted, when the switch is
   * gone, reads too slowly, or the frame is too long. `inPort` is where it came from, or OFPP_CONTROLLER.
   */
  packetOut(
    inPort: number,
    outPorts: readonly number[],
    frame: Uint8Array,
    at: number = 0,
    end: number = frame.length,
  ): boolean {
    const transport = this.#transport;
    const actions = outPorts.length * outputActionSize;
    const size = packetOutHeaderSize + actions + end - at;
    if (!transport.open || size > 0xffff || transport.pending > this.#packetOutCap) {
      this.#parts.counters.packetOutsDropped++;
      return false;
    }
    const out = transport.reserve(size);
    let to = writePacketOutHeader(out, transport.output.position, PACKET_OUT_XID, size, inPort, actions);
    for (let i = 0; i < outPorts.length; i++) to = writeOutput(out, to, outPorts[i]!);
    // Frames are short: a loop beats the call that a copy needs.
    for (let i = at; i < end; i++) out[to++] = frame[i]!;
    transport.sent(size, MessageType.packetOut);
    return true;
  }

  /** The same with actions of any kind, for frames of our own; slower. */
  packetOutBy(actions: readonly Action[], frame: Uint8Array): boolean {
    const transport = this.#transport;
    if (!transport.open || transport.pending > this.#packetOutCap) {
      this.#parts.counters.packetOutsDropped++;
      return false;
    }
    const body = { bufferId: noBuffer, inPort: Port.controller, actions, data: frame };
    transport.write(encode({ type: 'packetOut', ...body }, PACKET_OUT_XID));
    return true;
  }

  /**
   * Asks for a role. Without `generation`: asks the switch for the last one it saw, then goes one higher, again when somebody
   * was faster. With it (the number of a lease, say): `stale` when the switch has seen one as new.
   */
  async requestRole(role: Role, generation?: bigint): Promise<RoleResult> {
    for (let attempt = 0; attempt < ROLE_ATTEMPTS; attempt++) {
      try {
        const seen = await this.#role(Role.noChange, 0n);
        const next = generation ?? (seen.generation === NO_GENERATION ? 1n : BigInt.asUintN(64, seen.generation + 1n));
        // Newer is a positive signed distance (OpenFlow 1.3.5 §6.3.4), so that the number may wrap around.
        const newer = seen.generation === NO_GENERATION || BigInt.asIntN(64, next - seen.generation) > 0n;
        if (role !== Role.equal && !newer) return 'stale';
        await this.#role(role, next);
        return 'accepted';
      } catch (error) {
        if (!(error instanceof SwitchError)) throw error;
        if (error.details.error !== STALE) return 'unsupported';
        if (generation !== undefined) return 'stale';
      }
    }
    return 'stale';
  }

  /** Chooses the asynchronous messages. Rejects with SwitchError when the switch refuses. */
  async setAsync(masks: AsyncMasks): Promise<void> {
    const xid = this.nextXid();
    let refused: SwitchError | undefined;
    const stop = this.watchErrors(xid, xid, (_xid, type, code, data) => {
      refused = switchError(this.dpid, xid, type, code, data);
    });
    try {
      const [packetInMaster, packetInSlave] = masks.packetIn;
      const [portStatusMaster, portStatusSlave] = masks.portStatus;
      const [flowRemovedMaster, flowRemovedSlave] = masks.flowRemoved;
      const packetIn = { packetInMaster, packetInSlave };
      const others = { portStatusMaster, portStatusSlave, flowRemovedMaster, flowRemovedSlave };
      this.write(encode({ type: 'setAsync', ...packetIn, ...others }, xid));
      await this.barrier();
    } finally {
      stop();
    }
    if (refused) throw refused;
  }

  /** Ends the connection after what was written has left. */
  close(detail: string): void {
    this.#parts.close(detail);
  }

  async #role(role: number, generation: bigint): Promise<{ role: number; generation: bigint }> {
    const [reply] = await this.request(roleRequest(role, generation));
    return readRole(reply!);
  }
}
