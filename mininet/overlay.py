#!/usr/bin/python3
"""Several hypervisors on one machine, in Mininet, for Netloom's demo and tests of overlays.

        root namespace: the controller, at MGMT.1
    bridge PREFIXm ── management ── eth1 of each hypervisor      100.127.NET.(10+n), its database at :6640
    bridge PREFIXu ── underlay ──── eth0 of each hypervisor and peer
    hypervisor PREFIXhN: its own ovsdb-server and ovs-vswitchd (userspace datapath);
        br-phy holds eth0 and the tunnel address 192.0.2.(10+n), 2001:db8::(10+n), or with --family 6 the latter only; br-int, fail-mode secure, holds the machines
    machine PREFIXvN: eth0, dealt to tenants round robin; the n-th machine of each tenant has the same MAC and addresses
        with --movable each has a NIC's end on every hypervisor, and a bridge PREFIXbN joins it to that of the one where it runs, as
        taps do: its carrier never drops
    device PREFIXdN: as a hypervisor, but a hardware VTEP (ovs-vtep), 192.0.2.(50+n), its database at 100.127.NET.(50+n):6640
    station PREFIXsN: a machine behind a device; tenants as machines. The first is on a physical port of its own, untagged, the others
        behind a switch of another make, on physical port "trunk", tenant n in VLAN 100 + n
    peer PREFIXpN: a host on the underlay alone, 192.0.2.(100+n), for tunnel endpoints of other makes

Prints one JSON line when all stands, then takes one JSON command a line on standard input and answers each with one JSON line:
{"op": "controller", "target": "tcp:HOST:PORT"}, {"op": "plug" | "unplug", "vm": NAME, "hypervisor": NAME (default: its home)},
{"op": "land", "vm": NAME, "hypervisor": NAME} (it runs there from now on), {"op": "rebind", "vm": NAME, "from": NAME, "to": NAME} (its
interface id changes hypervisor, then it lands), {"op": "manager", "hypervisor": NAME,
"target": "tcp:HOST:PORT" | ""}, {"op": "restart", "hypervisor": NAME}, {"op": "vswitchd", "hypervisor": NAME, "up": false},
{"op": "cable", "hypervisors": [NAME, NAME], "bridges": [NAME, NAME]} (a cable between br-int or other bridges, or "" for none; answers
{"interfaces": [NAME, NAME]}), {"op": "underlay", "hypervisor": NAME, "up": false},
{"op": "vsctl", "hypervisor": NAME, "args": [...]}, {"op": "vtep", "device": NAME, "args": [...]}, {"op": "lose", "device": NAME},
{"op": "stop"}. Ends, and removes what it made, on "stop", on end of input, SIGTERM
or SIGINT. What a killed run of the same prefix left behind is removed at the start. Commands inside run from outside:
mnexec -a PID COMMAND.
"""

import argparse
import glob
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.node import Host, Switch

from device import SWITCH, TRUNK, device_class
from fabric import run

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
WAIT = 10


def until(what, done):
    """Waits for a daemon to come up."""
    limit = time.monotonic() + WAIT
    while not done():
        if time.monotonic() > limit:
            raise RuntimeError(f"{what} did not happen within {WAIT} s")
        time.sleep(0.01)


def check(*command, env=None):
    """Output of a command that has to work."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout.strip()}")
    return done.stdout


class Bridge(Switch):
    """A learning bridge of the kernel, in the root namespace."""

    def start(self, _controllers):
        check("ip", "link", "add", self.name, "type", "bridge", "forward_delay", "0")
        check("ip", "link", "set", "dev", self.name, "up")
        for name in self.intfNames():
            if name != "lo":
                check("ip", "link", "set", "dev", name, "master", self.name, "up")

    def stop(self, deleteIntfs=True):
        run("ip", "link", "del", "dev", self.name)
        super().stop(deleteIntfs)


class Plug(Bridge):
    """Joins a machine to its NIC's end on one hypervisor at a time."""

    def start(self, controllers):
        super().start(controllers)
        check("ip", "link", "set", "dev", self.name, "type", "bridge", "mcast_snooping", "0", "ageing_time", "0")


class Hypervisor(Host):
    """A namespace with an Open vSwitch of its own."""

    def prepare(self, facts, folder):
        """Starts database and switch daemon and makes the two bridges."""
        self.facts = facts
        self.folder = os.path.join(folder, self.name)
        self.daemons = []
        os.mkdir(self.folder)
        self.env = {**os.environ, "OVS_RUNDIR": self.folder, "OVS_DBDIR": self.folder, "OVS_LOGDIR": self.folder}
        self.start_database()
        self.vsctl("--no-wait", "init")
        self.vsctl(
            "--no-wait", "set", "Open_vSwitch", ".", f"external_ids:system-id={self.name}",
            f"external_ids:tunnel-ip={facts['tunnel']}",
        )
        self.start_vswitchd()
        for name in self.intfNames():
            self.cmd(f"ethtool -K {name} tx off")
        self.vsctl(
            "add-br", "br-phy", "--", "set", "Bridge", "br-phy", "datapath_type=netdev", f"other-config:hwaddr={facts['hwaddr']}",
            "--", "add-port", "br-phy", facts["underlay"],
            *self.bridges(),
        )
        self.address()

    def bridges(self):
        """ovs-vsctl's words for the bridges beyond br-phy."""
        return [
            "--", "add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=netdev", "fail_mode=secure",
            "protocols=OpenFlow13", f"other-config:datapath-id={self.facts['dpid']}",
        ]

    def databases(self):
        """Files that the database server serves; they are made when they are not there."""
        database = os.path.join(self.folder, "conf.db")
        if not os.path.exists(database):
            check("ovsdb-tool", "create", database, SCHEMA)
        return [database]

    def start_database(self):
        """Starts the database server."""
        self.database = self.daemon(
            "ovsdb-server", *self.databases(), f"--remote=punix:{self.folder}/db.sock",
            "--remote=db:Open_vSwitch,Open_vSwitch,manager_options", f"--remote=ptcp:6640:{self.facts['mgmt']}",
            f"--unixctl={self.folder}/db.ctl",
        )
        until("start of ovsdb-server", lambda: os.path.exists(f"{self.folder}/db.sock"))

    def start_vswitchd(self):
        """Starts the switch daemon."""
        control = f"{self.folder}/vs.ctl"
        if os.path.exists(control):
            os.unlink(control)
        self.vswitchd = self.daemon("ovs-vswitchd", f"unix:{self.folder}/db.sock", "--disable-system", f"--unixctl={control}")
        until("start of ovs-vswitchd", lambda: os.path.exists(control))

    def address(self):
        """The tunnel addresses: devices of a userspace datapath are made anew with each switch daemon."""
        facts = self.facts
        until("br-phy", lambda: "br-phy" in self.cmd("ip -o link"))
        self.cmd("ip link set br-phy up mtu", str(facts["mtu"]))
        if facts["tunnel"] != facts["tunnel6"]:
            self.cmd(f"ip addr add {facts['tunnel']}/24 dev br-phy")
        self.cmd(f"ip -6 addr add {facts['tunnel6']}/64 dev br-phy nodad")

    def daemon(self, *command):
        """Runs a daemon in this namespace until the end."""
        log = open(f"{self.folder}/{os.path.basename(command[0])}.out", "ab")
        child = self.popen(list(command), env=self.env, stdout=log, stderr=log, stdin=None)
        log.close()
        self.daemons.append(child)
        return child

    def vsctl(self, *args):
        """ovs-vsctl on this hypervisor's database."""
        return check("ovs-vsctl", "--timeout=10", f"--db=unix:{self.folder}/db.sock", *args, env=self.env)

    def restart(self):
        """The switch daemon dies and comes back."""
        self.stop_vswitchd()
        self.start_vswitchd()
        self.address()

    def stop_vswitchd(self):
        """The switch daemon dies."""
        self.vswitchd.kill()
        self.vswitchd.wait()
        self.daemons.remove(self.vswitchd)

    def finish(self):
        """Ends the daemons, the switch first."""
        for child in reversed(getattr(self, "daemons", [])):
            child.kill()
            child.wait()


Device = device_class(Hypervisor, check, until)


def build(options):
    """The network, not started, and the facts about it."""
    prefix, facts = options.prefix, {"hypervisors": {}, "vms": {}, "peers": {}, "devices": {}, "stations": {}}
    net = Mininet(controller=None, autoSetMacs=False, waitConnected=False)
    underlay = net.addSwitch(f"{prefix}u", cls=Bridge, dpid="1")
    management = net.addSwitch(f"{prefix}m", cls=Bridge, dpid="1")
    hypervisors = []
    for n in range(1, options.hypervisors + 1):
        node = net.addHost(f"{prefix}h{n}", cls=Hypervisor, ip=None)
        under = net.addLink(node, underlay).intf1.name
        net.addLink(node, management)
        hypervisors.append(node)
        facts["hypervisors"][node.name] = {
            "dpid": f"{options.dpid_base + n:016x}",
            "mgmt": f"100.127.{options.net}.{10 + n}",
            "ovsdb": f"tcp:100.127.{options.net}.{10 + n}:6640",
            "tunnel": f"2001:db8::{10 + n:x}" if options.family == 6 else f"192.0.2.{10 + n}",
            "tunnel6": f"2001:db8::{10 + n:x}",
            "hwaddr": f"02:fe:00:00:00:{10 + n:02x}",
            "underlay": under,
            "management": node.intfNames()[-1],
            "mtu": options.mtu,
        }
    for n in range(options.vms):
        tenant, member = n % options.tenants, n // options.tenants + 1
        home = hypervisors[(n // options.tenants) % len(hypervisors)]
        unique = n + 1 if options.unique else member
        node = net.addHost(f"{prefix}v{n + 1}", ip=f"10.0.0.{unique}/24", mac=f"02:00:00:00:00:{unique:02x}")
        taps = {}
        if options.movable:
            plug_bridge = net.addSwitch(f"{prefix}b{n + 1}", cls=Plug, dpid="1")
            link = net.addLink(node, plug_bridge)
            for each in hypervisors:
                end = net.addLink(each, plug_bridge)
                taps[each.name] = {"port": end.intf1.name, "wire": end.intf2.name}
        else:
            link = net.addLink(node, home)
            taps[home.name] = {"port": link.intf2.name}
        facts["vms"][node.name] = {
            "tenant": f"t{tenant + 1}",
            "ip": f"10.0.0.{unique}",
            "ip6": f"fd00::{unique:x}",
            "mac": f"02:00:00:00:00:{unique:02x}",
            "hypervisor": home.name,
            "port": taps[home.name]["port"],
            "taps": taps,
            # The same number each time that it is plugged in: tables can be compared.
            "number": 100 + n if options.movable else None,
            "interface": link.intf1.name,
            "interfaceId": f"nic-{node.name}",
        }
    devices = []
    for n in range(1, options.devices + 1):
        node = net.addHost(f"{prefix}d{n}", cls=Device, ip=None)
        under = net.addLink(node, underlay).intf1.name
        net.addLink(node, management)
        devices.append(node)
        facts["devices"][node.name] = {
            "physicalSwitch": SWITCH,
            "nics": {},
            "mgmt": f"100.127.{options.net}.{50 + n}",
            "ovsdb": f"tcp:100.127.{options.net}.{50 + n}:6640",
            "tunnel": f"192.0.2.{50 + n}",
            "tunnel6": f"2001:db8::{50 + n:x}",
            "hwaddr": f"02:fe:00:00:00:{50 + n:02x}",
            "underlay": under,
            "management": node.intfNames()[-1],
            "mtu": options.mtu,
        }
    for n in range(options.stations):
        tenant, member = n % options.tenants, n // options.tenants + 1
        home = devices[(n // options.tenants) % len(devices)]
        vlan = 101 + tenant if n else 0
        node = net.addHost(f"{prefix}s{n + 1}", ip=f"10.0.0.{200 + member}/24", mac=f"02:00:00:00:01:{member:02x}")
        link = net.addLink(node, home)
        facts["devices"][home.name]["nics"][link.intf2.name] = vlan
        facts["stations"][node.name] = {
            "tenant": f"t{tenant + 1}",
            "ip": f"10.0.0.{200 + member}",
            "ip6": f"fd00::{200 + member:x}",
            "mac": f"02:00:00:00:01:{member:02x}",
            "device": home.name,
            "port": TRUNK if vlan else link.intf2.name,
            "vlan": vlan,
            "interface": link.intf1.name,
        }
    for n in range(1, options.peers + 1):
        node = net.addHost(f"{prefix}p{n}", ip=f"192.0.2.{100 + n}/24")
        link = net.addLink(node, underlay)
        facts["peers"][node.name] = {
            "ip": f"192.0.2.{100 + n}", "ip6": f"2001:db8::{100 + n:x}", "interface": link.intf1.name,
        }
    return net, facts


def raise_up(net, facts, options, folder):
    """Brings everything up."""
    net.start()
    check("ip", "addr", "add", f"100.127.{options.net}.1/24", "dev", f"{options.prefix}m")
    underlay = net.get(f"{options.prefix}u")
    for name in [underlay.name, *(each for each in underlay.intfNames() if each != "lo")]:
        check("ip", "link", "set", "dev", name, "mtu", str(options.mtu))
    for node in net.hosts:
        for kind in facts.values():
            if node.name in kind:
                kind[node.name]["pid"] = node.pid
    for name, fact in {**facts["hypervisors"], **facts["devices"]}.items():
        node = net.get(name)
        for interface in (fact["underlay"], fact["management"]):
            node.cmd(f"ip link set {interface} up mtu {options.mtu}")
        node.cmd(f"ip addr add {fact['mgmt']}/24 dev {fact['management']}")
        node.prepare(fact, folder)
    for name, fact in facts["peers"].items():
        node = net.get(name)
        node.cmd(f"ethtool -K {fact['interface']} tx off")
        node.cmd(f"ip link set {fact['interface']} mtu {options.mtu}")
        node.cmd(f"ip -6 addr add {fact['ip6']}/64 dev {fact['interface']} nodad")
    for name, fact in facts["stations"].items():
        node = net.get(name)
        node.cmd(f"ethtool -K {fact['interface']} tx off")
        node.cmd(f"ip link set {fact['interface']} mtu {options.mtu - 50}")
        node.cmd(f"ip -6 addr add {fact['ip6']}/64 dev {fact['interface']} nodad")
    for name, fact in facts["vms"].items():
        node = net.get(name)
        # Without it TCP hangs on the userspace datapath: checksums are left to hardware that is not there.
        node.cmd(f"ethtool -K {fact['interface']} tx off")
        node.cmd(f"ip -6 addr add {fact['ip6']}/64 dev {fact['interface']} nodad")
        for place, tap in fact["taps"].items():
            home = net.get(place)
            home.cmd(f"ethtool -K {tap['port']} tx off")
            home.cmd(f"ip link set {tap['port']} up")
        if options.movable:
            land(fact, fact["hypervisor"])
        if not options.unplugged:
            plug(net, fact, fact["hypervisor"])


def plug(net, fact, place, interface_id=True):
    """Puts a machine's NIC on br-int, as a hypervisor's manager does."""
    port = fact["taps"][place]["port"]
    net.get(place).vsctl(
        "--no-wait", "--may-exist", "add-port", "br-int", port, "--", "set", "Interface", port,
        *([f"external_ids:iface-id={fact['interfaceId']}"] if interface_id else []),
        *([f"ofport_request={fact['number']}"] if fact["number"] else []), f"external_ids:attached-mac=\"{fact['mac']}\"",
    )


# linux/socket.h, linux/rtnetlink.h, linux/if_link.h, linux/if_bridge.h
AF_BRIDGE, RTM_SETLINK, NLM_F_REQUEST_ACK, IFLA_PROTINFO_NESTED, IFLA_BRPORT_STATE, BLOCKED, FORWARDING = 7, 19, 5, 0x800C, 1, 0, 3


def land(fact, place):
    """
    The machine runs on this hypervisor from now on, and nowhere else. One message says all, so that between the two places there is no time
    in which a frame could get lost.
    """
    message, count = b"", 0
    for each, tap in sorted(fact["taps"].items(), key=lambda item: item[0] == place):
        state = struct.pack("=HHBxxx", 5, IFLA_BRPORT_STATE, FORWARDING if each == place else BLOCKED)
        body = struct.pack("=BxHiII", AF_BRIDGE, 0, socket.if_nametoindex(tap["wire"]), 0, 0)
        body += struct.pack("=HH", 4 + len(state), IFLA_PROTINFO_NESTED) + state
        count += 1
        message += struct.pack("=IHHII", 16 + len(body), RTM_SETLINK, NLM_F_REQUEST_ACK, count, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as route:
        route.send(message)
        while count > 0:
            answer = route.recv(65536)
            while answer:
                length, error = struct.unpack_from("=I", answer)[0], struct.unpack_from("=i", answer, 16)[0]
                if error:
                    raise RuntimeError(f"landing on {place}: {os.strerror(-error)}")
                answer, count = answer[(length + 3) & ~3:], count - 1


def obey(net, facts, command):
    """Carries one command out; the answer's members."""
    op = command["op"]
    if op == "controller":
        for name in facts["hypervisors"]:
            # A controller that comes back is found within a second.
            net.get(name).vsctl(
                "--no-wait", "set-controller", "br-int", command["target"], "--", "set", "Controller", "br-int", "max_backoff=1000",
            )
    elif op == "plug":
        fact = facts["vms"][command["vm"]]
        plug(net, fact, command.get("hypervisor", fact["hypervisor"]))
    elif op == "unplug":
        fact = facts["vms"][command["vm"]]
        place = command.get("hypervisor", fact["hypervisor"])
        net.get(place).vsctl("--no-wait", "--if-exists", "del-port", "br-int", fact["taps"][place]["port"])
    elif op == "land":
        land(facts["vms"][command["vm"]], command["hypervisor"])
    elif op == "rebind":
        fact = facts["vms"][command["vm"]]
        old, new = command["from"], command["to"]
        plug(net, fact, new, interface_id=False)
        net.get(old).vsctl("--no-wait", "remove", "Interface", fact["taps"][old]["port"], "external_ids", "iface-id")
        plug(net, fact, new)
        land(fact, new)
    elif op == "manager":
        node = net.get(command["hypervisor"])
        node.vsctl("--no-wait", *(["set-manager", command["target"]] if command["target"] else ["del-manager"]))
    elif op == "restart":
        net.get(command["hypervisor"]).restart()
    elif op == "vswitchd":
        node = net.get(command["hypervisor"])
        if command["up"]:
            node.start_vswitchd()
            node.address()
        else:
            node.stop_vswitchd()
    elif op == "cable":
        ends = [net.get(name) for name in command["hypervisors"]]
        names = [f"{node.name}c{other.name[-1]}" for node, other in zip(ends, reversed(ends))]
        ends[0].cmd(f"ip link add {names[0]} type veth peer name {names[1]} netns {ends[1].pid}")
        for node, name, bridge in zip(ends, names, command.get("bridges", ["br-int", "br-int"])):
            node.cmd(f"ethtool -K {name} tx off; ip link set {name} up mtu {facts['hypervisors'][node.name]['mtu']}")
            if bridge:
                node.vsctl(
                    "--may-exist", "add-br", bridge, "--", "set", "Bridge", bridge, "datapath_type=netdev", "--", "add-port", bridge, name
                )
        return {"interfaces": names}
    elif op == "underlay":
        fact = facts["hypervisors"][command["hypervisor"]]
        net.get(command["hypervisor"]).cmd(f"ip link set {fact['underlay']} {'up' if command['up'] else 'down'}")
    elif op == "vsctl":
        return {"output": net.get(command["hypervisor"]).vsctl(*command["args"])}
    elif op == "vtep":
        return {"output": net.get(command["device"]).vtep(*command["args"])}
    elif op == "lose":
        net.get(command["device"]).lose()
    else:
        raise RuntimeError(f"unknown op {op}")
    return {}


def main():
    """Builds, reports, obeys, cleans up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", default="nlo", help="what names of everything made here start with")
    parser.add_argument("--net", type=int, default=1, help="third number of the management addresses")
    parser.add_argument("--dpid-base", type=lambda text: int(text, 0), default=0, help="added to 1, 2, … for datapath ids")
    parser.add_argument("--hypervisors", type=int, default=3)
    parser.add_argument("--vms", type=int, default=6)
    parser.add_argument("--tenants", type=int, default=2)
    parser.add_argument("--peers", type=int, default=0)
    parser.add_argument("--family", type=int, choices=(4, 6), default=4, help="IP version between the hypervisors")
    parser.add_argument("--devices", type=int, default=0, help="hardware VTEPs")
    parser.add_argument("--stations", type=int, default=0, help="machines on their physical ports")
    parser.add_argument("--mtu", type=int, default=1500, help="of the underlay")
    parser.add_argument("--unique", action="store_true", help="no overlapping addresses")
    parser.add_argument("--movable", action="store_true", help="machines can change the hypervisor that they run on")
    parser.add_argument("--unplugged", action="store_true", help="machines are not plugged in at the start")
    options = parser.parse_args()
    setLogLevel("error")
    clear(options.prefix)

    def leave(*_):
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    folder = tempfile.mkdtemp(prefix=f"netloom-{options.prefix}-")
    net, facts = build(options)
    try:
        raise_up(net, facts, options, folder)
        print(json.dumps({"event": "ready", "mgmt": f"100.127.{options.net}.1", **facts}), flush=True)
        for line in sys.stdin:
            command = json.loads(line)
            if command["op"] == "stop":
                break
            try:
                print(json.dumps({"event": "done", **obey(net, facts, command)}), flush=True)
            except (RuntimeError, KeyError) as error:
                print(json.dumps({"event": "error", "message": str(error)}), flush=True)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for node in net.hosts:
            if isinstance(node, Hypervisor):
                node.finish()
        net.stop()
        clear(options.prefix)
        shutil.rmtree(folder, ignore_errors=True)


def clear(prefix):
    """Removes what an earlier run of this prefix left behind: daemons, then namespaces' shells, then bridges and interfaces."""
    mark = f"/netloom-{prefix}-"
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        programs = {os.path.basename(word) for word in words[:2]}
        daemon = programs & {"ovsdb-server", "ovs-vswitchd", "ovs-vtep"} and any(mark in word for word in words)
        shell = any(word.startswith(tuple(f"mininet:{prefix}{kind}" for kind in "hvpumdsb")) for word in words)
        if daemon or shell:
            try:
                os.kill(int(entry), signal.SIGKILL)
            except ProcessLookupError:
                pass
    for line in (run("ip", "-o", "link") or "").splitlines():
        name = line.split(":")[1].strip().split("@")[0]
        ours = name in (f"{prefix}u", f"{prefix}m") or (name.startswith(f"{prefix}b") and name[len(prefix) + 1:].isdigit())
        if ours or (name.startswith(tuple(prefix + kind for kind in "hvpumdsb")) and "-eth" in name):
            run("ip", "link", "del", "dev", name)
    for folder in glob.glob(os.path.join(tempfile.gettempdir(), f"netloom-{prefix}-*")):
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
