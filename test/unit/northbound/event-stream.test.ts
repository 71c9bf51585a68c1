import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../../src/controller/kernel/index.ts';
import { EventLog } from '../../../src/controller/northbound/index.ts';
import { type Fixture, fixture } from './kit.ts';

/** A raw reader of /v1/events. */
class Reader {
  readonly socket: Socket;
  text = '';
  ended = false;
  #wake: () => void = () => {};

  constructor(port: number, query = '', headers: Record<string, string> = {}) {
    this.socket = connect(port, '127.0.0.1');
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    this.socket.write(`GET /v1/events${query} HTTP/1.1\r\nHost: localhost\r\n${lines.join('')}\r\n`);
    this.socket.on('data', (chunk) => {
      this.text += chunk.toString();
      this.#wake();
    });
    this.socket.on('close', () => {
      this.ended = true;
      this.#wake();
    });
    this.socket.on('error', () => {});
  }

  async until(found: (text: string) => boolean): Promise<string> {
    while (!found(this.text)) {
      if (this.ended) expect.fail(`stream ended with: ${this.text.slice(-500)}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.text;
  }

  /** Data of the events so far. */
  events(): { id: string; type: string; data: Record<string, unknown> }[] {
    return [...this.text.matchAll(/^id: (.+)\nevent: (.+)\ndata: (.+)$/gm)].map(([, id, type, data]) => ({
      id: id!,
      type: type!,
      data: JSON.parse(data!) as Record<string, unknown>,
    }));
  }
}

let at: Fixture | undefined;
const readers: Reader[] = [];
const open = (port: number, query?: string, headers?: Record<string, string>): Reader => {
  const reader = new Reader(port, query, headers);
  readers.push(reader);
  return reader;
};
afterEach(async () => {
  for (const { socket } of readers.splice(0)) socket.destroy();
  await at?.server.close();
  at = undefined;
});

const start = async (over: Parameters<typeof fixture>[0] = {}): Promise<{ port: number; fix: Fixture }> => {
  const fix = await fixture(over);
  at = fix;
  return { port: (await fix.server.listen('127.0.0.1', 0)).port, fix };
};

describe('/v1/events', () => {
  it('gives events as they happen, and resumes after the last id with none lost and none twice', async () => {
    const { port, fix } = await start();
    const first = open(port);
    await first.until((text) => text.includes(': open'));
    fix.events.publish({
      type: 'port.created',
      revision: 11,
      tenant: 'acme',
      object: '/v1/tenants/acme/ports/a',
      data: { n: 1n },
    });
    fix.events.publish({ type: 'switch.connected' });
    await first.until((text) => text.includes('switch.connected'));
    expect(first.events()).toMatchObject([
      {
        id: '11',
        type: 'port.created',
        data: { tenant: 'acme', object: '/v1/tenants/acme/ports/a', data: { n: '1' } },
      },
      { id: '11.1', type: 'switch.connected', data: { revision: 11 } },
    ]);
    first.socket.destroy();
    fix.events.publish({ type: 'host.learned' });
    fix.events.publish({ type: 'port.deleted', revision: 12 });
    const second = open(port, '', { 'Last-Event-ID': '11.1' });
    await second.until((text) => text.includes('port.deleted'));
    fix.events.publish({ type: 'port.created', revision: 13 });
    await second.until((text) => text.includes('port.created'));
    expect(second.events().map(({ id }) => id)).toEqual(['11.2', '12', '13']);
  });

  it('filters by tenant and by beginnings of types', async () => {
    const { port, fix } = await start();
    const reader = open(port, '?types=port,switch.up&tenant=acme');
    await reader.until((text) => text.includes(': open'));
    for (const [type, tenant] of [
      ['port.created', 'acme'],
      ['port.created', 'other'],
      ['portal.opened', 'acme'],
      ['switch.up', undefined],
      ['port', 'acme'],
    ] as const) {
      fix.events.publish({ type, ...(tenant === undefined ? {} : { tenant }) });
    }
    await reader.until((text) => text.includes('event: port\n'));
    expect(reader.events().map(({ type, data }) => `${type} ${data['tenant']}`)).toEqual([
      'port.created acme',
      'port acme',
    ]);
  });

  it('says reset, and goes on, when the id is too old', async () => {
    const { port, fix } = await start({ events: new EventLog({ clock: systemClock, revision: 10, capacity: 8 }) });
    for (let revision = 11; revision < 40; revision++) fix.events.publish({ type: 't', revision });
    const reader = open(port, '', { 'Last-Event-ID': '12' });
    await reader.until((text) => text.includes('event: reset'));
    fix.events.publish({ type: 'next', revision: 40 });
    await reader.until((text) => text.includes('event: next'));
    expect(reader.events()).toMatchObject([
      { id: '39', type: 'reset', data: { reason: 'history-gone', revision: 39 } },
      { id: '40', type: 'next' },
    ]);
  });

  it('refuses ids that are none, and more streams than allowed', async () => {
    const { port } = await start({ options: { maxEventStreams: 1 } });
    expect(await open(port, '', { 'Last-Event-ID': 'abc' }).until((text) => text.includes('}'))).toContain(
      'HTTP/1.1 400',
    );
    await open(port).until((text) => text.includes(': open'));
    const refused = await open(port).until((text) => text.includes('}'));
    expect(refused).toContain('HTTP/1.1 503');
    expect(refused.toLowerCase()).toContain('retry-after: 1');
    expect(refused).toContain('NL_OVERLOADED');
  });

  it('moves the id on in heartbeats, so that a filtered stream can resume', async () => {
    const beats: (() => void)[] = [];
    const clock: Clock = {
      ...systemClock,
      every: (ms, fn) => {
        if (ms === 777) beats.push(fn);
        return ms === 777 ? () => {} : systemClock.every(ms, fn);
      },
    };
    const { port, fix } = await start({ clock, options: { heartbeatMs: 777 } });
    const reader = open(port, '?types=nothing');
    await reader.until((text) => text.includes(': open'));
    fix.events.publish({ type: 'a', revision: 20 });
    // The consumer looks at the event in the turn after it was published.
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    for (const beat of beats) beat();
    expect(await reader.until((text) => text.includes(': heartbeat'))).toContain(': heartbeat\nid: 20\n\n');
  });

  it('closes a consumer that does not read, at a bounded cost, and serves the others', async () => {
    const { port, fix } = await start();
    const good = open(port);
    const slow = open(port);
    await Promise.all([good.until((text) => text.includes(': open')), slow.until((text) => text.includes(': open'))]);
    slow.socket.pause();
    const data = 'x'.repeat(60_000);
    const dropped = async () => /netloom_event_streams_dropped_total (\d+)/.exec(await fix.telemetry.render())?.[1];
    // Until sockets and log (64 events here) are full; 4,000 would be 240 MB.
    for (let n = 0; n < 4_000 && (await dropped()) === '0'; n++) {
      fix.events.publish({ type: `big.${n}`, data });
      await good.until((text) => text.includes(`event: big.${n}\n`));
      good.text = '';
    }
    expect(await dropped()).toBe('1');
    expect(await fix.telemetry.render()).toContain('netloom_event_streams 1\n');
  });

  it('shares one serialisation among consumers', async () => {
    const { port, fix } = await start();
    const consumers = [open(port), open(port), open(port)];
    await Promise.all(consumers.map((reader) => reader.until((text) => text.includes(': open'))));
    let serialised = 0;
    const data = {
      toJSON: () => {
        serialised++;
        return 'data';
      },
    };
    fix.events.publish({ type: 'once', data });
    await Promise.all(consumers.map((reader) => reader.until((text) => text.includes('event: once'))));
    expect(serialised).toBe(1);
  });
});

describe('closing', () => {
  it('finishes requests, tells event streams, and lets nobody hold it', async () => {
    const { port, fix } = await start();
    let finish: (ready: boolean) => void = () => {};
    const waiting = new Promise<void>((asked) => {
      fix.waitReady = () => {
        asked();
        return new Promise((resolve) => {
          finish = resolve;
        });
      };
    });
    const stream = open(port);
    await stream.until((text) => text.includes(': open'));
    const request = fetch(`http://127.0.0.1:${port}/v1/tenants/acme?wait=ready`, {
      method: 'PUT',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });
    await waiting;
    const closed = fix.server.close();
    await stream.until((text) => text.includes('event: shutdown'));
    finish(true);
    expect((await request).status).toBe(201);
    await closed;
    if (!stream.ended) await once(stream.socket, 'close');
    const refused = connect(port, '127.0.0.1');
    expect((await once(refused, 'error'))[0]).toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('ends waiting requests early, with what is so far', async () => {
    const { port, fix } = await start();
    const waiting = new Promise<void>((asked) => {
      fix.waitReady = (_path, _revision, _ms, signal) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => resolve(false));
          asked();
        });
    });
    const request = fetch(`http://127.0.0.1:${port}/v1/tenants/acme?wait=ready`, {
      method: 'PUT',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });
    await waiting;
    await fix.server.close();
    expect((await request).status).toBe(504);
  });

  it('cuts off what does not finish in time', async () => {
    const { port, fix } = await start({ options: { graceMs: 50 } });
    const waiting = new Promise<void>((asked) => {
      fix.waitReady = () => {
        asked();
        return new Promise(() => {});
      };
    });
    const request = fetch(`http://127.0.0.1:${port}/v1/tenants/acme?wait=ready`, {
      method: 'PUT',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });
    request.catch(() => {});
    await waiting;
    await fix.server.close();
    await expect(request).rejects.toThrow();
  });

  it('refuses to listen where others can reach it, unless told to', async () => {
    const fix = await fixture();
    await expect(fix.server.listen('0.0.0.0', 0)).rejects.toMatchObject({ code: 'NL_CONFIG' });
    await fix.server.close();
  });
});
