import { performance } from 'node:perf_hooks';
import { silentLogger, systemClock } from '../src/controller/kernel/index.ts';
import {
  type Address,
  eidPrefix,
  encodeLisp,
  type MappingRecord,
  MappingSystem,
  type MapRegister,
  signLisp,
} from '../src/overlay-gw/lisp/index.ts';

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

let sent = 0;
const system = new MappingSystem({ clock: systemClock, log: silentLogger, send: () => void sent++ });
system.setSite({
  id: 'all',
  prefixes: [eidPrefix(ip(0x0a00_0000), 8)!],
  acceptMoreSpecifics: true,
  keys: ['password'],
});
const rss = (): number => process.memoryUsage.rss() / 2 ** 20;
const rate = (count: number, run: () => void): string => {
  const begun = performance.now();
  run();
  return `${Math.round((count * 1_000) / (performance.now() - begun)).toLocaleString('en')}/s`;
};

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
const before = rss();
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
console.log(`${system.mappings.size.toLocaleString('en')} EIDs: kept at ${filled}, ${(rss() - before).toFixed(0)} MiB`);
console.log(`Map-Request → Map-Reply among them: ${rate(MESSAGES, receiveAll(requests))}`);
system.close();
