import { describe, expect, it } from 'vitest';
import type { Dpid } from '../../../src/controller/kernel/index.ts';
import {
  group,
  next,
  output,
  Priority,
  pipeline,
  rule,
  set,
  state,
  toController,
  toGroup,
  write,
} from '../../../src/controller/rules/index.ts';
import { Simulator } from '../../../src/simulate/index.ts';

const a = '0000000000000001' as Dpid;
const b = '0000000000000002' as Dpid;
const frame = Buffer.from(
  'ffffffffffff02000000000108060001080006040001020000000001000000000000000000000a000005',
  'hex',
);

function pair(): Simulator {
  const simulator = new Simulator();
  simulator.addSwitch(a, [1, 2, 3]);
  simulator.addSwitch(b, [1, 2, 3]);
  simulator.link({ dpid: a, port: 3 }, { dpid: b, port: 3 });
  return simulator;
}

describe('the flow-table simulator', () => {
  it('drops what no rule takes', () => {
    expect(pair().inject({ dpid: a, port: 1 }, frame)).toMatchObject({ deliveries: [], packetIns: [] });
  });

  it('carries metadata between tables, rewrites, and crosses a cable', () => {
    const simulator = pair();
    const [sa, sb] = [simulator.switches.get(a)!, simulator.switches.get(b)!];
    sa.add(
      rule(pipeline.classify, {
        priority: Priority.exact,
        match: { inPort: 1 },
        do: [write(state.network, 7), next(pipeline.learn)],
      }),
    );
    sa.add(
      rule(pipeline.learn, {
        priority: Priority.exact,
        match: { network: 7, ethSrc: 0x020000000001 },
        do: [next(pipeline.respond)],
      }),
    );
    sa.add(rule(pipeline.respond, { priority: Priority.passThrough, match: {}, do: [next(pipeline.switch)] }));
    sa.add(
      rule(pipeline.switch, {
        priority: Priority.exact,
        match: { network: 7 },
        do: [set('ethDst', 0x060000000001), output(3)],
      }),
    );
    sb.add(
      rule(pipeline.classify, {
        priority: Priority.exact,
        match: { inPort: 3 },
        do: [output(2), next(pipeline.transit)],
      }),
    );
    const { deliveries, hops } = simulator.inject({ dpid: a, port: 1 }, frame);
    expect(deliveries.map(({ dpid, port }) => [dpid, port])).toEqual([[b, 2]]);
    expect(deliveries[0]!.frame.subarray(0, 6).toString('hex')).toBe('060000000001');
    expect(hops).toBe(2);
    sa.add(
      rule(pipeline.classify, {
        priority: Priority.exact,
        match: { inPort: 1 },
        do: [write(state.network, 8), next(pipeline.learn)],
      }),
    );
    expect(simulator.inject({ dpid: a, port: 1 }, frame).deliveries).toEqual([]);
  });

  it('copies for each bucket, does not send back, and undoes what a bucket set', () => {
    const simulator = pair();
    const sa = simulator.switches.get(a)!;
    sa.add(
      group({
        id: 0x20000001,
        type: 'all',
        buckets: [{ actions: [output(1)] }, { actions: [set('ethDst', 1), output(2)] }, { actions: [output(2)] }],
      }),
    );
    sa.add(
      rule(pipeline.switch, { priority: Priority.exact, match: {}, do: [toGroup(0x20000001), next(pipeline.deliver)] }),
    );
    sa.add(rule(pipeline.classify, { priority: Priority.exact, match: { inPort: 1 }, do: [next(pipeline.learn)] }));
    sa.add(rule(pipeline.learn, { priority: Priority.punt, match: {}, do: [toController(), next(pipeline.respond)] }));
    sa.add(rule(pipeline.respond, { priority: Priority.passThrough, match: {}, do: [next(pipeline.switch)] }));
    const { deliveries, packetIns } = simulator.inject({ dpid: a, port: 1 }, frame);
    expect(deliveries.map(({ port, frame: out }) => [port, out.subarray(0, 6).toString('hex')])).toEqual([
      [2, '000000000001'],
      [2, 'ffffffffffff'],
    ]);
    expect(packetIns).toHaveLength(1);
  });

  it('fails over at once when the watched port goes down', () => {
    const simulator = pair();
    const sa = simulator.switches.get(a)!;
    sa.add(
      group({
        id: 0x10000002,
        type: 'fastFailover',
        buckets: [
          { watchPort: 3, actions: [output(3)] },
          { watchPort: 2, actions: [output(2)] },
        ],
      }),
    );
    sa.add(rule(pipeline.classify, { priority: Priority.exact, match: { inPort: 1 }, do: [toGroup(0x10000002)] }));
    expect(simulator.inject({ dpid: a, port: 1 }, frame).deliveries).toEqual([]);
    simulator.setLink({ dpid: a, port: 3 }, false);
    expect(simulator.inject({ dpid: a, port: 1 }, frame).deliveries).toMatchObject([{ dpid: a, port: 2 }]);
  });

  it('says when a frame goes round, and when two rules contradict each other', () => {
    const simulator = pair();
    for (const sw of simulator.switches.values()) {
      for (const inPort of [1, 3]) {
        sw.add(
          rule(pipeline.classify, { priority: Priority.exact, match: { inPort }, do: [output(inPort === 1 ? 3 : 2)] }),
        );
      }
    }
    simulator.link({ dpid: a, port: 2 }, { dpid: b, port: 2 });
    for (const sw of simulator.switches.values()) {
      sw.add(rule(pipeline.classify, { priority: Priority.exact, match: { inPort: 2 }, do: [output(3)] }));
    }
    expect(() => simulator.inject({ dpid: a, port: 1 }, frame)).toThrow('goes round');
    const sa = simulator.switches.get(a)!;
    sa.add(rule(pipeline.classify, { priority: Priority.exact, match: { ethType: 0x0806 }, do: [] }));
    expect(() => simulator.inject({ dpid: a, port: 1 }, frame)).toThrow('take the same packet');
  });
});
