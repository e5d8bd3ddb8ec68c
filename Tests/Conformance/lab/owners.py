#!/usr/bin/env python3
"""The owners of instances that live beside one node: they register, send heartbeats, move, deregister, fall silent.

  owners.py CONFIG.json OUT

OUT gets one JSON object per request, with what was asked of whom and when, and what came back:
  {"key", "write", "what": "put" | "beat" | "delete", "node", "start", "end", "status"}
`status` is 0 when there was no reply (the request may or may not have been carried out, perhaps later), and -1 when
there was no connection (it was not). Times are of the monotonic clock.

Manners:
  steady   registers at its node and sends heartbeats there, elsewhere while that does not answer
  roamer   sends each heartbeat to a node drawn by lot
  churner  registers somewhere, deregisters after a while or moves elsewhere with a new address, again and again
  mortal   registers, falls silent, and comes back long after
  rival    one of two that write the same key, each at its own node
  mass     falls silent at a time given, with all others of its kind
"""
import http.client
import json
import random
import socket
import struct
import sys
import threading
import time

from dnsname import Instance, address_of

TIMEOUT = 1.0


class Journal:
    def __init__(self, path):
        self.file = open(path, "w")
        self.lock = threading.Lock()

    def note(self, **entry):
        with self.lock:
            self.file.write(json.dumps(entry) + "\n")
            self.file.flush()


class Ended(Exception):
    """The run is over."""


class Owner(threading.Thread):
    def __init__(self, spec, config, journal):
        super().__init__(daemon=True)
        self.key = Instance(spec["key"], spec["service"])
        self.manner, self.home = spec["manner"], config["node"]
        self.random = random.Random(spec["seed"])
        self.lease, self.nodes, self.port = config["lease"], config["nodes"], config["port"]
        self.quiet, self.end = config["quiet"], config["end"]
        self.silent_at = config["begin"] + spec.get("silent_at", 0)
        # Rivals share a key, and each has numbers of its own.
        self.next_write, self.step = spec.get("first_write", 0), spec.get("write_step", 1)
        self.first = config["begin"] + self.random.uniform(0, 1)
        self.journal = journal
        self.write = None

    def run(self):
        try:
            self.sleep_until(self.first)
            getattr(self, "live_" + self.manner)()
        except Ended:
            pass

    # Manners

    def live_steady(self):
        self.register(self.preferred())
        while True:
            self.beat_once(self.preferred())

    def live_roamer(self):
        self.register(self.preferred())
        while True:
            self.beat_once(self.shuffled())

    def live_mass(self):
        self.register(self.preferred())
        while time.monotonic() < self.silent_at:
            self.beat_once(self.preferred(), until=self.silent_at)

    def live_mortal(self):
        while self.may_write():
            self.register(self.preferred())
            self.live_for(self.random.uniform(0.5, 2) * self.lease, self.preferred)
            # Long enough to be gone everywhere, whoever counts it.
            self.sleep(self.random.uniform(3, 5) * self.lease + 10)

    def live_churner(self):
        while self.may_write():
            self.register(self.shuffled())
            while True:
                self.live_for(self.random.uniform(2, 10), self.shuffled)
                if not self.may_write():
                    self.live_for(float("inf"), self.preferred)
                if self.random.random() < 0.6:
                    break
                self.register(self.shuffled())
            self.deregister(self.shuffled())
            self.sleep(self.random.uniform(1, 5))

    def live_rival(self):
        while self.may_write():
            self.register([self.home])
            self.live_for(self.random.uniform(1, 5), lambda: [self.home])
        self.live_for(float("inf"), lambda: [self.home])

    def live_for(self, seconds, places):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.beat_once(places(), until=end)

    # What they do

    def register(self, places):
        """Writes until a node has acknowledged it. What may have been carried out is not sent a second time: the next
        try is another write, so that each number was written once at most."""
        status = 0
        while True:
            for node in places:
                if status == 0:
                    self.write = self.key.write(self.next_write)
                    self.next_write += self.step
                status = self.ask("put", node, "POST", "/api/v1/instances", {
                    "service_name": self.key.service, "instance_id": self.key.id, "ttl": self.lease,
                    "endpoint": {"type": "tcp", "value": address_of(self.write) + ":80"}})
                if status in (200, 201):
                    return
                self.sleep(0.1)

    def deregister(self, places):
        while True:
            for node in places:
                if self.ask("delete", node, "DELETE", f"/api/v1/instances/{self.key.id}", None) in (200, 410):
                    return
                self.sleep(0.1)

    def beat_once(self, places, until=float("inf")):
        """Waits for the time of a heartbeat and sends it to the first node that answers. A heartbeat for something that
        is gone has it registered anew."""
        self.sleep_until(min(time.monotonic() + self.lease / 3 * self.random.uniform(0.8, 1.0), until))
        for node in places:
            status = self.ask("beat", node, "PUT", f"/api/v1/instances/{self.key.id}/heartbeat", None)
            if status == 410:
                self.register([node] + [place for place in places if place != node])
            if status in (200, 410):
                return

    def ask(self, what, node, method, path, body):
        if time.monotonic() >= self.end:
            raise Ended
        connection = http.client.HTTPConnection(self.nodes[str(node)], self.port, timeout=TIMEOUT)
        start, status = time.monotonic(), -1
        try:
            connection.connect()
            # A request without an answer in time is given up by the kernel too, not sent again for minutes.
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            status = 0
            data = json.dumps(body).encode() if body is not None else None
            connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
            reply = connection.getresponse()
            status = reply.status
            reply.read()
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        self.journal.note(key=self.key.index, write=self.write, what=what, node=node, start=start,
                          end=time.monotonic(), status=status)
        return status

    # Places and times

    def preferred(self):
        return [self.home] + [node for node in self.shuffled() if node != self.home]

    def shuffled(self):
        nodes = sorted(int(node) for node in self.nodes)
        self.random.shuffle(nodes)
        return nodes

    def may_write(self):
        return time.monotonic() < self.quiet

    def sleep(self, seconds):
        self.sleep_until(time.monotonic() + seconds)

    def sleep_until(self, moment):
        time.sleep(max(0.0, min(moment, self.end) - time.monotonic()))
        if time.monotonic() >= self.end:
            raise Ended


def main():
    with open(sys.argv[1]) as file:
        config = json.load(file)
    journal = Journal(sys.argv[2])
    owners = [Owner(spec, config, journal) for spec in config["owners"]]
    for owner in owners:
        owner.start()
    for owner in owners:
        owner.join()


if __name__ == "__main__":
    main()
