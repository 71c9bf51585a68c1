import type { Clock } from '../kernel/index.ts';
import { stringify } from './json.ts';

/** What happened, as parts publish it. */
export interface EventInput {
  /** Dotted, e.g. `port.updated`, `switch.connected`, `host.conflict`. */
  readonly type: string;
  /** Store revision of the change; absent for what was observed. */
  readonly revision?: number;
  /** Tenant that it concerns. */
  readonly tenant?: string;
  /** REST path of the object that it concerns. */
  readonly object?: string;
  readonly data?: unknown;
}

/**
 * Place in the stream: a store revision and a count within it. Written `R` for the first event of revision R and `R.n` for
 * those after it, desired and observed alike. So the revision of any REST reply is a place to resume from.
 */
export interface EventId {
  readonly revision: number;
  readonly count: number;
}

export interface LoggedEvent {
  readonly id: EventId;
  readonly type: string;
  readonly tenant: string | undefined;
  /** One server-sent event as text, made when the first consumer needs it and shared by all. */
  frame(): string;
}

export const formatEventId = ({ revision, count }: EventId): string =>
  count === 0 ? String(revision) : `${revision}.${count}`;

/** The place that a `Last-Event-ID` names, or undefined when it is none of ours. */
export function parseEventId(text: string): EventId | undefined {
  const match = /^(0|[1-9]\d{0,15})(?:\.([1-9]\d{0,15}))?$/.exec(text.trim());
  if (!match) return undefined;
  const id = { revision: Number(match[1]), count: Number(match[2] ?? 0) };
  return Number.isSafeInteger(id.revision) && Number.isSafeInteger(id.count) ? id : undefined;
}

const isAfter = (a: EventId, b: EventId): boolean =>
  a.revision > b.revision || (a.revision === b.revision && a.count > b.count);

class Entry implements LoggedEvent {
  readonly id: EventId;
  readonly type: string;
  readonly tenant: string | undefined;
  readonly #at: number;
  readonly #object: string | undefined;
  readonly #data: unknown;
  #frame: string | undefined;

  constructor(id: EventId, at: number, input: EventInput) {
    this.id = id;
    this.type = input.type;
    this.tenant = input.tenant;
    this.#at = at;
    this.#object = input.object;
    this.#data = input.data;
  }

  frame(): string {
    if (this.#frame === undefined) {
      const body = stringify({
        type: this.type,
        revision: this.id.revision,
        at: new Date(this.#at).toISOString(),
        ...(this.tenant === undefined ? {} : { tenant: this.tenant }),
        ...(this.#object === undefined ? {} : { object: this.#object }),
        ...(this.#data === undefined ? {} : { data: this.#data }),
      });
      this.#frame = `id: ${formatEventId(this.id)}\nevent: ${this.type}\ndata: ${body}\n\n`;
    }
    return this.#frame;
  }
}

export interface EventLogOptions {
  readonly clock: Clock;
  /** Newest store revision when the log begins. */
  readonly revision?: number;
  /** Events that can be resumed over; default 16,384. Must be a power of two. */
  readonly capacity?: number;
}

/** Why a consumer cannot go on from where it was. */
export type ResetReason = 'history-gone' | 'unknown-id';

/** The newest events, in order, for any number of consumers that each keep only a position. Publishing costs no I/O. */
export class EventLog {
  readonly #clock: Clock;
  readonly #ring: (Entry | undefined)[];
  readonly #mask: number;
  /** Position of the next event; positions only grow, the event at `p` is in slot `p & mask`. */
  #head = 0;
  #last: EventId;
  /** The newest event that can no longer be given, or the place before the first. */
  #forgotten: EventId;
  readonly #listeners = new Set<() => void>();
  #wakePending = false;

  constructor({ clock, revision = 0, capacity = 16_384 }: EventLogOptions) {
    this.#clock = clock;
    this.#ring = new Array<Entry | undefined>(capacity);
    this.#mask = capacity - 1;
    // What a former process of this controller said was observed at this revision is not ours to continue: counts begin at
    // the time in ms, above any count of its, while the plain revision (what a list reply gave) stays a good place.
    this.#last = { revision, count: clock.now() };
    this.#forgotten = this.#last;
  }

  /** Position after the newest event. */
  get head(): number {
    return this.#head;
  }

  /** Place of the newest event. */
  get lastId(): EventId {
    return this.#last;
  }

  /** Appends an event; its id. A revision below the newest counts as the newest: ids never go back. */
  publish(input: EventInput): EventId {
    const { revision } = input;
    const id =
      revision !== undefined && revision > this.#last.revision
        ? { revision, count: 0 }
        : { revision: this.#last.revision, count: this.#last.count + 1 };
    const slot = this.#head & this.#mask;
    const old = this.#ring[slot];
    if (old) this.#forgotten = old.id;
    this.#ring[slot] = new Entry(id, this.#clock.now(), input);
    this.#head++;
    this.#last = id;
    if (!this.#wakePending && this.#listeners.size > 0) {
      this.#wakePending = true;
      // Once per turn: what a burst publishes leaves in one write per consumer.
      setImmediate(() => {
        this.#wakePending = false;
        for (const listener of this.#listeners) listener();
      });
    }
    return id;
  }

  /** The event at a position; undefined when it is forgotten or not there yet. */
  at(position: number): LoggedEvent | undefined {
    if (position >= this.#head || position < this.#head - this.#ring.length) return undefined;
    return this.#ring[position & this.#mask];
  }

  /** Position of the first event after a place, or why there is none to be had. */
  resume(after: EventId): number | ResetReason {
    const plain = after.count === 0;
    const begun = this.#head <= this.#ring.length;
    if (begun) {
      // Nothing forgotten since the log began; a plain revision means "I have read all up to it".
      if (plain ? after.revision < this.#forgotten.revision : isAfter(this.#forgotten, after)) return 'history-gone';
    } else if (isAfter(this.#forgotten, after)) return 'history-gone';
    if (isAfter(after, this.#last)) return 'unknown-id';
    let low = Math.max(0, this.#head - this.#ring.length);
    let high = this.#head;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const entry = this.at(middle);
      if (entry && isAfter(entry.id, after)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Called (once per turn) when there are new events; the function returned ends it. */
  onEvents(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }
}
