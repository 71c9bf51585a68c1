import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { silentLogger, systemClock } from '../src/controller/kernel/index.ts';
import {
  type Address,
  decodeLisp,
  eidPrefix,
  encodeLisp,
  LispServer,
  type MappingRecord,
  MappingSystem,
  type MapRegister,
  type MapRequest,
  signLisp,
} from '../src/overlay-gw/lisp/index.ts';
import { freeUdpPort } from '../test/kit/lisp-router.ts';

/** The mapping system without sockets: what decoding, checking, keeping and answering cost on one core. */

const EIDS = 1_000_000;
const MESSAGES = 50_000;
const ip = (value: number): Address => ({
  afi: 'ipv4',
  address: [24, 16, 8, 0].map((by) => (value >>> by) & 255).join('.'),
});
const record = (eid: Address): MappingRecord => ({
  ttl: 1440,
  maskLength: 32,
  action: 0,
  authoritative: true,
  reserved: 0,
  reserved2: 0,
  version: 0,
  eid,
  locators: [
    {
      priority: 1,
      weight: 100,
      multicastPriority: 255,
      multicastWeight: 0,
      reserved: 0,
      local: true,
      probed: false,
      reachable: true,
      rloc: ip(0xc000_0201),
    },
  ],
});

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

let sent = 0;
const system = new MappingSystem({ clock: systemClock, log: silentLogger, send: () => void sent++ });
system.setSite({
  id: 'all',
  prefixes: [eidPrefix(ip(0x0a00_0000), 8)!],
  acceptMoreSpecifics: true,
  keys: ['password'],
});
/** What is held, MiB: live objects and typed arrays after a full collection. */
const held = (): number => {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return (heapUsed + arrayBuffers) / 2 ** 20;
};
const rss = (): number => process.memoryUsage.rss() / 2 ** 20;
/** Time of processors that something took, µs: what others do on the machine is not counted. */
const spent = (run: () => void): number => {
  const begun = process.cpuUsage();
  run();
  const { user, system: inKernel } = process.cpuUsage(begun);
  return user + inKernel;
};
const rate = (count: number, run: () => void): string =>
  `${Math.round((count * 1e6) / spent(run)).toLocaleString('en')}/s`;

const register = (eid: number): Buffer => {
  const message: MapRegister = {
    type: 'mapRegister',
    proxyReply: true,
    security: false,
    rtr: false,
    useTtl: true,
    merge: false,
    wantNotify: true,
    nonce: eid.toString(16).padStart(16, '0'),
    reserved: 0,
    auth: { keyId: 1, data: Buffer.alloc(0) },
    records: [record(ip(eid))],
  };
  return signLisp(message, 1, 'password');
};
const request = (eid: number): Buffer =>
  encodeLisp({
    type: 'mapRequest',
    authoritative: false,
    mapDataPresent: false,
    probe: false,
    smr: false,
    pitr: false,
    smrInvoked: false,
    nonce: eid.toString(16).padStart(16, '0'),
    reserved: 0,
    source: { afi: 'none' },
    itrRlocs: [ip(0x7f00_0001)],
    records: [{ reserved: 0, maskLength: 32, eid: ip(eid) }],
  });
/** Spread over the whole block, none twice. */
const eidOf = (n: number): number => 0x0a00_0000 + ((n * 0x9e37) & 0xff_ffff);
const receiveAll = (list: readonly Buffer[]) => (): void => {
  for (const bytes of list) system.receive(bytes, from);
};
const from = { address: '127.0.0.1', port: 4342 };

const registers = Array.from({ length: MESSAGES }, (_, n) => register(eidOf(n)));
const requests = Array.from({ length: MESSAGES }, (_, n) => request(eidOf(n)));
console.log(`Map-Register → Map-Notify: ${rate(MESSAGES, receiveAll(registers))}`);
console.log(`Map-Request → Map-Reply: ${rate(MESSAGES, receiveAll(requests))}`);
const before = [held(), rss()] as const;
const expiresAt = systemClock.monotonic() + 86_400_000;
const filled = rate(EIDS, () => {
  for (let n = 0; n < EIDS; n++) {
    const eid = ip(eidOf(n));
    system.mappings.register(
      eidPrefix(eid, 32)!,
      { by: 'xtr', record: record(eid), proxyReply: true, expiresAt },
      false,
    );
  }
});
const resident = rss() - before[1];
console.log(
  `${system.mappings.size.toLocaleString('en')} EIDs: kept at ${filled}, ${(held() - before[0]).toFixed(0)} MiB held, ${resident.toFixed(0)} MiB more resident while they came`,
);
console.log(`Map-Request → Map-Reply among them: ${rate(MESSAGES, receiveAll(requests))}`);
const asked = Array.from({ length: EIDS }, (_, n) => eidPrefix(ip(eidOf(n)), 32)!);
const looking = spent(() => {
  for (const prefix of asked) if (!system.mappings.lookup(prefix)) throw new Error('an EID is missing');
});
console.log(`look-up among them: ${(looking / EIDS).toFixed(2)} µs`);
system.close();

await subscribers();

/** A change of a mapping until all subscribers have heard of it, over UDP on loopback, ours and theirs on the same core. */
async function subscribers(): Promise<void> {
  const SUBSCRIBERS = 1_000;
  const SOCKETS = 20;
  const ROUNDS = 20;
  const port = await freeUdpPort();
  const server = new LispServer({
    log: silentLogger,
    listen: [{ address: '127.0.0.1', port: 0 }],
    receive: (bytes, from, to) => over.receive(bytes, from, to),
  });
  const over = new MappingSystem({ clock: systemClock, log: silentLogger, send: server.send, controlPort: port });
  over.setSite({
    id: 'all',
    prefixes: [eidPrefix(ip(0x0a00_0000), 8)!],
    acceptMoreSpecifics: true,
    keys: ['password'],
  });
  await server.start();
  const at = server.endpoints[0]!;
  let heard = 0;
  let wake: () => void = () => {};
  const sockets = await Promise.all(
    Array.from({ length: SOCKETS }, async (_, n) => {
      const socket = createSocket('udp4').bind(port, `127.0.0.${n + 2}`);
      await once(socket, 'listening');
      socket.on('message', (bytes) => {
        const message = decodeLisp(bytes);
        if (message.type !== 'mapNotify') return;
        heard++;
        socket.send(signLisp({ ...message, type: 'mapNotifyAck' }, 1, 'password'), at.port, at.address);
        wake();
      });
      return socket;
    }),
  );
  const until = async (count: number): Promise<void> => {
    while (heard < count) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  for (let n = 0; n < SUBSCRIBERS; n++) {
    const identity = { xtrId: n.toString(16).padStart(32, '0'), siteId: '0'.repeat(16) };
    const address = `127.0.0.${(n % SOCKETS) + 2}`;
    const registration: MapRegister = { ...decodeLisp(register(eidOf(n))), identity, wantNotify: false } as MapRegister;
    over.receive(signLisp(registration, 1, 'password'), { address, port }, at.address);
    const question = decodeLisp(request(0x0aff_0000)) as MapRequest;
    const records = [{ reserved: 0x80, maskLength: 16, eid: ip(0x0aff_0000) }];
    const itrRlocs = [{ afi: 'ipv4', address } as const];
    over.receive(encodeLisp({ ...question, identity, itrRlocs, records }), { address, port }, at.address);
    if (n % 100 === 99) await until(n + 1);
  }
  await until(SUBSCRIBERS);
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    heard = 0;
    const started = performance.now();
    over.pin(eidPrefix(ip(0x0aff_0001), 32)!, '/v1/bench', record(ip(0xc000_0200 + round)));
    await until(SUBSCRIBERS);
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  const [median, worst] = [times[ROUNDS / 2]!, times.at(-1)!];
  console.log(
    `${over.sizes.subscriptions} subscribers told of a change: ${median.toFixed(0)} ms, ${worst.toFixed(0)} at worst of ${ROUNDS}`,
  );
  over.close();
  await server.stop();
  for (const socket of sockets) socket.close();
}
