import { type Dpid, dpidOf, type Mac } from '../../../src/controller/kernel/index.ts';
import {
  type Attachment,
  type HintSink,
  type KnownGateway,
  type KnownHost,
  type KnownLink,
  Observed,
  type ObservedChange,
  type ObservedOptions,
  type PortDescription,
  type SwitchDescription,
} from '../../../src/controller/observed/index.ts';
import { ManualClock } from '../../kit/manual-clock.ts';

export const dpid = (n: number): Dpid => dpidOf(BigInt(n));
export const at = (n: number, port: number): Attachment => ({ dpid: dpid(n), port });
export const mac = (n: number): Mac => (0x0200_0000_0000 + n) as Mac;

export const port = (n: number, no: number, over: Partial<PortDescription> = {}): PortDescription => ({
  no,
  name: `s${n}-eth${no}`,
  mac: mac(n * 0x1_0000 + no),
  up: true,
  currentSpeed: 10_000_000,
  ...over,
});

export const LOCAL = 0xffff_fffe;

/** Switch n with index n, ports 1…count and its own port. */
export const description = (n: number, count = 4, over: Partial<SwitchDescription> = {}): SwitchDescription => ({
  dpid: dpid(n),
  index: n,
  remote: `127.0.0.1:${40_000 + n}`,
  manufacturer: 'Nicira, Inc.',
  hardware: 'Open vSwitch',
  software: '3.1.0',
  nicira: true,
  ports: [
    ...Array.from({ length: count }, (_, i) => port(n, i + 1)),
    port(n, LOCAL, { name: `s${n}`, up: false, currentSpeed: 0 }),
  ],
  ...over,
});

/** Keeps hints in maps. */
export class MemoryHints implements HintSink {
  readonly switches = new Map<string, Parameters<HintSink['putSwitch']>[1]>();
  readonly links = new Map<string, KnownLink>();
  readonly hosts = new Map<string, KnownHost>();
  putSwitch(dpid: Dpid, facts: Parameters<HintSink['putSwitch']>[1]): void {
    this.switches.set(dpid, facts);
  }
  putLink(link: KnownLink): void {
    this.links.set(`${link.from.dpid}/${link.from.port}`, link);
  }
  deleteLink(from: Attachment): void {
    this.links.delete(`${from.dpid}/${from.port}`);
  }
  putHost(host: KnownHost): void {
    this.hosts.set(`${host.network}/${host.mac}`, host);
  }
  deleteHost(network: number, mac: Mac): void {
    this.hosts.delete(`${network}/${mac}`);
  }
  readonly gateways = new Map<string, KnownGateway>();
  putGateway(gateway: KnownGateway): void {
    this.gateways.set(gateway.of, gateway);
  }
  deleteGateway(of: string): void {
    this.gateways.delete(of);
  }
}

export interface Bench {
  readonly clock: ManualClock;
  readonly hints: MemoryHints;
  readonly observed: Observed;
  readonly changes: ObservedChange[];
  /** Changes told since the last call, as short text. */
  told(): string[];
}

/** An observed state with a clock of its own; listeners that throw fail the test. */
export function bench(over: Partial<ObservedOptions> = {}): Bench {
  const clock = new ManualClock();
  const hints = new MemoryHints();
  const observed = new Observed({
    clock,
    hints,
    onFailure: (event, listener, error) => {
      throw new Error(`${listener} on ${event}`, { cause: error });
    },
    ...over,
  });
  const changes: ObservedChange[] = [];
  observed.onChange('test', (change) => changes.push(change));
  return { clock, hints, observed, changes, told: () => changes.splice(0).map(short) };
}

const end = ({ dpid, port }: Attachment): string => `s${Number(BigInt(`0x${dpid}`))}:${port}`;

function short(change: ObservedChange): string {
  switch (change.kind) {
    case 'switch':
      return `switch ${Number(BigInt(`0x${change.dpid}`))} ${change.before?.connected ?? '-'} → ${change.after?.connected ?? '-'}`;
    case 'observed-port':
      return `port ${end({ dpid: change.dpid, port: change.no })} ${change.before?.role ?? '-'} → ${change.after?.role ?? '-'}`;
    case 'link': {
      const link = change.after ?? change.before!;
      return `link ${end(link.from)} → ${end(link.to)} ${change.after ? 'up' : 'down'}`;
    }
    case 'paths':
      return `paths ${[...change.dpids].map((id) => Number(BigInt(`0x${id}`))).sort((a, b) => a - b)}`;
    case 'tunnel':
      return `tunnel s${Number(BigInt(`0x${change.dpid}`))} ${change.type} ${change.to} ${change.after?.state ?? '-'}`;
    case 'gateway':
      return `gateway ${change.of} ${change.before?.dpid ?? '-'} → ${change.after?.dpid ?? '-'}`;
    case 'device':
      return `device ${change.device} ${change.after ? (change.after.away ?? 'here') : '-'}`;
    case 'host': {
      const host = change.after ?? change.before!;
      return `host ${host.network}/${host.mac % 0x1000} ${change.before ? end(change.before.at) : '-'} → ${change.after ? end(change.after.at) : '-'}`;
    }
  }
}

/** Proves both directions of a cable. */
export function cable(observed: Observed, a: Attachment, b: Attachment): void {
  observed.linkSeen(a, b);
  observed.linkSeen(b, a);
}
