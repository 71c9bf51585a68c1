import type { Clock } from '../../controller/kernel/index.ts';
import { isAuthentic } from './auth.ts';
import { eidPrefix, eidText } from './eid.ts';
import type { Authentication, MapNotify } from './message.ts';

/** Where a datagram comes from or goes to. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Sends one datagram, from the address of ours given where there is one. */
export type SendDatagram = (bytes: Buffer, to: Endpoint, from: string | undefined) => void;

/** Sent again this many times at most, first after `firstMs`, then after twice as long each time. */
const RETRIES = 3;
const FIRST_MS = 1_000;
/** Messages that wait for an answer; what comes beyond is sent once. */
const MAX_WAITING = 100_000;

/** A message that wants an answer. */
export interface Repeated {
  readonly bytes: Buffer;
  readonly to: Endpoint;
  readonly from: string | undefined;
  /** Who answers must sign with it; undefined: an answer needs no signature. */
  readonly key?: string;
  /** Somebody answered, or nobody did and it is not sent any more. */
  readonly ended?: (answered: boolean) => void;
}

interface Waiting extends Repeated {
  left: number;
  waitMs: number;
  cancel: () => void;
}

/** What is counted of messages that want an answer. */
export interface RepeaterCounters {
  notifyRetries: number;
  /** Messages that nobody answered. */
  notifyLost: number;
  /** Answers signed with another key than is wanted. */
  badAcknowledgements: number;
}

/** Sends messages until they are answered, less and less often, and not for ever. */
export class Repeater {
  readonly #clock: Clock;
  readonly #counters: RepeaterCounters;
  readonly #send: SendDatagram;
  readonly #waiting = new Map<string, Waiting>();

  constructor(clock: Clock, send: SendDatagram, counters: RepeaterCounters) {
    this.#counters = counters;
    this.#clock = clock;
    this.#send = send;
  }

  /** Messages that wait for an answer. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Sends now, and again until `answered`; takes the place of what waited under the same name. */
  start(name: string, message: Repeated): void {
    this.stop(name);
    this.#send(message.bytes, message.to, message.from);
    if (this.#waiting.size >= MAX_WAITING) return;
    const waiting: Waiting = { ...message, left: RETRIES, waitMs: FIRST_MS, cancel: () => {} };
    this.#waiting.set(name, waiting);
    this.#wait(name, waiting);
  }

  #wait(name: string, waiting: Waiting): void {
    waiting.cancel = this.#clock.after(waiting.waitMs, () => {
      if (waiting.left-- === 0) {
        this.#waiting.delete(name);
        this.#counters.notifyLost++;
        waiting.ended?.(false);
        return;
      }
      this.#counters.notifyRetries++;
      waiting.waitMs *= 2;
      this.#send(waiting.bytes, waiting.to, waiting.from);
      this.#wait(name, waiting);
    });
  }

  /** An answer came, signed with the key that is wanted. False when nothing waits for it, or the signature is another's. */
  answered(name: string, bytes: Buffer, auth: Authentication): boolean {
    const waiting = this.#waiting.get(name);
    if (!waiting) return false;
    if (waiting.key !== undefined && !isAuthentic(bytes, auth, waiting.key)) {
      this.#counters.badAcknowledgements++;
      return false;
    }
    this.stop(name);
    waiting.ended?.(true);
    return true;
  }

  /** No answer is wanted any more. */
  stop(name: string): void {
    this.#waiting.get(name)?.cancel();
    this.#waiting.delete(name);
  }

  /** Nothing is sent any more. */
  close(): void {
    for (const { cancel } of this.#waiting.values()) cancel();
    this.#waiting.clear();
  }
}

/** Of a notification and its acknowledgement: its nonce, who was told, and what of. */
export function ackName({ nonce, records }: Pick<MapNotify, 'nonce' | 'records'>, { address }: Endpoint): string {
  const [first] = records;
  const prefix = first && eidPrefix(first.eid, first.maskLength);
  return `${nonce} ${address} ${prefix ? eidText(prefix) : ''}`;
}
