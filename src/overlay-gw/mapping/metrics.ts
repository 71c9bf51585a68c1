import type { MetricSink } from '../../controller/index.ts';
import { type LispServer, LispType, type MappingSystem } from '../lisp/index.ts';
import type { Census } from './census.ts';
import type { Keeper } from './keeper.ts';

/** Types of messages by the first four bits of a datagram. */
const TYPE_NAMES: readonly (string | undefined)[] = Object.entries(LispType).reduce<(string | undefined)[]>(
  (names, [name, type]) => {
    names[type] = name;
    return names;
  },
  new Array<string | undefined>(16).fill(undefined),
);

/** Counts datagrams by the type that their first bits claim. */
export class MessageCounts {
  readonly received = new Array<number>(16).fill(0);
  readonly sent = new Array<number>(16).fill(0);

  in(bytes: Buffer): void {
    this.received[(bytes[0] ?? 0) >> 4]!++;
  }

  out(bytes: Buffer): void {
    this.sent[(bytes[0] ?? 0) >> 4]!++;
  }

  series(): { readonly labels: { readonly direction: string; readonly type: string }; readonly value: number }[] {
    return (
      [
        ['received', this.received],
        ['sent', this.sent],
      ] as const
    ).flatMap(([direction, counts]) => {
      let other = 0;
      const named = counts.flatMap((value, type) => {
        const name = TYPE_NAMES[type];
        if (name === undefined) other += value;
        return name === undefined ? [] : [{ labels: { direction, type: name }, value }];
      });
      return [...named, { labels: { direction, type: 'other' }, value: other }];
    });
  }
}

export interface MetricParts {
  readonly system: MappingSystem;
  readonly server: LispServer;
  readonly counts: MessageCounts;
  readonly census: Census;
  readonly keeper: Keeper;
}

/** Declares all metrics of the mapping system. */
export function declareMetrics(metrics: MetricSink, { system, server, counts, census, keeper }: MetricParts): void {
  const { counters } = system;
  const by = (label: string, values: Readonly<Record<string, number>>) =>
    Object.entries(values).map(([value, count]) => ({ labels: { [label]: value }, value: count }));
  metrics.declare({
    name: 'netloom_lisp_messages_total',
    help: 'LISP control messages, by the type that they say they are.',
    type: 'counter',
    labels: ['direction', 'type'],
    collect: () => counts.series(),
  });
  metrics.declare({
    name: 'netloom_lisp_registers_total',
    help: 'Map-Registers by what became of them; only accepted ones are answered.',
    type: 'counter',
    labels: ['result'],
    collect: () => {
      const { registers, badSignatures, notOfSite, replayed, siteLimited } = counters;
      const accepted = registers - badSignatures - notOfSite - replayed - siteLimited;
      return by('result', {
        accepted,
        'bad-signature': badSignatures,
        'not-of-site': notOfSite,
        replayed,
        'rate-limited': siteLimited,
      });
    },
  });
  metrics.declare({
    name: 'netloom_lisp_authentication_failures_total',
    help: 'Signatures of no key that we know: of registrations, and of acknowledgements.',
    type: 'counter',
    labels: ['message'],
    collect: () =>
      by('message', {
        mapRegister: counters.badSignatures,
        mapNotifyAck: counters.badAcknowledgements,
        info: counters.badInfos,
      }),
  });
  metrics.declare({
    name: 'netloom_lisp_requests_total',
    help: 'Map-Requests by how they were answered.',
    type: 'counter',
    labels: ['answer'],
    collect: () =>
      by('answer', {
        mapping: counters.replies,
        negative: counters.negativeReplies,
        forwarded: counters.forwarded,
        subscription: counters.subscribes + counters.unsubscribes,
        none: counters.unanswered,
      }),
  });
  metrics.declare({
    name: 'netloom_lisp_dropped_total',
    help: 'LISP datagrams that were given up, by why.',
    type: 'counter',
    labels: ['reason'],
    collect: () =>
      by('reason', {
        malformed: counters.malformed,
        'source-rate': counters.sourceLimited,
        overflow: server.counters.overflows,
        fault: server.counters.faults,
        'not-sent': server.counters.sendErrors,
      }),
  });
  metrics.declare({
    name: 'netloom_lisp_notifications_total',
    help: 'Map-Notifies for registrations; repetitions of these and of other messages that want an answer, and those never answered.',
    type: 'counter',
    labels: ['kind'],
    collect: () =>
      by('kind', { sent: counters.notifies, repeated: counters.notifyRetries, unanswered: counters.notifyLost }),
  });
  metrics.declare({
    name: 'netloom_lisp_subscription_changes_total',
    help: 'Subscriptions taken or renewed, taken back, refused, and lost: run out, or never acknowledged.',
    type: 'counter',
    labels: ['change'],
    collect: () =>
      by('change', {
        taken: counters.subscribes,
        ended: counters.unsubscribes,
        refused: counters.subscribesRefused,
        lost: counters.subscriptionsLost,
      }),
  });
  metrics.declare({
    name: 'netloom_lisp_publications_total',
    help: 'Changes told to subscribers, without repetitions.',
    type: 'counter',
    collect: () => counters.publications,
  });
  metrics.declare({
    name: 'netloom_lisp_solicitations_total',
    help: 'Solicit-Map-Requests sent, without repetitions.',
    type: 'counter',
    collect: () => system.sizes.solicitations,
  });
  metrics.declare({
    name: 'netloom_lisp_mappings',
    help: 'EID prefixes with a mapping.',
    type: 'gauge',
    collect: () => system.mappings.size,
  });
  metrics.declare({
    name: 'netloom_lisp_registrations',
    help: 'Registrations that stand: by routers, and by objects and ports.',
    type: 'gauge',
    labels: ['source'],
    collect: () => by('source', { router: census.registrations, object: census.pinned }),
  });
  metrics.declare({
    name: 'netloom_lisp_routers',
    help: 'Routers with something registered, counted once for each LISP site.',
    type: 'gauge',
    collect: () => census.routers,
  });
  metrics.declare({
    name: 'netloom_lisp_subscriptions',
    help: 'Subscriptions that are held.',
    type: 'gauge',
    collect: () => system.sizes.subscriptions,
  });
  metrics.declare({
    name: 'netloom_lisp_unacknowledged',
    help: 'Messages to routers that wait for an answer.',
    type: 'gauge',
    collect: () => system.sizes.unacknowledged,
  });
  metrics.declare({
    name: 'netloom_lisp_events_suppressed_total',
    help: 'Events of routers that came or went and were not told, being too many.',
    type: 'counter',
    collect: () => census.suppressed,
  });
  metrics.declare({
    name: 'netloom_lisp_store_waiting',
    help: 'Changes of registrations that the store has not got yet.',
    type: 'gauge',
    collect: () => keeper.waiting,
  });
  metrics.declare({
    name: 'netloom_lisp_store_failures_total',
    help: 'Times that the store did not take changes of registrations; they are tried again.',
    type: 'counter',
    collect: () => keeper.failures,
  });
  metrics.declare({
    name: 'netloom_lisp_unstored_total',
    help: 'Registrations that do not outlive the process: more than a million are not stored.',
    type: 'counter',
    collect: () => keeper.unstored,
  });
}
