import { InvariantError } from '../kernel/index.ts';

/** What naming rules need to know of a metric. */
export interface MetricName {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels?: readonly string[] | undefined;
}

/** Labels that would make series without end, or a second name for a thing that has one; each with what to do instead. */
const refusedLabels: Readonly<Record<string, string>> = {
  mac: 'series without end',
  ip: 'series without end',
  address: 'series without end',
  host: 'series without end',
  cookie: 'series without end',
  port_id: 'series without end',
  request_id: 'series without end',
  le: 'reserved by Prometheus',
  switch: 'the label of a switch is "dpid"',
  switch_id: 'the label of a switch is "dpid"',
  datapath: 'the label of a switch is "dpid"',
  datapath_id: 'the label of a switch is "dpid"',
};

/** Throws InvariantError when a metric breaks the naming rules of docs/metrics.md. */
export function checkMetricName({ name, type, labels }: MetricName): void {
  if (!/^netloom_[a-z0-9]+(_[a-z0-9]+)*$/.test(name)) {
    throw new InvariantError(`metric ${name}: expected netloom_ and lower-case words joined by _`, { name });
  }
  if (name.endsWith('_total') !== (type === 'counter')) {
    throw new InvariantError(`metric ${name}: _total is for counters, and every counter has it`, { name, type });
  }
  for (const label of labels ?? []) {
    if (!/^[a-z][a-z0-9_]*$/.test(label)) throw new InvariantError(`metric ${name}: label ${label} is no label name`);
    const why = refusedLabels[label];
    if (why) throw new InvariantError(`metric ${name}: label ${label} is refused: ${why}`, { name, label });
  }
}
