import { ClosedError, type Dpid, SwitchError } from '../../src/controller/kernel/index.ts';
import type { SwitchChannel } from '../../src/controller/rules/index.ts';
import {
  BundleControl,
  canonicalList,
  decodeMessage,
  Experimenter,
  encodeMatchList,
  encodeMessage,
  errorName,
  FlowModCommand,
  GroupModCommand,
  get16,
  type Message,
  type MessageOf,
  MeterModCommand,
  OnfType,
  type OxmEntry,
  set32,
  version13,
} from '../../src/ofproto/index.ts';

type Flow = MessageOf<'flowMod'>;
type Group = MessageOf<'groupMod'>;
type Meter = MessageOf<'meterMod'>;
type Mod = Flow | Group | Meter;

/** An error with which the switch answers a change: OFPET_* and its code. */
export interface Refuse {
  readonly type: number;
  readonly code: number;
}

interface Watch {
  readonly first: number;
  readonly last: number;
  readonly onError: (xid: number, type: number, code: number, data: Buffer) => void;
}

interface Pending {
  readonly resolve: (pieces: readonly Buffer[]) => void;
  readonly reject: (error: Error) => void;
}

const badExperimenter: Refuse = { type: 1, code: 3 };
const messageFailed: Refuse = { type: 0xffff, code: 2313 };

/**
 * A switch in memory behind a `SwitchChannel`: takes the bytes that the rule book writes, keeps flows, groups and meters,
 * and answers them the way Open vSwitch does: fields in another order, full masks dropped. Works through what it is
 * sent one turn later, or when `release` is called while it is held.
 */
export class MemorySwitch implements SwitchChannel {
  readonly dpid: Dpid;
  bundles = true;
  /** False: answers bundles with OFPBRC_BAD_EXPERIMENTER. */
  readonly hasBundles: boolean;
  readonly flows = new Map<string, Flow>();
  readonly groups = new Map<number, Group>();
  readonly meters = new Map<number, Meter>();
  /** What arrived, by name: `flow add`, `bundle open`, `barrier`, `read flow`… */
  readonly log: string[] = [];
  /** Refuses changes when it answers with an error. */
  refuse: (mod: Mod) => Refuse | undefined = () => undefined;
  /** Keeps what arrives until `release`. */
  held = false;
  closed = false;
  #xid = 0;
  #watches: Watch[] = [];
  readonly #pending = new Map<number, Pending>();
  #queue: Buffer[] = [];
  #scheduled = false;
  readonly #bundles = new Map<number, Message[]>();

  constructor(dpid: string, options: { readonly hasBundles?: boolean } = {}) {
    this.dpid = dpid as Dpid;
    this.hasBundles = options.hasBundles ?? true;
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
      this.#pending.set(xid, { resolve, reject });
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
    const next = new MemorySwitch(this.dpid, { hasBundles: this.hasBundles });
    for (const [key, flow] of this.flows) next.flows.set(key, flow);
    for (const [id, group] of this.groups) next.groups.set(id, group);
    for (const [id, meter] of this.meters) next.meters.set(id, meter);
    return next;
  }

  /** Somebody else changes the switch. */
  install(mod: Mod): void {
    this.#carryOut(mod);
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
    for (const bytes of queue) if (!this.closed) this.#handle(decodeMessage(bytes, 0, bytes.length));
  }

  #handle(message: Message): void {
    switch (message.type) {
      case 'flowMod':
      case 'groupMod':
      case 'meterMod': {
        this.#note(message);
        const refused = this.#carryOut(message);
        if (refused) this.#error(message.xid, refused);
        break;
      }
      case 'barrierRequest':
        this.log.push('barrier');
        this.#answer(message.xid, encodeMessage({ type: 'barrierReply', version: version13, xid: message.xid }));
        break;
      case 'experimenter':
        this.#experimenter(message as Message & MessageOf<'experimenter'>);
        break;
      case 'multipartRequest':
        this.#read(message as Message & MessageOf<'multipartRequest'>);
        break;
      default:
        throw new Error(`the switch in memory does not know ${message.type}`);
    }
  }

  #note(mod: Mod): void {
    const name =
      mod.type === 'flowMod'
        ? `flow ${mod.command === FlowModCommand.add ? 'add' : 'delete'} ${mod.tableId}`
        : mod.type === 'groupMod'
          ? `group ${nameOf(GroupModCommand, mod.command)} 0x${mod.groupId.toString(16)}`
          : `meter ${nameOf(MeterModCommand, mod.command)} ${mod.meterId}`;
    this.log.push(name);
  }

  #experimenter(message: Message & MessageOf<'experimenter'>): void {
    const { body, xid } = message;
    if (!this.hasBundles) {
      this.log.push('bundle refused');
      this.#error(xid, badExperimenter);
      return;
    }
    if (body.type === 'bundleAddMessage') {
      this.#note(body.message as Mod);
      this.#bundles.get(body.bundleId)?.push(body.message);
      return;
    }
    if (body.type !== 'bundleControl') throw new Error(`the switch in memory does not know ${body.type}`);
    if (body.control === BundleControl.openRequest) {
      this.log.push('bundle open');
      this.#bundles.set(body.bundleId, []);
    } else {
      this.log.push('bundle commit');
      const trouble = this.#commit(this.#bundles.get(body.bundleId) ?? []);
      this.#bundles.delete(body.bundleId);
      if (trouble) {
        this.#error(xid, messageFailed, Experimenter.onf);
        return;
      }
    }
    this.#answer(
      xid,
      encodeMessage({
        type: 'experimenter',
        version: version13,
        xid,
        experimenter: Experimenter.onf,
        expType: OnfType.bundleControl,
        body: { ...body, control: (body.control + 1) as typeof body.control },
      }),
    );
  }

  /** All or nothing; the first that is refused is named. */
  #commit(mods: readonly Message[]): boolean {
    const before = { flows: [...this.flows], groups: [...this.groups], meters: [...this.meters] };
    for (const mod of mods) {
      const refused = this.#carryOut(mod as Message & Mod);
      if (!refused) continue;
      this.#error(mod.xid, refused);
      restore(this.flows, before.flows);
      restore(this.groups, before.groups);
      restore(this.meters, before.meters);
      return true;
    }
    return false;
  }

  #carryOut(mod: Mod): Refuse | undefined {
    const refused = this.refuse(mod);
    if (refused) return refused;
    if (mod.type === 'flowMod') return this.#flow(mod);
    if (mod.type === 'groupMod') {
      const exists = this.groups.has(mod.groupId);
      if (mod.command === GroupModCommand.add && exists) return { type: 6, code: 0 };
      if (mod.command === GroupModCommand.modify && !exists) return { type: 6, code: 8 };
      if (mod.command === GroupModCommand.delete) this.groups.delete(mod.groupId);
      else this.groups.set(mod.groupId, mod);
      return undefined;
    }
    const exists = this.meters.has(mod.meterId);
    if (mod.command === MeterModCommand.add && exists) return { type: 12, code: 1 };
    if (mod.command === MeterModCommand.modify && !exists) return { type: 12, code: 3 };
    if (mod.command === MeterModCommand.delete) this.meters.delete(mod.meterId);
    else this.meters.set(mod.meterId, mod);
    return undefined;
  }

  #flow(mod: Flow): Refuse | undefined {
    const key = keyOf(mod);
    if (mod.command === FlowModCommand.add) {
      for (const instruction of mod.instructions) {
        if (instruction.type === 'meter' && !this.meters.has(instruction.meterId)) return { type: 12, code: 3 };
        if (instruction.type !== 'applyActions') continue;
        for (const action of instruction.actions) {
          if (action.type === 'group' && !this.groups.has(action.groupId)) return { type: 2, code: 9 };
        }
      }
      this.flows.set(key, mod);
      return undefined;
    }
    // With out_port or out_group 0 a switch deletes nothing.
    if (mod.outPort !== 0xffff_ffff || mod.outGroup !== 0xffff_ffff) return undefined;
    const there = this.flows.get(key);
    if (there && (there.cookie & mod.cookieMask) === (mod.cookie & mod.cookieMask)) this.flows.delete(key);
    return undefined;
  }

  #read(message: Message & MessageOf<'multipartRequest'>): void {
    this.log.push(`read ${message.mp}`);
    const { xid } = message;
    const reply = { type: 'multipartReply', version: version13, xid, flags: 0 } as const;
    const age = { durationSec: 1, durationNsec: 0 };
    if (message.mp === 'flow') {
      const { cookie, cookieMask } = message;
      const flows = [...this.flows.values()].filter((flow) => (flow.cookie & cookieMask) === (cookie & cookieMask));
      const entries = flows.map((flow) => ({
        ...flow,
        ...age,
        match: asRead(flow.match),
        packetCount: 5n,
        byteCount: 300n,
      }));
      this.#answer(xid, ...pieces(entries, 100).map((part) => encodeMessage({ ...reply, mp: 'flow', flows: part })));
    } else if (message.mp === 'aggregate') {
      const { cookie, cookieMask } = message;
      const flows = [...this.flows.values()].filter((flow) => (flow.cookie & cookieMask) === (cookie & cookieMask));
      const counts = { flowCount: flows.length, packetCount: 5n, byteCount: 300n };
      this.#answer(xid, encodeMessage({ ...reply, mp: 'aggregate', ...counts }));
    } else if (message.mp === 'groupDesc') {
      this.#answer(xid, encodeMessage({ ...reply, mp: 'groupDesc', groups: [...this.groups.values()] }));
    } else if (message.mp === 'meterConfig') {
      this.#answer(xid, encodeMessage({ ...reply, mp: 'meterConfig', meters: [...this.meters.values()] }));
    } else if (message.mp === 'group') {
      const groups = [...this.groups.values()].map(({ groupId, buckets }) => ({
        groupId,
        refCount: 0,
        packetCount: 7n,
        byteCount: 70n,
        ...age,
        buckets: buckets.map(() => ({ packetCount: 0n, byteCount: 0n })),
      }));
      this.#answer(xid, encodeMessage({ ...reply, mp: 'group', groups }));
    } else if (message.mp === 'meter') {
      const meters = [...this.meters.values()].map(({ meterId }) => ({
        meterId,
        flowCount: 1,
        packetInCount: 9n,
        byteInCount: 90n,
        ...age,
        bands: [{ packetCount: 0n, byteCount: 0n }],
      }));
      this.#answer(xid, encodeMessage({ ...reply, mp: 'meter', meters }));
    } else throw new Error(`the switch in memory does not know ${message.mp}`);
  }

  #answer(xid: number, ...replies: Buffer[]): void {
    const pending = this.#pending.get(xid);
    this.#pending.delete(xid);
    pending?.resolve(replies);
  }

  #error(xid: number, { type, code }: Refuse, experimenter?: number): void {
    const data = Buffer.alloc(64);
    if (experimenter !== undefined) set32(data, 0, experimenter);
    const pending = this.#pending.get(xid);
    this.#pending.delete(xid);
    const names = errorName(type, code, experimenter);
    pending?.reject(
      new SwitchError(`${names.type} ${names.code}`, { dpid: this.dpid, xid, type: names.type, error: names.code }),
    );
    for (const { first, last, onError } of this.#watches)
      if (xid >= first && xid <= last) onError(xid, type, code, data);
  }
}

function nameOf(table: Readonly<Record<string, number>>, value: number): string {
  return Object.keys(table).find((name) => table[name] === value) ?? String(value);
}

function restore<K, V>(map: Map<K, V>, entries: readonly [K, V][]): void {
  map.clear();
  for (const [key, value] of entries) map.set(key, value);
}

const keyOf = (flow: Flow): string =>
  `${flow.tableId}.${flow.priority}.${encodeMatchList(canonicalList(flow.match, false)).toString('hex')}`;

/** Another order than we sent, the way Open vSwitch has its own. */
const asRead = (match: readonly OxmEntry[]): OxmEntry[] => [...match].reverse();

function pieces<T>(list: readonly T[], size: number): T[][] {
  const out: T[][] = [];
  for (let at = 0; at < list.length || at === 0; at += size) out.push(list.slice(at, at + size));
  return out;
}
