import type { Dpid } from '../controller/kernel/index.ts';
import type { Rule } from '../controller/rules/index.ts';
import {
  type Action,
  type Bucket,
  decodeInstructions,
  decodeMatch,
  decrementTtl,
  encodeInstructions,
  type FieldName,
  type FlowKey,
  fields,
  flowKey,
  type Instruction,
  isFieldName,
  type OxmEntry,
  PacketInReason,
  popVlan,
  pushVlan,
  readBuckets,
  setFrameField,
} from '../ofproto/index.ts';

/**
 * Switches as functions: real frames through compiled rules, without packets on wires or processes. Carries out what the
 * pipeline uses of OpenFlow 1.3 and throws for the rest, so that a rule it does not understand never passes for a tested one.
 */

/** A point of the network. */
export interface SimPoint {
  readonly dpid: Dpid;
  readonly port: number;
}

/** A frame that left the network at a port without a cable. */
export interface Delivery extends SimPoint {
  readonly frame: Buffer;
}

/** A frame shown to the controller. */
export interface SimPacketIn extends SimPoint {
  readonly tableId: number;
  /** Of the flow that showed it; 0 for a compiled rule, which has none. */
  readonly cookie: bigint;
  /** OFPR_*: no match when the table-miss flow showed it (OpenFlow 1.3.5 §5.4), else action. */
  readonly reason: number;
  readonly frame: Buffer;
}

/** What became of an injected frame and its copies. */
export interface SimResult {
  readonly deliveries: readonly Delivery[];
  readonly packetIns: readonly SimPacketIn[];
  /** Switches visited, over all copies. */
  readonly hops: number;
}

interface Test {
  readonly field: FieldName;
  readonly value: bigint;
  readonly mask: bigint;
}

/** A flow as the data plane needs it. */
export interface SimFlow {
  readonly tableId: number;
  readonly priority: number;
  readonly match: readonly OxmEntry[];
  readonly instructions: readonly Instruction[];
  readonly cookie: bigint;
}

/** A group as the data plane needs it. */
export interface SimGroup {
  readonly groupType: number;
  readonly buckets: readonly Bucket[];
}

interface Flow extends SimFlow {
  readonly tests: readonly Test[];
}

const ANY = 0xffff_ffff;
const Port = { inPort: 0xffff_fff8, controller: 0xffff_fffd, table: 0xffff_fff9, local: 0xffff_fffe } as const;
const GroupKind = { all: 0, select: 1, indirect: 2, fastFailover: 3 } as const;
/** A frame that visits more switches than this goes round. */
const MAX_HOPS = 64;
const MAX_COPIES = 100_000;

/** What shows a frame to the controller: a flow, or the controller's own packet-out. */
type Shown = Pick<SimFlow, 'tableId' | 'cookie' | 'priority' | 'match'>;

/** A frame on its way through one switch. */
interface Context {
  readonly at: SimSwitch;
  inPort: number;
  frame: Buffer;
  key: FlowKey;
  metadata: bigint;
  readonly registers: Map<string, bigint>;
  /** Tunnel fields: of the tunnel that the frame came through, then of the one that it is to leave by. */
  readonly tunnel: Map<string, bigint>;
  readonly hops: number;
  readonly groups: readonly number[];
}

/** A port that tunnels begin and end at; the peer and the key are given by flows. */
export interface SimTunnelPort extends SimPoint {
  /** Tunnels of different types do not meet. */
  readonly type: string;
  /** Own addresses, as tun_src and tun_dst hold them; IPv4 and IPv6. */
  readonly ipv4?: bigint;
  readonly ipv6?: bigint;
}

/** One switch: ports that are up or down, and tables. */
export class SimSwitch {
  readonly dpid: Dpid;
  /** Port number → up. */
  readonly ports = new Map<number, boolean>();
  readonly #flows = new Map<string, Flow>();
  readonly #groups = new Map<number, SimGroup>();
  #tables: Flow[][] | undefined;

  constructor(dpid: Dpid, ports: Iterable<number>) {
    this.dpid = dpid;
    for (const port of ports) this.ports.set(port, true);
  }

  /** Adds a compiled rule, or replaces the one of the same key. */
  add(rule: Rule): void {
    if (rule.kind === 'flow') {
      const { key, tableId, priority } = rule;
      const match = decodeMatch(rule.match, 0, rule.match.length);
      const instructions = decodeInstructions(rule.instructions, 0, rule.instructions.length);
      this.addFlow(key, { tableId, priority, match, instructions, cookie: 0n });
    } else if (rule.kind === 'group') {
      const { buckets } = rule;
      this.addGroup(rule.groupId, { groupType: rule.type, buckets: readBuckets(buckets, 0, buckets.length) });
    }
  }

  /** Adds a flow under a key of the caller's. Throws for a match that the data plane does not know. */
  addFlow(key: string, flow: SimFlow): void {
    const tests = flow.match.map((entry): Test => {
      if (entry.field === 'unknown') throw new Error('the simulator does not know a match field');
      const bits = BigInt(fields[entry.field].bits);
      const full = (1n << bits) - 1n;
      return { field: entry.field, value: big(entry.value), mask: entry.mask === undefined ? full : big(entry.mask) };
    });
    this.#flows.set(key, { ...flow, tests });
    this.#tables = undefined;
  }

  addGroup(id: number, group: SimGroup): void {
    this.#groups.set(id, group);
  }

  /** Holds nothing any more. */
  clear(): void {
    this.#flows.clear();
    this.#groups.clear();
    this.#tables = undefined;
  }

  /** Holds exactly these rules from now on. */
  replace(rules: Iterable<Rule>): void {
    this.clear();
    for (const rule of rules) this.add(rule);
  }

  group(id: number): SimGroup {
    const group = this.#groups.get(id);
    if (!group) throw new Error(`switch ${this.dpid}: a rule uses group 0x${id.toString(16)}, which is not there`);
    return group;
  }

  /** The flow that takes the packet. Throws when two of the same priority do that are not the same. */
  lookup(tableId: number, context: Context): Flow | undefined {
    this.#tables ??= this.#sorted();
    let found: Flow | undefined;
    for (const flow of this.#tables[tableId] ?? []) {
      if (found && flow.priority < found.priority) break;
      if (!matches(flow, context)) continue;
      if (found && !encodeInstructions(found.instructions).equals(encodeInstructions(flow.instructions))) {
        throw new Error(
          `switch ${this.dpid}: two flows of table ${tableId}, priority ${flow.priority} take the same packet`,
        );
      }
      found ??= flow;
    }
    return found;
  }

  #sorted(): Flow[][] {
    const tables: Flow[][] = [];
    for (const flow of this.#flows.values()) {
      tables[flow.tableId] ??= [];
      tables[flow.tableId]!.push(flow);
    }
    for (const table of tables) table?.sort((a, b) => b.priority - a.priority);
    return tables;
  }
}

const big = (value: number | bigint | Uint8Array): bigint => {
  if (value instanceof Uint8Array) throw new Error('the simulator does not know fields of variable length');
  return BigInt(value);
};

/** Nicira's own headers mean the same fields. */
const plain = (field: FieldName): FieldName => fields[field].aliasOf ?? field;

function read(context: Context, named: FieldName): bigint | undefined {
  const field = plain(named);
  if (field === 'inPort') return BigInt(context.inPort);
  if (field === 'metadata') return context.metadata;
  if (/^reg\d+$/.test(field)) return context.registers.get(field) ?? 0n;
  if (isTunnelField(field)) return context.tunnel.get(field) ?? 0n;
  const value = (context.key as Readonly<Record<string, number | bigint | undefined>>)[field];
  if (value !== undefined) return BigInt(value);
  if (isFieldName(field) && /^(tun|ct|pkt|x|conj|recirc)/.test(field))
    throw new Error(`the simulator does not know ${field}`);
  return undefined;
}

const isTunnelField = (field: string): boolean => field === 'tunnelId' || /^tunIpv[46](Src|Dst)$/.test(field);

function put(context: Context, named: FieldName, value: bigint): void {
  const field = plain(named);
  if (field === 'metadata') context.metadata = value;
  else if (field === 'inPort') context.inPort = Number(value);
  else if (/^reg\d+$/.test(field)) context.registers.set(field, value);
  else if (isTunnelField(field)) context.tunnel.set(field, value);
  else {
    const name = field as keyof FlowKey;
    context.frame = setFrameField(context.frame, name, (fields[field].bits > 48 ? value : Number(value)) as never);
    context.key = flowKey(context.frame, 0, context.frame.length);
  }
}

const matches = (flow: Flow, context: Context): boolean =>
  flow.tests.every(({ field, value, mask }) => {
    const present = read(context, field);
    return present !== undefined && (present & mask) === (value & mask);
  });

/** OFPR_* of packets that a flow shows to the controller. */
export const reasonOf = ({ priority, match }: Pick<SimFlow, 'priority' | 'match'>): number =>
  priority === 0 && match.length === 0 ? PacketInReason.noMatch : PacketInReason.action;

const bitMask = (count: number): bigint => (1n << BigInt(count)) - 1n;

function putBits(context: Context, field: FieldName, offset: number, count: number, value: bigint): void {
  const before = read(context, field);
  // A field that the packet does not have is left alone, as in Open vSwitch.
  if (before === undefined) return;
  const mask = bitMask(count) << BigInt(offset);
  put(context, field, (before & ~mask) | ((value << BigInt(offset)) & mask));
}

/** Tunnel fields of a frame that has come through one. */
const arrival = (id: bigint, source: { readonly ipv4?: bigint; readonly ipv6?: bigint }): Map<string, bigint> =>
  new Map([
    ['tunnelId', id],
    ...(source.ipv4 === undefined ? [] : [['tunIpv4Src', source.ipv4] as const]),
    ...(source.ipv6 === undefined ? [] : [['tunIpv6Src', source.ipv6] as const]),
  ]);

/** A network of simulated switches. Ports without a cable belong to hosts. */
export class Simulator {
  readonly switches = new Map<Dpid, SimSwitch>();
  readonly #cables = new Map<string, SimPoint>();
  readonly #tunnels = new Map<string, SimTunnelPort>();
  /** Tunnel ports by type and address. */
  readonly #tunnelEnds = new Map<string, SimTunnelPort>();
  readonly #choose: (buckets: number) => number;
  readonly #before: (sw: SimSwitch) => void;
  #result: { deliveries: Delivery[]; packetIns: SimPacketIn[]; hops: number; copies: number } = {
    deliveries: [],
    packetIns: [],
    hops: 0,
    copies: 0,
  };
  #queue: { at: SimPoint; frame: Buffer; hops: number; tunnel: Map<string, bigint> }[] = [];

  /**
   * `choose` picks a bucket of a select group among as many as are usable; the first by default. `before` is called with each
   * switch that a frame enters, and may load it.
   */
  constructor(choose: (buckets: number) => number = () => 0, before: (sw: SimSwitch) => void = () => {}) {
    this.#choose = choose;
    this.#before = before;
  }

  addSwitch(dpid: Dpid, ports: Iterable<number>): SimSwitch {
    const added = new SimSwitch(dpid, ports);
    this.switches.set(dpid, added);
    return added;
  }

  /** A cable, both ways. */
  link(a: SimPoint, b: SimPoint): void {
    this.#cables.set(`${a.dpid}/${a.port}`, b);
    this.#cables.set(`${b.dpid}/${b.port}`, a);
  }

  /** Makes a port the end of tunnels. */
  tunnel(end: SimTunnelPort): void {
    this.#tunnels.set(`${end.dpid}/${end.port}`, end);
    for (const address of [end.ipv4, end.ipv6]) {
      if (address !== undefined) this.#tunnelEnds.set(`${end.type}/${address}`, end);
    }
  }

  /** A frame comes in through a tunnel, as from an endpoint that is no switch of ours. */
  injectTunnelled(
    at: SimPoint,
    frame: Uint8Array,
    id: bigint,
    source: { readonly ipv4?: bigint; readonly ipv6?: bigint },
  ): SimResult {
    return this.#run(() => this.#receive(at, Buffer.from(frame), 0, arrival(id, source)));
  }

  /** Takes both ends of a cable down or up; fast-failover groups notice at once. */
  setLink(a: SimPoint, up: boolean): void {
    for (const end of [a, this.#cables.get(`${a.dpid}/${a.port}`)]) {
      if (end) this.#switch(end.dpid).ports.set(end.port, up);
    }
  }

  /** A host sends a frame into a port. Throws when a copy goes round. */
  inject(at: SimPoint, frame: Uint8Array): SimResult {
    return this.#run(() => this.#receive(at, Buffer.from(frame), 0));
  }

  /** The controller has a switch carry out actions on a frame (packet-out). */
  packetOut(at: SimPoint, actions: readonly Action[], frame: Uint8Array): SimResult {
    return this.#run(() => {
      const context = this.#enter(this.#switch(at.dpid), at.port, Buffer.from(frame), 0);
      this.#actions(context, actions, { tableId: 0xff, cookie: 0xffff_ffff_ffff_ffffn, priority: 1, match: [] });
    });
  }

  #run(first: () => void): SimResult {
    this.#result = { deliveries: [], packetIns: [], hops: 0, copies: 0 };
    this.#queue = [];
    first();
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) {
      if (next.hops > MAX_HOPS) throw new Error(`a frame goes round: ${next.hops} switches, now at ${next.at.dpid}`);
      if (++this.#result.copies > MAX_COPIES) throw new Error('a frame multiplies without end');
      this.#receive(next.at, next.frame, next.hops, next.tunnel);
    }
    return this.#result;
  }

  #switch(dpid: Dpid): SimSwitch {
    const found = this.switches.get(dpid);
    if (!found) throw new Error(`no switch ${dpid}`);
    return found;
  }

  #receive(at: SimPoint, frame: Buffer, hops: number, tunnel = new Map<string, bigint>()): void {
    const sw = this.#switch(at.dpid);
    if (sw.ports.get(at.port) !== true) return;
    this.#result.hops++;
    this.#table(this.#enter(sw, at.port, frame, hops, tunnel), 0);
  }

  #enter(at: SimSwitch, inPort: number, frame: Buffer, hops: number, tunnel = new Map<string, bigint>()): Context {
    this.#before(at);
    const key = flowKey(frame, 0, frame.length);
    return { at, inPort, frame, key, metadata: 0n, registers: new Map(), tunnel: new Map(tunnel), hops, groups: [] };
  }

  #table(context: Context, first: number): void {
    for (let tableId: number | undefined = first; tableId !== undefined; ) {
      const flow = context.at.lookup(tableId, context);
      if (!flow) return;
      let next: number | undefined;
      for (const instruction of flow.instructions) {
        switch (instruction.type) {
          case 'meter':
            break;
          case 'applyActions':
            this.#actions(context, instruction.actions, flow);
            break;
          case 'writeMetadata':
            context.metadata = (context.metadata & ~instruction.mask) | (instruction.metadata & instruction.mask);
            break;
          case 'gotoTable':
            if (instruction.tableId <= tableId) throw new Error(`goto from table ${tableId} to ${instruction.tableId}`);
            next = instruction.tableId;
            break;
          default:
            throw new Error(`the simulator does not know instruction ${instruction.type}`);
        }
      }
      tableId = next;
    }
  }

  #actions(context: Context, actions: readonly Action[], by: Shown): void {
    for (const action of actions) this.#action(context, action, by);
  }

  #action(context: Context, action: Action, by: Shown): void {
    switch (action.type) {
      case 'output':
        this.#output(context, action.port, by);
        break;
      case 'group':
        this.#group(context, action.groupId, by);
        break;
      case 'setField': {
        if (action.field === 'unknown') throw new Error('the simulator does not know a set-field');
        const { bits } = fields[action.field];
        const mask = 'mask' in action && action.mask !== undefined ? big(action.mask) : bitMask(bits);
        const before = read(context, action.field);
        if (before !== undefined) put(context, action.field, (before & ~mask) | (big(action.value as never) & mask));
        break;
      }
      case 'nxRegMove': {
        const { src, dst, nBits } = action as {
          src: { field: FieldName; ofs: number };
          dst: { field: FieldName; ofs: number };
          nBits: number;
        };
        const value = read(context, src.field);
        if (value !== undefined)
          putBits(context, dst.field, dst.ofs, nBits, (value >> BigInt(src.ofs)) & bitMask(nBits));
        break;
      }
      case 'nxRegLoad': {
        const { dst, value } = action as { dst: { field: FieldName; ofs: number; nBits: number }; value: bigint };
        putBits(context, dst.field, dst.ofs, dst.nBits, value);
        break;
      }
      case 'nxMultipath': {
        const { dst, maxLink } = action as { dst: { field: FieldName; ofs: number; nBits: number }; maxLink: number };
        // Some hash of the flow: which one is the switch's business.
        const hash = context.frame.subarray(26, 38).reduce((sum, byte) => (sum * 31 + byte) >>> 0, 7);
        putBits(context, dst.field, dst.ofs, dst.nBits, BigInt(hash % (maxLink + 1)));
        break;
      }
      case 'decNwTtl':
        decrementTtl(context.frame);
        context.key = flowKey(context.frame, 0, context.frame.length);
        break;
      case 'pushVlan':
        context.frame = pushVlan(context.frame, action.ethertype);
        context.key = flowKey(context.frame, 0, context.frame.length);
        break;
      case 'popVlan':
        context.frame = popVlan(context.frame);
        context.key = flowKey(context.frame, 0, context.frame.length);
        break;
      default:
        throw new Error(`the simulator does not know action ${action.type}`);
    }
  }

  #output(context: Context, port: number, by: Shown): void {
    const frame = Buffer.from(context.frame);
    const dpid = context.at.dpid;
    if (port === Port.controller) {
      const { tableId, cookie } = by;
      this.#result.packetIns.push({ dpid, port: context.inPort, tableId, cookie, reason: reasonOf(by), frame });
      return;
    }
    if (port === context.inPort) return;
    if (port === Port.table) {
      this.#table(context, 0);
      return;
    }
    const out = port === Port.inPort ? context.inPort : port;
    if (out >= 0xffff_ff00) throw new Error(`the simulator does not know output to 0x${out.toString(16)}`);
    const up = context.at.ports.get(out);
    if (up === undefined) throw new Error(`switch ${dpid}: a rule outputs to port ${out}, which is not there`);
    if (!up) return;
    const tunnel = this.#tunnels.get(`${dpid}/${out}`);
    if (tunnel) {
      this.#encapsulate(tunnel, context, frame);
      return;
    }
    const peer = this.#cables.get(`${dpid}/${out}`);
    if (peer) this.#queue.push({ at: peer, frame, hops: context.hops + 1, tunnel: new Map() });
    else this.#result.deliveries.push({ dpid, port: out, frame });
  }

  /** Towards whom the tunnel fields name; nowhere when nobody has the address. */
  #encapsulate(from: SimTunnelPort, { tunnel, hops }: Context, frame: Buffer): void {
    const v4 = tunnel.get('tunIpv4Dst') ?? 0n;
    const v6 = tunnel.get('tunIpv6Dst') ?? 0n;
    if (v4 !== 0n && v6 !== 0n) throw new Error('a tunnel leads to two addresses');
    const to = this.#tunnelEnds.get(`${from.type}/${v4 === 0n ? v6 : v4}`);
    if (!to) return;
    const source = v4 === 0n ? { ipv6: from.ipv6! } : { ipv4: from.ipv4! };
    this.#queue.push({ at: to, frame, hops: hops + 1, tunnel: arrival(tunnel.get('tunnelId') ?? 0n, source) });
  }

  #group(context: Context, id: number, by: Shown): void {
    if (context.groups.includes(id)) throw new Error(`group 0x${id.toString(16)} leads back to itself`);
    const group = context.at.group(id);
    for (const bucket of this.#buckets(context.at, group)) {
      // Each bucket works on a copy: what it sets is gone afterwards.
      const copy: Context = {
        ...context,
        frame: Buffer.from(context.frame),
        registers: new Map(context.registers),
        tunnel: new Map(context.tunnel),
        groups: [...context.groups, id],
      };
      this.#actions(copy, bucket.actions, by);
    }
  }

  #buckets(at: SimSwitch, { groupType, buckets }: SimGroup): readonly Bucket[] {
    const live = buckets.filter(({ watchPort }) => watchPort === ANY || at.ports.get(watchPort) === true);
    switch (groupType) {
      case GroupKind.all:
        return buckets;
      case GroupKind.indirect:
        return buckets.slice(0, 1);
      case GroupKind.select:
        return live.length === 0 ? [] : [live[this.#choose(live.length)]!];
      case GroupKind.fastFailover:
        return live.slice(0, 1);
      default:
        throw new Error(`the simulator does not know group type ${groupType}`);
    }
  }
}
