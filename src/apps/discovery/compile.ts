import {
  AppId,
  type Compiler,
  type Dpid,
  isOtherSwitch,
  MeterId,
  meter,
  meterBy,
  type NetworkState,
  type Owner,
  type Placement,
  Priority,
  pipeline,
  type Rule,
  rule,
  type StateChange,
  toController,
} from '../../controller/index.ts';
import { EtherType, LLDP_NEAREST_BRIDGE } from '../../ofproto/index.ts';

const PREFIX = 'discovery/switch/';
const NOWHERE: Placement = new Map();
const LLDP = { ethType: EtherType.lldp, ethDst: LLDP_NEAREST_BRIDGE } as const;

/**
 * Probes a second that a switch may show us. Links have a meter of their own, so that a host that floods LLDP cannot make
 * them look dead; ports that are not links share the other, as hosts may be behind them.
 */
const LINK_RATE = { rate: 500, burst: 500 } as const;
const OTHER_RATE = { rate: 100, burst: 200 } as const;

const ownerOf = (dpid: Dpid, index: number): Owner => ({
  app: AppId.discovery,
  id: index,
  key: `${PREFIX}${dpid}`,
  object: `/v1/switches/${dpid}`,
});

/**
 * One rule for all ports, and one more for each link port. Not one for each edge port: switches have many of those, and few
 * links. Pending ports are with the edge ports, because a host can make its port pending at will by taking it down and up.
 */
export const discoveryCompiler: Compiler<NetworkState, StateChange> = {
  name: 'discovery',
  *affected(change, { observed }) {
    if (isOtherSwitch(change)) {
      const index = (change.after ?? change.before)?.index;
      if (index !== undefined) yield ownerOf(change.dpid, index);
    } else if (change.kind === 'observed-port') {
      const index = observed.switches.get(change.dpid)?.index;
      const differs = (change.before?.role === 'link') !== (change.after?.role === 'link');
      if (index !== undefined && differs) yield ownerOf(change.dpid, index);
    }
  },
  *owners({ observed }) {
    for (const { dpid, index } of observed.switches.values()) yield ownerOf(dpid, index);
  },
  compile(owner, { observed }) {
    const sw = observed.switches.get(owner.key.slice(PREFIX.length) as Dpid);
    if (!sw) return NOWHERE;
    const links: number[] = [];
    for (const { no, role } of sw.ports.values()) if (role === 'link') links.push(no);
    const rules: Rule[] = [
      meter({ id: MeterId.edgeProbe, unit: 'pktps', ...OTHER_RATE }),
      rule(pipeline.classify, {
        priority: Priority.control,
        match: LLDP,
        do: [meterBy(MeterId.edgeProbe), toController()],
      }),
    ];
    if (links.length > 0) rules.push(meter({ id: MeterId.probe, unit: 'pktps', ...LINK_RATE }));
    for (const inPort of links.sort((a, b) => a - b)) {
      rules.push(
        rule(pipeline.classify, {
          priority: Priority.linkControl,
          match: { inPort, ...LLDP },
          do: [meterBy(MeterId.probe), toController()],
        }),
      );
    }
    return new Map([[sw.dpid, rules]]);
  },
};
