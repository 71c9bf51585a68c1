import type { Duplex } from 'node:stream';
import type { Clock } from '../../controller/kernel/index.ts';
import { OvsdbError, reasonOf } from './errors.ts';
import { defaultJsonLimits, type JsonLimits, JsonStream } from './json-stream.ts';

/** What a JSON-RPC peer may take of us, and how long it may be silent. Milliseconds and bytes. */
export interface RpcLimits {
  readonly json: JsonLimits;
  /** Silence after which we ask whether it lives. */
  readonly probeMs: number;
  /** Time it has to say anything after that. */
  readonly probeTimeoutMs: number;
  /** Default deadline of a request. */
  readonly requestMs: number;
  /** Output not yet taken above which the peer is dropped. */
  readonly unsentBytes: number;
  /** Our requests that may be open. */
  readonly requests: number;
}

export const defaultRpcLimits: RpcLimits = {
  json: defaultJsonLimits,
  probeMs: 5_000,
  probeTimeoutMs: 5_000,
  requestMs: 30_000,
  unsentBytes: 16 * 1024 * 1024,
  requests: 1_024,
};

export interface RpcHandlers {
  /** A notification, or a request other than echo (which then gets "unknown method"). */
  notified(method: string, params: readonly unknown[]): void;
  /** The connection is gone; called once. All open requests have been rejected. */
  closed(error: OvsdbError): void;
}

/** The id of our echo requests, whose answers nobody awaits. */
const PROBE = 'probe';

interface Open {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly cancel: () => void;
}

/**
 * One JSON-RPC 1.0 connection to a database server (RFC 7047 §4): requests by id, notifications, echo both ways. Whatever the peer
 * sends costs only its own connection.
 */
export class RpcConnection {
  readonly #stream: Duplex;
  readonly #clock: Clock;
  readonly #limits: RpcLimits;
  readonly #handlers: RpcHandlers;
  readonly #json: JsonStream;
  readonly #open = new Map<number, Open>();
  #nextId = 0;
  #closed: OvsdbError | undefined;
  #heard = true;
  #asked = false;
  #cancelProbe: () => void;
  readonly #onData = (chunk: Buffer): void => this.#received(chunk);
  readonly #onError = (error: Error): void => this.close(new OvsdbError('closed', reasonOf(error), { cause: error }));
  readonly #onClose = (): void => this.close(new OvsdbError('closed', 'the database server closed the connection'));

  constructor(stream: Duplex, handlers: RpcHandlers, clock: Clock, limits: RpcLimits = defaultRpcLimits) {
    this.#stream = stream;
    this.#clock = clock;
    this.#limits = limits;
    this.#handlers = handlers;
    this.#json = new JsonStream(limits.json);
    stream.on('data', this.#onData);
    stream.on('error', this.#onError);
    stream.on('close', this.#onClose);
    // It may have been paused by `release`.
    stream.resume();
    // A stream that ended between two owners tells neither.
    if (stream.destroyed) queueMicrotask(this.#onClose);
    this.#cancelProbe = this.#planProbe(limits.probeMs);
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /** Asks, and resolves with the result. Rejects with OvsdbError: `refused`, `timeout`, `closed`. */
  request(method: string, params: readonly unknown[], timeoutMs = this.#limits.requestMs): Promise<unknown> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (this.#open.size >= this.#limits.requests) {
      return Promise.reject(new OvsdbError('timeout', `${this.#open.size} requests wait for answers already`));
    }
    const id = ++this.#nextId;
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(timeoutMs, () => {
        this.#open.delete(id);
        reject(new OvsdbError('timeout', `${method}: no answer within ${timeoutMs} ms`));
      });
      this.#open.set(id, { resolve, reject, cancel });
      this.#send({ method, params, id });
    });
  }

  /** Ends the connection; what is open is rejected with the error. */
  close(error = new OvsdbError('closed', 'closed by us')): void {
    if (this.#closed) return;
    this.#closed = error;
    this.#cancelProbe();
    for (const { reject, cancel } of this.#open.values()) {
      cancel();
      reject(error);
    }
    this.#open.clear();
    this.#stream.destroy();
    this.#handlers.closed(error);
  }

  /**
   * Lets go of the stream without closing it: paused, with nothing lost, for another connection to take up. Only when no request is
   * open.
   */
  release(): void {
    if (this.#closed) throw this.#closed;
    this.#closed = new OvsdbError('closed', 'the connection was handed on');
    this.#cancelProbe();
    this.#stream.pause();
    this.#stream.off('data', this.#onData);
    this.#stream.off('close', this.#onClose);
    // The listener for errors stays: one before the next has come would end the process.
    const begun = this.#json.take();
    if (begun.length > 0) this.#stream.unshift(begun);
  }

  #send(message: object): void {
    this.#stream.write(JSON.stringify(message));
    if (this.#stream.writableLength > this.#limits.unsentBytes) {
      this.close(
        new OvsdbError('closed', `the database server reads too slowly: ${this.#stream.writableLength} bytes unsent`),
      );
    }
  }

  #received(chunk: Buffer): void {
    this.#heard = true;
    try {
      this.#json.push(chunk, (document) => this.#message(document));
    } catch (error) {
      // Whatever a peer's words set off ends its own connection, and nothing else.
      this.close(
        error instanceof OvsdbError
          ? error
          : new OvsdbError('malformed', String(error).slice(0, 200), { cause: error }),
      );
    }
  }

  #message(document: unknown): void {
    if (this.#closed) return;
    if (typeof document !== 'object' || document === null || Array.isArray(document)) {
      throw new OvsdbError('malformed', 'a message that is no object');
    }
    const { method, params, id, result, error } = document as Record<string, unknown>;
    if (typeof method === 'string') {
      if (!Array.isArray(params)) throw new OvsdbError('malformed', `${method} without a list of parameters`);
      if (method === 'echo') this.#send({ result: params, error: null, id: id ?? null });
      else {
        this.#handlers.notified(method, params);
        if (id !== null && id !== undefined) this.#send({ result: null, error: { error: 'unknown method' }, id });
      }
      return;
    }
    if (id === undefined || id === null) throw new OvsdbError('malformed', 'a message that is neither call nor answer');
    const open = typeof id === 'number' ? this.#open.get(id) : undefined;
    if (!open) {
      // An answer that came too late, or to the probe, is nobody's any more; one to a question never asked is a broken peer.
      if (id === PROBE || (typeof id === 'number' && Number.isInteger(id) && id > 0 && id <= this.#nextId)) return;
      throw new OvsdbError('malformed', `an answer to ${JSON.stringify(id).slice(0, 80)}, which was not asked`);
    }
    this.#open.delete(id as number);
    open.cancel();
    if (error === null || error === undefined) open.resolve(result);
    else open.reject(refusal(error));
  }

  #planProbe(ms: number): () => void {
    return this.#clock.after(ms, () => {
      const { probeMs, probeTimeoutMs } = this.#limits;
      if (this.#heard) {
        this.#heard = false;
        this.#asked = false;
        this.#cancelProbe = this.#planProbe(probeMs);
      } else if (this.#asked) {
        this.close(new OvsdbError('timeout', `the database server was silent for ${probeMs + probeTimeoutMs} ms`));
      } else {
        this.#asked = true;
        this.#send({ method: 'echo', params: [], id: PROBE });
        this.#cancelProbe = this.#planProbe(probeTimeoutMs);
      }
    });
  }
}

/** The error object of an answer (RFC 7047 §3.1): `error`, and `details` for people. */
export function refusal(error: unknown): OvsdbError {
  const { error: name = error, details = '' } =
    typeof error === 'object' && error !== null ? (error as Record<string, unknown>) : {};
  const text = [name, details].filter((part) => typeof part === 'string' && part !== '').join(': ');
  return new OvsdbError('refused', text === '' ? 'refused' : text, { details: { error: String(name) } });
}
