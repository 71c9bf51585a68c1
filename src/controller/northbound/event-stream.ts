import type { ServerResponse } from 'node:http';
import type { Clock, Logger, MetricSink } from '../kernel/index.ts';
import { type EventId, type EventLog, formatEventId, type LoggedEvent, type ResetReason } from './event-log.ts';
import { stringify } from './json.ts';
import { refusal } from './problem.ts';
import type { ReplyHeaders } from './route.ts';

/** Which events a consumer wants; undefined is all. */
export interface EventFilter {
  /** Types, or beginnings of them: `port` takes `port.created`; a trailing `*` or `.*` may be written. */
  readonly types?: readonly string[] | undefined;
  readonly tenant?: string | undefined;
}

export interface EventStreamsOptions {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly heartbeatMs?: number;
  /** Streams that may be open at once; default 1,000. */
  readonly maxStreams?: number;
  /** Bytes handed to one socket before it has to take them; default 256 KiB. */
  readonly maxBufferedBytes?: number;
  /** Time a consumer that is being closed has to take the last bytes; default 2,000. */
  readonly closeMs?: number;
}

const matcher = ({ types, tenant }: EventFilter): ((event: LoggedEvent) => boolean) => {
  const stems = types?.map((type) => type.replace(/\.?\*$/, ''));
  return (event) =>
    (tenant === undefined || event.tenant === tenant) &&
    (stems === undefined ||
      stems.some(
        (stem) => event.type.startsWith(stem) && (event.type.length === stem.length || event.type[stem.length] === '.'),
      ));
};

const control = (type: string, id: EventId, data: object): string =>
  `id: ${formatEventId(id)}\nevent: ${type}\ndata: ${stringify({ type, revision: id.revision, ...data })}\n\n`;

interface Consumer {
  readonly response: ServerResponse;
  readonly wants: (event: LoggedEvent) => boolean;
  /** Position of the next event to look at. */
  position: number;
  /** The socket is full; `drain` will call again. */
  blocked: boolean;
}

/**
 * Server-sent events from one log to many consumers. A consumer is a position in the log, so a slow one costs the bytes in
 * its socket and nothing else; when the log has gone past it, it is told (`reset`, reason `too-slow`) and closed.
 */
export class EventStreams {
  readonly #options: Required<EventStreamsOptions>;
  readonly #consumers = new Set<Consumer>();
  readonly #stopListening: () => void;
  readonly #stopHeartbeat: () => void;
  #dropped = 0;
  #closing = false;

  constructor(options: EventStreamsOptions) {
    this.#options = {
      heartbeatMs: 15_000,
      maxStreams: 1_000,
      maxBufferedBytes: 256 * 1_024,
      closeMs: 2_000,
      ...options,
    };
    this.#stopListening = options.log.onEvents(() => {
      for (const consumer of this.#consumers) this.#feed(consumer);
    });
    this.#stopHeartbeat = options.clock.every(this.#options.heartbeatMs, () => this.#beat());
  }

  get size(): number {
    return this.#consumers.size;
  }

  /** Declares what is measured about streams. */
  declareMetrics(sink: MetricSink): void {
    sink.declare({
      name: 'netloom_event_streams',
      help: 'Open streams of /v1/events.',
      type: 'gauge',
      collect: () => this.#consumers.size,
    });
    sink.declare({
      name: 'netloom_event_streams_dropped_total',
      help: 'Event streams closed because their consumer was too slow.',
      type: 'counter',
      collect: () => this.#dropped,
    });
    sink.declare({
      name: 'netloom_events_total',
      help: 'Events published since the start.',
      type: 'counter',
      collect: () => this.#options.log.head,
    });
  }

  /** Throws RequestError when no further stream can be opened. Call before the reply is taken over. */
  check(): void {
    if (this.#closing) throw refusal('NL_CLOSED', 'the controller is stopping');
    if (this.#consumers.size >= this.#options.maxStreams) {
      throw refusal('NL_OVERLOADED', `there are ${this.#consumers.size} event streams already`);
    }
  }

  /**
   * Serves a response from here on. `after` is the place to resume from; absent, from now on. `headers` are those that
   * every reply carries.
   */
  serve(response: ServerResponse, filter: EventFilter, after: EventId | undefined, headers: ReplyHeaders): void {
    const { log } = this.#options;
    const start = after === undefined ? log.head : log.resume(after);
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    const consumer: Consumer = {
      response,
      wants: matcher(filter),
      position: typeof start === 'number' ? start : log.head,
      blocked: false,
    };
    response.on('drain', () => {
      consumer.blocked = false;
      this.#feed(consumer);
    });
    response.on('close', () => this.#consumers.delete(consumer));
    response.on('error', (error) => this.#options.logger.debug({ err: error }, 'event stream broke'));
    response.socket?.setNoDelay(true);
    this.#consumers.add(consumer);
    this.#write(
      consumer,
      typeof start === 'number'
        ? `retry: 2000\nid: ${formatEventId(after ?? log.lastId)}\n: open\n\n`
        : `retry: 2000\n${this.#reset(start)}`,
    );
    this.#feed(consumer);
  }

  /** Tells every consumer that we stop, and ends its stream. */
  close(): void {
    this.#closing = true;
    this.#stopListening();
    this.#stopHeartbeat();
    for (const consumer of this.#consumers) {
      this.#finish(consumer, control('shutdown', this.#options.log.lastId, { reason: 'the controller is stopping' }));
    }
  }

  #reset(reason: ResetReason | 'too-slow'): string {
    return control('reset', this.#options.log.lastId, { reason });
  }

  #write(consumer: Consumer, text: string): void {
    consumer.response.write(text);
    // Not the return value: the socket's own mark is 16 KiB, which would cut a burst into many small writes.
    consumer.blocked = consumer.response.writableLength > this.#options.maxBufferedBytes;
  }

  #feed(consumer: Consumer): void {
    const { log } = this.#options;
    while (!consumer.blocked && consumer.position < log.head) {
      let text = '';
      while (consumer.position < log.head && text.length < 65_536) {
        const event = log.at(consumer.position);
        if (!event) {
          this.#drop(consumer);
          return;
        }
        consumer.position++;
        if (consumer.wants(event)) text += event.frame();
      }
      if (text) this.#write(consumer, text);
    }
    if (consumer.blocked && consumer.position < log.head && !log.at(consumer.position)) this.#drop(consumer);
  }

  #beat(): void {
    const { log } = this.#options;
    for (const consumer of this.#consumers) {
      // The id moves on although the filter lets nothing through, so that resuming does not need all that history.
      if (!consumer.blocked && consumer.position === log.head) {
        this.#write(consumer, `: heartbeat\nid: ${formatEventId(log.lastId)}\n\n`);
      }
    }
  }

  #drop(consumer: Consumer): void {
    this.#dropped++;
    this.#options.logger.warn({ remote: consumer.response.socket?.remoteAddress }, 'event stream closed: too slow');
    this.#finish(consumer, this.#reset('too-slow'));
  }

  #finish(consumer: Consumer, last: string): void {
    this.#consumers.delete(consumer);
    consumer.response.end(last);
    const cancel = this.#options.clock.after(this.#options.closeMs, () => consumer.response.destroy());
    consumer.response.on('close', cancel);
  }
}
