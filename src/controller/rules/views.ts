import { FlowStatsFixed, GroupStatsFixed, MeterStatsFixed } from '../../ofproto/index.ts';
import { sameRule } from './compare.ts';
import { formatCookie, isOurs } from './cookie.ts';
import { bandsText, bucketsText, describeRule, groupTypeName, instructionsText, matchText } from './describe.ts';
import {
  allFlowsRequest,
  groupDescRequest,
  groupStatsRequest,
  meterConfigRequest,
  meterStatsRequest,
} from './encode.ts';
import { isOurGroup, isOurMeter } from './ids.ts';
import { groupKey, meterKey } from './keys.ts';
import type { Ledger } from './ledger.ts';
import { tableName } from './pipeline.ts';
import { priorityName } from './priority.ts';
import {
  type Element,
  elements,
  flowOf,
  flowStatsElement,
  groupDescElement,
  groupOf,
  meterConfigElement,
  meterOf,
} from './readback.ts';
import type { Slicer } from './slicer.ts';
import type { Rule, SwitchChannel } from './types.ts';

/** Why a rule is there. */
export interface Reason {
  /** Owner key, e.g. `tenants/port/acme/web-1`. */
  readonly owner: string;
  /** REST path of the object that explains it. */
  readonly object: string | undefined;
  /** Revision of the desired state it was compiled from. */
  readonly revision: number;
}

interface Counted {
  readonly packets: bigint;
  readonly bytes: bigint;
  readonly durationSec: number;
  /** Ours and wanted, ours but wanted no more, or of others. */
  readonly origin: 'wanted' | 'stale' | 'foreign';
  readonly reason: Reason | undefined;
}

/** A flow on a switch. */
export interface FlowView extends Counted {
  readonly table: string;
  readonly tableId: number;
  readonly priority: number;
  readonly priorityName: string;
  readonly match: string;
  readonly actions: string;
  readonly cookie: string;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
}

/** A group on a switch. */
export interface GroupView extends Counted {
  readonly groupId: number;
  readonly type: string;
  readonly buckets: string;
}

/** A meter on a switch. */
export interface MeterView extends Counted {
  readonly meterId: number;
  readonly bands: string;
  /** Flows that use it. */
  readonly flows: number;
}

/** What is wanted against what is there, as text. */
export interface Difference {
  /** Wanted and absent. */
  readonly missing: readonly string[];
  /** Ours, there, and not wanted. */
  readonly unexpected: readonly string[];
  readonly different: readonly { readonly wanted: string; readonly present: string }[];
  /** Others' rules: left alone. */
  readonly foreign: readonly string[];
}

const groupStatsElement = { structure: 'ofp_group_stats', lengthAt: 0, min: GroupStatsFixed.size } as const;
const meterStatsElement = { structure: 'ofp_meter_stats', lengthAt: 4, min: MeterStatsFixed.size } as const;

/** Looks at a switch for people: live state joined with the reasons. Cold path. */
export class SwitchViews {
  readonly #channel: SwitchChannel;
  readonly #ledger: Ledger;
  readonly #explain: (cookie: bigint) => Reason | undefined;
  readonly #slicer: Slicer;

  constructor(channel: SwitchChannel, ledger: Ledger, explain: (cookie: bigint) => Reason | undefined, slicer: Slicer) {
    this.#channel = channel;
    this.#ledger = ledger;
    this.#explain = explain;
    this.#slicer = slicer;
  }

  async flows(): Promise<FlowView[]> {
    const views: FlowView[] = [];
    await this.#each(allFlowsRequest(), flowStatsElement, (element) => views.push(this.#flow(element)));
    return views.sort((a, b) => a.tableId - b.tableId || b.priority - a.priority || (a.match < b.match ? -1 : 1));
  }

  async groups(): Promise<GroupView[]> {
    const counters = new Map<number, { packets: bigint; bytes: bigint; durationSec: number }>();
    await this.#each(groupStatsRequest(), groupStatsElement, ({ bytes, at }) => {
      const { groupId, packetCount, byteCount, durationSec } = GroupStatsFixed.read(bytes, at);
      counters.set(groupId, { packets: packetCount, bytes: byteCount, durationSec });
    });
    const views: GroupView[] = [];
    await this.#each(groupDescRequest(), groupDescElement, (element) => {
      const rule = groupOf(element);
      views.push({
        groupId: rule.groupId,
        type: groupTypeName(rule.type),
        buckets: bucketsText(rule.buckets),
        ...(counters.get(rule.groupId) ?? { packets: 0n, bytes: 0n, durationSec: 0 }),
        ...this.#origin(groupKey(rule.groupId), isOurGroup(rule.groupId)),
      });
    });
    return views.sort((a, b) => a.groupId - b.groupId);
  }

  async meters(): Promise<MeterView[]> {
    const counters = new Map<number, { packets: bigint; bytes: bigint; durationSec: number; flows: number }>();
    await this.#each(meterStatsRequest(), meterStatsElement, ({ bytes, at }) => {
      const { meterId, packetInCount, byteInCount, durationSec, flowCount } = MeterStatsFixed.read(bytes, at);
      counters.set(meterId, { packets: packetInCount, bytes: byteInCount, durationSec, flows: flowCount });
    });
    const views: MeterView[] = [];
    await this.#each(meterConfigRequest(), meterConfigElement, (element) => {
      const rule = meterOf(element);
      views.push({
        meterId: rule.meterId,
        bands: bandsText(rule.flags, rule.bands),
        ...(counters.get(rule.meterId) ?? { packets: 0n, bytes: 0n, durationSec: 0, flows: 0 }),
        ...this.#origin(meterKey(rule.meterId), isOurMeter(rule.meterId)),
      });
    });
    return views.sort((a, b) => a.meterId - b.meterId);
  }

  async diff(): Promise<Difference> {
    const missing: string[] = [];
    const unexpected: string[] = [];
    const different: { wanted: string; present: string }[] = [];
    const foreign: string[] = [];
    const seen = new Set<string>();
    const compare = (rule: Rule, ours: boolean): void => {
      const wanted = this.#ledger.entry(rule.key)?.wanted;
      if (!ours) {
        foreign.push(describeRule(rule));
        return;
      }
      seen.add(rule.key);
      if (!wanted) unexpected.push(describeRule(rule));
      else if (!sameRule(wanted, rule)) different.push({ wanted: describeRule(wanted), present: describeRule(rule) });
    };
    await this.#each(meterConfigRequest(), meterConfigElement, (element) => {
      const rule = meterOf(element);
      compare(rule, isOurMeter(rule.meterId));
    });
    await this.#each(groupDescRequest(), groupDescElement, (element) => {
      const rule = groupOf(element);
      compare(rule, isOurGroup(rule.groupId));
    });
    await this.#each(allFlowsRequest(), flowStatsElement, (element) => {
      compare(flowOf(element), isOurs(FlowStatsFixed.view(element.bytes, element.at).cookieHi));
    });
    for (const { key, wanted } of this.#ledger.entries()) {
      if (wanted && !seen.has(key)) missing.push(describeRule(wanted));
    }
    return { missing, unexpected, different, foreign };
  }

  #flow(element: Element): FlowView {
    const rule = flowOf(element);
    const { cookie, packetCount, byteCount, durationSec } = FlowStatsFixed.read(element.bytes, element.at);
    const origin = this.#origin(rule.key, isOurs(Number(cookie >> 32n)));
    return {
      table: tableName(rule.tableId),
      tableId: rule.tableId,
      priority: rule.priority,
      priorityName: priorityName(rule.priority),
      match: matchText(rule.match),
      actions: instructionsText(rule.instructions),
      cookie: formatCookie(cookie),
      idleTimeout: rule.idleTimeout,
      hardTimeout: rule.hardTimeout,
      packets: packetCount,
      bytes: byteCount,
      durationSec,
      origin: origin.origin,
      reason: origin.origin === 'foreign' ? undefined : (this.#explain(cookie) ?? origin.reason),
    };
  }

  #origin(key: string, ours: boolean): Pick<Counted, 'origin' | 'reason'> {
    if (!ours) return { origin: 'foreign', reason: undefined };
    const entry = this.#ledger.entry(key);
    if (!entry?.wanted || !entry.by) return { origin: 'stale', reason: undefined };
    const { owner, revision } = entry.by.by;
    return { origin: 'wanted', reason: { owner: owner.key, object: owner.object, revision } };
  }

  async #each(
    request: Buffer,
    rule: { structure: string; lengthAt: number; min: number },
    visit: (element: Element) => void,
  ): Promise<void> {
    await this.#slicer.each(elements(await this.#channel.request(request), rule), visit);
  }
}
