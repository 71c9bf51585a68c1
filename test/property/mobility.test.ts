import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ACTIVATION_SIGNS,
  type Dpid,
  dpidOf,
  finishMigration,
  isMoving,
  type Member,
  membershipOf,
  type Port,
  type Rule,
  readyMigration,
  startMigration,
  switchMigration,
} from '../../src/controller/index.ts';
import { encodePacket } from '../../src/ofproto/index.ts';
import type { Simulator } from '../../src/simulate/index.ts';
import type { World } from '../kit/world.ts';
import { ipv4Of, macOf, makeWorld, movingEdit, perform } from './worlds.ts';

/** Moves of ports on random networks: what frames do while switches change over one after the other. */

const numRuns = Number(process.env['NETLOOM_PROPERTY_RUNS'] ?? 100);
const GUEST = 1;
const place = ({ dpid, no }: Member): string => `${dpid}/${no}`;

/** The same state with no memory of moves that are over. */
function forgetMoves(w: World): void {
  for (const port of [...w.desired.ports.values()]) {
    if (isMoving(port) || !port.migration) continue;
    w.desired.apply([{ kind: 'port', before: port, after: { ...port, migration: undefined } }]);
  }
}

const steps = ['start', 'ready', 'switch', 'finish'] as const;

/** What frames from a sender to the guest come to. */
const reached = (sim: Simulator, from: Member, host: number): string[] => {
  const frame = encodePacket({
    layers: [
      { kind: 'ethernet', dst: macOf(GUEST), src: macOf(host) },
      { kind: 'ipv4', src: Number(ip(host)), dst: Number(ip(GUEST)) },
      { kind: 'udp', src: 1, dst: 2 },
    ],
    payload: Buffer.from('to the guest'),
  });
  return sim
    .inject({ dpid: from.dpid, port: from.no }, frame)
    .deliveries.map(({ dpid, port }) => `${dpid}/${port}`)
    .sort();
};
const ip = (host: number): bigint =>
  ipv4Of(host)
    .split('.')
    .reduce((sum, part) => sum * 256n + BigInt(part), 0n);

/** A guest, and peers of it at other switches, in a network of this transport. */
function worldWithGuest(transport: 'fabric' | 'vxlan' | 'nvgre', inRow: boolean): World {
  const w = makeWorld(false, inRow);
  if (inRow && transport !== 'fabric') {
    for (let n = 1; n <= 5; n++) {
      w.hypervisor(`hv${n}`, n, [`192.0.2.${n}`]);
      w.labels(n, { 6: { tunnel: 'vxlan' }, 7: { tunnel: 'nvgre' } });
    }
  }
  w.network('t', 'n', { transport });
  for (const [host, n] of [
    [GUEST, 1],
    [2, 1],
    [3, 2],
    [4, 3],
    [5, 5],
  ] as const) {
    const no = host === 2 ? 2 : 1;
    w.port({ tenant: 't', id: `n${host}`, network: 'n', mac: macOf(host), addresses: [ipv4Of(host)], at: [n, no] });
  }
  return w.compile();
}

const tables = (w: World): ReadonlyMap<Dpid, readonly Rule[]> =>
  new Map(Array.from({ length: 5 }, (_, i) => [dpidOf(BigInt(i + 1)), [...w.rules(i + 1).values()]]));

describe('a port that moves', () => {
  it('leaves nothing behind: rules are those of a port that has always been there', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(movingEdit, { minLength: 20, maxLength: 60, size: 'max' }),
        async (inRow, edits) => {
          const w = makeWorld(false, inRow);
          for (const e of edits) await perform(w, e);
          w.compile();
          const moved = w.allText();
          forgetMoves(w);
          expect(moved).toEqual(w.fromNothing());
        },
      ),
      { numRuns },
    );
  });

  it('gets every frame once whichever switches have changed over already, the new place being the first to', {
    timeout: 120_000,
  }, () => {
    fc.assert(
      fc.property(
        fc.constantFrom('fabric' as const, 'vxlan' as const, 'nvgre' as const),
        fc.boolean(),
        fc.constantFrom('both' as const, 'active' as const),
        fc.boolean(),
        fc.constantFrom([1, 3], [2, 2], [4, 1], [5, 2]),
        fc.array(fc.subarray([1, 2, 3, 4, 5]), { minLength: 1, maxLength: 6 }),
        (transport, row, deliver, everywhere, [n = 1, no = 1], orders) => {
          // A row of switches is a fabric; else hypervisors that share an underlay.
          const inRow = transport === 'fabric' || row;
          const w = worldWithGuest(transport, inRow);
          const guest = (): Port => w.desired.ports.get(`t/n${GUEST}`)!;
          const membership = membershipOf(w.state);
          const old = membership.placeOf(guest())!;
          const to = { switch: dpidOf(BigInt(n)), port: no };
          const senders = [2, 3, 4, 5].map(
            (host) => [host, membership.placeOf(w.desired.ports.get(`t/n${host}`)!)!] as const,
          );
          for (const step of steps) {
            const before = tables(w);
            const startedAt = guest().migration?.startedAt ?? '';
            const spec = { to, deliver, activateOn: ACTIVATION_SIGNS, activateAfterMs: undefined };
            w.move(
              't',
              `n${GUEST}`,
              {
                start: startMigration(spec),
                ready: readyMigration(startedAt, everywhere),
                switch: switchMigration(startedAt, 'packet'),
                finish: finishMigration(startedAt, 0),
              }[step],
            );
            w.compile();
            const isAt = step === 'start' || step === 'ready' ? old : membership.placeOf(guest())!;
            const both = deliver === 'both' && step !== 'finish';
            for (const changed of orders) {
              const sim = w.simulator();
              for (const [dpid, rules] of before) {
                if (dpid !== to.switch && !changed.some((each) => dpidOf(BigInt(each)) === dpid))
                  sim.switches.get(dpid)!.replace(rules);
              }
              for (const [host, from] of senders) {
                const at = reached(sim, from, host);
                const wanted = at.filter((each) => each === place(isAt));
                const context = `${step}: ${host} → ${at.join()} with ${changed.join()} changed`;
                // Who sends to the old place still, which has not heard of the move, reaches that only: the one thing that cannot be helped.
                const late = step === 'switch' && deliver === 'active' && at.join() === place(old);
                // Without word from all switches the old place forwards what some send to both.
                const twice = step === 'switch' && both && !everywhere ? 2 : 1;
                if (!late) expect(wanted.length, context).toBeGreaterThanOrEqual(1);
                expect(wanted.length, context).toBeLessThanOrEqual(twice);
                const astray = at.filter(
                  (each) => each !== place(isAt) && !(each === place(old) || each === `${to.switch}/${no}`),
                );
                expect(astray, context).toEqual([]);
                if (!both && !late) expect(at, context).toEqual([place(isAt)]);
              }
            }
          }
        },
      ),
      { numRuns: numRuns * 2 },
    );
  });
});
