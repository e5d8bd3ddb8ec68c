#!/usr/bin/env python3
"""free-ports.py COUNT [SPAN…]: prints COUNT ports on 127.0.0.1 that are free for UDP and TCP, one per line; then for each
SPAN the first of SPAN consecutive free ports.

For programs that must be told their ports. They are chosen at random below 32768: the kernel gives those above to
outgoing connections, which would take them before the program does."""
import random
import socket
import sys


def take(port):
    """Both sockets of a port, or None when one of them is taken."""
    tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        tcp.bind(("127.0.0.1", port))
        udp.bind(tcp.getsockname())
        return tcp, udp
    except OSError:
        tcp.close()
        udp.close()
        return None


def free():
    while True:
        pair = take(random.randrange(11_000, 32_000))
        if pair:
            return pair


held = [free() for _ in range(int(sys.argv[1]))]
found = [pair[0].getsockname()[1] for pair in held]
for span in map(int, sys.argv[2:]):
    while True:
        first = free()
        start = first[0].getsockname()[1]
        row = [first]
        while len(row) < span and start + len(row) < 65536:
            pair = take(start + len(row))
            if not pair:
                break
            row.append(pair)
        if len(row) == span:
            held += row
            found.append(start)
            break
        for pair in row:
            for one in pair:
                one.close()
print("\n".join(map(str, found)))
