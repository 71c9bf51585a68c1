import type { MetricSample, MetricSink } from '../kernel/index.ts';
import { type CloseReason, closeReasons } from './types.ts';

/** Label of a message type beyond OpenFlow 1.3's. */
const typeNames = [
  'hello',
  'error',
  'echo_request',
  'echo_reply',
  'experimenter',
  'features_request',
  'features_reply',
  'get_config_request',
  'get_config_reply',
  'set_config',
  'packet_in',
  'flow_removed',
  'port_status',
  'packet_out',
  'flow_mod',
  'group_mod',
  'port_mod',
  'table_mod',
  'multipart_request',
  'multipart_reply',
  'barrier_request',
  'barrier_reply',
  'queue_get_config_request',
  'queue_get_config_reply',
  'role_request',
  'role_reply',
  'get_async_request',
  'get_async_reply',
  'set_async',
  'meter_mod',
  'unknown',
] as const;

/** Index of messages whose type OpenFlow 1.3 does not have. */
export const unknownType = typeNames.length - 1;

/** Plain numbers that the session room counts up; Prometheus reads them when it asks. */
export class SessionCounters {
  /** Messages by type; [30] those of unknown type. */
  readonly received: Float64Array = new Float64Array(typeNames.length);
  readonly sent: Float64Array = new Float64Array(typeNames.length);
  receivedBytes = 0;
  sentBytes = 0;
  /** Messages refused: broken bodies, wrong version, unknown type. */
  badMessages = 0;
  /** Packet-ins with fewer bytes than the frame had. */
  shortPacketIns = 0;
  /** OFPT_ERROR that a request or a rule was waiting for, and such that nobody was. */
  errorsExpected = 0;
  errorsUnexpected = 0;
  /** Replies without a request. */
  unknownReplies = 0;
  requestTimeouts = 0;
  /** Packet-outs refused because the switch reads too slowly or is gone. */
  packetOutsDropped = 0;
  /** Times that reading paused because the switch read too slowly. */
  pressurePauses = 0;
  /** Times that a connection had its share of a turn and had to wait. */
  turnPauses = 0;
  duplicateAlarms = 0;
  opened = 0;
  /** Handlers of ours that threw. */
  handlerFailures = 0;
  readonly closed: Map<CloseReason, number> = new Map(closeReasons.map((reason) => [reason, 0]));

  close(reason: CloseReason): void {
    this.closed.set(reason, this.closed.get(reason)! + 1);
  }

  /** Counts the messages of a block that somebody else encoded. Walks headers only. */
  countSent(bytes: Uint8Array): void {
    for (let at = 0; at + 8 <= bytes.length; ) {
      const type = bytes[at + 1]!;
      const length = (bytes[at + 2]! << 8) | bytes[at + 3]!;
      const index = type < unknownType ? type : unknownType;
      this.sent[index] = this.sent[index]! + 1;
      if (length < 8) return;
      at += length;
    }
  }
}

function* byType(counts: Float64Array): Generator<MetricSample> {
  for (let i = 0; i < typeNames.length; i++) {
    if (counts[i]! > 0) yield { labels: { type: typeNames[i]! }, value: counts[i]! };
  }
}

/** Gauges that are read from the server's maps. */
export interface SessionGauges {
  sessions(): number;
  connections(): number;
  unsentBytes(): number;
}

/** Declares all metrics of this room. */
export function declareMetrics(sink: MetricSink, counters: SessionCounters, gauges: SessionGauges): void {
  const counter = (name: string, help: string, collect: () => number): void =>
    sink.declare({ name: `netloom_openflow_${name}`, help, type: 'counter', collect });
  const gauge = (name: string, help: string, collect: () => number): void =>
    sink.declare({ name: `netloom_openflow_${name}`, help, type: 'gauge', collect });

  sink.declare({
    name: 'netloom_openflow_received_messages_total',
    help: 'OpenFlow messages from switches',
    type: 'counter',
    labels: ['type'],
    collect: () => byType(counters.received),
  });
  sink.declare({
    name: 'netloom_openflow_sent_messages_total',
    help: 'OpenFlow messages to switches',
    type: 'counter',
    labels: ['type'],
    collect: () => byType(counters.sent),
  });
  sink.declare({
    name: 'netloom_openflow_closed_total',
    help: 'OpenFlow connections that ended, by reason',
    type: 'counter',
    labels: ['reason'],
    collect: () => [...counters.closed].map(([reason, value]) => ({ labels: { reason }, value })),
  });
  sink.declare({
    name: 'netloom_openflow_errors_total',
    help: 'OFPT_ERROR messages from switches: expected ones belong to a request or rule',
    type: 'counter',
    labels: ['expected'],
    collect: () => [
      { labels: { expected: 'true' }, value: counters.errorsExpected },
      { labels: { expected: 'false' }, value: counters.errorsUnexpected },
    ],
  });
  counter('received_bytes_total', 'bytes from switches', () => counters.receivedBytes);
  counter('sent_bytes_total', 'bytes to switches', () => counters.sentBytes);
  counter('bad_messages_total', 'messages refused by the decoder', () => counters.badMessages);
  counter('short_packet_ins_total', 'packet-ins with fewer bytes than the frame had', () => counters.shortPacketIns);
  counter('unknown_replies_total', 'replies and multipart pieces without a request', () => counters.unknownReplies);
  counter('request_timeouts_total', 'requests that a switch did not answer in time', () => counters.requestTimeouts);
  counter(
    'packet_outs_dropped_total',
    'packet-outs not sent: too much unsent output',
    () => counters.packetOutsDropped,
  );
  counter('pressure_pauses_total', 'times reading stopped for a slow reader', () => counters.pressurePauses);
  counter('turn_pauses_total', 'times a connection used up its share of a turn', () => counters.turnPauses);
  counter('duplicate_alarms_total', 'connections refused for their datapath id', () => counters.duplicateAlarms);
  counter('opened_total', 'OpenFlow connections accepted', () => counters.opened);
  counter('handler_failures_total', 'exceptions in handlers of switch messages', () => counters.handlerFailures);
  gauge('sessions', 'switches that are up', gauges.sessions);
  gauge('connections', 'OpenFlow connections, those in their handshake included', gauges.connections);
  gauge('unsent_bytes', 'bytes waiting for switches to read', gauges.unsentBytes);
}
