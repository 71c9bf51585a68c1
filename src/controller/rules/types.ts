import type { Dpid } from '../kernel/index.ts';

/**
 * Who a rule belongs to: the unit in which apps state rules and the book compares them. The cookie of a flow is
 * 0x4e4c (our cookie space, "NL"), app (16 bits), id (32 bits). `app` and `id` are stable over restarts and instances,
 * because they derive from stored ids.
 */
export interface Owner {
  /** Number of the app, 1…65535; see `AppId`. */
  readonly app: number;
  /** Unsigned 32-bit id, unique within the app: a kind in the top bits and a stored id below, as the app decides. */
  readonly id: number;
  /** Readable and unique over all apps, e.g. `tenants/port/acme/web-1`. */
  readonly key: string;
  /** REST path of the object that explains the rules, e.g. `/v1/tenants/acme/ports/web-1`; its status follows them. */
  readonly object?: string;
}

/** A flow in compiled, canonical form. Made only by `rule()`. */
export interface FlowRule {
  readonly kind: 'flow';
  readonly tableId: number;
  readonly priority: number;
  /** Whole ofp_match, canonical. */
  readonly match: Buffer;
  /** Instruction list, canonical. */
  readonly instructions: Buffer;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  /** OFPFF_* */
  readonly flags: number;
  /** Identity on a switch: table, priority and match. */
  readonly key: string;
}

/** A group in compiled form. Made only by `group()`. */
export interface GroupRule {
  readonly kind: 'group';
  readonly groupId: number;
  /** OFPGT_* */
  readonly type: number;
  /** Bucket list as on the wire. */
  readonly buckets: Buffer;
  /** Ids of the groups that the buckets hand packets to. */
  readonly refs: readonly number[];
  readonly key: string;
}

/** A meter in compiled form. Made only by `meter()`. */
export interface MeterRule {
  readonly kind: 'meter';
  readonly meterId: number;
  /** OFPMF_* */
  readonly flags: number;
  /** Band list as on the wire. */
  readonly bands: Buffer;
  readonly key: string;
}

export type Rule = FlowRule | GroupRule | MeterRule;

/** What an owner wants, per switch. A switch that is not a key holds nothing of the owner. */
export interface Placement extends ReadonlyMap<Dpid, readonly Rule[]> {
  /**
   * The switch that must have confirmed its part before the others are given theirs, when it is connected: where packets
   * arrive that the others send. So nobody sends to a place that does not know yet what to do, nor leaves an old one before.
   */
  readonly lead?: Dpid;
  /** The lead leads only when the owner has rules somewhere already: nobody relies on what is new to all. */
  readonly leadsMoves?: boolean;
}

/** How rules come from state. `State` and `Change` are opaque to the engine. All functions are pure. */
export interface Compiler<State, Change> {
  readonly name: string;
  /** Owners whose rules may differ after this change. `state` is the state after it; a change carries what was before. */
  affected(change: Change, state: State): Iterable<Owner>;
  /** Every owner that exists, for compiling from nothing. */
  owners(state: State): Iterable<Owner>;
  /** The rules of one owner; an empty map when it no longer exists. Same input, same bytes. */
  compile(owner: Owner, state: State): Placement;
}

/** The little that the rule book needs of a session. */
export interface SwitchChannel {
  readonly dpid: Dpid;
  /** Speaks ONF bundles (EXT-230). Unknown until tried: starts true for Open vSwitch, false after a refusal. */
  bundles: boolean;
  nextXid(): number;
  /** Queues whole OpenFlow messages whose xids the caller has set; they leave in order at the end of this turn. */
  write(bytes: Buffer): void;
  /** Resolves when bytes written so far have been taken by the socket below the high-water mark; at once when idle. */
  drained(): Promise<void>;
  /** Errors of the switch for xids in [first, last] go to `onError` until the function returned is called. */
  watchErrors(
    first: number,
    last: number,
    onError: (xid: number, type: number, code: number, data: Buffer) => void,
  ): () => void;
  /** Barrier: resolves when the switch has processed all before it; rejects with TimeoutError or ClosedError. */
  barrier(): Promise<void>;
  /**
   * One request (whole message; the channel sets the xid) and its reply's raw bytes, multipart pieces as a list.
   * Rejects with SwitchError, TimeoutError or ClosedError.
   */
  request(message: Buffer): Promise<readonly Buffer[]>;
}
