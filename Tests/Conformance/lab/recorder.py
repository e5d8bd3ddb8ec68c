#!/usr/bin/env python3
"""Asks one node for every name over UDP every 50 ms and keeps what it says; runs in the node's namespace.

  recorder.py CONFIG.json OUT

The time of an answer is the kernel's receive time stamp, so that this process's waiting for a processor is not counted
as the server's. How late this process itself was woken each time is kept beside it: it says how busy the machine was.

OUT is a pickle of {"records": bytes, "answers": [(rcode, writes)], "noise": [(time, seconds late)]}; a record is
`RECORD`. Times are of the monotonic clock.
"""
import json
import pickle
import select
import signal
import socket
import struct
import sys
import time

from dnsname import answers, question

# Time of the answer, seconds since the question, index of the name, index of the answer, TTL. A question that stayed
# without an answer has the answer `SILENCE`.
RECORD = struct.Struct("<dfHHI")
SILENCE = 0
SO_TIMESTAMPNS = 35
# What is not answered within this is not waited for in line.
PATIENCE = 0.02
# What is not answered within this has no answer.
GIVE_UP = 3.0


class Recorder:
    def __init__(self, config):
        self.queries = [question(0, name)[2:] for name in config["names"]]
        self.interval, self.end = config["interval"], config["end"]
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.connect((config["address"], config["port"]))
        self.socket.setblocking(False)
        self.waiting = {}
        self.next_id = 1
        self.records = bytearray()
        self.known = {None: SILENCE}
        self.noise = []
        self.stopped = False

    def run(self):
        due = time.monotonic()
        while not self.stopped and due < self.end:
            late = time.monotonic() - due
            self.noise.append((due, late))
            self.sweep()
            self.receive()
            self.forget()
            due += self.interval
            # After a long delay of this process there is nothing to catch up with.
            due = max(due, time.monotonic() - self.interval)
            while (left := due - time.monotonic()) > 0:
                # Answers that come late are read meanwhile.
                if select.select([self.socket], [], [], left)[0]:
                    self.receive()
        time.sleep(0.2)
        self.receive()
        self.forget(everything=True)

    def sweep(self):
        patient = True
        for name, query in enumerate(self.queries):
            identifier = self.next_id
            self.next_id = identifier % 65535 + 1
            self.waiting[identifier] = (name, time.time(), time.monotonic())
            try:
                self.socket.send(struct.pack(">H", identifier) + query)
            except OSError:
                pass  # The port is closed: the question stays without an answer.
            if patient:
                patient = self.wait(identifier)

    def wait(self, identifier):
        end = time.monotonic() + PATIENCE
        while identifier in self.waiting:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                return self.receive() and identifier not in self.waiting
            if not self.receive():
                return False
        return True

    def receive(self):
        """Reads what is there. False when the port is closed."""
        while True:
            try:
                message, extra, _, _ = self.socket.recvmsg(2048, 64)
            except BlockingIOError:
                return True
            except OSError:
                return False
            stamp = time.time()
            for level, kind, data in extra:
                if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                    seconds, nanoseconds = struct.unpack("qq", data[:16])
                    stamp = seconds + nanoseconds / 1e9
            asked = self.waiting.pop(int.from_bytes(message[:2], "big"), None)
            if asked is None:
                continue
            name, wall, monotonic = asked
            code, writes, ttl = answers(message)
            latency = max(0.0, stamp - wall)
            self.keep(monotonic + latency, latency, name, (code, writes), ttl)

    def forget(self, everything=False):
        limit = time.monotonic() - GIVE_UP
        over = [(i, q) for i, q in self.waiting.items() if everything or q[2] < limit]
        for identifier, (name, _, monotonic) in over:
            del self.waiting[identifier]
            if time.monotonic() - monotonic >= 0.5:
                self.keep(monotonic, 0, name, None, 0)

    def keep(self, at, latency, name, answer, ttl):
        index = self.known.setdefault(answer, len(self.known))
        self.records += RECORD.pack(at, latency, name, index, min(ttl, 0xFFFFFFFF))


def main():
    with open(sys.argv[1]) as file:
        recorder = Recorder(json.load(file))

    def stop(*_):
        recorder.stopped = True

    signal.signal(signal.SIGTERM, stop)
    recorder.run()
    known = [answer for answer, _ in sorted(recorder.known.items(), key=lambda item: item[1])]
    with open(sys.argv[2], "wb") as file:
        pickle.dump({"records": bytes(recorder.records), "answers": known, "noise": recorder.noise}, file)


if __name__ == "__main__":
    main()
