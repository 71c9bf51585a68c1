import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_NETWORK, type Dpid, type Member, membershipOf, parseIp } from '../../src/controller/index.ts';
import { encodePacket, type Layer, linkLayerOption } from '../../src/ofproto/index.ts';
import type { Delivery, SimResult, Simulator } from '../../src/simulate/index.ts';
import type { World } from '../kit/world.ts';
import { type Edit, edit, ipv4Of, ipv6Of, joins, macOf, makeWorld, perform } from './worlds.ts';

const BROADCAST = 0xffffffffffff;
const u32 = (text: string): number => Number(parseIp(text)!.value);
const u128 = (text: string): bigint => parseIp(text)!.value;
const udp: Layer = { kind: 'udp', src: 5000, dst: 6000 };
const payload = Buffer.from('netloom property test');

/** Somebody who can send and be sent to. Its number gives MAC and addresses. */
interface End {
  readonly host: number;
  readonly member: Member;
  readonly secure: boolean;
  readonly addressed: boolean;
  readonly declared: boolean;
}

/** What the property is held against: found from state in the plainest way, without what compilers use of it. */
class Oracle {
  readonly ends: readonly End[];
  readonly #w: World;

  constructor(w: World) {
    this.#w = w;
    const membership = membershipOf({ ...w.state });
    const ends: End[] = [];
    for (const dpid of w.observed.switches.keys()) {
      for (const member of membership.membersOf(dpid)) {
        const { port } = member;
        if (port && port.mac !== 'learned') {
          const [host, addressed] = [port.mac - macOf(0), port.addresses.length > 0];
          ends.push({ host, member, secure: port.portSecurity, addressed, declared: true });
        } else {
          for (const { network, mac } of w.observed.hostsAt({ dpid, port: member.no })) {
            const isDeclared = [...w.desired.ports.values()].some((other) => {
              const index = this.#indexOf(other.tenant, other.network);
              return other.mac === mac && (index === network || index === this.beyond(network)?.network);
            });
            if (network !== member.network || isDeclared) continue;
            ends.push({ host: mac - macOf(0), member, secure: false, addressed: false, declared: false });
          }
        }
      }
    }
    this.ends = ends;
    this.members = [...w.observed.switches.keys()].flatMap((dpid) => [...membership.membersOf(dpid)]);
  }

  readonly members: readonly Member[];

  #indexOf(tenant: string, network: string): number | undefined {
    return this.#w.desired.networks.get(`${tenant}/${network}`)?.index;
  }

  isUp({ dpid, no }: Member): boolean {
    return this.#w.observed.switches.get(dpid)?.ports.get(no)?.up === true;
  }

  /** The other network of a segment that spans two, and the gateway between them; undefined when there is none. */
  beyond(
    network: number,
  ): { readonly network: number; readonly gateway: Dpid; readonly former: Dpid | undefined } | undefined {
    const { desired, observed } = this.#w;
    const side = desired.networkByIndex(network);
    for (const extension of desired.networks.values()) {
      if (!side || extension.extends === undefined || extension.tenant !== side.tenant) continue;
      if (side !== extension && side.id !== extension.extends) continue;
      const found = observed.gateway(`network/${extension.index}`);
      if (found === undefined || !observed.switches.has(found.dpid)) return undefined;
      const { dpid: gateway, former } = found;
      const hypervisor = desired.hypervisorByDpid(gateway);
      if (!hypervisor || !extension.gateways.includes(hypervisor.id)) return undefined;
      const other = side === extension ? extension.extends : extension.id;
      return { network: this.#indexOf(side.tenant, other)!, gateway, former };
    }
    return undefined;
  }

  /** The two halves of a way through a gateway; undefined when it needs none. */
  #across(a: Member, b: Member): readonly [Hop, Hop] | undefined {
    const beyond = a.network === b.network ? undefined : this.beyond(a.network);
    if (beyond?.network !== b.network) return undefined;
    const isTunnelled = this.#w.desired.networkByIndex(a.network)?.transport !== 'fabric';
    // Whatever a former gateway sends through tunnels may have been carried over by it.
    if (isTunnelled && a.dpid === beyond.former && a.dpid !== beyond.gateway) return undefined;
    return [
      [a, { network: a.network, dpid: beyond.gateway }],
      [{ network: b.network, dpid: beyond.gateway }, b],
    ];
  }

  reaches(a: At, b: At): boolean {
    const across = this.#across(a as Member, b as Member);
    if (across) return across.every(([from, to]) => this.reaches(from, to));
    if (a.network !== b.network) return false;
    if (a.dpid === b.dpid) return true;
    const transport = a.network === DEFAULT_NETWORK ? 'fabric' : this.#w.desired.networkByIndex(a.network)?.transport;
    if (transport === undefined) return false;
    if (transport === 'fabric') return this.#w.observed.component(a.dpid).has(b.dpid);
    const ends = [a, b].map(({ dpid }) => {
      const isEnd = [...(this.#w.observed.switches.get(dpid)?.ports.values() ?? [])].some(
        (port) => port.tunnel === transport,
      );
      return isEnd ? (this.#w.desired.hypervisorByDpid(dpid)?.tunnelAddresses ?? []) : [];
    });
    return [4, 6].some((family) => ends.every((addresses) => addresses.some((address) => address.family === family)));
  }

  /** Copies for many are not sent to a hypervisor that tunnels do not reach. */
  isCutOff(from: At, to: At): boolean {
    const across = this.#across(from as Member, to as Member);
    if (across) return across.some(([a, b]) => this.isCutOff(a, b));
    const transport = this.#w.desired.networkByIndex(from.network)?.transport;
    const other = this.#w.desired.hypervisorByDpid(to.dpid)?.id;
    if (from.dpid === to.dpid || other === undefined || transport === undefined || transport === 'fabric') return false;
    return this.#w.observed.tunnel(from.dpid, other, transport)?.state === 'down';
  }

  floods(network: number): boolean {
    return network === DEFAULT_NETWORK || this.#w.desired.networkByIndex(network)?.unknownUnicast === 'flood';
  }

  /** Switches between which frames go: all must be able to restore multicast for it to arrive as it was sent. */
  isNicira(dpid: Dpid): boolean {
    return this.#w.observed.switches.get(dpid)!.nicira;
  }

  /** One whose MAC is seen on both sides of a gateway is known on each side only. */
  isAmbiguous(from: Member, to: End): boolean {
    if (from.network === to.member.network || to.declared) return false;
    return this.#w.observed.host(from.network, macOf(to.host)) !== undefined;
  }

  /** The fabric finds learned hosts by ids that only their own switch knows. */
  isHidden(from: Member, to: End): boolean {
    if (from.network === to.member.network || to.declared) return false;
    const beyond = this.beyond(from.network);
    const transport = this.#w.desired.networkByIndex(from.network)?.transport;
    return transport === 'fabric' && beyond?.gateway !== to.member.dpid && beyond?.gateway !== from.dpid;
  }

  memberAt(delivery: Delivery): Member | undefined {
    return this.members.find(({ dpid, no }) => dpid === delivery.dpid && no === delivery.port);
  }
}

interface At {
  readonly network: number;
  readonly dpid: Dpid;
}
type Hop = readonly [At, At];

const place = ({ dpid, no }: Member): string => `${dpid}/${no}`;
const places = (result: SimResult): string[] => result.deliveries.map(({ dpid, port }) => `${dpid}/${port}`).sort();

const toHost = (from: End, host: number, v6: boolean): Buffer =>
  encodePacket({
    layers: [
      { kind: 'ethernet', dst: macOf(host), src: macOf(from.host) },
      v6
        ? { kind: 'ipv6', src: u128(ipv6Of(from.host)), dst: u128(ipv6Of(host)) }
        : { kind: 'ipv4', src: u32(ipv4Of(from.host)), dst: u32(ipv4Of(host)) },
      udp,
    ],
    payload,
  });

const toAll = (from: End, dst: number, v6: boolean): Buffer =>
  encodePacket({
    layers: [
      { kind: 'ethernet', dst, src: macOf(from.host) },
      v6
        ? { kind: 'ipv6', src: u128(ipv6Of(from.host)), dst: u128('ff02::1:ff00:1234') }
        : {
            kind: 'ipv4',
            src: u32(ipv4Of(from.host)),
            dst: u32(dst === BROADCAST ? '255.255.255.255' : '239.129.2.3'),
          },
      udp,
    ],
    payload,
  });

const whoHas = (from: End, host: number): Buffer =>
  encodePacket({
    layers: [
      { kind: 'ethernet', dst: BROADCAST, src: macOf(from.host) },
      { kind: 'arp', op: 1, sha: macOf(from.host), spa: u32(ipv4Of(from.host)), tha: 0, tpa: u32(ipv4Of(host)) },
    ],
  });

const solicit = (from: End, host: number): Buffer =>
  encodePacket({
    layers: [
      { kind: 'ethernet', dst: 0x3333ff000000 + host, src: macOf(from.host) },
      { kind: 'ipv6', src: u128(ipv6Of(from.host)), dst: u128(`ff02::1:ff00:${host}`), hopLimit: 255 },
      { kind: 'icmpv6', type: 135, code: 0, rest: 0 },
      { kind: 'nd', target: u128(ipv6Of(host)), options: [linkLayerOption(1, macOf(from.host))] },
    ],
  });

/** Whatever is sent: copies come out only at ports of the sender's network, each port at most once. */
function isolated(oracle: Oracle, from: Member, result: SimResult): void {
  const segment = [from.network, oracle.beyond(from.network)?.network];
  for (const delivery of result.deliveries) expect(segment).toContain(oracle.memberAt(delivery)?.network);
  expect(new Set(places(result)).size).toBe(result.deliveries.length);
}

function checkUnicast(sim: Simulator, oracle: Oracle, from: End, to: End): void {
  for (const v6 of [false, true]) {
    const frame = toHost(from, to.host, v6);
    const result = sim.inject({ dpid: from.member.dpid, port: from.member.no }, frame);
    isolated(oracle, from.member, result);
    // Somebody of another network: whoever has that MAC in the sender's own may get it, nobody else.
    if (to.member.network !== from.member.network && !oracle.reaches(from.member, to.member)) continue;
    if (oracle.isAmbiguous(from.member, to) || oracle.isHidden(from.member, to)) continue;
    if (place(to.member) === place(from.member) || to.host === from.host) continue;
    if (oracle.reaches(from.member, to.member)) {
      expect(places(result)).toEqual(oracle.isUp(to.member) ? [place(to.member)] : []);
      for (const delivery of result.deliveries) expect(delivery.frame).toEqual(frame);
    } else if (!oracle.floods(from.member.network)) expect(places(result)).toEqual([]);
  }
}

function checkBroadcast(sim: Simulator, oracle: Oracle, from: End): void {
  const expected = oracle.members
    .filter((other) => oracle.reaches(from.member, other) && place(other) !== place(from.member) && oracle.isUp(other))
    .filter((other) => !oracle.isCutOff(from.member, other))
    .map(place)
    .sort();
  for (const [dst, v6] of [
    [BROADCAST, false],
    [0x01005e010203, false],
    [0x3333ff001234, true],
  ] as const) {
    const frame = toAll(from, dst, v6);
    const result = sim.inject({ dpid: from.member.dpid, port: from.member.no }, frame);
    expect(places(result)).toEqual(expected);
    for (const delivery of result.deliveries) {
      const gateway = oracle.beyond(from.member.network)?.gateway;
      const through = [delivery.dpid, ...(gateway === undefined ? [] : [gateway])].filter(
        (dpid) => dpid !== from.member.dpid || dpid === gateway,
      );
      const cannotRestore = through.some((dpid) => !oracle.isNicira(dpid));
      if (!cannotRestore) expect(delivery.frame).toEqual(frame);
    }
  }
}

function checkAnswers(sim: Simulator, oracle: Oracle, from: End, to: End): void {
  if (!to.declared || !to.addressed || to.host === from.host || !oracle.reaches(from.member, to.member)) return;
  if (!oracle.isNicira(from.member.dpid)) return;
  for (const frame of [whoHas(from, to.host), solicit(from, to.host)]) {
    const result = sim.inject({ dpid: from.member.dpid, port: from.member.no }, frame);
    expect(places(result)).toEqual([place(from.member)]);
    const [answer] = result.deliveries;
    expect(answer!.frame.readUIntBE(0, 6)).toBe(macOf(from.host));
    expect(answer!.frame.readUIntBE(6, 6)).toBe(macOf(to.host));
  }
}

function checkSpoofs(sim: Simulator, from: End): void {
  if (!from.secure) return;
  const at = { dpid: from.member.dpid, port: from.member.no };
  const other: End = { ...from, host: from.host === 1 ? 2 : 1 };
  const frames = [toHost(other, 3, false), toAll(other, BROADCAST, false), whoHas(other, 3), solicit(other, 3)];
  if (from.addressed) {
    const source = Buffer.alloc(6);
    source.writeUIntBE(macOf(from.host), 0, 6);
    // The same in the right MAC's name, but with the other's addresses.
    for (const frame of frames.slice()) {
      const forged = Buffer.from(frame);
      source.copy(forged, 6);
      frames.push(forged);
    }
  }
  for (const frame of frames) expect(sim.inject(at, frame)).toMatchObject({ deliveries: [], packetIns: [] });
}

function checkAll(w: World, sim: Simulator): void {
  const oracle = new Oracle(w);
  for (const from of oracle.ends) {
    if (!oracle.isUp(from.member)) continue;
    for (const to of oracle.ends) {
      checkUnicast(sim, oracle, from, to);
      checkAnswers(sim, oracle, from, to);
    }
    checkBroadcast(sim, oracle, from);
    checkSpoofs(sim, from);
  }
  // A port that carries nothing lets nothing in.
  for (const sw of w.observed.switches.values()) {
    for (const port of sw.ports.values()) {
      if (
        port.role === 'link' ||
        port.tunnel !== undefined ||
        oracle.members.some((m) => m.dpid === sw.dpid && m.no === port.no)
      )
        continue;
      const stranger = { host: 1 } as End;
      const at = { dpid: sw.dpid, port: port.no };
      for (const frame of [toHost(stranger, 2, false), toAll(stranger, BROADCAST, false)]) {
        expect(sim.inject(at, frame)).toMatchObject({ deliveries: [] });
      }
    }
  }
}

const worlds = fc.record({
  defaultNetwork: fc.boolean(),
  inRow: fc.boolean(),
  join: joins,
  edits: fc.array(edit, { minLength: 20, maxLength: 60, size: 'max' }) as fc.Arbitrary<Edit[]>,
  choice: fc.nat(7),
});
const numRuns = Number(process.env['NETLOOM_PROPERTY_RUNS'] ?? 60);

describe('on random topologies with tenants that share MACs and addresses', () => {
  it('everybody reaches their own network and nothing else', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(worlds, async ({ defaultNetwork, inRow, join, edits, choice }) => {
        const w = makeWorld(defaultNetwork, inRow, join);
        for (const e of edits) await perform(w, e);
        w.compile();
        checkAll(
          w,
          w.simulator((buckets) => choice % buckets),
        );
      }),
      { numRuns },
    );
  });

  it('a cable that breaks before we know lets nothing out of its network, and makes no loop', {
    timeout: 300_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(worlds, async ({ defaultNetwork, inRow, join, edits, choice }) => {
        const w = makeWorld(defaultNetwork, inRow, join);
        for (const e of edits) await perform(w, e);
        w.compile();
        const oracle = new Oracle(w);
        const sim = w.simulator((buckets) => choice % buckets);
        for (const { from } of w.observed.links()) {
          sim.setLink(from, false);
          for (const end of oracle.ends) {
            const at = { dpid: end.member.dpid, port: end.member.no };
            isolated(oracle, end.member, sim.inject(at, toAll(end, BROADCAST, false)));
            for (let host = 1; host <= 6; host++)
              isolated(oracle, end.member, sim.inject(at, toHost(end, host, false)));
          }
          sim.setLink(from, true);
        }
      }),
      { numRuns },
    );
  });
});
