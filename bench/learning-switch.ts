/**
 * The least learning switch on top of the session room: learns in one map, answers each packet-in with a flow-mod and a
 * packet-out. Shows what the session room leaves to the apps. Use: node --import tsx bench/learning-switch.ts [PORT]
 */

import { type MetricSink, silentLogger, systemClock } from '../src/controller/kernel/index.ts';
import { OpenFlowServer, type Session } from '../src/controller/session/index.ts';
import { get48, set16, set32, set48 } from '../src/ofproto/index.ts';

const noMetrics: MetricSink = { declare: () => {}, histogram: () => ({ observe: () => {} }) };
const FLOOD = [0xffff_fffb];
const known = new Map<Session, Map<number, number>>();
const ports: number[] = [0];

// Flow-mod: in_port, eth_dst → output; made once, its fields filled in per packet.
const flowMod = Buffer.alloc(112);
flowMod.set([4, 14, 0, 112]);
flowMod[25] = 0; // add
set16(flowMod, 26, 60); // idle timeout
set16(flowMod, 30, 100); // priority
set32(flowMod, 32, 0xffff_ffff);
set32(flowMod, 36, 0xffff_ffff);
set32(flowMod, 40, 0xffff_ffff);
set16(flowMod, 48, 1);
set16(flowMod, 50, 4 + 8 + 10 + 10);
set32(flowMod, 52, 0x8000_0004);
set32(flowMod, 60, 0x8000_0606);
set32(flowMod, 70, 0x8000_0806);
set16(flowMod, 80, 4);
set16(flowMod, 82, 24);
set32(flowMod, 88, 16);
const FLOW_MOD = 104;
set16(flowMod, 2, FLOW_MOD);

const missFlow = Buffer.alloc(80);
missFlow.set([4, 14, 0, 80]);
set32(missFlow, 32, 0xffff_ffff);
set32(missFlow, 36, 0xffff_ffff);
set32(missFlow, 40, 0xffff_ffff);
set16(missFlow, 48, 1);
set16(missFlow, 50, 4);
set16(missFlow, 56, 4);
set16(missFlow, 58, 24);
set32(missFlow, 64, 16);
set32(missFlow, 68, 0xffff_fffd);
set16(missFlow, 72, 0xffff);

const server = new OpenFlowServer({
  listeners: [{ host: '127.0.0.1', port: Number(process.argv[2] ?? 6653) }],
  log: silentLogger,
  clock: systemClock,
  metrics: noMetrics,
  handlers: {
    up(session) {
      known.set(session, new Map());
      session.write(missFlow);
    },
    down(session) {
      known.delete(session);
    },
    packetIn(session, view) {
      const { bytes, dataAt, dataEnd, inPort } = view;
      if (dataEnd - dataAt < 14) return;
      const table = known.get(session)!;
      const dst = get48(bytes, dataAt);
      const src = get48(bytes, dataAt + 6);
      if (table.get(src) !== inPort) table.set(src, inPort);
      const out = table.get(dst);
      if (out === undefined) {
        session.packetOut(inPort, FLOOD, bytes, dataAt, dataEnd);
        return;
      }
      set32(flowMod, 56, inPort);
      set48(flowMod, 64, dst);
      set48(flowMod, 74, src);
      set32(flowMod, 92, out);
      session.write(flowMod.subarray(0, FLOW_MOD));
      ports[0] = out;
      session.packetOut(inPort, ports, bytes, dataAt, dataEnd);
    },
    portStatus() {},
    flowRemoved() {},
    switchError(session, error) {
      console.error(session.dpid, error.message);
    },
    alarm() {},
  },
});
const [address] = await server.listen();
console.log(`listening on ${address!.host}:${address!.port}`);
process.on('SIGINT', () => process.exit(0));
setInterval(() => {
  if (process.env['BENCH_COUNTERS']) console.log(JSON.stringify(server.counters));
}, 5000);
