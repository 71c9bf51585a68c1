import {
  type AppContext,
  actionOf,
  type Dpid,
  type Mac,
  type Membership,
  membershipOf,
  output,
  type Port,
} from '../../controller/index.ts';
import { set16, set48 } from '../../ofproto/index.ts';

/** Announcements in one tick, and the time between ticks, ms: a thousand machines are announced within two seconds. */
const BATCH = 50;
const TICK_MS = 100;
const BROADCAST = 0xffffffffffff;
const RARP = 0x8035;
/** Shortest Ethernet frame without its check sequence. */
const FRAME_BYTES = 60;

/**
 * After a port on a VLAN has moved to another hypervisor: takes the hosts that were learned behind it along, and sends a reverse ARP request
 * there in the name of everybody else in the segment, so that the switches of that VLAN find the new way at once.
 */
export class Announcer {
  readonly #context: AppContext;
  readonly #membership: Membership;
  readonly #pending: { readonly dpid: Dpid; readonly no: number; readonly mac: Mac }[] = [];
  #cancel: (() => void) | undefined;

  constructor(context: AppContext) {
    this.#context = context;
    this.#membership = membershipOf(context.state);
  }

  close(): void {
    this.#cancel?.();
  }

  /** Call before `moved`, while they are still known: hosts behind the place that a port has now. */
  hostsBehind(port: Port): readonly Mac[] {
    const place = this.#membership.placeOf(port);
    return place ? [...this.#context.observed.hostsAt({ dpid: place.dpid, port: place.no })].map(({ mac }) => mac) : [];
  }

  moved(port: Port, hosts: readonly Mac[]): void {
    const place = this.#membership.placeOf(port);
    if (!place) return;
    const { observed, state } = this.#context;
    const behind = new Set<number>(hosts);
    for (const mac of hosts) observed.learnHost(place.network, mac, { dpid: place.dpid, port: place.no });
    const beyond = this.#membership.beyond(place.network);
    for (const index of [place.network, ...(beyond ? [beyond.index] : [])]) {
      const network = state.desired.networkByIndex(index);
      if (!network) continue;
      const declared = [...state.desired.portsOfNetwork(network.tenant, network.id)].map(({ mac }) => mac);
      const learned = [...observed.hostsOf(index)].map(({ mac }) => mac);
      for (const mac of [...declared, ...learned]) {
        if (mac !== 'learned' && !behind.has(mac)) this.#pending.push({ dpid: place.dpid, no: place.no, mac });
      }
    }
    this.#cancel ??= this.#context.clock.every(TICK_MS, () => this.#announce());
  }

  #announce(): void {
    for (const { dpid, no, mac } of this.#pending.splice(0, BATCH)) {
      this.#context.switchPort(dpid)?.packetOutBy([actionOf(output(no))], reverseArp(mac));
    }
    if (this.#pending.length > 0) return;
    this.#cancel?.();
    this.#cancel = undefined;
  }
}

/** Asks for the address of the MAC itself (RFC 903), as virtual machine monitors do after a move. */
export function reverseArp(mac: Mac): Buffer {
  const frame = Buffer.alloc(FRAME_BYTES);
  set48(frame, 0, BROADCAST);
  set48(frame, 6, mac);
  set16(frame, 12, RARP);
  // Ethernet, IPv4, address lengths, "request reverse".
  frame.set([0, 1, 8, 0, 6, 4, 0, 3], 14);
  set48(frame, 22, mac);
  set48(frame, 32, mac);
  return frame;
}
