#!/usr/bin/python3
"""A stream of numbered datagrams both ways, for tests that count what is lost and what comes twice.

Run inside a host: mnexec -a PID /usr/bin/python3 stream.py OWN_IP OTHER_IP INTERVAL_MS. Prints {"ready": true}, and after a
line on standard input sends a datagram each interval to the other, where the same runs, and notes those that come. At end of input it sends no more, waits for the last ones to come
until it is quiet, and prints {"sent": N, "received": [[FIRST, LAST], ...], "twice": [NUMBER, ...], "gapMs": LONGEST}.
"""

import json
import select
import socket
import struct
import sys
import time

PORT = 40002
QUIET = 0.4


def main():
    """Sends and counts."""
    own, other, interval = sys.argv[1], sys.argv[2], float(sys.argv[3]) / 1000
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    wire.bind((own, PORT))
    wire.setblocking(False)
    seen, twice, sent, gap, last, stopping = set(), [], 0, 0.0, None, None
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.buffer.raw.read(4096)
    due = time.monotonic()
    while True:
        now = time.monotonic()
        if stopping is None and now >= due:
            try:
                wire.sendto(struct.pack("!I", sent), (other, PORT))
            except OSError:
                pass  # counts as lost: it was not sent while the neighbour was not known
            sent += 1
            due += interval
            continue
        if stopping is not None and now > stopping:
            break
        wait = (due if stopping is None else stopping) - now
        readable, _, _ = select.select([wire] + ([sys.stdin] if stopping is None else []), [], [], max(0, wait))
        if wire in readable:
            while True:
                try:
                    data = wire.recv(64)
                except OSError:
                    break
                now = time.monotonic()
                number = struct.unpack("!I", data)[0]
                if number in seen:
                    twice.append(number)
                seen.add(number)
                if last is not None:
                    gap = max(gap, now - last)
                last = now
                if stopping is not None:
                    stopping = now + QUIET
        if sys.stdin in readable and not sys.stdin.buffer.raw.read(4096):
            stopping = time.monotonic() + QUIET
    ranges = []
    for number in sorted(seen):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    print(json.dumps({"sent": sent, "received": ranges, "twice": twice, "gapMs": round(gap * 1000, 1)}), flush=True)


if __name__ == "__main__":
    main()
