import {
  type Dpid,
  type MetricDeclaration,
  type MetricSink,
  silentLogger,
} from '../../../src/controller/kernel/index.ts';
import {
  type BookListener,
  type BookOptions,
  describeRule,
  type FlowRule,
  GroupId,
  type GroupRule,
  group,
  type Owner,
  output,
  Priority,
  pipeline,
  RuleBook,
  rule,
  toGroup,
} from '../../../src/controller/rules/index.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import type { MemorySwitch } from '../../kit/memory-switch.ts';

export const dpid = (n: number): Dpid => n.toString(16).padStart(16, '0') as Dpid;

/** Reads metrics by name, labels in braces. */
export class Metrics implements MetricSink {
  readonly declared = new Map<string, MetricDeclaration>();
  declare(metric: MetricDeclaration): void {
    this.declared.set(metric.name, metric);
  }
  histogram(): { observe(): void } {
    return { observe: () => {} };
  }
  value(name: string, label?: string): number {
    const value = this.declared.get(name)?.collect();
    if (value === undefined || typeof value === 'number') return value ?? Number.NaN;
    for (const sample of value) if (Object.values(sample.labels ?? {}).includes(label ?? '')) return sample.value;
    return 0;
  }
}

export const owner = (
  id: number,
  key = `test/owner/${String(id).padStart(3, '0')}`,
  object = `/v1/things/${id}`,
): Owner => ({
  app: 2,
  id,
  key,
  object,
});

/** `network=1, ethDst=mac → output:port` in table switch. */
export const unicast = (mac: number, port: number, network = 1): FlowRule =>
  rule(pipeline.switch, { priority: Priority.exact, match: { network, ethDst: mac }, do: [output(port)] });

export const toGroupRule = (mac: number, id: number): FlowRule =>
  rule(pipeline.switch, { priority: Priority.exact, match: { network: 1, ethDst: mac }, do: [toGroup(id)] });

export const hop = (index: number, port: number): GroupRule =>
  group({ id: GroupId.hop(index), type: 'indirect', buckets: [{ actions: [output(port)] }] });

/** A book with a clock that stands still. */
export function makeBook(options: Partial<BookOptions> & { listener?: BookListener } = {}) {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const book = new RuleBook({ clock, metrics, log: silentLogger, random: () => 0.5, ...options });
  return { book, clock, metrics };
}

/** Rules on a switch in memory, as text. */
export function held(sw: MemorySwitch, book: RuleBook): Promise<string[]> {
  return book
    .flows(sw.dpid)
    .then((flows) => (flows ?? []).map((flow) => `${flow.table} ${flow.match} → ${flow.actions}`));
}

/** Lets everything that is due in this and the next turns happen. */
export async function turns(count = 12): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

export const text = (rules: Iterable<Parameters<typeof describeRule>[0]>): string[] => [...rules].map(describeRule);
