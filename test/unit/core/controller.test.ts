import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Dpid, systemClock } from '../../../src/controller/kernel/index.ts';
import { version13 } from '../../../src/ofproto/index.ts';
import {
  type FlowMod,
  SwitchModel,
  type SwitchTables,
  type VirtualNetwork,
  VirtualSwitch,
} from '../../../src/simulate/index.ts';
import { Lab } from '../../kit/controller.ts';
import { RawPeer } from '../../kit/raw-peer.ts';

/** The whole controller in this process; switches are virtual, the TCP between them is not. */

let lab: Lab;
afterEach(() => lab.remove());

const dpid = (n: number | bigint): Dpid => n.toString(16).padStart(16, '0') as Dpid;
const isReady = (body: { status: { conditions: { type: string; status: string }[] } }): boolean =>
  body.status.conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
const port = (sw: Dpid, no: number, n: number) => ({
  network: 'lan',
  mac: `02:00:00:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`,
  addresses: [`10.0.${n >> 8}.${n & 255}`],
  binding: { switch: sw, port: no },
});

/** Flows, groups and meters, sorted, without what a switch does not tell. */
const contents = ({ flows, groups, meters }: SwitchTables): string[] =>
  [flows, groups, meters]
    .flatMap((map) => [...map.values()])
    .map((mod) =>
      JSON.stringify({ ...mod, xid: 0, command: 0, cookieMask: 0 }, (_key, value: unknown) =>
        typeof value === 'bigint' ? `${value}n` : value,
      ),
    )
    .sort();

const tablesOf = (network: VirtualNetwork): string[][] =>
  [...network.switches.values()].map(({ model }) => contents(model.tables));

describe('64-bit values', () => {
  it('datapath ids above 2^53 are three switches, each with its own path', async () => {
    lab = await Lab.start();
    for (const base of [0x0020_0000_0000_0000n, 0x0020_0000_0000_0001n, 0x8000_0000_0000_0001n]) {
      await lab.network({ switches: 1, ports: 1, dpidBase: base });
    }
    const { items } = await lab.ok('GET', '/v1/switches');
    const ids = ['0020000000000000', '0020000000000001', '8000000000000001'];
    expect(items.map(({ id }: { id: string }) => id).sort()).toEqual(ids);
    for (const id of ids) expect((await lab.ok('GET', `/v1/switches/${id}`)).id).toBe(id);
  });

  it('cookies and counters leave with all their digits', async () => {
    lab = await Lab.start();
    const network = await lab.network({ switches: 1, ports: 1 });
    const { model } = network.switches.get(dpid(1))!;
    const foreign: FlowMod = {
      type: 'flowMod',
      version: version13,
      xid: 1,
      cookie: 0x4000_0000_0000_0002n,
      cookieMask: 0n,
      tableId: 0,
      command: 0,
      idleTimeout: 0,
      hardTimeout: 0,
      priority: 7,
      bufferId: 0xffff_ffff,
      outPort: 0xffff_ffff,
      outGroup: 0xffff_ffff,
      flags: 0,
      match: [{ field: 'inPort', value: 1 }],
      instructions: [],
    };
    model.tables.apply(foreign);
    model.traffic = () => ({ packetCount: 9_007_199_254_740_993n, byteCount: 18_446_744_073_709_551_614n });
    const { items } = await lab.ok('GET', `/v1/switches/${dpid(1)}/flows`);
    const shown = items.find(({ priority }: { priority: number }) => priority === 7);
    expect(shown).toMatchObject({
      cookie: '0x4000000000000002',
      packets: '9007199254740993',
      bytes: '18446744073709551614',
    });
  });
});

describe('accepted means installed, or it is an error', () => {
  it('a port that a switch refuses is not Ready and says why; it becomes Ready once the switch takes it', async () => {
    lab = await Lab.start();
    const network = await lab.network({ switches: 1, ports: 2 });
    const { model } = network.switches.get(dpid(1))!;
    await lab.tenant('acme');
    model.refuse = (mod) => (mod.type === 'flowMod' && mod.command === 0 ? { type: 5, code: 1 } : undefined);
    const late = await lab.call('PUT', '/v1/tenants/acme/ports/a?wait=ready&timeout=300ms', port(dpid(1), 1, 1));
    expect(late.status).toBe(504);
    const { body } = await lab.call('GET', '/v1/tenants/acme/ports/a');
    expect(isReady(body)).toBe(false);
    expect(body.status.conditions[0]).toMatchObject({ reason: 'Refused' });
    expect(body.status.conditions[0].message).toMatch(
      /0000000000000001 answered OFPET_FLOW_MOD_FAILED\/OFPFMFC_TABLE_FULL/,
    );
    model.refuse = () => undefined;
    await lab.until('/v1/tenants/acme/ports/a', isReady);
  });

  it('a refused change is tried again with growing pauses, not in a loop', async () => {
    lab = await Lab.start();
    const network = await lab.network({ switches: 1, ports: 2 });
    const { model } = network.switches.get(dpid(1))!;
    await lab.tenant('acme');
    let tries = 0;
    model.refuse = (mod) => {
      if (mod.type !== 'flowMod' || mod.command !== 0) return undefined;
      tries++;
      return { type: 5, code: 1 };
    };
    await lab.call('PUT', '/v1/tenants/acme/ports/a?wait=ready&timeout=1500ms', port(dpid(1), 1, 1));
    const rules = (await lab.ok('GET', `/v1/switches/${dpid(1)}/diff`)).missing.length as number;
    // Once as a bundle that stops at the first refusal, once rule by rule, and that again after a second.
    expect(rules).toBeGreaterThan(0);
    expect(tries).toBeLessThanOrEqual(3 * (rules + 2));
    expect(await lab.sum('netloom_rule_refusals_total')).toBeGreaterThan(0);
  });
});

describe('what a switch lost', () => {
  it('is put back as it was, without any call, and what others put there stays', async () => {
    lab = await Lab.start();
    const network = await lab.network({ switches: 4, ports: 2, topology: 'ring' });
    await lab.until('/v1/links', ({ items }) => items.length === 8);
    await lab.tenant('acme');
    await lab.ok('PUT', '/v1/tenants/limited', { quota: { bandwidthKbps: 1_000 } });
    await lab.ok('PUT', '/v1/tenants/limited/networks/lan', { transport: 'fabric', unknownUnicast: 'flood' });
    for (let n = 1; n <= 4; n++) {
      await lab.ok('PUT', `/v1/tenants/acme/ports/p${n}?wait=ready`, port(dpid(n), 1, n));
      await lab.ok('PUT', `/v1/tenants/limited/ports/p${n}?wait=ready`, port(dpid(n), 2, n));
    }
    const before = tablesOf(network);
    const sw = network.switches.get(dpid(2))!;
    const { tables } = sw.model;
    expect(Math.min(tables.flows.size, tables.groups.size, tables.meters.size)).toBeGreaterThan(0);
    const others: FlowMod = { ...[...tables.flows.values()][0]!, cookie: 0x1234n, priority: 3 };
    sw.stop();
    await lab.untilSynced(3);
    for (const map of [tables.flows, tables.groups, tables.meters]) map.clear();
    tables.apply(others);
    sw.start();
    await lab.untilSynced(4);
    await lab.until('/v1/links', ({ items }) => items.every(({ state }: { state: string }) => state === 'up'));
    expect([...tables.flows.values()].some(({ cookie }) => cookie === 0x1234n)).toBe(true);
    for (const [key, { cookie }] of tables.flows) if (cookie === 0x1234n) tables.flows.delete(key);
    expect(tablesOf(network)).toEqual(before);
  });

  it('is nothing when only the controller restarts: no change is sent to a correct switch', async () => {
    lab = await Lab.start();
    const network = await lab.network({ switches: 4, ports: 2, topology: 'leaf-spine' });
    await lab.until('/v1/links', ({ items }) => items.length === 6);
    await lab.tenant('acme');
    for (let n = 2; n <= 4; n++) await lab.ok('PUT', `/v1/tenants/acme/ports/p${n}?wait=ready`, port(dpid(n), 1, n));
    const before = tablesOf(network);
    await lab.stop();
    const mods: string[] = [];
    for (const { model } of network.switches.values()) model.onMod = (mod) => mods.push(mod.type);
    await lab.start();
    await lab.untilSynced(4);
    await lab.until(
      '/v1/links',
      ({ items }) => items.length === 6 && !items.some((l: { presumed: boolean }) => l.presumed),
    );
    expect(mods).toEqual([]);
    expect(tablesOf(network)).toEqual(before);
  });
});

describe('while much is asked of it', () => {
  it('a switch is answered in between: 3,000 ports in 300 networks, echo after echo', async () => {
    lab = await Lab.start();
    const network = await lab.network({ switches: 2, ports: 1 });
    const sw = network.switches.get(dpid(1))!;
    await lab.ok('PUT', '/v1/tenants/acme', {});
    let answered = 0;
    let done = false;
    const handle = sw.model.handle.bind(sw.model);
    const echo = (): void =>
      sw.send({ type: 'echoRequest', version: version13, xid: 1000 + answered, data: Buffer.from('now') });
    sw.model.handle = (message) => {
      if (message.type === 'echoReply' && message.xid === 1000 + answered && !done) {
        answered++;
        echo();
      }
      return handle(message);
    };
    echo();
    const writes = Array.from({ length: 300 }, (_, n) => n).flatMap((n) => [
      [`/v1/tenants/acme/networks/n${n}`, {}] as const,
      ...Array.from({ length: 10 }, (_each, p) => {
        const body = { network: `n${n}`, mac: `02:00:00:00:00:0${p}` };
        return [`/v1/tenants/acme/ports/p${n}-${p}`, body] as const;
      }),
    ]);
    // A network before its ports, and ports of it at once.
    const during: number[] = [];
    for (let at = 0; at < writes.length; at += 11) {
      const before = answered;
      const [[path, body], ...ports] = writes.slice(at, at + 11) as [(typeof writes)[number], ...typeof writes];
      await lab.ok('PUT', path, body);
      await Promise.all(ports.map(([each, fields]) => lab.ok('PUT', each, fields)));
      during.push(answered - before);
    }
    done = true;
    expect(Math.min(...during)).toBeGreaterThan(0);
    expect((await lab.ok('GET', '/v1/tenants/acme/ports?limit=1')).items).toHaveLength(1);
  });
});

describe('metrics of what no longer exists', () => {
  it('are gone: switches, hosts, networks, whatever their number was', async () => {
    lab = await Lab.start({ defaultNetwork: 'true' });
    const series = async (): Promise<string[]> => {
      const [text, twin] = await Promise.all(['/metrics', '/metrics'].map((path) => lab.call('GET', path)));
      expect(twin!.status).toBe(200);
      const names = (text!.body as string).split('\n').filter((line) => line.startsWith('netloom_'));
      // A counter, and what HTTP and rules counted by kind, stay once they are there.
      return names
        .map((line) => line.slice(0, line.lastIndexOf(' ')))
        .filter((name) => !/_total|_bucket|_sum|_count/.test(name));
    };
    const keep = await lab.network({ switches: 10, ports: 10 });
    const before = await series();
    const extra = await lab.network({ switches: 10, ports: 10, dpidBase: 0x100n });
    await lab.ok('PUT', '/v1/tenants/acme', {});
    const names = Array.from({ length: 200 }, () => `n${Math.random().toString(36).slice(2, 12)}`);
    const bulk = (method: string, body?: object) =>
      lab.ok('POST', '/v1/bulk', {
        atomic: true,
        operations: names.map((name) => ({ method, path: `/v1/tenants/acme/networks/${name}`, ...(body && { body }) })),
      });
    await bulk('PUT', {});
    expect(await lab.sum('netloom_openflow_sessions')).toBe(20);
    expect(await lab.sum('netloom_objects', 'kind="network"')).toBe(200);
    await bulk('DELETE');
    await lab.ok('DELETE', '/v1/tenants/acme');
    extra.stop();
    await lab.poll(
      () => lab.sum('netloom_openflow_sessions'),
      (count) => count === 10,
      'sessions',
    );
    expect(await lab.sum('netloom_objects')).toBe(0);
    expect((await series()).sort()).toEqual(before.sort());
    const text = (await lab.call('GET', '/metrics')).body as string;
    expect(text).not.toMatch(/\d+\.\d+\.\d+\.\d+|([0-9a-f]{2}:){5}/);
    expect([...text.matchAll(/dpid="([^"]*)"/g)].every(([, id]) => /^[0-9a-f]{16}$/.test(id!))).toBe(true);
    keep.stop();
  });
});

describe('quota of flows', () => {
  it('refuses the port that would go beyond it, also among many at once, and takes it when there is room', async () => {
    lab = await Lab.start();
    await lab.network({ switches: 2, ports: 8, topology: 'linear' });
    await lab.until('/v1/links', ({ items }) => items.length === 2);
    await lab.tenant('acme');
    await lab.ok('PUT', '/v1/tenants/acme/ports/p1?wait=ready', port(dpid(1), 1, 1));
    const dry = await lab.ok('PUT', '/v1/tenants/acme/ports/p2?dryRun=true', port(dpid(1), 2, 2));
    const each = dry.changes.reduce((sum: number, change: { add: number }) => sum + change.add, 0) as number;
    await lab.ok('PUT', '/v1/tenants/acme', { quota: { flows: each * 3 } });
    const answers = await Promise.all(
      [2, 3, 4, 5, 6].map((n) => lab.call('PUT', `/v1/tenants/acme/ports/p${n}`, port(dpid(1), n, n))),
    );
    const refused = answers.filter(({ status }) => status === 409);
    expect(answers.filter(({ status }) => status === 201).length).toBeGreaterThan(0);
    expect(refused.length).toBeGreaterThan(1);
    expect(refused[0]!.body).toMatchObject({ code: 'NL_QUOTA', quota: 'flows', limit: each * 3 });
    await lab.ok('DELETE', '/v1/tenants/acme/ports/p1');
    expect((await lab.call('PUT', '/v1/tenants/acme/ports/p9', port(dpid(1), 7, 9))).status).toBe(201);
  });
});

describe('a switch in trouble', () => {
  it('that is a half-open connection is told apart, and its links are down', async () => {
    lab = await Lab.start({ 'openflow.echoIntervalMs': '100', 'openflow.echoTimeoutMs': '200' });
    const network = await lab.network({ switches: 2, ports: 1, topology: 'linear', reconnectMs: 0 });
    await lab.until('/v1/links', ({ items }) => items.length === 2);
    // Reads nothing, so it answers nothing, and no end of stream ever comes.
    network.switches.get(dpid(1))!.stall(true);
    await lab.until(`/v1/switches/${dpid(1)}`, ({ connected }) => connected === false);
    const { items } = await lab.ok('GET', '/v1/links');
    expect(items.every(({ state }: { state: string }) => state !== 'up')).toBe(true);
    expect((await lab.ok('GET', `/v1/switches/${dpid(2)}`)).connected).toBe(true);
  });

  it('that says the datapath id of a live one is refused, and may come when that is gone', async () => {
    lab = await Lab.start();
    const network = await lab.network({ switches: 1, ports: 1, reconnectMs: 0 });
    const twin = await new Promise<string>((resolve) => {
      const other = new VirtualSwitch({
        model: new SwitchModel({ dpid: dpid(1), ports: [1] }),
        target: lab.target,
        clock: systemClock,
        counters: network.counters,
        onDown: (_sw, reason) => resolve(reason),
      });
      other.start();
    });
    expect(twin).toBe('closed by the controller');
    expect((await lab.ok('GET', `/v1/switches/${dpid(1)}`)).connected).toBe(true);
    expect(await lab.sum('netloom_openflow_duplicate_alarms_total')).toBe(1);
    network.stop();
    await lab.until(`/v1/switches/${dpid(1)}`, ({ connected }) => connected === false);
    await lab.network({ switches: 1, ports: 1 });
  });
});

describe('a switch whose statistics are nonsense (FC-01)', () => {
  it('is asked again with a pause, and costs nobody else anything', async () => {
    lab = await Lab.start();
    await lab.network({ switches: 1, ports: 1, dpidBase: 2n });
    const peer = await RawPeer.up(lab.target.port, 1n);
    const zeroLength =
      '04130048XXXXXXXX0001000000000000000000000000000100000000000a0000000000000000000000000000000000000000000000000001000000000000003c0001000400000000';
    for (const kind of ['meterConfig', 'groupDesc']) {
      const { xid } = await peer.next((message) => message.type === 'multipartRequest' && message.mp === kind);
      peer.message({ type: 'multipartReply', mp: kind, flags: 0, groups: [], meters: [] } as never, xid);
    }
    const { xid } = await peer.next((message) => message.type === 'multipartRequest' && message.mp === 'flow');
    peer.send(zeroLength.replace('XXXXXXXX', xid.toString(16).padStart(8, '0')));
    // Again, which takes a second: a request that comes after our answer.
    await peer.next((message) => message.type === 'multipartRequest');
    expect(await peer.echo()).toBe('are you there');
    expect(await lab.sum('netloom_rule_switches_synced')).toBe(1);
    expect((await lab.ok('GET', `/v1/switches/${dpid(1)}`)).connected).toBe(true);
    peer.destroy();
  });
});

describe('hosts that say who they are (FC-16)', () => {
  const probe = 'ffffffffffff02000000000108060001080006040001020000000001000000000000000000000a000005';
  const announcement = 'ffffffffffff020000000001080600010800060400010200000000010a0000050000000000000a000005';
  const other = announcement.replaceAll('020000000001', '020000000002');

  it('a probe binds nothing, an announcement does, a second claim is a conflict, other networks do not care', async () => {
    lab = await Lab.start({ defaultNetwork: 'true', 'discovery.holdMs': '50' });
    const network = await lab.network({ switches: 1, ports: 4 });
    await lab.tenant('acme', { unknownUnicast: 'flood' });
    await lab.ok('PUT', '/v1/tenants/acme/ports/a?wait=ready', {
      network: 'lan',
      mac: 'learned',
      binding: { switch: dpid(1), port: 4 },
    });
    await lab.until(`/v1/switches/${dpid(1)}/ports`, ({ items }) =>
      items.every(({ role }: { role: string }) => role === 'edge'),
    );
    const say = (port: number, hex: string) => network.inject({ dpid: dpid(1), port }, Buffer.from(hex, 'hex'));
    const hosts = async (mac: string, fits: (found: { addresses: string[] }[]) => boolean) =>
      lab.until('/v1/hosts', ({ items }) => fits(items.filter((host: { mac: string }) => host.mac === mac)));
    await lab.poll(
      async () => say(1, probe)?.packetIns.length,
      (count) => count === 1,
      'a port that learns',
    );
    await hosts('02:00:00:00:00:01', ([host]) => host?.addresses.length === 0);
    say(1, announcement);
    await hosts('02:00:00:00:00:01', ([host]) => host?.addresses[0] === '10.0.0.5');
    say(2, other);
    await lab.poll(
      () => lab.sum('netloom_host_conflicts_total'),
      (count) => count === 1,
      'conflicts',
    );
    await hosts('02:00:00:00:00:02', ([host]) => host?.addresses.length === 0);
    await hosts('02:00:00:00:00:01', ([host]) => host?.addresses[0] === '10.0.0.5');
    say(4, announcement);
    await hosts(
      '02:00:00:00:00:01',
      (found) => found.length === 2 && found.every(({ addresses }) => addresses[0] === '10.0.0.5'),
    );
    expect(await lab.sum('netloom_host_conflicts_total')).toBe(1);
    expect(network.failures.size).toBe(0);
  });
});

describe('starting', () => {
  it('fails with the address when a port is taken, and leaves nothing open', async () => {
    lab = await Lab.start();
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port: no } = taken.address() as { port: number };
    await expect(lab.restartOn(no)).rejects.toThrow(/EADDRINUSE/);
    taken.close();
    await lab.restartOn(no);
    expect((await lab.call('GET', '/readyz')).status).toBe(200);
  });
});
