import { afterEach, describe, expect, it } from 'vitest';
import type { Dpid } from '../../../src/controller/kernel/index.ts';
import type { VirtualNetwork } from '../../../src/simulate/index.ts';
import { Lab } from '../../kit/controller.ts';

/** Moves of ports through the whole controller in this process; three virtual switches in a row, a guest that moves between them. */

let lab: Lab;
afterEach(() => lab.remove());

const dpid = (n: number): Dpid => n.toString(16).padStart(16, '0') as Dpid;
const at = (n: number, port = 1) => ({ switch: dpid(n), port });
const GUEST = '/v1/tenants/acme/ports/guest';
const MOVE = `${GUEST}/migration`;

/** The guest at switch 1, somebody to talk to at switch 3. */
async function start(
  settings: Record<string, string> = {},
  guest: Record<string, unknown> = {},
): Promise<VirtualNetwork> {
  lab = await Lab.start({ 'discovery.holdMs': '50', ...settings });
  const network = await lab.network({ switches: 3, ports: 3, topology: 'linear', reconnectMs: 20 });
  await lab.until('/v1/links', ({ items }) => items.length === 4);
  await lab.tenant('acme', { unknownUnicast: 'flood' });
  const body = {
    network: 'lan',
    mac: '02:00:00:00:00:01',
    addresses: ['10.0.0.1', 'fd00::1'],
    binding: at(1),
    ...guest,
  };
  await lab.ok('PUT', '/v1/tenants/acme/ports/peer?wait=ready', {
    network: 'lan',
    mac: '02:00:00:00:00:02',
    addresses: ['10.0.0.2', 'fd00::2'],
    binding: at(3, 2),
  });
  await lab.ok('PUT', `${GUEST}?wait=ready`, body);
  return network;
}

const phaseIs = (phase: string) => lab.until(MOVE, (body) => body.phase === phase);
const frames = {
  rarp: `ffffffffffff 020000000001 8035 0001080006040003 020000000001 00000000 020000000001 00000000`,
  garp: `ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000001 000000000000 0a000001`,
  na: `333300000001 020000000001 86dd 6000000000203aff fd000000000000000000000000000001 ff020000000000000000000000000001
       8800000020000000 fd000000000000000000000000000001 0201020000000001`,
  packet: `020000000002 020000000001 0800 4500001c000000004011 0000 0a000001 0a000002 13881388 00080000`,
  /** Asks for what is answered on the spot: no sign. */
  question: `ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000001 000000000000 0a000002`,
  /** Claims to be the peer. */
  otherMac: `ffffffffffff 020000000002 0806 0001080006040001 020000000002 0a000002 000000000000 0a000002`,
  otherAddress: `ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000002 000000000000 0a000002`,
  toGuest: `020000000001 020000000002 0800 4500001c000000004011 0000 0a000002 0a000001 13881388 00080000`,
} as const;
const bytes = (name: keyof typeof frames) => Buffer.from(frames[name].replaceAll(/\s/g, ''), 'hex');
const say = (network: VirtualNetwork, n: number, name: keyof typeof frames, port = 1) =>
  network.inject({ dpid: dpid(n), port }, bytes(name));
/** Where a frame from the peer to the guest comes out. */
const reached = (network: VirtualNetwork): string[] =>
  (network.inject({ dpid: dpid(3), port: 2 }, bytes('toGuest'))?.deliveries ?? [])
    .map((delivery) => `${Number(`0x${delivery.dpid}`)}:${delivery.port}`)
    .sort();
/** Every switch holds what it should, as compiled from nothing by a controller that starts anew: nothing has to be sent to any. */
async function restartChangesNothing(): Promise<void> {
  for (const n of [1, 2, 3]) await lab.until(`/v1/switches/${dpid(n)}/diff`, ({ inSync }) => inSync === true);
  await lab.stop();
  await lab.start();
  await lab.untilSynced(3);
  expect(await lab.sum('netloom_rule_changes_total')).toBe(0);
}

describe('a move that is asked for', () => {
  it('goes from phase to phase; frames reach both places, then the new one; nothing of it stays at the old one', async () => {
    const network = await start();
    expect(reached(network)).toEqual(['1:1']);
    const started = await lab.call('PUT', `${MOVE}?wait=ready`, { to: at(2) });
    expect(started.status).toBe(201);
    expect(started.body).toMatchObject({ phase: 'ready', from: at(1), to: at(2), announced: true, seamless: true });
    expect(reached(network)).toEqual(['1:1', '2:1']);
    expect((await lab.call('PUT', MOVE, { to: at(2) })).status).toBe(200);
    expect((await lab.ok('GET', GUEST)).binding).toEqual(at(1));
    const done = await lab.ok('POST', `${MOVE}/complete?wait=ready`);
    expect(done).toMatchObject({ phase: 'done', activatedBy: 'complete', outageMs: 0 });
    expect(reached(network)).toEqual(['2:1']);
    expect(say(network, 1, 'packet')).toMatchObject({ deliveries: [], packetIns: [] });
    expect((await lab.ok('GET', GUEST)).binding).toEqual(at(2));
    // The old place is free for others again.
    await lab.ok('PUT', '/v1/tenants/acme/ports/next?wait=ready', {
      network: 'lan',
      mac: '02:00:00:00:00:09',
      binding: at(1),
    });
    expect(await lab.sum('netloom_migrations_total', 'outcome="done"')).toBe(1);
    const metrics = (await lab.call('GET', '/metrics')).body as string;
    expect(metrics).toContain('netloom_migration_outage_seconds_count{tenant="acme"} 1');
    await restartChangesNothing();
  });

  it.each(['rarp', 'garp', 'na', 'packet'] as const)(
    'is switched over by %s of the guest at its new place, when that is wanted',
    async (sign) => {
      const network = await start();
      const others = (['rarp', 'garp', 'na'] as const).filter((other) => other !== sign);
      await lab.ok('PUT', `${MOVE}?wait=ready`, { to: at(2), activateOn: [sign] });
      say(network, 2, 'question');
      if (sign !== 'packet') for (const other of [...others, 'packet'] as const) say(network, 2, other);
      // The same from the old place is no sign either.
      say(network, 1, sign);
      await lab.ok('PUT', '/v1/tenants/acme/ports/other?wait=ready', { network: 'lan', mac: 'learned' });
      expect(await lab.ok('GET', MOVE)).toMatchObject({ phase: 'ready' });
      say(network, 2, sign);
      expect(await phaseIs('done')).toMatchObject({ activatedBy: sign, outageMs: 0 });
    },
  );

  it('is switched over when its time is up', async () => {
    await start();
    await lab.ok('PUT', `${MOVE}?wait=ready`, { to: at(2), activateOn: [], activateAfterMs: 50 });
    expect(await phaseIs('done')).toMatchObject({ activatedBy: 'timeout' });
  });

  it('with deliver "active" brings frames to one place at a time, and forwards what was sent to the old one', async () => {
    const network = await start();
    await lab.ok('PUT', `${MOVE}?wait=ready`, { to: at(2), deliver: 'active' });
    expect(reached(network)).toEqual(['1:1']);
    say(network, 2, 'rarp');
    await phaseIs('switched');
    expect(reached(network)).toEqual(['2:1']);
    expect((await phaseIs('done')).outageMs).toBeGreaterThan(0);
    expect(reached(network)).toEqual(['2:1']);
    await restartChangesNothing();
  });

  it('is not switched over by somebody else: port security holds at the new place, too', async () => {
    const network = await start();
    await lab.ok('PUT', `${MOVE}?wait=ready`, { to: at(2) });
    for (const claim of ['otherMac', 'otherAddress'] as const) {
      expect(say(network, 2, claim)).toMatchObject({ deliveries: [], packetIns: [] });
    }
    // Somebody at a place of their own claims to be the guest.
    await lab.ok('PUT', '/v1/tenants/acme/ports/evil?wait=ready', {
      network: 'lan',
      mac: '02:00:00:00:00:66',
      binding: at(2, 2),
    });
    for (const claim of ['rarp', 'garp', 'packet'] as const) {
      expect(say(network, 2, claim, 2)).toMatchObject({ deliveries: [], packetIns: [] });
    }
    expect(await lab.ok('GET', MOVE)).toMatchObject({ phase: 'ready' });
  });

  it('within a switch changes the port', async () => {
    const network = await start();
    await lab.ok('PUT', `${MOVE}?wait=ready`, { to: at(1, 3) });
    expect(reached(network)).toEqual(['1:1', '1:3']);
    say(network, 1, 'rarp', 3);
    await phaseIs('done');
    expect(reached(network)).toEqual(['1:3']);
    await restartChangesNothing();
  });

  it('of a port that is learned ends when its host is seen at the new place', async () => {
    const network = await start({}, { mac: 'learned', addresses: [] });
    say(network, 1, 'packet');
    await lab.until('/v1/hosts', ({ items }) => items.length === 1);
    await lab.ok('PUT', `${MOVE}?wait=ready`, { to: at(2) });
    expect(reached(network)).toEqual(['1:1']);
    say(network, 2, 'packet');
    expect(await phaseIs('done')).toMatchObject({ activatedBy: 'packet' });
    expect(reached(network)).toEqual(['2:1']);
  });

  it('waits for its new place, and says for what', async () => {
    const network = await start();
    const begun = await lab.ok('PUT', MOVE, { to: { switch: dpid(2), port: 9 } });
    expect(begun).toMatchObject({ phase: 'preparing', waitsFor: expect.stringContaining('has no port 9') });
    const late = await lab.call('PUT', `${MOVE}?wait=ready&timeout=100ms`, { to: { switch: dpid(2), port: 9 } });
    expect(late.status).toBe(504);
    expect(late.body).toMatchObject({ code: 'NL_TIMEOUT', objectStatus: { phase: 'preparing' } });
    expect((await lab.call('POST', `${MOVE}/complete`)).status).toBe(409);
    await lab.ok('POST', `${MOVE}/abort`);
    expect(reached(network)).toEqual(['1:1']);
  });
});

describe('a move that is taken back', () => {
  it.each(['ready', 'switched'] as const)('in phase %s leaves everything as it was', async (phase) => {
    const network = await start();
    await lab.ok('PUT', `${MOVE}?wait=ready`, { to: at(2), deliver: 'active' });
    if (phase === 'switched') await lab.ok('POST', `${MOVE}/complete`);
    const aborted = await lab.ok('POST', `${MOVE}/abort?wait=ready`);
    expect(aborted).toMatchObject({ phase: 'aborted', reason: 'taken back by REST' });
    expect(await lab.ok('POST', `${MOVE}/abort`)).toMatchObject({ phase: 'aborted' });
    expect((await lab.ok('GET', GUEST)).binding).toEqual(at(1));
    expect(reached(network)).toEqual(['1:1']);
    expect(say(network, 2, 'rarp')).toMatchObject({ deliveries: [], packetIns: [] });
    await restartChangesNothing();
  });

  it('is refused when it is done; a move back is another move', async () => {
    await start();
    await lab.ok('PUT', `${MOVE}?wait=ready`, { to: at(2) });
    await lab.ok('POST', `${MOVE}/complete?wait=ready`);
    expect((await lab.call('POST', `${MOVE}/abort`)).status).toBe(409);
    expect((await lab.call('PUT', `${MOVE}?wait=ready`, { to: at(1) })).status).toBe(201);
  });
});

describe('what is refused', () => {
  it('a second move, another binding, and a place that is taken, while one is under way; each says why', async () => {
    await start();
    expect((await lab.call('GET', MOVE)).status).toBe(404);
    expect((await lab.call('POST', `${MOVE}/complete`)).status).toBe(404);
    const taken = await lab.call('PUT', MOVE, { to: at(3, 2) });
    expect(taken).toMatchObject({ status: 409, body: { code: 'NL_CONFLICT', errors: [{ pointer: '/to' }] } });
    expect((await lab.call('PUT', MOVE, { to: at(1) })).status).toBe(409);
    const wrong = await lab.call('PUT', MOVE, { to: { switch: 'x' }, activateOn: ['smoke'], more: 1 });
    expect(wrong.status).toBe(400);
    expect(wrong.body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual(
      expect.arrayContaining(['/more', '/activateOn/0']),
    );
    await lab.ok('PUT', `${MOVE}?wait=ready`, { to: at(2) });
    expect((await lab.call('PUT', MOVE, { to: at(2, 3) })).body.detail).toMatch(
      /moves to port 1 of switch .*2 already/,
    );
    const rebound = await lab.call('PATCH', GUEST, { binding: at(2, 3) });
    expect(rebound).toMatchObject({ status: 409, body: { errors: [{ pointer: '/binding' }] } });
    const other = { network: 'lan', mac: '02:00:00:00:00:09', binding: at(2) };
    expect((await lab.call('PUT', '/v1/tenants/acme/ports/other', other)).status).toBe(409);
    // All else of the port may change meanwhile.
    await lab.ok('PATCH', `${GUEST}?wait=ready`, { addresses: ['10.0.0.1'] });
    expect(await lab.ok('GET', MOVE)).toMatchObject({ phase: 'ready' });
    await lab.ok('DELETE', `${GUEST}?wait=ready`);
    await lab.ok('PUT', '/v1/tenants/acme/ports/other?wait=ready', other);
  });
});

describe('a controller that is started again', () => {
  it.each(['preparing', 'ready', 'switched'] as const)('finds a move in phase %s and carries it on', async (phase) => {
    const network = await start();
    const to = phase === 'preparing' ? { switch: dpid(2), port: 9 } : at(2);
    await lab.ok('PUT', `${MOVE}${phase === 'preparing' ? '' : '?wait=ready'}`, { to, deliver: 'active' });
    if (phase === 'switched') await lab.ok('POST', `${MOVE}/complete`);
    const before = await lab.ok('GET', MOVE);
    expect(before.phase).toBe(phase);
    await lab.stop();
    await lab.start();
    await lab.untilSynced(3);
    expect((await lab.ok('GET', MOVE)).startedAt).toBe(before.startedAt);
    if (phase === 'preparing') await lab.ok('POST', `${MOVE}/abort?wait=ready`);
    if (phase === 'ready') say(network, 2, 'garp');
    if (phase !== 'preparing') await phaseIs('done');
    expect(reached(network)).toEqual([phase === 'preparing' ? '1:1' : '2:1']);
    await restartChangesNothing();
  });
});

describe('back and forth', () => {
  it('thirty times as fast as it goes ends where it was last, with nothing left behind', async () => {
    const network = await start();
    for (let i = 0; i < 30; i++) {
      const to = i % 2 === 0 ? 2 : 1;
      await lab.ok('PUT', `${MOVE}?wait=ready`, { to: at(to) });
      say(network, to, 'rarp');
      await lab.until(MOVE, ({ phase }) => phase === 'switched' || phase === 'done');
    }
    await phaseIs('done');
    expect(reached(network)).toEqual(['1:1']);
    await restartChangesNothing();
  });
});
