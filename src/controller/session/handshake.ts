import { Buffer } from 'node:buffer';
import { get32, MessageType, PortReason, version13, WireError } from '../../ofproto/index.ts';
import { ClosedError, type Dpid, dpidOf } from '../kernel/index.ts';
import type { SessionCounters } from './counters.ts';
import type { LogLimit } from './log-limit.ts';
import * as messages from './messages.ts';
import type { RequestTable } from './requests.ts';
import type { CloseReason, SessionLimits, SwitchDescription, SwitchFeatures } from './types.ts';

const NO_DESCRIPTION: SwitchDescription = {
  manufacturer: '',
  hardware: '',
  software: '',
  serialNumber: '',
  datapath: '',
};
/** Port list and description. */
const ANSWERS = 2;

/** The connection whose handshake it is. */
export interface HandshakeHost {
  readonly dpid: Dpid;
  readonly remote: string;
  write(bytes: Uint8Array): void;
  /** The switch has told which one it is. Leads to `describe`, when it may be that. */
  identified(dpid: Dpid, auxiliaryId: number): void;
  /** All there is to know is known. */
  described(): void;
  /** The switch has sent an OFPT_ERROR before its hello. Throws WireError. */
  error(bytes: Buffer, at: number, end: number): void;
  /** The peer is told by this OFPT_ERROR, and the connection ends. */
  failed(reason: CloseReason, detail: string, told: Buffer): void;
}

/** Hello both ways, features, then ports and description. Time limits and the claim to the datapath id are the host's. */
export class Handshake {
  /** Known from `identified` on. */
  features: SwitchFeatures | undefined;
  description: SwitchDescription = NO_DESCRIPTION;
  /** By port number; kept current by `applyPort`. */
  readonly ports: Map<number, messages.PortDescription> = new Map();
  readonly #host: HandshakeHost;
  readonly #requests: RequestTable;
  readonly #limits: SessionLimits;
  readonly #counters: SessionCounters;
  readonly #limitedLog: LogLimit;
  #awaits: 'hello' | 'features' | 'answers' = 'hello';
  #answers = 0;

  constructor(
    host: HandshakeHost,
    requests: RequestTable,
    parts: { readonly limits: SessionLimits; readonly counters: SessionCounters; readonly limitedLog: LogLimit },
  ) {
    this.#host = host;
    this.#requests = requests;
    this.#limits = parts.limits;
    this.#counters = parts.counters;
    this.#limitedLog = parts.limitedLog;
  }

  /** The switch's hello was accepted. */
  get greeted(): boolean {
    return this.#awaits !== 'hello';
  }

  /** Says hello. */
  start(): void {
    this.#host.write(messages.hello(this.#requests.nextXid()));
  }

  /** Takes what belongs to the handshake; false leaves the message to the host. Throws WireError. */
  message(type: number, bytes: Buffer, at: number, end: number): boolean {
    if (!this.greeted) {
      // A switch may refuse our hello, in a version of its own.
      if (type === MessageType.error) this.#host.error(bytes, at, end);
      else this.#hello(type, bytes, at, end);
      return true;
    }
    if (bytes[at] !== version13) return false;
    if (type === MessageType.portStatus) {
      // The port list may be here already while the description is not.
      this.applyPort(messages.readPortStatus(bytes, at, end));
      return true;
    }
    if (type !== MessageType.featuresReply) return false;
    if (this.#awaits === 'features') this.#features(bytes, at, end);
    else this.#counters.unknownReplies++;
    return true;
  }

  /** Asks for ports and description; `described` follows, also when the switch refuses to tell. */
  describe(): void {
    this.#host.write(messages.setConfig(this.#requests.nextXid()));
    this.#ask('port description', messages.portDescRequest(), (pieces) => {
      for (const port of messages.readPorts(pieces)) this.ports.set(port.portNo, port);
    });
    this.#ask('description', messages.descRequest(), (pieces) => {
      this.description = messages.readDescription(pieces);
    });
  }

  /** Takes over what a port-status message says. */
  applyPort({ reason, port }: messages.PortStatus): void {
    if (reason === PortReason.delete) this.ports.delete(port.portNo);
    else this.ports.set(port.portNo, port);
  }

  #hello(type: number, bytes: Buffer, at: number, end: number): void {
    if (type !== MessageType.hello) {
      const told = messages.refusal(messages.refusals.badType, bytes, at, end);
      this.#host.failed('hello-expected', `first message is of type ${type}`, told);
    } else if (!messages.speaks13(bytes, at, end)) {
      const text = Buffer.from('OpenFlow 1.3 (wire version 4) is all that is spoken here', 'latin1');
      const told = messages.errorMessage(get32(bytes, at + 4), messages.refusals.helloFailed, text);
      this.#host.failed('version', `hello of version ${bytes[at]} does not offer 1.3`, told);
    } else {
      this.#awaits = 'features';
      this.#host.write(messages.featuresRequest(this.#requests.nextXid()));
    }
  }

  #features(bytes: Buffer, at: number, end: number): void {
    const { datapathId, auxiliaryId, nBuffers, nTables, capabilities } = messages.readFeatures(bytes, at, end);
    const dpid = dpidOf(datapathId);
    this.features = { dpid, buffers: nBuffers, tables: nTables, capabilities };
    this.#awaits = 'answers';
    this.#host.identified(dpid, auxiliaryId);
  }

  /** A switch that does not tell, or tells nonsense, is used all the same. */
  #ask(what: string, request: Buffer, read: (pieces: readonly Buffer[]) => void): void {
    const fields = (error: Error) => ({ dpid: this.#host.dpid, remote: this.#host.remote, reason: error.message });
    this.#requests.ask(
      request,
      this.#limits.requestTimeoutMs,
      (pieces) => {
        try {
          read(pieces);
        } catch (error) {
          if (!(error instanceof WireError)) throw error;
          this.#counters.badMessages++;
          this.#limitedLog.warn(fields(error), `unreadable ${what}`);
        }
        this.#answered();
      },
      (error) => {
        // When the connection has ended, that was told already.
        if (!(error instanceof ClosedError)) this.#limitedLog.warn(fields(error), `no ${what}`);
        this.#answered();
      },
    );
  }

  #answered(): void {
    this.#answers++;
    if (this.#answers === ANSWERS) this.#host.described();
  }
}
