import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { discoveryCompiler } from '../../../../src/apps/discovery/index.ts';
import { ProbeCodec } from '../../../../src/apps/discovery/probe.ts';
import { describeRule, type NetworkState, type Owner, type Rule } from '../../../../src/controller/index.ts';
import { decodeLldpFrame } from '../../../../src/ofproto/index.ts';
import { at, bench, cable, description, dpid, port } from '../../observed/kit.ts';

const stateOf = (observed: NetworkState['observed']): NetworkState =>
  ({ observed, desired: undefined, defaultNetwork: false }) as unknown as NetworkState;

const textOf = (owner: Owner, state: NetworkState): string[] =>
  [...discoveryCompiler.compile(owner, state)].flatMap(([id, rules]) =>
    rules.map((rule: Rule) => `${Number(BigInt(`0x${id}`))} ${describeRule(rule)}`),
  );

describe('rules of discovery', () => {
  it('show the controller LLDP, metered apart on link ports', () => {
    const { observed } = bench();
    observed.switchUp(description(1));
    observed.switchUp(description(2));
    cable(observed, at(1, 3), at(2, 1));
    const state = stateOf(observed);
    const [owner] = [...discoveryCompiler.owners(state)];
    expect(owner).toMatchObject({ app: 1, id: 1, object: `/v1/switches/${dpid(1)}` });
    expect(textOf(owner!, state)).toMatchInlineSnapshot(`
      [
        "1 meter=0x2 → drop above 100 pktps, burst 200",
        "1 table=classify priority=control eth_dst=01:80:c2:00:00:0e,eth_type=0x88cc → meter:2,controller:65535",
        "1 meter=0x1 → drop above 500 pktps, burst 500",
        "1 table=classify priority=linkControl in_port=3,eth_dst=01:80:c2:00:00:0e,eth_type=0x88cc → meter:1,controller:65535",
      ]
    `);
  });

  it('are named as affected whenever they differ, after any sequence of events', () => {
    const event = fc.record({
      what: fc.constantFrom('up', 'down', 'forget', 'link', 'lost', 'portDown', 'portUp', 'settle'),
      n: fc.integer({ min: 1, max: 3 }),
      m: fc.integer({ min: 1, max: 3 }),
      p: fc.integer({ min: 1, max: 3 }),
      q: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (events) => {
        const { observed, changes } = bench();
        const state = stateOf(observed);
        const held = new Map<string, string[]>();
        for (const { what, n, m, p, q } of events) {
          if (what === 'up') observed.switchUp(description(n, 3));
          else if (what === 'down') observed.switchDown(dpid(n));
          else if (what === 'forget') observed.forgetSwitch(dpid(n));
          else if (what === 'link') observed.linkSeen(at(n, p), at(m, q));
          else if (what === 'lost') observed.linkLost(at(n, p));
          else if (what === 'settle') observed.portSettled(at(n, p));
          else observed.portChanged(dpid(n), port(n, p, { up: what === 'portUp' }));
          for (const change of changes.splice(0)) {
            for (const owner of discoveryCompiler.affected(change, state)) held.set(owner.key, textOf(owner, state));
          }
          const fresh = new Map([...discoveryCompiler.owners(state)].map((owner) => [owner.key, textOf(owner, state)]));
          for (const [key, rules] of held) expect(rules).toEqual(fresh.get(key) ?? []);
          for (const key of fresh.keys()) expect(held.has(key)).toBe(true);
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('probes', () => {
  const codec = new ProbeCodec(Buffer.alloc(32, 1), 46);
  const now = 1_764_072_000_123;

  it('are LLDP that others can read, and come back as what was sent', () => {
    const frame = Buffer.from(codec.encode(dpid(0xabc), 7, 0x0200_0000_0007, now));
    const lldp = decodeLldpFrame(frame, 0, frame.length);
    expect(lldp).toMatchObject({ dst: 0x0180_c200_000e, src: 0x0200_0000_0007, ttl: 46 });
    expect(codec.decode(frame, 0, frame.length)).toEqual({ dpid: dpid(0xabc), port: 7, sentAt: now });
    // Switches pad to 60 bytes.
    const padded = Buffer.concat([frame, Buffer.alloc(20)]);
    expect(codec.decode(padded, 0, padded.length)).toEqual({ dpid: dpid(0xabc), port: 7, sentAt: now });
  });

  it('are refused when a single bit of what they say differs, or the key does', () => {
    const frame = Buffer.from(codec.encode(dpid(1), 7, 0, now));
    for (let bit = 14 * 8; bit < frame.length * 8; bit++) {
      const bent = Buffer.from(frame);
      bent[bit >> 3]! ^= 1 << (bit & 7);
      const got = codec.decode(bent, 0, bent.length);
      // The TTL and the end mark say nothing of ours.
      if (typeof got === 'object') expect(got).toEqual({ dpid: dpid(1), port: 7, sentAt: now });
    }
    expect(new ProbeCodec(Buffer.alloc(32, 2), 46).decode(frame, 0, frame.length)).toBe('forged');
  });

  it('never make reading throw, whatever the bytes', () => {
    const frame = Buffer.from(codec.encode(dpid(1), 7, 0, now));
    // Without its last two bytes only the end mark is missing, which is allowed.
    for (let end = 0; end < frame.length - 2; end++) {
      expect(['foreign', 'malformed']).toContain(codec.decode(frame, 0, end));
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        const all = Buffer.concat([frame.subarray(0, 14), bytes]);
        expect(['foreign', 'malformed', 'forged']).toContain(codec.decode(all, 0, all.length));
      }),
      { numRuns: 2_000 },
    );
  });
});
