import { ClosedError, type Dpid, SwitchError } from '../../src/controller/kernel/index.ts';
import type { SwitchChannel } from '../../src/controller/rules/index.ts';
import {
  BundleControl,
  decodeMessage,
  encodeMessage,
  errorName,
  FlowModCommand,
  GroupModCommand,
  get16,
  type Message,
  MeterModCommand,
  set32,
  version13,
} from '../../src/ofproto/index.ts';
import { type Mod, type Refusal, SwitchModel } from '../../src/simulate/index.ts';

interface Watch {
  readonly first: number;
  readonly last: number;
  readonly onError: (xid: number, type: number, code: number, data: Buffer) => void;
}

interface Pending {
  readonly resolve: (pieces: readonly Buffer[]) => void;
  readonly reject: (error: Error) => void;
  readonly pieces: Buffer[];
}

/**
 * A simulated switch behind a `SwitchChannel`, without a socket: takes the bytes that the rule book writes. Reads back matches in
 * another order than they were written, as Open vSwitch does. Works through what it is sent one turn later, or when `release`
 * is called while it is held.
 */
export class MemorySwitch implements SwitchChannel {
  readonly dpid: Dpid;
  bundles = true;
  readonly model: SwitchModel;
  /** What arrived, by name: `flow add`, `bundle open`, `barrier`, `read flow`… */
  readonly log: string[] = [];
  /** Keeps what arrives until `release`. */
  held = false;
  closed = false;
  #xid = 0;
  #watches: Watch[] = [];
  readonly #pending = new Map<number, Pending>();
  #queue: Buffer[] = [];
  #scheduled = false;

  /** `hasBundles: false` answers bundles with OFPBRC_BAD_EXPERIMENTER. */
  constructor(dpid: string, options: { readonly hasBundles?: boolean; readonly model?: SwitchModel } = {}) {
    this.dpid = dpid as Dpid;
    this.model =
      options.model ?? new SwitchModel({ dpid: this.dpid, ports: [], hasBundles: options.hasBundles ?? true });
    this.model.disconnected();
    this.model.traffic = () => ({ packetCount: 5n, byteCount: 300n });
    this.model.onMod = (mod) => this.log.push(nameOfMod(mod));
  }

  get flows() {
    return this.model.tables.flows;
  }
  get groups() {
    return this.model.tables.groups;
  }
  get meters() {
    return this.model.tables.meters;
  }

  /** Refuses changes when it answers with an error. */
  set refuse(refuse: (mod: Mod) => Refusal | undefined) {
    this.model.refuse = refuse;
  }

  /** Changes that arrived, without the messages around them. */
  get changes(): readonly string[] {
    return this.log.filter((line) => /^(flow|group|meter) /.test(line));
  }

  nextXid(): number {
    this.#xid = this.#xid >= 0x7fff_ffff ? 1 : this.#xid + 1;
    return this.#xid;
  }

  write(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += get16(bytes, at + 2)) {
      this.#queue.push(Buffer.from(bytes.subarray(at, at + get16(bytes, at + 2))));
    }
    this.#schedule();
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  watchErrors(first: number, last: number, onError: Watch['onError']): () => void {
    const watch = { first, last, onError };
    this.#watches.push(watch);
    return () => {
      this.#watches = this.#watches.filter((other) => other !== watch);
    };
  }

  async barrier(): Promise<void> {
    await this.request(encodeMessage({ type: 'barrierRequest', version: version13, xid: 0 }));
  }

  request(message: Buffer): Promise<readonly Buffer[]> {
    return new Promise((resolve, reject) => {
      if (this.closed) {
        reject(new ClosedError('closed'));
        return;
      }
      const xid = this.nextXid();
      set32(message, 4, xid);
      this.#pending.set(xid, { resolve, reject, pieces: [] });
      this.write(message);
    });
  }

  /** Works through what was held, once; stays held. */
  release(): void {
    this.#process();
  }

  /** The connection breaks: what waits is rejected, what was not worked through is lost. */
  close(): void {
    this.closed = true;
    this.#queue = [];
    for (const { reject } of this.#pending.values()) reject(new ClosedError('closed'));
    this.#pending.clear();
  }

  /** The same tables behind a new connection. */
  reconnected(): MemorySwitch {
    return new MemorySwitch(this.dpid, { model: this.model });
  }

  /** Somebody else changes the switch. */
  install(mod: Mod): void {
    this.model.tables.apply(mod);
  }

  #schedule(): void {
    if (this.#scheduled || this.held) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (!this.held) this.#process();
    });
  }

  #process(): void {
    const queue = this.#queue;
    this.#queue = [];
    for (const bytes of queue) {
      if (this.closed) return;
      const message = decodeMessage(bytes, 0, bytes.length);
      this.#note(message);
      for (const reply of this.model.handle(message)) this.#answer(reply);
    }
  }

  #note(message: Message): void {
    if (message.type === 'barrierRequest') this.log.push('barrier');
    else if (message.type === 'multipartRequest') this.log.push(`read ${message.mp}`);
    else if (message.type === 'experimenter' && !this.model.hasBundles) this.log.push('bundle refused');
    else if (message.type === 'experimenter' && message.body.type === 'bundleControl') {
      this.log.push(message.body.control === BundleControl.openRequest ? 'bundle open' : 'bundle commit');
    }
  }

  #answer(reply: Message): void {
    const { xid } = reply;
    const pending = this.#pending.get(xid);
    if (reply.type === 'error') {
      const { errorType, errorCode, experimenter } = reply;
      this.#pending.delete(xid);
      const { type, code } = errorName(errorType, errorCode, experimenter);
      pending?.reject(new SwitchError(`${type} ${code}`, { dpid: this.dpid, xid, type, error: code }));
      // As the session hands it on: the experimenter's number is in front.
      const data = Buffer.alloc(64);
      if (experimenter !== undefined) set32(data, 0, experimenter);
      for (const { first, last, onError } of this.#watches) {
        if (xid >= first && xid <= last) onError(xid, errorType, errorCode, data);
      }
      return;
    }
    if (!pending) return;
    pending.pieces.push(encodeMessage(asRead(reply)));
    if (reply.type === 'multipartReply' && (reply.flags & 1) !== 0) return;
    this.#pending.delete(xid);
    pending.resolve(pending.pieces);
  }
}

function nameOfMod(mod: Mod): string {
  switch (mod.type) {
    case 'flowMod':
      return `flow ${mod.command === FlowModCommand.add ? 'add' : 'delete'} ${mod.tableId}`;
    case 'groupMod':
      return `group ${nameOf(GroupModCommand, mod.command)} 0x${mod.groupId.toString(16)}`;
    case 'meterMod':
      return `meter ${nameOf(MeterModCommand, mod.command)} ${mod.meterId}`;
  }
}

function nameOf(table: Readonly<Record<string, number>>, value: number): string {
  return Object.keys(table).find((name) => table[name] === value) ?? String(value);
}

/** Another order than we sent, the way Open vSwitch has its own; and some traffic. */
function asRead(reply: Message): Message {
  if (reply.type !== 'multipartReply') return reply;
  if (reply.mp === 'flow') {
    return { ...reply, flows: reply.flows.map((flow) => ({ ...flow, match: [...flow.match].reverse() })) };
  }
  if (reply.mp === 'group') {
    return { ...reply, groups: reply.groups.map((group) => ({ ...group, packetCount: 7n, byteCount: 70n })) };
  }
  if (reply.mp === 'meter') {
    return { ...reply, meters: reply.meters.map((meter) => ({ ...meter, packetInCount: 9n, byteInCount: 90n })) };
  }
  return reply;
}
