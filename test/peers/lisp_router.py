#!/usr/bin/env python3
"""A small LISP router (RFC 9300, 9301, 9437) for tests, written apart from the product: its own reading and writing of messages.

Control plane: registers its prefixes each minute, acknowledges Map-Notifies, asks by encapsulated Map-Requests, heeds solicitations,
subscribes. Data plane: VXLAN-GPE with IP packets inside (UDP 4790), to and from a TUN device.

Takes commands as JSON objects, one a line, on standard input, and says what happens the same way on standard output. Ends when its
input does.
"""

import argparse
import fcntl
import hashlib
import hmac
import ipaddress
import json
import os
import select
import socket
import struct
import sys
import time

AFI = {4: 1, 6: 2}
AFI_LCAF = 16387
LCAF_INSTANCE = 2
LCAF_NAT = 7
MAP_REQUEST, MAP_REPLY, MAP_REGISTER, MAP_NOTIFY, MAP_NOTIFY_ACK, INFO, ECM = 1, 2, 3, 4, 5, 7, 8
HASHES = {1: (hashlib.sha1, 20), 2: (hashlib.sha256, 32)}
GPE_INSTANCE, GPE_PROTOCOL = 0x08, 0x04
GPE_NEXT = {4: 1, 6: 2}
REGISTER_EACH = 60


class Malformed(Exception):
    """A message that cannot be read."""


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


# --- addresses


def put_ip(address):
    return struct.pack("!H", AFI[address.version]) + address.packed


def put_eid(address, instance):
    if instance == 0:
        return put_ip(address)
    inner = put_ip(address)
    return struct.pack("!HBBBBHI", AFI_LCAF, 0, 0, LCAF_INSTANCE, 32, 4 + len(inner), instance) + inner


def get(data, at, form):
    size = struct.calcsize(form)
    if at + size > len(data):
        raise Malformed("too short")
    return struct.unpack_from(form, data, at), at + size


def get_address(data, at):
    """(instance, address or None, where it ends)"""
    (afi,), at = get(data, at, "!H")
    if afi == 0:
        return 0, None, at
    if afi == AFI[4]:
        (raw,), at = get(data, at, "!4s")
        return 0, ipaddress.ip_address(raw), at
    if afi == AFI[6]:
        (raw,), at = get(data, at, "!16s")
        return 0, ipaddress.ip_address(raw), at
    if afi != AFI_LCAF:
        raise Malformed(f"address family {afi}")
    (_, _, kind, _, length), at = get(data, at, "!BBBBH")
    end = at + length
    if kind != LCAF_INSTANCE:
        return 0, None, end
    (instance,), at = get(data, at, "!I")
    _, address, at = get_address(data, at)
    if at != end:
        raise Malformed("length of the instance id's address")
    return instance, address, end


# --- records


def put_record(eid, instance, rlocs, ttl):
    network = ipaddress.ip_network(eid)
    head = struct.pack("!IBBHH", ttl, len(rlocs), network.prefixlen, 0x1000, 0) + put_eid(network.network_address, instance)
    for rloc in rlocs:
        flags = 0x0005  # local, reachable
        head += struct.pack("!BBBBH", rloc["priority"], rloc["weight"], 255, 0, flags) + put_ip(ipaddress.ip_address(rloc["address"]))
    return head


def get_record(data, at):
    (ttl, count, length, flags, _), at = get(data, at, "!IBBHH")
    instance, address, at = get_address(data, at)
    rlocs = []
    for _ in range(count):
        (priority, weight, _, _, bits), at = get(data, at, "!BBBBH")
        _, rloc, at = get_address(data, at)
        if rloc is not None:
            rlocs.append({"address": str(rloc), "priority": priority, "weight": weight, "reachable": bool(bits & 1)})
    eid = None if address is None else f"{address}/{length}"
    return {"ttl": ttl, "action": flags >> 13, "instance": instance, "eid": eid, "rlocs": rlocs}, at


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Router:
    def __init__(self, options):
        self.options = options
        self.server = (options.server.rsplit(":", 1)[0].strip("[]"), int(options.server.rsplit(":", 1)[1]))
        self.rlocs = [{"address": options.address, "priority": 1, "weight": 100}]
        family = socket.AF_INET6 if ":" in options.address else socket.AF_INET
        self.control = socket.socket(family, socket.SOCK_DGRAM)
        self.control.bind((options.address, options.port))
        self.data = None
        self.tun = None
        if options.tun:
            self.data = socket.socket(family, socket.SOCK_DGRAM)
            self.data.bind((options.address, options.data_port))
            self.tun = os.open("/dev/net/tun", os.O_RDWR)
            # TUNSETIFF with IFF_TUN | IFF_NO_PI
            fcntl.ioctl(self.tun, 0x400454CA, struct.pack("16sH", options.tun.encode(), 0x1001))
        self.eids = list(options.eid)
        self.xtr_id = os.urandom(16)
        self.nonce = int.from_bytes(os.urandom(6), "big")
        self.cache = {}  # network -> (record, until)
        self.waiting = {}  # destination -> packets
        self.asked = {}  # nonce -> eid
        self.registered = 0.0
        self.counts = {"out": 0, "in": 0, "lost": 0}

    # --- messages out

    def next_nonce(self):
        self.nonce += 1
        return self.nonce

    def send(self, data):
        self.control.sendto(data, self.server)

    def sign(self, head, body):
        digest, size = HASHES[self.options.key_id]
        auth = struct.pack("!HH", self.options.key_id, size)
        blank = head + auth + bytes(size) + body
        mac = hmac.new(self.options.key.encode(), blank, digest).digest()
        return head + auth + mac + body

    def authentic(self, data):
        (key_id, size), _ = get(data, 12, "!HH")
        if key_id not in HASHES or HASHES[key_id][1] != size:
            return False
        blank = data[:16] + bytes(size) + data[16 + size :]
        mac = hmac.new(self.options.key.encode(), blank, HASHES[key_id][0]).digest()
        return hmac.compare_digest(mac, data[16 : 16 + size])

    def register(self, eids=None, rlocs=None, ttl=1440):
        eids = self.eids if eids is None else eids
        nonce = self.next_nonce()
        # Type 3, P: answer for us, I: an xTR-ID follows, M: tell us that it is done.
        word = MAP_REGISTER << 28 | 1 << 27 | 1 << 25 | 1 << 8 | len(eids)
        rlocs = self.rlocs if rlocs is None else rlocs
        body = b"".join(put_record(eid, self.options.instance, rlocs, ttl) for eid in eids)
        self.send(self.sign(struct.pack("!IQ", word, nonce), body + self.xtr_id + bytes(8)))
        self.registered = time.monotonic()

    def request(self, eid, subscribe=False, smr_invoked=False):
        network = ipaddress.ip_network(eid)
        nonce = self.next_nonce()
        word = MAP_REQUEST << 28 | (1 << 22 if smr_invoked else 0) | (1 << 21 if subscribe else 0) | 1
        source = ipaddress.ip_network(self.eids[0]).network_address if self.eids else None
        message = struct.pack("!IQ", word, nonce)
        message += struct.pack("!H", 0) if source is None else put_eid(source, self.options.instance)
        message += put_ip(ipaddress.ip_address(self.options.address))
        message += struct.pack("!BB", 0x80 if subscribe else 0, network.prefixlen)
        message += put_eid(network.network_address, self.options.instance)
        if subscribe:
            self.send(message + self.xtr_id + bytes(8))
        else:
            self.send(self.encapsulate(message, network.network_address))
        self.asked[nonce] = eid
        return nonce

    def encapsulate(self, message, target):
        """An Encapsulated Control Message, as if it went from us to the EID."""
        source = ipaddress.ip_address(self.options.address)
        if target.version != source.version:
            target = source
        udp = struct.pack("!HHHH", self.options.port, 4342, 8 + len(message), 0) + message
        if source.version == 4:
            header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + source.packed + target.packed
            header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
        else:
            header = struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + source.packed + target.packed
            pseudo = source.packed + target.packed + struct.pack("!II", len(udp), 17)
            udp = udp[:6] + struct.pack("!H", checksum(pseudo + udp) or 0xFFFF) + udp[8:]
        return struct.pack("!I", ECM << 28) + header + udp

    def info(self):
        network = ipaddress.ip_network(self.eids[0])
        body = struct.pack("!IBB", 0, 0, network.prefixlen) + put_eid(network.network_address, self.options.instance)
        self.send(self.sign(struct.pack("!IQ", INFO << 28, self.next_nonce()), body + struct.pack("!H", 0)))

    # --- messages in

    def hear(self, data):
        (word, nonce), at = get(data, 0, "!IQ")
        kind = word >> 28
        if kind == MAP_REPLY:
            records = self.records(data, at, word & 0xFF)
            if self.asked.pop(nonce, None) is None:
                return
            for record in records:
                self.learn(record)
                say("reply", nonce=nonce, **record)
        elif kind == MAP_NOTIFY:
            if not self.authentic(data):
                say("forged")
                return
            (_, size), at = get(data, 12, "!HH")
            records = self.records(data, at + size, word & 0xFF)
            # The acknowledgement is the same message under its own type and signature.
            ack = struct.pack("!I", MAP_NOTIFY_ACK << 28 | word & 0x0FFFFFFF) + data[4:12]
            self.send(self.sign(ack, data[at + size :]))
            for record in records:
                mine = record["eid"] in self.eids
                if not mine:
                    self.learn(record)
                say("registered" if mine else "published", nonce=nonce, **record)
        elif kind == MAP_REQUEST and word & 1 << 24:
            _, _, at = get_address(data, at)
            for _ in range((word >> 8 & 0x1F) + 1):
                _, _, at = get_address(data, at)
            (_, length), at = get(data, at, "!BB")
            instance, address, _ = get_address(data, at)
            changed = ipaddress.ip_network(f"{address}/{length}")
            say("solicited", instance=instance, eid=str(changed))
            for known in [known for known in self.cache if known.version == changed.version and known.overlaps(changed)]:
                del self.cache[known]
            self.request(str(changed), smr_invoked=True)
        elif kind == INFO and word & 1 << 27:
            if not self.authentic(data):
                say("forged")
                return
            (_, size), at = get(data, 12, "!HH")
            (_, _, _), at = get(data, at + size, "!IBB")
            _, _, at = get_address(data, at)
            (afi, _, _, lcaf, _, _), at = get(data, at, "!HBBBBH")
            if afi != AFI_LCAF or lcaf != LCAF_NAT:
                raise Malformed("an Info-Reply without its addresses")
            (server_port, port), at = get(data, at, "!HH")
            _, seen, at = get_address(data, at)
            say("info", address=str(seen), port=port, serverPort=server_port)

    @staticmethod
    def records(data, at, count):
        records = []
        for _ in range(count):
            record, at = get_record(data, at)
            records.append(record)
        return records

    # --- packets

    def learn(self, record):
        if record["eid"] is None or record["instance"] != self.options.instance:
            return
        network = ipaddress.ip_network(record["eid"])
        if record["ttl"] == 0:
            self.cache.pop(network, None)
            return
        seconds = record["ttl"] * 60 if record["ttl"] < 1 << 31 else record["ttl"] - (1 << 31)
        self.cache[network] = (record, time.monotonic() + seconds)
        for destination in [each for each in self.waiting if each in network]:
            for packet in self.waiting.pop(destination):
                self.forward(packet)

    def lookup(self, destination):
        now = time.monotonic()
        best = None
        for network, (record, until) in list(self.cache.items()):
            if until <= now:
                del self.cache[network]
            elif destination in network and (best is None or network.prefixlen > best[0]):
                best = (network.prefixlen, record)
        return best and best[1]

    def forward(self, packet):
        version = packet[0] >> 4
        destination = ipaddress.ip_address(packet[16:20] if version == 4 else packet[24:40])
        if destination.is_multicast:
            return
        record = self.lookup(destination)
        if record is None:
            queue = self.waiting.setdefault(destination, [])
            if not queue:
                self.request(f"{destination}/{32 if version == 4 else 128}")
            if len(queue) < 16:
                queue.append(packet)
            return
        usable = [each for each in record["rlocs"] if each["priority"] < 255 and each["reachable"]]
        if not usable:
            self.counts["lost"] += 1
            return
        rloc = min(usable, key=lambda each: each["priority"])
        head = struct.pack("!BBBB", GPE_INSTANCE | GPE_PROTOCOL, 0, 0, GPE_NEXT[version])
        head += struct.pack("!I", self.options.instance << 8)
        self.data.sendto(head + packet, (rloc["address"], self.options.data_port))
        self.counts["out"] += 1

    def decapsulate(self, data):
        if len(data) < 28 or data[0] & GPE_INSTANCE == 0 or data[0] & GPE_PROTOCOL == 0:
            raise Malformed("no VXLAN-GPE packet")
        instance = struct.unpack("!I", data[4:8])[0] >> 8
        if instance != self.options.instance or data[3] not in GPE_NEXT.values():
            return
        self.counts["in"] += 1
        os.write(self.tun, data[8:])

    # --- commands

    def obey(self, line):
        command = json.loads(line)
        match command["do"]:
            case "register":
                self.register(command.get("eids"))
            case "withdraw":
                self.register(command["eids"], [], 0)
                self.eids = [eid for eid in self.eids if eid not in command["eids"]]
            case "ask":
                self.request(command["eid"])
            case "subscribe":
                self.request(command["eid"], subscribe=True)
            case "info":
                self.info()
            case "counts":
                say("counts", **self.counts)
            case other:
                raise SystemExit(f"no such command: {other}")

    def run(self):
        if self.eids and self.options.register:
            self.register()
        say("ready", port=self.control.getsockname()[1], xtrId=self.xtr_id.hex())
        sources = {self.control: self.hear, sys.stdin: None}
        if self.tun is not None:
            sources |= {self.data: self.decapsulate, self.tun: self.forward}
        pending = b""
        while True:
            ready, _, _ = select.select(list(sources), [], [], 1)
            if self.registered and self.eids and time.monotonic() - self.registered >= REGISTER_EACH:
                self.register()
            for source in ready:
                if source is sys.stdin:
                    chunk = os.read(0, 65536)
                    if not chunk:
                        return
                    *lines, pending = (pending + chunk).split(b"\n")
                    for line in lines:
                        self.obey(line)
                    continue
                try:
                    if source is self.tun:
                        self.forward(os.read(self.tun, 65536))
                    else:
                        sources[source](source.recvfrom(65536)[0])
                except Malformed as problem:
                    say("malformed", why=str(problem))
                except ConnectionRefusedError:
                    say("refused")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", required=True, help="HOST:PORT of the Map-Server and Map-Resolver")
    parser.add_argument("--address", required=True, help="locator: address of this router in the underlay")
    parser.add_argument("--port", type=int, default=4342, help="UDP port of its control plane")
    parser.add_argument("--key", default="secret")
    parser.add_argument("--key-id", type=int, default=2, choices=sorted(HASHES))
    parser.add_argument("--instance", type=int, default=0)
    parser.add_argument("--eid", action="append", default=[], help="prefix that it registers; may be repeated")
    parser.add_argument("--no-register", dest="register", action="store_false", help="not before it is told to")
    parser.add_argument("--tun", help="TUN device for packets; none: control plane only")
    parser.add_argument("--data-port", type=int, default=4790)
    Router(parser.parse_args()).run()


main()
