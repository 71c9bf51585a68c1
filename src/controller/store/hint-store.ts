import type { Clock, Dpid, IpAddress, Logger, Mac } from '../kernel/index.ts';
import { formatIp, formatMac, parseDpid, parseIp, parseMac } from '../kernel/index.ts';
import type {
  GatewayHint,
  HintPoint,
  HintStore,
  HostHint,
  LinkHint,
  PortHint,
  StoredHints,
  SwitchFacts,
  SwitchHint,
} from './hints.ts';
import { IdAllocator, IdSpaces } from './ids.ts';
import type { Store, StoreOp } from './types.ts';

export interface HintStoreOptions {
  readonly store: Store;
  readonly log: Logger;
  readonly clock: Clock;
  /** How long a write may wait for others; default and most 100 ms. */
  readonly delayMs?: number;
}

const PREFIX = '/hint/';
const PAGE = 1_000;
/** Operations of one transaction; etcd's default limit is 128. */
const BATCH = 100;

const pointText = (point: HintPoint): string => `${point.dpid}.${point.port}`;
const linkKey = (from: HintPoint): string => `${PREFIX}link/${pointText(from)}`;
const hostKey = (network: number, mac: Mac): string => `${PREFIX}host/${network}/${formatMac(mac)}`;
const gatewayKey = (of: string): string => `${PREFIX}gateway/${of}`;
const switchKey = (dpid: Dpid): string => `${PREFIX}switch/${dpid}`;

/** Hints in a store, written behind. */
export class StoredHintStore implements HintStore {
  readonly #store: Store;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly #indexes: IdAllocator;
  /** Newest unwritten value of each key; undefined deletes. */
  #pending = new Map<string, string | undefined>();
  /** Host and link keys that touch a switch, so that forgetting one finds them without reading everything. */
  readonly #touching = new Map<string, readonly Dpid[]>();
  #cancelTimer: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: HintStoreOptions) {
    this.#store = options.store;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#delayMs = Math.min(options.delayMs ?? 100, 100);
    this.#indexes = new IdAllocator(options.store, IdSpaces.switch);
  }

  async load(): Promise<StoredHints> {
    const links: LinkHint[] = [];
    const hosts: HostHint[] = [];
    const gateways: GatewayHint[] = [];
    const facts = new Map<Dpid, SwitchFacts>();
    for await (const { key, value } of this.#all()) {
      const [kind] = key.slice(PREFIX.length).split('/', 1);
      try {
        const stored: unknown = JSON.parse(value);
        if (kind === 'link') links.push(this.#track(key, readLink(stored)));
        else if (kind === 'host') hosts.push(this.#track(key, readHost(stored)));
        else if (kind === 'gateway') gateways.push(readGateway(stored));
        else if (kind === 'switch') facts.set(readDpid(key.slice(`${PREFIX}switch/`.length)), readFacts(stored));
        else throw new TypeError(`no such kind of hint: ${kind}`);
      } catch (error) {
        this.#log.warn({ key, err: error }, 'store: a hint cannot be read; it is left out');
      }
    }
    const switches: SwitchHint[] = [];
    for (const [holder, index] of await this.#indexes.holders()) {
      const dpid = readDpid(holder);
      switches.push({ dpid, index, facts: facts.get(dpid) });
    }
    switches.sort((a, b) => a.index - b.index);
    return { switches, links, hosts, gateways };
  }

  putLink(link: LinkHint): void {
    this.#track(linkKey(link.from), link);
    this.#put(linkKey(link.from), { from: pointText(link.from), to: pointText(link.to), since: link.since });
  }

  deleteLink(from: HintPoint): void {
    this.#delete(linkKey(from));
  }

  putHost(host: HostHint): void {
    const key = hostKey(host.network, host.mac);
    this.#track(key, host);
    this.#put(key, {
      network: host.network,
      mac: formatMac(host.mac),
      at: pointText(host.at),
      endpoint: host.endpoint,
      addresses: host.addresses.map(formatIp),
      firstSeen: host.firstSeen,
      lastSeen: host.lastSeen,
    });
  }

  deleteHost(network: number, mac: Mac): void {
    this.#delete(hostKey(network, mac));
  }

  putGateway({ of, dpid, former }: GatewayHint): void {
    this.#put(gatewayKey(of), { of, dpid, former });
  }

  deleteGateway(of: GatewayHint['of']): void {
    this.#delete(gatewayKey(of));
  }

  putSwitch(dpid: Dpid, facts: SwitchFacts): void {
    this.#put(switchKey(dpid), {
      manufacturer: facts.manufacturer,
      hardware: facts.hardware,
      software: facts.software,
      nicira: facts.nicira,
      ports: facts.ports.map((port) => ({ ...port, mac: formatMac(port.mac) })),
    });
  }

  switchIndex(dpid: Dpid): Promise<number> {
    return this.#indexes.allocate(dpid);
  }

  async forgetSwitch(dpid: Dpid): Promise<void> {
    this.#delete(switchKey(dpid));
    for (const [key, dpids] of this.#touching) if (dpids.includes(dpid)) this.#delete(key);
    await this.flush();
    await this.#indexes.release(dpid);
  }

  flush(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const run = this.#writing.then(() => this.#write());
    this.#writing = run.catch(() => undefined);
    return run;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
  }

  async *#all(): AsyncGenerator<{ key: string; value: string }> {
    let after: string | undefined;
    for (let more = true; more; ) {
      const page = await this.#store.range({ prefix: PREFIX, limit: PAGE, ...(after === undefined ? {} : { after }) });
      yield* page.items;
      after = page.items.at(-1)?.key;
      more = page.more;
    }
  }

  #track<T extends LinkHint | HostHint>(key: string, hint: T): T {
    this.#touching.set(key, 'at' in hint ? [hint.at.dpid] : [hint.from.dpid, hint.to.dpid]);
    return hint;
  }

  #put(key: string, value: object): void {
    this.#pending.set(key, JSON.stringify(value));
    this.#arm();
  }

  #delete(key: string): void {
    this.#touching.delete(key);
    this.#pending.set(key, undefined);
    this.#arm();
  }

  #arm(): void {
    if (this.#cancelTimer || this.#closed) return;
    this.#cancelTimer = this.#clock.after(this.#delayMs, () => {
      this.#cancelTimer = undefined;
      this.flush().catch((error: unknown) => {
        this.#log.warn({ err: error }, 'store: hints could not be written; they are kept and tried again');
        this.#arm();
      });
    });
  }

  async #write(): Promise<void> {
    const taken = [...this.#pending];
    this.#pending = new Map();
    let done = 0;
    try {
      while (done < taken.length) {
        const slice = taken.slice(done, done + BATCH);
        const ops = slice.map(
          ([key, value]): StoreOp => (value === undefined ? { op: 'delete', key } : { op: 'put', key, value }),
        );
        // Losing the newest hints with the machine's power costs a probe; waiting for the disk here would cost packets.
        await this.#store.txn([], ops, { relaxed: true });
        done += slice.length;
      }
    } catch (error) {
      // What was put again meanwhile is newer.
      for (const [key, value] of taken.slice(done)) if (!this.#pending.has(key)) this.#pending.set(key, value);
      throw error;
    }
  }
}

function fail(what: string): never {
  throw new TypeError(`hint: bad ${what}`);
}

type Fields = Readonly<Record<string, unknown>>;
const readFields = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : fail('object');
const readNumber = (value: unknown): number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : fail('number');
const readText = (value: unknown): string => (typeof value === 'string' ? value : fail('text'));
const readFlag = (value: unknown): boolean => (typeof value === 'boolean' ? value : fail('flag'));
const readList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : fail('list'));
const readDpid = (value: unknown): Dpid => parseDpid(readText(value)) ?? fail('datapath id');
const readMac = (value: unknown): Mac => parseMac(readText(value)) ?? fail('MAC');
const readIp = (value: unknown): IpAddress => parseIp(readText(value)) ?? fail('address');

function readPoint(value: unknown): HintPoint {
  const [dpid, port] = readText(value).split('.', 2);
  return { dpid: readDpid(dpid), port: readNumber(Number(port)) };
}

function readLink(value: unknown): LinkHint {
  const fields = readFields(value);
  return { from: readPoint(fields['from']), to: readPoint(fields['to']), since: readNumber(fields['since']) };
}

function readHost(value: unknown): HostHint {
  const fields = readFields(value);
  return {
    network: readNumber(fields['network']),
    mac: readMac(fields['mac']),
    at: readPoint(fields['at']),
    endpoint: readNumber(fields['endpoint']),
    addresses: readList(fields['addresses']).map(readIp),
    firstSeen: readNumber(fields['firstSeen']),
    lastSeen: readNumber(fields['lastSeen']),
  };
}

function readGateway(value: unknown): GatewayHint {
  const fields = readFields(value);
  const former = fields['former'] === undefined ? undefined : readDpid(fields['former']);
  const [kind, number] = readText(fields['of']).split('/', 2);
  if (kind !== 'network' && kind !== 'endpoint') fail('gateway');
  return { of: `${kind}/${readNumber(Number(number))}`, dpid: readDpid(fields['dpid']), former };
}

const ROLES: readonly PortHint['role'][] = ['pending', 'edge', 'link', 'tunnel', 'local'];
const TUNNELS = ['vxlan', 'nvgre'] as const;

function readPort(value: unknown): PortHint {
  const fields = readFields(value);
  return {
    no: readNumber(fields['no']),
    name: readText(fields['name']),
    mac: readMac(fields['mac']),
    up: readFlag(fields['up']),
    currentSpeed: readNumber(fields['currentSpeed']),
    role: ROLES.find((role) => role === fields['role']) ?? fail('port role'),
    ...(fields['interfaceId'] === undefined ? {} : { interfaceId: readText(fields['interfaceId']) }),
    ...(fields['tunnel'] === undefined
      ? {}
      : { tunnel: TUNNELS.find((type) => type === fields['tunnel']) ?? fail('tunnel type') }),
  };
}

function readFacts(value: unknown): SwitchFacts {
  const fields = readFields(value);
  return {
    manufacturer: readText(fields['manufacturer']),
    hardware: readText(fields['hardware']),
    software: readText(fields['software']),
    nicira: readFlag(fields['nicira']),
    ports: readList(fields['ports']).map(readPort),
  };
}
