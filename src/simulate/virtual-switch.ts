import { type Socket, connect as tcpConnect } from 'node:net';
import { type ConnectionOptions, connect as tlsConnect } from 'node:tls';
import type { Clock } from '../controller/kernel/index.ts';
import {
  decodeMessage,
  encodeMessage,
  Framer,
  get32,
  type Message,
  MessageType,
  version13,
  WireError,
  writeEchoReply,
} from '../ofproto/index.ts';
import { type PacketInFacts, packetIn, type SwitchModel } from './switch-model.ts';

/** Where virtual switches connect. */
export interface ControllerTarget {
  readonly host: string;
  readonly port: number;
  /** TLS when given. */
  readonly tls?: ConnectionOptions;
}

/** What virtual switches count, together. */
export interface SimulationCounters {
  connects: number;
  disconnects: number;
  /** Messages from the controller. */
  received: number;
  /** Messages to the controller. */
  sent: number;
  /** Errors that the switches answered. */
  errors: number;
  /** Messages that could not be understood. */
  notUnderstood: number;
  packetIns: number;
  packetOuts: number;
  /** Changes that arrived, in bundles or not, refused or not. */
  flowMods: number;
  groupMods: number;
  meterMods: number;
}

export const newCounters = (): SimulationCounters => ({
  connects: 0,
  disconnects: 0,
  received: 0,
  sent: 0,
  errors: 0,
  notUnderstood: 0,
  packetIns: 0,
  packetOuts: 0,
  flowMods: 0,
  groupMods: 0,
  meterMods: 0,
});

export interface VirtualSwitchOptions {
  readonly model: SwitchModel;
  readonly target: ControllerTarget;
  readonly clock: Clock;
  readonly counters: SimulationCounters;
  /** Pause before it connects again, milliseconds; 0: it does not. */
  readonly reconnectMs?: number;
  /** The controller has asked for the features, and has been answered. */
  readonly onUp?: (sw: VirtualSwitch) => void;
  readonly onDown?: (sw: VirtualSwitch, reason: string) => void;
  /** Sees each whole message, `bytes[at…end)`, before it is decoded; true when that is all it needs. For load generators. */
  readonly intercept?: (bytes: Buffer, at: number, end: number) => boolean;
  /** A chunk of the connection has been worked through. */
  readonly onChunk?: () => void;
}

/** A switch model behind a connection to a controller; connects again when it breaks, with its tables kept. */
export class VirtualSwitch {
  readonly model: SwitchModel;
  readonly #options: VirtualSwitchOptions;
  #socket: Socket | undefined;
  #framer = new Framer();
  #out: Buffer[] = [];
  #flushing = false;
  #up = false;
  #stopped = false;
  #cancelReconnect: (() => void) | undefined;
  #xid = 0;

  constructor(options: VirtualSwitchOptions) {
    this.#options = options;
    this.model = options.model;
    this.model.onNotice = (message) => this.send(message);
    this.model.onMod = ({ type }) => options.counters[`${type}s`]++;
  }

  get up(): boolean {
    return this.#up;
  }

  /** Connects; from then on it keeps itself connected until `stop`. */
  start(): void {
    this.#stopped = false;
    const { target, counters } = this.#options;
    const { host, port, tls } = target;
    const socket = tls ? tlsConnect({ host, port, ...tls }) : tcpConnect({ host, port, noDelay: true });
    this.#socket = socket;
    this.#framer = new Framer();
    socket.on(tls ? 'secureConnect' : 'connect', () => {
      counters.connects++;
      this.send({
        type: 'hello',
        version: version13,
        xid: 0,
        elements: [{ type: 'versionBitmap', bitmaps: [1 << 4] }],
      });
    });
    socket.on('data', (chunk: Buffer) => this.#read(socket, chunk));
    // What went wrong is told by `close`, which always follows.
    let reason = 'closed by the controller';
    socket.on('error', (error) => {
      reason = error.message;
    });
    socket.on('close', () => this.#closed(socket, reason));
  }

  /** Closes the connection for good. */
  stop(): void {
    this.#stopped = true;
    this.#cancelReconnect?.();
    this.#socket?.destroy();
  }

  /** Breaks the connection, as a cut cable does when both ends notice; connects again as configured. */
  disconnect(): void {
    this.#socket?.destroy(new Error('cut'));
  }

  /** Stops or starts reading, as a switch that hangs. */
  stall(stalled: boolean): void {
    if (stalled) this.#socket?.pause();
    else this.#socket?.resume();
  }

  /** Sends a message; it leaves with others of this turn. Nothing is sent while not connected. */
  send(message: Message): void {
    this.sendBytes(encodeMessage(message));
  }

  /** Sends bytes as they are, be they a message or not. */
  sendBytes(bytes: Buffer): void {
    if (!this.#socket?.writable) return;
    this.#options.counters.sent++;
    this.#out.push(bytes);
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      const out = this.#out;
      this.#out = [];
      if (this.#socket?.writable) this.#socket.write(out.length === 1 ? out[0]! : Buffer.concat(out));
    });
  }

  /** Shows the controller a frame. */
  packetIn(frame: Uint8Array, facts: PacketInFacts): void {
    this.#options.counters.packetIns++;
    this.send(packetIn(frame, facts));
  }

  /** A port goes up or down, and the controller is told. */
  setPort(no: number, up: boolean): void {
    const port = this.model.addPort(no, up);
    this.send({ type: 'portStatus', version: version13, xid: this.#nextXid(), reason: 2, port });
  }

  #nextXid(): number {
    this.#xid = (this.#xid + 1) >>> 0;
    return this.#xid;
  }

  #read(socket: Socket, chunk: Buffer): void {
    if (socket !== this.#socket) return;
    try {
      this.#framer.push(chunk, (bytes, at, end) => this.#message(bytes, at, end));
      this.#options.onChunk?.();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#options.counters.notUnderstood++;
      socket.destroy(error);
    }
  }

  #message(bytes: Buffer, at: number, end: number): void {
    const { counters, intercept } = this.#options;
    counters.received++;
    if (intercept?.(bytes, at, end)) return;
    if (bytes[at + 1] === MessageType.echoRequest) {
      const reply = Buffer.alloc(end - at);
      writeEchoReply(reply, 0, bytes, at, end);
      this.sendBytes(reply);
      return;
    }
    let message: Message;
    try {
      message = decodeMessage(bytes, at, end);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      counters.notUnderstood++;
      const { type, code } = error.reply ?? { type: 1, code: 1 };
      const data = Buffer.from(bytes.subarray(at, Math.min(end, at + 64)));
      this.send({
        type: 'error',
        version: version13,
        xid: get32(bytes, at + 4),
        errorType: type,
        errorCode: code,
        data,
      });
      return;
    }
    if (message.type === 'packetOut') counters.packetOuts++;
    for (const reply of this.model.handle(message)) {
      if (reply.type === 'error') counters.errors++;
      this.send(reply);
    }
    if (!this.#up && message.type === 'featuresRequest') {
      this.#up = true;
      this.#options.onUp?.(this);
    }
  }

  #closed(socket: Socket, reason: string): void {
    if (socket !== this.#socket) return;
    const { counters, clock, reconnectMs = 0, onDown } = this.#options;
    if (this.#up) counters.disconnects++;
    this.#up = false;
    this.#out = [];
    this.#socket = undefined;
    this.model.disconnected();
    onDown?.(this, reason);
    if (this.#stopped || reconnectMs <= 0) return;
    this.#cancelReconnect = clock.after(reconnectMs, () => {
      this.#cancelReconnect = undefined;
      if (!this.#stopped) this.start();
    });
  }
}
