import type { Dpid, NetworkState, ObservedSwitch } from 'netloom';
import { describe, expect, it } from 'vitest';
import { Simulator } from '../../src/simulate/index.ts';
import blocklist, { blocklistCompiler } from './index.ts';

const dpid = '0000000000000007' as Dpid;
const sw = { dpid, index: 7 } as ObservedSwitch;
const state = {
  observed: { switches: new Map([[dpid, sw]]), switchByIndex: (index: number) => (index === 7 ? sw : undefined) },
} as unknown as NetworkState;

describe('the blocklist example', () => {
  it('places one rule for each address on each switch, and none for a switch that is gone', () => {
    const compiler = blocklistCompiler(256, [2, 1, 2]);
    const [owner] = [...compiler.owners(state)];
    expect(compiler.compile(owner!, state).get(dpid)).toHaveLength(2);
    expect(compiler.compile({ ...owner!, id: 8 }, state).size).toBe(0);
  });

  it('keeps listed senders out', () => {
    const simulator = new Simulator();
    const simulated = simulator.addSwitch(dpid, [1, 2]);
    const compiler = blocklistCompiler(256, [0x020000000066]);
    for (const rule of compiler.compile([...compiler.owners(state)][0]!, state).get(dpid)!) simulated.add(rule);
    expect(simulator.inject({ dpid, port: 1 }, Buffer.from('ffffffffffff0200000000660806', 'hex')).deliveries).toEqual(
      [],
    );
  });

  it('refuses settings that are not addresses, and says which', () => {
    const start = (settings: unknown) => blocklist.start({ settings } as never);
    expect(() => start(undefined)).toThrow('list of MAC addresses');
    expect(() => start({ macs: ['02:00:00:00:00'] })).toThrow('"02:00:00:00:00" is not a MAC address');
  });
});
