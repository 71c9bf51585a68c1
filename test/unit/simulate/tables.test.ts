import { describe, expect, it } from 'vitest';
import { type Instruction, listOf, type Match, version13 } from '../../../src/ofproto/index.ts';
import { type FlowMod, type GroupMod, type Mod, SwitchTables } from '../../../src/simulate/index.ts';

const head = { version: version13, xid: 1 };
const any = 0xffff_ffff;

const flow = (match: Match, more: Partial<FlowMod> = {}): FlowMod => ({
  type: 'flowMod',
  ...head,
  cookie: 0n,
  cookieMask: 0n,
  tableId: 0,
  command: 0,
  idleTimeout: 0,
  hardTimeout: 0,
  priority: 1,
  bufferId: any,
  outPort: any,
  outGroup: any,
  flags: 0,
  match: listOf(match),
  instructions: [],
  ...more,
});
const group = (groupId: number, command = 0): GroupMod => ({
  type: 'groupMod',
  ...head,
  command,
  groupType: 0,
  groupId,
  buckets: [],
});
const actions = (...list: (Instruction & { type: 'applyActions' })['actions']): Pick<FlowMod, 'instructions'> => ({
  instructions: [{ type: 'applyActions', actions: list }],
});
const out = (port: number) => actions({ type: 'output', port, maxLen: 0 });
const use = (groupId: number) => actions({ type: 'group', groupId });

const loaded = (...mods: Mod[]): SwitchTables => {
  const tables = new SwitchTables();
  for (const mod of mods) expect(tables.apply(mod)).toBeUndefined();
  return tables;
};

describe('tables of a simulated switch', () => {
  it('replace a flow of the same table, priority and match, in whatever order its fields come', () => {
    const tables = loaded(flow({ inPort: 1, ethType: 0x800 }), flow({ ethType: 0x800, inPort: 1 }, out(2)));
    expect(tables.flows.size).toBe(1);
    expect([...tables.flows.values()][0]).toMatchObject(out(2));
  });

  it.each([
    ['all of a table', {}, { tableId: 0 }, [3]],
    ['all of all tables', {}, { tableId: 255 }, []],
    ['those that a match covers', { inPort: 1 }, { tableId: 255 }, [2, 3]],
    ['those with a cookie', {}, { tableId: 255, cookie: 0x10n, cookieMask: 0xf0n }, [1, 3]],
    ['those that output to a port', {}, { tableId: 255, outPort: 9 }, [1, 2]],
    ['nothing when out_port is 0, which is no port', {}, { tableId: 255, outPort: 0 }, [1, 2, 3]],
  ] as const)('delete %s', (_, match, filter, left) => {
    const tables = loaded(
      flow({ inPort: 1, ethType: 0x800 }, { priority: 1 }),
      flow({ inPort: 2 }, { priority: 2, cookie: 0x1fn }),
      flow({ inPort: 3 }, { priority: 3, tableId: 4, ...out(9) }),
    );
    tables.apply(flow(match, { command: 3, ...filter }));
    expect([...tables.flows.values()].map(({ priority }) => priority)).toEqual(left);
  });

  it('delete one flow strictly, and only when its cookie fits', () => {
    const tables = loaded(flow({ inPort: 1 }, { cookie: 5n }), flow({ inPort: 1, ethType: 0x800 }));
    tables.apply(flow({ inPort: 1 }, { command: 4, cookie: 6n, cookieMask: 0xffn }));
    expect(tables.flows.size).toBe(2);
    tables.apply(flow({ inPort: 1 }, { command: 4, cookie: 5n, cookieMask: 0xffn }));
    expect(tables.flows.size).toBe(1);
  });

  it('change what flows do and nothing else of them', () => {
    const tables = loaded(flow({ inPort: 1 }, { cookie: 5n }), flow({ inPort: 2 }));
    tables.apply(flow({ inPort: 1 }, { command: 1, cookie: 9n, ...out(3) }));
    expect([...tables.flows.values()]).toMatchObject([{ cookie: 5n, ...out(3) }, { instructions: [] }]);
  });

  it('refuse what refers to nothing, twice the same group or meter, and what does not fit', () => {
    const tables = loaded(group(1));
    tables.capacity = 1;
    expect(tables.apply(flow({}, use(2)))).toEqual({ type: 2, code: 9 });
    expect(tables.apply(flow({}, { instructions: [{ type: 'meter', meterId: 1 }] }))).toEqual({ type: 12, code: 3 });
    expect(tables.apply(group(1))).toEqual({ type: 6, code: 0 });
    expect(tables.apply(group(3, 1))).toEqual({ type: 6, code: 8 });
    expect(tables.apply(flow({ inPort: 1 }))).toBeUndefined();
    expect(tables.apply(flow({ inPort: 2 }))).toEqual({ type: 5, code: 1 });
    expect(tables.apply(flow({ inPort: 1 }))).toBeUndefined();
  });

  it('take flows along with the group that they use, and tell of them', () => {
    const tables = loaded(group(1), group(2), flow({ inPort: 1 }, use(1)), flow({ inPort: 2 }, use(2)));
    const gone: number[] = [];
    tables.onRemoved = ({ reason }) => gone.push(reason);
    tables.apply(group(1, 2));
    expect([...tables.flows.values()]).toMatchObject([use(2)]);
    tables.apply(group(0xffff_fffc, 2));
    expect([tables.flows.size, tables.groups.size]).toEqual([0, 0]);
    expect(gone).toEqual([3, 3]);
  });

  it('carry out a bundle as a whole or not at all', () => {
    const tables = loaded(group(1), flow({ inPort: 1 }, use(1)), flow({ inPort: 9 }));
    const before = JSON.stringify([...tables.flows.keys(), ...tables.groups.keys()]);
    const told: unknown[] = [];
    tables.onRemoved = (removed) => told.push(removed);
    const bad = flow({ inPort: 3 }, use(7));
    const failed = tables.commit([group(2), flow({ inPort: 9 }, out(1)), group(1, 2), bad]);
    expect(failed).toEqual({ mod: bad, refusal: { type: 2, code: 9 } });
    expect(JSON.stringify([...tables.flows.keys(), ...tables.groups.keys()].sort())).toEqual(
      JSON.stringify((JSON.parse(before) as unknown[]).sort()),
    );
    expect([...tables.flows.values()].find(({ match }) => JSON.stringify(match).includes('9'))!.instructions).toEqual(
      [],
    );
    expect(told).toEqual([]);
    expect(tables.commit([group(2), group(1, 2)])).toBeUndefined();
    expect([tables.flows.size, tables.groups.size, told.length]).toEqual([1, 1, 1]);
  });
});
