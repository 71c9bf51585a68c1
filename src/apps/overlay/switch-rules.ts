import {
  type Dpid,
  type Membership,
  MeterId,
  meter,
  meterBy,
  Priority,
  pipeline,
  type Rule,
  rule,
  toController,
} from '../../controller/index.ts';
import { PROBE_TYPE } from './probe.ts';

/** Probes a second that one switch may show, and at once: some for each of a thousand hypervisors. */
const PROBE_RATE = { rate: 2_000, burst: 2_000 };

/** Shows probes of tunnels to the controller. Tunnel id 0 is nobody's network; whatever else comes under it is dropped. */
export function switchRules(dpid: Dpid, membership: Membership): readonly Rule[] {
  const vtep = membership.vtepOf(dpid);
  if (!vtep || vtep.ports.size === 0) return [];
  const ports = [...vtep.ports.values()].sort((a, b) => a - b);
  return [
    meter({ id: MeterId.tunnelProbe, unit: 'pktps', ...PROBE_RATE }),
    ...ports.map((inPort) =>
      rule(pipeline.classify, {
        priority: Priority.linkControl,
        match: { inPort, tunnelId: 0, ethType: PROBE_TYPE },
        do: [meterBy(MeterId.tunnelProbe), toController()],
      }),
    ),
  ];
}
