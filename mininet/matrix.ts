import { type Guest, Probe } from './driver.ts';
import { type TaggedFrame, taggedFrames } from './frames.ts';

/** What frames came to that everybody sent to everybody. Each entry reads `TAG at MACHINE`. */
export interface Matrix {
  /** Frames that were sent. */
  readonly sent: number;
  /** Did not come where they belong: to the receiver, or to all others of the sender's tenant when sent to a group. */
  readonly missing: readonly string[];
  /** Came to a NIC of another tenant. */
  readonly leaked: readonly string[];
  /** Came to a machine of the same tenant that they were not for. */
  readonly astray: readonly string[];
  /** Came more than once. */
  readonly twice: readonly string[];
}

const hex = (text: string): string => Buffer.from(text).toString('hex');

/**
 * Sends unicast, broadcast and multicast frames from each machine to each other one, of its own tenant and of others, and looks at
 * every NIC. Frames carry names, so that with overlapping addresses none passes for another.
 */
export async function tryAll(machines: readonly Guest[], timeoutMs = 5_000): Promise<Matrix> {
  const probes = await Promise.all(machines.map((machine) => Probe.open(machine)));
  const at = new Map(probes.map((probe) => [probe.host, probe]));
  try {
    const sent = machines.flatMap((from) =>
      machines.filter((to) => to !== from).flatMap((to) => taggedFrames(from, to)),
    );
    for (const { from, frame } of sent) at.get(from)!.send(frame);
    const missing: string[] = [];
    for (const each of sent) {
      for (const machine of receivers(each, machines)) {
        const mark = hex(each.tag);
        const came = await at
          .get(machine)!
          .until((frame) => frame.includes(mark), missing.length === 0 ? timeoutMs : 1)
          .then(() => true)
          .catch(() => false);
        if (!came) missing.push(`${each.tag} at ${machine.name}`);
      }
    }
    const leaked: string[] = [];
    const astray: string[] = [];
    const twice: string[] = [];
    for (const each of sent) {
      const mark = hex(each.tag);
      const meant = new Set(receivers(each, machines));
      for (const { host, received } of probes) {
        const count = received.filter((frame) => frame.includes(mark) && isUdp(frame)).length;
        const what = `${each.tag} at ${host.name}`;
        if (count > 1) twice.push(what);
        if (count > 0 && !meant.has(host)) (host.tenant === each.from.tenant ? astray : leaked).push(what);
      }
    }
    return { sent: sent.length, missing, leaked, astray, twice };
  } finally {
    await Promise.all(probes.map((probe) => probe.close()));
  }
}

/** Refusals (ICMP) bring the frame that they refuse back to its sender. */
const isUdp = (frame: string): boolean =>
  frame.startsWith('0800', 24)
    ? frame.startsWith('11', 46)
    : frame.startsWith('86dd', 24) && frame.startsWith('11', 40);

/**
 * Whom a frame is for. One to a group is for all others of the sender's tenant, whoever it is named after; any other is for who has its
 * destination MAC in the sender's tenant, which need not be who it is named after: tenants overlap.
 */
function receivers({ from, to, isGroup }: TaggedFrame, machines: readonly Guest[]): readonly Guest[] {
  return machines.filter(
    (machine) => machine.tenant === from.tenant && machine !== from && (isGroup || machine.mac === to.mac),
  );
}
