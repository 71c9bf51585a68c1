import { type Dpid, formatIp, formatMac } from '../kernel/index.ts';
import type { DesiredReader } from '../model/index.ts';
import {
  type Attachment,
  type Host,
  type Link,
  linkState,
  type ObservedPort,
  type ObservedReader,
  type ObservedSwitch,
} from '../observed/index.ts';
import { pageOf } from './page.ts';
import type { EndView, HostView, LinkView, ObservedApi, PortView, SwitchView } from './providers.ts';

const time = (ms: number): string => new Date(ms).toISOString();

const switchView = (sw: ObservedSwitch): SwitchView => ({
  id: sw.dpid,
  index: sw.index,
  connected: sw.connected,
  remote: sw.remote,
  since: time(sw.since),
  manufacturer: sw.manufacturer,
  hardware: sw.hardware,
  software: sw.software,
  nicira: sw.nicira,
  ports: sw.ports.size,
});

const portView = (port: ObservedPort, badLldp: number): PortView => ({
  no: port.no,
  name: port.name,
  mac: formatMac(port.mac),
  up: port.up,
  currentSpeed: port.currentSpeed,
  role: port.role,
  ...(port.interfaceId === undefined ? {} : { interfaceId: port.interfaceId }),
  ...(port.tunnel === undefined ? {} : { tunnel: port.tunnel }),
  badLldp,
});

const endView = (at: Attachment): EndView => ({ switch: at.dpid, port: at.port });

/** Sorts as the numbers do: port numbers are unsigned 32-bit. */
const portKey = (no: number): string => no.toString(16).padStart(8, '0');
const endKey = (at: Attachment): string => `${at.dpid}/${portKey(at.port)}`;

/**
 * Observed state as REST shows it. `networkPath` names a network by its index: its REST path, or `default`; undefined when
 * it no longer exists.
 */
export function observedApi(
  observed: ObservedReader,
  desired: DesiredReader,
  networkPath: (index: number) => string | undefined,
): ObservedApi {
  const hypervisorAt = (dpid: Dpid): string => desired.hypervisorByDpid(dpid)?.id ?? dpid;
  const hostView = (host: Host): HostView => ({
    network: networkPath(host.network) ?? `index ${host.network}`,
    mac: formatMac(host.mac),
    switch: host.at.dpid,
    port: host.at.port,
    addresses: host.addresses.map(formatIp),
    firstSeen: time(host.firstSeen),
    lastSeen: time(host.lastSeen),
  });
  const linkView = (link: Link): LinkView => ({
    from: endView(link.from),
    to: endView(link.to),
    since: time(link.since),
    state: linkState(observed, link),
    presumed: link.presumed,
  });
  return {
    get revision() {
      return observed.revision;
    },
    switches: ({ limit, cursor }) =>
      pageOf(observed.switches.values(), ({ dpid }) => dpid, switchView, observed.revision, limit, cursor),
    switch(dpid) {
      const sw = observed.switches.get(dpid);
      return sw && switchView(sw);
    },
    ports: (dpid) =>
      [...(observed.switches.get(dpid)?.ports.values() ?? [])]
        .sort((a, b) => a.no - b.no)
        .map((port) => portView(port, observed.badLldp({ dpid, port: port.no }))),
    links: ({ limit, cursor }) =>
      pageOf(observed.links(), ({ from }) => endKey(from), linkView, observed.revision, limit, cursor),
    hosts: ({ limit, cursor }) =>
      pageOf(
        observed.hosts(),
        ({ network, mac }) => `${portKey(network)}/${formatMac(mac)}`,
        hostView,
        observed.revision,
        limit,
        cursor,
      ),
    tunnels: ({ limit, cursor }) =>
      pageOf(
        observed.tunnels(),
        ({ dpid, to, type }) => `${hypervisorAt(dpid)}/${to}/${type}`,
        ({ dpid, to, type, health }) => ({
          from: hypervisorAt(dpid),
          to,
          type,
          state: health.state,
          since: time(health.since),
          reason: health.reason,
        }),
        observed.revision,
        limit,
        cursor,
      ),
    topology: () => ({
      switches: [...observed.switches.values()].map(switchView).sort((a, b) => (a.id < b.id ? -1 : 1)),
      links: [...observed.links()].sort((a, b) => (endKey(a.from) < endKey(b.from) ? -1 : 1)).map(linkView),
      revision: observed.revision,
    }),
  };
}
