#!/usr/bin/env python3
"""Runs regdns nodes in network namespaces, lets things go wrong, and judges what the DNS answered meanwhile.

  run_lab.py --regdns BINARY [--nodes 3] [--seconds 60] [--seed N] [--lease 4] [--profile lan] [--keep DIR]

The same seed gives the same plan: what goes wrong when, which nodes have a disk, whose clock is off, who owns what.
Prints the invariants C1 to C9 with their figures, evidence against them, and `N passed, N failed` as the last line.
Exit status 3: no lab can be made here. The logs of a run that failed are kept, or in DIR those of any run.
"""
import argparse
import base64
import json
import os
import pickle
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import judge
import nemesis
from dnsname import DOMAIN, Instance
from history import Event, History, Request
from netns_lab import Lab, obstacle
from recorder import RECORD

HERE = os.path.dirname(os.path.abspath(__file__))
COMPILERS = ["cc", "gcc", "clang"]
DNS, HTTP, GOSSIP = 53, 8080, 7946
# What the owners beside one node are like, by the number of nodes: the more nodes, the fewer beside each.
FEW = ["steady", "steady", "roamer", "churner", "churner", "mortal", "mass", "mass"]
MANY = ["steady", "roamer", "churner", "churner", "mortal", "mass"]
# How long it takes at most until a node that is gone is seen as gone: by measure of memberlist's profiles, with the
# slowest splits.
DETECT = {"lan": 21.0, "wan": 60.0, "local": 20.0, "fast": 15.0}

def calm(lease):
    """How long before the end the faults end, so that all converges and leases that nobody renews can be over."""
    return 14 + 2 * lease



class Node:
    """One server: its processes one after another, its clock, its disk."""

    def __init__(self, lab, number, options, folder, has_disk, offset):
        self.lab, self.number, self.options = lab, number, options
        self.folder = os.path.join(folder, f"n{number}")
        os.makedirs(self.folder)
        self.has_disk, self.offset = has_disk, offset
        self.starts = 0
        self.isReady = False
        self.clock = os.path.join(self.folder, "clock")
        with open(self.clock, "wb") as file:
            file.write(bytes(8))
        self.set_clock(0)

    def set_clock(self, seconds):
        # In place and at once: the server looks at the file whenever it looks at its clock.
        with open(self.clock, "r+b", buffering=0) as file:
            file.write(struct.pack("q", (self.offset + seconds) * 1_000_000_000))

    def start(self):
        self.starts += 1
        self.isReady = False
        address = Lab.address(self.number)
        others = [f"{Lab.address(n)}:{GOSSIP}" for n in self.lab.nodes if n != self.number]
        command = [self.options.regdns, "serve", "--dns", f"{address}:{DNS}", "--http", f"{address}:{HTTP}",
                   "--insecure", "--etcd", "off", "--forward", "off", "--domain", DOMAIN,
                   "--lease-min", "2s", "--node", f"n{self.number}"]
        if not self.options.alone:
            command += ["--gossip", f"{address}:{GOSSIP}", "--advertise", f"{address}:{GOSSIP}",
                        "--join", ",".join(others), "--gossip-key", self.options.key,
                        "--gossip-profile", self.options.profile]
        if self.has_disk:
            command += ["--data-dir", os.path.join(self.folder, "data")]
        clock = {"LD_PRELOAD": self.options.wall_clock, "LAB_WALL_CLOCK": self.clock}
        self.out = os.path.join(self.folder, f"out-{self.starts}")
        with open(self.out, "w") as out, open(os.path.join(self.folder, f"log-{self.starts}"), "w") as log:
            self.process = self.lab.popen(self.number, command, stdout=out, stderr=log, stdin=subprocess.DEVNULL,
                                          env={**os.environ, **clock})

    def look(self):
        """Whether it is ready; ends the run when it has ended by itself."""
        if self.process.poll() is not None:
            raise SystemExit(f"n{self.number} ended with status {self.process.returncode}: see {self.folder}")
        if not self.isReady:
            with open(self.out) as file:
                self.isReady = "regdns ready " in file.read()
        return self.isReady

    def kill(self):
        self.process.kill()
        self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)


class Run:
    def __init__(self, lab, options, folder):
        self.lab, self.options, self.folder = lab, options, folder
        nodes = lab.nodes
        disks, offsets = nemesis.disks(options.seed, nodes), nemesis.offsets(options.seed, nodes)
        self.nodes = {n: Node(lab, n, options, folder, n in disks, offsets[n]) for n in nodes}
        self.steps = nemesis.plan(options.seed, nodes, options.seconds - calm(options.lease), options.lease)
        self.events = []
        self.instances, self.specs, self.rivals, self.massed = [], {n: [] for n in nodes}, set(), set()
        self.cast()
        print(f"seed {options.seed}: {len(nodes)} nodes, {len(self.instances)} instances, lease {options.lease} s, "
              f"disks at {', '.join(f'n{n}' for n in disks)}, clocks off by "
              + ", ".join(f"n{n} {s:+d} s" for n, s in offsets.items() if s))

    def cast(self):
        """Who owns what."""
        chance = random.Random(f"cast {self.options.seed}")
        # Just when a node stands still for two leases: it must not answer them when it goes on.
        silent = 0.2 + next((step.start for step in self.steps if step.kind == "pause"), self.options.seconds / 2)

        def add(node, key, manner, **more):
            self.specs[node].append({"key": key.index, "service": key.service, "manner": manner,
                                     "seed": chance.getrandbits(32), **more})

        def instance(service):
            self.instances.append(Instance(len(self.instances), service))
            return self.instances[-1]

        for node in self.lab.nodes:
            for manner in FEW if len(self.lab.nodes) <= 3 else MANY:
                key = instance(chance.choice(["web", "mail", "data"]))
                add(node, key, manner, silent_at=silent)
                if manner == "mass":
                    self.massed.add(key.index)
        for first, second in zip(self.lab.nodes, self.lab.nodes[1:3]):
            key = instance("both")
            add(first, key, "rival", first_write=0, write_step=2)
            add(second, key, "rival", first_write=1, write_step=2)
            self.rivals.add(key.index)
        self.names = [key.name for key in self.instances]
        self.names += [f"{service}.{DOMAIN}" for service in ("web", "mail", "data", "both")]

    def play(self):
        for node in self.nodes.values():
            node.start()
        self.wait(lambda: all([node.look() for node in self.nodes.values()]), 60, "the nodes are not ready")
        self.begin = time.monotonic() + 0.5
        self.end = self.begin + self.options.seconds
        self.quiet = self.begin + self.options.seconds - calm(self.options.lease)
        helpers = [self.start_recorder(n) for n in self.nodes] + [self.start_owners(n) for n in self.nodes]
        pending = sorted(((moment, order, step) for step in self.steps
                          for order, moment in ((0, step.start), (1, step.end))), key=lambda item: item[:2])
        for moment, order, step in pending:
            self.sleep_until(self.begin + moment)
            if order == 0:
                print(f"   {step}" if step.kind in nemesis.NODE else f"   {step.start:6.1f} to {step.end:6.1f} s "
                      f"{step.kind} {shorten(step.what['links'])}", flush=True)
                self.hurt(step)
            else:
                self.mend(step)
        self.sleep_until(self.end + 0.5)
        for helper in helpers:
            helper.wait(timeout=30)
        for node in self.nodes.values():
            node.look()

    # Faults

    def hurt(self, step):
        now = time.monotonic()
        node = self.nodes.get(step.what.get("node"))
        step.event = Event(step.kind if node else "link", now, now, node=node.number if node else 0,
                           detail=step.kind)
        self.events.append(step.event)
        if step.kind == "kill":
            step.event.keeps = node.has_disk
            node.kill()
        elif step.kind == "pause":
            node.signal(signal.SIGSTOP)
        elif step.kind == "clock":
            step.event.seconds = step.what["seconds"]
            node.set_clock(step.what["seconds"])
        else:
            step.event.isCut = any(fault == nemesis.CUT for _, _, fault in step.what["links"])
            self.lab.set_faults({(a, b): fault for a, b, fault in step.what["links"]})

    def mend(self, step):
        node = self.nodes.get(step.what.get("node"))
        if step.kind == "kill":
            node.start()
            # Time goes on for the other faults: the event ends when the node is seen ready.
            step.event.end = float("inf")
        elif step.kind == "pause":
            # Answers that come a moment before the note of it are answers after the pause.
            step.event.end = time.monotonic()
            node.signal(signal.SIGCONT)
        elif step.kind == "clock":
            node.set_clock(0)
            step.event.end = time.monotonic() + 1
        else:
            self.lab.heal()
            step.event.end = time.monotonic()

    def sleep_until(self, moment):
        """Waits, and meanwhile notes which of the nodes that were killed are ready again."""
        while True:
            for event in self.events:
                if event.kind == "kill" and event.end == float("inf") and self.nodes[event.node].look():
                    event.end = time.monotonic()
            left = moment - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.02))

    def wait(self, condition, seconds, what):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise SystemExit(f"{what} after {seconds} s: see {self.folder}")
            time.sleep(0.05)

    # Helpers

    def start_recorder(self, node):
        return self.start_helper("recorder", node, {
            "address": Lab.address(node), "port": DNS, "names": self.names, "interval": 0.05, "end": self.end})

    def start_owners(self, node):
        return self.start_helper("owners", node, {
            "node": node, "nodes": {str(n): Lab.address(n) for n in self.nodes}, "port": HTTP,
            "lease": self.options.lease, "begin": self.begin, "quiet": self.quiet, "end": self.end,
            "owners": self.specs[node]})

    def start_helper(self, name, node, config):
        path = os.path.join(self.folder, f"{name}-{node}")
        with open(path + ".json", "w") as file:
            json.dump(config, file)
        with open(path + ".log", "w") as log:
            program = os.path.join(HERE, name + ".py")
            return self.lab.popen(node, [sys.executable, "-B", program, path + ".json", path + ".out"],
                                  stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def history(self):
        for event in self.events:
            event.end = min(event.end, self.end)
        healed = max(event.end for event in self.events)
        history = History(self.lab.nodes, self.options.lease, DETECT[self.options.profile], self.names, self.begin,
                          self.quiet, healed, self.end)
        history.keys = [key.index for key in self.instances]
        history.rivals, history.massed = self.rivals, self.massed
        history.events = list(self.events)
        for node in self.lab.nodes:
            with open(os.path.join(self.folder, f"recorder-{node}.out"), "rb") as file:
                recording = pickle.load(file)
            for at, latency, name, answer, ttl in RECORD.iter_unpack(recording["records"]):
                history.record(node, name, at, latency, recording["answers"][answer], ttl)
            history.noise[node] = recording["noise"]
            with open(os.path.join(self.folder, f"owners-{node}.out")) as file:
                history.requests += [Request(**json.loads(line)) for line in file]
        history.finish()
        return history


def shorten(links):
    kinds = {json.dumps(fault) for _, _, fault in links}
    if kinds == {json.dumps(nemesis.CUT)}:
        return " ".join(f"{a}>{b}" for a, b, _ in links)
    return "everywhere " + " ".join(kinds)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--regdns", default="regdns", help="the binary")
    parser.add_argument("--check", action="store_true", help="only say whether a lab can be made here")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("REGDNS_SEED", random.randrange(1 << 31))))
    parser.add_argument("--lease", type=int, default=4, help="of every registration, in seconds")
    parser.add_argument("--profile", default="lan", choices=sorted(DETECT))
    parser.add_argument("--keep", help="folder for the logs, which must not exist")
    parser.add_argument("--alone", action="store_true", help="nodes without gossip: everything must fail")
    options = parser.parse_args()
    options.regdns = os.path.abspath(options.regdns)
    options.key = base64.b64encode(random.Random(options.seed).randbytes(32)).decode()
    return options


def build_clock(folder):
    """Compiles the library that moves a program's wall clock."""
    compiler = next((name for name in COMPILERS if shutil.which(name)), None)
    if compiler is None:
        raise SystemExit("a C compiler is missing: install gcc and libc6-dev, or clang")
    path = os.path.join(folder, "wall_clock.so")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", path, os.path.join(HERE, "wall_clock.c"), "-ldl"],
                   check=True)
    return path


def main():
    options = arguments()
    problem = obstacle()
    if problem or options.check:
        print(problem or "a lab can be made here")
        return 3 if problem else 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = options.keep or tempfile.mkdtemp(prefix="regdns-lab-")
    os.makedirs(folder, exist_ok=True)
    keep = options.keep is not None
    try:
        options.wall_clock = build_clock(folder)
        with Lab(options.nodes, options.seed) as lab:
            run = Run(lab, options, folder)
            run.play()
        history = run.history()
        with open(os.path.join(folder, "history.pickle"), "wb") as file:
            pickle.dump(history, file)
        verdicts = judge.judge(history)
        passed, failed = judge.report(history, verdicts)
        keep = keep or failed > 0
        print(f"{passed} passed, {failed} failed")
        return 1 if failed else 0
    except BaseException:
        keep = True
        raise
    finally:
        if keep:
            print(f"the logs are in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
