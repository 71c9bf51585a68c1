import { afterEach, describe, expect, it } from 'vitest';
import { bench, simulate } from '../../../src/controller/cli/index.ts';
import { systemClock } from '../../../src/controller/kernel/index.ts';
import { encodeMessage, type Message, version13 } from '../../../src/ofproto/index.ts';
import { SwitchModel, topologies, wiring } from '../../../src/simulate/index.ts';
import { Lab } from '../../kit/controller.ts';

let lab: Lab | undefined;
afterEach(async () => {
  await lab?.remove();
  lab = undefined;
});

const options = {
  switches: 12,
  ports: 3,
  topology: 'leaf-spine',
  dpidBase: 0x100n,
  hosts: 2,
  cutsPerSecond: 0,
  flapsPerSecond: 0,
  seconds: 2,
  upSeconds: 10,
  json: true,
};

async function run(connect: string, more: Partial<typeof options> = {}) {
  let text = '';
  const output = {
    out: (chunk: string) => {
      text += chunk;
    },
    progress: () => {},
  };
  const code = await simulate({ ...options, ...more, connect }, systemClock, new AbortController().signal, output);
  return { code, text };
}

describe('netloom simulate', () => {
  it('connects switches whose links and hosts a controller finds, and says what happened', async () => {
    lab = await Lab.start({ defaultNetwork: 'true', 'discovery.intervalMs': '200', 'discovery.holdMs': '100' });
    const { host, port } = lab.target;
    const ran = run(`${host}:${port}`);
    await lab.until('/v1/links', ({ items }) => items.length === 2 * 2 * 10);
    await lab.until('/v1/hosts', ({ items }) => items.length === 12 * 2);
    const { code, text } = await ran;
    const summary = JSON.parse(text);
    expect(code).toBe(0);
    expect(summary).toMatchObject({ switches: 12, up: 12, connects: 12, errors: 0, notUnderstood: 0, failures: {} });
    expect(summary.flows).toBeGreaterThan(12);
    expect(summary.flowMods).toBeGreaterThanOrEqual(summary.flows);
  });

  it('breaks connections and cables when told to; the controller comes back to what it had', async () => {
    lab = await Lab.start({ defaultNetwork: 'true', 'discovery.intervalMs': '200', 'discovery.holdMs': '100' });
    const { host, port } = lab.target;
    const more = { switches: 6, topology: 'ring', cutsPerSecond: 2, flapsPerSecond: 2, upSeconds: 20 };
    const { code, text } = await run(`${host}:${port}`, more);
    const summary = JSON.parse(text);
    expect(code).toBe(0);
    expect(summary.cuts).toBeGreaterThan(0);
    expect(summary.flaps).toBeGreaterThan(0);
    expect(summary).toMatchObject({ switches: 6, up: 6, disconnects: summary.cuts, errors: 0, notUnderstood: 0 });
    expect(summary.connects).toBe(6 + summary.cuts);
  });

  it('ends with 1 when nobody answers, and shows a table without --json', async () => {
    const { code, text } = await run('127.0.0.1:1', { upSeconds: 1, switches: 2, json: false });
    expect(code).toBe(1);
    expect(text).toMatch(/^switches +2$/m);
    expect(text).toMatch(/^up +0$/m);
  });

  it('names an address that is none', async () => {
    await expect(run('nowhere')).rejects.toThrow('--connect: "nowhere" is not HOST:PORT');
  });
});

describe('netloom bench', () => {
  const load = { against: undefined, switches: 2, window: 8, rate: undefined, seconds: 1, rounds: 1, json: true };
  const measure = async (more: object) => {
    let text = '';
    const output = {
      out: (chunk: string) => {
        text += chunk;
      },
      progress: () => {},
    };
    const code = await bench({ ...load, connect: '', ...more }, systemClock, output);
    return { code, text };
  };
  const start = async (): Promise<string> => {
    lab = await Lab.start({ defaultNetwork: 'true', 'discovery.holdMs': '100' });
    return `${lab.target.host}:${lab.target.port}`;
  };

  it('counts what a controller answers, and puts two of them side by side', async () => {
    const connect = await start();
    const { code, text } = await measure({ connect, against: connect });
    const { measured, ratios } = JSON.parse(text);
    expect(code).toBe(0);
    expect(measured).toHaveLength(2);
    expect(measured[0].perSecond).toBeGreaterThan(0);
    expect(measured[0].p50Ms).toBeLessThanOrEqual(measured[0].p99Ms);
    expect(ratios.perSecond).toBeCloseTo(measured[0].perSecond / measured[1].perSecond);
  });

  it('sends at a rate whatever is answered, and says what was lost', async () => {
    const { code, text } = await measure({ connect: await start(), rate: 500, json: false });
    expect(text).toMatch(/answers\/s .* 0 lost\n$/);
    expect(code).toBe(0);
  });
});

describe('topologies', () => {
  it.each(topologies.filter((name) => name !== 'none'))('%s connects all switches', (name) => {
    for (const count of [1, 2, 3, 17]) {
      const seen = new Set([0]);
      const cables = wiring(name, count);
      for (let round = 0; round < count; round++) {
        for (const [a, b] of cables) if (seen.has(a) || seen.has(b)) seen.add(a).add(b);
      }
      expect(seen.size).toBe(count);
      expect(cables.every(([a, b]) => a !== b)).toBe(true);
    }
  });
});

describe('a simulated switch', () => {
  const model = () => new SwitchModel({ dpid: '0000000000000001' as never, ports: [1, 2] });
  const ask = (sw: SwitchModel, message: object): Message[] =>
    sw.handle({ version: version13, xid: 7, ...message } as Message);

  it('refuses a role with an older generation, and changes as a slave', () => {
    const sw = model();
    expect(ask(sw, { type: 'roleRequest', role: 2, generationId: 5n })).toMatchObject([{ type: 'roleReply', role: 2 }]);
    expect(ask(sw, { type: 'roleRequest', role: 3, generationId: 4n })).toMatchObject([
      { errorType: 11, errorCode: 0 },
    ]);
    expect(ask(sw, { type: 'roleRequest', role: 3, generationId: 6n })).toMatchObject([{ type: 'roleReply', role: 3 }]);
    const group = { type: 'groupMod', command: 0, groupType: 0, groupId: 1, buckets: [] };
    expect(ask(sw, group)).toMatchObject([{ errorType: 1, errorCode: 10 }]);
    sw.disconnected();
    expect(ask(sw, group)).toEqual([]);
  });

  it('says what it can do, and keeps what a connection wants to hear', () => {
    const sw = model();
    const part = (mp: string): object => ({ type: 'multipartRequest', mp, flags: 0 });
    expect(ask(sw, part('groupFeatures'))).toMatchObject([{ mp: 'groupFeatures', types: 0xf }]);
    expect(ask(sw, part('meterFeatures'))).toMatchObject([{ mp: 'meterFeatures', bandTypes: 2 }]);
    const pieces = ask(sw, { ...part('tableFeatures'), tables: [] });
    expect(
      pieces.flatMap((piece) => ('tables' in piece ? piece.tables.map(({ tableId }) => tableId) : [])),
    ).toHaveLength(254);
    for (const piece of pieces) expect(encodeMessage(piece).length).toBeLessThan(0xffff);
    const wanted = { packetInMaster: 1, packetInSlave: 0, portStatusMaster: 7, portStatusSlave: 0 };
    const async = { ...wanted, flowRemovedMaster: 2, flowRemovedSlave: 0 };
    expect(ask(sw, { type: 'setAsync', ...async })).toEqual([]);
    expect(ask(sw, { type: 'getAsyncRequest' })).toMatchObject([{ type: 'getAsyncReply', ...async }]);
    sw.disconnected();
    expect(ask(sw, { type: 'getAsyncRequest' })).toMatchObject([{ packetInMaster: 3, portStatusSlave: 7 }]);
  });

  it('answers long lists in pieces', () => {
    const sw = new SwitchModel({
      dpid: '0000000000000001' as never,
      ports: Array.from({ length: 250 }, (_, i) => i + 1),
    });
    const pieces = ask(sw, { type: 'multipartRequest', mp: 'portDesc', flags: 0 });
    expect(pieces.map((piece) => (piece as { flags: number }).flags)).toEqual([1, 1, 0]);
  });

  it('knows no bundle that was not opened, nor one twice', () => {
    const sw = model();
    const control = (kind: number): object => ({
      type: 'experimenter',
      experimenter: 0x4f4e_4600,
      expType: 2300,
      body: { type: 'bundleControl', bundleId: 1, control: kind, flags: 0, properties: Buffer.alloc(0) },
    });
    expect(ask(sw, control(4))).toMatchObject([{ type: 'error', errorCode: 2301 }]);
    expect(ask(sw, control(0))).toMatchObject([{ body: { control: 1 } }]);
    expect(ask(sw, control(0))).toMatchObject([{ type: 'error', errorCode: 2302 }]);
    sw.disconnected();
    expect(ask(sw, control(0))).toMatchObject([{ body: { control: 1 } }]);
  });
});
