import { describe, expect, it } from 'vitest';
import { InvariantError, silentLogger } from '../../../src/controller/kernel/index.ts';
import {
  CompileEngine,
  type Compiler,
  describeRule,
  type Owner,
  type Placement,
} from '../../../src/controller/rules/index.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { dpid, Metrics, makeBook, owner, turns, unicast } from './kit.ts';

type State = Map<number, number>;
interface Change {
  readonly id: number;
}
const one = dpid(1);

class Ports implements Compiler<State, Change> {
  readonly name = 'ports';
  readonly compiled: number[] = [];
  *affected({ id }: Change): Iterable<Owner> {
    yield owner(id);
  }
  *owners(state: State): Iterable<Owner> {
    for (const id of state.keys()) yield owner(id);
  }
  compile({ id }: Owner, state: State): Placement {
    this.compiled.push(id);
    const port = state.get(id);
    if (port === 13) throw new InvariantError('unlucky');
    return port === undefined ? new Map() : new Map([[one, [unicast(id, port)]]]);
  }
}

function make(options: { clock?: ManualClock; sliceMs?: number; yieldTo?: (fn: () => void) => void } = {}) {
  const state: State = new Map();
  const { book } = makeBook();
  const metrics = new Metrics();
  const compiler = new Ports();
  const engine = new CompileEngine<State, Change>({
    state: () => state,
    target: book,
    ...options,
    clock: options.clock ?? new ManualClock(),
    log: silentLogger,
    metrics,
  });
  engine.register(compiler);
  const wanted = () => book.wanted(one).map((rule) => describeRule(rule).replace(/.*eth_dst=/, ''));
  return { state, book, metrics, compiler, engine, wanted };
}

describe('the compile engine', () => {
  it('compiles an owner once however many changes touched it', async () => {
    const { state, compiler, engine, wanted, metrics } = make();
    state.set(1, 5);
    engine.change([{ id: 1 }, { id: 1 }]);
    engine.change([{ id: 1 }]);
    await engine.settled();
    expect(compiler.compiled).toEqual([1]);
    expect(wanted()).toEqual(['00:00:00:00:00:01 → output:5']);
    expect(metrics.value('netloom_compile_owners_total', 'ports')).toBe(1);
  });

  it('takes away the rules of an owner that compiles to nothing', async () => {
    const { state, engine, wanted, book } = make();
    state.set(1, 5);
    engine.change([{ id: 1 }]);
    await engine.settled();
    state.delete(1);
    engine.change([{ id: 1 }]);
    await engine.settled();
    expect(wanted()).toEqual([]);
    expect([...book.ownerKeys()]).toEqual([]);
  });

  it('lets others run when a slice is used up, and flushes a round as one', async () => {
    const clock = new ManualClock();
    let slices = 0;
    const { state, book, engine, compiler } = make({
      clock,
      sliceMs: 8,
      yieldTo: (fn) => {
        slices++;
        setImmediate(fn);
      },
    });
    let flushes = 0;
    const flush = book.flush.bind(book);
    book.flush = () => {
      flushes++;
      flush();
    };
    const compile = compiler.compile.bind(compiler);
    compiler.compile = (it, at) => {
      clock.pass(3);
      return compile(it, at);
    };
    for (let id = 1; id <= 10; id++) state.set(id, id);
    engine.change([...state.keys()].map((id) => ({ id })));
    await engine.settled();
    expect(compiler.compiled).toHaveLength(10);
    expect(slices).toBe(4);
    expect(flushes).toBe(1);
  });

  it('compiles what becomes dirty during a round in the next one', async () => {
    const { state, engine, compiler, wanted } = make();
    state.set(1, 1);
    const compile = compiler.compile.bind(compiler);
    let again = true;
    compiler.compile = (it, at) => {
      if (again) {
        again = false;
        state.set(1, 2);
        engine.change([{ id: 1 }]);
      }
      return compile(it, at);
    };
    engine.change([{ id: 1 }]);
    await engine.settled();
    expect(compiler.compiled).toEqual([1, 1]);
    expect(wanted()).toEqual(['00:00:00:00:00:01 → output:2']);
  });

  it('makes a compiler that throws cost that owner only', async () => {
    const { state, engine, book, wanted, metrics } = make();
    state.set(1, 1).set(2, 2).set(3, 3);
    engine.compileAll(1);
    await engine.settled();
    state.set(2, 13).set(3, 4);
    engine.change([{ id: 2 }, { id: 3 }], 2);
    await engine.settled();
    expect(wanted()).toEqual([
      '00:00:00:00:00:01 → output:1',
      '00:00:00:00:00:02 → output:2',
      '00:00:00:00:00:03 → output:4',
    ]);
    expect(book.objectStatus('/v1/things/2')).toMatchObject({ state: 'failed', problems: ['unlucky'] });
    expect(metrics.value('netloom_compile_failures_total', 'ports')).toBe(1);
    expect(book.revision).toBe(2);
  });

  it('drops owners that no compiler names when it compiles from nothing', async () => {
    const { state, engine, book, wanted } = make();
    book.set(owner(50), new Map([[one, [unicast(50, 1)]]]));
    state.set(1, 1);
    engine.compileAll();
    await engine.settled();
    expect(wanted()).toEqual(['00:00:00:00:00:01 → output:1']);
  });

  it('keeps all owners when a compiler cannot list its own', async () => {
    const { state, engine, book, wanted, compiler } = make();
    book.set(owner(50), new Map([[one, [unicast(50, 1)]]]));
    state.set(1, 1);
    compiler.owners = () => {
      throw new Error('no list');
    };
    engine.compileAll();
    await engine.settled();
    expect(wanted()).toEqual(['00:00:00:00:00:32 → output:1']);
  });

  it('plans against a state that is not there yet, and changes nothing', async () => {
    const { state, engine, wanted } = make();
    state.set(1, 1);
    engine.compileAll();
    await engine.settled();
    const plan = engine.plan([{ id: 1 }, { id: 2 }], new Map([[2, 2]]));
    expect(plan).toEqual([{ switch: one, add: 1, modify: 0, delete: 1 }]);
    await turns();
    expect(wanted()).toEqual(['00:00:00:00:00:01 → output:1']);
  });

  it('says which revision is compiled even when no owner was touched', async () => {
    const { engine, book } = make();
    engine.change([], 7);
    await engine.settled();
    expect(book.revision).toBe(7);
  });
});
