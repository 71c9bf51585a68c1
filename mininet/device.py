"""A hardware VTEP for overlay.py: Open vSwitch's emulator, ovs-vtep, in a namespace of its own.

One ovsdb-server serves the database of the switch and that of the device (hardware_vtep). br-phy holds the underlay NIC and the tunnel
address; bridge SWITCH is the physical switch, its ports are where stations are plugged in. Behind its port TRUNK is br-tor, a switch
of another make that puts stations in VLANs (there is not always a kernel that can).
"""

import os

EMULATOR = "/usr/share/openvswitch/scripts/ovs-vtep"
SCHEMA = "/usr/share/openvswitch/vtep.ovsschema"
# Name of the physical switch.
SWITCH = "rack"
TRUNK = "trunk"


def device_class(base, check, until):
    """The class of devices, on top of that of hypervisors."""

    class Device(base):
        """A namespace with an Open vSwitch that ovs-vtep makes a hardware VTEP of."""

        def databases(self):
            """Files that the database server serves; the device's is made when it is not there."""
            vtep = os.path.join(self.folder, "vtep.db")
            if not os.path.exists(vtep):
                check("ovsdb-tool", "create", vtep, SCHEMA)
            return [*super().databases(), vtep]

        def bridges(self):
            """The physical switch in place of an integration bridge."""
            return [
                "--", "add-br", SWITCH, "--", "set", "Bridge", SWITCH, "datapath_type=netdev", "fail_mode=secure",
                "--", "add-br", "br-tor", "--", "set", "Bridge", "br-tor", "datapath_type=netdev",
                "--", "add-port", SWITCH, TRUNK, "--", "set", "Interface", TRUNK, "type=patch", "options:peer=up",
                "--", "add-port", "br-tor", "up", "--", "set", "Interface", "up", "type=patch", f"options:peer={TRUNK}",
            ]

        def prepare(self, facts, folder):
            super().prepare(facts, folder)
            for nic, vlan in facts["nics"].items():
                self.cmd(f"ethtool -K {nic} tx off")
                self.cmd(f"ip link set {nic} up")
                self.vsctl("add-port", *(["br-tor", nic, f"tag={vlan}"] if vlan else [SWITCH, nic]))
            self.start_emulator()

        def vtep(self, *args):
            """vtep-ctl on the device's database."""
            return check("vtep-ctl", "--timeout=10", f"--db=unix:{self.folder}/db.sock", *args, env=self.env)

        def start_emulator(self):
            """Declares the physical switch, as a device does when it starts, and starts the emulator."""
            self.vtep("add-ps", SWITCH, "--", "set", "Physical_Switch", SWITCH, f"tunnel_ips={self.facts['tunnel']}")
            self.emulator = self.daemon(EMULATOR, f"--log-file={self.folder}/ovs-vtep.log", SWITCH)

        def stop_emulator(self):
            """Ends the emulator."""
            self.emulator.kill()
            self.emulator.wait()
            self.daemons.remove(self.emulator)

        def lose(self):
            """The device loses its database, and starts anew with an empty one."""
            self.stop_emulator()
            self.database.kill()
            self.database.wait()
            self.daemons.remove(self.database)
            for name in ("vtep.db", ".vtep.db.~lock~", "db.sock", "db.ctl"):
                path = os.path.join(self.folder, name)
                if os.path.exists(path):
                    os.unlink(path)
            self.start_database()
            self.start_emulator()

    return Device
