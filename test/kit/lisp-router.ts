import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import {
  type Address,
  addressOf,
  decodeLisp,
  type EidPrefix,
  eidPrefix,
  encodeLisp,
  type LispMessage,
  type Locator,
  type MapNotify,
  type MappingRecord,
  type MapRegister,
  type MapReply,
  type MapRequest,
  signLisp,
} from '../../src/overlay-gw/lisp/index.ts';

const ip = (address: string): Address => ({ afi: address.includes(':') ? 'ipv6' : 'ipv4', address });

/** `[7]10.0.0.0/8`, or `10.0.0.1` in instance 0. */
export function eid(text: string): EidPrefix {
  const [, instanceId, address, length] = /^(?:\[(\d+)\])?([^/]+)(?:\/(\d+))?$/.exec(text)!;
  const prefix = eidPrefix(ip(address!), Number(length ?? (address!.includes(':') ? 128 : 32)))!;
  return { ...prefix, instanceId: Number(instanceId ?? 0) };
}

const locator = (rloc: string): Locator => ({
  priority: 1,
  weight: 100,
  multicastPriority: 255,
  multicastWeight: 0,
  reserved: 0,
  local: true,
  probed: false,
  reachable: true,
  rloc: ip(rloc),
});

const record = (prefix: EidPrefix, rlocs: readonly string[], ttl: number): MappingRecord => ({
  ttl,
  maskLength: prefix.length,
  action: 0,
  authoritative: true,
  reserved: 0,
  reserved2: 0,
  version: 0,
  eid: addressOf(prefix),
  locators: rlocs.map(locator),
});

/** Addresses of a record's locators. */
export const rlocsOf = ({ locators }: Pick<MappingRecord, 'locators'>): string[] =>
  locators.map(({ rloc }) => ('address' in rloc && typeof rloc.address === 'string' ? rloc.address : rloc.afi));

/** A UDP port of loopback that was free a moment ago. */
export async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

/** A LISP router as far as the control plane goes, on a UDP port of loopback. Speaks by the product's own codec. */
export class LispRouter {
  readonly xtrId = randomBytes(16).toString('hex');
  readonly heard: LispMessage[] = [];
  readonly #socket: Socket;
  readonly #server: { readonly address: string; readonly port: number };
  readonly #key: string;
  #nonce = BigInt(`0x${randomBytes(6).toString('hex')}`);

  private constructor(socket: Socket, server: { readonly address: string; readonly port: number }, key: string) {
    this.#socket = socket;
    this.#server = server;
    this.#key = key;
  }

  static async start(
    server: { readonly address: string; readonly port: number },
    key = 'secret',
    at: { readonly address: string; readonly port?: number } = { address: server.address },
  ): Promise<LispRouter> {
    const socket = createSocket(at.address.includes(':') ? 'udp6' : 'udp4');
    socket.bind(at.port ?? 0, at.address);
    await once(socket, 'listening');
    const router = new LispRouter(socket, server, key);
    socket.on('message', (bytes) => router.#hear(bytes));
    return router;
  }

  /** Its UDP port. */
  get port(): number {
    return this.#socket.address().port;
  }

  #hear(bytes: Buffer): void {
    const message = decodeLisp(bytes);
    this.heard.push(message);
    if (message.type !== 'mapNotify') return;
    const ack: MapNotify = { ...message, type: 'mapNotifyAck' };
    this.send(signLisp(ack, message.auth.keyId, this.#key));
  }

  send(bytes: Buffer): void {
    this.#socket.send(bytes, this.#server.port, this.#server.address);
  }

  nextNonce(): string {
    return (++this.#nonce).toString(16).padStart(16, '0');
  }

  /** The bytes of a registration. */
  registration(prefix: string, rlocs: readonly string[], more: Partial<MapRegister> = {}, ttl = 1440): Buffer {
    const message: MapRegister = {
      type: 'mapRegister',
      proxyReply: true,
      security: false,
      rtr: false,
      useTtl: false,
      merge: false,
      wantNotify: true,
      nonce: this.nextNonce(),
      reserved: 0,
      auth: { keyId: 2, data: Buffer.alloc(0) },
      records: [record(eid(prefix), rlocs, ttl)],
      identity: { xtrId: this.xtrId, siteId: '0'.repeat(16) },
      ...more,
    };
    return signLisp(message, 2, this.#key);
  }

  /** Registers, and resolves with the Map-Notify. */
  async register(prefix: string, rlocs: readonly string[], more: Partial<MapRegister> = {}): Promise<MapNotify> {
    const nonce = more.nonce ?? this.nextNonce();
    this.send(this.registration(prefix, rlocs, { ...more, nonce }));
    return (await this.next((each) => each.type === 'mapNotify' && each.nonce === nonce)) as MapNotify;
  }

  /** Takes a registration back, and resolves with the Map-Notify. */
  async withdraw(prefix: string): Promise<void> {
    const nonce = this.nextNonce();
    this.send(this.registration(prefix, [], { nonce }, 0));
    await this.next((each) => each.type === 'mapNotify' && each.nonce === nonce);
  }

  /** Asks, and resolves with the answer. */
  async ask(prefix: string, more: Partial<MapRequest> = {}): Promise<MapReply['records'][number]> {
    const asked = eid(prefix);
    const nonce = this.nextNonce();
    this.send(
      encodeLisp({
        type: 'mapRequest',
        authoritative: false,
        mapDataPresent: false,
        probe: false,
        smr: false,
        pitr: false,
        smrInvoked: false,
        nonce,
        reserved: 0,
        source: { afi: 'none' },
        itrRlocs: [ip(this.#socket.address().address)],
        records: [{ reserved: 0, maskLength: asked.length, eid: addressOf(asked) }],
        ...more,
      }),
    );
    const reply = await this.next((each) => each.type === 'mapReply' && each.nonce === nonce);
    return (reply as MapReply).records[0]!;
  }

  /** Subscribes to changes of a prefix, and resolves with the confirmation. */
  async subscribe(prefix: string): Promise<MapNotify> {
    const asked = eid(prefix);
    const nonce = this.nextNonce();
    this.send(
      encodeLisp({
        type: 'mapRequest',
        authoritative: false,
        mapDataPresent: false,
        probe: false,
        smr: false,
        pitr: false,
        smrInvoked: false,
        nonce,
        reserved: 0,
        source: { afi: 'none' },
        itrRlocs: [ip(this.#socket.address().address)],
        records: [{ reserved: 0x80, maskLength: asked.length, eid: addressOf(asked) }],
        identity: { xtrId: this.xtrId, siteId: '0'.repeat(16) },
      }),
    );
    return (await this.next((each) => each.type === 'mapNotify' && each.nonce === nonce)) as MapNotify;
  }

  /** The first message heard, or to be heard, that fits. */
  async next(fits: (message: LispMessage) => boolean, timeoutMs = 10_000): Promise<LispMessage> {
    const signal = AbortSignal.timeout(timeoutMs);
    for (;;) {
      const found = this.heard.find(fits);
      if (found) return found;
      await once(this.#socket, 'message', { signal });
    }
  }

  close(): void {
    this.#socket.close();
  }
}
