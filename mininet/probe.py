#!/usr/bin/python3
"""Raw frames in and out of one interface, for tests that must see what reaches a NIC.

Run inside a host: mnexec -a PID /usr/bin/python3 probe.py INTERFACE. Takes lines {"send": "HEX"} on standard input; prints
{"ready": true} first and then {"frame": "HEX"} for every frame that arrives (not those it sent). Ends at end of input.
"""

import json
import selectors
import socket
import sys

ETH_P_ALL = 3


def main():
    """Copies between standard streams and a packet socket."""
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    wire.bind((sys.argv[1], ETH_P_ALL))
    wire.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(wire, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    pending = b""
    print(json.dumps({"ready": True}), flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is wire:
                lines = []
                while len(lines) < 256:
                    try:
                        frame, address = wire.recvfrom(65536)
                    except BlockingIOError:
                        break
                    if address[2] != socket.PACKET_OUTGOING:
                        lines.append(json.dumps({"frame": frame.hex()}))
                if lines:
                    print("\n".join(lines), flush=True)
                continue
            chunk = sys.stdin.buffer.raw.read(65536)
            if not chunk:
                return
            pending += chunk
            *whole, pending = pending.split(b"\n")
            for line in whole:
                if line:
                    wire.send(bytes.fromhex(json.loads(line)["send"]))


if __name__ == "__main__":
    main()
