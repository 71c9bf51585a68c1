import { describe, expect, it } from 'vitest';
import { InvariantError } from '../../../src/controller/kernel/index.ts';
import {
  bits,
  definePipeline,
  defineState,
  describeRule,
  type FlowRule,
  group,
  hashTo,
  inPort,
  load,
  metadata,
  meter,
  meterBy,
  move,
  next,
  output,
  Priority,
  pipeline,
  pipelineMarkdown,
  popVlan,
  reg,
  rule,
  set,
  state,
  toController,
  toGroup,
  write,
} from '../../../src/controller/rules/index.ts';
import { decodeInstructions, FlowModFlag, vlan } from '../../../src/ofproto/index.ts';

const steps = (compiled: FlowRule) => decodeInstructions(compiled.instructions, 0, compiled.instructions.length);

describe('rule()', () => {
  it('compiles state and fields by name into canonical bytes', () => {
    const compiled = rule(pipeline.switch, {
      priority: Priority.exact,
      match: { network: 7, ethDst: 0x020000000001 },
      do: [set('ethDst', 0x060001000002), toGroup(0x10000001)],
    });
    expect(describeRule(compiled)).toBe(
      'table=switch priority=exact network=7,eth_dst=02:00:00:00:00:01 → set(eth_dst=06:00:01:00:00:02),group:0x10000001',
    );
    expect(compiled.tableId).toBe(pipeline.switch.id);
    expect(compiled.match.length % 8).toBe(0);
  });

  it('gives the same bytes and key whatever the order of the fields', () => {
    const one = rule(pipeline.learn, {
      priority: 1,
      match: { network: 1, inPort: 2, ethSrc: 3 },
      do: [next(pipeline.respond)],
    });
    const other = rule(pipeline.learn, {
      priority: 1,
      match: { ethSrc: 3, inPort: 2, network: 1 },
      do: [next(pipeline.respond)],
    });
    expect(other.key).toBe(one.key);
    expect(other.match.equals(one.match)).toBe(true);
  });

  it('puts meter, actions, metadata and next in the order a switch reads them back', () => {
    const compiled = rule(pipeline.classify, {
      priority: Priority.exact,
      match: { inPort: 3 },
      do: [write(state.network, 9), meterBy(5), write(state.endpoint, 4), next(pipeline.admit)],
    });
    expect(steps(compiled).map(({ type }) => type)).toEqual(['meter', 'applyActions', 'writeMetadata', 'gotoTable']);
    expect(describeRule(compiled)).toBe(
      'table=classify priority=exact in_port=3 → meter:5,set(endpoint=4),write(network=9),next:admit',
    );
  });

  it('takes bit ranges in moves and loads', () => {
    const compiled = rule(pipeline.deliver, {
      priority: Priority.masked,
      match: { ethType: 0x0800, ethDst: { value: 0x068000000000, mask: 0xffc000000000 } },
      do: [
        set('ethDst', 0x01005e000000),
        move(bits('ipv4Dst', 0, 23), bits('ethDst', 0, 23)),
        load(bits('ethDst', 23, 1), 0),
        output(4),
      ],
    });
    expect(describeRule(compiled)).toContain('move(ipv4_dst[0..22]→eth_dst[0..22]),load(0x0→eth_dst[23..23]),output:4');
    expect(describeRule(compiled)).toContain('eth_dst=06:80:00:00:00:00/ff:c0:00:00:00:00');
  });

  it('fills bits with a hash of the flow', () => {
    const compiled = rule(pipeline.switch, {
      priority: Priority.exact,
      match: { network: 1, ethDst: 5 },
      do: [set('tunnelId', 0x1200), hashTo(bits('tunnelId', 0, 8)), output(4)],
    });
    expect(describeRule(compiled)).toContain('set(tunnel_id=0x1200),hash(→tunnel_id[0..7]),output:4');
  });

  it('keeps time-outs and flags beside the bytes', () => {
    const compiled = rule(pipeline.learn, {
      priority: Priority.exact,
      match: { inPort: 1 },
      do: [next(pipeline.respond)],
      idleTimeout: 300,
      flags: FlowModFlag.sendFlowRemoved,
    });
    expect(compiled).toMatchObject({ idleTimeout: 300, hardTimeout: 0, flags: 1 });
  });

  it('drops when there is nothing to do', () => {
    const compiled = rule(pipeline.admit, { priority: Priority.deny, match: { inPort: 1 }, do: [] });
    expect(compiled.instructions.length).toBe(0);
    expect(describeRule(compiled)).toBe('table=admit priority=deny in_port=1 → drop');
  });

  it('answers out of the port the packet came from, and shows packets to the controller', () => {
    const answer = rule(pipeline.respond, { priority: Priority.exact, match: { network: 1 }, do: [inPort] });
    expect(describeRule(answer)).toContain('→ in_port');
    const punt = rule(pipeline.learn, { priority: Priority.punt, match: {}, do: [meterBy(3), toController()] });
    expect(describeRule(punt)).toBe('table=learn priority=punt → meter:3,controller:65535');
  });

  const refused: readonly [string, () => unknown, RegExp][] = [
    [
      'a field the table does not list',
      () => rule(pipeline.transit, { priority: 1, match: { network: 1 } as never, do: [] }),
      /transit.*network/,
    ],
    [
      'a write the table does not declare',
      () => rule(pipeline.admit, { priority: 1, match: {}, do: [set('ethDst', 1)] }),
      /admit.*ethDst/,
    ],
    [
      'a hash where the table does not declare a write',
      () => rule(pipeline.admit, { priority: 1, match: {}, do: [hashTo(bits('tunnelId', 0, 8))] }),
      /admit.*tunnelId/,
    ],
    [
      'a hash of more bits than there are',
      () => rule(pipeline.switch, { priority: 1, match: {}, do: [hashTo(bits('tunnelId', 0, 16))] }),
      /15 bits at most/,
    ],
    [
      'a table that is not declared as next',
      () => rule(pipeline.switch, { priority: 1, match: {}, do: [next(pipeline.transit)] }),
      /next transit/,
    ],
    [
      'a jump backwards',
      () => rule(pipeline.deliver, { priority: 1, match: {}, do: [next(pipeline.classify)] }),
      /next classify/,
    ],
    [
      'steps after next',
      () => rule(pipeline.switch, { priority: 1, match: {}, do: [next(pipeline.deliver), output(1)] }),
      /nothing can follow/,
    ],
    [
      'a match without its prerequisite',
      () => rule(pipeline.admit, { priority: 1, match: { arpSpa: 1 }, do: [] }),
      /arpSpa.*ethType/,
    ],
    [
      'a set of a field that need not be there',
      () => rule(pipeline.respond, { priority: 1, match: {}, do: [set('arpOp', 2)] }),
      /arpOp needs/,
    ],
    [
      'state that does not fit',
      () => rule(pipeline.classify, { priority: 1, match: {}, do: [write(state.network, 2 ** 32)] }),
      /does not fit/,
    ],
    [
      'a field value that does not fit',
      () => rule(pipeline.classify, { priority: 1, match: { ethType: 0x10000 }, do: [] }),
      /ethType/,
    ],
    [
      'bits outside a mask',
      () => rule(pipeline.transit, { priority: 1, match: { ethDst: { value: 3, mask: 2 } }, do: [] }),
      /mask/,
    ],
    [
      'a VLAN id without its present bit',
      () => rule(pipeline.classify, { priority: 1, match: { vlanVid: 5 }, do: [] }),
      /vlanVid/,
    ],
    [
      'moves of unequal width',
      () => rule(pipeline.deliver, { priority: 1, match: { ethType: 0x800 }, do: [move('ipv4Dst', 'ethDst')] }),
      /do not fit/,
    ],
    [
      'a VLAN tag removed that need not be there',
      () => rule(pipeline.classify, { priority: 1, match: {}, do: [popVlan] }),
      /popVlan needs/,
    ],
    ['two meters', () => rule(pipeline.switch, { priority: 1, match: {}, do: [meterBy(1), meterBy(2)] }), /one meter/],
  ];
  it.each(refused)('refuses %s', (_, make, message) => {
    expect(make).toThrow(InvariantError);
    expect(make).toThrow(message);
  });

  it('accepts a VLAN id with its present bit', () => {
    expect(describeRule(rule(pipeline.classify, { priority: 1, match: { vlanVid: vlan(5) }, do: [] }))).toContain(
      'vlan_vid=0x1005',
    );
  });
});

describe('group() and meter()', () => {
  it('compiles buckets and knows which groups they refer to', () => {
    const compiled = group({
      id: 0x20000007,
      type: 'all',
      buckets: [{ actions: [toGroup(0x50000007)] }, { actions: [set('ethDst', 1), toGroup(0x10000002)] }],
    });
    expect(compiled.refs).toEqual([0x50000007, 0x10000002]);
    expect(describeRule(compiled)).toBe(
      'group=0x20000007 type=all → [group:0x50000007] [set(eth_dst=00:00:00:00:00:01),group:0x10000002]',
    );
  });

  it('watches ports in failover groups and weighs select buckets', () => {
    const failover = group({
      id: 0x10000001,
      type: 'fastFailover',
      buckets: [
        { watchPort: 1, actions: [output(1)] },
        { watchPort: 2, actions: [output(2)] },
      ],
    });
    expect(describeRule(failover)).toBe('group=0x10000001 type=fastFailover → [watch:1 output:1] [watch:2 output:2]');
    const select = group({
      id: 0x10000001,
      type: 'select',
      buckets: [{ watchPort: 1, weight: 3, actions: [output(1)] }],
    });
    expect(describeRule(select)).toBe('group=0x10000001 type=select → [watch:1 weight:3 output:1]');
  });

  it('compiles meters of both units', () => {
    expect(describeRule(meter({ id: 3, unit: 'pktps', rate: 100, burst: 20 }))).toBe(
      'meter=0x3 → drop above 100 pktps, burst 20',
    );
    expect(describeRule(meter({ id: 0x20001, unit: 'kbps', rate: 5000 }))).toBe('meter=0x20001 → drop above 5000 kbps');
  });

  it.each([
    [
      'an indirect group with two buckets',
      () => group({ id: 1, type: 'indirect', buckets: [{ actions: [] }, { actions: [] }] }),
    ],
    [
      'a failover bucket that watches nothing',
      () => group({ id: 1, type: 'fastFailover', buckets: [{ actions: [output(1)] }] }),
    ],
    ['a group that refers to itself', () => group({ id: 1, type: 'all', buckets: [{ actions: [toGroup(1)] }] })],
    ['a step that is no action', () => group({ id: 1, type: 'all', buckets: [{ actions: [next(pipeline.switch)] }] })],
    ['a meter without a rate', () => meter({ id: 1, unit: 'kbps', rate: 0 })],
  ])('refuses %s', (_, make) => {
    expect(make).toThrow(InvariantError);
  });
});

describe('the declaration of the pipeline', () => {
  it('numbers tables in order and documents all of them', () => {
    expect(Object.values(pipeline).map(({ id }) => id)).toEqual(Object.keys(pipeline).map((_, i) => i));
    for (const name of Object.keys(pipeline)) expect(pipelineMarkdown()).toContain(`**${name}**`);
  });

  it('refuses a next that is not a later table', () => {
    const table = { doc: '', match: [], writes: [], miss: 'drop' } as const;
    // @ts-expect-error a table that is not there does not even compile
    expect(() => definePipeline({ one: { ...table, next: ['nowhere'] } })).toThrow(InvariantError);
    expect(() => definePipeline({ one: { ...table, next: [] }, two: { ...table, next: ['one'] } })).toThrow(
      InvariantError,
    );
  });

  it('refuses state that overlaps or does not fit', () => {
    expect(() => defineState({ a: metadata(0, 32, ''), b: metadata(31, 2, '') })).toThrow(/overlap/);
    expect(() => defineState({ a: reg(0, 1, 32, '') })).toThrow(/fit/);
  });
});
