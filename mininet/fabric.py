#!/usr/bin/python3
"""A leaf-spine Mininet network of Open vSwitch switches (userspace datapath) for Netloom's demo and tests.

Each leaf connects to each spine, hosts hang on the leaves. Addresses may overlap: hosts are dealt to tenants round robin,
and the n-th host of every tenant has the same MAC and the same IPv4 and IPv6 address.

Prints one JSON line when the network stands, then takes one JSON command a line on standard input and answers each with
one JSON line: {"op": "link", "a": "PREFIXs1", "b": "PREFIXs3", "up": false}, {"op": "stop"}. Ends, and removes what it made, on
"stop", on end of input, SIGTERM or SIGINT. What a killed run of the same prefix left behind is removed at the start.
Commands inside a host run from outside: mnexec -a PID COMMAND.
"""

import argparse
import json
import os
import signal
import subprocess
import sys

from mininet.link import Link
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.node import OVSSwitch, RemoteController


def run(*command):
    """Output of a command; None when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def sweep(prefix):
    """Removes bridges, interfaces and host shells that an earlier run of this prefix left behind."""
    for bridge in (run("ovs-vsctl", "list-br") or "").split():
        if bridge.startswith(prefix + "s"):
            run("ovs-vsctl", "--if-exists", "del-br", bridge)
    for line in (run("ip", "-o", "link") or "").splitlines():
        name = line.split(":")[1].strip().split("@")[0]
        if name.startswith((prefix + "s", prefix + "h")) and "-eth" in name:
            run("ip", "link", "del", name)
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(word.startswith((f"mininet:{prefix}h", f"mininet:{prefix}s")) for word in words):
            try:
                os.kill(int(entry), signal.SIGKILL)
            except ProcessLookupError:
                pass


def build(options):
    """The network, not started, and the facts that the caller needs to know about it."""
    net = Mininet(controller=None, switch=OVSSwitch, link=Link, autoSetMacs=False, waitConnected=False)
    host, _, port = options.controller.rpartition(":")
    net.addController("c0", controller=RemoteController, ip=host, port=int(port))
    switch = {"datapath": "user", "protocols": "OpenFlow13", "failMode": "secure"}
    prefix = options.prefix
    count = options.spines + options.leaves
    switches = [
        net.addSwitch(f"{prefix}s{n}", dpid=f"{options.dpid_base + n:016x}", **switch) for n in range(1, count + 1)
    ]
    spines, leaves = switches[: options.spines], switches[options.spines :]
    links = []
    for a, b in ([(leaf, spine) for leaf in leaves for spine in spines] if spines else zip(leaves, leaves[1:])):
        for _ in range(options.parallel):
            link = net.addLink(a, b)
            links.append({"a": a.name, "aPort": link.intf1.name, "b": b.name, "bPort": link.intf2.name})
    hosts = {}
    for n in range(options.hosts):
        tenant, member = n % options.tenants, n // options.tenants + 1
        leaf = leaves[(member - 1 + tenant * options.shift) % len(leaves)]
        unique = n + 1 if options.unique else member
        ip, mac = f"10.0.{unique >> 8}.{unique & 255}", f"02:00:00:00:{unique >> 8:02x}:{unique & 255:02x}"
        node = net.addHost(f"{prefix}h{n + 1}", ip=f"{ip}/16", mac=mac)
        link = net.addLink(node, leaf)
        hosts[node.name] = {
            "tenant": f"t{tenant + 1}",
            "ip": ip,
            "ip6": f"fd00::{unique:x}",
            "mac": mac,
            "dpid": leaf.dpid.zfill(16),
            "switch": leaf.name,
            "port": link.intf2.name,
            "interface": link.intf1.name,
        }
    return net, switches, links, hosts


def main():
    """Builds, reports, obeys, cleans up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--controller", default="127.0.0.1:6653", help="HOST:PORT of the controller")
    parser.add_argument("--prefix", default="nl", help="what names of everything made here start with")
    parser.add_argument("--dpid-base", type=lambda text: int(text, 0), default=0, help="added to 1, 2, … for datapath ids")
    parser.add_argument("--spines", type=int, default=2, help="0 makes a line of leaves")
    parser.add_argument("--leaves", type=int, default=3)
    parser.add_argument("--parallel", type=int, default=1, help="cables between two switches")
    parser.add_argument("--hosts", type=int, default=6)
    parser.add_argument("--tenants", type=int, default=2)
    parser.add_argument("--shift", type=int, default=0, help="leaves by which each tenant's first host is moved on")
    parser.add_argument("--unique", action="store_true", help="no overlapping addresses")
    options = parser.parse_args()
    setLogLevel("error")
    sweep(options.prefix)

    def leave(*_):
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    net, switches, links, hosts = build(options)
    try:
        net.start()
        for node in net.hosts:
            fact = hosts[node.name]
            fact["pid"] = node.pid
            # Without it TCP hangs on the userspace datapath: checksums are left to hardware that is not there.
            node.cmd(f"ethtool -K {fact['interface']} tx off")
            node.cmd(f"ip -6 addr add {fact['ip6']}/64 dev {fact['interface']} nodad")
        ready = {
            "event": "ready",
            "hosts": hosts,
            "links": links,
            "switches": {switch.name: switch.dpid.zfill(16) for switch in switches},
        }
        print(json.dumps(ready), flush=True)
        for line in sys.stdin:
            command = json.loads(line)
            if command["op"] == "stop":
                break
            if command["op"] == "link":
                net.configLinkStatus(command["a"], command["b"], "up" if command["up"] else "down")
                print(json.dumps({"event": "done"}), flush=True)
            else:
                print(json.dumps({"event": "error", "message": f"unknown op {command['op']}"}), flush=True)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        net.stop()
        sweep(options.prefix)


if __name__ == "__main__":
    main()
