import type { Op } from './entry.ts';

/** The messages of a change in the order in which they must arrive. */
export interface OrderedOps {
  /** Meters to add or modify: before the flows that use them. Open vSwitch takes no meters in bundles. */
  readonly first: readonly Op[];
  /** Groups, flows, deletions. */
  readonly bundle: readonly Op[];
  /** Meters to delete: a switch also deletes the flows that still use them. */
  readonly last: readonly Op[];
}

/**
 * Make before break: groups before what refers to them, later tables before the rules that lead there, all additions
 * before any deletion; deletions the other way round.
 */
export function orderOps(ops: readonly Op[]): OrderedOps {
  const first: Op[] = [];
  const last: Op[] = [];
  const groups: Op[] = [];
  const groupDeletes: Op[] = [];
  const flows: Op[] = [];
  const flowDeletes: Op[] = [];
  for (const op of ops) {
    const deleting = op.command === 'delete';
    if (op.rule.kind === 'meter') (deleting ? last : first).push(op);
    else if (op.rule.kind === 'group') (deleting ? groupDeletes : groups).push(op);
    else (deleting ? flowDeletes : flows).push(op);
  }
  flows.sort((a, b) => tableOf(b) - tableOf(a));
  flowDeletes.sort((a, b) => tableOf(a) - tableOf(b));
  return {
    first,
    bundle: [...byReference(groups), ...flows, ...flowDeletes, ...byReference(groupDeletes).reverse()],
    last,
  };
}

const tableOf = ({ rule }: Op): number => (rule.kind === 'flow' ? rule.tableId : 0);

/** Groups that others refer to come before them. */
function byReference(ops: readonly Op[]): Op[] {
  const byId = new Map<number, Op>();
  for (const op of ops) if (op.rule.kind === 'group') byId.set(op.rule.groupId, op);
  const done = new Set<Op>();
  const visit = (op: Op): void => {
    if (done.has(op)) return;
    done.add(op);
    for (const id of op.rule.kind === 'group' ? op.rule.refs : []) {
      const target = byId.get(id);
      if (target) visit(target);
    }
    ordered.push(op);
  };
  const ordered: Op[] = [];
  for (const op of ops) visit(op);
  return ordered;
}
